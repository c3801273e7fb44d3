//! Why connections close and exchanges fail, as far as the loop knows: what a protocol made of it is told by its own words.

use std::{fmt, io};

use aquests_protocols::{Error, Refused};

/// Why a connection closed, or an exchange on it failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The system said so: refused, reset, unreachable, …
    Io(io::Error),
    /// The peer ended the stream.
    Ended,
    /// The protocol was over, as one side had announced.
    Finished,
    /// The peer ended the stream without the goodbye that TLS wants: something may be missing.
    Truncated,
    /// TLS failed: a certificate, a version, a record.
    Tls(io::Error),
    /// The peer broke the protocol or a limit.
    Protocol(Error),
    /// The deadline set by [`Reactor::connect`](crate::reactor::Reactor::connect) or [`Sender::set_deadline`](crate::reactor::Sender::set_deadline) passed.
    Deadline,
    /// Nothing was read or written for longer than [`Sender::set_silence`](crate::reactor::Sender::set_silence) allows.
    Silent,
    /// The handler or the owner of the reactor wanted it.
    Owner,
    /// The body of a request could not be sent to its end.
    Body(Refused),
}

impl Reason {
    /// Of an error in the time between connecting and the first byte of the protocol. A peer that hangs up then may be
    /// busy; that is not what TLS means by a failure.
    pub(crate) fn of_handshake(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Reason::Tls(error),
            _ => Reason::Io(error),
        }
    }

    /// Of an error in reading.
    pub(crate) fn of_read(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Reason::Tls(error),
            io::ErrorKind::UnexpectedEof => Reason::Truncated,
            _ => Reason::Io(error),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Io(error) => error.fmt(f),
            Reason::Ended => f.write_str("the peer closed the connection"),
            Reason::Truncated => f.write_str("the peer closed the connection without a word (TLS close_notify)"),
            Reason::Tls(error) => error.fmt(f),
            Reason::Finished => f.write_str("the connection was over, as announced"),
            Reason::Protocol(error) => error.fmt(f),
            Reason::Deadline => f.write_str("the time limit passed"),
            Reason::Silent => f.write_str("nothing was heard for too long"),
            Reason::Owner => f.write_str("closed by this side"),
            Reason::Body(refused) => refused.fmt(f),
        }
    }
}
