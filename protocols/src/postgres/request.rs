//! What is asked, and how it is written. Everything is judged before a byte is written.

use core::fmt;

use crate::Refused;

/// What is sent to the server.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Request<'a> {
    /// A simple query: any number of statements, all values in text. Done with [`Ready`](super::Message::Ready).
    Query(&'a str),
    /// A simple query that has one `COPY … FROM STDIN`, whose data follows by
    /// [`send_data`](crate::Protocol::send_data). Alone on its connection.
    CopyIn(&'a str),
    /// Steps of the extended protocol, in order.
    Steps {
        /// What to do.
        steps: &'a [Step<'a>],
        /// What follows the last.
        end: End,
    },
}

/// What follows the steps of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum End {
    /// Sync: the request stands for itself. Outside a transaction, what it did is committed.
    #[default]
    Sync,
    /// Nothing: the Sync of a later request is shared. Until then the server may keep the answer to itself, and after an
    /// error it skips what comes. No simple query may come between.
    Later,
    /// The same, but the server is to send its answer at once.
    Flush,
}

/// A step of the extended protocol. Names may be empty: a statement or portal without a name lasts until the next one,
/// a portal at most as long as the transaction.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Step<'a> {
    /// Prepares a statement.
    Parse {
        /// The statement's name.
        name: &'a str,
        /// One statement, with `$1`, `$2`, … where values belong.
        sql: &'a str,
        /// The types of the first parameters, by their numbers in `pg_type`; 0 and those left out are for the server to
        /// find.
        types: &'a [u32],
    },
    /// Makes a portal of a statement and values.
    Bind {
        /// The portal's name.
        portal: &'a str,
        /// The statement's name.
        statement: &'a str,
        /// The values of `$1`, `$2`, …
        parameters: &'a [Parameter<'a>],
        /// How values of results are written: none is text for all, one is for all, else one for each column.
        results: &'a [Format],
    },
    /// Asks for the types of a statement's parameters, and for its columns.
    DescribeStatement(&'a str),
    /// Asks for the columns of a portal.
    DescribePortal(&'a str),
    /// Asks a portal for rows.
    Execute {
        /// The portal's name.
        portal: &'a str,
        /// At most so many, or all for 0. After [`Suspended`](super::Message::Suspended) ask for more.
        rows: u32,
    },
    /// Forgets a statement. One that is not there is no error.
    CloseStatement(&'a str),
    /// Forgets a portal. One that is not there is no error.
    ClosePortal(&'a str),
}

/// A value for a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The value, or NULL.
    pub value: Option<&'a [u8]>,
    /// How it is written.
    pub format: Format,
}

impl<'a> Parameter<'a> {
    /// NULL.
    pub const NULL: Self = Self { value: None, format: Format::Text };

    /// A value as one would write it in a query, without quotes.
    pub fn text(value: &'a str) -> Self {
        Self { value: Some(value.as_bytes()), format: Format::Text }
    }

    /// A value in the binary format of its type.
    pub fn binary(value: &'a [u8]) -> Self {
        Self { value: Some(value), format: Format::Binary }
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// As people read it.
    #[default]
    Text,
    /// As the type's `send` and `receive` functions want it.
    Binary,
}

impl Format {
    pub(super) fn of(code: u16) -> Option<Self> {
        match code {
            0 => Some(Self::Text),
            1 => Some(Self::Binary),
            _ => None,
        }
    }
}

/// What it takes to cancel what runs on a connection. Whoever has it can: it is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CancelKey {
    process: u32,
    secret: Box<[u8]>,
}

impl CancelKey {
    /// The server's process, as `pg_stat_activity` has it.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// CancelRequest: all that is to be said on a new connection, inside TLS where the first one is (after the same
    /// SSLRequest). The server answers by hanging up; what ran gets SQLSTATE 57014, if it still ran.
    pub fn request(&self) -> Vec<u8> {
        let mut request = Vec::with_capacity(12 + self.secret.len());
        without_kind(&mut request, |out| {
            out.extend_from_slice(&80_877_102_u32.to_be_bytes());
            out.extend_from_slice(&self.process.to_be_bytes());
            out.extend_from_slice(&self.secret);
        });
        request
    }
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelKey").field("process", &self.process).finish_non_exhaustive()
    }
}

/// The same, as it came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CancelKeyRef<'a> {
    pub(super) process: u32,
    pub(super) secret: &'a [u8],
}

impl CancelKeyRef<'_> {
    /// The server's process, as `pg_stat_activity` has it.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// To keep.
    pub fn to_key(&self) -> CancelKey {
        CancelKey { process: self.process, secret: self.secret.into() }
    }
}

impl fmt::Debug for CancelKeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelKeyRef").field("process", &self.process).finish_non_exhaustive()
    }
}

/// The values of a request may be secrets: only its kind is shown.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Query(_) => f.write_str("Query"),
            Request::CopyIn(_) => f.write_str("CopyIn"),
            Request::Steps { steps, end } => f.debug_tuple("Steps").field(steps).field(end).finish(),
        }
    }
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Parse { .. } => "Parse",
            Step::Bind { .. } => "Bind",
            Step::DescribeStatement(_) => "DescribeStatement",
            Step::DescribePortal(_) => "DescribePortal",
            Step::Execute { .. } => "Execute",
            Step::CloseStatement(_) => "CloseStatement",
            Step::ClosePortal(_) => "ClosePortal",
        })
    }
}

impl fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameter").field("format", &self.format).finish_non_exhaustive()
    }
}

/// A text that ends with NUL: its length with it.
fn text(text: &str) -> Result<u64, Refused> {
    match memchr::memchr(0, text.as_bytes()) {
        None => Ok(text.len() as u64 + 1),
        Some(_) => Err(Refused::Misuse("a query or a name with NUL")),
    }
}

fn few<T>(items: &[T]) -> Result<u64, Refused> {
    if items.len() > usize::from(u16::MAX) {
        return Err(Refused::Misuse("more than 65,535 parameters, types or formats"));
    }
    Ok(items.len() as u64)
}

/// The length of a message is an `i32` that counts itself.
fn fits(length: u64) -> Result<(), Refused> {
    if length + 4 > i32::MAX as u64 { Err(Refused::Misuse("a message of 2 GiB or more")) } else { Ok(()) }
}

/// A query that can be written.
pub(super) fn check_query(sql: &str) -> Result<(), Refused> {
    fits(text(sql)?)
}

impl Step<'_> {
    /// It can be written.
    pub(super) fn check(&self) -> Result<(), Refused> {
        fits(match self {
            Step::Parse { name, sql, types } => text(name)? + text(sql)? + 2 + 4 * few(types)?,
            Step::Bind { portal, statement, parameters, results } => {
                let names = text(portal)? + text(statement)?;
                let counts = 6 + 6 * few(parameters)? + 2 * few(results)?;
                let length = |it: &Parameter<'_>| it.value.map_or(0, |value| value.len() as u64);
                let values = parameters.iter().map(length).fold(0, u64::saturating_add);
                values.saturating_add(names + counts).min(u64::MAX - 4)
            }
            Step::Execute { portal, .. } => text(portal)? + 4,
            Step::DescribeStatement(name)
            | Step::DescribePortal(name)
            | Step::CloseStatement(name)
            | Step::ClosePortal(name) => 1 + text(name)?,
        })
    }

    /// Writes it; it was judged.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Step::Parse { name, sql, types } => message(b'P', out, |out| {
                push_text(name, out);
                push_text(sql, out);
                push_u16(types.len(), out);
                types.iter().for_each(|oid| out.extend_from_slice(&oid.to_be_bytes()));
            }),
            Step::Bind { portal, statement, parameters, results } => message(b'B', out, |out| {
                push_text(portal, out);
                push_text(statement, out);
                // None stands for text, one for all.
                let binary = parameters.iter().filter(|it| it.format == Format::Binary).count();
                let formats = match parameters.len() {
                    _ if binary == 0 => &parameters[..0],
                    all if binary == all => &parameters[..1],
                    _ => parameters,
                };
                push_u16(formats.len(), out);
                formats.iter().for_each(|it| push_u16(it.format as usize, out));
                push_u16(parameters.len(), out);
                for parameter in parameters {
                    match parameter.value {
                        Some(value) => {
                            push_length(value.len(), out);
                            out.extend_from_slice(value);
                        }
                        None => out.extend_from_slice(&[0xff; 4]),
                    }
                }
                push_u16(results.len(), out);
                results.iter().for_each(|format| push_u16(*format as usize, out));
            }),
            Step::DescribeStatement(name) => push_named(b'D', b'S', name, out),
            Step::DescribePortal(name) => push_named(b'D', b'P', name, out),
            Step::CloseStatement(name) => push_named(b'C', b'S', name, out),
            Step::ClosePortal(name) => push_named(b'C', b'P', name, out),
            Step::Execute { portal, rows } => message(b'E', out, |out| {
                push_text(portal, out);
                // An `i32` there; more than fit are all.
                out.extend_from_slice(&i32::try_from(rows).unwrap_or(0).to_be_bytes());
            }),
        }
    }
}

/// Writes a message whose length was judged.
pub(super) fn message(kind: u8, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    without_kind(out, body);
}

/// The same for those that have no type: they came before there were any.
pub(super) fn without_kind(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// A message without an inside: Sync, Flush, CopyDone, Terminate.
pub(super) fn bare(kind: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind, 0, 0, 0, 4]);
}

pub(super) fn push_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

pub(super) fn push_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u32).to_be_bytes());
}

fn push_u16(number: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(number as u16).to_be_bytes());
}

fn push_named(kind: u8, what: u8, name: &str, out: &mut Vec<u8>) {
    message(kind, out, |out| {
        out.push(what);
        push_text(name, out);
    });
}
