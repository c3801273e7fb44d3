//! A gigabyte each way, which nobody keeps: PostgreSQL's COPY and a string of Redis as long as they can be.
//! `tests/run --long` runs it, and the command's own in `cli/tests/gigabytes.rs`.

mod support;

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aquests::postgres::Postgres;
use aquests::redis::Redis;
use aquests::{Client, Error, Flow, Request, Response};
use support::{PostgresServer, RedisServer, forget_peak, must_end, peak_memory, resident_memory};

const GIB: u64 = 1 << 30;
/// Bytes of a line with its end: 2^20 of them are a gigabyte.
const LINE: u64 = 1 << 10;
/// What the process may grow by, at its peak, above what it was before.
const GROWTH: u64 = 8 << 20;

/// The answer to one request, and by how many bytes the process grew meanwhile. Tells how long it took.
fn fetch(client: &mut Client, what: &str, request: impl Into<Request>) -> (Response, u64) {
    let before = resident_memory();
    forget_peak();
    let start = Instant::now();
    let id = client.send(request).expect("it can be sent");
    let response = loop {
        client.turn(Some(Duration::from_millis(20))).expect("it turns");
        if let Some(outcome) = client.next_outcome() {
            break outcome.into_result().unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        client.resume(id);
    };
    let grown = peak_memory().saturating_sub(before);
    println!("{what}: {:?}, and {} KiB above what the process was before", start.elapsed(), grown >> 10);
    (response, grown)
}

// One test: others would be weighed too.
#[test]
fn a_gigabyte_goes_each_way_in_flat_memory() {
    must_end(|| {
        let server = PostgresServer::start();
        let db = Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "");
        let mut client = Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        fetch(&mut client, "a table", db.query("CREATE TABLE t (word text)"));

        let sql = format!("COPY (SELECT repeat('x', {}) FROM generate_series(1, {})) TO STDOUT", LINE - 1, GIB / LINE);
        let (response, grown) = fetch(&mut client, "COPY out, to nobody", Request::from(db.query(&*sql)).discard());
        assert_eq!(response.received(), GIB);
        assert!(grown < GROWTH, "memory grew by {grown} bytes");

        let (seen, chunks) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
        let lines = Arc::clone(&seen);
        let slowly = Request::from(db.query(sql)).on_chunk(move |_, bytes| {
            lines.fetch_add(bytes.iter().filter(|byte| **byte == b'\n').count() as u64, Ordering::Relaxed);
            let pause = chunks.fetch_add(1, Ordering::Relaxed).is_multiple_of(10_000);
            Ok::<_, Error>(if pause { Flow::Hold } else { Flow::Continue })
        });
        let (response, grown) = fetch(&mut client, "COPY out, to a reader that asks for pauses", slowly);
        assert_eq!((response.received(), seen.load(Ordering::Relaxed)), (GIB, GIB / LINE));
        assert!(grown < GROWTH, "memory grew by {grown} bytes");

        let copy =
            Request::from(db.copy_in("COPY t FROM STDIN WHERE word = ''")).body_reader(Lines(0).take(GIB), Some(GIB));
        let (response, grown) = fetch(&mut client, "COPY in", copy);
        assert_eq!(response.results().unwrap().affected(), 0, "it was read, and no line is empty");
        assert!(grown < GROWTH, "memory grew by {grown} bytes");
        assert_eq!(server.psql("SELECT count(*) FROM t"), "0");
        drop(server);
        strings_of_redis(&mut client);
    });
}

/// The largest that a server takes: 512 MiB. A command is kept until it is answered; an answer need not be.
fn strings_of_redis(client: &mut Client) {
    const LENGTH: usize = 512 << 20;
    let server = RedisServer::start();
    let db = Redis::at(&server.address().to_string());
    let command = db.set("large", vec![b'x'; LENGTH]);
    let (response, grown) = fetch(client, "a string of 512 MiB, up", command);
    assert_eq!(response.read::<String>().unwrap(), "OK");
    // What is to be written, once, besides the command.
    assert!(grown < LENGTH as u64 + 2 * GROWTH, "memory grew by {grown} bytes");
    assert_eq!(server.cli(&["STRLEN", "large"]), LENGTH.to_string());
    let (response, grown) = fetch(client, "a string of 512 MiB, down", Request::from(db.get("large")).discard());
    assert_eq!(response.received(), LENGTH as u64);
    assert!(grown < GROWTH, "memory grew by {grown} bytes");
}

/// Lines of `LINE` bytes, without an end.
struct Lines(u64);

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(b'x');
        let ends = (LINE - 1 - self.0 % LINE) as usize;
        buffer.iter_mut().skip(ends).step_by(LINE as usize).for_each(|byte| *byte = b'\n');
        self.0 += buffer.len() as u64;
        Ok(buffer.len())
    }
}
