//! Wire protocols as state machines: bytes in, events out.
//!
//! This crate does no I/O, reads no clock, starts no thread and draws no random number, and nothing here ever may:
//! every run of a machine can be replayed from the bytes alone. Sockets, timeouts and retries live in `aquests`, or in
//! a program of your own: the calls below are all it takes.
//!
//! # Driving a machine
//!
//! The caller owns both buffers: the bytes that came (`input`) and the bytes to be written (`out`).
//!
//! 1. When the transport is up, call [`Protocol::connected`] once.
//! 2. While [`Protocol::slots`] is not zero, [`Protocol::send`] a request under an [`ExchangeId`] of your choice.
//! 3. While [`Protocol::wants_data`] names an exchange, give it the next part of its body with [`Protocol::send_data`],
//!    end it, or [`Protocol::stall`] it.
//! 4. Write `out` to the transport.
//! 5. Read what came, and call [`Protocol::receive`] with all unread bytes. Look at the event, let go of it, drop as
//!    many bytes from the front of the input as it used, and call again, until it says [`Event::NeedData`] or
//!    [`Event::Paused`]. Then go to 2.
//! 6. When the transport ends, say so with [`Input::eof`], and after an error or the end take from
//!    [`Protocol::unfinished`] every exchange that got no whole answer.
//!
//! Errors are input, panics are bugs: whatever bytes come, a machine returns events or one [`Error`].
//!
//! # The laws every machine keeps
//!
//! - **Splits.** Any cut of the same bytes gives the same events (runs of body data joined).
//! - **Conservation.** Every exchange that `send` accepted ends exactly once: with a message that is `done`, with
//!   [`Event::Failed`] or [`Event::Switched`], by [`Protocol::cancel`], or in [`Protocol::unfinished`].
//! - **Linear work, bounded memory.** A half-received message is not scanned again from its start, and nothing is
//!   reserved because a peer said a number.
//! - **Sticky errors.** After an `Err`, `receive` returns it again; `out` holds the goodbye, if the protocol has one.
//!
//! [`testing`] checks them.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "dns")]
pub mod dns;
mod error;
#[cfg(feature = "http1")]
pub mod http1;
#[cfg(feature = "http2")]
pub mod http2;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(any(feature = "http1", feature = "http2"))]
pub mod semantics;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::{Error, Limit, Refused, Replay, Violation};

/// The program in the README compiles and runs.
#[cfg(all(doctest, feature = "http1"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// One side of one wire protocol, as a state machine.
///
/// For a client, an exchange is a request and its answer, and the caller names it. For a server, the machine numbers
/// the requests as they come, `Request` is the answer, and `Message` is the request. What a protocol rarely needs has a
/// default.
pub trait Protocol {
    /// What is sent to open an exchange (a client's request) or to answer it (a server's response).
    type Request<'a>;
    /// What comes. Borrows from the input and from the machine: nothing is copied on the way in.
    type Message<'a>
    where
        Self: 'a;

    /// The transport is up, with what it negotiated. Called again, on the same machine, after [`Event::StartTls`].
    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        let _ = (at, out);
    }

    /// Appends a request to `out`. Refused leaves `out` untouched and the connection alive.
    fn send(&mut self, id: ExchangeId, request: Self::Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused>;

    /// Reads at most one event off the front of `input` and returns how many bytes it used. A message that used no byte
    /// is legal; [`Event::Progress`] that used no byte and changed nothing is not.
    fn receive<'a>(
        &'a mut self,
        input: Input<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Event<Self::Message<'a>>), Error>;

    /// How many requests [`send`](Self::send) would take now. One that must be alone on the connection may be refused
    /// with [`Refused::NotNow`] nevertheless: try it again after the next event, not before.
    fn slots(&self) -> usize;

    /// The exchange whose body may go on, and how many bytes the protocol has room for. Round-robin among several.
    fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        None
    }

    /// Appends the next part of a body; `last` ends it. Returns how many bytes of `data` were taken: all of them when
    /// it is no longer than the room that [`wants_data`](Self::wants_data) named. Where not all were taken, `last` does
    /// not count yet. An end without data needs no room, and may be given to an exchange that is not named.
    fn send_data(&mut self, id: ExchangeId, data: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let _ = (id, data, last, out);
        Err(Refused::Misuse("this protocol sends no bodies in parts"))
    }

    /// Ends a body with trailers: field lines, each `name: value` with CRLF.
    fn send_trailers(&mut self, id: ExchangeId, trailers: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let _ = (id, trailers, out);
        Err(Refused::Misuse("this protocol has no trailers"))
    }

    /// The source of this body has nothing yet: [`wants_data`](Self::wants_data) names it no more until
    /// [`unstall`](Self::unstall) or [`resume`](Self::resume).
    fn stall(&mut self, id: ExchangeId) {
        let _ = id;
    }

    /// Undoes [`stall`](Self::stall) and nothing else: the source of this body has more, and whoever reads the exchange
    /// may be slow still. It grants no credit. A machine that stalls must have it: the default does nothing.
    fn unstall(&mut self, id: ExchangeId) {
        let _ = id;
    }

    /// The reader of this exchange is slow: give the peer no more credit for it, or answer [`Event::Paused`]. What was
    /// on its way may still be told, up to the credit that the peer had.
    fn hold(&mut self, id: ExchangeId) {
        let _ = id;
    }

    /// Undoes [`hold`](Self::hold) and [`stall`](Self::stall), and grants the credit that was withheld.
    fn resume(&mut self, id: ExchangeId, out: &mut Vec<u8>) {
        let _ = (id, out);
    }

    /// Never name this exchange again, in `unfinished` neither. `false`: that is only possible by closing the
    /// connection.
    #[must_use]
    fn cancel(&mut self, id: ExchangeId, out: &mut Vec<u8>) -> bool;

    /// Asks the peer for a sign of life, where the protocol can.
    fn ping(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Says goodbye as the protocol wants it. No request is taken after it.
    fn close(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// After an error, the end of the stream, or [`close`](Self::close): an exchange that is still open, and whether it
    /// may be sent again. Each is named once; call until `None`. A machine cannot see whether `out` was written: where
    /// not one byte of a request left it, the caller knows better, and it is [`Replay::NotSent`].
    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)>;
}

/// The name of an exchange. A client's caller chooses it and gets it back; make it unique over time (an index and a
/// generation), so that a late event cannot hit its successor. A server's machine counts up from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

/// What the transport negotiated before the first byte of the protocol.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Established<'a> {
    /// The bytes travel inside TLS.
    pub tls: bool,
    /// The protocol that ALPN chose (RFC 7301), as registered: `h2`, `http/1.1`.
    pub alpn: Option<&'a [u8]>,
    /// What an authentication inside TLS can be tied to. Ask while you are told: it is gone afterwards.
    pub channel_binding: Option<&'a dyn ChannelBinding>,
}

impl<'a> Established<'a> {
    /// Inside TLS, with the protocol that was agreed on, if any.
    pub fn over_tls(self, alpn: Option<&'a [u8]>) -> Self {
        Self { tls: true, alpn, ..self }
    }

    /// With something to tie an authentication to.
    pub fn bound_by(self, channel_binding: &'a dyn ChannelBinding) -> Self {
        Self { channel_binding: Some(channel_binding), ..self }
    }
}

/// What is the same at both ends of one TLS connection and nowhere else, so that an authentication that includes it
/// cannot be passed on by somebody in the middle (RFC 5056; SCRAM-SHA-256-PLUS). Computed when it is asked for.
pub trait ChannelBinding: core::fmt::Debug {
    /// `tls-server-end-point` (RFC 5929 §4): a hash of the server's certificate, 32 to 64 bytes. `None` where it is not
    /// defined, which depends on how the certificate is signed, and at the server's end.
    fn tls_server_end_point(&self) -> Option<Vec<u8>>;

    /// `tls-exporter` (RFC 9266). `None` below TLS 1.3, and where the transport was not asked to keep it.
    fn tls_exporter(&self) -> Option<[u8; 32]>;
}

/// Unread bytes.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Everything that came and was not used yet.
    pub bytes: &'a [u8],
    /// Nothing will come after `bytes`.
    pub eof: bool,
}

/// What [`Protocol::receive`] found at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<M> {
    /// Call again when at least so many bytes are there beyond those just used, and at least one more than are there
    /// now. Those that were looked at and not used count: a frame of 20 bytes of which 12 came needs 20. At the end of
    /// the stream this becomes [`Error::UnexpectedEof`] where exchanges are open, and a quiet close where none is: the
    /// caller's rule, not each machine's.
    NeedData {
        /// Bytes, at least 1.
        at_least: usize,
    },
    /// Bytes were used and there is nothing to tell: call again. It bounds the work of one call.
    Progress,
    /// Input is not wanted until [`Protocol::resume`], or until something is sent: a request or a part of a body.
    Paused,
    /// A message, or a part of one, of an exchange.
    Message {
        /// The exchange.
        id: ExchangeId,
        /// What came.
        message: M,
        /// Nothing more comes for this exchange. (For a server: this request is whole.)
        done: bool,
    },
    /// A message that answers no request.
    Push(M),
    /// This exchange failed and the connection lives.
    Failed {
        /// The exchange; it will not be named again.
        id: ExchangeId,
        /// Why.
        error: Error,
        /// Whether it may be sent again.
        replay: Replay,
    },
    /// Begin TLS now, then call [`Protocol::connected`] again. Unread bytes at this point are an attack.
    StartTls,
    /// What follows in the input belongs to another protocol, agreed on in this exchange.
    Switched {
        /// The exchange that asked for it; it will not be named again.
        id: ExchangeId,
    },
    /// The protocol is over: write what is in `out`, and close.
    Closed,
}

impl<M> Event<M> {
    /// The same event with another message: for machines that wrap a machine.
    pub fn map<N>(self, change: impl FnOnce(M) -> N) -> Event<N> {
        match self {
            Event::NeedData { at_least } => Event::NeedData { at_least },
            Event::Progress => Event::Progress,
            Event::Paused => Event::Paused,
            Event::Message { id, message, done } => Event::Message { id, message: change(message), done },
            Event::Push(message) => Event::Push(change(message)),
            Event::Failed { id, error, replay } => Event::Failed { id, error, replay },
            Event::StartTls => Event::StartTls,
            Event::Switched { id } => Event::Switched { id },
            Event::Closed => Event::Closed,
        }
    }
}
