//! Slow readers, requests that are given up, and the end.

use aquests_protocols::Input;

use super::*;

#[test]
fn a_slow_reader_is_waited_for() {
    let peer = [columns(&["a"]), row(&[Some("1")]), complete("SELECT 1"), ready("I")].concat();
    let held = splits(&peer, true, || {
        queries(1).acting(|side, event| match event {
            Some(_) => side.machine.hold(ExchangeId(0)),
            None => side.machine.resume(ExchangeId(0), &mut side.out),
        })
    });
    assert_eq!(held, splits(&peer, true, || queries(1)));
    let mut side = queries(1);
    side.machine.hold(ExchangeId(0));
    side.receive(&peer, false);
    assert_eq!(side.take_events().len(), 0);
    side.machine.resume(ExchangeId(0), &mut side.out);
    side.receive(b"", false);
    assert_eq!(side.take_events().len(), 4);
    drop(side.finish());
}

#[test]
fn data_of_a_copy_is_held_in_its_middle() {
    let mut side = queries(1).acting(|side, event| {
        if let Some(Event::Message { id, message: Seen::Data(_), .. }) = event {
            side.machine.hold(*id);
        }
    });
    side.receive(&[message(b'H', [0; 3]), b"d\0\0\0\x08ab".to_vec()].concat(), false);
    side.receive(b"cd", false);
    assert_eq!(told(&side.finish()), ["0 copy out Text", "0 \"ab\""]);
}

#[test]
fn one_that_is_given_up_is_read_and_dropped() {
    let peer = [answer("a"), ready("I"), answer("b"), ready("I"), answer("c"), ready("I")].concat();
    let run = splits(&peer, true, || {
        let mut side = selects(&[End::Sync; 3]);
        assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
        side
    });
    let ids: Vec<_> = told(&run).iter().map(|line| line.as_bytes()[0]).collect();
    assert_eq!(ids, b"00002222");
}

#[test]
fn one_that_is_given_up_and_skipped_is_not_named() {
    let peer = [error("ERROR", "22012", "no"), ready("I"), answer("d"), ready("I")].concat();
    let run = splits(&peer, true, || {
        let mut side = selects(&[End::Later, End::Later, End::Sync, End::Sync]);
        assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
        assert!(side.machine.cancel(ExchangeId(2), &mut side.out));
        side
    });
    assert_eq!(told(&run)[..2], ["0 error ERROR 22012: no done", "3 columns a:25"]);
}

#[test]
fn one_that_is_given_up_at_the_front_costs_the_connection() {
    let mut side = queries(2);
    assert!(!side.machine.cancel(ExchangeId(0), &mut side.out));
    assert_eq!(side.machine.slots(), 0);
    assert_eq!(side.finish().unfinished, [(ExchangeId(1), Replay::Unknown)]);
    let mut side = queries(1);
    assert!(side.machine.cancel(ExchangeId(7), &mut side.out), "nobody has that name");
    drop(side.finish());
}

#[test]
fn a_fatal_error_of_one_that_is_given_up_is_not_told() {
    let fatal = error("FATAL", "57P01", "no");
    let run = splits(&fatal, true, || {
        let mut side = queries(2);
        assert!(!side.machine.cancel(ExchangeId(0), &mut side.out));
        side
    });
    assert_eq!(told(&run), ["closed"]);
    assert_eq!(run.unfinished, [(ExchangeId(1), Replay::NotProcessed)]);
}

#[test]
fn a_close_says_terminate_when_nothing_is_on_its_way() {
    let mut side = quiet(Limits::default());
    side.machine.close(&mut side.out);
    assert_eq!((side.take_out(), side.machine.slots()), (message(b'X', ""), 0));
    let run = splits(&[complete("A"), ready("I")].concat(), false, || {
        let mut side = queries(1);
        side.machine.close(&mut side.out);
        assert_eq!((side.take_out(), side.machine.slots()), (vec![], 0));
        side
    });
    assert_eq!(told(&run), ["0 A", "0 ready Idle done", "closed"]);
    assert_eq!(run.out, message(b'X', ""));
    let mut side = selects(&[End::Flush]);
    side.machine.close(&mut side.out);
    side.receive(&error("ERROR", "22012", "no"), false);
    assert_eq!(told(&side.finish()), ["0 error ERROR 22012: no done", "closed"]);
}

#[test]
fn an_error_of_the_protocol_says_terminate_once() {
    let run = splits(b"!\0\0\0\x04", false, || queries(1));
    assert_eq!((run.error, run.out), (broken(Violation::Unexpected), message(b'X', "")));
    let (mut machine, mut out) = (Client::new(Login::new("me")).unwrap(), Vec::new());
    machine.close(&mut out);
    assert_eq!((machine.slots(), out.len()), (0, 0), "nothing was said, nothing is to be ended");
    let event = machine.receive(Input { bytes: b"", eof: false }, &mut out);
    assert_eq!(event, Ok((0, Event::Closed)));
}

#[test]
fn a_sign_of_life_is_asked_for_where_nothing_is_on_its_way() {
    let mut side = quiet(Limits::default());
    side.machine.ping(&mut side.out);
    assert_eq!((side.take_out(), side.machine.slots()), (message(b'S', ""), 99));
    side.machine.ping(&mut side.out);
    assert_eq!(side.take_out(), b"");
    side.receive(&ready("I"), false);
    assert_eq!((side.take_events().len(), side.machine.slots()), (0, 100));
    send(&mut side, 0, Request::Steps { steps: SELECT, end: End::Flush });
    side.receive(&answer("a"), false);
    side.take_out();
    side.machine.ping(&mut side.out);
    assert_eq!(side.take_out(), b"", "it would end what shares a Sync");
    drop(side.finish());
}
