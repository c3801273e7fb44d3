//! Prepared heads as field blocks (RFC 9113 §8.3). A head that is sent again and again is written once and copied from
//! then on.

use super::hpack::{Encoder, Kind};
use crate::semantics::{PreparedRequest, PreparedResponse};

/// The encoder of a connection, and the last head.
pub(super) struct Heads {
    encoder: Encoder,
    last: Last,
}

/// A head and its block, which is right as long as the encoder's epoch is the same.
#[derive(Default)]
struct Last {
    head: Vec<u8>,
    length: Option<u64>,
    block: Vec<u8>,
    epoch: Option<u32>,
}

/// Larger heads are not worth the memory.
const KEPT: usize = 4 << 10;

impl Heads {
    pub(super) fn new(encoder: Encoder) -> Self {
        Self { encoder, last: Last::default() }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE.
    pub(super) fn set_limit(&mut self, limit: u32) {
        self.encoder.set_limit(limit);
    }

    pub(super) fn request(&mut self, head: &PreparedRequest, tls: bool, length: Option<u64>, out: &mut Vec<u8>) {
        if self.last.is(head.bytes(), length, &self.encoder) {
            return out.extend_from_slice(&self.last.block);
        }
        let (start, epoch) = (out.len(), self.encoder.epoch());
        self.encoder.begin(out);
        self.encoder.field(b":method", head.method().as_bytes(), out);
        let fields = head.fields().block();
        if head.traits().connect {
            // §8.5: no scheme, no path.
            self.encoder.field(b":authority", head.target().as_bytes(), out);
        } else {
            self.encoder.field(b":scheme", if tls { b"https" } else { b"http" }, out);
            if let Some((_, authority)) = lines(fields).next() {
                self.encoder.field(b":authority", authority, out);
            }
            self.encoder.field(b":path", head.target().as_bytes(), out);
        }
        // The first is `host`, which the authority stands for.
        self.fields(fields, Some("host"), length, out);
        self.keep(head.bytes(), length, epoch, &out[start..]);
    }

    /// The size of a request's head, as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 §6.5.2): names and values, and
    /// 32 for each field.
    pub(super) fn size(head: &PreparedRequest, tls: bool, length: Option<u64>) -> usize {
        const EACH: usize = 32;
        // `:authority` has its value from the first line, `host`.
        let pseudo =
            ":method:schemehttp:path".len() + usize::from(tls) + head.method().len() + head.target().len() + 3 * EACH;
        let longer = ":authority".len() - "host".len();
        let length = length
            .map_or(0, |length| "content-length".len() + length.checked_ilog10().unwrap_or(0) as usize + 1 + EACH);
        lines(head.fields().block()).map(|(name, value)| name.len() + value.len() + EACH).sum::<usize>()
            + pseudo
            + longer
            + length
    }

    pub(super) fn response(&mut self, head: &PreparedResponse, length: Option<u64>, out: &mut Vec<u8>) {
        if self.last.is(head.bytes(), length, &self.encoder) {
            return out.extend_from_slice(&self.last.block);
        }
        let (start, epoch) = (out.len(), self.encoder.epoch());
        self.status(head.status(), out);
        self.fields(head.fields().block(), None, length, out);
        self.keep(head.bytes(), length, epoch, &out[start..]);
    }

    /// A response of which only the status is to be known.
    pub(super) fn status(&mut self, status: u16, out: &mut Vec<u8>) {
        self.encoder.begin(out);
        let mut digits = [b'0'; 3];
        self.encoder.field(b":status", decimal(status.into(), &mut digits), out);
    }

    /// Lines that were checked.
    pub(super) fn trailers(&mut self, trailers: &[u8], out: &mut Vec<u8>) {
        self.encoder.begin(out);
        if trailers.iter().any(u8::is_ascii_uppercase) {
            let mut lower = Vec::new();
            for (name, value) in lines(trailers) {
                lower.clear();
                lower.extend(name.iter().map(u8::to_ascii_lowercase));
                self.field(&lower, value, out);
            }
        } else {
            self.fields(trailers, None, None, out);
        }
    }

    fn fields(&mut self, block: &[u8], but: Option<&str>, length: Option<u64>, out: &mut Vec<u8>) {
        for (name, value) in lines(block) {
            if but.is_none_or(|but| but.as_bytes() != name) {
                self.field(name, value, out);
            }
        }
        if let Some(length) = length {
            let mut digits = [b'0'; 20];
            self.encoder.field(b"content-length", decimal(length, &mut digits), out);
        }
    }

    fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        match Kind::special(name) {
            // §8.2.2: what concerns one connection of HTTP/1 does not travel.
            Kind::Connection => {}
            Kind::Te if !value.eq_ignore_ascii_case(b"trailers") => {}
            Kind::Plain if name == b"http2-settings" => {}
            _ => self.encoder.field(name, value, out),
        }
    }

    fn keep(&mut self, head: &[u8], length: Option<u64>, epoch: u32, block: &[u8]) {
        self.last.epoch = None;
        if epoch == self.encoder.epoch() && head.len() <= KEPT {
            self.last.head.clear();
            self.last.head.extend_from_slice(head);
            self.last.block.clear();
            self.last.block.extend_from_slice(block);
            self.last.length = length;
            self.last.epoch = Some(epoch);
        }
    }
}

impl Last {
    #[inline]
    fn is(&self, head: &[u8], length: Option<u64>, encoder: &Encoder) -> bool {
        self.epoch == Some(encoder.epoch()) && self.length == length && self.head == head
    }
}

/// Names and values of lines that were checked.
fn lines(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = block;
    core::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        let (name, value) = line.split_at(memchr::memchr(b':', line)?);
        Some((name, value[1..].trim_ascii()))
    })
}

/// The digits of a number, at the end of the room for them.
fn decimal(number: u64, room: &mut [u8]) -> &[u8] {
    let (mut at, mut left) = (room.len(), number);
    loop {
        at -= 1;
        room[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 || at == 0 {
            return &room[at..];
        }
    }
}
