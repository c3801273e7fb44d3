//! Replies as types of Rust, in both versions of RESP.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::*;

fn text(text: &str) -> Value {
    Value::Bulk(text.into())
}

fn array<const N: usize>(values: [Value; N]) -> Value {
    Value::Array(values.into())
}

fn flat(words: &str) -> Value {
    Value::Array(words.split_whitespace().map(text).collect())
}

#[track_caller]
fn reads<T: FromValue + PartialEq + std::fmt::Debug>(value: Value, wanted: T) {
    let shown = format!("{value:?}");
    assert_eq!(T::from_value(value), Ok(wanted), "{shown}");
}

#[track_caller]
fn refuses<T: FromValue + std::fmt::Debug>(value: Value, words: &str) {
    let shown = format!("{value:?}");
    let error = T::from_value(value).expect_err(&shown);
    assert_eq!(error.to_string(), words, "{shown}");
}

#[test]
fn numbers_are_read_from_numbers_and_from_strings() {
    reads(Value::Integer(-7), -7_i64);
    reads(text("-7"), -7_i8);
    reads(Value::BigNumber("18446744073709551616".into()), 1_u128 << 64);
    reads(Value::Integer(255), 255_u8);
    refuses::<u8>(Value::Integer(256), "wanted an integer that fits into u8, and the reply is an integer");
    refuses::<u64>(Value::Integer(-1), "wanted an integer that fits into u64, and the reply is an integer");
    refuses::<i64>(text("1.5"), "wanted an integer that fits into i64, and the reply is a string of 3 bytes");
    refuses::<i64>(Value::Null, "wanted an integer that fits into i64, and the reply is nil");
    reads(Value::Double(0.5), 0.5_f64);
    reads(text("0.5"), 0.5_f32);
    reads(Value::Integer(2), 2.0_f64);
    reads(text("-inf"), f64::NEG_INFINITY);
    refuses::<f64>(text("x"), "wanted a number, and the reply is a string of 1 bytes");
}

#[test]
fn true_and_false_come_in_many_forms() {
    for (value, is) in [
        (Value::Boolean(true), true),
        (Value::Integer(1), true),
        (Value::Integer(0), false),
        (Value::Simple(b"OK".into()), true),
        (Value::Null, false),
        (text("1"), true),
        (text("0"), false),
    ] {
        reads(value, is);
    }
    refuses::<bool>(Value::Integer(2), "wanted true or false, and the reply is an integer");
    refuses::<bool>(text("yes"), "wanted true or false, and the reply is a string of 3 bytes");
}

#[test]
fn a_string_is_text_or_bytes_and_bytes_are_no_list() {
    reads(text("é"), "é".to_owned());
    reads(Value::Simple(b"OK".into()), "OK".to_owned());
    reads(Value::Verbatim { format: *b"txt", text: b"a".into() }, "a".to_owned());
    reads(Value::Integer(5), "5".to_owned());
    reads(Value::Double(1.5), "1.5".to_owned());
    reads(Value::Bulk(b"\xff\0".into()), b"\xff\0".to_vec());
    reads(Value::Integer(5), b"5".to_vec());
    reads(array([text("a"), text("b")]), vec![b"a".to_vec(), b"b".to_vec()]);
    refuses::<String>(Value::Bulk(b"\xff".into()), "wanted a string in UTF-8, and the reply is a string of 1 bytes");
    refuses::<Vec<u8>>(array([Value::Integer(1)]), "wanted a string, and the reply is an array of 1");
    refuses::<Vec<u16>>(text("ab"), "wanted an array, and the reply is a string of 2 bytes");
}

#[test]
fn nil_is_not_empty() {
    reads(Value::Null, None::<String>);
    reads(text(""), Some(String::new()));
    reads(Value::Null, None::<Vec<String>>);
    reads(array([]), Some(Vec::<String>::new()));
    reads(array([text("a"), Value::Null]), vec![Some("a".to_owned()), None]);
    refuses::<String>(Value::Null, "wanted a string, and the reply is nil");
    refuses::<Vec<String>>(Value::Null, "wanted an array, and the reply is nil");
}

#[test]
fn pairs_are_read_from_maps_from_flat_arrays_and_from_arrays_of_pairs() {
    let wanted = vec![("a".to_owned(), 1), ("b".to_owned(), 2)];
    let map = Value::Map(vec![(text("a"), Value::Integer(1)), (text("b"), Value::Integer(2))]);
    for value in [map, flat("a 1 b 2"), array([flat("a 1"), flat("b 2")])] {
        reads(value.clone(), wanted.clone());
        reads(value.clone(), wanted.iter().cloned().collect::<HashMap<_, _>>());
        reads(value, wanted.iter().cloned().collect::<BTreeMap<_, _>>());
    }
    reads(array([]), HashMap::<String, i64>::new());
    refuses::<Vec<(String, i64)>>(flat("a 1 b"), "wanted an array of two values, and the reply is an array of 3");
    refuses::<HashMap<String, i64>>(
        array([flat("a 1"), flat("b")]),
        "wanted two values, and the reply is an array of 1",
    );
}

#[test]
fn sets_and_tuples_are_read() {
    reads(Value::Set(vec![text("a"), text("b")]), HashSet::from(["a".to_owned(), "b".to_owned()]));
    reads(flat("2 1 2"), BTreeSet::from([1, 2]));
    reads(flat("a 1 0.5"), ("a".to_owned(), 1, 0.5));
    reads(flat("1 2 3 4 5 6 7 8"), (1, 2, 3, 4, 5, 6, 7, 8));
    reads(flat("a 1 x b 2 y"), vec![("a".to_owned(), 1, 'x'.to_string()), ("b".to_owned(), 2, "y".to_owned())]);
    refuses::<(i64, i64)>(flat("1 2 3"), "wanted two values, and the reply is an array of 3");
    // A page of SCAN, and one of HSCAN.
    reads(array([text("17"), flat("a b")]), (17_u64, vec!["a".to_owned(), "b".to_owned()]));
    reads(array([text("0"), flat("a 1")]), (0_u64, vec![("a".to_owned(), 1)]));
}

#[test]
fn streams_are_read_in_both_versions() {
    let entry = |id: &str, fields: &str| array([text(id), flat(fields)]);
    let wanted = StreamEntry { id: "1-1".into(), fields: vec![(b"city".into(), b"Plzen".into())] };
    assert_eq!(wanted.field("city"), Some(&b"Plzen"[..]));
    assert_eq!(wanted.field("town"), None);
    reads(array([entry("1-1", "city Plzen")]), vec![wanted.clone()]);
    let streams = Some(vec![("s".to_owned(), vec![wanted.clone()])]);
    reads(array([array([text("s"), array([entry("1-1", "city Plzen")])])]), streams.clone());
    reads(Value::Map(vec![(text("s"), array([entry("1-1", "city Plzen")]))]), streams);
    reads(Value::Null, None::<Vec<(String, Vec<StreamEntry>)>>);
    // One that was deleted is in what a consumer has not acknowledged, and nil in what another claims.
    reads(array([text("1-1"), Value::Null]), StreamEntry { id: "1-1".into(), fields: vec![] });
    reads(
        array([text("0-0"), array([Value::Null, entry("1-1", "city Plzen")]), flat("1-0")]),
        ("0-0".to_owned(), vec![None, Some(wanted)], vec!["1-0".to_owned()]),
    );
}

#[test]
fn an_error_of_the_server_is_told_with_its_code() {
    let reply = ErrorReply::new("WRONGTYPE Operation against a key");
    let error = String::from_value(Value::Error(reply.clone())).unwrap_err();
    assert_eq!((error.code(), error.message()), (Some("WRONGTYPE"), Some("Operation against a key")));
    assert_eq!(error.to_string(), "the server said: WRONGTYPE Operation against a key");
    assert_eq!(Option::<String>::from_value(Value::Error(reply.clone())), Err(error.clone()));
    assert_eq!(<()>::from_value(Value::Error(reply.clone())), Err(error.clone()));
    // In an array, as of EXEC, the rest is not lost where one asks for it.
    let mixed = array([Value::Integer(1), Value::Error(reply.clone())]);
    assert_eq!(Vec::<i64>::from_value(mixed.clone()), Err(error));
    reads(mixed.clone(), (Ok::<i64, ErrorReply>(1), Err::<i64, _>(reply.clone())));
    reads(mixed.clone(), mixed.as_slice().unwrap().to_vec());
    assert_eq!(i64::from_value(text("x")).unwrap_err().code(), None);
}

#[test]
fn attributes_are_not_in_the_way() {
    let attributed =
        |value| Value::Attributed { attributes: vec![(text("ttl"), Value::Integer(1))], value: Box::new(value) };
    reads(attributed(array([attributed(text("1")), attributed(Value::Null)])), vec![Some(1), None]);
    let error = i64::from_value(attributed(Value::Error(ErrorReply::new("ERR no")))).unwrap_err();
    assert_eq!(error.code(), Some("ERR"));
}

#[test]
fn a_read_error_does_not_show_what_came() {
    let shown = format!("{:?}", i64::from_value(text("hunter2")).unwrap_err());
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// Any value, no deeper than `depth`.
pub(super) fn any(numbers: &mut Numbers, depth: u64) -> Value {
    let many = |numbers: &mut Numbers| (0..numbers.below(4)).map(|_| any(numbers, depth - 1)).collect();
    let kinds = if depth == 0 { 9 } else { 13 };
    match numbers.below(kinds) {
        0 => Value::Null,
        1 => Value::Simple(b"OK".into()),
        2 => Value::Bulk(numbers.next().to_le_bytes()[..numbers.below(9) as usize].into()),
        3 => text(&numbers.below(300).to_string()),
        4 => Value::Integer(numbers.below(600) as i64 - 300),
        5 => Value::Double(f64::from_bits(numbers.next())),
        6 => Value::Boolean(numbers.below(2) == 0),
        7 => Value::BigNumber("123456789012345678901234567890".into()),
        8 if numbers.below(8) == 0 => Value::Error(ErrorReply::new("ERR no")),
        8 => Value::Verbatim { format: *b"txt", text: b"a".into() },
        9 => Value::Set(many(numbers)),
        10 => Value::Map((0..numbers.below(4)).map(|_| (any(numbers, depth - 1), any(numbers, depth - 1))).collect()),
        11 => Value::Attributed { attributes: Vec::new(), value: Box::new(any(numbers, 0)) },
        _ => Value::Array(many(numbers)),
    }
}

#[test]
fn any_reply_is_read_or_refused() {
    let mut numbers = Numbers(11);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let value = any(&mut numbers, 3);
        macro_rules! read {
            ($($type:ty),*) => {$(
                match <$type>::from_value(value.clone()) {
                    Ok(_) => read += 1,
                    Err(_) => refused += 1,
                }
            )*};
        }
        read!(u8, i128, f32, bool, String, Vec<u8>, Vec<Vec<u8>>, Option<i64>, HashMap<String, String>);
        read!(Vec<(String, f64)>, (u64, Vec<String>), HashSet<i64>, Vec<StreamEntry>, Vec<(i64, i64, i64)>);
    }
    assert!(read > 1000 && refused > 1000, "{read} read, {refused} refused");
}

#[test]
fn what_is_written_is_read_again() {
    let mut numbers = Numbers(13);
    for _ in 0..5_000 {
        let pairs: BTreeMap<String, i64> =
            (0..numbers.below(6)).map(|_| (numbers.below(100).to_string(), numbers.next() as i64)).collect();
        let value = Value::Map(pairs.iter().map(|(key, number)| (text(key), Value::Integer(*number))).collect());
        for version in [Version::Resp2, Version::Resp3] {
            let mut wire = Vec::new();
            value.encode(version, &mut wire);
            let Ok(Some((reply, _))) = protocols::redis::parse(&wire, Limits::default()) else {
                panic!("no value: {}", wire.escape_ascii());
            };
            reads(Value::from(reply), pairs.clone());
            reads(Value::from(reply), pairs.clone().into_iter().collect::<Vec<_>>());
        }
    }
}
