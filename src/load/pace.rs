//! When requests are meant to start. Reads no clock; works in whole requests from a start, so that nothing drifts.

use std::time::Duration;

use crate::reactor::Moment;

/// A constant rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    start: Moment,
    interval: f64,
    next: u64,
}

impl Pace {
    /// `rate` requests a second in all, shared by `threads` that take turns.
    pub(super) fn new(start: Moment, rate: f64, thread: usize, threads: usize) -> Self {
        let start = start + Duration::from_secs_f64(thread as f64 / rate);
        Self { start, interval: 1e9 * threads as f64 / rate, next: 0 }
    }

    /// When the next request is meant to start.
    pub(super) fn next(&self) -> Moment {
        self.start + Duration::from_nanos((self.next as f64 * self.interval) as u64)
    }

    /// It started.
    pub(super) fn advance(&mut self) {
        self.next += 1;
    }

    /// Leaves out what was meant to start before `moment` and did not.
    pub(super) fn skip_to(&mut self, moment: Moment) {
        if self.next() < moment {
            self.next += (moment.since(self.next()).as_nanos() as f64 / self.interval).ceil() as u64;
        }
    }

    /// How many are due, at most `most`.
    pub(super) fn due(&self, now: Moment, most: usize) -> usize {
        if self.next() > now {
            return 0;
        }
        let behind = now.since(self.next()).as_nanos() as f64 / self.interval;
        (behind as usize).saturating_add(1).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_a_rate_evenly_and_without_drift() {
        let rate = 30_000.0;
        let mut starts: Vec<u64> = (0..3)
            .flat_map(|thread| {
                let mut pace = Pace::new(Moment::START, rate, thread, 3);
                (0..100_000).map(move |_| {
                    let next = pace.next();
                    pace.advance();
                    next.as_nanos()
                })
            })
            .collect();
        starts.sort_unstable();
        for (k, start) in starts.iter().enumerate() {
            let meant = k as f64 * 1e9 / rate;
            assert!((*start as f64 - meant).abs() < 10.0, "request {k} is meant for {meant} and starts at {start}");
        }
    }

    #[test]
    fn what_is_due_is_counted_without_a_loop() {
        let mut pace = Pace::new(Moment::START, 1_000.0, 0, 1);
        assert_eq!(pace.due(Moment::START, 10), 1);
        pace.advance();
        assert_eq!(pace.due(Moment::START, 10), 0);
        let later = Moment::START + Duration::from_micros(5_500);
        assert_eq!(pace.due(later, 100), 5);
        assert_eq!(pace.due(later, 3), 3);
        pace.skip_to(later);
        assert_eq!((pace.next().as_nanos(), pace.due(later, 3)), (6_000_000, 0));
        pace.skip_to(later);
        assert_eq!(pace.next().as_nanos(), 6_000_000);
    }
}
