use postgres_types::Field;

use super::*;

fn shown(type_: Type, raw: &[u8]) -> Option<String> {
    let mut out = String::new();
    write(&type_, raw, &mut out).map(|()| out)
}

#[test]
fn numbers_are_as_the_server_writes_them() {
    for (number, expected) in [
        (0.1, "0.1"),
        (-0.0, "-0"),
        (1e14, "100000000000000"),
        (1e15, "1e+15"),
        (123.456, "123.456"),
        (0.0001, "0.0001"),
        (0.000012, "1.2e-05"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Infinity"),
        (1.5e300, "1.5e+300"),
    ] {
        assert_eq!(shown(Type::FLOAT8, &f64::to_be_bytes(number)).as_deref(), Some(expected));
    }
    assert_eq!(shown(Type::FLOAT4, &1e6f32.to_be_bytes()).as_deref(), Some("1e+06"));
    let numeric =
        |words: &[i16]| shown(Type::NUMERIC, &words.iter().flat_map(|it| it.to_be_bytes()).collect::<Vec<_>>());
    assert_eq!(numeric(&[3, 1, 0x4000, 2, 1, 2345, 6700]).as_deref(), Some("-12345.67"));
    assert_eq!(numeric(&[1, -2, 0, 8, 12]).as_deref(), Some("0.00000012"));
    assert_eq!(numeric(&[1, 1, 0, 0, 5]).as_deref(), Some("50000"));
    assert_eq!(numeric(&[0, 0, 0, 3]).as_deref(), Some("0.000"));
    assert_eq!(numeric(&[0, 0, -0x4000, 0]).as_deref(), Some("NaN"));
    assert_eq!(numeric(&[2, 0, 0, 0, 1]), None, "a digit is missing");
}

#[test]
fn times_are_as_the_server_writes_them() {
    for (days, expected) in [
        (0, "2000-01-01"),
        (-730_119, "0001-01-01"),
        (-730_120, "0001-12-31 BC"),
        (59, "2000-02-29"),
        (i32::MAX, "infinity"),
    ] {
        assert_eq!(shown(Type::DATE, &i32::to_be_bytes(days)).as_deref(), Some(expected));
    }
    assert_eq!(shown(Type::TIMESTAMPTZ, &(-1i64).to_be_bytes()).as_deref(), Some("1999-12-31 23:59:59.999999+00"));
    let interval = |micros: i64, days: i32, months: i32| {
        let raw = [&micros.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat();
        shown(Type::INTERVAL, &raw).unwrap()
    };
    assert_eq!(interval(0, 0, 0), "00:00:00");
    assert_eq!(interval(-1_500_000, 1, -13), "-1 years -1 mons +1 day -00:00:01.5");
    assert_eq!(interval(3_600_000_000, -2, 0), "-2 days +01:00:00");
}

#[test]
fn arrays_quote_what_could_be_something_else() {
    let array = |values: &[Option<&str>]| {
        let mut raw = [1, 1, 25, values.len() as i32, 1].map(i32::to_be_bytes).concat();
        for value in values {
            raw.extend(value.map_or(-1, |it| it.len() as i32).to_be_bytes());
            raw.extend(value.unwrap_or_default().bytes());
        }
        raw
    };
    let raw = array(&[Some("a"), None, Some("null"), Some(""), Some("b\"\\ ,")]);
    assert_eq!(shown(Type::TEXT_ARRAY, &raw).as_deref(), Some(r#"{a,NULL,"null","","b\"\\ ,"}"#));
    assert_eq!(shown(Type::TEXT_ARRAY, &raw[..raw.len() - 1]), None, "its last value ends early");
    let endless = [1, 0, 25, i32::MAX, 1].map(i32::to_be_bytes).concat();
    assert_eq!(shown(Type::TEXT_ARRAY, &endless), None, "it says that it has 2^31 values");
}

/// A type of somebody's own.
fn own(name: &str, kind: Kind) -> Type {
    Type::new(name.to_owned(), 99_999, kind, "public".to_owned())
}

/// Lengths and bytes behind each other; `None` is NULL.
fn values(values: &[Option<&[u8]>]) -> Vec<u8> {
    let value = |value: &Option<&[u8]>| {
        let length = value.map_or(-1, |it| it.len() as i32).to_be_bytes();
        [&length[..], value.unwrap_or_default()].concat()
    };
    values.iter().flat_map(value).collect()
}

/// A record of these fields, each with the number of its type.
fn record(fields: &[(u32, Option<&[u8]>)]) -> Vec<u8> {
    let mut raw = (fields.len() as i32).to_be_bytes().to_vec();
    for (oid, field) in fields {
        raw.extend(oid.to_be_bytes());
        raw.extend(values(&[*field]));
    }
    raw
}

#[test]
fn what_users_made_is_as_the_server_writes_it() {
    let mood = own("mood", Kind::Enum(vec!["happy".into()]));
    assert_eq!(shown(mood, b"happy").as_deref(), Some("happy"));
    let dom = own("dom", Kind::Domain(Type::INT4));
    assert_eq!(shown(dom.clone(), &[0, 0, 0, 7]).as_deref(), Some("7"));
    let fields = [("a", dom), ("b", Type::TEXT), ("c", Type::TEXT), ("d", Type::TEXT)];
    let fields = fields.map(|(name, type_)| Field::new(name.into(), type_));
    let pair = own("pair", Kind::Composite(fields.to_vec()));
    let raw = record(&[(99_999, Some(&[0, 0, 0, 7])), (25, None), (25, Some(b"")), (25, Some(b"x \"\\"))]);
    assert_eq!(shown(pair.clone(), &raw).as_deref(), Some(r#"(7,,"","x ""\\")"#));
    assert_eq!(shown(pair.clone(), &raw[..raw.len() - 1]), None, "its last field ends early");
    let other = record(&[(23, Some(&[0, 0, 0, 7])), (25, None), (25, None), (25, None), (16, Some(&[1]))]);
    assert_eq!(shown(pair.clone(), &other).as_deref(), Some("(7,,,,t)"), "it says itself what it is made of now");
    let other = record(&[(99_998, Some(b"sad")), (25, None), (25, None), (25, None)]);
    assert_eq!(shown(pair, &other), None, "a field has a type that nobody knows");
    let ranges = own("ranges", Kind::Multirange(Type::INT4));
    let range = |from: u8, to: u8| [&[2][..], &values(&[Some(&[0, 0, 0, from]), Some(&[0, 0, 0, to])])].concat();
    let two = [&2_i32.to_be_bytes()[..], &values(&[Some(&range(1, 2)), Some(&range(5, 6))])].concat();
    assert_eq!(shown(ranges.clone(), &two).as_deref(), Some("{[1,2),[5,6)}"));
    assert_eq!(shown(ranges.clone(), &[0; 4]).as_deref(), Some("{}"));
    assert_eq!(shown(ranges, &i32::MAX.to_be_bytes()), None, "it says that it has 2^31 ranges");
    let store = own("hstore", Kind::Simple);
    let pairs = values(&[Some(b"a"), Some(b"1"), Some(b"b\""), None]);
    let pairs = [&2_i32.to_be_bytes()[..], &pairs].concat();
    assert_eq!(shown(store.clone(), &pairs).as_deref(), Some(r#""a"=>"1", "b\""=>NULL"#));
    assert_eq!(shown(store, &i32::MAX.to_be_bytes()), None, "it says that it has 2^31 pairs");
    assert_eq!(shown(own("ltree", Kind::Simple), b"\x01a.b").as_deref(), Some("a.b"));
    let boxes = own("boxes", Kind::Domain(Type::BOX));
    assert!(is_written(&own("_boxes", Kind::Array(boxes))));
    assert!(!is_written(&own("cash", Kind::Domain(Type::MONEY))), "it depends on the locale of the server");
}

/// LIMITS, "all": what is as deep as a peer says it is.
#[test]
fn arrays_are_no_deeper_than_those_of_the_server() {
    let deep = |said: i32, dimensions: usize| {
        let value = [4, 7].map(i32::to_be_bytes).concat();
        [[said, 0, 23].map(i32::to_be_bytes).concat(), [1, 1].map(i32::to_be_bytes).concat().repeat(dimensions), value]
            .concat()
    };
    assert_eq!(shown(Type::INT4_ARRAY, &deep(6, 6)).as_deref(), Some("{{{{{{7}}}}}}"));
    for (said, dimensions) in [(7, 7), (100_000, 100_000), (i32::MAX, 6)] {
        assert_eq!(shown(Type::INT4_ARRAY, &deep(said, dimensions)), None, "{said} dimensions were said");
    }
}

#[test]
fn what_changed_since_it_was_looked_up_shows_in_values() {
    let mood = own("mood", Kind::Enum(vec!["happy".into(), "sad".into()]));
    assert!(fits(&mood, b"sad") && !fits(&mood, b"calm"));
    let long = own("long", Kind::Enum((0..1_000).map(|at| at.to_string()).collect()));
    assert!(is_judged(&mood) && !is_judged(&long) && fits(&long, b"calm"), "each would cost a thousand comparisons");
    let moods = own("_mood", Kind::Array(own("dom", Kind::Domain(mood.clone()))));
    let array = |labels: &[Option<&[u8]>]| {
        [[1, 0, 99_999, labels.len() as i32, 1].map(i32::to_be_bytes).concat(), values(labels)].concat()
    };
    let (known, new) = (array(&[Some(b"sad"), None]), array(&[Some(b"sad"), Some(b"calm")]));
    assert!(is_judged(&moods) && fits(&moods, &known) && !fits(&moods, &new));
    assert!(fits(&moods, &[0; 12]), "an array of nothing");
    let fields = [Field::new("a".into(), Type::INT4), Field::new("b".into(), moods)];
    let pair = own("pair", Kind::Composite(fields.to_vec()));
    let (a, b) = ((23, Some(&[0, 0, 0, 7][..])), (99_999, Some(&known[..])));
    assert!(is_judged(&pair) && fits(&pair, &record(&[a, b])) && fits(&pair, &record(&[(23, None), (99_999, None)])));
    for (what, other) in [
        ("a field more", record(&[a, b, a])),
        ("one less", record(&[a])),
        ("another order", record(&[b, a])),
        ("a new label in an array", record(&[a, (99_999, Some(&new))])),
        ("one that ends early", record(&[a, b])[..20].to_vec()),
    ] {
        assert!(!fits(&pair, &other), "{what}");
        let pairs = own("_pair", Kind::Array(pair.clone()));
        assert!(!fits(&pairs, &array(&[Some(&record(&[a, b])), Some(&other)])), "{what}, in an array");
    }
    assert!(!is_judged(&Type::INT4_ARRAY) && fits(&Type::INT4, b"?"), "what is built in stays as it is");
}

/// LIMITS, "all": what is much larger than what came.
#[test]
fn words_are_no_more_than_a_multiple_of_what_came() {
    let nested = |depth: usize| {
        let (mut type_, mut raw) = (Type::TEXT, b"\"".to_vec());
        for _ in 0..depth {
            raw = record(&[(type_.oid(), Some(&raw))]);
            type_ = own("level", Kind::Composite(vec![Field::new("a".into(), type_)]));
        }
        (shown(type_, &raw), raw.len())
    };
    assert_eq!(nested(1).0.as_deref(), Some(r#"("""")"#), "a quote");
    for depth in [2, 4, 8, 12] {
        let words = nested(depth).0.unwrap_or_else(|| panic!("a row in a row in a row, {depth} deep"));
        assert!(words.len() >= 2 << depth, "quotes are doubled at each level");
    }
    for depth in [20, 30, 60] {
        let (words, came) = nested(depth);
        assert_eq!(words, None, "{came} bytes would be 2^{depth} quotes");
    }
    // The largest number has few bytes, too.
    let number = [1_i16, 32_767, 0, 0, 9].map(i16::to_be_bytes).concat();
    let many = |count: i32| {
        let value = values(&[Some(&number)]).repeat(count as usize);
        shown(Type::NUMERIC_ARRAY, &[[1, 0, 1_700, count, 1].map(i32::to_be_bytes).concat(), value].concat())
    };
    assert!(many(1).is_some());
    assert_eq!(many(100_000), None, "13 gigabytes of zeros");
}

#[test]
fn whatever_bytes_come_there_is_no_panic() {
    let pair = ["a", "b"].map(|name| Field::new(name.into(), Type::BOOL));
    let composed = [
        Type::INT4_ARRAY,
        Type::TEXT_ARRAY,
        Type::BOX_ARRAY,
        Type::NUM_RANGE,
        Type::TS_RANGE,
        Type::DATE_RANGE,
        Type::INT4MULTI_RANGE,
        own("mood", Kind::Enum(Vec::new())),
        own("pair", Kind::Composite(pair.to_vec())),
        own("hstore", Kind::Simple),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        // Marsaglia's xorshift: the same bytes each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut written = 0;
    for type_ in SIMPLE.iter().chain(&composed) {
        for _ in 0..2_000 {
            let length = next() as usize % 40;
            // Mostly small numbers, and the ends of what there is.
            let byte =
                |number: u64| [0, 0, 0, 1, 2, 0x7f, 0x80, 0xff, number as u8, b'{', b'9'][(number >> 32) as usize % 11];
            let raw: Vec<u8> = (0..length).map(|_| byte(next())).collect();
            let mut out = String::new();
            written += usize::from(write(type_, &raw, &mut out).is_some());
            let _ = fits(type_, &raw);
            let text = String::from_utf8_lossy(&raw);
            let _ = crate::postgres::binary::write(type_, &text, &mut Vec::new());
            let _ = crate::postgres::binary::write(type_, &out, &mut Vec::new());
        }
    }
    assert!(written > 1_000, "nearly nothing was a value: {written}");
}
