//! Frames (RFC 9113 §4.1, §6): one file for each type, reading it from its payload and writing it. What is checked here
//! can be seen in the frame alone; what it means to a stream is the business of the connection.

pub(super) mod continuation;
pub(super) mod data;
pub(super) mod goaway;
pub(super) mod headers;
pub(super) mod ping;
pub(super) mod priority;
pub(super) mod push_promise;
pub(super) mod rst_stream;
pub(super) mod settings;
pub(super) mod window_update;

/// The bytes in front of every payload.
pub(super) const HEAD: usize = 9;

/// The types of RFC 9113 §6.
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const PRIORITY: u8 = 2;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

mod flag {
    pub(super) const ACK: u8 = 0x1;
    pub(super) const END_STREAM: u8 = 0x1;
    pub(super) const END_HEADERS: u8 = 0x4;
    pub(super) const PADDED: u8 = 0x8;
    pub(super) const PRIORITY: u8 = 0x20;
}

/// What stands in front of every payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    #[inline]
    pub(super) fn read(bytes: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, d, e, f, g] = *bytes;
        // In two loads: it is done for every frame.
        let (first, last) = (number([a, b, c, kind]), number([d, e, f, g]));
        // The reserved bit is ignored (§4.1).
        Self { length: first >> 8, kind: first as u8, flags, stream: last & !(1 << 31) }
    }

    #[inline]
    fn bytes(self) -> [u8; HEAD] {
        let [_, a, b, c] = self.length.to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }

    #[inline]
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes());
    }

    pub(super) fn is_ack(self) -> bool {
        self.flags & flag::ACK != 0
    }

    pub(super) fn ends_stream(self) -> bool {
        self.flags & flag::END_STREAM != 0
    }

    pub(super) fn ends_headers(self) -> bool {
        self.flags & flag::END_HEADERS != 0
    }

    pub(super) fn is_padded(self) -> bool {
        self.flags & flag::PADDED != 0
    }

    fn has_priority(self) -> bool {
        self.flags & flag::PRIORITY != 0
    }
}

/// A frame with a payload of known size, in one copy.
#[inline]
fn write_with<const N: usize>(head: Head, payload: [u8; N], out: &mut Vec<u8>) {
    out.extend_from_slice(&head.bytes());
    out.extend_from_slice(&payload);
}

#[inline]
fn number(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes)
}
