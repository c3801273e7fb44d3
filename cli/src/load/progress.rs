//! A line each second while a load runs, on standard error. Only reads what the run counts.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aquests::load::Control;

use crate::output::note;

/// Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

const SECOND: Duration = Duration::from_secs(1);

impl Progress {
    pub(super) fn start(control: Arc<Control>, warm_up: Duration) -> Self {
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let begin = Instant::now();
            let (mut before, mut then) = (0, begin);
            for second in 1.. {
                // From the beginning, so that lines do not drift.
                let next = begin + SECOND * second;
                if ended.recv_timeout(next.saturating_duration_since(Instant::now())) != Err(RecvTimeoutError::Timeout)
                {
                    break;
                }
                let (now, requests) = (Instant::now(), control.finished());
                if begin.elapsed() < warm_up {
                    note(&format!("{second}s: warming up"));
                } else {
                    let rate = (requests - before) as f64 / (now - then).as_secs_f64();
                    note(&format!("{second}s: {requests} requests, {rate:.0}/s, {} errors", control.failed()));
                }
                (before, then) = (requests, now);
            }
        });
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It prints and counts: there is nothing to be said about how it ended.
            let _ = thread.join();
        }
    }
}
