//! Every protocol that a client can speak, as one machine, and which of them a connection begins with. What this module
//! adds is the choice; it looks into no message.

use aquests_protocols::http1;
#[cfg(feature = "http2")]
use aquests_protocols::http2;
use aquests_protocols::semantics::{self, ResponseHead};
use aquests_protocols::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay};

/// The machine of one connection.
#[derive(Debug)]
pub(crate) enum Wire {
    Http1(http1::Client),
    #[cfg(feature = "http2")]
    Http2(Box<http2::Client>),
}

/// A request of any protocol.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    Http(semantics::Request<'a>),
}

/// A message of any protocol.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    Http(semantics::Message<'a, ResponseHead<'a>>),
}

// One of these stands in the slab for every connection: what is large belongs in a box.
const _: () = assert!(size_of::<Wire>() <= 128);

/// Which versions of HTTP a server is asked in.
///
/// Over TLS the server chooses (ALPN, RFC 7301) among those that are allowed. On plain `http` nothing is agreed on
/// before the first request, so that the first one of a [`Client`](crate::Client) asks (`upgrade: h2c`, RFC 7540 §3.2)
/// where HTTP/2 is allowed and not prescribed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Versions {
    /// HTTP/2 if the server has it, else HTTP/1.1.
    #[default]
    Any,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only, on plain `http` without asking ("prior knowledge", RFC 9113 §3.3). A server that does not speak it is
    /// an error.
    #[cfg(feature = "http2")]
    Http2,
}

impl Versions {
    /// What is offered over TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            #[cfg(feature = "http2")]
            Versions::Any => &[b"h2", b"http/1.1"],
            #[cfg(not(feature = "http2"))]
            Versions::Any => &[b"http/1.1"],
            Versions::Http1 => &[b"http/1.1"],
            #[cfg(feature = "http2")]
            Versions::Http2 => &[b"h2"],
        }
    }

    /// Whether a connection that was established this way begins with HTTP/2. A server that chose nothing over TLS where
    /// only HTTP/2 was offered is spoken to in HTTP/2, and has the chance to understand it.
    pub(crate) fn begin_with_http2(self, at: &Established<'_>) -> bool {
        #[cfg(feature = "http2")]
        {
            self == Versions::Http2 || at.alpn == Some(b"h2")
        }
        #[cfg(not(feature = "http2"))]
        {
            let _ = at;
            false
        }
    }
}

/// Calls the same method of whichever machine it is.
macro_rules! each {
    ($wire:expr, $machine:ident => $call:expr) => {
        match $wire {
            Wire::Http1($machine) => $call,
            #[cfg(feature = "http2")]
            Wire::Http2($machine) => $call,
        }
    };
}

impl Protocol for Wire {
    type Request<'a> = Request<'a>;
    type Message<'a> = Message<'a>;

    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        each!(self, machine => machine.connected(at, out));
    }

    fn send(&mut self, id: ExchangeId, request: Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let Request::Http(request) = request;
        each!(self, machine => machine.send(id, request, out))
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, out: &mut Vec<u8>) -> Result<(usize, Event<Message<'a>>), Error> {
        each!(self, machine => {
            let (used, event) = machine.receive(input, out)?;
            Ok((used, event.map(Message::Http)))
        })
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
