//! Bodies that are sent in parts, by both roles.

use aquests_protocols::{Refused, Replay};

use super::*;

const ID: ExchangeId = ExchangeId(0);

fn uploading(length: Option<u64>) -> AtClient {
    let mut side = quiet(Client::new());
    send(&mut side, 0, &request("POST"), Body::Parts(length));
    side.take_out();
    side
}

fn answering(length: Option<u64>) -> AtServer {
    let mut side = mute();
    side.receive(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", false);
    answer(&mut side, 0, 200, Body::Parts(length));
    side.take_out();
    side
}

fn misuse<T>(result: Result<T, Refused>) -> bool {
    matches!(result, Err(Refused::Misuse(_)))
}

/// The same for both roles.
macro_rules! in_both_roles {
    ($length:expr, $check:expr) => {{
        $check(&mut uploading($length));
        $check(&mut answering($length));
    }};
}

/// RFC 9112 §6.2: by length: the bytes as they are, and the room is what is left of the promise.
#[test]
fn a_body_by_length_is_sent_as_it_is() {
    in_both_roles!(Some(10), |side: &mut Side<_, _>| {
        for (part, room, last) in [(&b"hello"[..], 10, false), (b"", 5, false), (b"worl", 5, false), (b"d", 1, true)] {
            assert_eq!(side.machine.wants_data(), Some((ID, room)));
            assert_eq!(side.machine.send_data(ID, part, last, &mut side.out), Ok(part.len()));
        }
        assert_eq!((side.take_out(), side.machine.wants_data()), (b"helloworld".to_vec(), None));
    });
}

/// The end may be told apart from the last byte.
#[test]
fn the_end_of_a_body_may_come_after_its_last_byte() {
    for length in [Some(2), None] {
        in_both_roles!(length, |side: &mut Side<_, _>| {
            side.machine.send_data(ID, b"hi", false, &mut side.out).unwrap();
            assert!(side.machine.wants_data().is_some());
            side.machine.send_data(ID, b"", true, &mut side.out).unwrap();
            assert!(side.machine.wants_data().is_none());
            let expected: &[u8] = if length.is_some() { b"hi" } else { b"2\r\nhi\r\n0\r\n\r\n" };
            assert_eq!(side.take_out(), expected);
        });
    }
}

/// A body of length 0 that is nevertheless sent in parts.
#[test]
fn an_empty_body_in_parts_only_wants_its_end() {
    in_both_roles!(Some(0), |side: &mut Side<_, _>| {
        assert_eq!(side.machine.wants_data(), Some((ID, 0)));
        side.machine.send_data(ID, b"", true, &mut side.out).unwrap();
        assert_eq!((side.take_out(), side.machine.wants_data()), (vec![], None));
    });
}

/// RFC 9112 §8, RFC 9110 §8.6: "a sender MUST NOT" break its promise: the bytes after it would be another message.
#[test]
fn more_than_promised_is_refused() {
    in_both_roles!(Some(3), |side: &mut Side<_, _>| {
        assert!(misuse(side.machine.send_data(ID, b"four", false, &mut side.out)));
        side.machine.send_data(ID, b"ab", false, &mut side.out).unwrap();
        assert!(misuse(side.machine.send_data(ID, b"cd", true, &mut side.out)));
        assert_eq!(side.machine.wants_data(), Some((ID, 1)), "a refusal changes nothing");
        side.machine.send_data(ID, b"c", true, &mut side.out).unwrap();
        assert_eq!(side.take_out(), b"abc");
    });
}

/// The same for less: the peer would wait, and take the next message for the rest.
#[test]
fn less_than_promised_is_refused() {
    in_both_roles!(Some(3), |side: &mut Side<_, _>| {
        assert!(misuse(side.machine.send_data(ID, b"ab", true, &mut side.out)));
        assert_eq!((side.take_out(), side.machine.wants_data()), (vec![], Some((ID, 3))));
    });
}

/// RFC 9112 §7.1.2: trailers end a body in chunks, and no other.
#[test]
fn trailers_end_a_body_in_chunks() {
    in_both_roles!(None, |side: &mut Side<_, _>| {
        side.machine.send_data(ID, b"hi", false, &mut side.out).unwrap();
        side.machine.send_trailers(ID, b"x-sum: 1\r\nx-other:2\r\n", &mut side.out).unwrap();
        assert_eq!(side.take_out(), b"2\r\nhi\r\n0\r\nx-sum: 1\r\nx-other:2\r\n\r\n");
        assert!(misuse(side.machine.send_data(ID, b"more", false, &mut side.out)));
        assert!(misuse(side.machine.send_trailers(ID, b"", &mut side.out)));
    });
    in_both_roles!(Some(2), |side: &mut Side<_, _>| {
        assert!(misuse(side.machine.send_trailers(ID, b"x: y\r\n", &mut side.out)));
        assert_eq!(side.machine.wants_data(), Some((ID, 2)));
    });
}

/// LIMITS: "header injection through CR/LF in any user value"; RFC 9110 §6.5.1: no field that frames or routes.
#[test]
fn trailers_that_could_split_a_message_are_refused() {
    for trailers in [
        &b"x: y\r\n\r\nGET /admin HTTP/1.1\r\nhost: h\r\n"[..],
        b"\r\n",
        b"x: y",
        b"x: y\n",
        b"x: y\r\nz",
        b"x: y\nz: a\r\n",
        b"x: y\rz: a\r\n",
        b"x: \0\r\n",
        b"x\r\n",
        b": y\r\n",
        b"x : y\r\n",
        b" x: y\r\n",
        b"x: y\r\n z\r\n",
        b"Content-Length: 5\r\n",
        b"x: y\r\ntransfer-encoding: chunked\r\n",
        b"host: h\r\n",
    ] {
        in_both_roles!(None, |side: &mut Side<_, _>| {
            assert!(misuse(side.machine.send_trailers(ID, trailers, &mut side.out)), "{}", trailers.escape_ascii());
            assert!(side.machine.wants_data().is_some(), "{}", trailers.escape_ascii());
        });
    }
}

/// The trait: a source that has nothing yet is not asked until it is resumed.
#[test]
fn a_body_whose_source_has_nothing_is_not_asked_for_until_resumed() {
    in_both_roles!(None, |side: &mut Side<_, _>| {
        side.machine.stall(ID);
        assert_eq!(side.machine.wants_data(), None);
        side.machine.stall(ExchangeId(7));
        side.machine.resume(ExchangeId(7), &mut side.out);
        side.machine.unstall(ExchangeId(7));
        assert_eq!(side.machine.wants_data(), None, "somebody else was resumed");
        side.machine.resume(ID, &mut side.out);
        assert_eq!(side.machine.wants_data(), Some((ID, usize::MAX)));
        side.machine.stall(ID);
        assert_eq!(side.machine.wants_data(), None);
        side.machine.unstall(ID);
        assert_eq!(side.machine.wants_data(), Some((ID, usize::MAX)));
        // An end needs no room: it may be given to one that is not named.
        side.machine.stall(ID);
        side.machine.send_data(ID, b"", true, &mut side.out).unwrap();
        assert_eq!(side.take_out(), b"0\r\n\r\n");
    });
}

/// `Protocol::unstall`: an answer that nobody reads stays held while its upload goes on.
#[test]
fn an_upload_goes_on_while_its_answer_is_held() {
    let mut side = uploading(None);
    side.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", false);
    side.machine.hold(ID);
    side.machine.stall(ID);
    side.machine.unstall(ID);
    assert_eq!(side.machine.wants_data(), Some((ID, usize::MAX)));
    side.take_events();
    side.receive(b"ok", false);
    assert_eq!(side.take_events().len(), 0, "it is held");
    side.machine.resume(ID, &mut side.out);
    side.receive(b"", false);
    assert_eq!(line(&side.take_events()[0]), "0 \"ok\" done");
}

/// Data for an exchange that sends none: unknown, whole, or answered.
#[test]
fn data_for_an_exchange_that_sends_none_is_refused() {
    let mut side = sent(Client::new(), &[request("POST")]);
    assert!(misuse(side.machine.send_data(ID, b"x", true, &mut side.out)));
    assert!(misuse(side.machine.send_trailers(ID, b"", &mut side.out)));
    let mut side = uploading(None);
    assert!(misuse(side.machine.send_data(ExchangeId(1), b"x", true, &mut side.out)));
    let mut side = mute();
    assert!(misuse(side.machine.send_data(ID, b"x", true, &mut side.out)));
    side.receive(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", false);
    assert!(misuse(side.machine.send_data(ID, b"x", true, &mut side.out)));
    assert!(misuse(side.machine.send_trailers(ID, b"", &mut side.out)));
}

/// RFC 9112 §9.3.2: nothing is sent behind a body that has not ended.
#[test]
fn no_request_is_sent_in_the_middle_of_a_body() {
    let mut side = quiet(Client::new().pipeline(4));
    send(&mut side, 0, &request("PUT"), Body::Parts(Some(2)));
    assert_eq!(side.machine.slots(), 0);
    let head = request("GET");
    let refused = side.machine.send(ExchangeId(1), Request { head: &head, body: Body::EMPTY }, &mut side.out);
    assert_eq!(refused, Err(Refused::NotNow));
    side.machine.send_data(ID, b"hi", true, &mut side.out).unwrap();
    assert_eq!(side.machine.slots(), 3);
    send(&mut side, 1, &head, Body::EMPTY);
}

/// RFC 9112 §9.3, §9.6: an answer that is whole before the body is: the rest would be read as a request, so the
/// connection is not used again. The answer counts.
#[test]
fn an_early_answer_ends_the_connection() {
    for length in [None, Some(10)] {
        let start = || {
            let mut side = uploading(length);
            side.machine.send_data(ID, b"half", false, &mut side.out).unwrap();
            side
        };
        let run = splits(b"HTTP/1.1 413 x\r\ncontent-length: 2\r\n\r\nno", false, start);
        assert_eq!(told(&run)[1..], ["0 \"no\" done", "closed"]);
        assert_eq!((run.error, run.unfinished), (None, vec![]));
        let mut side = start();
        side.receive(b"HTTP/1.1 413 x\r\ncontent-length: 2\r\n\r\nno", false);
        assert_eq!((side.machine.slots(), side.machine.wants_data()), (0, None));
        assert!(misuse(side.machine.send_data(ID, b"more", false, &mut side.out)));
    }
}

/// RFC 9110 §10.1.1: a body that waits for the server to want it, and is not wanted: not one byte of it is asked for, and
/// since the server may still take what comes next for it, the connection is not used again. An interim response changes
/// nothing of that: what it means is for the caller to say.
#[test]
fn a_body_that_waits_is_not_asked_for_whatever_comes() {
    for length in [None, Some(10)] {
        let start = || {
            let mut side = uploading(length);
            side.machine.stall(ID);
            side
        };
        let run = splits(b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 417 x\r\ncontent-length: 2\r\n\r\nno", false, start);
        assert_eq!(told(&run)[2..], ["0 \"no\" done", "closed"]);
        assert_eq!((run.error, run.unfinished, run.out), (None, vec![], vec![]));
        let mut side = start();
        side.receive(b"HTTP/1.1 100 x\r\n\r\n", false);
        assert_eq!(side.machine.wants_data(), None);
        side.machine.resume(ID, &mut side.out);
        assert!(side.machine.wants_data().is_some());
    }
}

/// An answer that has only begun stops nothing: a server may answer while it reads.
#[test]
fn a_body_goes_on_while_its_answer_comes() {
    let mut side = uploading(None);
    side.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nec", false);
    assert!(side.machine.wants_data().is_some());
    side.machine.send_data(ID, b"echo", true, &mut side.out).unwrap();
    side.receive(b"ho", false);
    assert_eq!(side.machine.slots(), 1, "both are whole: the connection lives");
    assert_eq!(told(&side.finish())[1..], ["0 \"echo\" done"]);
}

/// A body that is wholly on its way by its length, though nobody has said that it ended, leaves nothing behind.
#[test]
fn a_body_that_came_whole_by_length_leaves_the_connection_alive() {
    let mut side = uploading(Some(4));
    side.machine.send_data(ID, b"body", false, &mut side.out).unwrap();
    side.receive(b"HTTP/1.1 204 x\r\n\r\n", false);
    assert_eq!((side.machine.slots(), side.machine.wants_data()), (1, None));
    // Unless the server says otherwise.
    let mut side = uploading(Some(4));
    side.machine.send_data(ID, b"body", false, &mut side.out).unwrap();
    side.receive(b"HTTP/1.1 204 x\r\nconnection: close\r\n\r\n", false);
    assert_eq!(told(&side.finish()).last().unwrap(), "closed");
}

/// An error in the middle of a body: it is not asked for any more.
#[test]
fn a_body_is_not_asked_for_after_an_error() {
    let mut side = uploading(None);
    side.receive(b"<html>", false);
    assert_eq!(side.machine.wants_data(), None);
    assert!(misuse(side.machine.send_data(ID, b"x", true, &mut side.out)));
    assert_eq!(side.finish().unfinished, [(ID, Replay::Unknown)]);
}

/// RFC 9112 §6.1, §6.3 rule 8: to a client of HTTP/1.0 a body of unknown length ends with the connection, and has no
/// trailers.
#[test]
fn to_http_1_0_a_body_of_unknown_length_ends_with_the_connection() {
    for end in [None, Some(&b"x: y\r\n"[..])] {
        let mut side = mute();
        side.receive(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", false);
        answer(&mut side, 0, 200, Body::Parts(None));
        side.machine.send_data(ID, b"hel", false, &mut side.out).unwrap();
        side.machine.send_data(ID, b"lo", end.is_none(), &mut side.out).unwrap();
        if let Some(trailers) = end {
            assert!(misuse(side.machine.send_trailers(ID, b"x: \0\r\n", &mut side.out)));
            side.machine.send_trailers(ID, trailers, &mut side.out).unwrap();
        }
        assert_eq!(side.take_out(), b"HTTP/1.1 200 \r\nconnection: close\r\n\r\nhello");
        side.receive(b"", false);
        assert_eq!(told(&side.finish()).last().unwrap(), "closed");
    }
}

/// RFC 9110 §9.3.2, §15.3.5, §15.4.5: where a body must not be, none is asked for.
#[test]
fn no_parts_are_asked_for_where_no_body_may_be() {
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let mut side = mute();
        side.receive(format!("{method} / HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes(), false);
        answer(&mut side, 0, status, Body::Parts(Some(5)));
        assert_eq!(side.machine.wants_data(), None);
        assert!(misuse(side.machine.send_data(ID, b"hello", true, &mut side.out)));
    }
}
