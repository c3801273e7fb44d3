//! Many exchanges on one connection (RFC 9113 without HPACK): frames, windows both ways, RST_STREAM, GOAWAY.

use aquests_protocols::testing::{Run, Script, Seen, Side, splits};
use aquests_protocols::{Error, Established, Event, ExchangeId, Input, Limit, Protocol, Refused, Replay, Violation};

use crate::{data, failed, item, last, text, violation};

/// The client.
pub(crate) struct Http2 {
    streams: Vec<Stream>,
    /// The number of the next stream; odd.
    next: u32,
    /// What the peer lets us send on the connection, and on a new stream.
    room: i64,
    initial: i64,
    /// The DATA frame that is being read.
    reading: Option<Reading>,
    /// The highest stream that the peer will still answer.
    last: Option<u32>,
    /// Where the next round of uploads begins.
    turn: usize,
    closed: bool,
    error: Option<Error>,
}

struct Stream {
    id: ExchangeId,
    number: u32,
    answered: bool,
    held: bool,
    /// What came and was not credited, as the stream is held.
    debt: u32,
    /// What the peer may still send.
    granted: i64,
    /// What we may still send.
    room: i64,
    upload: Upload,
}

#[derive(Clone, Copy, PartialEq)]
enum Upload {
    Done,
    Ready,
    Stalled,
}

struct Reading {
    number: u32,
    left: usize,
    whole: u32,
    end: bool,
}

pub(crate) struct Request<'a> {
    pub(crate) head: &'a str,
    /// A body follows in parts.
    pub(crate) body: bool,
}

pub(crate) enum Message<'a> {
    Head(&'a [u8]),
    Data(&'a [u8]),
    Trailers(&'a [u8]),
}

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// RFC 9113 §6.5.2 and §6.9.2: what holds before SETTINGS say otherwise.
const WINDOW: i64 = 65_535;
const FRAME: usize = 16_384;
const STREAMS: usize = 100;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// A frame; the tests make their peers of it too.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

impl Http2 {
    pub(crate) fn new() -> Self {
        Self {
            streams: Vec::new(),
            next: 1,
            room: WINDOW,
            initial: WINDOW,
            reading: None,
            last: None,
            turn: 0,
            closed: false,
            error: None,
        }
    }

    fn stream(&mut self, number: u32) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.number == number)
    }

    fn named(&mut self, id: ExchangeId) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    /// The end of the connection: GOAWAY is in `out` before the error is returned.
    fn fail(&mut self, code: u32, error: Error, out: &mut Vec<u8>) -> Error {
        out.extend(frame(GOAWAY, 0, 0, [0u32.to_be_bytes(), code.to_be_bytes()].concat()));
        self.error = Some(error);
        error
    }

    fn violation(&mut self, code: u32, words: &'static str, out: &mut Vec<u8>) -> Error {
        self.fail(code, Error::Violation(Violation::Other(words)), out)
    }

    fn receive_data<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<u8>) -> (usize, Event<Message<'a>>) {
        let Some(mut reading) = self.reading.take() else { return (0, Event::Progress) };
        if bytes.is_empty() && reading.left > 0 {
            self.reading = Some(reading);
            return (0, Event::NeedData { at_least: 1 });
        }
        let part = &bytes[..bytes.len().min(reading.left)];
        reading.left -= part.len();
        let (whole, number) = (reading.left == 0, reading.number);
        if whole {
            // The connection's window is for all: it is refilled even where one stream is held.
            credit(0, reading.whole, out);
        }
        let done = whole && reading.end;
        let received = reading.whole;
        if !whole {
            self.reading = Some(reading);
        }
        let Some(at) = self.streams.iter().position(|stream| stream.number == number) else {
            return (part.len(), Event::Progress);
        };
        let stream = &mut self.streams[at];
        let id = stream.id;
        if done {
            self.streams.remove(at);
        } else if whole && stream.held {
            stream.debt += received;
        } else if whole {
            stream.granted += i64::from(received);
            credit(number, received, out);
        }
        (part.len(), Event::Message { id, message: Message::Data(part), done })
    }

    /// A whole frame that is not DATA, without its header.
    fn receive_frame<'a>(
        &mut self,
        [kind, flags]: [u8; 2],
        at: u32,
        payload: &'a [u8],
        out: &mut Vec<u8>,
    ) -> Result<Event<Message<'a>>, Error> {
        match kind {
            HEADERS => {
                let Some(stream) = self.stream(at) else { return Ok(Event::Progress) };
                let (id, first, done) = (stream.id, !stream.answered, flags & END_STREAM != 0);
                stream.answered = true;
                if done {
                    self.streams.retain(|stream| stream.id != id);
                }
                let message = if first { Message::Head(payload) } else { Message::Trailers(payload) };
                return Ok(Event::Message { id, message, done });
            }
            RST_STREAM if payload.len() == 4 => {
                let Some(stream) = self.stream(at) else { return Ok(Event::Progress) };
                let id = stream.id;
                self.streams.retain(|stream| stream.id != id);
                let refused = number(payload) == REFUSED_STREAM;
                let replay = if refused { Replay::NotProcessed } else { Replay::Unknown };
                return Ok(Event::Failed { id, error: violation("the peer reset the stream"), replay });
            }
            SETTINGS if flags & ACK == 0 && payload.len().is_multiple_of(6) => {
                for setting in payload.chunks(6) {
                    // SETTINGS_INITIAL_WINDOW_SIZE moves the windows of all streams (RFC 9113 §6.9.2).
                    if number(&setting[..2]) == 4 {
                        let initial = i64::from(number(&setting[2..]));
                        for stream in &mut self.streams {
                            stream.room += initial - self.initial;
                        }
                        self.initial = initial;
                    }
                }
                out.extend(frame(SETTINGS, ACK, 0, []));
            }
            PING if payload.len() == 8 && flags & ACK == 0 => out.extend(frame(PING, ACK, 0, payload)),
            PING if payload.len() == 8 => {}
            GOAWAY if payload.len() >= 8 => self.last = Some(number(&payload[..4])),
            WINDOW_UPDATE if payload.len() == 4 => {
                let more = i64::from(number(payload));
                let room = if at == 0 { Some(&mut self.room) } else { self.stream(at).map(|stream| &mut stream.room) };
                if let Some(room) = room {
                    *room += more;
                    if *room > i64::from(i32::MAX) {
                        return Err(self.violation(FLOW_CONTROL_ERROR, "a window over 2^31-1", out));
                    }
                }
            }
            RST_STREAM | PING | GOAWAY | WINDOW_UPDATE => {
                return Err(self.violation(FRAME_SIZE_ERROR, "a frame of a wrong length", out));
            }
            // RFC 9113 §4.1: unknown frames are ignored.
            _ => {}
        }
        Ok(Event::Progress)
    }
}

fn credit(stream: u32, bytes: u32, out: &mut Vec<u8>) {
    if bytes > 0 {
        out.extend(frame(WINDOW_UPDATE, 0, stream, bytes.to_be_bytes()));
    }
}

impl Protocol for Http2 {
    type Request<'a> = Request<'a>;
    type Message<'a> = Message<'a>;

    fn connected(&mut self, _: Established<'_>, out: &mut Vec<u8>) {
        out.extend(PREFACE);
        out.extend(frame(SETTINGS, 0, 0, []));
    }

    fn send(&mut self, id: ExchangeId, request: Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        if self.slots() == 0 {
            return Err(Refused::NotNow);
        }
        let flags = if request.body { 0 } else { END_STREAM };
        out.extend(frame(HEADERS, flags, self.next, request.head));
        let upload = if request.body { Upload::Ready } else { Upload::Done };
        self.streams.push(Stream {
            id,
            number: self.next,
            answered: false,
            held: false,
            debt: 0,
            granted: WINDOW,
            room: self.initial,
            upload,
        });
        self.next += 2;
        Ok(())
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, out: &mut Vec<u8>) -> Result<(usize, Event<Message<'a>>), Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.reading.is_some() {
            return Ok(self.receive_data(input.bytes, out));
        }
        if let Some(last) = self.last {
            // GOAWAY ends many at once, one event at a time: they use no byte.
            if let Some(at) = self.streams.iter().position(|stream| stream.number > last) {
                let id = self.streams.remove(at).id;
                let error = violation("the peer goes away");
                return Ok((0, Event::Failed { id, error, replay: Replay::NotProcessed }));
            }
            if self.streams.is_empty() {
                return Ok((0, Event::Closed));
            }
        }
        let Some((header, rest)) = input.bytes.split_at_checked(9) else {
            return Ok((0, Event::NeedData { at_least: 9 }));
        };
        let (length, kind, flags) = (number(&header[..3]) as usize, header[3], header[4]);
        let at = number(&header[5..]) & 0x7fff_ffff;
        if length > FRAME {
            let limit = Limit { what: "frame bytes", value: FRAME as u64 };
            return Err(self.fail(FRAME_SIZE_ERROR, Error::TooLarge(limit), out));
        }
        if matches!(kind, DATA | HEADERS | RST_STREAM) && (at.is_multiple_of(2) || at >= self.next) {
            return Err(self.violation(PROTOCOL_ERROR, "a frame on a stream that nobody opened", out));
        }
        if kind == DATA {
            if let Some(stream) = self.stream(at) {
                stream.granted -= length as i64;
                if stream.granted < 0 {
                    return Err(self.violation(FLOW_CONTROL_ERROR, "more data than the window", out));
                }
            }
            // From here on the data is passed on as it comes; the header alone is nothing to tell.
            let reading = Reading { number: at, left: length, whole: length as u32, end: flags & END_STREAM != 0 };
            self.reading = Some(reading);
            return Ok((9, Event::Progress));
        }
        let Some(payload) = rest.get(..length) else {
            return Ok((0, Event::NeedData { at_least: 9 + length }));
        };
        self.receive_frame([kind, flags], at, payload, out).map(|event| (9 + length, event))
    }

    fn slots(&self) -> usize {
        let over = self.closed || self.last.is_some() || self.error.is_some();
        if over { 0 } else { STREAMS.saturating_sub(self.streams.len()) }
    }

    fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        let (before, from) = self.streams.split_at(self.turn.min(self.streams.len()));
        let room = |stream: &Stream| stream.room.min(self.room).min(FRAME as i64);
        let ready = |stream: &&Stream| stream.upload == Upload::Ready && room(stream) > 0;
        let stream = from.iter().chain(before).find(ready)?;
        Some((stream.id, room(stream) as usize))
    }

    fn send_data(&mut self, id: ExchangeId, bytes: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let most = self.room.min(FRAME as i64);
        let at = self.streams.iter().position(|stream| stream.id == id && stream.upload != Upload::Done);
        let at = at.ok_or(Refused::Misuse("this exchange is not sending a body"))?;
        let stream = &mut self.streams[at];
        let taken = bytes.len().min(most.min(stream.room).max(0) as usize);
        let last = last && taken == bytes.len();
        if taken > 0 || last {
            out.extend(frame(DATA, if last { END_STREAM } else { 0 }, stream.number, &bytes[..taken]));
        }
        stream.room -= taken as i64;
        if last {
            stream.upload = Upload::Done;
        }
        self.room -= taken as i64;
        self.turn = at + 1;
        Ok(taken)
    }

    fn stall(&mut self, id: ExchangeId) {
        if let Some(stream) = self.named(id).filter(|stream| stream.upload == Upload::Ready) {
            stream.upload = Upload::Stalled;
        }
    }

    fn unstall(&mut self, id: ExchangeId) {
        if let Some(stream) = self.named(id).filter(|stream| stream.upload == Upload::Stalled) {
            stream.upload = Upload::Ready;
        }
    }

    fn hold(&mut self, id: ExchangeId) {
        if let Some(stream) = self.named(id) {
            stream.held = true;
        }
    }

    fn resume(&mut self, id: ExchangeId, out: &mut Vec<u8>) {
        let Some(stream) = self.named(id) else { return };
        stream.held = false;
        credit(stream.number, stream.debt, out);
        stream.granted += i64::from(stream.debt);
        stream.debt = 0;
        self.unstall(id);
    }

    fn cancel(&mut self, id: ExchangeId, out: &mut Vec<u8>) -> bool {
        if let Some(at) = self.streams.iter().position(|stream| stream.id == id) {
            let stream = self.streams.remove(at);
            out.extend(frame(RST_STREAM, 0, stream.number, CANCEL.to_be_bytes()));
        }
        true
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        out.extend(frame(GOAWAY, 0, 0, [0; 8]));
        self.closed = true;
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        let stream = self.streams.pop()?;
        let spared = self.last.is_some_and(|last| stream.number > last);
        Some((stream.id, if spared { Replay::NotProcessed } else { Replay::Unknown }))
    }
}

fn see(message: Message<'_>) -> Seen<String> {
    match message {
        Message::Head(head) => Seen::Item(text(head)),
        Message::Data(bytes) => Seen::Data(bytes.to_vec()),
        Message::Trailers(trailers) => Seen::Item(format!("trailers: {}", text(trailers))),
    }
}

/// A client that has sent so many requests, the last with a body where `body` says so.
fn client(requests: u64, body: bool) -> Side<Http2, String> {
    let mut side = Side::client(Http2::new(), see);
    for id in 0..requests {
        let request = Request { head: "GET /", body: body && id + 1 == requests };
        side.machine.send(ExchangeId(id), request, &mut side.out).unwrap();
    }
    side.take_out();
    side
}

fn run(peer: &[Vec<u8>], start: impl Fn() -> Side<Http2, String>) -> Run<String> {
    splits(&peer.concat(), false, start)
}

#[test]
fn two_streams_take_turns_and_end_apart() {
    let peer = [
        frame(SETTINGS, 0, 0, []),
        frame(HEADERS, 0, 3, "200 b"),
        frame(HEADERS, 0, 1, "200 a"),
        frame(DATA, 0, 3, "bb"),
        frame(DATA, 0, 1, "aa"),
        frame(DATA, END_STREAM, 3, ""),
        frame(DATA, 0, 1, "a"),
        frame(HEADERS, END_STREAM, 1, "sum"),
    ];
    let seen = run(&peer, || client(2, false)).events;
    let text = |text: &str| text.to_string();
    let expected = [
        item(1, text("200 b")),
        item(0, text("200 a")),
        data(1, "bb", false),
        data(0, "aa", false),
        data(1, "", true),
        data(0, "a", false),
        last(0, text("trailers: sum")),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_held_stream_gets_no_credit_until_it_is_resumed_and_the_other_goes_on() {
    let start = || {
        client(2, false).acting(|side, event| match event {
            Some(Event::Message { id: ExchangeId(0), message: Seen::Item(_), .. }) => side.machine.hold(ExchangeId(0)),
            Some(Event::Message { id: ExchangeId(1), done: true, .. }) => {
                side.machine.resume(ExchangeId(0), &mut side.out);
            }
            _ => {}
        })
    };
    let update = |stream, bytes: u32| frame(WINDOW_UPDATE, 0, stream, bytes.to_be_bytes());
    let run = Script::new()
        .send([frame(HEADERS, 0, 1, "200"), frame(DATA, 0, 1, "held")].concat())
        .expect(update(0, 4))
        .expect_nothing()
        .send([frame(HEADERS, 0, 3, "200"), frame(DATA, 0, 3, "goes on")].concat())
        .expect([update(0, 7), update(3, 7)].concat())
        .send(frame(DATA, END_STREAM, 3, ""))
        .expect(update(1, 4))
        .run(start);
    assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)]);
}

#[test]
fn uploads_take_turns_within_their_windows_and_a_stalled_one_waits() {
    let mut side = client(1, true);
    side.machine.send(ExchangeId(9), Request { head: "PUT /", body: true }, &mut side.out).unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE is 5.
    side.receive(&frame(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 5]), false);
    side.take_out();
    assert_eq!(side.machine.wants_data(), Some((ExchangeId(0), 5)));
    assert_eq!(side.machine.send_data(ExchangeId(0), b"abc", false, &mut side.out), Ok(3));
    assert_eq!(side.machine.wants_data(), Some((ExchangeId(9), 5)));
    side.machine.stall(ExchangeId(9));
    assert_eq!(side.machine.wants_data(), Some((ExchangeId(0), 2)));
    // More than there is room for is taken in part, and then it is not the end.
    assert_eq!(side.machine.send_data(ExchangeId(0), b"defg", true, &mut side.out), Ok(2));
    assert_eq!(side.machine.wants_data(), None);
    assert_eq!(side.take_out(), [frame(DATA, 0, 1, "abc"), frame(DATA, 0, 1, "de")].concat());
    side.machine.resume(ExchangeId(9), &mut side.out);
    assert_eq!(side.machine.wants_data(), Some((ExchangeId(9), 5)));
    side.receive(&frame(WINDOW_UPDATE, 0, 1, [0, 0, 0, 2]), false);
    assert_eq!(side.machine.send_data(ExchangeId(9), b"", true, &mut side.out), Ok(0));
    assert_eq!(side.machine.send_data(ExchangeId(0), b"fg", true, &mut side.out), Ok(2));
    assert_eq!(side.machine.wants_data(), None);
    assert_eq!(side.take_out(), [frame(DATA, END_STREAM, 3, ""), frame(DATA, END_STREAM, 1, "fg")].concat());
    assert_eq!(side.finish().unfinished.len(), 2);
}

#[test]
fn a_cancelled_stream_is_reset_and_what_still_comes_of_it_is_dropped() {
    let start = || {
        client(2, false).acting(|side, event| {
            if let Some(Event::Message { id: ExchangeId(0), .. }) = event {
                assert!(side.machine.cancel(ExchangeId(0), &mut side.out));
            }
        })
    };
    let peer = [
        frame(HEADERS, 0, 1, "200"),
        frame(DATA, 0, 1, "too late"),
        frame(HEADERS, END_STREAM, 1, "too late"),
        frame(HEADERS, END_STREAM, 3, "200"),
    ];
    let run = run(&peer, start);
    assert_eq!(run.events, [item(0, "200".to_string()), last(1, "200".to_string())]);
    assert!(run.out.starts_with(&frame(RST_STREAM, 0, 1, CANCEL.to_be_bytes())), "{}", run.out.escape_ascii());
}

#[test]
fn a_goaway_spares_the_streams_above_and_the_ones_below_finish() {
    let peer = [
        frame(GOAWAY, 0, 0, [0, 0, 0, 3, 0, 0, 0, 0]),
        frame(HEADERS, END_STREAM, 3, "200"),
        frame(HEADERS, END_STREAM, 1, "200"),
        b"left".to_vec(),
    ];
    let run = run(&peer, || client(4, false));
    let away = violation("the peer goes away");
    let expected = [
        failed(2, away, Replay::NotProcessed),
        failed(3, away, Replay::NotProcessed),
        last(1, "200".to_string()),
        last(0, "200".to_string()),
        Event::Closed,
    ];
    assert_eq!(run.events, expected);
    assert_eq!(run.left, b"left");
}

#[test]
fn a_reset_fails_one_exchange_and_tells_whether_it_was_processed() {
    let peer = [frame(RST_STREAM, 0, 1, REFUSED_STREAM.to_be_bytes()), frame(RST_STREAM, 0, 3, CANCEL.to_be_bytes())];
    let reset = violation("the peer reset the stream");
    let expected = [failed(0, reset, Replay::NotProcessed), failed(1, reset, Replay::Unknown)];
    assert_eq!(run(&peer, || client(2, false)).events, expected);
}

#[test]
fn a_ping_is_answered() {
    let run = run(&[frame(PING, 0, 0, "12345678"), frame(PING, ACK, 0, "87654321")], || client(0, false));
    assert_eq!(run.out, frame(PING, ACK, 0, "12345678"));
}

#[test]
fn an_error_says_goodbye_once_and_names_what_is_open() {
    for (code, bytes) in [
        (FRAME_SIZE_ERROR, frame(DATA, 0, 1, vec![0; FRAME + 1])),
        (FRAME_SIZE_ERROR, frame(PING, 0, 0, "short")),
        (PROTOCOL_ERROR, frame(HEADERS, 0, 3, "200")),
        (FLOW_CONTROL_ERROR, frame(WINDOW_UPDATE, 0, 0, i32::MAX.to_be_bytes())),
        (FLOW_CONTROL_ERROR, [frame(SETTINGS, 0, 0, []), frame(DATA, 0, 1, vec![0; 16_000]).repeat(5)].concat()),
    ] {
        // Held, so that no credit comes back.
        let run = splits(&bytes, true, || {
            let mut side = client(1, false);
            side.machine.hold(ExchangeId(0));
            side
        });
        assert!(run.error.is_some());
        assert!(run.out.ends_with(&code.to_be_bytes()), "{code} {}", run.out.escape_ascii());
        assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)]);
    }
}

#[test]
fn an_end_in_the_middle_of_a_frame_is_unexpected() {
    let run = splits(&frame(HEADERS, END_STREAM, 1, "200")[..10], true, || client(1, false));
    assert_eq!(run.error, Some(Error::UnexpectedEof));
}
