//! GET, one at a time on each connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use aquests::redis::Redis;
use aquests::{Client, Request};
use redis::AsyncCommands;

use crate::Done;

fn key(number: u64) -> String {
    format!("key:{}", number % 100_000)
}

/// All on one thread.
pub(crate) fn ours(url: &str, requests: u64, connections: u64) -> Done {
    run(&Redis::parse(url)?.pipeline(1), requests, connections)
}

/// On one connection, as many at once as it takes by itself.
pub(crate) fn shared(url: &str, requests: u64) -> Done {
    run(&Redis::parse(url)?, requests, 1)
}

fn run(db: &Redis, requests: u64, connections: u64) -> Done {
    let mut client = Client::builder().workers(connections as usize).build()?;
    let db = db.clone();
    client.source((0..requests).map(move |number| Request::from(db.get(key(number)))));
    let mut answered = 0;
    client.fetch_all_with(|_, outcome| {
        let value: Option<Vec<u8>> = outcome.into_result()?.read()?;
        answered += u64::from(value.is_none_or(|value| value.len() < 1_000));
        Ok::<_, aquests::BoxError>(())
    })?;
    Ok(answered)
}

/// A thread for each connection.
pub(crate) fn blocking(url: &str, requests: u64, connections: u64) -> Done {
    let next = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let (url, next) = (url.to_owned(), Arc::clone(&next));
            thread::spawn(move || -> redis::RedisResult<u64> {
                let mut connection = redis::Client::open(url)?.get_connection()?;
                let mut answered = 0;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        return Ok(answered);
                    }
                    let value: Option<Vec<u8>> = redis::cmd("GET").arg(key(number)).query(&mut connection)?;
                    answered += u64::from(value.is_none_or(|value| value.len() < 1_000));
                }
            })
        })
        .collect();
    let mut answered = 0;
    for thread in threads {
        answered += thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(answered)
}

/// A task for each of as many requests at once, over one connection.
pub(crate) fn multiplexed(url: &str, requests: u64, tasks: u64) -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        let next = Arc::new(AtomicU64::new(0));
        let all: Vec<_> = (0..tasks)
            .map(|_| {
                let (mut connection, next) = (connection.clone(), Arc::clone(&next));
                tokio::spawn(async move {
                    let mut answered = 0;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= requests {
                            return redis::RedisResult::Ok(answered);
                        }
                        let value: Option<Vec<u8>> = connection.get(key(number)).await?;
                        answered += u64::from(value.is_none_or(|value| value.len() < 1_000));
                    }
                })
            })
            .collect();
        let mut answered = 0;
        for task in all {
            answered += task.await??;
        }
        Ok(answered)
    })
}
