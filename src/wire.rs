//! Every protocol that a client can speak, as one machine. What this module adds is the choice; it looks into no message
//! but the one by which a server agrees to speak another protocol.

use aquests_protocols::http1;
#[cfg(feature = "http2")]
use aquests_protocols::http2;
#[cfg(feature = "postgres")]
use aquests_protocols::postgres;
#[cfg(feature = "redis")]
use aquests_protocols::redis;
use aquests_protocols::semantics::{self, Invalid, PreparedRequest, ResponseHead};
use aquests_protocols::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay};

/// The machine of one connection.
#[derive(Debug)]
pub(crate) enum Wire {
    Http1(http1::Client),
    #[cfg(feature = "http2")]
    Http2(Box<http2::Client>),
    #[cfg(feature = "redis")]
    Redis(Box<redis::Client>),
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Client>),
}

/// A request of any protocol.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    Http(semantics::Request<'a>),
    #[cfg(feature = "redis")]
    Redis(redis::Request<'a>),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Request<'a>),
}

/// A message of any protocol.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    Http(semantics::Message<'a, ResponseHead<'a>>),
    #[cfg(feature = "redis")]
    Redis(redis::Message<'a>),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Message<'a>),
}

// One of these stands in the slab for every connection: what is large belongs in a box.
const _: () = assert!(size_of::<Wire>() <= 128);

impl Wire {
    /// Answers come in any order.
    pub(crate) fn is_multiplexed(&self) -> bool {
        match self {
            #[cfg(feature = "http2")]
            Wire::Http2(_) => true,
            _ => false,
        }
    }

    /// The server still answers what was given up.
    pub(crate) fn owes_dropped(&self) -> bool {
        match self {
            #[cfg(feature = "redis")]
            Wire::Redis(machine) => machine.owes_dropped(),
            #[cfg(feature = "postgres")]
            Wire::Postgres(machine) => machine.owes_dropped(),
            _ => false,
        }
    }

    /// Something was begun on it that was not ended, and nothing is on its way that could.
    pub(crate) fn is_spoiled(&self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Wire::Postgres(machine) => machine.is_idle() && machine.transaction() != postgres::Transaction::Idle,
            _ => false,
        }
    }
}

impl Wire {
    /// The version that is spoken, where that is known to nobody but the machine.
    pub(crate) fn version(&self) -> Option<crate::version::Version> {
        match self {
            #[cfg(feature = "redis")]
            Wire::Redis(machine) => Some(machine.version().into()),
            #[cfg(feature = "postgres")]
            Wire::Postgres(machine) => Some(machine.version().into()),
            _ => None,
        }
    }
}

/// The head with which a request asks for HTTP/2 on a plain connection, telling these settings (RFC 7540 §3.2).
#[cfg_attr(not(any(feature = "http2", feature = "load")), allow(dead_code))]
pub(crate) fn asking_for_http2(head: &PreparedRequest, settings: &str) -> Result<PreparedRequest, Invalid> {
    let mut head = head.clone();
    head.field("connection", b"upgrade, http2-settings")?.field("upgrade", b"h2c")?;
    head.field("http2-settings", settings.as_bytes())?;
    Ok(head)
}

/// Whether the head of an answer to that agrees.
pub(crate) fn agrees_to_http2(head: &ResponseHead<'_>) -> bool {
    let h2c = |name: &[u8]| name.trim_ascii().eq_ignore_ascii_case(b"h2c");
    head.status == 101 && head.fields.get("upgrade").is_some_and(h2c)
}

/// Calls the same method of whichever machine it is.
macro_rules! each {
    ($wire:expr, $machine:ident => $call:expr) => {
        match $wire {
            Wire::Http1($machine) => $call,
            #[cfg(feature = "http2")]
            Wire::Http2($machine) => $call,
            #[cfg(feature = "redis")]
            Wire::Redis($machine) => $call,
            #[cfg(feature = "postgres")]
            Wire::Postgres($machine) => $call,
        }
    };
}

#[inline]
fn receive<'a, P: Protocol>(
    machine: &'a mut P,
    input: Input<'a>,
    out: &mut Vec<u8>,
    wrap: impl FnOnce(P::Message<'a>) -> Message<'a>,
) -> Result<(usize, Event<Message<'a>>), Error> {
    let (used, event) = machine.receive(input, out)?;
    Ok((used, event.map(wrap)))
}

impl Protocol for Wire {
    type Request<'a> = Request<'a>;
    type Message<'a> = Message<'a>;

    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        each!(self, machine => machine.connected(at, out));
    }

    fn send(&mut self, id: ExchangeId, request: Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        match (self, request) {
            (Wire::Http1(machine), Request::Http(request)) => machine.send(id, request, out),
            #[cfg(feature = "http2")]
            (Wire::Http2(machine), Request::Http(request)) => machine.send(id, request, out),
            #[cfg(feature = "redis")]
            (Wire::Redis(machine), Request::Redis(request)) => machine.send(id, request, out),
            #[cfg(feature = "postgres")]
            (Wire::Postgres(machine), Request::Postgres(request)) => machine.send(id, request, out),
            #[cfg(any(feature = "redis", feature = "postgres"))]
            _ => Err(Refused::Misuse("the connection speaks another protocol")),
        }
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, out: &mut Vec<u8>) -> Result<(usize, Event<Message<'a>>), Error> {
        match self {
            Wire::Http1(machine) => receive(machine, input, out, Message::Http),
            #[cfg(feature = "http2")]
            Wire::Http2(machine) => receive(&mut **machine, input, out, Message::Http),
            #[cfg(feature = "redis")]
            Wire::Redis(machine) => receive(&mut **machine, input, out, Message::Redis),
            #[cfg(feature = "postgres")]
            Wire::Postgres(machine) => receive(&mut **machine, input, out, Message::Postgres),
        }
    }

    fn slots(&self) -> usize {
        each!(self, machine => machine.slots())
    }

    fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        each!(self, machine => machine.wants_data())
    }

    fn send_data(&mut self, id: ExchangeId, data: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Refused> {
        each!(self, machine => machine.send_data(id, data, last, out))
    }

    fn send_trailers(&mut self, id: ExchangeId, trailers: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        each!(self, machine => machine.send_trailers(id, trailers, out))
    }

    fn stall(&mut self, id: ExchangeId) {
        each!(self, machine => machine.stall(id));
    }

    fn unstall(&mut self, id: ExchangeId) {
        each!(self, machine => machine.unstall(id));
    }

    fn hold(&mut self, id: ExchangeId) {
        each!(self, machine => machine.hold(id));
    }

    fn resume(&mut self, id: ExchangeId, out: &mut Vec<u8>) {
        each!(self, machine => machine.resume(id, out));
    }

    fn cancel(&mut self, id: ExchangeId, out: &mut Vec<u8>) -> bool {
        each!(self, machine => machine.cancel(id, out))
    }

    fn ping(&mut self, out: &mut Vec<u8>) {
        each!(self, machine => machine.ping(out));
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        each!(self, machine => machine.close(out));
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        each!(self, machine => machine.unfinished())
    }
}
