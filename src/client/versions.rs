//! Which version of HTTP a connection speaks: what ALPN chose, what the user prescribed, what is remembered of the
//! server, or what the first request on a plain connection asked for (`upgrade: h2c`, RFC 7540 §3.2). A server that
//! declines goes on in HTTP/1.1 on the same connection and is not asked again.
//!
//! Nothing here looks at what a request is about.

use super::core::Core;
use super::exchange::Upgrade;
#[cfg(feature = "postgres")]
use std::sync::Arc;

use crate::error::ErrorKind;
use crate::pool::Spoken;
#[cfg(feature = "http2")]
use crate::protocols::http2;
use crate::protocols::semantics::{PreparedRequest, ResponseHead};
use crate::protocols::{Established, ExchangeId, http1};
use crate::route::Dialect;
use crate::wire::{self, Wire};

impl Core {
    /// The machine of a connection that has just been made.
    pub(super) fn machine(&mut self, connection: usize, established: &Established<'_>) -> Wire {
        let route = self.pool.connections[connection].route;
        let (entry, settings) = (&self.pool.routes[route], &self.settings);
        let (tls, versions) = match &entry.key.dialect {
            Dialect::Http { tls, versions } => (*tls, *versions),
            #[cfg(feature = "redis")]
            Dialect::Redis(settings) => return Wire::Redis(Box::new(settings.machine())),
            #[cfg(feature = "postgres")]
            Dialect::Postgres(settings, _) => {
                let settings = Arc::clone(settings);
                return self.postgres_machine(connection, &settings);
            }
        };
        let chosen = versions.begin_with_http2(established);
        let assumed = entry.key.dialect.may_upgrade() && entry.spoken == Spoken::Http2;
        let depth = if entry.pipeline { settings.pipeline } else { 1 };
        if tls {
            self.pool.speaks(route, if chosen { Spoken::Http2 } else { Spoken::Http1 });
        }
        self.pool.connections[connection].assumed = assumed;
        #[cfg(feature = "http2")]
        if chosen || assumed {
            return Wire::Http2(Box::new(http2::Client::with(self.settings.http2)));
        }
        Wire::Http1(http1::Client::new().limits(self.settings.http1_limits).pipeline(depth))
    }

    /// The head with which a request asks for HTTP/2, where it is to.
    pub(super) fn asking(&mut self, connection: usize, id: ExchangeId) -> Option<PreparedRequest> {
        if !self.may_ask(connection, id) {
            return None;
        }
        let head = self.exchanges.get(id)?.request.head()?;
        #[cfg(feature = "http2")]
        {
            wire::asking_for_http2(head, &self.settings.http2.upgrade_field()).ok()
        }
        #[cfg(not(feature = "http2"))]
        Some(head.clone())
    }

    fn may_ask(&mut self, connection: usize, id: ExchangeId) -> bool {
        let entry = &self.pool.connections[connection];
        let route = &self.pool.routes[entry.route];
        let unknown = matches!(route.spoken, Spoken::Unknown | Spoken::Unreached);
        if !unknown || !route.key.dialect.may_upgrade() || route.session.is_some() || entry.in_flight > 0 {
            return false;
        }
        self.exchanges.get(id).is_some_and(|exchange| exchange.request.may_upgrade())
    }

    /// A request that asks was sent.
    pub(super) fn asked(&mut self, connection: usize) {
        let entry = &mut self.pool.connections[connection];
        entry.asked = true;
        let route = entry.route;
        self.pool.speaks(route, Spoken::Asking);
    }

    /// The head of an answer to a request that asks. `true`: it agrees, and the answer itself comes in HTTP/2.
    pub(super) fn agrees(&mut self, connection: usize, id: ExchangeId, head: &ResponseHead<'_>) -> bool {
        let Some(exchange) = self.exchanges.get(id) else { return false };
        if exchange.upgrade != Upgrade::Asks {
            return false;
        }
        if head.status == 101 {
            let h2c = wire::agrees_to_http2(head);
            if h2c {
                exchange.upgrade = Upgrade::Agreed;
            }
            return h2c;
        }
        exchange.upgrade = Upgrade::No;
        self.pool.speaks(self.pool.connections[connection].route, Spoken::Http1);
        false
    }

    /// The machine of a connection on which the server agreed. `None`: it agreed to nothing that was asked for here.
    #[cfg(feature = "http2")]
    pub(super) fn upgraded(&mut self, connection: usize, id: ExchangeId) -> Option<Wire> {
        let exchange = self.exchanges.get(id)?;
        if exchange.upgrade != Upgrade::Agreed {
            return None;
        }
        let machine = http2::Client::upgraded(self.settings.http2, id, exchange.request.head()?);
        self.pool.speaks(self.pool.connections[connection].route, Spoken::Http2);
        Some(Wire::Http2(Box::new(machine)))
    }

    #[cfg(not(feature = "http2"))]
    pub(super) fn upgraded(&mut self, _connection: usize, _id: ExchangeId) -> Option<Wire> {
        None
    }

    /// An exchange failed because its connection broke, on which HTTP/2 was asked for, or taken for granted, and whose
    /// server may have been confused by just that: whether it should be asked in HTTP/1.1.
    pub(super) fn was_confused(&mut self, connection: usize, id: ExchangeId, kind: ErrorKind) -> bool {
        let entry = &self.pool.connections[connection];
        let (route, assumed) = (entry.route, entry.assumed && entry.served == 0);
        let asked = self.exchanges.get(id).is_some_and(|exchange| exchange.upgrade == Upgrade::Asks);
        if !matches!(kind, ErrorKind::Closed | ErrorKind::Io | ErrorKind::Protocol) || !(asked || assumed) {
            return false;
        }
        self.pool.speaks(route, Spoken::Http1);
        true
    }
}
