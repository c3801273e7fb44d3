//! How a client is to be: every knob with its default.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::core::KEEP_ALIVE;
use super::push::{Listener, Push};
use super::{BoxError, Callback, Client, Outcome};
use crate::error::{Error, ErrorKind};
use crate::logger::Logger;
use crate::protocols::http1;
#[cfg(feature = "http2")]
use crate::protocols::http2;
use crate::resolve::{self, Resolver};
use crate::version::Versions;

/// Makes a [`Client`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    pub(super) settings: Settings,
    pub(super) callback: Option<Callback>,
    pub(super) names: resolve::Settings,
    pub(super) listener: Option<Listener>,
}

/// What a client keeps of its builder.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) workers: usize,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) tls_timeout: Option<Duration>,
    pub(super) expect_timeout: Duration,
    pub(super) send_timeout: Option<Duration>,
    pub(super) first_byte_timeout: Option<Duration>,
    pub(super) total_timeout: Option<Duration>,
    pub(super) keep_alive: Duration,
    pub(super) ping_every: Option<Duration>,
    pub(super) pipeline: u16,
    pub(super) retries: u8,
    pub(super) queue_limit: usize,
    pub(super) reply_limit: usize,
    pub(super) buffer_limit: usize,
    pub(super) http1_limits: http1::Limits,
    pub(super) versions: Versions,
    #[cfg(feature = "http2")]
    pub(super) http2: http2::Settings,
    pub(super) logger: Logger,
    #[cfg(feature = "tls")]
    pub(super) tls: crate::reactor::TlsSettings,
}

impl Default for Builder {
    fn default() -> Self {
        let settings = Settings {
            workers: 1,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            tls_timeout: None,
            expect_timeout: Duration::from_secs(1),
            send_timeout: None,
            first_byte_timeout: None,
            total_timeout: None,
            keep_alive: KEEP_ALIVE,
            ping_every: None,
            pipeline: 1,
            retries: 1,
            queue_limit: 1 << 20,
            reply_limit: 64 << 20,
            buffer_limit: 256 << 20,
            http1_limits: http1::Limits::default(),
            versions: Versions::Any,
            #[cfg(feature = "http2")]
            http2: http2::Settings::default(),
            logger: Logger::default(),
            #[cfg(feature = "tls")]
            tls: Default::default(),
        };
        Self { settings, callback: None, names: resolve::Settings::default(), listener: None }
    }
}

impl Builder {
    /// Connections at once, over all servers: 1. Connections of sessions come on top. While one is being made to a host
    /// with several addresses, two may be open for it (RFC 8305): the next address is tried when the one before it fails
    /// or has not connected after 250 ms, and the first to connect stays.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = workers.max(1);
        self
    }

    /// How long a connection with a request on it may be silent: 10 s. Every byte read or written begins it anew. It does
    /// not run while a request on that connection waits for this program, to read on or to have more to send.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How long resolving a name may take: 10 s.
    pub fn resolve_timeout(mut self, timeout: Duration) -> Self {
        self.names.timeout = timeout;
        self
    }

    /// Who resolves names: the client itself, inside its loop.
    ///
    /// It reads `/etc/hosts` and `/etc/resolv.conf` (again when they change), asks for IPv6 and IPv4 addresses side by
    /// side, and keeps answers as long as they hold. What else the system may know, [`Resolver::System`] finds.
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.names.resolver = resolver;
        self
    }

    /// Asks these name servers instead of those in `resolv.conf`, whose other settings hold.
    pub fn nameservers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.names.nameservers = Some(servers.into_iter().collect());
        self
    }

    /// Reads this file instead of `/etc/resolv.conf`.
    pub fn resolv_conf(mut self, path: impl Into<PathBuf>) -> Self {
        self.names.resolv_conf = Some(path.into());
        self
    }

    /// Reads this file instead of `/etc/hosts`.
    pub fn hosts(mut self, path: impl Into<PathBuf>) -> Self {
        self.names.hosts = Some(path.into());
        self
    }

    /// The addresses of a host, for requests to this port. Nobody is asked.
    pub fn resolve(mut self, host: &str, port: u16, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.names.addresses.insert((host.to_ascii_lowercase(), port), addresses.into_iter().collect());
        self
    }

    /// Connects to another host and port for requests to these; what is sent stays the same.
    pub fn connect_to(mut self, host: &str, port: u16, to_host: &str, to_port: u16) -> Self {
        let place = |host: &str, port| (host.to_ascii_lowercase(), port);
        self.names.elsewhere.insert(place(host, port), place(to_host, to_port));
        self
    }

    /// Asks this before anything else, for every connection to a name; `None` leaves the name to the resolver. It must
    /// not block.
    pub fn resolve_with(mut self, hook: impl FnMut(&str) -> Option<Vec<IpAddr>> + Send + 'static) -> Self {
        self.names.hook = Some(resolve::Hook(Box::new(hook)));
        self
    }

    /// How long connecting may take, all addresses of a host and TLS together: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long the handshake of TLS may take: as long as the time for connecting lasts.
    #[cfg(feature = "tls")]
    pub fn tls_timeout(mut self, timeout: Duration) -> Self {
        self.settings.tls_timeout = Some(timeout);
        self
    }

    /// How long a server is waited for that was asked whether it wants a body, before the body is sent all the same: 1 s,
    /// as curl does. See [`Request::expect_continue`](super::Request::expect_continue).
    pub fn expect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.expect_timeout = timeout;
        self
    }

    /// How long a server may take to take a request, its body included: as long as it is not silent. It runs from when the
    /// head was given to the connection (and the answer to `expect`, if that was asked, was there) until the connection
    /// has taken the last byte of the body, and not while there is nothing to send because a writer or a reader has nothing
    /// yet; up to 64 KiB of it may still wait to be written then. A body of up to 64 KiB
    /// that is in memory is taken with the head.
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.settings.send_timeout = Some(timeout);
        self
    }

    /// How long a server may take from when a request was sent whole to the head of its answer: as long as it is not
    /// silent. Interim answers (1xx) do not count.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.settings.first_byte_timeout = Some(timeout);
        self
    }

    /// How long a request may take in all, from the queue to the whole answer: for ever.
    pub fn total_timeout(mut self, timeout: Duration) -> Self {
        self.settings.total_timeout = Some(timeout);
        self
    }

    /// How long an unused connection is kept: 50 s, a little less than servers do.
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.settings.keep_alive = keep_alive;
        self
    }

    /// How often a peer with requests in hand is asked for a sign of life, where the protocol can (PING of HTTP/2): never.
    ///
    /// Where it answers, [`timeout`](Self::timeout) does not end a request whose answer takes long; where nothing comes
    /// for that time, the peer is gone. At least 10 ms.
    pub fn ping_every(mut self, interval: Duration) -> Self {
        self.settings.ping_every = Some(interval.max(Duration::from_millis(10)));
        self
    }

    /// Requests sent on one HTTP/1.1 connection before the first is answered: 1. Only idempotent ones follow another.
    pub fn pipeline(mut self, depth: u16) -> Self {
        self.settings.pipeline = depth.max(1);
        self
    }

    /// Which versions of HTTP servers are asked in, where a request says nothing else: [`Versions::Any`].
    pub fn versions(mut self, versions: Versions) -> Self {
        self.settings.versions = versions;
        self
    }

    /// Requests on their way at once on one HTTP/2 connection, as far as the server allows them: 100.
    #[cfg(feature = "http2")]
    pub fn streams(mut self, streams: u32) -> Self {
        self.settings.http2 = self.settings.http2.streams(streams.max(1));
        self
    }

    /// Windows and limits of HTTP/2: see [`http2::Settings`]. It also says how many [`streams`](Self::streams).
    #[cfg(feature = "http2")]
    pub fn http2_settings(mut self, settings: http2::Settings) -> Self {
        self.settings.http2 = settings;
        self
    }

    /// How often an idempotent request is sent again when a kept connection turned out to be closed: 1.
    pub fn retries(mut self, retries: u8) -> Self {
        self.settings.retries = retries;
        self
    }

    /// Requests in hand, waiting or on their way: 1,048,576. One more is given back by `send`. A source is pulled as
    /// there is room.
    pub fn queue_limit(mut self, requests: usize) -> Self {
        self.settings.queue_limit = requests.max(1);
        self
    }

    /// Bytes of one body that is collected: 64 MiB. Streamed ones have no limit.
    pub fn reply_limit(mut self, bytes: usize) -> Self {
        self.settings.reply_limit = bytes;
        self
    }

    /// Bytes of all answers that are being collected or wait to be taken: 256 MiB.
    pub fn buffer_limit(mut self, bytes: usize) -> Self {
        self.settings.buffer_limit = bytes;
        self
    }

    /// What a server may send as head and fields: see [`http1::Limits`].
    pub fn http1_limits(mut self, limits: http1::Limits) -> Self {
        self.settings.http1_limits = limits;
        self
    }

    /// Whom to trust over TLS, and who to be: the roots of the system, and nobody.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, settings: crate::reactor::TlsSettings) -> Self {
        self.settings.tls = settings;
        self
    }

    /// Takes a line for every outcome: the `log` crate, at level info.
    pub fn logger(mut self, logger: Logger) -> Self {
        self.settings.logger = logger;
        self
    }

    /// Called with every outcome for which neither the request nor `fetch_all_with` has a callback.
    pub fn callback<E: Into<BoxError>>(
        mut self,
        mut callback: impl FnMut(&mut Client, Outcome) -> Result<(), E> + Send + 'static,
    ) -> Self {
        self.callback = Some(Box::new(move |client, outcome| callback(client, outcome).map_err(Into::into)));
        self
    }

    /// Calls this with what servers say without being asked, where no session listens for itself: what Redis does not hold
    /// valid any more, notices of PostgreSQL. It runs inside turns.
    pub fn on_push(mut self, listener: impl FnMut(Push<'_>) + Send + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// The client. Fails only when the system refuses a poll.
    pub fn build(self) -> Result<Client, Error> {
        Client::with(self).map_err(|error| Error::new(ErrorKind::System, "", error.to_string()).source_is(error))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
