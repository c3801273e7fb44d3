//! Clusters of Redis through the client: which command goes to which of three masters.

#![cfg(feature = "redis")]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aquests::redis::{Redis, ScanOptions, Value, Version};
use aquests::{Client, ErrorKind};
use support::{RedisCluster, must_end, outcomes, values};

fn db(cluster: &RedisCluster) -> Redis {
    Redis::at(&cluster[0].address().to_string()).cluster()
}

#[test]
fn each_command_goes_to_the_node_of_its_key() {
    must_end(|| {
        let cluster = RedisCluster::start();
        let mut client = Client::builder().workers(3).build().unwrap();
        let db = db(&cluster);
        for number in 0..300 {
            client.send(db.set(format!("key-{number}"), number)).unwrap();
        }
        let report = client.fetch_all().unwrap();
        assert_eq!(report.replies()["OK"], 300, "{report}");
        let sizes: Vec<u64> = cluster.nodes().iter().map(|node| node.cli(&["DBSIZE"]).parse().unwrap()).collect();
        assert!(sizes.iter().sum::<u64>() == 300 && sizes.iter().all(|size| *size > 0), "{sizes:?}");
        // Nobody was sent away: a node counts its MOVED among its errors.
        for node in cluster.nodes() {
            assert!(!node.cli(&["INFO", "errorstats"]).contains("MOVED"), "the map says where to go");
        }
        for number in 0..300 {
            client.send(db.get(format!("key-{number}"))).unwrap();
        }
        let mut sum = 0;
        client
            .fetch_all_with(|_, outcome| {
                sum += outcome.response().unwrap().read::<u64>().unwrap();
                Ok::<_, aquests::Error>(())
            })
            .unwrap();
        assert_eq!(sum, 299 * 300 / 2);
    });
}

#[test]
fn one_worker_does_for_three_nodes() {
    must_end(|| {
        let cluster = RedisCluster::start_with(|builder| builder.password("secret"));
        for (round, version) in [(1, Version::Resp2), (2, Version::Resp3)] {
            let mut client = Client::new().unwrap();
            let db = db(&cluster).password("secret").protocol(version);
            for number in 0..60 {
                client.send(db.incr(format!("key-{number}"))).unwrap();
            }
            assert_eq!(values(&mut client), vec![Value::Integer(round); 60]);
        }
        let mut client = Client::new().unwrap();
        for number in 0..3 {
            client.send(db(&cluster).password("hunter2").get(number)).unwrap();
        }
        for outcome in outcomes(&mut client) {
            let error = outcome.error().unwrap();
            assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    });
}

#[test]
fn commands_without_a_key_are_spread_and_a_node_can_be_named() {
    must_end(|| {
        let cluster = RedisCluster::start();
        let mut client = Client::builder().workers(3).build().unwrap();
        let db = db(&cluster);
        for _ in 0..30 {
            client.send(db.echo("here")).unwrap();
        }
        assert_eq!(values(&mut client).len(), 30);
        for node in cluster.nodes() {
            let stats = node.cli(&["INFO", "commandstats"]);
            assert!(stats.contains("cmdstat_echo:calls=10,"), "a third of them each: {stats}");
        }
        client.send(db.set("key", 1)).unwrap();
        values(&mut client);
        for node in cluster.nodes() {
            client.send(db.dbsize().at("127.0.0.1", node.port())).unwrap();
        }
        let mut sizes = values(&mut client);
        sizes.sort_by_key(|size| size.as_i64());
        assert_eq!(sizes, [Value::Integer(0), Value::Integer(0), Value::Integer(1)]);
    });
}

#[test]
fn what_no_node_can_do_is_refused_before_it_is_sent() {
    let mut client = Client::new().unwrap();
    let db = Redis::at("127.0.0.1:1").cluster();
    for (what, request) in [
        ("MGET", aquests::Request::from(db.mget(["a", "b"]))),
        ("SET", db.batch().add(db.set("a", 1)).add(db.set("b", 1)).into()),
        ("database", db.clone().database(2).get("a").into()),
        ("unix", Redis::unix_socket("/tmp/socket").cluster().get("a").into()),
    ] {
        let error = client.send(request).unwrap_err();
        assert_eq!(error.error().kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(what), "{error}");
    }
    client.send(db.batch().add(db.ping().at("h", 1))).unwrap_err();
}

#[test]
fn a_session_leads_to_the_node_of_a_key_and_hears_its_shard() {
    must_end(|| {
        let cluster = RedisCluster::start();
        let mut client = Client::builder().workers(3).build().unwrap();
        let db = db(&cluster);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut sessions = Vec::new();
        let channels = ["a", "b", "c", "d", "e", "f"];
        for channel in channels {
            let session = client.open(db.at_key(channel)).unwrap();
            let heard = Arc::clone(&heard);
            session.on_push(move |push| {
                if let Some(published) = push.published() {
                    heard.lock().unwrap().push(String::from_utf8_lossy(published.payload).into_owned());
                }
            });
            session.send(db.command("SSUBSCRIBE", channel)).unwrap();
            sessions.push(session);
        }
        for outcome in outcomes(&mut client) {
            assert!(outcome.response().unwrap().value().unwrap().as_error().is_none(), "{outcome}");
        }
        for channel in channels {
            client.send(db.command("SPUBLISH", (channel, channel))).unwrap();
        }
        assert_eq!(values(&mut client), vec![Value::Integer(1); 6]);
        while heard.lock().unwrap().len() < 6 {
            client.turn(Some(Duration::from_secs(1))).unwrap();
        }
        let mut heard = heard.lock().unwrap().clone();
        heard.sort();
        assert_eq!(heard, channels);

        // A connection that is given back is one of its node, and of no other.
        drop(sessions);
        let sessions: Vec<_> = channels.iter().map(|key| client.open(db.at_key(key)).unwrap()).collect();
        for (session, key) in sessions.iter().zip(channels) {
            session.send(db.set(key, key)).unwrap();
        }
        assert_eq!(values(&mut client).len(), 6);
        drop(sessions);
        for _ in 0..2 {
            client.turn(Some(Duration::ZERO)).unwrap();
        }
        for key in channels {
            client.send(db.get(key)).unwrap();
        }
        let mut found = values(&mut client);
        found.sort_by_key(|value| value.as_bytes().map(<[u8]>::to_vec));
        assert_eq!(found, channels.map(|key| Value::Bulk(key.as_bytes().to_vec())));
        for node in cluster.nodes() {
            assert!(!node.cli(&["INFO", "errorstats"]).contains("MOVED"), "nobody was sent away");
        }
    });
}

#[test]
fn a_scan_tells_every_key_of_every_master() {
    must_end(|| {
        let cluster = RedisCluster::start();
        let mut client = Client::builder().workers(3).build().unwrap();
        let db = db(&cluster);
        let mut keys: Vec<_> = (0..500).map(|number| format!("key-{number:03}")).collect();
        for key in &keys {
            client.send(db.set(key, 1)).unwrap();
        }
        client.send(db.set("other", 1)).unwrap();
        outcomes(&mut client);
        let found = Arc::new(Mutex::new(BTreeSet::new()));
        let (into, options) = (Arc::clone(&found), ScanOptions::new().matching("key-*").count(50));
        let done = Arc::new(Mutex::new(0));
        let ended = Arc::clone(&done);
        client
            .scan(db.scan_keys(options), move |_, scan, keys| {
                let keys: Vec<String> = keys?;
                into.lock().unwrap().extend(keys);
                *ended.lock().unwrap() += u32::from(scan.is_done());
                Ok(())
            })
            .unwrap();
        client.fetch_all().unwrap();
        keys.sort();
        assert_eq!(found.lock().unwrap().iter().cloned().collect::<Vec<_>>(), keys);
        assert_eq!(*done.lock().unwrap(), 1, "its end is told once");
    });
}
