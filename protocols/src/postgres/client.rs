//! The frontend's side of one connection: what is sent and when. How messages are framed is in `frames`, what comes before
//! the first request in `greeting`, what an answer means in `answers`; data of COPY is told together in `gather`.

mod answers;
mod frames;
mod gather;
mod greeting;

use std::collections::VecDeque;

use answers::fail_copy;

use super::login::{Process, Tls, terminate};
use super::request::{self, CancelKey, End, Request, Step};
use super::{Limits, Login, Message, ProtocolVersion, ScramKey, Transaction, Violation};
use crate::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay};

/// The frontend's side of one connection.
///
/// One request at a time, or several in a row with [`pipeline`](Self::pipeline).
#[derive(Debug)]
pub struct Client {
    /// What the server owes an answer to, in the order in which it was sent.
    owed: VecDeque<Owed>,
    state: State,
    login: Option<Box<Process>>,
    /// Where the answer to the front is.
    answer: Answer,
    /// The columns of the rows that come, where they were described.
    columns: Option<u16>,
    copy: Option<CopyIn>,
    /// Data of COPY from the server that is told together.
    gathered: Vec<u8>,
    /// What is spoken, unless the server names another version.
    version: ProtocolVersion,
    key: Option<CancelKey>,
    scram_key: Option<ScramKey>,
    transaction: Transaction,
    /// The requests sent last wait for a Sync.
    unsynced: bool,
    /// After an error: the server reads nothing up to the next Sync.
    skipping: bool,
    /// No request may follow.
    last: bool,
    /// The process of the server said that it ends: what is behind the front was not begun.
    fatal: bool,
    /// Requests that are on their way, and how many may be.
    open: u16,
    depth: u16,
    limits: Limits,
}

/// One thing that the server answers. Those of a request follow each other.
#[derive(Clone, Copy, Debug)]
struct Owed {
    id: ExchangeId,
    kind: Kind,
    /// The last of its request.
    last: bool,
    /// Nobody waits for the answer any more: it is read and dropped.
    dropped: bool,
    /// The reader is slow.
    held: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Query,
    Parse,
    Bind,
    DescribeStatement,
    DescribePortal,
    Execute { described: bool, limited: bool },
    Close,
    Sync,
}

#[derive(Debug)]
enum State {
    Unconnected,
    /// SSLRequest was sent; its answer is one byte.
    Tls,
    /// TLS was agreed on, and begins.
    Handshake,
    /// Between messages, or in the middle of one that is told whole.
    Message,
    /// In COPY data, of which so many bytes are to come.
    Data(u32),
    /// In words of protocol 2, of which so many bytes were looked at.
    Words(usize),
    Closed,
    Failed(Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Nothing came, or the last statement is done.
    Begins,
    /// The parameters of a statement were told; its columns follow.
    Described,
    Rows,
    CopyIn,
    CopyOut,
    /// CopyDone came.
    Copied,
    /// An error came.
    Over,
}

/// The data of a COPY from us.
#[derive(Clone, Copy, Debug)]
struct CopyIn {
    /// The server waits for it.
    wanted: bool,
    stalled: bool,
    /// It was ended by us.
    ended: bool,
}

/// Bytes of one CopyData. The protocol has no windows, and the socket no end.
const COPY_ROOM: usize = 64 << 10;

type Told<'a> = Result<Event<Message<'a>>, Error>;

impl Client {
    /// A client that sends one request at a time, with the default limits. Refuses a login that cannot be written: with
    /// NUL, without a user, longer than a server reads.
    pub fn new(login: Login) -> Result<Self, Refused> {
        login.check()?;
        Ok(Self {
            owed: VecDeque::new(),
            state: State::Unconnected,
            version: login.version(),
            login: Some(Box::new(Process::new(login))),
            answer: Answer::Begins,
            columns: None,
            copy: None,
            gathered: Vec::new(),
            key: None,
            scram_key: None,
            transaction: Transaction::Idle,
            unsynced: false,
            skipping: false,
            last: false,
            fatal: false,
            open: 0,
            depth: 1,
            limits: Limits::default(),
        })
    }

    /// What the server may send.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// So many requests may be on their way at once: 1 unless set.
    #[must_use]
    pub fn pipeline(mut self, depth: u16) -> Self {
        self.depth = depth.max(1);
        self
    }

    /// An answer is on its way that nobody waits for any more, since its exchange was [cancelled](Protocol::cancel): what is
    /// sent now waits for it.
    pub fn owes_dropped(&self) -> bool {
        self.owed.iter().any(|owed| owed.dropped)
    }

    /// The server owes no answer.
    pub fn is_idle(&self) -> bool {
        self.owed.is_empty()
    }

    /// What it takes to cancel what runs here, once the server said it.
    pub fn cancel_key(&self) -> Option<&CancelKey> {
        self.key.as_ref()
    }

    /// The version of the protocol: what was asked for, until the server lets us in.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// What the password came to, after a login by SCRAM: for [`Login::scram_key`] of the next connection.
    pub fn scram_key(&self) -> Option<&ScramKey> {
        self.scram_key.as_ref()
    }

    /// Why nothing more will come of this connection, also where the server was told nothing yet.
    pub fn failure(&self) -> Option<Error> {
        match self.state {
            State::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Where the server was when it last was ready.
    pub fn transaction(&self) -> Transaction {
        self.transaction
    }

    fn fail(&mut self, error: Error, out: &mut Vec<u8>) -> Error {
        // Before the startup message nobody would understand it.
        if matches!(self.state, State::Message | State::Data(_) | State::Words(_)) {
            terminate(out);
        }
        self.login = None;
        self.state = State::Failed(error);
        error
    }

    fn begin(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        let begun = self.login.as_mut().map(|login| login.begin(at, out));
        self.state = match begun {
            Some(Err(violation)) => {
                self.login = None;
                State::Failed(violation.into())
            }
            _ => State::Message,
        };
    }

    /// Hangs up.
    fn end(&mut self, out: &mut Vec<u8>) {
        terminate(out);
        self.state = State::Closed;
    }

    fn sent(&mut self, id: ExchangeId, kind: Kind, last: bool) {
        self.owed.push_back(Owed { id, kind, last, dropped: false, held: false });
    }

    fn send_query(&mut self, id: ExchangeId, sql: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        request::check_query(sql)?;
        if self.unsynced {
            return Err(Refused::Misuse("a simple query between requests that share a Sync"));
        }
        request::message(b'Q', out, |out| request::push_text(sql, out));
        self.sent(id, Kind::Query, true);
        Ok(())
    }

    fn send_steps(&mut self, id: ExchangeId, steps: &[Step<'_>], end: End, out: &mut Vec<u8>) -> Result<(), Refused> {
        if steps.is_empty() && end != End::Sync {
            return Err(Refused::Misuse("a request without steps and without a Sync"));
        }
        steps.iter().try_for_each(Step::check)?;
        let mut described = None;
        for (at, step) in steps.iter().enumerate() {
            step.write(out);
            let before = described.take();
            let kind = match *step {
                Step::Parse { .. } => Kind::Parse,
                Step::Bind { .. } => Kind::Bind,
                Step::DescribeStatement(_) => Kind::DescribeStatement,
                Step::DescribePortal(name) => {
                    described = Some(name);
                    Kind::DescribePortal
                }
                Step::Execute { portal, rows } => {
                    Kind::Execute { described: before == Some(portal), limited: rows != 0 }
                }
                Step::CloseStatement(_) | Step::ClosePortal(_) => Kind::Close,
            };
            self.sent(id, kind, end != End::Sync && at + 1 == steps.len());
        }
        self.unsynced = end != End::Sync;
        match end {
            End::Sync => {
                request::bare(b'S', out);
                self.sent(id, Kind::Sync, true);
            }
            End::Flush => request::bare(b'H', out),
            End::Later => {}
        }
        Ok(())
    }

    /// The exchange whose data goes to the server now.
    fn copying(&self) -> Option<ExchangeId> {
        let front = self.owed.front().filter(|front| !front.dropped && matches!(self.state, State::Message))?;
        self.copy.filter(|copy| copy.wanted && !copy.ended).map(|_| front.id)
    }

    fn of(&mut self, id: ExchangeId) -> impl Iterator<Item = &mut Owed> {
        self.owed.iter_mut().filter(move |owed| owed.id == id)
    }
}

impl Protocol for Client {
    type Request<'a> = Request<'a>;
    type Message<'a> = Message<'a>;

    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        let Some(login) = &self.login else { return };
        match (&self.state, login.login.tls) {
            (State::Unconnected, Tls::Prefer | Tls::Require) if !at.tls => {
                Process::ask_for_tls(out);
                self.state = State::Tls;
            }
            (State::Unconnected, _) => self.begin(at, out),
            (State::Handshake, _) if at.tls => self.begin(at, out),
            (State::Handshake, _) => self.state = State::Failed(Violation::NoTls.into()),
            _ => {}
        }
    }

    fn send(&mut self, id: ExchangeId, request: Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        if self.slots() == 0 {
            return Err(Refused::NotNow);
        }
        match request {
            Request::Query(sql) => self.send_query(id, sql, out)?,
            Request::CopyIn(_) if !self.owed.is_empty() => return Err(Refused::NotNow),
            Request::CopyIn(sql) => {
                self.send_query(id, sql, out)?;
                self.copy = Some(CopyIn { wanted: false, stalled: false, ended: false });
            }
            Request::Steps { steps, end } => self.send_steps(id, steps, end, out)?,
        }
        self.open += 1;
        Ok(())
    }

    #[inline]
    fn receive<'a>(&'a mut self, input: Input<'a>, out: &mut Vec<u8>) -> Result<(usize, Event<Message<'a>>), Error> {
        let gathered = self.gather(input.bytes);
        if gathered > 0 {
            let event = if self.gathered.is_empty() {
                Event::Progress
            } else {
                self.message(Message::Data(&self.gathered), false)
            };
            return Ok((gathered, event));
        }
        match self.state {
            State::Failed(error) => Err(error),
            _ => self.read(input, out).map_err(|error| self.fail(error, out)),
        }
    }

    fn slots(&self) -> usize {
        let ready = matches!(self.state, State::Message | State::Data(_)) && self.login.is_none();
        if !ready || self.last || self.copy.is_some() { 0 } else { self.depth.saturating_sub(self.open).into() }
    }

    fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        let id = self.copying()?;
        self.copy.filter(|copy| !copy.stalled).map(|_| (id, COPY_ROOM))
    }

    fn send_data(&mut self, id: ExchangeId, data: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let front = self.owed.front().filter(|front| front.id == id && !front.dropped);
        let Some(copy) = self.copy.as_mut().filter(|_| front.is_some()) else {
            return Err(Refused::Misuse("this exchange sends no data"));
        };
        if copy.ended || !copy.wanted {
            // The server gave up, or is not there yet: an end needs no room.
            if data.is_empty() && last {
                copy.ended = true;
                return Ok(0);
            }
            return Err(Refused::Misuse("this exchange sends no data now"));
        }
        let taken = &data[..data.len().min(COPY_ROOM)];
        if !taken.is_empty() {
            request::message(b'd', out, |out| out.extend_from_slice(taken));
        }
        if last && taken.len() == data.len() {
            copy.ended = true;
            request::bare(b'c', out);
        }
        Ok(taken.len())
    }

    fn stall(&mut self, id: ExchangeId) {
        if self.copying() == Some(id) {
            self.copy.iter_mut().for_each(|copy| copy.stalled = true);
        }
    }

    fn unstall(&mut self, id: ExchangeId) {
        if self.copying() == Some(id) {
            self.copy.iter_mut().for_each(|copy| copy.stalled = false);
        }
    }

    fn hold(&mut self, id: ExchangeId) {
        self.of(id).for_each(|owed| owed.held = true);
    }

    fn resume(&mut self, id: ExchangeId, _out: &mut Vec<u8>) {
        self.unstall(id);
        self.of(id).for_each(|owed| owed.held = false);
    }

    /// At the front only what copies to the server can be given up: it is told to fail. For the others there is
    /// [`Client::cancel_key`].
    fn cancel(&mut self, id: ExchangeId, out: &mut Vec<u8>) -> bool {
        let Some(at) = self.owed.iter().position(|owed| owed.id == id && !owed.dropped) else { return true };
        let copying = self.copying().is_some();
        self.of(id).for_each(|owed| owed.dropped = true);
        // Of what is behind it nothing is known yet; the answer at the front may never come.
        let mut lives = at > 0 || self.owed[at].kind == Kind::Sync;
        if at == 0
            && let Some(copy) = &mut self.copy
        {
            if copying {
                fail_copy(out);
                copy.ended = true;
            }
            lives = true;
        }
        self.last |= !lives;
        lives
    }

    /// Sync, where no answer is on its way that would be as good. It changes nothing in a transaction.
    fn ping(&mut self, out: &mut Vec<u8>) {
        if self.slots() > 0 && self.owed.is_empty() && !self.unsynced {
            request::bare(b'S', out);
            // The name is never told: the answer is dropped.
            self.sent(ExchangeId(u64::MAX), Kind::Sync, true);
            self.owed.iter_mut().for_each(|owed| owed.dropped = true);
            self.open += 1;
        }
    }

    /// Terminate, behind the answers that are on their way.
    fn close(&mut self, out: &mut Vec<u8>) {
        self.last = true;
        match self.state {
            State::Unconnected | State::Tls | State::Handshake => self.state = State::Closed,
            State::Message if self.login.is_some() || self.owed.is_empty() => self.end(out),
            _ => {}
        }
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        self.last = true;
        self.open = 0;
        loop {
            let owed = self.owed.pop_front()?;
            let replay = if self.fatal || (self.skipping && owed.kind != Kind::Sync) {
                Replay::NotProcessed
            } else {
                // From the Sync on the server reads again.
                self.skipping = false;
                Replay::Unknown
            };
            if owed.dropped {
                continue;
            }
            // Each is named once, by its first.
            if !owed.last {
                let end = self.owed.iter().position(|it| it.last).map_or(self.owed.len(), |end| end + 1);
                self.skipping &= !self.owed.iter().take(end).any(|it| it.kind == Kind::Sync);
                self.owed.drain(..end);
            }
            return Some((owed.id, replay));
        }
    }
}
