use super::*;
use crate::protocols::postgres::Violation;

const TYPES: [Type; 3] = [Type::INT8, Type::TEXT, Type::FLOAT8];

/// A copy of rows, some of them longer than others.
fn copy(rows: i64) -> Vec<u8> {
    let mut copy = BinaryCopyWriter::new(Vec::new(), TYPES);
    for n in 0..rows {
        let word = Some("x".repeat(n as usize % 7)).filter(|_| n % 3 > 0);
        copy.write(&[&n, &word, &(n as f64 / 2.0)]).unwrap();
    }
    copy.finish().unwrap()
}

/// The rows of what comes in these pieces, in words.
fn read(pieces: &[&[u8]]) -> Result<Vec<String>, protocols::Error> {
    let (mut reader, mut told) = (BinaryCopyReader::new(TYPES), Vec::new());
    for piece in pieces {
        let mut chunk = *piece;
        while let Some(row) = reader.next(&mut chunk)? {
            let word = row.get::<Option<String>>(1);
            told.push(format!("{} {word:?} {}", row.get::<i64>(0), row.get::<f64>(2)));
        }
        assert!(chunk.is_empty());
    }
    reader.finish().map(|()| told)
}

#[test]
fn rows_that_are_written_are_read_however_they_are_cut() {
    let bytes = copy(7);
    let whole = read(&[&bytes]).unwrap();
    assert_eq!(whole[..3], ["0 None 0", "1 Some(\"x\") 0.5", "2 Some(\"xx\") 1"]);
    for cut in 0..=bytes.len() {
        let (one, two) = bytes.split_at(cut);
        assert_eq!(read(&[one, two]).as_ref(), Ok(&whole), "cut at {cut}");
        assert_eq!(read(&[one]).is_ok(), cut == bytes.len(), "only the first {cut} bytes came");
    }
    for size in 1..40 {
        assert_eq!(read(&bytes.chunks(size).collect::<Vec<_>>()).as_ref(), Ok(&whole), "in pieces of {size} bytes");
    }
}

#[test]
fn a_reader_keeps_no_more_than_the_row_that_is_not_whole() {
    let bytes = copy(10_000);
    let mut reader = BinaryCopyReader::new(TYPES);
    for mut chunk in bytes.chunks(1_000) {
        while reader.next(&mut chunk).unwrap().is_some() {}
        assert!(reader.begun.len() < 64, "{} bytes", reader.begun.len());
    }
    assert!(reader.is_over());
}

#[test]
fn what_is_no_copy_of_these_columns_is_an_error_that_stays() {
    let mut reader = BinaryCopyReader::new([Type::INT8]);
    let bytes = copy(1);
    for _ in 0..2 {
        assert_eq!(reader.next(&mut &bytes[..]).unwrap_err(), Violation::CopyFields.into(), "it has three");
    }
    let mut reader = BinaryCopyReader::new(TYPES).limit(8);
    let said = reader.next(&mut &bytes[..]).unwrap_err();
    assert_eq!(said.to_string(), "row bytes over 8");
    assert_eq!(read(&[b"1\tPlzen\n"]).unwrap_err(), Violation::CopySignature.into(), "it is text");
    assert_eq!(read(&[&bytes, b"x"]).unwrap_err(), Violation::CopyTrailing.into(), "something is behind it");
}

#[test]
fn values_that_do_not_fit_are_refused_and_leave_nothing() {
    let mut copy = BinaryCopyWriter::new(Vec::new(), [Type::INT8, Type::TEXT, Type::NUMERIC]);
    let said = |result: io::Result<()>| result.unwrap_err().to_string();
    assert_eq!(said(copy.write(&[&1_i64])), "the copy has 3 columns, and a row of it 1 values");
    assert_eq!(
        said(copy.write(&[&1_i64, &2_i64, &None::<String>])),
        "the value of column 1 cannot be copied as text in binary"
    );
    // A statement takes text for everything; here there is no place to say that it is text.
    assert_eq!(
        said(copy.write(&[&1_i64, &"a", &"1.5"])),
        "the value of column 2 cannot be copied as numeric in binary"
    );
    let empty = BinaryCopyWriter::new(Vec::new(), TYPES).finish().unwrap();
    assert_eq!(copy.finish().unwrap(), empty);
}

#[test]
fn labels_and_domains_are_what_they_are_in_binary() {
    use postgres_types::Kind;
    let mood = Type::new("mood".into(), 99_999, Kind::Enum(vec!["happy".into()]), "public".into());
    let dom = Type::new("dom".into(), 99_998, Kind::Domain(Type::INT4), "public".into());
    let mut copy = BinaryCopyWriter::new(Vec::new(), [mood.clone(), dom.clone()]);
    copy.write(&[&"happy", &7_i32]).unwrap();
    let bytes = copy.finish().unwrap();
    let mut reader = BinaryCopyReader::new([mood, dom]);
    let mut chunk = &bytes[..];
    let row = reader.next(&mut chunk).unwrap().unwrap();
    assert_eq!((row.get::<String>(0), row.get::<i32>(1)), ("happy".to_owned(), 7));
}

#[test]
fn a_body_is_made_as_it_is_read() {
    let made = std::cell::Cell::new(0);
    let rows = (0..100_000_i64).map(|n| {
        made.set(n + 1);
        (n, "word".to_owned(), 0.5)
    });
    let mut body = BinaryCopyBody::new(TYPES, rows);
    let mut buffer = [0; 1_000];
    body.read_exact(&mut buffer).unwrap();
    assert!(made.get() < 100, "{} rows were made for a thousand bytes", made.get());
    let mut bytes = buffer.to_vec();
    body.read_to_end(&mut bytes).unwrap();
    assert_eq!(made.get(), 100_000);
    assert_eq!(read(&[&bytes]).unwrap().len(), 100_000);
    let mut wrong = BinaryCopyBody::new(TYPES, [(1_i64, 2_i64, 0.5)]);
    let said = wrong.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(said.to_string(), "the value of column 1 cannot be copied as text in binary");
}

#[test]
fn values_are_not_shown() {
    let mut copy = BinaryCopyWriter::new(Vec::new(), [Type::TEXT]);
    copy.write(&[&"hunter2"]).unwrap();
    assert!(!format!("{copy:?}").contains("hunter2"));
}
