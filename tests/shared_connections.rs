//! What requests of strangers on the same connection do to each other, on real servers: nothing.

#![cfg(all(feature = "postgres", feature = "redis"))]

mod support;

use std::time::{Duration, Instant};

use aquests::postgres::Postgres;
use aquests::redis::{Redis, Script};
use aquests::{Client, Error, ErrorKind, Flow, Outcome, Request, RequestId};
use support::{PostgresServer, RedisServer, must_end};

/// Turns until nothing is in hand, but not for ever.
fn outcomes(client: &mut Client) -> Vec<Outcome> {
    let (mut all, begun) = (Vec::new(), Instant::now());
    while !client.is_idle() {
        client.turn(Some(Duration::from_millis(50))).unwrap();
        all.extend(std::iter::from_fn(|| client.next_outcome()));
        assert!(begun.elapsed() < Duration::from_secs(60), "{} requests hang", client.in_hand());
    }
    all
}

fn until(client: &mut Client, id: RequestId) -> Outcome {
    let begun = Instant::now();
    loop {
        client.turn(Some(Duration::from_millis(50))).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(60), "request {id} hangs: {client:?}");
        while let Some(outcome) = client.next_outcome() {
            if outcome.request_id() == id {
                return outcome;
            }
        }
    }
}

fn database(server: &PostgresServer) -> Postgres {
    Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "")
}

fn number(outcome: &Outcome) -> i64 {
    outcome.response().unwrap_or_else(|| panic!("{outcome}")).rows().next().unwrap().get(0)
}

#[test]
fn a_session_runs_what_it_is_given_in_that_order() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = database(&server);
        client.send(db.query("CREATE TABLE kept (n int8)")).unwrap();
        outcomes(&mut client);
        let session = client.open(&db).unwrap();
        session.send(db.query("BEGIN")).unwrap();
        session.send(db.execute("INSERT INTO kept VALUES ($1)", (1i64,))).unwrap();
        session.send(db.query("ROLLBACK")).unwrap();
        session.send(db.execute("INSERT INTO kept VALUES ($1)", (7i64,))).unwrap();
        session.send(db.query("UPDATE kept SET n = 8 WHERE n = 7")).unwrap();
        let order: Vec<u64> = outcomes(&mut client).iter().map(|outcome| outcome.request_id().as_u64()).collect();
        assert_eq!(order, [1, 2, 3, 4, 5]);
        client.send(db.query("SELECT n FROM kept")).unwrap();
        let all = outcomes(&mut client);
        let kept: Vec<i64> = all[0].response().unwrap().rows().map(|row| row.get(0)).collect();
        assert_eq!(kept, [8], "the first was taken back, and the second was changed after it came");
    });
}

#[test]
fn a_script_that_the_server_does_not_know_keeps_its_place_in_a_session() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::new().unwrap();
        let db = Redis::at(&server.address().to_string());
        let session = client.open(&db).unwrap();
        let script = Script::new("return redis.call('SET', KEYS[1], ARGV[1])");
        session.send(script.on(&db).key("k").arg("v")).unwrap();
        session.send(db.get("k")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all[1].response().unwrap().read::<String>().unwrap(), "v");
    });
}

#[test]
fn a_begin_that_was_given_up_is_nobody_elses_transaction() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = database(&server);
        client.send(db.query("CREATE TABLE kept (n int8)")).unwrap();
        outcomes(&mut client);
        client.send(db.query("SELECT pg_sleep(0.5)")).unwrap();
        let begin = client.send(db.query("BEGIN")).unwrap();
        client.turn(Some(Duration::from_millis(100))).unwrap();
        client.turn(Some(Duration::from_millis(100))).unwrap();
        assert!(client.cancel(begin));
        outcomes(&mut client);
        let session = client.open(&db).unwrap();
        session.send(db.query("INSERT INTO kept VALUES (1)")).unwrap();
        client.send(db.query("INSERT INTO kept VALUES (2)")).unwrap();
        assert!(outcomes(&mut client).iter().all(|outcome| outcome.response().is_some()));
        drop(session);
        client.send(db.query("SELECT count(*) FROM kept")).unwrap();
        assert_eq!(number(&outcomes(&mut client)[0]), 2);
    });
}

#[test]
fn what_was_set_on_a_shared_connection_is_not_found_in_a_session() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = database(&server);
        client.send(db.query("SET statement_timeout = 77")).unwrap();
        outcomes(&mut client);
        let session = client.open(&db).unwrap();
        session.send(db.query("SELECT current_setting('statement_timeout')")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all[0].response().unwrap().rows().next().unwrap().get::<String>(0), "0");
    });
}

#[test]
fn a_session_goes_on_while_others_wait_for_a_worker() {
    must_end(|| {
        let server = RedisServer::start();
        let other = RedisServer::start();
        let mut client = Client::new().unwrap();
        let db = Redis::at(&server.address().to_string());
        let elsewhere = Redis::at(&other.address().to_string());
        let session = client.open(&db).unwrap();
        // It has the only worker, and ends when the session has done its part.
        client.send(db.command("BLPOP", ("list", 0))).unwrap();
        client.send(db.get("k")).unwrap();
        client.send(elsewhere.get("k")).unwrap();
        client.turn(Some(Duration::from_millis(100))).unwrap();
        session.send(db.command("LPUSH", ("list", "x"))).unwrap();
        assert_eq!(outcomes(&mut client).iter().filter(|outcome| outcome.response().is_some()).count(), 4);
    });
}

#[test]
fn nothing_is_sent_behind_what_is_held_or_was_given_up() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::builder().workers(2).timeout(Duration::from_secs(5)).build().unwrap();
        let db = database(&server);
        let held = Request::from(db.execute("SELECT generate_series(1, 100000)", ()));
        let held = client.send(held.on_row(|_| Ok::<_, Error>(Flow::Hold))).unwrap();
        for _ in 0..5 {
            client.turn(Some(Duration::from_millis(50))).unwrap();
        }
        // The program waits for this before it goes on.
        let other = client.send(db.query("SELECT 5::int8")).unwrap();
        assert_eq!(number(&until(&mut client, other)), 5);
        client.cancel(held);

        let slow = client.send(db.query("SELECT pg_sleep(60)")).unwrap();
        client.turn(Some(Duration::from_millis(100))).unwrap();
        client.cancel(slow);
        let other = client.send(db.query("SELECT 6::int8")).unwrap();
        assert_eq!(number(&until(&mut client, other)), 6);
    });
}

#[test]
fn one_request_makes_one_connection_however_long_the_login_takes() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::builder().workers(50).build().unwrap();
        let db = Postgres::at(&server.address().to_string(), PostgresServer::DATABASE);
        let db = db.user("scram", PostgresServer::PASSWORD);
        client.send(db.query("SELECT count(*) FROM pg_stat_activity WHERE usename = 'scram'")).unwrap();
        assert_eq!(number(&outcomes(&mut client)[0]), 1);
    });
}

#[test]
fn a_login_comes_to_an_end_though_the_server_never_falls_silent() {
    must_end(|| {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let _ = stream.read(&mut [0; 512]);
                    let _ = stream.write_all(b"R\0\0\0\x08\0\0\0\0");
                    // ParameterStatus, again and again.
                    while stream.write_all(b"S\0\0\0\x08a\0b\0").is_ok() {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                });
            }
        });
        let mut client = Client::builder().connect_timeout(Duration::from_secs(1)).build().unwrap();
        let db = Postgres::at(&address, "x").user("x", "").ssl_mode(aquests::postgres::SslMode::Disable);
        client.send(db.query("SELECT 1")).unwrap();
        let error = outcomes(&mut client).remove(0).into_result().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(aquests::Phase::Connect), "{error}");
    });
}
