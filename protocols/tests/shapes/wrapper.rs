//! A machine around a machine (gRPC over HTTP/2): messages with a length before them, which begin and end anywhere in
//! the data of the inner machine.
//!
//! An event of the inner machine that is passed on borrows it until the caller lets go, so this one may not call it
//! again in the same `receive`: what came is noted, [`Event::Progress`] returned, and the next call goes on from there.

use aquests_protocols::testing::{Seen, Side, splits};
use aquests_protocols::{Error, Established, Event, ExchangeId, Input, Limit, Protocol, Refused, Replay};

use crate::http2_like::{self, DATA, END_STREAM, HEADERS, Http2, RST_STREAM, frame};
use crate::{failed, item, last, text, violation};

/// The client.
struct Grpc {
    http2: Http2,
    calls: Vec<Call>,
}

struct Call {
    id: ExchangeId,
    /// What came of the next messages.
    buffer: Vec<u8>,
    /// The front of the buffer that was told in the call before.
    told: usize,
    /// The inner machine has ended this exchange; not all is told yet.
    ended: bool,
}

struct Request<'a> {
    path: &'a str,
    message: &'a [u8],
}

enum Message<'a> {
    Head(&'a [u8]),
    /// One whole message, without its prefix.
    Body(&'a [u8]),
    Status(&'a [u8]),
}

/// The default of grpc-go and grpc-java is 4 MiB.
const MESSAGE: usize = 4 << 20;
const PREFIX: usize = 5;

fn prefixed(message: &[u8]) -> Vec<u8> {
    [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

/// The length of the message at the front, with its prefix, when it is whole.
fn whole(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let Some((&[_, a, b, c, d], rest)) = bytes.split_first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > MESSAGE {
        return Err(Error::TooLarge(Limit { what: "message bytes", value: MESSAGE as u64 }));
    }
    Ok((rest.len() >= length).then_some(PREFIX + length))
}

impl Grpc {
    fn new() -> Self {
        Self { http2: Http2::new(), calls: Vec::new() }
    }

    /// The first call with a whole message or an end to tell, and what it is.
    fn next(&mut self) -> Option<(usize, Result<usize, Error>)> {
        self.calls.iter_mut().enumerate().find_map(|(at, call)| {
            call.buffer.drain(..core::mem::take(&mut call.told));
            match whole(&call.buffer) {
                Ok(Some(length)) => Some((at, Ok(length))),
                Ok(None) if call.ended => Some((at, Err(violation("a call without a status")))),
                Ok(None) => None,
                Err(error) => Some((at, Err(error))),
            }
        })
    }
}

impl Protocol for Grpc {
    type Request<'a> = Request<'a>;
    type Message<'a> = Message<'a>;

    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        self.http2.connected(at, out);
    }

    fn send(&mut self, id: ExchangeId, request: Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let message = prefixed(request.message);
        self.http2.send(id, http2_like::Request { head: request.path, body: true }, out)?;
        // A real one keeps what finds no room until there is some.
        let taken = self.http2.send_data(id, &message, true, out)?;
        assert_eq!(taken, message.len(), "the tests send less than a window");
        self.calls.push(Call { id, buffer: Vec::new(), told: 0, ended: false });
        Ok(())
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, out: &mut Vec<u8>) -> Result<(usize, Event<Message<'a>>), Error> {
        match self.next() {
            Some((at, Ok(length))) => {
                let call = &mut self.calls[at];
                call.told = length;
                let message = Message::Body(&call.buffer[PREFIX..length]);
                return Ok((0, Event::Message { id: call.id, message, done: false }));
            }
            Some((at, Err(error))) => {
                let Call { id, ended, .. } = self.calls.remove(at);
                if !ended {
                    let lives = self.http2.cancel(id, out);
                    debug_assert!(lives, "HTTP/2 resets one stream");
                }
                return Ok((0, Event::Failed { id, error, replay: Replay::Unknown }));
            }
            None => {}
        }
        let (used, event) = self.http2.receive(input, out)?;
        let event = match event {
            Event::Message { id, message: http2_like::Message::Data(bytes), done } => {
                if let Some(call) = self.calls.iter_mut().find(|call| call.id == id) {
                    call.buffer.extend_from_slice(bytes);
                    call.ended = done;
                }
                Event::Progress
            }
            Event::Message { id, message: http2_like::Message::Trailers(_), done: true }
                if self.calls.iter().any(|call| call.id == id && !call.buffer.is_empty()) =>
            {
                self.calls.retain(|call| call.id != id);
                let error = violation("a status in the middle of a message");
                Event::Failed { id, error, replay: Replay::Unknown }
            }
            other => {
                if let Event::Message { id, done: true, .. } | Event::Failed { id, .. } = other {
                    self.calls.retain(|call| call.id != id);
                }
                other.map(|message| match message {
                    http2_like::Message::Head(head) => Message::Head(head),
                    http2_like::Message::Trailers(status) => Message::Status(status),
                    http2_like::Message::Data(_) => unreachable!("taken above"),
                })
            }
        };
        Ok((used, event))
    }

    fn slots(&self) -> usize {
        self.http2.slots()
    }

    fn hold(&mut self, id: ExchangeId) {
        self.http2.hold(id);
    }

    fn resume(&mut self, id: ExchangeId, out: &mut Vec<u8>) {
        self.http2.resume(id, out);
    }

    fn cancel(&mut self, id: ExchangeId, out: &mut Vec<u8>) -> bool {
        self.calls.retain(|call| call.id != id);
        self.http2.cancel(id, out)
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.http2.close(out);
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        if let Some((id, replay)) = self.http2.unfinished() {
            self.calls.retain(|call| call.id != id);
            return Some((id, replay));
        }
        // Ended inside, and not yet here.
        self.calls.pop().map(|call| (call.id, Replay::Unknown))
    }
}

fn client(calls: u64) -> Side<Grpc, String> {
    let see = |message: Message<'_>| {
        Seen::Item(match message {
            Message::Head(head) => text(head),
            Message::Body(message) => format!("message {}", text(message)),
            Message::Status(status) => format!("status {}", text(status)),
        })
    };
    let mut side = Side::client(Grpc::new(), see);
    for id in 0..calls {
        side.machine.send(ExchangeId(id), Request { path: "/a/B", message: b"ask" }, &mut side.out).unwrap();
    }
    side.take_out();
    side
}

fn text_of(text: &str) -> String {
    text.to_string()
}

#[test]
fn messages_begin_and_end_anywhere_in_the_data() {
    let body = [prefixed(b"one"), prefixed(b""), prefixed(b"three")].concat();
    for at in 0..=body.len() {
        let peer = [
            frame(HEADERS, 0, 1, "200"),
            frame(DATA, 0, 1, &body[..at]),
            frame(DATA, 0, 1, &body[at..]),
            frame(HEADERS, END_STREAM, 1, "0"),
        ];
        let run = splits(&peer.concat(), true, || client(1));
        let expected = [
            item(0, text_of("200")),
            item(0, text_of("message one")),
            item(0, text_of("message ")),
            item(0, text_of("message three")),
            last(0, text_of("status 0")),
        ];
        assert_eq!(run.events, expected, "cut at {at}");
    }
}

#[test]
fn two_calls_assemble_their_messages_apart() {
    let (a, b) = (prefixed(b"of a"), prefixed(b"of b"));
    let peer = [
        frame(DATA, 0, 1, &a[..6]),
        frame(DATA, 0, 3, &b[..7]),
        frame(DATA, 0, 1, &a[6..]),
        frame(DATA, 0, 3, &b[7..]),
    ];
    let run = splits(&peer.concat(), false, || client(2));
    assert_eq!(run.events, [item(0, text_of("message of a")), item(1, text_of("message of b"))]);
    assert_eq!(run.unfinished.len(), 2);
}

#[test]
fn a_message_over_the_limit_fails_its_call_and_resets_the_stream() {
    let peer = [frame(DATA, 0, 1, [0, 0xff, 0, 0, 0]), frame(DATA, 0, 1, "more"), frame(HEADERS, END_STREAM, 3, "200")];
    let run = splits(&peer.concat(), false, || client(2));
    let error = Error::TooLarge(Limit { what: "message bytes", value: MESSAGE as u64 });
    assert_eq!(run.events, [failed(0, error, Replay::Unknown), last(1, text_of("200"))]);
    let reset = frame(RST_STREAM, 0, 1, [0, 0, 0, 8]);
    assert!(run.out.windows(reset.len()).any(|bytes| bytes == reset), "{}", run.out.escape_ascii());
}

#[test]
fn a_call_without_a_status_fails_after_its_messages() {
    let peer = frame(DATA, END_STREAM, 1, prefixed(b"one"));
    let run = splits(&peer, false, || client(1));
    let fails = failed(0, violation("a call without a status"), Replay::Unknown);
    assert_eq!(run.events, [item(0, text_of("message one")), fails]);
}

#[test]
fn a_status_in_the_middle_of_a_message_fails_the_call() {
    let peer = [frame(DATA, 0, 1, &prefixed(b"one")[..6]), frame(HEADERS, 0, 1, "200"), frame(HEADERS, 1, 1, "0")];
    let run = splits(&peer.concat(), false, || client(1));
    let fails = failed(0, violation("a status in the middle of a message"), Replay::Unknown);
    assert_eq!(run.events, [item(0, text_of("200")), fails]);
}

#[test]
fn a_call_that_ended_inside_only_is_unfinished() {
    let mut side = client(1);
    // As a driver does that stops after one event: the data has come, its message is not told.
    let peer = frame(DATA, END_STREAM, 1, prefixed(b"one"));
    for from in [0, 9] {
        let came = side.machine.receive(Input { bytes: &peer[from..], eof: false }, &mut side.out);
        assert!(matches!(came, Ok((_, Event::Progress))));
    }
    assert_eq!(side.finish().unfinished, [(ExchangeId(0), Replay::Unknown)]);
}
