//! Statements that nobody waits for any more: their servers are told, on real ones.

#![cfg(feature = "postgres")]

mod support;

use std::time::Duration;

use aquests::postgres::Postgres;
use aquests::{Client, Error, ErrorKind, Flow, Outcome, Phase, Request};
use support::{PostgresServer, must_end, outcomes};

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
    assert_eq!(stopped(server), before + 1);
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
