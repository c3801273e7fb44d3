//! Replies of RESP2 and the order in which they come.

use super::*;

/// Every type of RESP2, and that null is neither an empty string nor an empty array.
#[test]
fn each_reply_is_told_to_its_command_in_order() {
    let replies = [
        "+OK\r\n",
        "-ERR no\r\n",
        ":-9223372036854775808\r\n",
        "$5\r\na\r\nbc\r\n",
        "$0\r\n\r\n",
        "$-1\r\n",
        "*-1\r\n",
    ];
    let arrays = ["*0\r\n", "*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n", "*1\r\n*1\r\n*1\r\n*0\r\n"];
    let all = [&replies[..], &arrays].concat();
    let run = asked(&vec!["GET k"; all.len()], all.concat());
    let lines: Vec<_> =
        all.iter().enumerate().map(|(id, reply)| format!("{id} {} done", reply.as_bytes().escape_ascii())).collect();
    assert_eq!(told(&run), lines);
    assert_eq!((run.error, run.unfinished), (None, vec![]));
}

#[test]
fn a_reply_to_nobody_is_a_violation_with_its_first_byte() {
    for peer in ["+OK\r\n", "$", ":", "*", "_", "%", "#"] {
        assert_eq!(asked(&[], peer).error, broken(Violation::Unsolicited), "{peer}");
    }
    // An attribute may stand before a push, so its value is awaited.
    assert_eq!(asked(&[], "|1\r\n+a\r\n+b\r\n").error, None);
    assert_eq!(asked(&[], "|1\r\n+a\r\n+b\r\n+c\r\n").error, broken(Violation::Unsolicited));
    let run = asked(&["GET k"], "+a\r\n+b\r\n");
    assert_eq!((told(&run), run.error), (vec!["0 +a\\r\\n done".into()], broken(Violation::Unsolicited)));
}

#[test]
fn what_was_sent_before_the_end_and_not_answered_is_unknown() {
    let run = splits(b"+a\r\n$9\r\nhal", true, || sent(Client::new(), &["GET a", "INCR b", "GET c"]));
    assert_eq!(told(&run), ["0 +a\\r\\n done"]);
    assert_eq!(run.error, Some(Error::UnexpectedEof));
    assert_eq!(run.unfinished, [1, 2].map(|id| (ExchangeId(id), Replay::Unknown)));
}

/// An end between replies is nobody's fault: `timeout` of the server, CLIENT KILL.
#[test]
fn an_end_where_nothing_is_open_is_quiet() {
    let run = splits(b"+a\r\n", true, || sent(Client::new(), &["GET a"]));
    assert_eq!((run.error, run.unfinished), (None, vec![]));
}

/// The reply of MULTI, those of what is queued, and that of EXEC are five replies to five commands.
#[test]
fn a_transaction_is_one_reply_for_each_command() {
    let peer = "+OK\r\n+QUEUED\r\n-ERR unknown command\r\n+QUEUED\r\n-EXECABORT no\r\n*2\r\n:1\r\n-WRONGTYPE no\r\n";
    let run = asked(&["MULTI", "INCR a", "BAD", "GET b", "EXEC", "exec"], peer);
    assert_eq!(run.events.len(), 6);
    assert_eq!(told(&run)[5], "5 *2\\r\\n:1\\r\\n-WRONGTYPE no\\r\\n done");
}

#[test]
fn commands_of_one_exchange_are_told_one_by_one_and_end_together() {
    let start = || {
        let mut side = sent(Client::new(), &["GET a"]);
        let command = PreparedCommand::new(["MULTI"]).unwrap().then(["INCR", "n"]).unwrap().then(["EXEC"]).unwrap();
        side.machine.send(ExchangeId(1), Request::Prepared(&command), &mut side.out).unwrap();
        send(&mut side, 2, "GET b");
        side
    };
    let run = splits(b"+a\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n+b\r\n", true, start);
    let lines = ["0 +a\\r\\n done", "1 +OK\\r\\n", "1 +QUEUED\\r\\n", "1 *1\\r\\n:1\\r\\n done", "2 +b\\r\\n done"];
    assert_eq!(told(&run), lines);
    assert!(run.out.ends_with(
        b"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$4\r\nEXEC\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"
    ));
    // Half of it is none of it.
    let run = splits(b"+a\r\n+OK\r\n", true, start);
    assert_eq!(run.unfinished, [1, 2].map(|id| (ExchangeId(id), Replay::Unknown)));
}

#[test]
fn a_line_ends_in_cr_and_lf_and_has_neither_inside() {
    for peer in ["+a\n", "+a\rb\r\n", "+a\r\r\n", "-\n\r\n", ":1\n", "$1\na\r\n", "*1\n", "+\r+"] {
        refuses(peer, Violation::Line);
    }
}

#[test]
fn a_string_ends_where_its_length_says() {
    for peer in ["$1\r\nab\r\n", "$1\r\na\n+", "$2\r\na\r\n+OK\r\n", "$0\r\n\n\r", "*1\r\n$1\r\naa\r\n", "$1\r\na\rx"] {
        refuses(peer, Violation::Bulk);
    }
}

#[test]
fn what_is_no_resp_is_told_with_its_first_byte() {
    for peer in ["H", "\r\n", " ", "\0", "GET / HTTP/1.1\r\n\r\n", "*1\r\nx", "{", "/"] {
        refuses(peer, Violation::Type);
    }
}

#[test]
fn scalars_are_what_they_say() {
    for number in ["", "-", "+", "1.0", "9223372036854775808", "0x1", " 1", "1 ", "--1", "1e1"] {
        refuses(format!(":{number}\r\n"), Violation::Scalar);
    }
    for number in ["0", "-0", "+7", "9223372036854775807", "-9223372036854775808", "007"] {
        assert_eq!(asked(&["GET k"], format!(":{number}\r\n")).error, None, "{number}");
    }
}

/// The machine waits for as many bytes as it knows to be missing, and no more.
#[test]
fn it_says_how_much_must_come() {
    for (peer, need) in [
        ("$", 2),
        ("$5", 3),
        ("$5\r\n", 11),
        ("$5\r\nhel", 11),
        ("$5\r\nhello\r", 11),
        ("*2\r\n$5\r\nhello\r\n", 16),
        ("*2\r\n$5\r\nhello\r\n$100\r\n", 123),
        ("+O", 3),
        ("+OK\r", 5),
    ] {
        let mut side = sent(Client::new(), &["GET k"]);
        let input = aquests_protocols::Input { bytes: peer.as_bytes(), eof: false };
        let (used, event) = side.machine.receive(input, &mut side.out).unwrap();
        assert!(used == 0 && matches!(event, Event::NeedData { at_least } if at_least == need), "{peer:?}: {event:?}");
    }
}
