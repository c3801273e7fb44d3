//! Byte streams: TCP and unix sockets. The only file that reads and writes them; TLS belongs here too, and nowhere else.
//! Knows no protocol and no deadline.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A unix socket.
    #[cfg(unix)]
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            #[cfg(unix)]
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address::Tcp(address)
    }
}

/// A byte stream that never blocks.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    Bytes(usize),
    Eof,
    /// Nothing now; readiness will be told.
    Empty,
}

impl Transport {
    pub(crate) fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(*address)?;
                // Requests are written whole: waiting for more to fill a segment would only delay them.
                stream.set_nodelay(true)?;
                Ok(Transport::Tcp(stream))
            }
            #[cfg(unix)]
            Address::Unix(path) => Ok(Transport::Unix(UnixStream::connect(path)?)),
        }
    }

    /// Readiness of both kinds, told once per change: nothing is ever registered again.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Transport::Tcp(stream) => stream.register(registry, token, both),
            #[cfg(unix)]
            Transport::Unix(stream) => stream.register(registry, token, both),
        }
    }

    /// After the first readiness: whether the connection stands. `false`: not yet.
    pub(crate) fn is_connected(&self) -> io::Result<bool> {
        let (error, peer) = match self {
            Transport::Tcp(stream) => (stream.take_error()?, stream.peer_addr().err()),
            #[cfg(unix)]
            Transport::Unix(stream) => (stream.take_error()?, stream.peer_addr().err()),
        };
        match (error, peer) {
            (Some(error), _) => Err(error),
            (None, None) => Ok(true),
            (None, Some(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            (None, Some(error)) => Err(error),
        }
    }

    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<Filled> {
        loop {
            let read = match self {
                Transport::Tcp(stream) => stream.read(buffer),
                #[cfg(unix)]
                Transport::Unix(stream) => stream.read(buffer),
            };
            return match read {
                Ok(0) => Ok(Filled::Eof),
                Ok(bytes) => Ok(Filled::Bytes(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Filled::Empty),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// Writes until all is written or the socket is full; returns how many bytes went.
    pub(crate) fn flush(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            let written = match self {
                Transport::Tcp(stream) => stream.write(&bytes[sent..]),
                #[cfg(unix)]
                Transport::Unix(stream) => stream.write(&bytes[sent..]),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn finish(&mut self) {
        // It may be gone already, which is what we want to say.
        let _ = match self {
            Transport::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Transport::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}
