//! The system's resolver on helper threads, so that the loop never waits: for name services that only the system knows.
//! Knows nothing of DNS and keeps no answer.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::reactor::Waker;

fn lookup(host: &str) -> io::Result<Vec<IpAddr>> {
    let addresses: Vec<_> = (host, 0).to_socket_addrs()?.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// Looks names up on at most [`THREADS`] threads, which end when they are not needed.
#[derive(Debug)]
pub(super) struct System {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
    /// Without one, somebody must look again and again.
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct State {
    questions: VecDeque<Question>,
    answers: Vec<Answer>,
    threads: usize,
    idle: usize,
    over: bool,
}

#[derive(Debug)]
struct Question {
    token: u64,
    host: String,
}

/// The addresses of a name.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) token: u64,
    pub(super) result: io::Result<Vec<IpAddr>>,
}

const THREADS: usize = 8;
/// A thread without work waits so long for some.
const PATIENCE: Duration = Duration::from_secs(10);

impl System {
    pub(super) fn new(waker: Option<Waker>) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), more: Condvar::new(), waker }) }
    }

    /// The answer comes later, with the token; the waker rings when it does.
    pub(super) fn ask(&self, token: u64, host: &str) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.idle == 0 && state.threads < THREADS {
            let shared = Arc::clone(&self.shared);
            let spawned = thread::Builder::new().name("aquests-resolve".to_owned()).spawn(move || shared.work());
            match spawned {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(error),
                Err(_) => {}
            }
        }
        state.questions.push_back(Question { token, host: host.to_owned() });
        self.shared.more.notify_one();
        Ok(())
    }

    pub(super) fn answers(&self) -> Vec<Answer> {
        std::mem::take(&mut self.shared.lock().answers)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.more.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if state.over {
                break;
            }
            if let Some(Question { token, host }) = state.questions.pop_front() {
                drop(state);
                let result = lookup(&host);
                state = self.lock();
                state.answers.push(Answer { token, result });
                if let Some(waker) = &self.waker {
                    // A reactor that is gone needs no waking.
                    let _ = waker.wake();
                }
                continue;
            }
            state.idle += 1;
            let (guard, waited) = self.more.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if waited.timed_out() && state.questions.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}
