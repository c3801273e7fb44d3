//! DATA (RFC 9113 §6.1): part of a body.

use super::{Head, flag, kind};
use crate::http2::Violation;

/// What of the payload is no data: the length of the padding and the padding itself. `first` is the first byte of the
/// payload, where it is padded.
#[inline]
pub(in super::super) fn padding(head: Head, first: Option<u8>) -> Result<u32, Violation> {
    let Some(padding) = first.filter(|_| head.is_padded()) else { return Ok(0) };
    let padding = u32::from(padding) + 1;
    if padding > head.length { Err(Violation::Padding) } else { Ok(padding) }
}

#[inline]
pub(in super::super) fn write(stream: u32, data: &[u8], last: bool, out: &mut Vec<u8>) {
    let flags = if last { flag::END_STREAM } else { 0 };
    Head { length: data.len() as u32, kind: kind::DATA, flags, stream }.write(out);
    out.extend_from_slice(data);
}
