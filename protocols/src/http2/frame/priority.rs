//! PRIORITY (RFC 9113 §6.3): deprecated, and not followed. Its length is all that is looked at.

pub(in super::super) const LENGTH: u32 = 5;
