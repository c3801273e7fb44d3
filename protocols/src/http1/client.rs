//! The client role.

use std::collections::VecDeque;

use super::body::{Body, Part};
use super::head::{self, Framing, Scan};
use super::{Limits, Violation, push_decimal};
use crate::semantics::{self, Message, Request, ResponseHead, Traits};
use crate::{Error, Event, ExchangeId, Input, Limit, Protocol, Refused, Replay};

/// The client side of one connection.
///
/// One exchange at a time, or several in a row with [`pipeline`](Self::pipeline).
#[derive(Debug)]
pub struct Client {
    /// In the order in which they were sent, which is the order of the answers.
    exchanges: VecDeque<Exchange>,
    state: State,
    upload: Option<Upload>,
    /// No request may follow.
    last: bool,
    /// The connection is over when the answer at the front is whole.
    closing: bool,
    interim: u16,
    depth: u16,
    limits: Limits,
}

#[derive(Debug)]
struct Exchange {
    id: ExchangeId,
    traits: Traits,
    /// Nobody waits for the answer any more: it is read and dropped.
    dropped: bool,
    /// The reader is slow.
    held: bool,
    /// The server said that it acts on nothing that came after another one (RFC 9112 §9.6).
    ignored: bool,
}

#[derive(Debug)]
enum State {
    /// Between answers, or in the middle of a head.
    Head(Scan),
    Body(Body),
    /// The next event is `Switched`.
    Switched(ExchangeId),
    Closed,
    Failed(Error),
}

/// A body of ours that is on its way. It belongs to the newest exchange.
#[derive(Debug)]
struct Upload {
    id: ExchangeId,
    /// `None`: in chunks.
    left: Option<u64>,
    stalled: bool,
}

impl Upload {
    /// The server still waits for bytes of this body. Where none are missing, the caller may not have said so yet.
    fn is_cut_off(&self) -> bool {
        self.left != Some(0)
    }
}

/// The status lines of all answers begin so: anything else is told at once and not after a whole head of it.
const PREFIX: &[u8] = b"HTTP/1.";

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client that sends one request at a time, with the default limits.
    pub fn new() -> Self {
        Self {
            exchanges: VecDeque::new(),
            state: State::Head(Scan::default()),
            upload: None,
            last: false,
            closing: false,
            interim: 0,
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

    /// So many requests may be on their way at once (RFC 9112 §9.3.2). Only idempotent ones are sent behind another.
    #[must_use]
    pub fn pipeline(mut self, depth: u16) -> Self {
        self.depth = depth.max(1);
        self
    }

    fn read<'a>(&mut self, input: Input<'a>) -> Result<(usize, Event<Message<'a, ResponseHead<'a>>>), Error> {
        match &mut self.state {
            State::Head(_) => self.read_head(input.bytes),
            State::Body(_) => self.read_body(input),
            State::Switched(id) => {
                let id = *id;
                self.state = State::Closed;
                Ok((0, Event::Switched { id }))
            }
            State::Closed => Ok((0, Event::Closed)),
            State::Failed(error) => Err(*error),
        }
    }

    fn read_head<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Event<Message<'a, ResponseHead<'a>>>), Error> {
        let State::Head(scan) = &mut self.state else { unreachable!("called in this state only") };
        if bytes.is_empty() {
            return Ok((0, Event::NeedData { at_least: 1 }));
        }
        let Some(front) = self.exchanges.front() else {
            return Err(Violation::Unsolicited.into());
        };
        let start = bytes.len().min(PREFIX.len());
        if bytes[..start] != PREFIX[..start] {
            return Err(Violation::StartLine.into());
        }
        let Some(judged) = head::response(bytes, scan, front.traits, self.limits)? else {
            return Ok((0, Event::NeedData { at_least: 1 }));
        };
        let (id, dropped) = (front.id, front.dropped);
        let (length, head) = (judged.length, judged.head);
        let (message, done) = if judged.framing == Framing::Switched {
            // A protocol cannot change in the middle of a request (RFC 9110 §7.8).
            if self.upload.as_ref().is_some_and(Upload::is_cut_off) {
                return Err(Violation::UnexpectedSwitch.into());
            }
            self.exchanges.pop_front();
            self.upload = None;
            self.state = if dropped { State::Closed } else { State::Switched(id) };
            (Message::Head(head), false)
        } else if head.status < 200 {
            if self.interim >= self.limits.interim {
                let limit = Limit { what: "interim responses", value: self.limits.interim.into() };
                return Err(Error::TooLarge(limit));
            }
            self.interim += 1;
            (Message::Informational(head), false)
        } else {
            self.closing = !judged.keep_alive;
            self.last |= self.closing;
            if judged.says_close {
                self.exchanges.iter_mut().skip(1).for_each(|behind| behind.ignored = true);
            }
            let body = Body::new(judged.framing);
            let done = body.is_none();
            match body {
                Some(body) => self.state = State::Body(body),
                None => self.finish(),
            }
            (Message::Head(head), done)
        };
        if dropped { Ok((length, Event::Progress)) } else { Ok((length, Event::Message { id, message, done })) }
    }

    fn read_body<'a>(&mut self, input: Input<'a>) -> Result<(usize, Event<Message<'a, ResponseHead<'a>>>), Error> {
        let State::Body(body) = &mut self.state else { unreachable!("called in this state only") };
        let Some(&Exchange { id, dropped, held, .. }) = self.exchanges.front() else {
            unreachable!("a body is read only for an exchange")
        };
        if held && !dropped {
            return Ok((0, Event::Paused));
        }
        let (used, part) = body.read(input, self.limits)?;
        let (message, done) = match part {
            Part::Need => return Ok((used, Event::NeedData { at_least: 1 })),
            Part::Progress => return Ok((used, Event::Progress)),
            Part::Data { bytes, last } => (Message::Data(bytes), last),
            Part::Trailers(fields) => (Message::Trailers(fields), true),
        };
        if done {
            self.finish();
        }
        if dropped { Ok((used, Event::Progress)) } else { Ok((used, Event::Message { id, message, done })) }
    }

    /// The answer to the front exchange is whole.
    fn finish(&mut self) {
        let finished = self.exchanges.pop_front();
        self.interim = 0;
        if let Some(finished) = finished
            && let Some(upload) = self.upload.take_if(|upload| upload.id == finished.id)
        {
            // The server answered before it had the whole body; the rest of it would be read as a request.
            self.closing |= upload.is_cut_off();
        }
        self.closing |= self.last && self.exchanges.is_empty();
        self.state = if self.closing { State::Closed } else { State::Head(Scan::default()) };
    }

    fn exchange(&mut self, id: ExchangeId) -> Option<&mut Exchange> {
        self.exchanges.iter_mut().find(|exchange| exchange.id == id)
    }

    fn upload(&mut self, id: ExchangeId) -> Result<&mut Upload, Refused> {
        match &mut self.upload {
            Some(upload) if upload.id == id => Ok(upload),
            _ => Err(Refused::Misuse("this exchange is not sending a body")),
        }
    }
}

impl Protocol for Client {
    type Request<'a> = Request<'a>;
    type Message<'a> = Message<'a, ResponseHead<'a>>;

    fn send(&mut self, id: ExchangeId, request: Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let traits = request.head.traits();
        if traits.bodiless && request.body != semantics::Body::EMPTY {
            return Err(Refused::Misuse("this method has no body"));
        }
        if self.slots() == 0 || (!self.exchanges.is_empty() && is_alone(traits)) {
            return Err(Refused::NotNow);
        }
        out.extend_from_slice(request.head.bytes());
        match request.body {
            semantics::Body::Whole([]) if !traits.may_have_body => out.extend_from_slice(b"\r\n"),
            semantics::Body::Whole(bytes) => {
                push_length(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
            semantics::Body::Parts(length) => {
                match length {
                    Some(length) => push_length(out, length),
                    None => out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n"),
                }
                self.upload = Some(Upload { id, left: length, stalled: false });
            }
        }
        self.last = traits.close;
        self.exchanges.push_back(Exchange { id, traits, dropped: false, held: false, ignored: false });
        Ok(())
    }

    fn receive<'a>(
        &'a mut self,
        input: Input<'a>,
        _out: &mut Vec<u8>,
    ) -> Result<(usize, Event<Self::Message<'a>>), Error> {
        self.read(input).inspect_err(|error| {
            self.state = State::Failed(*error);
            self.upload = None;
        })
    }

    fn slots(&self) -> usize {
        let over = matches!(self.state, State::Switched(_) | State::Closed | State::Failed(_));
        match self.exchanges.back() {
            _ if over || self.last || self.upload.is_some() => 0,
            Some(before) if is_alone(before.traits) => 0,
            _ => (self.depth as usize).saturating_sub(self.exchanges.len()),
        }
    }

    fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        let upload = self.upload.as_ref().filter(|upload| !upload.stalled)?;
        let room = upload.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        Some((upload.id, room))
    }

    fn send_data(&mut self, id: ExchangeId, data: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let upload = self.upload(id)?;
        send_part(&mut upload.left, data, last, out)?;
        if last {
            self.upload = None;
        }
        Ok(data.len())
    }

    fn send_trailers(&mut self, id: ExchangeId, trailers: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let upload = self.upload(id)?;
        send_trailers(upload.left, trailers, out)?;
        self.upload = None;
        Ok(())
    }

    fn stall(&mut self, id: ExchangeId) {
        if let Ok(upload) = self.upload(id) {
            upload.stalled = true;
        }
    }

    fn unstall(&mut self, id: ExchangeId) {
        if let Ok(upload) = self.upload(id) {
            upload.stalled = false;
        }
    }

    fn hold(&mut self, id: ExchangeId) {
        if let Some(exchange) = self.exchange(id) {
            exchange.held = true;
        }
    }

    fn resume(&mut self, id: ExchangeId, _out: &mut Vec<u8>) {
        if let Some(exchange) = self.exchange(id) {
            exchange.held = false;
        }
        self.unstall(id);
    }

    fn cancel(&mut self, id: ExchangeId, _out: &mut Vec<u8>) -> bool {
        let Some(at) = self.exchanges.iter().position(|exchange| exchange.id == id) else { return true };
        self.exchanges[at].dropped = true;
        let upload = self.upload.take_if(|upload| upload.id == id);
        // The answer at the front may never come, and half a body cannot be taken back.
        let lives = at > 0 && !upload.is_some_and(|upload| upload.is_cut_off());
        self.last |= !lives;
        lives
    }

    fn close(&mut self, _out: &mut Vec<u8>) {
        self.last = true;
        if self.exchanges.is_empty() && matches!(self.state, State::Head(_)) {
            self.state = State::Closed;
        }
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        self.last = true;
        self.upload = None;
        loop {
            let exchange = self.exchanges.pop_front()?;
            if !exchange.dropped {
                let replay = if exchange.ignored { Replay::NotProcessed } else { Replay::Unknown };
                return Some((exchange.id, replay));
            }
        }
    }
}

/// Not sent behind another request, and nothing is sent behind it: what may not be repeated (RFC 9112 §9.3.2), and what
/// may hand the connection over.
fn is_alone(traits: Traits) -> bool {
    !traits.idempotent || traits.upgrade || traits.connect
}

fn push_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    push_decimal(out, length);
    out.extend_from_slice(b"\r\n\r\n");
}

/// Appends a part of a body by length (`left` bytes are still promised) or as a chunk.
pub(super) fn send_part(left: &mut Option<u64>, data: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), Refused> {
    match left {
        Some(left) => {
            let after = left.checked_sub(data.len() as u64).ok_or(Refused::Misuse("more body than promised"))?;
            if last && after > 0 {
                return Err(Refused::Misuse("less body than promised"));
            }
            *left = after;
            out.extend_from_slice(data);
        }
        None => {
            if !data.is_empty() {
                push_chunk(out, data);
            }
            if last {
                out.extend_from_slice(b"0\r\n\r\n");
            }
        }
    }
    Ok(())
}

/// Ends a body in chunks with trailers.
pub(super) fn send_trailers(left: Option<u64>, trailers: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
    if left.is_some() {
        return Err(Refused::Misuse("only a body in chunks has trailers"));
    }
    if !semantics::are_trailers(trailers) {
        return Err(Refused::Misuse("these are no lines of fields that may stand in trailers"));
    }
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn push_chunk(out: &mut Vec<u8>, data: &[u8]) {
    use std::io::Write;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{:x}\r\n", data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}
