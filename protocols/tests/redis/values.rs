//! Values: looked into, owned, written and read again.

use aquests_protocols::redis::{Content, ErrorReply, Value, ValueRef, Version, parse};

use super::*;

fn view(bytes: &[u8]) -> ValueRef<'_> {
    let (value, length) = parse(bytes, Limits::default()).unwrap().unwrap();
    assert_eq!(length, bytes.len());
    value
}

#[test]
fn every_type_is_looked_into() {
    for (bytes, content) in [
        ("_\r\n", Content::Null),
        ("$-1\r\n", Content::Null),
        ("*-1\r\n", Content::Null),
        ("+OK\r\n", Content::Simple(b"OK")),
        ("$0\r\n\r\n", Content::Bulk(b"")),
        ("$4\r\n\r\n\r\n\r\n", Content::Bulk(b"\r\n\r\n")),
        (":-7\r\n", Content::Integer(-7)),
        (",1e-3\r\n", Content::Double(0.001)),
        (",-inf\r\n", Content::Double(f64::NEG_INFINITY)),
        ("#t\r\n", Content::Boolean(true)),
        ("#f\r\n", Content::Boolean(false)),
        ("(12345678901234567890123\r\n", Content::BigNumber("12345678901234567890123")),
        ("=7\r\nmkd:# a\r\n", Content::Verbatim { format: *b"mkd", text: b"# a" }),
    ] {
        assert_eq!(view(bytes.as_bytes()).read(), content, "{bytes:?}");
        assert_eq!(view(format!("|1\r\n+a\r\n*1\r\n+b\r\n{bytes}").as_bytes()).read(), content, "{bytes:?}");
    }
    assert!(matches!(view(b",nan\r\n").read(), Content::Double(number) if number.is_nan()));
    assert!(view(b"$-1\r\n").is_null() && !view(b"$0\r\n\r\n").is_null() && !view(b"*0\r\n").is_null());
}

#[test]
fn aggregates_are_walked_without_being_owned() {
    let bytes = b"*4\r\n%1\r\n+a\r\n*2\r\n:1\r\n:2\r\n|1\r\n+x\r\n+y\r\n$?\r\n;2\r\nbc\r\n;1\r\nd\r\n;0\r\n*?\r\n:3\r\n.\r\n:4\r\n";
    let items: Vec<_> = view(bytes).items().unwrap().collect();
    assert_eq!(items.len(), 4);
    let pairs: Vec<_> = items[0].items().unwrap().pairs().collect();
    assert_eq!(pairs[0].0.bytes(), Some(&b"a"[..]));
    assert_eq!(pairs[0].1.items().unwrap().map(|item| item.integer().unwrap()).collect::<Vec<_>>(), [1, 2]);
    let Content::Chunks(chunks) = items[1].read() else { panic!("{:?}", items[1]) };
    assert_eq!(chunks.collect::<Vec<_>>(), [&b"bc"[..], b"d"]);
    let attributes: Vec<_> = items[1].attributes().map(|(key, value)| (key.bytes(), value.bytes())).collect();
    assert_eq!(attributes, [(Some(&b"x"[..]), Some(&b"y"[..]))]);
    assert_eq!(items[2].items().unwrap().left(), None);
    assert_eq!(items[2].items().unwrap().count(), 1);
    assert_eq!(items[3].integer(), Some(4));
    let several = view(b"|1\r\n+a\r\n:1\r\n|0\r\n|2\r\n+b\r\n:2\r\n+c\r\n:3\r\n|0\r\n:9\r\n");
    assert_eq!(several.attributes().map(|(_, value)| value.integer().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((several.integer(), view(b":1\r\n").attributes().count()), (Some(9), 0));
}

#[test]
fn owned_values_answer_for_both_versions() {
    let value = |bytes: &str| view(bytes.as_bytes()).to_value();
    for map in ["%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n$1\r\n2\r\n", "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n$1\r\n2\r\n"] {
        let map = value(map);
        assert_eq!((map.at("a").unwrap().as_i64(), map.at("b").unwrap().as_i64()), (Some(1), Some(2)));
        assert_eq!(map.at("c"), None);
    }
    assert_eq!([",1.5\r\n", "$3\r\n1.5\r\n"].map(|it| value(it).as_f64()), [Some(1.5); 2]);
    assert_eq!(["#t\r\n", ":1\r\n"].map(|it| value(it).as_bool()), [Some(true); 2]);
    assert_eq!(["+1\r\n", ":2\r\n", "$1\r\nx\r\n"].map(|it| value(it).as_bool()), [None; 3]);
    assert_eq!(value("=6\r\ntxt:ab\r\n").as_str(), Some("ab"));
    assert!(value("*-1\r\n").is_null() && !value("*0\r\n").is_null());
    assert_eq!(value("*0\r\n").as_slice(), Some(&[][..]));
    let attributed = value("|1\r\n+a\r\n+b\r\n:7\r\n");
    assert_eq!((attributed.as_i64(), attributed.plain()), (Some(7), &Value::Integer(7)));
}

/// `Debug` is for people: text is text.
#[test]
fn a_value_shows_its_bytes_as_text() {
    let all = "*9\r\n+OK\r\n$2\r\na\n\r\n-ERR no\r\n:1\r\n_\r\n%1\r\n#t\r\n,0.5\r\n~0\r\n=5\r\ntxt:x\r\n|1\r\n+a\r\n(1\r\n*0\r\n";
    let shown = "Array([Simple(\"OK\"), Bulk(\"a\\n\"), Error(\"ERR no\"), Integer(1), Null, Map([(Boolean(true), \
                 Double(0.5))]), Set([]), Verbatim(\"txt\", \"x\"), Attributed([(Simple(\"a\"), BigNumber(\"1\"))], \
                 Array([]))])";
    assert_eq!(format!("{:?}", view(all.as_bytes()).to_value()), shown);
    assert_eq!(format!("{:?}", view(b">1\r\n+x\r\n").to_value()), "Push([Simple(\"x\")])");
}

/// Only what is whole is a value, and what is behind it belongs to others.
#[test]
fn a_part_of_a_value_is_none() {
    let bytes = b"*2\r\n$1\r\na\r\n%1\r\n+k\r\n=5\r\ntxt:x\r\n";
    for length in 0..bytes.len() {
        assert_eq!(parse(&bytes[..length], Limits::default()), Ok(None), "{length}");
    }
    let (_, length) =
        parse(&[&bytes[..], b"rest"].concat(), Limits::default()).map(|it| it.map(|(_, n)| ((), n))).unwrap().unwrap();
    assert_eq!(length, bytes.len());
    assert_eq!(parse(b"x", Limits::default()).err(), broken(Violation::Type));
    // Here nothing is told in parts.
    let long = [&b"$100000\r\n"[..], &[0; 100_002]].concat();
    assert_eq!(parse(&long, Limits::default()).err(), broken(Violation::Bulk));
}

/// Numbers that look unordered and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.roll(9)).map(|_| b"\r\n\0$*aZ\xff+"[self.roll(9) as usize]).collect()
    }

    fn line(&mut self) -> Vec<u8> {
        self.bytes().into_iter().filter(|byte| !b"\r\n".contains(byte)).collect()
    }

    fn values(&mut self, depth: u32) -> Vec<Value> {
        (0..self.roll(4)).map(|_| self.value(depth)).collect()
    }

    fn pairs(&mut self, depth: u32) -> Vec<(Value, Value)> {
        (0..self.roll(4)).map(|_| (self.value(depth), self.value(depth))).collect()
    }

    fn value(&mut self, depth: u32) -> Value {
        match self.roll(if depth == 0 { 9 } else { 13 }) {
            0 => Value::Null,
            1 => Value::Simple(self.line()),
            2 => Value::Bulk(self.bytes()),
            3 => Value::Error(ErrorReply::new(self.bytes())),
            4 => Value::Integer((self.roll(1 << 31) as i64 - (1 << 30)) << self.roll(34)),
            5 => Value::Boolean(self.roll(2) == 0),
            6 => Value::Double(match self.roll(4) {
                0 => f64::INFINITY,
                1 => f64::from_bits(self.roll(1 << 31) << 20),
                2 => -0.0,
                _ => self.roll(1000) as f64 / 8.0,
            }),
            7 => Value::BigNumber(format!("-{}{}", self.roll(1 << 31), self.roll(1 << 31))),
            8 => Value::Verbatim { format: *b"txt", text: self.bytes() },
            9 => Value::Array(self.values(depth - 1)),
            10 => Value::Set(self.values(depth - 1)),
            11 => Value::Map(self.pairs(depth - 1)),
            _ => {
                let mut attributes = self.pairs(depth - 1);
                attributes.push((Value::Integer(1), Value::Null));
                let value = Box::new(self.value(depth - 1).plain().clone());
                Value::Attributed { attributes, value }
            }
        }
    }
}

/// Any value survives RESP3, in a machine and at every cut, and between others.
#[test]
fn any_value_is_written_and_read_again() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let values: Vec<_> = (0..3).map(|_| dice.value(4)).collect();
        let mut bytes = Vec::new();
        values.iter().for_each(|value| value.encode(Version::Resp3, &mut bytes));
        let mut rest = &bytes[..];
        for value in &values {
            let (read, length) = parse(rest, Limits::default()).unwrap().unwrap();
            assert_eq!(read.to_value(), *value, "seed {seed}: {read:?}");
            let mut again = Vec::new();
            read.to_value().encode(Version::Resp3, &mut again);
            assert_eq!(again, &rest[..length], "seed {seed}");
            rest = &rest[length..];
        }
        if seed < 40 && bytes.len() < 2000 {
            let run = splits(&bytes, true, || in_resp3(&["A", "B", "C"]));
            assert_eq!((run.events.len(), run.error), (3, None), "seed {seed}");
        }
    }
}

/// RESP2 says less, and what it says is read.
#[test]
fn any_value_is_written_in_resp2_with_its_types_alone() {
    for seed in 0..300 {
        let value = Dice(seed).value(4);
        let mut bytes = Vec::new();
        value.encode(Version::Resp2, &mut bytes);
        let (read, length) = parse(&bytes, Limits::default()).unwrap().unwrap();
        assert_eq!(length, bytes.len(), "seed {seed}");
        let flat = read.to_value();
        let mut again = Vec::new();
        flat.encode(Version::Resp2, &mut again);
        assert_eq!(again, bytes, "seed {seed}");
        only_resp2(&flat);
    }
    let mut bytes = Vec::new();
    let map = Value::Map(vec![(Value::Simple(b"a\r\nb".into()), Value::Boolean(true))]);
    map.encode(Version::Resp2, &mut bytes);
    Value::Push(vec![Value::Double(0.5), Value::Null]).encode(Version::Resp2, &mut bytes);
    Value::Error(ErrorReply::new("ERR a\r\nb")).encode(Version::Resp2, &mut bytes);
    assert_eq!(String::from_utf8(bytes).unwrap(), "*2\r\n+a  b\r\n:1\r\n*2\r\n$4\r\n5e-1\r\n$-1\r\n-ERR a  b\r\n");
}

fn only_resp2(value: &Value) {
    match value {
        Value::Array(values) => values.iter().for_each(only_resp2),
        Value::Null | Value::Simple(_) | Value::Bulk(_) | Value::Error(_) | Value::Integer(_) => {}
        other => panic!("{other:?}"),
    }
}
