//! RFC 9113 §5.4 and §7: errors and their codes.

use super::*;

/// §7: names and numbers.
#[test]
fn codes_have_the_names_of_the_standard() {
    let names = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    for (code, name) in (0..).zip(names) {
        assert_eq!(Code(code).name(), Some(name));
        assert_eq!(Code(code).to_string(), name);
    }
    assert_eq!((Code(14).name(), Code(14).to_string()), (None, "0xe".to_string()));
}

/// §7: "Unknown or unsupported error codes MUST NOT trigger any special behavior."
#[test]
fn unknown_codes_are_as_good_as_others() {
    let run = asked(&["GET", "GET"], &[rst_stream(1, Code(0xdead_beef)), goaway(3, Code(77)), answer(3)]);
    let failed = format!("0 failed, {}, Unknown", Error::Reset { code: 0xdead_beef });
    assert_eq!(told(&run), [&failed, "1 HTTP/2.0 200 done", "closed"]);
}

/// §5.4.1: "An endpoint that encounters a connection error SHOULD first send a GOAWAY frame", with the last stream that it
/// has acted on; nothing is said after it, nothing taken.
#[test]
fn an_error_says_goodbye_once_and_nothing_after() {
    let mut side = mute(Settings::default());
    side.receive(&from_client(&[get(1), post(3), get(5), frame(PING, 0, 1, "12345678"), get(7)]), false);
    assert_eq!(said(&side.take_out()), ["SETTINGS ACK", "GOAWAY 5 PROTOCOL_ERROR"]);
    assert_eq!((side.machine.slots(), side.machine.wants_data()), (0, None));
    let head = response(200);
    let refused = side.machine.send(ExchangeId(0), Response { head: &head, body: Body::EMPTY }, &mut side.out);
    assert!(matches!(refused, Err(aquests_protocols::Refused::Misuse(_))));
    side.machine.ping(&mut side.out);
    side.machine.close(&mut side.out);
    side.machine.resume(ExchangeId(1), &mut side.out);
    assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
    let run = side.finish();
    assert_eq!(run.out, b"");
    assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown), (ExchangeId(2), Replay::Unknown)]);
}

/// A body that could go on is not asked for after an error.
#[test]
fn an_error_ends_what_is_being_sent() {
    let mut side = quiet(Settings::default());
    send(&mut side, 0, &request("POST"), Body::Parts(None));
    send(&mut side, 1, &request("POST"), Body::Whole(&[0; 100_000]));
    side.receive(&from_server(&[ping(b"12345678"), data(0, 0, "x"), window_update(0, 100_000)]), false);
    side.take_out();
    assert_eq!(side.machine.wants_data(), None);
    assert!(side.machine.send_data(ExchangeId(0), b"x", false, &mut side.out).is_err());
    assert_eq!(side.finish().unfinished.len(), 2);
}

/// The end of the stream in the middle of a frame is unexpected where something is open, and quiet where nothing is.
#[test]
fn an_end_in_the_middle_is_unexpected() {
    let whole = from_server(&[head(1), data(1, END_STREAM, "hi")]);
    for end in 0..whole.len() {
        let mut side = sent(&["GET"]);
        side.receive(&whole[..end], true);
        let run = side.finish();
        assert_eq!(run.error, Some(Error::UnexpectedEof), "cut at {end}");
        assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)], "cut at {end}");
    }
    let run = splits(&whole, true, || sent(&["GET"]));
    assert_eq!((run.error, told(&run).len()), (None, 2));
}

/// §5.4.2: after a stream error of ours, the connection goes on and no other exchange is touched.
#[test]
fn a_stream_error_touches_no_other_stream() {
    let bad = headers(3, 0, &[(":status", "200"), ("Bad", "name")]);
    let run = asked(&["GET", "GET", "GET"], &[head(1), bad, data(1, END_STREAM, "one"), data(3, 0, "late"), answer(5)]);
    let failed = format!("1 failed, {}, Unknown", Violation::FieldName);
    assert_eq!(told(&run), ["0 HTTP/2.0 200", &failed, "0 \"one\" done", "2 HTTP/2.0 200 done"]);
    assert_eq!(answers(&run), ["RST_STREAM 3 PROTOCOL_ERROR"]);
}
