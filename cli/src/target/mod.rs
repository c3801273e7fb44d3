//! `aquests target`: a small server of HTTP/1.1 and HTTP/2 to try requests and loads against, on the same reactor as the client.
//! Answers from memory and never touches a file, a name or another server.
//!
//! `route` says what a request asks for, `site` answers it, `heads` has the heads of answers ready, `echo` is a request
//! on its way back, `wire` finds out which version a client speaks, `identity` is who it is over TLS.

mod echo;
mod heads;
mod identity;
mod route;
mod site;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aquests::reactor::{Listener, Reactor, Waker};

use crate::args::TargetArgs;
use crate::output::{Failure, Sink};
use crate::{open_files, signal};
use identity::AuthorityFile;
pub(crate) use identity::Identity;
use site::Site;
use wire::Wire;

/// Where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

/// Where it listens, and whether over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    socket: Socket,
    tls: bool,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.socket {
            Socket::Tcp(address) if self.tls => write!(f, "https://{address}/"),
            Socket::Tcp(address) => write!(f, "http://{address}/"),
            #[cfg(unix)]
            Socket::Unix(path) if self.tls => write!(f, "unix socket {}, over TLS", path.display()),
            #[cfg(unix)]
            Socket::Unix(path) => write!(f, "unix socket {}", path.display()),
        }
    }
}

/// The protocols that it speaks, the most wanted first (RFC 7301).
const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub(crate) struct Target {
    reactor: Reactor<Wire>,
    place: Place,
    stop: Arc<AtomicBool>,
}

/// Ends a target from another thread.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl Stop {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        // A target that is gone needs no waking.
        let _ = self.waker.wake();
    }
}

impl Target {
    /// With an identity, it speaks TLS.
    pub(crate) fn bind(socket: &Socket, identity: Option<&Identity>) -> io::Result<Self> {
        let mut reactor = Reactor::new()?;
        let (mut listener, socket) = match socket {
            Socket::Tcp(address) => {
                let listener = Listener::tcp(*address)?;
                let socket = Socket::Tcp(listener.local_addr()?);
                (listener, socket)
            }
            #[cfg(unix)]
            Socket::Unix(path) => (Listener::unix(path)?, socket.clone()),
        };
        let place = Place { socket, tls: identity.is_some() };
        if let Some(identity) = identity {
            listener = listener.tls(identity.server(PROTOCOLS).map_err(io::Error::other)?);
        }
        reactor.listen(listener, 0)?;
        Ok(Self { reactor, place, stop: Arc::default() })
    }

    /// Where it listens, with the port that the system chose.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn stopper(&self) -> Stop {
        Stop { stop: self.stop.clone(), waker: self.reactor.waker() }
    }

    /// Answers until it is stopped.
    pub(crate) fn serve(mut self) -> io::Result<()> {
        let mut site = Site::new();
        while !self.stop.load(Ordering::SeqCst) {
            site.prepare(&mut self.reactor);
            self.reactor.turn(None, &mut site)?;
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Socket::Unix(path) = &self.place.socket {
            // Somebody else may have taken it away, which is what we want.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &TargetArgs) -> Result<(), Failure> {
    let socket = socket(args);
    let identity = identity(args)?;
    // As many connections as the system allows; at that limit others wait in its queue.
    open_files::raise();
    let target = Target::bind(&socket, identity.as_ref()).map_err(|error| {
        let hint = match (&socket, error.kind()) {
            #[cfg(unix)]
            (Socket::Unix(_), io::ErrorKind::AddrInUse) => " (remove the file if no server uses it)",
            (Socket::Tcp(_), io::ErrorKind::AddrInUse) => " (port 0 lets the system choose a free one)",
            _ => "",
        };
        let place = Place { socket: socket.clone(), tls: identity.is_some() };
        Failure::Run(format!("cannot listen on {place}: {error}{hint}"))
    })?;
    let stop = target.stopper();
    signal::on_interrupt(move || stop.stop())?;
    // Goes away with the target.
    let authority = identity.as_ref().and_then(Identity::authority).map(AuthorityFile::write).transpose()?;
    // Who reads it needs it to know where; a target that nobody watches listens all the same.
    let mut words = format!("listening on {}\n", target.place());
    if let Some(authority) = &authority {
        words += &format!("clients trust it with --cacert {}\n", authority.path().display());
    }
    Sink::Stdout.write(words.as_bytes())?;
    let place = target.place().clone();
    target.serve().map_err(|error| Failure::Run(format!("the target on {place} failed: {error}")))
}

fn socket(args: &TargetArgs) -> Socket {
    #[cfg(unix)]
    if let Some(path) = &args.unix_socket {
        return Socket::Unix(path.clone());
    }
    Socket::Tcp(args.listen)
}

fn identity(args: &TargetArgs) -> Result<Option<Identity>, Failure> {
    match &args.cert {
        Some(cert) => Identity::read(cert, args.key.as_deref().unwrap_or(cert)).map(Some),
        None if args.tls => Identity::new().map(Some),
        None => Ok(None),
    }
}
