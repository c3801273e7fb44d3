//! What a run sends, how much of it and how fast: a value, checked when it is run.

use std::io;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

use super::template::{Template, Values};
use crate::error::{Error, ErrorKind};
#[cfg(feature = "http2")]
use crate::protocols::http2;
use crate::protocols::semantics::{self, Invalid, PreparedRequest};
use crate::protocols::{Established, ExchangeId, Protocol, http1};
use crate::reactor::{Address, Key, Moment, Reactor};
use crate::url::{Scheme, Url};
use crate::wire::{Versions, Wire};

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
    url: Url,
    method: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    pub(super) templates: bool,
    pub(super) connections: usize,
    pub(super) depth: u16,
    pub(super) threads: usize,
    pub(super) requests: Option<u64>,
    pub(super) duration: Option<Duration>,
    pub(super) rate: Option<f64>,
    pub(super) warm_up: Duration,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) wait: bool,
    versions: Versions,
    upgrade: bool,
    authority: String,
    connect_to: Option<Place>,
    #[cfg(feature = "tls")]
    tls: crate::reactor::TlsSettings,
}

/// Where to connect instead of where the URL leads.
#[derive(Clone, Debug)]
enum Place {
    Address(Address),
    Addresses(Vec<std::net::SocketAddr>),
    Name(String, u16),
}

impl Plan {
    /// GET requests to a URL: 200 of them over 50 connections, as fast as answers come.
    pub fn new(url: &str) -> Result<Self, Error> {
        let url = Url::parse(url)?;
        Ok(Self {
            authority: url.authority(),
            url,
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            templates: true,
            connections: 50,
            depth: 1,
            threads: 1,
            requests: None,
            duration: None,
            rate: None,
            warm_up: Duration::ZERO,
            timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            wait: false,
            versions: Versions::Any,
            upgrade: false,
            connect_to: None,
            #[cfg(feature = "tls")]
            tls: Default::default(),
        })
    }

    /// The method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Adds a header. `host` takes the place of the one from the URL.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if name.eq_ignore_ascii_case("host") {
            self.authority = String::from_utf8_lossy(value.as_ref()).into_owned();
        } else {
            self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        }
        self
    }

    /// The body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
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
    pub fn versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Lets the first request of each connection ask for HTTP/2 (`upgrade: h2c`, RFC 7540 §3.2), where the URL is plain
    /// `http` and nothing else is prescribed. Where the server declines, it goes on in HTTP/1.1. For requests without a
    /// body.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn upgrade(mut self, upgrade: bool) -> Self {
        self.upgrade = upgrade;
        self
    }

    /// Requests on their way at once on one connection: streams of HTTP/2, as far as the server allows them, or the
    /// depth of the pipeline of HTTP/1.1, where only idempotent requests follow one another. From 8 on, a request may
    /// wait for others to leave with it, 100 µs at most, while three quarters of them are on their way: that is counted in
    /// its latency.
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

    /// Whom to trust over TLS, and who to be: the roots of the system, and nobody.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, settings: crate::reactor::TlsSettings) -> Self {
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
        match &self.connect_to {
            Some(Place::Address(address)) => address.to_string(),
            Some(Place::Addresses(addresses)) => {
                addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
            }
            Some(Place::Name(host, port)) => format!("{host}:{port}"),
            None => format!("{}:{}", self.url.host(), self.url.port()),
        }
    }

    /// Where to connect; at least one address.
    pub(super) fn resolve(&self) -> Result<Vec<Address>, Error> {
        let (host, port) = match &self.connect_to {
            Some(Place::Address(address)) => return Ok(vec![address.clone()]),
            Some(Place::Addresses(addresses)) if addresses.is_empty() => {
                return Err(Error::invalid("there is no address to connect to"));
            }
            Some(Place::Addresses(addresses)) => return Ok(addresses.iter().copied().map(Address::Tcp).collect()),
            Some(Place::Name(host, port)) => (host.as_str(), *port),
            None => (self.url.host(), self.url.port()),
        };
        crate::resolve::blocking(host, port)
            .map(|addresses| addresses.into_iter().map(Address::Tcp).collect())
            .map_err(|error| Error::new(ErrorKind::Resolve, host, error.to_string()).source_is(error))
    }

    /// Begins to connect, with TLS where the scheme wants it.
    pub(super) fn connect(
        &self,
        reactor: &mut Reactor<Wire>,
        address: &Address,
        tag: u64,
        deadline: Moment,
    ) -> io::Result<Key> {
        #[cfg(feature = "tls")]
        if self.url.scheme() == Scheme::Https {
            let tls = self.tls.connect(self.url.host(), self.versions.alpn());
            let tls = tls.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
            return reactor.connect_tls(address, &tls, tag, deadline);
        }
        reactor.connect(address, tag, deadline)
    }

    /// The machine of a connection that has just been made.
    pub(super) fn machine(&self, established: &Established<'_>) -> Wire {
        #[cfg(feature = "http2")]
        if self.versions.begin_with_http2(established) {
            return Wire::Http2(Box::new(http2::Client::with(self.http2())));
        }
        let _ = established;
        Wire::Http1(http1::Client::new().pipeline(self.depth))
    }

    /// The machine of a connection on which the server agreed to HTTP/2, in answer to a request.
    #[cfg(feature = "http2")]
    pub(super) fn upgraded(&self, id: ExchangeId, head: &PreparedRequest) -> Wire {
        Wire::Http2(Box::new(http2::Client::upgraded(self.http2(), id, head)))
    }

    #[cfg(feature = "http2")]
    fn http2(&self) -> http2::Settings {
        http2::Settings::default().streams(self.depth.into())
    }

    /// What a request that asks for HTTP/2 tells of our settings.
    fn told(&self) -> String {
        #[cfg(feature = "http2")]
        if self.upgrade {
            return self.http2().upgrade_field();
        }
        String::new()
    }

    /// The first request of a connection asks for HTTP/2.
    pub(super) fn asks_for_http2(&self) -> bool {
        self.upgrade && self.versions == Versions::Any && self.url.scheme() == Scheme::Http
    }

    /// Nothing but HTTP/1.1 can be spoken.
    fn is_http1(&self) -> bool {
        match self.versions {
            Versions::Http1 => true,
            #[cfg(feature = "http2")]
            Versions::Http2 => false,
            Versions::Any => self.url.scheme() == Scheme::Http && !self.upgrade,
        }
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
        let mut work = Work::new(self, thread, threads)?;
        if self.upgrade && !self.body.is_empty() {
            return Err(Error::invalid("a request with a body does not ask for an upgrade"));
        }
        if self.depth > 1 && self.is_http1() && !work.head.is_idempotent() {
            // RFC 9112 §9.3.2
            let method = &self.method;
            return Err(Error::invalid(format!(
                "{method} is not idempotent and is never sent behind another: depth 1"
            )));
        }
        // What the machine never takes, it does not take the first time.
        let (mut machine, mut out) = (http1::Client::new(), Vec::new());
        if let Ok(request) = work.next(false)
            && let Err(refused) = machine.send(ExchangeId(0), request, &mut out)
        {
            return Err(Error::invalid(refused.to_string()));
        }
        work.values.seq = thread as u64;
        Ok(work)
    }
}

/// As hey and oha.
const DEFAULT_REQUESTS: u64 = 200;

/// The requests of one thread, written out one after the other in the same memory.
#[derive(Debug)]
pub(super) struct Work {
    method: String,
    authority: String,
    target: Template,
    headers: Vec<(String, Template)>,
    body: Template,
    fixed: bool,
    head: PreparedRequest,
    /// The last head that asked for HTTP/2, and the settings that it tells.
    asking: Option<PreparedRequest>,
    told: String,
    filled_body: Vec<u8>,
    scratch: Vec<u8>,
    values: Values,
    step: u64,
}

impl Work {
    fn new(plan: &Plan, thread: usize, threads: usize) -> Result<Self, Error> {
        let template = |text: &[u8]| match plan.templates {
            true => Template::parse(text),
            false => Ok(Template::literal(text)),
        };
        let invalid = |invalid: Invalid| Error::invalid(invalid.to_string());
        let target = template(plan.url.target().as_bytes())?;
        let mut headers = Vec::new();
        for (name, value) in &plan.headers {
            headers.push((name.clone(), template(value)?));
        }
        let body = template(&plan.body)?;
        let fixed = target.is_fixed() && body.is_fixed() && headers.iter().all(|(_, value)| value.is_fixed());
        let authority = plan.authority.clone();
        let mut work = Self {
            head: PreparedRequest::new(&plan.method, "/", &authority).map_err(invalid)?,
            method: plan.method.clone(),
            authority,
            target,
            headers,
            body,
            fixed,
            asking: None,
            told: plan.told(),
            filled_body: Vec::new(),
            scratch: Vec::new(),
            values: Values { random: fastrand::Rng::new(), seq: thread as u64 },
            step: threads as u64,
        };
        work.fill().map_err(invalid)?;
        Ok(work)
    }

    /// The next request; it may ask for HTTP/2.
    pub(super) fn next(&mut self, ask: bool) -> Result<semantics::Request<'_>, Invalid> {
        if !self.fixed {
            self.fill()?;
            self.values.seq += self.step;
        }
        let mut head = &self.head;
        if ask {
            let asking = self.asking.insert(self.head.clone());
            asking.field("connection", b"upgrade, http2-settings")?.field("upgrade", b"h2c")?;
            head = asking.field("http2-settings", self.told.as_bytes())?;
        }
        Ok(semantics::Request { head, body: semantics::Body::Whole(&self.filled_body) })
    }

    /// The head of the last request.
    #[cfg(feature = "http2")]
    pub(super) fn head(&self) -> &PreparedRequest {
        &self.head
    }

    fn fill(&mut self) -> Result<(), Invalid> {
        self.scratch.clear();
        self.target.fill(&mut self.values, &mut self.scratch);
        let target = std::str::from_utf8(&self.scratch).map_err(|_| Invalid::Target)?;
        self.head.restart(&self.method, target, &self.authority)?;
        for (name, value) in &self.headers {
            self.scratch.clear();
            value.fill(&mut self.values, &mut self.scratch);
            self.head.field(name, &self.scratch)?;
        }
        self.filled_body.clear();
        self.body.fill(&mut self.values, &mut self.filled_body);
        Ok(())
    }
}
