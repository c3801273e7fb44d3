//! Which version of HTTP a client of the target speaks: what was agreed on over TLS, or, on a plain connection, what its
//! first bytes say. What it asks for is no matter of this file.

use aquests::protocols::semantics::{Message, RequestHead, Response};
use aquests::protocols::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay, http1, http2};

/// The server's side of one connection.
#[derive(Debug)]
pub(super) enum Wire {
    /// The first bytes will tell.
    Open,
    Http1(http1::Server),
    Http2(Box<http2::Server>),
}

/// The first bytes of a client that speaks HTTP/2 (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Wire {
    /// The machine for a connection that has just been accepted.
    pub(super) fn new(at: Established<'_>) -> Self {
        match at.alpn {
            Some(b"h2") => Wire::Http2(Box::default()),
            _ if at.tls => Wire::Http1(http1::Server::new()),
            _ => Wire::Open,
        }
    }

    /// Decides by the first bytes. `None`: not yet.
    fn decide(&mut self, input: Input<'_>, out: &mut Vec<u8>) -> Option<()> {
        if let Wire::Open = self {
            let common = input.bytes.len().min(PREFACE.len());
            if input.bytes[..common] != PREFACE[..common] || input.eof && common < PREFACE.len() {
                *self = Wire::Http1(http1::Server::new());
            } else if common == PREFACE.len() {
                let mut machine = Box::<http2::Server>::default();
                machine.connected(Established::default(), out);
                *self = Wire::Http2(machine);
            } else {
                return None;
            }
        }
        Some(())
    }
}

/// Calls the same method of whichever machine it is, or says what holds as long as there is none.
macro_rules! each {
    ($wire:expr, $open:expr, $machine:ident => $call:expr) => {
        match $wire {
            Wire::Open => $open,
            Wire::Http1($machine) => $call,
            Wire::Http2($machine) => $call,
        }
    };
}

const NOTHING_ASKED: Refused = Refused::Misuse("nothing was asked yet");

impl Protocol for Wire {
    type Request<'a> = Response<'a>;
    type Message<'a> = Message<'a, RequestHead<'a>>;

    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        each!(self, (), machine => machine.connected(at, out));
    }

    fn send(&mut self, id: ExchangeId, response: Response<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        each!(self, Err(NOTHING_ASKED), machine => machine.send(id, response, out))
    }

    fn receive<'a>(
        &'a mut self,
        input: Input<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Event<Self::Message<'a>>), Error> {
        if self.decide(input, out).is_none() {
            // The next byte may tell already, and a request may have fewer than the preface.
            return Ok((0, Event::NeedData { at_least: input.bytes.len() + 1 }));
        }
        each!(self, Ok((0, Event::Progress)), machine => machine.receive(input, out))
    }

    fn slots(&self) -> usize {
        each!(self, 0, machine => machine.slots())
    }

    fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        each!(self, None, machine => machine.wants_data())
    }

    fn send_data(&mut self, id: ExchangeId, data: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Refused> {
        each!(self, Err(NOTHING_ASKED), machine => machine.send_data(id, data, last, out))
    }

    fn send_trailers(&mut self, id: ExchangeId, trailers: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        each!(self, Err(NOTHING_ASKED), machine => machine.send_trailers(id, trailers, out))
    }

    fn stall(&mut self, id: ExchangeId) {
        each!(self, (), machine => machine.stall(id));
    }

    fn unstall(&mut self, id: ExchangeId) {
        each!(self, (), machine => machine.unstall(id));
    }

    fn hold(&mut self, id: ExchangeId) {
        each!(self, (), machine => machine.hold(id));
    }

    fn resume(&mut self, id: ExchangeId, out: &mut Vec<u8>) {
        each!(self, (), machine => machine.resume(id, out));
    }

    fn cancel(&mut self, id: ExchangeId, out: &mut Vec<u8>) -> bool {
        each!(self, true, machine => machine.cancel(id, out))
    }

    fn ping(&mut self, out: &mut Vec<u8>) {
        each!(self, (), machine => machine.ping(out));
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        each!(self, (), machine => machine.close(out));
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        each!(self, None, machine => machine.unfinished())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the machine is after these bytes have come one by one. It is not asked before it has as many as it wants.
    fn after(bytes: &[u8], eof: bool) -> (Wire, Vec<u8>) {
        let (mut wire, mut out) = (Wire::new(Established::default()), Vec::new());
        wire.connected(Established::default(), &mut out);
        assert!(out.is_empty(), "nothing is said to whom nobody knows");
        let mut need = 1;
        for end in 1..=bytes.len() {
            let eof = eof && end == bytes.len();
            if matches!(wire, Wire::Open) && (end >= need || eof) {
                let (_, event) = wire.receive(Input { bytes: &bytes[..end], eof }, &mut out).unwrap();
                if let Event::NeedData { at_least } = event {
                    need = at_least;
                }
            }
        }
        (wire, out)
    }

    #[test]
    fn the_first_bytes_tell_the_version_however_they_are_cut() {
        assert!(matches!(after(b"GET / HTTP/1.1\r\n", false).0, Wire::Http1(_)));
        assert!(matches!(after(b"P", false).0, Wire::Open));
        assert!(matches!(after(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", false).0, Wire::Open));
        assert!(matches!(after(b"PUT", false).0, Wire::Http1(_)));
        assert!(
            matches!(after(b"PUT / HTTP/1.0\r\n\r\n", false).0, Wire::Http1(_)),
            "all of it is less than a preface"
        );
        assert!(matches!(after(b"PRI * HTTP/1.1\r\n", false).0, Wire::Http1(_)));
        let (wire, out) = after(PREFACE, false);
        assert!(matches!(wire, Wire::Http2(_)) && out[3] == 4, "SETTINGS are the first frame");
    }

    #[test]
    fn over_tls_alpn_decides_and_nothing_else() {
        let tls = |alpn| Wire::new(Established::default().over_tls(alpn));
        assert!(matches!(tls(Some(b"h2")), Wire::Http2(_)));
        assert!(matches!(tls(Some(b"http/1.1")), Wire::Http1(_)));
        assert!(matches!(tls(None), Wire::Http1(_)));
    }
}
