//! Statements as values, and the order of the messages that run one on a connection. Whoever drives it owns the connection
//! and decides when; nothing here sends or waits.

mod cache;

use std::fmt;
use std::sync::Arc;

pub(crate) use cache::Cache;
use cache::Prepared;
use postgres_types::{Kind, Type};

use super::parameters::{Parameters, ToParams};
use super::results::{Collected, Stopped, columns};
use super::server_error::{ServerError, sqlstate};
use super::settings::{Postgres, Settings};
use super::text;
use crate::error::Error;
use crate::protocols::postgres::{End, ErrorRef, Format, Message, Request, Step, Transaction};
use crate::reactor::Flow;

/// Something to ask a server. Making one never fails: what is wrong with it is told when it is sent.
#[derive(Clone)]
pub struct Statement {
    settings: Arc<Settings>,
    sql: Arc<str>,
    asked: Asked,
}

#[derive(Clone)]
enum Asked {
    /// Any number of statements, values as text.
    Simple,
    /// One COPY, whose data is the body of the request.
    CopyIn,
    /// One statement with values.
    Typed { parameters: Parameters, types: Arc<[u32]>, keep: bool },
}

impl Postgres {
    /// Any number of statements with semicolons between, without values: a result for each, values as text. They are one
    /// transaction, unless they say otherwise. PostgreSQL, "Simple Query".
    ///
    /// What a statement sets on its connection (`SET`, `LISTEN`, `SET ROLE`, temporary tables, advisory locks) stays there
    /// for whoever is given that connection next, unless it was sent through a [`Session`](crate::Session), which has one
    /// of its own: or set it `LOCAL`, or for all with [`Postgres::parameter`].
    pub fn query(&self, sql: impl Into<String>) -> Statement {
        Statement { settings: self.settings().clone(), sql: sql.into().into(), asked: Asked::Simple }
    }

    /// One statement with values for `$1`, `$2`, …, which are never mixed into its text. It is prepared when a connection
    /// first sees it, and stays so: see [`prepared`](Self::prepared). PostgreSQL, "Extended Query".
    ///
    /// Values must be of the types that the server wants: an `i32` is no `int8`. What is text is taken by every type, as one
    /// would write it in quotes.
    ///
    /// ```
    /// # let db = aquests::postgres::Postgres::at("127.0.0.1", "mydb").user("test", "1111");
    /// let statement = db.execute("SELECT city, prcp FROM weather WHERE city = $1 AND temp_lo < $2", ("Plzeň", 7));
    /// ```
    ///
    /// Types that are not built in (enums, composites, domains, ranges and arrays of those) travel as text, in both
    /// directions: `row.get::<String>(…)`. They are not looked up in `pg_type`.
    pub fn execute(&self, sql: impl Into<String>, parameters: impl ToParams) -> Statement {
        let asked = Asked::Typed { parameters: parameters.to_params(), types: Arc::default(), keep: true };
        Statement { settings: self.settings().clone(), sql: sql.into().into(), asked }
    }

    /// `COPY … FROM STDIN`: what is copied is the body of the request, from wherever bodies come
    /// ([`Request::body`](crate::Request::body), [`body_reader`](crate::Request::body_reader),
    /// [`body_file`](crate::Request::body_file), [`body_writer`](crate::Request::body_writer)), in the format that the
    /// statement names: text, CSV or binary. It is sent as the server takes it and never kept whole, and nothing else is on
    /// its connection meanwhile. A body that fails ends the COPY, and nothing of it is in the table. PostgreSQL, "COPY".
    ///
    /// ```
    /// # let db = aquests::postgres::Postgres::at("127.0.0.1", "mydb").user("test", "1111");
    /// let statement = db.copy_in("COPY weather (city, prcp) FROM STDIN WITH (FORMAT csv)");
    /// let request = aquests::Request::from(statement).body("Plzeň,0.25\nPraha,0\n");
    /// ```
    ///
    /// The other direction needs no word of its own: what `COPY … TO STDOUT` brings to a [`query`](Self::query) goes to
    /// [`Request::on_chunk`](crate::Request::on_chunk) or [`Request::to_file`](crate::Request::to_file), piece by piece
    /// and cut anywhere, or else is kept as [`ResultSet::copied`](super::ResultSet::copied).
    pub fn copy_in(&self, sql: impl Into<String>) -> Statement {
        Statement { settings: self.settings().clone(), sql: sql.into().into(), asked: Asked::CopyIn }
    }
}

impl Statement {
    /// Whether connections keep it prepared: they do unless told otherwise. Without effect on [`Postgres::query`].
    #[must_use]
    pub fn prepare(mut self, prepare: bool) -> Self {
        if let Asked::Typed { keep, .. } = &mut self.asked {
            *keep = prepare;
        }
        self
    }

    /// The types of the first values, where the server cannot know them: `SELECT $1`. Without effect on
    /// [`Postgres::query`].
    #[must_use]
    pub fn types(mut self, named: &[Type]) -> Self {
        if let Asked::Typed { types, .. } = &mut self.asked {
            *types = named.iter().map(Type::oid).collect();
        }
        self
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What reports call it.
    pub(crate) fn name(&self) -> &'static str {
        match &self.asked {
            Asked::Simple => "QUERY",
            Asked::CopyIn => "COPY",
            Asked::Typed { .. } => "EXECUTE",
        }
    }

    /// It takes a body.
    pub(crate) fn copies_in(&self) -> bool {
        matches!(self.asked, Asked::CopyIn)
    }

    /// The text, for whoever asked.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// What can be known before it is sent.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.settings.check()?;
        if self.sql.contains('\0') {
            return Err(Error::invalid("a statement with NUL"));
        }
        match &self.asked {
            Asked::Typed { parameters, types, .. } if parameters.len().max(types.len()) > usize::from(u16::MAX) => {
                Err(Error::invalid("a statement takes at most 65,535 values"))
            }
            _ => Ok(()),
        }
    }

    /// What runs it on one connection.
    pub(crate) fn run(&self) -> Run {
        Run { statement: self.clone(), state: State::New, alone: false, tried: false, begun: false, trouble: None }
    }
}

/// Neither the text nor the values: both may have secrets in them.
impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.asked {
            Asked::Simple => f.write_str("Statement(simple)"),
            Asked::CopyIn => f.write_str("Statement(copy)"),
            Asked::Typed { parameters, .. } => write!(f, "Statement({} values)", parameters.len()),
        }
    }
}

/// What is to be done after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// More messages come, unless a callback says something else.
    More(Flow),
    /// The exchange is over, and another one is needed: [`Run::send`] again, on the same connection.
    Again,
    /// It is over.
    Done,
}

/// A statement on its way over one connection: one exchange, or two where it must be prepared first, or four where a
/// statement that was thought to be prepared is not.
///
/// The order in which [`send`](Self::send) is called must be the order in which the connection sends.
pub(crate) struct Run {
    statement: Statement,
    state: State,
    /// Not by a name that another statement, or another server behind a pooler, could have: prepared and run in one go.
    alone: bool,
    /// It was tried once more.
    tried: bool,
    /// Something came of it: it cannot be tried again.
    begun: bool,
    /// An error that another try may mend: told where there is none.
    trouble: Option<(Trouble, ServerError)>,
}

enum State {
    New,
    /// Its description is on its way.
    Preparing {
        name: String,
        types: Box<[Type]>,
        described: Option<Arc<Prepared>>,
    },
    /// It is described, and can be run.
    Ready(Arc<Prepared>),
    /// It runs; simple ones were not prepared.
    Running(Option<Arc<Prepared>>),
}

/// What may be wrong with a prepared statement and not with what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Its result changed.
    Changed,
    /// It is not there, or another one is.
    Elsewhere,
}

impl Run {
    /// Hands the next request to `send`, which gives it to the connection. An error: the values do not fit, and nothing
    /// was handed over.
    pub(crate) fn send<R>(&mut self, cache: &mut Cache, send: impl FnOnce(Request<'_>) -> R) -> Result<R, Error> {
        let Statement { sql, asked, .. } = &self.statement;
        let Asked::Typed { parameters, types, keep } = asked else {
            self.state = State::Running(None);
            return Ok(send(if self.statement.copies_in() { Request::CopyIn(sql) } else { Request::Query(sql) }));
        };
        self.alone |= !keep || cache.is_off();
        let ready = match &self.state {
            State::Ready(prepared) => Some(prepared.clone()),
            _ if self.alone => None,
            _ => cache.find(sql, types),
        };
        let Some(prepared) = ready else {
            let (name, closing) = if self.alone { Default::default() } else { cache.begin() };
            let mut steps: Vec<_> = closing.iter().map(|name| Step::CloseStatement(name)).collect();
            steps.push(Step::Parse { name: &name, sql, types });
            steps.push(Step::DescribeStatement(&name));
            let sent = send(Request::Steps { steps: &steps, end: End::Sync });
            self.state = State::Preparing { name, types: Box::default(), described: None };
            return Ok(sent);
        };
        let encoded = parameters.encode(&prepared.types)?;
        let parameters = encoded.parameters();
        let bind =
            Step::Bind { portal: "", statement: &prepared.name, parameters: &parameters, results: &prepared.formats };
        let execute = Step::Execute { portal: "", rows: 0 };
        // One without a name is another one by now, if another request came between.
        let parse = Step::Parse { name: "", sql, types };
        let steps = [parse, bind, execute];
        let steps = if prepared.name.is_empty() { &steps[..] } else { &steps[1..] };
        let sent = send(Request::Steps { steps, end: End::Sync });
        self.state = State::Running(Some(prepared));
        Ok(sent)
    }

    /// It is being prepared: it runs with the next [`send`](Self::send).
    pub(crate) fn is_preparing(&self) -> bool {
        matches!(self.state, State::Preparing { .. })
    }

    /// It is not tried again, whatever is wrong with it.
    pub(crate) fn try_no_more(&mut self) {
        self.tried = true;
    }

    /// The next message of what was sent. `done`: the exchange is over.
    pub(crate) fn message(
        &mut self,
        message: &Message<'_>,
        done: bool,
        cache: &mut Cache,
        into: &mut Collected,
    ) -> Result<Then, Stopped> {
        let mut flow = Flow::Continue;
        match (&mut self.state, message) {
            (_, Message::Notice(_)) => flow = into.message(message)?,
            (State::Preparing { types, .. }, Message::ParameterDescription(described)) => {
                *types = described.oids().map(type_of).collect();
            }
            (State::Preparing { name, types, described }, Message::RowDescription(_) | Message::NoData) => {
                let columns = match message {
                    Message::RowDescription(described) => columns(described),
                    _ => Arc::default(),
                };
                *described = Some(prepared(std::mem::take(name), std::mem::take(types), columns).into());
            }
            (_, Message::Error(error)) => {
                // After a fatal one there is no connection to try on.
                let again = !self.tried && !self.begun && !done;
                match trouble(error).filter(|_| again) {
                    Some(trouble) => {
                        if trouble == Trouble::Elsewhere {
                            cache.turn_off();
                        }
                        self.trouble = Some((trouble, ServerError::new(*error)));
                    }
                    None => drop(into.message(message)?),
                }
            }
            (State::Running(_), Message::Ready(_)) => {}
            (State::Running(prepared), _) => {
                if !self.begun {
                    self.begun = true;
                    if let Some(prepared) = prepared.as_ref().filter(|prepared| !prepared.columns.is_empty()) {
                        flow = into.describe(&prepared.columns)?;
                    }
                }
                let next = into.message(message)?;
                flow = if flow == Flow::Continue { next } else { flow };
            }
            _ => {}
        }
        if !done {
            return Ok(Then::More(flow));
        }
        self.end(cache);
        if matches!(self.state, State::Ready(_)) {
            return Ok(Then::Again);
        }
        if let Some((_, error)) = self.trouble.take() {
            self.tried = true;
            // In a transaction everything fails from here on.
            if *message == Message::Ready(Transaction::Idle) {
                return Ok(Then::Again);
            }
            into.fail(error)?;
        }
        if matches!(message, Message::Ready(_)) {
            into.message(message)?;
        }
        Ok(Then::Done)
    }

    /// The exchange is over.
    fn end(&mut self, cache: &mut Cache) {
        let Statement { sql, asked, .. } = &self.statement;
        let Asked::Typed { types, .. } = asked else { return };
        match std::mem::replace(&mut self.state, State::New) {
            State::Preparing { described: Some(prepared), .. } => {
                if !prepared.name.is_empty() {
                    cache.insert(sql, types, prepared.clone());
                }
                self.state = State::Ready(prepared);
            }
            State::Preparing { name, .. } if !name.is_empty() => cache.give_up(name),
            State::Running(Some(prepared)) if self.trouble.is_some() => cache.invalidate(sql, types, &prepared),
            _ => {}
        }
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.statement.settings
    }

    /// A body follows it.
    pub(crate) fn copies_in(&self) -> bool {
        self.statement.copies_in()
    }

    /// It begins anew, on another connection perhaps.
    pub(crate) fn restart(&mut self) {
        *self = self.statement.run();
    }

    /// Nobody waits for it any more, and no message of it is told from here on.
    pub(crate) fn abandon(&mut self, cache: &mut Cache) {
        match std::mem::replace(&mut self.state, State::New) {
            State::Preparing { described: Some(prepared), .. } => cache.give_up(prepared.name.clone()),
            State::Preparing { name, .. } => cache.give_up(name),
            _ => {}
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("statement", &self.statement).finish_non_exhaustive()
    }
}

/// A type by its number; one that is not built in has no name.
fn type_of(oid: u32) -> Type {
    Type::from_oid(oid).unwrap_or_else(|| Type::new(oid.to_string(), oid, Kind::Simple, String::new()))
}

fn prepared(name: String, types: Box<[Type]>, mut columns: Arc<[super::Column]>) -> Prepared {
    for column in Arc::make_mut(&mut columns) {
        column.format = if text::is_written(column.type_()) { Format::Binary } else { Format::Text };
    }
    let formats: Box<[_]> = columns.iter().map(|column| column.format).collect();
    // One for all, or none where all are text: PostgreSQL, "Bind".
    let same = formats.iter().all(|format| *format == Format::Binary);
    let formats = if same { formats.iter().take(1).copied().collect() } else { formats };
    Prepared { name, types, columns, formats }
}

/// Whether an error is about the statement that was prepared, by the functions that say it: statements themselves can fail
/// with the same codes.
fn trouble(error: &ErrorRef<'_>) -> Option<Trouble> {
    let code = std::str::from_utf8(error.code()).unwrap_or_default();
    match (code, error.field(b'R').unwrap_or_default()) {
        (sqlstate::FEATURE_NOT_SUPPORTED, b"RevalidateCachedQuery") => Some(Trouble::Changed),
        (sqlstate::INVALID_SQL_STATEMENT_NAME, b"FetchPreparedStatement" | b"exec_bind_message")
        | (sqlstate::DUPLICATE_PREPARED_STATEMENT, b"StorePreparedStatement") => Some(Trouble::Elsewhere),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
