//! Portals on a real server: rows in portions, with other statements of the same transaction between them.

#![cfg(feature = "postgres")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aquests::postgres::types::FromSql;
use aquests::postgres::{Part, Portal, Postgres, ResultSet, Results, Transaction, sqlstate};
use aquests::{Client, Error, ErrorKind, Flow, Outcome, Request};
use support::{Pgbouncer, PostgresServer, must_end, outcomes};

#[track_caller]
fn results(outcome: &Outcome) -> &Results {
    outcome.response().unwrap_or_else(|| panic!("{outcome}")).results().unwrap()
}

fn at(server: &PostgresServer) -> Postgres {
    Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "")
}

/// The numbers from 1 to `last`.
fn numbers(db: &Postgres, last: i32) -> Portal {
    db.execute("SELECT n FROM generate_series(1, $1) AS n", (last,)).portal()
}

/// What a fetch brought, and whether there may be more.
#[track_caller]
fn portion(outcome: &Outcome) -> (Vec<i32>, bool) {
    let results = results(outcome);
    assert!(results.error().is_none(), "{results:?}");
    (results.rows().map(|row| row.get("n")).collect(), results.is_suspended())
}

#[track_caller]
fn code(outcome: &Outcome) -> &str {
    results(outcome).error().map_or("", |error| error.code())
}

#[test]
fn rows_come_in_portions_with_other_statements_between_them() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let session = client.open(&db).unwrap();
        session.send(db.query("BEGIN; CREATE TABLE seen (n int4)")).unwrap();
        let (portal, other) = (numbers(&db, 5), numbers(&db, 2));
        // All at once: the order is kept.
        session.send(portal.open()).unwrap();
        session.send(portal.fetch(2)).unwrap();
        session.send(other.open()).unwrap();
        session.send(other.fetch(1)).unwrap();
        session.send(db.execute("INSERT INTO seen VALUES ($1)", (2,))).unwrap();
        session.send(portal.fetch(2)).unwrap();
        session.send(other.fetch(0)).unwrap();
        session.send(portal.fetch(2)).unwrap();
        session.send(portal.fetch(2)).unwrap();
        session.send(portal.close()).unwrap();
        session.send(portal.fetch(1)).unwrap();
        session.send(db.query("ROLLBACK")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all.len(), 13);
        assert_eq!((results(&all[1]).sets().len(), results(&all[1]).transaction()), (0, Transaction::Open));
        assert_eq!(portion(&all[2]), (vec![1, 2], true));
        assert_eq!(portion(&all[4]), (vec![1], true));
        assert_eq!(results(&all[5]).affected(), 1);
        assert_eq!(portion(&all[6]), (vec![3, 4], true));
        assert_eq!(portion(&all[7]), (vec![2], false));
        assert_eq!(portion(&all[8]), (vec![5], false));
        assert_eq!(results(&all[8]).sets()[0].tag(), "SELECT 1");
        assert_eq!(portion(&all[9]), (vec![], false), "behind the last there are none");
        assert_eq!(code(&all[10]), "");
        assert_eq!(code(&all[11]), "34000", "it was closed");
    });
}

#[test]
fn a_program_fetches_until_there_are_no_more_and_acts_on_what_it_sees() {
    must_end(|| {
        let server = PostgresServer::start();
        server.psql("CREATE TABLE jobs (id int8 PRIMARY KEY, state text); GRANT ALL ON jobs TO PUBLIC;");
        server.psql("INSERT INTO jobs SELECT n, 'new' FROM generate_series(1, 250) AS n;");
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let session = client.open(&db).unwrap();
        let portal = db.execute("SELECT id FROM jobs WHERE state = $1 ORDER BY id", ("new",)).portal();
        session.send(db.query("BEGIN")).unwrap();
        session.send(portal.open()).unwrap();
        session.send(portal.fetch(100)).unwrap();
        let mut portions = Vec::new();
        client
            .fetch_all_with(|_, outcome| {
                let results = outcome.into_result()?.into_results();
                if let Some(set) = results.sets().iter().find(|set| set.columns().iter().any(|it| it.name() == "id")) {
                    portions.push(set.len());
                }
                for row in results.rows() {
                    let update = "UPDATE jobs SET state = 'old' WHERE id = $1";
                    session.send(db.execute(update, (row.try_get::<i64>("id")?,)))?;
                }
                if results.is_suspended() {
                    session.send(portal.fetch(100))?;
                }
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!(portions, [100, 100, 50]);
        session.send(db.query("COMMIT")).unwrap();
        outcomes(&mut client);
        assert_eq!(server.psql("SELECT count(*) FROM jobs WHERE state = 'old';"), "250");
    });
}

#[test]
fn a_portal_ends_with_its_transaction_and_is_unknown_elsewhere() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let (session, other) = (client.open(&db).unwrap(), client.open(&db).unwrap());
        let portal = numbers(&db, 5);
        session.send(portal.fetch(1)).unwrap();
        let all = outcomes(&mut client);
        let error = all[0].error().unwrap();
        assert_eq!((all.len(), error.kind()), (1, ErrorKind::InvalidRequest), "{error}");
        for round in 0..2 {
            session.send(db.query("BEGIN")).unwrap();
            session.send(portal.open()).unwrap();
            session.send(portal.fetch(1)).unwrap();
            session.send(db.query("COMMIT")).unwrap();
            session.send(portal.fetch(1)).unwrap();
            let all = outcomes(&mut client);
            assert_eq!(portion(&all[2]), (vec![1], true), "in transaction {round}");
            assert_eq!((code(&all[4]), all.len()), ("34000", 5), "behind it");
        }
        session.send(db.query("BEGIN")).unwrap();
        session.send(portal.open()).unwrap();
        outcomes(&mut client);
        other.send(portal.fetch(1)).unwrap();
        client.send(portal.fetch(1)).unwrap();
        for outcome in outcomes(&mut client) {
            assert_eq!(code(&outcome), "34000", "in another session, and in none");
        }
        // Outside of a transaction it ends with the statement that made it.
        other.send(portal.open()).unwrap();
        other.send(portal.fetch(1)).unwrap();
        let all = outcomes(&mut client);
        assert_eq!((code(&all[0]), code(&all[1])), ("", "34000"));
    });
}

#[test]
fn an_error_fails_what_is_behind_it_and_each_has_one_outcome() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let session = client.open(&db).unwrap();
        let portal = db.execute("SELECT 10 / (3 - n) AS n FROM generate_series(1, $1) AS n", (5,)).portal();
        session.send(db.query("BEGIN")).unwrap();
        session.send(portal.open()).unwrap();
        for _ in 0..3 {
            session.send(portal.fetch(2)).unwrap();
        }
        session.send(db.query("ROLLBACK")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all.len(), 6);
        assert_eq!(portion(&all[2]), (vec![5, 10], true));
        assert_eq!(code(&all[3]), sqlstate::DIVISION_BY_ZERO);
        assert_eq!(code(&all[4]), sqlstate::IN_FAILED_SQL_TRANSACTION);
        assert_eq!(results(&all[5]).transaction(), Transaction::Idle);
        // A value that does not fit is told before it is sent, and the transaction goes on.
        let wrong = db.execute("SELECT $1::int8 AS n", ("x".len() as i32,)).portal();
        session.send(db.query("BEGIN")).unwrap();
        session.send(wrong.open()).unwrap();
        session.send(db.query("COMMIT")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all[1].error().map(Error::kind), Some(ErrorKind::InvalidRequest), "{}", all[1]);
        assert_eq!(results(&all[2]).sets()[0].tag(), "COMMIT");
    });
}

#[test]
fn portions_go_where_rows_go_and_may_be_held() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let session = client.open(&db).unwrap();
        let portal = db.query("SELECT n FROM generate_series(1, 5) AS n").portal();
        session.send(db.query("BEGIN")).unwrap();
        session.send(portal.open()).unwrap();
        outcomes(&mut client);
        let told = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&told);
        let parts = Request::from(portal.fetch(2)).on_part(move |part| {
            into.lock().unwrap().push(match part {
                Part::Columns(columns) => columns[0].name().to_owned(),
                Part::Row(row) => row.get::<i32>(0).to_string(),
                Part::Suspended => "suspended".to_owned(),
                other => format!("{other:?}"),
            });
            Ok::<_, Error>(Flow::Continue)
        });
        session.send(parts).unwrap();
        assert_eq!(outcomes(&mut client).len(), 1);
        assert_eq!(*told.lock().unwrap(), ["n", "1", "2", "suspended"]);
        let rows = Arc::new(Mutex::new(ResultSet::default()));
        let (into, seen) = (Arc::clone(&rows), Arc::new(Mutex::new(0)));
        let count = Arc::clone(&seen);
        let request = Request::from(portal.fetch(2)).on_row(move |row| {
            let mut set = into.lock().unwrap();
            if set.columns().is_empty() {
                *set = ResultSet::with_columns(row.columns());
            }
            set.push(&row);
            *count.lock().unwrap() += 1;
            Ok::<_, Error>(if *count.lock().unwrap() == 1 { Flow::Hold } else { Flow::Continue })
        });
        let id = session.send(request).unwrap();
        session.send(portal.fetch(2)).unwrap();
        while *seen.lock().unwrap() == 0 {
            client.turn(Some(Duration::from_millis(20))).unwrap();
        }
        for _ in 0..5 {
            client.turn(Some(Duration::from_millis(5))).unwrap();
        }
        assert!(client.next_outcome().is_none() && *seen.lock().unwrap() == 1, "it was held");
        client.resume(id);
        let all = outcomes(&mut client);
        assert_eq!((all.len(), rows.lock().unwrap().len()), (2, 2));
        assert!(results(&all[0]).is_suspended());
        assert_eq!(portion(&all[1]), (vec![5], false));
    });
}

#[derive(Debug, FromSql, PartialEq)]
#[postgres(name = "mood", rename_all = "lowercase")]
enum Mood {
    Happy,
    Sad,
}

#[test]
fn types_are_looked_up_before_a_portal_is_made() {
    must_end(|| {
        let server = PostgresServer::start();
        server.psql("CREATE TYPE mood AS ENUM ('happy', 'sad');");
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let session = client.open(&db).unwrap();
        let portal = db.query("SELECT unnest(enum_range(NULL::mood)) AS mood").portal();
        session.send(db.query("BEGIN")).unwrap();
        session.send(portal.open()).unwrap();
        session.send(portal.fetch(1)).unwrap();
        session.send(portal.fetch(1)).unwrap();
        session.send(db.query("COMMIT")).unwrap();
        let all = outcomes(&mut client);
        let mood = |outcome: &Outcome| results(outcome).rows().next().unwrap().get::<Mood>("mood");
        assert_eq!((mood(&all[2]), mood(&all[3])), (Mood::Happy, Mood::Sad));
    });
}

#[test]
fn behind_a_pooler_of_transactions_a_portal_is_in_its_own() {
    must_end(|| {
        let server = PostgresServer::start();
        let pooler = Pgbouncer::before(&server, "default_pool_size = 2");
        let mut client = Client::new().unwrap();
        let db = Postgres::at(&pooler.address().to_string(), PostgresServer::DATABASE);
        let db = db.user("trust", PostgresServer::PASSWORD).prepared(0);
        let sessions = [client.open(&db).unwrap(), client.open(&db).unwrap()];
        let portals = [numbers(&db, 5), numbers(&db, 50)];
        for (session, portal) in sessions.iter().zip(&portals) {
            session.send(db.query("BEGIN")).unwrap();
            session.send(portal.open()).unwrap();
            session.send(portal.fetch(4)).unwrap();
        }
        assert_eq!(outcomes(&mut client).len(), 6);
        for (session, portal) in sessions.iter().zip(&portals) {
            session.send(portal.fetch(0)).unwrap();
        }
        let mut rest: Vec<_> = outcomes(&mut client).iter().map(|outcome| portion(outcome).0.len()).collect();
        rest.sort_unstable();
        assert_eq!(rest, [1, 46]);
    });
}
