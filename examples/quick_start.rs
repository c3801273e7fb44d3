//! One request, and what came of it. `cargo run --example quick_start [URL]`

mod support;

fn main() -> Result<(), aquests::Error> {
    let url = support::http_server();

    let mut client = aquests::Client::new()?; // 1 worker, 10 s timeout
    client.get(&url)?; // sugar for client.send(Request::get(url))
    let report = client.fetch_all_with(|_, outcome| {
        println!("{outcome}"); // REQ get-0. HTTP/1.1 200 OK 32 bytes received
        if let Some(response) = outcome.response() {
            print!("{}", response.text());
        }
        Ok::<_, aquests::Error>(())
    })?;
    println!("{report}"); // the summary, and latency percentiles
    assert_eq!(report.failed(), 0);
    Ok(())
}
