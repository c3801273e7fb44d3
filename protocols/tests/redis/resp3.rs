//! What RESP3 adds: types, pushes and attributes, and the change of versions in mid-connection.

use aquests_protocols::redis::Version;

use super::*;

/// Every type of RESP3, also where nobody said HELLO: modules send them.
#[test]
fn every_type_of_resp3_is_a_reply() {
    let replies = [
        "_\r\n",
        "#t\r\n",
        "#f\r\n",
        ",1.5\r\n",
        ",-1.5e-10\r\n",
        ",10\r\n",
        ",inf\r\n",
        ",-inf\r\n",
        ",nan\r\n",
        ",-nan\r\n",
        "(-3492890328409238509324850943850943825024385\r\n",
        "!21\r\nSYNTAX invalid syntax\r\n",
        "=15\r\ntxt:Some string\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n*0\r\n~0\r\n",
        "%0\r\n",
        "~2\r\n:1\r\n:2\r\n",
    ];
    for start in [in_resp3 as fn(&[&str]) -> AtClient, |commands| sent(Client::new(), commands)] {
        let run = splits(replies.concat().as_bytes(), true, || start(&vec!["X"; replies.len()]));
        let lines: Vec<_> =
            replies.iter().enumerate().map(|(id, it)| format!("{id} {} done", it.as_bytes().escape_ascii())).collect();
        assert_eq!((told(&run), run.error), (lines, None));
    }
}

#[test]
fn what_is_none_of_these_types_is_a_violation() {
    for peer in [
        "_x\r\n",
        "#\r\n",
        "#T\r\n",
        "#tt\r\n",
        ",\r\n",
        ",1,5\r\n",
        ",infinity\r\n",
        ",1e\r\n",
        ",--1\r\n",
        ",0x1\r\n",
        ",NaN\r\n",
        "(\r\n",
        "(-\r\n",
        "(1.0\r\n",
        "=4\r\ntxt \r\n",
        "=3\r\ntxt\r\n",
        // What stands there belongs to the next value.
        "=1\r\nt\r\n:3\r\n",
        "=0\r\n\r\n",
    ] {
        refuses(peer, Violation::Scalar);
    }
    for peer in
        ["!-1\r\n", "=-1\r\n", "~-1\r\n", "%-1\r\n", "|-1\r\n", ">-1\r\n", "!?\r\n", "=?\r\n", "|?\r\n", ">?\r\n"]
    {
        refuses(peer, Violation::Length);
    }
}

/// RESP3, "Push data": before, after and between replies that are on their way.
#[test]
fn pushes_come_between_replies_and_belong_to_nobody() {
    let push = ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n";
    let line = format!("push {}", push.as_bytes().escape_ascii());
    let run = asked3(&["GET a", "GET b"], [push, "+a\r\n", push, push, "+b\r\n", push].concat());
    assert_eq!(told(&run), [&line, "0 +a\\r\\n done", &line, &line, "1 +b\\r\\n done", &line]);
    // Nobody need have asked for anything, and nobody need have said HELLO to the machine.
    assert_eq!(told(&asked(&[], push)), [line]);
}

#[test]
fn a_push_in_the_middle_of_a_reply_is_a_violation() {
    let push = ">1\r\n+x\r\n";
    let middles =
        ["*2\r\n+a\r\n", "%1\r\n", "%1\r\n+k\r\n", "~1\r\n", "*1\r\n*1\r\n", "|1\r\n", "*?\r\n", "%?\r\n", ">1\r\n"];
    for middle in middles {
        refuses([middle, push].concat(), Violation::PushInReply);
    }
    // Between the parts of a string not even its first byte passes.
    refuses(["*1\r\n$?\r\n", push].concat(), Violation::Stream);
    refuses(["$4\r\nhel", push].concat(), Violation::Bulk);
}

/// RESP3, "Attribute type": in front of any value, at any level, and of a push.
#[test]
fn attributes_are_told_with_the_value_behind_them() {
    let attribute = "|1\r\n+ttl\r\n:3600\r\n";
    let inside = format!(
        "*4\r\n{attribute}*?\r\n.\r\n{attribute}$?\r\n;0\r\n{attribute}:1\r\n{attribute}|0\r\n*1\r\n{attribute}:2\r\n"
    );
    let replies = [format!("{attribute}:1\r\n"), format!("{attribute}{attribute}$0\r\n\r\n"), inside];
    let push = format!("{attribute}>1\r\n+x\r\n");
    let run =
        asked3(&["A", "B", "C"], [&push, &replies[0], &replies[1], &push, &replies[2]].map(String::as_str).concat());
    let escaped = |bytes: &str| bytes.as_bytes().escape_ascii().to_string();
    let lines = [
        format!("push {}", escaped(&push)),
        format!("0 {} done", escaped(&replies[0])),
        format!("1 {} done", escaped(&replies[1])),
        format!("push {}", escaped(&push)),
        format!("2 {} done", escaped(&replies[2])),
    ];
    assert_eq!(told(&run), lines);
    assert_eq!(run.error, None);
}

/// An attribute without a value is nothing yet: no end may come there.
#[test]
fn behind_an_attribute_comes_a_value() {
    refuses("*?\r\n|1\r\n+a\r\n+b\r\n.\r\n", Violation::Stream);
    refuses("%?\r\n|0\r\n.\r\n", Violation::Stream);
    let run = splits(b"|1\r\n+a\r\n+b\r\n", true, || in_resp3(&["A"]));
    assert_eq!((told(&run), run.error), (vec![], Some(Error::UnexpectedEof)));
    let run = splits(b"*1\r\n|1\r\n+a\r\n+b\r\n", true, || in_resp3(&["A"]));
    assert_eq!((told(&run), run.error), (vec![], Some(Error::UnexpectedEof)));
}

/// HELLO and RESET as commands of the user: what is behind them is read in the other version.
#[test]
fn hello_and_reset_change_the_version_in_order() {
    let mut side = quiet(Client::new().pipeline(9));
    assert_eq!(side.machine.inner().version(), Version::Resp2);
    for (id, command) in (0..).zip(["hello 3", "GET a", "HELLO 2", "HELLO 9", "HELLO 3 SETNAME x", "RESET"]) {
        send(&mut side, id, command);
    }
    let mut expect = |bytes: &str, version| {
        side.receive(bytes.as_bytes(), false);
        assert_eq!(side.machine.inner().version(), version, "{bytes:?}");
    };
    expect("%1\r\n+proto\r\n:3\r\n", Version::Resp3);
    expect("_\r\n", Version::Resp3);
    expect("*2\r\n+proto\r\n:2\r\n", Version::Resp2);
    expect("-NOPROTO unsupported protocol version\r\n", Version::Resp2);
    expect("%1\r\n+proto\r\n:3\r\n", Version::Resp3);
    expect("+RESET\r\n", Version::Resp2);
    assert_eq!(side.finish().events.len(), 6);
}
