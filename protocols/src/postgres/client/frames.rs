//! Messages as they lie in what was read: which may come at all, and how long they may be. What they mean is in `greeting` and
//! `answers`.

use core::ops::RangeInclusive;

use super::{Answer, Client, Kind, State};
use crate::postgres::{Message, ProtocolVersion, Violation};
use crate::{Error, Event, Input, Limit};

/// Of BackendKeyData, from protocol 3.2 on: itself, a process, and a key of 4 to 256 bytes.
const KEY: RangeInclusive<u32> = 12..=8 + 256;

/// Of NegotiateProtocolVersion: as libpq.
const NEGOTIATION: RangeInclusive<u32> = 12..=2_000;

/// Of a message before the login is over: `MAX_ERRLEN` of libpq.
pub(super) const LOGIN_MESSAGE: u32 = 30_000;

impl Client {
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

pub(super) fn too_large(limit: u32) -> Error {
    Error::TooLarge(Limit { what: "message bytes", value: limit.into() })
}
