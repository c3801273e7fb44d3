//! What a peer may not do to us: each limit of the module's table, at its edge, and the work per byte. What is reserved
//! is counted in `tests/postgres_memory.rs`.

use aquests_protocols::Input;

use super::*;

fn header(kind: u8, length: u32) -> Vec<u8> {
    [&[kind][..], &length.to_be_bytes()].concat()
}

/// LIMITS: 64 MiB, and below 4.
#[test]
fn a_length_is_judged_before_anything_is_waited_for() {
    let error = |limits: Limits, peer: &[u8]| {
        let start = || {
            let mut side = quiet(limits);
            send(&mut side, 0, Request::Query("SELECT 1"));
            side
        };
        splits(peer, false, start).error
    };
    for (limits, most) in [(Limits::default(), 64 << 20), (Limits::default().message(100), 100)] {
        assert_eq!(error(limits, &header(b'T', most)), None);
        for length in [most + 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            assert_eq!(error(limits, &header(b'T', length)), too_large("message bytes", most.into()));
        }
    }
    for length in 0..4 {
        for kind in *b"TDCEZNAS1c" {
            assert_eq!(error(Limits::default(), &header(kind, length)), broken(Violation::Length));
        }
    }
    // What always has the same length has no other.
    for kind in *b"123Icns" {
        assert_eq!(error(Limits::default(), &header(kind, 5)), broken(Violation::Length));
    }
    for length in [4, 6] {
        assert_eq!(error(Limits::default(), &header(b'Z', length)), broken(Violation::Length));
        assert_eq!(error(Limits::default(), &header(b'K', length)), broken(Violation::Length));
    }
}

#[test]
fn a_login_is_shorter_than_an_answer() {
    for (length, expected) in [(30_000, None), (30_001, too_large("message bytes", 30_000))] {
        let run = splits(&header(b'R', length), false, || fresh(Login::new("me")));
        assert_eq!(run.error, expected);
    }
    let mut endless = fresh(Login::new("me"));
    endless.receive(&[b'E'; 29_999], false);
    assert!(!endless.is_over());
    endless.receive(&[b'E'; 1], false);
    assert_eq!(endless.finish().error, too_large("message bytes", 30_000));
}

/// LIMITS: "short DataRow; field count mismatch".
#[test]
fn a_row_has_the_fields_that_were_described_and_nothing_else() {
    let good = row(&[Some("a"), None]);
    let of = |body: &[u8]| [columns(&["a", "b"]), message(b'D', body)].concat();
    let error = |peer: &[u8]| splits(peer, false, || queries(1)).error;
    assert_eq!(error(&of(&good[5..])), None);
    for wrong in [
        &b""[..],
        b"\0",
        b"\0\0",
        b"\0\x01\xff\xff\xff\xff",
        b"\0\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\0\x02\xff\xff\xff\xff",
        b"\0\x02\xff\xff\xff\xff\xff\xff\xff",
        b"\0\x02\xff\xff\xff\xff\0\0\0\x02a",
        b"\0\x02\xff\xff\xff\xff\x7f\xff\xff\xffa",
        b"\0\x02\xff\xff\xff\xff\xff\xff\xff\xfe",
        b"\0\x02\xff\xff\xff\xff\x80\0\0\0",
        b"\0\x02\xff\xff\xff\xff\0\0\0\x01ab",
    ] {
        assert_eq!(error(&of(wrong)), broken(Violation::Row), "{}", wrong.escape_ascii());
    }
    // A portal that was said to have none.
    let none = [message(b'1', ""), message(b'2', ""), message(b'n', ""), row(&[None])].concat();
    assert_eq!(splits(&none, false, || selects(&[End::Sync])).error, broken(Violation::Row));
    // Nobody described it: any number is right, and every length is still judged.
    let steps = [Step::Execute { portal: "p", rows: 0 }];
    let start = || {
        let mut side = quiet(Limits::default());
        send(&mut side, 0, Request::Steps { steps: &steps, end: End::Sync });
        side
    };
    assert_eq!(splits(&good, false, start).error, None);
    assert_eq!(splits(&message(b'D', b"\0\x02\xff\xff\xff\xff"), false, start).error, broken(Violation::Row));
}

#[test]
fn a_malformed_message_is_refused() {
    let error = |peer: &[u8]| splits(peer, false, || queries(1)).error;
    let described = columns(&["a"]);
    let mut binary = described.clone();
    *binary.last_mut().unwrap() = 2;
    for wrong in [
        message(b'T', &described[5..described.len() - 1]),
        message(b'T', [&described[5..], b"x"].concat()),
        message(b'T', b"\xff\xff"),
        binary,
        message(b'C', "no end"),
        message(b'C', "an end\0and more"),
        message(b'E', ""),
        message(b'E', "SERROR\0"),
        message(b'E', "SERROR"),
        message(b'E', "\0more"),
        message(b'N', "S\0"),
        message(b'A', b"\0\0\0\x01a\0b"),
        message(b'A', b"\0\0"),
        message(b'S', "a\0b"),
        message(b'S', "a\0b\0c\0"),
        message(b'G', [0, 0, 1]),
        message(b'H', [0, 0, 1, 0, 2]),
    ] {
        assert_eq!(error(&wrong), broken(Violation::Format), "{}", text(&wrong));
    }
    let run = splits(&[complete("A"), message(b'Z', "X")].concat(), false, || queries(1));
    assert_eq!(run.error, broken(Violation::Format));
    let steps = [Step::DescribeStatement("")];
    for wrong in [&b"\0\x01\0\0\0"[..], b"\0\x01\0\0\0\x19\0", b"\0"] {
        let run = splits(&message(b't', wrong), false, || {
            let mut side = quiet(Limits::default());
            send(&mut side, 0, Request::Steps { steps: &steps, end: End::Sync });
            side
        });
        assert_eq!(run.error, broken(Violation::Format));
    }
}

/// LIMITS: "total work linear in bytes": a half-received message is not looked at again, whatever came of it.
#[test]
fn a_message_in_pieces_is_waited_for_once() {
    let mut machine = Client::new(Login::new("me")).unwrap();
    let mut out = Vec::new();
    machine.connected(Default::default(), &mut out);
    let hello = [authentication(0, ""), ready("I")].concat();
    for bytes in [&hello[..9], &hello[9..]] {
        machine.receive(Input { bytes, eof: false }, &mut out).unwrap();
    }
    machine.send(ExchangeId(0), Request::Query("x"), &mut out).unwrap();
    let description = columns(&["a"]);
    machine.receive(Input { bytes: &description, eof: false }, &mut out).unwrap();
    let long = row(&[Some(&"x".repeat(1 << 20))]);
    for came in [5, 6, 1000, long.len() - 1] {
        let event = machine.receive(Input { bytes: &long[..came], eof: false }, &mut out);
        assert_eq!(event, Ok((0, Event::NeedData { at_least: long.len() })));
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_refused() {
    for peer in [columns(&["a"]), row(&[]), complete("A"), ready("I"), message(b'1', ""), message(b'G', [0; 3])] {
        let run = splits(&peer, false, || queries(0));
        assert_eq!((run.error, run.events.len()), (broken(Violation::Unexpected), 0), "{}", text(&peer));
    }
    let run = splits(&error("ERROR", "XX000", "odd"), false, || queries(0));
    assert_eq!((told(&run), run.error), (vec!["push error ERROR XX000: odd".to_string()], None));
}
