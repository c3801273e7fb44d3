//! The loop: a poll, a slab of connections, a list of those that have more to do, alarms, and a waker. Knows no protocol
//! and no message; everything about those goes through [`Handler`].
//!
//! One turn waits for readiness once, drives every connection that is ready (reading, letting the handler send, writing),
//! then those on the list, then those whose deadline has passed. Nothing is registered twice but a unix socket that was
//! full, and nothing is scanned.
//!
//! A protocol of your own needs [`Protocol`], [`Handler`] and this: see `examples/own_protocol.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aquests_protocols::{ExchangeId, Protocol};
use mio::{Events, Poll, Token};
use slab::Slab;

use crate::connection::{After, Connection, Lent};
pub use crate::handler::{At, Chunk, Flow, Handler, Sender};
pub use crate::listener::Listener;
use crate::listener::Listeners;
use crate::precise::Alarm;
pub use crate::reason::Reason;
pub use crate::time::Moment;
use crate::timers::{Alarms, Missed};
pub use crate::transport::Address;
use crate::transport::Transport;
#[cfg(feature = "tls")]
pub use crate::transport::{ServerTls, Tls, TlsSettings, TlsVersion};

/// The name of a connection: its place in the slab, and a generation, so that what is late hits nobody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u64);

impl Key {
    pub(crate) fn new(index: usize, generation: u32) -> Self {
        debug_assert!(index <= u32::MAX as usize);
        Key(u64::from(generation) << 32 | index as u64)
    }

    /// Its place: a small number, which another connection gets when this one is gone.
    pub fn index(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// As a number, for logs.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}.{})", self.index(), self.generation())
    }
}

/// Connections that speak `P`, and the loop that drives them.
#[derive(Debug)]
pub struct Reactor<P> {
    poll: Poll,
    events: Events,
    inner: Inner<P>,
    listeners: Listeners,
    alarm: Alarm,
    waker: Waker,
    /// Guests that became ready.
    guests: Vec<usize>,
}

/// What is borrowed while events are looked at.
#[derive(Debug)]
struct Inner<P> {
    connections: Slab<Connection<P>>,
    /// Connections that have more to do although no readiness will be told.
    list: VecDeque<Key>,
    /// Connections that wait for more before they write, and until when. Those that wrote leave their entries behind.
    lingering: VecDeque<(Moment, Key)>,
    alarms: Alarms,
    lent: Lent,
    generation: u32,
    start: Instant,
    now: Moment,
    /// Connections that wait for other readiness than before.
    changed: Vec<Key>,
    /// Connections driven since the clock was read.
    driven: u32,
}

/// Wakes a reactor out of its turn, from any thread. A wake-up is never lost: one that comes between two turns ends the
/// next at once.
#[derive(Clone, Debug)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Ends the turn that waits, or the next one.
    pub fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }
}

// Tokens are keys. No connection has this generation: it names what else can be ready.
const SPECIAL: u32 = u32::MAX;
const WAKER: usize = 0;
const ALARM: usize = 1;
const LISTENER: usize = 2;
/// From here on: sockets of the owner, which the reactor carries and does not know.
const GUEST: usize = 1 << 24;
const _: () = assert!(usize::BITS == 64, "a token holds an index and a generation");

/// Readiness that one turn takes at most.
const EVENTS: usize = 1024;
/// How long a peer that was accepted may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The clock is read again after so many connections, so that a long turn does not falsify times.
const CLOCK: u32 = 32;

fn special(number: usize) -> Token {
    Token(Key::new(number, SPECIAL).0 as usize)
}

/// The token under which an owner registers a socket of its own at [`Reactor::registry`].
#[allow(dead_code, reason = "not every set of features has an owner with sockets")]
pub(crate) fn guest(number: usize) -> Token {
    special(GUEST + number)
}

/// Undoes [`guest`].
pub(crate) fn guest_number(token: Token) -> Option<usize> {
    let key = Key(token.0 as u64);
    if key.generation() == SPECIAL { key.index().checked_sub(GUEST) } else { None }
}

impl<P: Protocol> Reactor<P> {
    /// An empty reactor.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker(Arc::new(mio::Waker::new(poll.registry(), special(WAKER))?));
        let alarm = Alarm::new(poll.registry(), special(ALARM))?;
        let inner = Inner {
            connections: Slab::new(),
            list: VecDeque::new(),
            lingering: VecDeque::new(),
            alarms: Alarms::default(),
            lent: Lent::default(),
            generation: 0,
            start: Instant::now(),
            now: Moment::START,
            changed: Vec::new(),
            driven: 0,
        };
        let events = Events::with_capacity(EVENTS);
        Ok(Self { poll, events, inner, listeners: Listeners::default(), alarm, waker, guests: Vec::new() })
    }

    /// Begins to connect. The outcome is told by [`Handler::connected`] or [`Handler::on_closed`]; an error here means
    /// that the system refused at once and the handler hears nothing. `tag` comes back with every event.
    pub fn connect(&mut self, address: &Address, tag: u64, deadline: Moment) -> io::Result<Key> {
        let transport = Transport::connect(address)?;
        self.begin(transport, tag, deadline)
    }

    /// The same, with TLS: the handshake is part of connecting, and under the same deadline.
    #[cfg(feature = "tls")]
    pub fn connect_tls(&mut self, address: &Address, tls: &Tls, tag: u64, deadline: Moment) -> io::Result<Key> {
        let mut transport = Transport::connect(address)?;
        transport.start_tls(tls)?;
        self.begin(transport, tag, deadline)
    }

    fn begin(&mut self, transport: Transport, tag: u64, deadline: Moment) -> io::Result<Key> {
        let key = self.inner.insert(self.poll.registry(), transport, tag, deadline)?;
        let connection = &mut self.inner.connections[key.index()];
        connection.deadlines.arm(&mut self.inner.alarms, key);
        if connection.transport.connects_at_once() {
            connection.ready.writable = true;
            self.inner.list(key);
        }
        Ok(key)
    }

    /// Accepts connections from now on. `tag` comes with every event of each of them.
    pub fn listen(&mut self, listener: Listener, tag: u64) -> io::Result<()> {
        let token = special(LISTENER + self.listeners.len());
        self.listeners.add(listener, tag, self.poll.registry(), token)
    }

    /// Accepts no more.
    pub fn stop_listening(&mut self) {
        self.listeners = Listeners::default();
    }

    /// Lets readiness gather: sleeps for this time before the next turn looks for it, unless there is something to do at
    /// once, or before. A [`Waker`] is heard only behind it.
    #[cfg_attr(not(feature = "load"), allow(dead_code))]
    pub(crate) fn rest(&mut self, time: Duration) {
        if time.is_zero() || !self.inner.list.is_empty() {
            return;
        }
        let due = self.inner.alarms.next().min(self.alarm.due).min(self.inner.next_lingering());
        let time = if due == Moment::NEVER { time } else { time.min(due.since(self.inner.now)) };
        if !time.is_zero() {
            std::thread::sleep(time);
        }
    }

    /// Waits for something to happen, at most for `timeout` (`None`: for ever), and deals with all that did. Deadlines
    /// end the wait by themselves.
    pub fn turn<H: Handler<P>>(&mut self, timeout: Option<Duration>, handler: &mut H) -> io::Result<()> {
        self.inner.read_clock();
        let wait = self.wait(timeout);
        match self.poll.poll(&mut self.events, wait) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        let inner = &mut self.inner;
        inner.read_clock();
        if self.alarm.due <= inner.now {
            self.alarm.due = Moment::NEVER;
        }
        // Those that were on the list before this turn, each once.
        let listed = inner.list.len();
        for event in &self.events {
            let key = Key(event.token().0 as u64);
            if key.generation() != SPECIAL {
                inner.ready(key, event, handler);
            } else if let Some(number) = guest_number(event.token()) {
                self.guests.push(number);
            } else if key.index() >= LISTENER {
                self.listeners.ready(key.index() - LISTENER);
            } else if key.index() == ALARM {
                self.alarm.rang();
            }
        }
        while let Some((stream, tag)) = self.listeners.accept() {
            inner.accept(self.poll.registry(), stream, tag);
        }
        for _ in 0..listed {
            let Some(key) = inner.list.pop_front() else { break };
            if let Some(connection) = inner.get(key) {
                connection.listed = false;
                inner.drive(key, handler);
            }
        }
        while inner.next_lingering() <= inner.now {
            if let Some((_, key)) = inner.lingering.pop_front() {
                inner.drive(key, handler);
            }
        }
        while let Some((due, key)) = inner.alarms.pop(inner.now) {
            inner.ring(due, key, handler);
        }
        while let Some(key) = inner.changed.pop() {
            inner.reregister(self.poll.registry(), key, handler);
        }
        Ok(())
    }

    /// Lets a connection pull: it may have been quiet because nothing was queued.
    pub fn wake(&mut self, key: Key) {
        if let Some(connection) = self.inner.get(key) {
            connection.wake();
        }
        self.inner.list(key);
    }

    /// Asks the peer for a sign of life, where the protocol can ([`Protocol::ping`]), unless it still owes one. Until something comes from it, what
    /// is written does not count as a sign of life either: see [`Sender::set_silence`].
    pub fn ping(&mut self, key: Key) {
        if let Some(connection) = self.inner.get(key) {
            connection.ping();
            self.inner.list(key);
        }
    }

    /// Undoes [`Flow::Hold`] or [`Chunk::Later`].
    pub fn resume(&mut self, key: Key, id: ExchangeId) {
        if let Some(connection) = self.inner.get(key) {
            connection.unpause();
            if let Some((protocol, out)) = connection.protocol() {
                protocol.resume(id, out);
            }
            self.inner.list(key);
        }
    }

    /// Undoes [`Chunk::Later`] and nothing else: what is held stays so, and the peer is granted nothing for it.
    pub fn unstall(&mut self, key: Key, id: ExchangeId) {
        if let Some((protocol, _)) = self.inner.get(key).and_then(Connection::protocol) {
            protocol.unstall(id);
            self.inner.list(key);
        }
    }

    /// Does between turns what [`Sender::set_silence`] does in one.
    pub fn set_silence(&mut self, key: Key, silence: Option<Duration>) {
        self.inner.read_clock();
        let now = self.inner.now;
        let Inner { connections, alarms, .. } = &mut self.inner;
        let connection = connections.get_mut(key.index()).filter(|found| found.generation == key.generation());
        if let Some(connection) = connection {
            connection.deadlines.set_silence(silence, now);
            connection.deadlines.arm(alarms, key);
        }
    }

    /// Gives an exchange up; it is not named again. The connection closes if that is the only way.
    pub fn cancel<H: Handler<P>>(&mut self, key: Key, id: ExchangeId, handler: &mut H) {
        let Some(connection) = self.inner.get(key) else { return };
        connection.unpause();
        if connection.cancel(id) {
            self.inner.list(key);
        } else {
            self.inner.close(key, Reason::Owner, handler);
        }
    }

    /// Closes a connection now, after the goodbye of its protocol if that can be written at once.
    pub fn close<H: Handler<P>>(&mut self, key: Key, handler: &mut H) {
        self.inner.farewell(key);
        self.inner.close(key, Reason::Owner, handler);
    }

    /// Ends a turn at this point in time, to the microsecond where the system can (Linux), else to the millisecond. It
    /// rings once, and there is one: the last call counts.
    pub fn set_alarm(&mut self, due: Moment) {
        self.alarm.due = due;
    }

    /// When [`turn`](Self::turn) should be called at the latest. Now, while connections have more to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        let now = self.inner.now;
        let accept = self.listeners.wait().map_or(Moment::NEVER, |wait| now + wait);
        let lingering = self.inner.lingering.front().map_or(Moment::NEVER, |(until, _)| *until);
        let alarms = self.inner.alarms.next().min(self.alarm.due).min(lingering);
        let due = if self.inner.list.is_empty() { alarms.min(accept) } else { now };
        (due != Moment::NEVER).then(|| self.inner.start + due.since(Moment::START))
    }

    /// The time, read from the clock.
    pub fn now(&mut self) -> Moment {
        self.inner.read_clock();
        self.inner.now
    }

    /// The point in time as others count it.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.inner.start + moment.since(Moment::START)
    }

    /// Connections of all states.
    pub fn len(&self) -> usize {
        self.inner.connections.len()
    }

    /// No connection at all.
    pub fn is_empty(&self) -> bool {
        self.inner.connections.is_empty()
    }

    /// Where sockets of the owner are registered, each under the token of a [`guest`]: their readiness ends a turn, and
    /// is told by [`Reactor::guests`]. The owner reads and writes them between turns.
    #[allow(dead_code, reason = "not every set of features has an owner with sockets")]
    pub(crate) fn registry(&self) -> &mio::Registry {
        self.poll.registry()
    }

    /// The numbers of the guests that became ready since the last call.
    #[allow(dead_code, reason = "not every set of features has an owner with sockets")]
    pub(crate) fn guests(&mut self) -> Vec<usize> {
        mem::take(&mut self.guests)
    }

    /// Wakes this reactor from other threads.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Option<Duration> {
        if !self.inner.list.is_empty() {
            return Some(Duration::ZERO);
        }
        let now = self.inner.now;
        let alarms = match self.inner.alarms.next() {
            Moment::NEVER => None,
            due => Some(due.since(now)),
        };
        let lingering = self.inner.next_lingering();
        [timeout, alarms, self.alarm.wait(lingering, now), self.listeners.wait()].into_iter().flatten().min()
    }
}

#[cfg(unix)]
impl<P> std::os::fd::AsFd for Reactor<P> {
    /// Readable when the kernel has something for this reactor: for use in another loop, together with
    /// [`Reactor::next_deadline`].
    #[allow(unsafe_code)]
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        use std::os::fd::{AsRawFd, BorrowedFd};
        // SAFETY: the descriptor is the poll's own, which lives as long as `self` and so as long as the borrow.
        unsafe { BorrowedFd::borrow_raw(self.poll.as_raw_fd()) }
    }
}

impl<P> Drop for Inner<P> {
    fn drop(&mut self) {
        for (_, connection) in &mut self.connections {
            connection.transport.goodbye();
        }
    }
}

impl<P: Protocol> Inner<P> {
    fn read_clock(&mut self) {
        self.now = Moment::START + self.start.elapsed();
        self.driven = 0;
    }

    fn insert(
        &mut self,
        registry: &mio::Registry,
        mut transport: Transport,
        tag: u64,
        deadline: Moment,
    ) -> io::Result<Key> {
        if self.connections.len() == self.connections.capacity() {
            // By a quarter and not to double: with many connections, what stands empty is most of what there is.
            self.connections.reserve_exact((self.connections.len() / 4).max(16));
        }
        let entry = self.connections.vacant_entry();
        let key = Key::new(entry.key(), self.generation);
        transport.register(registry, Token(key.0 as usize))?;
        entry.insert(Connection::new(transport, tag, self.generation, deadline));
        self.generation = (self.generation + 1) % SPECIAL;
        Ok(key)
    }

    fn get(&mut self, key: Key) -> Option<&mut Connection<P>> {
        self.connections.get_mut(key.index()).filter(|connection| connection.generation == key.generation())
    }

    /// When the next connection that lingers must write.
    fn next_lingering(&mut self) -> Moment {
        while let Some((until, key)) = self.lingering.front().copied() {
            if self.get(key).and_then(|connection| connection.lingers_until()) == Some(until) {
                return until;
            }
            self.lingering.pop_front();
        }
        Moment::NEVER
    }

    fn list(&mut self, key: Key) {
        if let Some(connection) = self.get(key)
            && !mem::replace(&mut connection.listed, true)
        {
            self.list.push_back(key);
        }
    }

    fn ready<H: Handler<P>>(&mut self, key: Key, event: &mio::event::Event, handler: &mut H) {
        let Some(connection) = self.get(key) else { return };
        let ready = &mut connection.ready;
        ready.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        ready.writable |= event.is_writable() || event.is_error();
        ready.read_closed |= event.is_read_closed() || event.is_error();
        self.drive(key, handler);
    }

    fn reregister<H: Handler<P>>(&mut self, registry: &mio::Registry, key: Key, handler: &mut H) {
        if let Some(connection) = self.get(key)
            && connection.transport.wants_reregistering()
            && let Err(error) = connection.transport.reregister(registry, Token(key.0 as usize))
        {
            self.close(key, Reason::Io(error), handler);
        }
    }

    fn accept(&mut self, registry: &mio::Registry, stream: Transport, tag: u64) {
        // Without a registration the peer sees a connection that closes, which is all that can be said here.
        if let Ok(key) = self.insert(registry, stream, tag, self.now + HANDSHAKE) {
            self.connections[key.index()].accepted();
            self.list(key);
        }
    }

    fn drive<H: Handler<P>>(&mut self, key: Key, handler: &mut H) {
        self.driven += 1;
        if self.driven > CLOCK {
            self.read_clock();
        }
        let now = self.now;
        let Some(connection) = self.connections.get_mut(key.index()) else { return };
        let at = At { key, tag: connection.tag, now };
        let after = connection.drive(at, handler, &mut self.lent);
        if connection.transport.wants_reregistering() {
            self.changed.push(key);
        }
        match after {
            After::Keep => connection.deadlines.arm(&mut self.alarms, key),
            After::Again => {
                connection.deadlines.arm(&mut self.alarms, key);
                self.list(key);
            }
            After::Linger(until) if until <= now => {
                connection.deadlines.arm(&mut self.alarms, key);
                self.list(key);
            }
            After::Linger(until) => {
                connection.deadlines.arm(&mut self.alarms, key);
                if self.lingering.back().is_none_or(|last| *last != (until, key)) {
                    self.lingering.push_back((until, key));
                }
            }
            After::Closed(opened, reason) => self.remove(at, opened, &reason, handler),
        }
    }

    fn ring<H: Handler<P>>(&mut self, due: Moment, key: Key, handler: &mut H) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(key.index()) else { return };
        if connection.generation != key.generation() {
            return;
        }
        match connection.deadlines.ring(due, now, &mut self.alarms, key) {
            None => {}
            Some(Missed::Phase) => {
                let at = At { key, tag: connection.tag, now };
                if connection.is_over(at, handler) {
                    self.close(key, Reason::Deadline, handler);
                } else {
                    self.list(key);
                }
            }
            Some(Missed::Silence) => self.close(key, Reason::Silent, handler),
        }
    }

    fn farewell(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key.index())
            && connection.generation == key.generation()
        {
            connection.farewell(&mut self.lent);
        }
    }

    fn close<H: Handler<P>>(&mut self, key: Key, reason: Reason, handler: &mut H) {
        let now = self.now;
        let Some(connection) = self.get(key) else { return };
        let at = At { key, tag: connection.tag, now };
        let (opened, reason) = connection.abort(at, handler, reason);
        self.remove(at, opened, &reason, handler);
    }

    fn remove<H: Handler<P>>(&mut self, at: At, opened: bool, reason: &Reason, handler: &mut H) {
        // The socket closes before the handler hears of it, so that it can open another under the same limit.
        let mut connection = self.connections.remove(at.key.index());
        connection.transport.goodbye();
        drop(connection);
        handler.on_closed(at, opened, reason);
    }
}
