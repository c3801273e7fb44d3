//! Requests in hand, from the queue to the outcome, in a slab whose names carry a generation: a queue entry or an event
//! that is late finds nobody.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use slab::Slab;

use super::RequestId;
use super::collected::Collected;
use super::download::Progress;
use super::errands::Errand;
use super::prepared::Prepared;
use crate::pool::Made;
use crate::protocols::ExchangeId;
use crate::reactor::{Key, Moment};
use crate::version::Version;

/// A request in hand.
pub(super) struct Exchange {
    generation: u32,
    pub(super) id: RequestId,
    pub(super) request: Prepared,
    pub(super) route: usize,
    /// The connection it was written to.
    pub(super) sent: Option<Sent>,
    pub(super) queued: Moment,
    /// How often it was sent before.
    pub(super) retries: u8,
    pub(super) collected: Collected,
    /// When all of it must be over.
    pub(super) total: Moment,
    pub(super) stage: Stage,
    /// When the stage must be over.
    due: Moment,
    /// What was left of its time when the program had nothing to send.
    suspended: Option<Duration>,
    /// The earliest alarm that is set for it.
    alarm: Moment,
    /// It asks for HTTP/2 in HTTP/1.1, or did: the server agreed.
    pub(super) upgrade: Upgrade,
    /// The client asks for itself: nobody waits for the outcome.
    pub(super) errand: Option<Errand>,
    /// Its server was asked to stop it: nothing of it is sent any more.
    #[cfg(feature = "postgres")]
    pub(super) stopped: bool,
    /// How often the server said that it is to be asked elsewhere, or otherwise.
    #[cfg(feature = "redis")]
    pub(super) detours: u8,
}

/// What an exchange has to do with a change of versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Upgrade {
    #[default]
    No,
    Asks,
    Agreed,
}

/// Where a request is on its way, as far as time limits go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    /// Its head is sent, and the server is to say whether it wants the body.
    Expecting,
    Sending,
    /// It was sent whole.
    Sent,
    /// The head of its answer came, and it was sent whole.
    Reading,
}

/// Alarms of exchanges, each of which may be stale: the exchange knows its deadlines.
pub(super) type Alarms = BinaryHeap<Reverse<(Moment, ExchangeId)>>;

impl Exchange {
    /// Begins a stage, which must be over at a point in time.
    pub(super) fn enter(&mut self, stage: Stage, due: Moment, id: ExchangeId, alarms: &mut Alarms) {
        (self.stage, self.due, self.suspended) = (stage, due, None);
        self.arm(id, alarms);
    }

    /// The time of the stage stops: it is the program that is waited for.
    pub(super) fn suspend(&mut self, now: Moment) {
        if self.due != Moment::NEVER {
            self.suspended = Some(self.due.since(now));
            self.due = Moment::NEVER;
        }
    }

    /// And it runs again.
    pub(super) fn go_on(&mut self, now: Moment, id: ExchangeId, alarms: &mut Alarms) {
        if let Some(left) = self.suspended.take() {
            self.due = now + left;
            self.arm(id, alarms);
        }
    }

    /// Makes sure that an alarm is set that is not too late.
    pub(super) fn arm(&mut self, id: ExchangeId, alarms: &mut Alarms) {
        let next = self.total.min(self.due);
        if next < self.alarm {
            alarms.push(Reverse((next, id)));
            self.alarm = next;
        }
    }

    /// An alarm rang: it is the one that counts. Another has to be set.
    pub(super) fn ring(&mut self, due: Moment) -> bool {
        let counts = self.counts(due);
        if counts {
            self.alarm = Moment::NEVER;
        }
        counts
    }

    /// The alarm is one that counts.
    pub(super) fn counts(&self, due: Moment) -> bool {
        self.alarm == due
    }

    /// Its stage has taken too long.
    pub(super) fn is_late(&self, now: Moment) -> bool {
        self.due <= now
    }

    /// How many times the program is waited for: to read on, to have more to send.
    pub(super) fn waits(&self) -> u32 {
        self.request.streams.as_ref().map_or(0, |streams| u32::from(streams.held) + u32::from(streams.stalled))
    }

    /// Nothing of it is to be sent any more.
    fn is_stopped(&self) -> bool {
        #[cfg(feature = "postgres")]
        return self.stopped;
        #[cfg(not(feature = "postgres"))]
        false
    }

    /// Makes it ready to be sent again from its start. `false`: something of it would be told twice, or is there only once,
    /// or it is to stop. A server that has begun to answer has acted on it, whatever it says.
    pub(super) fn restart(&mut self) -> bool {
        if self.collected.has_begun() || self.is_stopped() {
            return false;
        }
        let Some(streams) = &mut self.request.streams else {
            self.request.restart();
            return true;
        };
        if streams.upload.as_mut().is_some_and(|upload| !upload.rewind()) {
            return false;
        }
        (streams.held, streams.stalled) = (false, false);
        self.request.restart();
        true
    }

    /// Its place in queues: the older, the smaller. What the client asks for itself, others wait for.
    pub(super) fn age(&self) -> u64 {
        if self.errand.is_some() { 0 } else { self.id.0 }
    }

    /// What is known of how far it is.
    pub(super) fn progress(&self) -> Progress {
        let (sent, to_send) = self.request.sent();
        let (received, to_receive) = (self.collected.received, self.collected.announced());
        Progress { sent, to_send, received, to_receive }
    }

    /// Tells whoever wants to know.
    pub(super) fn tell_progress(&mut self) {
        if self.request.streams.as_ref().is_some_and(|streams| streams.progress.is_some()) {
            let progress = self.progress();
            if let Some(streams) = &mut self.request.streams
                && let Some(callback) = &mut streams.progress
            {
                callback(progress);
            }
        }
    }
}

/// What is known of an exchange that was written to a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) key: Key,
    pub(super) connection: usize,
    pub(super) at: Moment,
    pub(super) first_byte: Option<Moment>,
    pub(super) made: Made,
    /// What its connection speaks, where that does not show in the answer.
    pub(super) version: Option<Version>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Exchanges {
    slab: Slab<Exchange>,
    by_request: HashMap<RequestId, ExchangeId>,
    generation: u32,
}

impl Exchanges {
    /// How many there are, errands of the client itself not counted.
    pub(super) fn len(&self) -> usize {
        self.by_request.len()
    }

    pub(super) fn insert(&mut self, id: RequestId, request: Prepared, route: usize, now: Moment) -> ExchangeId {
        self.generation = self.generation.wrapping_add(1);
        let index = self.slab.insert(Exchange {
            generation: self.generation,
            id,
            request,
            route,
            sent: None,
            queued: now,
            retries: 0,
            collected: Collected::default(),
            total: Moment::NEVER,
            stage: Stage::Waiting,
            due: Moment::NEVER,
            suspended: None,
            alarm: Moment::NEVER,
            upgrade: Upgrade::No,
            errand: None,
            #[cfg(feature = "postgres")]
            stopped: false,
            #[cfg(feature = "redis")]
            detours: 0,
        });
        let exchange = ExchangeId(u64::from(self.generation) << 32 | index as u64);
        self.by_request.insert(id, exchange);
        exchange
    }

    /// Something that the client asks for itself.
    #[cfg(feature = "redis")]
    pub(super) fn insert_errand(&mut self, errand: Errand, request: Prepared, route: usize, now: Moment) -> ExchangeId {
        /// No request has this number.
        const NOBODY: RequestId = RequestId(u64::MAX);
        let exchange = self.insert(NOBODY, request, route, now);
        self.by_request.remove(&NOBODY);
        self.slab[index(exchange)].errand = Some(errand);
        exchange
    }

    pub(super) fn get(&mut self, id: ExchangeId) -> Option<&mut Exchange> {
        self.slab.get_mut(index(id)).filter(|exchange| u64::from(exchange.generation) == id.0 >> 32)
    }

    pub(super) fn peek(&self, id: RequestId) -> Option<&Exchange> {
        self.slab.get(index(self.of_request(id)?))
    }

    pub(super) fn remove(&mut self, id: ExchangeId) -> Option<Exchange> {
        self.get(id)?;
        let exchange = self.slab.remove(index(id));
        self.by_request.remove(&exchange.id);
        Some(exchange)
    }

    pub(super) fn of_request(&self, id: RequestId) -> Option<ExchangeId> {
        self.by_request.get(&id).copied()
    }

    /// Those that were written to a connection, in the order in which they were queued.
    #[cfg(feature = "postgres")]
    pub(super) fn on(&self, key: Key) -> Vec<ExchangeId> {
        let mut all: Vec<_> =
            self.slab.iter().filter(|(_, one)| one.sent.is_some_and(|sent| sent.key == key)).collect();
        all.sort_unstable_by_key(|(_, one)| one.id);
        all.into_iter().map(|(index, one)| ExchangeId(u64::from(one.generation) << 32 | index as u64)).collect()
    }

    pub(super) fn ids(&self) -> Vec<ExchangeId> {
        let mut ids: Vec<_> = self.by_request.iter().collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| *id).collect()
    }
}

fn index(id: ExchangeId) -> usize {
    (id.0 & u64::from(u32::MAX)) as usize
}
