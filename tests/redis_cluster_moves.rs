//! Clusters of Redis that change while they are used: slots that move, and a replica that takes over.

#![cfg(feature = "redis")]

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use aquests::redis::{Redis, Script, Value};
use aquests::{Client, ErrorKind};
use support::{RedisCluster, RedisServer, must_end, outcomes, values};

fn db(cluster: &RedisCluster) -> Redis {
    Redis::at(&cluster[0].address().to_string()).cluster()
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
