//! Values in the binary format of COPY: rows that become a body, and what is copied that becomes rows. Where the bytes go and
//! where they come from is the business of requests, and never known here.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::BytesMut;
use postgres_types::{Format as Written, IsNull, ToSql, Type};

use super::parameters::{Parameters, ToParams, write_value};
use super::{Column, Row};
use crate::error::Error;
use crate::protocols;
use crate::protocols::postgres::binary_copy::{self, Event};

/// Bytes of rows that are written at once.
const BATCH: usize = 64 << 10;

/// Writes rows of `COPY … FROM STDIN (FORMAT binary)` from values: into a
/// [`body_writer`](crate::Request::body_writer), whose thread waits while the server is slow, a file, or a `Vec<u8>`.
///
/// The types must be those of the columns, as with [`Postgres::execute`](super::Postgres::execute), and nothing else than
/// that is taken: what is copied cannot say what it is. Types that are not built in can be had from the
/// [columns](super::ResultSet::columns) of `SELECT … LIMIT 0`. PostgreSQL, "COPY", "Binary Format".
///
/// ```
/// use aquests::postgres::{BinaryCopyWriter, Type};
///
/// let mut rows = BinaryCopyWriter::new(Vec::new(), [Type::INT8, Type::TEXT]);
/// rows.write(&[&1_i64, &"Plzeň"])?;
/// rows.write(&[&2_i64, &None::<String>])?;
/// let body = rows.finish()?;
/// # assert_eq!(body.len(), 19 + (2 + 4 + 8 + 4 + 6) + (2 + 4 + 8 + 4) + 2);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// One that is dropped before it is [finished](Self::finish) leaves a copy without an end, of which the server takes nothing.
pub struct BinaryCopyWriter<W> {
    out: W,
    rows: Rows,
}

/// Rows as bytes that wait for where they go.
struct Rows {
    types: Arc<[Type]>,
    bytes: BytesMut,
}

impl Rows {
    /// With the header before the first.
    fn new(types: Arc<[Type]>) -> Self {
        let mut header = Vec::new();
        binary_copy::write_header(&mut header);
        Self { types, bytes: BytesMut::from(&header[..]) }
    }

    /// A row. What fails leaves nothing.
    fn push<'a>(&mut self, values: impl ExactSizeIterator<Item = &'a (dyn ToSql + Sync)>) -> io::Result<()> {
        let begin = self.bytes.len();
        self.try_push(values).map_err(|error| {
            self.bytes.truncate(begin);
            io::Error::new(io::ErrorKind::InvalidInput, error)
        })
    }

    fn try_push<'a>(&mut self, values: impl ExactSizeIterator<Item = &'a (dyn ToSql + Sync)>) -> Result<(), Error> {
        let (count, columns) = (values.len(), self.types.len());
        if count != columns {
            return Err(Error::invalid(format!("the copy has {columns} columns, and a row of it {count} values")));
        }
        let columns = i16::try_from(columns).map_err(|_| Error::invalid("a copy has at most 32,767 columns"))?;
        self.bytes.extend_from_slice(&columns.to_be_bytes());
        for (at, (value, type_)) in values.zip(self.types.iter()).enumerate() {
            let failed = |source| {
                let words = format!("the value of column {at} cannot be copied as {} in binary", type_.name());
                Error::invalid(words).boxed_source(source)
            };
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(&[0xff; 4]);
            let (null, format) = write_value(value, type_, &mut self.bytes).map_err(failed)?;
            let length = self.bytes.len() - begin - 4;
            match (null, format) {
                (IsNull::Yes, _) => self.bytes.truncate(begin + 4),
                (IsNull::No, Written::Text) => return Err(failed("it is text".into())),
                (IsNull::No, Written::Binary) => {
                    let length = i32::try_from(length).map_err(|error| failed(error.into()))?;
                    self.bytes[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        let mut trailer = Vec::new();
        binary_copy::write_trailer(&mut trailer);
        self.bytes.extend_from_slice(&trailer);
    }
}

impl<W: Write> BinaryCopyWriter<W> {
    /// For rows with columns of these types.
    pub fn new(out: W, types: impl IntoIterator<Item = Type>) -> Self {
        Self { out, rows: Rows::new(types.into_iter().collect()) }
    }

    /// A row. [`InvalidInput`](io::ErrorKind::InvalidInput) for values that are not of their columns' types, or not as many:
    /// nothing of the row is written then, and others may follow. Other errors are those of what is written to, and end the
    /// copy.
    pub fn write(&mut self, values: &[&(dyn ToSql + Sync)]) -> io::Result<()> {
        self.rows.push(values.iter().copied())?;
        if self.rows.bytes.len() >= BATCH { self.pass_on() } else { Ok(()) }
    }

    /// No row follows. Returns what was written to: a body is still to be
    /// [finished](crate::BodyWriter::finish) itself.
    pub fn finish(mut self) -> io::Result<W> {
        self.rows.end();
        self.pass_on()?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.rows.bytes);
        self.rows.bytes.clear();
        written
    }
}

/// How many columns: values are secrets.
impl<W> fmt::Debug for BinaryCopyWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BinaryCopyWriter").field("columns", &self.rows.types.len()).finish_non_exhaustive()
    }
}

/// The same from an iterator, as the server takes it and in no thread of its own: for
/// [`body_reader`](crate::Request::body_reader). Rows are made when there is room for them, and values that are not of their
/// columns' types end the copy with an [`Upload`](crate::ErrorKind::Upload) error, with nothing in the table.
///
/// ```
/// # let db = aquests::postgres::Postgres::at("127.0.0.1", "mydb").user("test", "1111");
/// use aquests::Request;
/// use aquests::postgres::{BinaryCopyBody, Type};
///
/// let rows = (1..=1_000_000_i64).map(|n| (n, format!("number {n}")));
/// let copy = Request::from(db.copy_in("COPY numbers FROM STDIN (FORMAT binary)"))
///     .body_reader(BinaryCopyBody::new([Type::INT8, Type::TEXT], rows), None);
/// ```
pub struct BinaryCopyBody<I> {
    values: I,
    rows: Rows,
    /// Bytes of the rows that were read.
    given: usize,
    over: bool,
}

impl<I> BinaryCopyBody<I>
where
    I: Iterator<Item: ToParams>,
{
    /// Rows with columns of these types.
    pub fn new(types: impl IntoIterator<Item = Type>, values: impl IntoIterator<IntoIter = I>) -> Self {
        Self { values: values.into_iter(), rows: Rows::new(types.into_iter().collect()), given: 0, over: false }
    }

    fn refill(&mut self, room: usize) -> io::Result<()> {
        self.rows.bytes.clear();
        self.given = 0;
        while !self.over && self.rows.bytes.len() < room.min(BATCH) {
            match self.values.next() {
                Some(values) => {
                    let values: Parameters = values.to_params();
                    self.rows.push(values.iter())?;
                }
                None => {
                    self.rows.end();
                    self.over = true;
                }
            }
        }
        Ok(())
    }
}

impl<I> Read for BinaryCopyBody<I>
where
    I: Iterator<Item: ToParams>,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.rows.bytes.len() {
            self.refill(buffer.len())?;
        }
        let left = &self.rows.bytes[self.given..];
        let taken = left.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&left[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

/// How many columns: values are secrets.
impl<I> fmt::Debug for BinaryCopyBody<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BinaryCopyBody").field("columns", &self.rows.types.len()).finish_non_exhaustive()
    }
}

/// Reads rows out of what `COPY … TO STDOUT (FORMAT binary)` brings, as it comes: for
/// [`on_chunk`](crate::Request::on_chunk), whose pieces are cut anywhere. No more of it is kept than one row that is not
/// whole, and a chunk that is [held](crate::Flow::Hold) keeps the server from sending more.
///
/// ```no_run
/// # let db = aquests::postgres::Postgres::at("127.0.0.1", "mydb").user("test", "1111");
/// # let mut client = aquests::Client::new()?;
/// use aquests::postgres::{BinaryCopyReader, Type};
/// use aquests::{BoxError, Flow, Request};
///
/// let mut rows = BinaryCopyReader::new([Type::INT8, Type::TEXT]);
/// let copy = Request::from(db.query("COPY numbers TO STDOUT (FORMAT binary)"));
/// client.send(copy.on_chunk(move |_, mut chunk| {
///     while let Some(row) = rows.next(&mut chunk)? {
///         println!("{}: {:?}", row.try_get::<i64>(0)?, row.try_get::<Option<String>>(1)?);
///     }
///     Ok::<_, BoxError>(Flow::Continue)
/// }))?;
/// # Ok::<(), aquests::Error>(())
/// ```
#[derive(Debug)]
pub struct BinaryCopyReader {
    columns: Arc<[Column]>,
    reader: binary_copy::Reader,
    /// The begin of what is not whole.
    begun: Vec<u8>,
    /// Bytes that it needs before it is looked at again.
    needed: usize,
}

impl BinaryCopyReader {
    /// Rows with columns of these types.
    pub fn new(types: impl IntoIterator<Item = Type>) -> Self {
        Self::of(types.into_iter().map(|type_| Column::of_copy(String::new(), type_)).collect())
    }

    /// Rows with these columns, by their names: those of a [`ResultSet`](super::ResultSet), for example of
    /// `SELECT … LIMIT 0`, where types that are not built in were looked up.
    pub fn with_columns(columns: &[Column]) -> Self {
        let of_copy = |column: &Column| Column::of_copy(column.name().to_owned(), column.type_().clone());
        Self::of(columns.iter().map(of_copy).collect())
    }

    fn of(columns: Arc<[Column]>) -> Self {
        let count = u16::try_from(columns.len()).unwrap_or(u16::MAX);
        Self { columns, reader: binary_copy::Reader::new().columns(count), begun: Vec::new(), needed: 0 }
    }

    /// Bytes that a row may have: 64 MiB unless set.
    #[must_use]
    pub fn limit(mut self, bytes: u32) -> Self {
        self.reader = self.reader.limit(bytes);
        self
    }

    /// The next row, and takes what was read off the chunk. `None`: the chunk is read, and the next one may have more.
    ///
    /// Errors are those of the format ([`Violation`](protocols::postgres::Violation) `Copy…`), and
    /// [`TooLarge`](protocols::Error::TooLarge). They stay.
    pub fn next<'a, 'c: 'a>(&'a mut self, chunk: &mut &'c [u8]) -> Result<Option<Row<'a>>, protocols::Error> {
        if self.needed == 0 {
            // What was begun is done with.
            self.begun.clear();
        }
        let fields = loop {
            if self.needed == 0 {
                if chunk.is_empty() {
                    return Ok(None);
                }
                let (used, event) = self.reader.read(chunk)?;
                *chunk = &chunk[used..];
                match event {
                    Event::Row(row) => break Some(row.as_bytes()),
                    Event::NeedData { at_least } => self.needed = at_least,
                    Event::Progress | Event::End => {}
                }
                continue;
            }
            let (more, rest) = chunk.split_at(chunk.len().min(self.needed - self.begun.len()));
            self.begun.extend_from_slice(more);
            *chunk = rest;
            if self.begun.len() < self.needed {
                return Ok(None);
            }
            let (used, event) = self.reader.read(&self.begun)?;
            self.needed = 0;
            match event {
                // It was filled up to the end of it, and no further.
                Event::Row(_) => break None,
                Event::NeedData { at_least } => self.needed = at_least,
                Event::Progress | Event::End => drop(self.begun.drain(..used)),
            }
        };
        // Behind the number of them.
        Ok(Some(Row::new(&self.columns, fields.unwrap_or_else(|| &self.begun[2..]))))
    }

    /// All rows came, and the end of them.
    pub fn is_over(&self) -> bool {
        self.reader.is_over()
    }

    /// There are no more chunks: an error where they are not all of a copy.
    pub fn finish(mut self) -> Result<(), protocols::Error> {
        self.reader.finish()
    }
}

#[cfg(test)]
mod tests;
