//! Every error that this protocol can bring has a peer that brings it, and words that tell what to look up.

use aquests_protocols::Limit;
use aquests_protocols::http1::Limits;

use super::*;

/// Each variant of `Violation`: who sends what.
#[test]
fn every_violation_is_reached_and_cites_its_rule() {
    let answers = [
        (Violation::StartLine, "HTTP/3 200 OK\r\n\r\n"),
        (Violation::FieldLine, "HTTP/1.1 200 OK\r\na b: c\r\n\r\n"),
        (Violation::Length, "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
        (Violation::DifferentLengths, "HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n"),
        (Violation::TransferEncoding, "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n"),
        (Violation::TransferEncodingInHttp10, "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        (Violation::Chunk, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n?"),
        (Violation::UnexpectedSwitch, "HTTP/1.1 101 x\r\n\r\n"),
        (Violation::Unsolicited, "HTTP/1.1 204 x\r\n\r\nHTTP/1.1 204 x\r\n\r\n"),
    ];
    for (violation, answer) in answers {
        let run = asked("GET", answer);
        assert_eq!(run.error, broken(violation), "{answer:?}");
        let words = run.error.unwrap().to_string();
        assert!(words.contains("RFC 91") && words.contains('§'), "{words}");
        assert_eq!(words, violation.to_string());
    }
    let run = served("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(run.error, broken(Violation::Host));
    assert!(run.error.unwrap().to_string().contains("RFC 9112 §3.2"));
}

/// Each variant of `Error` that HTTP/1.1 has, beside violations.
#[test]
fn limits_and_ends_are_errors_of_their_own() {
    let small = Limits::default().head(20);
    let run = splits(b"HTTP/1.1 200 OK\r\na: b\r\n\r\n", true, || sent(Client::new().limits(small), &[request("GET")]));
    assert_eq!(run.error, Some(Error::TooLarge(Limit { what: "header bytes", value: 20 })));
    assert_eq!(run.error.unwrap().to_string(), "header bytes over 20");
    let run = asked_until_end("GET", "HTTP/1.1 200 OK\r\n");
    assert_eq!(run.error, Some(Error::UnexpectedEof));
    assert_eq!(run.error.unwrap().to_string(), "the connection ended in the middle of a message");
}

/// An error says nothing of what was sent: it may hold a secret.
#[test]
fn no_error_shows_what_was_sent() {
    for answer in [
        "HTTP/1.1 200 OK\r\nset-cookie: hunter2\0\r\n\r\n",
        "hunter2",
        "HTTP/1.1 200 OK\r\ncontent-length: hunter2\r\n\r\n",
    ] {
        let error = asked("GET", answer).error.unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

/// What a server says to a client that broke a rule, by rule, once (`splits` sees to "once").
#[test]
fn a_server_answers_a_broken_request_with_a_status_that_fits() {
    for (bytes, status) in [
        ("GET /\r\n\r\n".to_string(), "400 Bad Request"),
        ("GET / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: br\r\n\r\n".into(), "501 Not Implemented"),
        (format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "a".repeat(1 << 16)), "431 Request Header Fields Too Large"),
    ] {
        let mut side = mute();
        side.receive(bytes.as_bytes(), false);
        let goodbye = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(String::from_utf8(side.take_out()).unwrap(), goodbye);
        assert!(side.is_over());
    }
}
