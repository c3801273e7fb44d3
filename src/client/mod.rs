//! The client: requests in, outcomes out. A queue, a pool and callbacks over the reactor; what a request of each kind
//! looks like is in the module of its kind, how bytes travel is in none of them.
//!
//! `core` is the state and what it does with events, `bodies` what it does with those that carry bodies, `pump` does what
//! must be done between turns, and this file is what a user calls.

mod answers;
mod bodies;
mod builder;
#[cfg(feature = "redis")]
mod cluster;
mod collected;
mod core;
#[cfg(feature = "postgres")]
mod databases;
mod download;
mod errands;
mod exchange;
mod form;
mod handle;
#[cfg(feature = "postgres")]
mod interrupts;
mod outcome;
mod pings;
mod prepared;
mod pump;
mod push;
#[cfg(feature = "redis")]
mod replies;
mod request;
mod response;
mod retries;
#[cfg(feature = "redis")]
mod scans;
mod sending;
#[cfg(feature = "redis")]
mod sentinel;
mod session;
#[cfg(feature = "postgres")]
pub(crate) mod statements;
mod target;
mod upload;
mod versions;
mod writer;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use self::builder::Builder;
pub use self::download::{Head, Progress};
pub use self::form::{Form, Part};
pub use self::handle::Handle;
pub use self::outcome::Outcome;
pub use self::push::Push;
#[cfg(all(feature = "load", feature = "redis"))]
pub(crate) use self::push::turned_away;
pub use self::request::Request;
pub use self::response::{Response, Timings};
pub use self::session::Session;
pub use self::target::Target;
pub use self::writer::BodyWriter;

use self::builder::Settings;
use self::core::Core;
use self::handle::Shared;
use crate::error::{Error, ErrorKind};
use crate::reactor::{Moment, Reactor};
use crate::report::{Recorder, Report};
use crate::resolve::Lookups;
use crate::wire::Wire;

/// The error of a callback.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A callback that is lent.
type Lent<'a> = &'a mut dyn FnMut(&mut Client, Outcome) -> Result<(), BoxError>;

type Callback = Box<dyn FnMut(&mut Client, Outcome) -> Result<(), BoxError> + Send>;

/// The number of a request: 0, 1, 2, … in the order in which a client was given them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

impl RequestId {
    /// The number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A request that was not taken, and why. `?` turns it into an [`Error`].
#[derive(Debug)]
pub struct Rejected(Box<(Error, Mutex<Request>)>);

impl Rejected {
    fn new(error: Error, request: Request) -> Self {
        // Behind a lock only so that this may be shared, as errors are wanted to be.
        Self(Box::new((error, Mutex::new(request))))
    }

    /// Why.
    pub fn error(&self) -> &Error {
        &self.0.0
    }

    /// The request, to be sent another time.
    pub fn into_request(self) -> Request {
        self.0.1.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for Rejected {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.error())
    }
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        rejected.0.0
    }
}

/// Asks many servers many things at once, from the thread that calls it.
///
/// Requests wait in a queue until one of the `workers` (connections) is free. [`fetch_all`](Self::fetch_all) runs until
/// nothing is left to do; or a program with a loop of its own calls [`turn`](Self::turn) when
/// [`as_fd`](std::os::fd::AsFd::as_fd) is readable or [`next_deadline`](Self::next_deadline) has come, and takes what
/// [`next_outcome`](Self::next_outcome) has.
///
/// Every request that was taken has exactly one outcome. Outcomes come in the order in which they happen.
///
/// ```no_run
/// let mut client = aquests::Client::builder().workers(10).build()?;
/// for page in 0..100 {
///     client.get(format!("http://127.0.0.1:5000/pages/{page}"))?;
/// }
/// let report = client.fetch_all_with(|_, outcome| {
///     match outcome.response() {
///         Some(response) => println!("{}: {}", response.url(), response.status()),
///         None => println!("{outcome}"),
///     }
///     Ok::<_, aquests::Error>(())
/// })?;
/// println!("{report}");
/// # Ok::<(), aquests::Error>(())
/// ```
pub struct Client {
    reactor: Reactor<Wire>,
    core: Core,
    shared: Arc<Shared>,
    lookups: Lookups,
    source: Option<Box<dyn Iterator<Item = Request> + Send>>,
    callback: Option<Callback>,
    /// A callback is running.
    delivering: bool,
}

macro_rules! sugar {
    ($($name:ident)*) => {$(
        #[doc = concat!("Queues `Request::", stringify!($name), "(url)`.")]
        pub fn $name(&mut self, url: impl Into<String>) -> Result<RequestId, Rejected> {
            self.send(Request::$name(url))
        }
    )*};
}

impl Client {
    /// A client with the defaults: one worker, a timeout of 10 seconds.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// A client to be set up.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn with(builder: Builder) -> io::Result<Self> {
        let reactor = Reactor::new()?;
        let waker = reactor.waker();
        let shared = Arc::new(Shared::new(waker.clone(), builder.settings.queue_limit));
        Ok(Self {
            reactor,
            core: Core::new(builder.settings, builder.listener),
            shared,
            lookups: Lookups::new(builder.names, Some(waker)),
            source: None,
            callback: builder.callback,
            delivering: false,
        })
    }

    /// Queues a request. What is wrong with it is said here, and it is given back.
    pub fn send(&mut self, request: impl Into<Request>) -> Result<RequestId, Rejected> {
        let mut request = request.into();
        self.settle();
        match self.shared.admit(&mut request) {
            Ok((id, prepared)) => {
                let now = self.reactor.now();
                self.core.queue(id, prepared, None, now);
                Ok(id)
            }
            Err(error) => Err(Rejected::new(error, request)),
        }
    }

    sugar!(get delete head options trace);

    /// Takes requests from an iterator as workers become free, so that millions need no memory. It must not block. One at
    /// a time: a second takes the place of the first.
    pub fn source(&mut self, requests: impl IntoIterator<Item = Request, IntoIter: Send + 'static>) {
        self.source = Some(Box::new(requests.into_iter()));
    }

    /// A connection of one's own: to the server of a URL, or to a database.
    pub fn open(&mut self, target: impl Into<Target>) -> Result<Session, Error> {
        let (key, slot) = target.into().route(self.core.settings.versions)?;
        let route = self.core.open(key, slot, &mut self.reactor);
        Ok(Session::new(route, Arc::clone(&self.shared)))
    }

    /// Ends a request early, wherever it is: its outcome is [`ErrorKind::Cancelled`]. `false`: it has its outcome
    /// already. A request that was written takes its connection with it, unless others are answered before it, or it is one
    /// of HTTP/2. What was sent behind it there fails as [`Closed`](ErrorKind::Closed), or is sent again where that does no
    /// harm; so it is with every request that ends early, by a time limit or a callback of its own too. Databases are asked
    /// one thing at a time on each connection with a `pipeline` of 1.
    ///
    /// A statement of PostgreSQL that may be running takes its connection with it too, and the server is asked to stop it
    /// (CancelRequest), as it is where a statement is [late](Request::timeout) or the server silent. It may be done by then,
    /// and what it did stays done. Asking takes a connection of its own and 5 seconds at most, for which
    /// [`fetch_all`](Self::fetch_all) waits; 64 are asked at once, and of more it is not told.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let now = self.reactor.now();
        let Some(exchange) = self.core.exchanges.of_request(id) else { return false };
        let cancelled = self.core.give_up(exchange, ErrorKind::Cancelled, "", now);
        self.cancel_sent();
        cancelled
    }

    /// Asks the server to stop what it does for a statement of PostgreSQL (CancelRequest), and goes on to wait for the
    /// answer: an error with the code 57014, or what it came to where it was done by then. `false`: it was not sent or is
    /// answered, others are on the same connection, or 64 are being asked already.
    ///
    /// A statement with values is prepared before it is run, and its types may be looked up. Where it was no further than
    /// that, and the server stopped nothing, it is not run: its outcome is [`ErrorKind::Cancelled`]. No transaction has failed
    /// for that, and what was sent behind it in a session goes on. Nor is it sent again on another connection when its own is
    /// lost.
    ///
    /// The server stops what runs on the connection when it hears of it, whatever that is: nothing, if the statement is still
    /// on its way there, which runs to its end then. A shared connection takes no other request after that; on that of a
    /// session, what stands before the statement or behind it may be hit in its place.
    #[cfg(feature = "postgres")]
    pub fn interrupt(&mut self, id: RequestId) -> bool {
        let now = self.reactor.now();
        self.core.exchanges.of_request(id).is_some_and(|exchange| self.core.stop(exchange, now))
    }

    /// Goes on with a request that waits for this program: a download that was [held](crate::Flow::Hold), or an upload
    /// whose reader had [nothing yet](Request::body_reader). `false`: it has its outcome already.
    pub fn resume(&mut self, id: RequestId) -> bool {
        self.core.resume(id, true, &mut self.reactor)
    }

    /// Cancels everything, and forgets the source.
    pub fn cancel_all(&mut self) {
        self.source = None;
        let now = self.reactor.now();
        self.take_commands(now);
        for exchange in self.core.exchanges.ids() {
            self.core.give_up(exchange, ErrorKind::Cancelled, "", now);
        }
        self.cancel_sent();
    }

    /// Sends from other threads.
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Requests in hand: waiting or on their way.
    pub fn in_hand(&self) -> usize {
        self.core.exchanges.len()
    }

    /// How far a request is that is in hand: bytes of its body that came, and how many it will have in all, where its
    /// answer says so with a `content-length`. `None` for a request that has its outcome.
    pub fn progress(&self, id: RequestId) -> Option<(u64, Option<u64>)> {
        let collected = &self.core.exchanges.peek(id)?.collected;
        Some((collected.received, collected.announced()))
    }

    /// Nothing is in hand, nothing is to come from a source or a handle, and no outcome waits.
    pub fn is_idle(&self) -> bool {
        self.core.exchanges.len() == 0
            && self.source.is_none()
            && self.core.outcomes.is_empty()
            && !self.shared.has_commands()
            && self.core.interrupts_nobody()
    }

    /// Waits until something happens, at most for `timeout` (`None`: for ever), and does what can be done.
    ///
    /// Sending, connecting, reading and writing happen here and nowhere else. It does not call back: outcomes wait for
    /// [`next_outcome`](Self::next_outcome). While some wait, a turn does not. With `Some(Duration::ZERO)` it never
    /// blocks. Returns at the latest when a time limit of a request has passed.
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        self.pump();
        let limit = self.core.next_deadline().min(self.lookups.next_deadline());
        let now = self.reactor.now();
        let limit = (limit != Moment::NEVER).then(|| limit.since(now));
        let at_once = (!self.core.outcomes.is_empty()).then_some(Duration::ZERO);
        let wait = [timeout, limit, at_once].into_iter().flatten().min();
        self.reactor
            .turn(wait, &mut self.core)
            .map_err(|error| Error::new(ErrorKind::System, "", error.to_string()).source_is(error))?;
        // What became free is used before anybody waits.
        self.pump();
        self.core.settings.logger.flush();
        Ok(())
    }

    /// When [`turn`](Self::turn) should be called at the latest, though nothing is readable. `None`: no time limit runs.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.shared.has_commands() || !self.core.outcomes.is_empty() {
            return Some(Instant::now());
        }
        let own = self.core.next_deadline().min(self.lookups.next_deadline());
        let own = (own != Moment::NEVER).then(|| self.reactor.instant(own));
        [own, self.reactor.next_deadline()].into_iter().flatten().min()
    }

    /// The next outcome, if one waits.
    pub fn next_outcome(&mut self) -> Option<Outcome> {
        self.core.next_outcome()
    }

    /// Calls the callback of an outcome: the one of its request, else the builder's. With neither, the line in the log
    /// was all.
    pub fn deliver(&mut self, outcome: Outcome) -> Result<(), BoxError> {
        self.deliver_with(outcome, None)
    }

    fn deliver_with(&mut self, mut outcome: Outcome, callback: Option<Lent<'_>>) -> Result<(), BoxError> {
        let before = std::mem::replace(&mut self.delivering, true);
        let result = if let Some(mut own) = outcome.callback.take() {
            own(self, outcome)
        } else if let Some(callback) = callback {
            callback(self, outcome)
        } else if let Some(mut callback) = self.callback.take() {
            let result = callback(self, outcome);
            self.callback.get_or_insert(callback);
            result
        } else {
            Ok(())
        };
        self.delivering = before;
        result
    }

    /// Runs until nothing is left to do, with the callbacks of requests and builder, and reports what happened since the
    /// last report.
    ///
    /// When a callback returns an error, no more callback is called, everything in hand is cancelled, and the error comes
    /// back as [`ErrorKind::Callback`]; the outcomes that nobody saw wait for [`next_outcome`](Self::next_outcome).
    pub fn fetch_all(&mut self) -> Result<Report, Error> {
        self.run(None)
    }

    /// The same, with a callback for every outcome whose request has none of its own. It may send more: a load that
    /// answers each answer with a request.
    pub fn fetch_all_with<E: Into<BoxError>>(
        &mut self,
        mut callback: impl FnMut(&mut Client, Outcome) -> Result<(), E>,
    ) -> Result<Report, Error> {
        self.run(Some(&mut |client, outcome| callback(client, outcome).map_err(Into::into)))
    }

    fn run(&mut self, mut callback: Option<Lent<'_>>) -> Result<Report, Error> {
        if self.delivering {
            return Err(Error::invalid("fetch_all cannot be called from a callback: send, and it goes on"));
        }
        while !self.is_idle() {
            self.turn(None)?;
            while let Some(outcome) = self.next_outcome() {
                let callback: Option<Lent<'_>> = match &mut callback {
                    Some(callback) => Some(&mut **callback),
                    None => None,
                };
                if let Err(error) = self.deliver_with(outcome, callback) {
                    self.cancel_all();
                    self.core.settings.logger.flush();
                    let words = error.to_string();
                    return Err(Error::new(ErrorKind::Callback, "", words).boxed_source(error));
                }
            }
        }
        Ok(self.report())
    }

    /// What happened since the last report.
    pub fn report(&mut self) -> Report {
        let elapsed = self.core.span.take().map_or(Duration::ZERO, |(first, last)| last.since(first));
        std::mem::replace(&mut self.core.recorder, Recorder::new(false)).report(elapsed)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.close();
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Client {
    /// Readable when [`Client::turn`] has something to do. It never becomes writable, and nothing is to be read from it.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.reactor.as_fd()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.core.settings)
            .field("in_hand", &self.core.exchanges.len())
            .field("connections", &self.reactor.len())
            .finish_non_exhaustive()
    }
}

// A client may be made here and run there.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Client>();
    const fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<Handle>();
    const fn is_error<T: Send + Sync + std::error::Error>() {}
    is_error::<Rejected>();
};
