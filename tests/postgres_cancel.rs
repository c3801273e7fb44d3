//! Statements that nobody waits for any more: their servers are told, on real ones; and what was not sent of them by then
//! never is, to one of a script.

#![cfg(feature = "postgres")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aquests::postgres::{Postgres, SslMode};
use aquests::{Client, Error, ErrorKind, Flow, Outcome, Phase, Request};
use support::{Conn, Peer, PostgresScript, PostgresServer, must_end, outcomes};

fn at(server: &PostgresServer) -> Postgres {
    Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "")
}

/// Statements of clients that run, by what they begin with.
fn running(server: &PostgresServer, begins: &str) -> usize {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '{begins}%';");
    server.psql(&sql).parse().unwrap()
}

/// Turns until so many of them run.
fn turn_until(client: &mut Client, server: &PostgresServer, begins: &str, count: usize) {
    while running(server, begins) != count {
        client.turn(Some(Duration::from_millis(10))).unwrap();
    }
}

const LONG: &str = "SELECT pg_sleep(1000)";

/// How many statements the server was told to stop.
fn stopped(server: &PostgresServer) -> usize {
    server.log().matches("canceling statement due to user request").count()
}

/// Cancels, and waits until the server has heard of it.
fn cancel(client: &mut Client, server: &PostgresServer, db: &Postgres) {
    let before = stopped(server);
    let id = client.send(db.query(LONG)).unwrap();
    turn_until(client, server, LONG, 1);
    assert!(client.cancel(id));
    assert_eq!(client.next_outcome().unwrap().error().unwrap().kind(), ErrorKind::Cancelled);
    assert!(!client.is_idle(), "the server is to be told");
    assert!(outcomes(client).is_empty());
    turn_until(client, server, LONG, 0);
    // A server signals the process and then its group: under load it can be that it says so of both.
    assert!(stopped(server) > before);
}

#[test]
fn a_statement_that_is_cancelled_stops_at_the_server() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        cancel(&mut client, &server, &at(&server));
        let socket = Postgres::at(&format!("{}:{}", server.socket_folder().display(), server.port()), "test");
        cancel(&mut client, &server, &socket.user("trust", ""));
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_server_is_told_inside_tls_where_the_statement_was() {
    must_end(|| {
        let identity = support::tls::Authority::new("root").localhost();
        let server = PostgresServer::builder().tls(&identity).start();
        let mut client = Client::new().unwrap();
        cancel(&mut client, &server, &at(&server).ssl_mode(aquests::postgres::SslMode::Require));
    });
}

#[test]
fn a_statement_that_is_late_or_silent_or_not_wanted_stops_at_the_server() {
    must_end(|| {
        let server = PostgresServer::start();
        let soon = Duration::from_millis(300);
        let mut client = Client::builder().build().unwrap();
        client.send(Request::from(at(&server).query(LONG)).timeout(soon)).unwrap();
        assert_eq!(outcomes(&mut client)[0].error().unwrap().kind(), ErrorKind::Timeout(Phase::Total));
        turn_until(&mut client, &server, LONG, 0);
        assert_eq!(stopped(&server), 1);
        let mut client = Client::builder().timeout(soon).build().unwrap();
        client.send(at(&server).execute(LONG, ())).unwrap();
        assert_eq!(outcomes(&mut client)[0].error().unwrap().kind(), ErrorKind::Timeout(Phase::Silence));
        turn_until(&mut client, &server, LONG, 0);
        assert_eq!(stopped(&server), 2);
        // Rows that nobody wants.
        let mut client = Client::new().unwrap();
        let rows = "SELECT generate_series(1, 1000000000::int8) AS n";
        let request = Request::from(at(&server).query(rows)).on_row(|_| Ok::<_, Error>(Flow::Cancel));
        client.send(request).unwrap();
        assert_eq!(outcomes(&mut client)[0].error().unwrap().kind(), ErrorKind::Cancelled);
        turn_until(&mut client, &server, "SELECT generate_series", 0);
    });
}

#[test]
fn one_that_waits_behind_another_is_given_up_alone() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = at(&server);
        client.send(db.query("SELECT pg_sleep(1), 1 AS n")).unwrap();
        let second = client.send(db.query("SELECT 2 AS n")).unwrap();
        client.send(db.query("SELECT 3 AS n")).unwrap();
        turn_until(&mut client, &server, "SELECT pg_sleep", 1);
        assert!(client.cancel(second));
        let all = outcomes(&mut client);
        assert_eq!(all[0].error().unwrap().kind(), ErrorKind::Cancelled);
        for (outcome, n) in all[1..].iter().zip([1, 3]) {
            assert_eq!(outcome.response().unwrap().rows().next().unwrap().get::<i32>("n"), n, "{outcome}");
        }
        assert_eq!(stopped(&server), 0, "nothing of it ran");
    });
}

#[test]
fn a_server_that_does_not_listen_any_more_keeps_nobody_waiting() {
    must_end(|| {
        let mut server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let id = client.send(at(&server).query(LONG)).unwrap();
        turn_until(&mut client, &server, LONG, 1);
        server.kill();
        client.cancel(id);
        let all = outcomes(&mut client);
        assert_eq!(all.len(), 1, "{all:?}");
    });
}

#[test]
fn a_statement_that_is_interrupted_is_answered_by_its_server() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = at(&server);
        let code = |outcome: &Outcome| {
            let response = outcome.response().unwrap_or_else(|| panic!("{outcome}"));
            response.results().unwrap().error().map_or("", |error| error.code()).to_owned()
        };
        // On a connection of everybody: nothing else goes there any more, and nobody else is hit.
        for round in 0..3 {
            let id = client.send(db.execute("SELECT pg_sleep(1000)", ())).unwrap();
            turn_until(&mut client, &server, LONG, 1);
            assert!(client.interrupt(id));
            client.send(db.query("SELECT 1")).unwrap();
            let all = outcomes(&mut client);
            assert_eq!(all.iter().map(code).collect::<Vec<_>>(), ["57014", ""], "round {round}");
        }
        assert_eq!(stopped(&server), 3);
        // On that of a session, whose transaction lives on as the server has it; from another thread.
        let session = client.open(&db).unwrap();
        session.send(db.query("BEGIN")).unwrap();
        let id = session.send(db.query(LONG)).unwrap();
        turn_until(&mut client, &server, LONG, 1);
        let handle = client.handle();
        std::thread::spawn(move || handle.interrupt(id)).join().unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all.iter().map(code).collect::<Vec<_>>(), ["", "57014"]);
        session.send(db.query("SELECT 1")).unwrap();
        assert_eq!(code(&outcomes(&mut client)[0]), "25P02", "the transaction has failed, and is still there");
        // What does not run, and what is not alone, is not stopped.
        assert!(!client.interrupt(id));
        let waits = client.send(db.query(LONG)).unwrap();
        assert!(!client.interrupt(waits), "it was not sent");
        let behind = client.send(db.query("SELECT 2")).unwrap();
        turn_until(&mut client, &server, LONG, 1);
        assert!(!client.interrupt(waits) && !client.interrupt(behind), "each would hit the other");
        assert!(client.cancel(waits));
        outcomes(&mut client);
    });
}

#[test]
fn a_statement_that_waits_for_a_lock_to_be_prepared_is_interrupted_by_its_server() {
    must_end(|| {
        let server = PostgresServer::start();
        server.psql("CREATE TABLE locked (a int); GRANT ALL ON locked TO PUBLIC");
        let (db, mut client) = (at(&server), Client::new().unwrap());
        let session = client.open(&db).unwrap();
        session.send(db.query("BEGIN; LOCK TABLE locked")).unwrap();
        outcomes(&mut client);
        let id = client.send(db.execute("SELECT a FROM locked", ())).unwrap();
        turn_until(&mut client, &server, "SELECT a FROM locked", 1);
        assert!(client.interrupt(id));
        let outcome = outcomes(&mut client).remove(0);
        let error = outcome.response().unwrap_or_else(|| panic!("{outcome}")).results().unwrap().error();
        assert_eq!(error.unwrap().code(), "57014");
    });
}

fn at_script(server: &PostgresScript) -> Postgres {
    Postgres::at(&server.address().to_string(), "d").user("u", "").ssl_mode(SslMode::Disable)
}

/// Turns until the server was sent this.
fn turn_until_sent(client: &mut Client, server: &PostgresScript, what: &str) {
    while !server.sent().iter().any(|sent| sent == what) {
        client.turn(Some(Duration::from_millis(10))).unwrap();
    }
}

/// A type that no server has of its own.
const OWN: u32 = 16_400;

#[test]
fn a_statement_that_is_interrupted_before_it_is_run_is_never_run() {
    must_end(|| {
        let prepared = |column| PostgresScript::prepared(&[], column);
        for (what, before, stands_at, answer) in [
            ("it was being prepared", None, "0 PDS", prepared(None)),
            ("its types were being looked up", Some(prepared(Some(OWN))), "0 Q", PostgresScript::done()),
        ] {
            for in_session in [false, true] {
                let what = format!("{what}, in a session: {in_session}");
                let (server, mut client) = (PostgresScript::start(), Client::new().unwrap());
                let db = at_script(&server);
                let session = client.open(&db).unwrap();
                let statement = db.execute("DELETE FROM t", ());
                let id = if in_session { session.send(statement) } else { client.send(statement) }.unwrap();
                before.iter().for_each(|bytes| server.answer(&**bytes));
                turn_until_sent(&mut client, &server, stands_at);
                assert!(client.interrupt(id), "{what}");
                turn_until_sent(&mut client, &server, "1 cancel");
                // The server heard of it too late, and has nothing to stop.
                server.answer(&*answer);
                let all = outcomes(&mut client);
                let error = all[0].error().unwrap_or_else(|| panic!("{what}: {}", all[0]));
                assert_eq!((all.len(), error.kind()), (1, ErrorKind::Cancelled), "{what}: {error}");
                assert!(error.to_string().contains("before it was run"), "{what}: {error}");
                // A session goes on, and everybody else has another connection.
                server.answer(PostgresScript::done());
                let query = db.query("SELECT 1");
                if in_session { session.send(query) } else { client.send(query) }.unwrap();
                assert!(outcomes(&mut client)[0].response().is_some(), "{what}");
                let sent = server.sent();
                assert!(!sent.iter().any(|sent| sent.contains('B')), "{what}: {sent:?}");
                assert_eq!(sent.iter().filter(|sent| *sent == "1 cancel").count(), 1, "{what}: {sent:?}");
                assert!(!sent.iter().any(|sent| sent == "2 cancel"), "nothing ran there: {what}: {sent:?}");
            }
        }
    });
}

#[test]
fn a_statement_that_is_interrupted_is_not_sent_again_when_its_connection_goes() {
    must_end(|| {
        let (server, mut client) = (PostgresScript::start(), Client::new().unwrap());
        let db = at_script(&server);
        client.send(db.query("SELECT 1")).unwrap();
        let second = client.send(db.query("SELECT 2")).unwrap();
        let third = client.send(db.execute("DELETE FROM t", ())).unwrap();
        turn_until_sent(&mut client, &server, "0 Q");
        assert!(client.cancel(second) && !client.interrupt(third));
        // Alone behind something that nobody waits for, and known to be untouched when that ends the connection.
        server.answer(PostgresScript::done());
        while client.in_hand() > 1 {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        assert!(client.interrupt(third));
        turn_until_sent(&mut client, &server, "1 cancel");
        server.answer_and_close(PostgresScript::message(b'E', b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0"));
        // On another connection it would run.
        server.answer(PostgresScript::prepared(&[], None));
        server.answer(PostgresScript::done());
        let all = outcomes(&mut client);
        assert!(all.len() == 3 && all[2].error().is_some(), "{all:?}");
        assert!(!server.sent().iter().any(|sent| sent.contains('P')), "{:?}", server.sent());
    });
}

#[test]
fn a_statement_that_is_given_up_while_it_is_prepared_is_never_run() {
    must_end(|| {
        let soon = Duration::from_millis(300);
        let whole: fn(Request) -> Request = |request| request.timeout(Duration::from_secs(1));
        let first: fn(Request) -> Request = |request| request.first_byte_timeout(Duration::from_millis(100));
        for (what, limited, silence, cancels) in [
            ("it was cancelled", None, None, true),
            ("its time was over", Some(whole), None, false),
            ("the answer did not begin in time", Some(first), None, false),
            ("the server was silent", None, Some(soon), false),
        ] {
            let (server, mut builder) = (PostgresScript::start(), Client::builder());
            if let Some(silence) = silence {
                builder = builder.timeout(silence);
            }
            let (db, mut client) = (at_script(&server), builder.build().unwrap());
            let request = Request::from(db.execute("DELETE FROM t", ()));
            let id = client.send(if let Some(limited) = limited { limited(request) } else { request }).unwrap();
            turn_until_sent(&mut client, &server, "0 PDS");
            assert!(!cancels || client.cancel(id), "{what}");
            let all = outcomes(&mut client);
            assert!(all.len() == 1 && all[0].error().is_some(), "{what}: {all:?}");
            turn_until_sent(&mut client, &server, "1 cancel");
            server.answer(PostgresScript::prepared(&[], None));
            // Whatever came behind Parse is written down by now.
            while server.sent().iter().filter(|sent| sent.starts_with("0 ")).count() < 2 {
                client.turn(Some(Duration::from_millis(10))).unwrap();
            }
            server.answer(PostgresScript::done());
            client.send(db.query("SELECT 1")).unwrap();
            assert!(outcomes(&mut client)[0].response().is_some(), "{what}");
            let sent = server.sent();
            assert!(!sent.iter().any(|sent| sent.contains('B')), "{what}: {sent:?}");
        }
    });
}

#[test]
fn a_statement_that_is_cancelled_behind_another_is_prepared_and_never_run() {
    must_end(|| {
        let (server, mut client) = (PostgresScript::start(), Client::new().unwrap());
        let db = at_script(&server);
        client.send(db.query("SELECT 1")).unwrap();
        let id = client.send(db.execute("DELETE FROM t", ())).unwrap();
        turn_until_sent(&mut client, &server, "0 Q");
        assert!(client.cancel(id));
        server.answer(PostgresScript::done());
        server.answer(PostgresScript::prepared(&[], None));
        turn_until_sent(&mut client, &server, "0 PDS");
        assert_eq!(outcomes(&mut client).len(), 2);
        server.answer(PostgresScript::done());
        client.send(db.query("SELECT 2")).unwrap();
        assert!(outcomes(&mut client)[0].response().is_some());
        assert_eq!(server.sent(), ["0 Q", "0 PDS", "0 Q"]);
    });
}

/// More than the sockets between hold.
const MUCH: usize = 32 << 20;

#[test]
fn statements_that_wait_for_room_between_their_exchanges_are_never_run_when_they_are_given_up() {
    must_end(|| {
        let (server, mut client) = (PostgresScript::start(), Client::builder().pipeline(3).build().unwrap());
        let db = at_script(&server);
        let [first, second] = ["DELETE FROM t", "DELETE FROM u"].map(|sql| client.send(db.execute(sql, ())).unwrap());
        client.send(db.query(format!("SELECT '{}'", "x".repeat(MUCH)))).unwrap();
        turn_until_sent(&mut client, &server, "0 PDS");
        assert!(!client.interrupt(second), "three are on the connection");
        // They are prepared, and what was sent behind them is in the way: the server does not read it.
        server.answer(PostgresScript::prepared(&[], None));
        server.answer_and_wait(PostgresScript::prepared(&[], None));
        while !client.interrupt(second) {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        assert!(client.cancel(first));
        for id in [second, first] {
            let outcome = client.next_outcome().unwrap();
            let kind = outcome.error().map(Error::kind);
            assert_eq!((outcome.request_id(), kind), (id, Some(ErrorKind::Cancelled)), "{outcome}");
        }
        server.answer("");
        server.answer(PostgresScript::done());
        let all = outcomes(&mut client);
        assert!(all.len() == 1 && all[0].response().is_some(), "{all:?}");
        server.answer(PostgresScript::done());
        client.send(db.query("SELECT 1")).unwrap();
        assert!(outcomes(&mut client)[0].response().is_some(), "the connection lives");
        assert_eq!(server.sent(), ["0 PDS", "0 PDS", "0 Q", "0 Q"]);
    });
}

#[test]
fn a_copy_that_is_cancelled_while_its_body_has_nothing_holds_nobody_up_for_longer_than_a_silence() {
    must_end(|| {
        let began = Arc::new(AtomicBool::new(false));
        // It takes the first row, and has nothing to say to the end of it.
        let peer = Peer::start({
            let began = Arc::clone(&began);
            move |conn| {
                let untyped = |conn: &mut Conn| {
                    let length = conn.take(4)?;
                    conn.take(u32::from_be_bytes(length.try_into().expect("four bytes")) as usize - 4)
                };
                untyped(conn)?;
                conn.send([&PostgresScript::message(b'R', &[0; 4])[..], b"Z\0\0\0\x05I"].concat())?;
                conn.take(1)?;
                untyped(conn)?;
                if conn.number() > 0 {
                    conn.send(PostgresScript::done())?;
                    return conn.stall();
                }
                conn.send(PostgresScript::message(b'G', &[0; 3]))?;
                assert_eq!(conn.take(1)?, b"d", "a row of the body");
                began.store(true, Ordering::SeqCst);
                conn.stall()
            }
        });
        let mut client = Client::builder().timeout(Duration::from_millis(300)).build().unwrap();
        let db = Postgres::at(&peer.address().to_string(), "d").user("u", "").ssl_mode(SslMode::Disable);
        let (copy, writer) = Request::from(db.copy_in("COPY t FROM STDIN")).body_writer(None);
        let id = client.send(copy).unwrap();
        writer.try_write(b"1\n").unwrap();
        while !began.load(Ordering::SeqCst) {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        assert!(client.cancel(id));
        client.send(db.query("SELECT 1")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all[0].error().unwrap().kind(), ErrorKind::Cancelled);
        assert!(all.len() == 2 && all[1].response().is_some(), "{all:?}");
        assert_eq!(peer.connections(), 2);
    });
}
