//! PostgreSQL (protocols 3.0 and 3.2, the frontend's side) as a state machine: [`Client`].
//!
//! `client` is the order of things, `login` what comes before the first request, `scram` its arithmetic, `request` writes
//! what is asked, `view` judges what came and looks into it, and [`binary_copy`] is a format that COPY has. What a value means
//! in which type, which statement is kept prepared, which connection a query belongs on and whether it may be repeated is
//! policy and never belongs here.
//!
//! # A walk through the client
//!
//! ```text
//!  connected       'S' StartTls, connected        AuthenticationOk, ReadyForQuery      send          ReadyForQuery
//! ───────────▶ TLS ──────────────────────▶ login ───────────────────────────────▶ idle ────▶ waiting ─────────────▶ idle
//!    │              'N', where allowed       ▲ │                                               │    ▲
//!    └───────────────────────────────────────┘ │ push, Rejected          CopyInResponse:       ▼    │ CopyDone
//!      inside TLS already, or none wanted      ▼                                             send_data
//! ```
//!
//! ```
//! use aquests_protocols::postgres::{Client, Login, Message, Request};
//! use aquests_protocols::{Established, Event, ExchangeId, Input, Protocol};
//!
//! let (mut client, mut out) = (Client::new(Login::new("me"))?, Vec::new());
//! client.connected(Established::default(), &mut out);
//! assert_eq!(out, b"\0\0\0\x11\0\x03\0\0user\0me\0\0");
//! let hello = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
//! assert_eq!(client.receive(Input { bytes: hello, eof: false }, &mut out)?, (9, Event::Progress));
//! assert_eq!(client.receive(Input { bytes: &hello[9..], eof: false }, &mut out)?, (6, Event::Progress));
//!
//! client.send(ExchangeId(7), Request::Query("SELECT 'Plzen' AS city"), &mut out)?;
//! let answer = b"T\0\0\0\x1d\0\x01city\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0D\0\0\0\x0f\0\x01\0\0\0\x05Plzen";
//! let (used, event) = client.receive(Input { bytes: answer, eof: false }, &mut out)?;
//! assert!(matches!(event, Event::Message { message: Message::RowDescription(_), .. }));
//! let (_, event) = client.receive(Input { bytes: &answer[used..], eof: false }, &mut out)?;
//! let Event::Message { id: ExchangeId(7), message: Message::Row(row), done: false } = event else { panic!() };
//! assert_eq!(row.fields().next(), Some(Some(&b"Plzen"[..])));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What answers what
//!
//! Answers come in the order of the requests. A simple query and a request that ends with [`End::Sync`] are done with
//! [`Message::Ready`]; one that shares the Sync of a later one is done with the last of its own answers. After an error
//! the server skips everything up to the next Sync: those requests end with [`Error::Skipped`] and may be sent again.
//! What shares a Sync also shares a transaction, unless one was begun: an error takes back what was done since the last
//! Sync, also what was told as complete.
//!
//! What a server says is a message, also an error ([`Message::Error`]). One that is fatal ends its request, and the
//! connection. Where it is the process of the server that ends, which names its routine, nothing behind it was begun; the last
//! words of a pooler say nothing of that. Notifications and parameters come when they want to: [`Event::Push`]. So do
//! notices, which are messages of the request that is being answered, if one is. A login that fails tells the server's words as a push, and then [`Error::Rejected`].
//!
//! Data for the server goes with [`Request::CopyIn`], alone on its connection: whatever is sent behind a COPY before its
//! data is over would be read as part of it. A COPY that another request smuggles in is told to fail.
//!
//! # TLS
//!
//! The answer to SSLRequest is one byte. An error in its place is not shown: nobody vouches for it (CVE-2024-10977).
//! Bytes behind an `S` are an attack (CVE-2021-23222), and an error whoever reads them. A server that cannot start a
//! process says so in the words of protocol 2, whose text must not be read as a length: that is told as an error
//! without fields, in the login only.
//!
//! # Limits
//!
//! | what | default | setter | source |
//! |---|---|---|---|
//! | bytes of a message | 64 MiB | [`Limits::message`] | the answer that a client collects; libpq takes 1 GiB |
//! | bytes of a message before the login is over | 30,000 | none | `MAX_ERRLEN` of libpq |
//! | bytes of the key to cancel with | 4, or 256 from 3.2 on | none | protocol, "BackendKeyData" |
//! | bytes of what a server says of versions | 2,000 | none | libpq |
//! | iterations of SCRAM | 100,000 | [`Limits::iterations`] | RUSTSEC-2026-0179; the server's default is 4,096 |
//! | fields of a row | those that were described | none | protocol, "DataRow" |
//! | bytes of a message that is sent | 2 GiB − 1 | none | an `i32`, as the server reads it |
//! | parameters and formats of a request | 65,535 | none | protocol, "Bind" |
//!
//! COPY data is told as it comes, and no length of it is waited for. Nothing is reserved because a peer said a number, no
//! byte of what comes is kept (but the key to cancel with), and work is linear in the bytes that came, whatever the
//! pieces.
//!
//! The iterations of SCRAM are computed inside [`Protocol::receive`](crate::Protocol::receive), and nothing else runs on
//! its thread meanwhile: two HMACs each. [`Client::scram_key`] is what they come to, and [`Login::scram_key`] saves the
//! next connection from them.

pub mod binary_copy;
mod client;
mod login;
mod request;
mod scram;
mod view;

pub use client::Client;
pub use login::{Binding, Login, ProtocolVersion, Tls};
pub use request::{CancelKey, CancelKeyRef, End, Format, Parameter, Request, Step};
pub use scram::ScramKey;
pub use view::{Column, Copy, ErrorRef, Notification, Row, RowDescription, Tag, Types};

use core::fmt;

#[cfg(doc)]
use crate::{Error, Event};

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message<'a> {
    /// The types of a statement's parameters: the first half of the answer to [`Step::DescribeStatement`].
    ParameterDescription(Types<'a>),
    /// The columns of the rows that follow, or would.
    RowDescription(RowDescription<'a>),
    /// What was to be described brings no rows.
    NoData,
    /// A row.
    Row(Row<'a>),
    /// A statement is done.
    Complete(Tag<'a>),
    /// There was no statement in the text.
    Empty,
    /// As many rows came as were asked for, and there may be more: ask the portal again.
    Suspended,
    /// The server waits for data: [`Protocol::wants_data`](crate::Protocol::wants_data) names the exchange.
    CopyIn(Copy<'a>),
    /// Data follows, up to another message than [`Data`](Self::Data).
    CopyOut(Copy<'a>),
    /// The next part of it, cut anywhere.
    Data(&'a [u8]),
    /// The last step of a request without a Sync was one that has no other answer: Parse, Bind, Close.
    Acknowledged,
    /// The server did not do as it was told, and why.
    Error(ErrorRef<'a>),
    /// The request is over, and the server is where it says.
    Ready(Transaction),
    /// Something to know: about the request, or a push.
    Notice(ErrorRef<'a>),
    /// A push: NOTIFY of a channel that this connection listens to.
    Notification(Notification<'a>),
    /// A push: a setting of the server, at the login and whenever it changes.
    Parameter {
        /// `server_version`, `client_encoding`, …
        name: &'a [u8],
        /// What it is now.
        value: &'a [u8],
    },
    /// A push: what it takes to cancel what runs on this connection.
    Key(CancelKeyRef<'a>),
}

/// Whether statements are bound together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// Each stands for itself.
    #[default]
    Idle,
    /// Between BEGIN and its end.
    Open,
    /// The same after an error: only its end is taken.
    Failed,
}

/// What a peer may send before it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    message: u32,
    iterations: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: 64 << 20, iterations: 100_000 }
    }
}

impl Limits {
    /// Bytes of one message without its first five, COPY data excepted: so much may be unread at once.
    #[must_use]
    pub fn message(mut self, bytes: u32) -> Self {
        self.message = bytes;
        self
    }

    /// Iterations that a server may ask for in SCRAM.
    #[must_use]
    pub fn iterations(mut self, iterations: u32) -> Self {
        self.iterations = iterations;
        self
    }
}

/// A rule of the protocol that the peer broke, or a promise of ours that it does not let us keep. The sections are those
/// of "Frontend/Backend Protocol" in the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Violation {
    /// A length below 4, or another one than this message always has.
    Length,
    /// A message that may not come now, or of a type that does not exist.
    Unexpected,
    /// A message whose inside is not as its type wants it.
    Format,
    /// A row that does not have the columns that were described, or ends before or behind its last field.
    Row,
    /// The request for TLS was answered with something else than yes or no.
    TlsAnswer,
    /// The request for TLS was answered with an error.
    TlsError,
    /// TLS was demanded, and there is none.
    NoTls,
    /// Bytes between the answer to the request for TLS and TLS.
    Injected,
    /// TLS without the agreement that `postgresql` is spoken inside.
    Alpn,
    /// A way to log in that we do not have or that was not allowed.
    Authentication,
    /// The server wants a password, and none was given.
    NoPassword,
    /// A SCRAM message that breaks its grammar, or a nonce that is not ours.
    Scram,
    /// A server that could not prove that it knows the password.
    Unproven,
    /// A login that is not bound to the TLS connection, where that was demanded.
    Unbound,
    /// The server waits for COPY data in the middle of other requests.
    CopyInPipeline,
    /// An answer to the version that was asked for which names a higher one, the same, one that does not exist, or options
    /// that nobody asked for.
    Negotiation,
    /// The server does not know the least version that was wanted.
    Version,
    /// COPY data that is not in the binary format.
    CopySignature,
    /// COPY data in the binary format with a flag that must be understood, and is not.
    CopyFlags,
    /// A header or a row in the binary format with a length that cannot be.
    CopyRow,
    /// A row in the binary format with more or fewer fields than there are columns.
    CopyFields,
    /// Bytes behind the end of the binary format.
    CopyTrailing,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::Length => "a message length that cannot be (PostgreSQL, \"Message Formats\")",
            Violation::Unexpected => "a message out of place (PostgreSQL, \"Message Flow\")",
            Violation::Format => "a malformed message (PostgreSQL, \"Message Formats\")",
            Violation::Row => "a row that is not as described (PostgreSQL, \"Message Formats\": DataRow)",
            Violation::TlsAnswer => "no answer to the request for TLS (PostgreSQL, \"SSL Session Encryption\")",
            Violation::TlsError => {
                "an error in place of TLS, not shown as nobody vouches for it (PostgreSQL, \"SSL Session Encryption\")"
            }
            Violation::NoTls => "the server has no TLS (PostgreSQL, \"SSL Session Encryption\")",
            Violation::Injected => "bytes before the TLS that was asked for (PostgreSQL, \"SSL Session Encryption\")",
            Violation::Alpn => "TLS without ALPN for postgresql (PostgreSQL, \"SSL Session Encryption\")",
            Violation::Authentication => "a login that we do not do (PostgreSQL, \"Start-up\")",
            Violation::NoPassword => "the server wants a password (PostgreSQL, \"Start-up\")",
            Violation::Scram => "a wrong message of SCRAM (PostgreSQL, \"SASL Authentication\")",
            Violation::Unproven => {
                "the server did not prove that it knows the password (PostgreSQL, \"SASL Authentication\")"
            }
            Violation::Unbound => "a login without channel binding (PostgreSQL, \"SASL Authentication\")",
            Violation::Negotiation => {
                "a wrong answer to the version that was asked for (PostgreSQL, \"NegotiateProtocolVersion\")"
            }
            Violation::Version => {
                "the server knows no version of the protocol that is wanted (PostgreSQL, \"NegotiateProtocolVersion\")"
            }
            Violation::CopyInPipeline => "a COPY from the client in the middle of requests (PostgreSQL, \"COPY\")",
            Violation::CopySignature => "COPY data that is not binary (PostgreSQL, \"COPY\": File Header)",
            Violation::CopyFlags => {
                "binary COPY data with an unknown critical flag (PostgreSQL, \"COPY\": File Header)"
            }
            Violation::CopyRow => "binary COPY data with a length that cannot be (PostgreSQL, \"COPY\": Tuples)",
            Violation::CopyFields => "a row of binary COPY data that has other columns (PostgreSQL, \"COPY\": Tuples)",
            Violation::CopyTrailing => "bytes behind the end of binary COPY data (PostgreSQL, \"COPY\": File Trailer)",
        })
    }
}

impl core::error::Error for Violation {}

impl From<Violation> for crate::Error {
    fn from(violation: Violation) -> Self {
        crate::Error::Violation(crate::Violation::Postgres(violation))
    }
}
