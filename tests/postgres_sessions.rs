//! Sessions of PostgreSQL on a real server: transactions with savepoints, channels, notices, settings that change.

#![cfg(feature = "postgres")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aquests::postgres::{Postgres, SslMode, Transaction, sqlstate};
use aquests::protocols::postgres::Message;
use aquests::{Client, ErrorKind, Outcome, Push};
use support::{Peer, PostgresScript, PostgresServer, must_end, outcomes};

fn at(server: &PostgresServer) -> Postgres {
    Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "")
}

type Heard = Arc<Mutex<Vec<String>>>;

/// What a session is told, in words.
fn listener() -> (Heard, impl FnMut(Push<'_>) + Send) {
    let heard = Heard::default();
    let into = Arc::clone(&heard);
    let listener = move |push: Push<'_>| {
        let words = match push {
            Push::Postgres(Message::Notification(it)) => {
                format!("{}: {}", String::from_utf8_lossy(it.channel), String::from_utf8_lossy(it.payload))
            }
            Push::Postgres(Message::Parameter { name, value }) => {
                format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
            }
            Push::Postgres(other) => format!("{other:?}"),
            Push::Lost(error) => format!("lost: {:?}", error.kind()),
            _ => String::from("something else"),
        };
        into.lock().unwrap().push(words);
    };
    (heard, listener)
}

/// Turns until the session heard something that ends like this.
fn hear(client: &mut Client, heard: &Heard, last: &str) -> Vec<String> {
    while heard.lock().unwrap().last().is_none_or(|words| !words.ends_with(last)) {
        client.turn(Some(Duration::from_millis(50))).unwrap();
    }
    std::mem::take(&mut *heard.lock().unwrap())
}

#[test]
fn a_channel_is_heard_in_the_middle_of_other_work_and_while_there_is_none() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::builder().workers(2).build().unwrap();
        let db = at(&server);
        let session = client.open(&db).unwrap();
        let (heard, listener) = listener();
        session.on_push(listener);
        session.send(db.query("LISTEN news")).unwrap();
        assert!(outcomes(&mut client)[0].response().is_some());
        heard.lock().unwrap().clear();
        // By itself, while others work.
        for number in 0..100 {
            client.send(db.execute("SELECT pg_notify('news', $1)", (number.to_string(),))).unwrap();
        }
        assert_eq!(outcomes(&mut client).len(), 100);
        let mut numbers: Vec<u32> = hear_all(&mut client, &heard, 100);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        // While it works itself, and while nothing at all does.
        session.send(db.query("SELECT pg_sleep(0.2)")).unwrap();
        server.psql("NOTIFY news, 'from psql';");
        assert_eq!(hear(&mut client, &heard, "from psql"), ["news: from psql"]);
        outcomes(&mut client);
        server.psql("NOTIFY other, 'not for us'; NOTIFY news, 'again';");
        assert_eq!(hear(&mut client, &heard, "again"), ["news: again"]);
        server.terminate_backends();
        assert_eq!(hear(&mut client, &heard, "Closed").last().unwrap(), "lost: Closed");
        session.send(db.query("SELECT 1")).unwrap();
        assert_eq!(outcomes(&mut client)[0].error().unwrap().kind(), ErrorKind::Closed);
    });
}

/// So many numbers that were told on the channel.
fn hear_all(client: &mut Client, heard: &Heard, count: usize) -> Vec<u32> {
    while heard.lock().unwrap().len() < count {
        client.turn(Some(Duration::from_millis(50))).unwrap();
    }
    let told = std::mem::take(&mut *heard.lock().unwrap());
    told.iter().map(|words| words.strip_prefix("news: ").unwrap().parse().unwrap()).collect()
}

#[test]
fn notices_belong_to_their_statement_and_settings_that_change_are_told() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = at(&server);
        let session = client.open(&db).unwrap();
        let (heard, listener) = listener();
        session.on_push(listener);
        session.send(db.query("SELECT 1")).unwrap();
        outcomes(&mut client);
        heard.lock().unwrap().clear();
        session.send(db.query("DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$")).unwrap();
        session.send(db.query("SET application_name = 'renamed'")).unwrap();
        session.send(db.execute("DROP TABLE IF EXISTS nothing", ())).unwrap();
        let all = outcomes(&mut client);
        let notices = |outcome: &Outcome| {
            let results = outcome.response().unwrap().results().unwrap();
            results.notices().iter().map(|notice| format!("{} {}", notice.severity(), notice.message())).collect()
        };
        let told: Vec<Vec<String>> = all.iter().map(notices).collect();
        assert_eq!(told[0], ["NOTICE one", "WARNING two"]);
        assert!(told[1].is_empty());
        assert_eq!(told[2], ["NOTICE table \"nothing\" does not exist, skipping"]);
        assert_eq!(*heard.lock().unwrap(), ["application_name=renamed"]);
    });
}

#[test]
fn savepoints_are_statements_like_others() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = at(&server);
        client.send(db.query("CREATE TABLE kept (n int UNIQUE)")).unwrap();
        outcomes(&mut client);
        let session = client.open(&db).unwrap();
        let insert = |n: i32| db.execute("INSERT INTO kept VALUES ($1)", (n,));
        session.send(db.query("BEGIN")).unwrap();
        session.send(insert(1)).unwrap();
        session.send(db.query("SAVEPOINT here")).unwrap();
        session.send(insert(1)).unwrap();
        session.send(insert(2)).unwrap();
        session.send(db.query("ROLLBACK TO here")).unwrap();
        session.send(insert(3)).unwrap();
        session.send(db.query("COMMIT")).unwrap();
        let all = outcomes(&mut client);
        let said: Vec<_> = all
            .iter()
            .map(|outcome| {
                let results = outcome.response().unwrap().results().unwrap();
                (results.error().map_or("", |error| error.code()).to_owned(), results.transaction())
            })
            .collect();
        let is = |code: &str, transaction| (code.to_owned(), transaction);
        assert_eq!(
            said,
            [
                is("", Transaction::Open),
                is("", Transaction::Open),
                is("", Transaction::Open),
                is(sqlstate::UNIQUE_VIOLATION, Transaction::Failed),
                is(sqlstate::IN_FAILED_SQL_TRANSACTION, Transaction::Failed),
                is("", Transaction::Open),
                is("", Transaction::Open),
                is("", Transaction::Idle),
            ]
        );
        client.send(db.query("SELECT n FROM kept ORDER BY n")).unwrap();
        let all = outcomes(&mut client);
        let kept: Vec<i32> = all[0].response().unwrap().rows().map(|row| row.get(0)).collect();
        assert_eq!(kept, [1, 3]);
        // Nothing of it is seen by others on the way.
        drop(session);
        client.turn(Some(Duration::ZERO)).unwrap();
    });
}

#[test]
fn a_session_whose_connection_cannot_be_made_runs_nothing_of_what_was_to_follow() {
    must_end(|| {
        // It is full, and then it is not.
        let peer = Peer::start(|conn| {
            let length = conn.take(4)?;
            conn.take(u32::from_be_bytes(length.try_into().expect("four bytes")) as usize - 4)?;
            if conn.number() == 0 {
                conn.send(PostgresScript::message(b'E', b"SFATAL\0VFATAL\0C53300\0Mtoo many connections\0\0"))?;
                return conn.close();
            }
            conn.send([&PostgresScript::message(b'R', &[0; 4])[..], b"Z\0\0\0\x05I"].concat())?;
            while conn.take(1)?[0] == b'Q' {
                let length = conn.take(4)?;
                conn.take(u32::from_be_bytes(length.try_into().expect("four bytes")) as usize - 4)?;
                conn.send(PostgresScript::done())?;
            }
            Ok(())
        });
        let mut client = Client::new().unwrap();
        let db = Postgres::at(&peer.address().to_string(), "d").user("u", "").ssl_mode(SslMode::Disable);
        let session = client.open(&db).unwrap();
        for sql in ["BEGIN", "INSERT INTO t VALUES (1)", "COMMIT"] {
            session.send(db.query(sql)).unwrap();
        }
        let kinds = |all: &[Outcome]| all.iter().map(|it| it.error().map(|error| error.kind())).collect::<Vec<_>>();
        let all = outcomes(&mut client);
        assert_eq!(kinds(&all), [Some(ErrorKind::Refused); 3], "the server let nobody in for BEGIN: {all:?}");
        assert!(all.iter().all(|outcome| outcome.error().unwrap().is_retryable()), "{all:?}");
        session.send(db.query("INSERT INTO t VALUES (2)")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(kinds(&all), [Some(ErrorKind::Closed)], "it may have been sent before that was known: {all:?}");
        // Another one begins anew.
        let session = client.open(&db).unwrap();
        session.send(db.query("BEGIN")).unwrap();
        assert_eq!(kinds(&outcomes(&mut client)), [None]);
    });
}
