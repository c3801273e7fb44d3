//! RFC 9113 §6.7 and §6.8: PING and GOAWAY, and how a connection ends.

use super::*;

const AWAY: Error = Error::GoneAway { code: 0 };

/// §6.7: "Receivers of a PING frame that does not include an ACK flag MUST send a PING frame with the ACK flag set in
/// response, with an identical frame payload." "MUST NOT respond to PING frames containing this flag."
#[test]
fn a_ping_is_answered_with_its_payload_and_an_answer_is_not() {
    let frames = [ping(b"12345678"), frame(PING, ACK, 0, "87654321"), ping(b"\0\0\0\0\0\0\0\0")];
    let expected = ["PING ACK \"12345678\"", "PING ACK \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\""];
    assert_eq!(answers(&asked(&["GET"], &frames)), expected);
    assert_eq!(answers(&heard(&frames)), expected);
}

/// §6.7: on a stream it is "a connection error of type PROTOCOL_ERROR"; and so is GOAWAY, §6.8.
#[test]
fn ping_and_goaway_belong_on_stream_0() {
    both_break(&[frame(PING, 0, 1, "12345678")], Violation::StreamId, Code::PROTOCOL_ERROR);
    both_break(&[frame(GOAWAY, 0, 1, [0; 8])], Violation::StreamId, Code::PROTOCOL_ERROR);
}

/// `Protocol::ping` asks, and any number of answers to it is no flood.
#[test]
fn a_sign_of_life_can_be_asked_for() {
    let mut side = sent(&[]);
    side.receive(&settings(&[]), false);
    for _ in 0..3_000 {
        side.take_out();
        side.machine.ping(&mut side.out);
        let asked = side.take_out();
        assert_eq!(said(&asked).len(), 1);
        let answer = [&asked[..4], &[ACK], &asked[5..]].concat();
        side.receive(&answer, false);
    }
    assert_eq!(side.finish().error, None);
}

/// §6.8: streams above the last one "were not or will not be processed": they may be sent again; those up to it finish,
/// and then the connection is over.
#[test]
fn a_goaway_spares_the_streams_above_and_the_ones_below_finish() {
    let frames = [goaway(3, Code::NO_ERROR), head(3), answer(1), data(3, END_STREAM, "hi"), b"left".to_vec()];
    let run = asked(&["GET"; 4], &frames);
    let expected = [
        &format!("2 failed, {AWAY}, NotProcessed"),
        &format!("3 failed, {AWAY}, NotProcessed"),
        "1 HTTP/2.0 200",
        "0 HTTP/2.0 200 done",
        "1 \"hi\" done",
        "closed",
    ];
    assert_eq!(told(&run), expected);
    assert_eq!(run.left, b"left");
    // §6.8: "Endpoints SHOULD always send a GOAWAY frame before closing a connection".
    assert_eq!(answers(&run), ["GOAWAY 0 NO_ERROR"]);
}

/// After it, nothing is sent on this connection, and without exchanges it is over at once.
#[test]
fn nothing_is_sent_after_a_goaway() {
    let mut side = sent(&["GET"]);
    side.receive(&from_server(&[goaway(i32::MAX as u32, Code::NO_ERROR)]), false);
    assert_eq!(side.machine.slots(), 0);
    side.receive(&answer(1), false);
    assert_eq!(told(&side.finish()), ["0 HTTP/2.0 200 done", "closed"]);
    assert_eq!(told(&asked(&[], &[goaway(0, Code::INTERNAL_ERROR)])), ["closed"]);
}

/// The code of the GOAWAY is the error of what it ends, and the debug data is not looked at.
#[test]
fn an_exchange_that_a_goaway_ends_tells_its_code() {
    let debug = frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\x0bcalm down, please");
    let error = Error::GoneAway { code: Code::ENHANCE_YOUR_CALM.0.into() };
    assert_eq!(told(&asked(&["GET"], &[debug])), [&format!("0 failed, {error}, NotProcessed"), "closed"]);
}

/// §6.8: graceful shutdown: a first GOAWAY spares all, a later one fewer, and "MUST NOT increase the value".
#[test]
fn a_second_goaway_may_spare_fewer_streams_and_not_more() {
    let first = goaway(i32::MAX as u32, Code::NO_ERROR);
    let run = asked(&["GET", "GET"], &[first.clone(), goaway(1, Code::NO_ERROR), answer(1)]);
    assert_eq!(told(&run), [&format!("1 failed, {AWAY}, NotProcessed"), "0 HTTP/2.0 200 done", "closed"]);
    let run = asked(&["GET", "GET"], &[goaway(1, Code::NO_ERROR), first]);
    assert_eq!(run.error, Some(Violation::GoAway.into()));
}

/// An end after GOAWAY leaves the streams below it unknown: the server may have acted on them.
#[test]
fn an_end_after_a_goaway_leaves_the_others_unknown() {
    let run = splits(&from_server(&[goaway(1, Code::NO_ERROR)]), true, || sent(&["GET", "GET"]));
    assert_eq!(told(&run), [format!("1 failed, {AWAY}, NotProcessed")]);
    assert_eq!((run.error, run.unfinished), (Some(Error::UnexpectedEof), vec![(ExchangeId(0), Replay::Unknown)]));
}

/// `close`: the goodbye is said, what is open finishes, nothing is taken.
#[test]
fn a_client_says_goodbye_and_waits_for_what_is_open() {
    let mut side = sent(&["GET"]);
    side.receive(&settings(&[]), false);
    side.take_out();
    side.machine.close(&mut side.out);
    side.machine.close(&mut side.out);
    assert_eq!(said(&side.take_out()), ["GOAWAY 0 NO_ERROR"]);
    assert_eq!(side.machine.slots(), 0);
    side.receive(&answer(1), false);
    assert!(side.is_over());
    assert_eq!(told(&side.finish()), ["0 HTTP/2.0 200 done", "closed"]);
    let mut side = sent(&[]);
    side.machine.close(&mut side.out);
    side.receive(&settings(&[]), false);
    assert!(side.is_over());
}

/// A server says which streams it has acted on, answers those, and ignores those above.
#[test]
fn a_server_says_goodbye_and_answers_what_came_before() {
    let mut side = mute(Settings::default());
    side.receive(&from_client(&[get(1), post(3)]), false);
    side.take_out();
    side.machine.close(&mut side.out);
    assert_eq!(said(&side.take_out()), ["GOAWAY 3 NO_ERROR"]);
    let late = [post(5), data(5, 0, "ignored"), data(5, 0, ""), headers(5, END_STREAM, &[("x", "y")]), get(7)];
    let late = [&late[..], &[data(3, END_STREAM, "hi"), rst_stream(7, Code::CANCEL), window_update(5, 1)]].concat();
    side.receive(&late.concat(), false);
    reply(&mut side, 0, 204, Body::EMPTY);
    reply(&mut side, 1, 204, Body::EMPTY);
    assert_eq!(said(&side.take_out()), ["HEADERS 1 END_STREAM | :status: 204", "HEADERS 3 END_STREAM | :status: 204"]);
    side.receive(&ping(b"not read"), false);
    let run = side.finish();
    let expected = ["0 GET / HTTP/2.0 | host: h done", "1 POST / HTTP/2.0 | host: h", "1 \"hi\" done", "closed"];
    assert_eq!(told(&run), expected);
}

/// §6.8: "A server that is attempting to gracefully shut down a connection SHOULD send an initial GOAWAY frame with the
/// last stream identifier set to 2^31-1 and a NO_ERROR code. … After allowing time for any in-flight stream creation (at
/// least one round-trip time), the server MAY send another GOAWAY frame".
#[test]
fn a_server_leaves_without_losing_what_is_on_its_way() {
    let mut side = obliging();
    side.receive(&from_client(&[]), false);
    side.take_out();
    side.machine.inner().leave(&mut side.out);
    assert_eq!(said(&side.take_out()), ["GOAWAY 2147483647 NO_ERROR", "PING \"leaving!\""]);
    side.receive(&[get(1), get(3)].concat(), false);
    assert_eq!(said(&side.take_out()).len(), 4, "they are still answered");
    side.receive(&frame(PING, ACK, 0, "leaving!"), false);
    assert_eq!(said(&side.take_out()), ["GOAWAY 3 NO_ERROR"]);
    assert!(side.is_over());
}

/// `connection: close` on either side ends the connection when all is answered.
#[test]
fn a_head_that_closes_makes_it_the_last() {
    let mut side = quiet(Settings::default());
    let mut head = request("GET");
    head.field("connection", b"close").unwrap();
    send(&mut side, 0, &head, Body::EMPTY);
    assert_eq!(side.machine.slots(), 0);
    side.receive(&from_server(&[answer(1)]), false);
    assert!(side.is_over());
    assert_eq!(answers(&side.finish()).last().unwrap(), "GOAWAY 0 NO_ERROR");

    let mut side = mute(Settings::default());
    side.receive(&from_client(&[get(1)]), false);
    side.take_out();
    let mut head = response(200);
    head.field("connection", b"close").unwrap();
    side.machine.send(ExchangeId(0), Response { head: &head, body: Body::Whole(b"hi") }, &mut side.out).unwrap();
    let expected = ["HEADERS 1 | :status: 200 | content-length: 2", "GOAWAY 1 NO_ERROR", "DATA 1 END_STREAM \"hi\""];
    assert_eq!(said(&side.take_out()), expected);
    side.receive(&ping(b"not read"), false);
    assert!(side.is_over());
}

/// A client's GOAWAY: what it has asked is answered, then the connection is over.
#[test]
fn a_server_answers_what_a_leaving_client_has_asked() {
    let run = served(&[get(1), goaway(0, Code::NO_ERROR)]);
    assert_eq!(told(&run), ["0 GET / HTTP/2.0 | host: h done", "closed"]);
    let run = heard(&[get(1), goaway(0, Code::NO_ERROR)]);
    assert_eq!(told(&run), ["0 GET / HTTP/2.0 | host: h done"]);
}
