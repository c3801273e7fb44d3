//! The laws are enforced: a machine that breaks one is caught, and the words tell how. One flaw, one test.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use aquests_protocols::testing::{Checked, Pair, Script, Seen, Side, splits};
use aquests_protocols::{Error, Event, ExchangeId, Input, Protocol, Refused, Replay, Violation};

/// A line each way, for both roles; `!` is an error. Right as it stands, and wrong in the one way that it is told.
struct Lines {
    flaw: Flaw,
    open: VecDeque<ExchangeId>,
    /// A server: how many requests came.
    came: Option<u64>,
    error: Option<Error>,
    calls: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    AsksForNothing,
    AsksForTooMuch,
    EndsTwice,
    ForgetsErrors,
    Lingers,
    Loses,
    RefusesAndWrites,
    SaysGoodbyeTwice,
    SeesTheCut,
    TakesWithoutSlots,
    UsesMoreThanThere,
}

impl Lines {
    fn new(flaw: Flaw) -> Self {
        Self { flaw, open: VecDeque::new(), came: None, error: None, calls: 0 }
    }
}

impl Protocol for Lines {
    type Request<'a> = &'a [u8];
    type Message<'a> = &'a [u8];

    fn send(&mut self, id: ExchangeId, line: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        if self.slots() == 0 && self.flaw != Flaw::TakesWithoutSlots {
            if self.flaw == Flaw::RefusesAndWrites {
                out.extend_from_slice(line);
            }
            return Err(Refused::NotNow);
        }
        match self.came {
            None => self.open.push_back(id),
            Some(_) => self.open.retain(|open| *open != id),
        }
        out.extend_from_slice(line);
        out.push(b'\n');
        Ok(())
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, out: &mut Vec<u8>) -> Result<(usize, Event<&'a [u8]>), Error> {
        self.calls += 1;
        if let Some(error) = self.error {
            if self.flaw == Flaw::ForgetsErrors {
                return Ok((0, Event::NeedData { at_least: 1 }));
            }
            if self.flaw == Flaw::SaysGoodbyeTwice {
                out.extend_from_slice(b"bye\n");
            }
            return Err(error);
        }
        let Some(end) = input.bytes.iter().position(|&byte| byte == b'\n') else {
            let at_least = match self.flaw {
                Flaw::AsksForNothing => 0,
                Flaw::AsksForTooMuch => input.bytes.len() + 2,
                Flaw::Lingers => return Ok((0, Event::Progress)),
                _ => input.bytes.len() + 1,
            };
            return Ok((0, Event::NeedData { at_least }));
        };
        let (line, mut used) = (&input.bytes[..end], end + 1);
        if line == b"!" {
            out.extend_from_slice(b"bye\n");
            let error = Error::Violation(Violation::Other("an exclamation mark"));
            self.error = Some(error);
            return Err(error);
        }
        let id = match &mut self.came {
            Some(came) => {
                let id = ExchangeId(*came);
                *came += 1;
                self.open.push_back(id);
                id
            }
            None if self.flaw == Flaw::EndsTwice => self.open[0],
            None => self.open.pop_front().expect("the tests send no line too many"),
        };
        if self.flaw == Flaw::UsesMoreThanThere {
            used += 1;
        }
        let message = if self.flaw == Flaw::SeesTheCut && self.calls > 1 { &line[..0] } else { line };
        Ok((used, Event::Message { id, message, done: true }))
    }

    fn slots(&self) -> usize {
        if self.came.is_some() { self.open.len() } else { 2 - self.open.len().min(2) }
    }

    fn cancel(&mut self, id: ExchangeId, _: &mut Vec<u8>) -> bool {
        self.open.retain(|open| *open != id);
        false
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        let id = self.open.pop_front().filter(|_| self.flaw != Flaw::Loses)?;
        Some((id, Replay::Unknown))
    }
}

fn see(line: &[u8]) -> Seen<Vec<u8>> {
    Seen::Item(line.to_vec())
}

fn client(flaw: Flaw, requests: u64) -> Side<Lines, Vec<u8>> {
    let mut side = Side::client(Lines::new(flaw), see);
    for id in 0..requests {
        side.machine.send(ExchangeId(id), b"ping", &mut side.out).unwrap();
    }
    side
}

fn message(id: u64, line: &[u8]) -> Event<Seen<Vec<u8>>> {
    Event::Message { id: ExchangeId(id), message: see(line), done: true }
}

/// The words with which `test` panics.
#[track_caller]
fn words<R>(test: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(test)) else { panic!("nothing was caught") };
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[track_caller]
fn assert_caught(flaw: Flaw, input: &[u8], expected: &str) {
    let words = words(|| splits(input, true, || client(flaw, 1)));
    assert!(words.contains(expected), "{words}");
    assert!(words.contains("the peer sent"), "{words}");
}

#[test]
fn a_right_machine_passes_and_its_run_is_returned() {
    let run = splits(b"one\ntwo\nthr", true, || client(Flaw::None, 2));
    assert_eq!(run.events, [message(0, b"one"), message(1, b"two")]);
    assert_eq!((run.error, run.unfinished), (None, vec![]));
    assert_eq!(run.out, b"ping\nping\n");
}

#[test]
fn an_end_with_open_exchanges_is_an_error_and_names_them() {
    let run = splits(b"one\ntw", true, || client(Flaw::None, 2));
    assert_eq!(run.error, Some(Error::UnexpectedEof));
    assert_eq!(run.unfinished, [(ExchangeId(1), Replay::Unknown)]);
}

#[test]
fn an_error_comes_after_the_same_events_at_every_cut() {
    let run = splits(b"one\n!\ntwo\n", false, || client(Flaw::None, 2));
    assert_eq!(run.events, [message(0, b"one")]);
    assert_eq!(run.error, Some(Error::Violation(Violation::Other("an exclamation mark"))));
    assert!(run.out.ends_with(b"bye\n"));
}

#[test]
fn long_inputs_are_cut_at_a_bounded_number_of_places() {
    let mut input = vec![b'x'; 40_000];
    input.push(b'\n');
    let run = splits(&input, true, || client(Flaw::None, 1));
    assert_eq!(run.events.len(), 1);
}

#[test]
fn a_machine_whose_events_depend_on_the_cut_is_caught_with_the_cut() {
    let words = words(|| splits(b"ab\n", false, || client(Flaw::SeesTheCut, 1)));
    assert!(words.contains("another cut of the same bytes gives other events"), "{words}");
    assert!(words.contains("the peer sent, byte by byte, \"ab\\n\""), "{words}");
}

#[test]
fn a_machine_that_waits_for_more_than_it_needs_is_caught() {
    // Only where the stream goes on: at its end a machine is asked with whatever is there.
    let words = words(|| splits(b"a\n", false, || client(Flaw::AsksForTooMuch, 1)));
    assert!(words.contains("another cut of the same bytes gives other events"), "{words}");
}

#[test]
fn a_machine_that_asks_for_no_byte_is_caught() {
    assert_caught(Flaw::AsksForNothing, b"a\n", "NeedData asks for no byte");
}

#[test]
fn a_machine_that_uses_more_than_there_is_is_caught() {
    assert_caught(Flaw::UsesMoreThanThere, b"a\n", "receive used 3 bytes of 2");
}

#[test]
fn a_machine_that_answers_for_ever_on_no_byte_is_caught() {
    assert_caught(Flaw::Lingers, b"a", "without using a byte");
}

#[test]
fn a_machine_that_forgets_its_error_is_caught() {
    assert_caught(Flaw::ForgetsErrors, b"!\n", "receive forgot its error");
}

#[test]
fn a_machine_that_says_goodbye_twice_is_caught() {
    assert_caught(Flaw::SaysGoodbyeTwice, b"!\n", "the goodbye was said again");
}

#[test]
fn a_machine_that_ends_an_exchange_twice_is_caught() {
    assert_caught(Flaw::EndsTwice, b"a\nb\n", "a message of ExchangeId(0)");
}

#[test]
fn a_machine_that_loses_an_exchange_is_caught() {
    assert_caught(Flaw::Loses, b"", "exchanges that never ended: [(ExchangeId(0), Open)]");
}

#[test]
fn a_refusal_that_writes_is_caught() {
    let mut machine = Checked::client(Lines::new(Flaw::RefusesAndWrites));
    let words = words(|| (0..3).map(|id| machine.send(ExchangeId(id), b"a", &mut Vec::new())).collect::<Vec<_>>());
    assert!(words.contains("send refused (no room on this connection now) and wrote nevertheless"), "{words}");
}

#[test]
fn a_machine_that_takes_more_than_its_slots_is_caught() {
    let mut machine = Checked::client(Lines::new(Flaw::TakesWithoutSlots));
    let words = words(|| (0..3).map(|id| machine.send(ExchangeId(id), b"a", &mut Vec::new())).collect::<Vec<_>>());
    assert!(words.contains("send accepted ExchangeId(2) where slots was 0"), "{words}");
}

#[test]
fn a_cancelled_exchange_that_is_named_again_is_caught() {
    let mut side = client(Flaw::EndsTwice, 2);
    assert!(!side.machine.cancel(ExchangeId(0), &mut side.out));
    side.machine.inner().open.push_front(ExchangeId(0));
    let words = words(|| side.receive(b"a\n", false));
    assert!(words.contains("Some(Ended(\"cancel\"))"), "{words}");
}

#[test]
fn a_script_tells_the_step_at_which_the_machine_says_something_else() {
    let script = Script::new().expect(b"ping\n").send(b"one\n").expect(b"pong\n");
    let words = words(|| script.run(|| client(Flaw::None, 2)));
    assert!(words.contains("expected \"pong\\n\", the machine said \"ping\\n\""), "{words}");
    assert!(words.contains("at step 3 of the script, after the peer sent, each step at once, \"one\\n\""), "{words}");
}

#[test]
fn a_pair_talks_until_nothing_moves_whatever_the_pieces() {
    for seed in 0..50 {
        let mut sent = 0;
        let client = client(Flaw::None, 0).acting(move |side, _| {
            while sent < 20 && side.machine.slots() > 0 {
                side.machine.send(ExchangeId(sent), b"ping", &mut side.out).unwrap();
                sent += 1;
            }
        });
        let server = Side::server(Lines { came: Some(0), ..Lines::new(Flaw::None) }, see).acting(|side, event| {
            if let Some(Event::Message { id, message: Seen::Item(line), .. }) = event {
                side.machine.send(*id, line, &mut side.out).unwrap();
            }
        });
        let (client, server) = Pair::new(client, server).run(seed);
        assert_eq!(client.events.len(), 20);
        assert_eq!(client.events, server.events);
    }
}

#[test]
fn a_pair_tells_the_seed_and_what_both_sent() {
    let server = Side::server(Lines { came: Some(0), ..Lines::new(Flaw::AsksForNothing) }, see);
    let words = words(|| Pair::new(client(Flaw::None, 1), server).run(3));
    assert!(words.contains("NeedData asks for no byte\nseed 3, the client sent \"p"), "{words}");
}
