//! Many requests, in numbers for which a release build is wanted: `cargo test --release --test volume`. `tests/run` does.

mod support;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use aquests::load::{Control, Plan, run};
use aquests::postgres::Postgres;
use aquests::redis::Redis;
use aquests::{Client, Error, ErrorKind, Report, Request};
use support::{
    FAULTS, Nginx, Peer, PostgresServer, RedisServer, forget_peak, must_end, peak_memory, raise_open_files,
    resident_memory,
};

const SERVER: &str = r#"keepalive_requests 100000000; location = /2 { return 200 "ok"; }"#;

/// Memory may grow by this much between a tenth of a run and its end: what is set up at the start is set up by then.
const GROWTH: u64 = 2 << 20;

/// One test at a time: they weigh the whole process.
fn alone<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    must_end(work)
}

/// Runs a plan and tells by how much this process grew after its first tenth.
fn load(plan: &Plan, requests: u64) -> (Report, u64) {
    let control = Arc::new(Control::new());
    let run = thread::spawn({
        let (plan, control) = (plan.clone().requests(requests), control.clone());
        move || run(&plan, &control).expect("the loop works")
    });
    while control.finished() < requests / 10 && !run.is_finished() {
        thread::sleep(Duration::from_millis(5));
    }
    let early = resident_memory();
    let report = run.join().expect("the run does not panic");
    (report, resident_memory().saturating_sub(early))
}

#[test]
fn a_million_requests_are_all_answered_and_take_no_memory() {
    alone(|| {
        let nginx = Nginx::start(SERVER);
        let plan = Plan::new(&nginx.url("/2")).unwrap();
        for (plan, requests) in [
            (plan.clone().connections(100), 1_000_000),
            (plan.clone().connections(1_000), 300_000),
            (plan.clone().connections(20).depth(16), 1_000_000),
            (plan.clone().connections(100).threads(2), 300_000),
        ] {
            let (report, grown) = load(&plan, requests);
            assert_eq!(report.statuses(), &BTreeMap::from([(200, requests)]), "{report}");
            assert_eq!((report.failed(), report.bytes()), (0, 2 * requests), "{report}");
            assert!(grown < GROWTH, "memory grew by {grown} bytes: {report}");
        }
    });
}

#[test]
fn fifty_thousand_new_connections_leave_nothing_behind() {
    alone(|| {
        // Each takes a port for a minute; the system has 28,000 of them, but not for two destinations at once.
        let (one, two) = (Nginx::start(CLOSING), Nginx::start(CLOSING));
        const CLOSING: &str = r#"keepalive_requests 2; location = /2 { return 200 "ok"; }"#;
        for nginx in [one, two] {
            let (report, grown) = load(&Plan::new(&nginx.url("/2")).unwrap().connections(100), 50_000);
            assert_eq!((report.responses(), report.failed()), (50_000, 0), "{report}");
            assert!(grown < GROWTH, "memory grew by {grown} bytes: {report}");
        }
    });
}

#[test]
fn a_hundred_thousand_requests_of_a_client_over_a_hundred_workers() {
    alone(|| {
        const REQUESTS: usize = 100_000;
        let nginx = Nginx::start(SERVER);
        let mut client = Client::builder().workers(100).build().unwrap();
        for _ in 0..REQUESTS {
            client.get(nginx.url("/2")).unwrap();
        }
        let mut seen = vec![false; REQUESTS];
        let report = client
            .fetch_all_with(|_, outcome| {
                let id = outcome.request_id().as_u64() as usize;
                assert!(!std::mem::replace(&mut seen[id], true), "request {id} has two outcomes");
                assert_eq!(outcome.into_result()?.content(), b"ok");
                Ok::<_, Error>(())
            })
            .expect("all are answered");
        assert!(seen.iter().all(|seen| *seen));
        assert_eq!(report.statuses(), &BTreeMap::from([(200, REQUESTS as u64)]), "{report}");
    });
}

#[test]
fn an_endless_source_takes_no_memory() {
    alone(|| {
        const REQUESTS: u64 = 300_000;
        let nginx = Nginx::start(SERVER);
        let mut client = Client::builder().workers(100).build().unwrap();
        let url = nginx.url("/2");
        client.source((0..REQUESTS).map(move |_| Request::get(url.clone())));
        let (mut count, mut early) = (0, 0);
        let report = client
            .fetch_all_with(|_, outcome| {
                outcome.into_result()?;
                count += 1;
                if count == REQUESTS / 10 {
                    early = resident_memory();
                }
                Ok::<_, Error>(())
            })
            .expect("all are answered");
        assert_eq!((report.responses(), report.failed()), (REQUESTS, 0), "{report}");
        let grown = resident_memory().saturating_sub(early);
        assert!(grown < GROWTH, "memory grew by {grown} bytes");
    });
}

#[test]
fn a_gibibyte_streams_each_way_and_takes_no_memory() {
    alone(|| {
        const LENGTH: u64 = 1 << 30;
        let peer = Peer::start(|conn| {
            loop {
                let seen = conn.head()?;
                if let Some(length) = seen.field("content-length") {
                    conn.swallow(length.parse().expect("a number"))?;
                    conn.answer("thanks")?;
                    continue;
                }
                conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n"))?;
                (0..LENGTH >> 16).try_for_each(|_| conn.send([b'x'; 1 << 16]))?;
            }
        });
        let mut client = Client::new().unwrap();
        let mut before = 0;
        // The first round is what the memory is set up in.
        for length in [1 << 20, LENGTH] {
            let reader = io::repeat(b'x').take(length);
            client.send(Request::put(peer.url("/")).body_reader(reader, Some(length))).unwrap();
            client.send(Request::get(peer.url("/")).discard()).unwrap();
            let report = client.fetch_all().unwrap();
            assert_eq!((report.responses(), report.bytes()), (2, LENGTH + 6), "{report}");
            if before == 0 {
                before = resident_memory();
                forget_peak();
            }
        }
        let grown = peak_memory().saturating_sub(before);
        assert!(grown < 16 << 20, "memory grew by {grown} bytes");
    });
}

#[test]
fn a_gibibyte_is_copied_each_way_and_takes_no_memory() {
    alone(|| {
        const ROWS: u64 = 1 << 17;
        let server = PostgresServer::start();
        let db = Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "");
        server.psql("CREATE TABLE t (word text); GRANT ALL ON t TO PUBLIC;");
        let mut client = Client::new().unwrap();
        let row = format!("{}\n", "x".repeat(8191));
        let mut before = 0;
        // The first round is what the memory is set up in. What the server is sent it reads, and keeps nothing of it.
        for rows in [100, ROWS] {
            let length = rows * row.len() as u64;
            let reader = Over(row.clone().into_bytes(), 0).take(length);
            client.send(Request::from(db.copy_in("COPY t FROM STDIN WHERE false")).body_reader(reader, None)).unwrap();
            let out = format!("COPY (SELECT repeat('x', 8191) FROM generate_series(1, {rows})) TO STDOUT");
            client.send(Request::from(db.query(out)).discard()).unwrap();
            let report = client.fetch_all().unwrap();
            assert_eq!((report.replies().get("OK"), report.bytes()), (Some(&2), length), "{report}");
            if before == 0 {
                before = resident_memory();
                forget_peak();
            }
        }
        let grown = peak_memory().saturating_sub(before);
        assert!(grown < 16 << 20, "memory grew by {grown} bytes");
    });
}

/// The same bytes over and over.
struct Over(Vec<u8>, usize);

impl Read for Over {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.0.len() - self.1);
        buffer[..length].copy_from_slice(&self.0[self.1..][..length]);
        self.1 = (self.1 + length) % self.0.len();
        Ok(length)
    }
}

#[test]
fn a_storm_of_faults_over_a_thousand_connections_adds_up() {
    alone(|| {
        raise_open_files(4_000);
        let peer = Peer::start(|conn| conn.misbehave(conn.number() % FAULTS));
        for depth in [1, 8] {
            let plan = Plan::new(&peer.url("/")).unwrap().connections(1_000).depth(depth);
            let (report, _) = load(&plan.timeout(Duration::from_millis(500)), 50_000);
            assert_eq!(report.requests(), 50_000, "{report}");
            assert_eq!(report.responses() + report.errors().values().sum::<u64>(), 50_000, "{report}");
            assert!(report.responses() > 25_000, "{report}");
            assert!(!report.errors().contains_key(&ErrorKind::System), "{report}");
        }
    });
}

#[test]
fn ten_million_commands_of_redis_are_all_answered_and_take_no_memory() {
    alone(|| {
        let server = RedisServer::start();
        let db = Redis::at(&server.address().to_string());
        server.feed(&(0..1_000).map(|key| format!("SET key:{key} {key}\n")).collect::<String>());
        let plan = |words: &[&str]| Plan::redis(&db, words).unwrap().connections(50).depth(16);
        for (words, threads, requests) in [
            (&["GET", "key:{rand:0:999}"][..], 1, 10_000_000),
            (&["SET", "key:{rand:0:999}", "{bytes:64}"], 2, 2_000_000),
            (&["LPUSH", "key:1", "{seq}"], 1, 1_000_000),
        ] {
            let before = server.info("total_commands_processed");
            let (report, grown) = load(&plan(words).threads(threads), requests);
            assert_eq!((report.responses(), report.failed()), (requests, 0), "{report}");
            assert_eq!(report.replies().values().sum::<u64>(), requests, "{report}");
            assert!(grown < GROWTH, "memory grew by {grown} bytes: {report}");
            // And the greetings of its connections, and those who ask.
            let ran = server.info("total_commands_processed") - before;
            assert!((requests..requests + 100).contains(&ran), "{ran} commands ran: {report}");
        }
    });
}

#[test]
fn a_long_string_of_redis_that_nobody_collects_takes_no_memory() {
    alone(|| {
        const LENGTH: u64 = 300 << 20;
        let server = RedisServer::start();
        let db = Redis::at(&server.address().to_string());
        let mut client = Client::new().unwrap();
        client.send(db.command("SET", ("long", vec![b'x'; LENGTH as usize]))).unwrap();
        let report = client.fetch_all().unwrap();
        assert_eq!(report.replies().get("OK"), Some(&1), "{report}");
        assert_eq!(server.cli(&["STRLEN", "long"]).trim(), LENGTH.to_string());
        forget_peak();
        let (before, heard) = (resident_memory(), Arc::new(Mutex::new(0)));
        assert!(before < LENGTH / 4, "{before} bytes are held of what was sent");
        let sum = Arc::clone(&heard);
        let request = Request::from(db.command("GET", "long")).on_chunk(move |_, bytes| {
            assert!(bytes.iter().all(|byte| *byte == b'x'));
            *sum.lock().unwrap() += bytes.len() as u64;
            Ok::<_, Error>(aquests::Flow::Continue)
        });
        client.send(request).unwrap();
        let report = client.fetch_all().unwrap();
        assert_eq!((report.replies().get("OK"), *heard.lock().unwrap()), (Some(&1), LENGTH), "{report}");
        let grown = peak_memory().saturating_sub(before);
        assert!(grown < GROWTH, "memory grew by {grown} bytes for a string of {LENGTH}");
    });
}
