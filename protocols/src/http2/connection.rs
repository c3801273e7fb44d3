//! What both roles are: one connection, its streams and the rules for every frame. `inbound` reads field blocks and
//! bodies, `outbound` writes them; here are the frames that concern the connection, and how it ends. What a request or a
//! response is belongs to the roles.

use core::fmt;

use super::code::{Code, FRAME};
use super::flow::{Credit, Granted, Growth, PROBE, Room};
use super::frame::{self, HEAD, Head, kind};
use super::heads::Heads;
use super::hpack::{Decoder, Encoder};
use super::section::Section;
use super::settings::{Peer, Settings, WINDOW};
use super::streams::{Incoming, Outgoing, Stream, Streams};
use super::{Violation, inbound, settings};
use crate::{Error, ExchangeId, Input, Limit, Replay};

pub(super) struct Connection {
    pub(super) role: Role,
    pub(super) ours: Settings,
    pub(super) peer: Peer,
    pub(super) streams: Streams,
    pub(super) heads: Heads,
    pub(super) section: Section,
    pub(super) decoder: Decoder,
    pub(super) phase: Phase,
    pub(super) reading: Reading,
    /// A field block that comes in several frames.
    pub(super) block: inbound::Block,
    /// What may be sent and what may come, on all streams together.
    pub(super) room: Room,
    pub(super) granted: Granted,
    pub(super) growth: Growth,
    pub(super) credit: Credit,
    /// Bytes that may still come on streams that we have reset.
    pub(super) resets: Resets,
    pub(super) ending: Ending,
    /// Our settings are acknowledged.
    acknowledged: bool,
    /// A client: the number of its next stream. A server: the highest that was opened.
    pub(super) number: u32,
    /// A server: which of the 64 numbers up to the highest were opened.
    pub(super) opened: u64,
    /// A server: exchanges so far, and those that wait for an answer.
    pub(super) exchanges: u64,
    pub(super) unanswered: usize,
    /// Bodies that could go on, and those that go on by themselves.
    pub(super) ready: usize,
    pub(super) resting: usize,
    /// The stream whose body was last given a part.
    pub(super) turn: u32,
    pub(super) tls: bool,
    /// Signs of life that were asked for.
    pings: u32,
    error: Option<Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A server waits for the bytes with which a client begins.
    Preface,
    /// SETTINGS must be the first frame.
    Settings,
    Open,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    Frame,
    Data(inbound::Data),
    /// So many bytes mean nothing.
    Skip(u32),
}

/// Streams that we have reset may still be sent on by a peer that does not know it (RFC 9113 §5.1): as much as their
/// windows allowed, and no more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resets {
    pub(super) any: bool,
    pub(super) bytes: u64,
}

/// How far the connection is from its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ending {
    /// Nobody opens streams any more: what is open finishes, and then it is over.
    pub(super) begun: bool,
    /// GOAWAY was sent, with this last stream, and not as the first of two.
    pub(super) said: Option<u32>,
    /// GOAWAY came, with this last stream and this code.
    pub(super) told: Option<(u32, Code)>,
    /// A server waits for the client to know that it is leaving.
    pub(super) draining: bool,
}

/// What was at the front of the input. Heads and trailers are in the section.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Need(usize),
    Progress,
    Closed,
    Interim(ExchangeId),
    Head { id: ExchangeId, done: bool },
    Trailers(ExchangeId),
    Data { id: ExchangeId, from: usize, to: usize, done: bool },
    Failed { id: ExchangeId, error: Error, replay: Replay },
}

/// The first bytes of a client (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The PING of [`Protocol::ping`](crate::Protocol::ping).
const ALIVE: [u8; 8] = *b"alive???";
/// The PING whose answer says that the client knows that we are leaving.
const LEAVING: [u8; 8] = *b"leaving!";
/// No stream has a higher number.
pub(super) const MOST_STREAM: u32 = i32::MAX as u32;
/// What our header compression remembers at most, whatever the peer allows.
const ENCODER: u32 = 4096;

// Heads, tables and bodies may be secret: only the books are shown.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("phase", &self.phase)
            .field("streams", &self.streams.len())
            .field("next", &self.number)
            .field("room", &self.room)
            .field("granted", &self.granted)
            .field("credit", &self.credit)
            .field("ending", &self.ending)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(role: Role, ours: Settings) -> Self {
        let (phase, number) = match role {
            Role::Client => (Phase::Settings, 1),
            Role::Server => (Phase::Preface, 0),
        };
        Self {
            role,
            ours,
            peer: Peer::new(),
            streams: Streams::default(),
            heads: Heads::new(Encoder::new(ENCODER)),
            section: Section::new(ours.limits),
            // Until it knows better, a peer takes the table to be as large as it is by default.
            decoder: Decoder::new(ours.table.max(settings::TABLE)),
            phase,
            reading: Reading::Frame,
            block: inbound::Block::default(),
            room: Room::new(WINDOW),
            granted: Granted::new(WINDOW),
            growth: Growth::new(ours.window, ours.most_window),
            credit: Credit::new(ours.limits.credit),
            resets: Resets::default(),
            ending: Ending::default(),
            acknowledged: false,
            number,
            opened: 0,
            exchanges: 0,
            unanswered: 0,
            ready: 0,
            resting: 0,
            turn: 0,
            tls: false,
            pings: 0,
            error: None,
        }
    }

    pub(super) fn connected(&mut self, tls: bool, out: &mut Vec<u8>) {
        self.tls = tls;
        let client = self.role == Role::Client;
        if client {
            out.extend_from_slice(PREFACE);
        }
        frame::settings::write(self.ours.told(client), out);
        let more = self.ours.connection_window - WINDOW;
        if more > 0 {
            self.granted = Granted::new(self.ours.connection_window);
            frame::window_update::write(0, more, out);
        }
    }

    /// Nothing more is said but what is in `out`.
    pub(super) fn is_broken(&self) -> bool {
        self.error.is_some()
    }

    /// Reads what is at the front.
    #[inline]
    pub(super) fn step(&mut self, input: Input<'_>, out: &mut Vec<u8>) -> Result<(usize, Step), Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        match self.next(input.bytes, out) {
            Ok(step) => Ok(step),
            Err(error) => Err(self.fail(error, out)),
        }
    }

    /// The peer broke the connection: it is told why, and every exchange on it is unfinished.
    #[cold]
    fn fail(&mut self, error: Error, out: &mut Vec<u8>) -> Error {
        frame::goaway::write(self.last_seen(), Code::of(error), out);
        self.error = Some(error);
        error
    }

    fn next(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(usize, Step), Error> {
        match self.reading {
            Reading::Frame => {}
            Reading::Data(data) => {
                let found = self.streams.find(data.stream);
                return self.read_data(data, found, bytes, 0, out);
            }
            Reading::Skip(left) => return Ok(self.skip(left, bytes, 0)),
        }
        if self.ending.begun
            && let Some(step) = self.end(out)
        {
            return Ok((0, step));
        }
        if self.phase == Phase::Preface {
            return self.read_preface(bytes);
        }
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok((0, Step::Need(HEAD))) };
        let head = Head::read(head);
        let usual = head.kind <= kind::HEADERS && head.stream != 0 && head.length <= self.ours.frame;
        if !usual || self.phase != Phase::Open || self.block.is_open() {
            self.check(head)?;
        }
        match head.kind {
            kind::DATA => return self.begin_data(head, bytes, out),
            kind::HEADERS..=kind::CONTINUATION => {}
            // §5.5: what is not known is passed over.
            _ => {
                self.spend("unknown frames")?;
                return Ok(self.skip(head.length, bytes, HEAD));
            }
        }
        let Some(payload) = rest.get(..head.length as usize) else {
            return Ok((0, Step::Need(HEAD + head.length as usize)));
        };
        Ok((HEAD + payload.len(), self.receive(head, payload, out)?))
    }

    /// §3.4
    fn read_preface(&mut self, bytes: &[u8]) -> Result<(usize, Step), Error> {
        let there = bytes.len().min(PREFACE.len());
        if bytes[..there] != PREFACE[..there] {
            return Err(Violation::Preface.into());
        }
        if there < PREFACE.len() {
            // Each byte may be the one that is wrong.
            return Ok((0, Step::Need(there + 1)));
        }
        self.phase = Phase::Settings;
        Ok((there, Step::Progress))
    }

    /// What can be told from the head of a frame, before its payload is waited for.
    #[cold]
    fn check(&self, head: Head) -> Result<(), Error> {
        if self.phase == Phase::Settings && (head.kind != kind::SETTINGS || head.is_ack() || head.stream != 0) {
            return Err(Violation::Preface.into());
        }
        if head.length > self.ours.frame {
            return Err(Error::TooLarge(Limit { what: FRAME, value: self.ours.frame.into() }));
        }
        // §6.10: nothing may come between the frames of a block.
        if self.block.is_open() != (head.kind == kind::CONTINUATION) || !self.block.accepts(head.stream) {
            return Err(Violation::Continuation.into());
        }
        let (on_stream, length) = match head.kind {
            kind::DATA | kind::HEADERS | kind::CONTINUATION => (Some(true), head.length),
            kind::PUSH_PROMISE => return Err(frame::push_promise::refuse().into()),
            // Of another length it is an error of the stream, if there is one.
            kind::PRIORITY => (Some(true), head.length),
            kind::RST_STREAM => (Some(true), frame::rst_stream::LENGTH),
            kind::SETTINGS | kind::GOAWAY => (Some(false), head.length),
            kind::PING => (Some(false), 8),
            kind::WINDOW_UPDATE => (None, frame::window_update::LENGTH),
            _ => (None, head.length),
        };
        if on_stream.is_some_and(|on_stream| on_stream != (head.stream != 0)) {
            return Err(Violation::StreamId.into());
        }
        if length != head.length {
            return Err(Violation::FrameSize.into());
        }
        Ok(())
    }

    /// A whole frame that is not DATA.
    fn receive(&mut self, head: Head, payload: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        match head.kind {
            kind::HEADERS => self.receive_headers(head, payload, out),
            kind::CONTINUATION => self.receive_continuation(head, payload, out),
            kind::SETTINGS => self.receive_settings(head, payload, out),
            kind::WINDOW_UPDATE => self.receive_window_update(head, payload, out),
            kind::RST_STREAM => self.receive_rst_stream(head, payload),
            kind::PING => self.receive_ping(head, payload, out),
            kind::GOAWAY => self.receive_goaway(payload),
            // Of those that are left, PRIORITY only comes this far.
            _ => self.receive_priority(head, out),
        }
    }

    /// §6.5
    fn receive_settings(&mut self, head: Head, payload: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        if head.is_ack() {
            if !payload.is_empty() {
                return Err(Violation::FrameSize.into());
            }
            return self.receive_settings_ack(out);
        }
        if self.phase == Phase::Settings {
            self.phase = Phase::Open;
            self.peer.streams = None;
        } else if !out.is_empty() {
            self.spend("SETTINGS frames")?;
        }
        self.apply(payload)?;
        frame::settings::write_ack(out);
        self.go_on(out);
        Ok(Step::Progress)
    }

    /// What the peer tells holds from now on.
    pub(super) fn apply(&mut self, payload: &[u8]) -> Result<(), Error> {
        for setting in frame::settings::read(payload)? {
            let (window, table) = (self.peer.window, self.peer.table);
            self.peer.note(setting, self.role == Role::Client)?;
            if self.peer.table != table {
                self.heads.set_limit(self.peer.table);
            }
            // §6.9.2: the windows of all streams move, below zero if need be, but not over their most.
            let by = i64::from(self.peer.window) - i64::from(window);
            if by != 0 && !self.streams.iter_mut().all(|stream| stream.room.change(by)) {
                return Err(Violation::WindowOverflow.into());
            }
        }
        Ok(())
    }

    fn receive_settings_ack(&mut self, out: &mut Vec<u8>) -> Result<Step, Error> {
        if self.acknowledged {
            self.spend("SETTINGS frames")?;
            return Ok(Step::Progress);
        }
        self.decoder.set_limit(self.ours.table);
        let by = self.first_window() - self.ours.window;
        self.acknowledged = true;
        if by > 0 {
            self.streams.iter_mut().for_each(|stream| stream.granted.shrink(by));
            self.grant_all(out);
        }
        Ok(Step::Progress)
    }

    /// What a stream may be sent at first: until it knows better, a client goes by the default. A server has had our
    /// settings before it sends anything on a stream.
    pub(super) fn first_window(&self) -> u32 {
        let known = self.acknowledged || self.role == Role::Client;
        if known { self.ours.window } else { self.ours.window.max(WINDOW) }
    }

    /// §6.9
    fn receive_window_update(&mut self, head: Head, payload: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        let more = frame::window_update::read(payload)?;
        self.spend("WINDOW_UPDATE frames")?;
        if head.stream == 0 {
            if more == 0 {
                return Err(Violation::WindowIncrement.into());
            }
            if !self.room.change(more.into()) {
                return Err(Violation::WindowOverflow.into());
            }
        } else {
            let Some(at) = self.find(head.stream)? else { return Ok(Step::Progress) };
            if more == 0 {
                return self.fail_stream(at, Violation::WindowIncrement.into(), out);
            }
            if !self.streams[at].room.change(more.into()) {
                return self.fail_stream(at, Violation::WindowOverflow.into(), out);
            }
        }
        self.go_on(out);
        Ok(Step::Progress)
    }

    /// §6.4
    fn receive_rst_stream(&mut self, head: Head, payload: &[u8]) -> Result<Step, Error> {
        let code = frame::rst_stream::read(payload)?;
        let found = self.find(head.stream)?;
        // A server's exchanges cost the peer nothing but this frame (CVE-2023-44487); a client's were its own.
        if found.is_none() || self.role == Role::Server {
            self.spend("RST_STREAM frames")?;
        }
        let Some(at) = found else { return Ok(Step::Progress) };
        let id = self.streams[at].exchange;
        self.forget(at);
        let replay = if code == Code::REFUSED_STREAM { Replay::NotProcessed } else { Replay::Unknown };
        Ok(Step::Failed { id, error: Error::Reset { code: code.0.into() }, replay })
    }

    /// §6.7
    fn receive_ping(&mut self, head: Head, payload: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        let payload = frame::ping::read(payload)?;
        if !head.is_ack() {
            // Where everything is written, the peer waits for our answers: that is no flood, and may go on for days.
            if !out.is_empty() {
                self.spend("PING frames")?;
            }
            frame::ping::write(payload, true, out);
        } else if payload == LEAVING && self.ending.draining {
            self.ending.draining = false;
            self.say_goodbye(Code::NO_ERROR, out);
        } else if payload == ALIVE && self.pings > 0 {
            self.pings -= 1;
        } else if payload != PROBE || !self.growth.answered() {
            self.spend("PING frames")?;
        }
        Ok(Step::Progress)
    }

    /// §6.8
    fn receive_goaway(&mut self, payload: &[u8]) -> Result<Step, Error> {
        let goaway = frame::goaway::read(payload)?;
        if self.ending.told.is_some_and(|(last, _)| goaway.last > last) {
            return Err(Violation::GoAway.into());
        }
        self.spend("GOAWAY frames")?;
        self.ending.told = Some((goaway.last, goaway.code));
        self.ending.begun = true;
        Ok(Step::Progress)
    }

    /// §6.3, §5.3.2
    fn receive_priority(&mut self, head: Head, out: &mut Vec<u8>) -> Result<Step, Error> {
        if head.length == frame::priority::LENGTH {
            self.spend("PRIORITY frames")?;
            return Ok(Step::Progress);
        }
        match self.streams.find(head.stream) {
            Some(at) => self.fail_stream(at, Violation::FrameSize.into(), out),
            None => Err(Violation::FrameSize.into()),
        }
    }

    /// The stream that a frame is about. `None`: it has ended. One that was never opened is an error (§5.1).
    pub(super) fn find(&self, number: u32) -> Result<Option<usize>, Error> {
        match self.streams.find(number) {
            Some(at) => Ok(Some(at)),
            None if self.was_opened(number) => Ok(None),
            None => Err(Violation::IdleStream.into()),
        }
    }

    /// Whether such a stream has ever been.
    fn was_opened(&self, number: u32) -> bool {
        let below = match self.role {
            Role::Client => number < self.number,
            Role::Server => number <= self.number,
        };
        // After our goodbye, a client may have opened more that we do not act on.
        number % 2 == 1 && (below || (self.role == Role::Server && self.ending.said.is_some()))
    }

    /// A frame that brings nothing.
    pub(super) fn spend(&mut self, what: &'static str) -> Result<(), Error> {
        let most = self.credit.most().into();
        if self.credit.spend() { Ok(()) } else { Err(Error::TooLarge(Limit { what, value: most })) }
    }

    /// Passes over bytes.
    pub(super) fn skip(&mut self, left: u32, bytes: &[u8], at: usize) -> (usize, Step) {
        let skipped = (left as usize).min(bytes.len() - at);
        let left = left - skipped as u32;
        self.reading = if left > 0 { Reading::Skip(left) } else { Reading::Frame };
        let used = at + skipped;
        (used, if used == 0 { Step::Need(1) } else { Step::Progress })
    }

    /// The peer broke the rules of one stream: it is reset, and the connection lives (§5.4.2).
    #[cold]
    pub(super) fn fail_stream(&mut self, at: usize, error: Error, out: &mut Vec<u8>) -> Result<Step, Error> {
        let id = self.streams[at].exchange;
        self.reset(at, Code::of(error), out);
        if self.role == Role::Server {
            self.spend("streams in error")?;
        }
        Ok(Step::Failed { id, error, replay: Replay::Unknown })
    }

    /// Ends a stream with RST_STREAM. What the peer may have sent before it knows is passed over.
    pub(super) fn reset(&mut self, at: usize, code: Code, out: &mut Vec<u8>) {
        let Stream { number, incoming, granted, .. } = self.streams[at];
        frame::rst_stream::write(number, code, out);
        if incoming != Incoming::Done {
            self.resets.any = true;
            self.resets.bytes += u64::from(granted.left());
        }
        self.forget(at);
    }

    /// A stream that ends, whatever it was doing.
    #[inline]
    pub(super) fn forget(&mut self, at: usize) {
        if self.streams[at].outgoing != Outgoing::Done {
            self.turn_to(at, Outgoing::Done);
        }
        self.streams.end(at);
    }

    /// Once nobody opens streams any more: what happens without a byte.
    #[cold]
    fn end(&mut self, out: &mut Vec<u8>) -> Option<Step> {
        if let (Role::Client, Some((last, code))) = (self.role, self.ending.told)
            && let Some(at) = self.streams.first_from(self.streams.behind(last))
        {
            let id = self.streams[at].exchange;
            self.forget(at);
            let error = Error::GoneAway { code: code.0.into() };
            return Some(Step::Failed { id, error, replay: Replay::NotProcessed });
        }
        if self.streams.len() > 0 || self.ending.draining {
            return None;
        }
        if self.ending.said.is_none() {
            self.say_goodbye(Code::NO_ERROR, out);
        }
        Some(Step::Closed)
    }

    /// GOAWAY: streams above the highest so far are not acted on.
    pub(super) fn say_goodbye(&mut self, code: Code, out: &mut Vec<u8>) {
        let last = self.last_seen();
        frame::goaway::write(last, code, out);
        self.ending.said = Some(last);
        self.ending.begun = true;
    }

    /// The first of two goodbyes (§6.8): the client may go on until it knows, which the answer to a PING tells.
    pub(super) fn say_leaving(&mut self, out: &mut Vec<u8>) {
        if !self.ending.begun && self.error.is_none() {
            frame::goaway::write(MOST_STREAM, Code::NO_ERROR, out);
            frame::ping::write(LEAVING, false, out);
            self.ending.begun = true;
            self.ending.draining = true;
        }
    }

    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        if self.error.is_none() && self.ending.said.is_none() {
            self.ending.draining = false;
            self.say_goodbye(Code::NO_ERROR, out);
        }
    }

    pub(super) fn ping(&mut self, out: &mut Vec<u8>) {
        if self.error.is_none() {
            frame::ping::write(ALIVE, false, out);
            self.pings = self.pings.saturating_add(1);
        }
    }

    /// The highest stream of the peer that we have acted on.
    fn last_seen(&self) -> u32 {
        match self.role {
            // A server has none, for it may not push.
            Role::Client => 0,
            Role::Server => self.number,
        }
    }

    pub(super) fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        self.ending.begun = true;
        let at = self.streams.first_from(0)?;
        let Stream { exchange, number, .. } = self.streams[at];
        self.forget(at);
        let spared = self.role == Role::Client && self.ending.told.is_some_and(|(last, _)| number > last);
        Some((exchange, if spared { Replay::NotProcessed } else { Replay::Unknown }))
    }
}
