//! Types that users made, on a real server: as types of Rust in both directions, whatever is between, and however they are
//! changed meanwhile.

#![cfg(feature = "postgres")]

mod support;

use std::collections::HashMap;
use std::io;

use aquests::postgres::types::{FromSql, Kind, ToSql, Type};
use aquests::postgres::{LookUp, Postgres, Results, SslMode, Transaction, Value, sqlstate};
use aquests::{Client, Error, ErrorKind, Outcome, Request};
use support::{Conn, Peer, Pgbouncer, PostgresServer, must_end, outcomes};

#[derive(Clone, Copy, Debug, FromSql, PartialEq, ToSql)]
#[postgres(name = "mood", rename_all = "lowercase")]
enum Mood {
    Happy,
    Sad,
}

/// The same after a value was added.
#[derive(Clone, Copy, Debug, FromSql, PartialEq, ToSql)]
#[postgres(name = "mood", rename_all = "lowercase")]
enum Moods {
    Happy,
    Sad,
    Calm,
}

#[derive(Clone, Debug, FromSql, PartialEq, ToSql)]
#[postgres(name = "dom")]
struct Dom(i32);

#[derive(Clone, Debug, FromSql, PartialEq, ToSql)]
#[postgres(name = "person")]
struct Person {
    name: String,
    moods: Vec<Mood>,
    age: Option<Dom>,
}

#[derive(Clone, Debug, FromSql, PartialEq, ToSql)]
#[postgres(name = "family")]
struct Family {
    members: Vec<Person>,
}

const SETUP: &str = "CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE DOMAIN dom AS int4 CHECK (VALUE > 0); \
    CREATE TYPE person AS (name text, moods mood[], age dom); CREATE TYPE family AS (members person[]); \
    CREATE TYPE floats AS RANGE (subtype = float8); CREATE TABLE people (it person, mood mood)";

#[track_caller]
fn ask(client: &mut Client, request: impl Into<Request>) -> Results {
    client.send(request).unwrap();
    let mut all = outcomes(client);
    assert_eq!(all.len(), 1, "a request has one outcome");
    let results = all.remove(0).into_result().expect("it was answered").into_results();
    results.into_result().expect("the server did it")
}

/// A server that writes down what it is asked.
fn server() -> PostgresServer {
    let server = PostgresServer::builder().config("log_statement = all").start();
    server.psql(SETUP);
    server.psql("GRANT ALL ON people TO PUBLIC; ALTER TYPE mood OWNER TO trust;");
    server
}

/// How often its catalogues were asked for types.
fn questions(server: &PostgresServer) -> usize {
    server.log().matches("WITH RECURSIVE found").count()
}

fn at(server: &PostgresServer) -> Postgres {
    Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "")
}

fn anna() -> Person {
    Person { name: "Anna \"(,)\"".to_owned(), moods: vec![Mood::Sad, Mood::Happy], age: Some(Dom(7)) }
}

#[test]
fn types_of_ones_own_are_types_of_rust_in_both_directions() {
    must_end(|| {
        let server = server();
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let results =
            ask(&mut client, db.execute("SELECT $1::mood AS a, $2::mood[] AS b", (Mood::Sad, vec![Mood::Happy])));
        let row = results.rows().next().unwrap();
        assert_eq!((row.get::<Mood>("a"), row.get::<Vec<Mood>>("b")), (Mood::Sad, vec![Mood::Happy]));
        assert_eq!((row.get::<String>("a"), row.text("b").as_deref()), ("sad".to_owned(), Some("{happy}")));
        assert_eq!(row.get::<Vec<String>>("b"), ["happy"], "labels are text");
        assert_eq!(row.columns()[0].type_().kind(), &Kind::Enum(vec!["happy".to_owned(), "sad".to_owned()]));
        let nobody = Person { name: String::new(), moods: Vec::new(), age: None };
        let family = Family { members: vec![anna(), nobody.clone()] };
        let sql = "SELECT $1::person AS person, $2::family AS family, ARRAY[$1::person, NULL] AS some";
        let results = ask(&mut client, db.execute(sql, (anna(), family.clone())));
        let row = results.rows().next().unwrap();
        assert_eq!((row.get::<Person>("person"), row.get::<Family>("family")), (anna(), family));
        assert_eq!(row.get::<Vec<Option<Person>>>("some"), [Some(anna()), None]);
        assert_eq!(row.text("person").as_deref(), Some(r#"("Anna ""(,)""","{sad,happy}",7)"#));
        assert_eq!(row.get::<String>("person"), row.text("person").unwrap());
        // A domain is a type of its own, or what it is made from.
        let sql = "SELECT $1::dom AS a, $2::dom AS b, $3::dom[] AS c, $4::mood = ANY($5::mood[]) AS d";
        let values = (Dom(1), 2_i32, vec![3_i32], "sad", vec!["sad", "happy"]);
        let results = ask(&mut client, db.execute(sql, values));
        let row = results.rows().next().unwrap();
        assert_eq!((row.get::<i32>("a"), row.get::<i32>("b")), (1, 2));
        assert_eq!(
            (row.get::<Vec<i32>>("c"), row.get::<Vec<Dom>>("c"), row.get::<bool>("d")),
            (vec![3], vec![Dom(3)], true)
        );
        let results =
            ask(&mut client, db.execute("SELECT floats(1.5, 2) AS r, floats_multirange(floats(1, 2)) AS m", ()));
        let row = results.rows().next().unwrap();
        assert_eq!((row.text("r").as_deref(), row.text("m").as_deref()), (Some("[1.5,2)"), Some("{[1,2)}")));
        assert!(matches!(row.columns()[0].type_().kind(), Kind::Range(_)), "{:?}", row.columns());
        assert!(matches!(row.columns()[1].type_().kind(), Kind::Multirange(_)), "{:?}", row.columns());
        // A row of a table, and one of the catalogues.
        ask(&mut client, db.execute("INSERT INTO people VALUES ($1, $2)", (anna(), Mood::Happy)));
        let results = ask(&mut client, db.execute("SELECT people, (SELECT t FROM pg_type t LIMIT 1) FROM people", ()));
        let Kind::Composite(fields) = results.sets()[0].columns()[0].type_().kind() else { panic!("{results:?}") };
        assert_eq!(fields.iter().map(|field| field.name()).collect::<Vec<_>>(), ["it", "mood"]);
    });
}

#[test]
fn what_extensions_bring_is_a_type_of_rust_too() {
    must_end(|| {
        let server = server();
        server.psql("CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;");
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let pairs = HashMap::from([("a".to_owned(), Some("1".to_owned())), ("b \"".to_owned(), None)]);
        let sql = "SELECT $1::hstore AS pairs, $2::citext AS word, $3::ltree AS path, 'a.*'::lquery AS some";
        let results = ask(&mut client, db.execute(sql, (pairs.clone(), "Abc", "a.b")));
        let row = results.rows().next().unwrap();
        assert_eq!(row.get::<HashMap<String, Option<String>>>("pairs"), pairs);
        assert_eq!((row.get::<String>("word"), row.get::<String>("path")), ("Abc".to_owned(), "a.b".to_owned()));
        assert_eq!(row.get::<String>("some"), "a.*");
        let text = ask(&mut client, db.query("SELECT 'a=>1, \"b \\\"\"=>NULL'::hstore AS pairs"));
        assert_eq!(row.text("pairs"), text.rows().next().unwrap().text("pairs"));
    });
}

/// A type of an extension that nobody here knows: flags and dimensions, and then coordinates.
#[derive(Debug, PartialEq)]
struct Cube(Vec<f64>);

impl FromSql<'_> for Cube {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, aquests::BoxError> {
        let (_flags, rest) = raw.split_first_chunk::<4>().ok_or("too short")?;
        Ok(Self(rest.as_chunks().0.iter().map(|it| f64::from_be_bytes(*it)).collect()))
    }

    fn accepts(type_: &Type) -> bool {
        type_.name() == "cube"
    }
}

#[test]
fn types_of_other_extensions_are_text_unless_they_are_wanted_in_binary() {
    must_end(|| {
        let server = server();
        server.psql("CREATE EXTENSION cube;");
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let select = "SELECT '(1,2)'::cube AS a, ARRAY['(3)'::cube] AS b";
        let results = ask(&mut client, db.execute(select, ()));
        let row = results.rows().next().unwrap();
        assert_eq!((row.get::<String>("a"), row.text("b").as_deref()), ("(1, 2)".to_owned(), Some("{(3)}")));
        assert!(row.try_get::<Cube>("a").is_err());
        let results = ask(&mut client, db.binary_types(["cube"]).execute(select, ()));
        let row = results.rows().next().unwrap();
        assert_eq!((row.get::<Cube>("a"), row.get::<Vec<Cube>>("b")), (Cube(vec![1.0, 2.0]), vec![Cube(vec![3.0])]));
        assert!(row.try_get::<String>("a").is_err(), "nobody here can write it");
        assert!(row.text("a").is_some_and(|text| text.starts_with("\\x")), "{:?}", row.text("a"));
    });
}

#[test]
fn types_are_looked_up_once_for_all_connections_to_a_database() {
    must_end(|| {
        let server = server();
        let mut client = Client::builder().workers(4).build().unwrap();
        let db = at(&server);
        ask(&mut client, db.execute("SELECT 1 + $1::int4 AS n, $2::int4multirange", (1, "{}")));
        assert_eq!(questions(&server), 0, "these are built in");
        ask(&mut client, db.execute("SELECT $1::mood IS NULL", ("happy",)));
        assert_eq!(questions(&server), 0, "text is taken by every type");
        ask(&mut client, db.query("SELECT 'happy'::mood"));
        ask(&mut client, db.execute("SELECT 'happy'::mood", ()).look_up(LookUp::Never));
        assert_eq!(questions(&server), 0, "nobody wants to know");
        ask(&mut client, db.execute("SELECT it, mood FROM people", ()));
        assert_eq!(questions(&server), 1);
        for number in 0..200 {
            let mood = if number % 2 == 0 { Mood::Happy } else { Mood::Sad };
            client.send(db.execute(format!("SELECT $1::mood, {}", number % 7), (mood,))).unwrap();
        }
        for (number, outcome) in outcomes(&mut client).into_iter().enumerate() {
            let results = outcome.into_result().unwrap().into_results();
            assert!(results.rows().next().is_some(), "number {number}: {results:?}");
        }
        assert_eq!(questions(&server), 1, "other statements know it by then");
        let sessions = [(); 3].map(|()| client.open(&db).unwrap());
        for session in &sessions {
            session.send(db.execute("SELECT it FROM people", ())).unwrap();
        }
        assert!(outcomes(&mut client).iter().all(|outcome| outcome.response().is_some()));
        assert_eq!(questions(&server), 1, "and so do other connections");
        assert!(server.backends() > 3, "each session has its own");
        // What the catalogues said is counted with what all answers may take as long as it is held, and no longer.
        let mut client = Client::builder().buffer_limit(16 << 10).build().unwrap();
        for _ in 0..100 {
            ask(&mut client, db.execute("SELECT 'happy'::mood", ()).look_up(LookUp::Anew));
        }
    });
}

#[test]
fn statements_of_a_session_keep_their_order_while_types_are_looked_up() {
    must_end(|| {
        let server = server();
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let session = client.open(&db).unwrap();
        let insert = |mood: Mood| db.execute("INSERT INTO people (mood) VALUES ($1) RETURNING mood", (mood,));
        session.send(db.query("BEGIN")).unwrap();
        session.send(insert(Mood::Happy)).unwrap();
        session.send(db.execute("SELECT count(*) FROM people", ())).unwrap();
        session.send(insert(Mood::Sad)).unwrap();
        session.send(db.query("SAVEPOINT here")).unwrap();
        session.send(db.execute("SELECT it, count(*) FROM people GROUP BY it", ())).unwrap();
        session.send(db.query("ROLLBACK")).unwrap();
        session.send(db.execute("SELECT count(*) FROM people", ())).unwrap();
        let all = outcomes(&mut client);
        let told: Vec<String> = all
            .iter()
            .map(|outcome| {
                let results = outcome.response().unwrap_or_else(|| panic!("{outcome}")).results().unwrap();
                assert!(results.error().is_none(), "{results:?}");
                results.rows().next().map_or(String::new(), |row| row.values().last().unwrap().to_string())
            })
            .collect();
        assert_eq!(told, ["", "happy", "1", "sad", "", "2", "", "0"]);
        assert_eq!(questions(&server), 2, "for the mood, and then for the person");
    });
}

#[test]
fn in_a_failed_transaction_nothing_can_be_asked_and_each_has_its_outcome() {
    must_end(|| {
        let server = server();
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let session = client.open(&db).unwrap();
        let select = || db.execute("SELECT $1::mood AS mood", (Mood::Sad,));
        session.send(db.query("BEGIN; SELECT 1 / 0")).unwrap();
        session.send(select()).unwrap();
        session.send(db.query("ROLLBACK")).unwrap();
        session.send(select()).unwrap();
        let all = outcomes(&mut client);
        let results = |at: usize| all[at].response().unwrap_or_else(|| panic!("{}", all[at])).results().unwrap();
        assert_eq!((all.len(), results(0).transaction()), (4, Transaction::Failed));
        assert_eq!(results(1).error().unwrap().code(), sqlstate::IN_FAILED_SQL_TRANSACTION);
        assert_eq!(results(3).rows().next().unwrap().get::<Mood>(0), Mood::Sad);
        // It is prepared, its type is not known, and the transaction fails before anybody wants to know.
        server.psql("CREATE TYPE other AS ENUM ('a');");
        let other = |look_up| db.execute("SELECT 'a'::other AS it", ()).look_up(look_up);
        session.send(other(LookUp::Never)).unwrap();
        session.send(db.query("BEGIN; SELECT 1 / 0")).unwrap();
        session.send(other(LookUp::Once)).unwrap();
        session.send(db.query("ROLLBACK")).unwrap();
        session.send(other(LookUp::Once)).unwrap();
        let all = outcomes(&mut client);
        let results = |at: usize| all[at].response().unwrap_or_else(|| panic!("{}", all[at])).results().unwrap();
        assert_eq!(results(2).error().unwrap().code(), sqlstate::IN_FAILED_SQL_TRANSACTION);
        assert_eq!(results(4).rows().next().unwrap().columns()[0].type_().name(), "other");
    });
}

#[test]
fn a_type_that_is_altered_or_made_again_is_what_it_is_now() {
    must_end(|| {
        let server = server();
        let mut client = Client::builder().workers(2).build().unwrap();
        let db = at(&server);
        let select = |look_up| db.execute("SELECT $1::mood AS mood", ("sad",)).look_up(look_up);
        let first = |results: &Results| results.sets()[0].columns()[0].type_().clone();
        let before = first(&ask(&mut client, select(LookUp::Once)));
        assert_eq!(before.kind(), &Kind::Enum(vec!["happy".to_owned(), "sad".to_owned()]));
        // By us.
        ask(&mut client, db.query("ALTER TYPE mood ADD VALUE 'calm'"));
        let results = ask(&mut client, db.execute("SELECT $1::mood AS mood", (Moods::Calm,)));
        assert_eq!(results.rows().next().unwrap().get::<Moods>(0), Moods::Calm);
        // By others: values that do not fit have it looked up, and who asks for it.
        server.psql("ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet';");
        let results = ask(&mut client, select(LookUp::Once));
        assert_eq!(results.rows().next().unwrap().get::<Moods>(0), Moods::Sad, "it is as it was looked up");
        let results = ask(&mut client, select(LookUp::Anew));
        let Kind::Enum(labels) = first(&results).kind().clone() else { panic!("{results:?}") };
        assert_eq!(labels, ["happy", "sad", "quiet"]);
        server.psql("ALTER TYPE mood RENAME VALUE 'quiet' TO 'calm';");
        let results = ask(&mut client, db.execute("SELECT $1::mood AS mood", (Moods::Calm,)));
        assert_eq!(results.rows().next().unwrap().get::<Moods>(0), Moods::Calm);
        // Another type of that name, under another number: the statement was prepared for the one that is gone.
        server.psql("DROP TYPE mood CASCADE; CREATE TYPE mood AS ENUM ('sad', 'happy');");
        let statements =
            [db.execute("SELECT $1::mood AS mood", (Mood::Sad,)), db.execute("SELECT 'sad'::mood AS mood", ())];
        for statement in statements {
            let results = ask(&mut client, statement);
            assert_eq!(results.rows().next().unwrap().get::<Mood>(0), Mood::Sad);
            assert_ne!(first(&results).oid(), before.oid());
        }
    });
}

#[test]
fn a_type_that_somebody_else_alters_is_text_at_once_and_what_it_is_now_from_then_on() {
    #[derive(Debug, FromSql, PartialEq)]
    #[postgres(name = "plain")]
    struct Plain {
        a: i32,
        b: Option<String>,
        c: Option<i32>,
    }
    must_end(|| {
        let server = server();
        server.psql(
            "CREATE TABLE plain (a int, b text); INSERT INTO plain VALUES (1, 'x'); GRANT ALL ON plain TO PUBLIC",
        );
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        for sql in ["SELECT plain FROM plain", "SELECT ARRAY[plain] FROM plain"] {
            let mut ask = || {
                let results = ask(&mut client, db.execute(sql, ()));
                let row = results.rows().next().unwrap();
                let plain =
                    row.try_get::<Plain>(0).or_else(|_| row.try_get::<Vec<Plain>>(0).map(|mut all| all.remove(0)));
                assert_eq!(row.get::<String>(0), row.text(0).unwrap());
                (row.text(0).unwrap().trim_matches(['{', '"', '}']).to_owned(), plain.ok())
            };
            let before = ask();
            assert_eq!(before, ("(1,x)".to_owned(), None), "it has two fields");
            server.psql("ALTER TABLE plain ADD COLUMN c int");
            assert_eq!(ask(), ("(1,x,)".to_owned(), None), "it is read by what it says of itself");
            let plain = Plain { a: 1, b: Some("x".to_owned()), c: None };
            assert_eq!(ask(), ("(1,x,)".to_owned(), Some(plain)), "and was looked up again");
            server.psql("ALTER TABLE plain DROP COLUMN c");
            ask();
        }
        // What is of a type that nobody knows is no text, and neither NULL.
        ask(&mut client, db.execute("SELECT plain FROM plain", ()));
        server.psql("ALTER TABLE plain ADD COLUMN mood mood DEFAULT 'sad'");
        let results = ask(&mut client, db.execute("SELECT plain FROM plain", ()));
        let row = results.rows().next().unwrap();
        let error = row.try_get::<String>(0).unwrap_err();
        assert!(std::error::Error::source(&error).is_some_and(|it| it.to_string().contains("looked up")), "{error:?}");
        assert_eq!((row.text(0), row.values().next()), (None, row.raw(0).map(|raw| Value::Bytes(raw.to_vec()))));
        let results = ask(&mut client, db.execute("SELECT plain FROM plain", ()));
        assert_eq!(results.rows().next().unwrap().text(0).as_deref(), Some("(1,x,sad)"));
        // By ourselves, where nothing says so.
        let select = || db.execute("SELECT enum_last(NULL::mood) AS mood", ());
        assert_eq!(ask(&mut client, select()).rows().next().unwrap().get::<Mood>(0), Mood::Sad);
        ask(&mut client, db.query("DO $$ BEGIN ALTER TYPE mood ADD VALUE 'calm'; END $$"));
        assert_eq!(ask(&mut client, select()).rows().next().unwrap().get::<String>(0), "calm");
        assert_eq!(ask(&mut client, select()).rows().next().unwrap().get::<Moods>(0), Moods::Calm);
    });
}

#[test]
fn behind_a_pooler_of_transactions_types_are_what_they_are() {
    must_end(|| {
        let server = server();
        let pooler = Pgbouncer::before(&server, "default_pool_size = 2");
        let mut client = Client::builder().workers(3).build().unwrap();
        let db = Postgres::at(&pooler.address().to_string(), PostgresServer::DATABASE);
        let db = db.user("trust", PostgresServer::PASSWORD);
        for round in 0..30 {
            let mood = if round % 2 == 0 { Mood::Happy } else { Mood::Sad };
            client.send(db.execute("SELECT $1::mood AS mood, $2::person AS person", (mood, anna()))).unwrap();
        }
        let all = outcomes(&mut client);
        assert_eq!(all.len(), 30);
        for outcome in all {
            let results = outcome.into_result().unwrap().into_results().into_result().unwrap();
            assert_eq!(results.rows().next().unwrap().get::<Person>("person"), anna());
        }
        // In a transaction a name that another client has at the server cannot be made good.
        let db = db.prepared(0);
        let session = client.open(&db).unwrap();
        session.send(db.query("BEGIN")).unwrap();
        session.send(db.execute("SELECT ARRAY[$1::mood] AS moods", (Mood::Sad,))).unwrap();
        session.send(db.query("COMMIT")).unwrap();
        let all = outcomes(&mut client);
        let results = all[1].response().unwrap_or_else(|| panic!("{}", all[1])).results().unwrap();
        let row = results.rows().next().unwrap_or_else(|| panic!("{results:?}"));
        assert_eq!(row.get::<Vec<Mood>>(0), [Mood::Sad]);
    });
}

#[test]
fn where_the_catalogues_cannot_be_read_values_travel_as_text() {
    must_end(|| {
        let server = server();
        server.psql("REVOKE SELECT ON pg_catalog.pg_enum FROM PUBLIC;");
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        let results = ask(&mut client, db.execute("SELECT $1::mood AS mood", ("sad",)));
        assert_eq!(results.rows().next().unwrap().get::<String>(0), "sad");
        client.send(db.execute("SELECT $1::mood AS mood", (Mood::Sad,))).unwrap();
        let all = outcomes(&mut client);
        let error = all[0].error().unwrap();
        assert_eq!((all.len(), error.kind()), (1, ErrorKind::InvalidRequest), "{error}");
        // Inside of a transaction the question ends it, which is told.
        let mut client = Client::new().unwrap();
        let session = client.open(&db).unwrap();
        session.send(db.query("BEGIN")).unwrap();
        session.send(db.execute("SELECT 'sad'::mood AS mood", ())).unwrap();
        session.send(db.query("ROLLBACK")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all.len(), 3);
        let results = all[1].response().unwrap().results().unwrap();
        assert_eq!(results.error().unwrap().code(), sqlstate::INSUFFICIENT_PRIVILEGE);
        assert_eq!(results.transaction(), Transaction::Failed);
        // It is not asked for ever by a program that knows nothing but transactions.
        session.send(db.query("BEGIN")).unwrap();
        session.send(db.execute("SELECT 'sad'::mood AS mood", ())).unwrap();
        session.send(db.query("ROLLBACK")).unwrap();
        let all = outcomes(&mut client);
        let results = all[1].response().unwrap().results().unwrap();
        assert_eq!(results.rows().next().map(|row| row.get::<String>(0)).as_deref(), Some("sad"), "{results:?}");
    });
}

#[test]
fn types_whose_names_are_in_another_encoding_are_text() {
    must_end(|| {
        let server = server();
        server.psql("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
        let mut client = Client::new().unwrap();
        let db = Postgres::at(&server.address().to_string(), "bytes").user("postgres", "");
        ask(&mut client, db.query("CREATE TYPE drink AS ENUM (E'caf\\xe9', 'tea')"));
        let mut tea = |sql: &str| {
            let results = ask(&mut client, db.execute(sql, ()));
            assert_eq!(results.rows().next().unwrap().get::<String>(0), "tea");
            questions(&server)
        };
        let asked = tea("SELECT 'tea'::drink AS drink");
        assert!(asked > 0);
        assert_eq!(tea("SELECT 'tea'::drink AS it"), asked, "its labels cannot be said the next time either");
    });
}

#[test]
fn a_look_up_runs_nothing_of_the_users() {
    must_end(|| {
        let server = server();
        // What is called like all that a question about types could call, and stands before it.
        let mut theirs = String::from("CREATE SCHEMA theirs; GRANT ALL ON SCHEMA theirs TO PUBLIC;");
        for (at, (left, right)) in
            ["oid", "\"char\"", "int2", "int4"].iter().flat_map(|left| [(left, left), (left, &"int4")]).enumerate()
        {
            theirs += &format!(
                "CREATE FUNCTION theirs.f{at}({left}, {right}) RETURNS bool LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE WARNING 'as %', current_user; RETURN true; END $$;"
            );
            // Of the last one there is one already.
            for operator in ["=", "<>", ">", "<", ">=", "<="].iter().filter(|_| at < 7) {
                theirs += &format!(
                    "CREATE OPERATOR theirs.{operator} (leftarg = {left}, rightarg = {right}, function = theirs.f{at});"
                );
            }
        }
        theirs += "CREATE FUNCTION theirs.unnest(oid[]) RETURNS SETOF oid LANGUAGE plpgsql AS \
            $$ BEGIN RAISE WARNING 'as %', current_user; END $$; \
            CREATE TABLE theirs.pg_type (oid oid); CREATE DOMAIN theirs.oid AS text;";
        server.psql(&theirs);
        let mut client = Client::new().unwrap();
        let db = at(&server).parameter("search_path", "theirs, pg_catalog, public");
        let results = ask(&mut client, db.execute("SELECT '(a,\"{sad}\",1)'::public.person AS it", ()));
        assert!(results.notices().is_empty(), "{} calls: {}", results.notices().len(), results.notices()[0]);
        let person = Person { name: "a".to_owned(), moods: vec![Mood::Sad], age: Some(Dom(1)) };
        assert_eq!(results.rows().next().unwrap().get::<Person>(0), person);
    });
}

#[test]
fn a_look_up_that_does_not_end_ends_with_its_request() {
    must_end(|| {
        let server = server();
        let (mut client, db) = (Client::new().unwrap(), at(&server));
        // Whoever alters a catalogue lets nobody read it.
        let lock = client.open(db.clone().user("postgres", "")).unwrap();
        let admin = db.clone().user("postgres", "");
        lock.send(admin.query("BEGIN; LOCK TABLE pg_catalog.pg_enum IN ACCESS EXCLUSIVE MODE")).unwrap();
        assert!(outcomes(&mut client)[0].response().is_some());
        let slow = Request::from(db.execute("SELECT 'sad'::text::mood AS mood", ()));
        client.send(slow.timeout(std::time::Duration::from_millis(300))).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all.len(), 1, "a request has one outcome");
        assert!(matches!(all[0].error().map(Error::kind), Some(ErrorKind::Timeout(_))), "{}", all[0]);
        lock.send(admin.query("ROLLBACK")).unwrap();
        outcomes(&mut client);
        let results = ask(&mut client, db.execute("SELECT 'sad'::text::mood AS mood", ()));
        assert_eq!(results.rows().next().unwrap().get::<Mood>(0), Mood::Sad);
    });
}

const HELLO: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

/// Reads a message: its kind, if it has one.
fn read(conn: &mut Conn, typed: bool) -> io::Result<u8> {
    let kind = if typed { conn.take(1)?[0] } else { 0 };
    let length = u32::from_be_bytes(conn.take(4)?.try_into().expect("four bytes"));
    conn.take(length as usize - 4)?;
    Ok(kind)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

/// Columns of these types.
fn described(oids: &[u32]) -> Vec<u8> {
    let column = |oid: &u32| [&b"a\0\0\0\0\0\0\0"[..], &oid.to_be_bytes(), &[0xff; 6], &[0; 2]].concat();
    message(b'T', &[(oids.len() as u16).to_be_bytes().to_vec(), oids.iter().flat_map(column).collect()].concat())
}

/// A row of texts; `None` is NULL.
fn row(fields: &[Option<&str>]) -> Vec<u8> {
    let field = |field: &Option<&str>| {
        let length = field.map_or(-1, |field| field.len() as i32).to_be_bytes();
        [&length[..], field.unwrap_or_default().as_bytes()].concat()
    };
    message(b'D', &[(fields.len() as u16).to_be_bytes().to_vec(), fields.iter().flat_map(field).collect()].concat())
}

/// What becomes of a statement with a type that nobody knows, at a server that says this when it is asked for it, and hangs up
/// then.
fn told_of_types(answer: Vec<u8>) -> Outcome {
    told_of_types_by(Client::new().unwrap(), answer)
}

fn told_of_types_by(mut client: Client, answer: Vec<u8>) -> Outcome {
    let peer = Peer::start(move |conn| {
        read(conn, false)?;
        conn.send(HELLO)?;
        for kind in *b"PDS" {
            assert_eq!(read(conn, true)?, kind);
        }
        let prepared = [message(b'1', b""), message(b't', &[0, 0]), described(&[99_999]), message(b'Z', b"I")];
        conn.send(prepared.concat())?;
        assert_eq!(read(conn, true)?, b'Q', "the question for the type");
        conn.send(&answer)
    });
    let db = Postgres::at(&peer.address().to_string(), "d").user("u", "hunter2").ssl_mode(SslMode::Disable);
    let session = client.open(&db).unwrap();
    session.send(db.execute("SELECT it", ())).unwrap();
    let mut all = outcomes(&mut client);
    assert_eq!(all.len(), 1, "a request has one outcome");
    all.remove(0)
}

#[test]
fn a_server_that_says_nonsense_of_types_is_left() {
    must_end(|| {
        let columns = described(&[26, 19, 19, 18, 26, 16, 1003, 1003, 1028]);
        let one = |labels: &str| {
            let fields = ["99999", "mood", "public", "e", "0", "t", labels, "{}", "{}"];
            row(&fields.map(Some))
        };
        let behind = |rows: Vec<u8>| [columns.clone(), rows].concat();
        let large = format!("{{{}}}", "x".repeat(1 << 20));
        let error = |words: &str| message(b'E', format!("{words}\0Mno\0\0").replace(' ', "\0").as_bytes());
        for (what, answer, kind) in [
            ("labels that are no array", behind(one("happy")), ErrorKind::Protocol),
            ("a number that is none", behind(row(&[Some("x"); 9])), ErrorKind::Protocol),
            ("other columns", [described(&[26]), row(&[Some("99999")])].concat(), ErrorKind::Protocol),
            ("a row that nothing described", one("{}"), ErrorKind::Protocol),
            ("65 megabytes of labels", behind(one(&large).repeat(65)), ErrorKind::TooLarge),
            ("half of it", columns.clone(), ErrorKind::Closed),
        ] {
            let outcome = told_of_types(answer);
            let error = outcome.error().unwrap_or_else(|| panic!("{what}: {outcome}"));
            assert_eq!(error.kind(), kind, "{what}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{what}: {error:?}");
        }
        // What it takes is counted with what all answers take: 20 kilobytes of labels here.
        let client = Client::builder().buffer_limit(256 << 10).build().unwrap();
        let many = told_of_types_by(client, behind(one(&format!("{{a{}}}", ",a".repeat(9_999)))));
        assert_eq!(many.error().map(Error::kind), Some(ErrorKind::TooLarge), "{many}");
        let fatal = told_of_types(error("SFATAL VFATAL C57P01"));
        let results = fatal.response().unwrap_or_else(|| panic!("{fatal}")).results().unwrap();
        assert_eq!(results.error().unwrap().code(), sqlstate::ADMIN_SHUTDOWN);
        let failed = [error("SERROR VERROR C57014"), message(b'Z', b"I")].concat();
        let failed = told_of_types(failed);
        let results = failed.response().unwrap_or_else(|| panic!("{failed}")).results().unwrap();
        assert_eq!(results.error().unwrap().code(), sqlstate::QUERY_CANCELED);
    });
}
