//! What carries a connection of a scripted server: sockets of both kinds, TLS over them, and an end that comes too early.
//! Knows no script.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Lets so many bytes out.
    Cut {
        stream: Box<Stream>,
        left: usize,
        silent: bool,
    },
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, Stream>>),
}

impl Stream {
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Stream::Tcp(stream) => {
                stream.set_nodelay(true)?;
                Stream::Tcp(stream.try_clone()?)
            }
            Stream::Unix(stream) => Stream::Unix(stream.try_clone()?),
            Stream::Cut { stream, left, silent } => {
                Stream::Cut { stream: Box::new(stream.try_clone()?), left: *left, silent: *silent }
            }
            Stream::Tls(_) => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// The socket under everything.
    pub(super) fn innermost(&self) -> &Stream {
        match self {
            Stream::Cut { stream, .. } => stream.innermost(),
            Stream::Tls(tls) => tls.sock.innermost(),
            stream => stream,
        }
    }

    pub(super) fn shutdown(&self, how: Shutdown) {
        // It may be gone already.
        let _ = match self.innermost() {
            Stream::Tcp(stream) => stream.shutdown(how),
            Stream::Unix(stream) => stream.shutdown(how),
            stream => panic!("{stream:?} is no socket"),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Cut { stream, .. } => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Cut { left: 0, stream, silent } => {
                let mut bytes = [0; 4 << 10];
                while *silent && stream.read(&mut bytes)? > 0 {}
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Stream::Cut { stream, left, .. } => {
                let sent = stream.write(&bytes[..bytes.len().min(*left)])?;
                *left -= sent;
                Ok(sent)
            }
            Stream::Tls(stream) => {
                let sent = stream.write(bytes)?;
                stream.flush()?;
                Ok(sent)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tls(stream) => stream.flush(),
            _ => Ok(()),
        }
    }
}
