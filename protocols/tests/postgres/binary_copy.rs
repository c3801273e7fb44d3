//! COPY in the binary format, cut at every place: "COPY", "Binary Format".

use aquests_protocols::postgres::binary_copy::{self, Event, Reader};
use aquests_protocols::{Error, Limit};

use super::text;

/// What was told, and how it ended.
type Told = (Vec<String>, Result<(), Error>);

/// Reads pieces as whoever has a buffer does: what is unread stays, and is read again when enough came behind it.
fn read(mut reader: Reader, pieces: &[&[u8]]) -> Told {
    let (mut told, mut unread, mut needed) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        unread.extend_from_slice(piece);
        let mut at = 0;
        while unread.len() - at >= needed {
            match reader.read(&unread[at..]) {
                Ok((used, event)) => {
                    at += used;
                    needed = 0;
                    match event {
                        Event::NeedData { at_least } => {
                            assert!(at_least > unread.len() - at, "it waits for {at_least} bytes, which are there");
                            needed = at_least;
                        }
                        Event::Progress => {}
                        Event::Row(row) => {
                            assert_eq!(usize::from(row.count()), row.fields().count());
                            let fields: Vec<_> = row.fields().map(|it| it.map_or("NULL".into(), text)).collect();
                            told.push(fields.join(","));
                        }
                        Event::End => {
                            assert!(reader.is_over());
                            told.push("end".to_owned());
                        }
                    }
                }
                Err(error) => {
                    assert_eq!(reader.read(b"more").err(), Some(error), "an error stays one");
                    assert_eq!(reader.finish(), Err(error));
                    return (told, Err(error));
                }
            }
        }
        unread.drain(..at);
    }
    let end = reader.finish();
    assert_eq!(reader.finish(), end);
    (told, end)
}

/// The same however it is cut: in two at every place, and into bytes.
fn read_cut(reader: &Reader, bytes: &[u8]) -> Told {
    let whole = read(reader.clone(), &[bytes]);
    for cut in 0..=bytes.len() {
        let (one, two) = bytes.split_at(cut);
        assert_eq!(read(reader.clone(), &[one, two]), whole, "cut at {cut}");
    }
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(reader.clone(), &pieces), whole, "byte by byte");
    whole
}

fn header() -> Vec<u8> {
    let mut out = Vec::new();
    binary_copy::write_header(&mut out);
    out
}

/// These rows between header and trailer.
fn rows(rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
    let mut out = header();
    rows.iter().for_each(|row| binary_copy::write_row(row, &mut out));
    binary_copy::write_trailer(&mut out);
    out
}

/// What a row could be told as, where nothing but the error matters.
fn failure(bytes: &[u8]) -> Error {
    read_cut(&Reader::new(), bytes).1.expect_err("it was taken")
}

fn violation(violation: super::Violation) -> Error {
    violation.into()
}

#[test]
fn rows_come_out_as_they_went_in() {
    let bytes = rows(&[&[Some(b"a"), None, Some(b"")], &[None, None, None], &[Some(b"\0\xff"), Some(b"-1"), None]]);
    let (told, end) = read_cut(&Reader::new(), &bytes);
    assert_eq!(
        (told, end),
        (["a,NULL,", "NULL,NULL,NULL", "\\x00\\xff,-1,NULL", "end"].map(String::from).into(), Ok(()))
    );
    assert_eq!(read_cut(&Reader::new(), &rows(&[])), (vec!["end".to_owned()], Ok(())));
    assert_eq!(read_cut(&Reader::new(), &rows(&[&[], &[]])).0, ["", "", "end"], "rows without columns");
}

#[test]
fn a_header_is_passed_over_with_what_extends_it() {
    // The lower half of the flags need not be understood.
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\x80\x01\0\0\0\x05extra".to_vec();
    binary_copy::write_row(&[Some(b"a")], &mut bytes);
    binary_copy::write_trailer(&mut bytes);
    assert_eq!(read_cut(&Reader::new(), &bytes).0, ["a", "end"]);
}

#[test]
fn what_is_not_binary_is_refused_at_its_first_byte() {
    assert_eq!(failure(b"1\tPlzen\n"), violation(super::Violation::CopySignature), "it is text");
    assert_eq!(failure(b"PGCOPY\r\n\xff\r\n\0"), violation(super::Violation::CopySignature), "line ends were changed");
}

#[test]
fn a_flag_that_must_be_understood_is_refused() {
    for flag in 16..32 {
        let flags = 1_u32 << flag;
        let bytes = [b"PGCOPY\n\xff\r\n\0", &flags.to_be_bytes()[..], &[0; 4]].concat();
        assert_eq!(failure(&bytes), violation(super::Violation::CopyFlags), "bit {flag}");
    }
}

#[test]
fn a_length_that_cannot_be_is_refused() {
    let extended = b"PGCOPY\n\xff\r\n\0\0\0\0\0\xff\xff\xff\xff";
    assert_eq!(failure(extended), violation(super::Violation::CopyRow), "an extension of -1 bytes");
    let fields = [header(), vec![0xff, 0xfe]].concat();
    assert_eq!(failure(&fields), violation(super::Violation::CopyRow), "a row of -2 fields");
    let field = [header(), vec![0, 1, 0xff, 0xff, 0xff, 0xfe]].concat();
    assert_eq!(failure(&field), violation(super::Violation::CopyRow), "a field of -2 bytes");
}

#[test]
fn a_row_with_other_columns_is_refused() {
    let other = rows(&[&[None, None], &[None]]);
    let (told, end) = read_cut(&Reader::new(), &other);
    assert_eq!((told.len(), end), (1, Err(violation(super::Violation::CopyFields))), "it has fewer than the first");
    let (told, end) = read_cut(&Reader::new().columns(3), &other);
    assert_eq!((told.len(), end), (0, Err(violation(super::Violation::CopyFields))), "it has fewer than the table");
}

#[test]
fn an_end_that_is_none_is_told() {
    let whole = rows(&[&[Some(b"abc"), None]]);
    for length in 0..whole.len() {
        let (_, end) = read(Reader::new(), &[&whole[..length]]);
        assert_eq!(end, Err(Error::UnexpectedEof), "{length} of {} bytes came", whole.len());
    }
    let behind = [&whole[..], b"x"].concat();
    assert_eq!(failure(&behind), violation(super::Violation::CopyTrailing), "a byte behind the trailer");
}

#[test]
fn a_row_is_limited_and_nothing_is_waited_for_that_is_too_large() {
    let limit = |value: u32| Error::TooLarge(Limit { what: "row bytes", value: value.into() });
    // Two for the count, and four before each field.
    let bytes = rows(&[&[Some(b"abcd"), Some(b"ef")]]);
    assert_eq!(read_cut(&Reader::new().limit(16), &bytes).1, Ok(()));
    assert_eq!(read_cut(&Reader::new().limit(15), &bytes).1, Err(limit(15)));
    let promised = [header(), vec![0, 1, 0x7f, 0xff, 0xff, 0xff]].concat();
    assert_eq!(failure(&promised), limit(64 << 20), "a field of 2 GiB was promised, and nothing of it came");
    let both = [header(), vec![0, 1, 0xff, 0xff, 0xff, 0xfe]].concat();
    assert_eq!(
        read_cut(&Reader::new().limit(5), &both).1,
        Err(limit(5)),
        "its length cannot be, and is too much already"
    );
    // No field is too large, but all are.
    let mut many = header();
    many.extend(1_000_i16.to_be_bytes());
    many.extend([0xff; 4].repeat(1_000));
    assert_eq!(read(Reader::new().limit(4_001), &[&many]).1, Err(limit(4_001)));
}

#[test]
fn what_was_looked_at_is_not_looked_at_again() {
    /// The count in front of a row, and a field of four bytes behind its length.
    const COUNT: usize = 2;
    const FIELD: usize = 8;
    let row = vec![Some(&b"abcd"[..]); 1_000];
    let mut bytes = rows(&[&row]);
    let (mut reader, mut calls, mut needed, mut end, mut told) = (Reader::new(), 0, 1, 0, 0);
    let mut at = 0;
    while !reader.is_over() {
        end = bytes.len().min(end + 1);
        while end - at >= needed && !reader.is_over() {
            calls += 1;
            let (used, event) = reader.read(&bytes[at..end]).unwrap_or_else(|error| {
                panic!("it looked again at what is before the last of {} bytes of the row: {error}", end - at)
            });
            let begin = at;
            at += used;
            needed = match event {
                Event::NeedData { at_least } => {
                    // What stands before the field that is waited for can be no row any more, if anybody looks.
                    let fields = at_least.saturating_sub(COUNT + 1) / FIELD;
                    if begin > 0 && fields > 0 {
                        bytes[begin..begin + COUNT + fields * FIELD].fill(0x80);
                    }
                    at_least
                }
                Event::Row(row) => {
                    assert_eq!(row.count(), 1_000);
                    told += 1;
                    1
                }
                _ => 1,
            };
        }
    }
    assert_eq!(told, 1);
    assert!(calls < 2 * 1_000 + 20, "one call for each length and each field, and not for each byte: {calls}");
}
