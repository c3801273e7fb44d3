//! The client role.

use super::connection::{Connection, MOST_STREAM, Role, Step};
use super::flow::{Granted, Room};
use super::heads::Heads;
use super::outbound::promised;
use super::streams::{Outgoing, Stream};
use super::{Settings, frame};
use crate::semantics::{Body, Message, PreparedRequest, Request, ResponseHead};
use crate::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay};

/// The client side of one connection.
///
/// A [`Body::Whole`] that is larger than the server's windows is kept here, and goes on as they open; larger ones are
/// better given in parts. An answer that is whole before the request is ends the exchange, and what is missing of the
/// request is not sent. `connection: close` in a request makes it the last one of the connection; other fields that
/// concern one connection of HTTP/1 are left out (RFC 9113 §8.2.2), so nothing is upgraded.
///
/// CONNECT opens a tunnel (RFC 9113 §8.5): what comes behind a 2xx head is its data, and
/// [`send_data`](Protocol::send_data) sends. With [`Body::Parts`] it is asked for at once, with [`Body::EMPTY`] after
/// the first [`resume`](Protocol::resume).
#[derive(Debug)]
pub struct Client {
    connection: Connection,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client with the default settings.
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    /// A client with these settings.
    pub fn with(settings: Settings) -> Self {
        Self { connection: Connection::new(Role::Client, settings) }
    }

    /// A client behind a 101 of HTTP/1.1 (RFC 7540 §3.2): the answer to the request that asked for it is still to come,
    /// and is told under `id`. The request had [`Settings::upgrade_field`] of the same settings.
    pub fn upgraded(settings: Settings, id: ExchangeId, request: &PreparedRequest) -> Self {
        let mut client = Self::with(settings);
        client.open(id, request).outgoing = Outgoing::Done;
        client
    }

    /// The server takes CONNECT with a `:protocol` (RFC 8441 §3): WebSocket over HTTP/2.
    pub fn allows_extended_connect(&self) -> bool {
        self.connection.peer.connect_protocol
    }

    /// The next stream, whose head is awaited.
    fn open(&mut self, id: ExchangeId, head: &PreparedRequest) -> &mut Stream {
        let connection = &mut self.connection;
        let (room, granted) = (Room::new(connection.peer.window), Granted::new(connection.first_window()));
        let mut stream = Stream::new(connection.number, id, room, granted);
        stream.bodiless = head.traits().head;
        stream.tunnel = head.traits().connect;
        // The last number there is makes the connection end when all is answered.
        connection.ending.begun |= connection.number >= MOST_STREAM || head.traits().close;
        connection.number += 2;
        connection.streams.open(stream);
        let at = connection.streams.last();
        &mut connection.streams[at]
    }
}

impl Protocol for Client {
    type Request<'a> = Request<'a>;
    type Message<'a> = Message<'a, ResponseHead<'a>>;

    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        self.connection.connected(at.tls, out);
    }

    fn send(&mut self, id: ExchangeId, request: Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let (traits, body) = (request.head.traits(), request.body);
        let tunnels = traits.connect && body == Body::Parts(None);
        if traits.bodiless && body != Body::EMPTY && !tunnels {
            return Err(Refused::Misuse("this method has no body"));
        }
        if self.slots() == 0 {
            return Err(Refused::NotNow);
        }
        let length = promised(body, !traits.may_have_body);
        if let Some(most) = self.connection.peer.head
            && Heads::size(request.head, self.connection.tls, length) > most as usize
        {
            // §6.5.2: the server would refuse it, or drop the stream without a word.
            return Err(Refused::Misuse("the head is larger than the server takes (SETTINGS_MAX_HEADER_LIST_SIZE)"));
        }
        let last = body == Body::EMPTY && !traits.connect;
        let number = self.connection.number;
        let start = frame::headers::begin(out);
        self.connection.heads.request(request.head, self.connection.tls, length, out);
        frame::headers::finish(start, number, last, self.connection.peer.frame, out);
        let stream = self.open(id, request.head);
        if last {
            stream.outgoing = Outgoing::Done;
        } else {
            let at = self.connection.streams.last();
            self.connection.begin_body(at, body, out);
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
            Step::Progress => Event::Progress,
            Step::Closed => Event::Closed,
            Step::Interim(id) => {
                Event::Message { id, message: Message::Informational(section.response()), done: false }
            }
            Step::Head { id, done } => Event::Message { id, message: Message::Head(section.response()), done },
            Step::Trailers(id) => Event::Message { id, message: Message::Trailers(section.fields()), done: true },
            Step::Data { id, from, to, done } => {
                Event::Message { id, message: Message::Data(&input.bytes[from..to]), done }
            }
            Step::Failed { id, error, replay } => Event::Failed { id, error, replay },
        };
        Ok((used, event))
    }

    fn slots(&self) -> usize {
        let Connection { ref peer, ref ours, ref streams, ref ending, .. } = self.connection;
        if ending.begun || self.connection.is_broken() {
            return 0;
        }
        let most = peer.streams.map_or(ours.streams, |streams| streams.min(ours.streams));
        (most as usize).saturating_sub(streams.len())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9113 §5.1.1: "Stream identifiers cannot be reused. … A client that is unable to establish a new stream
    /// identifier can establish a new connection for new streams."
    #[test]
    fn the_last_number_ends_the_connection_when_all_is_answered() {
        let head = PreparedRequest::new("GET", "/", "h").unwrap();
        let request = Request { head: &head, body: Body::EMPTY };
        let (mut client, mut out) = (Client::new(), Vec::new());
        client.connection.number = MOST_STREAM - 2;
        for id in 0..2 {
            assert!(client.slots() > 0);
            client.send(ExchangeId(id), request, &mut out).unwrap();
        }
        assert_eq!((client.slots(), client.send(ExchangeId(2), request, &mut out)), (0, Err(Refused::NotNow)));
        // SETTINGS, and a whole answer on each of the two.
        let answers = b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\x7f\xff\xff\xff\x88\0\0\x01\x01\x05\x7f\xff\xff\xfd\x88";
        let (mut rest, mut done) = (&answers[..], Vec::new());
        out.clear();
        loop {
            let (used, event) = client.receive(Input { bytes: rest, eof: false }, &mut out).unwrap();
            rest = &rest[used..];
            match event {
                Event::Message { id, done: true, .. } => done.push(id.0),
                Event::Closed => break,
                event => assert!(matches!(event, Event::Progress), "{event:?}"),
            }
        }
        assert_eq!(done, [1, 0]);
        assert!(out.ends_with(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0"), "the goodbye");
    }
}
