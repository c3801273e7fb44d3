//! HEADERS (RFC 9113 §6.2): a field block, or its beginning.

use super::{HEAD, Head, continuation, data, flag, kind};
use crate::http2::Violation;

/// The part of the payload that is fields.
#[inline]
pub(in super::super) fn read(head: Head, payload: &[u8]) -> Result<&[u8], Violation> {
    if !head.is_padded() && !head.has_priority() {
        return Ok(payload);
    }
    let first = usize::from(head.is_padded());
    // Five bytes of a priority that nobody follows any more (§5.3.2).
    let before = first + if head.has_priority() { 5 } else { 0 };
    if payload.len() < before {
        return Err(Violation::FrameSize);
    }
    let behind = data::padding(head, payload.first().copied())? as usize - first;
    payload.get(before..payload.len() - behind).ok_or(Violation::Padding)
}

/// Leaves room for the head of the frame; the block is to be appended behind it. Returns what [`finish`] wants.
#[inline]
pub(in super::super) fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; HEAD]);
    out.len()
}

/// The block is whole, and begins at `start`: fills in the head, and cuts the block where it is larger than a frame.
#[inline]
pub(in super::super) fn finish(start: usize, stream: u32, ends_stream: bool, frame: u32, out: &mut Vec<u8>) {
    let length = out.len() - start;
    let flags = if ends_stream { flag::END_STREAM } else { 0 };
    let head = Head { length: length as u32, kind: kind::HEADERS, flags: flags | flag::END_HEADERS, stream };
    if length > frame as usize {
        return finish_in_parts(start, Head { flags, length: frame, ..head }, out);
    }
    out[start - HEAD..start].copy_from_slice(&head.bytes());
}

#[cold]
fn finish_in_parts(start: usize, head: Head, out: &mut Vec<u8>) {
    let frame = head.length as usize;
    let rest = out.split_off(start + frame);
    out[start - HEAD..start].copy_from_slice(&head.bytes());
    let mut parts = rest.chunks(frame).peekable();
    while let Some(part) = parts.next() {
        continuation::head(head.stream, part.len(), parts.peek().is_none()).write(out);
        out.extend_from_slice(part);
    }
}
