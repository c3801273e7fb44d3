//! SETTINGS (RFC 9113 §6.5): what the sender wants to be sent.

use super::{Head, flag, kind};
use crate::http2::Violation;

/// The identifiers of RFC 9113 §6.5.2, RFC 8441 §3 and RFC 9218 §2.1.
pub(in super::super) mod id {
    pub(in super::super::super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in super::super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super::super) const MAX_FRAME_SIZE: u16 = 5;
    pub(in super::super::super) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(in super::super::super) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
    pub(in super::super::super) const NO_RFC7540_PRIORITIES: u16 = 9;
}

pub(in super::super) type Setting = (u16, u32);

/// The settings in a payload, in order.
pub(in super::super) fn read(payload: &[u8]) -> Result<impl Iterator<Item = Setting>, Violation> {
    let (settings, []) = payload.as_chunks::<6>() else { return Err(Violation::FrameSize) };
    Ok(settings.iter().map(|&[a, b, c, d, e, f]| (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]))))
}

/// The payload alone, which travels in the `http2-settings` field too (RFC 7540 §3.2.1).
pub(in super::super) fn payload(settings: impl Iterator<Item = Setting>, out: &mut Vec<u8>) {
    for (id, value) in settings {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(in super::super) fn write(settings: impl Iterator<Item = Setting> + Clone, out: &mut Vec<u8>) {
    let length = 6 * settings.clone().count() as u32;
    Head { length, kind: kind::SETTINGS, flags: 0, stream: 0 }.write(out);
    payload(settings, out);
}

pub(in super::super) fn write_ack(out: &mut Vec<u8>) {
    Head { length: 0, kind: kind::SETTINGS, flags: flag::ACK, stream: 0 }.write(out);
}
