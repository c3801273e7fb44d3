//! How the reactor meets the rest of the program: one trait, lent to each turn and never stored. It sees the envelope of
//! an event (which connection, which exchange, is it done); what a message means is between the handler and its protocol.

use std::fmt;
use std::time::Duration;

use aquests_protocols::{Established, ExchangeId, Protocol, Refused, Replay};

use crate::reactor::{Key, Reason};
use crate::time::Moment;
use crate::timers::Deadlines;
#[cfg(feature = "tls")]
use crate::transport::Tls;

/// Where an event happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The connection.
    pub key: Key,
    /// What [`Reactor::connect`](crate::reactor::Reactor::connect) or `listen` was given: a route, usually.
    pub tag: u64,
    /// The time of this turn.
    pub now: Moment,
}

/// Whether more of an exchange is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// No more until [`Reactor::resume`](crate::reactor::Reactor::resume).
    Hold,
    /// No more at all. The exchange is not named again; its connection closes if that is the only way.
    Cancel,
}

/// The next part of a body to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// These bytes; `last` ends the body. No more than the room that was asked for.
    Data {
        /// The bytes.
        bytes: &'a [u8],
        /// Nothing follows.
        last: bool,
    },
    /// The end, with trailers: field lines, each ended by CRLF.
    Trailers(&'a [u8]),
    /// Nothing yet: ask again after [`Reactor::unstall`](crate::reactor::Reactor::unstall) or
    /// [`Reactor::resume`](crate::reactor::Reactor::resume).
    Later,
    /// There will be no more: the exchange is cancelled and reported through [`Handler::on_failed`].
    Failed,
}

/// What a program does with its connections. Methods are called inside
/// [`Reactor::turn`](crate::reactor::Reactor::turn), so they must not block.
///
/// What a turn guarantees: `connected` comes once for every connection that opens; after it, every exchange that
/// [`Sender::send`] took ends exactly once, by a message that is `done`, by `on_failed`, by `switched`, or by a cancel of
/// the handler's own; `on_closed` comes last, exactly once for every key that was ever given out.
pub trait Handler<P: Protocol> {
    /// The socket is connected and the handshake of TLS begins: when it must be over, if that is before the deadline of
    /// [`Reactor::connect`](crate::reactor::Reactor::connect).
    #[cfg(feature = "tls")]
    fn tls_begins(&mut self, at: At) -> Moment {
        let _ = at;
        Moment::NEVER
    }

    /// The transport is up: choose the machine, and how long the connection may be silent.
    fn connected(&mut self, at: At, established: Established<'_>) -> P;

    /// There is room for requests: send until [`Sender::slots`] is 0 or nothing is left to send. Also asked once when a
    /// connection has opened and after [`Reactor::wake`](crate::reactor::Reactor::wake), with room or without.
    fn pull(&mut self, at: At, to: &mut Sender<'_, P>);

    /// The next part of a body that was announced, at most `room` bytes.
    fn chunk(&mut self, at: At, id: ExchangeId, room: usize) -> Chunk<'_> {
        let _ = (at, id, room);
        Chunk::Failed
    }

    /// A message, or a part of one. `id` is `None` for what answers no request.
    fn on_message(&mut self, at: At, id: Option<ExchangeId>, message: P::Message<'_>, done: bool) -> Flow;

    /// An exchange ended without its whole answer.
    fn on_failed(&mut self, at: At, id: ExchangeId, reason: &Reason, replay: Replay);

    /// The deadline that [`Sender::set_deadline`] set has passed. `true`: the connection closes, with
    /// [`Reason::Deadline`]. Where only some of its exchanges are late, give those up, set the next deadline, and say
    /// `false`.
    fn on_deadline(&mut self, at: At, to: &mut Sender<'_, P>) -> bool {
        let _ = (at, to);
        true
    }

    /// The peer agreed to speak another protocol from here on: its machine, or `None` to close.
    fn switched(&mut self, at: At, id: ExchangeId) -> Option<P> {
        let _ = (at, id);
        None
    }

    /// The protocol agreed with its peer on TLS from here on: whom to trust, and when TLS must be up at the latest; `None`
    /// to close. The machine is told when it is up, this handler is not.
    #[cfg(feature = "tls")]
    fn start_tls(&mut self, at: At) -> Option<(Tls, Moment)> {
        let _ = at;
        None
    }

    /// The connection is gone. `opened`: it had been established.
    fn on_closed(&mut self, at: At, opened: bool, reason: &Reason);
}

/// Sends on one connection, during [`Handler::pull`].
pub struct Sender<'a, P> {
    pub(crate) protocol: &'a mut P,
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) deadlines: &'a mut Deadlines,
    pub(crate) now: Moment,
    pub(crate) sent: bool,
    pub(crate) close: bool,
    pub(crate) linger: Option<Duration>,
}

// What is sent may be a secret.
impl<P: fmt::Debug> fmt::Debug for Sender<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("protocol", &self.protocol)
            .field("unwritten", &self.out.len())
            .finish_non_exhaustive()
    }
}

/// Above so many bytes waiting to be written, nothing is pulled.
pub(crate) const HIGH_WATER: usize = 64 << 10;

impl<P: Protocol> Sender<'_, P> {
    /// How many requests can be sent now.
    pub fn slots(&self) -> usize {
        if self.out.len() >= HIGH_WATER || self.close { 0 } else { self.protocol.slots() }
    }

    /// Sends a request.
    pub fn send(&mut self, id: ExchangeId, request: P::Request<'_>) -> Result<(), Refused> {
        self.protocol.send(id, request, self.out)?;
        self.sent = true;
        Ok(())
    }

    /// Gives an exchange up; it is not named again. The connection closes if that is the only way.
    pub fn cancel(&mut self, id: ExchangeId) {
        self.close |= !self.protocol.cancel(id, self.out);
    }

    /// When this connection is to be closed if nothing moves the deadline: [`Reason::Deadline`].
    pub fn set_deadline(&mut self, deadline: Moment) {
        self.deadlines.phase = deadline;
    }

    /// How long nothing may be read or written before the connection is closed: [`Reason::Silent`]. In steps of
    /// milliseconds.
    pub fn set_silence(&mut self, silence: Option<Duration>) {
        self.deadlines.set_silence(silence, self.now);
    }

    /// What is sent may wait for so long: where answers are on their way, more of them may come by then, and one write does
    /// for several requests. With [`Duration::ZERO`] the sockets are looked at once more, without waiting for them. Less
    /// than a millisecond is kept to on Linux only. Where much is to be written, nothing waits.
    pub fn linger(&mut self, most: Duration) {
        self.linger = Some(most);
    }

    /// Closes the connection when everything is written.
    pub fn close(&mut self) {
        self.protocol.close(self.out);
        self.close = true;
    }

    /// The machine.
    pub fn protocol(&mut self) -> &mut P {
        self.protocol
    }
}
