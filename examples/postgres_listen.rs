//! A channel of PostgreSQL: one session listens, others tell it something.
//! `cargo run --features postgres --example postgres_listen [postgres://user:password@host/database]`

#[path = "support/database.rs"]
mod database;

use std::sync::mpsc;

use aquests::{Client, Push};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = database::open()?;
    let db = &database.db;
    let mut client = Client::new()?;

    // Listening belongs to a connection, which a session keeps. Whoever hears it runs inside the client's turns.
    let (told, heard) = mpsc::channel();
    let session = client.open(db)?;
    session.on_push(move |push| match push {
        Push::Lost(error) => eprintln!("{error}: open another session, and ask what was missed"),
        _ => {
            if let Some(notification) = push.notification() {
                let _ = told.send(String::from_utf8_lossy(notification.payload).into_owned());
            }
        }
    });
    session.send(db.query("LISTEN news"))?;
    client.fetch_all()?;

    for number in 1..=3 {
        client.send(db.execute("SELECT pg_notify('news', $1)", (format!("news number {number}"),)))?;
    }
    client.fetch_all()?;
    // Nothing is in hand any more, but the session still hears.
    for _ in 0..3 {
        let words = loop {
            match heard.try_recv() {
                Ok(words) => break words,
                Err(_) => client.turn(None)?,
            }
        };
        println!("{words}");
    }
    Ok(())
}
