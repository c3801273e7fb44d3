//! Redis (RESP2 and RESP3) as a state machine: [`Client`].
//!
//! `scan` finds where a value ends and judges it, `view` looks into one that is whole, `value` owns one and writes it,
//! `command`, `words` and `pattern` write what is asked, `greeting` is the login, `pubsub` reads subscriptions, `cluster` knows slots and
//! redirects. What a command means, which connection it belongs on and whether it may be repeated is policy and never
//! belongs here.
//!
//! # A walk through the client
//!
//! ```text
//!  connected            login whole               send                  reply whole
//! ───────────▶ greeting ───────────▶ idle ◀──────────────────▶ waiting ─────────────▶ idle, or Closed (QUIT)
//!    │             │ push, Rejected    ▲                          │  ▲
//!    └─────────────┼───────────────────┘          a long string:  ▼  │ the last part
//!   nothing to say ▼                                             parts
//! ```
//!
//! ```
//! use aquests_protocols::redis::{Client, Content, Message, Request};
//! use aquests_protocols::{Established, Event, ExchangeId, Input, Protocol};
//!
//! let (mut client, mut out) = (Client::new(), Vec::new());
//! client.connected(Established::default(), &mut out);
//! client.send(ExchangeId(7), Request::Words(&[b"GET", b"city"]), &mut out)?;
//! assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$4\r\ncity\r\n");
//!
//! let (_, event) = client.receive(Input { bytes: b"$5\r\nPlzen\r\n", eof: false }, &mut out)?;
//! let Event::Message { id: ExchangeId(7), message: Message::Reply(reply), done: true } = event else { panic!() };
//! assert_eq!(reply.read(), Content::Bulk(b"Plzen"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What answers what
//!
//! Replies come in the order of the commands, one for each, and a machine that lost count would hand one user's data to
//! another. So the commands that break that rule are known by name: SUBSCRIBE and its kin are answered once for each
//! channel, MONITOR, SYNC, PSYNC, `CLIENT REPLY OFF` and `SKIP`, and SCRIPT DEBUG are refused, HELLO and RESET change how
//! the rest is read, after QUIT nothing is sent. What comes without being asked for is [`Event::Push`]: a push of RESP3,
//! a message to a subscriber of RESP2, and the error with which a server turns a connection away, after which comes
//! [`Error::Rejected`].
//!
//! One thing RESP2 cannot tell apart: a shard's channels that go by themselves (their slot moved) while SUNSUBSCRIBE is on
//! its way look like its answer. A subscriber in a cluster is better off with RESP3.
//!
//! A string at the top that is longer than [`Limits::parts`] is told as it comes ([`Message::Bulk`], then
//! [`Message::Data`]), so that the caller need not hold it twice. Everything else is told when it is whole.
//!
//! # Limits
//!
//! | what | default | setter | source |
//! |---|---|---|---|
//! | levels of nesting | 64 | [`Limits::depth`] | real replies have up to 8 (`COMMAND DOCS`) |
//! | bytes of a string | 512 MiB | [`Limits::bulk`] | `proto-max-bulk-len` of the server |
//! | bytes of a value that is told whole | 64 MiB | [`Limits::whole`] | the reply that a client collects |
//! | bytes of a string from where on it is told in parts | 64 KiB | [`Limits::parts`] | one read |
//! | bytes of a line | 64 KiB | [`Limits::line`] | `PROTO_INLINE_MAX_SIZE` of the server |
//! | elements | as many as [`Limits::whole`] holds | none | each has three bytes at least, so the count alone tells |
//! | digits of a length | 19 | none | an `i64`, as the server writes it |
//!
//! Nothing is reserved because a peer said a number, no byte of what comes is kept, and work is linear in the bytes that
//! came, whatever the pieces.
//!
//! # What is refused, and what is read nevertheless
//!
//! Refused: lengths that have signs (but `-1`), leading zeros or no digits; a string without its CRLF; CR or LF inside a
//! line; a push inside a reply; the end of a streamed aggregate where none is open, in the middle of a pair, or behind
//! an attribute; a reply that nobody asked for. Read nevertheless: both nulls of RESP2 in RESP3 and types of RESP3
//! without HELLO, as some modules send them; several attributes in front of one value.

mod client;
mod cluster;
mod command;
mod greeting;
mod pattern;
mod pubsub;
mod scan;
mod value;
mod view;
mod words;

pub use client::Client;
pub use cluster::{Redirect, SLOTS, slot};
pub use command::{PreparedCommand, Request};
pub use pattern::Pattern;
pub use pubsub::Published;
pub use scan::parse;
pub use value::{ErrorReply, Value, Version};
pub use view::{Attributes, Chunks, Content, ErrorRef, Items, Pairs, ValueRef};
pub use words::{Words, WordsIter};

use core::fmt;

#[cfg(doc)]
use crate::{Error, Event};

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message<'a> {
    /// A whole value.
    Reply(ValueRef<'a>),
    /// A string so long that it is told in parts. It ends with the exchange, or where another message but
    /// [`Data`](Self::Data) comes.
    Bulk {
        /// Bytes, where the server said so at the beginning.
        length: Option<u64>,
    },
    /// The next part of it. The last may be empty.
    Data(&'a [u8]),
}

/// What a peer may send before it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    bulk: u64,
    whole: u64,
    parts: u32,
    line: u32,
    depth: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bulk: 512 << 20, whole: 64 << 20, parts: 64 << 10, line: 64 << 10, depth: 64 }
    }
}

impl Limits {
    /// The deepest nesting that can be allowed: an owned [`Value`] is built and dropped level by level on the stack.
    pub const MOST_DEPTH: u16 = 512;

    /// Bytes of one string, the parts of a streamed one together.
    #[must_use]
    pub fn bulk(mut self, bytes: u64) -> Self {
        self.bulk = bytes;
        self
    }

    /// Bytes of a value that is told whole, framing included: so much may be unread at once.
    #[must_use]
    pub fn whole(mut self, bytes: u64) -> Self {
        self.whole = bytes;
        self
    }

    /// A string that is no part of another value and longer than so many bytes is told in parts.
    #[must_use]
    pub fn parts(mut self, bytes: u32) -> Self {
        self.parts = bytes;
        self
    }

    /// Bytes of a line: a simple string, an error, a big number.
    #[must_use]
    pub fn line(mut self, bytes: u32) -> Self {
        self.line = bytes;
        self
    }

    /// Aggregates inside each other, attributes included; at most [`MOST_DEPTH`](Self::MOST_DEPTH).
    #[must_use]
    pub fn depth(mut self, levels: u16) -> Self {
        self.depth = levels.min(Self::MOST_DEPTH);
        self
    }
}

/// A rule of RESP that the peer broke. The sections are those of the specification of RESP3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Violation {
    /// A value of a type that neither RESP2 nor RESP3 has, or that may not stand there.
    Type,
    /// A line with a lone CR or LF.
    Line,
    /// A length or a count that is no number, or negative.
    Length,
    /// A number, a boolean or a null that is none.
    Scalar,
    /// A string that does not end where its length says.
    Bulk,
    /// A push in the middle of a reply.
    PushInReply,
    /// A streamed string or aggregate whose parts or end are not in order.
    Stream,
    /// A reply where no command is outstanding.
    Unsolicited,
    /// A subscription was answered with something else than a confirmation or an error.
    Confirmation,
    /// The login was answered with something that is no answer to it.
    Greeting,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::Type => "this is no RESP: a value of an unknown type (RESP3, \"RESP3 overview\")",
            Violation::Line => "a line with a lone CR or LF (RESP3, \"Simple types\")",
            Violation::Length => "a length that is no number (RESP3, \"Blob string\")",
            Violation::Scalar => "a number, boolean or null that is none (RESP3, \"Simple types\")",
            Violation::Bulk => "a string longer than its length (RESP3, \"Blob string\")",
            Violation::PushInReply => "a push in the middle of a reply (RESP3, \"Push data\")",
            Violation::Stream => "a streamed value out of order (RESP3, \"Streamed strings\")",
            Violation::Unsolicited => "a reply to no command (RESP3, \"Push data\")",
            Violation::Confirmation => "a subscription that was not confirmed (RESP3, \"Push data\")",
            Violation::Greeting => "no answer to the login (RESP3, \"The HELLO command\")",
        })
    }
}

impl core::error::Error for Violation {}

impl From<Violation> for crate::Error {
    fn from(violation: Violation) -> Self {
        crate::Error::Violation(crate::Violation::Redis(violation))
    }
}
