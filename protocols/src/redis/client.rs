//! The client's side of one connection.

use std::collections::VecDeque;

use super::command::{self, Kind, Replies};
use super::greeting::{Greeting, Progress};
use super::pubsub::{Notice, Subscriptions};
use super::scan::{self, Found, Scan};
use super::view::ValueRef;
use super::{Limits, Message, Request, Version, Violation};
use crate::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay};

/// The client side of one connection.
///
/// One request at a time, or several in a row with [`pipeline`](Self::pipeline); RESP2 and no login unless told
/// otherwise.
#[derive(Debug)]
pub struct Client {
    /// One for each command, in the order in which they were sent, which is the order of the replies.
    commands: VecDeque<Command>,
    state: State,
    scan: Scan,
    greeting: Option<Box<Greeting>>,
    subscriptions: Subscriptions,
    version: Version,
    /// What is sent now is queued by the server.
    multi: bool,
    /// No request may follow.
    last: bool,
    /// All that the server ever said is that it lets nobody in.
    turned_away: bool,
    /// A reply came.
    heard: bool,
    /// Requests that are on their way, and how many may be.
    open: u16,
    depth: u16,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Command {
    id: ExchangeId,
    replies: Replies,
    /// The last of its exchange.
    last: bool,
    /// Nobody waits for the reply any more: it is read and dropped.
    dropped: bool,
    /// The reader is slow.
    held: bool,
}

#[derive(Debug)]
enum State {
    /// Between values, or in the middle of one that is told whole.
    Value,
    /// In a string that is told in parts.
    Long(Long),
    Closed,
    Failed(Error),
}

/// Where we are in a string that is told in parts.
#[derive(Clone, Copy, Debug)]
struct Long {
    at: At,
    /// Of a streamed string: bytes so far.
    streamed: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// So many bytes, then CRLF.
    Text(u64),
    /// The length of the next part.
    Header,
}

/// Told in place of an error that repeats the password: servers before Redis 6 show the arguments of a command that they
/// do not know.
const WITHHELD: &[u8] = b"-ERR the server repeated the password in what it said, which is left out\r\n";

type Step<'a> = (usize, Event<Message<'a>>);

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client that sends one request at a time in RESP2, with the default limits and without a login.
    pub fn new() -> Self {
        Self {
            commands: VecDeque::new(),
            state: State::Value,
            scan: Scan::default(),
            greeting: None,
            subscriptions: Subscriptions::default(),
            version: Version::Resp2,
            multi: false,
            last: false,
            turned_away: false,
            heard: false,
            open: 0,
            depth: 1,
            limits: Limits::default(),
        }
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

    /// Asks for RESP3 with HELLO, and goes on in RESP2 with a server that does not know it.
    #[must_use]
    pub fn resp3(self) -> Self {
        self.greet(|greeting| greeting.resp3 = true)
    }

    /// Logs in: as a user of the server's ACL, or with the password of the server alone.
    #[must_use]
    pub fn auth(self, user: Option<&[u8]>, password: &[u8]) -> Self {
        self.greet(|greeting| {
            greeting.user = user.map(<[u8]>::to_vec);
            greeting.password = Some(password.to_vec());
        })
    }

    /// The name of the connection, as CLIENT LIST shows it. The server refuses white space in it.
    #[must_use]
    pub fn name(self, name: &[u8]) -> Self {
        self.greet(|greeting| greeting.name = Some(name.to_vec()))
    }

    /// The number of the database: 0 unless set.
    #[must_use]
    pub fn database(self, number: u32) -> Self {
        self.greet(|greeting| greeting.database = number)
    }

    fn greet(mut self, change: impl FnOnce(&mut Greeting)) -> Self {
        let mut greeting = self.greeting.take().unwrap_or_default();
        change(&mut greeting);
        self.greeting = Some(greeting).filter(|greeting| !greeting.is_empty());
        self
    }

    /// A reply is on its way that nobody waits for any more, since its exchange was [cancelled](Protocol::cancel): what is
    /// sent now waits for it. Takes as long as there are commands on their way.
    pub fn owes_dropped(&self) -> bool {
        self.commands.iter().any(|command| command.dropped)
    }

    /// What is spoken now.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The login is whole, or there is none.
    pub fn is_ready(&self) -> bool {
        self.greeting.is_none()
    }

    /// The server has subscriptions of this connection: in RESP2 it takes nothing but subscriptions, PING, QUIT and
    /// RESET.
    pub fn is_subscribed(&self) -> bool {
        self.subscriptions.any()
    }

    /// What there is nearly always: a short reply to a plain command, whole.
    #[inline]
    fn read_short<'a>(&mut self, bytes: &'a [u8]) -> Option<Step<'a>> {
        let front = self.commands.front()?;
        let Command { id, last, .. } = *front;
        let plain = front.replies.kind == Kind::Plain && !front.dropped && !front.held;
        if !plain || self.last || !matches!(self.state, State::Value) {
            return None;
        }
        let length = Scan::short(bytes, &self.limits)?;
        self.scan.used();
        (self.heard, self.turned_away) = (true, false);
        self.commands.pop_front();
        self.open -= u16::from(last);
        let message = Message::Reply(ValueRef::new(&bytes[..length]));
        Some((length, Event::Message { id, message, done: last }))
    }

    fn read<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<u8>) -> Result<Step<'a>, Error> {
        match self.state {
            State::Value => {}
            State::Long(long) => return self.read_long(long, bytes),
            State::Closed => return Ok((0, Event::Closed)),
            State::Failed(error) => return Err(error),
        }
        let Some(&first) = bytes.first() else { return Ok((0, Event::NeedData { at_least: 1 })) };
        let in_parts = match self.commands.front() {
            Some(front) if front.held && !front.dropped => return Ok((0, Event::Paused)),
            Some(front) => !matches!(front.replies.kind, Kind::Subscription(_)),
            None => {
                self.may_come_unasked(first)?;
                false
            }
        };
        match self.scan.find(bytes, self.limits, in_parts)? {
            Found::Need(at_least) => Ok((0, Event::NeedData { at_least })),
            Found::Whole(length) => Ok((length, self.tell(ValueRef::new(&bytes[..length]), out)?)),
            Found::Long { header, length } => {
                let (at, streamed) = match length {
                    Some(length) => (At::Text(length), None),
                    None => (At::Header, Some(0)),
                };
                self.state = State::Long(Long { at, streamed });
                (self.heard, self.turned_away) = (true, false);
                Ok((header, self.message(Message::Bulk { length }, false)))
            }
        }
    }

    /// Told with the first byte, where it can be.
    fn may_come_unasked(&self, first: u8) -> Result<(), Violation> {
        let is_expected = match first {
            b'>' | b'|' | b'-' => true,
            b'*' => self.version == Version::Resp2 && self.subscriptions.any(),
            _ => false,
        };
        let greeting = self.greeting.as_ref().is_some_and(|greeting| !greeting.is_unsaid());
        if is_expected || greeting { Ok(()) } else { Err(Violation::Unsolicited) }
    }

    /// A value is whole.
    fn tell<'a>(&mut self, value: ValueRef<'a>, out: &mut Vec<u8>) -> Result<Event<Message<'a>>, Error> {
        let kind = value.kind();
        if kind == b'>' {
            return Ok(self.tell_push(value));
        }
        if let Some(greeting) = self.greeting.as_mut().filter(|greeting| !greeting.is_unsaid()) {
            let rejected = match greeting.answer(value, &mut self.version, out)? {
                Progress::On => return Ok(Event::Progress),
                Progress::Done => {
                    self.greeting = None;
                    return Ok(Event::Progress);
                }
                Progress::Rejected => value,
                Progress::RejectedAloud => ValueRef::new(WITHHELD),
            };
            self.greeting = None;
            return Ok(self.reject(rejected));
        }
        let front = self.commands.front().map(|front| front.replies);
        let asked = match front {
            Some(Replies { kind: Kind::Subscription(verb), .. }) => Some(verb),
            _ => None,
        };
        if kind == b'*' && (asked.is_some() || (self.version == Version::Resp2 && self.subscriptions.any())) {
            match Notice::of(value) {
                Some(Notice::Message) => return Ok(Event::Push(Message::Reply(value))),
                Some(Notice::Confirmation(..)) => return Ok(self.tell_push(value)),
                None => {}
            }
        }
        let error = matches!(kind, b'-' | b'!').then(|| value.error()).flatten();
        match front {
            None if error.is_some() => return Ok(self.reject(value)),
            None => return Err(Violation::Unsolicited.into()),
            Some(Replies { kind: Kind::Subscription(_), .. }) if error.is_none() => {
                return Err(Violation::Confirmation.into());
            }
            Some(Replies { kind: Kind::Hello, .. }) => match kind {
                b'%' => self.version = Version::Resp3,
                b'*' => self.version = Version::Resp2,
                _ => {}
            },
            Some(Replies { kind: Kind::Reset, .. }) if error.is_none() => {
                self.version = Version::Resp2;
                self.subscriptions = Subscriptions::default();
            }
            // It did not begin, and what comes after it is not queued.
            Some(Replies { kind: Kind::Multi, .. }) if error.is_some() => self.multi = false,
            Some(_) => {}
        }
        self.turned_away = !self.heard && error.is_some_and(|error| error.turns_away());
        self.heard = true;
        Ok(self.message(Message::Reply(value), true))
    }

    /// A push, or what is one in RESP2.
    fn tell_push<'a>(&mut self, value: ValueRef<'a>) -> Event<Message<'a>> {
        let Some(Notice::Confirmation(verb, count)) = Notice::of(value) else {
            return Event::Push(Message::Reply(value));
        };
        self.subscriptions.confirm(verb, count);
        let left = self.subscriptions.left(verb);
        match self.commands.front_mut() {
            Some(Command { replies: Replies { kind: Kind::Subscription(asked), confirmations }, .. })
                if *asked == verb =>
            {
                let last = match confirmations {
                    // All of them, however many there are; one that counted down to 0 is over.
                    0 => left == 0,
                    confirmations => {
                        *confirmations -= 1;
                        *confirmations == 0
                    }
                };
                (self.heard, self.turned_away) = (true, false);
                self.message(Message::Reply(value), last)
            }
            // A shard that moved away, for example.
            _ => Event::Push(Message::Reply(value)),
        }
    }

    /// What the server says is told, and then it is over.
    fn reject<'a>(&mut self, value: ValueRef<'a>) -> Event<Message<'a>> {
        self.state = State::Failed(Error::Rejected);
        Event::Push(Message::Reply(value))
    }

    /// Tells something to the command at the front; `whole` ends it.
    #[inline]
    fn message<'a>(&mut self, message: Message<'a>, whole: bool) -> Event<Message<'a>> {
        let Some(front) = self.commands.front() else { return Event::Push(message) };
        let Command { id, last, dropped, .. } = *front;
        if whole {
            self.finish();
        }
        if dropped { Event::Progress } else { Event::Message { id, message, done: whole && last } }
    }

    /// The command at the front is answered.
    #[inline]
    fn finish(&mut self) {
        if let Some(finished) = self.commands.pop_front() {
            self.open -= u16::from(finished.last);
            let quit = finished.replies.kind == Kind::Quit;
            if quit || (self.last && self.commands.is_empty()) {
                self.state = State::Closed;
            }
        }
    }

    fn read_long<'a>(&mut self, mut long: Long, bytes: &'a [u8]) -> Result<Step<'a>, Error> {
        if self.commands.front().is_some_and(|front| front.held && !front.dropped) {
            return Ok((0, Event::Paused));
        }
        let whole = match long.at {
            At::Text(0) => match bytes {
                [b'\r', b'\n', ..] => {
                    long.at = At::Header;
                    if long.streamed.is_some() {
                        self.state = State::Long(long);
                        return Ok((2, Event::Progress));
                    }
                    2
                }
                [] | [_] => return Ok((0, Event::NeedData { at_least: 2 })),
                _ => return Err(Violation::Bulk.into()),
            },
            At::Text(left) => {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                if length == 0 {
                    return Ok((0, Event::NeedData { at_least: 1 }));
                }
                let (data, rest) = bytes.split_at(length);
                let left = left - length as u64;
                // The end together with the last part, where it is there.
                let whole = left == 0 && long.streamed.is_none() && rest.starts_with(b"\r\n");
                self.state = if whole { State::Value } else { State::Long(Long { at: At::Text(left), ..long }) };
                let used = if whole { length + 2 } else { length };
                return Ok((used, self.message(Message::Data(data), whole)));
            }
            At::Header => {
                let Some((length, header)) = chunk(bytes)? else {
                    return Ok((0, Event::NeedData { at_least: bytes.len() + 1 }));
                };
                if length > 0 {
                    let total = long.streamed.unwrap_or(0).saturating_add(length);
                    if total > self.limits.bulk {
                        return Err(scan::too_large("string bytes", self.limits.bulk));
                    }
                    self.state = State::Long(Long { at: At::Text(length), streamed: Some(total) });
                    return Ok((header, Event::Progress));
                }
                header
            }
        };
        self.state = State::Value;
        Ok((whole, self.message(Message::Data(b""), true)))
    }

    /// Whether MULTI is open after a command; or it may not be sent.
    fn may_send(&self, replies: Replies, multi: bool) -> Result<bool, Refused> {
        match replies.kind {
            Kind::Plain => Ok(multi),
            Kind::Multi => Ok(true),
            // Not queued, wherever they come.
            Kind::EndOfMulti | Kind::Reset | Kind::Quit => Ok(false),
            Kind::Hello | Kind::Subscription(_) if multi => {
                Err(Refused::Misuse("inside MULTI nobody knows where its replies come"))
            }
            Kind::Hello | Kind::Subscription(_) => Ok(false),
        }
    }

    /// Takes a request, after which MULTI is open or not.
    fn admit(&mut self, multi: bool) -> Result<(), Refused> {
        if self.slots() == 0 {
            return Err(Refused::NotNow);
        }
        self.multi = multi;
        self.open += 1;
        Ok(())
    }

    fn sent(&mut self, id: ExchangeId, replies: Replies, last: bool) {
        self.last |= replies.kind == Kind::Quit;
        self.commands.push_back(Command { id, replies, last, dropped: false, held: false });
    }

    fn of(&mut self, id: ExchangeId) -> impl Iterator<Item = &mut Command> {
        self.commands.iter_mut().filter(move |command| command.id == id)
    }
}

/// The header of a part of a streamed string: the length of the part, and its own. A wrong byte is told when it comes.
fn chunk(bytes: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(None) };
    if *kind != b';' {
        return Err(Violation::Stream);
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match &rest[digits..] {
        [b'\r', b'\n', ..] => Ok(Some((scan::chunk(&rest[..digits])?, digits + 3))),
        [] | [b'\r'] if digits < 20 => Ok(None),
        _ => Err(Violation::Length),
    }
}

impl Protocol for Client {
    type Request<'a> = Request<'a>;
    type Message<'a> = Message<'a>;

    fn connected(&mut self, _at: Established<'_>, out: &mut Vec<u8>) {
        self.greeting.take_if(|greeting| greeting.is_unsaid() && !greeting.say(out));
    }

    #[inline]
    fn send(&mut self, id: ExchangeId, request: Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        match request {
            Request::Words(words) => {
                let replies = Replies::of(words, words.len())?;
                self.admit(self.may_send(replies, self.multi)?)?;
                command::push_words(words, out);
                self.sent(id, replies, true);
            }
            Request::Prepared(prepared) => {
                if let Some(replies) = prepared.single() {
                    self.admit(self.may_send(replies, self.multi)?)?;
                    self.sent(id, replies, true);
                } else {
                    let (replies, count) = (prepared.replies(), prepared.commands());
                    self.admit(prepared.replies().try_fold(self.multi, |multi, it| self.may_send(it, multi))?)?;
                    replies.enumerate().for_each(|(at, replies)| self.sent(id, replies, at + 1 == count));
                }
                out.extend_from_slice(prepared.as_bytes());
            }
        }
        Ok(())
    }

    #[inline]
    fn receive<'a>(
        &'a mut self,
        input: Input<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Event<Self::Message<'a>>), Error> {
        match self.read_short(input.bytes) {
            Some(step) => Ok(step),
            None => self.read(input.bytes, out).inspect_err(|error| self.state = State::Failed(*error)),
        }
    }

    fn slots(&self) -> usize {
        let over = matches!(self.state, State::Closed | State::Failed(_));
        if over || self.last || self.greeting.is_some() { 0 } else { self.depth.saturating_sub(self.open).into() }
    }

    fn hold(&mut self, id: ExchangeId) {
        self.of(id).for_each(|command| command.held = true);
    }

    fn resume(&mut self, id: ExchangeId, _out: &mut Vec<u8>) {
        self.of(id).for_each(|command| command.held = false);
    }

    fn cancel(&mut self, id: ExchangeId, _out: &mut Vec<u8>) -> bool {
        let Some(at) = self.commands.iter().position(|command| command.id == id && !command.dropped) else {
            return true;
        };
        self.of(id).for_each(|command| command.dropped = true);
        // The reply at the front may never come: BLPOP waits.
        let lives = at > 0;
        self.last |= !lives;
        lives
    }

    /// PING, where no reply is on its way that would be as good.
    fn ping(&mut self, out: &mut Vec<u8>) {
        if self.slots() > 0 && self.commands.is_empty() && !self.multi {
            command::push_words(&[b"PING"], out);
            let replies = Replies::PLAIN;
            // The name is never told: the reply is dropped.
            let id = ExchangeId(u64::MAX);
            self.commands.push_back(Command { id, replies, last: true, dropped: true, held: false });
            self.open += 1;
        }
    }

    /// Redis has no goodbye: QUIT is deprecated, and a connection that closes is enough.
    fn close(&mut self, _out: &mut Vec<u8>) {
        self.last = true;
        if self.commands.is_empty() && matches!(self.state, State::Value) {
            self.state = State::Closed;
        }
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        self.last = true;
        self.open = 0;
        loop {
            let command = self.commands.pop_front()?;
            if command.last && !command.dropped {
                let replay = if self.turned_away { Replay::NotProcessed } else { Replay::Unknown };
                return Some((command.id, replay));
            }
        }
    }
}
