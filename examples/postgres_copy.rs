//! COPY, both ways: rows from a thread that makes them into a table, and the table into a file; then the same in binary, from
//! values and to rows.
//! `cargo run --features postgres --example postgres_copy [postgres://user:password@host/database]`

#[path = "support/database.rs"]
mod database;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::{env, fs, thread};

use aquests::postgres::{BinaryCopyBody, BinaryCopyReader, Type};
use aquests::{BoxError, Client, Error, Flow, Request};

const ROWS: u64 = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = database::open()?;
    let db = &database.db;
    let mut client = Client::new()?;
    client.send(db.query("CREATE TABLE numbers (n int8, square int8)"))?;

    // In: the body of a request, from wherever bodies come. Here from a thread, which waits while the server is slow.
    let copy = Request::from(db.copy_in("COPY numbers FROM STDIN WITH (FORMAT csv)"));
    let (copy, mut body) = copy.body_writer(None);
    client.send(copy)?;
    let rows = thread::spawn(move || {
        for n in 1..=ROWS {
            writeln!(body, "{n},{}", n * n)?;
        }
        body.finish();
        Ok::<_, std::io::Error>(())
    });
    client.fetch_all_with(|_, outcome| {
        let results = outcome.into_result()?.into_results().into_result()?;
        println!("{}", results.sets().last().map_or("", |set| set.tag()));
        Ok::<_, aquests::BoxError>(())
    })?;
    rows.join().expect("it does not panic")?;

    // Out: to wherever answers go.
    let path = env::temp_dir().join(format!("aquests-postgres-copy-{}", std::process::id()));
    client.send(Request::from(db.query("COPY numbers TO STDOUT")).to_file(&path))?;
    client.fetch_all_with(|_, outcome| {
        println!("{} bytes in {}", outcome.into_result()?.received(), path.display());
        Ok::<_, Error>(())
    })?;
    assert_eq!(fs::read_to_string(&path)?.lines().count() as u64, ROWS);
    fs::remove_file(&path)?;

    // In binary, from values and to rows: nobody writes or reads text. Bodies from iterators need no thread.
    let types = [Type::INT8, Type::INT8];
    let rows = (ROWS as i64 + 1..=2 * ROWS as i64).map(|n| (n, n * n));
    let copy = Request::from(db.copy_in("COPY numbers FROM STDIN (FORMAT binary)"));
    client.send(copy.body_reader(BinaryCopyBody::new(types.clone(), rows), None))?;
    assert_eq!(client.fetch_all()?.failed(), 0);
    let (sum, mut rows) = (Arc::new(AtomicI64::new(0)), BinaryCopyReader::new(types));
    let into = Arc::clone(&sum);
    let copy = Request::from(db.query("COPY numbers TO STDOUT (FORMAT binary)"));
    client.send(copy.on_chunk(move |_, mut chunk| {
        while let Some(row) = rows.next(&mut chunk)? {
            into.fetch_add(row.try_get::<i64>(0)?, Ordering::Relaxed);
        }
        Ok::<_, BoxError>(Flow::Continue)
    }))?;
    println!("{}", client.fetch_all()?);
    assert_eq!(sum.load(Ordering::Relaxed), (ROWS * (2 * ROWS + 1)) as i64);

    client.send(db.query("DROP TABLE numbers"))?;
    assert_eq!(client.fetch_all()?.failed(), 0);
    Ok(())
}
