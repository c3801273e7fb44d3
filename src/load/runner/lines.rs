//! The connections of a run: each is dialed, and dialed again when it is lost, and what could not be reached fails the request
//! that waited for it.

use std::time::Duration;

use super::super::flights::Queue;
use super::super::plan::Plan;
use super::Runner;
use super::outcomes::detail;
use crate::error::{Error, ErrorKind, Phase};
use crate::reactor::{At, Key, Moment, Reactor, Reason};
use crate::wire::Wire;

/// A place for a connection, which may lose it and get another.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) key: Option<Key>,
    /// The connection brought an answer.
    pub(super) useful: bool,
    /// The connection had room for a request once.
    pub(super) ready: bool,
    /// When it must have, at the latest.
    pub(super) until: Moment,
    /// What the server said on it that lets nobody in.
    pub(super) words: Option<(ErrorKind, String)>,
    pub(super) idle: bool,
    /// An answer came or a request left since the deadline was set.
    pub(super) moved: bool,
    /// Addresses that could not be reached since one was.
    pub(super) tried: usize,
    /// The place of the address that was dialed last: others may reach another one meanwhile.
    pub(super) dialed: usize,
    /// The next request is the first on its connection, or as good as that.
    pub(super) first: bool,
    /// A statement was done on the connection: it is prepared there.
    #[cfg(feature = "postgres")]
    pub(super) prepared: bool,
    /// The server agreed to that.
    #[cfg(feature = "http2")]
    pub(super) agreed: bool,
    pub(super) queue: Queue,
}

impl Line {
    /// Nothing was dialed for it yet.
    pub(super) fn new() -> Self {
        Line {
            key: None,
            useful: false,
            ready: false,
            until: Moment::NEVER,
            words: None,
            idle: false,
            moved: false,
            tried: 0,
            dialed: 0,
            first: false,
            #[cfg(feature = "postgres")]
            prepared: false,
            #[cfg(feature = "http2")]
            agreed: false,
            queue: Queue::EMPTY,
        }
    }
}

/// A server that refuses, or hangs up without a word, is asked again after this time.
const REDIAL: Duration = Duration::from_millis(10);

impl Runner<'_> {
    pub(super) fn dial(&mut self, reactor: &mut Reactor<Wire>, now: Moment) {
        while let Some((_, index)) = self.redial.front().copied().filter(|(due, _)| *due <= now) {
            self.redial.pop_front();
            self.dial.push_back(index);
        }
        if self.stopped {
            return;
        }
        // Each once: what is refused on the spot may try another address in the next turn.
        for _ in 0..self.dial.len() {
            // A connection without a request is of no use.
            if self.connecting >= self.remaining() {
                break;
            }
            let Some(index) = self.dial.pop_front() else { break };
            let line = &mut self.lines[index as usize];
            line.dialed = if line.tried == 0 { self.reached } else { (line.dialed + 1) % self.addresses.len() };
            let address = &self.addresses[line.dialed];
            let deadline = now + self.plan.connect_timeout;
            line.until = deadline;
            #[cfg(feature = "tls")]
            let begun = self.plan.connect(reactor, address, index.into(), deadline, &self.tls);
            #[cfg(not(feature = "tls"))]
            let begun = self.plan.connect(reactor, address, index.into(), deadline);
            match begun {
                Ok(key) => {
                    line.key = Some(key);
                    self.connecting += 1;
                }
                Err(error) => self.unreachable(index, &Reason::of_handshake(error), now),
            }
        }
    }

    /// A connection could not be made. When no address is left to be tried, the request that would have used it first
    /// has failed.
    fn unreachable(&mut self, index: u32, reason: &Reason, now: Moment) {
        let (line, kind) = (&mut self.lines[index as usize], ErrorKind::of(reason, false));
        // What one address said tells more than that nobody listens at another.
        if line.words.is_none() && !matches!(kind, ErrorKind::Connect | ErrorKind::Timeout(_)) {
            line.words = Some((kind, detail(self.plan, reason, false)));
        }
        line.tried += 1;
        if line.tried < self.addresses.len() {
            self.dial.push_back(index);
            return;
        }
        line.tried = 0;
        match line.words.take() {
            Some((kind, words)) => self.fail_next(kind, now, |_| words),
            None => self.fail_next(kind, now, |plan| detail(plan, reason, false)),
        }
        self.redial.push_back((now + REDIAL, index));
    }

    pub(super) fn closed(&mut self, at: At, opened: bool, reason: &Reason) {
        let index = at.tag as u32;
        let line = &mut self.lines[index as usize];
        line.key = None;
        if !opened {
            self.connecting -= 1;
            return self.unreachable(index, reason, at.now);
        }
        if line.useful {
            return self.dial.push_back(index);
        }
        let in_vain = !line.ready;
        match line.words.take() {
            // It will let nobody else in either.
            Some((ErrorKind::Authentication, words)) => {
                self.broken = Some(Error::new(ErrorKind::Authentication, self.plan.peer(), words));
            }
            Some((kind, words)) if in_vain => self.fail_next(kind, at.now, |_| words),
            // It opened only to close, and who waits for it must come to an end.
            _ if in_vain && matches!(reason, Reason::Deadline) => {
                self.fail_next(ErrorKind::Timeout(Phase::Connect), at.now, |plan| detail(plan, reason, false));
            }
            _ if in_vain => {
                let words = |plan: &Plan| {
                    let detail = detail(plan, reason, true);
                    if detail.is_empty() {
                        "it took no request".to_owned()
                    } else {
                        format!("it took no request: {detail}")
                    }
                };
                self.fail_next(ErrorKind::of(reason, true), at.now, words);
            }
            _ => {}
        }
        self.redial.push_back((at.now + REDIAL, index));
    }
}
