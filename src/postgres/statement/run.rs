//! The order of the messages that run a statement on a connection, and what is kept of their answers.

use std::fmt;
use std::sync::Arc;

use postgres_types::{Kind, Type};

use super::cache::{Cache, Prepared};
use super::{Asked, Statement};
use crate::error::Error;
use crate::postgres::results::{Collected, Stopped, columns};
use crate::postgres::server_error::{ServerError, sqlstate};
use crate::postgres::settings::Settings;
use crate::postgres::{Column, text};
use crate::protocols::postgres::{End, ErrorRef, Format, Message, Request, Step, Transaction};
use crate::reactor::Flow;

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
    pub(super) fn new(statement: Statement) -> Self {
        Self { statement, state: State::New, alone: false, tried: false, begun: false, trouble: None }
    }

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

fn prepared(name: String, types: Box<[Type]>, mut columns: Arc<[Column]>) -> Prepared {
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
