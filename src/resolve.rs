//! From names to addresses. For now the system's resolver does it, on helper threads, so that the loop never waits; an
//! own resolver inside the loop takes this module's place. Knows nothing of requests: a token comes back with the answer.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::reactor::Waker;

/// Asks the system and waits for its answer.
#[cfg(feature = "load")]
pub(crate) fn blocking(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match numeric(host, port) {
        Some(address) => Ok(vec![address]),
        None => lookup(host, port),
    }
}

/// The address, where the host is written as one.
pub(crate) fn numeric(host: &str, port: u16) -> Option<SocketAddr> {
    // A URL has IPv6 addresses in brackets.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
}

fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// Looks names up on at most [`THREADS`] threads, which end when they are not needed.
#[derive(Debug)]
pub(crate) struct Resolver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
    waker: Waker,
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
    port: u16,
}

/// The addresses of a name.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) token: u64,
    pub(crate) result: io::Result<Vec<SocketAddr>>,
}

const THREADS: usize = 8;
/// A thread without work waits so long for some.
const PATIENCE: Duration = Duration::from_secs(10);

impl Resolver {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), more: Condvar::new(), waker }) }
    }

    /// The answer comes later, with the token; the waker rings when it does.
    pub(crate) fn ask(&self, token: u64, host: &str, port: u16) -> io::Result<()> {
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
        state.questions.push_back(Question { token, host: host.to_owned(), port });
        self.shared.more.notify_one();
        Ok(())
    }

    pub(crate) fn answers(&self) -> Vec<Answer> {
        std::mem::take(&mut self.shared.lock().answers)
    }
}

impl Drop for Resolver {
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
            if let Some(Question { token, host, port }) = state.questions.pop_front() {
                drop(state);
                let result = lookup(&host, port);
                state = self.lock();
                state.answers.push(Answer { token, result });
                // A reactor that is gone needs no waking.
                let _ = self.waker.wake();
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
