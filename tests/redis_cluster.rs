//! Clusters of Redis through the client: three masters, and slots that move while they are used.

#![cfg(feature = "redis")]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aquests::redis::{Redis, ScanOptions, Script, Value, Version};
use aquests::{Client, ErrorKind, Outcome};
use support::{Peer, RedisCluster, RedisServer, must_end};

fn outcomes(client: &mut Client) -> Vec<Outcome> {
    let mut all = Vec::new();
    client
        .fetch_all_with(|_, outcome| {
            all.push(outcome);
            Ok::<_, aquests::Error>(())
        })
        .unwrap();
    all
}

#[track_caller]
fn values(client: &mut Client) -> Vec<Value> {
    outcomes(client)
        .iter()
        .map(|outcome| outcome.response().unwrap_or_else(|| panic!("{outcome}")).value().unwrap().clone())
        .collect()
}

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
fn a_slot_that_moved_is_found_where_it_is_now() {
    must_end(|| {
        let cluster = RedisCluster::start();
        let mut client = Client::builder().workers(3).build().unwrap();
        let db = db(&cluster);
        client.send(db.set("key", "value")).unwrap();
        values(&mut client);
        let slot = cluster.slot("key");
        let to = (cluster.owner(slot) + 1) % 3;
        cluster.move_slot(slot, to);
        for _ in 0..10 {
            client.send(db.get("key")).unwrap();
        }
        assert_eq!(values(&mut client), vec![Value::Bulk(b"value".to_vec()); 10]);
        client.send(db.transaction().add(db.incr("{key}n")).add(db.incr("{key}n"))).unwrap();
        let all = outcomes(&mut client);
        let replies = all[0].response().unwrap().replies();
        assert_eq!(replies.last(), Some(&Value::Array(vec![Value::Integer(1), Value::Integer(2)])));
    });
}

#[test]
fn while_a_slot_moves_each_key_is_asked_for_where_it_is() {
    must_end(|| {
        let cluster = RedisCluster::start();
        let mut client = Client::builder().workers(3).build().unwrap();
        let db = db(&cluster);
        for key in ["{k}here", "{k}there"] {
            client.send(db.set(key, key)).unwrap();
        }
        values(&mut client);
        let slot = cluster.slot("{k}here");
        let to = (cluster.owner(slot) + 1) % 3;
        cluster.begin_move(slot, to);
        cluster.move_keys(&["{k}there"], to);
        client.send(db.get("{k}here")).unwrap();
        client.send(db.get("{k}there")).unwrap();
        let mut found = values(&mut client);
        found.sort_by_key(|value| value.as_bytes().map(<[u8]>::to_vec));
        assert_eq!(found, [Value::Bulk(b"{k}here".to_vec()), Value::Bulk(b"{k}there".to_vec())]);

        // A batch, some of which is at either.
        let batch = db.batch().add(db.get("{k}here")).add(db.get("{k}there")).add(db.append("{k}here", "!"));
        client.send(batch.add(db.append("{k}there", "?")).add(db.incr("{k}new"))).unwrap();
        let all = outcomes(&mut client);
        let response = all[0].response().unwrap_or_else(|| panic!("{}", all[0]));
        let expected = [
            Value::Bulk(b"{k}here".to_vec()),
            Value::Bulk(b"{k}there".to_vec()),
            Value::Integer(8),
            Value::Integer(9),
            Value::Integer(1),
        ];
        assert_eq!(response.replies(), expected, "each where it belongs, and once");

        // A transaction whose keys are all there already, and a script that is not known there.
        client.send(db.transaction().add(db.get("{k}there")).add(db.append("{k}there", "!"))).unwrap();
        let all = outcomes(&mut client);
        let replies = all[0].response().unwrap_or_else(|| panic!("{}", all[0])).replies();
        assert_eq!(replies.last(), Some(&Value::Array(vec![Value::Bulk(b"{k}there?".to_vec()), Value::Integer(10)])));
        let script = Script::new("return redis.call('GET', KEYS[1])");
        client.send(script.on(&db).key("{k}there")).unwrap();
        assert_eq!(values(&mut client), [Value::Bulk(b"{k}there?!".to_vec())]);

        // Keys at both: nobody has them all until the move is done.
        client.send(db.mget(["{k}here", "{k}there"])).unwrap();
        client.turn(Some(Duration::ZERO)).unwrap();
        for _ in 0..20 {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        assert_eq!(client.in_hand(), 1, "it is tried again");
        cluster.finish_move(slot, to);
        let both = [Value::Bulk(b"{k}here!".to_vec()), Value::Bulk(b"{k}there?!".to_vec())];
        assert_eq!(values(&mut client), [Value::Array(both.to_vec())]);
    });
}

#[test]
fn what_is_never_served_has_the_words_of_the_server_in_the_end() {
    must_end(|| {
        let cluster = RedisCluster::start();
        let mut client = Client::builder().workers(3).build().unwrap();
        let db = db(&cluster);
        client.send(db.set("key", 1)).unwrap();
        values(&mut client);
        let slot = cluster.slot("key");
        for node in cluster.nodes() {
            node.cli(&["CLUSTER", "DELSLOTS", &slot.to_string()]);
        }
        client.send(db.get("key")).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all[0].response().unwrap().read::<u8>().unwrap_err().code(), Some("CLUSTERDOWN"));
        client.send(aquests::Request::from(db.get("key")).timeout(Duration::from_millis(300))).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all[0].error().unwrap().kind(), ErrorKind::Timeout(aquests::Phase::Total));
    });
}

#[test]
fn nothing_is_lost_or_done_twice_while_slots_move_under_load() {
    must_end(|| {
        let cluster = RedisCluster::start();
        let mut client = Client::builder().workers(6).build().unwrap();
        let db = db(&cluster);
        let names: Vec<_> = (0..40).map(|number| format!("{{tag-{}}}:{number}", number % 8)).collect();
        let slots: Vec<_> = (0..8).map(|tag| cluster.slot(&format!("{{tag-{tag}}}"))).collect();
        let mover = std::thread::spawn(move || {
            for round in 1..=2 {
                for slot in &slots {
                    let to = (cluster.owner(*slot) + round) % 3;
                    cluster.move_slot(*slot, to);
                }
            }
            cluster
        });
        let (mut sent, mut done) = (0u64, 0u64);
        while !mover.is_finished() || client.in_hand() > 0 {
            while !mover.is_finished() && client.in_hand() < 400 {
                let name = &names[(sent % 40) as usize];
                match sent % 10 {
                    9 => client.send(db.batch().add(db.incr(name)).add(db.incr(name))).unwrap(),
                    8 => client.send(db.transaction().add(db.incr(name)).add(db.incr(name))).unwrap(),
                    _ => client.send(db.incrby(name, 2)).unwrap(),
                };
                sent += 1;
            }
            client.turn(Some(Duration::from_millis(50))).unwrap();
            while let Some(outcome) = client.next_outcome() {
                let response = outcome.response().unwrap_or_else(|| panic!("{outcome}"));
                assert!(response.replies().iter().all(|reply| reply.as_error().is_none()), "{outcome}");
                done += 1;
            }
        }
        let cluster = mover.join().unwrap();
        assert_eq!(done, sent, "each has one outcome");
        let mut sum = 0;
        for name in &names {
            client.send(db.get(name)).unwrap();
        }
        for value in outcomes(&mut client) {
            sum += value.response().unwrap().read::<Option<u64>>().unwrap().unwrap_or(0);
        }
        assert_eq!(sum, 2 * sent, "each was done once");
        let sent_away = |node: &RedisServer| node.cli(&["INFO", "errorstats"]).contains("MOVED");
        assert!(cluster.nodes().iter().any(sent_away), "slots moved away from under it");
    });
}

#[test]
fn a_replica_that_takes_over_is_followed_and_nothing_is_lost() {
    must_end(|| {
        let cluster = RedisCluster::start();
        let replica = RedisServer::builder()
            .config("cluster-enabled yes")
            .config(&format!("cluster-port {}", support::free_port()))
            .start();
        // "id ip:port@bus flags …"
        let myself = cluster[0].cli(&["CLUSTER", "NODES"]);
        let myself = myself.lines().find(|line| line.contains("myself")).unwrap();
        let (id, place) = (myself.split(' ').next().unwrap(), myself.split(' ').nth(1).unwrap());
        let bus = place.split('@').nth(1).unwrap().split(',').next().unwrap();
        replica.cli(&["CLUSTER", "MEET", "127.0.0.1", &cluster[0].port().to_string(), bus]);
        while !replica.cli(&["CLUSTER", "INFO"]).contains("cluster_known_nodes:4") {}
        while replica.try_cli(&["CLUSTER", "REPLICATE", id]).is_err() {}
        while !replica.cli(&["INFO", "replication"]).contains("master_link_status:up") {}
        // All masters have a voice in who takes over.
        while !cluster.nodes().iter().all(|node| node.cli(&["CLUSTER", "NODES"]).contains(" slave ")) {}

        let mut client = Client::builder().workers(3).build().unwrap();
        let db = db(&cluster);
        let takes_over = std::thread::spawn(move || {
            // Refused until its master has heard of it, and forgotten where the others answer too late.
            let is_master = || replica.try_cli(&["ROLE"]).is_ok_and(|role| role.starts_with("master"));
            while !is_master() {
                let asked = replica.try_cli(&["CLUSTER", "FAILOVER"]).is_ok();
                let polls = if asked { 1000 } else { 0 };
                let _ = (0..polls).any(|_| is_master());
            }
            replica
        });
        let (mut sent, mut done, mut more) = (0u64, 0u64, 300);
        while more > 0 || client.in_hand() > 0 {
            while more > 0 && client.in_hand() < 200 {
                client.send(db.incr(format!("key-{}", sent % 50))).unwrap();
                sent += 1;
                more -= u64::from(takes_over.is_finished());
            }
            client.turn(Some(Duration::from_millis(50))).unwrap();
            while let Some(outcome) = client.next_outcome() {
                let response = outcome.response().unwrap_or_else(|| panic!("{outcome}"));
                assert!(response.read::<u64>().is_ok(), "{outcome}");
                done += 1;
            }
        }
        assert_eq!(done, sent);
        for number in 0..50 {
            client.send(db.get(format!("key-{number}"))).unwrap();
        }
        let sum: u64 =
            outcomes(&mut client).iter().map(|outcome| outcome.response().unwrap().read::<u64>().unwrap()).sum();
        assert_eq!(sum, sent, "each was done once");
        let replica = takes_over.join().unwrap();
        assert!(replica.info("total_commands_processed") > 100, "it was asked");
    });
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
fn a_node_that_is_gone_fails_what_only_it_has_and_nothing_else() {
    must_end(|| {
        let mut cluster = RedisCluster::start_with(|builder| builder.config("cluster-require-full-coverage no"));
        let mut client = Client::builder().workers(3).build().unwrap();
        // The first seed is nobody.
        let port = cluster[1].address().to_string();
        let db = Redis::at("127.0.0.1:1").seeds([port]);
        let keys: Vec<_> = (0..30).map(|number| format!("key-{number}")).collect();
        for key in &keys {
            client.send(db.set(key, key)).unwrap();
        }
        assert_eq!(values(&mut client).len(), 30);
        let lost = cluster.owner(cluster.slot("key-0"));
        let (gone, kept): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| cluster.owner(cluster.slot(key)) == lost);
        cluster.node_mut(lost).kill();
        for key in &kept {
            client.send(db.get(key)).unwrap();
        }
        assert_eq!(values(&mut client).len(), kept.len());
        for key in &gone {
            client.send(db.get(key)).unwrap();
        }
        let address = cluster[lost].address().to_string();
        for outcome in outcomes(&mut client) {
            let error = outcome.error().unwrap_or_else(|| panic!("{outcome}"));
            assert!(error.kind() == ErrorKind::Connect && error.to_string().contains(&address), "{error}");
        }
    });
}

#[test]
fn a_cluster_that_nobody_answers_for_fails_what_waits_and_says_who_was_asked() {
    must_end(|| {
        let mut client = Client::new().unwrap();
        let db = Redis::at("127.0.0.1:1").seeds(["127.0.0.1:2"]);
        client.send(db.get("a")).unwrap();
        client.send(db.get("b")).unwrap();
        for outcome in outcomes(&mut client) {
            let error = outcome.error().unwrap();
            assert_eq!(error.kind(), ErrorKind::Connect);
            assert!(error.to_string().contains("127.0.0.1:2"), "{error}");
        }
        let server = support::RedisServer::start();
        client.send(Redis::at(&server.address().to_string()).cluster().get("a")).unwrap();
        let error = outcomes(&mut client).remove(0);
        assert!(error.to_string().contains("cluster support disabled"), "{error}");
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

/// A node that says of itself that it has all slots, and answers every other command with this, in which `{port}` is its
/// own.
fn node_that_says(answer: &'static str) -> Peer {
    let own = Arc::new(OnceLock::<u16>::new());
    let port = Arc::clone(&own);
    let peer = Peer::start(move |conn| {
        loop {
            // How many words there are, and each with its length in front.
            let count = conn.line()?[1..].parse::<usize>().expect("a command is an array");
            let lines = (0..2 * count).map(|_| conn.line()).collect::<Result<Vec<_>, _>>()?;
            let reply = match &*lines[1] {
                "CLUSTER" => "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:{port}\r\n",
                "ASKING" => "+OK\r\n",
                _ => answer,
            };
            conn.send(reply.replace("{port}", &port.wait().to_string()))?;
        }
    });
    own.set(peer.address().port()).expect("it is set once");
    peer
}

#[test]
fn nodes_that_send_a_command_around_come_to_an_end() {
    must_end(|| {
        for (said, code) in [
            ("-MOVED 1 :{port}\r\n", "MOVED"),
            ("-MOVED 1 127.0.0.1:{port}\r\n", "MOVED"),
            ("-ASK 1 127.0.0.1:{port}\r\n", "ASK"),
            ("-TRYAGAIN later\r\n", "TRYAGAIN"),
            ("-MOVED 99999 nowhere\r\n", "MOVED"),
            ("-MOVED 1 no\u{1b}name:{port}\r\n", "MOVED"),
            ("-ASK 1 no\tname:{port}\r\n", "ASK"),
        ] {
            let peer = node_that_says(said);
            let mut client = Client::new().unwrap();
            let db = Redis::at(&peer.address().to_string()).protocol(Version::Resp2).cluster();
            client.send(db.get("a")).unwrap();
            let response =
                outcomes(&mut client).remove(0).into_result().unwrap_or_else(|error| panic!("{said}: {error}"));
            assert_eq!(response.read::<u8>().unwrap_err().code(), Some(code), "{said}");
        }
    });
}

#[test]
fn what_waits_for_the_map_can_be_cancelled_and_has_its_time_limit() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.line()?;
            conn.wait();
            Ok(())
        });
        let mut client = Client::new().unwrap();
        let db = Redis::at(&peer.address().to_string()).cluster();
        let id = client.send(db.get("a")).unwrap();
        client.send(aquests::Request::from(db.get("b")).timeout(Duration::from_millis(50))).unwrap();
        while peer.connections() == 0 {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        assert!(client.cancel(id));
        let kinds: Vec<_> = outcomes(&mut client).iter().map(|outcome| outcome.error().unwrap().kind()).collect();
        assert_eq!(kinds, [ErrorKind::Cancelled, ErrorKind::Timeout(aquests::Phase::Total)]);
        assert!(client.is_idle(), "the client's own question is nobody's");
    });
}

#[test]
fn a_client_without_requests_asks_for_no_map() {
    must_end(|| {
        let mut client = Client::builder().connect_timeout(Duration::from_millis(100)).build().unwrap();
        client.send(Redis::at("127.0.0.1:1").seeds(["127.0.0.1:2"]).get("a")).unwrap();
        assert_eq!(outcomes(&mut client).remove(0).error().unwrap().kind(), ErrorKind::Connect);
        // What is left is over, and nothing follows it.
        while client.next_deadline().is_some() {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
    });
}

#[test]
fn a_map_may_wait_for_a_worker_as_long_as_a_request_may() {
    must_end(|| {
        let slow = Arc::new(OnceLock::<()>::new());
        let told = Arc::clone(&slow);
        let busy = Peer::start(move |conn| {
            for _ in 0..5 {
                conn.line()?;
            }
            told.wait();
            conn.send("$-1\r\n")
        });
        let node = node_that_says("+here\r\n");
        let limit = Duration::from_millis(300);
        let mut client = Client::builder().workers(1).connect_timeout(limit).build().unwrap();
        client.send(Redis::at(&busy.address().to_string()).protocol(Version::Resp2).get("a")).unwrap();
        while busy.connections() == 0 {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        client.send(Redis::at(&node.address().to_string()).protocol(Version::Resp2).cluster().get("a")).unwrap();
        let waits = std::thread::spawn(move || {
            // Longer than connecting may take, which is not what it waits for.
            std::thread::sleep(3 * limit);
            slow.set(()).expect("it is set once");
        });
        let all = values(&mut client);
        assert_eq!(all, [Value::Null, Value::Simple("here".into())]);
        waits.join().unwrap();
    });
}

#[test]
fn a_session_that_is_gone_before_the_map_comes_takes_nobody_with_it() {
    must_end(|| {
        // Answers when it is told to, that it knows of no cluster.
        let go_on = Arc::new(OnceLock::<()>::new());
        let told = Arc::clone(&go_on);
        let peer = Peer::start(move |conn| {
            for _ in 0..5 {
                conn.line()?;
            }
            told.wait();
            conn.send("-ERR This instance has cluster support disabled\r\n")
        });
        let mut client = Client::builder().connect_timeout(Duration::from_millis(500)).workers(4).build().unwrap();
        // The second seed is nobody: the route to it is made where that of the session was.
        let db = Redis::at(&peer.address().to_string()).protocol(Version::Resp2).cluster().seeds(["127.0.0.1:1"]);
        let session = client.open(&db).unwrap();
        let first = session.send(db.get("a")).unwrap();
        while peer.connections() == 0 {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        let handle = client.handle();
        handle.cancel(first);
        let second = session.send(db.get("a")).unwrap();
        // It is gone before anything looks at it, and the route of the session with it.
        handle.cancel(second);
        drop(session);
        for _ in 0..3 {
            client.turn(Some(Duration::ZERO)).unwrap();
        }
        go_on.set(()).expect("it is set once");
        while client.next_deadline().is_some() {
            client.turn(Some(Duration::from_millis(10))).unwrap();
            while let Some(outcome) = client.next_outcome() {
                assert_eq!(outcome.error().unwrap().kind(), ErrorKind::Cancelled, "{outcome}");
            }
        }
    });
}

#[test]
fn of_more_clusters_than_are_remembered_one_that_nobody_uses_makes_room() {
    must_end(|| {
        let maps = Arc::new(AtomicUsize::new(0));
        let own = Arc::new(OnceLock::<u16>::new());
        let (asked, port) = (Arc::clone(&maps), Arc::clone(&own));
        let peer = Peer::start(move |conn| {
            loop {
                let count = conn.line()?[1..].parse::<usize>().expect("a command is an array");
                let lines = (0..2 * count).map(|_| conn.line()).collect::<Result<Vec<_>, _>>()?;
                let is_map = &*lines[1] == "CLUSTER";
                asked.fetch_add(usize::from(is_map), Ordering::SeqCst);
                let map = format!("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:{}\r\n", port.wait());
                conn.send(if is_map { &map } else { "+OK\r\n" })?;
            }
        });
        own.set(peer.address().port()).expect("it is set once");
        // With one worker, no more than one of them has a connection.
        let mut client = Client::builder().workers(1).build().unwrap();
        let mut ask = |number: usize| {
            let db = Redis::at(&peer.address().to_string()).protocol(Version::Resp2).cluster();
            client.send(db.client_name(format!("client-{number}")).get("a")).unwrap();
            assert_eq!(values(&mut client), [Value::Simple("OK".into())]);
            maps.load(Ordering::SeqCst)
        };
        for number in 0..1024 {
            assert_eq!(ask(number), number + 1, "each has a map of its own");
        }
        assert_eq!(ask(0), 1024, "all of them are remembered");
        assert_eq!(ask(1023), 1024);
        assert_eq!(ask(1024), 1025);
        assert_eq!(ask(0), 1026, "that was forgotten for the last one");
    });
}

#[test]
fn a_map_without_a_primary_is_none() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            loop {
                for _ in 0..5 {
                    conn.line()?;
                }
                conn.send("*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*1\r\n")?;
                conn.send("*6\r\n$4\r\nport\r\n:7\r\n$2\r\nip\r\n$1\r\nh\r\n$4\r\nrole\r\n$7\r\nreplica\r\n")?;
            }
        });
        let mut client = Client::new().unwrap();
        let db = Redis::at(&peer.address().to_string()).protocol(Version::Resp2).cluster();
        let session = client.open(&db).unwrap();
        session.send(db.get("a")).unwrap();
        let error = outcomes(&mut client).remove(0).into_result().unwrap_err();
        assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("has a slot"), "{error}");
    });
}
