//! One program for each way to do the same work: with this library, and with the crates that programs use today. Prints
//! how many requests or rows were done; what they cost is for whoever runs it to measure.
//!
//! `redis-ours|redis-ours-shared|redis-blocking|redis-multiplexed URL REQUESTS CONNECTIONS`, and `rows|copy-out|copy-in` with `-ours` or
//! `-crate` behind, then `URL ROWS`; and `select-ours|select-bare URL STATEMENTS`.

mod floor;
mod postgres;
mod redis;

use std::env;
use std::error::Error;

type Done = Result<u64, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(1_u64);
    let url = words.get(1).ok_or("no URL")?;
    let done = match words[0].as_str() {
        "redis-ours" => redis::ours(url, number(2), number(3)),
        "redis-ours-shared" => redis::shared(url, number(2)),
        "redis-blocking" => redis::blocking(url, number(2), number(3)),
        "redis-multiplexed" => redis::multiplexed(url, number(2), number(3)),
        "rows-ours" => postgres::rows_ours(url, number(2)),
        "rows-crate" => postgres::rows_crate(url, number(2)),
        "copy-out-ours" => postgres::copy_out_ours(url, number(2)),
        "copy-out-crate" => postgres::copy_out_crate(url, number(2)),
        "copy-in-ours" => postgres::copy_in_ours(url, number(2)),
        "copy-in-crate" => postgres::copy_in_crate(url, number(2)),
        "select-ours" => floor::ours(url, number(2)),
        "select-bare" => floor::bare(url, number(2)),
        other => return Err(format!("'{other}' is nothing that can be measured").into()),
    }?;
    println!("done: {done}");
    Ok(())
}
