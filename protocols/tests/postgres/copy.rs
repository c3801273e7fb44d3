//! COPY in both directions: "COPY Operations".

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

const FORMAT: [u8; 3] = [0, 0, 0];

/// A client that copies two parts, with a break between them.
fn copying() -> AtClient {
    let mut side = quiet(Limits::default());
    send(&mut side, 0, Request::CopyIn("COPY t FROM STDIN"));
    assert_eq!((side.machine.slots(), side.machine.wants_data()), (0, None));
    side.take_out();
    let mut parts = vec![(&b"2\n"[..], true), (b"1\n", false)];
    side.acting(move |side, event| {
        while let Some((id, room)) = side.machine.wants_data().filter(|_| event.is_none()) {
            assert!(room >= 2);
            let Some((part, end)) = parts.pop() else { panic!("asked for more than there is") };
            assert_eq!(side.machine.send_data(id, part, end, &mut side.out), Ok(2));
            if !end {
                side.machine.stall(id);
                assert_eq!(side.machine.wants_data(), None);
                side.machine.resume(id, &mut side.out);
            }
        }
    })
}

#[test]
fn data_goes_out_when_the_server_waits_for_it() {
    let run = Script::new()
        .expect_nothing()
        .send(message(b'G', FORMAT))
        .expect([message(b'd', "1\n"), message(b'd', "2\n"), message(b'c', "")].concat())
        .send([complete("COPY 2"), ready("I")].concat())
        .expect_nothing()
        .run(copying);
    assert_eq!(told(&run), ["0 copy in Text", "0 COPY 2", "0 ready Idle done"]);
}

#[test]
fn a_copy_that_the_server_refuses_sends_nothing() {
    let run = Script::new().send([error("ERROR", "42P01", "no t"), ready("I")].concat()).expect_nothing().run(copying);
    assert_eq!(told(&run), ["0 error ERROR 42P01: no t", "0 ready Idle done"]);
}

#[test]
fn a_server_that_gives_up_is_sent_no_more() {
    let mut side = quiet(Limits::default());
    send(&mut side, 0, Request::CopyIn("COPY t FROM STDIN"));
    side.receive(&message(b'G', FORMAT), false);
    side.take_out();
    assert!(side.machine.send_data(ExchangeId(0), b"x\n", false, &mut side.out).is_ok());
    side.receive(&error("ERROR", "22P02", "x is no number"), false);
    side.take_out();
    assert_eq!(side.machine.wants_data(), None);
    assert!(side.machine.send_data(ExchangeId(0), b"y\n", false, &mut side.out).is_err());
    assert_eq!(side.machine.send_data(ExchangeId(0), b"", true, &mut side.out), Ok(0));
    assert_eq!(side.take_out(), b"");
    side.receive(&ready("I"), false);
    assert_eq!(side.machine.slots(), 100);
    assert_eq!(told(&side.finish())[1..], ["0 error ERROR 22P02: x is no number", "0 ready Idle done"]);
}

#[test]
fn a_server_that_has_enough_is_sent_no_more() {
    let run = splits(&[message(b'G', FORMAT), complete("COPY 1"), ready("I")].concat(), true, copying);
    assert_eq!(told(&run), ["0 copy in Text", "0 COPY 1", "0 ready Idle done"]);
    let mut side = quiet(Limits::default());
    send(&mut side, 0, Request::CopyIn("COPY t FROM STDIN"));
    side.receive(&[message(b'G', FORMAT), complete("COPY 0")].concat(), false);
    assert_eq!(side.machine.wants_data(), None);
    // A second COPY in the same query has no data of its own.
    side.take_out();
    side.receive(&message(b'G', FORMAT), false);
    assert_eq!(side.take_out(), message(b'f', "no data is to come\0"));
    drop(side.finish());
}

#[test]
fn an_end_before_the_beginning_is_said_when_it_begins() {
    let start = || {
        let mut side = quiet(Limits::default());
        send(&mut side, 0, Request::CopyIn("COPY t FROM STDIN"));
        side.take_out();
        assert_eq!(side.machine.send_data(ExchangeId(0), b"", true, &mut side.out), Ok(0));
        side
    };
    Script::new()
        .expect_nothing()
        .send(message(b'G', FORMAT))
        .expect(message(b'c', ""))
        .send([complete("COPY 0"), ready("I")].concat())
        .expect_nothing()
        .run(start);
}

#[test]
fn a_long_part_is_taken_up_to_the_room() {
    let mut side = quiet(Limits::default());
    send(&mut side, 0, Request::CopyIn("COPY t FROM STDIN"));
    side.receive(&message(b'G', FORMAT), false);
    side.take_out();
    let (id, room) = side.machine.wants_data().unwrap();
    assert_eq!(side.machine.send_data(id, &vec![b'x'; room + 1], true, &mut side.out), Ok(room));
    assert_eq!(side.take_out(), message(b'd', vec![b'x'; room]));
    assert_eq!(side.machine.send_data(id, b"x", true, &mut side.out), Ok(1));
    assert_eq!(side.take_out(), [message(b'd', "x"), message(b'c', "")].concat());
    drop(side.finish());
}

#[test]
fn one_that_is_given_up_fails_and_the_connection_lives() {
    for begun in [true, false] {
        let start = move || {
            let mut side = quiet(Limits::default());
            send(&mut side, 0, Request::CopyIn("COPY t FROM STDIN"));
            if begun {
                side.receive(&message(b'G', FORMAT), false);
                side.take_events();
            }
            side.take_out();
            assert!(side.machine.cancel(ExchangeId(0), &mut side.out));
            side
        };
        let script = if begun { Script::new() } else { Script::new().expect_nothing().send(message(b'G', FORMAT)) };
        let run = script
            .expect(message(b'f', "no data is to come\0"))
            .send([error("ERROR", "57014", "COPY failed"), ready("I")].concat())
            .expect_nothing()
            .run(start);
        assert_eq!(told(&run), [""; 0]);
    }
}

#[test]
fn a_copy_is_alone_on_its_connection() {
    let mut side = queries(1);
    let refused = side.machine.send(ExchangeId(1), Request::CopyIn("COPY t FROM STDIN"), &mut side.out);
    assert_eq!((refused, side.out.len()), (Err(Refused::NotNow), 0));
    side.receive(&[complete("A"), ready("I")].concat(), false);
    send(&mut side, 1, Request::CopyIn("COPY t FROM STDIN"));
    assert_eq!(side.machine.slots(), 0);
    drop(side.finish());
}

/// What stands behind would be read as data.
#[test]
fn a_copy_that_nobody_announced_is_told_to_fail() {
    let failure = message(b'f', "no data is to come\0");
    let refusal = [error("ERROR", "57014", "COPY failed"), ready("I")].concat();
    let told_of = |out: Vec<u8>, prefix: Vec<u8>, start: fn() -> AtClient| {
        let run = Script::new()
            .send([prefix, message(b'G', FORMAT)].concat())
            .expect(out)
            .send(&refusal)
            .expect_nothing()
            .run(start);
        let told = told(&run);
        assert_eq!(told[told.len() - 3..], ["0 copy in Text", "0 error ERROR 57014: COPY failed", "0 ready Idle done"]);
    };
    told_of(failure.clone(), vec![], || queries(1));
    // Its Sync was taken for a part of the data, and ignored.
    let begun = [message(b'1', ""), message(b'2', ""), message(b'n', "")].concat();
    told_of([failure, message(b'S', "")].concat(), begun, || selects(&[End::Sync]));
    let run = splits(&message(b'G', FORMAT), false, || queries(2));
    assert_eq!(run.error, broken(Violation::CopyInPipeline));
    assert_eq!(run.unfinished, [0, 1].map(|id| (ExchangeId(id), Replay::Unknown)));
}

#[test]
fn data_from_the_server_is_told_as_it_comes() {
    let peer = [
        message(b'H', [1, 0, 1, 0, 1]),
        message(b'd', "one,"),
        message(b'd', ""),
        message(b'd', "two"),
        message(b'c', ""),
        complete("COPY 2"),
        ready("I"),
    ];
    let run = splits(&peer.concat(), true, || queries(1));
    assert_eq!(told(&run), ["0 copy out Binary", "0 \"one,two\"", "0 COPY 2", "0 ready Idle done"]);
    // No length of it is waited for.
    let mut side = queries(1);
    side.receive(&[message(b'H', FORMAT), b"d\xff\xff\xff\xffsome".to_vec()].concat(), false);
    assert_eq!(told(&side.finish()), ["0 copy out Text", "0 \"some\""]);
}

#[test]
fn small_messages_with_data_are_told_together_and_large_ones_alone() {
    let row = message(b'd', "a row\n");
    let large = message(b'd', vec![b'x'; 1025]);
    let told = Rc::new(RefCell::new(Vec::new()));
    let sizes = Rc::clone(&told);
    let mut side = queries(1).acting(move |_, event| {
        if let Some(Event::Message { message: Seen::Data(bytes), .. }) = event {
            sizes.borrow_mut().push(bytes.len());
        }
    });
    side.receive(&message(b'H', FORMAT), false);
    side.receive(
        &[row.repeat(100), large.clone(), row.clone(), large, row.repeat(2), row[..7].to_vec()].concat(),
        false,
    );
    assert_eq!(told.take(), [600, 1025, 6, 1025, 12, 2]);
    // The rest of the row that had not come, and more than is told at once.
    side.receive(&[row[7..].to_vec(), row.repeat(5_000)].concat(), false);
    assert_eq!(told.take(), [4, 16_380, 30_000 - 16_380]);
    // What says nothing is not told.
    side.receive(&message(b'd', "").repeat(3), false);
    assert_eq!(told.take(), []);
    drop(side.finish());
}

#[test]
fn data_that_looks_like_small_messages_is_data() {
    let like = message(b'd', "x").repeat(3);
    let begin = vec![b'.'; 2_000];
    let large = message(b'd', [&begin[..], &like, b"the rest"].concat());
    let told = Rc::new(RefCell::new(Vec::new()));
    let data = Rc::clone(&told);
    let mut side = queries(1).acting(move |_, event| {
        if let Some(Event::Message { message: Seen::Data(bytes), .. }) = event {
            data.borrow_mut().push(bytes.clone());
        }
    });
    side.receive(&message(b'H', FORMAT), false);
    // It stands where a message begins otherwise: at the beginning of what came.
    let (before, behind) = large.split_at(5 + begin.len());
    side.receive(before, false);
    side.receive(behind, false);
    assert_eq!(told.take().concat(), large[5..]);
    side.receive(&[message(b'c', ""), complete("COPY 1"), ready("I")].concat(), false);
    drop(side.finish());
}

#[test]
fn small_messages_are_held_and_dropped_like_others() {
    let peer =
        [message(b'H', FORMAT), message(b'd', "one\n").repeat(3), message(b'c', ""), complete("COPY 3")].concat();
    let mut side = queries(1);
    side.machine.hold(ExchangeId(0));
    side.receive(&peer, false);
    assert_eq!(side.take_events().len(), 0, "held before anything came");
    side.machine.resume(ExchangeId(0), &mut side.out);
    side.receive(b"", false);
    assert_eq!(told(&side.finish()), ["0 copy out Text", "0 \"one\\none\\none\\n\"", "0 COPY 3"]);
    // Among them: what is behind waits, however many there are.
    let mut side = queries(1);
    side.receive(&[message(b'H', FORMAT), message(b'd', "one\n").repeat(2)].concat(), false);
    assert_eq!(side.take_events().len(), 2, "CopyOutResponse and two messages with data came");
    side.machine.hold(ExchangeId(0));
    side.receive(&[message(b'd', "two\n").repeat(3), message(b'c', ""), complete("COPY 5")].concat(), false);
    assert_eq!(side.take_events().len(), 0, "held between two of them");
    side.machine.resume(ExchangeId(0), &mut side.out);
    side.receive(b"", false);
    assert_eq!(told(&side.finish()), ["0 \"two\\ntwo\\ntwo\\n\"", "0 COPY 5"]);
    // Given up behind another, and read to its end.
    let run = splits(&[answer("a"), ready("I"), peer, ready("I")].concat(), true, || {
        let mut side = queries(2);
        assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
        side
    });
    assert!(told(&run).iter().all(|line| line.starts_with('0')), "{:?}", told(&run));
}

#[test]
fn an_error_may_end_data_from_the_server() {
    let peer = [message(b'H', FORMAT), message(b'd', "x"), error("ERROR", "57014", "cancelled"), ready("I")];
    let run = splits(&peer.concat(), true, || queries(1));
    assert_eq!(told(&run), ["0 copy out Text", "0 \"x\"", "0 error ERROR 57014: cancelled", "0 ready Idle done"]);
}

#[test]
fn copy_messages_out_of_place_are_refused() {
    for peer in [message(b'd', "x"), message(b'c', ""), message(b'W', FORMAT)] {
        let run = splits(&peer, false, || queries(1));
        assert_eq!(run.error, broken(Violation::Unexpected), "{}", text(&peer));
    }
    let run = splits(&[message(b'H', FORMAT), complete("COPY 1")].concat(), false, || queries(1));
    assert_eq!(run.error, broken(Violation::Unexpected));
    let run = splits(&message(b'H', [2, 0, 0]), false, || queries(1));
    assert_eq!(run.error, broken(Violation::Format));
}
