//! Between turns: what came from other threads, requests pulled from a source, names, deadlines, and above all which
//! route gets a connection. The only part of the client that dials.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::core::Core;
use super::exchange::Stage;
use super::handle::Command;
use super::prepared::Prepared;
use super::{Client, RequestId};
use crate::error::{Error, ErrorKind, Phase};
use crate::pool::{Names, Race, Spoken, State};
#[cfg(feature = "tls")]
use crate::reactor::TlsSettings;
use crate::reactor::{Address, At, Key, Moment, Reactor, Reason};
use crate::resolve::{Found, Lookups};
use crate::route::{Dialect, RouteKey};
use crate::wire::Wire;

/// How long an address is tried before the next one is tried beside it: RFC 8305 §8.
const ATTEMPT: Duration = Duration::from_millis(250);
/// Addresses that are tried at once for one connection.
const ATTEMPTS: usize = 2;

impl Client {
    /// Does everything that can be done without waiting.
    pub(super) fn pump(&mut self) {
        let now = self.reactor.now();
        self.settle();
        self.take_commands(now);
        self.take_names(now);
        self.refill(now);
        self.core.expire(now);
        self.core.go_on_later(now);
        self.core.race(&mut self.reactor, now);
        if let Some(every) = self.core.settings.ping_every {
            self.core.pings.send(&self.core.pool, &mut self.reactor, every, now);
        }
        self.dispatch(now);
        // What dispatching asked for is sent at once.
        self.lookups.turn(self.reactor.registry(), &[], now);
        self.cancel_sent();
    }

    /// Makes room in the queue for as many requests as have ended.
    pub(super) fn settle(&mut self) {
        self.shared.finished(std::mem::take(&mut self.core.finished));
    }

    pub(super) fn take_commands(&mut self, now: Moment) {
        for command in self.shared.take() {
            match command {
                Command::Send { id, request, session } => self.core.queue(id, *request, session, now),
                Command::Cancel(id) => drop(self.cancel(id)),
                #[cfg(feature = "postgres")]
                Command::Interrupt(id) => drop(self.interrupt(id)),
                Command::Resume(id) => drop(self.core.resume(id, true, &mut self.reactor)),
                Command::Feed(id) => drop(self.core.resume(id, false, &mut self.reactor)),
                Command::Listen(session, listener) => self.core.listeners.insert(session, listener),
                Command::Release(session) => {
                    self.core.listeners.remove(session);
                    self.core.release(session, &mut self.reactor);
                }
            }
        }
    }

    fn take_names(&mut self, now: Moment) {
        let ready = self.reactor.guests();
        self.lookups.turn(self.reactor.registry(), &ready, now);
        for answer in self.lookups.answers() {
            let (route, number) = (answer.token as u32 as usize, (answer.token >> 32) as u32);
            let Some(entry) = self.core.pool.routes.get(route) else { continue };
            if !matches!(entry.names, Names::Asked(asked) if asked == number) {
                // Whoever asked has left its place, or wants to know something else by now.
                continue;
            }
            let place = entry.place();
            let (host, port) = self.lookups.settings.place(&place.host, place.port);
            let host = host.to_owned();
            self.core.named(route, &host, port, answer.result, now);
            self.core.pool.forget_if_unused(route);
        }
    }

    /// Takes from the source as many requests as keep the workers busy, whatever a connection takes at once.
    fn refill(&mut self, now: Moment) {
        let pipelines = 2 * self.core.settings.workers * usize::from(self.core.settings.pipeline);
        let enough = pipelines.max(self.core.widest);
        while self.core.exchanges.len().saturating_sub(self.core.on_way) < enough {
            let Some(source) = &mut self.source else { return };
            let Some(mut request) = source.next() else {
                self.source = None;
                return;
            };
            let id = self.shared.number();
            match request.prepare() {
                Ok(prepared) => {
                    prepared.belongs_to(&self.shared, id);
                    self.core.queue(id, prepared, None, now);
                }
                Err(error) => self.core.refuse(id, request.into_owner(), error, now),
            }
        }
    }

    /// Gives connections to the routes that want them, in turn.
    fn dispatch(&mut self, now: Moment) {
        let mut full = false;
        while let Some(route) = self.core.pool.next_in_line(full) {
            match self.core.serve(route, &mut self.reactor, &mut self.lookups, now) {
                Served::Enough => {
                    self.core.pool.forget_if_unused(route);
                }
                Served::More => self.core.pool.line_up(route),
                Served::Full => {
                    self.core.pool.back_in_line(route);
                    full = true;
                }
            }
        }
    }

    /// Takes exchanges off their connections that were given up meanwhile, and does what else a turn left to be done with
    /// connections.
    pub(super) fn cancel_sent(&mut self) {
        while let Some((key, id)) = self.core.to_cancel.pop() {
            self.reactor.cancel(key, id, &mut self.core);
        }
        while let Some(key) = self.core.to_close.pop() {
            self.reactor.close(key, &mut self.core);
        }
        #[cfg(feature = "postgres")]
        self.core.send_interrupts(&mut self.reactor);
        while let Some((key, id)) = self.core.to_resume.pop() {
            self.reactor.unstall(key, id);
        }
        self.core.tune(&mut self.reactor);
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
    pub(super) fn queue(&mut self, id: RequestId, request: Prepared, session: Option<usize>, now: Moment) {
        let key = request.route(self.settings.versions);
        if session.is_none() && request.needs_session() {
            let words = "it changes what the server knows of the connection: send it through a session";
            let error = Error::new(ErrorKind::InvalidRequest, key.peer(), words);
            return self.refuse(id, request.into_owner(), error, now);
        }
        let route = match session {
            #[cfg(feature = "redis")]
            None if key.is_in_cluster() => {
                let exchange = self.take(id, request, usize::MAX, now);
                return self.direct(exchange, now);
            }
            None => self.pool.route(&key),
            Some(route) => {
                let Some(entry) = self.pool.routes.get(route) else {
                    let error = Error::new(ErrorKind::Closed, key.peer(), "the session is gone");
                    return self.refuse(id, request.into_owner(), error, now);
                };
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
        self.accept(id, request, route, now);
    }

    /// A session for a route, with a connection from the pool if one is free.
    pub(super) fn open(&mut self, key: RouteKey, slot: Option<u16>, reactor: &mut Reactor<Wire>) -> usize {
        let shared = self.pool.route(&key);
        let of_any_node = key.is_in_cluster();
        let session = self.pool.session(key, slot);
        if of_any_node || self.pool.routes[session].key.dialect.keeps_settings() {
            // Its connection is made when it is known where to, and is nobody else's before.
        } else if let Some(connection) = self.pool.take_unused(shared) {
            self.pool.move_to(connection, session);
            #[cfg(feature = "redis")]
            self.pool.follow(session, shared);
            if let Some(key) = self.pool.connections[connection].key {
                // It is kept as long as the session is, and not as long as the pool keeps what nobody uses.
                reactor.set_silence(key, None);
            }
            self.pool.rest(connection);
        }
        #[cfg(feature = "postgres")]
        self.begins_like(session, shared);
        self.pool.forget_if_unused(shared);
        session
    }

    /// The next time limit that may have run out, or attempt that is to begin.
    pub(super) fn next_deadline(&self) -> Moment {
        let next = self.alarms.peek().map_or(Moment::NEVER, |Reverse((due, _))| *due);
        let next = next.min(self.later.peek().map_or(Moment::NEVER, |Reverse((due, _))| *due));
        next.min(self.races.peek().map_or(Moment::NEVER, |Reverse((due, _))| *due)).min(self.pings.next())
    }

    /// Ends what has taken too long in all.
    fn expire(&mut self, now: Moment) {
        while let Some(Reverse((due, id))) = self.alarms.peek().copied() {
            if due > now {
                // Requests that were answered, and stages that were passed, leave alarms behind: forget them when they are
                // the most.
                if self.alarms.len() > 64 + 2 * self.exchanges.len() {
                    let exchanges = &mut self.exchanges;
                    self.alarms.retain(|Reverse((due, id))| exchanges.get(*id).is_some_and(|one| one.counts(*due)));
                }
                return;
            }
            self.alarms.pop();
            let Some(exchange) = self.exchanges.get(id) else { continue };
            if !exchange.ring(due) {
                continue;
            }
            if exchange.total <= now {
                self.give_up(id, ErrorKind::Timeout(Phase::Total), "", now);
            } else if !exchange.is_late(now) {
                exchange.arm(id, &mut self.alarms);
            } else {
                match exchange.stage {
                    // It was asked and says nothing: the body is sent all the same.
                    Stage::Expecting => self.send_body(id, now),
                    Stage::Sending => drop(self.give_up(id, ErrorKind::Timeout(Phase::Send), "", now)),
                    Stage::Sent => drop(self.give_up(id, ErrorKind::Timeout(Phase::FirstByte), "", now)),
                    Stage::Waiting | Stage::Reading => {}
                }
            }
        }
    }

    /// Goes on with an exchange that waits for the program: with its upload, and with its download too if `all`.
    pub(super) fn resume(&mut self, id: RequestId, all: bool, reactor: &mut Reactor<Wire>) -> bool {
        let Some(id) = self.exchanges.of_request(id) else { return false };
        let Some(exchange) = self.exchanges.get(id) else { return false };
        let before = exchange.waits();
        let Some(streams) = &mut exchange.request.streams else { return true };
        streams.stalled = false;
        streams.held &= !all;
        exchange.go_on(reactor.now(), id, &mut self.alarms);
        let waits = exchange.waits();
        let Some(sent) = exchange.sent else { return true };
        if all {
            reactor.resume(sent.key, id);
        } else {
            reactor.unstall(sent.key, id);
        }
        self.waiting(sent.connection, before, waits);
        true
    }

    /// Time in which a connection waits for the program does not count as silence. One that has only answers to come that
    /// nobody waits for does not wait for it.
    pub(super) fn tune(&mut self, reactor: &mut Reactor<Wire>) {
        while let Some(connection) = self.to_tune.pop() {
            if let Some(entry) = self.pool.connections.get(connection)
                && let Some(key) = entry.key
                && (entry.in_flight > 0 || entry.state == State::Busy)
            {
                reactor.set_silence(key, entry.silence(self.settings.timeout));
            }
        }
    }

    /// Wakes or dials one connection for a route, if it needs one and may have it.
    fn serve(&mut self, route: usize, reactor: &mut Reactor<Wire>, lookups: &mut Lookups, now: Moment) -> Served {
        if !self.has_waiting(route) {
            return Served::Enough;
        }
        let entry = &self.pool.routes[route];
        // Those that are coming will take what waits. Those that are busy may take long.
        let (coming, waiting) = (entry.coming, entry.queue.len());
        let depth = self.depth(route);
        self.widest = self.widest.max(depth);
        if coming * depth >= waiting {
            return Served::Enough;
        }
        let entry = &self.pool.routes[route];
        // The first connection tells which version is spoken, and so how many are needed.
        if entry.key.dialect.is_told_by_connecting() && entry.spoken == Spoken::Unknown && entry.coming > 0 {
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
        if now < entry.dial_after && self.pool.is_served(route) {
            return Served::Enough;
        }
        let entry = &self.pool.routes[route];
        if entry.session.is_none() && self.pool.workers() >= self.settings.workers {
            // Somebody who has nothing to do makes room.
            let Some(idle) = self.pool.take_oldest_idle() else { return Served::Full };
            if let Some(key) = self.pool.connections[idle].key {
                reactor.close(key, self);
            }
        }
        match self.address(route, lookups, now) {
            Some(address) => self.dial(route, &address, reactor, now),
            // Nobody waits any more, or the answer of the resolver puts it back in line.
            None => return Served::Enough,
        }
        Served::More
    }

    /// How many requests a connection of a route takes at once, as far as is known.
    fn depth(&self, route: usize) -> usize {
        #[cfg(feature = "http2")]
        {
            let route = &self.pool.routes[route];
            if route.spoken == Spoken::Http2 || route.key.dialect.is_http2() {
                return self.settings.http2.most_streams() as usize;
            }
        }
        match &self.pool.routes[route].key.dialect {
            Dialect::Http { .. } => usize::from(self.settings.pipeline),
            #[cfg(feature = "redis")]
            Dialect::Redis(settings) => usize::from(settings.pipeline),
            #[cfg(feature = "postgres")]
            Dialect::Postgres(settings, _) => usize::from(settings.pipeline),
        }
    }

    /// Where the next connection of a route goes. `None`: its name is being resolved, or has no address and the requests
    /// have failed.
    fn address(&mut self, route: usize, lookups: &mut Lookups, now: Moment) -> Option<Address> {
        if !self.knows_the_way(route, now) {
            return None;
        }
        #[cfg(feature = "postgres")]
        self.draw_host(route);
        let entry = &mut self.pool.routes[route];
        let place = entry.place().into_owned();
        if let Some(address) = place.address {
            return Some(address);
        }
        if !entry.names.hold(now) && !matches!(entry.names, Names::Asked(_)) {
            self.questions = self.questions.wrapping_add(1);
            let token = u64::from(self.questions) << 32 | route as u64;
            let (host, port) = lookups.settings.place(&place.host, place.port);
            let host = host.to_owned();
            let known = lookups.settings.known(&host, port).or_else(|| lookups.ask(token, &host, now));
            match known {
                Some(found) => self.named(route, &host, port, found, now),
                None => (entry.names, entry.asked) = (Names::Asked(self.questions), now),
            }
        }
        match &self.pool.routes.get(route)?.names {
            Names::Known { addresses, next, .. } => Some(Address::Tcp(addresses[*next % addresses.len()])),
            Names::Unknown | Names::Asked(_) => None,
        }
    }

    /// The name of a route was resolved, or was not: its own, or that of the host to which its connections are led.
    fn named(&mut self, route: usize, host: &str, port: u16, found: Found, now: Moment) {
        match found {
            Ok((addresses, until)) => {
                let entry = &mut self.pool.routes[route];
                if matches!(entry.names, Names::Asked(_)) {
                    entry.resolve = Some(now.since(entry.asked));
                }
                let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
                self.pool.routes[route].names = Names::Known { addresses, next: 0, until };
                self.pool.line_up(route);
            }
            Err(trouble) => {
                self.pool.routes[route].names = Names::Unknown;
                let kind = if trouble.timeout { ErrorKind::Timeout(Phase::Resolve) } else { ErrorKind::Resolve };
                let own = host.eq_ignore_ascii_case(&self.pool.routes[route].place().host);
                let words = if own { trouble.words } else { format!("{host}: {}", trouble.words) };
                #[cfg(feature = "postgres")]
                if self.tries_next_host(route, None, kind, &words, now) {
                    return;
                }
                // A name that is not known any more is no place to wait at, where another can be found out.
                if self.goes_elsewhere(route, kind, &words, now) {
                    return;
                }
                self.fail_all(route, kind, &words, now);
            }
        }
    }

    fn dial(&mut self, route: usize, address: &Address, reactor: &mut Reactor<Wire>, now: Moment) {
        let connection = self.pool.dial(route, now);
        let deadline = now + self.connect_timeout(route);
        let entry = &self.pool.routes[route];
        if entry.place().address.is_none()
            && let Names::Known { addresses, next, .. } = &entry.names
            && addresses.len() > 1
        {
            let mut rest: VecDeque<_> = addresses.iter().copied().collect();
            rest.rotate_left(*next % addresses.len());
            let race = Race { attempts: Vec::new(), rest, next_at: now, deadline, refused: None };
            self.pool.connections[connection].race = Some(Box::new(race));
            return self.attempt(connection, reactor, now);
        }
        match self.begin(connection, address, deadline, reactor) {
            Ok(key) => self.pool.connections[connection].key = Some(key),
            // Refused at once, and nobody else will say so.
            Err(error) => self.closed(connection, false, &Reason::of_handshake(error), now),
        }
    }

    /// How long connecting to one address of a route may take.
    pub(super) fn connect_timeout(&self, route: usize) -> Duration {
        match &self.pool.routes[route].key.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres(settings, _) => settings.connect_timeout.unwrap_or(self.settings.connect_timeout),
            _ => self.settings.connect_timeout,
        }
    }

    /// Where a connection leads.
    #[cfg(any(feature = "postgres", feature = "tls"))]
    pub(super) fn key_of(&self, connection: usize) -> RouteKey {
        let entry = &self.pool.connections[connection];
        let key = &self.pool.routes[entry.route].key;
        #[cfg(feature = "postgres")]
        if entry.way.host > 0 {
            return key.of_host(entry.way.host);
        }
        self.pool.routes[entry.route].led().unwrap_or_else(|| key.clone())
    }

    /// TLS as a route wants it.
    #[cfg(feature = "tls")]
    pub(super) fn tls(&mut self, key: &RouteKey) -> Result<TlsSettings, String> {
        match &key.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres(settings, _) => self.database_tls(settings),
            _ => Ok(self.settings.tls.clone()),
        }
    }

    /// Begins to connect, with TLS where the scheme wants it.
    fn begin(
        &mut self,
        connection: usize,
        address: &Address,
        deadline: Moment,
        reactor: &mut Reactor<Wire>,
    ) -> io::Result<Key> {
        #[cfg(feature = "postgres")]
        {
            self.pool.connections[connection].address = Some(address.clone());
        }
        #[cfg(feature = "tls")]
        {
            let key = &self.key_of(connection);
            // Databases have no TLS on sockets of one machine, whatever is wanted elsewhere.
            let bare = key.dialect.keeps_settings() && matches!(address, Address::Unix(_));
            if let Some(alpn) = key.dialect.alpn().filter(|_| !bare) {
                let tls = self.tls(key).and_then(|settings| settings.connect(&key.host, alpn));
                let tls = tls.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
                return reactor.connect_tls(address, &tls, connection as u64, deadline);
            }
        }
        reactor.connect(address, connection as u64, deadline)
    }

    /// Begins the attempts that are due.
    fn race(&mut self, reactor: &mut Reactor<Wire>, now: Moment) {
        while let Some(Reverse((due, connection))) = self.races.peek().copied() {
            let race = self.pool.connections.get(connection).and_then(|entry| entry.race.as_ref());
            let stale = race.is_none_or(|race| race.next_at != due);
            if !stale && due > now {
                return;
            }
            self.races.pop();
            if !stale {
                self.attempt(connection, reactor, now);
            }
        }
    }

    /// Tries the next address of a race. Of those that are being tried already, the one that has had the most time makes
    /// room.
    fn attempt(&mut self, connection: usize, reactor: &mut Reactor<Wire>, now: Moment) {
        let mut trouble = None;
        loop {
            let Some(race) = &mut self.pool.connections[connection].race else { return };
            race.next_at = Moment::NEVER;
            if race.rest.is_empty() {
                break;
            }
            if race.attempts.len() >= ATTEMPTS {
                // Not an attempt any more when it closes, so that its end is not told as a failure.
                let (oldest, _) = race.attempts.remove(0);
                reactor.close(oldest, self);
                continue;
            }
            let Some(address) = race.rest.pop_front() else { break };
            let deadline = race.deadline;
            let begun = self.begin(connection, &Address::Tcp(address), deadline, reactor);
            let Some(race) = &mut self.pool.connections[connection].race else { return };
            match begun {
                Ok(key) => {
                    race.attempts.push((key, address));
                    if !race.rest.is_empty() {
                        race.next_at = now + ATTEMPT;
                        let next_at = race.next_at;
                        self.races.push(Reverse((next_at, connection)));
                    }
                    return;
                }
                Err(error) => trouble = Some(error),
            }
        }
        let over = self.pool.connections[connection].race.as_ref().is_some_and(|race| race.attempts.is_empty());
        if let (true, Some(error)) = (over, trouble) {
            self.closed(connection, false, &Reason::of_handshake(error), now);
        }
    }

    /// An attempt of a race failed. `true`: it was the last.
    pub(super) fn attempt_failed(&mut self, connection: usize, at: At, reason: &Reason) -> bool {
        let Some(race) = self.pool.connections.get_mut(connection).and_then(|entry| entry.race.as_mut()) else {
            return false;
        };
        let before = race.attempts.len();
        race.attempts.retain(|(key, _)| *key != at.key);
        if race.attempts.len() == before {
            return false;
        }
        if matches!(reason, Reason::Tls(_)) {
            race.refused.get_or_insert_with(|| reason.to_string());
        }
        // TLS has a deadline of its own, which is that of one address.
        let timeout = matches!(reason, Reason::Deadline) && race.deadline <= at.now;
        if race.attempts.is_empty() && (race.rest.is_empty() || timeout) {
            return true;
        }
        if !race.rest.is_empty() && !timeout {
            race.next_at = at.now;
            self.races.push(Reverse((at.now, connection)));
        }
        false
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
