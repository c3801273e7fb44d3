//! Load generation: what to send ([`Plan`]), when (`pace`), the handler that sends it and takes the time (`runner`),
//! what happened when (`series`), and where it begins to connect (`race`). Memory does not grow with the number of
//! requests. Arguments, files and terminals are the command's business and never belong here.

mod coalesce;
mod flights;
mod http;
mod pace;
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
mod race;
#[cfg(feature = "redis")]
mod redis;
mod runner;
mod series;
mod template;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

pub use plan::Plan;
#[cfg(feature = "postgres")]
pub use postgres::{Mode, Value};

use crate::error::Error;
use crate::reactor::Waker;
use crate::report::{Left, Recorder, Report};
use series::{Finished, Series};

/// Shared by a run and those who watch it: how far it is, and the wish to stop it.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    finished: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
    /// How often a look at the run was asked for.
    asked: AtomicU64,
    /// What each thread had measured when it was asked last.
    shown: Mutex<Vec<Option<Measured>>>,
    wakers: Mutex<Vec<Waker>>,
}

/// What one thread measured.
#[derive(Clone, Debug)]
struct Measured {
    recorder: Recorder,
    series: Series,
    elapsed: Duration,
    left: Left,
}

/// What all of them did together.
fn report(corrected: bool, all: Vec<Measured>) -> Report {
    let mut sum = Recorder::new(corrected);
    let mut series: Option<Finished> = None;
    let mut elapsed = Duration::ZERO;
    let mut left = Left::default();
    for one in all {
        sum.add(&one.recorder);
        elapsed = elapsed.max(one.elapsed);
        left.cut_off += one.left.cut_off;
        left.not_started += one.left.not_started;
        left.connecting += one.left.connecting;
        let more = one.series.finish();
        match &mut series {
            Some(series) => series.add(more),
            None => series = Some(more),
        }
    }
    let series = series.map(|series| series.intervals(elapsed)).unwrap_or_default();
    sum.report(elapsed).left(left).series_is(series)
}

impl Control {
    /// For a run that is to begin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the run now; [`run`] returns what was measured so far.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        for waker in self.wakers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // A reactor that is gone needs no waking.
            let _ = waker.wake();
        }
    }

    /// Requests with an outcome so far, warm-up excluded.
    pub fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }

    /// Requests without an answer so far.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Bytes of bodies so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What was measured a moment ago, while the run goes on; `None` before there is anything to be seen. Each call
    /// asks the threads of the run for more, which they show within 100 ms. A run that nobody looks at takes no copies.
    pub fn report(&self) -> Option<Report> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all: Vec<_> = shown.into_iter().flatten().collect();
        let corrected = all.first()?.recorder.is_corrected();
        Some(report(corrected, all))
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn show(&self, thread: usize, measured: Measured) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.len() <= thread {
            shown.resize_with(thread + 1, || None);
        }
        shown[thread] = Some(measured);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn watch(&self, waker: Waker) {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(waker);
    }

    fn count(&self, finished: u64, failed: u64, bytes: u64) {
        self.finished.fetch_add(finished, Ordering::Relaxed);
        self.failed.fetch_add(failed, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Runs a plan to its end, each thread of it with its own reactor and its share of the connections, and reports what
/// happened. Blocks. An error means that nothing could be measured; what goes wrong with single requests is in the
/// report.
pub fn run(plan: &Plan, control: &Control) -> Result<Report, Error> {
    plan.check()?;
    let mut addresses = plan.resolve()?;
    race::sort(&mut addresses, plan.connect_timeout, control)?;
    let threads = plan.threads.min(plan.connections);
    // The others need not go on when one cannot.
    let one = |index| runner::run(plan, &addresses, index, threads, control).inspect_err(|_| control.stop());
    let results: Vec<Result<Measured, Error>> = if threads <= 1 {
        vec![one(0)]
    } else {
        thread::scope(|scope| {
            let one = &one;
            let handles: Vec<_> = (0..threads).map(|index| scope.spawn(move || one(index))).collect();
            handles
                .into_iter()
                .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    };
    let results = results.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(report(plan.rate.is_some(), results))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::error::ErrorKind;
    use crate::reactor::Address;

    /// Answers everything.
    fn serve(listener: &TcpListener) {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                while stream.read(&mut [0; 1024]).is_ok_and(|bytes| bytes > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                }
            });
        }
    }

    #[test]
    fn a_run_can_be_looked_at_while_it_goes_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || serve(&listener));
        let plan = Plan::new(&url).unwrap().connections(2).threads(2).duration(Duration::from_secs(60));
        let control = Control::new();
        assert!(control.report().is_none(), "there is nothing to be seen yet");
        thread::scope(|scope| {
            let run = scope.spawn(|| run(&plan, &control));
            let mut before = 0;
            // Each look is later than the one before, and as whole as the report at the end.
            while before < 1_000 {
                thread::sleep(Duration::from_millis(20));
                let Some(seen) = control.report() else { continue };
                assert!(seen.requests() >= before, "{seen}");
                before = seen.requests();
                assert_eq!(seen.series().iter().map(crate::Interval::answered).sum::<u64>(), seen.responses());
                assert!(seen.elapsed() < Duration::from_secs(60));
            }
            control.stop();
            assert!(run.join().unwrap().unwrap().requests() >= before);
        });
    }

    #[test]
    fn a_name_with_several_addresses_fails_only_when_none_is_reached() {
        let live = TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = TcpListener::bind("127.0.0.1:0").unwrap();
        let [live_address, dead_address] = [&live, &dead].map(|listener| Address::Tcp(listener.local_addr().unwrap()));
        drop(dead);
        let addresses = [dead_address.clone(), live_address, dead_address.clone()];
        thread::spawn(move || serve(&live));
        let plan = Plan::new("http://several.invalid/").unwrap().connections(3).requests(30);
        let report = |addresses: &[Address]| {
            let outcome = runner::run(&plan, addresses, 0, 1, &Control::new()).unwrap();
            outcome.recorder.report(outcome.elapsed)
        };
        let reached = report(&addresses);
        assert_eq!((reached.responses(), reached.failed()), (30, 0), "{reached}");
        let dead = report(&[dead_address.clone(), dead_address]);
        assert_eq!(dead.errors()[&ErrorKind::Connect], 30, "{dead}");
        assert!(dead.sample(ErrorKind::Connect).unwrap().starts_with("cannot connect to several.invalid:80: "));
    }
}
