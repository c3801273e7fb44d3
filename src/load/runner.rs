//! One thread of a run: the handler that keeps connections busy and takes the time. Nothing is allocated per request.

use std::collections::VecDeque;
use std::time::Duration;

use super::Control;
use super::pace::Pace;
use super::plan::{Plan, Work};
use crate::error::{Error, ErrorKind};
use crate::protocols::semantics::{self, Version};
use crate::protocols::{Established, ExchangeId, Refused, Replay, http1};
use crate::reactor::{Address, At, Flow, Handler, Moment, Reactor, Reason, Sender};
use crate::report::Recorder;
use crate::wire::{Message, Request, Wire};

/// What one thread measured.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) recorder: Recorder,
    pub(super) elapsed: Duration,
    pub(super) cut_off: u64,
}

#[derive(Debug)]
struct Runner<'a> {
    plan: &'a Plan,
    work: Work,
    lines: Vec<Line>,
    /// Lines with nothing to do. Some may have found something since, or be gone.
    idle: Vec<u32>,
    /// Lines to be connected again, and when.
    redial: VecDeque<(Moment, u32)>,
    flights: Vec<Flight>,
    free: Vec<u32>,
    /// Requests that a connection lost before the server saw them: when they were meant to start.
    again: VecDeque<Moment>,
    pace: Option<Pace>,
    issued: u64,
    share: Option<u64>,
    /// From when on requests count.
    begin: Moment,
    /// When no more are issued.
    end: Moment,
    stopped: bool,
    last: Moment,
    recorder: Recorder,
    counted: (u64, u64, u64),
}

/// A place for a connection, which may lose it and get another.
#[derive(Debug, Default)]
struct Line {
    key: Option<crate::reactor::Key>,
    in_flight: u16,
    idle: bool,
    /// An answer came or a request left since the deadline was set.
    moved: bool,
    /// Which address it tries next.
    address: usize,
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    generation: u32,
    line: u32,
    intended: Moment,
    sent: Moment,
    status: u16,
    version: Version,
}

/// A server that refuses is asked again after this time.
const REDIAL: Duration = Duration::from_millis(10);
/// How often a quiet run looks whether it is to stop and tells how far it is.
const TICK: Duration = Duration::from_millis(100);

pub(super) fn run(
    plan: &Plan,
    addresses: &[Address],
    thread: usize,
    threads: usize,
    control: &Control,
) -> Result<Outcome, Error> {
    let broken = |error: std::io::Error| {
        Error::new(ErrorKind::Io, plan.peer(), format!("the event loop failed: {error}")).source_is(error)
    };
    let mut reactor = Reactor::<Wire>::new().map_err(broken)?;
    control.watch(reactor.waker());
    let lines = plan.connections / threads + usize::from(thread < plan.connections % threads);
    let start = reactor.now();
    let begin = start + plan.warm_up;
    let mut runner = Runner {
        plan,
        work: plan.work(thread, threads)?,
        lines: (0..lines).map(|_| Line::default()).collect(),
        idle: Vec::with_capacity(lines),
        redial: (0..lines as u32).map(|line| (start, line)).collect(),
        flights: Vec::new(),
        free: Vec::new(),
        again: VecDeque::new(),
        pace: plan.rate.map(|rate| Pace::new(start, rate, thread, threads)),
        issued: 0,
        share: plan.share(thread, threads),
        begin,
        end: plan.duration.map_or(Moment::NEVER, |duration| begin + duration),
        stopped: false,
        last: begin,
        recorder: Recorder::new(plan.rate.is_some()),
        counted: (0, 0, 0),
    };
    loop {
        let now = reactor.now();
        if now >= runner.end || control.stopped() {
            runner.stopped = true;
        }
        runner.dial(&mut reactor, addresses, now);
        runner.tell(control);
        if runner.is_done(control.stopped()) {
            break;
        }
        let mut wait = TICK;
        if let Some((due, _)) = runner.redial.front() {
            wait = wait.min(due.since(now));
        }
        if !runner.stopped && runner.end != Moment::NEVER {
            wait = wait.min(runner.end.since(now));
        }
        runner.wake_idle(&mut reactor, now);
        reactor.turn(Some(wait), &mut runner).map_err(broken)?;
    }
    let now = reactor.now();
    let finish = if runner.stopped && !plan.wait { now.min(runner.end) } else { runner.last };
    let cut_off = runner.flights.len() - runner.free.len();
    Ok(Outcome {
        elapsed: finish.since(runner.begin),
        cut_off: cut_off as u64 + runner.again.len() as u64,
        recorder: runner.recorder,
    })
}

impl Runner<'_> {
    /// When the next request that may start now was meant to start.
    fn next_start(&mut self, now: Moment) -> Option<Moment> {
        if self.stopped || now >= self.end {
            return None;
        }
        if let Some(intended) = self.again.front() {
            return Some(*intended);
        }
        if self.share.is_some_and(|share| self.issued >= share) {
            return None;
        }
        match &self.pace {
            None => Some(now),
            Some(pace) => Some(pace.next()).filter(|due| *due <= now),
        }
    }

    /// The request that [`next_start`](Self::next_start) named has started.
    fn started(&mut self, intended: Moment) {
        if self.again.pop_front().is_some() {
            return;
        }
        if let Some(pace) = &mut self.pace {
            pace.advance();
        }
        // Requests of the warm-up are not part of the plan's number.
        if intended >= self.begin {
            self.issued += 1;
        }
    }

    fn is_done(&self, at_once: bool) -> bool {
        let in_flight = self.flights.len() - self.free.len();
        let all_issued = self.share.is_some_and(|share| self.issued >= share) && self.again.is_empty();
        if self.stopped { at_once || !self.plan.wait || in_flight == 0 } else { all_issued && in_flight == 0 }
    }

    fn dial(&mut self, reactor: &mut Reactor<Wire>, addresses: &[Address], now: Moment) {
        while let Some((_, index)) = self.redial.pop_front_if(|(due, _)| *due <= now) {
            if self.stopped || (self.share.is_some_and(|share| self.issued >= share) && self.again.is_empty()) {
                continue;
            }
            let line = &mut self.lines[index as usize];
            let address = &addresses[line.address % addresses.len()];
            match reactor.connect(address, index.into(), now + self.plan.connect_timeout) {
                Ok(key) => line.key = Some(key),
                Err(error) => self.unreachable(index, &Reason::Io(error), now),
            }
        }
    }

    /// A connection could not be made. The request that would have used it first has failed.
    fn unreachable(&mut self, index: u32, reason: &Reason, now: Moment) {
        self.lines[index as usize].address += 1;
        if let Some(intended) = self.next_start(now) {
            self.started(intended);
            self.fail(ErrorKind::of(reason, false), intended, now);
        }
        self.redial.push_back((now + REDIAL, index));
    }

    fn fail(&mut self, kind: ErrorKind, intended: Moment, now: Moment) {
        self.last = now;
        if intended >= self.begin {
            self.recorder.failed(kind);
            self.counted.1 += 1;
        }
    }

    /// Lets as many idle connections pull as requests are due, and sets the alarm for the next.
    fn wake_idle(&mut self, reactor: &mut Reactor<Wire>, now: Moment) {
        let Some(pace) = &self.pace else {
            if !self.again.is_empty() {
                self.wake(reactor, self.again.len());
            }
            return;
        };
        let (due, next) = (pace.due(now, self.idle.len()) + self.again.len(), pace.next());
        self.wake(reactor, due);
        // With no connection free, the next answer is what to wait for.
        reactor.set_alarm(if self.idle.is_empty() || self.stopped { Moment::NEVER } else { next });
    }

    fn wake(&mut self, reactor: &mut Reactor<Wire>, most: usize) {
        for _ in 0..most {
            let Some(index) = self.idle.pop() else { break };
            let line = &mut self.lines[index as usize];
            line.idle = false;
            if let Some(key) = line.key {
                reactor.wake(key);
            }
        }
    }

    fn tell(&mut self, control: &Control) {
        let (answered, failed, bytes) = std::mem::take(&mut self.counted);
        if answered + failed + bytes > 0 {
            control.count(answered + failed, failed, bytes);
        }
    }

    fn depart(&mut self, line: u32, intended: Moment, now: Moment) -> ExchangeId {
        let flight = Flight { generation: 0, line, intended, sent: now, status: 0, version: Version::Http11 };
        let index = match self.free.pop() {
            Some(index) => {
                let old = &mut self.flights[index as usize];
                *old = Flight { generation: old.generation.wrapping_add(1), ..flight };
                index
            }
            None => {
                self.flights.push(flight);
                (self.flights.len() - 1) as u32
            }
        };
        ExchangeId(u64::from(self.flights[index as usize].generation) << 32 | u64::from(index))
    }

    /// The request has its outcome: its place is free for another.
    fn land(&mut self, id: ExchangeId) -> Option<Flight> {
        let index = id.0 as u32;
        let flight = *self.flights.get(index as usize)?;
        if u64::from(flight.generation) != id.0 >> 32 {
            return None;
        }
        self.flights[index as usize].generation = flight.generation.wrapping_add(1);
        self.free.push(index);
        let line = &mut self.lines[flight.line as usize];
        line.in_flight -= 1;
        line.moved = true;
        Some(flight)
    }
}

impl Handler<Wire> for Runner<'_> {
    fn connected(&mut self, _at: At, _established: Established<'_>) -> Wire {
        Wire::Http1(http1::Client::new().pipeline(self.plan.depth))
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Wire>) {
        let index = at.tag as u32;
        while to.slots() > 0 {
            let Some(intended) = self.next_start(at.now) else {
                let line = &mut self.lines[index as usize];
                if !line.idle {
                    line.idle = true;
                    self.idle.push(index);
                }
                break;
            };
            let id = self.depart(index, intended, at.now);
            let sent = match self.work.next() {
                Ok(request) => to.send(id, Request::Http(request)),
                Err(_) => Err(Refused::Misuse("a template made a request that cannot be sent")),
            };
            let line = &mut self.lines[index as usize];
            line.in_flight += 1;
            line.moved = true;
            match sent {
                Ok(()) => self.started(intended),
                Err(refused) => {
                    self.land(id);
                    if refused == Refused::NotNow {
                        break;
                    }
                    self.started(intended);
                    self.fail(ErrorKind::InvalidRequest, intended, at.now);
                }
            }
        }
        let line = &mut self.lines[index as usize];
        if std::mem::take(&mut line.moved) {
            to.set_deadline(if line.in_flight > 0 { at.now + self.plan.timeout } else { Moment::NEVER });
        }
    }

    fn on_message(&mut self, at: At, id: Option<ExchangeId>, message: Message<'_>, done: bool) -> Flow {
        let Some(id) = id else { return Flow::Continue };
        let Message::Http(message) = message;
        match message {
            semantics::Message::Head(head) => {
                if let Some(flight) = self.flights.get_mut(id.0 as u32 as usize) {
                    (flight.status, flight.version) = (head.status, head.version);
                }
            }
            semantics::Message::Data(bytes) if at.now >= self.begin => {
                self.recorder.bytes(bytes.len());
                self.counted.2 += bytes.len() as u64;
            }
            _ => {}
        }
        if done && let Some(flight) = self.land(id) {
            self.last = at.now;
            if flight.intended >= self.begin {
                self.recorder.answered(flight.status, flight.version, at.now.since(flight.sent));
                self.recorder.corrected(at.now.since(flight.intended));
                self.counted.0 += 1;
            }
        }
        Flow::Continue
    }

    fn on_failed(&mut self, at: At, id: ExchangeId, reason: &Reason, replay: Replay) {
        let Some(flight) = self.land(id) else { return };
        if replay == Replay::Unknown {
            self.fail(ErrorKind::of(reason, true), flight.intended, at.now);
        } else {
            self.again.push_back(flight.intended);
        }
    }

    fn on_closed(&mut self, at: At, opened: bool, reason: &Reason) {
        let index = at.tag as u32;
        self.lines[index as usize].key = None;
        if opened {
            self.redial.push_back((at.now, index));
        } else {
            self.unreachable(index, reason, at.now);
        }
    }
}
