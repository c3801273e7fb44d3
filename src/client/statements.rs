//! PostgreSQL in the client: how a connection begins, and what the server answers to statements.

use std::collections::HashMap;
use std::sync::Arc;

use super::BoxError;
use super::core::Core;
use super::databases::QUESTION;
use super::exchange::Stage;
use super::prepared::Words;
use crate::error::{ErrorKind, told};
use crate::postgres::{self, OwnTypes, Remembered, Server, Settings, Stopped, Then, Transaction, sqlstate};
use crate::protocols::postgres::{ErrorRef, Message, ScramKey, Violation};
use crate::protocols::{self, ExchangeId, http1};
use crate::reactor::{At, Flow, Moment};
#[cfg(feature = "tls")]
use crate::reactor::{Tls, TlsSettings};
use crate::wire::Wire;

/// What later connections to the same servers need not find out again.
#[derive(Default)]
pub(super) struct Known {
    /// What the passwords come to, which takes long to compute.
    pub(super) keys: HashMap<(Arc<Settings>, usize), ScramKey>,
    /// The types that the users of a database made.
    types: HashMap<(Arc<Settings>, usize), Remembered>,
    /// TLS with their files read.
    #[cfg(feature = "tls")]
    tls: HashMap<Arc<Settings>, TlsSettings>,
}

/// Servers that are remembered at most.
pub(super) const MOST: usize = 1 << 10;

impl Known {
    /// What is known of the types of a database.
    fn types(&mut self, place: (Arc<Settings>, usize)) -> OwnTypes {
        if let Some(types) = self.types.get(&place).and_then(Remembered::recall) {
            return types;
        }
        if self.types.len() >= MOST {
            self.types.retain(|_, types| types.recall().is_some());
        }
        let types = OwnTypes::new(&place.0.binary);
        if self.types.len() < MOST {
            self.types.insert(place, types.remember());
        }
        types
    }
}

impl Core {
    /// The machine of a connection that has just been made.
    pub(super) fn postgres_machine(&mut self, connection: usize, settings: &Arc<Settings>) -> Wire {
        let entry = &mut self.pool.connections[connection];
        let mut server = Server::new(settings);
        #[cfg(feature = "tls")]
        {
            server.tls = self.pool.routes[entry.route].key.dialect.alpn().is_some();
        }
        let (way, on_socket) = (entry.way, matches!(entry.address, Some(crate::reactor::Address::Unix(_))));
        let place = (Arc::clone(settings), way.host);
        let key = self.known.keys.get(&place).cloned();
        server.statements.share(self.known.types(place));
        entry.postgres = Some(Box::new(server));
        let mut entropy = [0; 18];
        let machine = match getrandom::fill(&mut entropy) {
            Ok(()) => settings.machine(way, on_socket, entropy, key),
            Err(error) => Err(format!("the system has no random numbers: {error}")),
        };
        match machine {
            Ok(machine) => Wire::Postgres(Box::new(machine)),
            Err(words) => {
                entry.words = Some((ErrorKind::InvalidRequest, words));
                // It closes when it asks for requests.
                self.pool.retire(connection);
                Wire::Http1(http1::Client::new())
            }
        }
    }

    /// TLS as these settings want it.
    #[cfg(feature = "tls")]
    pub(super) fn database_tls(&mut self, settings: &Arc<Settings>) -> Result<TlsSettings, String> {
        if self.known.tls.len() >= MOST {
            self.known.tls.clear();
        }
        if let Some(known) = self.known.tls.get(settings) {
            return Ok(known.clone());
        }
        let made = settings.ssl.settings(&self.settings.tls)?;
        self.known.tls.insert(Arc::clone(settings), made.clone());
        Ok(made)
    }

    /// The server agreed to TLS on a connection.
    #[cfg(feature = "tls")]
    pub(super) fn tls_on_request(&mut self, at: At) -> Option<(Tls, Moment)> {
        if let Some(tls) = self.interrupt_on_request(at.key) {
            return Some(tls);
        }
        let entry = self.pool.connections.get_mut(at.tag as usize)?;
        let (dialed, route) = (entry.dialed, entry.route);
        entry.postgres.iter_mut().for_each(|server| server.tls = true);
        let key = self.key_of(at.tag as usize);
        match self.tls(&key).and_then(|settings| settings.connect(&key.host, &[b"postgresql"])) {
            Ok(tls) => Some((tls, dialed + self.connect_timeout(route))),
            Err(words) => {
                self.pool.connections[at.tag as usize].words = Some((ErrorKind::Tls, words));
                None
            }
        }
    }

    /// A message, or a part of one.
    pub(super) fn on_postgres(&mut self, at: At, id: ExchangeId, message: Message<'_>, done: bool) -> Flow {
        if id == QUESTION {
            self.on_question(at, &message);
            return Flow::Continue;
        }
        let Some(exchange) = self.exchanges.get(id) else { return Flow::Cancel };
        if let Some(sent) = &mut exchange.sent {
            sent.first_byte.get_or_insert(at.now);
        }
        if exchange.stage == Stage::Sent {
            exchange.enter(Stage::Reading, Moment::NEVER, id, &mut self.alarms);
        }
        let sinks = exchange.request.streams.as_ref().is_some_and(|streams| streams.sink.is_some());
        match message {
            Message::CopyOut(_) if sinks => {
                if let Err(flow) = self.sink_begins(at, id) {
                    return flow;
                }
            }
            Message::Data(bytes) if sinks => return self.answer_goes_on(at, id, bytes).unwrap_or_else(|flow| flow),
            _ => {}
        }
        let ordered = matches!(message, Message::Error(_)) && self.is_in_session(at);
        let Some(exchange) = self.exchanges.get(id) else { return Flow::Cancel };
        let Words::Postgres(run) = &mut exchange.request.words else { return Flow::Cancel };
        let Some(entry) = self.pool.connections.get_mut(at.tag as usize) else { return Flow::Cancel };
        if ordered && entry.in_flight > 1 {
            // What was sent behind it is to come after it.
            run.try_no_more();
        }
        let Some(server) = &mut entry.postgres else { return Flow::Cancel };
        server.interrupted = false;
        let begins = !exchange.collected.has_begun();
        let into = exchange.collected.results_mut(self.settings.reply_limit);
        if begins && let Some(taker) = exchange.request.streams.as_mut().and_then(|streams| streams.taker.take()) {
            into.set_taker(taker);
        }
        let (before, own, stopped) = (into.size(), run.is_preparing(), exchange.stopped);
        let then = run.message(&message, done, &mut server.statements, into);
        let after = into.size();
        // What the catalogues say is not what was asked for.
        exchange.collected.received += if own { 0 } else { bytes(&message) };
        exchange.tell_progress();
        // It is there already, and is taken off again with the exchange.
        self.buffered = self.buffered.saturating_sub(before) + after;
        if let Err(flow) = self.fits(at, id, 0, 0) {
            return flow;
        }
        match then {
            Ok(Then::More(Flow::Hold)) => {
                self.hold(at, id);
                Flow::Hold
            }
            Ok(Then::More(Flow::Cancel)) => {
                self.drop_off(at, id, ErrorKind::Cancelled, "its callback wanted no more".to_owned(), None);
                Flow::Cancel
            }
            Ok(Then::More(flow)) => flow,
            Ok(Then::Again) if stopped => {
                self.stopped_short(at.tag as usize, id, at.now);
                Flow::Continue
            }
            // What was sent behind it would come before it. It was done nothing of.
            Ok(Then::Again) if self.is_in_session(at) && self.pool.connections[at.tag as usize].in_flight > 1 => {
                let words = "the server does not have the statement any more, and others were sent behind it";
                self.drop_off(at, id, ErrorKind::Closed, words.to_owned(), None);
                Flow::Cancel
            }
            Ok(Then::Again) => {
                self.pool.connections[at.tag as usize].again.push_back(id);
                self.prepared(at, id);
                Flow::Continue
            }
            Ok(Then::Done) => {
                if let Message::Ready(transaction) = message
                    && transaction != Transaction::Idle
                    && !self.is_in_session(at)
                {
                    return self.left_open(at, id);
                }
                self.answer_ends(at, id);
                Flow::Continue
            }
            Err(Stopped::Peer(error)) => {
                let kind = match error {
                    protocols::Error::TooLarge(_) => ErrorKind::TooLarge,
                    _ => ErrorKind::Protocol,
                };
                self.drop_off(at, id, kind, error.to_string(), None);
                Flow::Cancel
            }
            Err(Stopped::Callback(error)) => {
                let error: BoxError = error;
                self.drop_off(at, id, ErrorKind::Callback, error.to_string(), Some(error));
                Flow::Cancel
            }
        }
    }
}

impl Core {
    fn is_in_session(&self, at: At) -> bool {
        let route = self.pool.connections.get(at.tag as usize).and_then(|entry| self.pool.routes.get(entry.route));
        route.is_some_and(|route| route.session.is_some())
    }

    /// A statement is prepared, and has yet to run: that is what its time limits are about.
    fn prepared(&mut self, at: At, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        if let Some(sent) = &mut exchange.sent {
            sent.first_byte = None;
        }
        let timeout = exchange.request.timeouts.first_byte.or(self.settings.first_byte_timeout);
        let due = timeout.map_or(Moment::NEVER, |timeout| at.now + timeout);
        exchange.enter(Stage::Sent, due, id, &mut self.alarms);
    }

    /// A statement left a transaction open on a connection that is everybody's. What others sent behind it became a part of
    /// that, which nobody asked for: the connection is closed, which takes back what is not committed, and nothing of it is
    /// told as done.
    fn left_open(&mut self, at: At, id: ExchangeId) -> Flow {
        let mut words =
            "it left a transaction open, and its connection was closed for that: transactions go through a session"
                .to_owned();
        let results = self.exchanges.get(id).and_then(|exchange| exchange.collected.results());
        if let Some(error) = results.and_then(postgres::Results::error) {
            words = format!("{error}; {words}");
        }
        self.drop_off(at, id, ErrorKind::Closed, words, None);
        for id in self.exchanges.on(at.key) {
            let words = "a request before it on the same connection left a transaction open, and nobody knows what became of it";
            self.drop_off(at, id, ErrorKind::Closed, words.to_owned(), None);
        }
        self.pool.retire(at.tag as usize);
        self.to_close.push(at.key);
        Flow::Cancel
    }
}

/// Bytes of values that came.
fn bytes(message: &Message<'_>) -> u64 {
    match message {
        Message::Row(row) => row.as_bytes().len() as u64,
        Message::Data(data) => data.len() as u64,
        _ => 0,
    }
}

/// What a server says that lets nobody in.
pub(crate) fn turned_away(error: ErrorRef<'_>) -> (ErrorKind, String) {
    let error = postgres::ServerError::new(error);
    // Invalid authorization, and a database that is not there: the same for everybody who waits.
    let login = error.code().starts_with("28") || error.code() == sqlstate::INVALID_CATALOG_NAME;
    (if login { ErrorKind::Authentication } else { ErrorKind::Refused }, told(error.to_string().as_bytes()))
}

/// What it is that a login failed for.
pub(super) fn kind(violation: &protocols::Violation) -> ErrorKind {
    use Violation::{Alpn, Authentication, Injected, NoPassword, NoTls, Scram};
    use Violation::{TlsAnswer, TlsError, Unbound, Unproven, Version};
    match violation {
        protocols::Violation::Postgres(NoPassword | Authentication | Scram | Unproven | Unbound) => {
            ErrorKind::Authentication
        }
        protocols::Violation::Postgres(Version) => ErrorKind::Refused,
        protocols::Violation::Postgres(NoTls | TlsAnswer | TlsError | Injected | Alpn) => ErrorKind::Tls,
        _ => ErrorKind::Protocol,
    }
}
