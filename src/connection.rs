//! One connection: a transport, a machine, what is unread and what is unwritten. `drive` is the only caller of
//! `Protocol`. It knows no other connection and no poll; what it cannot do now it tells the reactor.

use std::{fmt, io, mem};

use aquests_protocols::{Error, Event, ExchangeId, Input, Protocol, Refused, Replay};

use crate::buffer::Buffer;
use crate::handler::{At, Chunk, Flow, HIGH_WATER, Handler, Sender};
use crate::reactor::Reason;
use crate::time::Moment;
use crate::timers::Deadlines;
#[cfg(feature = "tls")]
use crate::transport::Tls;
use crate::transport::{self, Filled, Transport};

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

/// On the way from plain text to TLS.
#[cfg(feature = "tls")]
#[derive(Debug)]
struct Upgrade<P> {
    protocol: P,
    /// How to begin, until it has begun: what was said before must be written first.
    tls: Option<Tls>,
    /// The deadline of the phase that was interrupted.
    phase: Moment,
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
    /// What is in `out` may wait for one more look at the socket.
    linger: Linger,
    /// A sign of life was asked for, and nothing came since.
    asked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Linger {
    #[default]
    No,
    May,
    Did,
}

/// What all connections of a reactor lend from it: one at a time needs them.
pub(crate) struct Lent {
    read: Box<[u8]>,
    /// Empty buffers to write to. A connection keeps the one it was lent for as long as something is in it.
    outs: Vec<Vec<u8>>,
    transport: transport::Lent,
}

impl Default for Lent {
    fn default() -> Self {
        Self { read: vec![0; READ].into_boxed_slice(), outs: Vec::new(), transport: Default::default() }
    }
}

impl Lent {
    fn take_out(&mut self) -> Vec<u8> {
        self.outs.pop().unwrap_or_else(|| Vec::with_capacity(4 << 10))
    }

    fn give_back(&mut self, out: Vec<u8>) {
        /// Small ones that are kept; of large ones, the first.
        const SPARE: usize = 256;
        let most = if self.outs.is_empty() { KEEP } else { LINGER };
        if out.capacity() <= most && self.outs.len() < SPARE {
            self.outs.push(out);
        }
    }
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

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}

/// What becomes of a connection after it was driven.
#[derive(Debug)]
pub(crate) enum After {
    Keep,
    /// There is more to do; others first.
    Again,
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
/// A shared buffer that a large request made larger than this is given back.
const KEEP: usize = 1 << 20;

/// Why the loop over events stopped.
enum Stop {
    NeedData,
    Paused,
    StartTls,
    Closed(Reason),
}

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
        }
    }

    pub(crate) fn protocol(&mut self) -> Option<(&mut P, &mut Vec<u8>)> {
        match &mut self.state {
            State::Open(protocol) => Some((protocol, &mut self.out)),
            _ => None,
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

    /// Asks the peer for a sign of life, if the protocol can.
    pub(crate) fn ping(&mut self) {
        let State::Open(protocol) = &mut self.state else { return };
        let before = self.out.len();
        protocol.ping(&mut self.out);
        self.ready.asked |= self.out.len() > before;
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
        let mut sender = Sender { protocol, out, deadlines, now: at.now, sent: false, close: false, linger: false };
        let over = handler.on_deadline(at, &mut sender);
        self.ready.told = true;
        over || sender.close || self.deadlines.phase <= at.now
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
        if self.ready.linger == Linger::May
            && matches!(result, Ok(After::Keep))
            && !out.is_empty()
            && out.len() < LINGER
        {
            self.ready.linger = Linger::Did;
            self.out = out;
            return After::Again;
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

    /// A write failed. The peer may have said why before it hung up: what it sent is read before the connection closes.
    fn last_words<H: Handler<P>>(
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

    /// The machine wants TLS from here on.
    #[cfg(feature = "tls")]
    fn upgrade<H: Handler<P>>(&mut self, at: At, handler: &mut H) -> Result<(), Reason> {
        let unread = self.input.unread().len();
        if unread > 0 {
            // RFC 3207 §5 and CVE-2021-23222: who is on the way could say, in plain text, what would pass for the
            // peer's word under TLS.
            let words =
                format!("{unread} bytes of plain text came where TLS was to begin: somebody may have put them in");
            return Err(Reason::Tls(io::Error::new(io::ErrorKind::InvalidData, words)));
        }
        let Some((tls, deadline)) = handler.start_tls(at) else {
            let words = "the protocol goes on inside TLS, for which nobody gave settings";
            return Err(Reason::Io(io::Error::new(io::ErrorKind::Unsupported, words)));
        };
        let phase = self.deadlines.phase;
        self.deadlines.phase = phase.min(deadline);
        self.need = 0;
        self.state = match mem::replace(&mut self.state, State::Connecting) {
            State::Open(protocol) => State::Upgrading(Box::new(Upgrade { protocol, tls: Some(tls), phase })),
            other => other,
        };
        Ok(())
    }

    /// Begins TLS in mid-connection when everything that was said before is written. `false`: it is not.
    #[cfg(feature = "tls")]
    fn begin_upgrade(&mut self, at: At, lent: &mut Lent) -> Result<bool, Reason> {
        let State::Upgrading(upgrade) = &mut self.state else { return Ok(true) };
        if upgrade.tls.is_none() {
            return Ok(true);
        }
        let mut out = mem::take(&mut self.out);
        let written = self.write(at, &mut out, lent);
        self.out = out;
        written.map_err(Reason::Io)?;
        if !self.out.is_empty() {
            return Ok(false);
        }
        let State::Upgrading(upgrade) = &mut self.state else { return Ok(true) };
        match upgrade.tls.take() {
            Some(tls) => self.transport.start_tls(&tls).map_err(Reason::Tls).map(|()| true),
            None => Ok(true),
        }
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
            let mut sender = Sender { protocol, out, deadlines, now: at.now, sent: false, close: false, linger: false };
            handler.pull(at, &mut sender);
            sent = sender.sent;
            if sender.linger && self.ready.linger == Linger::No {
                self.ready.linger = Linger::May;
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
        // On a slow way, what was taken long ago may leave in crumbs while nothing more is taken.
        let moved = sent > 0 || self.transport.pending() < before;
        // Who is asked for a sign of life must give one: that we can write says nothing of the peer.
        if moved && !self.ready.asked {
            self.deadlines.touch(at.now);
        }
        self.sent += sent;
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
            self.sent = 0;
        }
    }

    fn leave(&mut self, at: At, lent: &mut Lent) -> After {
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

/// What is to be done when the event, and with it the borrow of the machine, is gone.
enum Todo {
    Next,
    Hold(ExchangeId),
    Cancel(ExchangeId),
    Switch(ExchangeId),
    Stop(Stop),
}

/// Hands all events in `bytes` to the handler.
#[allow(clippy::too_many_arguments)] // These are parts of one connection, borrowed apart.
fn receive<P: Protocol, H: Handler<P>>(
    state: &mut State<P>,
    transport: &Transport,
    at: At,
    handler: &mut H,
    bytes: &[u8],
    eof: bool,
    used: &mut usize,
    out: &mut Vec<u8>,
    need: &mut usize,
) -> Stop {
    let State::Open(protocol) = state else { return Stop::NeedData };
    loop {
        let input = Input { bytes: &bytes[*used..], eof };
        // The event must be gone before the machine can be asked for anything else.
        let todo = {
            let (consumed, event) = match protocol.receive(input, out) {
                Ok(step) => step,
                Err(error) => return Stop::Closed(Reason::Protocol(error)),
            };
            *used += consumed;
            match event {
                Event::NeedData { at_least } => {
                    *need = at_least.max(bytes.len() - *used + 1);
                    Todo::Stop(Stop::NeedData)
                }
                Event::Progress => Todo::Next,
                Event::Paused => Todo::Stop(Stop::Paused),
                Event::Message { id, message, done } => match handler.on_message(at, Some(id), message, done) {
                    Flow::Hold if !done => Todo::Hold(id),
                    Flow::Cancel if !done => Todo::Cancel(id),
                    _ => Todo::Next,
                },
                Event::Push(message) => {
                    handler.on_message(at, None, message, true);
                    Todo::Next
                }
                Event::Failed { id, error, replay } => {
                    handler.on_failed(at, id, &Reason::Protocol(error), replay);
                    Todo::Next
                }
                Event::StartTls => Todo::Stop(Stop::StartTls),
                Event::Switched { id } => Todo::Switch(id),
                Event::Closed => Todo::Stop(Stop::Closed(Reason::Finished)),
            }
        };
        match todo {
            Todo::Next => {}
            Todo::Stop(stop) => return stop,
            Todo::Hold(id) => protocol.hold(id),
            Todo::Cancel(id) => {
                if !protocol.cancel(id, out) {
                    return Stop::Closed(Reason::Owner);
                }
            }
            Todo::Switch(id) => match handler.switched(at, id) {
                // The unread bytes stay where they are: they are the new machine's.
                Some(next) => {
                    *protocol = next;
                    protocol.connected(transport.established(), out);
                }
                None => return Stop::Closed(Reason::Finished),
            },
        }
    }
}

/// Tells the handler of every exchange that a machine leaves behind.
fn disown<P: Protocol, H: Handler<P>>(protocol: &mut P, at: At, handler: &mut H, reason: &Reason) {
    // The rule of the end, for all machines: what was open when the stream ended was cut off.
    const CUT_OFF: &Reason = &Reason::Protocol(Error::UnexpectedEof);
    while let Some((id, replay)) = protocol.unfinished() {
        handler.on_failed(at, id, if matches!(reason, Reason::Ended) { CUT_OFF } else { reason }, replay);
    }
}
