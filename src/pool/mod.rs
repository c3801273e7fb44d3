//! Routes and the connections that lead along them: who may be used again, who must make room, who waits for whom. Only
//! books are kept here; dialing and sending is done by the client.
//!
//! A route is where requests can share connections. A session has a route of its own with exactly one connection, which
//! is how it keeps everybody else off it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use slab::Slab;

pub(crate) use self::connection::{Connection, Made, Race, State};
pub(crate) use self::route::{Names, Route, Session, Spoken, Waiting};
#[cfg(feature = "postgres")]
use crate::reactor::Address;
use crate::reactor::{Key, Moment};
use crate::route::RouteKey;

mod connection;
mod route;

/// The books.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) routes: Slab<Route>,
    pub(crate) connections: Slab<Connection>,
    by_key: HashMap<RouteKey, usize>,
    /// The versions of servers, for when their routes are forgotten.
    spoken: HashMap<RouteKey, Spoken>,
    /// Routes that have requests waiting and want a connection.
    line: VecDeque<usize>,
    /// The same for those that need no worker for it: sessions, and routes with connections that have room.
    fast_line: VecDeque<usize>,
    /// Idle connections by when they became idle.
    idle: BTreeMap<u64, usize>,
    clock: u64,
    /// Connections that count against the number of workers.
    workers: usize,
}

impl Pool {
    /// The route of a key, made if need be.
    pub(crate) fn route(&mut self, key: &RouteKey) -> usize {
        if let Some(index) = self.by_key.get(key) {
            return *index;
        }
        let index = self.insert(key.clone(), None);
        self.by_key.insert(key.clone(), index);
        index
    }

    fn insert(&mut self, key: RouteKey, session: Option<Session>) -> usize {
        let spoken = self.spoken.get(&key).copied().unwrap_or(Spoken::Unknown);
        self.routes.insert(Route::new(key, session, spoken))
    }

    /// Takes note of what a server speaks. `Unknown` forgets it.
    pub(crate) fn speaks(&mut self, route: usize, spoken: Spoken) {
        /// Servers that are remembered at most.
        const MOST: usize = 1 << 14;
        let entry = &mut self.routes[route];
        if entry.spoken == spoken {
            return;
        }
        entry.spoken = spoken;
        if entry.session.is_some()
            && let Some(shared) = self.by_key.get(&entry.key).copied()
        {
            self.routes[shared].spoken = spoken;
        }
        let entry = &mut self.routes[route];
        match spoken {
            Spoken::Http1 | Spoken::Http2 => {
                if self.spoken.len() >= MOST {
                    // Each of them is asked again when it is used again, and there is no more to it.
                    self.spoken.clear();
                }
                self.spoken.insert(entry.key.clone(), spoken);
            }
            Spoken::Unknown => drop(self.spoken.remove(&entry.key)),
            Spoken::Unreached | Spoken::Asking => {}
        }
        if !entry.queue.is_empty() {
            self.line_up(route);
        }
    }

    /// A route of its own.
    pub(crate) fn session(&mut self, key: RouteKey, slot: Option<u16>) -> usize {
        self.insert(key, Some(Session { slot, ..Session::default() }))
    }

    /// Puts a request at its place by age: at the end, or for one that comes back, where it was.
    pub(crate) fn enqueue(&mut self, route: usize, waiting: Waiting) {
        let queue = &mut self.routes[route].queue;
        if queue.back().is_none_or(|last| last.age < waiting.age) {
            queue.push_back(waiting);
        } else {
            queue.insert(queue.partition_point(|other| other.age < waiting.age), waiting);
        }
        self.line_up(route);
    }

    /// The route wants a connection, if it is still there.
    pub(crate) fn line_up(&mut self, route: usize) {
        let Some(entry) = self.routes.get_mut(route) else { return };
        if entry.session.is_some() || !entry.idle.is_empty() {
            if !entry.in_fast_line {
                entry.in_fast_line = true;
                self.fast_line.push_back(route);
            }
        } else if !entry.in_line {
            entry.in_line = true;
            self.line.push_back(route);
        }
    }

    /// The route that has wanted a connection for longest; with `full`, only one that needs no worker: whoever waits for one
    /// does not hold it up. It leaves the line.
    pub(crate) fn next_in_line(&mut self, full: bool) -> Option<usize> {
        while !full && let Some(index) = self.line.pop_front() {
            if let Some(route) = self.routes.get_mut(index) {
                route.in_line = false;
                return Some(index);
            }
        }
        while let Some(index) = self.fast_line.pop_front() {
            if let Some(route) = self.routes.get_mut(index) {
                route.in_fast_line = false;
                return Some(index);
            }
        }
        None
    }

    /// It must wait on, as the first.
    pub(crate) fn back_in_line(&mut self, route: usize) {
        if !std::mem::replace(&mut self.routes[route].in_line, true) {
            self.line.push_front(route);
        }
    }

    /// Another route has waited for a connection so long that this request may not go before it.
    pub(crate) fn must_yield(&self, route: usize, age: u64, workers: usize) -> bool {
        /// So many requests may overtake.
        const OVERTAKE: u64 = 64;
        if self.line.is_empty() || self.workers < workers || self.routes[route].session.is_some() {
            return false;
        }
        self.line.iter().take(4).any(|&other| {
            other != route
                && self.routes.get(other).is_some_and(|other| {
                    other.connections == 0
                        && other.session.is_none()
                        && other.queue.front().is_some_and(|first| first.age + OVERTAKE < age)
                })
        })
    }

    /// How many connections count as workers.
    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    /// A connection is being dialed.
    pub(crate) fn dial(&mut self, route: usize, now: Moment) -> usize {
        let entry = &mut self.routes[route];
        let made = Made { resolve: entry.resolve.take(), ..Made::default() };
        entry.connections += 1;
        entry.coming += 1;
        #[cfg(feature = "postgres")]
        let way = {
            entry.hosts.dialed();
            entry.hosts.next()
        };
        if entry.session.is_none() {
            self.workers += 1;
        }
        self.connections.insert(Connection::dialed(
            route,
            now,
            made,
            #[cfg(feature = "postgres")]
            way,
        ))
    }

    pub(crate) fn opened(&mut self, connection: usize, now: Moment) {
        let entry = &mut self.connections[connection];
        // It is still coming: the login may take long.
        entry.state = State::Woken;
        entry.made.connect = Some(now.since(entry.dialed));
        let began = entry.handshakes.iter().find(|(key, _)| Some(*key) == entry.key);
        entry.made.tls = began.map(|(_, began)| now.since(*began));
        entry.handshakes = Vec::new();
    }

    /// Whether this is the connection that an event is about, and not one that lost its race.
    pub(crate) fn is(&self, connection: usize, key: Key) -> bool {
        self.connections.get(connection).is_some_and(|entry| entry.key == Some(key))
    }

    /// The race of a connection is won by this attempt. Those that lost are to be closed.
    pub(crate) fn won(&mut self, connection: usize, key: Key) -> Vec<Key> {
        let Some(entry) = self.connections.get_mut(connection) else { return Vec::new() };
        let Some(race) = &entry.race else { return Vec::new() };
        let Some((_, winner)) = race.attempts.iter().find(|(attempt, _)| *attempt == key).copied() else {
            return Vec::new();
        };
        let losers = race.attempts.iter().map(|(attempt, _)| *attempt).filter(|attempt| *attempt != key).collect();
        (entry.key, entry.race) = (Some(key), None);
        #[cfg(feature = "postgres")]
        {
            entry.address = Some(Address::Tcp(winner));
        }
        // Later connections begin with what is known to work.
        if let Names::Known { addresses, next, .. } = &mut self.routes[entry.route].names
            && let Some(index) = addresses.iter().position(|address| *address == winner)
        {
            *next = index;
        }
        losers
    }

    /// It asks for requests.
    pub(crate) fn asks(&mut self, connection: usize) {
        let entry = &mut self.connections[connection];
        if entry.state == State::Woken {
            entry.state = State::Busy;
            self.routes[entry.route].coming -= 1;
        }
    }

    /// It has room and there is nothing to send.
    pub(crate) fn rest(&mut self, connection: usize) {
        let entry = &mut self.connections[connection];
        if entry.state != State::Busy {
            return;
        }
        self.clock += 1;
        (entry.state, entry.idle_since) = (State::Idle, self.clock);
        self.idle.insert(self.clock, connection);
        self.routes[entry.route].idle.push(connection);
    }

    /// The idle connection of a route that was used last, to be woken.
    pub(crate) fn take_idle(&mut self, route: usize) -> Option<usize> {
        let connections = &self.connections;
        let connection = *self.routes[route].idle.iter().rev().find(|&&index| !connections[index].is_taken())?;
        self.unrest(connection);
        self.connections[connection].state = State::Woken;
        self.routes[route].coming += 1;
        Some(connection)
    }

    /// A connection of a route that has nothing at all to do, to be given away.
    pub(crate) fn take_unused(&mut self, route: usize) -> Option<usize> {
        let connections = &self.connections;
        let connection = *self.routes[route].idle.iter().rev().find(|&&index| connections[index].in_flight == 0)?;
        self.unrest(connection);
        Some(connection)
    }

    /// A connection of whatever route that has nothing at all to do, the one idle for longest, to be closed.
    pub(crate) fn take_oldest_idle(&mut self) -> Option<usize> {
        let connections = &self.connections;
        let routes = &self.routes;
        let free = |entry: &Connection| entry.in_flight == 0 && routes[entry.route].session.is_none();
        let connection = *self.idle.values().find(|&&connection| free(&connections[connection]))?;
        self.unrest(connection);
        self.connections[connection].state = State::Closing;
        Some(connection)
    }

    /// Some connection of a route takes requests, now or when those on it are answered.
    pub(crate) fn is_served(&self, route: usize) -> bool {
        let serves = |entry: &Connection| {
            entry.route == route && entry.let_in && !entry.is_taken() && entry.state != State::Closing
        };
        self.connections.iter().any(|(_, entry)| serves(entry))
    }

    /// It takes nothing any more, and is about to close.
    pub(crate) fn retire(&mut self, connection: usize) {
        self.unrest(connection);
        self.asks(connection);
        self.connections[connection].state = State::Closing;
    }

    /// It is idle no more.
    pub(crate) fn unrest(&mut self, connection: usize) {
        let entry = &mut self.connections[connection];
        if entry.state != State::Idle {
            return;
        }
        entry.state = State::Busy;
        self.idle.remove(&entry.idle_since);
        let idle = &mut self.routes[entry.route].idle;
        match idle.last() {
            Some(last) if *last == connection => drop(idle.pop()),
            _ => idle.retain(|other| *other != connection),
        }
    }

    #[cfg(feature = "redis")]
    /// The connections of a route take nothing more, and close when all on them is answered. Those that have nothing on
    /// them can be closed at once.
    pub(crate) fn retire_all(&mut self, route: usize) -> Vec<Key> {
        let of_route = |entry: &Connection| entry.route == route && matches!(entry.state, State::Idle | State::Busy);
        let found: Vec<_> = self.connections.iter().filter(|(_, entry)| of_route(entry)).map(|(at, _)| at).collect();
        let mut free = Vec::new();
        for connection in found {
            self.retire(connection);
            let entry = &self.connections[connection];
            free.extend(entry.key.filter(|_| entry.in_flight == 0));
        }
        free
    }

    /// The connections of a session lead where those of another route do.
    #[cfg(feature = "redis")]
    pub(crate) fn follow(&mut self, session: usize, route: usize) {
        let to = self.routes[route].led.clone();
        self.routes[session].lead(to);
    }

    /// Gives a connection that is not idle to another route with the same key.
    pub(crate) fn move_to(&mut self, connection: usize, route: usize) {
        let from = self.connections[connection].route;
        for (index, sign) in [(from, -1isize), (route, 1)] {
            let entry = &mut self.routes[index];
            entry.connections = entry.connections.saturating_add_signed(sign);
            if entry.session.is_none() {
                self.workers = self.workers.saturating_add_signed(sign);
            }
        }
        debug_assert_eq!(self.connections[connection].state, State::Busy);
        self.connections[connection].route = route;
    }

    /// It is gone.
    pub(crate) fn closed(&mut self, connection: usize) -> Connection {
        self.unrest(connection);
        let entry = self.connections.remove(connection);
        let route = &mut self.routes[entry.route];
        route.connections -= 1;
        if matches!(entry.state, State::Dialing | State::Woken) {
            route.coming -= 1;
        }
        if route.session.is_none() {
            self.workers -= 1;
        }
        entry
    }

    /// Forgets a route that nobody uses, so that a client of millions of hosts keeps only those in hand.
    pub(crate) fn forget_if_unused(&mut self, index: usize) {
        let Some(route) = self.routes.get(index) else { return };
        let held = route.session.as_ref().is_some_and(|session| !session.released);
        if held || route.connections > 0 || !route.queue.is_empty() || matches!(route.names, Names::Asked(_)) {
            return;
        }
        let route = self.routes.remove(index);
        if route.session.is_none() {
            self.by_key.remove(&route.key);
        }
        // Its place in the line, if any, is another's when the slab gives the index away: that one is then looked at
        // early, which does no harm.
    }
}

#[cfg(test)]
mod tests;
