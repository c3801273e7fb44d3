//! CONTINUATION (RFC 9113 §6.10): the rest of a field block.

use super::{Head, flag, kind};

/// The head of a part of a block.
pub(super) fn head(stream: u32, length: usize, last: bool) -> Head {
    let flags = if last { flag::END_HEADERS } else { 0 };
    Head { length: length as u32, kind: kind::CONTINUATION, flags, stream }
}
