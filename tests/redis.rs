//! Redis through the client, on real servers.

#![cfg(feature = "redis")]

#[path = "support/mod.rs"]
mod support;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aquests::protocols::redis::Value;
use aquests::redis::{ReadError, Redis, Scan, ScanOptions};
use aquests::{Client, ErrorKind, Push, Request, Version};
use support::{RedisServer, must_end, outcomes};

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

#[test]
fn commands_are_answered_in_order_and_errors_are_answers() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::new().unwrap();
        let db = Redis::at(&server.address().to_string());
        client.send(db.command("SET", ("city", "Plzeň"))).unwrap();
        client.send(db.command("GET", "city")).unwrap();
        client.send(db.command("GET", "nothing")).unwrap();
        client.send(db.command("SET", ("empty", ""))).unwrap();
        client.send(db.command("GET", "empty")).unwrap();
        client.send(db.command("LPUSH", "city")).unwrap();
        client.send(db.command("LPUSH", ("city", 1))).unwrap();
        let all = outcomes(&mut client);
        let values: Vec<_> = all.iter().map(|outcome| outcome.response().unwrap().value().unwrap().clone()).collect();
        assert_eq!(
            values[..5],
            [Value::Simple(b"OK".to_vec()), bulk("Plzeň"), Value::Null, Value::Simple(b"OK".to_vec()), bulk("")]
        );
        assert_eq!(values[6].as_error().unwrap().as_ref().code(), b"WRONGTYPE");
        let last = all[6].response().unwrap();
        assert_eq!((last.status().as_u16(), &*last.reason(), last.version()), (500, "WRONGTYPE", Version::Resp3));
        assert_eq!(last.url().to_string(), format!("redis://{}/0", server.address()).replace(":6379", ""));
        let line = all[6].to_string();
        assert!(line.starts_with("REQ lpush-6. RESP3 500 WRONGTYPE "), "{line}");
    });
}

#[test]
fn commands_share_one_connection_without_being_asked_to() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::builder().workers(4).build().unwrap();
        let db = Redis::at(&server.address().to_string());
        let before = server.info("total_connections_received");
        for number in 0..1000 {
            client.send(db.command("INCRBY", ("sum", number))).unwrap();
        }
        let report = client.fetch_all().unwrap();
        assert_eq!((report.responses(), report.replies()["OK"]), (1000, 1000), "{report}");
        client.send(db.command("GET", "sum")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all[0].response().unwrap().value().unwrap(), &bulk("499500"));
        let made = server.info("total_connections_received") - before;
        assert!(made <= 10, "{made} connections for what fits into a few");
    });
}

#[test]
fn a_subscriber_hears_what_is_published_and_of_the_end_of_its_connection() {
    must_end(|| {
        let mut server = RedisServer::start();
        let mut client = Client::new().unwrap();
        let db = Redis::at(&server.address().to_string());
        let session = client.open(&db).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let lost = Arc::new(Mutex::new(None));
        session.on_push({
            let (heard, lost) = (Arc::clone(&heard), Arc::clone(&lost));
            move |push| match push {
                Push::Lost(error) => *lost.lock().unwrap() = Some(error.kind()),
                push => {
                    let published = push.published().unwrap();
                    heard.lock().unwrap().push(String::from_utf8_lossy(published.payload).into_owned());
                }
            }
        });
        session.send(db.command("SUBSCRIBE", ("news", "weather"))).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all[0].response().unwrap().replies().len(), 2, "one confirmation for each channel");
        client.send(db.command("PUBLISH", ("news", "one"))).unwrap();
        client.send(db.command("PUBLISH", ("weather", "two"))).unwrap();
        client.send(db.command("PUBLISH", ("sports", "three"))).unwrap();
        outcomes(&mut client);
        while heard.lock().unwrap().len() < 2 {
            client.turn(Some(Duration::from_secs(1))).unwrap();
        }
        assert_eq!(*heard.lock().unwrap(), ["one", "two"]);
        server.stop();
        while lost.lock().unwrap().is_none() {
            client.turn(Some(Duration::from_secs(1))).unwrap();
        }
        assert_eq!(*lost.lock().unwrap(), Some(ErrorKind::Closed));
    });
}

#[test]
fn what_changes_a_connection_goes_through_a_session() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::new().unwrap();
        let db = Redis::at(&server.address().to_string());
        client.send(db.command("WATCH", "key")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all[0].error().unwrap().kind(), ErrorKind::InvalidRequest);
        assert!(all[0].error().unwrap().to_string().contains("session"), "{}", all[0]);

        let session = client.open(&db).unwrap();
        for command in
            [db.command("WATCH", "key"), db.command("MULTI", ()), db.command("INCR", "key"), db.command("EXEC", ())]
        {
            session.send(command).unwrap();
        }
        let all = outcomes(&mut client);
        let values: Vec<_> = all.iter().map(|outcome| outcome.response().unwrap().value().unwrap().clone()).collect();
        assert_eq!(values[2], Value::Simple(b"QUEUED".to_vec()));
        assert_eq!(values[3], Value::Array(vec![Value::Integer(1)]));
    });
}

#[test]
fn a_command_that_waits_at_the_server_holds_nobody_up() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::builder().workers(2).timeout(Duration::from_millis(500)).build().unwrap();
        let db = Redis::at(&server.address().to_string());
        let begun = Instant::now();
        client.send(db.command("BLPOP", ("list", 2))).unwrap();
        for _ in 0..100 {
            client.send(db.command("PING", ())).unwrap();
        }
        let mut order = Vec::new();
        client
            .fetch_all_with(|_, outcome| {
                order.push(outcome.request_id().as_u64());
                assert!(outcome.response().is_some(), "{outcome}");
                Ok::<_, aquests::Error>(())
            })
            .unwrap();
        assert_eq!(order.last(), Some(&0), "the one that waits is the last");
        assert!(begun.elapsed() >= Duration::from_secs(2), "silence that was asked for is no fault");
    });
}

#[test]
fn a_wrong_password_fails_everything_that_waits_and_is_not_repeated() {
    must_end(|| {
        let server = RedisServer::builder().password("right").start();
        let mut client = Client::new().unwrap();
        let db = Redis::at(&server.address().to_string()).password("hunter2");
        for _ in 0..3 {
            client.send(db.command("PING", ())).unwrap();
        }
        for outcome in outcomes(&mut client) {
            let error = outcome.error().unwrap();
            assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
            assert!(error.to_string().contains("WRONGPASS"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        client
            .send(Request::from(Redis::at(&server.address().to_string()).password("right").command("PING", ())))
            .unwrap();
        assert!(outcomes(&mut client)[0].response().is_some());
    });
}

#[test]
fn a_scan_goes_on_by_itself_until_all_is_told() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::new().unwrap();
        let db = Redis::at(&server.address().to_string());
        let scores: HashMap<String, f64> =
            (0..1000).map(|number| (format!("m{number}"), f64::from(number) / 2.0)).collect();
        client
            .send(db.command("ZADD", "z").arg(scores.iter().map(|(name, score)| (*score, name)).collect::<Vec<_>>()))
            .unwrap();
        client
            .send(db.command("HSET", "h").arg(scores.iter().map(|(name, score)| (name, *score)).collect::<Vec<_>>()))
            .unwrap();
        client.send(db.sadd("s", scores.keys().collect::<Vec<_>>())).unwrap();
        client.send(db.set("text", 1)).unwrap();
        for outcome in outcomes(&mut client) {
            assert!(outcome.response().unwrap().value().unwrap().as_error().is_none(), "{outcome}");
        }
        let found = Arc::new(Mutex::new((HashMap::new(), HashMap::new(), HashSet::new())));
        let trouble = Arc::new(Mutex::new(None));
        for scan in [db.scan_sorted_set("z", ScanOptions::new()), db.scan_hash("h", ScanOptions::new())] {
            let found = Arc::clone(&found);
            let sorted = scan.next_command().unwrap().name() == "ZSCAN";
            let into = move |_: &mut Client, _: &Scan, pairs: Result<Vec<(String, f64)>, _>| {
                let mut found = found.lock().unwrap();
                if sorted {
                    found.0.extend(pairs?)
                } else {
                    found.1.extend(pairs?)
                }
                Ok(())
            };
            client.scan(scan, into).unwrap();
        }
        let into = Arc::clone(&found);
        client
            .scan(db.scan_set("s", ScanOptions::new().count(7)), move |_, _, members| {
                let members: Vec<String> = members?;
                into.lock().unwrap().2.extend(members);
                Ok(())
            })
            .unwrap();
        let told = Arc::clone(&trouble);
        client
            .scan(db.scan_set("text", ScanOptions::new()), move |_, _, members: Result<Vec<String>, _>| {
                *told.lock().unwrap() = members.err();
                Ok(())
            })
            .unwrap();
        client.fetch_all().unwrap();
        let found = found.lock().unwrap();
        assert_eq!((&found.0, &found.1), (&scores, &scores));
        assert_eq!(found.2, scores.keys().cloned().collect());
        let trouble = trouble.lock().unwrap().take().unwrap();
        assert_eq!(trouble.downcast_ref::<ReadError>().unwrap().code(), Some("WRONGTYPE"));
    });
}
