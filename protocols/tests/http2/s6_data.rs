//! RFC 9113 §6.1: DATA.

use super::*;

/// "If a DATA frame is received whose Stream Identifier field is 0x00, the recipient MUST respond with a connection error
/// of type PROTOCOL_ERROR."
#[test]
fn data_belongs_on_a_stream() {
    both_break(&[data(0, 0, "x")], Violation::StreamId, Code::PROTOCOL_ERROR);
}

/// Data is told as it comes, without its padding, which may be all there is.
#[test]
fn padding_is_no_data() {
    let frames = [
        head(1),
        frame(DATA, PADDED, 1, b"\x05hello\0\0\0\0\0"),
        frame(DATA, PADDED, 1, b"\x00, "),
        frame(DATA, PADDED, 1, [&b"\xff"[..], &[0; 255]].concat()),
        frame(DATA, PADDED | END_STREAM, 1, b"\x03world\0\0\0"),
        ping(b"12345678"),
    ];
    let run = asked(&["GET"], &frames);
    assert_eq!(told(&run), ["0 HTTP/2.0 200", "0 \"hello, world\" done"]);
    assert_eq!(answers(&run), ["PING ACK \"12345678\""]);
    let only = [head(1), frame(DATA, PADDED | END_STREAM, 1, b"\x00")];
    assert_eq!(told(&asked(&["GET"], &only)), ["0 HTTP/2.0 200", "0 \"\" done"]);
}

/// "If the length of the padding is the length of the frame payload or greater, the recipient MUST treat this as a
/// connection error of type PROTOCOL_ERROR."
#[test]
fn padding_longer_than_the_frame_is_refused() {
    for payload in [&b"\x01"[..], b"\x05hell", b"\xff\0\0"] {
        client_breaks_in_body(frame(DATA, PADDED, 1, payload), Violation::Padding, Code::PROTOCOL_ERROR);
    }
}

/// §6.1: "padding … is included in flow control", and its length byte too.
#[test]
fn padding_counts_on_the_windows() {
    let mut side = quiet(Settings::default().window(100).most_window(100));
    send(&mut side, 0, &request("GET"), Body::EMPTY);
    side.receive(&from_server(&[settings_ack(), head(1)]), false);
    side.take_out();
    side.receive(&frame(DATA, PADDED, 1, [&[40][..], &[0; 49]].concat()), false);
    assert_eq!(said(&side.take_out()), ["WINDOW_UPDATE 1 50"]);
}

/// The last part may be empty, and only brings the news (semantics: `Message::Data`).
#[test]
fn an_empty_last_part_ends_the_body() {
    let run = asked(&["GET"], &[head(1), data(1, 0, "hi"), data(1, END_STREAM, "")]);
    assert_eq!(told(&run), ["0 HTTP/2.0 200", "0 \"hi\" done"]);
    let run = asked(&["GET"], &[head(1), data(1, 0, ""), data(1, 0, ""), data(1, END_STREAM, "")]);
    assert_eq!(told(&run), ["0 HTTP/2.0 200", "0 \"\" done"]);
}

/// Data is told before its frame is whole: nothing is kept.
#[test]
fn data_is_told_as_it_comes() {
    let mut side = sent(&["GET"]);
    let frames = from_server(&[head(1), data(1, END_STREAM, vec![b'x'; 10_000])]);
    side.receive(&frames[..frames.len() - 9_000], false);
    let events = side.take_events();
    assert_eq!(events.len(), 2);
    assert!(
        matches!(&events[1], Event::Message { message: Seen::Data(bytes), done: false, .. } if bytes.len() == 1000)
    );
}

/// The stream may be cancelled in the middle of a frame: the rest of it is passed over.
#[test]
fn a_stream_may_be_cancelled_in_the_middle_of_a_frame() {
    let mut side = sent(&["GET", "GET"]);
    let frame = frame(DATA, PADDED, 1, b"\x03hello\0\0\0");
    side.receive(&from_server(&[head(1), frame[..12].to_vec()]), false);
    assert!(side.machine.cancel(ExchangeId(0), &mut side.out));
    side.receive(&frame[12..], false);
    side.receive(&answer(3), false);
    let run = side.finish();
    assert_eq!(told(&run), ["0 HTTP/2.0 200", "0 \"he\"", "1 HTTP/2.0 200 done"]);
}

/// §8.1: data before the head of a response is no response.
#[test]
fn data_before_the_head_is_refused() {
    client_resets(&[data(1, 0, "x")], Violation::PseudoField, Code::PROTOCOL_ERROR);
}

#[track_caller]
fn client_breaks_in_body(bad: Vec<u8>, violation: Violation, code: Code) {
    let run = asked(&["GET"], &[head(1), bad]);
    assert_eq!(run.error, Some(violation.into()));
    assert_eq!(answers(&run), [format!("GOAWAY 0 {code}")]);
    assert_eq!(told(&run), ["0 HTTP/2.0 200"]);
}
