//! Looks into messages that are whole: borrowed, lazy, without an allocation. Each is judged when it is made, every byte
//! of it, so that nothing fails afterwards.

use core::fmt;

use memchr::memchr;

use super::Violation;
use super::request::{CancelKeyRef, Format};

/// A reader of a message's inside, which says `None` where it ends too early.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    /// Up to a NUL, which is left out.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = memchr(0, self.0)?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(text)
    }

    /// A field of a row: its length and its bytes, or NULL.
    fn field(&mut self) -> Option<Option<&'a [u8]>> {
        match i32::from_be_bytes(self.take()?) {
            -1 => Some(None),
            length => self.bytes(usize::try_from(length).ok()?).map(Some),
        }
    }
}

/// All of `bytes`, read by `read`, and nothing behind it.
fn whole<'a, T>(bytes: &'a [u8], read: impl FnOnce(&mut Reader<'a>) -> Option<T>) -> Result<T, Violation> {
    let mut reader = Reader(bytes);
    read(&mut reader).filter(|_| reader.0.is_empty()).ok_or(Violation::Format)
}

/// Two texts and nothing else: ParameterStatus.
pub(super) fn pair(bytes: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    whole(bytes, |reader| Some((reader.text()?, reader.text()?)))
}

/// BackendKeyData, whose length was judged.
pub(super) fn key(bytes: &[u8]) -> Result<CancelKeyRef<'_>, Violation> {
    whole(bytes, |reader| Some(CancelKeyRef { process: reader.u32()?, secret: std::mem::take(&mut reader.0) }))
}

/// NegotiateProtocolVersion: the version, and how many options the server does not know.
pub(super) fn negotiation(bytes: &[u8]) -> Result<(u32, usize), Violation> {
    whole(bytes, |reader| {
        let (version, count) = (reader.u32()?, usize::try_from(reader.u32()?).ok()?);
        // Each has a NUL at least: no number is believed that is larger than what came.
        for _ in 0..count {
            reader.text()?;
        }
        Some((version, count))
    })
}

/// The columns of a result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RowDescription<'a> {
    count: u16,
    columns: &'a [u8],
}

/// A column of a result.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column<'a> {
    /// Its name, in the encoding of the client.
    pub name: &'a [u8],
    /// The table that it comes from, or 0.
    pub table: u32,
    /// Which column of that table, or 0.
    pub attribute: u16,
    /// Its type, by the number in `pg_type`.
    pub type_oid: u32,
    /// Bytes of the type; negative where that varies.
    pub type_size: i16,
    /// What the type was given: a precision, a length.
    pub type_modifier: i32,
    /// How its values are written. After [`Step::DescribeStatement`](super::Step::DescribeStatement) it is not known yet,
    /// and said to be text.
    pub format: Format,
}

impl<'a> Column<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            name: reader.text()?,
            table: reader.u32()?,
            attribute: reader.u16()?,
            type_oid: reader.u32()?,
            type_size: reader.take().map(i16::from_be_bytes)?,
            type_modifier: reader.take().map(i32::from_be_bytes)?,
            format: Format::of(reader.u16()?)?,
        })
    }
}

impl fmt::Debug for Column<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" of type {} in {:?}", self.name.escape_ascii(), self.type_oid, self.format)
    }
}

impl<'a> RowDescription<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Violation> {
        whole(bytes, |reader| {
            let count = reader.u16()?;
            let columns = reader.0;
            (0..count).try_for_each(|_| Column::read(reader).map(drop))?;
            Some(Self { count, columns })
        })
    }

    /// How many columns there are.
    pub fn count(self) -> u16 {
        self.count
    }

    /// The columns in order.
    pub fn columns(self) -> impl Iterator<Item = Column<'a>> {
        let mut reader = Reader(self.columns);
        (0..self.count).map_while(move |_| Column::read(&mut reader))
    }
}

impl fmt::Debug for RowDescription<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.columns()).finish()
    }
}

/// A row of a result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    count: u16,
    fields: &'a [u8],
}

impl<'a> Row<'a> {
    /// `columns`: how many there must be, where that is known.
    pub(super) fn new(bytes: &'a [u8], columns: Option<u16>) -> Result<Self, Violation> {
        whole(bytes, |reader| {
            let count = reader.u16().filter(|count| columns.is_none_or(|columns| columns == *count))?;
            let fields = reader.0;
            (0..count).try_for_each(|_| reader.field().map(drop))?;
            Some(Self { count, fields })
        })
        .map_err(|_| Violation::Row)
    }

    /// Fields that were looked at already, so many.
    pub(super) fn judged(count: u16, fields: &'a [u8]) -> Self {
        Self { count, fields }
    }

    /// How many fields there are.
    pub fn count(self) -> u16 {
        self.count
    }

    /// The values in order; `None` is NULL, and not the same as empty.
    pub fn fields(self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let mut reader = Reader(self.fields);
        (0..self.count).map_while(move |_| reader.field())
    }

    /// The fields as they came: for each its length as an `i32`, -1 for NULL, and its bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.fields
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |field: Option<&[u8]>| field.map(|bytes| bytes.escape_ascii().to_string());
        f.debug_list().entries(self.fields().map(text)).finish()
    }
}

/// The types of a statement's parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Types<'a>(&'a [u8]);

impl<'a> Types<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Violation> {
        whole(bytes, |reader| {
            let count = reader.u16()?;
            reader.bytes(usize::from(count) * 4).map(Self)
        })
    }

    /// Each by its number in `pg_type`, in order.
    pub fn oids(self) -> impl Iterator<Item = u32> + 'a {
        self.0.as_chunks().0.iter().map(|oid| u32::from_be_bytes(*oid))
    }
}

impl fmt::Debug for Types<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.oids()).finish()
    }
}

/// How COPY data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy<'a> {
    format: Format,
    columns: &'a [u8],
}

impl<'a> Copy<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Violation> {
        whole(bytes, |reader| {
            let [format] = reader.take()?;
            let (format, count) = (Format::of(format.into())?, reader.u16()?);
            let columns = reader.bytes(usize::from(count) * 2)?;
            columns.as_chunks().0.iter().try_for_each(|it| Format::of(u16::from_be_bytes(*it)).map(drop))?;
            Some(Self { format, columns })
        })
    }

    /// Lines of text, or the binary format of COPY.
    pub fn format(self) -> Format {
        self.format
    }

    /// The formats of the columns.
    pub fn columns(self) -> impl Iterator<Item = Format> + 'a {
        self.columns.as_chunks().0.iter().filter_map(|format| Format::of(u16::from_be_bytes(*format)))
    }
}

/// What a statement did, in a few words: `SELECT 3`, `INSERT 0 1`, `BEGIN`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a>(&'a [u8]);

impl<'a> Tag<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Violation> {
        whole(bytes, Reader::text).map(Self)
    }

    /// The words.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The rows that it returned or changed, where the statement is one that counts them.
    pub fn rows(self) -> Option<u64> {
        let last = self.0.rsplit(|byte| *byte == b' ').next()?;
        core::str::from_utf8(last).ok()?.parse().ok()
    }
}

impl fmt::Debug for Tag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// What NOTIFY said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notification<'a> {
    /// The server's process that said it.
    pub process: u32,
    /// Where.
    pub channel: &'a [u8],
    /// What; may be empty.
    pub payload: &'a [u8],
}

impl<'a> Notification<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Violation> {
        whole(bytes, |reader| Some(Self { process: reader.u32()?, channel: reader.text()?, payload: reader.text()? }))
    }
}

/// An error or a notice of the server. Its texts are in the language of the server, its codes are not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErrorRef<'a> {
    fields: &'a [u8],
    /// Words without fields, as protocol 2 has them.
    plain: Option<&'a [u8]>,
}

impl<'a> ErrorRef<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Violation> {
        whole(bytes, |reader| {
            let fields = reader.0;
            while reader.take()? != [0] {
                reader.text()?;
            }
            Some(Self { fields, plain: None })
        })
    }

    pub(super) fn plain(text: &'a [u8]) -> Self {
        Self { fields: b"", plain: Some(text.trim_ascii_end()) }
    }

    /// A field by its code in "Error and Notice Message Fields" of the manual. Unknown ones may come.
    pub fn field(self, code: u8) -> Option<&'a [u8]> {
        self.fields().find(|(it, _)| *it == code).map(|(_, text)| text)
    }

    /// All fields: code and text.
    pub fn fields(self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut reader = Reader(self.fields);
        core::iter::from_fn(move || match reader.take()? {
            [0] => None,
            [code] => Some((code, reader.text()?)),
        })
    }

    /// `ERROR`, `FATAL`, `PANIC`, `WARNING`, `NOTICE`, `DEBUG`, `INFO` or `LOG`; of servers before 9.6 in their language.
    pub fn severity(self) -> &'a [u8] {
        self.field(b'V').or_else(|| self.field(b'S')).unwrap_or(if self.plain.is_some() { b"FATAL" } else { b"" })
    }

    /// The server hangs up after it.
    pub fn is_fatal(self) -> bool {
        matches!(self.severity(), b"FATAL" | b"PANIC")
    }

    /// SQLSTATE, five characters ("PostgreSQL Error Codes" in the manual).
    pub fn code(self) -> &'a [u8] {
        self.field(b'C').unwrap_or_default()
    }

    /// What happened, in one line.
    pub fn message(self) -> &'a [u8] {
        self.plain.or_else(|| self.field(b'M')).unwrap_or_default()
    }

    /// More about it.
    pub fn detail(self) -> Option<&'a [u8]> {
        self.field(b'D')
    }

    /// What might help.
    pub fn hint(self) -> Option<&'a [u8]> {
        self.field(b'H')
    }

    /// Where in the query, in characters from 1.
    pub fn position(self) -> Option<u32> {
        core::str::from_utf8(self.field(b'P')?).ok()?.parse().ok()
    }
}

impl fmt::Debug for ErrorRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `ERROR 42P01: relation "x" does not exist`.
impl fmt::Display for ErrorRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        write!(f, "{}", text(self.severity()))?;
        if !self.code().is_empty() {
            write!(f, " {}", text(self.code()))?;
        }
        write!(f, ": {}", text(self.message()))
    }
}
