//! Sockets that accept connections, for servers on the reactor. Knows nothing of what the connections are for.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

use mio::event::Source;
use mio::{Interest, Registry, Token};

#[cfg(feature = "tls")]
use crate::transport::ServerTls;
use crate::transport::{Raw, Transport};

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
}

#[derive(Debug)]
enum Socket {
    Tcp(mio::net::TcpListener),
    #[cfg(unix)]
    Unix(mio::net::UnixListener),
}

impl Listener {
    /// Listens on an address; port 0 lets the system choose.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        Ok(Socket::Tcp(mio::net::TcpListener::bind(address)?).into())
    }

    /// Listens on a unix socket, whose file must not exist.
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Socket::Unix(mio::net::UnixListener::bind(path)?).into())
    }

    /// Speaks TLS with whoever comes.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where it listens; an error for unix sockets.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr(),
            #[cfg(unix)]
            Socket::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn accept(&self) -> io::Result<Transport> {
        let raw = match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Raw::Tcp(stream)
            }
            #[cfg(unix)]
            Socket::Unix(listener) => Raw::Unix(listener.accept()?.0.into()),
        };
        #[cfg_attr(not(feature = "tls"), allow(unused_mut))]
        let mut transport = Transport::from(raw);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            transport.accept_tls(tls)?;
        }
        Ok(transport)
    }
}

impl From<Socket> for Listener {
    fn from(socket: Socket) -> Self {
        Self {
            socket,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// The listeners of a reactor, and which of them may have somebody waiting.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    all: Vec<(Listener, u64, bool)>,
    /// The system had no room for another connection: try again soon.
    full: bool,
}

/// How soon.
const FULL: Duration = Duration::from_millis(20);

impl Listeners {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn add(
        &mut self,
        mut listener: Listener,
        tag: u64,
        registry: &Registry,
        token: Token,
    ) -> io::Result<()> {
        match &mut listener.socket {
            Socket::Tcp(socket) => socket.register(registry, token, Interest::READABLE)?,
            #[cfg(unix)]
            Socket::Unix(socket) => socket.register(registry, token, Interest::READABLE)?,
        }
        self.all.push((listener, tag, false));
        Ok(())
    }

    pub(crate) fn ready(&mut self, index: usize) {
        if let Some((_, _, ready)) = self.all.get_mut(index) {
            *ready = true;
        }
    }

    /// How long a turn may wait at most.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.full.then_some(FULL)
    }

    /// A connection that came, and the tag of its listener.
    pub(crate) fn accept(&mut self) -> Option<(Transport, u64)> {
        self.full = false;
        for (listener, tag, ready) in &mut self.all {
            while *ready {
                match listener.accept() {
                    Ok(stream) => return Some((stream, *tag)),
                    // The one at the front gave up while it waited.
                    Err(error)
                        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => *ready = false,
                    // Out of descriptors or memory. It stays ready, and the next turn tries again.
                    Err(_) => {
                        self.full = true;
                        break;
                    }
                }
            }
        }
        None
    }
}
