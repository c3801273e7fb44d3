//! What tests of this crate share: real servers, scripted ones, and probes. Nothing here knows what is tested, and nothing
//! that was started outlives the test, or the process if that is killed.

// Each test binary compiles this for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

mod apache;
mod backlog;
#[path = "../../protocols/tests/counting/mod.rs"]
pub(crate) mod counting;
#[cfg(feature = "http2")]
#[path = "../../protocols/tests/http2/frames.rs"]
pub(crate) mod frames;
mod h2;
mod memory;
mod names;
mod nghttpd;
mod nginx;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod outcomes;
mod peer;
mod pgbouncer;
mod postgres;
mod postgres_script;
mod process;
mod python;
mod redis;
mod redis_cluster;
mod redis_sentinel;
#[cfg(feature = "http2")]
mod speaker;
mod stream;
mod stunnel;
pub(crate) mod tls;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, thread};

pub(crate) use apache::Apache;
pub(crate) use backlog::{full_backlog, full_backlog_at, refused};
pub(crate) use h2::H2;
pub(crate) use memory::{forget_peak, peak_memory, resident_memory};
pub(crate) use names::{Asked, NameServer, Nsd, Says};
pub(crate) use nghttpd::Nghttpd;
pub(crate) use nginx::Nginx;
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) use outcomes::outcomes;
#[cfg(feature = "redis")]
pub(crate) use outcomes::values;
pub(crate) use peer::{Conn, FAULTS, Peer, Seen};
pub(crate) use pgbouncer::Pgbouncer;
pub(crate) use postgres::{PostgresBuilder, PostgresServer, Version as PostgresVersion};
pub(crate) use postgres_script::PostgresScript;
pub(crate) use process::{Server, free_port, raise_open_files};
pub(crate) use python::Python;
pub(crate) use redis::{RedisBuilder, RedisServer, next_command};
pub(crate) use redis_cluster::RedisCluster;
pub(crate) use redis_sentinel::RedisSentinel;
#[cfg(feature = "http2")]
pub(crate) use speaker::Speaker;
pub(crate) use stunnel::Stunnel;

/// How long anything may take before it counts as hanging. Far more than it needs on a busy machine: nothing waits for it
/// that works.
const HANGING: Duration = Duration::from_secs(300);

/// Runs something that must come to an end.
#[track_caller]
pub(crate) fn must_end<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let worker = thread::spawn(move || {
        let result = work();
        // Nobody listens if it took too long, and that was told then.
        let _ = sender.send(());
        result
    });
    match receiver.recv_timeout(HANGING) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end after {HANGING:?}"),
        _ => worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// A folder for one test, removed at its end.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            // Paths of unix sockets hold about 100 bytes, so it cannot be under `target`.
            let name = format!("aquests-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = env::temp_dir().join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // One that was killed had our number, and left it behind.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("cannot make {}: {error}", path.display()),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
