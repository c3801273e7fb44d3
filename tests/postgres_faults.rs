//! What goes wrong between a client and PostgreSQL: servers that end, statements that fail among others, poolers in between,
//! and servers of a script that do what no real one does.

#![cfg(feature = "postgres")]

mod support;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[cfg(feature = "tls")]
use aquests::postgres::ChannelBinding;
use aquests::postgres::{Limits, Postgres, SslMode, sqlstate};
use aquests::{Client, Error, ErrorKind, Flow, Outcome, Phase, Request, RequestId};
use support::{Conn, Peer, Pgbouncer, PostgresServer, must_end, outcomes};

fn one(client: &mut Client, request: impl Into<Request>) -> Outcome {
    client.send(request).unwrap();
    outcomes(client).remove(0)
}

fn at(server: &PostgresServer) -> Postgres {
    Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "")
}

/// SQLSTATE of what the server said, or nothing where it did as it was told.
fn code(outcome: &Outcome) -> &str {
    let response = outcome.response().unwrap_or_else(|| panic!("{outcome}"));
    response.results().unwrap().error().map_or("", |error| error.code())
}

/// Exactly one for each request.
fn each_once(all: &[Outcome], count: usize) -> BTreeMap<RequestId, &Outcome> {
    let by_id: BTreeMap<_, _> = all.iter().map(|outcome| (outcome.request_id(), outcome)).collect();
    assert_eq!((all.len(), by_id.len()), (count, count), "each request has one outcome");
    by_id
}

#[test]
fn an_error_among_pipelined_statements_hits_its_own_alone() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = at(&server);
        for n in 0..100i32 {
            match n % 3 {
                0 => client.send(db.execute("SELECT 100 / $1", (n % 2,))),
                1 => client.send(db.query(if n % 2 == 0 { "SELECT 1/0" } else { "SELECT 1" })),
                _ => client.send(db.execute(if n % 2 == 0 { "SELEKT $1" } else { "SELECT $1::int4" }, (n,))),
            }
            .unwrap();
        }
        let all = outcomes(&mut client);
        for (n, outcome) in (0..100).zip(each_once(&all, 100).into_values()) {
            let wrong = if n % 3 == 2 { sqlstate::SYNTAX_ERROR } else { sqlstate::DIVISION_BY_ZERO };
            assert_eq!(code(outcome), if n % 2 == 0 { wrong } else { "" }, "statement {n}");
        }
        assert_eq!(server.backends(), 1);
    });
}

#[test]
fn rows_before_an_error_are_told_and_so_is_the_error() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let sql = "SELECT 100 / (50000 - n) AS q FROM generate_series(1, 100000) AS n";
        for statement in [at(&server).query(sql), at(&server).execute(sql, ())] {
            let seen = Arc::new(Mutex::new(0));
            let rows = Arc::clone(&seen);
            let request = Request::from(statement.clone()).on_row(move |_| {
                *rows.lock().unwrap() += 1;
                Ok::<_, Error>(Flow::Continue)
            });
            let outcome = one(&mut client, request);
            assert_eq!((code(&outcome), *seen.lock().unwrap()), (sqlstate::DIVISION_BY_ZERO, 49_999));
            // And where they are kept.
            let outcome = one(&mut client, statement);
            assert_eq!(code(&outcome), sqlstate::DIVISION_BY_ZERO);
            assert_eq!(outcome.response().unwrap().results().unwrap().sets()[0].len(), 49_999);
        }
    });
}

#[test]
fn a_server_that_ends_in_the_middle_of_pipelines_leaves_each_statement_one_outcome() {
    must_end(|| {
        // What it tells as done is done, whatever becomes of it.
        let mut server = PostgresServer::builder().config("synchronous_commit = on").start();
        let db = at(&server);
        let mut client = Client::builder().workers(4).build().unwrap();
        assert_eq!(code(&one(&mut client, db.query("CREATE TABLE t (n int8)"))), "");
        let (mut done, mut sent, mut fewest) = (0, 0, usize::MAX);
        for round in 0..6 {
            for n in 0..400i64 {
                client.send(db.execute("INSERT INTO t SELECT $1::int8 FROM pg_sleep(0.001)", (n,))).unwrap();
            }
            sent += 400;
            let mut all = Vec::new();
            while all.len() < 100 {
                client.turn(None).unwrap();
                all.extend(std::iter::from_fn(|| client.next_outcome()));
            }
            match round % 3 {
                0 => assert!(server.terminate_backends() > 0),
                1 => server.restart(),
                _ => {
                    server.kill();
                    server.restart();
                }
            }
            all.extend(outcomes(&mut client));
            let mut unsure = 0;
            for outcome in each_once(&all, 400).into_values() {
                match outcome.response() {
                    Some(_) if code(outcome).is_empty() => done += 1,
                    // One that ran, on each of four connections, is told why it does no more.
                    Some(_) => assert_eq!(code(outcome), sqlstate::ADMIN_SHUTDOWN, "{outcome}"),
                    None => {
                        let kind = outcome.error().unwrap().kind();
                        assert!(
                            matches!(kind, ErrorKind::Closed | ErrorKind::Io | ErrorKind::Refused | ErrorKind::Connect),
                            "{outcome}"
                        );
                        unsure += 1;
                    }
                }
            }
            if round % 3 == 0 {
                fewest = fewest.min(unsure);
            }
        }
        // What stood behind the one that was told was not begun, and was sent again. Not so where a reset overtakes the last
        // words of a server, as it may between processors.
        assert!(fewest <= 4 * 2, "{fewest} are not known to be done");
        let outcome = one(&mut client, db.query("SELECT count(*) AS n FROM t"));
        let rows: i64 = outcome.response().unwrap().rows().next().unwrap().get("n");
        assert!(
            (done..=sent).contains(&rows),
            "{rows} rows of {done} that were told as done and {sent} that were sent"
        );
    });
}

#[test]
fn ten_thousand_statements_over_four_connections_add_up() {
    must_end(|| {
        let server = PostgresServer::start();
        let db = at(&server);
        let mut client = Client::builder().workers(4).build().unwrap();
        assert_eq!(code(&one(&mut client, db.query("CREATE TABLE t (n int8)"))), "");
        for n in 0..10_000i64 {
            let statement = match n % 4 {
                0 => db.query(format!("INSERT INTO t VALUES ({n})")),
                1 => db.execute("INSERT INTO t VALUES ($1)", (n,)).prepare(false),
                // Another text for each of many: more than are kept prepared.
                2 => db.execute(format!("INSERT /* {} */ INTO t VALUES ($1)", n % 200), (n,)),
                _ => db.execute("INSERT INTO t VALUES ($1)", (n,)),
            };
            client.send(statement).unwrap();
        }
        let all = outcomes(&mut client);
        assert!(each_once(&all, 10_000).into_values().all(|outcome| code(outcome).is_empty()));
        let outcome = one(&mut client, db.query("SELECT count(*), count(DISTINCT n), sum(n)::int8 FROM t"));
        let row = outcome.response().unwrap().rows().next().unwrap();
        assert_eq!((row.get::<i64>(0), row.get::<i64>(1), row.get::<i64>(2)), (10_000, 10_000, 49_995_000));
        assert!(server.backends() <= 4);
    });
}

#[test]
fn what_a_server_does_not_want_is_told_in_its_words() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::builder().workers(2).build().unwrap();
        let db = at(&server);
        let short = db.clone().parameter("statement_timeout", "50");
        assert_eq!(code(&one(&mut client, short.query("SELECT pg_sleep(100)"))), sqlstate::QUERY_CANCELED);
        // Two that wait for each other.
        assert_eq!(code(&one(&mut client, db.query("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)"))), "");
        let sessions = [client.open(&db).unwrap(), client.open(&db).unwrap()];
        for (session, n) in sessions.iter().zip([1, 2]) {
            session.send(db.query("BEGIN")).unwrap();
            session.send(db.execute("UPDATE t SET n = n WHERE n = $1", (n,))).unwrap();
        }
        outcomes(&mut client);
        for (session, n) in sessions.iter().zip([2, 1]) {
            session.send(db.execute("UPDATE t SET n = n WHERE n = $1", (n,))).unwrap();
            session.send(db.query("COMMIT")).unwrap();
        }
        let all = outcomes(&mut client);
        let deadlocks = all.iter().filter(|outcome| code(outcome) == sqlstate::DEADLOCK_DETECTED).count();
        assert_eq!((all.len(), deadlocks), (4, 1));
    });
}

#[test]
fn a_server_that_lets_nobody_else_in_is_told_where_nobody_is_let_in() {
    must_end(|| {
        let server =
            PostgresServer::builder().config("max_connections = 4\nsuperuser_reserved_connections = 2").start();
        let mut client = Client::builder().workers(8).build().unwrap();
        let db = at(&server).pipeline(1);
        for _ in 0..8 {
            client.send(db.query("SELECT pg_sleep(0.3)")).unwrap();
        }
        // Two connections do the work of eight: who waits does so for them.
        let all = outcomes(&mut client);
        for outcome in each_once(&all, 8).into_values() {
            assert!(outcome.response().is_some(), "{outcome}");
        }
        // They are kept, so that there is no room for anybody else.
        let mut other = Client::builder().workers(8).build().unwrap();
        for _ in 0..3 {
            other.send(db.query("SELECT 1")).unwrap();
        }
        let all = outcomes(&mut other);
        for outcome in each_once(&all, 3).into_values() {
            let error = outcome.error().unwrap_or_else(|| panic!("{outcome}"));
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            assert!(error.to_string().contains(sqlstate::TOO_MANY_CONNECTIONS), "{error}");
        }
    });
}

#[test]
fn a_server_that_is_held_still_is_silent() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::builder().timeout(Duration::from_millis(300)).build().unwrap();
        let db = at(&server);
        assert_eq!(code(&one(&mut client, db.query("SELECT 1"))), "");
        server.pause();
        for _ in 0..3 {
            client.send(db.query("SELECT 1")).unwrap();
        }
        let all = outcomes(&mut client);
        server.go_on();
        assert!(each_once(&all, 3).into_values().all(|outcome| {
            matches!(outcome.error().unwrap().kind(), ErrorKind::Timeout(Phase::Silence | Phase::Connect))
        }));
        assert_eq!(code(&one(&mut client, db.query("SELECT 1"))), "");
    });
}

#[test]
fn what_a_server_may_say_has_limits() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::builder().reply_limit(1 << 20).build().unwrap();
        let db = at(&server).limits(Limits::default().message(10_000));
        let kind = |outcome: Outcome| outcome.error().map(Error::kind);
        assert_eq!(kind(one(&mut client, db.query("SELECT repeat('x', 9900)"))), None);
        assert_eq!(kind(one(&mut client, db.query("SELECT repeat('x', 10100)"))), Some(ErrorKind::TooLarge));
        let many = at(&server).execute("SELECT repeat('x', 1000) FROM generate_series(1, 10000)", ());
        assert_eq!(kind(one(&mut client, many)), Some(ErrorKind::TooLarge));
        let notices = "DO $$ BEGIN FOR n IN 1..10000 LOOP RAISE NOTICE '%', repeat('x', 1000); END LOOP; END $$";
        assert_eq!(kind(one(&mut client, at(&server).query(notices))), Some(ErrorKind::TooLarge));
    });
}

#[test]
fn statements_that_changed_or_went_away_meanwhile_are_prepared_again() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = at(&server);
        let select = || db.execute("SELECT * FROM t WHERE a IS NOT NULL", ());
        let text = |outcome: &Outcome| {
            assert_eq!(code(outcome), "");
            let row = outcome.response().unwrap().rows().next().unwrap();
            row.columns().iter().map(|column| row.text(column.name()).unwrap().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(code(&one(&mut client, db.query("CREATE TABLE t (a int); INSERT INTO t VALUES (1)"))), "");
        assert_eq!(text(&one(&mut client, select())), ["1"]);
        for (change, row) in [
            ("ALTER TABLE t ADD b text DEFAULT 'x'", &["1", "x"][..]),
            ("ALTER TABLE t ALTER a TYPE text", &["1", "x"]),
            ("ALTER TABLE t DROP b", &["1"]),
            ("DEALLOCATE ALL", &["1"]),
            ("DISCARD ALL", &["1"]),
        ] {
            assert_eq!(code(&one(&mut client, db.query(change))), "");
            // Several at once, which all find out.
            for _ in 0..5 {
                client.send(select()).unwrap();
            }
            for outcome in outcomes(&mut client) {
                assert_eq!(text(&outcome), row, "after {change}");
            }
        }
    });
}

#[test]
fn a_pooler_that_gives_each_transaction_another_server_is_right_with_what_is_set_by_default() {
    must_end(|| {
        let server = PostgresServer::start();
        let pooler = Pgbouncer::before(&server, "default_pool_size = 3");
        let db = Postgres::at(&pooler.address().to_string(), PostgresServer::DATABASE)
            .user("scram", PostgresServer::PASSWORD);
        let mut client = Client::builder().workers(6).build().unwrap();
        assert_eq!(code(&one(&mut client, db.query("CREATE TABLE t (n int8)"))), "");
        for n in 0..2_000i64 {
            client.send(db.execute(format!("INSERT /* {} */ INTO t VALUES ($1)", n % 7), (n,))).unwrap();
        }
        let all = outcomes(&mut client);
        for outcome in each_once(&all, 2_000).into_values() {
            assert_eq!(code(outcome), "", "{outcome}");
        }
        let outcome = one(&mut client, db.query("SELECT count(*), count(DISTINCT n) FROM t"));
        let row = outcome.response().unwrap().rows().next().unwrap();
        assert_eq!((row.get::<i64>(0), row.get::<i64>(1)), (2_000, 2_000), "each once");
    });
}

#[test]
fn behind_a_pooler_no_statement_is_taken_for_that_of_another_connection() {
    must_end(|| {
        let server = PostgresServer::start();
        let pooler = Pgbouncer::before(&server, "default_pool_size = 2");
        let db = Postgres::at(&pooler.address().to_string(), PostgresServer::DATABASE)
            .user("scram", PostgresServer::PASSWORD);
        let mut client = Client::new().unwrap();
        let sessions = [1, 2].map(|which| (client.open(&db).unwrap(), format!("SELECT $1::int8 + {which} AS n")));
        // Each prepares its own, on a server of its own.
        for (session, sql) in &sessions {
            session.send(db.query("BEGIN")).unwrap();
            session.send(db.execute(sql.clone(), (10_i64,))).unwrap();
            assert!(outcomes(&mut client).iter().all(|outcome| code(outcome).is_empty()));
        }
        for (session, _) in &sessions {
            session.send(db.query("COMMIT")).unwrap();
            outcomes(&mut client);
        }
        // The server that was used last is that of the second.
        let (first, sql) = &sessions[0];
        first.send(db.execute(sql.clone(), (10_i64,))).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(code(&all[0]), "", "{}", all[0]);
        assert_eq!(all[0].response().unwrap().rows().next().unwrap().get::<i64>("n"), 11, "what the other prepared");
    });
}

#[test]
fn what_stands_behind_the_last_words_of_a_pooler_may_have_been_run_and_is_not_sent_again() {
    must_end(|| {
        let server = PostgresServer::start();
        server.psql("CREATE TABLE t (n int); GRANT ALL ON t TO PUBLIC;");
        // Over TCP the server does not see at its next word that the pooler has left it, and works on.
        let more = "default_pool_size = 1\nquery_timeout = 1\n[databases]\n* = host=127.0.0.1";
        let pooler = Pgbouncer::before(&server, &format!("{more} port={}", server.port()));
        let mut other = Client::new().unwrap();
        let lock = other.open(at(&server)).unwrap();
        lock.send(at(&server).query("SELECT pg_advisory_lock(1)")).unwrap();
        assert_eq!(outcomes(&mut other).len(), 1);
        let db = Postgres::at(&pooler.address().to_string(), PostgresServer::DATABASE)
            .user("scram", PostgresServer::PASSWORD);
        let mut client = Client::new().unwrap();
        client.send(db.query("INSERT INTO t SELECT 1 FROM pg_advisory_lock_shared(1)")).unwrap();
        client.send(db.query("INSERT INTO t VALUES (2)")).unwrap();
        let all = outcomes(&mut client);
        let first = all[0].response().unwrap_or_else(|| panic!("{}", all[0])).results().unwrap().error().unwrap();
        assert_eq!(first.code(), "08P01", "the pooler ends it: {first}");
        lock.send(at(&server).query("SELECT pg_advisory_unlock(1)")).unwrap();
        assert_eq!(outcomes(&mut other).len(), 1);
        while server.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';") != "0" {
            other.turn(Some(Duration::from_millis(10))).unwrap();
        }
        drop(pooler);
        while server.backends() > 1 {
            other.turn(Some(Duration::from_millis(10))).unwrap();
        }
        let told = all[1].response().is_some();
        let rows: usize = server.psql("SELECT count(*) FROM t WHERE n = 2;").parse().unwrap();
        assert!(rows <= 1, "it was run {rows} times");
        let error = all[1].error().unwrap_or_else(|| panic!("told as done: {told}, and there are {rows} rows"));
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Closed, false), "{error}");
    });
}

#[test]
fn a_value_that_is_not_of_the_type_is_told_and_nothing_is_sent_or_lost() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = at(&server);
        for _ in 0..2 {
            let outcome = one(&mut client, db.execute("SELECT $1::int8 AS n", (5i32,)));
            assert_eq!(outcome.error().unwrap().kind(), ErrorKind::InvalidRequest, "{outcome}");
        }
        let outcome = one(&mut client, db.execute("SELECT $1::int8 AS n, NULL::int8 AS nothing", (5i64,)));
        let row = outcome.response().unwrap().rows().next().unwrap();
        assert_eq!(row.try_get::<i64>("n").unwrap(), 5);
        assert!(row.try_get::<i32>("n").is_err() && row.try_get::<i64>("nothing").is_err());
        assert!(row.try_get::<i64>("none").is_err() && row.try_get::<i64>(7).is_err());
        assert_eq!(row.try_get::<Option<i64>>("nothing").unwrap(), None);
        assert_eq!(server.backends(), 1);
    });
}

#[cfg(feature = "tls")]
#[test]
fn certificates_tell_who_is_who_on_both_sides() {
    must_end(|| {
        use support::tls::{Authority, Wanted};
        let (root, other) = (Authority::new("root"), Authority::new("other"));
        let elsewhere = root.issue(&Wanted { names: &["elsewhere.test"], ..Default::default() });
        let server = PostgresServer::builder().tls(&elsewhere).client_authority(&root.pem).start();
        let folder = support::Folder::new();
        let user = root.issue(&Wanted { names: &["cert"], client: true, ..Default::default() });
        for (name, text) in
            [("root", &root.pem), ("other", &other.pem), ("user.pem", &user.chain), ("user.key", &user.key)]
        {
            folder.write(name, text);
        }
        let file = |name: &str| folder.path().join(name);
        let mut client = Client::new().unwrap();
        let mut ask = |db: Postgres| match one(&mut client, db.query("SELECT 1")).into_result() {
            Ok(_) => Ok(()),
            Err(error) => Err(error.kind()),
        };
        let db = |mode| {
            let db = Postgres::at(&format!("localhost:{}", server.port()), PostgresServer::DATABASE);
            db.user("scram", PostgresServer::PASSWORD).ssl_mode(mode)
        };
        assert_eq!(ask(db(SslMode::VerifyCa).ssl_root_cert(file("root"))), Ok(()));
        assert_eq!(ask(db(SslMode::VerifyCa).ssl_root_cert(file("other"))), Err(ErrorKind::Tls), "another CA");
        assert_eq!(ask(db(SslMode::VerifyFull).ssl_root_cert(file("root"))), Err(ErrorKind::Tls), "another name");
        assert_eq!(ask(db(SslMode::VerifyCa).ssl_root_cert(file("nowhere"))), Err(ErrorKind::Tls), "no such file");
        // A login by certificate.
        let cert = || db(SslMode::Require).user("cert", "");
        assert_eq!(ask(cert().ssl_identity(file("user.pem"), file("user.key"))), Ok(()));
        assert_eq!(ask(cert()), Err(ErrorKind::Authentication));
        // A login that is bound to its TLS.
        let bound = |mode| db(mode).channel_binding(ChannelBinding::Require);
        assert_eq!(ask(bound(SslMode::Require)), Ok(()));
        assert_eq!(ask(bound(SslMode::Disable)), Err(ErrorKind::Authentication));
        assert_eq!(ask(bound(SslMode::Require).user("trust", "")), Err(ErrorKind::Authentication), "nobody asked who");
    });
}

const HELLO: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

/// Reads a message without a type: its length, and the rest.
fn untyped(conn: &mut Conn) -> io::Result<Vec<u8>> {
    let length = conn.take(4)?;
    let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
    conn.take(length as usize - 4)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("it is short");
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// What becomes of a statement at a server that says this when it is asked, and of one behind it.
fn answered_with(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> (Error, Outcome) {
    let peer = Peer::start(move |conn| {
        untyped(conn)?;
        conn.send(HELLO)?;
        conn.take(1)?;
        untyped(conn)?;
        conn.send(&bytes)?;
        conn.count_rest();
        Ok(())
    });
    let mut client = Client::new().unwrap();
    let db = Postgres::at(&peer.address().to_string(), "d").user("u", "hunter2").ssl_mode(SslMode::Disable);
    for _ in 0..2 {
        client.send(db.query("SELECT 1")).unwrap();
    }
    let mut all = outcomes(&mut client);
    each_once(&all, 2);
    let second = all.remove(1);
    (all.remove(0).into_result().unwrap_err(), second)
}

#[test]
fn a_server_that_breaks_the_protocol_is_left_and_nobody_hangs() {
    must_end(|| {
        let columns = message(b'T', b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
        let behind = |bytes: &[u8]| [&columns[..], bytes].concat();
        for (what, bytes, kind) in [
            ("a length below 4", b"C\0\0\0\x03".to_vec(), ErrorKind::Protocol),
            ("a length that nobody takes", b"C\x7f\xff\xff\xff".to_vec(), ErrorKind::TooLarge),
            ("a type that does not exist", b"?\0\0\0\x04".to_vec(), ErrorKind::Protocol),
            ("a row that nothing described", message(b'D', b"\0\0"), ErrorKind::Protocol),
            (
                "a row of two fields",
                behind(&message(b'D', b"\0\x02\xff\xff\xff\xff\xff\xff\xff\xff")),
                ErrorKind::Protocol,
            ),
            ("a row that ends early", behind(&message(b'D', b"\0\x01\0\0\0\x09abc")), ErrorKind::Protocol),
            ("a field of 1 GiB in a row of 7 bytes", behind(&message(b'D', b"\0\x01\x40\0\0\0a")), ErrorKind::Protocol),
            ("a field of a negative length", behind(&message(b'D', b"\0\x01\xff\xff\xff\xfe")), ErrorKind::Protocol),
            ("columns without an end", message(b'T', b"\0\x01abc"), ErrorKind::Protocol),
            ("data that nobody asked for", message(b'd', b"abc"), ErrorKind::Protocol),
            ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), ErrorKind::TooLarge),
        ] {
            let (error, second) = answered_with(bytes);
            assert_eq!(error.kind(), kind, "{what}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{what}: {error:?}");
            assert!(second.error().is_some(), "{what}: {second}");
        }
    });
}

/// What becomes of a statement at a server that says this to the first message, and this to the second.
fn logged_in_with(mode: SslMode, first: &'static [u8], second: &'static [u8]) -> (Error, usize) {
    let peer = Peer::start(move |conn| {
        untyped(conn)?;
        conn.send(first)?;
        if !second.is_empty() {
            conn.take(1)?;
            untyped(conn)?;
            conn.send(second)?;
        }
        conn.count_rest();
        Ok(())
    });
    let mut client = Client::new().unwrap();
    let db = Postgres::at(&peer.address().to_string(), "d").user("u", "hunter2").ssl_mode(mode);
    client.send(db.query("SELECT 1")).unwrap();
    let error = outcomes(&mut client).remove(0).into_result().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    (error, peer.connections())
}

#[test]
fn a_server_that_breaks_the_login_is_asked_once() {
    must_end(|| {
        let scram = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
        let plain = SslMode::Disable;
        for (what, mode, first, second, kind) in [
            (
                "an error with a length",
                plain,
                &b"E\0\0\0\x19SFATAL\0C53300\0Mfull\0\0"[..],
                &b""[..],
                ErrorKind::Refused,
            ),
            ("an error of protocol 2", plain, b"Efork failed\0", b"", ErrorKind::Refused),
            (
                "a nonce that is not ours",
                plain,
                scram,
                b"R\0\0\0\x19\0\0\0\x0br=x,s=AAAA,i=4096",
                ErrorKind::Authentication,
            ),
            ("a login of 1986", plain, b"R\0\0\0\x08\0\0\0\x02", b"", ErrorKind::Authentication),
            ("a message as long as memory", plain, b"R\x7f\xff\xff\xff", b"", ErrorKind::TooLarge),
            ("rows before a login", plain, b"D\0\0\0\x06\0\0", b"", ErrorKind::Protocol),
            #[cfg(feature = "tls")]
            ("an error before TLS", SslMode::Require, b"ESFATAL\0C28000\0Myou are hacked\0\0", b"", ErrorKind::Tls),
            #[cfg(feature = "tls")]
            ("no TLS", SslMode::Require, b"N", b"", ErrorKind::Tls),
            #[cfg(feature = "tls")]
            ("neither yes nor no", SslMode::Require, b"?", b"", ErrorKind::Tls),
            #[cfg(feature = "tls")]
            ("bytes behind the yes to TLS", SslMode::Require, b"SR\0\0\0\x08\0\0\0\0", b"", ErrorKind::Tls),
        ] {
            let (error, connections) = logged_in_with(mode, first, second);
            assert_eq!(error.kind(), kind, "{what}: {error}");
            assert_eq!(connections, 1, "{what}: {error}");
            assert!(!error.to_string().contains("hacked"), "nobody vouches for it: {error}");
        }
    });
}

#[test]
fn a_server_that_wants_more_work_for_a_login_than_is_right_does_not_get_it() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            untyped(conn)?;
            conn.send(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0")?;
            conn.take(1)?;
            let first = untyped(conn)?;
            let nonce = String::from_utf8_lossy(&first).split("r=").nth(1).unwrap_or_default().to_owned();
            let challenge = format!("\0\0\0\x0br={nonce}more,s=AAAAAAAAAAAAAAAAAAAAAA==,i=1000000000");
            conn.send(message(b'R', challenge.as_bytes()))?;
            conn.count_rest();
            Ok(())
        });
        let mut client = Client::new().unwrap();
        let db = Postgres::at(&peer.address().to_string(), "d").user("u", "hunter2").ssl_mode(SslMode::Disable);
        let outcome = one(&mut client, db.query("SELECT 1"));
        assert_eq!(outcome.error().unwrap().kind(), ErrorKind::TooLarge, "{outcome}");
        assert_eq!(peer.connections(), 1);
    });
}

#[test]
fn what_a_server_says_that_lets_nobody_in_is_told_in_part_and_moves_no_terminal() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            untyped(conn)?;
            let words = format!("no \"room\" \u{1b}[2J\n{}", "x".repeat(5_000));
            conn.send(message(b'E', format!("SFATAL\0VFATAL\0C53300\0M{words}\0\0").as_bytes()))?;
            conn.close()
        });
        let db = Postgres::at(&peer.address().to_string(), "d").user("trust", "").ssl_mode(SslMode::Disable);
        let outcome = one(&mut Client::new().unwrap(), db.query("SELECT 1"));
        let error = outcome.error().unwrap();
        assert_eq!(error.kind(), ErrorKind::Refused);
        let words = error.to_string();
        assert!(words.contains("53300: no \"room\" \\u{1b}[2J\\nxxx") && words.len() < 500, "{words:?}");
    });
}

#[test]
fn a_server_that_is_starting_up_is_told_or_passed_over() {
    must_end(|| {
        let starting = Peer::start(|conn| {
            untyped(conn)?;
            conn.send(message(b'E', b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"))?;
            conn.close()
        });
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = |addresses: String| {
            Postgres::at(&addresses, PostgresServer::DATABASE).user("trust", "").ssl_mode(SslMode::Disable)
        };
        let outcome = one(&mut client, db(starting.address().to_string()).query("SELECT 1"));
        let error = outcome.error().unwrap();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("starting up") && error.to_string().contains("57P03"), "{error}");
        assert!(error.is_retryable());
        let both = format!("{},{}", starting.address(), server.address());
        assert_eq!(code(&one(&mut client, db(both).query("SELECT 1"))), "");
    });
}
