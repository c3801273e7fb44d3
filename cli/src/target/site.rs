//! The handler of the target: what it answers, on every connection. Dials nobody, and holds no more of a body than a
//! little.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use aquests::protocols::semantics::{Body, Message, RequestHead, Response, Version};
use aquests::protocols::{Established, ExchangeId, Replay, http2};
use aquests::reactor::{At, Chunk, Flow, Handler, Key, Moment, Reactor, Reason, Sender};

use super::echo::{self, Echo};
use super::heads::{Heads, Kind, reason};
use super::route::Route;
use super::wire::Wire;

/// The short text.
const TEXT: &[u8] = b"This is the target of aquests.\n";
/// Up to so many bytes are sent in one piece with their head, and more in pieces of this size.
const PIECE: usize = 16 << 10;
/// Characters in a line of what fills an answer.
const LINE: usize = 64;

/// What is answered, and how far each answer is.
#[derive(Debug)]
pub(super) struct Site {
    heads: Heads,
    filler: Box<[u8]>,
    /// By the place of the connection.
    visitors: Vec<Visitor>,
    /// Answers that wait for their time.
    delays: BinaryHeap<Reverse<(Moment, Key, ExchangeId)>>,
    /// Exchanges that can go on.
    resumes: Vec<(Key, ExchangeId)>,
}

/// The exchanges of one connection: one in HTTP/1.1, many in HTTP/2.
#[derive(Debug, Default)]
struct Visitor {
    /// Which connection it is, of all that ever had this place.
    key: Option<Key>,
    /// By their names, which grow.
    slots: Vec<Slot>,
    /// Those that something can be said to.
    ready: VecDeque<ExchangeId>,
    plain: bool,
}

#[derive(Debug)]
struct Slot {
    id: ExchangeId,
    state: State,
    /// The client waits for a word before it sends its body.
    expects: bool,
    /// It was asked for the head alone: the exchange ends with that, and nothing of a body is asked for.
    bodiless: bool,
    /// All of the answer was given.
    given: bool,
}

#[derive(Debug)]
enum State {
    /// What is left of the request is read past.
    Reading(Route),
    Ready(Route),
    /// The client offers HTTP/2, which is where it is answered.
    Switching(Box<http2::Server>, Box<State>),
    /// Not yet.
    Delayed,
    /// So many bytes were sent, and so many are still to be.
    Filling(u64, u64),
    /// The head of the answer is sent, or not yet.
    Echo(Box<Echo>, bool),
    Over,
}

impl Visitor {
    fn get(&mut self, id: ExchangeId) -> Option<&mut Slot> {
        let at = self.slots.binary_search_by_key(&id, |slot| slot.id).ok()?;
        Some(&mut self.slots[at])
    }

    fn add(&mut self, slot: Slot) {
        if self.slots.iter().any(|slot| slot.given) {
            self.slots.retain(|slot| !slot.given);
        }
        self.slots.push(slot);
    }

    fn remove(&mut self, id: ExchangeId) {
        if let Ok(at) = self.slots.binary_search_by_key(&id, |slot| slot.id) {
            self.slots.remove(at);
        }
    }
}

impl Site {
    pub(super) fn new() -> Self {
        Self {
            heads: Heads::new(),
            // Lines, so that it can be looked at; one more than a piece, for pieces that begin in the middle of one.
            filler: (0..PIECE + LINE)
                .map(|at| if at % LINE == LINE - 1 { b'\n' } else { b'a' + (at % LINE % 26) as u8 })
                .collect(),
            visitors: Vec::new(),
            delays: BinaryHeap::new(),
            resumes: Vec::new(),
        }
    }

    /// What is to be done before a turn: what could not be while the reactor was lent out, and what is due.
    pub(super) fn prepare(&mut self, reactor: &mut Reactor<Wire>) {
        for (key, id) in self.resumes.drain(..) {
            reactor.resume(key, id);
        }
        if self.delays.is_empty() {
            return;
        }
        let now = reactor.now();
        while let Some(Reverse((_, key, id))) = self.delays.peek().filter(|Reverse((due, ..))| *due <= now) {
            let visitor = &mut self.visitors[key.index()];
            // Whoever waited for it may be gone, and another in the same place whose exchanges have the same names.
            if visitor.key == Some(*key)
                && let Some(slot) = visitor.get(*id)
                && matches!(slot.state, State::Delayed)
            {
                slot.state = State::Ready(Route::Root);
                visitor.ready.push_back(*id);
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
        let state = match self.offer(at, id, head).filter(|_| whole) {
            Some(machine) => State::Switching(machine, Box::new(state)),
            None => state,
        };
        let expects = !whole && head.version == Version::Http11 && head.fields.get("expect").is_some();
        let visitor = &mut self.visitors[at.key.index()];
        if expects || !matches!(state, State::Reading(_) | State::Delayed) {
            visitor.ready.push_back(id);
        }
        visitor.add(Slot { id, state, expects, bodiless: head.method == "HEAD", given: false });
    }

    /// What goes on in HTTP/2 where the client offers that (RFC 7540 §3.2).
    fn offer(&self, at: At, id: ExchangeId, head: &RequestHead<'_>) -> Option<Box<http2::Server>> {
        if head.version != Version::Http11 || !self.visitors[at.key.index()].plain {
            return None;
        }
        let offers = |word: &[u8]| word.trim_ascii().eq_ignore_ascii_case(b"h2c");
        if !head.fields.get("upgrade")?.split(|byte| *byte == b',').any(offers) {
            return None;
        }
        let settings = head.fields.get("http2-settings")?;
        http2::Server::upgraded(http2::Settings::default(), id, head.method == "HEAD", settings).ok().map(Box::new)
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

    /// An exchange is in another state, in which something can be said to it, or later.
    fn settle(&mut self, at: At, id: ExchangeId, state: State) {
        let visitor = &mut self.visitors[at.key.index()];
        if !matches!(state, State::Delayed) {
            visitor.ready.push_back(id);
        }
        if let Some(slot) = visitor.get(id) {
            slot.state = state;
        }
    }

    /// Answers, or begins to. Returns what is left to do.
    fn answer(&mut self, id: ExchangeId, route: Route, to: &mut Sender<'_, Wire>) -> State {
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
                return State::Filling(0, bytes);
            }
            Route::Chunked(bytes) => {
                send(self.heads.usual(Kind::Bytes), Body::Parts(None));
                return State::Filling(0, bytes);
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
        State::Over
    }

    fn answer_echo(&mut self, id: ExchangeId, echo: Box<Echo>, begun: bool, to: &mut Sender<'_, Wire>) -> State {
        if begun {
            return State::Echo(echo, begun);
        }
        let head = self.heads.usual(Kind::Text);
        if let Some(all) = echo.all() {
            let _ = to.send(id, Response { head, body: Body::Whole(all) });
            return State::Over;
        }
        let _ = to.send(id, Response { head, body: Body::Parts(echo.length) });
        State::Echo(echo, true)
    }
}

impl Handler<Wire> for Site {
    fn connected(&mut self, at: At, established: Established<'_>) -> Wire {
        let index = at.key.index();
        if index >= self.visitors.len() {
            self.visitors.resize_with(index + 1, Visitor::default);
        }
        let visitor = &mut self.visitors[index];
        visitor.key = Some(at.key);
        visitor.plain = !established.tls;
        visitor.slots.clear();
        visitor.ready.clear();
        Wire::new(established)
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Wire>) {
        self.heads.refresh(at.now);
        let index = at.key.index();
        while to.slots() > 0
            && let Some(id) = self.visitors[index].ready.pop_front()
        {
            let Some(slot) = self.visitors[index].get(id) else { continue };
            if std::mem::take(&mut slot.expects) {
                let _ = to.send(id, Response { head: &self.heads.go_on, body: Body::EMPTY });
            }
            let bodiless = slot.bodiless;
            let state = match std::mem::replace(&mut slot.state, State::Over) {
                State::Ready(route) => self.answer(id, route, to),
                State::Echo(echo, begun) => self.answer_echo(id, echo, begun, to),
                State::Switching(machine, next) => {
                    let _ = to.send(id, Response { head: &self.heads.switch, body: Body::EMPTY });
                    State::Switching(machine, next)
                }
                state => state,
            };
            match state {
                State::Filling(..) | State::Echo(..) if bodiless => self.visitors[index].remove(id),
                State::Over => self.visitors[index].remove(id),
                state => {
                    if let Some(slot) = self.visitors[index].get(id) {
                        slot.state = state;
                    }
                }
            }
        }
    }

    fn chunk(&mut self, at: At, id: ExchangeId, room: usize) -> Chunk<'_> {
        let Some(slot) = self.visitors[at.key.index()].get(id) else { return Chunk::Failed };
        let Slot { state, given, .. } = slot;
        match state {
            State::Filling(sent, left) => {
                let bytes = PIECE.min(room).min(usize::try_from(*left).unwrap_or(usize::MAX));
                let from = (*sent % LINE as u64) as usize;
                (*sent, *left) = (*sent + bytes as u64, *left - bytes as u64);
                *given = *left == 0;
                Chunk::Data { bytes: &self.filler[from..from + bytes], last: *given }
            }
            State::Echo(echo, _) => {
                let (part, flow) = echo.take(room);
                if flow == echo::Flow::Resume {
                    self.resumes.push((at.key, id));
                }
                *given = matches!(part, Some((_, true)));
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
        // The request may go on behind an answer that is whole.
        let Some(slot) = self.visitors[at.key.index()].get(id) else { return Flow::Continue };
        // The body is on its way: nobody waits for a word.
        slot.expects = false;
        match &mut slot.state {
            // None of it goes back.
            State::Echo(..) if slot.bodiless => {}
            State::Echo(echo, _) => match echo.add(data, done) {
                echo::Flow::Continue => {}
                echo::Flow::Hold => return Flow::Hold,
                echo::Flow::Resume => self.resumes.push((at.key, id)),
            },
            State::Reading(route) if done => {
                let route = *route;
                let state = self.ready(at, id, route);
                self.settle(at, id, state);
            }
            _ => {}
        }
        Flow::Continue
    }

    fn switched(&mut self, at: At, id: ExchangeId) -> Option<Wire> {
        let slot = self.visitors[at.key.index()].get(id)?;
        let State::Switching(machine, next) = std::mem::replace(&mut slot.state, State::Over) else { return None };
        self.settle(at, id, *next);
        Some(Wire::Http2(machine))
    }

    fn on_failed(&mut self, at: At, id: ExchangeId, _reason: &Reason, _replay: Replay) {
        self.visitors[at.key.index()].remove(id);
    }

    fn on_closed(&mut self, at: At, _opened: bool, _reason: &Reason) {
        if let Some(visitor) = self.visitors.get_mut(at.key.index()) {
            visitor.slots.clear();
            visitor.ready.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::time::{Duration, Instant};

    use aquests::reactor::Listener;

    use super::*;

    /// The preface and empty SETTINGS.
    const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    /// HEADERS of a request, which END_STREAM ends or not.
    fn headers(stream: u8, method: &str, path: &str, ends: bool) -> Vec<u8> {
        let mut block = vec![0x02, method.len() as u8];
        block.extend_from_slice(method.as_bytes());
        block.extend_from_slice(&[0x86, 0x04, path.len() as u8]);
        block.extend_from_slice(path.as_bytes());
        block.extend_from_slice(b"\x01\x01h");
        let mut frame = vec![0, 0, block.len() as u8, 1, 4 | u8::from(ends), 0, 0, 0, stream];
        frame.extend_from_slice(&block);
        frame
    }

    /// A site on a port of its own, served by the thread of the test.
    struct Served {
        site: Site,
        reactor: Reactor<Wire>,
        address: SocketAddr,
    }

    impl Served {
        fn new() -> Self {
            let mut reactor = Reactor::new().unwrap();
            let listener = Listener::tcp("127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
            let address = listener.local_addr().unwrap();
            reactor.listen(listener, 0).unwrap();
            Self { site: Site::new(), reactor, address }
        }

        fn connect(&self, bytes: &[u8]) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).unwrap();
            stream.write_all(bytes).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        }

        /// Serves until something holds.
        #[track_caller]
        fn until(&mut self, what: &str, mut holds: impl FnMut(&Site) -> bool) {
            let begin = Instant::now();
            while !holds(&self.site) {
                assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
                self.site.prepare(&mut self.reactor);
                self.reactor.turn(Some(Duration::from_millis(10)), &mut self.site).unwrap();
            }
        }

        /// Serves until bytes are in what the client is sent.
        #[track_caller]
        fn until_sent(&mut self, mut client: &TcpStream, times: usize, bytes: &[u8]) {
            let mut sent = Vec::new();
            self.until("the answers do not come", |_| {
                let mut buffer = [0; 1 << 16];
                while let Ok(more @ 1..) = client.read(&mut buffer) {
                    sent.extend_from_slice(&buffer[..more]);
                }
                sent.windows(bytes.len()).filter(|part| *part == bytes).count() >= times
            });
        }
    }

    /// The frame header of an answer's HEADERS, from its type on.
    fn answered(stream: u8, ends: bool) -> [u8; 6] {
        [1, 4 | u8::from(ends), 0, 0, 0, stream]
    }

    #[test]
    fn an_answer_to_head_leaves_nothing_behind() {
        let mut served = Served::new();
        for path in ["/bytes/100000", "/chunked/9", "/echo", "/"] {
            let client = served.connect(format!("HEAD {path} HTTP/1.1\r\nhost: h\r\n\r\n").repeat(20).as_bytes());
            served.until_sent(&client, 20, b"HTTP/1.1 200 OK\r\n");
            assert!(served.site.visitors.iter().all(|visitor| visitor.slots.is_empty()), "{path}, HTTP/1.1");

            let mut bytes = HELLO.to_vec();
            // The body of the last never comes.
            bytes.extend((0..20).flat_map(|number| headers(number * 2 + 1, "HEAD", path, number < 19)));
            let second = served.connect(&bytes);
            if path == "/echo" {
                served.until_sent(&second, 1, &answered(39, true));
            } else {
                served.until_sent(&second, 1, &answered(37, true));
            }
            let left: usize = served.site.visitors.iter().map(|visitor| visitor.slots.len()).sum();
            // What is no echo is answered when the request is whole.
            assert_eq!(left, usize::from(path != "/echo"), "{path}, HTTP/2");
            drop((client, second));
            served.until("the clients went away", |site| site.visitors.iter().all(|visitor| visitor.slots.is_empty()));
        }
    }

    #[test]
    fn a_delay_of_a_client_that_is_gone_delays_nobody_else() {
        let mut served = Served::new();
        let ask = |path| [HELLO, &headers(1, "GET", path, true)].concat();
        let first = served.connect(&ask("/delay/500"));
        let waits = |site: &Site| site.visitors.iter().filter(|visitor| !visitor.slots.is_empty()).count();
        served.until("the first does not ask", |site| waits(site) == 1);
        drop(first);
        served.until("the first does not leave", |site| waits(site) == 0);
        let second = served.connect(&ask("/delay/800"));
        served.until("the second does not ask", |site| waits(site) == 1);
        assert_eq!(served.site.visitors.len(), 1, "it has the place of the first");
        served.until_sent(&second, 1, &answered(1, false));
        assert!(served.site.delays.is_empty(), "nobody is answered before the time");
    }
}
