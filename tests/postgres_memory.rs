//! Memory that rows and copies take which are passed on: none to speak of. A binary of its own, which nothing else weighs
//! on.

#![cfg(feature = "postgres")]

mod support;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aquests::postgres::{Postgres, Statement};
use aquests::{Client, Error, Flow, Request, Response};
use support::{PostgresServer, forget_peak, must_end, peak_memory, resident_memory};

const ROWS: u64 = 1_000_000;
const LENGTH: u64 = 64 << 20;
/// What the process may grow by, at its peak, above what it was before.
const GROWTH: u64 = 8 << 20;

fn fetch_one(client: &mut Client, request: impl Into<Request>) -> Response {
    let id = client.send(request).expect("it can be sent");
    loop {
        client.turn(Some(Duration::from_millis(20))).expect("it turns");
        if let Some(outcome) = client.next_outcome() {
            return outcome.into_result().expect("it was answered");
        }
        client.resume(id);
    }
}

/// Counts rows, and asks for a pause every now and then.
fn count(client: &mut Client, statement: Statement) {
    let seen = Arc::new(AtomicU64::new(0));
    let rows = Arc::clone(&seen);
    let request = Request::from(statement).on_row(move |row| {
        let count = rows.fetch_add(1, Ordering::Relaxed) + 1;
        assert_eq!(row.try_get::<String>(1)?.len(), 50);
        Ok::<_, Error>(if count.is_multiple_of(100_000) { Flow::Hold } else { Flow::Continue })
    });
    let response = fetch_one(client, request);
    assert_eq!(seen.load(Ordering::Relaxed), ROWS);
    assert_eq!(response.results().unwrap().affected(), ROWS);
    assert!(response.received() > 50 * ROWS);
}

// One test: others would be weighed too.
#[test]
fn rows_and_copies_stream_in_flat_memory() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let db = Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "");
        fetch_one(&mut client, db.query("CREATE TABLE t (word text)"));
        fetch_one(&mut client, db.execute("SELECT 1", ()));
        let before = resident_memory();
        forget_peak();

        let sql = format!("SELECT generate_series(1, {ROWS}) AS n, repeat('x', 50) AS word");
        count(&mut client, db.query(sql.as_str()));
        count(&mut client, db.execute(sql.as_str(), ()));

        let line = format!("{}\n", "x".repeat(63)).into_bytes();
        let repeated = line.into_iter().cycle();
        let copy = db.copy_in("COPY t FROM STDIN WHERE false");
        let body = Bytes(Box::new(repeated)).take(LENGTH);
        fetch_one(&mut client, Request::from(copy).body_reader(body, Some(LENGTH)));
        let out = format!("COPY (SELECT repeat('x', 63) FROM generate_series(1, {})) TO STDOUT", LENGTH / 64);
        assert_eq!(fetch_one(&mut client, Request::from(db.query(out.as_str())).discard()).received(), LENGTH);
        let held = Request::from(db.query(out)).on_chunk(|_, _| Ok::<_, Error>(Flow::Hold));
        assert_eq!(fetch_one(&mut client, held).received(), LENGTH);

        let grown = peak_memory().saturating_sub(before);
        println!("the peak was {grown} bytes above what it was before");
        assert!(grown < GROWTH, "memory grew by {grown} bytes");
    });
}

/// An iterator that is read.
struct Bytes(Box<dyn Iterator<Item = u8> + Send>);

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = buffer.len();
        for (to, from) in buffer.iter_mut().zip(&mut self.0) {
            *to = from;
        }
        Ok(room)
    }
}
