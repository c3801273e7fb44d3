//! What happened when: counts and latencies by interval, in memory that does not grow with the length of a run. When
//! there are too many intervals, two become one. Reads no clock: whoever records says what time it is.

use std::time::Duration;

use crate::reactor::Moment;
use crate::report::Interval;

/// The intervals of one thread, or of several put together.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// When the interval that is open ends.
    end: Moment,
    length: Duration,
    open: Box<Open>,
    closed: Vec<Closed>,
}

/// The length that a run begins with: short runs have a course, too. Doubled, it becomes a whole second.
const SHORTEST: Duration = Duration::from_millis(125);
/// As many as a chart has room for; more than these become half as many.
const MOST: usize = 300;

/// The interval that is recorded into.
#[derive(Clone, Debug)]
struct Open {
    counts: [u32; BUCKETS],
    longest: u64,
    failed: u64,
    bytes: u64,
}

/// Only what is not zero.
#[derive(Clone, Debug, Default)]
struct Closed {
    counts: Vec<(u16, u32)>,
    longest: u64,
    failed: u64,
    bytes: u64,
}

/// Latencies are counted in units of 64 ns, exactly up to 2 µs, and from there in buckets no wider than 1/32 of what
/// they hold; all above 73 minutes are in the last one.
const UNIT_BITS: u32 = 6;
const SUB_BITS: u32 = 5;
const BUCKETS: usize = 1_024;
const LARGEST: u64 = (1 << 36) - 1;

fn bucket(nanos: u64) -> usize {
    let units = (nanos >> UNIT_BITS).min(LARGEST);
    // The octaves below that of 32 are one: what has no leading bit there is its own index.
    let octave = (units | 1 << SUB_BITS).ilog2() - SUB_BITS;
    ((octave as usize) << SUB_BITS) + (units >> octave) as usize
}

/// The middle of a bucket.
fn nanos(bucket: usize) -> u64 {
    let sub = 1 << SUB_BITS;
    let octave = (bucket / sub).saturating_sub(1);
    let units = (bucket - octave * sub) as u64;
    (units << octave << UNIT_BITS) + (1 << octave << UNIT_BITS) / 2
}

impl Open {
    const EMPTY: Open = Open { counts: [0; BUCKETS], longest: 0, failed: 0, bytes: 0 };

    fn close(&self) -> Closed {
        // One allocation, once in an interval.
        let mut counts = Vec::with_capacity(self.counts.iter().filter(|count| **count > 0).count());
        counts.extend((0u16..).zip(self.counts).filter(|(_, count)| *count > 0));
        Closed { counts, longest: self.longest, failed: self.failed, bytes: self.bytes }
    }
}

impl Closed {
    fn add(&mut self, other: &Closed) {
        let (mut left, mut right) = (self.counts.iter().copied().peekable(), other.counts.iter().copied().peekable());
        let mut sum = Vec::with_capacity(self.counts.len().max(other.counts.len()));
        loop {
            sum.push(match (left.peek(), right.peek()) {
                (Some((a, n)), Some((b, m))) if a == b => {
                    let both = (*a, n.saturating_add(*m));
                    left.next();
                    right.next();
                    both
                }
                (Some((a, n)), Some((b, _))) if a < b => {
                    let one = (*a, *n);
                    left.next();
                    one
                }
                (Some((a, n)), None) => {
                    let one = (*a, *n);
                    left.next();
                    one
                }
                (_, Some((b, m))) => {
                    let one = (*b, *m);
                    right.next();
                    one
                }
                (None, None) => break,
            });
        }
        self.counts = sum;
        self.longest = self.longest.max(other.longest);
        self.failed += other.failed;
        self.bytes += other.bytes;
    }

    fn answered(&self) -> u64 {
        self.counts.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    fn percentile(&self, percent: u64) -> Duration {
        let rank = (self.answered() * percent).div_ceil(100);
        let mut seen = 0;
        let found = self.counts.iter().find(|(_, count)| {
            seen += u64::from(*count);
            seen >= rank
        });
        let found = found.map_or(0, |(bucket, _)| nanos(usize::from(*bucket)));
        Duration::from_nanos(found.min(self.longest))
    }
}

impl Series {
    pub(super) fn new(begin: Moment) -> Self {
        Self { end: begin + SHORTEST, length: SHORTEST, open: Box::new(Open::EMPTY), closed: Vec::with_capacity(MOST) }
    }

    /// Time has come to `now`: what is recorded next belongs there.
    #[inline]
    pub(super) fn reach(&mut self, now: Moment) {
        if now >= self.end {
            self.roll(now);
        }
    }

    #[cold]
    fn roll(&mut self, now: Moment) {
        while now >= self.end {
            self.closed.push(self.open.close());
            *self.open = Open::EMPTY;
            if self.closed.len() == MOST {
                self.halve();
            }
            self.end = self.end + self.length;
        }
    }

    /// Two become one. The number of them must be even where another is open.
    fn halve(&mut self) {
        let halves = self.closed.chunks(2).map(|pair| {
            let mut sum = pair[0].clone();
            if let Some(second) = pair.get(1) {
                sum.add(second);
            }
            sum
        });
        self.closed = halves.collect();
        self.closed.reserve(MOST.saturating_sub(self.closed.len()));
        self.length *= 2;
    }

    #[inline]
    pub(super) fn answered(&mut self, latency: Duration) {
        // As many nanoseconds as fit: a run of 584 years has other problems.
        let nanos = latency.as_nanos() as u64;
        let count = &mut self.open.counts[bucket(nanos)];
        *count = count.saturating_add(1);
        self.open.longest = self.open.longest.max(nanos);
    }

    #[inline]
    pub(super) fn bytes(&mut self, bytes: usize) {
        self.open.bytes += bytes as u64;
    }

    pub(super) fn failed(&mut self) {
        self.open.failed += 1;
    }

    /// All that there is is closed. Nothing can be recorded any more, only put together.
    pub(super) fn finish(mut self) -> Finished {
        self.closed.push(self.open.close());
        Finished { series: self }
    }
}

/// Intervals that can be put together.
#[derive(Debug)]
pub(super) struct Finished {
    series: Series,
}

impl Finished {
    /// Adds what another thread counted in the same time.
    pub(super) fn add(&mut self, mut other: Finished) {
        let (sum, other) = (&mut self.series, &mut other.series);
        while sum.length < other.length {
            sum.halve();
        }
        while other.length < sum.length {
            other.halve();
        }
        if sum.closed.len() < other.closed.len() {
            sum.closed.resize_with(other.closed.len(), Closed::default);
        }
        for (sum, more) in sum.closed.iter_mut().zip(&other.closed) {
            sum.add(more);
        }
    }

    /// The intervals of a run that took so long.
    pub(super) fn intervals(mut self, elapsed: Duration) -> Vec<Interval> {
        let length = self.series.length;
        let start = |index: usize| Duration::from_nanos(length.as_nanos() as u64 * index as u64);
        let closed = &mut self.series.closed;
        // What happened in the very last moment is the end of the interval before it.
        while closed.len() > 1 && start(closed.len() - 1) >= elapsed {
            let last = closed.pop().unwrap_or_default();
            if let Some(before) = closed.last_mut() {
                before.add(&last);
            }
        }
        // Nor is there anything in a time of no length.
        let of = |(index, closed): (usize, &Closed)| Interval {
            start: start(index),
            length: length.min(elapsed.saturating_sub(start(index))),
            answered: closed.answered(),
            failed: closed.failed,
            bytes: closed.bytes,
            percentiles: [50, 90, 99].map(|percent| closed.percentile(percent)),
            max: Duration::from_nanos(closed.longest),
        };
        closed.iter().enumerate().map(of).filter(|interval| !interval.length.is_zero()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_never_wider_than_a_32nd_of_what_it_holds() {
        let mut before = 0;
        for step in 0..20_000u64 {
            let value = step * step * step / 3;
            let index = bucket(value);
            assert!(index >= before && index < BUCKETS);
            before = index;
            let off = nanos(index).abs_diff(value);
            assert!(off <= value / 32 + 64, "{value} is counted as {}", nanos(index));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!((0..BUCKETS).find(|index| bucket(nanos(*index)) != *index), None);
    }

    #[test]
    fn nothing_is_lost_when_intervals_become_longer() {
        let second = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
        let mut series = Series::new(Moment::START);
        for step in 0..100_000u64 {
            // A day, in steps of nearly a second.
            series.reach(Moment::from_nanos(step * 864_000_000));
            series.answered(Duration::from_micros(step * 377 % 1_000));
            series.bytes(3);
            if step % 10 == 0 {
                series.failed();
            }
        }
        series.reach(second(86_400));
        assert!(series.closed.len() < MOST && series.closed.capacity() < 2 * MOST);
        let intervals = series.finish().intervals(Duration::from_secs(86_400));
        assert!(intervals.len() > MOST / 2 - 2 && intervals.len() <= MOST);
        let sum = |of: fn(&Interval) -> u64| intervals.iter().map(of).sum::<u64>();
        assert_eq!((sum(Interval::answered), sum(Interval::failed), sum(Interval::bytes)), (100_000, 10_000, 300_000));
        let mut end = Duration::ZERO;
        for interval in &intervals {
            assert_eq!(interval.start(), end, "one begins where the other ends");
            end += interval.length();
            assert!(interval.p50() <= interval.p90() && interval.p90() <= interval.p99());
            assert!(interval.p99() <= interval.max());
        }
        assert_eq!(end, Duration::from_secs(86_400));
        let middle = intervals[intervals.len() / 2].p50().as_secs_f64();
        assert!((middle / 500e-6 - 1.0).abs() < 0.05, "{middle}");
    }

    #[test]
    fn threads_with_other_lengths_are_put_together_by_time() {
        let mut long = Series::new(Moment::START);
        long.reach(Moment::START + SHORTEST * 700);
        long.answered(Duration::from_millis(1));
        let mut short = Series::new(Moment::from_nanos(5));
        short.reach(Moment::from_nanos(5) + SHORTEST * 9);
        short.answered(Duration::from_millis(9));
        let mut sum = short.clone().finish();
        sum.add(long.clone().finish());
        let mut other = long.finish();
        other.add(short.finish());
        let (one, two) = (sum.intervals(SHORTEST * 701), other.intervals(SHORTEST * 701));
        assert_eq!(one, two);
        let busy: Vec<_> = one.iter().filter(|interval| interval.answered() > 0).collect();
        assert_eq!(busy.iter().map(|interval| interval.answered()).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(busy[0].start(), SHORTEST * 8);
        assert_eq!((busy[1].start(), busy[1].length()), (SHORTEST * 700, SHORTEST));
    }

    #[test]
    fn the_last_moment_belongs_to_the_interval_before_it() {
        let mut series = Series::new(Moment::START);
        series.answered(Duration::from_millis(1));
        series.reach(Moment::START + SHORTEST);
        series.answered(Duration::from_millis(1));
        let intervals = series.finish().intervals(SHORTEST);
        assert_eq!((intervals.len(), intervals[0].answered(), intervals[0].length()), (1, 2, SHORTEST));
        assert!(Series::new(Moment::START).finish().intervals(Duration::ZERO).is_empty());
    }
}
