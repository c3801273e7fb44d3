//! Every rule and every limit can be broken, and says which: one peer for each variant of [`Violation`], and its words.

use aquests_protocols::Limit;
use aquests_protocols::http2::hpack;

use super::*;

/// What a client that waits on stream 1 makes of these frames, error of the stream or of the connection.
fn error_of(frames: &[Vec<u8>]) -> Option<Error> {
    let run = asked(&["GET"], frames);
    run.error.or_else(|| {
        run.events.iter().find_map(|event| match event {
            Event::Failed { error, .. } => Some(*error),
            _ => None,
        })
    })
}

#[test]
fn every_violation_has_a_peer_that_causes_it_and_names_its_section() {
    let with = |name, value| headers(1, 0, &[(":status", "200"), (name, value)]);
    for (violation, frames) in [
        (Violation::Compression(hpack::Error::Index), vec![frame(HEADERS, END_HEADERS, 1, [0x80])]),
        (Violation::ConnectionField, vec![with("connection", "close")]),
        (Violation::ContentLength, vec![with("content-length", "x")]),
        (Violation::Continuation, vec![frame(CONTINUATION, 0, 1, "")]),
        (Violation::FieldName, vec![with("A", "b")]),
        (Violation::FieldValue, vec![with("a", " b")]),
        (Violation::FlowControl, [vec![head(1)], vec![data(1, END_STREAM, [0; 16_384]); 17]].concat()),
        (Violation::FrameSize, vec![frame(PING, 0, 0, "")]),
        (Violation::GoAway, vec![goaway(1, Code::NO_ERROR), goaway(3, Code::NO_ERROR)]),
        (Violation::IdleStream, vec![answer(3)]),
        (Violation::Interim, vec![headers(1, END_STREAM, &[(":status", "100")])]),
        (Violation::Padding, vec![frame(HEADERS, PADDED, 1, [9])]),
        (Violation::PseudoField, vec![headers(1, 0, &[])]),
        (Violation::Push, vec![frame(PUSH_PROMISE, 0, 1, "")]),
        (Violation::Setting, vec![settings(&[(ENABLE_PUSH, 1)])]),
        (Violation::StreamId, vec![data(0, 0, "")]),
        (Violation::StreamClosed, vec![answer(1), answer(1)]),
        (Violation::Trailers, vec![head(1), head(1)]),
        (Violation::WindowIncrement, vec![window_update(0, 0)]),
        (Violation::WindowOverflow, vec![window_update(0, i32::MAX as u32)]),
    ] {
        if violation == Violation::FlowControl {
            let mut side = sent(&["GET"]);
            side.machine.hold(ExchangeId(0));
            let mut frames = frames;
            frames.iter_mut().skip(1).for_each(|frame| frame[4] = 0);
            side.receive(&from_server(&frames), false);
            let run = side.finish();
            assert!(matches!(run.events.last(), Some(Event::Failed { error, .. }) if *error == violation.into()));
        } else if violation == Violation::Trailers {
            // A second head has a pseudo-field; without it, it is a trailer that does not end.
            let frames = [head(1), headers(1, 0, &[("x", "y")])];
            assert_eq!(error_of(&frames), Some(violation.into()));
        } else {
            assert_eq!(error_of(&frames), Some(violation.into()), "{}", show(&frames));
        }
        assert!(violation.to_string().contains("(RFC "), "{violation}");
    }
    let run = splits(b"HTTP/1.1 400 Bad Request\r\n", false, || sent(&["GET"]));
    assert_eq!(run.error, Some(Violation::Preface.into()));
    let bad = headers(1, 0, &[&asking("GET")[..], &[("host", "other")]].concat());
    server_resets(&[bad], Violation::Authority, Code::PROTOCOL_ERROR, false);
}

#[test]
fn errors_say_what_it_was() {
    let limit = Limit { what: "PING frames", value: 1000 };
    for (error, words) in [
        (Error::from(Violation::Preface), "this is not HTTP/2: bad first bytes (RFC 9113 §3.4)"),
        (
            Violation::Compression(hpack::Error::Integer).into(),
            "header compression: an integer that is too large (RFC 7541 §5.1)",
        ),
        (Error::TooLarge(limit), "PING frames over 1000"),
        (Error::GoneAway { code: 11 }, "the peer goes away, with code 11 (ENHANCE_YOUR_CALM), and has not acted on it"),
    ] {
        assert_eq!(error.to_string(), words);
    }
}
