//! What a server says when it does not do as it was told, kept; and the codes that it says it in.

use std::fmt;

use crate::protocols::postgres as wire;

/// The server's words about an error or a notice: "Error and Notice Message Fields" in the manual.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerError {
    fields: Vec<(u8, Box<str>)>,
    plain: Option<Box<str>>,
}

impl ServerError {
    pub(crate) fn new(error: wire::ErrorRef<'_>) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into();
        let fields: Vec<_> = error.fields().map(|(code, words)| (code, text(words))).collect();
        let plain = fields.is_empty().then(|| text(error.message()));
        Self { fields, plain }
    }

    /// Memory that it holds, in bytes.
    pub(super) fn size(&self) -> usize {
        let texts = self.fields.iter().map(|(_, words)| words.len() + size_of::<(u8, Box<str>)>());
        size_of::<Self>() + texts.sum::<usize>() + self.plain.as_ref().map_or(0, |words| words.len())
    }

    fn field(&self, code: u8) -> Option<&str> {
        self.fields.iter().find(|(it, _)| *it == code).map(|(_, words)| &**words)
    }

    /// SQLSTATE: one of [`sqlstate`](super::sqlstate), or another of "PostgreSQL Error Codes" in the manual.
    pub fn code(&self) -> &str {
        self.field(b'C').unwrap_or_default()
    }

    /// `ERROR`, `FATAL`, `PANIC`, `WARNING`, `NOTICE`, `DEBUG`, `INFO` or `LOG`; of servers before 9.6 in their language.
    pub fn severity(&self) -> &str {
        self.field(b'V').or_else(|| self.field(b'S')).unwrap_or("ERROR")
    }

    /// What happened, in one line, in the language of the server.
    pub fn message(&self) -> &str {
        self.plain.as_deref().or_else(|| self.field(b'M')).unwrap_or_default()
    }

    /// More about it.
    pub fn detail(&self) -> Option<&str> {
        self.field(b'D')
    }

    /// What might help.
    pub fn hint(&self) -> Option<&str> {
        self.field(b'H')
    }

    /// Where in the statement, in characters from 1.
    pub fn position(&self) -> Option<u32> {
        self.field(b'P')?.parse().ok()
    }

    /// Where it happened: the functions on the way there, the innermost first.
    pub fn context(&self) -> Option<&str> {
        self.field(b'W')
    }

    /// The schema of what it is about.
    pub fn schema(&self) -> Option<&str> {
        self.field(b's')
    }

    /// The table that it is about.
    pub fn table(&self) -> Option<&str> {
        self.field(b't')
    }

    /// The column that it is about.
    pub fn column(&self) -> Option<&str> {
        self.field(b'c')
    }

    /// The type that it is about.
    pub fn data_type(&self) -> Option<&str> {
        self.field(b'd')
    }

    /// The constraint that was violated.
    pub fn constraint(&self) -> Option<&str> {
        self.field(b'n')
    }

    /// The function of the server's source that said it.
    pub fn routine(&self) -> Option<&str> {
        self.field(b'R')
    }
}

/// `ERROR 42P01: relation "x" does not exist`.
impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.severity())?;
        if !self.code().is_empty() {
            write!(f, " {}", self.code())?;
        }
        write!(f, ": {}", self.message())
    }
}

/// What it says in one line: details have values of the table in them.
impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerError({self})")
    }
}

impl std::error::Error for ServerError {}

/// SQLSTATE of what programs look at: "PostgreSQL Error Codes" in the manual has all.
pub mod sqlstate {
    /// The connection was lost inside the server.
    pub const CONNECTION_FAILURE: &str = "08006";
    /// What was asked for is not there, such as a changed result of a prepared statement.
    pub const FEATURE_NOT_SUPPORTED: &str = "0A000";
    /// A number does not fit its type.
    pub const NUMERIC_VALUE_OUT_OF_RANGE: &str = "22003";
    /// A division by zero.
    pub const DIVISION_BY_ZERO: &str = "22012";
    /// A text is no value of the type.
    pub const INVALID_TEXT_REPRESENTATION: &str = "22P02";
    /// NULL where it may not be.
    pub const NOT_NULL_VIOLATION: &str = "23502";
    /// A key that nobody has.
    pub const FOREIGN_KEY_VIOLATION: &str = "23503";
    /// A key that somebody has.
    pub const UNIQUE_VIOLATION: &str = "23505";
    /// A check that failed.
    pub const CHECK_VIOLATION: &str = "23514";
    /// The transaction cannot write.
    pub const READ_ONLY_SQL_TRANSACTION: &str = "25006";
    /// An error came before in this transaction.
    pub const IN_FAILED_SQL_TRANSACTION: &str = "25P02";
    /// There is no such prepared statement.
    pub const INVALID_SQL_STATEMENT_NAME: &str = "26000";
    /// Who one is was not enough.
    pub const INVALID_AUTHORIZATION_SPECIFICATION: &str = "28000";
    /// A wrong password.
    pub const INVALID_PASSWORD: &str = "28P01";
    /// There is no such database.
    pub const INVALID_CATALOG_NAME: &str = "3D000";
    /// Another transaction came first: try again.
    pub const SERIALIZATION_FAILURE: &str = "40001";
    /// Two transactions wait for each other: try again.
    pub const DEADLOCK_DETECTED: &str = "40P01";
    /// That is not SQL.
    pub const SYNTAX_ERROR: &str = "42601";
    /// It is not allowed.
    pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
    /// There is no such column.
    pub const UNDEFINED_COLUMN: &str = "42703";
    /// There is no such function.
    pub const UNDEFINED_FUNCTION: &str = "42883";
    /// There is no such table.
    pub const UNDEFINED_TABLE: &str = "42P01";
    /// A prepared statement has that name already.
    pub const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";
    /// There is such a table already.
    pub const DUPLICATE_TABLE: &str = "42P07";
    /// No room for another connection.
    pub const TOO_MANY_CONNECTIONS: &str = "53300";
    /// It was cancelled, or took longer than allowed.
    pub const QUERY_CANCELED: &str = "57014";
    /// The server is being shut down.
    pub const ADMIN_SHUTDOWN: &str = "57P01";
    /// The server is still starting up.
    pub const CANNOT_CONNECT_NOW: &str = "57P03";
}
