//! What a client writes against another implementation: it finds the frames that were meant, and a server that keeps its
//! own books of streams and windows never sees one broken. Whatever a well-behaved server does meanwhile, the client goes
//! on.
//!
//! The first two bytes are the client's settings; then come steps of two bytes: what happens, and how much of it.
#![no_main]

#[path = "other/h2.rs"]
mod other;

use std::collections::{BTreeMap, VecDeque};

use aquests_protocols::http2::{Client, Settings};
use aquests_protocols::semantics::{Body, PreparedRequest, Request};
use aquests_protocols::{Event, ExchangeId, Input, Protocol};
use h2::frame::Frame;
use libfuzzer_sys::fuzz_target;
use other::Other;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Settings and window updates may not be a flood.
const STEPS: usize = 300;

fuzz_target!(|input: &[u8]| {
    let [windows, limits, steps @ ..] = input else { return };
    let mut run = Run::new(*windows, *limits);
    for step in steps.chunks_exact(2).take(STEPS) {
        run.step(step[0], step[1]);
    }
});

/// A request as it was asked for.
struct Asked {
    method: &'static str,
    path: String,
    fields: Vec<(String, String)>,
    /// `None`: it is not said how long the body is.
    length: Option<usize>,
    /// In parts, of which so many bytes were given.
    given: Option<usize>,
}

/// A stream in the books of the server.
struct Stream {
    /// What the client may send, and what it lets us send.
    room: i64,
    granted: i64,
    got: usize,
    /// Who has ended it.
    by_client: bool,
    by_us: bool,
    headed: bool,
}

struct Run {
    client: Client,
    out: Vec<u8>,
    other: Other,
    asked: Vec<Asked>,
    streams: BTreeMap<u32, Stream>,
    room: i64,
    granted: i64,
    /// What the client wants first windows to be, and what we have told it that it knows.
    first_granted: i64,
    first_room: i64,
    most: usize,
    /// How large heads may be.
    list: usize,
    told: VecDeque<[u32; 5]>,
    pings: VecDeque<u8>,
    alive: usize,
    /// The client wants a smaller table of ours, and has not been told that it is.
    shrunk: bool,
}

impl Run {
    fn new(windows: u8, limits: u8) -> Self {
        let window = [1, 100, 65_535, 300_000][usize::from(windows % 4)];
        let settings = Settings::default()
            .window(window)
            .most_window(window * u32::from(1 + windows / 4 % 4))
            .connection_window([0, 70_000, 1 << 20, u32::MAX][usize::from(windows / 16 % 4)])
            .frame([0, 20_000, 1 << 20, u32::MAX][usize::from(limits % 4)])
            .table([0, 100, 4096, 65_536][usize::from(limits / 4 % 4)])
            .streams([1, 3, 100, 1000][usize::from(limits / 16 % 4)]);
        let mut run = Self {
            client: Client::with(settings),
            out: Vec::new(),
            other: Other::new(),
            asked: Vec::new(),
            streams: BTreeMap::new(),
            room: 65_535,
            granted: 65_535,
            first_granted: 65_535,
            first_room: 65_535,
            most: usize::MAX,
            list: usize::MAX,
            told: VecDeque::new(),
            pings: VecDeque::new(),
            alive: 0,
            shrunk: limits / 4 % 4 < 2,
        };
        run.client.connected(Default::default(), &mut run.out);
        assert!(run.out.starts_with(PREFACE));
        run.out.drain(..PREFACE.len());
        let Some(Ok(Frame::Settings(first))) = run.other.read(&std::mem::take(&mut run.out)) else {
            panic!("SETTINGS come first")
        };
        assert_eq!(first.is_push_enabled(), Some(false));
        assert_eq!(first.initial_window_size().unwrap_or(65_535), window);
        let frame = [16_384, 20_000, 1 << 20, (1 << 24) - 1][usize::from(limits % 4)];
        assert_eq!(first.max_frame_size().unwrap_or(16_384), frame);
        let table = [0, 100, 4096, 65_536][usize::from(limits / 4 % 4)];
        assert_eq!(first.header_table_size().unwrap_or(4096), table);
        run.first_granted = window.into();
        run.read();
        run.say_settings([65_535, 16_384, 4096, 1000, u32::MAX]);
        run.say(4, 1, 0, b"");
        run
    }

    fn step(&mut self, what: u8, much: u8) {
        let open: Vec<u32> = self.streams.iter().filter(|(_, stream)| !stream.by_us).map(|(n, _)| *n).collect();
        let stream = open.get(usize::from(much) % open.len().max(1)).copied();
        match (what % 18, stream) {
            (0..=2, _) => self.ask(what, much),
            (3 | 4, _) => self.give(usize::from(much) * 128),
            (5, _) => {
                let pick = |of: [u32; 4], by: u8| of[usize::from(much / by % 4)];
                self.say_settings([
                    pick([0, 1, 70_000, 1 << 20], 1),
                    pick([16_384, 16_385, 60_000, (1 << 24) - 1], 4),
                    pick([0, 64, 4096, 65_536], 16),
                    pick([0, 1, 3, 100], 64),
                    pick([u32::MAX, 100, 4000, 20_000], 4),
                ]);
            }
            (6, _) => {
                self.room += 1 + i64::from(much) * 1000;
                self.say(8, 0, 0, &(1 + u32::from(much) * 1000).to_be_bytes());
            }
            (7 | 8, Some(number)) => {
                self.at(number).room += 1 + i64::from(much) * 100;
                self.say(8, 0, number, &(1 + u32::from(much) * 100).to_be_bytes());
            }
            (9, Some(number)) if !self.at(number).headed => {
                self.at(number).headed = true;
                // A table that was made smaller is owned up to first (RFC 7541 §4.2).
                let block: &[u8] = if std::mem::take(&mut self.shrunk) { b"\x20\x88" } else { b"\x88" };
                self.answer(1, 4 | much >> 7, number, block);
            }
            (10, Some(number)) => {
                let (granted, stream) = (self.granted, self.at(number));
                let length = granted.min(stream.granted).clamp(0, 1 + 60 * i64::from(much));
                // HEAD has no data.
                let bodiless = self.asked[number as usize / 2].method == "HEAD";
                if self.at(number).headed && length > 0 && !bodiless {
                    self.granted -= length;
                    self.at(number).granted -= length;
                    self.answer(0, much >> 7, number, &vec![much; length as usize]);
                }
            }
            (11, Some(number)) => {
                self.at(number).by_client = true;
                self.at(number).by_us = true;
                self.say(3, 0, number, &u32::from(much % 14).to_be_bytes());
            }
            (12, _) => {
                self.pings.push_back(much);
                self.say(6, 0, 0, &[much; 8]);
                assert!(self.pings.is_empty(), "a PING that is not answered");
            }
            (13, Some(number)) => {
                let _ = self.client.cancel(ExchangeId(u64::from(number / 2)), &mut self.out);
                self.read();
            }
            (14, Some(number)) => self.client.hold(ExchangeId(u64::from(number / 2))),
            (15, Some(number)) => {
                self.client.resume(ExchangeId(u64::from(number / 2)), &mut self.out);
                self.read();
            }
            (16, _) => {
                self.client.ping(&mut self.out);
                self.read();
                for _ in 0..std::mem::take(&mut self.alive) {
                    self.say(6, 1, 0, b"alive???");
                }
            }
            (17, _) => {
                if let Some((id, _)) = self.client.wants_data()
                    && self.asked[id.0 as usize].length.is_none()
                {
                    self.client.send_trailers(id, b"X-Sum: 1\r\n", &mut self.out).unwrap();
                    self.read();
                    assert!(self.at(1 + 2 * id.0 as u32).by_client, "trailers end a request");
                }
            }
            _ => {}
        }
    }

    fn at(&mut self, number: u32) -> &mut Stream {
        self.streams.get_mut(&number).expect("it was opened")
    }

    fn ask(&mut self, kind: u8, much: u8) {
        if self.client.slots() == 0 {
            return;
        }
        let id = self.asked.len();
        let method = ["GET", "HEAD", "POST", "PUT"][usize::from(much % 4)];
        let payload = vec![id as u8; usize::from(much) * 300];
        let body = match (method, kind % 3) {
            ("GET" | "HEAD", _) => Body::EMPTY,
            (_, 0) => Body::Whole(&payload),
            (_, 1) => Body::Parts(Some(payload.len() as u64)),
            _ => Body::Parts(None),
        };
        let path = format!("/{}", "p".repeat(usize::from(much / 16)));
        let mut head = PreparedRequest::new(method, &path, "h").unwrap();
        let mut fields = Vec::new();
        for field in 0..much % 7 {
            let value = "v".repeat(usize::from(field) * usize::from(much) * 20);
            head.field(&format!("x-{field}"), value.as_bytes()).unwrap();
            fields.push((format!("x-{field}"), value));
        }
        let length = match body {
            Body::Whole(body) => Some(body.len()),
            Body::Parts(length) => length.map(|length| length as usize),
        };
        let given = matches!(body, Body::Parts(_)).then_some(0);
        let pseudo = [":method", method, ":scheme", "http", ":authority", "h", ":path", &path].concat().len() + 4 * 32;
        let promised = length.filter(|_| method == "POST" || method == "PUT");
        let promised = promised.map_or(0, |length| "content-length".len() + length.to_string().len() + 32);
        let own: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        let sent = self.client.send(ExchangeId(id as u64), Request { head: &head, body }, &mut self.out);
        assert_eq!(sent.is_ok(), pseudo + promised + own <= self.list, "{sent:?}");
        if sent.is_err() {
            return;
        }
        self.asked.push(Asked { method, path, fields, length, given });
        self.read();
        assert!(self.streams.contains_key(&(1 + 2 * id as u32)), "what is sent is written");
    }

    /// Gives bodies that are wanted in parts, up to so many bytes.
    fn give(&mut self, most: usize) {
        let mut left = most;
        while let Some((id, room)) = self.client.wants_data() {
            let asked = &mut self.asked[id.0 as usize];
            let given = asked.given.as_mut().expect("it is in parts");
            let all = asked.length.unwrap_or(10_000);
            let part = room.min(all - *given).min(left);
            if part == 0 && *given < all {
                break;
            }
            left -= part;
            *given += part;
            let last = *given == all;
            let taken = self.client.send_data(id, &vec![id.0 as u8; part], last, &mut self.out).unwrap();
            assert_eq!(taken, part);
        }
        self.read();
    }

    fn say_settings(&mut self, told @ [window, frame, table, streams, list]: [u32; 5]) {
        self.told.push_back(told);
        let each = [(4u16, window), (5, frame), (1, table), (3, streams), (6, list)];
        let each = each.map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        self.say(4, 0, 0, &each.concat());
        assert!(self.told.is_empty(), "SETTINGS that are not acknowledged");
    }

    /// HEADERS or DATA, which may end the stream.
    fn answer(&mut self, kind: u8, flags: u8, number: u32, payload: &[u8]) {
        self.at(number).by_us = flags & 1 != 0;
        for (at, part) in payload.chunks(16_384).enumerate() {
            let last = (at + 1) * 16_384 >= payload.len();
            self.say(kind, if last { flags } else { flags & !1 }, number, part);
        }
        let stream = self.at(number);
        assert!(!stream.by_us || stream.by_client, "an answer that is whole ends the request");
    }

    /// Sends a frame, and reads what the client says to it.
    fn say(&mut self, kind: u8, flags: u8, number: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(number.to_be_bytes());
        frame.extend(payload);
        let mut rest = &frame[..];
        loop {
            let (used, event) = self
                .client
                .receive(Input { bytes: rest, eof: false }, &mut self.out)
                .unwrap_or_else(|error| panic!("{error} at {}", frame.escape_ascii()));
            rest = &rest[used..];
            match event {
                Event::NeedData { .. } => break,
                Event::Failed { id, .. } => assert_eq!(1 + 2 * id.0 as u32, number, "another exchange failed"),
                Event::Closed => panic!("nobody closed it"),
                _ => {}
            }
        }
        self.read();
    }

    /// Reads all that the client wrote.
    fn read(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        while let Some(frame) = self.other.read(&std::mem::take(&mut out)) {
            let frame = frame.unwrap_or_else(|error| panic!("it refuses what we write: {error}"));
            match frame {
                Frame::Headers(headers) => self.opened(headers),
                Frame::Data(data) => {
                    let (number, length) = (u32::from(data.stream_id()), data.payload().len());
                    let room = &mut self.room;
                    let stream = self.streams.get_mut(&number).expect("it was opened");
                    assert!(!stream.by_client, "DATA on {number}, which it has ended");
                    stream.got += length;
                    *room -= length as i64;
                    stream.room -= length as i64;
                    assert!(length == 0 || (*room >= 0 && stream.room >= 0), "DATA of {length} over the window");
                    stream.by_client = data.is_end_stream();
                    let asked = &self.asked[number as usize / 2];
                    assert!(data.payload().iter().all(|byte| *byte == (number / 2) as u8), "another body");
                    let most = asked.length.unwrap_or(usize::MAX);
                    assert!(stream.got <= most && (!stream.by_client || asked.length.is_none_or(|l| stream.got == l)));
                }
                Frame::Reset(reset) => {
                    let stream = self.at(u32::from(reset.stream_id()));
                    assert!(!stream.by_client || !stream.by_us, "a stream that is over is reset");
                    (stream.by_client, stream.by_us) = (true, true);
                }
                Frame::Settings(settings) => {
                    assert!(settings.is_ack());
                    let [window, frame, table, streams, list] = self.told.pop_front().expect("SETTINGS were sent");
                    for stream in self.streams.values_mut() {
                        stream.room += i64::from(window) - self.first_room;
                    }
                    (self.first_room, self.most, self.list) = (window.into(), streams as usize, list as usize);
                    self.other.set_frame(frame);
                    self.other.set_table(table);
                }
                Frame::WindowUpdate(update) => {
                    let (number, more) = (u32::from(update.stream_id()), i64::from(update.size_increment()));
                    let granted = match number {
                        0 => &mut self.granted,
                        number => &mut self.at(number).granted,
                    };
                    *granted += more;
                    assert!(more > 0 && *granted <= i64::from(i32::MAX), "a window of {granted}");
                }
                Frame::Ping(ping) if ping.is_ack() => {
                    assert_eq!(Some(*ping.payload()), self.pings.pop_front().map(|byte| [byte; 8]));
                }
                // Its own, for the growth of windows and as a sign of life.
                Frame::Ping(ping) => self.alive += usize::from(ping.payload() == b"alive???"),
                frame => panic!("{frame:?} of a client that did nothing wrong"),
            }
        }
    }

    /// The head of a request, or its trailers.
    fn opened(&mut self, headers: h2::frame::Headers) {
        let (number, last) = (u32::from(headers.stream_id()), headers.is_end_stream());
        if let Some(stream) = self.streams.get_mut(&number) {
            assert!(!stream.by_client && last, "trailers end a request, and nothing comes behind them");
            stream.by_client = true;
            let (pseudo, map) = headers.into_parts();
            assert_eq!((pseudo, map.len()), (Default::default(), 1));
            return assert_eq!(map["x-sum"], "1");
        }
        assert_eq!(number, 1 + 2 * self.streams.len() as u32, "numbers go up by two");
        let open = self.streams.values().filter(|stream| !stream.by_client || !stream.by_us).count();
        assert!(open < self.most, "one stream more than {} allowed", self.most);
        let asked = &self.asked[number as usize / 2];
        let (pseudo, mut map) = headers.into_parts();
        assert_eq!(pseudo.method.expect("a method").as_str(), asked.method);
        assert_eq!(*pseudo.path.expect("a path"), *asked.path);
        assert_eq!(&*pseudo.authority.expect("an authority"), "h");
        assert_eq!(&*pseudo.scheme.expect("a scheme"), "http");
        if let Some(length) = map.remove("content-length") {
            assert_eq!(length.to_str().ok(), asked.length.map(|length| length.to_string()).as_deref());
        }
        let fields: Vec<_> =
            map.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        assert_eq!(fields, asked.fields);
        let (room, granted) = (self.first_room, self.first_granted);
        self.streams.insert(number, Stream { room, granted, got: 0, by_client: last, by_us: false, headed: false });
    }
}
