//! Byte streams: TCP and unix sockets, with TLS or without. The only folder that reads and writes them. Knows no protocol
//! and no deadline.
//!
//! TLS is rustls over *ring*, and not over aws-lc-rs, which rustls prefers. Measured side by side on one machine, as
//! medians of seven rounds, with both halves of 400 handshakes in memory and only the connecting one's time taken, and
//! with records of 16 KiB opened in place (`cargo run --release --manifest-path benches/providers/Cargo.toml`):
//!
//! | | ring 0.17.14 | aws-lc-rs 1.19.0 |
//! |---|---|---|
//! | full handshake, TLS 1.3, X25519, P-256 | 141 µs | 131 µs |
//! | full handshake, TLS 1.2, X25519, P-256 | 133 µs | 114 µs |
//! | AES-128-GCM | 10.3 GB/s | 19.4 GB/s |
//! | AES-256-GCM | 9.9 GB/s | 17.4 GB/s |
//! | ChaCha20-Poly1305 | 2.6 GB/s | 2.6 GB/s |
//! | CPU time to build it alone | 9 s | 37 s |
//! | its sources | 8.5 MB | 71 MB |
//!
//! What ring costs is 8 to 17 % of a handshake and, where a GiB over TLS takes 0.42 s of CPU time in all, some 0.05 s of
//! that. What it spares is a build four times as long, of sources eight times as large, for everybody who builds this.
//! Requests and whole handshakes beside other tools are measured by `benches/peers/run`.

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
    Unix(Unix),
}

/// A unix socket. That it has room is told each time its peer has read, and not only where there was none before, as with
/// TCP: who is always told is woken twice for every exchange. So it asks for that only while it has none.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Unix {
    stream: UnixStream,
    /// There was no room for all that was to be written.
    full: bool,
    /// Room will be told.
    told: bool,
}

#[cfg(unix)]
impl From<UnixStream> for Unix {
    fn from(stream: UnixStream) -> Self {
        Self { stream, full: false, told: false }
    }
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

    /// Readiness of both kinds, told once per change; of a unix socket what can be read, until it is full.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.raw {
            Raw::Tcp(stream) => stream.register(registry, token, Interest::READABLE | Interest::WRITABLE),
            #[cfg(unix)]
            Raw::Unix(unix) => unix.stream.register(registry, token, Interest::READABLE),
        }
    }

    /// It was connected when it was made, and no readiness will tell so.
    pub(crate) fn connects_at_once(&self) -> bool {
        match &self.raw {
            Raw::Tcp(_) => false,
            #[cfg(unix)]
            Raw::Unix(_) => true,
        }
    }

    /// What it is told of is not what it waits for any more: [`reregister`](Self::reregister) before the next poll.
    pub(crate) fn wants_reregistering(&self) -> bool {
        match &self.raw {
            Raw::Tcp(_) => false,
            #[cfg(unix)]
            Raw::Unix(unix) => unix.full != unix.told,
        }
    }

    pub(crate) fn reregister(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.raw {
            Raw::Tcp(_) => {}
            #[cfg(unix)]
            Raw::Unix(unix) => {
                let interest = if unix.full { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
                unix.stream.reregister(registry, token, interest)?;
                unix.told = unix.full;
            }
        }
        Ok(())
    }

    /// After the first readiness: whether the socket is connected. `false`: not yet.
    pub(crate) fn is_connected(&self) -> io::Result<bool> {
        let (error, peer) = match &self.raw {
            Raw::Tcp(stream) => (stream.take_error()?, stream.peer_addr().err()),
            #[cfg(unix)]
            Raw::Unix(unix) => (unix.stream.take_error()?, unix.stream.peer_addr().err()),
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

    /// So many bytes of what was taken wait for the socket: flush again when it is writable.
    pub(crate) fn pending(&self) -> usize {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.pending();
        }
        0
    }

    /// Something that was taken waits for the socket.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending() > 0
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
            Raw::Unix(unix) => unix.stream.shutdown(Shutdown::Write),
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
            Address::Unix(path) => match UnixStream::connect(path) {
                Ok(stream) => Ok(Raw::Unix(stream.into())),
                // Where TCP would knock again, the system says "try again" (connect(2)), and nothing tells when.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Err(io::Error::new(error.kind(), "its backlog is full: more connect than it accepts"))
                }
                Err(error) => Err(error),
            },
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<Filled> {
        loop {
            let read = match self {
                Raw::Tcp(stream) => stream.read(buffer),
                #[cfg(unix)]
                Raw::Unix(unix) => unix.stream.read(buffer),
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
                Raw::Unix(unix) => unix.stream.write(&bytes[sent..]),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        #[cfg(unix)]
        if let Raw::Unix(unix) = self {
            unix.full = sent < bytes.len();
        }
        Ok(sent)
    }
}

#[cfg(all(test, feature = "tls", unix))]
mod tests {
    use super::*;

    /// Both ends of a connection over TLS.
    fn pair(lent: &mut Lent) -> (Transport, Transport) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let server_tls = ServerTls::from_pem(chain.as_bytes(), key.as_bytes(), &[]).unwrap();
        let tls = TlsSettings::new().roots_pem(chain).connect("localhost", &[]).unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Transport::from(Raw::Unix(one.into())), Transport::from(Raw::Unix(other.into())));
        one.start_tls(&tls).unwrap();
        other.accept_tls(&server_tls).unwrap();
        while !(one.handshake(lent).unwrap() & other.handshake(lent).unwrap()) {}
        (one, other)
    }

    /// Fills the socket, until ciphertext waits for it. How many bytes were taken.
    fn fill_up(one: &mut Transport, lent: &mut Lent) -> usize {
        let mut taken = 0;
        while !one.is_pending() {
            taken += one.flush(&[7; 100_000], lent).unwrap();
        }
        taken
    }

    #[test]
    fn what_waits_for_the_socket_becomes_less_as_the_peer_reads() {
        let lent = &mut Lent::default();
        let (mut one, mut other) = pair(lent);
        fill_up(&mut one, lent);
        let before = one.pending();
        assert_eq!((one.flush(&[7], lent).unwrap(), one.pending()), (0, before), "the socket is full");
        let mut buffer = [0; 4096];
        while one.pending() == before {
            other.fill(&mut buffer, lent).unwrap();
            one.flush(&[], lent).unwrap();
        }
        assert!(one.pending() < before);
    }

    #[test]
    fn the_last_word_waits_for_room_behind_what_was_said() {
        let lent = &mut Lent::default();
        let (mut one, mut other) = pair(lent);
        let taken = fill_up(&mut one, lent);
        assert!(!one.finish(), "there is no room for it");
        let (mut buffer, mut came, mut finished) = ([0; 65_536], 0, false);
        loop {
            one.flush(&[], lent).unwrap();
            finished = finished || one.finish();
            match other.fill(&mut buffer, lent).unwrap() {
                Filled::Bytes { count, .. } => came += count,
                Filled::Empty => {}
                // An error, if the last word had not come.
                Filled::Eof => break,
            }
        }
        assert!(finished && came == taken, "{came} of {taken} bytes came");
    }
}
