//! Subscriptions: in RESP2 they turn the connection into another one, in RESP3 they are pushes; each confirmation
//! belongs to the command that asked for it.

use aquests_protocols::redis::{Published, parse};

use super::*;

fn array(kind: char, words: &[&str]) -> String {
    let mut text = format!("{kind}{}\r\n", words.len());
    for word in words {
        match word.strip_prefix(':') {
            Some(number) => text += &format!(":{number}\r\n"),
            None if word.is_empty() => text += if kind == '>' { "_\r\n" } else { "$-1\r\n" },
            None => text += &format!("${}\r\n{word}\r\n", word.len()),
        }
    }
    text
}

/// Both versions: how arrays look, and what a client makes of a peer.
type Ask = fn(&[&str], String) -> Run<String>;
const VERSIONS: [(char, Ask); 2] =
    [('*', |commands, peer| asked(commands, peer)), ('>', |commands, peer| asked3(commands, peer))];

fn escaped(bytes: &str) -> String {
    bytes.as_bytes().escape_ascii().to_string()
}

#[test]
fn each_channel_is_confirmed_and_the_last_ends_the_command() {
    for (kind, ask) in VERSIONS {
        let a = array(kind, &["subscribe", "a", ":1"]);
        let b = array(kind, &["subscribe", "b", ":2"]);
        let message = array(kind, &["message", "a", "hello"]);
        let run = ask(&["SUBSCRIBE a b"], [&*a, &b, &message].concat());
        let lines =
            [format!("0 {}", escaped(&a)), format!("0 {} done", escaped(&b)), format!("push {}", escaped(&message))];
        assert_eq!((told(&run), run.error, run.unfinished), (lines.to_vec(), None, vec![]));
    }
}

#[test]
fn all_kinds_of_subscriptions_come_and_go() {
    for (kind, ask) in VERSIONS {
        let steps = [
            ("SUBSCRIBE a", array(kind, &["subscribe", "a", ":1"])),
            ("PSUBSCRIBE p*", array(kind, &["psubscribe", "p*", ":2"])),
            ("ssubscribe s", array(kind, &["ssubscribe", "s", ":1"])),
            ("UNSUBSCRIBE a", array(kind, &["unsubscribe", "a", ":1"])),
            ("SUNSUBSCRIBE s", array(kind, &["sunsubscribe", "s", ":0"])),
            ("PUNSUBSCRIBE p*", array(kind, &["punsubscribe", "p*", ":0"])),
            // An ordinary one again, that looks like a message.
            ("LRANGE l 0 -1", array('*', &["message", "a", "b"])),
        ];
        let peer: String = steps.iter().map(|(_, reply)| reply.as_str()).collect();
        let run = ask(&steps.each_ref().map(|(command, _)| *command), peer);
        let lines: Vec<_> =
            steps.iter().enumerate().map(|(id, (_, reply))| format!("{id} {} done", escaped(reply))).collect();
        assert_eq!((told(&run), run.error), (lines, None));
    }
}

/// UNSUBSCRIBE without channels: one confirmation for each that there is, or one for none.
#[test]
fn leaving_all_channels_is_over_when_none_is_left() {
    for (kind, ask) in VERSIONS {
        let peer = [
            array(kind, &["subscribe", "a", ":1"]),
            array(kind, &["subscribe", "a", ":1"]),
            array(kind, &["subscribe", "b", ":2"]),
            array(kind, &["psubscribe", "p", ":3"]),
            array(kind, &["unsubscribe", "b", ":2"]),
            array(kind, &["unsubscribe", "a", ":1"]),
            array(kind, &["unsubscribe", "", ":1"]),
            array(kind, &["punsubscribe", "p", ":0"]),
            array(kind, &["sunsubscribe", "", ":0"]),
            "+OK\r\n".into(),
        ];
        let commands = [
            "SUBSCRIBE a a b",
            "PSUBSCRIBE p",
            "UNSUBSCRIBE",
            "UNSUBSCRIBE",
            "PUNSUBSCRIBE",
            "SUNSUBSCRIBE",
            "SET k v",
        ];
        let run = ask(&commands, peer.concat());
        let told = told(&run);
        let ends: Vec<_> = told.iter().map(|line| (&line[..1], line.ends_with("done"))).collect();
        let expected = [
            ("0", false),
            ("0", false),
            ("0", true),
            ("1", true),
            ("2", false),
            ("2", true),
            ("3", true),
            ("4", true),
            ("5", true),
            ("6", true),
        ];
        assert_eq!(ends, expected, "{told:?}");
    }
}

/// RESP2: PING is answered by an array, other commands by an error; messages come between.
#[test]
fn a_subscriber_of_resp2_is_answered_between_messages() {
    let message = array('*', &["pmessage", "p*", "pa", "x"]);
    let pong = array('*', &["pong", "me"]);
    let error =
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed\r\n";
    let confirmed = array('*', &["psubscribe", "p*", ":1"]);
    let peer = [&*confirmed, &message, &pong, &message, error, &message].concat();
    let run = asked(&["PSUBSCRIBE p*", "PING me", "GET a"], peer);
    let push = format!("push {}", escaped(&message));
    // What only begins like a message is none.
    for other in [
        &["message", "a"][..],
        &["pmessage", "p*", "a"],
        &["message", "a", ":1"],
        &["subscribe", "a", "b"],
        &["subscribe", "a", ":1", ":2"],
    ] {
        let other = array('*', other);
        let run = asked(&["PSUBSCRIBE p*", "PING"], [&*confirmed, &other].concat());
        assert_eq!(told(&run)[1], format!("1 {} done", escaped(&other)));
    }
    let lines = [
        format!("0 {} done", escaped(&confirmed)),
        push.clone(),
        format!("1 {} done", escaped(&pong)),
        push.clone(),
        format!("2 {} done", escaped(error)),
        push,
    ];
    assert_eq!(told(&run), lines);
}

/// RESP3: a reply that looks like a message is a reply.
#[test]
fn a_subscriber_of_resp3_tells_replies_from_messages_by_their_type() {
    let reply = array('*', &["message", "a", "b"]);
    let peer = [&*array('>', &["subscribe", "a", ":1"]), &reply, &array('>', &["message", "a", "b"])].concat();
    let run = asked3(&["SUBSCRIBE a", "LRANGE l 0 -1"], peer);
    assert_eq!(told(&run)[1], format!("1 {} done", escaped(&reply)));
    assert!(told(&run)[2].starts_with("push >3"));
}

#[test]
fn a_subscription_that_is_refused_is_answered_by_an_error_alone() {
    for (_, ask) in VERSIONS {
        let error = "-NOPERM No permissions to access a channel\r\n";
        let run =
            ask(&["SUBSCRIBE a b c", "SUBSCRIBE", "PING"], [error, "-ERR wrong number\r\n", "+PONG\r\n"].concat());
        let lines = [&format!("0 {} done", escaped(error)), "1 -ERR wrong number\\r\\n done", "2 +PONG\\r\\n done"];
        assert_eq!(told(&run), lines);
    }
}

#[test]
fn a_subscription_answered_otherwise_is_a_violation() {
    for (kind, ask) in VERSIONS {
        let message = array(kind, &["message", "a", "x"]);
        for peer in ["+OK\r\n", ":1\r\n", "*0\r\n", "*1\r\n+subscribe\r\n", "$100000\r\n", "*2\r\n+a\r\n+b\r\n"] {
            let run = ask(&["SUBSCRIBE a"], format!("{message}{peer}{}", "x".repeat(100_000) + "\r\n"));
            assert_eq!(run.error, broken(Violation::Confirmation), "{kind} {peer:?}");
            assert_eq!(told(&run), [format!("push {}", escaped(&message))]);
        }
        // An array of RESP2 that confirms something else answers nothing here, and the command is still open.
        let other = array(kind, &["psubscribe", "p", ":1"]);
        let run = ask(&["SUBSCRIBE a"], other);
        assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)]);
    }
}

/// Redis 7: a slot that moves away takes its channels along, and nobody asked.
#[test]
fn channels_of_a_shard_may_go_by_themselves() {
    for (kind, ask) in VERSIONS {
        let gone = array(kind, &["sunsubscribe", "s", ":0"]);
        let run =
            ask(&["SSUBSCRIBE s", "PING"], [&*array(kind, &["ssubscribe", "s", ":1"]), &gone, "+PONG\r\n"].concat());
        assert_eq!(told(&run)[1..], [format!("push {}", escaped(&gone)), "1 +PONG\\r\\n done".into()]);
    }
}

#[test]
fn reset_ends_all_subscriptions() {
    let peer = [&*array('*', &["subscribe", "a", ":1"]), "+RESET\r\n", &array('*', &["message", "a", "b"])].concat();
    let run = asked(&["SUBSCRIBE a", "RESET", "LRANGE l 0 -1"], peer);
    assert_eq!(told(&run)[1], "1 +RESET\\r\\n done");
    assert!(told(&run)[2].starts_with("2 *3") && told(&run)[2].ends_with("done"));
}

#[test]
fn a_reset_that_is_refused_ends_nothing() {
    let peer =
        [&*array('*', &["subscribe", "a", ":1"]), "-NOPERM no\r\n", &array('*', &["message", "a", "b"])].concat();
    let run = asked(&["SUBSCRIBE a", "RESET"], peer);
    assert!(told(&run)[2].starts_with("push *3"));
}

/// HELLO 2 by a subscriber of RESP3: from the reply on, messages are arrays.
#[test]
fn a_subscriber_may_go_back_to_resp2() {
    let peer = [
        &*array('>', &["subscribe", "a", ":1"]),
        "*2\r\n+proto\r\n:2\r\n",
        &array('*', &["message", "a", "b"]),
        &array('*', &["pong", ""]),
    ];
    let run = asked3(&["SUBSCRIBE a", "HELLO 2", "PING"], peer.concat());
    let starts: Vec<_> = told(&run).iter().map(|line| line.chars().take(7).collect::<String>()).collect();
    assert_eq!(starts, ["0 >3\\r\\", "1 *2\\r\\", "push *3", "2 *2\\r\\"]);
}

/// The server hangs up on subscribers too, and that leaves nothing unanswered.
#[test]
fn a_subscriber_that_waits_has_nothing_open() {
    let mut side = sent(Client::new(), &["SUBSCRIBE a"]);
    assert!(!side.machine.inner().is_subscribed());
    side.receive(array('*', &["subscribe", "a", ":1"]).as_bytes(), false);
    assert!(side.machine.inner().is_subscribed());
    side.receive(b"", true);
    let run = side.finish();
    assert_eq!((run.error, run.unfinished), (None, vec![]));
}

/// Whatever counts a server writes, nothing overflows and nobody panics.
#[test]
fn counts_of_confirmations_are_not_trusted() {
    for (kind, ask) in VERSIONS {
        for count in [":-1", ":-9223372036854775808", ":9223372036854775807", ":4294967296"] {
            let one = array(kind, &["subscribe", "a", count]);
            let two = array(kind, &["punsubscribe", "a", count]);
            let run = ask(&["SUBSCRIBE a", "PUNSUBSCRIBE a"], [one, two].concat());
            assert_eq!((run.events.len(), run.error, run.unfinished), (2, None, vec![]), "{count}");
        }
    }
}

#[test]
fn what_was_published_is_read_from_pushes_of_both_versions() {
    for kind in ['*', '>'] {
        let read = |words: &[&str]| {
            let bytes = array(kind, words);
            let (value, _) = parse(bytes.as_bytes(), Limits::default()).unwrap().unwrap();
            Published::of(value)
                .map(|it| (it.pattern.map(<[u8]>::to_vec), it.channel.to_vec(), it.payload.to_vec(), it.sharded))
        };
        assert_eq!(read(&["message", "c", "x"]), Some((None, b"c".to_vec(), b"x".to_vec(), false)));
        assert_eq!(read(&["smessage", "c", "x"]), Some((None, b"c".to_vec(), b"x".to_vec(), true)));
        assert_eq!(
            read(&["pmessage", "p", "c", "x"]),
            Some((Some(b"p".to_vec()), b"c".to_vec(), b"x".to_vec(), false))
        );
        for words in [
            &["message", "c"][..],
            &["message", "c", "x", "y"],
            &["subscribe", "c", ":1"],
            &["message", "c", ":1"],
            &[],
        ] {
            assert_eq!(read(words), None, "{words:?}");
        }
    }
}
