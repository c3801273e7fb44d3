//! Values against another implementation: whatever bytes come, both read the same value of the same length, or one
//! refuses them for a reason that is known; and what is read survives being written.
#![no_main]

use aquests_protocols::Error;
use aquests_protocols::Violation as Any;
use aquests_protocols::redis::{Limits, Value, Version, Violation, parse};
use libfuzzer_sys::fuzz_target;
use redis_protocol::resp3::decode::complete::decode;
use redis_protocol::resp3::types::{OwnedFrame, VerbatimStringFormat};

fuzz_target!(|input: &[u8]| {
    let ours = parse(input, Limits::default());
    if let Ok(Some((view, length))) = ours {
        let value = view.to_value();
        let written = survives(&value);
        if is_common(&value) {
            let theirs = decode(&written).unwrap_or_else(|error| panic!("{error:?}: {}", written.escape_ascii()));
            let Some((theirs, all)) = theirs else { panic!("not whole: {}", written.escape_ascii()) };
            assert!(all == written.len() && is_same(&value, &theirs), "{value:?}, and {theirs:?}");
            // As it came it may have been streamed, which is no complete frame for them, or null as in RESP2.
            if let Ok(Some((theirs, used))) = decode(input) {
                assert!(used == length && is_same(&value, &theirs), "{value:?} of {length}, and {theirs:?} of {used}");
            }
        }
        return;
    }
    // It calls itself for each level, whatever ours thinks of the bytes.
    if input.iter().filter(|byte| b"*%~>|".contains(byte)).count() > 200 {
        return;
    }
    if let Ok(Some((theirs, _))) = decode(input) {
        let Err(error) = ours else { panic!("not whole: {}, and {theirs:?}", input.escape_ascii()) };
        // It takes lengths with signs and zeros, strings without CRLF, lines with CR or LF, nulls with a text, pushes
        // anywhere, and an inline HELLO.
        let known = match error {
            Error::TooLarge(_) => true,
            Error::Violation(Any::Redis(violation)) => match violation {
                Violation::Type => input.windows(5).any(|word| word == b"HELLO"),
                violation => violation != Violation::Unsolicited,
            },
            _ => false,
        };
        assert!(known, "{error:?}, and {theirs:?}, of {}", input.escape_ascii());
    }
});

/// Writes it, and reads it again; returns what was written. As text, for NaN is not NaN.
fn survives(value: &Value) -> Vec<u8> {
    let mut written = Vec::new();
    value.encode(Version::Resp3, &mut written);
    let (again, length) = parse(&written, Limits::default()).unwrap().unwrap();
    assert_eq!(format!("{:?}", again.to_value()), format!("{value:?}"), "{}", written.escape_ascii());
    assert_eq!(length, written.len());
    let mut poorer = Vec::new();
    value.encode(Version::Resp2, &mut poorer);
    let (_, length) = parse(&poorer, Limits::default()).unwrap().unwrap();
    assert_eq!(length, poorer.len());
    written
}

/// Both can say it: it knows two formats of texts, errors in UTF-8, no aggregates as keys, and leaves out attributes in
/// the middle.
fn is_common(value: &Value) -> bool {
    match value {
        Value::Verbatim { format, .. } => matches!(format, b"txt" | b"mkd"),
        Value::Error(error) => core::str::from_utf8(error.as_ref().text()).is_ok(),
        Value::Array(values) | Value::Push(values) => values.iter().all(is_common),
        Value::Set(values) => values.iter().all(is_key),
        Value::Map(pairs) => pairs.iter().all(|(key, value)| is_key(key) && is_common(value)),
        Value::Attributed { .. } => false,
        _ => true,
    }
}

/// It is found again in a table.
fn is_key(value: &Value) -> bool {
    let other = matches!(
        value,
        Value::Array(_) | Value::Push(_) | Value::Set(_) | Value::Map(_) | Value::Error(_) | Value::Double(_)
    );
    !other && is_common(value)
}

fn is_same(ours: &Value, theirs: &OwnedFrame) -> bool {
    use OwnedFrame as Theirs;
    match (ours, theirs) {
        (Value::Null, Theirs::Null) => true,
        (Value::Simple(ours), Theirs::SimpleString { data, .. }) => ours == data,
        (Value::Bulk(ours), Theirs::BlobString { data, .. }) => ours == data,
        (Value::Error(ours), Theirs::SimpleError { data, .. }) => ours.as_ref().text() == data.as_bytes(),
        (Value::Error(ours), Theirs::BlobError { data, .. }) => ours.as_ref().text() == data,
        (Value::Integer(ours), Theirs::Number { data, .. }) => ours == data,
        (Value::Double(ours), Theirs::Double { data, .. }) => ours == data || (ours.is_nan() && data.is_nan()),
        (Value::Boolean(ours), Theirs::Boolean { data, .. }) => ours == data,
        (Value::BigNumber(ours), Theirs::BigNumber { data, .. }) => ours.as_bytes() == data,
        (Value::Verbatim { format, text }, Theirs::VerbatimString { data, format: theirs, .. }) => {
            let theirs = match theirs {
                VerbatimStringFormat::Text => b"txt",
                VerbatimStringFormat::Markdown => b"mkd",
            };
            format == theirs && text == data
        }
        (Value::Array(ours), Theirs::Array { data, .. }) | (Value::Push(ours), Theirs::Push { data, .. }) => {
            ours.len() == data.len() && ours.iter().zip(data).all(|(ours, theirs)| is_same(ours, theirs))
        }
        // Theirs are tables: without order, and each key once, with any of its values.
        (Value::Set(ours), Theirs::Set { data, .. }) => {
            ours.iter().all(|ours| data.iter().any(|theirs| is_same(ours, theirs)))
                && data.iter().all(|theirs| ours.iter().any(|ours| is_same(ours, theirs)))
        }
        (Value::Map(ours), Theirs::Map { data, .. }) => {
            ours.iter().all(|(ours, _)| data.keys().any(|theirs| is_same(ours, theirs)))
                && data
                    .iter()
                    .all(|(key, value)| ours.iter().any(|ours| is_same(&ours.0, key) && is_same(&ours.1, value)))
        }
        _ => false,
    }
}
