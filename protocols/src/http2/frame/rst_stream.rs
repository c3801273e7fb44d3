//! RST_STREAM (RFC 9113 §6.4): the end of one stream.

use super::{Head, kind, number};
use crate::http2::{Code, Violation};

pub(in super::super) const LENGTH: u32 = 4;

pub(in super::super) fn read(payload: &[u8]) -> Result<Code, Violation> {
    payload.try_into().map(|bytes| Code(number(bytes))).map_err(|_| Violation::FrameSize)
}

pub(in super::super) fn write(stream: u32, code: Code, out: &mut Vec<u8>) {
    let head = Head { length: LENGTH, kind: kind::RST_STREAM, flags: 0, stream };
    super::write_with(head, code.0.to_be_bytes(), out);
}
