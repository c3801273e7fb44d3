//! A reader that is slow: `hold`, `Paused`, `resume`.

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcdef";

/// Holds exchange `id` after its head, and resumes where the caller gets the chance: the events are the same.
#[test]
fn an_exchange_that_is_held_and_resumed_tells_the_same() {
    for answer in [
        ANSWER,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nx: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nabcdef",
    ] {
        let start = || {
            sent(Client::new(), &[request("GET")]).acting(|side, event| match event {
                Some(Event::Message { id, done: false, .. }) => side.machine.hold(*id),
                Some(_) => {}
                None => side.machine.resume(ExchangeId(0), &mut side.out),
            })
        };
        let held = splits(answer, true, start);
        let free = splits(answer, true, || sent(Client::new(), &[request("GET")]));
        assert_eq!(held.events, free.events);
        assert_eq!((held.error, held.unfinished), (free.error, free.unfinished));
    }
}

/// While it is held nothing of the body is told, and no byte of it is used.
#[test]
fn nothing_of_a_body_is_told_while_it_is_held() {
    let mut side = sent(Client::new(), &[request("GET")]).acting(|side, event| {
        if let Some(Event::Message { id, message: Seen::Item(_), .. }) = event {
            side.machine.hold(*id);
        }
    });
    side.receive(ANSWER, false);
    assert_eq!(side.take_events().len(), 1);
    assert!(!side.machine.wants_input(1000, true));
    side.receive(b"", true);
    assert_eq!(side.take_events().len(), 0);
    side.machine.resume(ExchangeId(0), &mut side.out);
    side.receive(b"", true);
    assert_eq!(told(&side.finish()), ["0 \"abcdef\" done"]);
}

/// A request that waits behind others can be held before its answer begins; those before it go on.
#[test]
fn an_exchange_is_held_whatever_stands_before_it() {
    let mut side = sent(Client::new().pipeline(2), &[request("GET"), request("GET")]);
    side.machine.hold(ExchangeId(1));
    side.receive(&ANSWER.repeat(2), false);
    let lines: Vec<_> = side.take_events().iter().map(line).collect();
    assert_eq!(lines[1..], ["0 \"abcdef\" done", "1 HTTP/1.1 200 OK | content-length: 6"]);
}

/// Holding one exchange is not holding the one after it.
#[test]
fn a_hold_ends_with_its_exchange() {
    let mut side = sent(Client::new().pipeline(2), &[request("GET"), request("GET")]);
    side.machine.hold(ExchangeId(0));
    side.receive(b"HTTP/1.1 204 x\r\n\r\n", false);
    side.receive(ANSWER, false);
    assert_eq!(told(&side.finish()).last().unwrap(), "1 \"abcdef\" done");
}

/// Holding, stalling and resuming what is not there changes nothing.
#[test]
fn holding_what_is_not_there_changes_nothing() {
    let mut side = sent(Client::new(), &[request("GET")]);
    side.machine.hold(ExchangeId(5));
    side.machine.stall(ExchangeId(0));
    side.machine.resume(ExchangeId(6), &mut side.out);
    side.receive(ANSWER, false);
    assert_eq!(told(&side.finish()).last().unwrap(), "0 \"abcdef\" done");
}

/// A server that is slow to take a request.
#[test]
fn a_request_that_is_held_and_resumed_tells_the_same() {
    let start = || {
        mute().acting(|side, event| match event {
            Some(Event::Message { id, done: false, .. }) => side.machine.hold(*id),
            Some(Event::Message { id, .. }) => answer(side, id.0, 200, Body::EMPTY),
            Some(_) => {}
            None => (0..9).for_each(|id| side.machine.resume(ExchangeId(id), &mut side.out)),
        })
    };
    let bytes = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 6\r\n\r\nabcdef".repeat(3);
    let run = splits(&bytes, true, start);
    assert_eq!((run.events.len(), run.error), (6, None));
    let mut side = mute();
    side.receive(&bytes[..bytes.len() / 3 - 3], false);
    side.machine.hold(ExchangeId(0));
    side.receive(b"", false);
    side.take_events();
    side.receive(b"def", false);
    assert_eq!(side.take_events().len(), 0);
}
