//! One thread of a run: the handler that keeps connections busy and takes the time. Connections come and go in `lines`, what
//! answers say is in `answers`, and what becomes of requests in `outcomes`.
//! Nothing is allocated per request, and no clock is read.

mod answers;
mod lines;
mod outcomes;

use std::collections::VecDeque;
use std::time::Duration;

use lines::Line;

use super::coalesce::Coalescing;
use super::flights::{Flight, Flights, Start};
use super::pace::Pace;
use super::plan::{Plan, Work};
use super::series::Series;
use super::{Control, Measured};
use crate::error::{Error, ErrorKind};
use crate::protocols::{Established, ExchangeId, Refused, Replay, http1};
use crate::reactor::{Address, At, Flow, Handler, Moment, Reactor, Reason, Sender};
#[cfg(feature = "tls")]
use crate::reactor::{Tls, TlsSettings};
use crate::report::{Left, Recorder, Verdict};
use crate::version::Version;
use crate::wire::{Message, Wire};

#[derive(Debug)]
struct Runner<'a> {
    plan: &'a Plan,
    addresses: &'a [Address],
    /// The address that was reached last: others begin with it.
    reached: usize,
    work: Work,
    #[cfg(feature = "tls")]
    tls: TlsSettings,
    lines: Vec<Line>,
    /// Lines with nothing to do. Some may have found something since, or be gone.
    idle: Vec<u32>,
    /// Lines to be connected as soon as there is a request for them.
    dial: VecDeque<u32>,
    /// Connections that are being made.
    connecting: usize,
    /// Lines to be connected later, and when; the first is the next.
    redial: VecDeque<(Moment, u32)>,
    flights: Flights,
    /// Requests that a connection lost before the server saw them.
    again: VecDeque<Start>,
    pace: Option<Pace>,
    /// Answers may gather: nobody asked for a rate.
    coalescing: Option<Coalescing>,
    /// In all, also those that do not count.
    answers: u64,
    /// Requests may wait for others to leave with them.
    many: bool,
    /// Of those that count.
    issued: u64,
    share: Option<u64>,
    /// From when on requests count.
    begin: Moment,
    /// When no more are issued.
    end: Moment,
    warming: bool,
    stopped: bool,
    /// Why the run cannot go on.
    broken: Option<Error>,
    /// The last outcome that counts.
    last: Moment,
    recorder: Recorder,
    series: Series,
    /// How often a look at the run was asked for and given.
    looked: u64,
    news: News,
}

/// What happened since those who watch were told.
#[derive(Debug, Default)]
struct News {
    answered: u64,
    failed: u64,
    bytes: u64,
    next: Moment,
}

/// Where so many may be on their way at once on one connection, and three quarters of them are, the next may wait for
/// others to leave with: the server has enough to do, and reads and answers them together. Redis answers a pipeline with
/// one write anyway: there it makes nothing cheaper, and answers later.
const MANY: usize = 8;
const PATIENCE: Duration = Duration::from_micros(100);
/// How often a quiet run looks whether it is to stop.
const TICK: Duration = Duration::from_millis(100);
/// How often those who watch are told.
const NEWS: Duration = Duration::from_millis(50);
/// A request that so many connections lost, none of which brought an answer, has failed, though each time the server
/// says that it did not see it.
const LOSSES: u8 = 5;

pub(super) fn run(
    plan: &Plan,
    addresses: &[Address],
    thread: usize,
    threads: usize,
    control: &Control,
) -> Result<Measured, Error> {
    let broken = |error: std::io::Error| Error::new(ErrorKind::System, "", error.to_string()).source_is(error);
    let mut reactor = Reactor::<Wire>::new().map_err(broken)?;
    control.watch(reactor.waker());
    let start = reactor.now();
    let mut runner = Runner::new(plan, addresses, thread, threads, start)?;
    loop {
        let now = reactor.now();
        if now >= runner.end || control.stopped() {
            runner.stopped = true;
        }
        runner.dial(&mut reactor, now);
        runner.tell(control, thread, now);
        if let Some(error) = runner.broken.take() {
            return Err(error);
        }
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
        if let Some(coalescing) = &mut runner.coalescing {
            reactor.rest(coalescing.pause(now, runner.answers, runner.flights.len()));
        }
        reactor.turn(Some(wait), &mut runner).map_err(broken)?;
    }
    runner.tell(control, thread, Moment::NEVER);
    let now = reactor.now();
    // What came in the turn in which the time was over counts, and so does the time until then.
    let finish = if runner.stopped && !plan.wait { now.min(runner.end).max(runner.last) } else { runner.last };
    let (elapsed, left) = (finish.since(runner.begin), runner.left(now));
    Ok(Measured { recorder: runner.recorder, series: runner.series, elapsed, left })
}

impl<'a> Runner<'a> {
    fn new(
        plan: &'a Plan,
        addresses: &'a [Address],
        thread: usize,
        threads: usize,
        start: Moment,
    ) -> Result<Self, Error> {
        let share = plan.share(thread, threads);
        let begin = start + plan.warm_up;
        let mut lines = plan.connections / threads + usize::from(thread < plan.connections % threads);
        if let Some(share) = share
            && plan.warm_up.is_zero()
        {
            // Those that a rate does not need yet are connected, too.
            lines = lines.min(usize::try_from(share).unwrap_or(usize::MAX));
        }
        Ok(Runner {
            plan,
            addresses,
            reached: 0,
            work: plan.work(thread, threads)?,
            #[cfg(feature = "tls")]
            tls: plan.tls_settings()?,
            lines: (0..lines).map(|_| Line::new()).collect(),
            idle: Vec::with_capacity(lines),
            dial: (0..lines as u32).collect(),
            connecting: 0,
            redial: VecDeque::new(),
            flights: Flights::default(),
            again: VecDeque::new(),
            pace: plan.rate.map(|rate| Pace::new(start, rate, thread, threads)),
            coalescing: (plan.coalesce && plan.rate.is_none()).then(|| Coalescing::new(start)),
            answers: 0,
            many: usize::from(plan.depth) >= MANY && plan.is_http(),
            issued: 0,
            share,
            begin,
            end: plan.duration.map_or(Moment::NEVER, |duration| begin + duration),
            warming: !plan.warm_up.is_zero(),
            stopped: false,
            broken: None,
            last: begin,
            recorder: Recorder::new(plan.rate.is_some()),
            series: Series::new(begin),
            looked: 0,
            news: News::default(),
        })
    }

    /// When the next request that may start now was meant to start.
    fn next_start(&mut self, now: Moment) -> Option<Start> {
        if self.stopped || now >= self.end {
            return None;
        }
        if let Some(start) = self.again.front() {
            return Some(*start);
        }
        if self.all_issued() {
            return None;
        }
        let intended = match &mut self.pace {
            None => now,
            Some(pace) => {
                if self.warming && now >= self.begin {
                    // What the warm-up did not get done is left out, or nothing that counts would start for long.
                    self.warming = false;
                    pace.skip_to(self.begin);
                }
                Some(pace.next()).filter(|due| *due <= now)?
            }
        };
        Some(Start { intended, lost: 0 })
    }

    /// The request that [`next_start`](Self::next_start) named has started.
    fn started(&mut self, start: Start) {
        if self.again.pop_front().is_some() {
            return;
        }
        if let Some(pace) = &mut self.pace {
            pace.advance();
        }
        // Requests of the warm-up are not part of the plan's number.
        if self.counts(start) {
            self.issued += 1;
        }
    }

    fn counts(&self, start: Start) -> bool {
        start.intended >= self.begin
    }

    fn all_issued(&self) -> bool {
        self.share.is_some_and(|share| self.issued >= share)
    }

    /// Requests that were not sent yet.
    fn remaining(&self) -> usize {
        let fresh = self.share.map_or(usize::MAX, |share| (share - self.issued).try_into().unwrap_or(usize::MAX));
        fresh.saturating_add(self.again.len())
    }

    fn is_done(&self, at_once: bool) -> bool {
        let in_flight = self.flights.len() > 0;
        if self.stopped { at_once || !self.plan.wait || !in_flight } else { self.remaining() == 0 && !in_flight }
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
        let quiet = self.idle.is_empty() || self.stopped || self.all_issued();
        reactor.set_alarm(if quiet { Moment::NEVER } else { next });
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

    fn tell(&mut self, control: &Control, thread: usize, now: Moment) {
        if now >= self.news.next {
            let News { answered, failed, bytes, .. } = self.news;
            control.count(answered + failed, failed, bytes);
            self.news = News { next: now + NEWS, ..News::default() };
            let asked = control.asked();
            if asked != self.looked && now != Moment::NEVER {
                self.looked = asked;
                let (recorder, series) = (self.recorder.clone(), self.series.clone());
                let elapsed = now.min(self.end).max(self.last).since(self.begin);
                control.show(thread, Measured { recorder, series, elapsed, left: Left::default() });
            }
        }
    }

    /// The request has its outcome.
    fn land(&mut self, id: ExchangeId) -> Option<Flight> {
        let line = self.flights.get_mut(id)?.line;
        let line = &mut self.lines[line as usize];
        line.moved = true;
        self.flights.land(id, &mut line.queue)
    }

    /// Sets the deadline for the request of a connection that waits longest.
    fn watch(&mut self, line: usize, to: &mut Sender<'_, Wire>) {
        let line = &mut self.lines[line];
        if std::mem::take(&mut line.moved) {
            let oldest = self.flights.oldest(&line.queue);
            to.set_deadline(oldest.map_or(Moment::NEVER, |flight| flight.sent + self.plan.timeout));
        }
    }
}

impl Handler<Wire> for Runner<'_> {
    fn connected(&mut self, at: At, established: Established<'_>) -> Wire {
        let line = &mut self.lines[at.tag as usize];
        self.reached = line.dialed;
        (line.tried, line.useful, line.ready, line.words) = (0, false, false, None);
        line.first = self.plan.begins_differently();
        #[cfg(feature = "postgres")]
        {
            line.prepared = false;
        }
        #[cfg(feature = "http2")]
        {
            line.agreed = false;
        }
        self.connecting -= 1;
        self.plan.machine(&established).unwrap_or_else(|words| {
            self.broken = Some(Error::invalid(words));
            Wire::Http1(http1::Client::new())
        })
    }

    #[cfg(feature = "tls")]
    fn start_tls(&mut self, at: At) -> Option<(Tls, Moment)> {
        match self.plan.tls_on_request(&self.tls) {
            Ok(tls) => Some((tls, at.now + self.plan.connect_timeout)),
            Err(words) => {
                self.lines[at.tag as usize].words = Some((ErrorKind::Tls, words));
                None
            }
        }
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Wire>) {
        let index = at.tag as u32;
        let line = &mut self.lines[index as usize];
        if !line.ready {
            if to.slots() == 0 {
                // The login is a part of connecting.
                return to.set_deadline(line.until);
            }
            (line.ready, line.moved) = (true, true);
        }
        let depth = usize::from(self.plan.depth);
        if self.many && to.slots() * 4 <= depth {
            to.linger(PATIENCE);
        } else if self.flights.oldest(&self.lines[index as usize].queue).is_some() {
            to.linger(Duration::ZERO);
        }
        let version = to.protocol().version().unwrap_or(Version::Http11);
        while to.slots() > 0 && self.broken.is_none() {
            let Some(start) = self.next_start(at.now) else {
                let line = &mut self.lines[index as usize];
                if !line.idle {
                    line.idle = true;
                    self.idle.push(index);
                }
                break;
            };
            let line = &mut self.lines[index as usize];
            let id = self.flights.depart(&mut line.queue, index, start, version, at.now);
            line.moved = true;
            let first = std::mem::take(&mut line.first);
            let sent = match self.work.send(first, |request| to.send(id, request)) {
                Ok(sent) => sent,
                Err(()) => Err(Refused::Misuse("a template made a request that cannot be sent")),
            };
            match sent {
                Ok(()) => self.started(start),
                Err(refused) => {
                    self.land(id);
                    if let Refused::Misuse(words) = refused {
                        self.broken = Some(Error::invalid(words));
                    }
                    break;
                }
            }
        }
        self.watch(index as usize, to);
    }

    #[inline]
    fn on_message(&mut self, at: At, id: Option<ExchangeId>, message: Message<'_>, done: bool) -> Flow {
        let Some(id) = id else {
            #[cfg(any(feature = "postgres", feature = "redis"))]
            self.on_push(at, message);
            return Flow::Continue;
        };
        match message {
            Message::Http(message) => self.on_http(at, id, message, done),
            #[cfg(feature = "redis")]
            Message::Redis(message) => self.on_redis(at, id, message, done),
            #[cfg(feature = "postgres")]
            Message::Postgres(message) => return self.on_postgres(at, id, message, done),
        }
        Flow::Continue
    }

    fn on_failed(&mut self, at: At, id: ExchangeId, reason: &Reason, replay: Replay) {
        let Some(flight) = self.land(id) else { return };
        // A connection that brought an answer brought the run nearer to its end.
        let vain = u8::from(!self.lines[flight.line as usize].useful);
        let start = Start { lost: flight.start.lost + vain, ..flight.start };
        if replay != Replay::Unknown && start.lost < LOSSES {
            self.again.push_back(start);
            return;
        }
        match self.lines[flight.line as usize].words.clone() {
            Some((kind, words)) => self.fail_with(kind, start, at.now, |_| words),
            None => self.fail(reason, start, at.now),
        }
    }

    /// One late answer over HTTP/2 is no reason to lose the others of its connection.
    #[cfg(feature = "http2")]
    fn on_deadline(&mut self, at: At, to: &mut Sender<'_, Wire>) -> bool {
        if !matches!(to.protocol(), Wire::Http2(_)) {
            return true;
        }
        let line = at.tag as usize;
        while let Some(id) = self.flights.first(&self.lines[line].queue) {
            let late = self.flights.get_mut(id).is_some_and(|flight| flight.sent + self.plan.timeout <= at.now);
            if !late {
                break;
            }
            if let Some(flight) = self.land(id) {
                to.cancel(id);
                self.fail(&Reason::Deadline, flight.start, at.now);
            }
        }
        self.watch(line, to);
        false
    }

    /// The server agreed to another protocol: that is its answer, and nothing else can be asked on this connection.
    /// Unless it is HTTP/2, which was asked for: then the answer comes there.
    fn switched(&mut self, at: At, id: ExchangeId) -> Option<Wire> {
        #[cfg(feature = "http2")]
        if self.lines[at.tag as usize].agreed {
            return self.flights.get_mut(id).and_then(|_| self.plan.upgraded(id, &self.work));
        }
        if let Some(flight) = self.land(id) {
            self.answered(flight, Verdict::Status(flight.status), at.now);
        }
        None
    }

    fn on_closed(&mut self, at: At, opened: bool, reason: &Reason) {
        self.closed(at, opened, reason);
    }
}
