//! Every protocol that a client can speak, as one machine, and which of them a connection begins with. What this module
//! adds is the choice; it looks into no message.

use aquests_protocols::http1;
use aquests_protocols::semantics::{self, ResponseHead};
use aquests_protocols::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay};

/// The machine of one connection.
#[derive(Debug)]
pub(crate) enum Wire {
    Http1(http1::Client),
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

impl Protocol for Wire {
    type Request<'a> = Request<'a>;
    type Message<'a> = Message<'a>;

    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        match self {
            Wire::Http1(machine) => machine.connected(at, out),
        }
    }

    fn send(&mut self, id: ExchangeId, request: Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        match (self, request) {
            (Wire::Http1(machine), Request::Http(request)) => machine.send(id, request, out),
        }
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, out: &mut Vec<u8>) -> Result<(usize, Event<Message<'a>>), Error> {
        match self {
            Wire::Http1(machine) => {
                let (used, event) = machine.receive(input, out)?;
                Ok((used, event.map(Message::Http)))
            }
        }
    }

    fn slots(&self) -> usize {
        match self {
            Wire::Http1(machine) => machine.slots(),
        }
    }

    fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        match self {
            Wire::Http1(machine) => machine.wants_data(),
        }
    }

    fn send_data(&mut self, id: ExchangeId, data: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Refused> {
        match self {
            Wire::Http1(machine) => machine.send_data(id, data, last, out),
        }
    }

    fn send_trailers(&mut self, id: ExchangeId, trailers: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        match self {
            Wire::Http1(machine) => machine.send_trailers(id, trailers, out),
        }
    }

    fn stall(&mut self, id: ExchangeId) {
        match self {
            Wire::Http1(machine) => machine.stall(id),
        }
    }

    fn hold(&mut self, id: ExchangeId) {
        match self {
            Wire::Http1(machine) => machine.hold(id),
        }
    }

    fn resume(&mut self, id: ExchangeId, out: &mut Vec<u8>) {
        match self {
            Wire::Http1(machine) => machine.resume(id, out),
        }
    }

    fn cancel(&mut self, id: ExchangeId, out: &mut Vec<u8>) -> bool {
        match self {
            Wire::Http1(machine) => machine.cancel(id, out),
        }
    }

    fn ping(&mut self, out: &mut Vec<u8>) {
        match self {
            Wire::Http1(machine) => machine.ping(out),
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        match self {
            Wire::Http1(machine) => machine.close(out),
        }
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        match self {
            Wire::Http1(machine) => machine.unfinished(),
        }
    }
}
