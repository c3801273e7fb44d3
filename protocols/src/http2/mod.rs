//! HTTP/2 (RFC 9113) as state machines: [`Client`] and [`Server`], under one set of rules, with a header compression
//! (RFC 7541) of its own, [`hpack`].
//!
//! `connection` holds what both roles are, `inbound` and `outbound` the messages each way; `frame` has one file for each
//! type of frame, `section` judges lists of fields, `streams` and `flow` keep the books. Requests and responses are those
//! of [`semantics`](crate::semantics), as HTTP/1.1 has them: which version is spoken is no matter of theirs. What a
//! header means to a user (redirects, cookies, encodings) is policy and never belongs here.
//!
//! # A walk through the client
//!
//! ```text
//!               send                  HEADERS                END_STREAM
//!  (no stream) ──────▶ head awaited ──────────▶ reading ──────────────────▶ (no stream)
//!                        │  ▲                      │ ▲                           ▲
//!                     1xx└──┘                  DATA└─┘       RST_STREAM, cancel ─┘
//! ```
//!
//! ```
//! use aquests_protocols::http2::Client;
//! use aquests_protocols::semantics::{Body, Message, PreparedRequest, Request};
//! use aquests_protocols::{Established, Event, ExchangeId, Input, Protocol};
//!
//! let head = PreparedRequest::new("GET", "/", "example.org")?;
//! let (mut client, mut out) = (Client::new(), Vec::new());
//! client.connected(Established::default(), &mut out);
//! assert!(out.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
//! client.send(ExchangeId(7), Request { head: &head, body: Body::EMPTY }, &mut out)?;
//! client.send(ExchangeId(8), Request { head: &head, body: Body::EMPTY }, &mut out)?;
//!
//! // SETTINGS; on stream 3 HEADERS with `:status: 200`, and DATA that ends it.
//! let answer = b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x04\0\0\0\x03\x88\0\0\x02\0\x01\0\0\0\x03hi";
//! let (used, event) = client.receive(Input { bytes: answer, eof: false }, &mut out)?;
//! assert_eq!((used, matches!(event, Event::Progress)), (9, true));
//! let (more, event) = client.receive(Input { bytes: &answer[used..], eof: false }, &mut out)?;
//! let Event::Message { id: ExchangeId(8), message: Message::Head(head), done: false } = event else { panic!() };
//! assert_eq!(head.status, 200);
//! let (_, event) = client.receive(Input { bytes: &answer[used + more..], eof: false }, &mut out)?;
//! assert!(matches!(event, Event::Message { message: Message::Data(b"hi"), done: true, .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! | what | default | setter | source |
//! |---|---|---|---|
//! | window of a stream, which a held one may cost, at first | 256 KiB | [`Settings::window`] | nginx 128 KiB, hyper 2 MiB |
//! | … and when it has grown | 4 MiB | [`Settings::most_window`] | 32 ms at 1 Gbit/s |
//! | window of the connection | 16 MiB | [`Settings::connection_window`] | browsers have 6 to 15 MiB |
//! | frame, in bytes | 16 KiB | [`Settings::frame`] | RFC 9113 §4.2 |
//! | streams at once | 100 | [`Settings::streams`] | RFC 9113 §6.5.2 "no smaller than 100" |
//! | table of the decoder, in bytes | 4 KiB | [`Settings::table`] | RFC 9113 §6.5.2 |
//! | table of the encoder, in bytes | 4 KiB | none | RFC 9113 §6.5.2 lets a peer allow 4 GiB |
//! | head, and trailers, in bytes when decoded | 64 KiB | [`Limits::head`] | nginx and hyper have 8 to 400 KiB |
//! | fields in a head, and in trailers | 128 | [`Limits::fields`] | hyper's 100 |
//! | CONTINUATION frames of one block | 8 | [`Limits::continuations`] | RUSTSEC-2024-0332, nghttp2's 8 |
//! | block before it is decoded, in bytes | 144 KiB | [`Limits::continuations`] | HEADERS and 8 more of 16 KiB |
//! | interim responses to one request | 100 | [`Limits::interim`] | endless 1xx, LIMITS of curl and Go |
//! | frames that bring nothing | 1,000 | [`Limits::credit`] | RUSTSEC-2024-0003, CVE-2023-44487; nghttp2's 1,000 |
//!
//! A limit of a message ends its stream; a server answers a head that is too large with 431. The others end the
//! connection, with ENHANCE_YOUR_CALM.
//!
//! # What is refused, and what is read nevertheless
//!
//! What is wrong with a message ends its stream with RST_STREAM, and the connection lives (§8.1.1): fields with
//! upper-case names, control characters or white space around the value, fields of one connection of HTTP/1,
//! pseudo-fields that are missing, doubled, unknown, of the other role or behind other fields, lengths that DATA does not
//! keep, interim responses that end the stream, 101, trailers that do not. What is wrong with frames, the compression or
//! the window of the connection ends it all with GOAWAY, as does a PUSH_PROMISE, for push is switched off. Read
//! nevertheless: frames on streams that we have reset, up to what was on its way; priorities, and frames and settings
//! that are not known.

mod client;
mod code;
mod connection;
mod flow;
mod frame;
mod heads;
pub mod hpack;
mod inbound;
mod outbound;
mod section;
mod server;
mod settings;
mod streams;
mod upgrade;

pub use client::Client;
pub use code::Code;
pub use server::Server;
pub use settings::{Limits, Settings};

use core::fmt;

/// A rule of HTTP/2 that the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Violation {
    /// `:authority` or `host` is no authority, they differ, or one is there twice (RFC 9113 §8.3.1).
    Authority,
    /// A block of fields cannot be decoded (RFC 9113 §4.3).
    Compression(hpack::Error),
    /// A field that belongs to one connection of HTTP/1, or `te` with something else than `trailers` (RFC 9113 §8.2.2).
    ConnectionField,
    /// `content-length` is no number, or not the length of the data (RFC 9113 §8.1.1).
    ContentLength,
    /// A CONTINUATION without a block to go on with, or another frame in the middle of a block (RFC 9113 §6.10).
    Continuation,
    /// The name of a field has an upper-case letter or a character that is none of a token (RFC 9113 §8.2.1).
    FieldName,
    /// The value of a field has a control character, or white space around it (RFC 9113 §8.2.1).
    FieldValue,
    /// More data than the window allows (RFC 9113 §6.9.1).
    FlowControl,
    /// A frame of a length that its type cannot have (RFC 9113 §4.2, §6).
    FrameSize,
    /// A second GOAWAY takes back what the first one left (RFC 9113 §6.8).
    GoAway,
    /// A frame on a stream that nobody has opened (RFC 9113 §5.1).
    IdleStream,
    /// An interim response that ends the stream, or a 101 (RFC 9113 §8.1, §8.6).
    Interim,
    /// Padding that is longer than the frame (RFC 9113 §6.1, §6.2).
    Padding,
    /// The first bytes are not those of HTTP/2 (RFC 9113 §3.4).
    Preface,
    /// A pseudo-field is missing, doubled, unknown, malformed, of the other role, or behind a field that is none; or
    /// DATA comes before any head (RFC 9113 §8.1, §8.3).
    PseudoField,
    /// A PUSH_PROMISE, which we do not allow (RFC 9113 §8.4).
    Push,
    /// A setting has a value that it cannot have (RFC 9113 §6.5.2).
    Setting,
    /// A frame on stream 0 that belongs on another, or the other way round; or a stream opened with a number that is
    /// even or not the next (RFC 9113 §5.1.1, §6).
    StreamId,
    /// A frame on a stream that the peer has ended (RFC 9113 §5.1).
    StreamClosed,
    /// A second head that does not end the stream, or trailers in a tunnel (RFC 9113 §8.1, §8.5).
    Trailers,
    /// A WINDOW_UPDATE by nothing (RFC 9113 §6.9).
    WindowIncrement,
    /// A window over 2,147,483,647 (RFC 9113 §6.9.1, §6.9.2).
    WindowOverflow,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::Compression(error) => return write!(f, "header compression: {error}"),
            Violation::Authority => "more than one authority, or none that is well-formed (RFC 9113 §8.3.1)",
            Violation::ConnectionField => "a header of one connection of HTTP/1 (RFC 9113 §8.2.2)",
            Violation::ContentLength => "content-length is not the length of the data (RFC 9113 §8.1.1)",
            Violation::Continuation => "a frame out of order around CONTINUATION (RFC 9113 §6.10)",
            Violation::FieldName => "malformed name of a header (RFC 9113 §8.2.1)",
            Violation::FieldValue => "malformed value of a header (RFC 9113 §8.2.1)",
            Violation::FlowControl => "more data than the window allows (RFC 9113 §6.9.1)",
            Violation::FrameSize => "a frame of a wrong length (RFC 9113 §4.2)",
            Violation::GoAway => "GOAWAY with a higher stream than before (RFC 9113 §6.8)",
            Violation::IdleStream => "a frame on a stream that nobody opened (RFC 9113 §5.1)",
            Violation::Interim => "an interim response that is 101 or ends the stream (RFC 9113 §8.1, §8.6)",
            Violation::Padding => "padding longer than the frame (RFC 9113 §6.1)",
            Violation::Preface => "this is not HTTP/2: bad first bytes (RFC 9113 §3.4)",
            Violation::PseudoField => "malformed message: pseudo-headers (RFC 9113 §8.3)",
            Violation::Push => "PUSH_PROMISE without permission (RFC 9113 §8.4)",
            Violation::Setting => "a setting out of its range (RFC 9113 §6.5.2)",
            Violation::StreamId => "a frame on a stream where it cannot be (RFC 9113 §5.1.1, §6)",
            Violation::StreamClosed => "a frame on a stream that had ended (RFC 9113 §5.1)",
            Violation::Trailers => "trailers that do not end the message (RFC 9113 §8.1)",
            Violation::WindowIncrement => "WINDOW_UPDATE by nothing (RFC 9113 §6.9)",
            Violation::WindowOverflow => "a window over 2^31-1 (RFC 9113 §6.9.1)",
        })
    }
}

impl core::error::Error for Violation {}

impl From<Violation> for crate::Error {
    fn from(violation: Violation) -> Self {
        crate::Error::Violation(crate::Violation::Http2(violation))
    }
}
