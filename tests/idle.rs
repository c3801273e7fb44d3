//! What a connection weighs that does nothing. A binary of its own, for its allocator and for the memory of the process.
#![cfg(feature = "http2")]

mod support;

use std::time::Duration;

use aquests::protocols::semantics::{Body, PreparedRequest, Request};
use aquests::protocols::{Established, ExchangeId, Protocol, Replay, http1, http2};
use aquests::reactor::{Address, At, Flow, Handler, Key, Moment, Reactor, Reason, Sender};
use support::counting::{Counting, counts};
use support::{Folder, Nginx, raise_open_files, resident_memory};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNECTIONS: usize = 10_000;

/// The client's side of HTTP, in either version.
trait Http: for<'a> Protocol<Request<'a> = Request<'a>> {
    fn machine() -> Self;
}

impl Http for http1::Client {
    fn machine() -> Self {
        Self::new()
    }
}

impl Http for http2::Client {
    fn machine() -> Self {
        Self::new()
    }
}

/// Lets every connection ask once, and again when it is told to.
struct Idle {
    head: PreparedRequest,
    /// Connections that may ask now, by their tag.
    may_ask: Vec<bool>,
    answers: usize,
}

impl<P: Http> Handler<P> for Idle {
    fn connected(&mut self, _at: At, _established: Established<'_>) -> P {
        P::machine()
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, P>) {
        to.set_silence(Some(Duration::from_secs(600)));
        if std::mem::take(&mut self.may_ask[at.tag as usize]) {
            let request = Request { head: &self.head, body: Body::EMPTY };
            to.send(ExchangeId(at.tag), request).expect("there was a slot");
        }
    }

    fn on_message(&mut self, _at: At, _id: Option<ExchangeId>, _message: P::Message<'_>, done: bool) -> Flow {
        self.answers += usize::from(done);
        Flow::Continue
    }

    fn on_failed(&mut self, at: At, _id: ExchangeId, reason: &Reason, _replay: Replay) {
        panic!("connection {} failed: {reason}", at.tag);
    }

    fn on_closed(&mut self, at: At, _opened: bool, reason: &Reason) {
        panic!("connection {} closed: {reason}", at.tag);
    }
}

fn ask_all<P: Http>(reactor: &mut Reactor<P>, idle: &mut Idle, keys: &[Key]) {
    idle.answers = 0;
    idle.may_ask.fill(true);
    for key in keys {
        reactor.wake(*key);
    }
    while idle.answers < keys.len() {
        reactor.turn(Some(Duration::from_secs(60)), idle).expect("the loop works");
    }
}

// One after the other: both look at the memory of the process.
#[test]
fn ten_thousand_idle_connections_are_light_and_alive() {
    raise_open_files(CONNECTIONS as u64 + 100);
    let locations = r#"keepalive_requests 1000; location = /2 { return 200 "ok"; }"#;
    are_light_and_alive::<http1::Client>("HTTP/1.1", &Nginx::start(locations), 512, 16);
    // The tables of header compression hold 4 KiB at most, of which a server fills more each time that the date changes.
    are_light_and_alive::<http2::Client>("HTTP/2", &Nginx::http2(Folder::new(), locations), 2048, 4096);
}

/// `bytes`: what our allocations may take per idle connection, on the heap and in the slab; `more`: by how many they may
/// grow with use.
fn are_light_and_alive<P: Http>(name: &str, nginx: &Nginx, bytes: i64, more: i64) {
    let address = Address::Tcp(([127, 0, 0, 1], nginx.port()).into());
    let mut idle = Idle {
        head: PreparedRequest::new("GET", "/2", "idle").expect("this is a good request"),
        may_ask: vec![false; CONNECTIONS],
        answers: 0,
    };
    let mut keys = Vec::with_capacity(CONNECTIONS);
    let mut reactor = Reactor::<P>::new().expect("the system has a poll");
    let (heap, resident) = (counts().live, resident_memory());
    while keys.len() < CONNECTIONS {
        // As many at once as a backlog takes.
        let batch = keys.len()..(keys.len() + 500).min(CONNECTIONS);
        for tag in batch.clone() {
            keys.push(reactor.connect(&address, tag as u64, Moment::NEVER).expect("the system has a socket"));
        }
        ask_all(&mut reactor, &mut idle, &keys[batch]);
    }
    let heap = (counts().live - heap) / CONNECTIONS as i64;
    let resident = resident_memory().saturating_sub(resident) / CONNECTIONS as u64;
    println!("{name}: an idle connection takes {heap} bytes on the heap, {resident} bytes of resident memory");
    assert!(heap <= bytes, "{name}: an idle connection takes {heap} bytes on the heap");
    // The allocator rounds up and keeps what it got back.
    assert!(resident <= 2 * bytes as u64, "{name}: an idle connection takes {resident} bytes of resident memory");
    assert_eq!(reactor.len(), CONNECTIONS);

    // They are all alive, they need no turn, and using them leaves nothing behind.
    let before = counts().live;
    for _ in 0..3 {
        ask_all(&mut reactor, &mut idle, &keys);
    }
    let grown = (counts().live - before) / CONNECTIONS as i64;
    assert!(grown <= more, "{name}: each connection grew by {grown} bytes when it was used");
}
