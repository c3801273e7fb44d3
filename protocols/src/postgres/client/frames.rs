//! Messages as they lie in what was read: which may come at all, how long they may be, and those of the login, before
//! anything is asked.

use core::ops::RangeInclusive;

use super::answers::transaction;
use super::{Answer, Client, Kind, State, Told};
use crate::postgres::login::Tls;
use crate::postgres::view::{self, ErrorRef};
use crate::postgres::{Message, ProtocolVersion, Violation};
use crate::{Error, Established, Event, Input, Limit};

/// Of BackendKeyData, from protocol 3.2 on: itself, a process, and a key of 4 to 256 bytes.
const KEY: RangeInclusive<u32> = 12..=8 + 256;

/// Of NegotiateProtocolVersion: as libpq.
const NEGOTIATION: RangeInclusive<u32> = 12..=2_000;

/// Of a message before the login is over: `MAX_ERRLEN` of libpq.
const LOGIN_MESSAGE: u32 = 30_000;

impl Client {
    fn read_tls_answer<'a>(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(usize, Event<Message<'a>>), Error> {
        let prefers = self.login.as_ref().is_some_and(|login| login.login.tls == Tls::Prefer);
        let event = match bytes.first() {
            None => return Ok((0, Event::NeedData { at_least: 1 })),
            Some(b'S') => {
                self.state = State::Handshake;
                Event::StartTls
            }
            Some(b'N') if prefers => {
                self.begin(Established::default(), out);
                match self.state {
                    State::Failed(error) => return Err(error),
                    _ => Event::Progress,
                }
            }
            Some(b'N') => return Err(Violation::NoTls.into()),
            Some(b'E') => return Err(Violation::TlsError.into()),
            Some(_) => return Err(Violation::TlsAnswer.into()),
        };
        Ok((1, event))
    }

    pub(super) fn read<'a>(
        &mut self,
        input: Input<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Event<Message<'a>>), Error> {
        let bytes = input.bytes;
        match self.state {
            State::Message => {}
            State::Data(left) => return Ok(self.read_data(left, bytes)),
            State::Words(_) => return self.read_words(input),
            State::Tls => return self.read_tls_answer(bytes, out),
            State::Unconnected | State::Handshake if bytes.is_empty() => {
                return Ok((0, Event::NeedData { at_least: 1 }));
            }
            State::Unconnected => return Err(Violation::Unexpected.into()),
            State::Handshake => return Err(Violation::Injected.into()),
            State::Closed => return Ok((0, Event::Closed)),
            State::Failed(error) => return Err(error),
        }
        match self.owed.front() {
            // What was skipped fails before the next message is looked at: these events use no byte.
            Some(front) if self.skipping && front.kind != Kind::Sync => return Ok((0, self.skip())),
            Some(front) if front.held && !front.dropped => return Ok((0, Event::Paused)),
            None if self.last && self.login.is_none() => {
                self.end(out);
                return Ok((0, Event::Closed));
            }
            _ => {}
        }
        let Some((&[kind, a, b, c, d], rest)) = bytes.split_first_chunk::<5>() else {
            return Ok((0, Event::NeedData { at_least: 5 }));
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        if let Some(login) = self.login.as_ref().filter(|login| !login.is_in()) {
            if !matches!(kind, b'R' | b'E') && (kind != b'v' || !login.may_negotiate()) {
                return Err(Violation::Unexpected.into());
            }
            if kind == b'E' && !(8..=LOGIN_MESSAGE).contains(&length) && login.is_begun() {
                self.state = State::Words(1);
                return self.read_words(input);
            }
            if length > LOGIN_MESSAGE {
                return Err(too_large(LOGIN_MESSAGE));
            }
        }
        self.judge_header(kind, length)?;
        if kind == b'd' {
            if length == 4 || rest.is_empty() {
                self.state = if length > 4 { State::Data(length - 4) } else { State::Message };
                return Ok((5, Event::Progress));
            }
            let (count, event) = self.read_data(length - 4, rest);
            return Ok((5 + count, event));
        }
        let Some(body) = rest.get(..length as usize - 4) else {
            return Ok((0, Event::NeedData { at_least: 1 + length as usize }));
        };
        let event = if self.login.is_some() { self.read_login(kind, body, out) } else { self.tell(kind, body, out) }?;
        Ok((5 + body.len(), event))
    }

    /// What can be known before the inside came: nothing that cannot be right is waited for.
    fn judge_header(&self, kind: u8, length: u32) -> Result<(), Error> {
        let bare = match kind {
            b'1' | b'2' | b'3' | b'I' | b'c' | b'n' | b's' => Some(4),
            b'Z' => Some(5),
            b'K' if self.version == ProtocolVersion::V3_0 => Some(12),
            b'K' | b'v' => None,
            b'A' | b'C' | b'D' | b'E' | b'G' | b'H' | b'N' | b'R' | b'S' | b'T' | b'd' | b't' => None,
            _ => return Err(Violation::Unexpected.into()),
        };
        if length < 4 || bare.is_some_and(|bare| bare != length) {
            return Err(Violation::Length.into());
        }
        match kind {
            b'd' if self.answer != Answer::CopyOut => Err(Violation::Unexpected.into()),
            // It is told as it comes.
            b'd' => Ok(()),
            b'K' if !KEY.contains(&length) => Err(Violation::Length.into()),
            b'v' if self.login.is_none() => Err(Violation::Unexpected.into()),
            b'v' if !NEGOTIATION.contains(&length) => Err(Violation::Length.into()),
            _ if length > self.limits.message => Err(too_large(self.limits.message)),
            _ => Ok(()),
        }
    }

    fn read_login<'a>(&mut self, kind: u8, body: &'a [u8], out: &mut Vec<u8>) -> Told<'a> {
        let Some(login) = &mut self.login else { return Err(Violation::Unexpected.into()) };
        match kind {
            b'R' if !login.is_in() => {
                login.answer(body, self.limits, out)?;
                Ok(Event::Progress)
            }
            b'E' => {
                let error = ErrorRef::new(body)?;
                Ok(self.reject(error))
            }
            b'v' if login.may_negotiate() => {
                self.version = login.negotiate(body)?;
                Ok(Event::Progress)
            }
            b'K' if login.is_in() => {
                let key = view::key(body)?;
                self.key = Some(key.to_key());
                Ok(Event::Push(Message::Key(key)))
            }
            b'Z' if login.is_in() => {
                self.transaction = transaction(body)?;
                self.scram_key = login.key.take();
                self.login = None;
                Ok(Event::Progress)
            }
            b'N' | b'S' if login.is_in() => self.tell(kind, body, out),
            _ => Err(Violation::Unexpected.into()),
        }
    }

    /// What the server says is told, and then it is over.
    fn reject<'a>(&mut self, error: ErrorRef<'a>) -> Event<Message<'a>> {
        self.login = None;
        self.state = State::Failed(Error::Rejected);
        Event::Push(Message::Error(error))
    }

    /// An error in the words of protocol 2: up to a NUL or the end.
    fn read_words<'a>(&mut self, input: Input<'a>) -> Result<(usize, Event<Message<'a>>), Error> {
        let State::Words(seen) = self.state else { return Err(Violation::Unexpected.into()) };
        let bytes = input.bytes;
        let limit = LOGIN_MESSAGE as usize;
        let searched = &bytes[..bytes.len().min(limit)];
        let end = match memchr::memchr(0, searched.get(seen..).unwrap_or_default()) {
            Some(at) => seen + at,
            None if bytes.len() >= limit => return Err(too_large(LOGIN_MESSAGE)),
            None if input.eof => bytes.len(),
            None => {
                self.state = State::Words(bytes.len());
                return Ok((0, Event::NeedData { at_least: bytes.len() + 1 }));
            }
        };
        let event = self.reject(ErrorRef::plain(bytes.get(1..end).unwrap_or_default()));
        Ok((bytes.len().min(end + 1), event))
    }

    fn read_data<'a>(&mut self, left: u32, bytes: &'a [u8]) -> (usize, Event<Message<'a>>) {
        if self.owed.front().is_some_and(|front| front.held && !front.dropped) {
            return (0, Event::Paused);
        }
        let length = bytes.len().min(left as usize);
        if length == 0 {
            return (0, Event::NeedData { at_least: 1 });
        }
        let left = left - length as u32;
        self.state = if left == 0 { State::Message } else { State::Data(left) };
        (length, self.message(Message::Data(&bytes[..length]), false))
    }
}

fn too_large(limit: u32) -> Error {
    Error::TooLarge(Limit { what: "message bytes", value: limit.into() })
}
