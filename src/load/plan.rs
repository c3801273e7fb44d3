//! What a run sends, how much of it and how fast: a value, checked when it is run.

use std::fmt;
use std::io;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

use super::http::{self, Http};
#[cfg(feature = "postgres")]
use super::postgres::{self, Mode, Postgres};
#[cfg(feature = "redis")]
use super::redis::{self, Redis};
use super::template::Values;
use crate::error::{Error, ErrorKind};
use crate::protocols::Established;
#[cfg(feature = "http2")]
use crate::protocols::ExchangeId;
use crate::reactor::{Address, Key, Moment, Reactor, Reason};
#[cfg(feature = "tls")]
use crate::reactor::{Tls, TlsSettings};
use crate::url::Url;
use crate::version::Versions;
use crate::wire::{Request, Wire};

/// A load to be run.
///
/// ```no_run
/// let plan = aquests::load::Plan::new("http://127.0.0.1:8080/")?.connections(100).requests(100_000);
/// let report = aquests::load::run(&plan, &aquests::load::Control::new())?;
/// println!("{report}");
/// # Ok::<(), aquests::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    goal: Goal,
    pub(super) templates: bool,
    pub(super) connections: usize,
    pub(super) depth: u16,
    pub(super) threads: usize,
    pub(super) requests: Option<u64>,
    pub(super) duration: Option<Duration>,
    pub(super) rate: Option<f64>,
    pub(super) warm_up: Duration,
    pub(super) coalesce: bool,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) wait: bool,
    connect_to: Option<Place>,
    #[cfg(feature = "tls")]
    tls: TlsSettings,
    /// What cannot be sent.
    wrong: Option<&'static str>,
}

/// What is sent, and to whom.
#[derive(Clone, Debug)]
enum Goal {
    Http(Http),
    #[cfg(feature = "redis")]
    Redis(Redis),
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

/// Where to connect.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Address(Address),
    Addresses(Vec<std::net::SocketAddr>),
    Name(String, u16),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Address(address) => address.fmt(f),
            Place::Addresses(addresses) => {
                f.write_str(&addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "))
            }
            Place::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// The requests of one thread, one after the other.
#[derive(Debug)]
pub(super) enum Work {
    Http(Box<http::Work>),
    #[cfg(feature = "redis")]
    Redis(redis::Work),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Work),
}

impl Work {
    /// Hands the next request to `send`. `first`: it is the first on its connection. `Err`: it cannot be sent.
    #[inline]
    pub(super) fn send<R>(&mut self, first: bool, send: impl FnOnce(Request<'_>) -> R) -> Result<R, ()> {
        match self {
            Work::Http(work) => work.next(first).map(|request| send(Request::Http(request))).map_err(drop),
            #[cfg(feature = "redis")]
            Work::Redis(work) => work.next().map(|request| send(Request::Redis(request))).map_err(drop),
            #[cfg(feature = "postgres")]
            Work::Postgres(work) => Ok(work.send(first, |request| send(Request::Postgres(request)))),
        }
    }
}

/// What fills the templates of one thread, request by request.
#[derive(Debug)]
pub(super) struct Turns {
    pub(super) values: Values,
    step: u64,
}

impl Turns {
    /// The next request is another one.
    pub(super) fn advance(&mut self) {
        self.values.seq += self.step;
    }
}

impl Plan {
    /// GET requests to a URL: 200 of them over 50 connections, as fast as answers come.
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self::to(Goal::Http(Http::get(Url::parse(url)?))))
    }

    /// A command of Redis, again and again. Its words are templates, too.
    ///
    /// What the server says is an answer, an error too: [`Report::replies`](crate::Report::replies) counts them by code,
    /// and so redirects of a cluster (`MOVED`, `ASK`), which are not followed. A login that the server does not accept ends
    /// the run with [`ErrorKind::Authentication`](crate::ErrorKind::Authentication). Commands that change what the server
    /// knows of a connection (`MULTI`, `SUBSCRIBE`, …) cannot be loaded, and those that wait (`BLPOP`, …) only with
    /// [`depth`](Self::depth) 1.
    ///
    /// ```no_run
    /// use aquests::{load, redis::Redis};
    ///
    /// let plan = load::Plan::redis(&Redis::at("127.0.0.1:6379"), ["GET", "key:{rand:1:100000}"])?;
    /// println!("{}", load::run(&plan.depth(16).requests(1_000_000), &load::Control::new())?);
    /// # Ok::<(), aquests::Error>(())
    /// ```
    #[cfg(feature = "redis")]
    pub fn redis<I>(db: &crate::redis::Redis, words: I) -> Result<Self, Error>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        Ok(Self::to(Goal::Redis(Redis::new(db, words)?)))
    }

    /// A statement, again and again. The values of its parameters (`$1`, …) are templates, too, and go as text: the server
    /// reads them as the types that it wants.
    ///
    /// ```no_run
    /// use aquests::load::{self, Control, Mode, Plan};
    /// use aquests::postgres::Postgres;
    ///
    /// let db = Postgres::at("127.0.0.1", "mydb").user("test", "1111");
    /// let sql = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";
    /// let plan = Plan::postgres(&db, sql, ["{rand:1:100000}"], Mode::Prepared)?.connections(10).requests(10_000);
    /// println!("{}", load::run(&plan, &Control::new())?);
    /// # Ok::<(), aquests::Error>(())
    /// ```
    #[cfg(feature = "postgres")]
    pub fn postgres<I>(db: &crate::postgres::Postgres, sql: &str, values: I, mode: Mode) -> Result<Self, Error>
    where
        I: IntoIterator<Item: Into<postgres::Value>>,
    {
        Ok(Self::to(Goal::Postgres(Postgres::new(db, sql, values, mode)?)))
    }

    fn to(goal: Goal) -> Self {
        Self {
            goal,
            templates: true,
            connections: 50,
            depth: 1,
            threads: 1,
            requests: None,
            duration: None,
            rate: None,
            warm_up: Duration::ZERO,
            coalesce: true,
            timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            wait: false,
            connect_to: None,
            #[cfg(feature = "tls")]
            tls: Default::default(),
            wrong: None,
        }
    }

    /// Changes what only HTTP has.
    fn http(mut self, change: impl FnOnce(&mut Http)) -> Self {
        match &mut self.goal {
            Goal::Http(http) => change(http),
            #[cfg(feature = "redis")]
            Goal::Redis(_) => self.wrong = Some("a command of Redis has none of what belongs to HTTP"),
            #[cfg(feature = "postgres")]
            Goal::Postgres(_) => self.wrong = Some("a statement has none of what belongs to HTTP"),
        }
        self
    }

    /// The method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        self.http(|http| method.clone_into(&mut http.method))
    }

    /// Adds a header. `host` takes the place of the one from the URL.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.http(|http| http.header(name, value.as_ref()))
    }

    /// The body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.http(|http| http.body = body.into())
    }

    /// Whether `{rand:1:100}`, `{seq}`, `{uuid}` and `{bytes:64}` in path, query, headers and body are filled in anew
    /// for each request (the default) or sent as they are.
    #[must_use]
    pub fn templates(mut self, templates: bool) -> Self {
        self.templates = templates;
        self
    }

    /// Connections in all.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Which versions of HTTP the server is asked in. [`Versions::Any`], which is the default, is HTTP/1.1 on plain
    /// `http`: see [`upgrade`](Self::upgrade).
    #[must_use]
    pub fn versions(self, versions: Versions) -> Self {
        self.http(|http| http.versions = versions)
    }

    /// Lets the first request of each connection ask for HTTP/2 (`upgrade: h2c`, RFC 7540 §3.2), where the URL is plain
    /// `http` and nothing else is prescribed. Where the server declines, it goes on in HTTP/1.1. For requests without a
    /// body.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn upgrade(self, upgrade: bool) -> Self {
        self.http(|http| http.upgrade = upgrade)
    }

    /// Requests on their way at once on one connection: streams of HTTP/2, as far as the server allows them, or the
    /// depth of the pipeline of HTTP/1.1, where only idempotent requests follow one another, or of Redis. From 8 on, a
    /// request of HTTP may wait for others to leave with it, 100 µs at most, while three quarters of them are on their way:
    /// that is counted in its latency.
    #[must_use]
    pub fn depth(mut self, depth: u16) -> Self {
        self.depth = depth.max(1);
        self
    }

    /// Threads, each with its own reactor and its share of connections, requests and rate.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Ends after so many requests.
    #[must_use]
    pub fn requests(mut self, requests: u64) -> Self {
        self.requests = Some(requests);
        self
    }

    /// Ends after so much time, or after the requests, whichever is first. Warm-up is not counted.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Starts so many requests a second, whatever the answers do, as far as connections are free; waiting for one is
    /// counted in [`Report::corrected_latency`](crate::Report::corrected_latency). Must be above 0.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// Loads for so long before anything is counted.
    #[must_use]
    pub fn warm_up(mut self, warm_up: Duration) -> Self {
        self.warm_up = warm_up;
        self
    }

    /// Whether answers of a server that has more to do than it can may gather for up to half a millisecond before they
    /// are looked at, where that brings no fewer of them: it costs both sides much less. On, unless there is a rate; an
    /// answer that waits counts as one that came later.
    #[must_use]
    pub fn coalesce(mut self, coalesce: bool) -> Self {
        self.coalesce = coalesce;
        self
    }

    /// Whom to trust over TLS, and who to be: the roots of the system, and nobody.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, settings: TlsSettings) -> Self {
        self.tls = settings;
        self
    }

    /// How long one answer may take in all.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long connecting may take.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Whether answers that are on their way when the duration is over are waited for.
    #[must_use]
    pub fn wait_for_ongoing(mut self, wait: bool) -> Self {
        self.wait = wait;
        self
    }

    /// Connects to this unix socket whatever the URL names.
    #[cfg(unix)]
    #[must_use]
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.connect_to = Some(Place::Address(Address::Unix(path.into())));
        self
    }

    /// Connects to this address whatever the URL names.
    #[must_use]
    pub fn connect_to(mut self, address: std::net::SocketAddr) -> Self {
        self.connect_to = Some(Place::Address(Address::Tcp(address)));
        self
    }

    /// Connects to one of these addresses whatever the URL names: to the first that answers, if several are tried a
    /// little one after the other (RFC 8305), and to the others where it does not any more.
    #[must_use]
    pub fn connect_to_any(mut self, addresses: impl IntoIterator<Item = std::net::SocketAddr>) -> Self {
        self.connect_to = Some(Place::Addresses(addresses.into_iter().collect()));
        self
    }

    /// Connects to this host whatever the URL names.
    #[must_use]
    pub fn connect_to_host(mut self, host: &str, port: u16) -> Self {
        self.connect_to = Some(Place::Name(host.to_owned(), port));
        self
    }

    /// Says what is wrong with the plan, as [`run`](super::run) would before it does anything.
    pub fn check(&self) -> Result<(), Error> {
        self.work(0, 1).map(|_| ())
    }

    /// Whom errors name: the host and port that is connected to, or the path of a socket.
    pub fn peer(&self) -> String {
        self.place().to_string()
    }

    /// The host and the port that is connected to unless something else is said; `None` for a socket.
    pub fn host(&self) -> Option<(&str, u16)> {
        match &self.goal {
            Goal::Http(http) => Some((http.url.host(), http.url.port())),
            #[cfg(feature = "redis")]
            Goal::Redis(redis) => redis.host(),
            #[cfg(feature = "postgres")]
            Goal::Postgres(postgres) => postgres.host(),
        }
    }

    fn place(&self) -> Place {
        self.connect_to.clone().unwrap_or_else(|| match &self.goal {
            Goal::Http(http) => Place::Name(http.url.host().to_owned(), http.url.port()),
            #[cfg(feature = "redis")]
            Goal::Redis(redis) => redis.place(),
            #[cfg(feature = "postgres")]
            Goal::Postgres(postgres) => postgres.place(),
        })
    }

    /// Where to connect; at least one address.
    pub(super) fn resolve(&self) -> Result<Vec<Address>, Error> {
        match self.place() {
            Place::Address(address) => Ok(vec![address]),
            Place::Addresses(addresses) if addresses.is_empty() => {
                Err(Error::invalid("there is no address to connect to"))
            }
            Place::Addresses(addresses) => Ok(addresses.into_iter().map(Address::Tcp).collect()),
            Place::Name(host, port) => crate::resolve::blocking(&host, port)
                .map(|addresses| addresses.into_iter().map(Address::Tcp).collect())
                .map_err(|error| Error::new(ErrorKind::Resolve, host, error.to_string()).source_is(error)),
        }
    }

    /// Begins to connect, with TLS where the scheme wants it.
    pub(super) fn connect(
        &self,
        reactor: &mut Reactor<Wire>,
        address: &Address,
        tag: u64,
        deadline: Moment,
        #[cfg(feature = "tls")] tls: &TlsSettings,
    ) -> io::Result<Key> {
        // Databases have no TLS on sockets of one machine, whatever is wanted elsewhere.
        #[cfg(feature = "tls")]
        if let Some((name, alpn)) = self.tls_at_once()
            && (matches!(self.goal, Goal::Http(_)) || !matches!(address, Address::Unix(_)))
        {
            let tls = tls.connect(name, alpn);
            let tls = tls.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
            return reactor.connect_tls(address, &tls, tag, deadline);
        }
        reactor.connect(address, tag, deadline)
    }

    /// TLS comes before the first byte: the name of the server, and what is offered.
    #[cfg(feature = "tls")]
    fn tls_at_once(&self) -> Option<(&str, &'static [&'static [u8]])> {
        match &self.goal {
            Goal::Http(http) => http.url.is_https().then(|| (http.url.host(), http.versions.alpn())),
            #[cfg(feature = "redis")]
            Goal::Redis(redis) => redis.tls_at_once().map(|name| (name, &[][..])),
            #[cfg(feature = "postgres")]
            Goal::Postgres(postgres) => {
                const ALPN: &[&[u8]] = &[b"postgresql"];
                postgres.is_direct().then(|| postgres.host()).flatten().map(|(name, _)| (name, ALPN))
            }
        }
    }

    /// Why a connection came to nothing before anything was said on it, in words.
    pub(super) fn explain(&self, reason: &Reason) -> String {
        match &self.goal {
            #[cfg(feature = "postgres")]
            Goal::Postgres(postgres) => postgres.explain(reason),
            _ => reason.to_string(),
        }
    }

    /// TLS, where the server was asked for it and agreed.
    #[cfg(feature = "tls")]
    pub(super) fn tls_on_request(&self, settings: &TlsSettings) -> Result<Tls, String> {
        match &self.goal {
            #[cfg(feature = "postgres")]
            Goal::Postgres(postgres) => {
                settings.connect(postgres.host().map_or("localhost", |(name, _)| name), &[b"postgresql"])
            }
            _ => {
                let _ = settings;
                Err("nobody asked for TLS".to_owned())
            }
        }
    }

    /// TLS with everything read that belongs to it.
    #[cfg(feature = "tls")]
    pub(super) fn tls_settings(&self) -> Result<TlsSettings, Error> {
        match &self.goal {
            #[cfg(feature = "postgres")]
            Goal::Postgres(postgres) => postgres.tls(&self.tls).map_err(Error::invalid),
            _ => Ok(self.tls.clone()),
        }
    }

    /// The machine of a connection that has just been made.
    pub(super) fn machine(&self, established: &Established<'_>) -> Result<Wire, String> {
        match &self.goal {
            Goal::Http(http) => Ok(http.machine(established, self.depth)),
            #[cfg(feature = "redis")]
            Goal::Redis(redis) => Ok(redis.machine(self.depth)),
            #[cfg(feature = "postgres")]
            Goal::Postgres(postgres) => {
                postgres.machine(self.depth, matches!(self.place(), Place::Address(Address::Unix(_))))
            }
        }
    }

    /// The machine of a connection on which the server agreed to HTTP/2, in answer to the last request.
    #[cfg(feature = "http2")]
    pub(super) fn upgraded(&self, id: ExchangeId, work: &Work) -> Option<Wire> {
        match (&self.goal, work) {
            (Goal::Http(http), Work::Http(work)) => Some(http.upgraded(id, work.head(), self.depth)),
            #[cfg(any(feature = "postgres", feature = "redis"))]
            _ => None,
        }
    }

    pub(super) fn is_http(&self) -> bool {
        matches!(self.goal, Goal::Http(_))
    }

    /// The first request of a connection asks for HTTP/2.
    pub(super) fn asks_for_http2(&self) -> bool {
        matches!(&self.goal, Goal::Http(http) if http.asks_for_http2())
    }

    /// The first request of a connection is another one than those that follow.
    pub(super) fn begins_differently(&self) -> bool {
        !self.is_http() || self.asks_for_http2()
    }

    /// How many requests one of `threads` sends; `None`: until the time is over.
    pub(super) fn share(&self, thread: usize, threads: usize) -> Option<u64> {
        let (thread, threads) = (thread as u64, threads as u64);
        match (self.requests, self.duration) {
            (None, Some(_)) => None,
            (requests, _) => {
                let requests = requests.unwrap_or(DEFAULT_REQUESTS);
                Some(requests / threads + u64::from(thread < requests % threads))
            }
        }
    }

    pub(super) fn work(&self, thread: usize, threads: usize) -> Result<Work, Error> {
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            return Err(Error::invalid("the rate must be above 0"));
        }
        if let Some(wrong) = self.wrong {
            return Err(Error::invalid(wrong));
        }
        let values = Values { random: fastrand::Rng::new(), seq: thread as u64 };
        let turns = Turns { values, step: threads as u64 };
        match &self.goal {
            Goal::Http(http) => http.work(self, turns).map(|work| Work::Http(Box::new(work))),
            #[cfg(feature = "redis")]
            Goal::Redis(redis) => redis.work(self, turns).map(Work::Redis),
            #[cfg(feature = "postgres")]
            Goal::Postgres(postgres) => postgres.work(self, turns).map(Work::Postgres),
        }
    }
}

/// As hey and oha.
const DEFAULT_REQUESTS: u64 = 200;
