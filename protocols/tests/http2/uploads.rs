//! Bodies in parts, both ways: turns, windows, stalls, promises, trailers.

use aquests_protocols::Refused;

use super::*;

fn uploading(bodies: &[Body<'_>]) -> AtClient {
    let mut side = quiet(Settings::default());
    side.receive(&settings(&[]), false);
    for (id, body) in (0..).zip(bodies) {
        send(&mut side, id, &request("POST"), *body);
    }
    side.take_out();
    side
}

/// RFC 9113 §6.9.1, and `Protocol::wants_data`: round-robin, within the windows, a frame's worth each.
#[test]
fn uploads_take_turns_within_their_windows() {
    let mut side = uploading(&[Body::Parts(None); 3]);
    side.receive(&settings(&[(INITIAL_WINDOW_SIZE, 30_000)]), false);
    let mut turns = Vec::new();
    while let Some((id, room)) = side.machine.wants_data() {
        turns.push((id.0, room));
        assert_eq!(side.machine.send_data(id, &vec![b'x'; room], false, &mut side.out), Ok(room));
    }
    // The windows of the streams hold 30,000 each, that of the connection 65,535.
    assert_eq!(turns, [(0, 16_384), (1, 16_384), (2, 16_384), (0, 13_616), (1, 2_767)]);
    side.receive(&window_update(0, 10), false);
    assert_eq!(side.machine.wants_data(), Some((ExchangeId(2), 10)));
}

/// `Protocol::stall`: it is not asked for, and the others are.
#[test]
fn a_stalled_upload_waits() {
    let mut side = uploading(&[Body::Parts(None); 2]);
    side.machine.stall(ExchangeId(0));
    for _ in 0..3 {
        assert_eq!(side.machine.wants_data().unwrap().0, ExchangeId(1));
        side.machine.send_data(ExchangeId(1), b"x", false, &mut side.out).unwrap();
    }
    side.machine.stall(ExchangeId(1));
    assert_eq!(side.machine.wants_data(), None);
    // It may be given something nevertheless.
    assert_eq!(side.machine.send_data(ExchangeId(0), b"x", false, &mut side.out), Ok(1));
    side.machine.resume(ExchangeId(0), &mut side.out);
    assert_eq!(side.machine.wants_data().unwrap().0, ExchangeId(0));
}

/// `Protocol::unstall`: the upload goes on, and the answer that nobody reads is granted no more; `resume` grants it.
#[test]
fn an_upload_goes_on_while_its_answer_is_held() {
    let mut side = quiet(Settings::default().window(100).most_window(100));
    send(&mut side, 0, &request("POST"), Body::Parts(None));
    side.take_out();
    side.receive(&[from_server(&[settings_ack()]), head(1)].concat(), false);
    side.machine.hold(ExchangeId(0));
    side.receive(&data(1, 0, [b'x'; 90]), false);
    side.take_out();
    side.machine.stall(ExchangeId(0));
    side.machine.unstall(ExchangeId(0));
    assert_eq!(side.machine.wants_data().map(|(id, _)| id), Some(ExchangeId(0)));
    side.receive(&data(1, 0, [b'x'; 10]), false);
    assert_eq!(said(&side.take_out()), [""; 0], "it is held");
    side.machine.resume(ExchangeId(0), &mut side.out);
    assert_eq!(said(&side.take_out()), ["WINDOW_UPDATE 1 100"]);
}

/// `Protocol::send_data`: what finds no room is not taken, and then it is not the end; an end alone needs no room.
#[test]
fn what_finds_no_room_is_not_taken() {
    let mut side = uploading(&[Body::Parts(None), Body::Parts(None)]);
    side.receive(&settings(&[(INITIAL_WINDOW_SIZE, 5)]), false);
    side.take_out();
    assert_eq!(side.machine.send_data(ExchangeId(0), b"1234567", true, &mut side.out), Ok(5));
    assert_eq!(side.machine.send_data(ExchangeId(0), b"67", true, &mut side.out), Ok(0));
    assert_eq!(side.machine.send_data(ExchangeId(1), b"12345", false, &mut side.out), Ok(5));
    assert_eq!(side.machine.wants_data(), None);
    assert_eq!(side.machine.send_data(ExchangeId(1), b"", true, &mut side.out), Ok(0));
    side.receive(&window_update(1, 2), false);
    assert_eq!(side.machine.send_data(ExchangeId(0), b"67", true, &mut side.out), Ok(2));
    let expected = ["DATA 1 \"12345\"", "DATA 3 \"12345\"", "DATA 3 END_STREAM \"\"", "DATA 1 END_STREAM \"67\""];
    assert_eq!(said(&side.take_out()), expected);
    let refused = side.machine.send_data(ExchangeId(0), b"x", false, &mut side.out);
    assert_eq!(refused, Err(Refused::Misuse("this exchange is not sending a body")));
}

/// A promised length is kept, and the end of it asked for even where no window is open.
#[test]
fn a_promised_length_is_kept() {
    let mut side = uploading(&[Body::Parts(Some(7))]);
    assert_eq!(side.machine.wants_data(), Some((ExchangeId(0), 7)));
    let refused = side.machine.send_data(ExchangeId(0), b"12345678", false, &mut side.out);
    assert_eq!(refused, Err(Refused::Misuse("more body than promised")));
    let refused = side.machine.send_data(ExchangeId(0), b"123456", true, &mut side.out);
    assert_eq!(refused, Err(Refused::Misuse("less body than promised")));
    assert_eq!(side.machine.send_data(ExchangeId(0), b"123456", false, &mut side.out), Ok(6));
    let refused = side.machine.send_trailers(ExchangeId(0), b"x: y\r\n", &mut side.out);
    assert_eq!(refused, Err(Refused::Misuse("less body than promised")));
    side.receive(&settings(&[(INITIAL_WINDOW_SIZE, 7)]), false);
    assert_eq!(side.machine.send_data(ExchangeId(0), b"7", false, &mut side.out), Ok(1));
    assert_eq!(side.machine.wants_data(), Some((ExchangeId(0), 0)));
    assert_eq!(side.machine.send_data(ExchangeId(0), b"", true, &mut side.out), Ok(0));
    assert_eq!(side.machine.wants_data(), None);
}

/// §8.1: a body may end with trailers, in lower case, and not with what frames a message.
#[test]
fn a_body_may_end_with_trailers() {
    let mut side = uploading(&[Body::Parts(None), Body::Parts(Some(0)), Body::Parts(None)]);
    side.machine.send_data(ExchangeId(0), b"hi", false, &mut side.out).unwrap();
    for bad in
        [&b"x"[..], b"x: y", b"x: y\n", b"x: \0\r\n", b"content-length: 1\r\n", b":status: 200\r\n", b"x: y\r\n\r\n"]
    {
        assert!(side.machine.send_trailers(ExchangeId(0), bad, &mut side.out).is_err(), "{}", bad.escape_ascii());
    }
    side.machine
        .send_trailers(ExchangeId(0), b"X-Sum: 3\r\nconnection: close\r\nx-end:yes\r\n", &mut side.out)
        .unwrap();
    side.machine.send_trailers(ExchangeId(1), b"x-end: yes\r\n", &mut side.out).unwrap();
    side.machine.send_trailers(ExchangeId(2), b"", &mut side.out).unwrap();
    let expected = [
        "DATA 1 \"hi\"",
        "HEADERS 1 END_STREAM | x-sum: 3 | x-end: yes",
        "HEADERS 3 END_STREAM | x-end: yes",
        "HEADERS 5 END_STREAM",
    ];
    let mut decoder = aquests_protocols::http2::hpack::Decoder::new(4096);
    for _ in 0..3 {
        // The three heads came before.
        let mut other = uploading(&[Body::Parts(None)]);
        send(&mut other, 9, &request("POST"), Body::EMPTY);
    }
    let told = said_after(&mut decoder, &side.take_out());
    assert_eq!(told, expected);
}

/// A cancelled upload is reset, and another may use the room.
#[test]
fn a_cancelled_upload_is_reset() {
    let mut side = uploading(&[Body::Parts(None), Body::Whole(&[b'x'; 65_000]), Body::Whole(&[b'y'; 1_000])]);
    assert!(side.machine.cancel(ExchangeId(0), &mut side.out));
    assert!(side.machine.cancel(ExchangeId(2), &mut side.out));
    assert!(side.machine.cancel(ExchangeId(99), &mut side.out), "whom nobody knows");
    assert_eq!(said(&side.take_out()), ["RST_STREAM 1 CANCEL", "RST_STREAM 5 CANCEL"]);
    side.receive(&window_update(0, 1_000_000), false);
    assert_eq!(said(&side.take_out()), [""; 0]);
    assert_eq!((side.machine.wants_data(), side.machine.slots()), (None, 99));
}

/// A server's answers in parts: the same rules, and the stream ends with the last.
#[test]
fn answers_in_parts_take_turns_too() {
    let mut side = mute(Settings::default());
    side.receive(&from_client(&[get(1), get(3), post(5)]), false);
    side.take_out();
    for id in 0..3 {
        reply(&mut side, id, 200, Body::Parts(None));
    }
    side.take_out();
    let mut turns = Vec::new();
    for _ in 0..6 {
        let (id, _) = side.machine.wants_data().unwrap();
        turns.push(id.0);
        let last = turns.len() > 3;
        side.machine.send_data(id, b"x", last, &mut side.out).unwrap();
    }
    assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    assert_eq!(said(&side.take_out()).last().unwrap(), "RST_STREAM 5 NO_ERROR");
    assert_eq!((side.machine.wants_data(), side.machine.slots()), (None, 0));
    assert_eq!(side.finish().unfinished, []);
}
