//! Messages on the way out: bodies within the windows, in turn, and the credit that lets the peer go on. A body that was
//! given whole and finds no room is kept, and goes on by itself; all others are asked for when there is room.

use super::code::Code;
use super::connection::{Connection, Role};
use super::flow::PROBE;
use super::frame;
use super::streams::{Incoming, Outgoing, Rest, Stream, UNKNOWN};
use crate::semantics::{self, Body};
use crate::{ExchangeId, Refused};

/// The caller's fault: it does not look at what it was told.
const NO_BODY: Refused = Refused::Misuse("this exchange is not sending a body");

impl Connection {
    fn named(&self, id: ExchangeId) -> Option<usize> {
        match self.role {
            Role::Client => self.streams.find_named(id, self.turn),
            Role::Server => self.streams.find_numbered(id),
        }
    }

    /// The stream of an exchange that waits for its answer.
    pub(super) fn asking(&self, id: ExchangeId) -> Option<usize> {
        self.named(id).filter(|at| self.streams[*at].outgoing == Outgoing::Head)
    }

    /// The stream of an exchange whose body is being sent in parts.
    fn sending(&self, id: ExchangeId) -> Result<usize, Refused> {
        let sends = |at: &usize| matches!(self.streams[*at].outgoing, Outgoing::Ready | Outgoing::Stalled);
        self.named(id).filter(|_| !self.is_broken()).filter(sends).ok_or(NO_BODY)
    }

    /// What its body does from now on.
    pub(super) fn turn_to(&mut self, at: usize, next: Outgoing) {
        let before = core::mem::replace(&mut self.streams[at].outgoing, next);
        match before {
            Outgoing::Head => self.unanswered = self.unanswered.saturating_sub(1),
            Outgoing::Ready => self.ready -= 1,
            Outgoing::Rest => self.resting -= 1,
            Outgoing::Stalled | Outgoing::Done => {}
        }
        match next {
            Outgoing::Ready => self.ready += 1,
            Outgoing::Rest => self.resting += 1,
            Outgoing::Head | Outgoing::Stalled | Outgoing::Done => {}
        }
    }

    /// The head is written, and did not end the stream.
    pub(super) fn begin_body(&mut self, at: usize, body: Body<'_>, out: &mut Vec<u8>) {
        match body {
            // Only what waits for the other side: a tunnel.
            Body::Whole([]) => self.turn_to(at, Outgoing::Stalled),
            Body::Whole(bytes) => {
                let sent = self.send_within(at, bytes, true, out);
                if sent < bytes.len() {
                    let rest = Rest { bytes: bytes[sent..].to_vec(), sent: 0 };
                    self.streams[at].rest = Some(Box::new(rest));
                    self.turn_to(at, Outgoing::Rest);
                } else {
                    self.sent_last(at, out);
                }
            }
            Body::Parts(length) => {
                self.streams[at].out_left = length.unwrap_or(UNKNOWN);
                self.turn_to(at, Outgoing::Ready);
            }
        }
    }

    /// Writes as much as both windows allow, in frames. Returns how much; `last` counts where it was all.
    fn send_within(&mut self, at: usize, bytes: &[u8], last: bool, out: &mut Vec<u8>) -> usize {
        let stream = &mut self.streams[at];
        let taken = bytes.len().min(self.room.left()).min(stream.room.left());
        let last = last && taken == bytes.len();
        stream.room.take(taken);
        self.room.take(taken);
        let mut parts = bytes[..taken].chunks(self.peer.frame as usize).peekable();
        if parts.peek().is_none() && last {
            frame::data::write(stream.number, b"", true, out);
        }
        while let Some(part) = parts.next() {
            frame::data::write(stream.number, part, last && parts.peek().is_none(), out);
            // It may be answered with updates of both windows.
            self.credit.earn(2);
            self.credit.carried(part.len() as u32);
        }
        taken
    }

    /// Our message is whole.
    pub(super) fn sent_last(&mut self, at: usize, out: &mut Vec<u8>) {
        self.turn_to(at, Outgoing::Done);
        if self.role == Role::Client {
            return;
        }
        self.credit.earn(1);
        match self.streams[at].incoming {
            Incoming::Done => self.forget(at),
            // §8.1: the rest of the request is not needed.
            _ => self.reset(at, Code::NO_ERROR, out),
        }
    }

    /// A window opened: bodies that were given whole go on, the oldest first.
    pub(super) fn go_on(&mut self, out: &mut Vec<u8>) {
        let mut number = 0;
        while self.resting > 0 && self.room.left() > 0 {
            let from = self.streams.behind(number);
            let Some(at) = self.streams.first_from(from) else { return };
            number = self.streams[at].number;
            if self.streams[at].room.left() == 0 {
                continue;
            }
            let Some(mut rest) = self.streams[at].rest.take() else { continue };
            rest.sent += self.send_within(at, &rest.bytes[rest.sent..], true, out);
            if rest.sent < rest.bytes.len() {
                self.streams[at].rest = Some(rest);
            } else {
                self.sent_last(at, out);
            }
        }
    }

    pub(super) fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        if self.ready == 0 || self.is_broken() {
            return None;
        }
        let most = self.room.left().min(self.peer.frame as usize);
        let room = |stream: &Stream| {
            let room = most.min(stream.room.left());
            usize::try_from(stream.out_left).map_or(room, |left| room.min(left))
        };
        // An end needs no room.
        let can = |stream: &&Stream| stream.outgoing == Outgoing::Ready && (stream.out_left == 0 || room(stream) > 0);
        let stream = self.streams.circle(self.streams.behind(self.turn)).find(can)?;
        Some((stream.exchange, room(stream)))
    }

    pub(super) fn send_data(
        &mut self,
        id: ExchangeId,
        data: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<usize, Refused> {
        let at = self.sending(id)?;
        let stream = &mut self.streams[at];
        if stream.out_left != UNKNOWN {
            let length = data.len() as u64;
            if length > stream.out_left {
                return Err(Refused::Misuse("more body than promised"));
            }
            if last && length < stream.out_left {
                return Err(Refused::Misuse("less body than promised"));
            }
        }
        self.turn = stream.number;
        let taken = self.send_within(at, data, last, out);
        let stream = &mut self.streams[at];
        if stream.out_left != UNKNOWN {
            stream.out_left -= taken as u64;
        }
        if last && taken == data.len() {
            self.sent_last(at, out);
        }
        Ok(taken)
    }

    pub(super) fn send_trailers(&mut self, id: ExchangeId, trailers: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let at = self.sending(id)?;
        let stream = &self.streams[at];
        if !matches!(stream.out_left, 0 | UNKNOWN) {
            return Err(Refused::Misuse("less body than promised"));
        }
        if stream.tunnel {
            return Err(Refused::Misuse("a tunnel has no trailers"));
        }
        if !semantics::are_trailers(trailers) {
            return Err(Refused::Misuse("these are no lines of fields that may stand in trailers"));
        }
        let number = stream.number;
        let start = frame::headers::begin(out);
        self.heads.trailers(trailers, out);
        frame::headers::finish(start, number, true, self.peer.frame, out);
        self.sent_last(at, out);
        Ok(())
    }

    pub(super) fn stall(&mut self, id: ExchangeId) {
        if let Ok(at) = self.sending(id) {
            self.turn_to(at, Outgoing::Stalled);
        }
    }

    pub(super) fn unstall(&mut self, id: ExchangeId) {
        if let Some(at) = self.named(id).filter(|_| !self.is_broken())
            && self.streams[at].outgoing == Outgoing::Stalled
        {
            self.turn_to(at, Outgoing::Ready);
        }
    }

    pub(super) fn hold(&mut self, id: ExchangeId) {
        if let Some(at) = self.named(id) {
            self.streams[at].held = true;
        }
    }

    pub(super) fn resume(&mut self, id: ExchangeId, out: &mut Vec<u8>) {
        self.unstall(id);
        let Some(at) = self.named(id).filter(|_| !self.is_broken()) else { return };
        if core::mem::replace(&mut self.streams[at].held, false) && self.streams[at].incoming == Incoming::Body {
            self.grant(at, out);
        }
    }

    pub(super) fn cancel(&mut self, id: ExchangeId, out: &mut Vec<u8>) {
        let Some(at) = self.named(id) else { return };
        if self.is_broken() { self.forget(at) } else { self.reset(at, Code::CANCEL, out) }
    }

    /// Lets the peer go on with a stream, where it is worth a frame.
    #[inline]
    pub(super) fn grant(&mut self, at: usize, out: &mut Vec<u8>) {
        let stream = &mut self.streams[at];
        if let Some(more) = stream.granted.refill(self.growth.window()) {
            frame::window_update::write(stream.number, more, out);
            if self.growth.granted(stream.number) {
                frame::ping::write(PROBE, false, out);
            }
        }
    }

    /// The same for all streams that are read.
    pub(super) fn grant_all(&mut self, out: &mut Vec<u8>) {
        let mut next = 0;
        while let Some(at) = self.streams.first_from(next) {
            next = at + 1;
            let stream = &self.streams[at];
            if stream.incoming == Incoming::Body && !stream.held {
                self.grant(at, out);
            }
        }
    }
}

/// What a body promises by `content-length`.
pub(super) fn promised(body: Body<'_>, bodiless: bool) -> Option<u64> {
    match body {
        Body::Whole([]) if bodiless => None,
        Body::Whole(bytes) => Some(bytes.len() as u64),
        Body::Parts(length) => length,
    }
}
