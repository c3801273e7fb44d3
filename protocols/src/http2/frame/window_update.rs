//! WINDOW_UPDATE (RFC 9113 §6.9): more may be sent, on a stream or, where that is 0, on all together.

use super::{Head, kind, number};
use crate::http2::Violation;

pub(in super::super) const LENGTH: u32 = 4;

/// How much more; 0 is the caller's to refuse, for it knows whom it concerns.
pub(in super::super) fn read(payload: &[u8]) -> Result<u32, Violation> {
    payload.try_into().map(|bytes| number(bytes) & !(1 << 31)).map_err(|_| Violation::FrameSize)
}

pub(in super::super) fn write(stream: u32, more: u32, out: &mut Vec<u8>) {
    let head = Head { length: LENGTH, kind: kind::WINDOW_UPDATE, flags: 0, stream };
    super::write_with(head, more.to_be_bytes(), out);
}
