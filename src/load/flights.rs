//! Requests on their way: a slab with generations, so that a late answer hits nobody, and for each connection a list in
//! the order of sending, so that the oldest is known. Looks into no message and reads no clock.

use crate::protocols::ExchangeId;
use crate::reactor::Moment;
#[cfg(feature = "postgres")]
use crate::report::Verdict;
use crate::version::Version;

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) start: Start,
    pub(super) sent: Moment,
    pub(super) line: u32,
    pub(super) status: u16,
    pub(super) version: Version,
    /// The code of the error that it was answered with.
    #[cfg(feature = "postgres")]
    code: [u8; 5],
    generation: u32,
    /// Neighbours in the list of the connection.
    older: u32,
    newer: u32,
}

/// When a request was meant to start, and how often a connection without any answer lost it before the server saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) intended: Moment,
    pub(super) lost: u8,
}

/// The requests of one connection, by age.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    oldest: u32,
    newest: u32,
}

const NONE: u32 = u32::MAX;

#[cfg(feature = "postgres")]
impl Flight {
    /// The server says that it was not done; the first word counts.
    pub(super) fn fails(&mut self, code: &[u8]) {
        if self.code == [0; 5] {
            self.code = *b"?    ";
            self.code.iter_mut().zip(code).for_each(|(to, byte)| *to = *byte);
        }
    }

    /// What the answer says.
    pub(super) fn verdict(&self) -> Verdict<'_> {
        match self.code {
            [0, ..] => Verdict::Ok,
            _ => Verdict::Error(std::str::from_utf8(&self.code).unwrap_or("?").trim_end()),
        }
    }
}

impl Queue {
    pub(super) const EMPTY: Queue = Queue { oldest: NONE, newest: NONE };
}

/// All requests on their way. Grows to the most that ever were.
#[derive(Debug, Default)]
pub(super) struct Flights {
    all: Vec<Flight>,
    free: Vec<u32>,
}

impl Flights {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len() - self.free.len()
    }

    /// A request leaves on a connection.
    pub(super) fn depart(
        &mut self,
        queue: &mut Queue,
        line: u32,
        start: Start,
        version: Version,
        now: Moment,
    ) -> ExchangeId {
        let mut flight = Flight {
            start,
            sent: now,
            line,
            status: 0,
            version,
            #[cfg(feature = "postgres")]
            code: [0; 5],
            generation: 0,
            older: queue.newest,
            newer: NONE,
        };
        let index = match self.free.pop() {
            Some(index) => {
                let place = &mut self.all[index as usize];
                flight.generation = place.generation;
                *place = flight;
                index
            }
            None => {
                self.all.push(flight);
                (self.all.len() - 1) as u32
            }
        };
        match queue.newest {
            NONE => queue.oldest = index,
            before => self.all[before as usize].newer = index,
        }
        queue.newest = index;
        ExchangeId(u64::from(flight.generation) << 32 | u64::from(index))
    }

    /// The request, if it is still on its way.
    pub(super) fn get_mut(&mut self, id: ExchangeId) -> Option<&mut Flight> {
        self.all.get_mut(id.0 as u32 as usize).filter(|flight| u64::from(flight.generation) == id.0 >> 32)
    }

    /// The request has its outcome: its place is free for another. `queue` is that of its connection.
    pub(super) fn land(&mut self, id: ExchangeId, queue: &mut Queue) -> Option<Flight> {
        let flight = self.get_mut(id)?;
        flight.generation = flight.generation.wrapping_add(1);
        let flight = *flight;
        match flight.older {
            NONE => queue.oldest = flight.newer,
            older => self.all[older as usize].newer = flight.newer,
        }
        match flight.newer {
            NONE => queue.newest = flight.older,
            newer => self.all[newer as usize].older = flight.older,
        }
        self.free.push(id.0 as u32);
        Some(flight)
    }

    /// The request of a connection that waits longest, by name.
    #[cfg(feature = "http2")]
    pub(super) fn first(&self, queue: &Queue) -> Option<ExchangeId> {
        let flight = self.all.get(queue.oldest as usize)?;
        Some(ExchangeId(u64::from(flight.generation) << 32 | u64::from(queue.oldest)))
    }

    /// The request of a connection that waits longest.
    pub(super) fn oldest(&self, queue: &Queue) -> Option<&Flight> {
        self.all.get(queue.oldest as usize)
    }

    /// The requests of a connection, the oldest first.
    pub(super) fn iter(&self, queue: &Queue) -> impl Iterator<Item = &Flight> {
        std::iter::successors(self.oldest(queue), |flight| self.all.get(flight.newer as usize))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn a_place_is_used_again_under_another_name_and_the_oldest_is_known() {
        let (mut flights, mut random) = (Flights::default(), fastrand::Rng::with_seed(11));
        let mut queues = [Queue::EMPTY; 3];
        let mut models: [VecDeque<(ExchangeId, Moment)>; 3] = Default::default();
        let mut gone = Vec::new();
        for step in 0..20_000 {
            let line = random.usize(..3);
            if random.bool() && models[line].len() < 20 {
                let now = Moment::from_nanos(step);
                let start = Start { intended: now, lost: 0 };
                let id = flights.depart(&mut queues[line], line as u32, start, Version::Http11, now);
                assert!(!gone.contains(&id) && models.iter().flatten().all(|(other, _)| *other != id));
                models[line].push_back((id, now));
            } else if !models[line].is_empty() {
                let at = random.usize(..models[line].len());
                let (id, sent) = models[line].remove(at).unwrap();
                let flight = flights.land(id, &mut queues[line]).unwrap();
                assert_eq!((flight.sent, flight.line), (sent, line as u32));
                assert!(flights.land(id, &mut queues[line]).is_none(), "nobody lands twice");
                gone.push(id);
                gone.drain(..gone.len().saturating_sub(100));
            }
            for (queue, model) in queues.iter().zip(&models) {
                assert!(flights.iter(queue).map(|flight| flight.sent).eq(model.iter().map(|(_, sent)| *sent)));
            }
            assert_eq!(flights.len(), models.iter().map(VecDeque::len).sum::<usize>());
        }
        assert!(flights.all.len() <= 60, "places are used again");
    }
}
