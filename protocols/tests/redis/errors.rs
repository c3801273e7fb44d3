//! Every error that this protocol can bring has a peer that brings it, and words that tell what to look up.

use aquests_protocols::redis::{Content, ErrorReply, parse};

use super::*;

#[test]
fn every_violation_is_reached_and_cites_its_rule() {
    let answers = [
        (Violation::Type, "GET", "HTTP/1.1 200 OK\r\n"),
        (Violation::Line, "GET", "+OK\n"),
        (Violation::Length, "GET", "$-2\r\n"),
        (Violation::Scalar, "GET", ":x\r\n"),
        (Violation::Bulk, "GET", "$1\r\nabc"),
        (Violation::PushInReply, "GET", "*1\r\n>1\r\n"),
        (Violation::Stream, "GET", "*1\r\n.\r\n"),
        (Violation::Unsolicited, "GET", "+OK\r\n+OK\r\n"),
        (Violation::Confirmation, "SUBSCRIBE a", "+OK\r\n"),
    ];
    for (violation, command, answer) in answers {
        let run = asked(&[command], answer);
        assert_eq!(run.error, broken(violation), "{answer:?}");
        let words = run.error.unwrap().to_string();
        assert!(words.contains("RESP3, \""), "{words}");
        assert_eq!(words, violation.to_string());
    }
    let run = splits(b"+OK\r\n", false, || quiet(Client::new().resp3()));
    assert_eq!(run.error, broken(Violation::Greeting));
    assert!(run.error.unwrap().to_string().contains("HELLO"));
}

/// An error says nothing of what was sent: it may hold a secret.
#[test]
fn no_error_shows_what_was_sent() {
    for answer in ["hunter2", "$hunter2\r\n", ":hunter2\r\n", "+hunter2\n", "*1\r\nhunter2"] {
        let error = asked(&["GET"], answer).error.unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn an_error_of_the_server_has_a_code_and_a_message() {
    for (reply, code, message) in [
        ("-ERR unknown command\r\n", "ERR", "unknown command"),
        ("-WRONGTYPE Operation against a key\r\n", "WRONGTYPE", "Operation against a key"),
        ("-EXECABORT\r\n", "EXECABORT", ""),
        ("-\r\n", "", ""),
        ("!10\r\nERR a\r\nb c\r\n", "ERR", "a\r\nb c"),
    ] {
        let (value, _) = parse(reply.as_bytes(), Limits::default()).unwrap().unwrap();
        let Content::Error(error) = value.read() else { panic!("{value:?}") };
        assert_eq!((error.code(), error.message()), (code.as_bytes(), message.as_bytes()));
        assert_eq!(error.redirect(), None);
        let owned = value.to_value();
        let owned: &ErrorReply = owned.as_error().unwrap();
        assert_eq!((owned.as_ref(), owned.to_string().as_bytes()), (error, error.text()));
    }
}

#[test]
fn what_lets_nobody_in_is_told_from_what_answers_a_command() {
    let turns_away = |said: &str| match parse(said.as_bytes(), Limits::default()).unwrap().unwrap().0.read() {
        Content::Error(error) => error.turns_away(),
        other => panic!("{said} is {other:?}"),
    };
    assert!(turns_away("-ERR max number of clients reached\r\n"));
    assert!(turns_away("-DENIED Redis is running in protected mode because …\r\n"));
    assert!(!turns_away("-ERR unknown command\r\n") && !turns_away("-NOAUTH Authentication required.\r\n"));
}
