//! A million rows or so: fetched with types, copied out, copied in.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aquests::postgres::Postgres;
use aquests::{Client, Flow, Request};
use postgres::fallible_iterator::FallibleIterator;
use postgres::{Client as Other, NoTls};

use crate::Done;

const ROWS: &str =
    "SELECT n, 'row number ' || n AS words, n / 3.0::float8 AS third FROM generate_series(1, $1::int8) AS n";
const OUT: &str = "COPY (SELECT n, 'row number ' || n, n / 3.0::float8 FROM generate_series(1, ROWS) AS n) TO STDOUT";
const TABLE: &str = "CREATE TEMPORARY TABLE copied (n int8, words text)";
const IN: &str = "COPY copied FROM STDIN";

fn one(request: impl Into<Request>, client: &mut Client) -> Result<aquests::Response, Box<dyn std::error::Error>> {
    client.send(request)?;
    let mut answer = None;
    client.fetch_all_with(|_, outcome| {
        answer = Some(outcome.into_result()?);
        Ok::<_, aquests::Error>(())
    })?;
    Ok(answer.ok_or("no outcome")?)
}

pub(crate) fn rows_ours(url: &str, rows: u64) -> Done {
    let db = Postgres::parse(url)?;
    let sum = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sum);
    let request = Request::from(db.execute(ROWS, (rows as i64,))).on_row(move |row| {
        let (n, words, third) = (row.try_get::<i64>(0)?, row.try_get::<String>(1)?, row.try_get::<f64>(2)?);
        counted.fetch_add(u64::from(n > 0 && !words.is_empty() && third > 0.0), Ordering::Relaxed);
        Ok::<_, aquests::BoxError>(Flow::Continue)
    });
    let response = one(request, &mut Client::new()?)?;
    match response.results().and_then(|results| results.error()) {
        Some(error) => Err(error.to_string().into()),
        None => Ok(sum.load(Ordering::Relaxed)),
    }
}

pub(crate) fn rows_crate(url: &str, rows: u64) -> Done {
    let mut client = Other::connect(url, NoTls)?;
    let mut sum = 0;
    let mut all = client.query_raw(ROWS, [rows as i64])?;
    while let Some(row) = all.next()? {
        let (n, words, third) = (row.try_get::<_, i64>(0)?, row.try_get::<_, String>(1)?, row.try_get::<_, f64>(2)?);
        sum += u64::from(n > 0 && !words.is_empty() && third > 0.0);
    }
    Ok(sum)
}

pub(crate) fn copy_out_ours(url: &str, rows: u64) -> Done {
    let db = Postgres::parse(url)?;
    let lines = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&lines);
    let request = Request::from(db.query(OUT.replace("ROWS", &rows.to_string()))).on_chunk(move |_, bytes| {
        counted.fetch_add(count(bytes), Ordering::Relaxed);
        Ok::<_, aquests::BoxError>(Flow::Continue)
    });
    one(request, &mut Client::new()?)?;
    Ok(lines.load(Ordering::Relaxed))
}

pub(crate) fn copy_out_crate(url: &str, rows: u64) -> Done {
    let mut client = Other::connect(url, NoTls)?;
    let mut reader = client.copy_out(&OUT.replace("ROWS", &rows.to_string()))?;
    let (mut buffer, mut lines) = (vec![0; 64 << 10], 0);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(lines),
            bytes => lines += count(&buffer[..bytes]),
        }
    }
}

pub(crate) fn copy_in_ours(url: &str, rows: u64) -> Done {
    let db = Postgres::parse(url)?;
    let mut client = Client::new()?;
    let session = client.open(&db)?;
    session.send(db.query(TABLE))?;
    session.send(Request::from(db.copy_in(IN)).body_reader(Lines { next: 0, rows, rest: Vec::new() }, None))?;
    let mut copied = 0;
    client.fetch_all_with(|_, outcome| {
        let response = outcome.into_result()?;
        copied = response.results().map_or(0, |results| results.affected());
        Ok::<_, aquests::Error>(())
    })?;
    Ok(copied)
}

pub(crate) fn copy_in_crate(url: &str, rows: u64) -> Done {
    let mut client = Other::connect(url, NoTls)?;
    client.batch_execute(TABLE)?;
    let mut writer = client.copy_in(IN)?;
    let (mut lines, mut buffer) = (Lines { next: 0, rows, rest: Vec::new() }, vec![0; 64 << 10]);
    loop {
        match lines.read(&mut buffer)? {
            0 => return Ok(writer.finish()?),
            bytes => writer.write_all(&buffer[..bytes])?,
        }
    }
}

fn count(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Rows as COPY takes them, made while they are read.
struct Lines {
    next: u64,
    rows: u64,
    rest: Vec<u8>,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.len() < buffer.len() && self.next < self.rows {
            self.next += 1;
            writeln!(self.rest, "{}\trow number {}", self.next, self.next)?;
        }
        let bytes = self.rest.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&self.rest[..bytes]);
        self.rest.drain(..bytes);
        Ok(bytes)
    }
}
