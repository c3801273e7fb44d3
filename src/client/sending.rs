//! How requests get onto connections: which is sent next, when it must wait for its turn, and what happens to a connection
//! that has room and nothing to send.

use std::time::Duration;

use super::core::Core;
use super::exchange::{Sent, Stage, Upgrade};
use crate::error::{Error, ErrorKind};
use crate::pool::{Connection, State, Waiting};
use crate::protocols::semantics::PreparedRequest;
use crate::protocols::{ExchangeId, Refused};
use crate::reactor::{At, Moment, Sender};
use crate::wire::Wire;

/// How giving a request to a connection went.
enum Given {
    Sent,
    /// Not before others are answered.
    NotNow,
    /// It has its outcome.
    Failed,
}

impl Core {
    /// Sends on a connection as long as it has room and there is something to send.
    pub(super) fn fill(&mut self, at: At, to: &mut Sender<'_, Wire>) {
        let connection = at.tag as usize;
        #[cfg(feature = "postgres")]
        if let Some(due) = self.interrupts.due(at.key) {
            // All of it is said, and the server hangs up.
            return to.set_deadline(due);
        }
        if !self.pool.is(connection, at.key) {
            return to.close();
        }
        if self.pool.connections[connection].state == State::Closing {
            // What is on its way is answered first.
            if self.pool.connections[connection].in_flight == 0 {
                to.close();
            }
            return;
        }
        if !self.greeted(connection, to) {
            return;
        }
        if !self.is_let_in(at, to) {
            return;
        }
        #[cfg(feature = "redis")]
        {
            self.check_role(at, to);
            let entry = &self.pool.connections[connection];
            if entry.state == State::Woken && entry.alone {
                // It is still coming, until the server says that it is the master.
                return;
            }
        }
        self.pool.asks(connection);
        let route = self.pool.connections[connection].route;
        if to.protocol().is_spoiled() && !self.is_used_session(route) {
            // Nobody is to go on with what somebody else began.
            self.pool.retire(connection);
            self.pool.line_up(route);
            return to.close();
        }
        if self.pool.connections[connection].in_flight > 0 {
            to.linger(Duration::ZERO);
        }
        // Whoever comes now would wait for what was given up.
        let blocked = to.protocol().owes_dropped();
        while to.slots() > 0 {
            if let Some(id) = self.pool.connections[connection].again.pop_front() {
                match self.give(at, id, None, to) {
                    Given::NotNow => {
                        self.pool.connections[connection].again.push_front(id);
                        return;
                    }
                    // What waited for it may follow.
                    Given::Sent => self.pool.connections[connection].alone = self.is_alone(connection, id),
                    Given::Failed => {}
                }
                continue;
            }
            if blocked || self.pool.connections[connection].is_taken() {
                if self.has_waiting(route) {
                    self.pool.line_up(route);
                }
                return;
            }
            if !self.has_waiting(route) {
                break;
            }
            let Some(Waiting { age, id }) = self.pool.routes[route].queue.front().copied() else { break };
            if self.pool.must_yield(route, age, self.settings.workers) {
                break;
            }
            let asking = self.asking(connection, id);
            let Some(exchange) = self.exchanges.get(id) else { continue };
            if let Err(trouble) = exchange.request.open() {
                self.pool.routes[route].queue.pop_front();
                if let Some(exchange) = self.exchanges.remove(id) {
                    self.fail_with(exchange, ErrorKind::Upload, trouble.to_string(), Some(trouble.into()), at.now);
                }
                continue;
            }
            let alone = self.pool.connections[connection].in_flight == 0;
            if exchange.request.waits_for().is_some() && !alone {
                // Nothing is to wait behind it, and it is to wait behind nothing.
                return self.pool.line_up(route);
            }
            match self.give(at, id, asking.as_ref(), to) {
                Given::Sent => {
                    self.pool.routes[route].queue.pop_front();
                    self.sent(at, id, asking.is_some(), to);
                }
                // It must be alone on the connection: after the answers that are on their way.
                Given::NotNow => {
                    if self.pool.connections[connection].in_flight > 0 {
                        self.pool.line_up(route);
                    }
                    return;
                }
                Given::Failed => {
                    self.pool.routes[route].queue.pop_front();
                }
            }
        }
        if to.slots() > 0 {
            self.pause(connection, to);
            return;
        }
        if self.pool.connections[connection].in_flight == 0 {
            // It lets nobody in, which must not last.
            to.set_silence(Some(self.settings.timeout));
        }
        if self.has_waiting(route) {
            // It has no room, or no more: others may have.
            self.pool.line_up(route);
        }
    }

    /// Gives a request, or its next part, to a connection; with another head than its own.
    fn give(&mut self, at: At, id: ExchangeId, head: Option<&PreparedRequest>, to: &mut Sender<'_, Wire>) -> Given {
        let Some(exchange) = self.exchanges.get(id) else { return Given::Failed };
        let error = match exchange.request.send(id, head, &mut self.pool.connections[at.tag as usize], to) {
            Ok(Ok(())) => return Given::Sent,
            Ok(Err(Refused::NotNow)) => return Given::NotNow,
            Ok(Err(refused)) => Error::invalid(refused.to_string()),
            Err(error) => error,
        };
        if let Some(exchange) = self.exchanges.remove(id) {
            if exchange.sent.is_some() {
                self.left(at.tag as usize, exchange.waits());
            }
            self.fail_with(exchange, ErrorKind::InvalidRequest, error.to_string(), None, at.now);
        }
        Given::Failed
    }

    /// A request was sent from the queue.
    fn sent(&mut self, at: At, id: ExchangeId, asks: bool, to: &mut Sender<'_, Wire>) {
        let connection = at.tag as usize;
        let version = to.protocol().version();
        self.pool.unrest(connection);
        let alone = self.is_alone(connection, id);
        let entry = &mut self.pool.connections[connection];
        let session = self.pool.routes[entry.route].session.as_mut();
        let in_session = session.map(|session| session.used = true).is_some();
        let Some(exchange) = self.exchanges.get(id) else { return };
        entry.used = true;
        entry.in_flight += 1;
        self.on_way += 1;
        entry.dirty |= in_session && exchange.request.leaves_traces();
        (entry.alone, entry.patience) = (alone, exchange.request.waits_for());
        let made = std::mem::take(&mut entry.made);
        exchange.sent = Some(Sent { key: at.key, connection, at: at.now, first_byte: None, made, version });
        exchange.upgrade = if asks { Upgrade::Asks } else { Upgrade::No };
        let settings = &self.settings;
        to.set_silence(entry.silence(settings.timeout));
        let timeouts = exchange.request.timeouts;
        let in_parts = exchange.request.is_in_parts();
        let expects = exchange.request.streams.as_ref().is_some_and(|streams| streams.expect.is_some());
        let (stage, timeout) = match in_parts {
            true if expects => (Stage::Expecting, Some(settings.expect_timeout)),
            true => (Stage::Sending, timeouts.send.or(settings.send_timeout)),
            false => (Stage::Sent, timeouts.first_byte.or(settings.first_byte_timeout)),
        };
        let due = timeout.map_or(Moment::NEVER, |timeout| at.now + timeout);
        exchange.enter(stage, due, id, &mut self.alarms);
        if !in_parts {
            exchange.request.gave_all();
            exchange.tell_progress();
        }
        if asks {
            self.asked(connection);
        }
    }

    /// A connection has had room for a request: until then it is being made, which must come to an end.
    fn is_let_in(&mut self, at: At, to: &mut Sender<'_, Wire>) -> bool {
        let entry = &mut self.pool.connections[at.tag as usize];
        if !entry.let_in {
            if to.slots() == 0 {
                let (dialed, route) = (entry.dialed, entry.route);
                to.set_deadline(dialed + self.connect_timeout(route));
                to.set_silence(Some(self.settings.timeout));
                return false;
            }
            entry.let_in = true;
            to.set_deadline(Moment::NEVER);
        }
        entry.multiplexed = to.protocol().is_multiplexed();
        true
    }

    fn is_used_session(&self, route: usize) -> bool {
        self.pool.routes[route].session.as_ref().is_some_and(|session| session.used)
    }

    /// Nothing is to follow an exchange before it is over: it waits at the server, or may take another turn, which keeps its
    /// place in a session, or its program may say that it wants no more for now.
    fn is_alone(&mut self, connection: usize, id: ExchangeId) -> bool {
        let entry = &self.pool.connections[connection];
        let in_session = self.pool.routes[entry.route].session.is_some();
        let Some(exchange) = self.exchanges.get(id) else { return false };
        let request = &exchange.request;
        request.waits_for().is_some()
            || (in_session && request.may_go_on())
            || (!entry.multiplexed && request.may_hold())
    }

    /// A connection may take requests, as far as its protocol goes. `false`: not yet, or it is not what was wanted, and
    /// closes.
    fn greeted(&mut self, connection: usize, to: &mut Sender<'_, Wire>) -> bool {
        #[cfg(feature = "postgres")]
        if matches!(to.protocol(), Wire::Postgres(_)) {
            return self.postgres_greeted(connection, to);
        }
        let _ = (connection, &to);
        true
    }

    /// A connection has room, and nothing that it may send now.
    fn pause(&mut self, connection: usize, to: &mut Sender<'_, Wire>) {
        let Connection { route, in_flight, .. } = self.pool.connections[connection];
        let session = self.pool.routes[route].session.as_ref().map(|session| session.released);
        if in_flight == 0 {
            to.set_silence(if session == Some(false) { None } else { Some(self.settings.keep_alive) });
        }
        if session == Some(true) && in_flight == 0 && !self.has_waiting(route) {
            let home = self.pool.routes[route].home();
            let Some(shared) = home.filter(|_| !self.pool.connections[connection].dirty) else {
                // What the server keeps for it goes with it: nobody else is to find it there.
                self.pool.retire(connection);
                return to.close();
            };
            let shared = self.pool.route(&shared);
            self.pool.unrest(connection);
            self.pool.move_to(connection, shared);
            self.pool.forget_if_unused(route);
        }
        self.pool.rest(connection);
        // Somebody else may want it, or its place.
        let route = self.pool.connections[connection].route;
        if self.has_waiting(route) {
            self.pool.line_up(route);
        }
    }
}
