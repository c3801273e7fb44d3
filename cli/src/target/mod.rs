//! `aquests target`: a small HTTP/1.1 server to try requests and loads against, on the same reactor as the client.
//! Answers from memory and never touches a file, a name or another server.
//!
//! `route` says what a request asks for, `site` answers it, `heads` has the heads of answers ready, `echo` is a request
//! on its way back.

mod echo;
mod heads;
mod route;
mod site;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aquests::protocols::http1;
use aquests::reactor::{Listener, Reactor, Waker};

use crate::args::TargetArgs;
use crate::output::{Failure, Sink};
use crate::{open_files, signal};
use site::Site;

/// Where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Tcp(address) => write!(f, "http://{address}/"),
            #[cfg(unix)]
            Place::Unix(path) => write!(f, "unix socket {}", path.display()),
        }
    }
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub(crate) struct Target {
    reactor: Reactor<http1::Server>,
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
    pub(crate) fn bind(place: &Place) -> io::Result<Self> {
        let mut reactor = Reactor::new()?;
        let (listener, place) = match place {
            Place::Tcp(address) => {
                let listener = Listener::tcp(*address)?;
                let place = Place::Tcp(listener.local_addr()?);
                (listener, place)
            }
            #[cfg(unix)]
            Place::Unix(path) => (Listener::unix(path)?, place.clone()),
        };
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
        if let Place::Unix(path) = &self.place {
            // Somebody else may have taken it away, which is what we want.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &TargetArgs) -> Result<(), Failure> {
    let place = place(args);
    // As many connections as the system allows; at that limit others wait in its queue.
    open_files::raise();
    let target = Target::bind(&place).map_err(|error| {
        let hint = match (&place, error.kind()) {
            #[cfg(unix)]
            (Place::Unix(_), io::ErrorKind::AddrInUse) => " (remove the file if no server uses it)",
            (Place::Tcp(_), io::ErrorKind::AddrInUse) => " (port 0 lets the system choose a free one)",
            _ => "",
        };
        Failure::Run(format!("cannot listen on {place}: {error}{hint}"))
    })?;
    let stop = target.stopper();
    signal::on_interrupt(move || stop.stop())?;
    // Who reads it needs it to know where; a target that nobody watches listens all the same.
    Sink::Stdout.write(format!("listening on {}\n", target.place()).as_bytes())?;
    let place = target.place().clone();
    target.serve().map_err(|error| Failure::Run(format!("the target on {place} failed: {error}")))
}

fn place(args: &TargetArgs) -> Place {
    #[cfg(unix)]
    if let Some(path) = &args.unix_socket {
        return Place::Unix(path.clone());
    }
    Place::Tcp(args.listen)
}
