//! What came of a statement, kept: the results in order, and how they are put together from the messages of a connection.

use std::fmt;
use std::sync::Arc;

use super::row::{Column, Row};
use super::server_error::ServerError;
use crate::protocols::postgres::{self as wire, Message, Transaction, Violation};
use crate::protocols::{self, Limit};
use crate::reactor::Flow;

/// What came of a statement: a result for each statement that was in it, up to the first that failed.
#[derive(Clone, Default)]
pub struct Results {
    sets: Vec<ResultSet>,
    notices: Vec<ServerError>,
    error: Option<ServerError>,
    transaction: Transaction,
}

/// The result of one statement.
#[derive(Clone, Default)]
pub struct ResultSet {
    columns: Arc<[Column]>,
    /// The fields of all rows.
    fields: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
    tag: Box<str>,
    affected: Option<u64>,
    copied: Vec<u8>,
    suspended: bool,
}

impl Results {
    /// The results in order. Where a statement failed, the last one has what came before the error.
    pub fn sets(&self) -> &[ResultSet] {
        &self.sets
    }

    /// The rows of the first result that has columns.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        static NONE: std::sync::LazyLock<ResultSet> = std::sync::LazyLock::new(ResultSet::default);
        self.sets.iter().find(|set| !set.columns.is_empty()).unwrap_or(&NONE).rows()
    }

    /// Rows that were returned or changed, by all statements together.
    pub fn affected(&self) -> u64 {
        self.sets.iter().filter_map(ResultSet::affected).fold(0, u64::saturating_add)
    }

    /// There may be more rows: a [portal](super::Portal) had as many as were fetched.
    pub fn is_suspended(&self) -> bool {
        self.sets.iter().any(|set| set.suspended)
    }

    /// What the server had to say meanwhile.
    pub fn notices(&self) -> &[ServerError] {
        &self.notices
    }

    /// Why the last statement did not do what it was to do.
    pub fn error(&self) -> Option<&ServerError> {
        self.error.as_ref()
    }

    /// These, if nothing failed.
    pub fn into_result(self) -> Result<Self, ServerError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    /// Whether the connection was left in a transaction.
    pub fn transaction(&self) -> Transaction {
        self.transaction
    }
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("sets", &self.sets).field("error", &self.error).finish_non_exhaustive()
    }
}

impl ResultSet {
    /// One with these columns and no rows yet, for whoever is given rows one by one and wants to keep some.
    pub fn with_columns(columns: &[Column]) -> Self {
        Self { columns: columns.into(), ..Self::default() }
    }

    /// Keeps a row, which must have come with the same columns.
    pub fn push(&mut self, row: &Row<'_>) {
        self.fields.extend_from_slice(row.as_bytes());
        self.ends.push(self.fields.len());
    }

    /// The columns; none for a statement that returns no rows.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        let row = |at: usize| {
            let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
            Row::new(&self.columns, &self.fields[begin..self.ends[at]])
        };
        (0..self.ends.len()).map(row)
    }

    /// A row by its place from 0.
    pub fn row(&self, at: usize) -> Option<Row<'_>> {
        let mut rows = self.rows();
        rows.nth(at)
    }

    /// How many rows came.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// No row came.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// What the statement did: `SELECT 3`, `INSERT 0 1`, `BEGIN`. Empty for an empty one, where an error came first, and where
    /// a portal may have more rows.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Rows that were returned or changed, where the statement is one that counts them.
    pub fn affected(&self) -> Option<u64> {
        self.affected
    }

    /// What `COPY … TO STDOUT` brought.
    pub fn copied(&self) -> &[u8] {
        &self.copied
    }
}

impl fmt::Debug for ResultSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultSet").field("tag", &self.tag).field("rows", &self.len()).finish_non_exhaustive()
    }
}

/// A part of what comes of a statement, in the order in which the server tells it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Part<'a> {
    /// A result begins that has these columns.
    Columns(&'a [Column]),
    /// A row of it.
    Row(Row<'a>),
    /// Some of what `COPY … TO STDOUT` brings, cut anywhere.
    Copied(&'a [u8]),
    /// A statement is done, and this is what it did: `SELECT 3`, `INSERT 0 1`. Empty for an empty statement.
    Done(&'a str),
    /// As many rows came as were fetched of a [portal](super::Portal), and there may be more.
    Suspended,
    /// What the server has to say meanwhile.
    Notice(&'a ServerError),
}

/// What gets each row as it comes.
pub(crate) type OnRow = Box<dyn FnMut(Row<'_>) -> Result<Flow, Failure> + Send>;
/// What gets everything as it comes.
pub(crate) type OnPart = Box<dyn FnMut(Part<'_>) -> Result<Flow, Failure> + Send>;

/// Who gets what as it comes.
pub(crate) enum Taker {
    Rows(OnRow),
    Parts(OnPart),
}

/// What a callback says that cannot go on.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why no more is collected.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The server broke a rule that only shows here, or said too much.
    Peer(protocols::Error),
    /// The callback did not want to go on.
    Callback(Failure),
}

impl From<protocols::Error> for Stopped {
    fn from(error: protocols::Error) -> Self {
        Stopped::Peer(error)
    }
}

/// The results of a statement on their way, from the messages in the order in which they came.
pub(crate) struct Collected {
    results: Results,
    /// A result is open: its end did not come yet.
    open: bool,
    taker: Option<Taker>,
    /// Bytes that it holds, and may hold.
    size: usize,
    limit: usize,
    /// Bytes that are held on the way to it.
    aside: usize,
}

impl Collected {
    /// Keeps everything, up to so many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { results: Results::default(), open: false, taker: None, size: 0, limit, aside: 0 }
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size + self.aside
    }

    /// So many bytes are held on the way to it that are no part of it, and are not limited as that is.
    pub(super) fn set_aside(&mut self, bytes: usize) {
        self.aside = bytes;
    }

    /// Something came of it.
    pub(crate) fn has_begun(&self) -> bool {
        !self.results.sets.is_empty() || self.results.error.is_some()
    }

    /// What came so far.
    pub(crate) fn results(&self) -> &Results {
        &self.results
    }

    /// The same, taken out.
    pub(crate) fn take(&mut self) -> Results {
        std::mem::take(&mut self.results)
    }

    /// Rows are given away as they come, or everything is, and none is kept.
    pub(crate) fn set_taker(&mut self, taker: Taker) {
        self.taker = Some(taker);
    }

    /// Tells whoever wants to know everything; `None` where nobody does.
    fn tell(&mut self, part: Part<'_>) -> Result<Option<Flow>, Stopped> {
        match &mut self.taker {
            Some(Taker::Parts(on_part)) => on_part(part).map(Some).map_err(Stopped::Callback),
            _ => Ok(None),
        }
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Stopped> {
        self.size = self.size.saturating_add(bytes);
        if self.size > self.limit {
            let limit = Limit { what: "result bytes", value: self.limit as u64 };
            return Err(protocols::Error::TooLarge(limit).into());
        }
        Ok(())
    }

    /// The result that is open; a new one where none is.
    fn set(&mut self) -> Result<&mut ResultSet, Stopped> {
        if !self.open {
            // Thousands of empty statements fit into one query.
            self.grow(size_of::<ResultSet>())?;
            self.results.sets.push(ResultSet::default());
            self.open = true;
        }
        match self.results.sets.last_mut() {
            Some(set) => Ok(set),
            None => Err(protocols::Error::from(Violation::Unexpected).into()),
        }
    }

    /// Rows with these columns follow.
    pub(crate) fn describe(&mut self, columns: &Arc<[Column]>) -> Result<Flow, Stopped> {
        self.set()?.columns = columns.clone();
        Ok(self.tell(Part::Columns(columns))?.unwrap_or(Flow::Continue))
    }

    /// The next message. [`Flow::Continue`] unless a callback says something else.
    pub(crate) fn message(&mut self, message: &Message<'_>) -> Result<Flow, Stopped> {
        match message {
            Message::RowDescription(described) => {
                let columns = columns(described);
                self.grow(columns.iter().map(|column| size_of::<Column>() + column.name().len()).sum())?;
                return self.describe(&columns);
            }
            Message::Row(row) => return self.row(row),
            Message::Data(data) => {
                self.set()?;
                if let Some(flow) = self.tell(Part::Copied(data))? {
                    return Ok(flow);
                }
                self.grow(data.len())?;
                self.set()?.copied.extend_from_slice(data);
            }
            Message::CopyIn(_) | Message::CopyOut(_) => drop(self.set()?),
            Message::Complete(tag) => {
                self.grow(tag.as_bytes().len())?;
                let set = self.set()?;
                let words = String::from_utf8_lossy(tag.as_bytes());
                set.tag = words.clone().into();
                set.affected = tag.rows();
                self.open = false;
                return Ok(self.tell(Part::Done(&words))?.unwrap_or(Flow::Continue));
            }
            Message::Empty => {
                self.set()?;
                self.open = false;
                return Ok(self.tell(Part::Done(""))?.unwrap_or(Flow::Continue));
            }
            Message::Suspended => {
                self.set()?.suspended = true;
                self.open = false;
                return Ok(self.tell(Part::Suspended)?.unwrap_or(Flow::Continue));
            }
            Message::Error(error) => self.fail(ServerError::new(*error))?,
            Message::Notice(notice) => {
                let notice = ServerError::new(*notice);
                if let Some(flow) = self.tell(Part::Notice(&notice))? {
                    return Ok(flow);
                }
                self.grow(notice.size())?;
                self.results.notices.push(notice);
            }
            Message::Ready(transaction) => self.results.transaction = *transaction,
            _ => {}
        }
        Ok(Flow::Continue)
    }

    /// It failed.
    pub(crate) fn fail(&mut self, error: ServerError) -> Result<(), Stopped> {
        self.grow(error.size())?;
        self.results.error = Some(error);
        self.open = false;
        Ok(())
    }

    fn row(&mut self, row: &wire::Row<'_>) -> Result<Flow, Stopped> {
        let set = self.set()?;
        // The machine does not know the columns of a statement that was described long ago.
        if set.columns.len() != usize::from(row.count()) {
            return Err(protocols::Error::from(Violation::Row).into());
        }
        let fields = row.as_bytes();
        if self.taker.is_none() {
            self.grow(fields.len() + size_of::<usize>())?;
            let set = self.set()?;
            set.fields.extend_from_slice(fields);
            set.ends.push(set.fields.len());
            return Ok(Flow::Continue);
        }
        let (Some(taker), Some(set)) = (&mut self.taker, self.results.sets.last()) else { return Ok(Flow::Continue) };
        let row = Row::new(&set.columns, fields);
        match taker {
            Taker::Rows(on_row) => on_row(row),
            Taker::Parts(on_part) => on_part(Part::Row(row)),
        }
        .map_err(Stopped::Callback)
    }
}

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected").field("results", &self.results).field("size", &self.size).finish_non_exhaustive()
    }
}

pub(super) fn columns(described: &wire::RowDescription<'_>) -> Arc<[Column]> {
    described.columns().map(|column| Column::new(&column)).collect()
}

#[cfg(test)]
mod tests;
