//! Nodes of clusters that are gone, say what is not so, or say nothing; and the maps that a client keeps of clusters.

#![cfg(feature = "redis")]

#[path = "support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aquests::redis::{Redis, Value, Version};
use aquests::{Client, ErrorKind};
use support::{Peer, RedisCluster, must_end, next_command, outcomes, values};

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

/// A node that says of itself that it has all slots, and answers every other command with this, in which `{port}` is its
/// own.
fn node_that_says(answer: &'static str) -> Peer {
    let own = Arc::new(OnceLock::<u16>::new());
    let port = Arc::clone(&own);
    let peer = Peer::start(move |conn| {
        loop {
            let reply = match &*next_command(conn)?[0] {
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
                let is_map = next_command(conn)?[0] == "CLUSTER";
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
