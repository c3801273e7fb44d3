//! Between turns: what came from other threads, requests pulled from a source, names, deadlines, and above all which
//! route gets a connection. The only part of the client that dials.

use std::time::Duration;

use super::core::Core;
use super::handle::{Command, Shared};
use super::{Client, RequestId};
use crate::error::{Error, ErrorKind, Phase};
use crate::pool::{Names, RouteKey};
use crate::reactor::{Address, Moment, Reactor, Reason};
use crate::resolve;
#[cfg(feature = "tls")]
use crate::url::Scheme;
use crate::wire::Wire;

/// What is offered over TLS (RFC 7301).
#[cfg(feature = "tls")]
const ALPN: &[&[u8]] = &[b"http/1.1"];

/// Addresses are asked for again after this time, when a connection is needed.
const NAMES: Duration = Duration::from_secs(60);

impl Client {
    /// Does everything that can be done without waiting.
    pub(super) fn pump(&mut self) {
        let now = self.reactor.now();
        self.take_commands(now);
        self.take_names(now);
        self.refill(now);
        self.core.expire(now);
        self.dispatch(now);
        self.cancel_sent();
    }

    pub(super) fn take_commands(&mut self, now: Moment) {
        for command in self.shared.take() {
            match command {
                Command::Send { id, request, session } => self.core.queue(&self.shared, id, *request, session, now),
                Command::Cancel(id) => drop(self.cancel(id)),
                Command::Release(session) => self.core.release(session, &mut self.reactor),
            }
        }
    }

    fn take_names(&mut self, now: Moment) {
        for answer in self.resolver.answers() {
            let route = answer.token as usize;
            let Some(entry) = self.core.pool.routes.get_mut(route) else { continue };
            match answer.result {
                Ok(addresses) => {
                    entry.names = Names::Known { addresses, next: 0, until: now + NAMES };
                    self.core.pool.line_up(route);
                }
                Err(error) => {
                    entry.names = Names::Unknown;
                    self.core.fail_all(route, ErrorKind::Resolve, &error.to_string(), now);
                    self.core.pool.forget_if_unused(route);
                }
            }
        }
    }

    /// Takes from the source as many requests as keep the workers busy.
    fn refill(&mut self, now: Moment) {
        let enough = 2 * self.core.settings.workers * usize::from(self.core.settings.pipeline);
        while self.core.exchanges.len() < enough {
            let Some(source) = &mut self.source else { return };
            let Some(mut request) = source.next() else {
                self.source = None;
                return;
            };
            let id = self.shared.next_id();
            match request.prepare() {
                Ok(prepared) => self.core.queue(&self.shared, id, prepared, None, now),
                Err(error) => self.core.refuse(id, request.into_owner(), error, now),
            }
        }
    }

    /// Gives connections to the routes that want them, in turn.
    fn dispatch(&mut self, now: Moment) {
        while let Some(route) = self.core.pool.next_in_line() {
            match self.core.serve(route, &mut self.reactor, &self.resolver, now) {
                Served::Enough => {
                    self.core.pool.forget_if_unused(route);
                }
                Served::More => self.core.pool.line_up(route),
                Served::Full => {
                    self.core.pool.back_in_line(route);
                    return;
                }
            }
        }
    }

    /// Takes exchanges off their connections that were given up meanwhile.
    pub(super) fn cancel_sent(&mut self) {
        while let Some((key, id)) = self.core.to_cancel.pop() {
            self.reactor.cancel(key, id, &mut self.core);
        }
    }
}

/// What a route got.
enum Served {
    Enough,
    More,
    /// All workers are busy.
    Full,
}

impl Core {
    /// Puts a request where it belongs, or fails it.
    pub(super) fn queue(
        &mut self,
        shared: &Shared,
        id: RequestId,
        request: super::request::Prepared,
        session: Option<usize>,
        now: Moment,
    ) {
        let key = RouteKey::new(&request.url, request.address.clone());
        let route = match session {
            None => self.pool.route(&key),
            Some(route) => {
                let entry = &self.pool.routes[route];
                if entry.key != key {
                    let words = "a session stays with the server that it was opened for";
                    let error = Error::new(ErrorKind::InvalidRequest, key.peer(), words);
                    return self.refuse(id, request.into_owner(), error, now);
                }
                if entry.session.as_ref().is_some_and(|session| session.lost) {
                    let error = Error::new(ErrorKind::Closed, key.peer(), "the connection of the session is gone");
                    return self.refuse(id, request.into_owner(), error, now);
                }
                route
            }
        };
        shared.queued(self.exchanges.len() + 1);
        self.accept(id, request, route, now);
    }

    /// A session for a route, with a connection from the pool if one is free.
    pub(super) fn open(&mut self, key: RouteKey) -> usize {
        let shared = self.pool.route(&key);
        let session = self.pool.session(key);
        if let Some(connection) = self.pool.take_unused(shared) {
            self.pool.move_to(connection, session);
            self.pool.rest(connection);
        }
        self.pool.forget_if_unused(shared);
        session
    }

    /// The next total time that runs out.
    pub(super) fn next_deadline(&self) -> Moment {
        self.deadlines.peek().map_or(Moment::NEVER, |std::cmp::Reverse((due, _))| *due)
    }

    /// Ends what has taken too long in all.
    fn expire(&mut self, now: Moment) {
        while let Some(std::cmp::Reverse((due, id))) = self.deadlines.peek().copied() {
            if due > now {
                // Requests that were answered leave their deadlines behind: forget them when they are the most.
                if self.deadlines.len() > 64 + 2 * self.exchanges.len() {
                    let exchanges = &mut self.exchanges;
                    self.deadlines.retain(|std::cmp::Reverse((_, id))| exchanges.get(*id).is_some());
                }
                return;
            }
            self.deadlines.pop();
            self.give_up(id, ErrorKind::Timeout(Phase::Total), "", now);
        }
    }

    /// Wakes or dials one connection for a route, if it needs one and may have it.
    fn serve(
        &mut self,
        route: usize,
        reactor: &mut Reactor<Wire>,
        resolver: &resolve::Resolver,
        now: Moment,
    ) -> Served {
        if !self.has_waiting(route) {
            return Served::Enough;
        }
        let entry = &self.pool.routes[route];
        // Those that are coming will take what waits. Those that are busy may take long.
        if entry.coming * usize::from(self.settings.pipeline) >= entry.queue.len() {
            return Served::Enough;
        }
        if let Some(connection) = self.pool.take_idle(route) {
            if let Some(key) = self.pool.connections[connection].key {
                reactor.wake(key);
            }
            return Served::More;
        }
        let entry = &self.pool.routes[route];
        if entry.session.is_some() && entry.connections > 0 {
            return Served::Enough;
        }
        if entry.session.is_none() && self.pool.workers() >= self.settings.workers {
            // Somebody who has nothing to do makes room.
            let Some(idle) = self.pool.take_oldest_idle() else { return Served::Full };
            if let Some(key) = self.pool.connections[idle].key {
                reactor.close(key, self);
            }
        }
        match self.address(route, resolver, now) {
            Ok(Some(address)) => self.dial(route, &address, reactor, now),
            // The answer of the resolver puts it back in line.
            Ok(None) => return Served::Enough,
            Err(error) => self.fail_all(route, ErrorKind::Resolve, &error.to_string(), now),
        }
        Served::More
    }

    /// Where the next connection of a route goes. `None`: the name is being resolved.
    fn address(&mut self, route: usize, resolver: &resolve::Resolver, now: Moment) -> std::io::Result<Option<Address>> {
        let entry = &mut self.pool.routes[route];
        if let Some(address) = &entry.key.address {
            return Ok(Some(address.clone()));
        }
        if let Names::Unknown = entry.names
            && let Some(address) = resolve::numeric(&entry.key.host, entry.key.port)
        {
            entry.names = Names::Known { addresses: vec![address], next: 0, until: Moment::NEVER };
        }
        match &entry.names {
            Names::Asked => Ok(None),
            Names::Known { addresses, next, until } if *until > now => {
                Ok(Some(Address::Tcp(addresses[*next % addresses.len()])))
            }
            _ => {
                resolver.ask(route as u64, &entry.key.host, entry.key.port)?;
                entry.names = Names::Asked;
                Ok(None)
            }
        }
    }

    fn dial(&mut self, route: usize, address: &Address, reactor: &mut Reactor<Wire>, now: Moment) {
        let deadline = now + self.settings.connect_timeout;
        #[cfg(feature = "tls")]
        let key = &self.pool.routes[route].key;
        #[cfg(feature = "tls")]
        let tls = match key.scheme {
            Scheme::Http => None,
            Scheme::Https => match self.settings.tls.connect(&key.host, ALPN) {
                Ok(tls) => Some(tls),
                Err(why) => return self.fail_all(route, ErrorKind::Tls, &why, now),
            },
        };
        let connection = self.pool.dial(route, now);
        let tag = connection as u64;
        #[cfg(feature = "tls")]
        let dialed = match tls {
            None => reactor.connect(address, tag, deadline),
            Some(tls) => reactor.connect_tls(address, &tls, tag, deadline),
        };
        #[cfg(not(feature = "tls"))]
        let dialed = reactor.connect(address, tag, deadline);
        match dialed {
            Ok(key) => self.pool.connections[connection].key = Some(key),
            // The system refused at once, and nobody else will say so.
            Err(error) => self.closed(connection, false, &Reason::Io(error), now),
        }
    }

    /// A session that nobody holds: its connection goes to the pool when everything on it is answered.
    pub(super) fn release(&mut self, route: usize, reactor: &mut Reactor<Wire>) {
        let Some(session) = self.pool.routes.get_mut(route).and_then(|entry| entry.session.as_mut()) else { return };
        session.released = true;
        // It sees that when it asks for more.
        if let Some(connection) = self.pool.take_idle(route)
            && let Some(key) = self.pool.connections[connection].key
        {
            reactor.wake(key);
        }
        self.pool.forget_if_unused(route);
    }
}
