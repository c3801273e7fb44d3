use super::*;
use crate::postgres::results::{Collected, Results};
use crate::postgres::testing::{complete, described, ready, row, tell};

fn collect(columns: &[(&str, u32, u16)], rows: &[&[Option<&[u8]>]]) -> Results {
    let mut bytes = described(columns);
    rows.iter().for_each(|fields| bytes.extend(row(fields)));
    bytes.extend(complete("SELECT 1"));
    bytes.extend(ready(b'I'));
    let mut collected = Collected::new(1 << 20);
    tell(&bytes, |message| {
        collected.message(&message).unwrap();
    });
    collected.take()
}

fn table(results: &Results) -> String {
    let mut out = Vec::new();
    write_table(&mut out, &results.sets()[0]).unwrap();
    String::from_utf8(out).unwrap()
}

/// What `psql` 15 printed for
/// `SELECT * FROM (VALUES ('Plzeň', 0.25, E'a\nb'), ('東京', 10, NULL), ('', -1, 'c')) AS x(city, prcp, note)`.
#[test]
fn a_table_is_drawn_as_psql_does() {
    let it = collect(
        &[("city", 25, 0), ("prcp", 1700, 0), ("note", 25, 0)],
        &[
            &[Some("Plzeň".as_bytes()), Some(b"0.25"), Some(b"a\nb")],
            &[Some("東京".as_bytes()), Some(b"10"), None],
            &[Some(b""), Some(b"-1"), Some(b"c")],
        ],
    );
    let expected = " city  | prcp | note \n-------+------+------\n Plzeň | 0.25 | a   +\n       |      | b\n 東京  |   10 | \n       |   -1 | c\n(3 rows)\n\n";
    assert_eq!(table(&it), expected);
}

#[test]
fn what_would_move_the_cursor_is_spelled_out() {
    let it = collect(&[("a", 25, 0)], &[&[Some("\x1b[2J\r\t\u{9b}\u{202e}x".as_bytes())]]);
    let drawn = table(&it);
    // As psql 15 shows them, but for the last, which it lets through.
    assert!(drawn.contains("\\x1B[2J\\r"), "{drawn}");
    assert!(!drawn.contains(['\x1b', '\r', '\t', '\u{9b}', '\u{202e}']), "{}", drawn.escape_debug());
}

#[test]
fn json_has_numbers_where_the_types_are_numbers() {
    let columns =
        [("i", 23, 0), ("f", 701, 0), ("n", 1700, 0), ("b", 16, 0), ("j", 114, 0), ("t", 25, 0), ("z", 25, 0)];
    let rows: [&[Option<&[u8]>]; 2] = [
        &[Some(b"-1"), Some(b"1e+20"), Some(b"0.10"), Some(b"t"), Some(b"{\"a\":\n1}"), Some(b"\"\n"), None],
        &[Some(b"1x"), Some(b"NaN"), Some(b"Infinity"), Some(b"?"), Some(b"{},\"b\":1"), Some(b"1"), None],
    ];
    let it = collect(&columns, &rows);
    let (mut lines, mut array) = (Json::lines(Vec::new()), Json::array(Vec::new()));
    for row in it.rows() {
        lines.row(&row).unwrap();
        array.row(&row).unwrap();
    }
    let lines = String::from_utf8(lines.finish().unwrap()).unwrap();
    let first = r#"{"i":-1,"f":1e+20,"n":0.10,"b":true,"j":{"a": 1},"t":"\"\n","z":null}"#;
    let second = r#"{"i":"1x","f":"NaN","n":"Infinity","b":"?","j":"{},\"b\":1","t":"1","z":null}"#;
    assert_eq!(lines, format!("{first}\n{second}\n"), "what is not as its type is a string");
    let array = String::from_utf8(array.finish().unwrap()).unwrap();
    assert_eq!(array, format!("[{first},\n{second}]\n"));
    assert_eq!(Json::array(Vec::new()).finish().unwrap(), b"[]\n");
    assert_eq!(Json::lines(Vec::new()).finish().unwrap(), b"");
}

#[test]
fn binary_values_are_written_as_text_ones() {
    let it = collect(
        &[("i", 23, 1), ("j", 3802, 1), ("d", 1082, 1), ("b", 17, 1), ("f", 16, 1)],
        &[&[Some(&[0, 0, 1, 0]), Some(b"\x01[1]"), Some(&[0; 4]), Some(b"\xff"), Some(&[0])]],
    );
    let mut lines = Json::lines(Vec::new());
    it.rows().for_each(|row| lines.row(&row).unwrap());
    let lines = String::from_utf8(lines.finish().unwrap()).unwrap();
    assert_eq!(lines, "{\"i\":256,\"j\":[1],\"d\":\"2000-01-01\",\"b\":\"\\\\xff\",\"f\":false}\n");
}

#[test]
fn a_value_without_words_is_an_error_and_no_other_words() {
    let it = collect(&[("a", 1007, 1)], &[&[Some(b"\0\0\0\x02")], &[Some(&[0; 12])]]);
    let rows: Vec<_> = it.rows().collect();
    let (mut json, mut csv) = (Json::array(Vec::new()), Csv::new(Vec::new()));
    for error in [json.row(&rows[0]), csv.row(&rows[0]), write_table(Vec::new(), &it.sets()[0])] {
        let error = error.expect_err("an array of two dimensions that ends behind their number");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }
    json.row(&rows[1]).unwrap();
    csv.row(&rows[1]).unwrap();
    assert_eq!(json.finish().unwrap(), b"[{\"a\":\"{}\"}]\n");
    assert_eq!(csv.out, b"{}\r\n");
}

#[test]
fn csv_has_bytes_as_they_came_and_json_no_others_than_utf_8() {
    let it = collect(&[("a", 25, 0), ("b", 25, 0)], &[&[Some(b"Plze\xf2, \"\xff\""), Some(b"\\.")]]);
    let mut csv = Csv::new(Vec::new());
    it.rows().for_each(|row| csv.row(&row).unwrap());
    assert_eq!(csv.out, b"\"Plze\xf2, \"\"\xff\"\"\",\"\\.\"\r\n", "{}", csv.out.escape_ascii());
    let error = it.rows().next().map(|row| Json::lines(Vec::new()).row(&row)).unwrap().expect_err("it is no UTF-8");
    assert_eq!(
        (error.kind(), error.to_string().contains("a value of a")),
        (io::ErrorKind::InvalidData, true),
        "{error}"
    );
}

#[test]
fn csv_quotes_what_needs_it() {
    let it = collect(
        &[("a,b", 25, 0), ("c", 25, 0), ("d", 25, 0)],
        &[&[Some(b"x\"y"), None, Some(b"")], &[Some(b"1\n2"), Some(b" z "), Some(b"\r")]],
    );
    let mut csv = Csv::new(Vec::new());
    csv.header(it.sets()[0].columns()).unwrap();
    it.rows().for_each(|row| csv.row(&row).unwrap());
    let written = String::from_utf8(csv.out).unwrap();
    assert_eq!(written, "\"a,b\",c,d\r\n\"x\"\"y\",,\"\"\r\n\"1\n2\", z ,\"\r\"\r\n");
}
