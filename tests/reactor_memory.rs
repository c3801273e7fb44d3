//! What a connection does with a message that is not whole: a length that a peer said is no memory, and what came of it is
//! not looked at again and again. A binary of its own, for its allocator.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aquests::protocols::Established;
use aquests::protocols::{Error, Event, ExchangeId, Input, Protocol, Refused, Replay};
use aquests::reactor::{Address, At, Flow, Handler, Moment, Reactor, Reason, Sender};
use support::counting::{Counting, peak};
use support::{Peer, must_end};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A protocol whose one answer has so many bytes.
struct Long {
    bytes: usize,
    open: Option<ExchangeId>,
    /// How often it looked.
    looked: Arc<AtomicUsize>,
}

impl Protocol for Long {
    type Request<'a> = ();
    type Message<'a> = usize;

    fn send(&mut self, id: ExchangeId, (): (), out: &mut Vec<u8>) -> Result<(), Refused> {
        self.open = Some(id);
        out.push(b'?');
        Ok(())
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, _: &mut Vec<u8>) -> Result<(usize, Event<usize>), Error> {
        self.looked.fetch_add(1, Ordering::SeqCst);
        let id = self.open.filter(|_| input.bytes.len() >= self.bytes);
        let Some(id) = id else { return Ok((0, Event::NeedData { at_least: self.bytes })) };
        self.open = None;
        Ok((self.bytes, Event::Message { id, message: self.bytes, done: true }))
    }

    fn slots(&self) -> usize {
        usize::from(self.open.is_none())
    }

    fn cancel(&mut self, _: ExchangeId, _: &mut Vec<u8>) -> bool {
        self.open = None;
        false
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        Some((self.open.take()?, Replay::Unknown))
    }
}

/// Asks once.
struct Asker {
    bytes: usize,
    looked: Arc<AtomicUsize>,
    asked: bool,
    answered: Vec<usize>,
    failed: Vec<String>,
}

impl Handler<Long> for Asker {
    fn connected(&mut self, _: At, _: Established<'_>) -> Long {
        Long { bytes: self.bytes, open: None, looked: Arc::clone(&self.looked) }
    }

    fn pull(&mut self, _: At, to: &mut Sender<'_, Long>) {
        if !std::mem::replace(&mut self.asked, true) {
            to.send(ExchangeId(0), ()).expect("there is a slot");
        }
    }

    fn on_message(&mut self, _: At, _: Option<ExchangeId>, message: usize, _: bool) -> Flow {
        self.answered.push(message);
        Flow::Continue
    }

    fn on_failed(&mut self, _: At, _: ExchangeId, reason: &Reason, _: Replay) {
        self.failed.push(reason.to_string());
    }

    fn on_closed(&mut self, _: At, _: bool, _: &Reason) {}
}

/// Asks a peer that drips so many bytes and hangs up, for an answer of so many.
fn asked(bytes: usize, dripped: usize) -> (Asker, i64) {
    let peer = Peer::start(move |conn| {
        conn.take(1)?;
        conn.drip(vec![b'x'; dripped], Duration::from_millis(1))?;
        conn.close()
    });
    let mut asker = Asker { bytes, looked: Arc::default(), asked: false, answered: Vec::new(), failed: Vec::new() };
    let mut reactor = Reactor::new().expect("the system has a poll");
    reactor.connect(&Address::Tcp(peer.address()), 0, Moment::NEVER).expect("the system has a socket");
    let used = peak(|| {
        while asker.answered.is_empty() && asker.failed.is_empty() {
            reactor.turn(Some(Duration::from_secs(60)), &mut asker).expect("the loop works");
        }
    });
    (asker, used)
}

#[test]
fn a_length_that_a_peer_said_is_no_memory() {
    must_end(|| {
        let (asker, used) = asked(1 << 30, 100);
        assert_eq!((asker.answered.len(), asker.failed.len()), (0, 1), "it hung up in the middle: {:?}", asker.failed);
        assert!(used < 1 << 20, "{used} bytes for 100 that came of 1 GiB that was announced");
    });
}

#[test]
fn a_message_that_comes_byte_by_byte_is_looked_at_when_it_begins_and_when_it_is_whole() {
    must_end(|| {
        let (asker, _) = asked(300, 300);
        assert_eq!((&asker.answered[..], asker.failed.len()), (&[300][..], 0));
        // Once more for each time that nothing had come, when the question left.
        let looked = asker.looked.load(Ordering::SeqCst);
        assert!(looked <= 4, "300 bytes were looked at {looked} times");
    });
}
