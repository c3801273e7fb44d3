//! The reactor by hand: what the calls from outside (wake, resume, cancel, close) and the answers of a handler (hold,
//! cancel, parts of a body, a switch) do to one connection.
#![cfg(feature = "http1")]

mod support;

use std::collections::VecDeque;
use std::time::Duration;

use aquests::protocols::http1::Client;
use aquests::protocols::semantics::{Body, Message, PreparedRequest, Request, ResponseHead};
use aquests::protocols::{Error, Established, ExchangeId, Replay};
use aquests::reactor::{At, Chunk, Flow, Handler, Key, Moment, Reactor, Reason, Sender};
use support::{Peer, must_end, peak_memory, resident_memory};

/// One connection, to which tests do things by hand.
#[derive(Default)]
struct Hand {
    /// Requests that wait to be sent: target, and body by parts (its length) or none.
    queue: VecDeque<(ExchangeId, PreparedRequest, Option<Option<u64>>)>,
    chunks: VecDeque<Part>,
    given: Vec<u8>,
    /// What to do with the next messages.
    flows: VecDeque<Flow>,
    upgrade: Option<Client>,
    depth: u16,
    linger: Option<Duration>,
    pulls: usize,
    messages: usize,
    bytes: u64,
    done: Vec<ExchangeId>,
    failed: Vec<(ExchangeId, String)>,
    switched: usize,
    closed: Vec<(Key, bool, String)>,
}

enum Part {
    Data(Vec<u8>),
    Last(Vec<u8>),
    Trailers(&'static [u8]),
    Later,
    Failed,
}

impl Hand {
    fn get(&mut self, id: u64, target: &str) {
        let head = PreparedRequest::new("GET", target, "hand").expect("this is a good request");
        self.queue.push_back((ExchangeId(id), head, None));
    }

    fn upload(&mut self, id: u64, length: Option<u64>, parts: impl IntoIterator<Item = Part>) {
        let head = PreparedRequest::new("POST", "/upload", "hand").expect("this is a good request");
        self.queue.push_back((ExchangeId(id), head, Some(length)));
        self.chunks.extend(parts);
    }
}

impl Handler<Client> for Hand {
    fn connected(&mut self, _at: At, _established: Established<'_>) -> Client {
        Client::new().pipeline(self.depth)
    }

    fn pull(&mut self, _at: At, to: &mut Sender<'_, Client>) {
        self.pulls += 1;
        if let Some(most) = self.linger {
            to.linger(most);
        }
        while to.slots() > 0
            && let Some((id, head, parts)) = self.queue.pop_front()
        {
            let body = parts.map_or(Body::EMPTY, Body::Parts);
            to.send(id, Request { head: &head, body }).expect("there was a slot");
        }
    }

    fn chunk(&mut self, _at: At, _id: ExchangeId, room: usize) -> Chunk<'_> {
        assert!(room > 0);
        let (bytes, last) = match self.chunks.pop_front() {
            None | Some(Part::Later) => return Chunk::Later,
            Some(Part::Failed) => return Chunk::Failed,
            Some(Part::Trailers(trailers)) => return Chunk::Trailers(trailers),
            Some(Part::Data(bytes)) => (bytes, false),
            Some(Part::Last(bytes)) => (bytes, true),
        };
        if bytes.len() > room {
            // No more than was asked for; the rest is for the next time.
            let rest = bytes[room..].to_vec();
            self.chunks.push_front(if last { Part::Last(rest) } else { Part::Data(rest) });
            self.given = bytes[..room].to_vec();
            return Chunk::Data { bytes: &self.given, last: false };
        }
        self.given = bytes;
        Chunk::Data { bytes: &self.given, last }
    }

    fn on_message(
        &mut self,
        _at: At,
        id: Option<ExchangeId>,
        message: Message<'_, ResponseHead<'_>>,
        done: bool,
    ) -> Flow {
        self.messages += 1;
        if let Message::Data(bytes) = message {
            self.bytes += bytes.len() as u64;
        }
        if done {
            self.done.extend(id);
        }
        self.flows.pop_front().unwrap_or(Flow::Continue)
    }

    fn on_failed(&mut self, _at: At, id: ExchangeId, reason: &Reason, _replay: Replay) {
        self.failed.push((id, reason.to_string()));
    }

    fn switched(&mut self, _at: At, _id: ExchangeId) -> Option<Client> {
        self.switched += 1;
        self.upgrade.take()
    }

    fn on_closed(&mut self, at: At, opened: bool, reason: &Reason) {
        self.closed.push((at.key, opened, reason.to_string()));
    }
}

fn connect(reactor: &mut Reactor<Client>, peer: &Peer) -> Key {
    reactor.connect(&peer.address().into(), 0, Moment::NEVER).expect("the system has a socket")
}

/// Turns until something is so.
#[track_caller]
fn turn_until(reactor: &mut Reactor<Client>, hand: &mut Hand, so: impl Fn(&Hand) -> bool) {
    let start = std::time::Instant::now();
    while !so(hand) {
        assert!(start.elapsed() < Duration::from_secs(60), "it never comes: {:?} {:?}", hand.failed, hand.closed);
        reactor.turn(Some(Duration::from_millis(10)), hand).expect("the loop works");
    }
}

/// Turns for a while in which nothing should happen.
fn turn_idly(reactor: &mut Reactor<Client>, hand: &mut Hand) {
    for _ in 0..20 {
        reactor.turn(Some(Duration::from_millis(5)), hand).expect("the loop works");
    }
}

#[test]
fn what_lingers_leaves_with_what_comes_meanwhile_and_in_time_by_itself() {
    let peer = Peer::echo();
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand { depth: 8, ..Hand::default() });
    let key = connect(&mut reactor, &peer);
    hand.get(1, "/1");
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 1);

    // Nothing else happens: it is written when its time is up.
    for most in [Duration::ZERO, Duration::from_micros(100), Duration::from_millis(30)] {
        hand.linger = Some(most);
        let before = hand.done.len();
        hand.get(2, "/2");
        reactor.wake(key);
        turn_until(&mut reactor, &mut hand, |hand| hand.done.len() > before);
    }

    // What waits for an hour waits; what is large takes it along.
    hand.linger = Some(Duration::from_secs(3_600));
    hand.get(3, "/3");
    reactor.wake(key);
    turn_idly(&mut reactor, &mut hand);
    let before = hand.done.len();
    assert!(reactor.next_deadline().is_some(), "somebody else's loop must know when to turn");
    assert_eq!(peer.requests(), before, "it waits");
    // So much does not wait.
    let mut head = PreparedRequest::new("GET", "/4", "hand").unwrap();
    for number in 0..20 {
        head.field(&format!("x-{number}"), &[b'x'; 1_000]).unwrap();
    }
    hand.queue.push_back((ExchangeId(4), head, None));
    reactor.wake(key);
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == before + 2);
}

#[test]
fn a_connection_without_room_pulls_when_it_is_woken_so_that_nobody_waits_for_it() {
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.wait();
        Ok(())
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    hand.get(1, "/1");
    turn_until(&mut reactor, &mut hand, |hand| hand.queue.is_empty());
    let before = hand.pulls;
    turn_idly(&mut reactor, &mut hand);
    assert_eq!(hand.pulls, before, "one request is on its way, and more than one the connection does not take");
    reactor.wake(key);
    turn_idly(&mut reactor, &mut hand);
    assert_eq!(hand.pulls, before + 1);
}

#[test]
fn an_idle_connection_pulls_when_it_is_woken_and_not_before() {
    let peer = Peer::echo();
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    hand.get(1, "/1");
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 1);
    let pulls = hand.pulls;
    hand.get(2, "/2");
    turn_idly(&mut reactor, &mut hand);
    assert_eq!(hand.pulls, pulls, "nobody woke it");
    reactor.wake(key);
    assert!(reactor.next_deadline().is_some_and(|due| due <= std::time::Instant::now()), "there is work");
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 2);
    assert_eq!(peer.connections(), 1);
}

#[test]
fn a_stale_key_does_nothing_to_its_successor() {
    let peer = Peer::echo();
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let old = connect(&mut reactor, &peer);
    hand.get(1, "/1");
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 1);
    reactor.close(old, &mut hand);
    assert_eq!(hand.closed.len(), 1);
    let new = connect(&mut reactor, &peer);
    assert_eq!((old.as_u64() as u32, old == new), (new.as_u64() as u32, false), "the place is used again, the key not");
    hand.get(2, "/2");
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 2);
    let pulls = hand.pulls;
    hand.get(3, "/3");
    reactor.wake(old);
    reactor.resume(old, ExchangeId(2));
    reactor.cancel(old, ExchangeId(2), &mut hand);
    reactor.close(old, &mut hand);
    turn_idly(&mut reactor, &mut hand);
    assert_eq!((hand.pulls, hand.closed.len(), reactor.len()), (pulls, 1, 1), "a stale key reached somebody");
    reactor.wake(new);
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 3);
    assert!(hand.failed.is_empty() && hand.closed.len() == 1);
}

#[test]
fn a_cancelled_exchange_at_the_front_takes_the_connection_with_it_and_is_not_named_again() {
    let peer = Peer::start(|conn| conn.request().and_then(|_| conn.stall()));
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand { depth: 3, ..Hand::default() });
    let key = connect(&mut reactor, &peer);
    for id in 1..=3 {
        hand.get(id, "/");
    }
    while peer.requests() == 0 {
        reactor.turn(Some(Duration::from_millis(5)), &mut hand).unwrap();
    }
    reactor.cancel(key, ExchangeId(1), &mut hand);
    turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
    let failed: Vec<ExchangeId> = hand.failed.iter().map(|(id, _)| *id).collect();
    assert_eq!((failed, hand.done.len()), (vec![ExchangeId(2), ExchangeId(3)], 0));
    assert_eq!(hand.closed, [(key, true, Reason::Owner.to_string())]);
}

#[test]
fn a_cancelled_exchange_behind_another_is_read_and_dropped() {
    let peer = Peer::start(|conn| {
        for _ in 0..3 {
            conn.request()?;
        }
        conn.wait();
        for body in ["one", "two", "three"] {
            conn.answer(body)?;
        }
        conn.echo()
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand { depth: 3, ..Hand::default() });
    let key = connect(&mut reactor, &peer);
    for id in 1..=3 {
        hand.get(id, "/");
    }
    while peer.requests() < 3 {
        reactor.turn(Some(Duration::from_millis(5)), &mut hand).unwrap();
    }
    reactor.cancel(key, ExchangeId(2), &mut hand);
    peer.open_gate();
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 2);
    assert_eq!((&hand.done, hand.bytes), (&vec![ExchangeId(1), ExchangeId(3)], 8));
    hand.get(4, "/four");
    reactor.wake(key);
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 3);
    assert!(hand.failed.is_empty() && hand.closed.is_empty(), "the connection lives");
}

#[test]
fn a_handler_can_cancel_in_the_middle_of_an_answer() {
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
        conn.send_for_ever("x".repeat(1_000))
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    hand.get(1, "/");
    // The head, some of the body, and enough.
    hand.flows = VecDeque::from([Flow::Continue, Flow::Continue, Flow::Cancel]);
    turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
    assert_eq!((hand.messages, &hand.failed), (3, &vec![]), "a cancelled exchange is not named again");
    assert_eq!(hand.closed, [(key, true, Reason::Owner.to_string())]);
}

#[test]
fn a_held_answer_waits_in_the_socket_and_not_in_memory() {
    const SIZE: u64 = 256 << 20;
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n"))?;
        let part = vec![b'x'; 1 << 20];
        for _ in 0..SIZE / part.len() as u64 {
            conn.send(&part)?;
        }
        conn.stall()
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    let before = resident_memory();
    hand.get(1, "/");
    hand.flows = VecDeque::from([Flow::Continue, Flow::Hold]);
    turn_until(&mut reactor, &mut hand, |hand| hand.messages == 2);
    turn_idly(&mut reactor, &mut hand);
    assert_eq!(hand.messages, 2, "it was held");
    assert!(peer.sent() < SIZE / 2, "the peer could send {} bytes while nobody read", peer.sent());
    assert_eq!(reactor.next_deadline(), None, "a held connection is no work");
    // Held again and again, with whatever comes in between.
    for _ in 0..100 {
        let messages = hand.messages;
        hand.flows = VecDeque::from([Flow::Hold]);
        reactor.resume(key, ExchangeId(1));
        turn_until(&mut reactor, &mut hand, |hand| hand.messages > messages);
    }
    let held = hand.messages;
    turn_idly(&mut reactor, &mut hand);
    assert_eq!(hand.messages, held);
    reactor.resume(key, ExchangeId(1));
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 1);
    assert_eq!(hand.bytes, SIZE);
    let grown = peak_memory().saturating_sub(before);
    assert!(grown < SIZE / 4, "memory grew by {grown} bytes");
}

#[test]
fn a_held_connection_still_meets_its_end() {
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")?;
        conn.wait();
        conn.reset()
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    hand.get(1, "/");
    hand.flows = VecDeque::from([Flow::Continue, Flow::Hold]);
    turn_until(&mut reactor, &mut hand, |hand| hand.messages == 2);
    peer.open_gate();
    turn_idly(&mut reactor, &mut hand);
    reactor.resume(key, ExchangeId(1));
    turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
    assert_eq!((hand.failed.len(), hand.bytes), (1, 5), "what had arrived was told, and then the end");
}

#[test]
fn a_body_in_parts_arrives_whole_and_waits_for_its_source() {
    for length in [Some(200_010), None] {
        let peer = Peer::start(|conn| {
            let seen = conn.request()?;
            conn.answer(seen.body.len().to_string())?;
            conn.echo()
        });
        let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
        let key = connect(&mut reactor, &peer);
        let parts = [Part::Data(vec![b'a'; 5]), Part::Data(vec![b'b'; 200_000]), Part::Later];
        hand.upload(1, length, parts);
        turn_until(&mut reactor, &mut hand, |hand| hand.chunks.is_empty());
        turn_idly(&mut reactor, &mut hand);
        assert!(hand.done.is_empty() && hand.failed.is_empty(), "its source has nothing yet");
        hand.chunks.push_back(Part::Last(vec![b'c'; 5]));
        reactor.resume(key, ExchangeId(1));
        turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 1);
        let expected = [vec![b'a'; 5], vec![b'b'; 200_000], vec![b'c'; 5]].concat();
        assert!(peer.seen()[0].body == expected, "with length {length:?} the body came otherwise");
        hand.get(2, "/next");
        reactor.wake(key);
        turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 2);
    }
}

#[test]
fn a_body_in_chunks_can_end_with_trailers() {
    let peer = Peer::echo();
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    hand.upload(1, None, [Part::Data(b"hello".to_vec()), Part::Trailers(b"x-sum: 5\r\n")]);
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 1);
    hand.get(2, "/next");
    reactor.wake(key);
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 2);
    assert_eq!(peer.seen()[0].body, b"hello");
}

#[test]
fn a_body_whose_source_fails_fails_its_exchange_and_takes_the_connection_with_it() {
    for length in [Some(1_000), None] {
        let peer = Peer::echo();
        let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
        let key = connect(&mut reactor, &peer);
        hand.upload(1, length, [Part::Data(b"hello".to_vec()), Part::Failed]);
        turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
        assert_eq!((hand.failed.len(), hand.done.len(), hand.closed.len()), (1, 0, 1), "{:?}", hand.failed);
        assert_eq!((hand.failed[0].0, hand.closed[0].0), (ExchangeId(1), key));
        assert_eq!(peer.requests(), 0, "half a body is no request");
    }
}

#[test]
fn an_early_answer_ends_an_upload_and_the_connection() {
    // The server goes on reading, or hangs up with bytes unread, which the system tells us as a reset.
    for patient in [true, false] {
        let peer = Peer::start(move |conn| {
            conn.glance()?;
            conn.send("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!")?;
            if patient { conn.stall() } else { Ok(()) }
        });
        let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
        connect(&mut reactor, &peer);
        hand.upload(1, Some(1 << 30), [Part::Data(vec![b'x'; 8 << 20])]);
        turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
        let outcome = (&hand.done, hand.bytes, &hand.failed);
        assert_eq!(outcome, (&vec![ExchangeId(1)], 3, &vec![]), "patient: {patient}, {:?}", hand.closed);
    }
}

#[test]
fn a_switched_connection_goes_on_with_the_new_machine_and_the_unread_bytes() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n";
    let ask = |hand: &mut Hand| {
        let mut head = PreparedRequest::new("GET", "/", "hand").unwrap();
        head.field("connection", b"upgrade").unwrap().field("upgrade", b"other").unwrap();
        hand.queue.push_back((ExchangeId(1), head, None));
    };
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.send(SWITCH)?;
        conn.echo()
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    ask(&mut hand);
    hand.upgrade = Some(Client::new());
    turn_until(&mut reactor, &mut hand, |hand| hand.switched == 1);
    hand.get(2, "/after");
    reactor.wake(key);
    turn_until(&mut reactor, &mut hand, |hand| hand.done == [ExchangeId(2)]);
    assert!(hand.failed.is_empty() && hand.closed.is_empty());

    // The new machine reads what came behind the switch, and this one has no use for it.
    let eager = Peer::start(|conn| {
        conn.request()?;
        conn.send(format!("{SWITCH}HTTP/1.1 200 OK\r\n\r\n"))?;
        conn.stall()
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    connect(&mut reactor, &eager);
    ask(&mut hand);
    hand.upgrade = Some(Client::new());
    turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
    let unsolicited = Error::from(aquests::protocols::http1::Violation::Unsolicited);
    assert_eq!(hand.closed[0].2, Reason::Protocol(unsolicited).to_string());

    // Nobody wants the new protocol.
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    connect(&mut reactor, &peer);
    ask(&mut hand);
    turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
    assert_eq!((hand.closed[0].2.clone(), hand.failed.len()), (Reason::Finished.to_string(), 0));
}

#[test]
fn a_wake_up_from_another_thread_is_never_lost() {
    must_end(|| {
        let mut reactor = Reactor::<Client>::new().unwrap();
        let mut hand = Hand::default();
        let waker = reactor.waker();
        // Before the turn: it ends at once although it may wait for ever.
        for _ in 0..100 {
            waker.wake().unwrap();
            reactor.turn(None, &mut hand).unwrap();
        }
        // During the turn, at any point: each of them answers the one before, so that none may be lost.
        let (asked, asks) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            for () in asks {
                waker.wake().unwrap();
            }
        });
        for _ in 0..2_000 {
            asked.send(()).unwrap();
            reactor.turn(None, &mut hand).unwrap();
        }
        drop(asked);
        other.join().unwrap();
    });
}
