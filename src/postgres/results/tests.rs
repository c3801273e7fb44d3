use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::postgres::Value;
use crate::postgres::testing::{complete, described, error, message, ready, row, tell, tell_undescribed, texts};

fn collect_with(bytes: &[u8], mut collected: Collected) -> Result<Results, Stopped> {
    let mut end = Ok(());
    tell(bytes, |message| {
        if end.is_ok() {
            end = collected.message(&message).map(drop);
        }
    });
    end.map(|()| collected.take())
}

fn collect(parts: &[Vec<u8>]) -> Results {
    collect_with(&parts.concat(), Collected::new(1 << 20)).unwrap()
}

#[test]
fn every_statement_of_a_query_has_its_result() {
    let it = collect(&[
        complete("BEGIN"),
        described(&[("city", 25, 0), ("prcp", 700, 0)]),
        texts(&["Plzeň", "0.25"]),
        row(&[None, Some(b"1e-05")]),
        complete("SELECT 2"),
        message(b'I', b""),
        complete("INSERT 0 3"),
        ready(b'T'),
    ]);
    let tags: Vec<_> = it.sets().iter().map(ResultSet::tag).collect();
    assert_eq!(tags, ["BEGIN", "SELECT 2", "", "INSERT 0 3"]);
    assert_eq!((it.affected(), it.transaction()), (5, Transaction::Open));
    let rows: Vec<_> = it.rows().collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].get::<String>("city"), "Plzeň");
    assert_eq!(rows[0].get::<f32>(1), 0.25);
    assert_eq!(rows[1].get::<Option<String>>("city"), None);
    let values = [("city", Value::Null), ("prcp", Value::Float(1e-5))];
    assert_eq!(rows[1].map(), values.into_iter().collect());
}

#[test]
fn what_came_before_an_error_is_kept() {
    let it = collect(&[
        complete("CREATE TABLE"),
        described(&[("a", 23, 0)]),
        texts(&["1"]),
        error("22012", "int4div"),
        ready(b'I'),
    ]);
    assert_eq!(it.sets().len(), 2);
    assert_eq!((it.sets()[1].len(), it.sets()[1].tag()), (1, ""));
    assert_eq!(it.error().map(ServerError::code), Some(crate::postgres::sqlstate::DIVISION_BY_ZERO));
    assert_eq!(it.into_result().unwrap_err().routine(), Some("int4div"));
}

#[test]
fn text_is_read_as_the_type_that_the_program_names() {
    let columns: Vec<_> =
        [16, 20, 1184, 17, 1007, 114, 99_999, 600].map(|type_oid| ("x", type_oid, 0)).into_iter().collect();
    let values = ["t", "-7", "2000-01-01 01:00:00+01", "\\x00ff", "{1,NULL}", "{\"a\":1}", "happy", "(1,2)"];
    let it = collect(&[described(&columns), texts(&values), complete("SELECT 1"), ready(b'I')]);
    let row = it.rows().next().unwrap();
    assert!(row.get::<bool>(0));
    assert_eq!(row.get::<i64>(1), -7);
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_800);
    assert_eq!(row.get::<SystemTime>(2), epoch);
    assert_eq!(row.get::<Vec<u8>>(3), [0, 0xff]);
    assert_eq!(row.get::<Vec<Option<i32>>>(4), [Some(1), None]);
    assert_eq!(row.get::<serde_json::Value>(5)["a"], 1);
    assert_eq!(row.get::<String>(6), "happy", "an enum has a number that nobody knows");
    assert_eq!(row.get::<String>(7), "(1,2)", "what came as text can be had as text");
    assert_eq!(row.try_get::<i32>(1).unwrap_err().kind(), crate::ErrorKind::InvalidRequest, "an int8 is no i32");
    assert!(row.try_get::<bool>(99).is_err() && row.try_get::<bool>("y").is_err());
    let names: Vec<_> = row.columns().iter().map(|column| column.type_().name()).collect();
    assert_eq!(names[6], "99999");
}

#[test]
fn a_value_that_is_not_as_its_type_is_an_error() {
    let columns = described(&[("a", 23, 0), ("b", 1184, 1), ("c", 1009, 1)]);
    let it = collect(&[columns, row(&[Some(b"x"), Some(b"\0"), Some(b"\0")]), complete("SELECT 1")]);
    let row = it.rows().next().unwrap();
    assert!(row.try_get::<i32>(0).is_err(), "an int4 of 'x'");
    assert!(row.try_get::<SystemTime>(1).is_err(), "a timestamp of one byte");
    assert!(row.try_get::<Option<i32>>(0).is_err());
    assert_eq!(row.text(1).unwrap(), "\\x00", "what cannot be said is shown as it came");
    assert_eq!((row.text(2), row.values().last()), (None, Some(Value::Bytes(vec![0]))), "an array of one byte");
}

#[test]
fn a_server_that_says_too_much_is_stopped() {
    let header = described(&[("a", 25, 0)]);
    for flood in [
        vec![header.clone(), texts(&["x".repeat(100).as_str()]).repeat(50)],
        vec![header, row(&[None]).repeat(1_000)],
        vec![complete("BEGIN").repeat(100)],
        vec![message(b'I', b"").repeat(100)],
        vec![message(b'N', format!("M{}\0\0", "x".repeat(500)).as_bytes()).repeat(10)],
        vec![message(b'H', &[0, 0, 0]), message(b'd', &[b'x'; 500]).repeat(10)],
    ] {
        let end = collect_with(&flood.concat(), Collected::new(4_000));
        let told = matches!(end, Err(Stopped::Peer(protocols::Error::TooLarge(Limit { value: 4_000, .. }))));
        assert!(told, "{end:?} of a flood that begins with {}", flood[0].escape_ascii());
    }
}

#[test]
fn rows_that_are_given_away_are_not_kept() {
    let (sender, receiver) = mpsc::channel();
    let on_row: OnRow = Box::new(move |row| {
        sender.send(row.get::<i32>(0))?;
        Ok(if row.get::<i32>(0) == 2 { Flow::Hold } else { Flow::Continue })
    });
    let mut collected = Collected::new(1_000);
    collected.set_taker(Taker::Rows(on_row));
    let mut flows = Vec::new();
    let rows: Vec<_> = (0..500).map(|number| texts(&[&number.to_string()])).collect();
    let bytes = [described(&[("a", 23, 0)]), rows.concat(), complete("SELECT 500"), ready(b'I')].concat();
    tell(&bytes, |message| flows.push(collected.message(&message).unwrap()));
    assert_eq!(receiver.iter().take(500).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    assert_eq!(flows.iter().filter(|flow| **flow == Flow::Hold).count(), 1);
    assert!(collected.size() < 1_000, "{} bytes are held", collected.size());
    let it = collected.take();
    assert_eq!((it.rows().len(), it.affected()), (0, 500));
}

#[test]
fn parts_are_told_in_their_order_and_not_kept() {
    let (sender, receiver) = mpsc::channel();
    let on_part: OnPart = Box::new(move |part| {
        sender.send(match part {
            Part::Columns(columns) => columns.iter().map(Column::name).collect(),
            Part::Row(row) => row.text(0).unwrap().into_owned(),
            Part::Copied(bytes) => format!("copied {}", String::from_utf8_lossy(bytes)),
            Part::Done(tag) => format!("({tag})"),
            Part::Suspended => "suspended".to_owned(),
            Part::Notice(notice) => notice.message().to_owned(),
        })?;
        Ok(Flow::Continue)
    });
    let mut collected = Collected::new(1_000);
    collected.set_taker(Taker::Parts(on_part));
    let floods = [texts(&[&"x".repeat(900)]), message(b'd', &[b'y'; 900])];
    let bytes = [
        described(&[("a", 25, 0)]),
        complete("SELECT 0"),
        described(&[("b", 25, 0)]),
        texts(&["1"]),
        floods[0].repeat(2),
        complete("SELECT 3"),
        message(b'I', b""),
        message(b'N', format!("M{}\0\0", "z".repeat(900)).as_bytes()).repeat(2),
        message(b'H', &[0, 0, 0]),
        floods[1].repeat(2),
        message(b'c', b""),
        complete("COPY 2"),
        ready(b'I'),
    ];
    tell(&bytes.concat(), |message| assert_eq!(collected.message(&message).unwrap(), Flow::Continue));
    let mut told: Vec<String> = Vec::new();
    for part in receiver.try_iter() {
        match (told.last_mut(), part.strip_prefix("copied ")) {
            // It is cut anywhere.
            (Some(last), Some(more)) if last.starts_with("copied ") => last.push_str(more),
            _ => told.push(part),
        }
    }
    let (row, notice, copied) = ("x".repeat(900), "z".repeat(900), format!("copied {}", "y".repeat(1_800)));
    let expected = ["a", "(SELECT 0)", "b", "1", &row, &row, "(SELECT 3)", "()", &notice, &notice, &copied, "(COPY 2)"]
        .map(str::to_owned);
    assert_eq!(told, expected);
    assert_eq!(collected.results().sets().len(), 4, "what was done is still told");
}

#[test]
fn a_result_is_put_together_again_from_its_rows() {
    let bytes = [described(&[("a", 25, 0)]), texts(&["1"]), texts(&["2"]), complete("SELECT 2"), ready(b'I')].concat();
    let results = collect_with(&bytes, Collected::new(1_000)).unwrap();
    let set = &results.sets()[0];
    let mut kept = ResultSet::with_columns(set.columns());
    set.rows().for_each(|row| kept.push(&row));
    let texts = |set: &ResultSet| set.rows().map(|row| row.get::<String>("a")).collect::<Vec<_>>();
    assert_eq!((texts(&kept), kept.len()), (texts(set), 2));
}

#[test]
fn a_callback_that_fails_ends_it() {
    let on_row: OnRow = Box::new(|_| Err("no more".into()));
    let bytes = [described(&[("a", 23, 0)]), texts(&["1"])].concat();
    let mut collected = Collected::new(1_000);
    collected.set_taker(Taker::Rows(on_row));
    let end = collect_with(&bytes, collected);
    assert!(matches!(end, Err(Stopped::Callback(error)) if error.to_string() == "no more"));
}

#[test]
fn a_row_that_was_not_described_so_is_refused() {
    let mut collected = Collected::new(1_000);
    let columns = Arc::default();
    collected.describe(&columns).unwrap();
    let mut end = Ok(());
    tell_undescribed(&texts(&["a"]), |message| end = collected.message(&message).map(drop));
    assert!(matches!(end, Err(Stopped::Peer(error)) if error == Violation::Row.into()), "a field without a column");
}
