//! Names to addresses (RFC 1035), as far as a stub resolver needs it: one question and its answer as bytes
//! ([`Message`], [`query`]), and the machine that asks for one name until it knows ([`Lookup`]).
//!
//! It is no [`Protocol`](crate::Protocol): a lookup spreads over several servers and two transports. Sockets, the clock,
//! configuration files and the cache belong to the caller and never here; points in time and entropy come in as numbers.

mod lookup;
mod message;
mod name;

pub use lookup::{Action, Failure, Families, Lookup, Options, Outcome, Transport};
pub use message::{Code, Data, Kind, Malformed, Message, Record, Records, Section, query};
pub use name::{InvalidName, Name};

/// What a server may put into one datagram, as we tell it (RFC 6891 §6.2.3): fits into every IPv6 path unfragmented.
pub const DATAGRAM: u16 = 1232;

/// Appends a message as it stands in a TCP stream (RFC 1035 §4.2.2): behind two bytes of length. One that is too long
/// for that is not appended.
pub fn frame(message: &[u8], out: &mut Vec<u8>) {
    if let Ok(length) = u16::try_from(message.len()) {
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(message);
    }
}

/// The first message of a TCP stream, if it is whole. It used two bytes more than its length.
pub fn unframe(stream: &[u8]) -> Option<&[u8]> {
    let (length, rest) = stream.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}
