//! The server role.

use super::body::{Body, Part};
use super::client::{send_part, send_trailers};
use super::head::{self, Scan};
use super::{Limits, Violation, push_decimal};
use crate::semantics::{self, Message, RequestHead, Response, Version};
use crate::{Error, Event, ExchangeId, Input, Protocol, Refused, Replay};

/// The server side of one connection. Requests are numbered from 0; the next one is not read before the answer to the
/// one before it is whole, so a client that sends faster than it reads waits in its own socket.
///
/// Where an answer may have no body (to HEAD, and with 204 and 304) the one that is given is not sent: it says how long it
/// would be. A 101, and a 2xx to CONNECT, hand the connection over with the next event.
#[derive(Debug)]
pub struct Server {
    state: State,
    /// The exchange in hand.
    open: Option<Open>,
    next: u64,
    limits: Limits,
}

#[derive(Debug)]
enum State {
    Head(Scan),
    Body(Body),
    /// The request is whole; its answer is not.
    Answering,
    Switched(ExchangeId),
    Closed,
    Failed(Error),
}

#[derive(Debug)]
struct Open {
    id: ExchangeId,
    is_head: bool,
    is_connect: bool,
    /// The client offers another protocol.
    upgrade: bool,
    version: Version,
    keep_alive: bool,
    held: bool,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    No,
    /// `left` is `None` in chunks; `close` ends the body with the connection (HTTP/1.0 knows no chunks).
    Parts {
        left: Option<u64>,
        close: bool,
        stalled: bool,
    },
}

const BROKEN: &str = "the client broke the protocol, and nothing more is said on this connection";

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// A server with the default limits.
    pub fn new() -> Self {
        Self { state: State::Head(Scan::default()), open: None, next: 0, limits: Limits::default() }
    }

    /// What the client may send.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn read<'a>(&mut self, input: Input<'a>) -> Result<(usize, Event<Message<'a, RequestHead<'a>>>), Error> {
        match &mut self.state {
            State::Head(_) => self.read_head(input.bytes),
            State::Body(_) => self.read_body(input),
            State::Answering => Ok((0, Event::Paused)),
            State::Switched(id) => {
                let id = *id;
                self.state = State::Closed;
                Ok((0, Event::Switched { id }))
            }
            State::Closed => Ok((0, Event::Closed)),
            State::Failed(error) => Err(*error),
        }
    }

    fn read_head<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Event<Message<'a, RequestHead<'a>>>), Error> {
        let State::Head(scan) = &mut self.state else { unreachable!("called in this state only") };
        // RFC 9112 §2.2: one empty line in front of a request is read past.
        let blank = match bytes {
            [] | [b'\r'] => return Ok((0, Event::NeedData { at_least: 1 })),
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => 0,
        };
        let Some(judged) = head::request(&bytes[blank..], scan, self.limits)? else {
            return Ok((0, Event::NeedData { at_least: 1 }));
        };
        let id = ExchangeId(self.next);
        self.next += 1;
        self.open = Some(Open {
            id,
            is_head: judged.head.method == "HEAD",
            is_connect: judged.head.method == "CONNECT",
            upgrade: judged.upgrade,
            version: judged.head.version,
            keep_alive: judged.keep_alive,
            held: false,
            answer: Answer::No,
        });
        let body = Body::new(judged.framing);
        let done = body.is_none();
        self.state = body.map_or(State::Answering, State::Body);
        Ok((blank + judged.length, Event::Message { id, message: Message::Head(judged.head), done }))
    }

    fn read_body<'a>(&mut self, input: Input<'a>) -> Result<(usize, Event<Message<'a, RequestHead<'a>>>), Error> {
        let State::Body(body) = &mut self.state else { unreachable!("called in this state only") };
        let Some(open) = &self.open else { unreachable!("a body is read only for an exchange") };
        if open.held {
            return Ok((0, Event::Paused));
        }
        let id = open.id;
        let (used, part) = body.read(input, self.limits)?;
        let (message, done) = match part {
            Part::Need => return Ok((used, Event::NeedData { at_least: 1 })),
            Part::Progress => return Ok((used, Event::Progress)),
            Part::Data { bytes, last } => (Message::Data(bytes), last),
            Part::Trailers(fields) => (Message::Trailers(fields), true),
        };
        if done {
            self.state = State::Answering;
        }
        Ok((used, Event::Message { id, message, done }))
    }

    /// The answer is whole.
    fn answered(&mut self, close: bool) {
        let keep_alive = self.open.take().is_some_and(|open| open.keep_alive);
        if !matches!(self.state, State::Answering) || !keep_alive || close {
            self.state = State::Closed;
        } else {
            self.state = State::Head(Scan::default());
        }
    }

    fn answer(&mut self, id: ExchangeId) -> Result<&mut Answer, Refused> {
        let failed = matches!(self.state, State::Failed(_));
        match &mut self.open {
            _ if failed => Err(Refused::Misuse(BROKEN)),
            Some(open) if open.id == id && matches!(open.answer, Answer::Parts { .. }) => Ok(&mut open.answer),
            _ => Err(Refused::Misuse("this exchange is not being answered in parts")),
        }
    }

    /// The connection is handed over, when the next event says so.
    fn switch(&mut self, id: ExchangeId) {
        self.open = None;
        self.state = State::Switched(id);
    }
}

impl Protocol for Server {
    type Request<'a> = Response<'a>;
    type Message<'a> = Message<'a, RequestHead<'a>>;

    fn send(&mut self, id: ExchangeId, response: Response<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        if matches!(self.state, State::Failed(_)) {
            return Err(Refused::Misuse(BROKEN));
        }
        let Some(open) = self.open.as_mut().filter(|open| open.id == id && matches!(open.answer, Answer::No)) else {
            return Err(Refused::Misuse("no such request, or it is answered already"));
        };
        let head = response.head;
        let (status, whole) = (head.status(), matches!(self.state, State::Answering));
        let switches = status == 101 || (open.is_connect && (200..300).contains(&status));
        if status < 200 || switches {
            if response.body != semantics::Body::EMPTY {
                return Err(Refused::Misuse("this response has no body"));
            }
            if status < 200 && open.version == Version::Http10 {
                return Err(Refused::Misuse("HTTP/1.0 knows no interim responses"));
            }
            // RFC 9110 §7.8
            if status == 101 && !open.upgrade {
                return Err(Refused::Misuse("the client offers no other protocol"));
            }
            if switches && !whole {
                return Err(Refused::Misuse("the protocol cannot change in the middle of a request"));
            }
            out.extend_from_slice(head.bytes());
            out.extend_from_slice(b"\r\n");
            if switches {
                self.switch(id);
            }
            return Ok(());
        }
        let bodiless = open.is_head || matches!(status, 204 | 304);
        // A body of unknown length for a client that knows no chunks ends with the connection.
        let until_close = !bodiless && open.version == Version::Http10 && response.body == semantics::Body::Parts(None);
        // When this answer is whole before the request is, the rest of the request is not read.
        let early = !whole && (bodiless || matches!(response.body, semantics::Body::Whole(_)));
        open.keep_alive &= !head.closes() && !until_close && !early;
        out.extend_from_slice(head.bytes());
        if !open.keep_alive && !head.closes() {
            out.extend_from_slice(b"connection: close\r\n");
        } else if open.keep_alive && open.version == Version::Http10 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        let length = match response.body {
            // Nobody said how long it would be (RFC 9110 §8.6).
            semantics::Body::Whole([]) if bodiless => None,
            semantics::Body::Whole(bytes) => Some(bytes.len() as u64),
            semantics::Body::Parts(length) => length,
        };
        match length {
            // RFC 9110 §8.6: never in a 204.
            Some(_) if status == 204 => {}
            Some(length) => {
                out.extend_from_slice(b"content-length: ");
                push_decimal(out, length);
                out.extend_from_slice(b"\r\n");
            }
            None if bodiless || until_close => {}
            None => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        out.extend_from_slice(b"\r\n");
        match response.body {
            semantics::Body::Parts(_) if !bodiless => {
                open.answer = Answer::Parts { left: length, close: until_close, stalled: false };
            }
            semantics::Body::Whole(bytes) if !bodiless => {
                out.extend_from_slice(bytes);
                self.answered(false);
            }
            _ => self.answered(false),
        }
        Ok(())
    }

    fn receive<'a>(
        &'a mut self,
        input: Input<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Event<Self::Message<'a>>), Error> {
        let failed_before = matches!(self.state, State::Failed(_));
        let result = self.read(input);
        if let Err(error) = result {
            self.state = State::Failed(error);
            if !failed_before && self.open.as_ref().is_none_or(|open| matches!(open.answer, Answer::No)) {
                let status = match error {
                    Error::TooLarge(_) => "431 Request Header Fields Too Large",
                    // RFC 9112 §6.1
                    Error::Violation(crate::Violation::Http1(Violation::TransferEncoding)) => "501 Not Implemented",
                    _ => "400 Bad Request",
                };
                for part in ["HTTP/1.1 ", status, "\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"] {
                    out.extend_from_slice(part.as_bytes());
                }
            }
        }
        result
    }

    fn slots(&self) -> usize {
        if matches!(self.state, State::Failed(_)) {
            return 0;
        }
        usize::from(self.open.as_ref().is_some_and(|open| matches!(open.answer, Answer::No)))
    }

    fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        if matches!(self.state, State::Failed(_)) {
            return None;
        }
        match self.open.as_ref()? {
            Open { id, answer: Answer::Parts { left, stalled: false, .. }, .. } => {
                Some((*id, left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX))))
            }
            _ => None,
        }
    }

    fn send_data(&mut self, id: ExchangeId, data: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let Answer::Parts { left, close, .. } = self.answer(id)? else { unreachable!("checked by answer") };
        let close = *close;
        if close {
            out.extend_from_slice(data);
        } else {
            send_part(left, data, last, out)?;
        }
        if last {
            self.answered(close);
        }
        Ok(data.len())
    }

    fn send_trailers(&mut self, id: ExchangeId, trailers: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let Answer::Parts { left, close, .. } = self.answer(id)? else { unreachable!("checked by answer") };
        let close = *close;
        let before = out.len();
        send_trailers(*left, trailers, out)?;
        if close {
            // HTTP/1.0 knows no trailers: the body ends without them.
            out.truncate(before);
        }
        self.answered(close);
        Ok(())
    }

    fn stall(&mut self, id: ExchangeId) {
        if let Ok(Answer::Parts { stalled, .. }) = self.answer(id) {
            *stalled = true;
        }
    }

    fn unstall(&mut self, id: ExchangeId) {
        if let Ok(Answer::Parts { stalled, .. }) = self.answer(id) {
            *stalled = false;
        }
    }

    fn hold(&mut self, id: ExchangeId) {
        if let Some(open) = self.open.as_mut().filter(|open| open.id == id) {
            open.held = true;
        }
    }

    fn resume(&mut self, id: ExchangeId, _out: &mut Vec<u8>) {
        if let Some(open) = self.open.as_mut().filter(|open| open.id == id) {
            open.held = false;
        }
        self.unstall(id);
    }

    fn cancel(&mut self, id: ExchangeId, _out: &mut Vec<u8>) -> bool {
        if self.open.as_ref().is_some_and(|open| open.id == id) {
            self.open = None;
            self.state = State::Closed;
            return false;
        }
        true
    }

    fn close(&mut self, _out: &mut Vec<u8>) {
        match &mut self.open {
            Some(open) => open.keep_alive = false,
            None if matches!(self.state, State::Head(_)) => self.state = State::Closed,
            None => {}
        }
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        self.open.take().map(|open| (open.id, Replay::Unknown))
    }
}
