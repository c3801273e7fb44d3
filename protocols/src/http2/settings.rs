//! What either side wants of the other: [`Settings`] are ours, with what we make of a peer that ignores them;
//! [`Peer`] is what the peer told. Their order and their acknowledgement are the business of the connection.

use super::Violation;
use super::frame::settings::{Setting, id};
use crate::Error;

/// What the peer is told at the beginning, and what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub(super) window: u32,
    pub(super) most_window: u32,
    pub(super) connection_window: u32,
    pub(super) frame: u32,
    pub(super) streams: u32,
    pub(super) table: u32,
    pub(super) limits: Limits,
}

/// What a peer may send before its stream or its connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(super) head: u32,
    pub(super) fields: u16,
    pub(super) continuations: u16,
    pub(super) interim: u16,
    pub(super) credit: u32,
}

/// RFC 9113 §6.5.2: what holds until SETTINGS say otherwise.
pub(super) const WINDOW: u32 = 65_535;
pub(super) const FRAME: u32 = 16_384;
pub(super) const TABLE: u32 = 4096;
/// The largest window there is.
pub(super) const MOST_WINDOW: u32 = i32::MAX as u32;
const MOST_FRAME: u32 = (1 << 24) - 1;

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: 256 << 10,
            most_window: 4 << 20,
            connection_window: 16 << 20,
            frame: FRAME,
            streams: 100,
            table: TABLE,
            limits: Limits::default(),
        }
    }
}

impl Settings {
    /// Bytes that a peer may send on a stream before we read them, at first: what a held stream costs. It grows with the
    /// bandwidth-delay product; see [`most_window`](Self::most_window).
    #[must_use]
    pub fn window(mut self, bytes: u32) -> Self {
        self.window = bytes.clamp(1, MOST_WINDOW);
        self.most_window = self.most_window.max(self.window);
        self
    }

    /// How far the windows of streams may grow; no further than [`window`](Self::window) to keep them as they are.
    #[must_use]
    pub fn most_window(mut self, bytes: u32) -> Self {
        self.most_window = bytes.clamp(self.window, MOST_WINDOW);
        self
    }

    /// Bytes that a peer may send on all streams together before we read them; at least 65,535, with which every
    /// connection begins. It is granted again whatever stream is held.
    #[must_use]
    pub fn connection_window(mut self, bytes: u32) -> Self {
        self.connection_window = bytes.clamp(WINDOW, MOST_WINDOW);
        self
    }

    /// Bytes in a frame that we take, from 16,384 to 16,777,215.
    #[must_use]
    pub fn frame(mut self, bytes: u32) -> Self {
        self.frame = bytes.clamp(FRAME, MOST_FRAME);
        self
    }

    /// Exchanges at once: a client opens no more, even where the server allows them, and a server refuses more.
    #[must_use]
    pub fn streams(mut self, streams: u32) -> Self {
        self.streams = streams;
        self
    }

    /// Bytes that the peer's header compression may remember here (RFC 7541 §4.1), at most 65,536.
    #[must_use]
    pub fn table(mut self, bytes: u32) -> Self {
        self.table = bytes.min(64 << 10);
        self
    }

    /// How many exchanges at once [`streams`](Self::streams) said.
    pub fn most_streams(&self) -> u32 {
        self.streams
    }

    /// What the peer may send.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What the peer is told, as far as it does not hold anyway.
    pub(super) fn told(self, client: bool) -> impl Iterator<Item = Setting> + Clone {
        let Self { window, frame, streams, table, limits, .. } = self;
        [
            (id::HEADER_TABLE_SIZE, table, table != TABLE),
            (id::ENABLE_PUSH, 0, client),
            (id::MAX_CONCURRENT_STREAMS, streams, !client),
            (id::INITIAL_WINDOW_SIZE, window, window != WINDOW),
            (id::MAX_FRAME_SIZE, frame, frame != FRAME),
            (id::MAX_HEADER_LIST_SIZE, limits.head, true),
            // We follow no priorities of RFC 7540 (RFC 9218 §2.1).
            (id::NO_RFC7540_PRIORITIES, 1, true),
        ]
        .into_iter()
        .filter_map(|(id, value, told)| told.then_some((id, value)))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 64 << 10, fields: 128, continuations: 8, interim: 100, credit: 1000 }
    }
}

impl Limits {
    /// Bytes of a head or of trailers when they are decoded, counted as SETTINGS_MAX_HEADER_LIST_SIZE counts them: 32
    /// more for each field (RFC 9113 §6.5.2).
    #[must_use]
    pub fn head(mut self, bytes: u32) -> Self {
        self.head = bytes;
        self
    }

    /// Fields in a head or in trailers.
    #[must_use]
    pub fn fields(mut self, fields: u16) -> Self {
        self.fields = fields;
        self
    }

    /// CONTINUATION frames behind one HEADERS.
    #[must_use]
    pub fn continuations(mut self, frames: u16) -> Self {
        self.continuations = frames;
        self
    }

    /// Interim (1xx) responses to one request.
    #[must_use]
    pub fn interim(mut self, responses: u16) -> Self {
        self.interim = responses;
        self
    }

    /// Frames that bring nothing for an exchange: PRIORITY, WINDOW_UPDATE, RST_STREAM, empty DATA, unknown ones, whatever
    /// comes on closed streams; and PING and SETTINGS that come while something of ours is still to be written, for those
    /// that wait for our answers may come as long as the connection lasts. One is earned back with each finished exchange
    /// and with each 64 KiB of DATA, and two, for the answers to it, with each DATA frame of ours.
    #[must_use]
    pub fn credit(mut self, frames: u32) -> Self {
        self.credit = frames;
        self
    }

    /// Bytes of a block before it is decoded: as much as HEADERS and their CONTINUATIONs of the usual size can hold, and
    /// with larger frames no more than that.
    pub(super) fn block(self) -> usize {
        (usize::from(self.continuations) + 1) * FRAME as usize
    }
}

/// What the peer told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) window: u32,
    pub(super) frame: u32,
    /// `None`: it set no limit.
    pub(super) streams: Option<u32>,
    pub(super) table: u32,
    /// The largest head that it takes, if it said so.
    pub(super) head: Option<u32>,
    pub(super) connect_protocol: bool,
}

impl Peer {
    pub(super) fn new() -> Self {
        // RFC 9113 §6.5.2 knows no first limit of streams, and recommends that none be under 100.
        Self { window: WINDOW, frame: FRAME, streams: Some(100), table: TABLE, head: None, connect_protocol: false }
    }

    /// Notes one setting. `client`: it is us who are one.
    pub(super) fn note(&mut self, (id, value): Setting, client: bool) -> Result<(), Error> {
        match id {
            id::HEADER_TABLE_SIZE => self.table = value,
            // §6.5.2: a server must not even try.
            id::ENABLE_PUSH if value > u32::from(!client) => return Err(Violation::Setting.into()),
            id::MAX_CONCURRENT_STREAMS => self.streams = Some(value),
            id::INITIAL_WINDOW_SIZE if value > MOST_WINDOW => return Err(Violation::WindowOverflow.into()),
            id::INITIAL_WINDOW_SIZE => self.window = value,
            id::MAX_FRAME_SIZE if !(FRAME..=MOST_FRAME).contains(&value) => return Err(Violation::Setting.into()),
            id::MAX_FRAME_SIZE => self.frame = value,
            id::MAX_HEADER_LIST_SIZE => self.head = Some(value),
            // RFC 8441 §3: neither anything else than 0 and 1, nor back to 0.
            id::ENABLE_CONNECT_PROTOCOL if value > 1 || value < u32::from(self.connect_protocol) => {
                return Err(Violation::Setting.into());
            }
            id::ENABLE_CONNECT_PROTOCOL => self.connect_protocol = value == 1,
            id::NO_RFC7540_PRIORITIES if value > 1 => return Err(Violation::Setting.into()),
            _ => {}
        }
        Ok(())
    }
}
