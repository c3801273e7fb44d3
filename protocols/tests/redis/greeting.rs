//! The login: what is said first, in either version, and what becomes of a server that does not let us in.

use aquests_protocols::redis::Version;
use aquests_protocols::testing::Script;

use super::*;

fn wire(command: &str) -> String {
    let words: Vec<_> = command.split(' ').collect();
    words.iter().fold(format!("*{}\r\n", words.len()), |text, word| format!("{text}${}\r\n{word}\r\n", word.len()))
}

fn full() -> Client {
    Client::new().resp3().auth(Some(b"me"), b"hunter2").name(b"it").database(3)
}

const HELLO: &str = "%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n";

/// A client that sends GET as soon as it may.
fn eager(machine: fn() -> Client) -> impl Fn() -> AtClient {
    move || {
        quiet(machine()).acting(|side, event| {
            if event.is_none()
                && side.machine.slots() > 0
                && side.machine.open() == 0
                && !side.machine.inner().is_subscribed()
            {
                let _ = try_send(side, 0, "GET a");
            }
        })
    }
}

/// The same once.
fn once(machine: fn() -> Client) -> impl Fn() -> AtClient {
    move || {
        let mut asked = false;
        quiet(machine()).acting(move |side, event| {
            if event.is_none() && side.machine.slots() > 0 && !asked {
                asked = true;
                send(side, 0, "GET a");
            }
        })
    }
}

#[test]
fn without_a_login_nothing_is_said_and_commands_go_at_once() {
    let mut side = quiet(Client::new());
    assert_eq!((side.take_out(), side.machine.slots()), (vec![], 1));
    assert!(side.machine.inner().is_ready());
    // Nothing that changes nothing is said.
    let side = quiet(Client::new().database(0));
    assert_eq!((&side.out[..], side.machine.slots()), (&b""[..], 1));
}

#[test]
fn resp3_says_everything_in_one_write_and_commands_wait_for_it() {
    let script = Script::new()
        .expect(wire("HELLO 3 AUTH me hunter2 SETNAME it"))
        .expect(wire("SELECT 3"))
        .expect_nothing()
        .send(HELLO)
        .expect_nothing()
        .send("+OK\r\n")
        .expect(wire("GET a"))
        .send("_\r\n")
        .expect_nothing();
    let run = script.run(once(full));
    assert_eq!((told(&run), run.error), (vec!["0 _\\r\\n done".into()], None));
    let run = Script::new()
        .expect(wire("HELLO 3 AUTH default hunter2"))
        .send(HELLO)
        .expect(wire("GET a"))
        .run(once(|| Client::new().resp3().auth(None, b"hunter2")));
    assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)]);
}

#[test]
fn resp2_says_what_it_has_to() {
    let script = Script::new()
        .expect(wire("AUTH me hunter2"))
        .expect(wire("CLIENT SETNAME it"))
        .expect(wire("SELECT 3"))
        .expect_nothing()
        .send("+OK\r\n+OK\r\n")
        .expect_nothing()
        .send("+OK\r\n")
        .expect(wire("GET a"));
    script.run(once(|| Client::new().auth(Some(b"me"), b"hunter2").name(b"it").database(3)));
    Script::new()
        .expect(wire("AUTH hunter2"))
        .expect_nothing()
        .send("+OK\r\n")
        .expect(wire("GET a"))
        .run(once(|| Client::new().auth(None, b"hunter2")));
}

/// Redis 5, and servers that are told to speak RESP2 only: the login is said again in the old words.
#[test]
fn a_server_that_does_not_know_hello_is_spoken_to_in_resp2() {
    for error in [
        "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `me`, `hunter2`, \r\n",
        "-ERR Unknown Command 'hello'\r\n",
        "-NOPROTO unsupported protocol version\r\n",
    ] {
        for select in ["+OK\r\n", "-NOAUTH Authentication required.\r\n"] {
            let run = Script::new()
                .expect(wire("HELLO 3 AUTH me hunter2 SETNAME it"))
                .expect(wire("SELECT 3"))
                .send(error)
                .expect_nothing()
                .send(select)
                .expect(wire("AUTH me hunter2"))
                .expect(wire("CLIENT SETNAME it"))
                .expect(wire("SELECT 3"))
                .expect_nothing()
                .send("+OK\r\n+OK\r\n+OK\r\n")
                .expect(wire("GET a"))
                .send("$-1\r\n")
                .run(once(full));
            assert_eq!((told(&run), run.error), (vec!["0 $-1\\r\\n done".into()], None));
        }
        // With nothing else to say, it is over.
        let run = Script::new()
            .expect(wire("HELLO 3"))
            .send(error)
            .expect(wire("GET a"))
            .send("+a\r\n")
            .run(once(|| Client::new().resp3()));
        assert_eq!(told(&run), ["0 +a\\r\\n done"]);
    }
}

#[test]
fn the_version_is_the_one_that_the_server_answers_in() {
    for (peer, version) in [
        (HELLO, Version::Resp3),
        ("*2\r\n+proto\r\n:2\r\n", Version::Resp2),
        ("-NOPROTO no\r\n", Version::Resp2),
        ("-ERR unknown command\r\n", Version::Resp2),
    ] {
        let mut side = quiet(Client::new().resp3());
        side.receive(peer.as_bytes(), false);
        assert!(side.machine.inner().is_ready(), "{peer:?}");
        assert_eq!(side.machine.inner().version(), version, "{peer:?}");
    }
}

/// What the server says is told, then the connection is over, and no exchange was lost because none was taken.
#[test]
fn a_login_that_fails_is_told_in_the_servers_words() {
    for error in [
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        "-NOAUTH HELLO must be called with the client already authenticated\r\n",
        "-ERR max number of clients reached\r\n",
        "-DENIED Redis is running in protected mode because protected mode is enabled\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-ERR Syntax error in HELLO option 'SETNAME'\r\n",
        "!6\r\nERR no\r\n",
    ] {
        let run = splits(error.as_bytes(), true, eager(full));
        assert_eq!(told(&run), [format!("push {}", error.as_bytes().escape_ascii())]);
        assert_eq!((run.error, run.unfinished), (Some(Error::Rejected), vec![]));
    }
    for (peer, error) in [
        ("+OK\r\n-ERR Client names cannot contain spaces\r\n", "-ERR Client names cannot contain spaces\\r\\n"),
        ("+OK\r\n+OK\r\n-ERR DB index is out of range\r\n", "-ERR DB index is out of range\\r\\n"),
    ] {
        let start = eager(|| Client::new().auth(Some(b"me"), b"hunter2").name(b"it").database(3));
        let run = splits(peer.as_bytes(), false, start);
        assert_eq!((told(&run), run.error), (vec![format!("push {error}")], Some(Error::Rejected)));
    }
    // In the old words, too.
    let peer = "-ERR unknown command `HELLO`\r\n+OK\r\n-WRONGPASS no\r\n";
    let run = splits(peer.as_bytes(), false, eager(full));
    assert_eq!((told(&run), run.error), (vec!["push -WRONGPASS no\\r\\n".into()], Some(Error::Rejected)));
}

/// A password is nowhere: not in what is told, not in `Debug`, not in errors.
#[test]
fn no_secret_is_told() {
    let machine = full();
    assert!(!format!("{machine:?}").contains("hunter2"), "{machine:?}");
    for peer in [
        "-ERR unknown command `AUTH`, with args beginning with: `me`, `hunter2`, \r\n+OK\r\n",
        "-ERR bad option 'hunter2'\r\n",
        "!16\r\nERR\r\nhunter2 !!!!\r\n",
        "|1\r\n+hunter2\r\n+b\r\n-ERR x\r\n",
        "+hunter2\r\n",
    ] {
        for start in [full as fn() -> Client, || Client::new().auth(Some(b"me"), b"hunter2")] {
            let run = splits(peer.as_bytes(), true, || quiet(start()));
            assert!(!format!("{:?} {:?}", run.events, run.error).contains("hunter2"), "{run:?}");
        }
    }
    let start = || Client::new().auth(Some(b"me"), b"hunter2");
    let run = splits(b"-ERR unknown command `AUTH`, with args beginning with: `hunter2`\r\n", false, eager(start));
    let told = told(&run);
    assert!(told[0].starts_with("push -ERR the server repeated the password"), "{told:?}");
    assert_eq!(run.error, Some(Error::Rejected));
}

#[test]
fn an_answer_to_the_login_that_is_none_is_a_violation() {
    let second = ["+OK\r\n", ":1\r\n", "$2\r\nOK\r\n", "$100000000\r\n", "_\r\n", "~0\r\n"];
    for peer in second {
        let run = splits(peer.as_bytes(), true, eager(full));
        let error =
            if peer.starts_with("$1") { too_large("value bytes", 64 << 20) } else { broken(Violation::Greeting) };
        assert_eq!((told(&run), run.error), (vec![], error), "{peer:?}");
    }
    for peer in [":1\r\n", "$2\r\nOK\r\n", "*0\r\n", "%0\r\n"] {
        let run = splits(peer.as_bytes(), true, eager(|| Client::new().auth(None, b"x")));
        assert_eq!((told(&run), run.error), (vec![], broken(Violation::Greeting)), "{peer:?}");
    }
}

#[test]
fn pushes_may_come_during_the_login() {
    let run = Script::new()
        .expect(wire("HELLO 3"))
        .send(">1\r\n+x\r\n")
        .send(HELLO)
        .expect(wire("GET a"))
        .run(once(|| Client::new().resp3()));
    assert_eq!(told(&run), ["push >1\\r\\n+x\\r\\n"]);
}

#[test]
fn a_server_that_hangs_up_during_the_login_ends_quietly() {
    let run = splits(b"%2\r\n+ser", true, eager(full));
    assert_eq!((told(&run), run.error, run.unfinished), (vec![], None, vec![]));
    let mut side = quiet(full());
    side.machine.close(&mut side.out);
    side.receive(b"", true);
    assert_eq!(told(&side.finish()), ["closed"]);
}

/// Without a login the same errors come to a command, or to nobody.
#[test]
fn a_server_that_turns_clients_away_is_told_to_whoever_asked() {
    for error in [
        "-ERR max number of clients reached\r\n",
        "-DENIED Redis is running in protected mode because protected mode is enabled\r\n",
    ] {
        let escaped = error.as_bytes().escape_ascii();
        let run = splits(error.as_bytes(), true, || sent(Client::new(), &[]));
        assert_eq!((told(&run), run.error), (vec![format!("push {escaped}")], Some(Error::Rejected)));
        // The first is answered with it, and those behind it were never looked at.
        let run = splits(error.as_bytes(), true, || sent(Client::new(), &["INCR a", "INCR b"]));
        assert_eq!((told(&run), run.error), (vec![format!("0 {escaped} done")], Some(Error::UnexpectedEof)));
        assert_eq!(run.unfinished, [(ExchangeId(1), Replay::NotProcessed)]);
        // Said by a script to somebody who was let in, it means nothing.
        for peer in [
            ["+OK\r\n", error].concat(),
            [error, ":1\r\n"].concat(),
            [error, "*0\r\n"].concat(),
            [error, "$?\r\n;0\r\n"].concat(),
            ["*0\r\n", error].concat(),
            ["$?\r\n;0\r\n", error].concat(),
        ] {
            let run = splits(peer.as_bytes(), true, || sent(Client::new(), &["SET x y", "INCR a", "INCR b"]));
            assert_eq!(run.unfinished, [(ExchangeId(2), Replay::Unknown)], "{peer:?}");
        }
        let confirmed = "*3\r\n+subscribe\r\n+a\r\n:1\r\n";
        for peer in [[confirmed, error].concat(), [error, confirmed].concat()] {
            let commands = if peer.starts_with('*') { ["SUBSCRIBE a", "PING"] } else { ["PING", "SUBSCRIBE a"] };
            let run = splits(peer.as_bytes(), true, || sent(Client::new(), &[&commands[..], &["PING"]].concat()));
            assert_eq!(run.unfinished, [(ExchangeId(2), Replay::Unknown)], "{peer:?}");
        }
    }
    for error in ["-NOAUTH Authentication required.\r\n", "-LOADING Redis is loading\r\n", "-READONLY no\r\n"] {
        let run = splits(error.as_bytes(), true, || sent(Client::new(), &["INCR a", "INCR b"]));
        assert_eq!(told(&run), [format!("0 {} done", error.as_bytes().escape_ascii())]);
        assert_eq!(run.unfinished, [(ExchangeId(1), Replay::Unknown)]);
    }
}
