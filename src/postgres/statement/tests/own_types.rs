//! When the catalogues are asked for types, and what becomes of a statement whatever they say.

use postgres_types::{IsNull, Kind, ToSql};

use super::*;

/// A parameter and a column of type 99,999, and a column of type int4.
fn moody() -> Vec<Vec<u8>> {
    vec![
        message(b'1', b""),
        message(b't', &[0, 1, 0, 1, 0x86, 0x9f]),
        described(&[("mood", 99_999, 0), ("n", 23, 0)]),
        ready(b'I'),
    ]
}

/// The catalogues have an enum of that number with these labels.
fn catalogues(labels: &str) -> Vec<Vec<u8>> {
    let types = [26, 19, 19, 18, 26, 16, 1003, 1003, 1028];
    let fields =
        [Some("99999"), Some("mood"), Some("public"), Some("e"), None, Some("t"), Some(labels), Some("{}"), Some("{}")];
    vec![
        described(&types.map(|oid| ("a", oid, 0))),
        row(&fields.map(|field| field.map(str::as_bytes))),
        complete("SELECT 1"),
        ready(b'I'),
    ]
}

fn happy() -> Vec<Vec<u8>> {
    vec![message(b'2', b""), row(&[Some(b"happy"), Some(&[0, 0, 0, 1])]), complete("SELECT 1"), ready(b'I')]
}

/// A value that only an enum with these labels takes.
#[derive(Debug)]
struct Mood(&'static [&'static str]);

impl ToSql for Mood {
    fn to_sql(&self, _: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, crate::BoxError> {
        out.extend_from_slice(self.0[0].as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(type_: &Type) -> bool {
        type_.name() == "mood"
    }

    fn to_sql_checked(&self, type_: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, crate::BoxError> {
        match type_.kind() {
            Kind::Enum(labels) if labels == self.0 => self.to_sql(type_, out),
            _ => Err(postgres_types::WrongType::new::<Self>(type_.clone()).into()),
        }
    }
}

#[test]
fn what_is_not_built_in_is_looked_up_once() {
    let mut stage = Stage::new(8);
    let statement = db().execute("a", (Mood(&["happy", "sad"]),));
    let (sent, it) = stage.run(&statement, &[&moody(), &catalogues("{happy,sad}"), &happy()]);
    assert_eq!(sent, ["PDS", "Q", "BES"]);
    let row = it.rows().next().unwrap();
    assert_eq!((row.get::<String>("mood"), row.get::<i32>("n")), ("happy".to_owned(), 1));
    let type_ = row.columns()[0].type_();
    assert_eq!((type_.name(), type_.schema()), ("mood", "public"));
    assert_eq!(type_.kind(), &Kind::Enum(vec!["happy".to_owned(), "sad".to_owned()]));
    assert!(row.columns()[0].is_binary());
    let (sent, _) = stage.run(&statement, &[&happy()]);
    assert_eq!(sent, ["BES"], "it is known");
    let (sent, _) = stage.run(&db().execute("b", (Mood(&["happy", "sad"]),)), &[&moody(), &happy()]);
    assert_eq!(sent, ["PDS", "BES"], "for other statements too");
    let mut other = Stage::new(8);
    other.cache.share(stage.cache.types().clone());
    let (sent, _) = other.run(&statement, &[&moody(), &happy()]);
    assert_eq!(sent, ["PDS", "BES"], "and for other connections");
    let anew = statement.look_up(LookUp::Anew);
    let (sent, _) = stage.run(&anew, &[&catalogues("{happy,sad}"), &happy()]);
    assert_eq!(sent, ["Q", "BES"], "who wants to know anew is told anew");
}

#[test]
fn a_statement_whose_types_are_being_looked_up_keeps_its_name_whoever_is_prepared_meanwhile() {
    let mut stage = Stage::new(1);
    let (first, mut into) = (db().execute("a", (Mood(&["happy", "sad"]),)), Collected::new(1 << 20));
    let mut first = first.run();
    assert_eq!(stage.step(&mut first, &mut into, &moody()), ("PDS".to_owned(), Then::Again));
    first.send(&mut stage.cache, |request| stage.line.send(request)).unwrap();
    assert_eq!(stage.line.kinds(), "Q");
    // There is room for one.
    let (mut second, mut other) = (db().execute("b", (1_i32,)).run(), Collected::new(1 << 20));
    second.send(&mut stage.cache, |request| stage.line.send(request)).unwrap();
    assert_eq!(stage.line.kinds(), "PDS", "the first has yet to be run by its name");
    let mut then = Then::Done;
    stage.line.answer(&catalogues("{happy,sad}").concat(), |message| {
        let done = matches!(message, Message::Ready(_));
        then = first.message(&message, done, &mut stage.cache, &mut into).unwrap();
    });
    assert_eq!(then, Then::Again);
    stage.line.answer(&preparing(23).concat(), |message| {
        let done = matches!(message, Message::Ready(_));
        second.message(&message, done, &mut stage.cache, &mut other).unwrap();
    });
    assert_eq!(stage.step(&mut first, &mut into, &happy()), ("BES".to_owned(), Then::Done));
    assert_eq!(stage.step(&mut second, &mut other, &rows(&[0; 4])), ("BES".to_owned(), Then::Done));
    let closed = [vec![message(b'3', b"")], vec![message(b'3', b"")], preparing(23)].concat();
    let (sent, _) = stage.run(&db().execute("c", (1_i32,)), &[&closed, &rows(&[0; 4])]);
    assert_eq!((&*sent[0], stage.cache.len()), ("CCPDS", 1), "and is closed when it was");
}

#[test]
fn what_is_not_looked_up_travels_as_text() {
    let mut stage = Stage::new(8);
    let statement = db().execute("a", ("sad",)).look_up(LookUp::Never);
    let (sent, it) = stage.run(&statement, &[&moody(), &happy()]);
    assert_eq!(sent, ["PDS", "BES"]);
    let row = it.rows().next().unwrap();
    assert_eq!((row.get::<String>("mood"), row.get::<i32>("n")), ("happy".to_owned(), 1));
    assert!(!row.columns()[0].is_binary());
    // A parameter that is text is understood by every server.
    let mut stage = Stage::new(8);
    let described = [message(b'1', b""), moody().remove(1), message(b'n', b""), ready(b'I')];
    let done = [message(b'2', b""), complete("INSERT 0 1"), ready(b'I')];
    let (sent, _) = stage.run(&db().execute("a", ("sad",)), &[&described, &done]);
    assert_eq!(sent, ["PDS", "BES"], "nobody needs to know its type");
    let (sent, _) = stage.run(&db().execute("a", (Mood(&["sad"]),)), &[&catalogues("{sad}"), &done]);
    assert_eq!(sent, ["Q", "BES"], "and now somebody does");
}

#[test]
fn a_value_that_does_not_fit_what_is_known_of_its_type_has_it_looked_up_once_more() {
    let mut stage = Stage::new(8);
    stage.run(&db().execute("a", ("happy",)), &[&moody(), &catalogues("{happy}"), &happy()]);
    let new = db().execute("a", (Mood(&["happy", "new"]),));
    let (sent, it) = stage.run(&new, &[&catalogues("{happy,new}"), &happy()]);
    assert_eq!((sent, it.error()), (vec!["Q".to_owned(), "BES".to_owned()], None), "it was altered");
    let (mut run, mut into) = (db().execute("a", (7_i32,)).run(), Collected::new(1 << 20));
    let (sent, then) = stage.step(&mut run, &mut into, &catalogues("{happy,new}"));
    assert_eq!((&*sent, then), ("Q", Then::Again));
    let said = run.send(&mut stage.cache, |_| panic!("it was sent")).unwrap_err();
    assert_eq!(said.to_string(), "the value of $1 cannot be sent as mood");
}

/// The catalogues have enums of these numbers, called by them.
fn enums(oids: &[u32]) -> Vec<Vec<u8>> {
    let mut answer = catalogues("{a}");
    let row = |oid: &u32| {
        let oid = oid.to_string();
        let fields = [&oid, &oid, "public", "e", "0", "t", "{a}", "{}", "{}"];
        row(&fields.map(|field| Some(field.as_bytes())))
    };
    answer.splice(1..2, oids.iter().map(row));
    answer
}

/// Parse and Describe are answered: no parameters, and columns of these types.
fn columns(oids: &[u32]) -> Vec<Vec<u8>> {
    let columns: Vec<_> = oids.iter().map(|oid| ("a", *oid, 0)).collect();
    vec![message(b'1', b""), message(b't', &[0, 0]), described(&columns), ready(b'I')]
}

#[test]
fn a_statement_has_the_types_that_it_was_told_whatever_is_forgotten_meanwhile() {
    let types = |results: &Results| -> Vec<String> {
        results.sets()[0].columns().iter().map(|it| format!("{} {:?}", it.type_().name(), it.type_().kind())).collect()
    };
    let values =
        |count: usize| vec![message(b'2', b""), row(&vec![Some(&b"a"[..]); count]), complete("SELECT 1"), ready(b'I')];
    let expected = |oids: &[u32]| -> Vec<String> { oids.iter().map(|oid| format!("{oid} Enum([\"a\"])")).collect() };
    // All that can be remembered, and one of those with one more.
    let mut stage = Stage::new(8);
    let all: Vec<u32> = (100_000..101_023).collect();
    stage.run(&db().execute("all", ()), &[&columns(&all), &enums(&all), &values(all.len())]);
    let some = [100_000, 102_000, 102_001];
    for (at, exchanges) in [(0, &[columns(&some), enums(&some), values(3)][..]), (1, &[values(3)])] {
        let exchanges: Vec<_> = exchanges.iter().map(Vec::as_slice).collect();
        let (sent, it) = stage.run(&db().execute("some", ()), &exchanges);
        assert_eq!(types(&it), expected(&some), "{at}: {sent:?}");
    }
    // More than can be remembered.
    let all: Vec<u32> = (100_000..102_000).collect();
    for exchanges in [&[columns(&all), enums(&all), values(all.len())][..], &[values(all.len())]] {
        let exchanges: Vec<_> = exchanges.iter().map(Vec::as_slice).collect();
        let (sent, it) = stage.run(&db().execute("more", ()), &exchanges);
        assert_eq!(types(&it), expected(&all), "{sent:?}");
    }
    // Another connection alters something between the answer and the statement.
    let mut stage = Stage::new(8);
    let (statement, mut into) = (db().execute("a", ()), Collected::new(1 << 20));
    let mut run = statement.run();
    stage.step(&mut run, &mut into, &columns(&some));
    stage.step(&mut run, &mut into, &enums(&some));
    stage.cache.types().forget();
    let (sent, then) = stage.step(&mut run, &mut into, &values(3));
    assert_eq!((&*sent, then, types(&into.take())), ("BES", Then::Done, expected(&some)));
    let (sent, _) = stage.run(&statement, &[&enums(&some), &values(3)]);
    assert_eq!(sent, ["Q", "BES"], "what it was told then is not so any more");
}

#[test]
fn a_type_that_is_gone_leaves_the_statement_its_other_try() {
    let mut stage = Stage::new(8);
    let elsewhere = [error("26000", "FetchPreparedStatement"), ready(b'I')];
    let alone = [vec![message(b'1', b"")], happy()].concat();
    let closed = [vec![message(b'3', b"")], columns(&[99_999, 23])].concat();
    let answers: [&[Vec<u8>]; 6] =
        [&columns(&[100_000]), &enums(&[]), &closed, &catalogues("{happy}"), &elsewhere, &columns(&[99_999, 23])];
    let (sent, it) = stage.run(&db().execute("a", ()), &[&answers[..], &[&alone]].concat());
    assert_eq!((sent.concat(), it.error()), ("PDSQCPDSQBESPDSPBES".to_owned(), None), "behind a pooler");
}

#[test]
fn rows_that_are_not_as_they_were_looked_up_have_that_done_again() {
    let mut stage = Stage::new(8);
    let statement = db().execute("a", ("happy",));
    let (sent, _) = stage.run(&statement, &[&moody(), &catalogues("{sad}"), &happy()]);
    assert_eq!(sent, ["PDS", "Q", "BES"], "it has no such label");
    let (sent, _) = stage.run(&statement, &[&catalogues("{sad,happy}"), &happy()]);
    assert_eq!(sent, ["Q", "BES"]);
    let (sent, _) = stage.run(&statement, &[&happy()]);
    assert_eq!(sent, ["BES"], "and now it has");
    // Two are on their way when the first row comes: what was learned since is not forgotten for the second.
    let generation = stage.cache.types().generation();
    let calm = [message(b'2', b""), row(&[Some(b"calm"), Some(&[0, 0, 0, 1])]), complete("SELECT 1"), ready(b'I')];
    let (mut first, mut second, mut into) = (statement.run(), statement.run(), Collected::new(1 << 20));
    for run in [&mut first, &mut second] {
        run.send(&mut stage.cache, |request| stage.line.send(request)).unwrap();
    }
    for run in [&mut first, &mut second] {
        let cache = &mut stage.cache;
        stage.line.answer(&calm.concat(), |message| {
            let done = matches!(message, Message::Ready(_));
            run.message(&message, done, cache, &mut into).unwrap();
        });
        assert_eq!(stage.cache.types().generation(), generation + 1);
    }
}

#[test]
fn what_is_altered_is_looked_up_again() {
    let mut stage = Stage::new(8);
    let statement = db().execute("a", ("happy",));
    stage.run(&statement, &[&moody(), &catalogues("{happy}"), &happy()]);
    stage.run(&db().query("ALTER TYPE mood …"), &[&[complete("ALTER TYPE"), ready(b'T')]]);
    let inside = |mut answer: Vec<Vec<u8>>| {
        answer.splice(answer.len() - 1.., [ready(b'T')]);
        answer
    };
    let (sent, _) = stage.run(&statement, &[&inside(catalogues("{happy,new}")), &inside(happy())]);
    assert_eq!(sent, ["Q", "BES"], "inside of the transaction");
    stage.run(&db().query("ROLLBACK"), &[&[complete("ROLLBACK"), ready(b'I')]]);
    let (sent, _) = stage.run(&statement, &[&catalogues("{happy}"), &happy()]);
    assert_eq!(sent, ["Q", "BES"], "and when that is over, as it may have been taken back");
    let (sent, _) = stage.run(&statement, &[&happy()]);
    assert_eq!(sent, ["BES"]);
}

#[test]
fn a_look_up_that_fails_is_the_statements_own_failure_or_leaves_it_to_text() {
    let statement = db().execute("a", ("happy",));
    for (why, code, state) in
        [("it was cancelled", "57014", b'I'), ("it cannot be asked in a failed transaction", "25P02", b'E')]
    {
        let mut stage = Stage::new(8);
        let (sent, it) = stage.run(&statement, &[&moody(), &[error(code, "other"), ready(state)]]);
        assert_eq!(sent, ["PDS", "Q"], "{why}");
        assert_eq!(it.error().map(|error| error.code()), Some(code), "{why}");
        let (sent, _) = stage.run(&statement, &[&catalogues("{happy}"), &happy()]);
        assert_eq!(sent, ["Q", "BES"], "the next one asks again");
    }
    for (why, code, again) in [
        ("it has no such catalogues", "42P01", [false, false]),
        ("a label is in another encoding", "22021", [false, true]),
        ("somebody has locked them", "55P03", [true, true]),
    ] {
        for state in *b"IE" {
            let mut stage = Stage::new(8);
            let no = [error(code, "other"), ready(state)];
            let (sent, it) = if state == b'I' {
                stage.run(&statement, &[&moody(), &no, &happy()])
            } else {
                stage.run(&statement, &[&moody(), &no])
            };
            let expected = if state == b'I' { ("PDSQBES", None) } else { ("PDSQ", Some(code)) };
            assert_eq!((&*sent.concat(), it.error().map(|error| error.code())), expected, "{why}");
            if state == b'I' {
                assert_eq!(it.rows().next().unwrap().get::<String>("mood"), "happy");
            }
            for (sql, oid, asks) in [("a", 99_999, again[0]), ("b", 99_999, again[0]), ("c", 100_000, again[1])] {
                let answers = [columns(&[oid, 23]), enums(&[oid]), happy()];
                let answers: Vec<_> = answers.iter().map(Vec::as_slice).collect();
                let answers = [&answers[..usize::from(sql != "a")], &answers[1..][..usize::from(asks)], &answers[2..]];
                let statement = if sql == "a" { statement.clone() } else { db().execute(sql, ()) };
                let (sent, _) = stage.run(&statement, &answers.concat());
                assert_eq!(sent.concat().contains('Q'), asks, "{why}: {sql} in {}", char::from(state));
            }
        }
    }
}

#[test]
fn what_is_said_of_types_is_counted_by_the_memory_that_it_takes() {
    let mut stage = Stage::new(8);
    let (mut run, mut into) = (db().execute("a", ("happy",)).run(), Collected::new(10_000));
    stage.step(&mut run, &mut into, &moody());
    let before = into.size();
    let labels = |count: usize| catalogues(&format!("{{a{}}}", ",a".repeat(count - 1)));
    let (_, then) = stage.step(&mut run, &mut into, &labels(50_000)[..2]);
    assert_eq!(then, Then::More(Flow::Continue), "it is no part of the results, which are limited to 10,000 bytes");
    let labels_are = 50_000 * (size_of::<String>() + 1);
    assert!(into.size() - before > labels_are, "{} bytes are held by 50,000 labels", into.size() - before);
    let cache = &mut stage.cache;
    stage.line.answer(&labels(1)[2..].concat(), |message| {
        let done = matches!(message, Message::Ready(_));
        run.message(&message, done, cache, &mut into).unwrap();
    });
    assert_eq!(into.size(), before, "it is known to all, and belongs to none");
    let mut stage = Stage::new(8);
    let (_, it) = stage.run(&db().execute("a", ("happy",)), &[&moody(), &labels(100_000), &happy()]);
    let type_ = it.sets()[0].columns()[0].type_();
    assert_eq!(type_.name(), "99999", "200 kilobytes of labels that would be megabytes are not kept");
}

#[test]
fn types_of_which_too_much_is_said_are_text_for_their_statement() {
    let mut stage = Stage::new(8);
    let statement = db().execute("a", ("happy",));
    let mut answer = catalogues(&format!("{{{}}}", "x".repeat(60_000)));
    let row = answer[1].clone();
    answer.splice(1..2, std::iter::repeat_n(row, 100));
    let (sent, it) = stage.run(&statement, &[&moody(), &answer, &happy()]);
    assert_eq!((sent.concat(), it.error()), ("PDSQBES".to_owned(), None), "six megabytes of labels");
    assert_eq!(it.rows().next().unwrap().get::<String>("mood"), "happy");
    let (sent, _) = stage.run(&statement, &[&happy()]);
    assert_eq!(sent, ["BES"], "it would be as much again");
    let (sent, _) = stage.run(&db().execute("b", ("happy",)), &[&moody(), &catalogues("{happy}"), &happy()]);
    assert_eq!(sent, ["PDS", "Q", "BES"], "for another one there may be less");
}

#[test]
fn a_server_that_says_too_much_of_types_or_says_it_wrongly_is_not_believed() {
    let statement = db().execute("a", ("happy",));
    let asked = || {
        let mut stage = Stage::new(8);
        let (mut run, mut into) = (statement.run(), Collected::new(1 << 20));
        stage.step(&mut run, &mut into, &moody());
        run.send(&mut stage.cache, |request| stage.line.send(request)).unwrap();
        (stage, run, into)
    };
    let ends = |answer: Vec<Vec<u8>>, rows: usize| {
        let (mut stage, mut run, mut into) = asked();
        let mut end = None;
        let cache = &mut stage.cache;
        let all = [answer[0].clone(), answer[1].repeat(rows)].concat();
        stage.line.answer(&all, |message| {
            if end.is_none() {
                end = run.message(&message, false, cache, &mut into).err();
            }
        });
        format!("{end:?}")
    };
    assert!(ends(catalogues("{happy}"), 1_000).contains("None"), "a thousand types are many, and no attack");
    let large = ends(catalogues(&format!("{{{}}}", "x".repeat(60_000))), 100);
    assert!(large.contains("None"), "six megabytes of labels are not kept, but that is no reason to fail: {large}");
    let endless = ends(catalogues(&format!("{{{}}}", "x".repeat(60_000))), 1_200);
    assert!(endless.contains("bytes of type catalogues"), "72 megabytes of labels: {endless}");
    let wrong = ends(catalogues("happy"), 1);
    assert!(wrong.contains("Format"), "labels that are no array: {wrong}");
}

#[test]
fn what_is_known_of_a_statement_is_not_put_together_again_for_each_send() {
    let mut stage = Stage::new(8);
    // Of its parameter nothing is known, and nobody asks: it is text.
    let described = [message(b'1', b""), moody().remove(1), message(b'n', b""), ready(b'I')];
    let done = [message(b'2', b""), complete("INSERT 0 1"), ready(b'I')];
    let statement = db().execute("a", ("sad",));
    stage.run(&statement, &[&described, &done]);
    let types = Arc::default();
    let before = stage.cache.find(&statement.sql, &types).expect("it is prepared");
    stage.run(&statement, &[&done]);
    let after = stage.cache.find(&statement.sql, &types).expect("it still is");
    assert!(Arc::ptr_eq(&before, &after), "it was put together for one that knows no more");
    let same = stage.cache.with_types(&statement.sql, &types, after.clone(), None);
    assert!(Arc::ptr_eq(&same, &after));
}
