//! The handler of the target: what it answers, on every connection. Dials nobody, and holds no more of a body than a
//! little.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use aquests::protocols::http1;
use aquests::protocols::semantics::{Body, Message, RequestHead, Response, Version};
use aquests::protocols::{Established, ExchangeId, Replay};
use aquests::reactor::{At, Chunk, Flow, Handler, Key, Moment, Reactor, Reason, Sender};

use super::echo::{self, Echo};
use super::heads::{Heads, Kind, reason};
use super::route::Route;

/// The short text.
const TEXT: &[u8] = b"This is the target of aquests.\n";
/// Up to so many bytes are sent in one piece with their head, and more in pieces of this size.
const PIECE: usize = 16 << 10;

/// What is answered, and how far each answer is.
#[derive(Debug)]
pub(super) struct Site {
    heads: Heads,
    filler: Box<[u8]>,
    /// By the place of the connection.
    slots: Vec<Slot>,
    /// Answers that wait for their time.
    delays: BinaryHeap<Reverse<(Moment, Key, ExchangeId)>>,
    /// Exchanges that can go on.
    resumes: Vec<(Key, ExchangeId)>,
}

/// The exchange of one connection.
#[derive(Debug)]
struct Slot {
    id: ExchangeId,
    state: State,
    /// The client waits for a word before it sends its body.
    expects: bool,
}

#[derive(Debug)]
enum State {
    Idle,
    /// What is left of the request is read past.
    Reading(Route),
    Ready(Route),
    /// Not yet.
    Delayed,
    /// So many bytes are still to be sent.
    Filling(u64),
    /// The head of the answer is sent, or not yet.
    Echo(Box<Echo>, bool),
}

const IDLE: Slot = Slot { id: ExchangeId(0), state: State::Idle, expects: false };

impl Site {
    pub(super) fn new() -> Self {
        Self {
            heads: Heads::new(),
            // Lines of 64 characters, so that it can be looked at.
            filler: (0..PIECE).map(|at| if at % 64 == 63 { b'\n' } else { b'a' + (at % 64 % 26) as u8 }).collect(),
            slots: Vec::new(),
            delays: BinaryHeap::new(),
            resumes: Vec::new(),
        }
    }

    /// What is to be done before a turn: what could not be while the reactor was lent out, and what is due.
    pub(super) fn prepare(&mut self, reactor: &mut Reactor<http1::Server>) {
        for (key, id) in self.resumes.drain(..) {
            reactor.resume(key, id);
        }
        if self.delays.is_empty() {
            return;
        }
        let now = reactor.now();
        while let Some(Reverse((_, key, id))) = self.delays.peek().filter(|Reverse((due, ..))| *due <= now) {
            let slot = &mut self.slots[key.index()];
            if matches!(slot.state, State::Delayed) && slot.id == *id {
                slot.state = State::Ready(Route::Root);
                reactor.wake(*key);
            }
            self.delays.pop();
        }
        reactor.set_alarm(self.delays.peek().map_or(Moment::NEVER, |Reverse((due, ..))| *due));
    }

    fn begin(&mut self, at: At, id: ExchangeId, head: &RequestHead<'_>, whole: bool) {
        let route = Route::of(head);
        let state = match route {
            Route::Echo => State::Echo(Box::new(Echo::new(head, whole)), false),
            route if whole => self.ready(at, id, route),
            route => State::Reading(route),
        };
        let expects = !whole && head.version != Version::Http10 && head.fields.get("expect").is_some();
        self.slots[at.key.index()] = Slot { id, state, expects };
    }

    fn ready(&mut self, at: At, id: ExchangeId, route: Route) -> State {
        match route {
            Route::Delay(delay) => {
                self.delays.push(Reverse((at.now + delay, at.key, id)));
                State::Delayed
            }
            route => State::Ready(route),
        }
    }

    /// Answers, or begins to. Returns what is left to do.
    fn answer(&mut self, id: ExchangeId, route: Route, to: &mut Sender<'_, http1::Server>) -> State {
        let mut send = |head, body| {
            // An exchange is answered once, and with what is well-formed: there is nothing to refuse.
            let sent = to.send(id, Response { head, body });
            debug_assert!(sent.is_ok(), "{sent:?}");
        };
        match route {
            Route::Root | Route::Delay(_) => send(self.heads.usual(Kind::Text), Body::Whole(TEXT)),
            Route::Close => send(self.heads.usual(Kind::Close), Body::Whole(TEXT)),
            Route::Options => send(self.heads.usual(Kind::Options), Body::EMPTY),
            Route::Bytes(bytes) if bytes <= PIECE as u64 => {
                send(self.heads.usual(Kind::Bytes), Body::Whole(&self.filler[..bytes as usize]));
            }
            Route::Bytes(bytes) => {
                send(self.heads.usual(Kind::Bytes), Body::Parts(Some(bytes)));
                return State::Filling(bytes);
            }
            Route::Chunked(bytes) => {
                send(self.heads.usual(Kind::Bytes), Body::Parts(None));
                return State::Filling(bytes);
            }
            Route::Status(status) => {
                let text = format!("{status} {}\n", reason(status));
                // RFC 9110 §15.3.6: nothing in a 205.
                let body = if status == 205 { &[] } else { text.as_bytes() };
                send(self.heads.status(status), Body::Whole(body));
            }
            Route::Redirect(times) => {
                let location = if times == 1 { "/".to_owned() } else { format!("/redirect/{}", times - 1) };
                send(&self.heads.redirect(&location), Body::EMPTY);
            }
            Route::Refuse(status, words) => {
                let text = format!("{status} {}: {words}\n", reason(status));
                send(self.heads.status(status), Body::Whole(text.as_bytes()));
            }
            Route::Echo => {}
        }
        State::Idle
    }

    fn answer_echo(
        &mut self,
        id: ExchangeId,
        echo: Box<Echo>,
        begun: bool,
        to: &mut Sender<'_, http1::Server>,
    ) -> State {
        if begun {
            return State::Echo(echo, begun);
        }
        let head = self.heads.usual(Kind::Text);
        if let Some(all) = echo.all() {
            let _ = to.send(id, Response { head, body: Body::Whole(all) });
            return State::Idle;
        }
        let _ = to.send(id, Response { head, body: Body::Parts(echo.length) });
        State::Echo(echo, true)
    }
}

impl Handler<http1::Server> for Site {
    fn connected(&mut self, at: At, _established: Established<'_>) -> http1::Server {
        let index = at.key.index();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || IDLE);
        }
        self.slots[index] = IDLE;
        http1::Server::new()
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, http1::Server>) {
        self.heads.refresh(at.now);
        let slot = &mut self.slots[at.key.index()];
        let id = slot.id;
        if std::mem::take(&mut slot.expects) {
            let _ = to.send(id, Response { head: &self.heads.go_on, body: Body::EMPTY });
            return;
        }
        let state = match std::mem::replace(&mut slot.state, State::Idle) {
            State::Ready(route) => self.answer(id, route, to),
            State::Echo(echo, begun) => self.answer_echo(id, echo, begun, to),
            state => state,
        };
        self.slots[at.key.index()].state = state;
    }

    fn chunk(&mut self, at: At, id: ExchangeId, room: usize) -> Chunk<'_> {
        let slot = &mut self.slots[at.key.index()];
        match &mut slot.state {
            State::Filling(left) => {
                let bytes = PIECE.min(room).min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= bytes as u64;
                Chunk::Data { bytes: &self.filler[..bytes], last: *left == 0 }
            }
            State::Echo(echo, _) => {
                let (part, flow) = echo.take(room);
                if flow == echo::Flow::Resume {
                    self.resumes.push((at.key, id));
                }
                part.map_or(Chunk::Later, |(bytes, last)| Chunk::Data { bytes, last })
            }
            _ => Chunk::Failed,
        }
    }

    fn on_message(
        &mut self,
        at: At,
        id: Option<ExchangeId>,
        message: Message<'_, RequestHead<'_>>,
        done: bool,
    ) -> Flow {
        let Some(id) = id else { return Flow::Continue };
        let data = match message {
            Message::Head(head) | Message::Informational(head) => {
                self.begin(at, id, &head, done);
                return Flow::Continue;
            }
            Message::Data(data) => data,
            Message::Trailers(_) => &[],
        };
        let slot = &mut self.slots[at.key.index()];
        // The body is on its way: nobody waits for a word.
        slot.expects = false;
        match &mut slot.state {
            State::Echo(echo, _) => match echo.add(data, done) {
                echo::Flow::Continue => {}
                echo::Flow::Hold => return Flow::Hold,
                echo::Flow::Resume => self.resumes.push((at.key, id)),
            },
            State::Reading(route) if done => {
                let route = *route;
                self.slots[at.key.index()].state = self.ready(at, id, route);
            }
            _ => {}
        }
        Flow::Continue
    }

    fn on_failed(&mut self, at: At, _id: ExchangeId, _reason: &Reason, _replay: Replay) {
        self.slots[at.key.index()] = IDLE;
    }

    fn on_closed(&mut self, at: At, _opened: bool, _reason: &Reason) {
        if let Some(slot) = self.slots.get_mut(at.key.index()) {
            *slot = IDLE;
        }
    }
}
