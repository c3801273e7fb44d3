//! How a connection ends: its last words are heard, its exchanges are named, the goodbye is said, and what the peer still
//! sends is dropped for a while.

use std::{io, mem};

use aquests_protocols::Protocol;

use super::events::disown;
use super::{After, BUDGET, Connection, LEAVING, Lent, READ, State};
use crate::handler::{At, Handler};
use crate::reason::Reason;
use crate::transport::Filled;

impl<P: Protocol> Connection<P> {
    /// A write failed. The peer may have said why before it hung up: what it sent is read before the connection closes.
    pub(super) fn last_words<H: Handler<P>>(
        &mut self,
        at: At,
        handler: &mut H,
        out: &mut Vec<u8>,
        lent: &mut Lent,
        error: &io::Error,
    ) -> Reason {
        self.ready.readable = true;
        let mut budget = BUDGET;
        while self.ready.readable && !self.ready.paused && budget > 0 {
            match self.read(at, handler, out, lent, &mut budget) {
                Ok(()) => {}
                Err(Reason::Io(_) | Reason::Ended) => break,
                Err(reason) => return reason,
            }
        }
        Reason::Io(io::Error::new(error.kind(), error.to_string()))
    }

    /// Ends it, whatever it does: its exchanges fail, and it closes.
    pub(crate) fn abort<H: Handler<P>>(&mut self, at: At, handler: &mut H, reason: Reason) -> (bool, Reason) {
        match mem::replace(&mut self.state, State::Connecting) {
            State::Connecting | State::Handshaking => (false, reason),
            State::Open(mut protocol) => {
                disown(&mut protocol, at, handler, &reason);
                (true, reason)
            }
            #[cfg(feature = "tls")]
            State::Upgrading(mut upgrade) => {
                disown(&mut upgrade.protocol, at, handler, &reason);
                (true, reason)
            }
            State::Leaving { reason, opened, .. } => (opened, reason),
        }
    }

    /// Says the goodbye of the protocol, as far as the socket takes it.
    pub(crate) fn farewell(&mut self, lent: &mut Lent) {
        if let State::Open(protocol) = &mut self.state {
            protocol.close(&mut self.out);
            // What cannot be written now is not worth waiting for.
            let _ = self.transport.flush(&self.out[self.sent..], &mut lent.transport);
        }
    }

    pub(super) fn leave(&mut self, at: At, lent: &mut Lent) -> After {
        if (!self.out.is_empty() || self.transport.is_pending()) && self.ready.writable {
            let mut out = mem::take(&mut self.out);
            match self.transport.flush(&out[self.sent..], &mut lent.transport) {
                Ok(sent) => {
                    self.sent += sent;
                    self.ready.writable = self.sent == out.len() && !self.transport.is_pending();
                    self.forget_sent(&mut out);
                    self.out = out;
                    // As long as the peer takes what we say, it is heard out.
                    self.deadlines.leave(at.now + LEAVING);
                }
                Err(_) => return self.left(),
            }
        }
        if let State::Leaving { finished, .. } = &mut self.state
            && self.out.is_empty()
            && !self.transport.is_pending()
            && !*finished
        {
            *finished = self.transport.finish();
            self.ready.writable &= *finished;
        }
        if mem::take(&mut self.ready.woken) && self.out.is_empty() && !self.transport.is_pending() {
            // Somebody counts on it, who had better know that it is gone.
            return self.left();
        }
        for _ in 0..BUDGET / READ {
            if self.ready.eof {
                break;
            }
            match self.transport.fill(&mut lent.read, &mut lent.transport) {
                Ok(Filled::Bytes { .. }) => {}
                Ok(Filled::Empty) => return After::Keep,
                Ok(Filled::Eof) | Err(_) => self.ready.eof = true,
            }
        }
        // What the peer has said its last word about, it may still read.
        match !self.out.is_empty() || self.transport.is_pending() {
            true if self.ready.eof => After::Keep,
            true => After::Again,
            false => self.left(),
        }
    }

    fn left(&mut self) -> After {
        match mem::replace(&mut self.state, State::Connecting) {
            State::Leaving { reason, opened, .. } => After::Closed(opened, reason),
            _ => After::Closed(true, Reason::Ended),
        }
    }
}
