//! The binary format of COPY: bytes into rows, in whatever pieces they come, and rows into bytes. It has no messages of its
//! own: it is what travels inside of CopyData, and what files of it hold. What a field means in which type never belongs
//! here. PostgreSQL, "COPY", "Binary Format".
//!
//! ```
//! use aquests_protocols::postgres::binary_copy::{self, Event, Reader};
//!
//! let mut bytes = Vec::new();
//! binary_copy::write_header(&mut bytes);
//! binary_copy::write_row(&[Some(b"Plzen"), None], &mut bytes);
//! binary_copy::write_trailer(&mut bytes);
//!
//! let (mut reader, mut at, mut rows) = (Reader::new(), 0, 0);
//! loop {
//!     let (used, event) = reader.read(&bytes[at..])?;
//!     at += used;
//!     match event {
//!         Event::Progress => {}
//!         Event::Row(row) => {
//!             assert_eq!(row.fields().collect::<Vec<_>>(), [Some(&b"Plzen"[..]), None]);
//!             rows += 1;
//!         }
//!         Event::End => break,
//!         Event::NeedData { .. } => panic!("it is whole"),
//!     }
//! }
//! assert_eq!((at, rows), (bytes.len(), 1));
//! # Ok::<(), aquests_protocols::Error>(())
//! ```
//!
//! # Limits
//!
//! | what | default | setter | source |
//! |---|---|---|---|
//! | bytes of a row | 64 MiB | [`Reader::limit`] | the answer that a client collects; a field of the server has at most 1 GiB |
//! | fields of a row | those of the first one | [`Reader::columns`] | a table has as many columns in each |
//!
//! A row is told when it is whole. Until then no byte of it is kept here, nothing is reserved because its length was told,
//! and what was looked at once is not looked at again.

use super::Violation;
use super::view::Row;
use crate::{Error, Limit};

/// What it begins with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// The signature, the flags, and the length of what extends them.
const HEADER: usize = SIGNATURE.len() + 8;
/// Flags that must be understood. None is: of the one that there was, servers since 12 know nothing either.
const CRITICAL: u32 = 0xffff_0000;
/// Bytes of a row, unless set.
const LIMIT: u32 = 64 << 20;

/// Reads what `COPY … TO STDOUT (FORMAT binary)` brings.
#[derive(Clone, Debug)]
pub struct Reader {
    state: State,
    columns: Option<u16>,
    limit: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    /// So many bytes extend the header, and are passed over.
    Extension(u32),
    /// In a row, of which so many bytes were looked at, and so many fields are to come.
    Row {
        seen: usize,
        left: u16,
    },
    /// The trailer came.
    Over,
    Failed(Error),
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Read again when so many bytes are there, behind those that were used just now.
    NeedData {
        /// How many.
        at_least: usize,
    },
    /// Bytes were used: read again.
    Progress,
    /// A row.
    Row(Row<'a>),
    /// No row follows, and no byte may.
    End,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// One at the begin of the header.
    pub fn new() -> Self {
        Self { state: State::Header, columns: None, limit: LIMIT }
    }

    /// So many fields must each row have: as many as the first unless set.
    #[must_use]
    pub fn columns(mut self, count: u16) -> Self {
        self.columns = Some(count);
        self
    }

    /// Bytes that a row may have: 64 MiB unless set. So much may be unread at once.
    #[must_use]
    pub fn limit(mut self, bytes: u32) -> Self {
        self.limit = bytes;
        self
    }

    /// The trailer came.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Reads at most one row off the front of `bytes`, and says how many of them it used. An error stays one.
    pub fn read<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Event<'a>), Error> {
        let read = match self.state {
            State::Header => self.read_header(bytes),
            State::Extension(left) => Ok(self.pass_over(left, bytes)),
            State::Row { seen, left } => self.read_row(seen, left, bytes),
            State::Over if bytes.is_empty() => Ok((0, Event::NeedData { at_least: 1 })),
            State::Over => Err(Violation::CopyTrailing.into()),
            State::Failed(error) => Err(error),
        };
        read.inspect_err(|error| self.state = State::Failed(*error))
    }

    /// There is no more: whether that is the end of it.
    pub fn finish(&mut self) -> Result<(), Error> {
        match self.state {
            State::Over => Ok(()),
            State::Failed(error) => Err(error),
            _ => {
                self.state = State::Failed(Error::UnexpectedEof);
                Err(Error::UnexpectedEof)
            }
        }
    }

    fn read_header<'a>(&mut self, bytes: &[u8]) -> Result<(usize, Event<'a>), Error> {
        let begin = bytes.len().min(SIGNATURE.len());
        if bytes[..begin] != SIGNATURE[..begin] {
            return Err(Violation::CopySignature.into());
        }
        if begin < SIGNATURE.len() {
            // Text is told from it by its first byte, and may be over before a header would be.
            return Ok((0, Event::NeedData { at_least: begin + 1 }));
        }
        let Some((&[f0, f1, f2, f3, l0, l1, l2, l3], _)) =
            bytes.get(begin..).and_then(|rest| rest.split_first_chunk::<8>())
        else {
            return Ok((0, Event::NeedData { at_least: HEADER }));
        };
        if u32::from_be_bytes([f0, f1, f2, f3]) & CRITICAL != 0 {
            return Err(Violation::CopyFlags.into());
        }
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if i32::try_from(length).is_err() {
            return Err(Violation::CopyRow.into());
        }
        self.state = extension(length);
        Ok((HEADER, Event::Progress))
    }

    fn pass_over<'a>(&mut self, left: u32, bytes: &[u8]) -> (usize, Event<'a>) {
        if bytes.is_empty() {
            return (0, Event::NeedData { at_least: 1 });
        }
        let passed = bytes.len().min(left as usize);
        self.state = extension(left - passed as u32);
        (passed, Event::Progress)
    }

    fn read_row<'a>(&mut self, seen: usize, left: u16, bytes: &'a [u8]) -> Result<(usize, Event<'a>), Error> {
        let (mut seen, mut left) = (seen, left);
        if seen == 0 {
            let Some((count, _)) = bytes.split_first_chunk::<2>() else {
                return Ok((0, Event::NeedData { at_least: 2 }));
            };
            let count = i16::from_be_bytes(*count);
            if count == -1 {
                self.state = State::Over;
                return Ok((2, Event::End));
            }
            left = u16::try_from(count).map_err(|_| Violation::CopyRow)?;
            if *self.columns.get_or_insert(left) != left {
                return Err(Violation::CopyFields.into());
            }
            seen = 2;
        }
        while left > 0 {
            let needed = seen + 4;
            // Before what came is looked at: it must not matter how much that is.
            self.judge(needed)?;
            let Some((length, rest)) = bytes.get(seen..).and_then(|rest| rest.split_first_chunk::<4>()) else {
                return Ok(self.wait(seen, left, needed));
            };
            let length = match i32::from_be_bytes(*length) {
                -1 => 0,
                length => usize::try_from(length).map_err(|_| Violation::CopyRow)?,
            };
            self.judge(needed + length)?;
            if rest.len() < length {
                return Ok(self.wait(seen, left, needed + length));
            }
            seen = needed + length;
            left -= 1;
        }
        self.state = State::Row { seen: 0, left: 0 };
        let fields = &bytes[2..seen];
        Ok((seen, Event::Row(Row::judged(self.columns.unwrap_or(0), fields))))
    }

    /// The next field ends there, and is not here yet.
    fn wait<'a>(&mut self, seen: usize, left: u16, end: usize) -> (usize, Event<'a>) {
        self.state = State::Row { seen, left };
        (0, Event::NeedData { at_least: end })
    }

    /// A row may have so many bytes.
    fn judge(&self, bytes: usize) -> Result<(), Error> {
        if bytes > self.limit as usize {
            return Err(Error::TooLarge(Limit { what: "row bytes", value: self.limit.into() }));
        }
        Ok(())
    }
}

/// So many bytes are before the first row.
fn extension(left: u32) -> State {
    if left == 0 { State::Row { seen: 0, left: 0 } } else { State::Extension(left) }
}

/// Writes what is before the first row.
pub fn write_header(out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[0; 8]);
}

/// Writes a row; `None` is NULL.
///
/// # Panics
///
/// With more than 32,767 fields, or one of 2 GiB or more: no server has them.
pub fn write_row(fields: &[Option<&[u8]>], out: &mut Vec<u8>) {
    let count = i16::try_from(fields.len()).expect("a row has at most 32,767 fields");
    out.extend_from_slice(&count.to_be_bytes());
    for field in fields {
        let length = field.map_or(-1, |field| i32::try_from(field.len()).expect("a field is shorter than 2 GiB"));
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(field.unwrap_or_default());
    }
}

/// Writes what is behind the last row.
pub fn write_trailer(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i16).to_be_bytes());
}
