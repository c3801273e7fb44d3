//! What becomes of requests when a connection is lost, cannot be made, or fails one of them: who is sent again, who waits on
//! for another, and who ends with an error. It touches no socket, as all of `core`.

use std::io;
use std::time::Duration;

use super::BoxError;
use super::core::Core;
use super::exchange::Stage;
use super::push::Push;
#[cfg(feature = "postgres")]
use super::statements;
use crate::error::{Error, ErrorKind, Phase};
use crate::pool::{Connection, Spoken, Waiting};
use crate::protocols::{self, ExchangeId, Replay};
use crate::reactor::{At, Moment, Reason};
use crate::route::Dialect;

/// An exchange that the server certainly did not act on may be sent again so often; a server that accepts connections
/// only to close them must come to an end.
const SAFE_RETRIES: u8 = 10;

impl Core {
    /// A connection is gone, or could not even be begun.
    pub(super) fn closed(&mut self, connection: usize, opened: bool, reason: &Reason, now: Moment) {
        let mut entry = self.pool.closed(connection);
        let in_vain = opened && entry.was_never_of_use();
        #[cfg(feature = "postgres")]
        self.interrupt(&entry, reason, now);
        let (route, asked, mut words) = (entry.route, entry.asked, entry.words.take());
        if in_vain && !entry.let_in && matches!(reason, Reason::Deadline | Reason::Silent) {
            let limit = self.connect_timeout(route);
            let late = || (ErrorKind::Timeout(Phase::Connect), format!("it let nobody in within {limit:?}"));
            words.get_or_insert_with(late);
        }
        for id in std::mem::take(&mut entry.again) {
            self.interrupted(id, route, reason, now);
        }
        match self.pool.routes[route].spoken {
            Spoken::Unknown if !opened => self.pool.speaks(route, Spoken::Unreached),
            // Whoever asked got no answer. A server that falls silent at the question is not asked again.
            Spoken::Asking if asked && matches!(reason, Reason::Silent) => self.pool.speaks(route, Spoken::Http1),
            Spoken::Asking if asked => self.pool.speaks(route, Spoken::Unknown),
            _ => {}
        }
        if !opened {
            let mut kind = ErrorKind::of(reason, false);
            let refused = entry.race.as_mut().and_then(|race| race.refused.take());
            if refused.is_some() {
                kind = ErrorKind::Tls;
            }
            let late = |limit: Duration| entry.handshakes.iter().any(|(_, began)| *began + limit <= now);
            if kind == ErrorKind::Timeout(Phase::Connect) && self.settings.tls_timeout.is_some_and(late) {
                kind = ErrorKind::Timeout(Phase::Tls);
            }
            let detail = match kind {
                ErrorKind::Timeout(Phase::Connect) => {
                    let what = if entry.handshakes.is_empty() { "no connection" } else { "TLS was not agreed on" };
                    format!("{what} within {:?}", self.connect_timeout(route))
                }
                ErrorKind::Timeout(_) => String::new(),
                _ if refused.is_some() => refused.unwrap_or_default(),
                _ => self.pool.routes[route].key.dialect.explain(reason),
            };
            self.came_to_nothing(&entry, opened, kind, &detail, now);
        }
        // A server that ends a session may say why.
        let said = words.as_ref().map(|(_, words)| words.clone());
        let words = words.or_else(|| refusal(&self.pool.routes[route].key.dialect, reason));
        if in_vain && let Some((kind, words)) = words {
            self.came_to_nothing(&entry, opened, kind, &words, now);
        } else if in_vain && self.has_waiting(route) && !self.closed_at_login(&entry, reason, now) {
            // It opened only to close. That may be chance, but who waits for it must come to an end.
            let first = self.pool.routes[route].queue.front().map(|first| first.id);
            let exchange = first.and_then(|id| self.exchanges.get(id));
            let retries = exchange.map_or(0, |exchange| {
                exchange.retries = exchange.retries.saturating_add(1);
                exchange.retries
            });
            if retries > SAFE_RETRIES {
                let words = format!("{} connections took no request: {reason}", SAFE_RETRIES + 1);
                self.fail_first(route, ErrorKind::of(reason, true), &words, now);
            }
        }
        if opened
            && let Some(session) = &mut self.pool.routes[route].session
            && session.used
        {
            session.lost = true;
            self.fail_all(route, ErrorKind::Closed, "the connection of the session is gone", now);
            let error = Error::new(
                ErrorKind::of(reason, true),
                self.pool.routes[route].key.peer(),
                said.unwrap_or_else(|| reason.to_string()),
            );
            self.listeners.tell(route, Push::Lost(&error));
        }
        if self.has_waiting(route) {
            self.pool.line_up(route);
        }
        self.pool.forget_if_unused(route);
    }

    /// A connection is of no use to those who wait for it.
    fn came_to_nothing(&mut self, entry: &Connection, opened: bool, kind: ErrorKind, words: &str, now: Moment) {
        /// How long a server that takes no more connections, of which some work, is asked for no other.
        const PAUSE: Duration = Duration::from_millis(100);
        let database = !matches!(self.pool.routes[entry.route].key.dialect, Dialect::Http { .. });
        let route = &mut self.pool.routes[entry.route];
        // A server that is full may have let in others of ours just before.
        let full = kind == ErrorKind::Refused && route.coming > 0;
        if database && kind != ErrorKind::Authentication && (full || self.pool.is_served(entry.route)) {
            self.pool.routes[entry.route].dial_after = now + PAUSE;
            return;
        }
        #[cfg(feature = "postgres")]
        if self.tries_next_host(entry.route, Some(entry), kind, words, now) {
            return;
        }
        if !opened && self.goes_elsewhere(entry.route, kind, words, now) {
            return;
        }
        match kind {
            // It will let nobody else in either, who says the same.
            ErrorKind::Authentication => self.fail_all(entry.route, kind, words, now),
            _ => self.fail_first(entry.route, kind, words, now),
        }
    }

    /// A connection closed while it was made, without a word. `true`: others are tried, or it is told.
    fn closed_at_login(&mut self, entry: &Connection, reason: &Reason, now: Moment) -> bool {
        #[cfg(feature = "postgres")]
        if entry.postgres.is_some() {
            return self.unanswered(entry, reason, now);
        }
        self.asks_for_the_way(entry.route, reason, now)
    }

    /// An exchange came to nothing, with its connection or without.
    pub(super) fn failed(&mut self, at: At, id: ExchangeId, reason: &Reason, replay: Replay) {
        let waits = self.exchanges.get(id).map_or(0, |exchange| exchange.waits());
        self.left(at.tag as usize, waits);
        let streams = self.exchanges.get(id).and_then(|exchange| exchange.request.streams.as_mut());
        let trouble = streams.and_then(|streams| streams.trouble.take());
        // Another exchange was given up, and the connection had to go with it: this one did nothing wrong.
        let ours = matches!(reason, Reason::Owner) || (matches!(reason, Reason::Body(_)) && trouble.is_none());
        let kind = if ours { ErrorKind::Closed } else { ErrorKind::of(reason, true) };
        // What ends one exchange by its rules ends no other, and was said in a protocol that is understood.
        let broken = replay == Replay::Unknown && !matches!(reason, Reason::Protocol(protocols::Error::Reset { .. }));
        let confused = broken && self.was_confused(at.tag as usize, id, kind);
        let Some(exchange) = self.exchanges.get(id) else { return };
        let connection = &self.pool.connections[at.tag as usize];
        let route = &mut self.pool.routes[connection.route];
        let in_session = route.session.is_some();
        let ended = matches!(reason, Reason::Finished);
        route.pipeline &= !(ended && replay == Replay::Unknown);
        let again = !in_session
            && match replay {
                Replay::NotSent | Replay::NotProcessed => exchange.retries < SAFE_RETRIES,
                // It stood behind an answer that ended the connection (RFC 9112 §9.3.2: tried again, not pipelined).
                Replay::Unknown if ended => exchange.request.is_idempotent() && exchange.retries < SAFE_RETRIES,
                // What confused it was not the request.
                Replay::Unknown if ours || confused => {
                    exchange.request.is_idempotent()
                        && !exchange.collected.has_begun()
                        && exchange.retries < SAFE_RETRIES
                }
                // A kept connection may have been closed by the server just before the request came (RFC 9112 §9.3.1).
                // Had it answered nothing on a new one, asking again would not help.
                Replay::Unknown => {
                    // A master that dies may take more than one connection with it before another is named.
                    let led = route.led().is_some();
                    let most = if led { SAFE_RETRIES } else { self.settings.retries };
                    matches!(kind, ErrorKind::Closed | ErrorKind::Io)
                        && (connection.served > 0 || led)
                        && exchange.request.is_idempotent()
                        && !exchange.collected.has_begun()
                        && exchange.retries < most
                }
            };
        if again && exchange.restart() {
            // A server that takes a part of what it is sent, and leaves the rest for the next connection, gets on.
            let vain = replay == Replay::Unknown || connection.served == 0;
            exchange.retries += u8::from(vain);
            self.send_again(id);
        } else if let Some(exchange) = self.exchanges.remove(id) {
            let detail = match reason {
                Reason::Protocol(protocols::Error::UnexpectedEof) if !exchange.collected.has_begun() => {
                    "it said nothing".to_owned()
                }
                Reason::Body(_) if trouble.is_some() => trouble.as_ref().map_or_else(String::new, io::Error::to_string),
                _ if ours => "another request on the same connection was given up".to_owned(),
                Reason::Silent => format!("nothing came for {:?}", self.settings.timeout),
                reason => reason.to_string(),
            };
            self.fail_with(exchange, kind, detail, trouble.map(BoxError::from), at.now);
        }
    }

    /// An exchange would have gone on with a connection that is gone, which the server knows nothing of.
    fn interrupted(&mut self, id: ExchangeId, route: usize, reason: &Reason, now: Moment) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        self.on_way = self.on_way.saturating_sub(1);
        if self.pool.routes[route].session.is_none() && exchange.retries < SAFE_RETRIES && exchange.restart() {
            exchange.retries += 1;
            self.send_again(id);
        } else if let Some(exchange) = self.exchanges.remove(id) {
            self.fail(exchange, ErrorKind::of(reason, true), reason.to_string(), now);
        }
    }

    /// Puts an exchange back into the queue, where it stood.
    pub(super) fn send_again(&mut self, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        exchange.sent = None;
        exchange.enter(Stage::Waiting, Moment::NEVER, id, &mut self.alarms);
        let (age, route) = (exchange.age(), exchange.route);
        self.pool.enqueue(route, Waiting { age, id });
    }
}

/// What a login fails for, every time.
fn refusal(dialect: &Dialect, reason: &Reason) -> Option<(ErrorKind, String)> {
    #[cfg(feature = "postgres")]
    if let Dialect::Postgres(..) = dialect {
        let kind = match reason {
            Reason::Protocol(protocols::Error::Violation(violation)) => statements::kind(violation),
            Reason::Protocol(protocols::Error::TooLarge(_)) => ErrorKind::TooLarge,
            Reason::Tls(_) => ErrorKind::Tls,
            _ => return None,
        };
        return Some((kind, reason.to_string()));
    }
    let _ = (dialect, reason);
    None
}
