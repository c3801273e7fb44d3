//! PostgreSQL through the client, on a real server.

#![cfg(feature = "postgres")]

mod support;

use std::sync::{Arc, Mutex};

use aquests::postgres::{Part, Postgres, SslMode, sqlstate};
use aquests::{Client, Error, ErrorKind, Flow, Request, Version};
use support::{PostgresServer, must_end, outcomes};

fn at(server: &PostgresServer, user: &str, password: &str) -> Postgres {
    Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user(user, password)
}

#[test]
fn statements_bring_rows_as_types_of_rust() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = at(&server, "trust", "");
        client.send(db.query("SELECT 1 AS one, 'two' AS two; SELECT 3; SELECT nothing")).unwrap();
        for number in 0..5 {
            client
                .send(db.execute("SELECT $1::int8 * 2 AS twice, $2::text AS word", (i64::from(number), "x")))
                .unwrap();
        }
        client.send(db.execute("SELECT 1 / $1", (0,))).unwrap();
        let all = outcomes(&mut client);
        let first = all[0].response().unwrap();
        let results = first.results().unwrap();
        assert_eq!(results.sets().len(), 2, "what came before it is kept");
        assert_eq!(results.sets()[1].row(0).unwrap().get::<i32>(0), 3);
        assert_eq!(results.error().unwrap().code(), sqlstate::UNDEFINED_COLUMN);
        assert_eq!((first.status().as_u16(), &*first.reason(), first.version()), (500, "42703", Version::Postgres30));
        for (number, outcome) in (0i64..5).zip(&all[1..6]) {
            let response = outcome.response().unwrap();
            let row = response.rows().next().unwrap();
            assert_eq!((row.get::<i64>("twice"), row.get::<String>(1)), (number * 2, "x".to_owned()), "{outcome}");
        }
        assert_eq!(all[6].response().unwrap().results().unwrap().error().unwrap().code(), sqlstate::DIVISION_BY_ZERO);
    });
}

#[test]
fn every_login_works_and_a_wrong_one_fails_all_that_waits() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        for user in ["trust", "password", "md5", "scram"] {
            let db = at(&server, user, PostgresServer::PASSWORD);
            client.send(db.query("SELECT current_user::text AS name")).unwrap();
            let all = outcomes(&mut client);
            let response = all[0].response().unwrap_or_else(|| panic!("{user}: {}", all[0]));
            assert_eq!(response.rows().next().unwrap().get::<String>("name"), user);
        }
        for user in ["password", "md5", "scram", "reject", "nobody"] {
            let db = at(&server, user, "hunter2");
            for _ in 0..3 {
                client.send(db.query("SELECT 1")).unwrap();
            }
            for outcome in outcomes(&mut client) {
                let error = outcome.error().unwrap();
                assert_eq!(error.kind(), ErrorKind::Authentication, "{user}: {error}");
                assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
            }
        }
    });
}

#[test]
fn rows_are_streamed_and_held_in_flat_memory() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::builder().reply_limit(1 << 20).build().unwrap();
        let db = at(&server, "trust", "");
        let seen = Arc::new(Mutex::new((0u64, 0i64)));
        let rows = Arc::clone(&seen);
        let request = Request::from(db.execute("SELECT * FROM generate_series(1, 300000::int8) AS n", ()));
        let id = client
            .send(request.on_row(move |row| {
                let mut seen = rows.lock().unwrap();
                seen.0 += 1;
                seen.1 += row.get::<i64>("n");
                Ok::<_, aquests::Error>(if seen.0.is_multiple_of(50_000) { Flow::Hold } else { Flow::Continue })
            }))
            .unwrap();
        let mut outcome = None;
        while outcome.is_none() {
            client.turn(Some(std::time::Duration::from_millis(50))).unwrap();
            outcome = client.next_outcome();
            client.resume(id);
        }
        let outcome = outcome.unwrap();
        assert!(outcome.response().is_some(), "{outcome}");
        assert_eq!(*seen.lock().unwrap(), (300_000, 300_000 * 300_001 / 2));
        // What is kept has a limit.
        client.send(db.query("SELECT repeat('x', 1000) FROM generate_series(1, 10000)")).unwrap();
        assert_eq!(outcomes(&mut client)[0].error().unwrap().kind(), ErrorKind::TooLarge);
    });
}

#[test]
fn who_wants_no_more_of_a_statement_is_heard_whatever_was_said_at_its_columns() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = at(&server, "trust", "");
        let told = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&told);
        // Of a prepared statement the columns are told with the first row.
        let request = Request::from(db.execute("SELECT 1 AS n", ())).on_part(move |part| {
            let flow = if matches!(part, Part::Columns(_)) { Flow::Hold } else { Flow::Cancel };
            into.lock().unwrap().push(flow);
            Ok::<_, Error>(flow)
        });
        let id = client.send(request).unwrap();
        while told.lock().unwrap().is_empty() {
            client.turn(None).unwrap();
        }
        client.resume(id);
        let all = outcomes(&mut client);
        assert_eq!(all[0].error().map(Error::kind), Some(ErrorKind::Cancelled), "{}", all[0]);
        assert_eq!(*told.lock().unwrap(), [Flow::Hold, Flow::Cancel]);
    });
}

#[test]
fn a_session_keeps_a_transaction_and_its_end_takes_it_back() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = at(&server, "trust", "");
        client.send(db.query("CREATE TABLE kept (n int)")).unwrap();
        outcomes(&mut client);
        let session = client.open(&db).unwrap();
        for sql in ["BEGIN", "INSERT INTO kept VALUES (1)", "SELECT count(*) AS n FROM kept"] {
            session.send(db.query(sql)).unwrap();
        }
        let all = outcomes(&mut client);
        assert_eq!(all[2].response().unwrap().rows().next().unwrap().get::<i64>("n"), 1);
        drop(session);
        client.send(db.query("SELECT count(*) AS n FROM kept")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all[0].response().unwrap().rows().next().unwrap().get::<i64>("n"), 0, "nobody committed it");
    });
}

#[test]
fn a_transaction_that_is_left_open_on_a_shared_connection_is_taken_back_and_told() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = at(&server, "trust", "");
        client.send(db.query("CREATE TABLE kept (n int)")).unwrap();
        outcomes(&mut client);
        for sql in ["BEGIN", "INSERT INTO kept VALUES (1)", "SELECT 1"] {
            client.send(db.query(sql)).unwrap();
        }
        let all = outcomes(&mut client);
        assert_eq!(all[0].error().unwrap().kind(), ErrorKind::Closed, "{}", all[0]);
        assert!(all[0].to_string().contains("session"), "{}", all[0]);
        assert!(all[1..].iter().all(|outcome| outcome.error().is_some()), "none is told as done: {all:?}");
        // What brings its own end needs no session.
        client.send(db.query("BEGIN; INSERT INTO kept VALUES (2); COMMIT")).unwrap();
        client.send(db.query("SELECT n FROM kept")).unwrap();
        let all = outcomes(&mut client);
        let kept: Vec<i32> = all[1].response().unwrap().rows().map(|row| row.get("n")).collect();
        assert_eq!(kept, [2]);
    });
}

#[test]
fn tls_is_asked_for_as_it_is_wanted() {
    must_end(|| {
        let root = support::tls::Authority::new("root");
        let identity = root.issue(&support::tls::Wanted { names: &["localhost"], ..Default::default() });
        let secure = PostgresServer::builder().tls(&identity).start();
        let plain = PostgresServer::start();
        let folder = support::Folder::new();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, &root.pem).unwrap();
        let mut client = Client::new().unwrap();
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let mut ask = |db: Postgres| {
            client.send(db.query(sql)).unwrap();
            let outcome = outcomes(&mut client).remove(0);
            match outcome.into_result() {
                Ok(response) => Ok(response.rows().next().unwrap().get::<bool>("ssl")),
                Err(error) => Err(error.kind()),
            }
        };
        let scram = |server: &PostgresServer| at(server, "scram", PostgresServer::PASSWORD);
        assert_eq!(ask(scram(&secure).ssl_mode(SslMode::Disable)), Ok(false));
        assert_eq!(ask(scram(&secure)), Ok(true), "prefer");
        assert_eq!(ask(scram(&plain)), Ok(false), "prefer");
        assert_eq!(ask(scram(&secure).ssl_mode(SslMode::Require)), Ok(true));
        assert_eq!(ask(scram(&plain).ssl_mode(SslMode::Require)), Err(ErrorKind::Tls));
        assert_eq!(ask(scram(&secure).ssl_mode(SslMode::VerifyCa)), Err(ErrorKind::Tls), "the system does not know it");
        assert_eq!(ask(scram(&secure).ssl_mode(SslMode::VerifyCa).ssl_root_cert(&ca)), Ok(true));
        assert_eq!(ask(scram(&secure).ssl_mode(SslMode::VerifyFull).ssl_root_cert(&ca)), Err(ErrorKind::Tls));
        let by_name = Postgres::at(&format!("localhost:{}", secure.port()), PostgresServer::DATABASE);
        let by_name = by_name.user("scram", PostgresServer::PASSWORD).ssl_mode(SslMode::VerifyFull).ssl_root_cert(&ca);
        assert_eq!(ask(by_name), Ok(true));
    });
}
