//! Interim responses (RFC 9110 §15.2), and connections that are handed over: Upgrade (§7.8) and CONNECT (§9.3.6).

use aquests_protocols::http1::Limits;
use aquests_protocols::{Input, Limit, Refused};

use super::*;

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";

/// RFC 9110 §15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final response, even if
/// the client does not expect one."
#[test]
fn interim_responses_come_before_the_last_one() {
    let run = asked(
        "GET",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 199\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    );
    assert_eq!(
        told(&run),
        [
            "0 interim HTTP/1.1 100 Continue",
            "0 interim HTTP/1.1 103 Early Hints | link: x",
            "0 interim HTTP/1.1 199 ",
            "0 HTTP/1.1 200 OK | content-length: 2",
            "0 \"hi\" done"
        ]
    );
}

fn storm(responses: usize, limits: Limits) -> Run<String> {
    let mut side = sent(Client::new().limits(limits), &[request("GET")]);
    (0..responses).for_each(|_| side.receive(b"HTTP/1.1 100 \r\n\r\n", false));
    side.receive(b"HTTP/1.1 204 \r\n\r\n", false);
    side.finish()
}

/// LIMITS: 1xx storm (100).
#[test]
fn a_storm_of_interim_responses_is_ended() {
    let error = Some(Error::TooLarge(Limit { what: "interim responses", value: 100 }));
    assert_eq!((storm(100, Limits::default()).events.len(), storm(100, Limits::default()).error), (101, None));
    let run = storm(101, Limits::default());
    assert_eq!((run.events.len(), run.error), (100, error));
    assert_eq!(run.unfinished.len(), 1);
    let run = splits("HTTP/1.1 100 \r\n\r\n".repeat(101).as_bytes(), false, || sent(Client::new(), &[request("GET")]));
    assert_eq!((run.events.len(), run.error), (100, error));
}

/// The smallest and the largest limit.
#[test]
fn the_limit_of_interim_responses_is_exact_at_both_ends() {
    let none = Limits::default().interim(0);
    assert_eq!(storm(0, none).error, None);
    assert_eq!(storm(1, none).error, Some(Error::TooLarge(Limit { what: "interim responses", value: 0 })));
    let most = usize::from(u16::MAX);
    assert_eq!(storm(most, Limits::default().interim(u16::MAX)).error, None);
    let error = Some(Error::TooLarge(Limit { what: "interim responses", value: most as u64 }));
    assert_eq!(storm(most + 1, Limits::default().interim(u16::MAX)).error, error);
}

/// The limit is for each request.
#[test]
fn every_request_may_have_its_own_interim_responses() {
    let answers = "HTTP/1.1 100 \r\n\r\nHTTP/1.1 102 \r\n\r\nHTTP/1.1 204 \r\n\r\n".repeat(3);
    let client = || Client::new().limits(Limits::default().interim(2)).pipeline(3);
    let run = splits(answers.as_bytes(), true, || sent(client(), &[request("GET"), request("GET"), request("GET")]));
    assert_eq!((run.events.len(), run.error), (9, None));
}

/// RFC 9110 §7.8: "a client MUST NOT" be switched without having asked; a 101 then is an answer to somebody else.
#[test]
fn a_101_that_nobody_asked_for_is_refused() {
    for method in ["GET", "POST", "HEAD", "CONNECT"] {
        refuses(method, SWITCH, Violation::UnexpectedSwitch);
    }
    let run = asked("GET", format!("HTTP/1.1 100 x\r\n\r\n{SWITCH}"));
    assert_eq!((run.events.len(), run.error), (1, broken(Violation::UnexpectedSwitch)));
    // `upgrade` without the option of the connection asks for nothing (§7.8: it is hop-by-hop).
    let mut head = request("GET");
    head.field("upgrade", b"echo").unwrap();
    let run = splits(SWITCH.as_bytes(), false, || sent(Client::new(), &[head.clone()]));
    assert_eq!(run.error, broken(Violation::UnexpectedSwitch));
}

/// RFC 9110 §7.8: "the client cannot begin using an upgraded protocol on the connection until it has completely sent
/// the request message": a 101 in the middle of a body is premature.
#[test]
fn a_101_in_the_middle_of_the_request_is_refused() {
    for (length, part) in [(None, &b""[..]), (None, b"half"), (Some(9), b"half"), (Some(1), b"")] {
        let start = || {
            let mut side = quiet(Client::new());
            send(&mut side, 0, &upgrade(), Body::Parts(length));
            side.machine.send_data(ExchangeId(0), part, false, &mut side.out).unwrap();
            side
        };
        let run = splits(SWITCH.as_bytes(), false, start);
        assert_eq!(run.error, broken(Violation::UnexpectedSwitch), "{length:?} {part:?}");
    }
}

/// The other side of the same rule: when the body is on its way to its end, the protocol may change.
#[test]
fn a_101_after_the_whole_request_switches() {
    for (length, last) in [(None, true), (Some(4), true), (Some(4), false), (Some(0), true)] {
        let start = || {
            let mut side = quiet(Client::new());
            send(&mut side, 0, &upgrade(), Body::Parts(length));
            let part = if length == Some(0) { &b""[..] } else { b"body" };
            side.machine.send_data(ExchangeId(0), part, last, &mut side.out).unwrap();
            side
        };
        assert_eq!(told(&splits(SWITCH.as_bytes(), false, start))[1..], ["0 switched"], "{length:?} {last}");
    }
}

/// RFC 9110 §7.8: what follows the empty line of the 101 is the new protocol's.
#[test]
fn bytes_behind_a_101_are_left_to_the_next_protocol() {
    for rest in ["", "hello", "HTTP/1.1 200 OK\r\n\r\n", "\r\n", "\0\u{1}\u{2}"] {
        let run = splits(format!("{SWITCH}{rest}").as_bytes(), true, || sent(Client::new(), &[upgrade()]));
        let head = "0 HTTP/1.1 101 Switching Protocols | connection: upgrade | upgrade: echo";
        assert_eq!(told(&run), [head, "0 switched"]);
        assert_eq!((run.left, run.error, run.unfinished), (rest.as_bytes().to_vec(), None, vec![]));
    }
}

/// After it, no request is taken, and the machine has nothing more to say.
#[test]
fn nothing_is_sent_after_a_switch() {
    let mut side = quiet(Client::new().pipeline(4)).acting(|side, event| {
        if event.is_some() {
            assert_eq!((side.machine.slots(), side.machine.wants_data()), (0, None));
        }
    });
    send(&mut side, 0, &upgrade(), Body::Parts(Some(0)));
    side.receive(SWITCH.as_bytes(), false);
    assert_eq!(side.take_events().len(), 2);
    side.machine.close(&mut side.out);
    let again = side.machine.receive(Input { bytes: b"x", eof: false }, &mut side.out);
    assert!(matches!(again, Ok((0, Event::Closed))), "the bytes are another protocol's");
    let head = request("GET");
    let refused = side.machine.send(ExchangeId(1), Request { head: &head, body: Body::EMPTY }, &mut side.out);
    assert_eq!(refused, Err(Refused::NotNow));
}

/// RFC 9110 §7.8: "A server MAY ignore" it: an ordinary answer, after which the connection lives.
#[test]
fn an_upgrade_that_is_ignored_is_an_ordinary_exchange() {
    let start = || sent(Client::new().pipeline(2), &[upgrade()]);
    let mut side = start();
    side.receive(b"HTTP/1.1 426 x\r\ncontent-length: 2\r\n\r\nno", false);
    assert_eq!((side.take_events().len(), side.machine.slots()), (2, 2));
}

/// A switch that nobody waits for any more is told to nobody.
#[test]
fn a_switch_of_a_cancelled_exchange_closes() {
    let mut side = sent(Client::new(), &[upgrade()]);
    assert!(!side.machine.cancel(ExchangeId(0), &mut side.out));
    side.receive(format!("{SWITCH}hello").as_bytes(), false);
    let run = side.finish();
    assert_eq!((told(&run), run.unfinished), (vec!["closed".to_string()], vec![]));
}

/// A server that switches: the bytes behind the request, which came with it, are the new protocol's.
#[test]
fn a_server_hands_over_what_came_behind_the_request() {
    let start = || {
        mute().acting(|side, event| {
            if let Some(Event::Message { id, done: true, .. }) = event {
                answer(side, id.0, 100, Body::EMPTY);
                let mut head = response(101);
                head.field("upgrade", b"echo").unwrap();
                side.machine.send(*id, Response { head: &head, body: Body::EMPTY }, &mut side.out).unwrap();
            }
        })
    };
    for body in ["\r\n", "content-length: 2\r\n\r\nhi"] {
        let head = "GET / HTTP/1.1\r\nhost: h\r\nConnection: keep-alive, Upgrade\r\nupgrade: echo\r\n";
        let run = splits(format!("{head}{body}hello").as_bytes(), false, start);
        assert_eq!(told(&run).last().unwrap(), "0 switched");
        assert_eq!(run.left, b"hello");
        assert_eq!(run.out, b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 101 \r\nupgrade: echo\r\n\r\n");
    }
}

/// RFC 9110 §7.8, §15.2: a server switches only to what the client offered, never in HTTP/1.0, and not before it has
/// the whole request.
#[test]
fn a_server_does_not_switch_where_it_must_not() {
    for request in [
        "GET / HTTP/1.1\r\nhost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nupgrade: echo\r\n\r\n",
        "GET / HTTP/1.0\r\nconnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\ncontent-length: 5\r\n\r\nhel",
    ] {
        let mut side = mute();
        side.receive(request.as_bytes(), false);
        let (head, body) = (response(101), Body::EMPTY);
        let refused = side.machine.send(ExchangeId(0), Response { head: &head, body }, &mut side.out);
        assert!(matches!(refused, Err(Refused::Misuse(_))), "{request:?}");
        assert_eq!(side.machine.slots(), 1, "the request can still be answered: {request:?}");
        answer(&mut side, 0, 200, Body::EMPTY);
    }
}

/// RFC 9110 §15.2: "A server MUST NOT send a 1xx response to an HTTP/1.0 client"; and none has a body.
#[test]
fn a_server_sends_interim_responses_where_it_may() {
    let mut side = mute();
    side.receive(b"GET / HTTP/1.0\r\n\r\n", false);
    let head = response(100);
    let refused = side.machine.send(ExchangeId(0), Response { head: &head, body: Body::EMPTY }, &mut side.out);
    assert!(matches!(refused, Err(Refused::Misuse(_))));
    let mut side = mute();
    side.receive(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", false);
    for body in [Body::Whole(b"x"), Body::Parts(None)] {
        let refused = side.machine.send(ExchangeId(0), Response { head: &head, body }, &mut side.out);
        assert!(matches!(refused, Err(Refused::Misuse(_))));
    }
    answer(&mut side, 0, 103, Body::EMPTY);
    answer(&mut side, 0, 200, Body::EMPTY);
    assert_eq!(side.take_out(), b"HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n");
}

/// RFC 9110 §9.3.6: a server that agrees to CONNECT sends no framing ("MUST NOT"), and hands the connection over.
#[test]
fn a_server_hands_over_after_a_2xx_to_connect() {
    let connect = "CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n\r\n\x16\x03\x01";
    let start = || {
        mute().acting(|side, event| {
            if let Some(Event::Message { id, done: true, .. }) = event {
                answer(side, id.0, 200, Body::EMPTY);
            }
        })
    };
    let run = splits(connect.as_bytes(), false, start);
    assert_eq!(told(&run), ["0 CONNECT h:443 HTTP/1.1 | host: h:443 done", "0 switched"]);
    assert_eq!((&run.out[..], &run.left[..]), (&b"HTTP/1.1 200 \r\n\r\n"[..], &b"\x16\x03\x01"[..]));
    let run = splits(b"CONNECT h:443 HTTP/1.0\r\n\r\n", false, start);
    assert_eq!(told(&run).last().unwrap(), "0 switched");
    let mut side = start();
    side.receive(connect.as_bytes(), false);
    let again = side.machine.receive(Input { bytes: b"x", eof: false }, &mut side.out);
    assert!(matches!(again, Ok((0, Event::Closed))), "the bytes are another protocol's");
    let mut side = mute();
    side.receive(connect.as_bytes(), false);
    for body in [Body::Whole(b"x"), Body::Parts(None)] {
        let head = response(200);
        let refused = side.machine.send(ExchangeId(0), Response { head: &head, body }, &mut side.out);
        assert!(matches!(refused, Err(Refused::Misuse(_))));
    }
    answer(&mut side, 0, 403, Body::Whole(b"no"));
    assert_eq!(side.take_out(), b"HTTP/1.1 403 \r\ncontent-length: 2\r\n\r\nno");
}
