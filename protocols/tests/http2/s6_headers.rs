//! RFC 9113 §6.2, §6.3, §6.4, §6.6 and §6.10: HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE and CONTINUATION.

use super::*;

/// §6.2: padding and a priority are read past.
#[test]
fn headers_may_be_padded_and_have_a_priority() {
    let fields = block(&[(":status", "200")]);
    let priority = [0x80, 0, 0, 3, 255];
    for (flags, payload) in [
        (PADDED, [&[4][..], &fields, &[0; 4]].concat()),
        (PADDED, [&[0][..], &fields].concat()),
        (WITH_PRIORITY, [&priority[..], &fields].concat()),
        (PADDED | WITH_PRIORITY, [&[2][..], &priority, &fields, &[0; 2]].concat()),
    ] {
        let run = asked(&["GET"], &[frame(HEADERS, flags | END_HEADERS | END_STREAM, 1, payload)]);
        assert_eq!(told(&run), ["0 HTTP/2.0 200 done"]);
    }
}

/// §6.2: "Padding that exceeds the size remaining for the field block fragment MUST be treated as a connection error of
/// type PROTOCOL_ERROR."
#[test]
fn padding_longer_than_the_fields_is_refused() {
    for (flags, payload) in [
        (PADDED, &b"\x01"[..]),
        (PADDED, b"\x03\x88\0"),
        (PADDED | WITH_PRIORITY, b"\x01\0\0\0\0\0"),
        (PADDED | WITH_PRIORITY, b"\x05\0\0\0\0\0\0\0\0\0"),
    ] {
        let bad = frame(HEADERS, flags | END_HEADERS, 1, payload);
        both_break(&[bad], Violation::Padding, Code::PROTOCOL_ERROR);
    }
}

/// §6.2, §6.3, §6.4, §6.10: on stream 0 they are connection errors of type PROTOCOL_ERROR.
#[test]
fn frames_of_streams_on_stream_0_are_refused() {
    for bad in [headers(0, 0, &[(":status", "200")]), frame(PRIORITY, 0, 0, [0; 5]), rst_stream(0, Code::CANCEL)] {
        both_break(&[bad], Violation::StreamId, Code::PROTOCOL_ERROR);
    }
}

/// §6.3: "A PRIORITY frame with a length other than 5 octets MUST be treated as a stream error of type FRAME_SIZE_ERROR."
/// Where there is no stream, only the connection can have it.
#[test]
fn a_priority_of_a_wrong_length_ends_its_stream() {
    for bad in [&[0; 4][..], &[0; 6], &[]] {
        client_resets(&[frame(PRIORITY, 0, 1, bad)], Violation::FrameSize, Code::FRAME_SIZE_ERROR);
        both_break(&[frame(PRIORITY, 0, 9, bad)], Violation::FrameSize, Code::FRAME_SIZE_ERROR);
    }
}

/// §6.4: the exchange ends with the code that came; it may be sent again for sure where it was refused (§8.7).
#[test]
fn a_reset_ends_the_exchange() {
    for (code, replay) in [
        (Code::REFUSED_STREAM, "NotProcessed"),
        (Code::CANCEL, "Unknown"),
        (Code::NO_ERROR, "Unknown"),
        (Code::HTTP_1_1_REQUIRED, "Unknown"),
        (Code(0xffff_ffff), "Unknown"),
    ] {
        let failed = format!("0 failed, {}, {replay}", Error::Reset { code: code.0.into() });
        let run = asked(&["GET", "GET"], &[rst_stream(1, code), answer(3)]);
        assert_eq!(told(&run), [&failed, "1 HTTP/2.0 200 done"]);
        // §5.4.2: "an endpoint MUST NOT send a RST_STREAM in response to a RST_STREAM frame".
        assert_eq!(answers(&run), [""; 0]);
        let run = asked(&["GET"], &[head(1), data(1, 0, "hi"), rst_stream(1, code)]);
        assert_eq!(told(&run), ["0 HTTP/2.0 200", "0 \"hi\"", &failed]);
        let run = heard(&[post(1), rst_stream(1, code)]);
        assert_eq!(told(&run), ["0 POST / HTTP/2.0 | host: h", &failed]);
        assert_eq!(answers(&run), [""; 0]);
    }
}

/// A server does not answer what the client has given up.
#[test]
fn an_exchange_that_was_reset_takes_no_answer() {
    let mut side = mute(Settings::default());
    side.receive(&from_client(&[get(1), post(3), rst_stream(1, Code::CANCEL)]), false);
    assert_eq!(side.machine.slots(), 1);
    let head = response(200);
    let refused = side.machine.send(ExchangeId(0), Response { head: &head, body: Body::EMPTY }, &mut side.out);
    assert!(matches!(refused, Err(aquests_protocols::Refused::Misuse(_))), "{refused:?}");
}

/// §6.6, §8.4: we say that nothing may be pushed, and "A client … MUST treat the receipt of a PUSH_PROMISE frame … as a
/// connection error of type PROTOCOL_ERROR". No client may push at all.
#[test]
fn a_push_is_refused() {
    let promise = [&2u32.to_be_bytes()[..], &block(&asking("GET"))].concat();
    for stream in [1, 0, 2] {
        let push = frame(PUSH_PROMISE, END_HEADERS, stream, &promise);
        both_break(&[push], Violation::Push, Code::PROTOCOL_ERROR);
    }
    // Its head is enough.
    client_breaks(&[frame(PUSH_PROMISE, 0, 1, [0; 900])[..9].to_vec()], Violation::Push, Code::PROTOCOL_ERROR);
}

/// §6.10: "A CONTINUATION frame MUST be preceded by a HEADERS … or CONTINUATION frame without the END_HEADERS flag set.
/// A recipient that observes violation of this rule MUST respond with a connection error of type PROTOCOL_ERROR."
#[test]
fn a_continuation_of_nothing_is_refused() {
    both_break(&[frame(CONTINUATION, END_HEADERS, 1, "")], Violation::Continuation, Code::PROTOCOL_ERROR);
    both_break(&[frame(CONTINUATION, 0, 0, "")], Violation::Continuation, Code::PROTOCOL_ERROR);
    let run = asked(&["GET"], &[head(1), frame(CONTINUATION, END_HEADERS, 1, "")]);
    assert_eq!(run.error, Some(Violation::Continuation.into()));
}

/// §6.2: "A receiver MUST treat the receipt of any other type of frame or a frame on a different stream as a connection
/// error of type PROTOCOL_ERROR."
#[test]
fn nothing_may_come_in_the_middle_of_a_block() {
    let begun = || frame(HEADERS, 0, 1, block(&[(":status", "200")]));
    for bad in [
        data(1, 0, "x"),
        answer(1),
        frame(HEADERS, 0, 1, ""),
        frame(PRIORITY, 0, 1, [0; 5]),
        rst_stream(1, Code::CANCEL),
        settings(&[]),
        settings_ack(),
        ping(b"12345678"),
        goaway(0, Code::NO_ERROR),
        window_update(0, 1),
        frame(CONTINUATION, END_HEADERS, 3, ""),
        frame(CONTINUATION, END_HEADERS, 0, ""),
    ] {
        client_breaks(&[begun(), bad], Violation::Continuation, Code::PROTOCOL_ERROR);
    }
    let begun = frame(HEADERS, 0, 3, block(&asking("GET")));
    server_breaks(&[begun, get(5)], Violation::Continuation, Code::PROTOCOL_ERROR);
}
