//! Whatever is copied, the same rows and the same end are told however it is cut, and rows that are written again are the
//! bytes that they came from.
//!
//! The first byte says how many columns are expected and how large a row may be, the second how to cut.
#![no_main]

use aquests_protocols::Error;
use aquests_protocols::postgres::binary_copy::{self, Event, Reader};
use libfuzzer_sys::fuzz_target;

/// What was told: rows, and the end.
type Told = (Vec<Vec<Option<Vec<u8>>>>, Result<(), Error>);

fuzz_target!(|input: &[u8]| {
    let [kind, cut, bytes @ ..] = input else { return };
    let reader = match kind % 4 {
        0 => Reader::new(),
        1 => Reader::new().columns(u16::from(kind / 4)),
        _ => Reader::new().limit(u32::from(kind / 4)),
    };
    let whole = read(reader.clone(), std::iter::once(bytes), bytes);
    let size = usize::from(*cut).max(1);
    assert_eq!(read(reader.clone(), bytes.chunks(size), bytes), whole, "in pieces of {size} bytes");
    assert_eq!(read(reader, bytes.chunks(1), bytes), whole, "byte by byte");
});

fn read<'a>(mut reader: Reader, pieces: impl Iterator<Item = &'a [u8]>, all: &[u8]) -> Told {
    let (mut rows, mut at, mut end, mut needed) = (Vec::new(), 0, 0, 0);
    let mut written = Vec::new();
    for piece in pieces {
        end += piece.len();
        while end - at >= needed {
            let (used, event) = match reader.read(&all[at..end]) {
                Ok(read) => read,
                Err(error) => {
                    assert_eq!(reader.read(&[]).err(), Some(error), "an error stays one");
                    return (rows, Err(error));
                }
            };
            needed = 0;
            match event {
                Event::NeedData { at_least } => {
                    assert!(used == 0 && at_least > end - at);
                    needed = at_least;
                }
                Event::Progress => assert!(used > 0),
                Event::Row(row) => {
                    let fields: Vec<_> = row.fields().collect();
                    assert_eq!(fields.len(), usize::from(row.count()));
                    written.clear();
                    binary_copy::write_row(&fields, &mut written);
                    assert_eq!(written, all[at..at + used]);
                    rows.push(fields.into_iter().map(|field| field.map(<[u8]>::to_vec)).collect());
                }
                Event::End => assert!(used == 2 && reader.is_over()),
            }
            at += used;
        }
    }
    let end = reader.finish();
    (rows, end)
}
