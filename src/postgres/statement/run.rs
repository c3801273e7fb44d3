//! The order of the messages that run a statement on a connection, and what is kept of their answers.

use std::fmt;
use std::sync::Arc;

use super::cache::{Cache, Prepared};
use super::{Asked, LookUp, Statement};
use crate::error::Error;
use crate::postgres::own::{Catalogue, Learned, question};
use crate::postgres::results::{Collected, Stopped, columns};
use crate::postgres::server_error::{ServerError, sqlstate};
use crate::postgres::settings::Settings;
use crate::protocols::postgres::{End, ErrorRef, Message, Request, Step, Transaction};
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
/// statement that was thought to be prepared is not. One more where its types are looked up.
///
/// The order in which [`send`](Self::send) is called must be the order in which the connection sends.
pub(crate) struct Run {
    statement: Statement,
    state: State,
    /// Not by a name that another statement, or another server behind a pooler, could have: prepared and run in one go.
    alone: bool,
    /// It was tried once more.
    tried: bool,
    /// It was prepared once more, as a type of it was gone.
    renewed: bool,
    /// The catalogues were asked.
    asked: bool,
    /// What they said.
    learned: Option<Learned>,
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
        types: Box<[u32]>,
        described: Option<Arc<Prepared>>,
    },
    /// It is described, and its types are being looked up. Its name is held, as it is in the next.
    Asking(Box<Question>),
    /// It is described, and can be run.
    Ready(Arc<Prepared>),
    /// It runs; simple ones were not prepared.
    Running(Option<Arc<Prepared>>),
}

/// What the catalogues are asked on behalf of a statement.
struct Question {
    prepared: Arc<Prepared>,
    answer: Catalogue,
    /// The server's words about why there is none.
    error: Option<ServerError>,
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
        let (state, learned, trouble) = (State::New, None, None);
        Self {
            statement,
            state,
            alone: false,
            tried: false,
            renewed: false,
            asked: false,
            learned,
            begun: false,
            trouble,
        }
    }

    /// Hands the next request to `send`, which gives it to the connection. An error: the values do not fit, and nothing
    /// was handed over.
    pub(crate) fn send<R>(&mut self, cache: &mut Cache, send: impl FnOnce(Request<'_>) -> R) -> Result<R, Error> {
        let Statement { sql, asked, .. } = &self.statement;
        let Asked::Typed { parameters, types, keep, look_up, portal } = asked else {
            let (sent, prepared) = match asked {
                Asked::CopyIn => (send(Request::CopyIn(sql)), None),
                Asked::Fetch { portal, rows } => {
                    let words =
                        "the portal was not opened: what Portal::open gives is sent before it, in the same session";
                    let prepared = portal.described().ok_or_else(|| Error::invalid(words))?;
                    let steps = [Step::Execute { portal: portal.name(), rows: *rows }];
                    (send(Request::Steps { steps: &steps, end: End::Sync }), Some(prepared))
                }
                Asked::Close(portal) => {
                    let steps = [Step::ClosePortal(portal.name())];
                    (send(Request::Steps { steps: &steps, end: End::Sync }), None)
                }
                _ => (send(Request::Query(sql)), None),
            };
            self.state = State::Running(prepared);
            return Ok(sent);
        };
        self.alone |= !keep || cache.is_off();
        let ready = match &self.state {
            State::Ready(prepared) => Some(prepared.clone()),
            _ if self.alone => None,
            _ => cache.find(sql, types),
        };
        let Some(prepared) = ready else {
            let (name, closing) = if self.alone { Default::default() } else { cache.begin(sql, types) };
            let mut steps: Vec<_> = closing.iter().map(|name| Step::CloseStatement(name)).collect();
            steps.push(Step::Parse { name: &name, sql, types });
            steps.push(Step::DescribeStatement(&name));
            let sent = send(Request::Steps { steps: &steps, end: End::Sync });
            self.state = State::Preparing { name, types: Box::default(), described: None };
            return Ok(sent);
        };
        let prepared = cache.with_types(sql, types, prepared, self.learned.as_ref());
        let encoded = parameters.encode(&prepared.types);
        if self.must_ask(&prepared, *look_up, encoded.is_err(), cache) {
            self.asked = true;
            if !matches!(self.state, State::Ready(_)) {
                cache.hold(&prepared.name);
            }
            // For all of them: what is known of the others may be forgotten before it runs.
            let sent = send(Request::Query(&question(&prepared.own.all)));
            let (answer, error) = Default::default();
            self.state = State::Asking(Box::new(Question { prepared, answer, error }));
            return Ok(sent);
        }
        let encoded = encoded?;
        let parameters = encoded.parameters();
        let name = portal.as_ref().map_or("", |portal| portal.name());
        let bind =
            Step::Bind { portal: name, statement: &prepared.name, parameters: &parameters, results: &prepared.formats };
        let execute = Step::Execute { portal: "", rows: 0 };
        // One without a name is another one by now, if another request came between.
        let parse = Step::Parse { name: "", sql, types };
        let steps = [parse, bind, execute];
        let first = usize::from(!prepared.name.is_empty());
        let mut steps = &steps[first..];
        if let Some(portal) = portal {
            portal.describe(&prepared);
            steps = &steps[..steps.len() - 1];
        }
        let sent = send(Request::Steps { steps, end: End::Sync });
        if matches!(self.state, State::Ready(_)) {
            cache.release(&prepared.name);
        }
        self.state = State::Running(Some(prepared));
        Ok(sent)
    }

    /// Its types have to be looked up before it can run, once. `refused`: its values do not fit what is known of them.
    fn must_ask(&self, prepared: &Prepared, look_up: LookUp, refused: bool, cache: &Cache) -> bool {
        if prepared.own.all.is_empty() || self.asked || look_up == LookUp::Never || cache.types().is_barren() {
            return false;
        }
        // What is text is taken by every type: nobody has to know it.
        look_up == LookUp::Anew || refused || prepared.own.missing_columns
    }

    /// It is being prepared: it runs with the next [`send`](Self::send).
    pub(crate) fn is_preparing(&self) -> bool {
        matches!(self.state, State::Preparing { .. } | State::Asking(_))
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
                *types = described.oids().collect();
            }
            (State::Preparing { name, types, described }, Message::RowDescription(_) | Message::NoData) => {
                let columns = match message {
                    Message::RowDescription(described) => columns(described),
                    _ => Arc::default(),
                };
                *described = Some(Prepared::new(std::mem::take(name), types, columns).into());
            }
            (State::Asking(question), _) if !(done && matches!(message, Message::Error(_))) => {
                match message {
                    Message::RowDescription(described) => question.answer.describe(columns(described)),
                    Message::Row(row) => question.answer.push(row)?,
                    Message::Error(error) => question.error = Some(ServerError::new(*error)),
                    _ => {}
                }
                into.set_aside(question.answer.size());
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
                if let (Message::Row(row), Some(prepared)) = (message, &*prepared)
                    && !prepared.fits(row)
                {
                    cache.types().forget_since(prepared.own.generation);
                }
                if let Message::Complete(tag) = message {
                    cache.did(tag.as_bytes());
                }
                // Whoever wants no more at the columns is told nothing more.
                if flow != Flow::Cancel {
                    let next = into.message(message)?;
                    flow = if next == Flow::Continue { flow } else { next };
                }
            }
            _ => {}
        }
        if !done {
            return Ok(Then::More(flow));
        }
        into.set_aside(0);
        let ready = match message {
            Message::Ready(transaction) => Some(*transaction),
            _ => None,
        };
        let idle = ready == Some(Transaction::Idle);
        if idle {
            cache.settle();
        }
        match self.end(cache, ready) {
            Ok(true) => return Ok(Then::Again),
            Ok(false) => {}
            Err(error) => into.fail(error)?,
        }
        if let Some((_, error)) = self.trouble.take() {
            self.tried = true;
            // In a transaction everything fails from here on.
            if idle {
                return Ok(Then::Again);
            }
            into.fail(error)?;
        }
        if matches!(message, Message::Ready(_)) {
            into.message(message)?;
        }
        Ok(Then::Done)
    }

    /// The exchange is over; `ready`: for the next. Whether there is a next. An error: the statement fails for it.
    fn end(&mut self, cache: &mut Cache, ready: Option<Transaction>) -> Result<bool, ServerError> {
        let Statement { sql, asked, .. } = &self.statement;
        let Asked::Typed { types, .. } = asked else { return Ok(false) };
        match std::mem::replace(&mut self.state, State::New) {
            State::Preparing { described: Some(prepared), .. } => {
                if !prepared.name.is_empty() {
                    cache.insert(sql, types, prepared.clone());
                    cache.hold(&prepared.name);
                }
                self.state = State::Ready(prepared);
            }
            State::Preparing { name, .. } if !name.is_empty() => cache.give_up(name),
            State::Running(Some(prepared)) if self.trouble.is_some() => cache.invalidate(sql, types, &prepared),
            State::Asking(question) => {
                let Question { prepared, answer, error } = *question;
                let Some(ready) = ready else {
                    cache.release(&prepared.name);
                    return Ok(false);
                };
                let asked = &prepared.own.all;
                match error {
                    None if answer.is_too_large() => self.learned = Some(cache.types().without(asked)),
                    None => {
                        let has_all = answer.has(asked);
                        self.learned = Some(cache.types().learn(asked, answer));
                        if !has_all && !self.renewed {
                            // One is gone, and perhaps there is another of its name: what was prepared with the old one is
                            // prepared anew.
                            cache.release(&prepared.name);
                            cache.invalidate(sql, types, &prepared);
                            (self.renewed, self.asked) = (true, false);
                            return Ok(true);
                        }
                    }
                    Some(error) => {
                        let mut learned = cache.types().without(asked);
                        match Hindrance::of(&error) {
                            Hindrance::Catalogues => cache.types().give_up(),
                            Hindrance::Types => cache.types().remember_all(&learned),
                            Hindrance::Passing | Hindrance::Cancelled => learned.generation = None,
                        }
                        // A transaction has ended with it.
                        if ready != Transaction::Idle || Hindrance::of(&error) == Hindrance::Cancelled {
                            cache.release(&prepared.name);
                            return Err(error);
                        }
                        self.learned = Some(learned);
                    }
                }
                self.state = State::Ready(prepared);
            }
            _ => {}
        }
        Ok(matches!(self.state, State::Ready(_)))
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
            State::Ready(prepared) => cache.release(&prepared.name),
            State::Asking(question) => cache.release(&question.prepared.name),
            _ => {}
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("statement", &self.statement).finish_non_exhaustive()
    }
}

/// Why the catalogues could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hindrance {
    /// There is nothing like them, or we may not read it: class 42 ("Syntax Error or Access Rule Violation"), and 0A. It
    /// may be something that is like PostgreSQL.
    Catalogues,
    /// What they have of these types cannot be said, such as a name in another encoding: class 22 ("Data Exception").
    Types,
    /// Somebody wanted it to end: class 57 ("Operator Intervention").
    Cancelled,
    /// The next time it may be over.
    Passing,
}

impl Hindrance {
    fn of(error: &ServerError) -> Self {
        match error.code().get(..2) {
            Some("42" | "0A") => Hindrance::Catalogues,
            Some("22") => Hindrance::Types,
            Some("57") => Hindrance::Cancelled,
            _ => Hindrance::Passing,
        }
    }
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
