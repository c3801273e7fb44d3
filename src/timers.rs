//! When connections must be looked at although nothing happened on them. Owns no deadline: each connection keeps its own
//! as a plain number, moves it as it likes, and only what became *earlier* than the alarm that is set for it costs more
//! than a store. Reads no clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::reactor::Key;
use crate::time::Moment;

/// Alarms, each of which may be stale: whoever is woken compares with the deadline that it keeps.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    heap: BinaryHeap<Reverse<(Moment, Key)>>,
}

impl Alarms {
    /// Wakes `key` at `due`, beside all alarms that it has.
    pub(crate) fn set(&mut self, due: Moment, key: Key) {
        self.heap.push(Reverse((due, key)));
    }

    /// The next alarm.
    pub(crate) fn next(&self) -> Moment {
        self.heap.peek().map_or(Moment::NEVER, |Reverse((due, _))| *due)
    }

    /// Takes an alarm that is due.
    pub(crate) fn pop(&mut self, now: Moment) -> Option<(Moment, Key)> {
        if self.next() > now {
            return None;
        }
        self.heap.pop().map(|Reverse(alarm)| alarm)
    }
}

/// The two deadlines of a connection, and the alarm that is set for the earlier of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// When the phase it is in must be over.
    pub(crate) phase: Moment,
    /// When it was silent for too long.
    silent: Moment,
    /// How long it may be silent, in milliseconds; 0: for ever.
    silence: u32,
    /// The earliest alarm that is set.
    alarm: Moment,
}

/// Which deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    Phase,
    Silence,
}

impl Deadlines {
    pub(crate) fn new(phase: Moment) -> Self {
        Self { phase, silent: Moment::NEVER, silence: 0, alarm: Moment::NEVER }
    }

    /// How long it may be silent, from `now` on where that is not what held already: saying it again is no sign of life.
    pub(crate) fn set_silence(&mut self, silence: Option<std::time::Duration>, now: Moment) {
        // Less than a millisecond is a millisecond, more than 49 days are 49 days.
        let millis = silence.map_or(0, |s| u32::try_from(s.as_millis()).unwrap_or(u32::MAX).max(1));
        if millis != self.silence {
            self.silence = millis;
            self.touch(now);
        }
    }

    /// Something was read or written.
    pub(crate) fn touch(&mut self, now: Moment) {
        self.silent = match self.silence {
            0 => Moment::NEVER,
            millis => Moment::from_nanos(now.as_nanos() + u64::from(millis) * 1_000_000),
        };
    }

    /// Nothing but this deadline counts any more.
    pub(crate) fn leave(&mut self, until: Moment) {
        (self.phase, self.silence, self.silent) = (until, 0, Moment::NEVER);
    }

    fn next(&self) -> Moment {
        self.phase.min(self.silent)
    }

    /// Makes sure that an alarm is set that is not too late.
    pub(crate) fn arm(&mut self, alarms: &mut Alarms, key: Key) {
        let next = self.next();
        if next < self.alarm {
            alarms.set(next, key);
            self.alarm = next;
        }
    }

    /// An alarm rang. Sets the next one when it was too early, and says nothing when it was stale.
    pub(crate) fn ring(&mut self, due: Moment, now: Moment, alarms: &mut Alarms, key: Key) -> Option<Missed> {
        if due != self.alarm {
            return None;
        }
        self.alarm = Moment::NEVER;
        if self.next() > now {
            self.arm(alarms, key);
            return None;
        }
        Some(if self.phase <= now { Missed::Phase } else { Missed::Silence })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn ring_all(deadlines: &mut Deadlines, alarms: &mut Alarms, now: Moment) -> Vec<Missed> {
        let mut missed = Vec::new();
        while let Some((due, key)) = alarms.pop(now) {
            missed.extend(deadlines.ring(due, now, alarms, key));
        }
        missed
    }

    #[test]
    fn a_deadline_that_moves_later_costs_one_alarm_per_interval() {
        let (mut alarms, key) = (Alarms::default(), Key::new(0, 0));
        let mut deadlines = Deadlines::new(Moment::NEVER);
        deadlines.set_silence(Some(Duration::from_millis(100)), at(0));
        for millis in 0..1_000 {
            deadlines.touch(at(millis));
            deadlines.arm(&mut alarms, key);
            assert_eq!(ring_all(&mut deadlines, &mut alarms, at(millis)), []);
            assert!(alarms.heap.len() <= 1);
        }
        assert_eq!(ring_all(&mut deadlines, &mut alarms, at(1_098)), []);
        assert_eq!(ring_all(&mut deadlines, &mut alarms, at(1_099)), [Missed::Silence]);
    }

    #[test]
    fn a_deadline_that_moves_earlier_rings_once_and_in_time() {
        let (mut alarms, key) = (Alarms::default(), Key::new(0, 0));
        let mut deadlines = Deadlines::new(at(1_000));
        deadlines.arm(&mut alarms, key);
        deadlines.phase = at(10);
        deadlines.arm(&mut alarms, key);
        assert_eq!(alarms.next(), at(10));
        assert_eq!(ring_all(&mut deadlines, &mut alarms, at(10)), [Missed::Phase]);
        deadlines.phase = Moment::NEVER;
        assert_eq!(ring_all(&mut deadlines, &mut alarms, at(2_000)), []);
    }
}
