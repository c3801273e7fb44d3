//! Which server of PostgreSQL a connection leads to: where there are several, whom the next one tries, and whether the one
//! that let us in is of the kind that was asked for. Statements are in `statements`.

use std::sync::Arc;

use super::core::Core;
use super::exchange::Exchange;
use super::prepared::Words;
use super::statements::{MOST, kind};
use crate::error::{ErrorKind, Phase};
use crate::pool::{Connection, Names};
use crate::postgres::{Next, Setback, Target, WHAT_IT_IS};
use crate::protocols::postgres::{Message, Request};
use crate::protocols::{self, ExchangeId};
use crate::reactor::{At, Moment, Reason, Sender};
use crate::route::Dialect;
use crate::wire::{self, Wire};

/// What the client asks a server for its own sake. No request has this name: its place in the slab is the largest.
pub(super) const QUESTION: ExchangeId = ExchangeId(u64::MAX - 1);

impl Core {
    /// A connection asks for requests: whether it may have any. The first time that it could, it is looked at.
    pub(super) fn postgres_greeted(&mut self, connection: usize, to: &mut Sender<'_, Wire>) -> bool {
        let entry = &self.pool.connections[connection];
        let (route, dialed, way) = (entry.route, entry.dialed, entry.way);
        if entry.postgres.as_ref().is_none_or(|server| server.greeted) {
            return true;
        }
        let Wire::Postgres(machine) = to.protocol() else { return true };
        if let Some(error) = machine.failure() {
            // It was not begun: the server waits for us.
            let kind = match &error {
                protocols::Error::Violation(violation) => kind(violation),
                _ => ErrorKind::Protocol,
            };
            self.pool.connections[connection].words = Some((kind, error.to_string()));
            to.close();
            return false;
        }
        if to.slots() == 0 {
            // The login, and the question, are a part of connecting.
            to.set_deadline(dialed + self.connect_timeout(route));
            return false;
        }
        let Wire::Postgres(machine) = to.protocol() else { return true };
        let Dialect::Postgres(settings, _) = &self.pool.routes[route].key.dialect else { return true };
        if let Some(key) = machine.scram_key() {
            if self.known.keys.len() >= MOST {
                self.known.keys.clear();
            }
            // The salt may be another one than last time.
            self.known.keys.insert((Arc::clone(settings), way.host), key.clone());
        }
        let target = if way.any { Target::Any } else { settings.target };
        let entry = &mut self.pool.connections[connection];
        let Some(server) = &mut entry.postgres else { return true };
        if server.wants_question(target) {
            server.asked = true;
            let request = wire::Request::Postgres(Request::Query(WHAT_IT_IS));
            server.questioned = to.send(QUESTION, request).is_ok();
        }
        if server.questioned {
            return false;
        }
        if server.suits(target) {
            server.greeted = true;
            to.set_deadline(Moment::NEVER);
            self.pool.routes[route].hosts.worked(way);
            return true;
        }
        server.unsuited = true;
        entry.words = Some((ErrorKind::Refused, "its sessions are not of the kind that is wanted".to_owned()));
        self.pool.asks(connection);
        self.pool.retire(connection);
        to.close();
        false
    }

    /// What a server says of what it is.
    pub(super) fn on_question(&mut self, at: At, message: &Message<'_>) {
        let entry = self.pool.connections.get_mut(at.tag as usize);
        let Some(server) = entry.and_then(|entry| entry.postgres.as_mut()) else { return };
        match message {
            Message::Row(row) => server.answers(row),
            Message::Ready(_) => server.questioned = false,
            _ => {}
        }
    }

    /// The host of the next connection, where that is left to chance.
    pub(super) fn draw_host(&mut self, route: usize) {
        let entry = &mut self.pool.routes[route];
        let Dialect::Postgres(settings, _) = &entry.key.dialect else { return };
        if entry.hosts.wants_draw(settings) && !matches!(entry.names, Names::Asked(_)) {
            let mut number = [0; 4];
            // Without numbers it is the same one as before.
            if getrandom::fill(&mut number).is_ok() && entry.hosts.draw(settings, u32::from_ne_bytes(number)) {
                entry.names = Names::Unknown;
            }
        }
    }

    /// A session begins with the host that works for others.
    pub(super) fn begins_like(&mut self, session: usize, shared: usize) {
        if let Some((session, shared)) = self.pool.routes.get2_mut(session, shared) {
            session.hosts.like(&shared.hosts);
        }
    }

    /// A connection, or the address for one, came to nothing. `true`: whoever waits goes to another host, or was told that
    /// there is none left.
    pub(super) fn tries_next_host(
        &mut self,
        route: usize,
        connection: Option<&Connection>,
        kind: ErrorKind,
        words: &str,
        now: Moment,
    ) -> bool {
        let entry = &mut self.pool.routes[route];
        let Dialect::Postgres(settings, _) = &entry.key.dialect else { return false };
        let settings = Arc::clone(settings);
        if matches!(entry.names, Names::Asked(_)) {
            // The answer is for the host that is next now. The next connection will tell what this one has.
            return settings.hosts.len() > 1;
        }
        let before = entry.hosts.next();
        let way = connection.map_or(before, |connection| connection.way);
        let setback = match connection.and_then(|connection| connection.postgres.as_ref()) {
            Some(server) if server.unsuited => Setback::Unsuited,
            Some(server) if matches!(kind, ErrorKind::Authentication | ErrorKind::Refused | ErrorKind::Tls) => {
                Setback::TurnedAway { tls: server.tls, login: kind == ErrorKind::Authentication }
            }
            _ => Setback::Unreached,
        };
        let said = if words.is_empty() { kind.name() } else { words };
        let words = match settings.hosts.len() {
            // The error names it.
            1 => said.to_owned(),
            _ => format!("{}: {said}", entry.key.of_host(way.host).peer()),
        };
        let next = entry.hosts.failed(&settings, way, setback, words);
        if entry.hosts.next().host != before.host {
            entry.names = Names::Unknown;
        }
        match next {
            Next::Only => return false,
            Next::Last(words) => self.fail_all(route, kind, &words, now),
            Next::Try => {}
        }
        if self.has_waiting(route) {
            self.pool.line_up(route);
        }
        true
    }

    /// A server closed, or said nothing, before it let us in. `true`: another is tried, or it was told.
    pub(super) fn unanswered(&mut self, connection: &Connection, reason: &Reason, now: Moment) -> bool {
        let route = connection.route;
        if matches!(reason, Reason::Deadline) {
            let kind = ErrorKind::Timeout(Phase::Connect);
            let words = format!("it let nobody in within {:?}", self.connect_timeout(route));
            if !self.tries_next_host(route, Some(connection), kind, &words, now) {
                self.fail_first(route, kind, &words, now);
            }
            return true;
        }
        self.tries_next_host(route, Some(connection), ErrorKind::of(reason, true), &reason.to_string(), now)
    }

    /// Whom errors of a statement name: the server that it was sent to, or all that it could have been.
    pub(super) fn database_of(&self, exchange: &Exchange) -> Option<String> {
        let Words::Postgres(run) = &exchange.request.words else { return None };
        match exchange.sent {
            Some(sent) if self.pool.is(sent.connection, sent.key) => Some(self.key_of(sent.connection).peer()),
            _ => {
                let hosts: Vec<_> = run.settings().hosts.iter().map(ToString::to_string).collect();
                Some(hosts.join(","))
            }
        }
    }
}
