//! Statements with values, and rows as types of Rust; a transaction; a million rows in no memory to speak of; rows in
//! portions.
//! `cargo run --features postgres --example postgres_rows [postgres://user:password@host/database]`

#[path = "support/database.rs"]
mod database;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aquests::{Client, Error, Flow, Request};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = database::open()?;
    let db = &database.db;
    let mut client = Client::builder().workers(4).build()?;

    // What belongs together goes through one connection, in order: a session.
    let session = client.open(db)?;
    session.send(db.query("BEGIN; CREATE TABLE IF NOT EXISTS weather (city text, low int4, rain float8)"))?;
    for (city, low, rain) in [("Plzeň", 7, Some(0.25)), ("Praha", 9, None)] {
        session.send(db.execute("INSERT INTO weather VALUES ($1, $2, $3)", (city, low, rain)))?;
    }
    session.send(db.query("COMMIT"))?;
    client.fetch_all_with(|_, outcome| {
        // The server's own words about what it did not do are in the answer.
        outcome.into_result()?.into_results().into_result()?;
        Ok::<_, aquests::BoxError>(())
    })?;
    drop(session);

    // What does not, runs on several at once. Each statement is prepared once on each connection.
    for low in [5, 8] {
        client.send(db.execute("SELECT city, low, rain FROM weather WHERE low > $1 ORDER BY low", (low,)))?;
    }
    let mut cities = 0;
    client.fetch_all_with(|_, outcome| {
        for row in outcome.into_result()?.rows() {
            let (city, low): (String, i32) = (row.try_get("city")?, row.try_get("low")?);
            println!("{city}: {low} °C, {:?} mm", row.try_get::<Option<f64>>("rain")?);
            cities += 1;
        }
        Ok::<_, Error>(())
    })?;
    println!("{cities} rows");

    // Rows as they come, of which none is kept.
    let sum = Arc::new(AtomicU64::new(0));
    let into = Arc::clone(&sum);
    let many = db.execute("SELECT generate_series(1, 1000000) AS n", ());
    client.send(Request::from(many).on_row(move |row| {
        into.fetch_add(u64::from(row.try_get::<i32>("n")?.unsigned_abs()), Ordering::Relaxed);
        Ok::<_, Error>(Flow::Continue)
    }))?;
    println!("{}", client.fetch_all()?);
    assert_eq!(sum.load(Ordering::Relaxed), 500_000_500_000);

    // Rows in portions, with other statements of the same transaction between them: a portal.
    let session = client.open(db)?;
    let portal = db.execute("SELECT generate_series(1, $1) AS n", (250,)).portal();
    session.send(db.query("BEGIN"))?;
    session.send(portal.open())?;
    session.send(portal.fetch(100))?;
    let mut portions = Vec::new();
    client.fetch_all_with(|_, outcome| {
        let results = outcome.into_result()?.into_results().into_result()?;
        portions.extend(Some(results.rows().len()).filter(|rows| *rows > 0));
        if results.is_suspended() {
            session.send(db.execute("UPDATE weather SET low = low + 1", ()))?;
            session.send(portal.fetch(100))?;
        }
        Ok::<_, aquests::BoxError>(())
    })?;
    session.send(db.query("COMMIT"))?;
    assert_eq!(client.fetch_all()?.failed(), 0);
    assert_eq!(portions, [100, 100, 50]);
    drop(session);

    client.send(db.query("DROP TABLE weather"))?;
    assert_eq!(client.fetch_all()?.failed(), 0);
    Ok(())
}
