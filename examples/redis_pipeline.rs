//! Many commands at once, on one connection and without waiting in between.
//! `cargo run --features redis --example redis_pipeline [HOST:PORT]`

mod support;

use aquests::Client;
use aquests::redis::Redis;

fn main() -> Result<(), aquests::Error> {
    let db = Redis::at(&support::redis());
    let mut client = Client::new()?;

    // Replies come in the order of the commands, and as many are on their way at once as `Redis::pipeline` says.
    for number in 1..=10_000 {
        client.send(db.incrby("sum", number))?;
    }
    let report = client.fetch_all()?;
    println!("{report}");
    assert_eq!((report.failed(), report.replies().get("OK")), (0, Some(&10_000)));

    // One exchange, two replies: nothing of anybody else comes between them on the connection.
    client.send(db.batch().add(db.get("sum")).add(db.set("sum", 0)))?;
    client.fetch_all_with(|_, outcome| {
        let replies = outcome.into_result()?.into_replies();
        println!("the sum was {:?}", replies[0]);
        assert_eq!(replies[0].as_str(), Some("50005000"));
        Ok::<_, aquests::Error>(())
    })?;
    Ok(())
}
