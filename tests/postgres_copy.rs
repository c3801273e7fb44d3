//! COPY through the client, on a real server: bodies of requests into tables, and tables into whatever takes bodies.

#![cfg(feature = "postgres")]

mod support;

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aquests::postgres::{BinaryCopyBody, BinaryCopyReader, BinaryCopyWriter, BoxedValue, Column, Postgres, sqlstate};
use aquests::protocols::postgres::Violation;
use aquests::{BoxError, Client, Error, ErrorKind, Flow, Outcome, Request};
use support::{Folder, PostgresServer, must_end, outcomes};

fn one(client: &mut Client, request: impl Into<Request>) -> Outcome {
    client.send(request).unwrap();
    outcomes(client).remove(0)
}

fn at(server: &PostgresServer) -> Postgres {
    Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "")
}

/// A table `t` of numbers and words.
fn table(server: &PostgresServer) -> (Client, Postgres) {
    let (mut client, db) = (Client::new().unwrap(), at(server));
    let made = one(&mut client, db.query("CREATE TABLE t (n int8, word text)"));
    assert!(made.response().unwrap().results().unwrap().error().is_none());
    (client, db)
}

/// How many rows there are and what their numbers come to, and empties the table.
fn taken(client: &mut Client, db: &Postgres) -> (i64, i64) {
    let sql = "WITH gone AS (DELETE FROM t RETURNING n) SELECT count(*), coalesce(sum(n), 0)::int8 FROM gone";
    let outcome = one(client, db.execute(sql, ()));
    let row = outcome.response().unwrap().rows().next().unwrap();
    (row.get(0), row.get(1))
}

fn lines(rows: i64) -> String {
    (1..=rows).map(|n| format!("{n}\tword {n}\n")).collect()
}

#[test]
fn a_body_is_copied_from_wherever_bodies_come() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = table(&server);
        let copy = || Request::from(db.copy_in("COPY t FROM STDIN"));
        let text = lines(30_000);
        let folder = Folder::new();
        folder.write("rows", &text);
        let requests = [
            ("body", copy().body(text.clone())),
            ("reader", copy().body_reader(io::Cursor::new(text.clone()), None)),
            ("reader of a length", copy().body_reader(io::Cursor::new(text.clone()), Some(text.len() as u64))),
            ("file", copy().body_file(folder.path().join("rows"))),
        ];
        for (from, request) in requests {
            let outcome = one(&mut client, request);
            let results = outcome.response().unwrap_or_else(|| panic!("{from}: {outcome}")).results().unwrap();
            assert_eq!((results.sets()[0].tag(), results.affected()), ("COPY 30000", 30_000), "{from}");
            assert_eq!(taken(&mut client, &db), (30_000, 30_000 * 30_001 / 2), "{from}");
        }
        let (request, mut writer) = copy().body_writer(None);
        client.send(request).unwrap();
        let thread = std::thread::spawn(move || {
            text.as_bytes().chunks(1000).for_each(|piece| writer.write_all(piece).unwrap());
            writer.finish();
        });
        assert_eq!(outcomes(&mut client)[0].response().unwrap().results().unwrap().affected(), 30_000, "writer");
        thread.join().unwrap();
        assert_eq!(taken(&mut client, &db).0, 30_000);
        // Nothing at all is a body too.
        for request in [copy(), copy().body("")] {
            assert_eq!(one(&mut client, request).response().unwrap().results().unwrap().sets()[0].tag(), "COPY 0");
        }
        let outcome =
            one(&mut client, Request::from(db.copy_in("COPY t FROM STDIN (FORMAT csv)")).body("7,\"a \"\"b\"\"\"\n"));
        assert_eq!(outcome.response().unwrap().results().unwrap().affected(), 1);
        let outcome = one(&mut client, db.execute("SELECT word FROM t", ()));
        assert_eq!(outcome.response().unwrap().rows().next().unwrap().get::<String>(0), "a \"b\"");
    });
}

/// A source that breaks.
struct Breaks(usize);

impl Read for Breaks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("the disk is gone"));
        }
        self.0 -= 1;
        buffer[..4].copy_from_slice(b"1\tx\n");
        Ok(4)
    }
}

#[test]
fn a_body_that_fails_ends_the_copy_and_leaves_nothing_and_the_connection_goes_on() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = table(&server);
        let pid = |client: &mut Client| {
            let outcome = one(client, db.query("SELECT pg_backend_pid() AS pid"));
            outcome.response().unwrap().rows().next().unwrap().get::<i32>("pid")
        };
        let before = pid(&mut client);
        for rows in [0, 3] {
            let copy = Request::from(db.copy_in("COPY t FROM STDIN")).body_reader(Breaks(rows), None);
            client.send(copy).unwrap();
            client.send(db.query("SELECT 1")).unwrap();
            let all = outcomes(&mut client);
            let failed = all.iter().find_map(Outcome::error).unwrap();
            assert_eq!(failed.kind(), ErrorKind::Upload, "{failed}");
            assert!(failed.to_string().contains("the disk is gone"), "{failed}");
            assert_eq!(all.iter().filter(|outcome| outcome.response().is_some()).count(), 1, "{all:?}");
            assert_eq!(taken(&mut client, &db), (0, 0), "after {rows} rows");
        }
        let (request, writer) = Request::from(db.copy_in("COPY t FROM STDIN")).body_writer(Some(100));
        client.send(request).unwrap();
        drop(writer);
        assert_eq!(outcomes(&mut client)[0].error().unwrap().kind(), ErrorKind::Upload);
        assert_eq!(pid(&mut client), before, "CopyFail needs no new connection");
    });
}

#[test]
fn a_row_that_is_refused_ends_the_copy_in_the_words_of_the_server() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = table(&server);
        // Far more than fits between, so that the error comes while it is sent.
        let text = format!("{}not a number\tx\n{}", lines(10), lines(200_000));
        let copy = Request::from(db.copy_in("COPY t FROM STDIN")).body_reader(io::Cursor::new(text), None);
        client.send(copy).unwrap();
        client.send(db.execute("SELECT $1::int4", (5,))).unwrap();
        let all = outcomes(&mut client);
        let error = all[0].response().unwrap().results().unwrap().error().unwrap().clone();
        assert_eq!(error.code(), sqlstate::INVALID_TEXT_REPRESENTATION);
        assert_eq!(error.context(), Some("COPY t, line 11, column n: \"not a number\""));
        assert_eq!(all[1].response().unwrap().rows().next().unwrap().get::<i32>(0), 5);
        assert_eq!(taken(&mut client, &db), (0, 0));
        let outcome = one(&mut client, Request::from(db.copy_in("COPY nowhere FROM STDIN")).body("1\n"));
        let results = outcome.response().unwrap().results().unwrap();
        assert_eq!(results.error().unwrap().code(), sqlstate::UNDEFINED_TABLE);
    });
}

#[test]
fn copies_and_statements_take_turns_on_one_connection() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = table(&server);
        for round in 0..20i64 {
            client.send(db.execute("SELECT $1::int8 AS n", (round,))).unwrap();
            client.send(Request::from(db.copy_in("COPY t FROM STDIN")).body(format!("{round}\tx\n"))).unwrap();
            client.send(db.query(format!("SELECT {round}::int8 AS n"))).unwrap();
        }
        let all = outcomes(&mut client);
        for (round, three) in (0i64..).zip(all.chunks(3)) {
            for outcome in [&three[0], &three[2]] {
                assert_eq!(outcome.response().unwrap().rows().next().unwrap().get::<i64>("n"), round, "{outcome}");
            }
            assert_eq!(three[1].response().unwrap().results().unwrap().affected(), 1);
        }
        assert_eq!(taken(&mut client, &db), (20, 190));
        assert_eq!(server.backends(), 1);
    });
}

#[test]
fn what_is_copied_out_goes_where_bodies_go() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = table(&server);
        let text = lines(50_000);
        one(&mut client, Request::from(db.copy_in("COPY t FROM STDIN")).body(text.clone()));
        let copy = || Request::from(db.query("COPY t TO STDOUT"));
        let kept = one(&mut client, copy());
        let results = kept.response().unwrap().results().unwrap();
        assert!(results.sets()[0].copied() == text.as_bytes());
        assert_eq!(results.affected(), 50_000);
        // Given away, it has no limit.
        let mut client = Client::builder().reply_limit(1000).build().unwrap();
        assert_eq!(one(&mut client, copy()).error().unwrap().kind(), ErrorKind::TooLarge);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let request = copy().on_chunk(move |_, bytes| {
            into.lock().unwrap().extend_from_slice(bytes);
            Ok::<_, Error>(Flow::Continue)
        });
        let outcome = one(&mut client, request);
        let response = outcome.response().unwrap_or_else(|| panic!("{outcome}"));
        assert_eq!(response.received(), text.len() as u64);
        assert!(*seen.lock().unwrap() == text.as_bytes());
        let outcome = one(&mut client, copy().discard());
        assert_eq!(outcome.response().unwrap().received(), text.len() as u64);
        let folder = Folder::new();
        let path = folder.path().join("out");
        one(&mut client, copy().to_file(&path));
        assert!(std::fs::read(&path).unwrap() == text.as_bytes());
        // Two in one request stand one behind the other.
        one(
            &mut client,
            Request::from(db.query("COPY (SELECT 1) TO STDOUT; COPY (SELECT 2) TO STDOUT")).to_file(&path),
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"1\n2\n");
        // Whoever wants no more has it said, and the next one works.
        let outcome = one(&mut client, copy().on_chunk(|_, _| Ok::<_, Error>(Flow::Cancel)));
        assert_eq!(outcome.error().unwrap().kind(), ErrorKind::Cancelled);
        // Binary, there and back.
        let before = taken_sum(&mut client, &db);
        one(&mut client, Request::from(db.query("COPY t TO STDOUT (FORMAT binary)")).to_file(&path));
        one(&mut client, db.query("TRUNCATE t"));
        let back = Request::from(db.copy_in("COPY t FROM STDIN (FORMAT binary)")).body_file(&path);
        assert_eq!(one(&mut client, back).response().unwrap().results().unwrap().affected(), 50_000);
        assert_eq!(taken_sum(&mut client, &db), before);
    });
}

fn taken_sum(client: &mut Client, db: &Postgres) -> String {
    let outcome = one(client, db.query("SELECT md5(string_agg(n || word, ',' ORDER BY n)) FROM t"));
    outcome.response().unwrap().rows().next().unwrap().get(0)
}

#[test]
fn a_body_belongs_to_a_copy_and_a_copy_to_its_own_kind_of_request() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = table(&server);
        for request in
            [Request::from(db.query("SELECT 1")).body("x"), Request::from(db.execute("SELECT 1", ())).body("x")]
        {
            let rejected = client.send(request).unwrap_err();
            assert_eq!(rejected.error().kind(), ErrorKind::InvalidRequest);
        }
        let outcome = one(&mut client, Request::from(db.copy_in("SELECT 5 AS five")).body("x"));
        assert_eq!(outcome.response().unwrap().rows().next().unwrap().get::<i32>("five"), 5);
        for statement in [db.query("COPY t FROM STDIN"), db.execute("COPY t FROM STDIN", ())] {
            let outcome = one(&mut client, statement);
            let response = outcome.response().unwrap_or_else(|| panic!("{outcome}"));
            assert_eq!(response.results().unwrap().error().unwrap().code(), sqlstate::QUERY_CANCELED);
        }
        // Among others it would eat them.
        for _ in 0..3 {
            client.send(db.query("COPY t FROM STDIN")).unwrap();
        }
        let all = outcomes(&mut client);
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].error().unwrap().kind(), ErrorKind::Protocol, "{}", all[0]);
        assert_eq!(taken(&mut client, &db), (0, 0));
    });
}

/// A table of a number, a word and a mood, and what its columns are.
fn moods(server: &PostgresServer) -> (Client, Postgres, Vec<Column>) {
    server.psql("CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE TABLE moods (n int8, word text, moods mood[]);");
    server.psql("GRANT ALL ON moods TO PUBLIC;");
    let (mut client, db) = (Client::new().unwrap(), at(server));
    let outcome = one(&mut client, db.execute("SELECT * FROM moods LIMIT 0", ()));
    let columns = outcome.response().unwrap().results().unwrap().sets()[0].columns().to_vec();
    (client, db, columns)
}

type Line = (i64, Option<String>, Vec<String>);

/// Row number `n` of the table.
fn line(n: i64) -> Line {
    let word = Some(format!("word {n}")).filter(|_| n % 5 > 0);
    (n, word, vec!["sad".to_owned(); n as usize % 3])
}

#[test]
fn rows_of_values_are_copied_in_binary_and_come_out_as_they_went_in() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db, columns) = moods(&server);
        let types = || columns.iter().map(|column| column.type_().clone());
        let copy = || Request::from(db.copy_in("COPY moods FROM STDIN (FORMAT binary)"));
        const ROWS: i64 = 20_000;
        // As the server takes them.
        let body = BinaryCopyBody::new(types(), (0..ROWS).map(line));
        let outcome = one(&mut client, copy().body_reader(body, None));
        assert_eq!(outcome.response().unwrap().results().unwrap().affected(), ROWS as u64, "{outcome}");
        // From another thread, which waits for the server.
        let (request, body) = copy().body_writer(None);
        let mut rows = BinaryCopyWriter::new(body, types());
        client.send(request).unwrap();
        let thread = std::thread::spawn(move || {
            for (n, word, moods) in (ROWS..2 * ROWS).map(line) {
                rows.write(&[&n, &word, &moods]).unwrap();
            }
            rows.finish().unwrap().finish();
        });
        let all = outcomes(&mut client);
        thread.join().unwrap();
        assert_eq!(all[0].response().unwrap().results().unwrap().affected(), ROWS as u64, "{}", all[0]);
        let sums = server.psql("SELECT count(*), sum(n), count(word), sum(cardinality(moods)), max(word) FROM moods;");
        assert_eq!(sums, format!("{}|{}|32000|39999|word 9999", 2 * ROWS, ROWS * (2 * ROWS - 1)));
        // And out again, in order, with a break in the middle: nothing comes meanwhile.
        let (told, mut reader) = (Arc::new(Mutex::new((Vec::new(), 0))), BinaryCopyReader::with_columns(&columns));
        let into = Arc::clone(&told);
        let sql = "COPY (SELECT * FROM moods ORDER BY n) TO STDOUT (FORMAT binary)";
        let request = Request::from(db.query(sql)).on_chunk(move |_, mut chunk| {
            let mut told = into.lock().unwrap();
            while let Some(row) = reader.next(&mut chunk)? {
                told.0.push((row.try_get("n")?, row.try_get("word")?, row.try_get("moods")?));
            }
            told.1 += 1;
            Ok::<_, BoxError>(if told.1 == 3 { Flow::Hold } else { Flow::Continue })
        });
        let id = client.send(request).unwrap();
        while told.lock().unwrap().1 < 3 {
            client.turn(Some(Duration::from_millis(50))).unwrap();
        }
        let held: usize = told.lock().unwrap().0.len();
        for _ in 0..5 {
            client.turn(Some(Duration::from_millis(5))).unwrap();
        }
        assert_eq!(told.lock().unwrap().0.len(), held, "rows came while nobody took them");
        assert!(held < 2 * ROWS as usize);
        client.resume(id);
        assert!(outcomes(&mut client)[0].response().is_some());
        let told: &Vec<Line> = &told.lock().unwrap().0;
        assert!(told.iter().cloned().eq((0..2 * ROWS).map(line)), "{} rows, of which some differ", told.len());
    });
}

#[test]
fn a_binary_copy_that_is_wrong_ends_in_the_words_of_who_found_it_and_leaves_nothing() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db, columns) = moods(&server);
        let types = || columns.iter().map(|column| column.type_().clone());
        let copy = || Request::from(db.copy_in("COPY moods FROM STDIN (FORMAT binary)"));
        // By us: values that do not fit, after many that did.
        let values = |n: i64| -> Vec<BoxedValue> {
            let wrong: BoxedValue = if n < 9_999 { Box::new(n) } else { Box::new(n.to_string()) };
            vec![wrong, Box::new("x"), Box::new(Vec::<String>::new())]
        };
        let body = BinaryCopyBody::new(types(), (0..10_000).map(values));
        let outcome = one(&mut client, copy().body_reader(body, None));
        let error = outcome.error().unwrap_or_else(|| panic!("{outcome}"));
        assert_eq!(error.kind(), ErrorKind::Upload, "{error}");
        assert!(error.to_string().contains("column 0 cannot be copied as int8"), "{error}");
        // A writer that is dropped before its end.
        let (request, body) = copy().body_writer(None);
        client.send(request).unwrap();
        let mut rows = BinaryCopyWriter::new(body, types());
        rows.write(&[&1_i64, &"x", &Vec::<String>::new()]).unwrap();
        drop(rows);
        assert_eq!(outcomes(&mut client)[0].error().unwrap().kind(), ErrorKind::Upload);
        // By the server: it has other columns.
        let body = BinaryCopyBody::new(types().take(2), [(1_i64, "x")]);
        let outcome = one(&mut client, copy().body_reader(body, None));
        let results = outcome.response().unwrap_or_else(|| panic!("{outcome}")).results().unwrap();
        assert_eq!(results.error().unwrap().code(), "22P04");
        assert_eq!(server.psql("SELECT count(*) FROM moods;"), "0");
        // By whoever reads: it is text, and then it has other columns.
        for sql in ["COPY (SELECT 1) TO STDOUT", "COPY (SELECT 1, 2, 3, 4) TO STDOUT (FORMAT binary)"] {
            let mut reader = BinaryCopyReader::with_columns(&columns);
            let request = Request::from(db.query(sql)).on_chunk(move |_, mut chunk| {
                while reader.next(&mut chunk)?.is_some() {}
                Ok::<_, BoxError>(Flow::Continue)
            });
            let outcome = one(&mut client, request);
            let error = outcome.error().unwrap_or_else(|| panic!("{outcome}"));
            assert_eq!(error.kind(), ErrorKind::Callback, "{error}");
            let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
            let expected = if sql.contains("binary") { Violation::CopyFields } else { Violation::CopySignature };
            assert_eq!(source, Some(&aquests::protocols::Error::from(expected)), "{error}");
        }
        assert_eq!(one(&mut client, db.query("SELECT 1 AS n")).response().unwrap().rows().count(), 1);
    });
}
