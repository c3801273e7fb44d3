//! What the server's answers mean: whose they are, what they end, and what an error takes with it.

use super::{Answer, Client, CopyIn, Kind, Owed, State, Told};
use crate::postgres::request;
use crate::postgres::view::{self, Copy, ErrorRef, Notification, Row, RowDescription, Tag, Types};
use crate::postgres::{Message, Transaction, Violation};
use crate::{Error, Event, Replay};

impl Client {
    /// A message is whole, and the login over.
    pub(super) fn tell<'a>(&mut self, kind: u8, body: &'a [u8], out: &mut Vec<u8>) -> Told<'a> {
        match kind {
            // At any time.
            b'A' => return Ok(Event::Push(Message::Notification(Notification::new(body)?))),
            // About what runs, where something does.
            b'N' => return Ok(self.message(Message::Notice(ErrorRef::new(body)?), false)),
            b'S' => {
                let (name, value) = view::pair(body)?;
                return Ok(Event::Push(Message::Parameter { name, value }));
            }
            b'E' => {
                let error = ErrorRef::new(body)?;
                return self.tell_error(error);
            }
            _ => {}
        }
        let Some(&Owed { kind: front, .. }) = self.owed.front() else { return Err(Violation::Unexpected.into()) };
        let runs = matches!(front, Kind::Query | Kind::Execute { .. });
        let message = match (kind, front, self.answer) {
            (b'D', Kind::Query, Answer::Rows) | (b'D', Kind::Execute { .. }, Answer::Begins | Answer::Rows) => {
                self.answer = Answer::Rows;
                let known = !matches!(front, Kind::Execute { described: false, .. });
                let row = Row::new(body, self.columns.filter(|_| known))?;
                return Ok(self.message(Message::Row(row), false));
            }
            (b'C', _, Answer::Begins | Answer::Rows | Answer::Copied) if runs => Message::Complete(Tag::new(body)?),
            // Whether we are through must not matter: what is on its way would depend on the pieces that came.
            (b'C', _, Answer::CopyIn) if runs => {
                self.copy.iter_mut().for_each(|copy| copy.ended = true);
                Message::Complete(Tag::new(body)?)
            }
            (b'I', _, Answer::Begins) if runs => Message::Empty,
            (b's', Kind::Execute { limited: true, .. }, Answer::Begins | Answer::Rows) => Message::Suspended,
            (b'1', Kind::Parse, _) | (b'2', Kind::Bind, _) | (b'3', Kind::Close, _) => {
                let acknowledged = self.owed.front().is_some_and(|front| front.last);
                let event = self.finish(Message::Acknowledged);
                return Ok(if acknowledged { event } else { Event::Progress });
            }
            (b't', Kind::DescribeStatement, Answer::Begins) => {
                self.answer = Answer::Described;
                return Ok(self.message(Message::ParameterDescription(Types::new(body)?), false));
            }
            (b'T', Kind::Query, Answer::Begins) => {
                let columns = RowDescription::new(body)?;
                (self.answer, self.columns) = (Answer::Rows, Some(columns.count()));
                return Ok(self.message(Message::RowDescription(columns), false));
            }
            (b'T' | b'n', Kind::DescribePortal, Answer::Begins)
            | (b'T' | b'n', Kind::DescribeStatement, Answer::Described) => {
                let (count, message) = if kind == b'n' {
                    (0, Message::NoData)
                } else {
                    let columns = RowDescription::new(body)?;
                    (columns.count(), Message::RowDescription(columns))
                };
                self.columns = Some(count);
                self.answer = Answer::Begins;
                return Ok(self.finish(message));
            }
            (b'H', _, Answer::Begins) if runs => {
                self.answer = Answer::CopyOut;
                return Ok(self.message(Message::CopyOut(Copy::new(body)?), false));
            }
            (b'c', _, Answer::CopyOut) => {
                self.answer = Answer::Copied;
                return Ok(Event::Progress);
            }
            (b'G', _, Answer::Begins) if runs => return self.tell_copy_in(Copy::new(body)?, out),
            (b'Z', Kind::Query, Answer::Begins | Answer::Over) | (b'Z', Kind::Sync, _) => {
                self.transaction = transaction(body)?;
                self.skipping = false;
                self.copy = None;
                self.gathered_all();
                (self.answer, self.columns) = (Answer::Begins, None);
                return Ok(self.finish(Message::Ready(self.transaction)));
            }
            _ => return Err(Violation::Unexpected.into()),
        };
        (self.answer, self.columns) = (Answer::Begins, None);
        // Another statement of a simple query may follow.
        Ok(if front == Kind::Query { self.message(message, false) } else { self.finish(message) })
    }

    fn tell_copy_in<'a>(&mut self, told: Copy<'a>, out: &mut Vec<u8>) -> Told<'a> {
        let dropped = self.owed.front().is_some_and(|front| front.dropped);
        self.answer = Answer::CopyIn;
        match &mut self.copy {
            Some(copy) if !dropped && !copy.wanted => {
                copy.wanted = true;
                if copy.ended {
                    request::bare(b'c', out);
                }
            }
            // Nobody has data for it. Requests behind it were read as data, or are about to be.
            _ if self.open > 1 => return Err(Violation::CopyInPipeline.into()),
            copy => {
                fail_copy(out);
                *copy = Some(CopyIn { wanted: true, stalled: false, ended: true });
                // Its Sync was read and ignored (PostgreSQL, "COPY Operations").
                if self.owed.iter().any(|owed| owed.kind == Kind::Sync) {
                    request::bare(b'S', out);
                }
            }
        }
        Ok(self.message(Message::CopyIn(told), false))
    }

    fn tell_error<'a>(&mut self, error: ErrorRef<'a>) -> Told<'a> {
        let message = Message::Error(error);
        if error.is_fatal() {
            // The process that worked for us names the routine in which it ended. A pooler does not, and what it was given
            // may be with a server that works on.
            (self.state, self.fatal) = (State::Closed, error.field(b'R').is_some());
            let front = self.owed.front().copied();
            self.drop_front();
            return Ok(match front {
                Some(front) if front.dropped => Event::Progress,
                Some(front) => Event::Message { id: front.id, message, done: true },
                None => Event::Push(message),
            });
        }
        self.columns = None;
        if let Some(copy) = &mut self.copy {
            copy.ended = true;
        }
        let Some(front) = self.owed.front().copied() else { return Ok(Event::Push(message)) };
        match front.kind {
            Kind::Query if self.answer == Answer::Over => return Err(Violation::Unexpected.into()),
            Kind::Query | Kind::Sync => {
                self.answer = if front.kind == Kind::Query { Answer::Over } else { Answer::Begins };
                return Ok(self.message(message, false));
            }
            _ => {}
        }
        (self.answer, self.copy) = (Answer::Begins, None);
        if self.drop_to_sync() {
            return Ok(self.message(message, false));
        }
        self.skipping = true;
        self.drop_front();
        Ok(if front.dropped { Event::Progress } else { Event::Message { id: front.id, message, done: true } })
    }

    /// What the front's request still waited for will not come, up to its own Sync. `false`: it has none.
    fn drop_to_sync(&mut self) -> bool {
        let end = self.owed.iter().position(|owed| owed.last);
        let Some(end) = end.filter(|end| self.owed[*end].kind == Kind::Sync) else { return false };
        self.owed.drain(..end);
        true
    }

    /// The front's request is over, and nothing of it is owed.
    fn drop_front(&mut self) {
        if let Some(end) = self.owed.iter().position(|owed| owed.last) {
            self.owed.drain(..=end);
            self.open -= 1;
        }
    }

    /// The front was not run. Its Sync is answered nevertheless, to nobody.
    pub(super) fn skip<'a>(&mut self) -> Event<Message<'a>> {
        let Some(front) = self.owed.front().copied() else { return Event::Progress };
        if self.drop_to_sync() {
            self.owed.iter_mut().take(1).for_each(|sync| sync.dropped = true);
        } else {
            self.drop_front();
        }
        if front.dropped {
            return Event::Progress;
        }
        Event::Failed { id: front.id, error: Error::Skipped, replay: Replay::NotProcessed }
    }

    /// Tells something to the front.
    #[inline]
    pub(super) fn message<'a>(&self, message: Message<'a>, done: bool) -> Event<Message<'a>> {
        match self.owed.front() {
            Some(Owed { dropped: true, .. }) => Event::Progress,
            Some(Owed { id, .. }) => Event::Message { id: *id, message, done },
            None => Event::Push(message),
        }
    }

    /// Tells it the last that it waited for.
    #[inline]
    fn finish<'a>(&mut self, message: Message<'a>) -> Event<Message<'a>> {
        let last = self.owed.front().is_some_and(|front| front.last);
        let event = self.message(message, last);
        self.owed.pop_front();
        self.open -= u16::from(last);
        event
    }
}

pub(super) fn transaction(body: &[u8]) -> Result<Transaction, Violation> {
    match body {
        b"I" => Ok(Transaction::Idle),
        b"T" => Ok(Transaction::Open),
        b"E" => Ok(Transaction::Failed),
        _ => Err(Violation::Format),
    }
}

pub(super) fn fail_copy(out: &mut Vec<u8>) {
    request::message(b'f', out, |out| request::push_text("no data is to come", out));
}
