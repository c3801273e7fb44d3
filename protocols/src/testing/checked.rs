//! The law of conservation, and what else can be seen from a machine's answers alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay};

/// A machine that is watched: it is driven like the machine inside, and panics when that breaks the contract of
/// [`Protocol`].
///
/// - Every exchange that `send` accepted ends exactly once, and is not named after that. [`settle`](Self::settle) finds
///   those that never ended.
/// - `receive` uses no more bytes than there are, asks for at least one, and does not answer without end on no byte.
/// - An error sticks, and its goodbye is said once.
/// - `Refused` leaves `out` untouched; nothing is accepted where [`slots`](Protocol::slots) is 0, nor after an error or
///   [`close`](Protocol::close).
/// - [`wants_data`](Protocol::wants_data) names open exchanges that are not stalled, and the room that it names is
///   there.
///
/// It is a [`Protocol`] itself, so whatever drives a machine can drive one that is watched.
#[derive(Debug)]
pub struct Checked<P> {
    machine: P,
    book: Book,
}

/// Everything that is known of the exchanges of one machine. Knows only the envelope of an event.
#[derive(Debug)]
struct Book {
    role: Role,
    exchanges: BTreeMap<ExchangeId, State>,
    stalled: BTreeSet<ExchangeId>,
    /// Unread bytes that must be there before the machine is called again.
    wanted: usize,
    paused: bool,
    /// Events in a row that used no byte.
    idle: usize,
    error: Option<Error>,
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More of it will come.
    Open,
    /// A server has the whole request.
    Whole,
    /// Ended, by what.
    Ended(&'static str),
}

/// So many events in a row may use no byte, beside one for each open exchange (a GOAWAY fails many at once). A frame is
/// rarely worth more than three.
const IDLE: usize = 16;

impl<P: Protocol> Checked<P> {
    /// Watches the client's side: exchanges begin with `send`.
    pub fn client(machine: P) -> Self {
        Self { machine, book: Book::new(Role::Client) }
    }

    /// Watches the server's side: exchanges begin with a message, and are numbered from 0.
    pub fn server(machine: P) -> Self {
        Self { machine, book: Book::new(Role::Server) }
    }

    /// The machine inside, for what only this protocol has. What is sent this way is not counted.
    pub fn inner(&mut self) -> &mut P {
        &mut self.machine
    }

    /// How many exchanges wait for more to come.
    pub fn open(&self) -> usize {
        self.book.exchanges.values().filter(|state| **state == State::Open).count()
    }

    /// Whether `receive` is to be called now: so many bytes are unread, and `eof` says that no more will come.
    pub fn wants_input(&self, unread: usize, eof: bool) -> bool {
        !self.book.paused && (unread >= self.book.wanted || eof)
    }

    /// After an error, the end or `close`: takes what is unfinished, in the order of the ids, and panics when an
    /// exchange of a client ended in no way.
    pub fn settle(&mut self) -> Vec<(ExchangeId, Replay)> {
        let mut unfinished = Vec::new();
        while let Some(exchange) = self.unfinished() {
            unfinished.push(exchange);
        }
        unfinished.sort_unstable();
        if self.book.role == Role::Client {
            let lost: Vec<_> = self.book.exchanges.iter().filter(|(_, state)| **state == State::Open).collect();
            assert!(lost.is_empty(), "exchanges that never ended: {lost:?}; unfinished named {unfinished:?}");
        }
        unfinished
    }
}

impl<P: Protocol> Protocol for Checked<P> {
    type Request<'a> = P::Request<'a>;
    type Message<'a>
        = P::Message<'a>
    where
        Self: 'a;

    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        self.machine.connected(at, out);
    }

    fn send(&mut self, id: ExchangeId, request: P::Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let (slots, before) = (self.machine.slots(), out.len());
        let result = self.machine.send(id, request, out);
        match result {
            Ok(()) => self.book.sent(id, slots),
            Err(refused) => untouched("send", refused, before, out),
        }
        result
    }

    fn receive<'a>(
        &'a mut self,
        input: Input<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Event<Self::Message<'a>>), Error> {
        let before = out.len();
        let result = self.machine.receive(input, out);
        match &result {
            Ok((used, event)) => self.book.received(input, *used, event),
            Err(error) => self.book.failed(*error, out.len() > before),
        }
        result
    }

    fn slots(&self) -> usize {
        self.machine.slots()
    }

    fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        let wants = self.machine.wants_data();
        if let Some((id, _)) = wants {
            self.book.alive(id, "wants_data");
            assert!(!self.book.stalled.contains(&id), "wants_data names {id:?}, which is stalled");
        }
        wants
    }

    fn send_data(&mut self, id: ExchangeId, data: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let (room, before) = (self.machine.wants_data(), out.len());
        let result = self.machine.send_data(id, data, last, out);
        match result {
            Ok(taken) => {
                assert!(taken <= data.len(), "send_data took {taken} of {} bytes", data.len());
                if let Some((_, room)) = room.filter(|(wanted, _)| *wanted == id) {
                    let due = data.len().min(room);
                    assert!(taken >= due, "send_data took {taken} bytes of {id:?}, wants_data had room for {room}");
                }
                self.book.unpause();
            }
            Err(refused) => untouched("send_data", refused, before, out),
        }
        result
    }

    fn send_trailers(&mut self, id: ExchangeId, trailers: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let before = out.len();
        let result = self.machine.send_trailers(id, trailers, out);
        match result {
            Ok(()) => self.book.unpause(),
            Err(refused) => untouched("send_trailers", refused, before, out),
        }
        result
    }

    fn stall(&mut self, id: ExchangeId) {
        self.machine.stall(id);
        self.book.stalled.insert(id);
    }

    fn unstall(&mut self, id: ExchangeId) {
        self.machine.unstall(id);
        self.book.stalled.remove(&id);
    }

    fn hold(&mut self, id: ExchangeId) {
        self.machine.hold(id);
    }

    fn resume(&mut self, id: ExchangeId, out: &mut Vec<u8>) {
        self.machine.resume(id, out);
        self.book.stalled.remove(&id);
        self.book.unpause();
    }

    fn cancel(&mut self, id: ExchangeId, out: &mut Vec<u8>) -> bool {
        let lives = self.machine.cancel(id, out);
        // Cancelling what has ended is no fault: the caller may not have looked yet.
        self.book.exchanges.entry(id).and_modify(|state| {
            if !matches!(state, State::Ended(_)) {
                *state = State::Ended("cancel");
            }
        });
        lives
    }

    fn ping(&mut self, out: &mut Vec<u8>) {
        self.machine.ping(out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.machine.close(out);
        self.book.closed = true;
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        let unfinished = self.machine.unfinished();
        if let Some((id, _)) = unfinished {
            self.book.end(id, "unfinished");
        }
        unfinished
    }
}

impl Book {
    fn new(role: Role) -> Self {
        Self {
            role,
            exchanges: BTreeMap::new(),
            stalled: BTreeSet::new(),
            wanted: 1,
            paused: false,
            idle: 0,
            error: None,
            closed: false,
        }
    }

    fn sent(&mut self, id: ExchangeId, slots: usize) {
        assert!(slots > 0, "send accepted {id:?} where slots was 0");
        assert_eq!(self.error, None, "send accepted {id:?} after an error");
        self.unpause();
        match self.role {
            Role::Server => self.alive(id, "send"),
            Role::Client => {
                assert!(!self.closed, "send accepted {id:?} after close");
                let before = self.exchanges.insert(id, State::Open);
                assert_eq!(before, None, "the caller gave the name {id:?} twice");
            }
        }
    }

    /// What a machine answers now may need no byte: it may be over.
    fn unpause(&mut self) {
        if core::mem::take(&mut self.paused) {
            self.wanted = 0;
        }
    }

    fn received<M>(&mut self, input: Input<'_>, used: usize, event: &Event<M>) {
        let there = input.bytes.len();
        assert!(used <= there, "receive used {used} bytes of {there}");
        assert_eq!(self.error, None, "receive forgot its error");
        self.idle = if used == 0 { self.idle + 1 } else { 0 };
        match event {
            Event::NeedData { at_least } => {
                assert!(*at_least >= 1, "NeedData asks for no byte");
                // One more than are there, in any case: the same bytes would only be looked at again.
                self.wanted = (there - used + 1).max(*at_least);
                self.idle = 0;
            }
            Event::Paused => {
                self.paused = true;
                self.idle = 0;
            }
            Event::Message { id, done, .. } => self.message(*id, *done),
            Event::Failed { id, .. } => self.end(*id, "Failed"),
            Event::Switched { id } => self.end(*id, "Switched"),
            // What comes next is another protocol, and it begins with its first byte.
            Event::StartTls => self.wanted = 1,
            Event::Progress | Event::Push(_) | Event::Closed => {}
        }
        let most = IDLE + self.exchanges.len();
        assert!(self.idle <= most, "receive answered {} times without using a byte", self.idle);
    }

    fn message(&mut self, id: ExchangeId, done: bool) {
        if self.role == Role::Server && !self.exchanges.contains_key(&id) {
            let next = self.exchanges.len() as u64;
            assert_eq!(id.0, next, "a server numbers requests as they come, from 0");
            self.exchanges.insert(id, State::Open);
        }
        let state = self.exchanges.get(&id);
        assert_eq!(state, Some(&State::Open), "a message of {id:?}");
        match (done, self.role) {
            (true, Role::Client) => self.end(id, "done"),
            (true, Role::Server) => {
                self.exchanges.insert(id, State::Whole);
            }
            (false, _) => {}
        }
    }

    fn failed(&mut self, error: Error, wrote: bool) {
        if let Some(first) = self.error {
            assert_eq!(error, first, "receive returned another error than before");
            assert!(!wrote, "the goodbye was said again");
        }
        self.error = Some(error);
    }

    fn end(&mut self, id: ExchangeId, by: &'static str) {
        self.alive(id, by);
        self.exchanges.insert(id, State::Ended(by));
        self.stalled.remove(&id);
    }

    fn alive(&self, id: ExchangeId, what: &str) {
        match self.exchanges.get(&id) {
            Some(State::Open | State::Whole) => {}
            Some(State::Ended(by)) => panic!("{what} names {id:?}, which ended before: {by}"),
            None => panic!("{what} names {id:?}, which nobody sent"),
        }
    }
}

fn untouched(what: &str, refused: Refused, before: usize, out: &[u8]) {
    assert_eq!(out.len(), before, "{what} refused ({refused}) and wrote nevertheless: {}", super::show(out));
}
