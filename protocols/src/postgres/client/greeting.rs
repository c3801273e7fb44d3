//! What comes before the first request: the answer to the request for TLS, the login, and the words of a server that speaks
//! another protocol. What proves who we are is in `login`.

use super::super::login::Tls;
use super::super::view::{self, ErrorRef};
use super::super::{Message, Violation};
use super::answers::transaction;
use super::frames::{LOGIN_MESSAGE, too_large};
use super::{Client, State, Told};
use crate::{Error, Established, Event, Input};

impl Client {
    pub(super) fn read_tls_answer<'a>(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, Event<Message<'a>>), Error> {
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

    pub(super) fn read_login<'a>(&mut self, kind: u8, body: &'a [u8], out: &mut Vec<u8>) -> Told<'a> {
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
    pub(super) fn read_words<'a>(&mut self, input: Input<'a>) -> Result<(usize, Event<Message<'a>>), Error> {
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
}
