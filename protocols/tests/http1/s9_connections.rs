//! RFC 9112 §9: how long a connection lives, how many requests are on it, and what becomes of them when it ends.

use aquests_protocols::testing::Script;
use aquests_protocols::{Refused, Replay};

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const ASK: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";

/// A client that sends GETs, one after another, as long as it may.
fn eager(requests: u64) -> AtClient {
    let mut next = 0;
    quiet(Client::new()).acting(move |side, _| {
        while next < requests && side.machine.slots() > 0 {
            send(side, next, &request("GET"), Body::EMPTY);
            next += 1;
        }
    })
}

fn pipelined(methods: &[&str]) -> AtClient {
    let heads: Vec<_> = methods.iter().map(|method| request(method)).collect();
    sent(Client::new().pipeline(methods.len() as u16), &heads)
}

fn refused(side: &mut AtClient, id: u64, head: &PreparedRequest) -> Option<Refused> {
    let before = side.out.len();
    let refused = side.machine.send(ExchangeId(id), Request { head, body: Body::EMPTY }, &mut side.out).err();
    assert_eq!(side.out.len(), before);
    refused
}

/// §9.3: HTTP/1.1 persists unless told otherwise, HTTP/1.0 only with `keep-alive`, and `close` is stronger than both.
#[test]
fn a_connection_persists_by_version_and_option() {
    for (head, persists) in [
        ("HTTP/1.1 200 OK\r\n", true),
        ("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n", true),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n", false),
        ("HTTP/1.1 200 OK\r\nConnection: foo, CLOSE\r\n", false),
        ("HTTP/1.1 200 OK\r\nconnection: foo\r\nconnection:\tclose \r\n", false),
        ("HTTP/1.1 200 OK\r\nconnection: keep-alive, close\r\n", false),
        ("HTTP/1.1 200 OK\r\nconnection: closed\r\n", true),
        ("HTTP/1.1 200 OK\r\nconnection: \"close\"\r\n", true),
        ("HTTP/1.1 200 OK\r\nproxy-connection: close\r\n", true),
        ("HTTP/1.0 200 OK\r\n", false),
        ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n", true),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", true),
        ("HTTP/1.0 200 OK\r\nconnection: keep-alive, close\r\n", false),
        ("HTTP/1.0 200 OK\r\nconnection: keepalive\r\n", false),
    ] {
        let mut side = sent(Client::new(), &[request("GET")]);
        side.receive(format!("{head}content-length: 0\r\n\r\n").as_bytes(), false);
        assert_eq!(side.machine.slots(), usize::from(persists), "{head:?}");
        let run = asked("GET", format!("{head}content-length: 0\r\n\r\n"));
        assert_eq!(told(&run).contains(&"closed".into()), !persists, "{head:?}");
        assert_eq!((run.error, run.unfinished), (None, vec![]), "{head:?}");
    }
}

/// The same for requests; and a server says when it will close (§9.6: "SHOULD send a close connection option").
#[test]
fn a_server_persists_by_version_and_option_and_says_so() {
    for (head, persists) in [
        ("GET / HTTP/1.1\r\nhost: h\r\n", true),
        ("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n", false),
        ("GET / HTTP/1.1\r\nhost: h\r\nConnection: x, Close\r\n", false),
        ("GET / HTTP/1.0\r\n", false),
        ("GET / HTTP/1.0\r\nconnection: keep-alive\r\n", true),
        ("GET / HTTP/1.0\r\nconnection: keep-alive, close\r\n", false),
    ] {
        let run = served(format!("{head}\r\n{ASK}"));
        assert_eq!(told(&run).contains(&"closed".into()), !persists, "{head:?}");
        assert_eq!(
            run.events.iter().filter(|event| matches!(event, Event::Message { .. })).count(),
            1 + usize::from(persists)
        );
        let answer = String::from_utf8(run.out).unwrap();
        assert_eq!(answer.contains("connection: close\r\n"), !persists, "{head:?} {answer:?}");
        assert_eq!(
            answer.contains("connection: keep-alive\r\n"),
            persists && head.contains("1.0"),
            "{head:?} {answer:?}"
        );
    }
}

/// §9.6: "A server that sends a close connection option … MUST NOT process any further requests received".
#[test]
fn a_server_that_said_close_reads_no_further_request() {
    let start = || {
        mute().acting(|side, event| {
            if let Some(Event::Message { id, done: true, .. }) = event {
                let mut head = response(200);
                head.field("Connection", b"Close").unwrap();
                side.machine.send(*id, Response { head: &head, body: Body::EMPTY }, &mut side.out).unwrap();
            }
        })
    };
    let run = splits(ASK.repeat(2).as_bytes(), false, start);
    assert_eq!(told(&run), ["0 GET / HTTP/1.1 | host: h done", "closed"]);
    assert_eq!(run.out, b"HTTP/1.1 200 \r\nconnection: Close\r\ncontent-length: 0\r\n\r\n");
}

/// §9.6: "A client that sends a close connection option MUST NOT send further requests", and closes after the answer
/// whatever the server says.
#[test]
fn a_client_that_said_close_sends_no_further_request() {
    let mut head = request("GET");
    head.field("connection", b"x, close").unwrap();
    let mut side = sent(Client::new().pipeline(4), &[request("GET"), head.clone()]);
    assert_eq!(refused(&mut side, 2, &request("GET")), Some(Refused::NotNow));
    assert_eq!(side.machine.slots(), 0);
    let start = || sent(Client::new().pipeline(4), &[request("GET"), head.clone()]);
    let run = splits(format!("{OK}{OK}{OK}").as_bytes(), false, start);
    assert_eq!(run.events.len(), 3, "{:?}", told(&run));
    assert_eq!((told(&run)[2].as_str(), run.unfinished), ("closed", vec![]));
}

/// §9.6: "A client that receives a close connection option MUST cease sending requests": from the head on, and also
/// where it is said by other means.
#[test]
fn no_request_is_sent_while_the_last_answer_comes() {
    for head in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        let mut side = sent(Client::new().pipeline(4), &[request("GET")]);
        side.receive(head.as_bytes(), false);
        assert_eq!((side.take_events().len(), side.machine.slots()), (1, 0), "{head:?}");
        assert_eq!(refused(&mut side, 1, &request("GET")), Some(Refused::NotNow), "{head:?}");
    }
}

/// §9.6: a client whose owner wants to leave takes what is on its way, and nothing else.
#[test]
fn a_client_that_is_closed_waits_for_its_answers_and_no_longer() {
    let mut side = pipelined(&["GET", "GET"]);
    side.machine.close(&mut side.out);
    assert_eq!(side.machine.slots(), 0);
    assert_eq!(refused(&mut side, 9, &request("GET")), Some(Refused::NotNow));
    side.receive(OK.repeat(2).as_bytes(), false);
    let run = side.finish();
    assert_eq!(told(&run).last().unwrap(), "closed");
    assert_eq!((run.events.len(), run.unfinished), (3, vec![]));

    let mut side = quiet(Client::new());
    side.machine.close(&mut side.out);
    side.receive(b"", false);
    side.receive(b"HTTP/1.1 408 x\r\n", false);
    assert_eq!(told(&side.finish()), ["closed"]);
}

/// The same for a server: the answer in hand is given, and says that it is the last.
#[test]
fn a_server_that_is_closed_answers_what_it_has_read() {
    let mut side = mute();
    side.receive(ASK.repeat(2).as_bytes(), false);
    side.machine.close(&mut side.out);
    answer(&mut side, 0, 200, Body::EMPTY);
    assert_eq!(side.take_out(), b"HTTP/1.1 200 \r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    side.receive(b"", false);
    assert_eq!(told(&side.finish()), ["0 GET / HTTP/1.1 | host: h done", "closed"]);

    let mut side = mute();
    side.machine.close(&mut side.out);
    side.receive(ASK.as_bytes(), false);
    assert_eq!(told(&side.finish()), ["closed"]);
}

/// §9.2: without pipelining the next request leaves when the answer is whole.
#[test]
fn requests_go_one_after_another() {
    let run = Script::new()
        .expect(ASK)
        .expect_nothing()
        .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh")
        .expect_nothing()
        .send("i")
        .expect(ASK)
        .send(OK)
        .expect(ASK)
        .send(OK)
        .expect_nothing()
        .eof()
        .run(|| eager(3));
    assert_eq!(run.events.len(), 4);
    assert_eq!((run.error, run.unfinished), (None, vec![]));
}

/// §9.3.2: "A client that supports persistent connections MAY pipeline its requests", and the answers come in order.
#[test]
fn pipelined_answers_belong_to_the_requests_in_order() {
    let answers = "HTTP/1.1 201 a\r\ncontent-length: 1\r\n\r\nx\
                   HTTP/1.1 202 b\r\ncontent-length: 5\r\n\r\n\
                   HTTP/1.1 203 c\r\ntransfer-encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n\
                   HTTP/1.1 304 d\r\n\r\n";
    let run = splits(answers.as_bytes(), true, || pipelined(&["GET", "HEAD", "PUT", "DELETE"]));
    let ids: Vec<_> = told(&run).iter().map(|line| line[..1].to_string()).collect();
    assert_eq!(ids, ["0", "0", "1", "2", "2", "2", "3"], "{:?}", told(&run));
    assert_eq!((run.error, run.unfinished), (None, vec![]));
}

/// §9.3.2: so many and no more.
#[test]
fn no_more_requests_are_pipelined_than_was_asked_for() {
    let mut side = quiet(Client::new().pipeline(3));
    for id in 0..3 {
        assert_eq!(side.machine.slots(), 3 - id as usize);
        send(&mut side, id, &request("GET"), Body::EMPTY);
    }
    assert_eq!(refused(&mut side, 3, &request("GET")), Some(Refused::NotNow));
    side.receive(OK.as_bytes(), false);
    assert_eq!(side.machine.slots(), 1);
    assert_eq!(quiet(Client::new().pipeline(0)).machine.slots(), 1, "one at least");
}

/// §9.3.2: "A user agent SHOULD NOT pipeline requests after a non-idempotent method, until the final response status
/// code for that method has been received": neither after one nor one after others.
#[test]
fn what_may_not_be_repeated_is_alone_on_its_connection() {
    for alone in [request("POST"), request("PATCH"), request("BREW"), request("CONNECT"), upgrade()] {
        let mut side = sent(Client::new().pipeline(4), &[request("GET")]);
        assert!(side.machine.slots() > 0);
        assert_eq!(refused(&mut side, 1, &alone), Some(Refused::NotNow), "{alone:?} behind a GET");
        send(&mut side, 1, &request("GET"), Body::EMPTY);

        let mut side = sent(Client::new().pipeline(4), std::slice::from_ref(&alone));
        assert_eq!(side.machine.slots(), 0, "behind {alone:?}");
        assert_eq!(refused(&mut side, 1, &request("GET")), Some(Refused::NotNow), "a GET behind {alone:?}");
    }
    for (method, idempotent) in [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("TRACE", true),
        ("PUT", true),
        ("DELETE", true),
        ("POST", false),
        ("PATCH", false),
        ("CONNECT", false),
        ("get", false),
    ] {
        assert_eq!(request(method).is_idempotent(), idempotent, "{method}");
    }
}

/// §9.3.2: "A server … MUST send the corresponding responses in the same order": it does not even read the next request
/// before.
#[test]
fn a_server_reads_the_next_request_when_it_has_answered() {
    let mut side = mute();
    side.receive(ASK.repeat(3).as_bytes(), false);
    assert_eq!(side.take_events().len(), 1);
    answer(&mut side, 0, 200, Body::Parts(None));
    side.receive(b"", false);
    assert_eq!(side.take_events().len(), 0);
    side.machine.send_data(ExchangeId(0), b"", true, &mut side.out).unwrap();
    side.receive(b"", false);
    assert_eq!(side.take_events().len(), 1);
    let run = side.finish();
    assert_eq!(run.unfinished, [(ExchangeId(1), Replay::Unknown)]);
}

/// §9.3.2, the same through answers in parts: what ends one lets the next request be read.
#[test]
fn a_server_that_answers_in_parts_reads_all_requests_however_they_are_cut() {
    let start = || {
        mute().acting(|side, event| match event {
            Some(Event::Message { id, done: true, .. }) => answer(side, id.0, 200, Body::Parts(None)),
            _ => {
                while let Some((id, _)) = side.machine.wants_data() {
                    if id.0 % 2 == 0 {
                        side.machine.send_data(id, b"x", true, &mut side.out).unwrap();
                    } else {
                        side.machine.send_trailers(id, b"", &mut side.out).unwrap();
                    }
                }
            }
        })
    };
    let run = splits(ASK.repeat(5).as_bytes(), true, start);
    assert_eq!((run.events.len(), run.error, run.unfinished.len()), (5, None, 0));
}

/// §9.6: what came after a request whose answer said `close` was not processed, and may be sent again.
#[test]
fn requests_behind_an_answer_that_says_close_were_not_processed() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
    let run = splits(answer.as_bytes(), false, || pipelined(&["GET", "GET", "GET"]));
    assert_eq!(told(&run).last().unwrap(), "closed");
    assert_eq!(run.unfinished, [(ExchangeId(1), Replay::NotProcessed), (ExchangeId(2), Replay::NotProcessed)]);
    // The one in hand was processed, or in part.
    let run = splits(&answer.as_bytes()[..answer.len() - 1], true, || pipelined(&["GET", "GET"]));
    assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown), (ExchangeId(1), Replay::NotProcessed)]);
    let run = splits("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc".as_bytes(), true, || pipelined(&["GET", "GET"]));
    assert_eq!(run.unfinished, [(ExchangeId(1), Replay::NotProcessed)]);
}

/// Where nobody said `close`, nobody promised anything.
#[test]
fn requests_on_a_connection_that_just_ends_may_have_been_processed() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        "<html>",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
    ] {
        let run = splits(answer.as_bytes(), true, || pipelined(&["GET", "GET"]));
        assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown), (ExchangeId(1), Replay::Unknown)], "{answer:?}");
    }
    for answer in ["HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nuntil the end"] {
        let run = splits(answer.as_bytes(), true, || pipelined(&["GET", "GET"]));
        assert_eq!(run.unfinished, [(ExchangeId(1), Replay::Unknown)], "{answer:?}");
    }
}

/// §6.3, last: "bytes where no answer is outstanding": a 408 on an idle connection, or an attempt to be the answer to
/// the next request.
#[test]
fn bytes_that_answer_nothing_end_the_connection() {
    for bytes in ["H", "HTTP/1.1 408 Request Timeout\r\n\r\n", "\r\n", "\0"] {
        let run = splits(bytes.as_bytes(), false, || quiet(Client::new()));
        assert_eq!((run.error, run.unfinished.len()), (broken(Violation::Unsolicited), 0), "{bytes:?}");
        let run = asked("GET", format!("{OK}{bytes}"));
        assert_eq!((run.events.len(), run.error), (1, broken(Violation::Unsolicited)), "{bytes:?}");
    }
}

/// An answer before its request: the bytes are seen before the request is sent, when they come first.
#[test]
fn no_request_is_sent_after_bytes_that_answer_nothing() {
    let mut side = quiet(Client::new());
    side.receive(OK.as_bytes(), false);
    assert_eq!(side.machine.slots(), 0);
    assert_eq!(refused(&mut side, 0, &request("GET")), Some(Refused::NotNow));
}

/// An end between messages is no fault, in both roles.
#[test]
fn an_end_between_messages_is_quiet() {
    let run = asked_until_end("GET", OK);
    assert_eq!((run.events.len(), run.error, run.unfinished.len()), (1, None, 0));
    let run = splits(b"", true, mute);
    assert_eq!((run.events.len(), run.error, run.unfinished.len()), (0, None, 0));
}

/// The answer at the front may never come: cancelling it closes, and it is not named again.
#[test]
fn cancelling_what_is_at_the_front_closes_the_connection() {
    let mut side = pipelined(&["GET", "GET"]);
    assert!(!side.machine.cancel(ExchangeId(0), &mut side.out));
    assert_eq!(side.machine.slots(), 0, "nothing is sent on a connection that must close");
    let run = side.finish();
    assert_eq!(run.unfinished, [(ExchangeId(1), Replay::Unknown)]);
    // In the middle of its body too, and also when the caller goes on reading nevertheless.
    let mut side = pipelined(&["GET", "GET"]);
    side.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na", false);
    assert!(!side.machine.cancel(ExchangeId(0), &mut side.out));
    side.receive(format!("bc{OK}").as_bytes(), false);
    let run = side.finish();
    assert_eq!(told(&run)[1..], ["0 \"a\"", "1 HTTP/1.1 200 OK | content-length: 0 done", "closed"]);
}

/// What is behind the front: its answer is read and dropped, of whatever kind it is.
#[test]
fn the_answer_to_a_cancelled_request_is_read_and_dropped() {
    for dropped in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 102 x\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\na: b\r\n\r\n",
        "HTTP/1.1 204 x\r\n\r\n",
    ] {
        let start = || {
            let mut side = pipelined(&["GET", "GET", "GET"]);
            assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
            assert!(side.machine.cancel(ExchangeId(1), &mut side.out), "twice is no fault");
            side.machine.hold(ExchangeId(1));
            side
        };
        let run = splits(format!("{OK}{dropped}{OK}").as_bytes(), true, start);
        assert_eq!(
            told(&run),
            ["0 HTTP/1.1 200 OK | content-length: 0 done", "2 HTTP/1.1 200 OK | content-length: 0 done"]
        );
        assert_eq!((run.error, run.unfinished), (None, vec![]), "{dropped:?}");
    }
}

/// A dropped answer until the end of the connection, one that closes it and one that is cut off.
#[test]
fn a_cancelled_request_is_named_in_no_way() {
    for dropped in
        ["HTTP/1.1 200 OK\r\n\r\nabc", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", "HTTP/1."]
    {
        let start = || {
            let mut side = pipelined(&["GET", "GET"]);
            assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
            side
        };
        let run = splits(format!("{OK}{dropped}").as_bytes(), true, start);
        assert_eq!(run.unfinished, []);
        assert!(told(&run)[1..].iter().all(|line| line == "closed"), "{:?}", told(&run));
    }
}

/// The slot of a cancelled request is free when its answer has passed, and not before.
#[test]
fn a_cancelled_request_keeps_its_slot_until_its_answer_has_passed() {
    let mut side = pipelined(&["GET", "GET"]);
    assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
    side.receive(OK.as_bytes(), false);
    assert_eq!(side.machine.slots(), 1);
    side.receive(OK.as_bytes(), false);
    assert_eq!(side.machine.slots(), 2);
}

/// What was said of the connection is not forgotten over a cancelled request.
#[test]
fn cancelling_opens_no_connection_that_is_closing() {
    let mut last = request("GET");
    last.field("connection", b"close").unwrap();
    let mut side = sent(Client::new().pipeline(4), &[request("GET"), request("GET"), last]);
    assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
    assert!(side.machine.cancel(ExchangeId(2), &mut side.out));
    assert_eq!(side.machine.slots(), 0);
}

/// The trait: `unfinished` is the end. Nothing is sent after it, and no body goes on.
#[test]
fn nothing_is_sent_after_the_unfinished_were_named() {
    let mut side = sent(Client::new().pipeline(4), &[request("GET")]);
    send(&mut side, 1, &request("PUT"), Body::Parts(None));
    assert_eq!(side.machine.settle().len(), 2);
    assert_eq!((side.machine.slots(), side.machine.wants_data()), (0, None));
    assert_eq!(refused(&mut side, 2, &request("GET")), Some(Refused::NotNow));
}

/// Half a body cannot be taken back, and what is left of it would be read as a request.
#[test]
fn cancelling_what_is_being_sent_closes_the_connection() {
    for (behind, length) in [(false, None), (true, None), (true, Some(10))] {
        let mut side = quiet(Client::new().pipeline(2));
        if behind {
            send(&mut side, 0, &request("GET"), Body::EMPTY);
        }
        send(&mut side, 1, &request("PUT"), Body::Parts(length));
        side.machine.send_data(ExchangeId(1), b"half", false, &mut side.out).unwrap();
        assert!(!side.machine.cancel(ExchangeId(1), &mut side.out));
        assert_eq!((side.machine.wants_data(), side.machine.slots()), (None, 0));
        let refused = side.machine.send_data(ExchangeId(1), b"more", false, &mut side.out);
        assert!(matches!(refused, Err(Refused::Misuse(_))));
    }
}

/// Cancelling what nobody knows, or what is done, changes nothing.
#[test]
fn cancelling_what_is_not_there_changes_nothing() {
    let mut side = sent(Client::new(), &[request("GET")]);
    assert!(side.machine.cancel(ExchangeId(9), &mut side.out));
    side.receive(OK.as_bytes(), false);
    assert!(side.machine.cancel(ExchangeId(0), &mut side.out));
    assert_eq!(side.machine.slots(), 1);
    let mut side = mute();
    assert!(side.machine.cancel(ExchangeId(0), &mut side.out));
    side.receive(ASK.as_bytes(), false);
    assert_eq!(side.finish().events.len(), 1);
}

/// A server cannot leave out an answer: the client would take the next one for it.
#[test]
fn a_server_that_cancels_closes() {
    let mut side = mute();
    side.receive(ASK.repeat(2).as_bytes(), false);
    assert!(!side.machine.cancel(ExchangeId(0), &mut side.out));
    let event = side.machine.inner().receive(aquests_protocols::Input { bytes: b"x", eof: false }, &mut Vec::new());
    assert_eq!(event.map(|(used, event)| (used, matches!(event, Event::Closed))), Ok((0, true)));
    assert_eq!(side.finish().unfinished, []);
}

/// An answer to nothing, to somebody else, and a second answer.
#[test]
fn a_server_answers_what_was_asked_and_once() {
    let mut side = mute();
    let (head, body) = (response(200), Body::EMPTY);
    let try_send =
        |side: &mut AtServer, id| side.machine.send(ExchangeId(id), Response { head: &head, body }, &mut side.out);
    assert!(matches!(try_send(&mut side, 0), Err(Refused::Misuse(_))));
    side.receive(ASK.as_bytes(), false);
    assert!(matches!(try_send(&mut side, 1), Err(Refused::Misuse(_))));
    assert_eq!(try_send(&mut side, 0), Ok(()));
    assert!(matches!(try_send(&mut side, 0), Err(Refused::Misuse(_))));
}

/// An answer that is whole before its request is: the rest is not read, and the client is told so.
#[test]
fn an_answer_before_the_request_is_whole_closes_and_says_so() {
    for (status, body) in [(413, Body::Whole(&b"no"[..])), (204, Body::EMPTY), (304, Body::Parts(None))] {
        let start = move || {
            mute().acting(move |side, event| {
                if let Some(Event::Message { id, message: Seen::Item(_), done: false }) = event {
                    answer(side, id.0, status, body);
                }
            })
        };
        let run = splits(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello", false, start);
        assert_eq!(told(&run)[1..], ["closed"]);
        let answer = String::from_utf8(run.out).unwrap();
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer:?}");
    }
}

/// A server that broke off says nothing more: its error was the answer.
#[test]
fn a_server_says_nothing_after_an_error() {
    let mut side = mute();
    side.receive(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nx", false);
    assert_eq!(side.take_out(), b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(side.machine.slots(), 0);
    let refused = side.machine.send(ExchangeId(0), Response { head: &response(200), body: Body::EMPTY }, &mut side.out);
    assert!(matches!(refused, Err(Refused::Misuse(_))));
    side.machine.close(&mut side.out);
    let run = side.finish();
    assert_eq!((run.error, run.out.len()), (broken(Violation::Chunk), 0));
    assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)]);
}

/// The same in the middle of an answer: a second head in it would be taken for its body.
#[test]
fn a_server_that_is_answering_says_nothing_of_an_error() {
    let mut side = mute();
    side.receive(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n", false);
    answer(&mut side, 0, 200, Body::Parts(None));
    side.machine.send_data(ExchangeId(0), b"half", false, &mut side.out).unwrap();
    side.take_out();
    side.receive(b"x", false);
    assert_eq!((side.take_out(), side.machine.wants_data()), (vec![], None));
    let refused = side.machine.send_data(ExchangeId(0), b"more", true, &mut side.out);
    assert!(matches!(refused, Err(Refused::Misuse(_))));
    assert_eq!(side.finish().error, broken(Violation::Chunk));
}
