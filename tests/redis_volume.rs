//! One string of Redis that is larger than all that may lie between: alone in its process, so that what that weighs is
//! known.

#![cfg(feature = "redis")]

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use aquests::redis::Redis;
use aquests::{Client, Request};
use support::{RedisServer, forget_peak, must_end, peak_memory, resident_memory};

const LENGTH: usize = 300 << 20;

#[test]
fn a_string_of_300_mb_comes_without_being_kept_and_is_kept_once() {
    must_end(|| {
        let server = RedisServer::start();
        let db = Redis::at(&server.address().to_string());
        let mut client = Client::builder()
            .timeout(Duration::from_secs(60))
            .reply_limit(LENGTH + (1 << 20))
            .buffer_limit(2 * LENGTH)
            .build()
            .unwrap();
        let mut last = |request: Request| {
            client.send(request).unwrap();
            let mut response = None;
            client
                .fetch_all_with(|_, outcome| {
                    response = Some(outcome.into_result()?);
                    Ok::<_, aquests::Error>(())
                })
                .unwrap();
            response.unwrap()
        };

        // Up: the value of the program, and the command that has it.
        let value = vec![b'x'; LENGTH];
        let command = db.set("large", &value[..]);
        drop(value);
        let before = resident_memory();
        forget_peak();
        assert_eq!(last(command.into()).read::<String>().unwrap(), "OK");
        let more = (peak_memory() - before) >> 20;
        // What is to be written lies behind what was said before, once.
        assert!(more < (LENGTH as u64 >> 20) + 16, "{more} MiB besides the command itself");

        // Down, to nobody.
        let before = resident_memory();
        forget_peak();
        let response = last(Request::from(db.get("large")).discard());
        assert_eq!(response.received(), LENGTH as u64);
        let more = (peak_memory() - before) >> 20;
        assert!(more < 16, "{more} MiB for what nobody keeps");

        // Down, and kept.
        let before = resident_memory();
        forget_peak();
        let mut replies = last(db.get("large").into()).into_replies();
        let more = (peak_memory() - before) >> 20;
        let value = replies.pop().unwrap();
        assert!(value.as_bytes().unwrap().iter().all(|byte| *byte == b'x'));
        assert_eq!(value.as_bytes().unwrap().len(), LENGTH);
        assert!(more < (2 * LENGTH as u64) >> 20, "{more} MiB for one of {LENGTH} bytes");
    });
}
