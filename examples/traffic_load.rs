//! Load from inside a program: each answer is answered with a request. (For the least overhead, see `aquests::load`.)
//! `cargo run --release --example traffic_load [URL]`

mod support;

use aquests::{Client, Logger};

fn main() -> Result<(), aquests::Error> {
    let url = support::http_server();
    let (mut sent, limit) = (100, 10_000);

    let mut client = Client::builder().workers(100).logger(Logger::none()).build()?;
    for _ in 0..sent {
        client.get(&url)?;
    }
    let report = client.fetch_all_with(|client, _| {
        if sent < limit {
            client.get(&url)?;
            sent += 1;
        }
        Ok::<_, aquests::Error>(())
    })?;
    println!("{report}");
    assert_eq!((report.requests(), report.failed()), (limit, 0));
    Ok(())
}
