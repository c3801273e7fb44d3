//! COPY, both ways: rows from a thread that makes them into a table, and the table into a file.
//! `cargo run --features postgres --example postgres_copy [postgres://user:password@host/database]`

#[path = "support/database.rs"]
mod database;

use std::io::Write;
use std::{env, fs, thread};

use aquests::{Client, Error, Request};

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

    client.send(db.query("DROP TABLE numbers"))?;
    assert_eq!(client.fetch_all()?.failed(), 0);
    Ok(())
}
