//! Many pages over a few connections, each request with a value of its own that comes back with its outcome, and a log
//! file. `cargo run --example many_pages [URL]`

mod support;

use aquests::{Client, Logger, Request};

#[derive(Clone)]
struct Page(usize);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = support::http_server();
    let log = std::env::temp_dir().join(format!("aquests-many-pages-{}.log", std::process::id()));

    let mut client = Client::builder().workers(10).logger(Logger::file(&log)?).build()?;
    for page in 0..1_000 {
        client.send(Request::get(format!("{url}/pages/{page}")).meta(Page(page)))?;
    }
    client.send(Request::post(format!("{url}/books")).form(&[("author", "James Milton")]).callback(|_, outcome| {
        println!("this one has a callback of its own: {outcome}");
        Ok::<_, aquests::Error>(())
    }))?;

    let mut seen = vec![false; 1_000];
    let report = client.fetch_all_with(|_, outcome| {
        let page = outcome.meta().get::<Page>().expect("it was sent with one").0;
        seen[page] = true;
        outcome.into_result().map(drop)
    })?;

    assert!(seen.iter().all(|seen| *seen));
    println!("{report}\nthe log has {} lines", std::fs::read_to_string(&log)?.lines().count());
    std::fs::remove_file(log)?;
    Ok(())
}
