//! What becomes of requests: each is counted once, as answered, failed, or left behind at the end.

use super::super::flights::{Flight, Start};
use super::super::plan::Plan;
use super::Runner;
use crate::error::{Error, ErrorKind};
use crate::protocols;
use crate::reactor::{Moment, Reason};
use crate::report::{Left, Verdict};

impl Runner<'_> {
    /// Nobody can send the next request.
    pub(super) fn fail_next(&mut self, kind: ErrorKind, now: Moment, words: impl FnOnce(&Plan) -> String) {
        if let Some(start) = self.next_start(now) {
            self.started(start);
            self.fail_with(kind, start, now, words);
        }
    }

    pub(super) fn fail(&mut self, reason: &Reason, start: Start, now: Moment) {
        self.fail_with(ErrorKind::of(reason, true), start, now, |plan| detail(plan, reason, true));
    }

    pub(super) fn fail_with(
        &mut self,
        kind: ErrorKind,
        start: Start,
        now: Moment,
        words: impl FnOnce(&Plan) -> String,
    ) {
        if self.counts(start) {
            self.last = now;
            self.news.failed += 1;
            self.series.reach(now);
            self.series.failed();
            let plan = self.plan;
            self.recorder.failed_with(kind, || Error::new(kind, plan.peer(), words(plan)).to_string());
        }
    }

    /// Bytes of an answer that counts.
    #[inline]
    pub(super) fn received(&mut self, bytes: usize, now: Moment) {
        self.recorder.bytes(bytes);
        self.news.bytes += bytes as u64;
        self.series.reach(now);
        self.series.bytes(bytes);
    }

    /// Its answer is whole.
    pub(super) fn answered(&mut self, flight: Flight, verdict: Verdict<'_>, now: Moment) {
        self.lines[flight.line as usize].useful = true;
        self.answers += 1;
        let latency = now.since(flight.sent);
        if let Some(coalescing) = &mut self.coalescing {
            coalescing.took(latency);
        }
        if self.counts(flight.start) {
            self.last = now;
            self.news.answered += 1;
            self.recorder.answered(verdict, flight.version, latency);
            self.series.reach(now);
            self.series.answered(latency);
            self.recorder.corrected(now.since(flight.start.intended));
        }
    }

    pub(super) fn left(&self, now: Moment) -> Left {
        let flying = self.lines.iter().flat_map(|line| self.flights.iter(&line.queue)).map(|flight| flight.start);
        let cut_off = flying.chain(self.again.iter().copied()).filter(|start| self.counts(*start)).count() as u64;
        let mut not_started = 0;
        if let Some(mut pace) = self.pace
            && self.stopped
            && now > self.begin
        {
            pace.skip_to(self.begin);
            // A request that was meant for the very end was not meant to start.
            let end = now.min(self.end);
            not_started = pace.due(Moment::from_nanos(end.as_nanos().saturating_sub(1)), usize::MAX) as u64;
            not_started = not_started.min(self.share.map_or(u64::MAX, |share| share - self.issued));
        }
        Left { cut_off, not_started, connecting: self.connecting as u64 }
    }
}

/// What the kind of an error does not say.
pub(super) fn detail(plan: &Plan, reason: &Reason, opened: bool) -> String {
    match reason {
        Reason::Deadline if opened => format!("the limit is {:?}", plan.timeout),
        Reason::Deadline => format!("the limit is {:?}", plan.connect_timeout),
        Reason::Ended | Reason::Finished | Reason::Protocol(protocols::Error::UnexpectedEof) => String::new(),
        reason if opened => reason.to_string(),
        reason => plan.explain(reason),
    }
}
