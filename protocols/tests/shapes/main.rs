//! The hard shapes of wire protocols, as the smallest machines that have them: what [`Protocol`] must be able to say.
//!
//! Each file is one machine over a simplified wire format, and its tests. They are no protocols to be used: header
//! blocks are plain text, authentication is absent. What a real protocol does belongs into its own module and never
//! here; a shape is added where the trait is in doubt.
//!
//! | file | what is hard about it |
//! |---|---|
//! | `http2_like` | many exchanges at once: one held, one sending, one cancelled; windows; GOAWAY |
//! | `postgres_like` | TLS in the middle, an error that skips what was pipelined behind it, COPY |
//! | `redis_push` | messages that answer nothing between those that do; answers to nobody; deep nesting |
//! | `wrapper` | a machine around a machine, whose messages do not end where those of the inner one end |
//!
//! [`Protocol`]: aquests_protocols::Protocol

mod http2_like;
mod postgres_like;
mod redis_push;
mod wrapper;

use aquests_protocols::testing::Seen;
use aquests_protocols::{Error, Event, ExchangeId, Replay, Violation};

/// The events of a test, written short.
fn item<T>(id: u64, item: T) -> Event<Seen<T>> {
    Event::Message { id: ExchangeId(id), message: Seen::Item(item), done: false }
}

fn last<T>(id: u64, item: T) -> Event<Seen<T>> {
    Event::Message { id: ExchangeId(id), message: Seen::Item(item), done: true }
}

fn data<T>(id: u64, bytes: impl AsRef<[u8]>, done: bool) -> Event<Seen<T>> {
    Event::Message { id: ExchangeId(id), message: Seen::Data(bytes.as_ref().to_vec()), done }
}

fn failed<T>(id: u64, error: Error, replay: Replay) -> Event<Seen<T>> {
    Event::Failed { id: ExchangeId(id), error, replay }
}

fn violation(words: &'static str) -> Error {
    Error::Violation(Violation::Other(words))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
