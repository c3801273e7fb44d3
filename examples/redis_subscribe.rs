//! Subscribes to a channel, and hears what is published there while other commands go on.
//! `cargo run --features redis --example redis_subscribe [HOST:PORT]`

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aquests::redis::Redis;
use aquests::{Client, Push};

fn main() -> Result<(), aquests::Error> {
    let db = Redis::at(&support::redis());
    let mut client = Client::new()?;

    // A subscription belongs to its connection, so it has one of its own.
    let session = client.open(&db)?;
    let heard = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heard);
    session.on_push(move |push| match push {
        // When the connection is gone, so is the subscription: open another session, and subscribe again.
        Push::Lost(error) => eprintln!("{error}"),
        push => {
            if let Some(published) = push.published() {
                println!("heard {:?}", String::from_utf8_lossy(published.payload));
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    session.send(db.command("SUBSCRIBE", "news"))?;
    client.fetch_all()?;

    for number in 1..=3 {
        client.send(db.publish("news", format!("number {number}")))?;
    }
    // What is published is heard inside turns, whether anything else is in hand or not.
    while heard.load(Ordering::Relaxed) < 3 || !client.is_idle() {
        client.turn(None)?;
        while let Some(outcome) = client.next_outcome() {
            let listeners: u64 = outcome.into_result()?.read().expect("PUBLISH counts who hears it");
            assert_eq!(listeners, 1);
        }
    }
    Ok(())
}
