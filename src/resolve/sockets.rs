//! Datagrams and streams to name servers. Reads and writes without waiting; what the bytes mean is not known here.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::event::Source;
use mio::net::{TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};

use crate::protocols::dns::{self, Transport};

/// Larger than any datagram that we ask for.
const DATAGRAM: usize = 4096;
/// Datagrams read in one turn. A flood of them must leave room for everybody else.
const BUDGET: usize = 64;
/// The longest message of a stream, with its length.
const LONGEST: usize = (64 << 10) + 1;

/// A way to one server, for one lookup. A datagram socket has a port of its own, and is connected, so that the system
/// drops what comes from anybody else.
#[derive(Debug)]
pub(super) enum Socket {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, out: Vec<u8>, input: Vec<u8> },
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// All that there was.
    Everything,
    /// There may be more, and no readiness will tell.
    More,
    /// The server is not there, or has ended the stream.
    End,
}

impl Socket {
    pub(super) fn open(to: SocketAddr, transport: Transport, registry: &Registry, token: Token) -> io::Result<Self> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match transport {
            Transport::Udp => {
                let any: IpAddr =
                    if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let mut socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
                socket.connect(to)?;
                socket.register(registry, token, Interest::READABLE)?;
                Ok(Socket::Udp(socket))
            }
            Transport::Tcp => {
                let mut stream = TcpStream::connect(to)?;
                stream.register(registry, token, both)?;
                Ok(Socket::Tcp { stream, out: Vec::new(), input: Vec::new() })
            }
        }
    }

    pub(super) fn transport(&self) -> Transport {
        match self {
            Socket::Udp(_) => Transport::Udp,
            Socket::Tcp { .. } => Transport::Tcp,
        }
    }

    /// Sends a message, or as much of it as can be sent now.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Socket::Udp(socket) => match socket.send(message) {
                // A datagram that finds no room is lost, as others are.
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                _ => Ok(()),
            },
            Socket::Tcp { out, .. } => {
                dns::frame(message, out);
                self.flush()
            }
        }
    }

    /// Writes what could not be written before.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Socket::Tcp { stream, out, .. } = self else { return Ok(()) };
        while !out.is_empty() {
            match stream.write(out) {
                Ok(bytes) => drop(out.drain(..bytes)),
                // Not yet connected; a refusal is an error of its own.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hands over every message that came.
    pub(super) fn receive(&mut self, mut tell: impl FnMut(&[u8])) -> Heard {
        match self {
            Socket::Udp(socket) => {
                let mut bytes = [0; DATAGRAM];
                for _ in 0..BUDGET {
                    match socket.recv(&mut bytes) {
                        Ok(length) => tell(&bytes[..length]),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Everything,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(_) => return Heard::End,
                    }
                }
                Heard::More
            }
            Socket::Tcp { stream, input, .. } => {
                let mut bytes = [0; DATAGRAM];
                for _ in 0..BUDGET {
                    match stream.read(&mut bytes) {
                        Ok(0) => return Heard::End,
                        Ok(length) => input.extend_from_slice(&bytes[..length]),
                        Err(error)
                            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) =>
                        {
                            return Heard::Everything;
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(_) => return Heard::End,
                    }
                    let mut used = 0;
                    while let Some(message) = dns::unframe(&input[used..]) {
                        tell(message);
                        used += 2 + message.len();
                    }
                    input.drain(..used);
                    debug_assert!(input.len() <= LONGEST, "a message that is whole was taken");
                }
                Heard::More
            }
        }
    }
}
