//! Letting answers gather before the loop looks for them, as network cards do with interrupts: where a server has more
//! to do than it can, a load that sleeps until the next answer is woken for each, which costs both sides more than the
//! answer itself. Decides how long to pause; reads no clock, knows no connection, and sleeps nowhere.
//!
//! A pause is kept only while it brings no fewer answers. With so many requests always on their way, the mean latency is
//! their number over the rate (Little's law): where the rate does not fall, latency does not rise. Whether it falls is not
//! guessed but tried, in short spans with and without pauses in turn; and it is only tried where answers take long beside
//! the fastest one, which is what a queue looks like.

use std::time::Duration;

use crate::reactor::Moment;

/// With fewer on their way at once, there is nothing to be gathered.
const LEAST: usize = 4;
/// What one look at readiness should find, where three quarters of what is on its way are not less. More makes little
/// cheaper.
const ENOUGH: usize = 16;
/// The length of one span of a trial.
const SPAN: Duration = Duration::from_millis(10);
/// A span with fewer answers says nothing, and costs little.
const ANSWERS: u64 = 64;
/// Spans with pauses in a trial, and as many without.
const PAIRS: u32 = 3;
/// With pauses, so many of a hundred answers must come at least, after the first pair and in the end.
const HOPEFUL: u64 = 85;
const GOOD: u64 = 98;
/// How much longer than the fastest answer the mean one takes where it waited for others.
const QUEUED: u32 = 3;
/// How long a verdict holds. Each one against pauses holds twice as long as the one before.
const KEPT: Duration = Duration::from_secs(1);
const REFUSED: Duration = Duration::from_millis(100);
const REFUSED_MOST: Duration = Duration::from_secs(10);
/// Where a pause would be no longer, enough answers come together by themselves.
const SHORTEST: Duration = Duration::from_micros(10);
/// The first pause, and the longest.
const FIRST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_micros(500);

#[derive(Debug)]
pub(super) struct Coalescing {
    phase: Phase,
    pause: Duration,
    /// How long the next verdict against pauses holds.
    refused: Duration,
    span: Span,
    /// Answers in all, when it was asked last.
    answers: u64,
    /// The fastest answer.
    least: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No pauses; a trial may begin at this time.
    Off(Moment),
    /// Spans with and without pauses in turn, and the answers in each kind.
    Trial { spans: u32, with: u64, without: u64 },
    /// Pauses, until the next trial.
    On(Moment),
}

/// What happened since a point in time.
#[derive(Clone, Copy, Debug)]
struct Span {
    since: Moment,
    answers: u64,
    turns: u64,
}

impl Coalescing {
    /// From a start, of a load that keeps as many requests on their way as it may.
    pub(super) fn new(start: Moment) -> Self {
        Self {
            phase: Phase::Off(start),
            pause: FIRST,
            refused: REFUSED,
            span: Span { since: start, answers: 0, turns: 0 },
            answers: 0,
            least: Duration::MAX,
        }
    }

    /// An answer took this long.
    #[inline]
    pub(super) fn took(&mut self, latency: Duration) {
        self.least = self.least.min(latency);
    }

    /// How long to pause before readiness is looked for again: to be asked once a turn, with the answers so far.
    pub(super) fn pause(&mut self, now: Moment, answers: u64, in_flight: usize) -> Duration {
        let came = answers - std::mem::replace(&mut self.answers, answers);
        if in_flight < LEAST {
            // Whatever was tried is not true any more.
            (self.phase, self.pause) = (Phase::Off(now), FIRST);
            self.begin(now, answers);
            return Duration::ZERO;
        }
        let wanted = (in_flight * 3 / 4).min(ENOUGH) as u64;
        if self.pauses() {
            self.pause = match came {
                // Quickly back: a server with nothing to do is what must not be.
                _ if came > wanted => (self.pause - self.pause / 4).max(SHORTEST),
                _ if came < wanted => (self.pause + self.pause / 8).min(LONGEST),
                _ => self.pause,
            };
        }
        self.span.turns += 1;
        let time = now.since(self.span.since);
        if time >= SPAN {
            self.spanned(now, answers - self.span.answers, time, wanted, in_flight);
            self.begin(now, answers);
        }
        if self.pauses() && self.pause > SHORTEST { self.pause } else { Duration::ZERO }
    }

    fn begin(&mut self, now: Moment, answers: u64) {
        self.span = Span { since: now, answers, turns: 0 };
    }

    fn pauses(&self) -> bool {
        match self.phase {
            Phase::Off(_) => false,
            Phase::Trial { spans, .. } => spans % 2 == 0,
            Phase::On(_) => true,
        }
    }

    /// So many answers came in a span of this length.
    fn spanned(&mut self, now: Moment, came: u64, time: Duration, wanted: u64, in_flight: usize) {
        // Spans are as long as the turn that ends them.
        let rate = |came: u64| (came as u128 * SPAN.as_nanos() / time.as_nanos()) as u64;
        match &mut self.phase {
            Phase::Off(again) | Phase::On(again) if now < *again => {}
            Phase::Off(_) => {
                let latency = time.as_nanos() * in_flight as u128 / u128::from(came.max(1));
                let is_queued = latency >= self.least.as_nanos().saturating_mul(QUEUED.into());
                if came >= ANSWERS && came < wanted * self.span.turns && is_queued {
                    self.phase = Phase::Trial { spans: 0, with: 0, without: 0 };
                }
            }
            Phase::On(_) => self.phase = Phase::Trial { spans: 0, with: 0, without: 0 },
            Phase::Trial { spans, with, without } => {
                *(if *spans % 2 == 0 { &mut *with } else { &mut *without }) += rate(came);
                *spans += 1;
                let (pairs, is_pair) = (*spans / 2, *spans % 2 == 0);
                let least = if pairs < PAIRS { HOPEFUL } else { GOOD };
                if is_pair && *with * 100 < *without * least {
                    self.phase = Phase::Off(now + self.refused);
                    self.refused = (self.refused * 2).min(REFUSED_MOST);
                    self.pause = FIRST;
                } else if pairs == PAIRS {
                    self.phase = Phase::On(now + KEPT);
                    self.refused = REFUSED;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A load of `connections` in a time of its own, which takes `CLIENT` for each answer.
    struct Simulation {
        now: u64,
        /// When the answers that are on their way come.
        coming: VecDeque<u64>,
        sent: VecDeque<u64>,
        free: u64,
        answers: u64,
        turns: u64,
        pauses: u64,
    }

    const CLIENT: u64 = 5_000;
    /// What being woken costs.
    const WOKEN: u64 = 8_000;

    impl Simulation {
        /// `answer` says when an answer comes to what is sent at a time, and knows when the server was free.
        fn run(connections: u64, seconds: u64, coalesce: bool, mut answer: impl FnMut(u64, u64) -> u64) -> Self {
            let mut all = Self {
                now: 0,
                coming: VecDeque::new(),
                sent: VecDeque::new(),
                free: 0,
                answers: 0,
                turns: 0,
                pauses: 0,
            };
            let mut coalescing = Coalescing::new(Moment::START);
            for _ in 0..connections {
                all.send(&mut answer);
            }
            while all.now < seconds * 1_000_000_000 {
                if coalesce {
                    let pause = coalescing.pause(Moment::from_nanos(all.now), all.answers, all.coming.len());
                    all.pauses += u64::from(!pause.is_zero());
                    all.now += u64::try_from(pause.as_nanos()).expect("a short pause");
                }
                all.turns += 1;
                if all.coming[0] > all.now {
                    all.now = all.coming[0] + WOKEN;
                }
                let came = all.coming.iter().take_while(|at| **at <= all.now).count();
                for _ in 0..came {
                    all.coming.pop_front();
                    let sent = all.sent.pop_front().expect("as many as are coming");
                    coalescing.took(Duration::from_nanos(all.now - sent));
                    all.answers += 1;
                    all.now += CLIENT;
                    all.send(&mut answer);
                }
            }
            all
        }

        fn send(&mut self, answer: &mut impl FnMut(u64, u64) -> u64) {
            let at = answer(self.now, self.free);
            self.free = at;
            let place = self.coming.partition_point(|other| *other <= at);
            self.coming.insert(place, at);
            // Who was sent first is not who is answered first, but near enough for the fastest answer.
            self.sent.insert(place, self.now);
        }
    }

    #[test]
    fn answers_of_a_server_with_a_queue_are_gathered() {
        for connections in [8, 10, 50, 200] {
            let answer = |now: u64, free: u64| now.max(free) + 24_000;
            let (plain, gathered) =
                (Simulation::run(connections, 5, false, answer), Simulation::run(connections, 5, true, answer));
            assert!(plain.turns * 10 > plain.answers * 9, "each answer wakes it");
            let wanted = (connections / 2).min(16);
            assert!(
                gathered.answers > gathered.turns * wanted * 3 / 5,
                "{connections} connections: {} answers in {} turns",
                gathered.answers,
                gathered.turns
            );
            assert!(gathered.answers * 100 >= plain.answers * 98, "{} and {}", gathered.answers, plain.answers);
        }
    }

    #[test]
    fn a_way_that_takes_its_time_is_left_alone() {
        // A millisecond there and back, and nobody waits for anybody.
        let answer = |now: u64, _: u64| now + 1_000_000;
        let all = Simulation::run(50, 5, true, answer);
        assert_eq!(all.pauses, 0);
    }

    #[test]
    fn pauses_that_cost_answers_are_given_up() {
        // Now quick, now slow, and nobody waits for anybody: it looks like a queue and is none.
        let answers = || {
            let mut number = 0u64;
            move |now: u64, _: u64| {
                number += 1;
                now + if number.is_multiple_of(10) { 30_000 } else { 500_000 + number % 7 * 100_000 }
            }
        };
        let (plain, tried) = (Simulation::run(20, 20, false, answers()), Simulation::run(20, 20, true, answers()));
        assert!(tried.pauses > 0, "it was tried");
        assert!(tried.pauses * 50 < tried.turns, "{} pauses in {} turns", tried.pauses, tried.turns);
        assert!(tried.answers * 100 >= plain.answers * 99, "{} and {}", tried.answers, plain.answers);
    }

    /// A load that was found to be better with pauses, which were as short as they become.
    fn paused() -> (Coalescing, Moment, u64) {
        let mut coalescing = Coalescing::new(Moment::START);
        let (mut now, mut answers) = (Moment::START, 0);
        coalescing.took(Duration::from_micros(1));
        while !matches!(coalescing.phase, Phase::On(_)) {
            assert!(now < Moment::START + KEPT, "it is found soon");
            (now, answers) = (now + FIRST, answers + 1);
            coalescing.pause(now, answers, 50);
        }
        for _ in 0..1_000 {
            (now, answers) = (now + Duration::from_nanos(1), answers + 50);
            coalescing.pause(now, answers, 50);
        }
        (coalescing, now, answers)
    }

    #[test]
    fn a_pause_that_became_short_becomes_longer_again() {
        let (mut coalescing, mut now, mut answers) = paused();
        assert_eq!(coalescing.pause(now, answers + 50, 50), Duration::ZERO, "enough come by themselves");
        answers += 50;
        for _ in 0..100 {
            (now, answers) = (now + Duration::from_nanos(1), answers + 1);
            coalescing.pause(now, answers, 50);
        }
        assert_eq!(coalescing.pause(now, answers + 1, 50), LONGEST);
    }

    #[test]
    fn pauses_end_where_little_is_on_its_way() {
        let (mut coalescing, mut now, mut answers) = paused();
        for turn in 0..10_000 {
            (now, answers) = (now + Duration::from_millis(1), answers + 1);
            let pause = coalescing.pause(now, answers, if turn % 5 == 0 { LEAST - 1 } else { 50 });
            assert_eq!(pause, Duration::ZERO, "turn {turn}");
        }
    }

    #[test]
    fn few_connections_and_slow_servers_are_left_alone() {
        let all = Simulation::run(3, 2, true, |now, free| now.max(free) + 24_000);
        assert_eq!(all.pauses, 0, "three connections");
        let all = Simulation::run(50, 2, true, |now, free| now.max(free) + 1_000_000);
        assert_eq!(all.pauses, 0, "a thousand answers a second");
    }
}
