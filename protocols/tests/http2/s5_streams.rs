//! RFC 9113 §5.1: streams, their states, numbers and how many there may be.

use super::*;

/// §5.1.1: "Streams initiated by a client MUST use odd-numbered stream identifiers", each "numerically greater than all
/// streams that the initiating endpoint has opened".
#[test]
fn a_client_numbers_its_streams_upwards_and_odd() {
    let mut side = quiet(Settings::default());
    for id in [70, 3, 9] {
        send(&mut side, id, &request("GET"), Body::EMPTY);
    }
    let heads: Vec<_> = said(&side.out).iter().map(|line| line.split(' ').nth(1).unwrap().to_string()).collect();
    assert_eq!(heads, ["1", "3", "5"]);
}

/// The same section: "An endpoint that receives an unexpected stream identifier MUST respond with a connection error of
/// type PROTOCOL_ERROR": even ones, and those that were passed over.
#[test]
fn a_server_refuses_streams_that_are_even_or_not_the_next() {
    for stream in [2, 4, 100] {
        server_breaks(&[get(stream)], Violation::StreamId, Code::PROTOCOL_ERROR);
    }
    server_breaks(&[get(9), get(7)], Violation::StreamId, Code::PROTOCOL_ERROR);
    server_breaks(&[get(127), get(3)], Violation::StreamId, Code::PROTOCOL_ERROR);
    let run = served(&[get(1), get(9), get(11), get(1001)]);
    assert_eq!((run.error, told(&run).len()), (None, 4));
}

/// §5.1, idle: "Receiving any frame other than HEADERS or PRIORITY on a stream in this state MUST be treated as a
/// connection error of type PROTOCOL_ERROR." A client's idle streams are all that it has not opened.
#[test]
fn frames_on_idle_streams_are_refused() {
    for stream in [3, 5, 2, 1_000_001] {
        for bad in [data(stream, 0, "x"), rst_stream(stream, Code::CANCEL), window_update(stream, 1)] {
            both_break(&[bad], Violation::IdleStream, Code::PROTOCOL_ERROR);
        }
        client_breaks(&[answer(stream)], Violation::IdleStream, Code::PROTOCOL_ERROR);
        let begun = frame(HEADERS, 0, stream, "");
        client_breaks(&[begun], Violation::IdleStream, Code::PROTOCOL_ERROR);
    }
}

/// §5.1: PRIORITY may come on streams in any state, and nothing follows from it (§5.3.2).
#[test]
fn priorities_are_ignored_wherever_they_come() {
    let priority = |stream| frame(PRIORITY, 0, stream, [0x80, 0, 0, 1, 16]);
    let run = asked(&["GET"], &[priority(1), priority(2), priority(99), answer(1), priority(1)]);
    assert_eq!(told(&run), ["0 HTTP/2.0 200 done"]);
    assert_eq!(answers(&run), [""; 0]);
    let run = served(&[priority(1), priority(3), get(1), priority(1)]);
    assert_eq!(told(&run).len(), 1);
}

/// §5.1, half-closed (remote): "If an endpoint receives additional frames, other than WINDOW_UPDATE, PRIORITY, or
/// RST_STREAM, for a stream that is in this state, it MUST respond with a stream error of type STREAM_CLOSED."
#[test]
fn a_server_resets_a_stream_that_goes_on_after_its_end() {
    for late in [data(1, 0, "x"), data(1, END_STREAM, ""), headers(1, END_STREAM, &[("x", "y")]), get(1)] {
        let run = heard(&[get(1), late.clone(), ping(b"12345678")]);
        let failed = format!("0 failed, {}, Unknown", Violation::StreamClosed);
        assert_eq!(told(&run), ["0 GET / HTTP/2.0 | host: h done", &failed], "{}", late.escape_ascii());
        assert_eq!(answers(&run), ["RST_STREAM 1 STREAM_CLOSED", "PING ACK \"12345678\""]);
    }
    let run = heard(&[get(1), window_update(1, 5), frame(PRIORITY, 0, 1, [0; 5])]);
    assert_eq!((run.error, told(&run).len(), answers(&run).len()), (None, 1, 0));
}

/// §5.1, closed: a peer that has ended its stream, and was not reset by us, sends nothing more on it: "MAY treat … as a
/// connection error of type STREAM_CLOSED". WINDOW_UPDATE and RST_STREAM may still be on their way.
#[test]
fn messages_on_a_stream_that_both_have_ended_end_the_connection() {
    for late in [data(1, 0, "x"), data(1, END_STREAM, ""), answer(1), frame(HEADERS, 0, 1, "")] {
        let run = asked(&["GET"], &[answer(1), late.clone()]);
        assert_eq!(run.error, Some(Violation::StreamClosed.into()), "{}", late.escape_ascii());
        assert_eq!(answers(&run), ["GOAWAY 0 STREAM_CLOSED"]);
        assert_eq!(told(&run), ["0 HTTP/2.0 200 done"], "what came before is told");
    }
    for late in [data(1, 0, "x"), get(1), headers(1, END_STREAM, &[("x", "y")])] {
        let run = served(&[get(1), late.clone()]);
        assert_eq!(run.error, Some(Violation::StreamClosed.into()), "{}", late.escape_ascii());
        assert_eq!(answers(&run).last().unwrap(), "GOAWAY 1 STREAM_CLOSED");
    }
    let run = asked(&["GET"], &[answer(1), window_update(1, 9), rst_stream(1, Code::NO_ERROR), window_update(1, 0)]);
    assert_eq!((run.error, told(&run)), (None, vec!["0 HTTP/2.0 200 done".to_string()]));
    // After RST_STREAM of theirs, too.
    let run = asked(&["GET"], &[rst_stream(1, Code::CANCEL), data(1, 0, "x")]);
    assert_eq!(run.error, Some(Violation::StreamClosed.into()));
}

/// §5.1, closed: "An endpoint that sends a RST_STREAM frame … could receive any type of frame. … An endpoint MUST
/// minimally process and then discard any frames it receives in this state", up to what its window allowed.
#[test]
fn what_was_on_its_way_to_a_stream_that_we_reset_is_dropped() {
    let cancelling = || {
        sent(&["GET", "GET"]).acting(|side, event| {
            if let Some(Event::Message { id: ExchangeId(0), .. }) = event {
                assert!(side.machine.cancel(ExchangeId(0), &mut side.out));
            }
        })
    };
    let frames = [
        head(1),
        data(1, 0, "too late"),
        frame(DATA, PADDED, 1, b"\x03data\0\0\0"),
        data(1, 0, ""),
        headers(1, END_STREAM, &[("x", "y")]),
        window_update(1, 1),
        rst_stream(1, Code::NO_ERROR),
        answer(3),
    ];
    let run = splits(&from_server(&frames), false, cancelling);
    assert_eq!(told(&run), ["0 HTTP/2.0 200", "1 HTTP/2.0 200 done"]);
    assert_eq!((run.error, answers(&run)), (None, vec!["RST_STREAM 1 CANCEL".to_string()]));
    // 256 KiB, and one byte more.
    let mut frames = vec![head(1)];
    frames.extend(vec![data(1, 0, vec![0; 16_384]); 16]);
    let mut side = cancelling();
    side.receive(&from_server(&frames), false);
    side.receive(&data(1, 0, "x"), false);
    let run = side.finish();
    assert_eq!(run.error, Some(Violation::StreamClosed.into()));
    assert_eq!(run.unfinished, [(ExchangeId(1), Replay::Unknown)]);
}

/// §5.1.2: "Endpoints MUST NOT exceed the limit set by their peer", nor our own.
#[test]
fn a_client_opens_no_more_streams_than_the_server_allows() {
    let mut side = quiet(Settings::default().streams(10));
    assert_eq!(side.machine.slots(), 10);
    for (allowed, slots) in [(3, 3), (0, 0), (2, 2), (1000, 10)] {
        side.receive(&settings(&[(MAX_CONCURRENT_STREAMS, allowed)]), false);
        assert_eq!(side.machine.slots(), slots);
    }
    for id in 0..4 {
        send(&mut side, id, &request("GET"), Body::EMPTY);
    }
    assert_eq!(side.machine.slots(), 6);
    side.receive(&settings(&[(MAX_CONCURRENT_STREAMS, 2)]), false);
    assert_eq!(side.machine.slots(), 0);
    let head = request("GET");
    let refused = side.machine.send(ExchangeId(9), Request { head: &head, body: Body::EMPTY }, &mut side.out);
    assert_eq!(refused, Err(aquests_protocols::Refused::NotNow));
    side.receive(&[answer(1), answer(5), answer(3)].concat(), false);
    assert_eq!(side.machine.slots(), 1);
    // "unlimited" until the server says something, and 100 until it says anything.
    assert_eq!(quiet(Settings::default().streams(500)).machine.slots(), 100);
    let mut side = quiet(Settings::default().streams(500));
    side.receive(&settings(&[]), false);
    assert_eq!(side.machine.slots(), 500);
}

/// §5.1.2: "An endpoint that receives a HEADERS frame that causes its advertised concurrent stream limit to be exceeded
/// MUST treat this as a stream error of type PROTOCOL_ERROR or REFUSED_STREAM." The latter lets it be sent again.
#[test]
fn a_server_refuses_more_streams_than_it_allows() {
    let run = splits(&from_client(&[get(1), post(3), get(5), data(5, 0, ""), get(7)]), false, || {
        mute(Settings::default().streams(2))
    });
    assert_eq!(told(&run), ["0 GET / HTTP/2.0 | host: h done", "1 POST / HTTP/2.0 | host: h"]);
    assert_eq!(answers(&run), ["RST_STREAM 5 REFUSED_STREAM", "RST_STREAM 7 REFUSED_STREAM"]);
    assert_eq!(run.error, None);
}

/// §5: frames of several streams come in any order, and each exchange has its own.
#[test]
fn exchanges_of_one_connection_are_apart() {
    let frames = [
        head(3),
        head(1),
        data(3, 0, "bb"),
        data(1, 0, "aa"),
        data(3, END_STREAM, ""),
        data(1, 0, "a"),
        headers(1, END_STREAM, &[("sum", "3")]),
    ];
    let expected = [
        "1 HTTP/2.0 200",
        "0 HTTP/2.0 200",
        "1 \"bb\"",
        "0 \"aa\"",
        "1 \"\" done",
        "0 \"a\"",
        "0 trailers | sum: 3 done",
    ];
    assert_eq!(told(&asked(&["GET", "GET"], &frames)), expected);
}
