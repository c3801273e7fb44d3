//! PUSH_PROMISE (RFC 9113 §6.6): never allowed by us, so that one is an error whatever it says (§8.4). A client cannot
//! push at all.

use crate::http2::Violation;

pub(in super::super) fn refuse() -> Violation {
    Violation::Push
}
