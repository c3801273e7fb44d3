//! The state of a client and what it does with events: which request goes to which connection, what is collected, and the
//! outcome. What is tried again is in `retries`. It touches no socket; dialing and waking is done by `pump`.

use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::download::Sink;
use super::errands::Later;
use super::exchange::{Alarms, Exchange, Exchanges, Upgrade};
#[cfg(feature = "postgres")]
use super::interrupts::Interrupts;
use super::outcome::{Failed, Outcome};
use super::pings::Pings;
use super::prepared::{Owner, Prepared};
use super::push::{Listener, Listeners};
use super::response::{Response, Timings};
#[cfg(feature = "postgres")]
use super::statements;
use super::{BoxError, RequestId, Settings};
use crate::error::{Error, ErrorKind};
use crate::pool::{Pool, Waiting};
use crate::protocols::{Established, ExchangeId, Replay, http1};
#[cfg(all(feature = "postgres", feature = "tls"))]
use crate::reactor::Tls;
use crate::reactor::{At, Chunk, Flow, Handler, Key, Moment, Reason, Sender};
use crate::report::Recorder;
use crate::wire::{Message, Wire};

pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) pool: Pool,
    pub(super) exchanges: Exchanges,
    pub(super) outcomes: VecDeque<Outcome>,
    /// Of requests that have time limits.
    pub(super) alarms: Alarms,
    pub(super) recorder: Recorder,
    /// From the first request to the last outcome since the last report.
    pub(super) span: Option<(Moment, Moment)>,
    /// Exchanges to be taken off their connections.
    pub(super) to_cancel: Vec<(Key, ExchangeId)>,
    /// Exchanges whose bodies may go on.
    pub(super) to_resume: Vec<(Key, ExchangeId)>,
    /// Connections that wait for the program, or do so no more.
    pub(super) to_tune: Vec<usize>,
    /// Where bodies are read to on their way out, a piece at a time.
    pub(super) buffer: Vec<u8>,
    /// Connections to be closed: they lost a race.
    pub(super) to_close: Vec<Key>,
    /// When races want their next attempt, by connection. Those that are over leave their entries behind.
    pub(super) races: BinaryHeap<std::cmp::Reverse<(Moment, usize)>>,
    pub(super) pings: Pings,
    pub(super) listeners: Listeners,
    /// What goes on at a later time.
    pub(super) later: Later,
    #[cfg(feature = "redis")]
    pub(super) clusters: Vec<super::cluster::Cluster>,
    #[cfg(feature = "redis")]
    pub(super) masters: Vec<super::sentinel::Masters>,
    #[cfg(feature = "postgres")]
    pub(super) known: statements::Known,
    #[cfg(feature = "postgres")]
    pub(super) interrupts: Interrupts,
    /// Bytes collected and not yet handed over.
    pub(super) buffered: usize,
    /// The number of the last question for a name.
    pub(super) questions: u32,
    /// What one connection takes at once, of all that were used so far.
    pub(super) widest: usize,
    /// Requests that are on a connection.
    pub(super) on_way: usize,
    /// Requests that ended since the queue was told.
    pub(super) finished: usize,
}

impl Core {
    pub(super) fn new(settings: Settings, listener: Option<Listener>) -> Self {
        Self {
            settings,
            pool: Pool::default(),
            exchanges: Exchanges::default(),
            outcomes: VecDeque::new(),
            alarms: Alarms::new(),
            recorder: Recorder::new(false),
            span: None,
            to_cancel: Vec::new(),
            to_resume: Vec::new(),
            to_tune: Vec::new(),
            buffer: Vec::new(),
            to_close: Vec::new(),
            races: BinaryHeap::new(),
            pings: Pings::default(),
            listeners: Listeners::new(listener),
            later: Later::new(),
            #[cfg(feature = "redis")]
            clusters: Vec::new(),
            #[cfg(feature = "redis")]
            masters: Vec::new(),
            #[cfg(feature = "postgres")]
            known: statements::Known::default(),
            #[cfg(feature = "postgres")]
            interrupts: Interrupts::default(),
            buffered: 0,
            questions: 0,
            widest: 1,
            on_way: 0,
            finished: 0,
        }
    }

    /// Takes a request into the queue of its route.
    pub(super) fn accept(&mut self, id: RequestId, request: Prepared, route: usize, now: Moment) {
        let exchange = self.take(id, request, route, now);
        self.pool.enqueue(route, Waiting { age: id.0, id: exchange });
    }

    /// Takes a request, which is in no queue yet.
    pub(super) fn take(&mut self, id: RequestId, request: Prepared, route: usize, now: Moment) -> ExchangeId {
        self.span.get_or_insert((now, now));
        let timeout = request.timeouts.total.or(self.settings.total_timeout);
        let exchange = self.exchanges.insert(id, request, route, now);
        if let Some(timeout) = timeout
            && let Some(inserted) = self.exchanges.get(exchange)
        {
            inserted.total = now + timeout;
            inserted.arm(exchange, &mut self.alarms);
        }
        exchange
    }

    /// No server is being told to stop.
    pub(super) fn interrupts_nobody(&self) -> bool {
        #[cfg(feature = "postgres")]
        return self.interrupts.is_empty();
        #[cfg(not(feature = "postgres"))]
        true
    }

    /// Ends a request, wherever it is.
    pub(super) fn give_up(&mut self, id: ExchangeId, kind: ErrorKind, detail: &str, now: Moment) -> bool {
        let Some(exchange) = self.exchanges.remove(id) else { return false };
        if let Some(sent) = exchange.sent {
            self.to_cancel.push((sent.key, id));
            self.left(sent.connection, exchange.waits());
        }
        self.fail(exchange, kind, detail.to_owned(), now);
        true
    }

    /// Ends the request that has waited for longest on a route; in a session all that wait, as they follow from each other.
    pub(super) fn fail_first(&mut self, route: usize, kind: ErrorKind, detail: &str, now: Moment) {
        if self.pool.routes.get(route).is_some_and(|entry| entry.session.is_some()) {
            return self.fail_all(route, kind, detail, now);
        }
        if let Some(id) = self.pop(route)
            && let Some(exchange) = self.exchanges.remove(id)
        {
            self.fail(exchange, kind, detail.to_owned(), now);
        }
    }

    /// Ends every request that waits on a route. A session is over with that: what is sent later may be what was to follow
    /// them, and does not know yet.
    pub(super) fn fail_all(&mut self, route: usize, kind: ErrorKind, detail: &str, now: Moment) {
        while let Some(id) = self.pop(route) {
            if let Some(session) = &mut self.pool.routes[route].session {
                session.lost = true;
            }
            if let Some(exchange) = self.exchanges.remove(id) {
                self.fail(exchange, kind, detail.to_owned(), now);
            }
        }
    }

    /// The next outcome, to be handed over.
    pub(super) fn next_outcome(&mut self) -> Option<Outcome> {
        let outcome = self.outcomes.pop_front()?;
        if let Some(response) = outcome.response() {
            self.buffered = self.buffered.saturating_sub(response.collected.size());
        }
        Some(outcome)
    }

    /// Takes the first request of a route that is still wanted.
    pub(super) fn pop(&mut self, route: usize) -> Option<ExchangeId> {
        loop {
            let Waiting { id, .. } = self.pool.routes.get_mut(route)?.queue.pop_front()?;
            if self.exchanges.get(id).is_some() {
                return Some(id);
            }
        }
    }

    /// Drops what is not wanted any more from the front of a queue and says whether anything is left.
    pub(super) fn has_waiting(&mut self, route: usize) -> bool {
        let Some(entry) = self.pool.routes.get_mut(route) else { return false };
        while let Some(first) = entry.queue.front() {
            if self.exchanges.get(first.id).is_some() {
                return true;
            }
            entry.queue.pop_front();
        }
        false
    }

    /// An exchange left a connection, answered or not. So many times it had made it wait for the program.
    pub(super) fn left(&mut self, connection: usize, waits: u32) {
        self.on_way = self.on_way.saturating_sub(1);
        if let Some(entry) = self.pool.connections.get_mut(connection) {
            entry.in_flight = entry.in_flight.saturating_sub(1);
            if entry.in_flight == 0 {
                (entry.alone, entry.patience) = (false, None);
            }
            self.waiting(connection, waits, 0);
        }
    }

    /// An exchange on a connection waits for the program as many times as it says, and not as before.
    pub(super) fn waiting(&mut self, connection: usize, before: u32, after: u32) {
        if before != after
            && let Some(entry) = self.pool.connections.get_mut(connection)
        {
            entry.waits = (entry.waits + after).saturating_sub(before);
            self.to_tune.push(connection);
        }
    }

    pub(super) fn fail(&mut self, exchange: Exchange, kind: ErrorKind, detail: String, now: Moment) {
        self.fail_with(exchange, kind, detail, None, now);
    }

    pub(super) fn fail_with(
        &mut self,
        exchange: Exchange,
        kind: ErrorKind,
        mut detail: String,
        source: Option<BoxError>,
        now: Moment,
    ) {
        if let Some(errand) = exchange.errand {
            self.buffered = self.buffered.saturating_sub(exchange.collected.size());
            return self.errand_failed(errand, kind, &detail, now);
        }
        let peer = self.server_of(&exchange);
        let Exchange { id, mut request, collected, .. } = exchange;
        if let Some(sent) = exchange.sent
            && self.pool.is(sent.connection, sent.key)
        {
            request.abandon(&mut self.pool.connections[sent.connection]);
        }
        let sink = request.streams.as_mut().and_then(|streams| streams.sink.as_mut());
        if let Some(path) = sink.and_then(Sink::left_behind) {
            let between = if detail.is_empty() { "" } else { "; " };
            detail = format!("{detail}{between}{} is left with part of the answer", path.display());
        }
        self.buffered = self.buffered.saturating_sub(collected.size());
        self.recorder.failed(kind);
        let peer = match (&request.address, peer) {
            (Some(address), _) => address.to_string(),
            (None, Some(peer)) => peer,
            (None, None) => format!("{}:{}", request.url.host(), request.url.port()),
        };
        let harmless = request.is_idempotent() || exchange.sent.is_none();
        let passing = !matches!(
            kind,
            ErrorKind::InvalidRequest | ErrorKind::TooLarge | ErrorKind::Protocol | ErrorKind::Tls | ErrorKind::Upload
        );
        let mut error = Error::new(kind, peer, detail).of_request(id).retryable(harmless && passing);
        if let Some(source) = source {
            error = error.boxed_source(source);
        }
        self.finish(id, request.method, request.callback, Err(Failed { error, meta: request.meta }), now);
    }

    pub(super) fn answer(&mut self, exchange: Exchange, now: Moment) {
        if let Some(errand) = exchange.errand {
            self.buffered = self.buffered.saturating_sub(exchange.collected.size());
            return self.errand_done(errand, exchange.collected, now);
        }
        let Exchange { id, request, sent, queued, mut collected, .. } = exchange;
        collected.version = sent.and_then(|sent| sent.version);
        let Prepared { method, url, meta, callback, .. } = request;
        let sent_at = sent.map_or(now, |sent| sent.at);
        let timings = Timings {
            queued: sent_at.since(queued),
            resolve: sent.and_then(|sent| sent.made.resolve),
            connect: sent.and_then(|sent| sent.made.connect),
            tls: sent.and_then(|sent| sent.made.tls),
            first_byte: sent.and_then(|sent| sent.first_byte).unwrap_or(now).since(sent_at),
            total: now.since(queued),
        };
        let response = Response::new(id, method.clone(), url, meta, timings, collected);
        self.recorder.answered(response.collected.verdict(), response.version(), now.since(sent_at));
        self.recorder.bytes(usize::try_from(response.received()).unwrap_or(usize::MAX));
        self.finish(id, method, callback, Ok(response), now);
    }

    fn finish(
        &mut self,
        id: RequestId,
        method: http::Method,
        callback: Option<super::Callback>,
        result: Result<Response, Failed>,
        now: Moment,
    ) {
        if let Some((_, last)) = &mut self.span {
            *last = now;
        }
        self.finished += 1;
        let outcome = Outcome { id, method, callback, result };
        self.settings.logger.line(format_args!("{outcome}"));
        self.outcomes.push_back(outcome);
    }

    /// A request that cannot even be queued has its outcome all the same: nobody waits for a return value.
    pub(super) fn refuse(&mut self, id: RequestId, owner: Owner, error: Error, now: Moment) {
        self.span.get_or_insert((now, now));
        self.recorder.failed(error.kind());
        let failed = Failed { error: error.of_request(id), meta: owner.meta };
        self.finish(id, owner.method, owner.callback, Err(failed), now);
    }

    /// Which server an exchange is for, where its URL does not say so.
    fn server_of(&self, exchange: &Exchange) -> Option<String> {
        #[cfg(feature = "redis")]
        if let Some(node) = self.place_of(exchange) {
            return Some(node);
        }
        #[cfg(feature = "postgres")]
        if let Some(database) = self.database_of(exchange) {
            return Some(database);
        }
        let _ = exchange;
        None
    }
}

impl Handler<Wire> for Core {
    #[cfg(feature = "tls")]
    fn tls_begins(&mut self, at: At) -> Moment {
        if let Some(entry) = self.pool.connections.get_mut(at.tag as usize) {
            entry.handshakes.push((at.key, at.now));
        }
        self.settings.tls_timeout.map_or(Moment::NEVER, |timeout| at.now + timeout)
    }

    fn connected(&mut self, at: At, established: Established<'_>) -> Wire {
        self.to_close.extend(self.pool.won(at.tag as usize, at.key));
        #[cfg(feature = "postgres")]
        if let Some(machine) = self.interrupting(at.key) {
            return machine;
        }
        if !self.pool.is(at.tag as usize, at.key) {
            // It lost its race, and closes when it asks for requests.
            return Wire::Http1(http1::Client::new());
        }
        self.pool.opened(at.tag as usize, at.now);
        if let Some(every) = self.settings.ping_every {
            self.pings.begin(at.tag as usize, at.key, at.now + every);
        }
        self.machine(at.tag as usize, &established)
    }

    #[cfg(all(feature = "postgres", feature = "tls"))]
    fn start_tls(&mut self, at: At) -> Option<(Tls, Moment)> {
        self.tls_on_request(at)
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Wire>) {
        self.fill(at, to);
    }

    fn chunk(&mut self, at: At, id: ExchangeId, room: usize) -> Chunk<'_> {
        self.next_chunk(at, id, room)
    }

    fn on_message(&mut self, at: At, id: Option<ExchangeId>, message: Message<'_>, done: bool) -> Flow {
        let Some(id) = id else {
            self.on_push(at, message);
            return Flow::Continue;
        };
        match message {
            Message::Http(message) => self.on_http(at, id, message, done),
            #[cfg(feature = "redis")]
            Message::Redis(message) => self.on_redis(at, id, message, done),
            #[cfg(feature = "postgres")]
            Message::Postgres(message) => self.on_postgres(at, id, message, done),
        }
    }

    fn switched(&mut self, at: At, id: ExchangeId) -> Option<Wire> {
        let machine = self.upgraded(at.tag as usize, id);
        if machine.is_none()
            && let Some(exchange) = self.exchanges.remove(id)
        {
            self.left(at.tag as usize, exchange.waits());
            match exchange.upgrade {
                // What was agreed to is between the user and the server, and nothing more can be asked here.
                Upgrade::No => self.answer(exchange, at.now),
                _ => {
                    let words = "it switched to a protocol that was not asked for".to_owned();
                    self.fail(exchange, ErrorKind::Protocol, words, at.now);
                }
            }
        }
        machine
    }

    fn on_failed(&mut self, at: At, id: ExchangeId, reason: &Reason, replay: Replay) {
        self.failed(at, id, reason, replay);
    }

    fn on_closed(&mut self, at: At, opened: bool, reason: &Reason) {
        #[cfg(feature = "postgres")]
        self.interrupts.over(at.key);
        let connection = at.tag as usize;
        if self.pool.is(connection, at.key) || self.attempt_failed(connection, at, reason) {
            self.closed(connection, opened, reason, at.now);
        }
    }
}

/// A time that a connection may rest before it is closed; servers close theirs after 60 to 75 seconds.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(50);
