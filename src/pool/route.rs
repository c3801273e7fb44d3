//! What is known of a route: who waits, where it leads, which versions its server speaks. Which connection leads along it
//! is in the books of the pool.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(feature = "postgres")]
use crate::postgres;
use crate::protocols::ExchangeId;
use crate::reactor::Moment;
use crate::route::RouteKey;

/// Where requests wait for connections to one peer.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) key: RouteKey,
    pub(crate) queue: VecDeque<Waiting>,
    pub(crate) names: Names,
    /// Where its connections lead in place of what its key says, once that was found out by asking servers.
    pub(crate) led: Option<(String, u16)>,
    /// When the resolver was asked, and how long it took, until a connection has taken note of it.
    pub(crate) asked: Moment,
    pub(crate) resolve: Option<Duration>,
    pub(crate) spoken: Spoken,
    /// Connections in any state, those being dialed included.
    pub(crate) connections: usize,
    /// Connections that will ask for requests of themselves: being dialed, or woken.
    pub(crate) coming: usize,
    /// Connections with room and nothing to send, the last used at the end.
    pub(super) idle: Vec<usize>,
    pub(crate) session: Option<Session>,
    /// Which of several hosts is next.
    #[cfg(feature = "postgres")]
    pub(crate) hosts: postgres::Hosts,
    /// Requests may follow one another on its connections. A server that ended one with requests behind an answer, and
    /// had not said so before, shows that they may not.
    pub(crate) pipeline: bool,
    /// It stands in the line of routes that want a connection.
    pub(super) in_line: bool,
    /// Its server took no more connections: not before this another is tried, as long as there are some.
    pub(crate) dial_after: Moment,
    /// It stands in the line of those that need no worker for it.
    pub(super) in_fast_line: bool,
}

/// A request in a queue. It may be gone by now: the exchange knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Older requests have smaller numbers.
    pub(crate) age: u64,
    pub(crate) id: ExchangeId,
}

/// What is known of the addresses of a route.
#[derive(Debug)]
pub(crate) enum Names {
    Unknown,
    /// By the number of the question: an answer to another one is for somebody who has left.
    Asked(u32),
    Known {
        addresses: Vec<SocketAddr>,
        next: usize,
        until: Moment,
    },
}

impl Names {
    /// They are known and may be used.
    pub(crate) fn hold(&self, now: Moment) -> bool {
        matches!(self, Names::Known { until, .. } if *until > now)
    }
}

/// What is known of the versions of HTTP that the server of a route speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// Nothing: the first connection will tell, and the others had better wait for it.
    Unknown,
    /// Nothing, and the first connection could not be made.
    Unreached,
    /// A request asks for an upgrade.
    Asking,
    Http1,
    Http2,
}

/// What is special about the route of a session.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Something was sent through it.
    pub(crate) used: bool,
    /// It had a connection and lost it, and with it everything the server knew; or it could have none.
    pub(crate) lost: bool,
    /// Nobody holds it any more: when all is answered, its connection goes to the pool.
    pub(crate) released: bool,
    /// The slot of a cluster to whose node it leads.
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pub(crate) slot: Option<u16>,
}

impl Route {
    /// Where the next connection goes.
    pub(crate) fn place(&self) -> Cow<'_, RouteKey> {
        #[cfg(feature = "postgres")]
        if self.hosts.next().host > 0 {
            return Cow::Owned(self.key.of_host(self.hosts.next().host));
        }
        self.led().map_or(Cow::Borrowed(&self.key), Cow::Owned)
    }

    /// Where its connections were led, if they were.
    pub(crate) fn led(&self) -> Option<RouteKey> {
        let (host, port) = self.led.as_ref()?;
        Some(RouteKey { host: host.clone(), port: *port, ..self.key.clone() })
    }

    /// The key of the route whose connections those of a session may become. `None`: it is not known where they lead.
    pub(crate) fn home(&self) -> Option<RouteKey> {
        #[cfg(feature = "redis")]
        if self.key.is_led() {
            let led = self.led()?;
            return Some(if self.key.is_in_cluster() { led } else { self.key.clone() });
        }
        Some(self.key.clone())
    }

    /// Its connections lead elsewhere from now on. `None`: that has to be found out.
    #[cfg(feature = "redis")]
    pub(crate) fn lead(&mut self, to: Option<(String, u16)>) {
        if self.led != to {
            (self.led, self.names) = (to, Names::Unknown);
        }
    }

    pub(super) fn new(key: RouteKey, session: Option<Session>, spoken: Spoken) -> Self {
        Self {
            #[cfg(feature = "postgres")]
            hosts: postgres::Hosts::new(key.is_fixed()),
            key,
            queue: VecDeque::new(),
            names: Names::Unknown,
            led: None,
            asked: Moment::START,
            resolve: None,
            spoken,
            connections: 0,
            coming: 0,
            idle: Vec::new(),
            session,
            pipeline: true,
            in_line: false,
            dial_after: Moment::START,
            in_fast_line: false,
        }
    }
}
