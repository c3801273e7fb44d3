//! Byte streams: TCP and unix sockets, with TLS or without. The only folder that reads and writes them. Knows no protocol
//! and no deadline.

#[cfg(feature = "tls")]
mod binding;
#[cfg(feature = "tls")]
mod der;
#[cfg(feature = "tls")]
mod settings;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod trust;
#[cfg(feature = "tls")]
mod words;

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

#[cfg(feature = "tls")]
pub use self::settings::{TlsSettings, TlsVersion};
#[cfg(feature = "tls")]
pub use self::tls::{ServerTls, Tls};
use crate::protocols::Established;

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

/// A byte stream that never blocks, with TLS or without.
#[derive(Debug)]
pub(crate) struct Transport {
    raw: Raw,
    #[cfg(feature = "tls")]
    tls: Option<Box<tls::Session>>,
}

/// A socket.
#[derive(Debug)]
pub(crate) enum Raw {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    Bytes {
        /// Of plaintext, which can be none: half a TLS record came, or one that is not for the reader.
        count: usize,
        /// As far as is known, nothing is left but perhaps the end of the stream.
        drained: bool,
    },
    /// The end of the stream.
    Eof,
    /// Nothing now; readiness will be told.
    Empty,
}

/// Buffers that all transports of a reactor lend from it.
#[derive(Debug, Default)]
pub(crate) struct Lent {
    #[cfg(feature = "tls")]
    ciphertext: tls::Ciphertext,
}

/// On these systems a read that does not fill its buffer has emptied the socket, so that the read which would only say
/// so is saved (epoll(7)).
const DRAINED_BY_SHORT_READ: bool = cfg!(any(target_os = "linux", target_os = "android"));

impl Transport {
    pub(crate) fn connect(address: &Address) -> io::Result<Self> {
        Raw::connect(address).map(Self::from)
    }

    /// Begins TLS as the client, before anything else was written or in the middle of a stream.
    #[cfg(feature = "tls")]
    pub(crate) fn start_tls(&mut self, tls: &Tls) -> io::Result<()> {
        self.tls = Some(Box::new(tls::Session::client(tls)?));
        Ok(())
    }

    /// Begins TLS as the server.
    #[cfg(feature = "tls")]
    pub(crate) fn accept_tls(&mut self, tls: &ServerTls) -> io::Result<()> {
        self.tls = Some(Box::new(tls::Session::server(tls)?));
        Ok(())
    }

    /// TLS was begun.
    #[cfg(feature = "tls")]
    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Readiness of both kinds, told once per change: nothing is ever registered again.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match &mut self.raw {
            Raw::Tcp(stream) => stream.register(registry, token, both),
            #[cfg(unix)]
            Raw::Unix(stream) => stream.register(registry, token, both),
        }
    }

    /// After the first readiness: whether the socket is connected. `false`: not yet.
    pub(crate) fn is_connected(&self) -> io::Result<bool> {
        let (error, peer) = match &self.raw {
            Raw::Tcp(stream) => (stream.take_error()?, stream.peer_addr().err()),
            #[cfg(unix)]
            Raw::Unix(stream) => (stream.take_error()?, stream.peer_addr().err()),
        };
        match (error, peer) {
            (Some(error), _) => Err(error),
            (None, None) => Ok(true),
            (None, Some(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            (None, Some(error)) => Err(error),
        }
    }

    /// Goes on with what must be done before the first byte of the protocol. `true`: it is done.
    pub(crate) fn handshake(&mut self, lent: &mut Lent) -> io::Result<bool> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.handshake(&mut self.raw, &mut lent.ciphertext);
        }
        let _ = lent;
        Ok(true)
    }

    /// What was negotiated.
    pub(crate) fn established(&self) -> Established<'_> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Established::default().over_tls(tls.alpn()).bound_by(&**tls);
        }
        Established::default()
    }

    pub(crate) fn fill(&mut self, buffer: &mut [u8], lent: &mut Lent) -> io::Result<Filled> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.fill(&mut self.raw, buffer, &mut lent.ciphertext);
        }
        let _ = lent;
        self.raw.fill(buffer)
    }

    /// Writes until all is taken or the socket is full; returns how many bytes were taken.
    pub(crate) fn flush(&mut self, bytes: &[u8], lent: &mut Lent) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.flush(&mut self.raw, bytes, &mut lent.ciphertext);
        }
        let _ = lent;
        self.raw.flush(bytes)
    }

    /// Something that was taken waits for the socket: flush again when it is writable.
    pub(crate) fn is_pending(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.is_pending();
        }
        false
    }

    /// Tells the peer that nothing more comes. `false`: its socket has no room for TLS's word for it, which goes first;
    /// flush and say it again when there is.
    pub(crate) fn finish(&mut self) -> bool {
        self.goodbye();
        if self.is_pending() {
            return false;
        }
        // It may be gone already, which is what we want to say.
        let _ = match &self.raw {
            Raw::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Raw::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
        true
    }

    /// Says what is to be said before the socket closes: TLS has a word for it, which is said once.
    pub(crate) fn goodbye(&mut self) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            tls.goodbye(&mut self.raw);
        }
    }
}

impl From<Raw> for Transport {
    fn from(raw: Raw) -> Self {
        Self {
            raw,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl Raw {
    fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(*address)?;
                // Requests are written whole: waiting for more to fill a segment would only delay them.
                stream.set_nodelay(true)?;
                Ok(Raw::Tcp(stream))
            }
            #[cfg(unix)]
            Address::Unix(path) => Ok(Raw::Unix(UnixStream::connect(path)?)),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<Filled> {
        loop {
            let read = match self {
                Raw::Tcp(stream) => stream.read(buffer),
                #[cfg(unix)]
                Raw::Unix(stream) => stream.read(buffer),
            };
            return match read {
                Ok(0) => Ok(Filled::Eof),
                Ok(count) => Ok(Filled::Bytes { count, drained: DRAINED_BY_SHORT_READ && count < buffer.len() }),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Filled::Empty),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    fn flush(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            let written = match self {
                Raw::Tcp(stream) => stream.write(&bytes[sent..]),
                #[cfg(unix)]
                Raw::Unix(stream) => stream.write(&bytes[sent..]),
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
}
