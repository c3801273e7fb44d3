//! PING (RFC 9113 §6.7): a sign of life, and a mark in what comes.

use super::{Head, flag, kind};
use crate::http2::Violation;

pub(in super::super) type Payload = [u8; 8];

pub(in super::super) fn read(payload: &[u8]) -> Result<Payload, Violation> {
    payload.try_into().map_err(|_| Violation::FrameSize)
}

pub(in super::super) fn write(payload: Payload, ack: bool, out: &mut Vec<u8>) {
    let head = Head { length: 8, kind: kind::PING, flags: if ack { flag::ACK } else { 0 }, stream: 0 };
    super::write_with(head, payload, out);
}
