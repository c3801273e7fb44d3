use super::*;
use crate::postgres::testing::{Line, complete, described, error, message, ready, row};
use crate::postgres::{Collected, ResultSet, Results};
use crate::protocols::postgres::Message;
use crate::reactor::Flow;

mod own_types;

/// A connection and what runs on it.
struct Stage {
    line: Line,
    cache: Cache,
}

impl Stage {
    fn new(capacity: usize) -> Self {
        Self { line: Line::new(), cache: Cache::new(capacity) }
    }

    /// What was sent, and then what it comes to when the server says this.
    fn step(&mut self, run: &mut Run, into: &mut Collected, answer: &[Vec<u8>]) -> (String, Then) {
        run.send(&mut self.cache, |request| self.line.send(request)).unwrap();
        let sent = self.line.kinds();
        let mut then = Then::More(Flow::Continue);
        let cache = &mut self.cache;
        self.line.answer(&answer.concat(), |message| {
            let done = matches!(message, Message::Ready(_));
            then = run.message(&message, done, cache, into).unwrap();
        });
        (sent, then)
    }

    /// Runs a statement to its end: what was sent, and what came.
    fn run(&mut self, statement: &Statement, answers: &[&[Vec<u8>]]) -> (Vec<String>, Results) {
        let (mut run, mut into, mut all) = (statement.run(), Collected::new(1 << 20), Vec::new());
        for (at, answer) in answers.iter().enumerate() {
            let (sent, then) = self.step(&mut run, &mut into, answer);
            all.push(sent);
            let expected = if at + 1 == answers.len() { Then::Done } else { Then::Again };
            assert_eq!(then, expected, "exchange {at} of {all:?}");
        }
        (all, into.take())
    }
}

fn db() -> Postgres {
    Postgres::at("h", "db").user("me", "")
}

/// Parse and Describe are answered: a parameter of type int4, and a column of this type.
fn preparing(type_oid: u32) -> Vec<Vec<u8>> {
    vec![message(b'1', b""), message(b't', &[0, 1, 0, 0, 0, 23]), described(&[("a", type_oid, 0)]), ready(b'I')]
}

fn rows(value: &[u8]) -> Vec<Vec<u8>> {
    vec![message(b'2', b""), row(&[Some(value)]), complete("SELECT 1"), ready(b'I')]
}

#[test]
fn a_statement_is_prepared_once_and_then_only_run() {
    let mut stage = Stage::new(8);
    let statement = db().execute("SELECT $1", (7_i32,));
    let (sent, it) = stage.run(&statement, &[&preparing(23), &rows(&[0, 0, 0, 7])]);
    assert_eq!(sent, ["PDS", "BES"]);
    assert_eq!(it.rows().next().unwrap().get::<i32>("a"), 7);
    let (sent, it) = stage.run(&statement, &[&rows(&[0, 0, 0, 8])]);
    assert_eq!(sent, ["BES"], "it is known");
    assert_eq!(it.rows().next().unwrap().get::<i32>("a"), 8);
    let (sent, _) = stage.run(&statement.clone().types(&[Type::INT4]), &[&preparing(23), &rows(&[0; 4])]);
    assert_eq!(sent, ["PDS", "BES"], "with other types it is another statement");
}

#[test]
fn the_statement_that_was_not_used_for_the_longest_time_is_closed() {
    let mut stage = Stage::new(2);
    for sql in ["a", "b", "a"] {
        let known = sql == "a" && stage.cache.len() == 2;
        let answers = [preparing(23), rows(&[0; 4])];
        let answers: Vec<&[Vec<u8>]> = answers.iter().map(Vec::as_slice).skip(known.into()).collect();
        stage.run(&db().execute(sql, (1_i32,)), &answers);
    }
    let closed = [vec![message(b'3', b"")], preparing(23)].concat();
    let (sent, _) = stage.run(&db().execute("c", (1_i32,)), &[&closed, &rows(&[0; 4])]);
    assert_eq!(sent, ["CPDS", "BES"], "b is closed before c is prepared");
    assert_eq!(stage.cache.len(), 2);
    let (sent, _) = stage.run(&db().execute("a", (1_i32,)), &[&rows(&[0; 4])]);
    assert_eq!(sent, ["BES"], "a was used later than b");
}

#[test]
fn without_a_cache_nothing_has_a_name_and_everything_is_run_in_one_go() {
    for (capacity, keep) in [(0, true), (8, false)] {
        let mut stage = Stage::new(capacity);
        let answer = [vec![message(b'1', b"")], rows(&[0; 4])].concat();
        let statement = db().execute("a", (1_i32,)).prepare(keep);
        let (sent, it) = stage.run(&statement, &[&preparing(23), &answer]);
        assert_eq!(sent, ["PDS", "PBES"], "another one without a name may have come between");
        assert_eq!((it.affected(), stage.cache.len()), (1, 0));
    }
}

#[test]
fn a_statement_whose_result_changed_is_prepared_anew() {
    let mut stage = Stage::new(8);
    let statement = db().execute("a", (1_i32,));
    stage.run(&statement, &[&preparing(23), &rows(&[0; 4])]);
    let changed = [error("0A000", "RevalidateCachedQuery"), ready(b'I')];
    let closed = [vec![message(b'3', b"")], preparing(25)].concat();
    let (sent, it) = stage.run(&statement, &[&changed, &closed, &rows(b"text")]);
    assert_eq!(sent, ["BES", "CPDS", "BES"]);
    assert_eq!((it.rows().next().unwrap().get::<String>(0), it.error()), ("text".to_owned(), None));
}

#[test]
fn a_statement_that_another_server_does_not_have_is_run_without_a_name() {
    for trouble in [error("26000", "FetchPreparedStatement"), error("42P05", "StorePreparedStatement")] {
        let mut stage = Stage::new(8);
        let statement = db().execute("a", (1_i32,));
        let elsewhere = [trouble, ready(b'I')];
        let alone = [vec![message(b'1', b"")], rows(&[0; 4])].concat();
        let (sent, it) = if elsewhere[0].windows(5).any(|it| it == b"26000") {
            stage.run(&statement, &[&preparing(23), &elsewhere, &preparing(23), &alone])
        } else {
            stage.run(&statement, &[&elsewhere, &preparing(23), &alone])
        };
        assert_eq!(sent[sent.len() - 2..], ["PDS", "PBES"], "{sent:?}");
        assert_eq!((it.affected(), it.error()), (1, None));
        let (sent, _) = stage.run(&db().execute("b", (1_i32,)), &[&preparing(23), &alone]);
        assert_eq!(sent, ["PDS", "PBES"], "there are names for nobody on this connection");
    }
}

#[test]
fn an_error_is_told_where_another_try_cannot_mend_it() {
    let statement = db().execute("a", (1_i32,));
    let changed = || error("0A000", "RevalidateCachedQuery");
    let failed: &[(&str, Vec<Vec<u8>>)] = &[
        ("it is in a transaction, which has failed", vec![changed(), ready(b'E')]),
        ("rows came", vec![message(b'2', b""), row(&[Some(&[0; 4])]), changed(), ready(b'I')]),
        ("it is another function's", vec![error("0A000", "other"), ready(b'I')]),
    ];
    for (why, answer) in failed {
        let mut stage = Stage::new(8);
        let (_, it) = stage.run(&statement, &[&preparing(23), answer]);
        assert_eq!(it.error().map(|error| error.code()), Some("0A000"), "{why}");
    }
    let mut stage = Stage::new(8);
    let again = [vec![message(b'3', b"")], preparing(23)].concat();
    let (_, it) =
        stage.run(&statement, &[&preparing(23), &[changed(), ready(b'I')], &again, &[changed(), ready(b'I')]]);
    assert_eq!(it.error().map(|error| error.code()), Some("0A000"), "it was tried twice");
    let (sent, it) = Stage::new(8).run(&statement, &[&[error("42601", "scanner_yyerror"), ready(b'I')]]);
    assert_eq!((sent, it.error().map(|error| error.code())), (vec!["PDS".to_owned()], Some("42601")));
}

#[test]
fn the_name_of_a_statement_is_that_of_no_other_statement_on_whatever_connection() {
    // A pooler may give us the server that another one used, and what has the same name there would be run.
    let asked: [(&str, &[u32]); 3] = [("SELECT $1", &[]), ("SELECT $1", &[23]), ("SELECT $1 + 1", &[])];
    let mut names: Vec<_> = asked.iter().map(|(sql, types)| Cache::new(8).begin(sql, types).0).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "{names:?}");
    let mut cache = Cache::new(8);
    assert_ne!(cache.begin("SELECT $1", &[]).0, cache.begin("SELECT $1", &[]).0, "and two may be on their way at once");
}

#[test]
fn two_that_prepare_the_same_at_once_leave_one() {
    let mut stage = Stage::new(8);
    let statement = db().execute("a", (1_i32,));
    let (mut first, mut second, mut into) = (statement.run(), statement.run(), Collected::new(1 << 20));
    for run in [&mut first, &mut second] {
        run.send(&mut stage.cache, |request| stage.line.send(request)).unwrap();
    }
    assert_eq!(stage.line.kinds(), "PDSPDS");
    for run in [&mut first, &mut second] {
        let cache = &mut stage.cache;
        stage.line.answer(&preparing(23).concat(), |message| {
            let done = matches!(message, Message::Ready(_));
            run.message(&message, done, cache, &mut into).unwrap();
        });
    }
    assert_eq!(stage.cache.len(), 1);
    for run in [&mut first, &mut second] {
        assert_eq!(stage.step(run, &mut into, &rows(&[0; 4])), ("BES".to_owned(), Then::Done));
    }
    let closed = [vec![message(b'3', b"")], preparing(23)].concat();
    let (sent, _) = stage.run(&db().execute("b", (1_i32,)), &[&closed, &rows(&[0; 4])]);
    assert_eq!(sent, ["CPDS", "BES"], "the other is closed");
}

#[test]
fn one_that_is_given_up_leaves_no_name_behind() {
    let mut stage = Stage::new(1);
    let mut run = db().execute("a", (1_i32,)).run();
    run.send(&mut stage.cache, |request| stage.line.send(request)).unwrap();
    stage.line.answer(&preparing(23).concat(), |_| ());
    run.abandon(&mut stage.cache);
    assert_eq!(stage.line.kinds(), "PDS");
    let closed = [vec![message(b'3', b"")], preparing(23)].concat();
    let (sent, _) = stage.run(&db().execute("b", (1_i32,)), &[&closed, &rows(&[0; 4])]);
    assert_eq!((&*sent[0], stage.cache.len()), ("CPDS", 1));
}

#[test]
fn a_value_that_does_not_fit_is_told_before_it_is_sent() {
    let mut stage = Stage::new(8);
    let (mut run, mut into) = (db().execute("a", (1_i64,)).run(), Collected::new(1 << 20));
    let (_, then) = stage.step(&mut run, &mut into, &preparing(23));
    assert_eq!(then, Then::Again);
    let said = run.send(&mut stage.cache, |_| panic!("it was sent")).unwrap_err();
    assert_eq!(said.to_string(), "the value of $1 cannot be sent as int4");
}

#[test]
fn a_portal_is_opened_fetched_in_portions_and_closed() {
    let mut stage = Stage::new(8);
    let portal = db().execute("SELECT $1", (7_i32,)).portal();
    let (sent, it) = stage.run(&portal.open(), &[&preparing(23), &[message(b'2', b""), ready(b'T')]]);
    assert_eq!((sent, it.sets().len()), (vec!["PDS".to_owned(), "BS".to_owned()], 0));
    let one = |n: u8| row(&[Some(&[0, 0, 0, n])]);
    let (sent, it) = stage.run(&portal.fetch(2), &[&[one(1), one(2), message(b's', b""), ready(b'T')]]);
    assert_eq!(sent, ["ES"]);
    let numbers: Vec<i32> = it.rows().map(|row| row.get("a")).collect();
    assert_eq!((numbers, it.is_suspended(), it.sets()[0].tag()), (vec![1, 2], true, ""));
    let (_, it) = stage.run(&portal.fetch(2), &[&[one(3), complete("SELECT 1"), ready(b'T')]]);
    assert_eq!((it.rows().len(), it.is_suspended(), it.sets()[0].tag()), (1, false, "SELECT 1"));
    let (sent, _) = stage.run(&portal.close(), &[&[message(b'3', b""), ready(b'T')]]);
    assert_eq!(sent, ["CS"]);
    let other = db().execute("SELECT $1", (7_i32,)).portal();
    let (sent, _) = stage.run(&other.open(), &[&[message(b'2', b""), ready(b'T')]]);
    assert_eq!(sent, ["BS"], "its statement is prepared already");
    assert_ne!(format!("{portal:?}"), format!("{other:?}"), "each has a name of its own");
    let mut stage = Stage::new(0);
    let (sent, _) =
        stage.run(&portal.open(), &[&preparing(23), &[message(b'1', b""), message(b'2', b""), ready(b'T')]]);
    assert_eq!(sent, ["PDS", "PBS"], "without names for statements");
}

#[test]
fn a_portal_that_was_not_opened_is_told_before_anything_is_sent() {
    let mut stage = Stage::new(8);
    let mut run = db().query("SELECT 1").portal().fetch(1).run();
    let said = run.send(&mut stage.cache, |_| panic!("it was sent")).unwrap_err();
    assert!(said.to_string().starts_with("the portal was not opened"), "{said}");
}

#[test]
fn a_query_is_one_exchange() {
    let mut stage = Stage::new(8);
    let answer = [described(&[("a", 23, 0)]), row(&[Some(b"1")]), complete("SELECT 1"), complete("SET"), ready(b'I')];
    let (sent, it) = stage.run(&db().query("SELECT 1; SET x = y"), &[&answer]);
    assert_eq!((sent, it.sets().len()), (vec!["Q".to_owned()], 2));
    assert_eq!(it.sets().first().map(ResultSet::len), Some(1));
}

#[test]
fn what_is_wrong_with_a_statement_is_told_when_it_is_sent() {
    assert!(db().query("a\0b").check().is_err(), "NUL ends a text");
    assert!(Postgres::at("", "db").user("me", "").query("a").check().is_err(), "there is no host");
    let many = vec![0_u8; 65_536].into_iter().map(|_| Box::new(1_i32) as super::super::BoxedValue).collect::<Vec<_>>();
    assert!(db().execute("a", many).check().is_err(), "65,536 values");
    let it = db().execute("a", (1,));
    assert!(it.check().is_ok());
    assert_eq!(**it.settings(), **db().settings(), "connections are shared by equal settings");
    let shown = format!("{:?}", db().execute("SELECT 'hunter2'", ("hunter2",)));
    assert!(!shown.contains("hunter2"), "{shown}");
}
