//! HTTP/1.1 (RFC 9112) as state machines: [`Client`] and [`Server`], under one set of rules.
//!
//! `head` reads and judges start lines and fields, `body` reads what follows by length, in chunks or until the end; both
//! roles use both. What a header means to a user (redirects, cookies, encodings) is policy and never belongs here.
//!
//! # A walk through the client
//!
//! ```text
//!            send                        head                    body whole
//!  idle ───────────────▶ waiting ───────────────▶ reading ───────────────▶ idle, or Closed
//!                          │  ▲                      │
//!                       1xx└──┘                      └─ 101, CONNECT 2xx ─▶ Switched
//! ```
//!
//! ```
//! use aquests_protocols::http1::Client;
//! use aquests_protocols::semantics::{Body, Message, PreparedRequest, Request};
//! use aquests_protocols::{Event, ExchangeId, Input, Protocol};
//!
//! let head = PreparedRequest::new("GET", "/", "example.org")?;
//! let (mut client, mut out) = (Client::new(), Vec::new());
//! client.send(ExchangeId(7), Request { head: &head, body: Body::EMPTY }, &mut out)?;
//! assert_eq!(out, b"GET / HTTP/1.1\r\nhost: example.org\r\n\r\n");
//!
//! let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
//! let (used, event) = client.receive(Input { bytes: answer, eof: false }, &mut out)?;
//! let Event::Message { id: ExchangeId(7), message: Message::Head(head), done: false } = event else { panic!() };
//! assert_eq!(head.status, 200);
//! let (_, event) = client.receive(Input { bytes: &answer[used..], eof: false }, &mut out)?;
//! assert!(matches!(event, Event::Message { message: Message::Data(b"hi"), done: true, .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! | what | default | setter | source |
//! |---|---|---|---|
//! | head, and trailers, in bytes | 64 KiB | [`Limits::head`] | nginx and hyper refuse between 8 KiB and 400 KiB |
//! | fields in a head, and in trailers | 128 | [`Limits::fields`] | hyper's 100 |
//! | interim responses to one request | 100 | [`Limits::interim`] | endless 1xx, LIMITS of curl and Go |
//! | chunk extensions in one body, and white space in their place, in bytes | 16 KiB | none | hyper's 16 KiB |
//! | digits of a chunk size | 16 | none | a `u64`, RFC 9112 §7.1 "recipients MUST anticipate large numerals" |
//! | empty lines before a request | 1 | none | RFC 9112 §2.2 "at least one" |
//!
//! Nothing is reserved because a peer said a number, no byte of what comes is kept, and work is linear in the bytes that
//! came, whatever the pieces.
//!
//! # What is refused, and what is read nevertheless
//!
//! Refused: `transfer-encoding` other than one `chunked`, or in HTTP/1.0; lengths that differ, have signs, spaces or do
//! not fit; chunk sizes that overflow; bare LF, stray bytes and signs in chunk framing; folded lines; control characters
//! in fields; a 101 nobody asked for, or in the middle of the request; bytes that answer nothing; a `host` that is none.
//! Read nevertheless: `content-length` beside `chunked` is read as chunked, and the connection is never used again (RFC
//! 9112 §6.3); a lone LF ends a line of a head and of trailers (§2.2); white space behind a chunk size (§7.1.1); a status
//! line without a reason. A tunnel ignores what the 2xx to its CONNECT says of a body (RFC 9110 §9.3.6).
//!
//! What is sent is checked too: trailers that could split a message, more or less body than was promised, and a 101 that
//! the client did not offer are misuse. `tests/http1` has a file for each section of RFC 9112.

mod body;
mod client;
mod head;
mod server;

pub use client::Client;
pub use server::Server;

use core::fmt;

/// What a peer may send before it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    head: u32,
    fields: u16,
    interim: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 64 << 10, fields: 128, interim: 100 }
    }
}

impl Limits {
    /// The most fields that can be allowed: they are parsed on the stack.
    pub const MOST_FIELDS: u16 = 1024;

    /// Bytes of a head, start line included, and of trailers.
    #[must_use]
    pub fn head(mut self, bytes: u32) -> Self {
        self.head = bytes;
        self
    }

    /// Fields in a head or in trailers; at most [`MOST_FIELDS`](Self::MOST_FIELDS).
    #[must_use]
    pub fn fields(mut self, fields: u16) -> Self {
        self.fields = fields.min(Self::MOST_FIELDS);
        self
    }

    /// Interim (1xx) responses to one request.
    #[must_use]
    pub fn interim(mut self, responses: u16) -> Self {
        self.interim = responses;
        self
    }
}

/// A rule of HTTP/1.1 that the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Violation {
    /// The first line is not one of HTTP/1.0 or HTTP/1.1 (RFC 9112 §3, §4).
    StartLine,
    /// A field line has a bad name, a control character, or is folded (RFC 9112 §5).
    FieldLine,
    /// A length is not a number that fits 64 bits (RFC 9112 §6.3).
    Length,
    /// Two lengths differ (RFC 9112 §6.3).
    DifferentLengths,
    /// `transfer-encoding` is not exactly `chunked` (RFC 9112 §6.1).
    TransferEncoding,
    /// `transfer-encoding` in a message of HTTP/1.0 (RFC 9112 §6.1).
    TransferEncodingInHttp10,
    /// Something in chunk framing is not what RFC 9112 §7.1 demands.
    Chunk,
    /// A 101 that no request asked for (RFC 9110 §15.2.2).
    UnexpectedSwitch,
    /// Bytes where no answer is outstanding (RFC 9112 §6.3).
    Unsolicited,
    /// A request of HTTP/1.1 without exactly one `host` (RFC 9112 §3.2).
    Host,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::StartLine => "this is not HTTP/1.0 or HTTP/1.1: bad start line (RFC 9112 §3, §4)",
            Violation::FieldLine => "malformed header line (RFC 9112 §5)",
            Violation::Length => "content-length is not a number (RFC 9112 §6.3)",
            Violation::DifferentLengths => "several content-lengths that differ (RFC 9112 §6.3)",
            Violation::TransferEncoding => "transfer-encoding is not exactly chunked (RFC 9112 §6.1)",
            Violation::TransferEncodingInHttp10 => "transfer-encoding in HTTP/1.0 (RFC 9112 §6.1)",
            Violation::Chunk => "malformed chunk (RFC 9112 §7.1)",
            Violation::UnexpectedSwitch => "101 Switching Protocols without being asked (RFC 9110 §15.2.2)",
            Violation::Unsolicited => "bytes that answer no request (RFC 9112 §6.3)",
            Violation::Host => "not exactly one host header (RFC 9112 §3.2)",
        })
    }
}

impl core::error::Error for Violation {}

impl From<Violation> for crate::Error {
    fn from(violation: Violation) -> Self {
        crate::Error::Violation(crate::Violation::Http1(violation))
    }
}

/// Appends a number in decimal.
fn push_decimal(out: &mut Vec<u8>, number: u64) {
    use std::io::Write;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{number}");
}
