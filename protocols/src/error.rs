//! What can go wrong in a machine, split by fault: the peer's ([`Error`]), the caller's ([`Refused`]), and, apart from
//! both, whether an exchange that did not finish may be sent again ([`Replay`]).
//!
//! What a server *says* (a 500, an error reply) is a message and never belongs here. Everything is `Copy`, so that an
//! error can stick in a machine and be returned again.

use core::fmt;

/// The peer broke the protocol, or a limit of ours. The connection is over; see [`Protocol::unfinished`].
///
/// [`Protocol::unfinished`]: crate::Protocol::unfinished
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// Something the peer sent is larger than we accept.
    TooLarge(Limit),
    /// The stream ended in the middle of something.
    UnexpectedEof,
    /// The peer sent what the protocol forbids.
    Violation(Violation),
    /// The peer ended this exchange and no other, with a code of its protocol. No fault of anybody's.
    Reset {
        /// The code: an HTTP/2 error code, for example.
        code: u64,
    },
    /// The peer leaves, and has not acted on this exchange: it may be sent again elsewhere.
    GoneAway {
        /// Why it leaves: an HTTP/2 error code, for example.
        code: u64,
    },
    /// The peer did not run this exchange because one before it had failed.
    Skipped,
    /// The peer let nobody in: wrong password, too many connections. What it said came as a push.
    Rejected,
}

/// A limit that was reached: what it limits, and its value in the unit that its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// What is limited, in words that fit "`what` over `value`": `response head bytes`.
    pub what: &'static str,
    /// The limit in force.
    pub value: u64,
}

/// A rule that the peer broke, by protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// See [`http1::Violation`](crate::http1::Violation).
    #[cfg(feature = "http1")]
    Http1(crate::http1::Violation),
    /// See [`http2::Violation`](crate::http2::Violation).
    #[cfg(feature = "http2")]
    Http2(crate::http2::Violation),
    /// See [`redis::Violation`](crate::redis::Violation).
    #[cfg(feature = "redis")]
    Redis(crate::redis::Violation),
    /// See [`postgres::Violation`](crate::postgres::Violation).
    #[cfg(feature = "postgres")]
    Postgres(crate::postgres::Violation),
    /// A rule of a protocol that lives outside this crate, in words.
    Other(&'static str),
}

/// Why [`Protocol::send`](crate::Protocol::send) did not take a request. Nothing was written and the connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refused {
    /// No room, or no more on this connection: put it back on the queue.
    NotNow,
    /// The request can never be sent this way: it fails with these words.
    Misuse(&'static str),
}

/// Whether an exchange that got no (whole) answer may be sent again without the server seeing it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Replay {
    /// Not one byte of it left.
    NotSent,
    /// The protocol guarantees that the server has not acted on it.
    NotProcessed,
    /// Nobody knows: only an idempotent request may be repeated.
    Unknown,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::TooLarge(limit) => write!(f, "{} over {}", limit.what, limit.value),
            Error::UnexpectedEof => f.write_str("the connection ended in the middle of a message"),
            Error::Violation(violation) => violation.fmt(f),
            Error::Reset { code } => write!(f, "the peer ended the exchange with code {}", Code(*code)),
            Error::GoneAway { code } => {
                write!(f, "the peer goes away, with code {}, and has not acted on it", Code(*code))
            }
            Error::Skipped => f.write_str("not run, because a request before it had failed"),
            Error::Rejected => f.write_str("the peer rejected the connection"),
        }
    }
}

/// A code with its name, where it has one. Those of HTTP/2 are below 0x100, where HTTP/3 has none (RFC 9114 §8.1).
struct Code(u64);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "http2")]
        if let Some(name) = u32::try_from(self.0).ok().and_then(|code| crate::http2::Code(code).name()) {
            return write!(f, "{} ({name})", self.0);
        }
        self.0.fmt(f)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "http1")]
            Violation::Http1(violation) => violation.fmt(f),
            #[cfg(feature = "http2")]
            Violation::Http2(violation) => violation.fmt(f),
            #[cfg(feature = "redis")]
            Violation::Redis(violation) => violation.fmt(f),
            #[cfg(feature = "postgres")]
            Violation::Postgres(violation) => violation.fmt(f),
            Violation::Other(words) => f.write_str(words),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NotNow => f.write_str("no room on this connection now"),
            Refused::Misuse(words) => f.write_str(words),
        }
    }
}

impl core::error::Error for Error {}
impl core::error::Error for Violation {}
impl core::error::Error for Refused {}
