//! Signs of life that are asked for by hand: how many questions wait for a peer that neither reads nor answers.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use aquests::protocols::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay};
use aquests::reactor::{Address, At, Flow, Handler, Key, Moment, Reactor, Reason, Sender};
use support::must_end;

/// More than a socket takes from who writes to nobody.
const LONG: usize = 16 << 20;

/// Asks at length, and takes whatever comes for a sign of life.
struct Asks {
    length: usize,
}

impl Protocol for Asks {
    type Request<'a> = ();
    type Message<'a> = ();

    fn send(&mut self, _: ExchangeId, (): (), _: &mut Vec<u8>) -> Result<(), Refused> {
        Err(Refused::NotNow)
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, _: &mut Vec<u8>) -> Result<(usize, Event<()>), Error> {
        match input.bytes.len() {
            0 => Ok((0, Event::NeedData { at_least: 1 })),
            came => Ok((came, Event::Push(()))),
        }
    }

    fn slots(&self) -> usize {
        0
    }

    fn cancel(&mut self, _: ExchangeId, _: &mut Vec<u8>) -> bool {
        true
    }

    fn ping(&mut self, out: &mut Vec<u8>) {
        out.resize(out.len() + self.length, b'?');
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        None
    }
}

struct Hand {
    length: usize,
    opened: bool,
    came: usize,
}

impl Handler<Asks> for Hand {
    fn connected(&mut self, _: At, _: Established<'_>) -> Asks {
        self.opened = true;
        Asks { length: self.length }
    }

    fn pull(&mut self, _: At, _: &mut Sender<'_, Asks>) {}

    fn on_message(&mut self, _: At, _: Option<ExchangeId>, (): (), _: bool) -> Flow {
        self.came += 1;
        Flow::Continue
    }

    fn on_failed(&mut self, _: At, _: ExchangeId, _: &Reason, _: Replay) {}

    fn on_closed(&mut self, _: At, _: bool, reason: &Reason) {
        panic!("the connection closed: {reason}");
    }
}

/// A connection to a peer that does what the test says, and whoever drives it.
struct Asking {
    reactor: Reactor<Asks>,
    hand: Hand,
    key: Key,
    peer: TcpStream,
}

impl Asking {
    fn new(length: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut reactor = Reactor::new().unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let key = reactor.connect(&address, 0, Moment::NEVER).unwrap();
        let mut hand = Hand { length, opened: false, came: 0 };
        while !hand.opened {
            reactor.turn(None, &mut hand).unwrap();
        }
        Self { reactor, hand, key, peer: listener.accept().unwrap().0 }
    }

    /// Asks many times, and does between them all that can be done.
    fn ask(&mut self) {
        for _ in 0..20 {
            self.reactor.ping(self.key);
            self.reactor.turn(Some(Duration::ZERO), &mut self.hand).unwrap();
        }
    }

    /// The peer says something.
    fn hear(&mut self) {
        self.peer.write_all(b"!").unwrap();
        let before = self.hand.came;
        while self.hand.came == before {
            self.reactor.turn(None, &mut self.hand).unwrap();
        }
    }

    /// So many bytes come to the peer, and no more.
    fn expect(&mut self, bytes: usize) {
        self.peer.set_nonblocking(true).unwrap();
        let (mut read, mut buffer) = (0, vec![0; 1 << 16]);
        let mut idle = 0;
        while idle < 20 {
            self.reactor.turn(Some(Duration::from_millis(1)), &mut self.hand).unwrap();
            match self.peer.read(&mut buffer) {
                Ok(more) => (read, idle) = (read + more, 0),
                Err(_) if read < bytes => {}
                Err(_) => idle += 1,
            }
        }
        self.peer.set_nonblocking(false).unwrap();
        assert_eq!(read, bytes, "questions of {} bytes", self.hand.length);
    }
}

#[test]
fn a_peer_that_has_not_answered_is_not_asked_again() {
    must_end(|| {
        let mut asking = Asking::new(5);
        asking.ask();
        asking.expect(5);
        asking.hear();
        asking.ask();
        asking.expect(5);
    });
}

/// A peer that says something and reads nothing answers no question, and the next one would only wait behind the last.
#[test]
fn no_question_waits_behind_one_that_is_not_written() {
    must_end(|| {
        let mut asking = Asking::new(LONG);
        for _ in 0..5 {
            asking.ask();
            asking.hear();
        }
        asking.expect(LONG);
        asking.ask();
        asking.expect(LONG);
    });
}
