//! GOAWAY (RFC 9113 §6.8): no stream above one is acted on, and the connection ends.

use super::{Head, kind, number};
use crate::http2::{Code, Violation};

pub(in super::super) struct GoAway {
    pub(in super::super) last: u32,
    pub(in super::super) code: Code,
}

/// What it says beside that is for people, and not read.
pub(in super::super) fn read(payload: &[u8]) -> Result<GoAway, Violation> {
    let Some((fixed, _)) = payload.split_first_chunk::<8>() else { return Err(Violation::FrameSize) };
    let [a, b, c, d, e, f, g, h] = *fixed;
    Ok(GoAway { last: number([a, b, c, d]) & !(1 << 31), code: Code(number([e, f, g, h])) })
}

pub(in super::super) fn write(last: u32, code: Code, out: &mut Vec<u8>) {
    let ([a, b, c, d], [e, f, g, h]) = (last.to_be_bytes(), code.0.to_be_bytes());
    let head = Head { length: 8, kind: kind::GOAWAY, flags: 0, stream: 0 };
    super::write_with(head, [a, b, c, d, e, f, g, h], out);
}
