//! One connection: a transport, a machine, what is unread and what is unwritten. `drive` is the only caller of
//! `Protocol`. It knows no other connection and no poll; what it cannot do now it tells the reactor.

//!
//! `events` has what the machine says, `leave` the end, `upgrade` TLS in mid-connection, `lent` what all of them share.

mod events;
mod leave;
mod lent;
#[cfg(feature = "tls")]
mod upgrade;

use std::{fmt, io, mem};

use aquests_protocols::{ExchangeId, Protocol, Refused, Replay};

use crate::buffer::Buffer;
use crate::handler::{At, Chunk, HIGH_WATER, Handler, Sender};
use crate::reason::Reason;
use crate::time::Moment;
use crate::timers::Deadlines;
use crate::transport::{Filled, Transport};
use events::{Stop, receive};
pub(crate) use lent::Lent;
#[cfg(feature = "tls")]
use upgrade::Upgrade;

pub(crate) struct Connection<P> {
    pub(crate) transport: Transport,
    pub(crate) tag: u64,
    pub(crate) generation: u32,
    pub(crate) ready: Ready,
    /// It stands on the reactor's list.
    pub(crate) listed: bool,
    state: State<P>,
    pub(crate) deadlines: Deadlines,
    input: Buffer,
    /// Bytes that must come before the machine is asked again.
    need: usize,
    out: Vec<u8>,
    /// So many bytes at the front of `out` are written.
    sent: usize,
    /// Where in `out` the last question for a sign of life ends that is not written yet.
    question: usize,
}

#[derive(Debug)]
enum State<P> {
    Connecting,
    /// The socket is connected; TLS, where it is wanted, is not up yet.
    Handshaking,
    Open(P),
    /// The machine asked for TLS in mid-connection, and nothing goes to it or comes from it before that is up.
    #[cfg(feature = "tls")]
    Upgrading(Box<Upgrade<P>>),
    /// The machine is done. What is in `out` is written, then the peer is told that nothing follows, and what it still
    /// sends is dropped for a while: closing a socket with unread bytes would throw away what we wrote.
    Leaving {
        reason: Reason,
        opened: bool,
        finished: bool,
    },
}

/// What is known of the socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send no more, so that a short read does not mean that nothing is left.
    pub(crate) read_closed: bool,
    eof: bool,
    /// The machine wants no input.
    paused: bool,
    /// The machine was told something from outside, and may have something to say about it.
    told: bool,
    /// The handler is asked for requests even where there is no room: the connection is new, or was woken.
    woken: bool,
    /// What is in `out` may wait for more looks at the socket.
    linger: Linger,
    /// A sign of life was asked for, and nothing came since.
    asked: bool,
}

/// Whether what is to be written waits for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Linger {
    #[default]
    No,
    /// The handler allows it for so long.
    May(std::time::Duration),
    /// Until then at the latest.
    Until(Moment),
}

// What is read and written may be a secret.
impl<P: fmt::Debug> fmt::Debug for Connection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("transport", &self.transport)
            .field("tag", &self.tag)
            .field("ready", &self.ready)
            .field("state", &self.state)
            .field("deadlines", &self.deadlines)
            .field("unread", &self.input)
            .field("unwritten", &(self.out.len() - self.sent))
            .finish_non_exhaustive()
    }
}

/// What becomes of a connection after it was driven.
#[derive(Debug)]
pub(crate) enum After {
    Keep,
    /// There is more to do; others first.
    Again,
    /// What is to be written may wait for more, until then.
    Linger(Moment),
    /// It is over: `opened`, and why.
    Closed(bool, Reason),
}

/// So many bytes are read from one connection before the others get their turn.
const BUDGET: usize = 256 << 10;
/// The shared buffer for reading.
const READ: usize = 64 << 10;
/// How long a peer may go on sending after we are done with it, and how much.
const LEAVING: std::time::Duration = std::time::Duration::from_secs(1);
/// So much waits for another look at the socket, and no more.
const LINGER: usize = 16 << 10;

impl<P: Protocol> Connection<P> {
    pub(crate) fn new(transport: Transport, tag: u64, generation: u32, deadline: Moment) -> Self {
        Self {
            transport,
            tag,
            generation,
            ready: Ready { woken: true, ..Ready::default() },
            listed: false,
            state: State::Connecting,
            deadlines: Deadlines::new(deadline),
            input: Buffer::default(),
            need: 0,
            out: Vec::new(),
            sent: 0,
            question: 0,
        }
    }

    pub(crate) fn protocol(&mut self) -> Option<(&mut P, &mut Vec<u8>)> {
        match &mut self.state {
            State::Open(protocol) => Some((protocol, &mut self.out)),
            _ => None,
        }
    }

    /// Gives an exchange up. `false`: only closing the connection does that.
    pub(crate) fn cancel(&mut self, id: ExchangeId) -> bool {
        match &mut self.state {
            State::Open(protocol) => protocol.cancel(id, &mut self.out),
            // What it has to say about that would leave in plain text.
            #[cfg(feature = "tls")]
            State::Upgrading(upgrade) => {
                let mut unsaid = Vec::new();
                upgrade.protocol.cancel(id, &mut unsaid) && unsaid.is_empty()
            }
            _ => true,
        }
    }

    /// The owner has something for the handler to do.
    pub(crate) fn wake(&mut self) {
        self.ready.woken = true;
    }

    /// Asks the peer for a sign of life, if the protocol can. Not while it has not answered, or not even got, the last
    /// question: they would pile up.
    pub(crate) fn ping(&mut self) {
        if self.ready.asked || self.question > 0 {
            return;
        }
        let State::Open(protocol) = &mut self.state else { return };
        let before = self.out.len();
        protocol.ping(&mut self.out);
        if self.out.len() > before {
            self.ready.asked = true;
            self.question = self.out.len();
        }
    }

    /// Whatever paused the machine may be over.
    pub(crate) fn unpause(&mut self) {
        self.ready.paused = false;
        self.ready.told = true;
        self.need = 0;
    }

    /// Its deadline has passed: whether that is its end. The handler may know better.
    pub(crate) fn is_over<H: Handler<P>>(&mut self, at: At, handler: &mut H) -> bool {
        let State::Open(protocol) = &mut self.state else { return true };
        let (out, deadlines) = (&mut self.out, &mut self.deadlines);
        let mut sender = Sender { protocol, out, deadlines, now: at.now, sent: false, close: false, linger: None };
        let over = handler.on_deadline(at, &mut sender);
        self.ready.told = true;
        over || sender.close || self.deadlines.phase <= at.now
    }

    /// Until when it waits for more before it writes, if it does.
    fn lingers(&self, now: Moment) -> Option<Moment> {
        match self.ready.linger {
            Linger::No => None,
            Linger::May(most) => Some(now + most),
            Linger::Until(until) => (now < until).then_some(until),
        }
    }

    /// Until when it waits for more before it writes, since it was driven last.
    pub(crate) fn lingers_until(&self) -> Option<Moment> {
        match self.ready.linger {
            Linger::Until(until) => Some(until),
            _ => None,
        }
    }

    /// Does everything that can be done now.
    pub(crate) fn drive<H: Handler<P>>(&mut self, at: At, handler: &mut H, lent: &mut Lent) -> After {
        match self.state {
            State::Open(_) => {}
            State::Leaving { .. } => return self.leave(at, lent),
            _ => match self.open(at, handler, lent) {
                Ok(true) => {}
                Ok(false) => return After::Keep,
                Err(reason) => {
                    let (opened, reason) = self.abort(at, handler, reason);
                    return After::Closed(opened, reason);
                }
            },
        }
        let mut out = mem::take(&mut self.out);
        if out.capacity() == 0 {
            out = lent.take_out();
        }
        let mut result = self.work(at, handler, &mut out, lent);
        // What is left to say when the machine is done is a goodbye, and the peer must be able to hear it.
        let goodbye = result.is_err() && (!out.is_empty() || self.transport.is_pending());
        if matches!(result, Ok(After::Keep))
            && !out.is_empty()
            && out.len() < LINGER
            && let Some(until) = self.lingers(at.now)
        {
            self.ready.linger = Linger::Until(until);
            self.out = out;
            return After::Linger(until);
        }
        self.ready.linger = Linger::No;
        let full = out.len() >= HIGH_WATER;
        let written = self.write(at, &mut out, lent);
        if let Err(error) = &written {
            out.clear();
            self.sent = 0;
            if result.is_ok() {
                result = Err(self.last_words(at, handler, &mut out, lent, error));
                out.clear();
            }
        }
        if out.is_empty() {
            lent.give_back(out);
        } else {
            self.out = out;
        }
        match result {
            // What had no room before it was written has room now, and no readiness will tell.
            Ok(After::Keep) if full && self.out.len() < HIGH_WATER => After::Again,
            Ok(after) => after,
            Err(reason) => {
                let (opened, reason) = self.abort(at, handler, reason);
                if written.is_err() {
                    return After::Closed(opened, reason);
                }
                if !goodbye {
                    // TLS has a word to say even then, for which a full socket has no room.
                    self.transport.goodbye();
                    if !self.transport.is_pending() {
                        return After::Closed(opened, reason);
                    }
                    self.ready.writable = false;
                }
                self.state = State::Leaving { reason, opened, finished: false };
                self.deadlines.leave(at.now + LEAVING);
                self.leave(at, lent)
            }
        }
    }

    fn open<H: Handler<P>>(&mut self, at: At, handler: &mut H, lent: &mut Lent) -> Result<bool, Reason> {
        if matches!(self.state, State::Connecting) {
            if !self.transport.is_connected().map_err(Reason::Io)? {
                return Ok(false);
            }
            self.state = State::Handshaking;
            #[cfg(feature = "tls")]
            if self.transport.has_tls() {
                self.deadlines.phase = self.deadlines.phase.min(handler.tls_begins(at));
            }
        }
        #[cfg(feature = "tls")]
        if !self.begin_upgrade(at, lent)? {
            return Ok(false);
        }
        if !self.transport.handshake(&mut lent.transport).map_err(Reason::of_handshake)? {
            return Ok(false);
        }
        // The handshake may have read more than was its own, and no readiness will tell of that.
        self.ready.readable = true;
        let established = self.transport.established();
        let mut protocol = match mem::replace(&mut self.state, State::Connecting) {
            #[cfg(feature = "tls")]
            State::Upgrading(upgrade) => {
                self.deadlines.phase = upgrade.phase;
                upgrade.protocol
            }
            _ => {
                self.deadlines.phase = Moment::NEVER;
                handler.connected(at, established)
            }
        };
        protocol.connected(established, &mut self.out);
        self.state = State::Open(protocol);
        Ok(true)
    }

    /// The socket was accepted and needs no connecting.
    pub(crate) fn accepted(&mut self) {
        self.state = State::Handshaking;
        (self.ready.readable, self.ready.writable) = (true, true);
    }

    /// Reads, lets the handler send, and again, until there is nothing to do or it is the turn of others.
    fn work<H: Handler<P>>(
        &mut self,
        at: At,
        handler: &mut H,
        out: &mut Vec<u8>,
        lent: &mut Lent,
    ) -> Result<After, Reason> {
        let mut budget = BUDGET;
        let mut look = mem::take(&mut self.ready.told) || !self.input.is_empty() || self.ready.eof;
        loop {
            if look && !self.ready.paused {
                self.receive_unread(at, handler, out)?;
            }
            while self.ready.readable && !self.ready.paused && budget > 0 && self.is_open() {
                self.read(at, handler, out, lent, &mut budget)?;
            }
            if !self.is_open() {
                return Ok(After::Again);
            }
            // After sending, the machine is asked again: it may want now what it did not want before, or be done.
            look = self.send(at, handler, out)?;
            if look {
                self.ready.paused = false;
                self.need = 0;
            }
            let readable = self.ready.readable && !self.ready.paused;
            if budget == 0 && (readable || look) {
                return Ok(After::Again);
            }
            if !look && !readable {
                return Ok(After::Keep);
            }
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// One read from the socket, and all events in it.
    fn read<H: Handler<P>>(
        &mut self,
        at: At,
        handler: &mut H,
        out: &mut Vec<u8>,
        lent: &mut Lent,
        budget: &mut usize,
    ) -> Result<(), Reason> {
        let direct = self.input.is_empty();
        let room = if direct {
            &mut lent.read[..]
        } else {
            // Never more than what came already: a peer's number alone reserves nothing.
            let unread = self.input.unread().len();
            self.input.room(self.need.saturating_sub(unread).min(unread.max(READ)))
        };
        let (bytes, drained) = match self.transport.fill(room, &mut lent.transport).map_err(Reason::of_read)? {
            Filled::Empty => {
                self.ready.readable = false;
                return Ok(());
            }
            Filled::Eof => {
                (self.ready.eof, self.ready.readable) = (true, false);
                self.need = 0;
                return self.receive_unread(at, handler, out);
            }
            Filled::Bytes { count, drained } => (count, drained),
        };
        self.deadlines.touch(at.now);
        self.ready.asked = false;
        // After a read that brought nothing it is the turn of others, so that nobody can make us read for ever.
        *budget = if bytes > 0 { budget.saturating_sub(bytes) } else { 0 };
        // When the peer has ended the stream, the end must be read.
        if drained && !self.ready.read_closed {
            self.ready.readable = false;
        }
        if bytes == 0 {
            return Ok(());
        }
        if direct {
            let mut used = 0;
            let Self { state, transport, need, .. } = self;
            let stop = receive(state, transport, at, handler, &lent.read[..bytes], false, &mut used, out, need);
            if used < bytes {
                self.input.push(&lent.read[used..bytes]);
            }
            self.stopped(at, handler, stop)
        } else {
            self.input.filled(bytes);
            self.receive_unread(at, handler, out)
        }
    }

    /// All events in what is unread.
    fn receive_unread<H: Handler<P>>(&mut self, at: At, handler: &mut H, out: &mut Vec<u8>) -> Result<(), Reason> {
        let unread = self.input.unread();
        if unread.len() < self.need {
            return Ok(());
        }
        let mut used = 0;
        let Self { state, transport, need, .. } = self;
        let stop = receive(state, transport, at, handler, unread, self.ready.eof, &mut used, out, need);
        self.input.consume(used);
        self.stopped(at, handler, stop)
    }

    fn stopped<H: Handler<P>>(&mut self, at: At, handler: &mut H, stop: Stop) -> Result<(), Reason> {
        match stop {
            Stop::NeedData if self.ready.eof => Err(Reason::Ended),
            Stop::NeedData => Ok(()),
            Stop::Paused => {
                self.ready.paused = true;
                Ok(())
            }
            #[cfg(feature = "tls")]
            Stop::StartTls => self.upgrade(at, handler),
            #[cfg(not(feature = "tls"))]
            Stop::StartTls => {
                let _ = (at, handler);
                let words = "the protocol goes on inside TLS, which was left out of this program (feature `tls`)";
                Err(Reason::Io(io::Error::new(io::ErrorKind::Unsupported, words)))
            }
            Stop::Closed(reason) => Err(reason),
        }
    }

    /// Lets the handler send, requests first. Returns whether anything was sent.
    fn send<H: Handler<P>>(&mut self, at: At, handler: &mut H, out: &mut Vec<u8>) -> Result<bool, Reason> {
        let State::Open(protocol) = &mut self.state else { return Ok(false) };
        let mut sent = false;
        if out.len() < HIGH_WATER && (mem::take(&mut self.ready.woken) || protocol.slots() > 0) {
            let deadlines = &mut self.deadlines;
            let mut sender = Sender { protocol, out, deadlines, now: at.now, sent: false, close: false, linger: None };
            handler.pull(at, &mut sender);
            sent = sender.sent;
            if let (Linger::No, Some(most)) = (self.ready.linger, sender.linger) {
                self.ready.linger = Linger::May(most);
            }
            if sender.close {
                return Err(Reason::Owner);
            }
        }
        while out.len() < HIGH_WATER
            && let Some((id, room)) = protocol.wants_data()
        {
            let room = room.min(HIGH_WATER - out.len());
            let refused = match handler.chunk(at, id, room) {
                Chunk::Data { bytes, last } => {
                    sent = true;
                    protocol.send_data(id, bytes, last, out).err()
                }
                Chunk::Trailers(trailers) => {
                    sent = true;
                    protocol.send_trailers(id, trailers, out).err()
                }
                Chunk::Later => {
                    protocol.stall(id);
                    None
                }
                Chunk::Failed => Some(Refused::Misuse("the source of the body failed")),
            };
            if let Some(refused) = refused {
                let reason = Reason::Body(refused);
                let close = !protocol.cancel(id, out);
                handler.on_failed(at, id, &reason, Replay::Unknown);
                if close {
                    return Err(reason);
                }
            }
        }
        Ok(sent)
    }

    fn write(&mut self, at: At, out: &mut Vec<u8>, lent: &mut Lent) -> io::Result<()> {
        if (out.is_empty() && !self.transport.is_pending()) || !self.ready.writable {
            return Ok(());
        }
        let before = self.transport.pending();
        let sent = self.transport.flush(&out[self.sent..], &mut lent.transport)?;
        // On a slow way, what was taken long ago may leave in crumbs while nothing more is taken. And who is asked for a
        // sign of life must give one: that we can write says nothing of the peer.
        if (sent > 0 || self.transport.pending() < before) && !self.ready.asked {
            self.deadlines.touch(at.now);
        }
        self.sent += sent;
        if self.sent >= self.question {
            self.question = 0;
        }
        self.ready.writable = self.sent == out.len() && !self.transport.is_pending();
        self.forget_sent(out);
        Ok(())
    }

    /// Gives up what was written: at once when that is all, else when it is the larger part, so that a long body on a
    /// slow connection is not moved again and again.
    fn forget_sent(&mut self, out: &mut Vec<u8>) {
        if self.sent == out.len() {
            out.clear();
            self.sent = 0;
        } else if self.sent > out.len() / 2 {
            out.drain(..self.sent);
            self.question = self.question.saturating_sub(self.sent);
            self.sent = 0;
        }
    }
}
