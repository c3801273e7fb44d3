//! Statements of PostgreSQL that are to stop, mostly because nobody waits for them any more: their servers are told so, each
//! on a connection of its own that says a few bytes and waits for the end. Nobody is told what becomes of it, as the server
//! tells nobody either.

use std::collections::HashMap;
use std::time::Duration;

use super::core::Core;
use crate::error::ErrorKind;
use crate::pool::Connection;
use crate::protocols::ExchangeId;
use crate::protocols::postgres::{self, CancelKey, Login};
#[cfg(feature = "tls")]
use crate::reactor::Tls;
use crate::reactor::{Address, Key, Moment, Reactor, Reason};
#[cfg(feature = "tls")]
use crate::route::RouteKey;
use crate::wire::Wire;

/// Those that are wanted, and those that are on their way.
#[derive(Default)]
pub(super) struct Interrupts {
    wanted: Vec<Interrupt>,
    under_way: HashMap<Key, Interrupt>,
}

/// What it takes to interrupt what runs on a connection.
struct Interrupt {
    key: CancelKey,
    address: Address,
    /// Whose certificate is wanted.
    #[cfg(feature = "tls")]
    place: RouteKey,
    tls: bool,
    /// When it must be over.
    due: Moment,
}

/// What connections of interrupts come back with: no connection of the pool has this number.
const TAG: u64 = u64::MAX;
/// How long it may take to tell a server. Programs that wait for nothing else wait for this.
const WITHIN: Duration = Duration::from_secs(5);
/// Interrupts in hand. What is more is not told: the servers come to the end of those statements by themselves.
const MOST: usize = 64;

impl Interrupts {
    /// Nothing is to be told.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.under_way.is_empty()
    }

    /// A connection is one of these: when it must be over.
    pub(super) fn due(&self, key: Key) -> Option<Moment> {
        self.under_way.get(&key).map(|one| one.due)
    }

    /// It is over.
    pub(super) fn over(&mut self, key: Key) {
        self.under_way.remove(&key);
    }
}

impl Core {
    /// A connection was closed by this side. What runs there runs on, unless its server is told.
    pub(super) fn interrupt(&mut self, connection: &Connection, reason: &Reason, now: Moment) {
        let given_up = connection.postgres.as_ref().is_some_and(|server| server.interrupted);
        if given_up
            && matches!(reason, Reason::Owner | Reason::Silent)
            && let Some(one) = self.interrupt_of(connection, now)
        {
            self.interrupts.wanted.push(one);
        }
    }

    /// Tells the server to stop what runs for an exchange whose answer is waited for all the same. `false`: nothing does, or
    /// others would be hit.
    ///
    /// What runs may be no more than a part of it: a statement is prepared, and its types are looked up, before it is run. The
    /// server stops the one and knows nothing of the rest, which is not sent then.
    pub(super) fn stop(&mut self, id: ExchangeId, now: Moment) -> bool {
        let Some(sent) = self.exchanges.get(id).and_then(|exchange| exchange.sent) else { return false };
        if !self.pool.is(sent.connection, sent.key) {
            return false;
        }
        let again = &mut self.pool.connections[sent.connection].again;
        if let Some(place) = again.iter().position(|waits| *waits == id) {
            // Nothing of it is on its way: nobody has to be told.
            again.remove(place);
            self.stopped_short(sent.connection, id, now);
            return true;
        }
        let connection = &self.pool.connections[sent.connection];
        let shared = self.pool.routes[connection.route].session.is_none();
        if shared && connection.in_flight != 1 {
            return false;
        }
        let Some(one) = self.interrupt_of(connection, now) else { return false };
        self.interrupts.wanted.push(one);
        // The server may be done with it by then: nobody else's is to be hit in its place.
        if shared {
            self.pool.retire(sent.connection);
        }
        if let Some(exchange) = self.exchanges.get(id) {
            exchange.stopped = true;
        }
        true
    }

    /// An exchange was to stop, and would have gone on with something that its server knows nothing of.
    pub(super) fn stopped_short(&mut self, connection: usize, id: ExchangeId, now: Moment) {
        let Some(exchange) = self.exchanges.remove(id) else { return };
        self.left(connection, exchange.waits());
        self.fail(exchange, ErrorKind::Cancelled, "it was interrupted before it was run".to_owned(), now);
        // It left nothing behind that runs there.
        if let Some(server) = self.pool.connections.get_mut(connection).and_then(|entry| entry.postgres.as_mut()) {
            server.interrupted = false;
        }
    }

    /// What it takes to interrupt what runs on a connection, if there is room for it.
    fn interrupt_of(&self, connection: &Connection, now: Moment) -> Option<Interrupt> {
        let Interrupts { wanted, under_way } = &self.interrupts;
        let server = connection.postgres.as_ref().filter(|_| wanted.len() + under_way.len() < MOST)?;
        Some(Interrupt {
            key: server.key.clone()?,
            address: connection.address.clone()?,
            #[cfg(feature = "tls")]
            place: self.pool.routes[connection.route].key.of_host(connection.way.host),
            tls: server.tls,
            due: now + WITHIN,
        })
    }

    /// Begins to tell the servers.
    pub(super) fn send_interrupts(&mut self, reactor: &mut Reactor<Wire>) {
        while let Some(one) = self.interrupts.wanted.pop() {
            // Where it cannot be told, it is not.
            #[cfg(feature = "tls")]
            let begun = match one.place.dialect.alpn() {
                Some(_) if one.tls => {
                    self.interrupt_tls(&one).and_then(|tls| reactor.connect_tls(&one.address, &tls, TAG, one.due).ok())
                }
                _ => reactor.connect(&one.address, TAG, one.due).ok(),
            };
            #[cfg(not(feature = "tls"))]
            let begun = reactor.connect(&one.address, TAG, one.due).ok();
            if let Some(key) = begun {
                self.interrupts.under_way.insert(key, one);
            }
        }
    }

    /// The machine of such a connection.
    pub(super) fn interrupting(&self, key: Key) -> Option<Wire> {
        let one = self.interrupts.under_way.get(&key)?;
        let tls = match one.tls {
            // Where it begins with the first byte, it is there by now.
            true => postgres::Tls::Require,
            false => postgres::Tls::Disable,
        };
        postgres::Client::new(Login::interrupt(one.key.clone()).tls(tls))
            .ok()
            .map(|machine| Wire::Postgres(Box::new(machine)))
    }

    #[cfg(feature = "tls")]
    fn interrupt_tls(&mut self, one: &Interrupt) -> Option<Tls> {
        let alpn: &[&[u8]] = &[b"postgresql"];
        self.tls(&one.place).and_then(|settings| settings.connect(&one.place.host, alpn)).ok()
    }

    /// The server agreed to TLS on such a connection.
    #[cfg(feature = "tls")]
    pub(super) fn interrupt_on_request(&mut self, key: Key) -> Option<(Tls, Moment)> {
        let one = self.interrupts.under_way.remove(&key)?;
        let (tls, due) = (self.interrupt_tls(&one), one.due);
        self.interrupts.under_way.insert(key, one);
        tls.map(|tls| (tls, due))
    }
}
