//! The server role.

use super::connection::{Connection, Phase, Role, Step};
use super::flow::{Granted, Room};
use super::outbound::promised;
use super::streams::{Incoming, Stream};
use super::{Settings, frame, upgrade};
use crate::semantics::{Body, Message, RequestHead, Response};
use crate::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay};

/// The server side of one connection. Requests are numbered from 0, in the order in which their heads came.
///
/// `:authority` is told as `host`, which then is the first field, and cookies as one field, so that a request looks as
/// it does in HTTP/1.1. A request that breaks the protocol is reset, and never told of; one whose head is too large is
/// answered with 431. An answer that is whole before the request is ends the exchange: the client is told to stop. An
/// answer with `connection: close` is followed by a goodbye.
///
/// CONNECT (RFC 9113 §8.5) is answered with a 2xx and [`Body::Parts`] or [`Body::EMPTY`]; then data goes both ways, as
/// with the [`Client`](super::Client).
#[derive(Debug)]
pub struct Server {
    connection: Connection,
}

const BROKEN: &str = "the client broke the protocol, and nothing more is said on this connection";

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// A server with the default settings.
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    /// A server with these settings.
    pub fn with(settings: Settings) -> Self {
        Self { connection: Connection::new(Role::Server, settings) }
    }

    /// A server behind its 101 of HTTP/1.1 (RFC 7540 §3.2). `id` names the request that asked for it, which is whole and
    /// is answered here; `head`: its method was HEAD. `field` is its `http2-settings`: where that cannot be read, the
    /// upgrade must not have been agreed to.
    pub fn upgraded(settings: Settings, id: ExchangeId, head: bool, field: &[u8]) -> Result<Self, Error> {
        let mut server = Self::with(settings);
        let connection = &mut server.connection;
        connection.apply(&upgrade::decode(field)?)?;
        let (room, granted) = (Room::new(connection.peer.window), Granted::new(0));
        let mut stream = Stream::new(1, id, room, granted);
        stream.incoming = Incoming::Done;
        stream.bodiless = head;
        connection.streams.open(stream);
        (connection.number, connection.opened) = (1, 1);
        (connection.exchanges, connection.unanswered) = (id.0 + 1, 1);
        debug_assert!(connection.phase == Phase::Preface);
        Ok(server)
    }

    /// Begins to leave without losing a request (RFC 9113 §6.8): what the client sends until it knows is still answered,
    /// then the goodbye is said. [`close`](Protocol::close) says it at once, and what comes after it may be sent again
    /// elsewhere.
    pub fn leave(&mut self, out: &mut Vec<u8>) {
        self.connection.say_leaving(out);
    }
}

impl Protocol for Server {
    type Request<'a> = Response<'a>;
    type Message<'a> = Message<'a, RequestHead<'a>>;

    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        self.connection.connected(at.tls, out);
    }

    fn send(&mut self, id: ExchangeId, response: Response<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let connection = &mut self.connection;
        if connection.is_broken() {
            return Err(Refused::Misuse(BROKEN));
        }
        let Some(at) = connection.asking(id) else {
            return Err(Refused::Misuse("no such request, or it is answered already"));
        };
        let (status, body) = (response.head.status(), response.body);
        let Stream { number, tunnel, bodiless, .. } = connection.streams[at];
        let tunnel = tunnel && (200..300).contains(&status);
        if status == 101 {
            return Err(Refused::Misuse("HTTP/2 switches to no other protocol (RFC 9113 §8.6)"));
        }
        let interim = status < 200;
        if interim && body != Body::EMPTY || tunnel && !matches!(body, Body::EMPTY | Body::Parts(None)) {
            return Err(Refused::Misuse("this response has no body"));
        }
        let bodiless = bodiless || matches!(status, 204 | 304);
        // RFC 9110 §8.6: never in an interim response, in a 204 or in a 2xx to CONNECT.
        let length = if interim || tunnel || status == 204 { None } else { promised(body, bodiless) };
        let last = !interim && !tunnel && (bodiless || body == Body::EMPTY);
        let start = frame::headers::begin(out);
        connection.heads.response(response.head, length, out);
        frame::headers::finish(start, number, last, connection.peer.frame, out);
        if interim {
            return Ok(());
        }
        connection.streams[at].tunnel = tunnel;
        if response.head.closes() {
            connection.close(out);
        }
        if last {
            connection.sent_last(at, out);
        } else {
            connection.begin_body(at, body, out);
        }
        Ok(())
    }

    #[inline]
    fn receive<'a>(
        &'a mut self,
        input: Input<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Event<Self::Message<'a>>), Error> {
        let (used, step) = self.connection.step(input, out)?;
        let section = &self.connection.section;
        let event = match step {
            Step::Need(at_least) => Event::NeedData { at_least },
            // Requests have no interim heads.
            Step::Progress | Step::Interim(_) => Event::Progress,
            Step::Closed => Event::Closed,
            Step::Head { id, done } => Event::Message { id, message: Message::Head(section.request()), done },
            Step::Trailers(id) => Event::Message { id, message: Message::Trailers(section.fields()), done: true },
            Step::Data { id, from, to, done } => {
                Event::Message { id, message: Message::Data(&input.bytes[from..to]), done }
            }
            Step::Failed { id, error, replay } => Event::Failed { id, error, replay },
        };
        Ok((used, event))
    }

    fn slots(&self) -> usize {
        if self.connection.is_broken() { 0 } else { self.connection.unanswered }
    }

    fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        self.connection.wants_data()
    }

    fn send_data(&mut self, id: ExchangeId, data: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Refused> {
        self.connection.send_data(id, data, last, out)
    }

    fn send_trailers(&mut self, id: ExchangeId, trailers: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        self.connection.send_trailers(id, trailers, out)
    }

    fn stall(&mut self, id: ExchangeId) {
        self.connection.stall(id);
    }

    fn unstall(&mut self, id: ExchangeId) {
        self.connection.unstall(id);
    }

    fn hold(&mut self, id: ExchangeId) {
        self.connection.hold(id);
    }

    fn resume(&mut self, id: ExchangeId, out: &mut Vec<u8>) {
        self.connection.resume(id, out);
    }

    fn cancel(&mut self, id: ExchangeId, out: &mut Vec<u8>) -> bool {
        self.connection.cancel(id, out);
        true
    }

    fn ping(&mut self, out: &mut Vec<u8>) {
        self.connection.ping(out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.connection.close(out);
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        self.connection.unfinished()
    }
}
