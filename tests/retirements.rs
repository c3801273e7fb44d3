//! Connections that retire with requests on the way, whoever sends them off: each request has one outcome, nothing is done
//! twice, and what was not begun is sent elsewhere. Goodbyes of HTTP/2 are in `http2_faults.rs`.

#![cfg(all(feature = "postgres", feature = "redis"))]

mod support;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use aquests::postgres::{Postgres, sqlstate};
use aquests::redis::{Redis, Value, Version};
use aquests::{Client, Request, Versions};
use support::{Peer, PostgresServer, must_end, next_command, outcomes};

const MASTER: &str = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";

#[test]
fn of_a_redis_master_that_is_one_no_more_what_it_was_sent_before_is_answered_and_the_rest_goes_to_the_next() {
    must_end(|| {
        let new = Peer::start(|conn| {
            loop {
                let is_role = next_command(conn)?[0] == "ROLE";
                conn.send(if is_role { MASTER } else { "+new\r\n" })?;
            }
        });
        let came = Arc::new(AtomicUsize::new(0));
        let (counted, (go_on, gate)) = (Arc::clone(&came), mpsc::channel());
        let gate = Mutex::new(gate);
        let old = Peer::start(move |conn| {
            loop {
                match &*next_command(conn)?[0] {
                    "ROLE" => conn.send(MASTER)?,
                    "SET" => conn.send("-READONLY it is over\r\n")?,
                    // Three are on their way; the first is answered alone.
                    _ if counted.fetch_add(1, Ordering::SeqCst) == 2 => {
                        for answer in [":1\r\n", ":2\r\n:3\r\n"] {
                            // Nobody opens the gate if the test has failed.
                            gate.lock().unwrap().recv().map_err(io::Error::other)?;
                            conn.send(answer)?;
                        }
                    }
                    _ => {}
                }
            }
        });
        // It goes before the peer that waits for it.
        let go_on = go_on;
        let port = Arc::new(AtomicUsize::new(old.address().port().into()));
        let named = Arc::clone(&port);
        let sentinel = Peer::start(move |conn| {
            loop {
                next_command(conn)?;
                let port = named.load(Ordering::SeqCst).to_string();
                conn.send(format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len()))?;
            }
        });
        let mut client = Client::builder().workers(3).build().unwrap();
        let db = Redis::at(&sentinel.address().to_string()).protocol(Version::Resp2).pipeline(3);
        let db = db.sentinel("mymaster", [""; 0]);
        for _ in 0..3 {
            client.send(db.incr("n")).unwrap();
        }
        while came.load(Ordering::SeqCst) < 3 {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        // Not on the connection that has three, but to the same server.
        port.store(new.address().port().into(), Ordering::SeqCst);
        client.send(db.set("key", 1)).unwrap();
        let told = |client: &mut Client| {
            let mut next = client.next_outcome();
            while next.is_none() {
                client.turn(Some(Duration::from_millis(10))).unwrap();
                next = client.next_outcome();
            }
            let outcome = next.expect("it came");
            outcome.response().unwrap_or_else(|| panic!("{outcome}")).value().unwrap().clone()
        };
        assert_eq!(told(&mut client), Value::Simple("new".into()), "it was sent again where it can be done");
        go_on.send(()).unwrap();
        assert_eq!(told(&mut client), Value::Integer(1));
        // There is room on the old connection, and nobody takes it.
        client.send(db.incr("n")).unwrap();
        assert_eq!(told(&mut client), Value::Simple("new".into()));
        go_on.send(()).unwrap();
        assert_eq!([told(&mut client), told(&mut client)], [Value::Integer(2), Value::Integer(3)]);
        assert_eq!((came.load(Ordering::SeqCst), client.in_hand()), (3, 0), "nothing was sent to the old one again");
    });
}

#[test]
fn of_a_postgres_connection_that_is_ended_what_did_not_run_is_sent_again_and_done_once() {
    must_end(|| {
        let server = PostgresServer::start();
        let db = Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "");
        let mut client = Client::builder().workers(1).build().unwrap();
        client.send(db.query("CREATE TABLE t (n int8)")).unwrap();
        outcomes(&mut client);
        let runs = client.send(db.execute("SELECT pg_sleep(600)", ())).unwrap();
        let behind: Vec<_> =
            (0..50i64).map(|n| client.send(db.execute("INSERT INTO t VALUES ($1)", (n,))).unwrap()).collect();
        let is_asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        while server.psql(is_asleep) != "1" {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        assert_eq!(server.terminate_backends(), 1);
        let all = outcomes(&mut client);
        let by_id: BTreeMap<_, _> = all.iter().map(|outcome| (outcome.request_id(), outcome)).collect();
        assert_eq!((all.len(), by_id.len()), (51, 51), "each has one outcome");
        let response = by_id[&runs].response().unwrap_or_else(|| panic!("{}", by_id[&runs]));
        let error = response.results().unwrap().error();
        assert_eq!(error.map(|error| error.code()), Some(sqlstate::ADMIN_SHUTDOWN), "{}", by_id[&runs]);
        for id in &behind {
            let response = by_id[id].response().unwrap_or_else(|| panic!("{}", by_id[id]));
            assert!(response.results().unwrap().error().is_none(), "{}", by_id[id]);
        }
        assert_eq!(server.psql("SELECT count(*), count(DISTINCT n) FROM t"), "50|50");
    });
}

#[test]
fn of_an_http1_connection_that_announces_its_end_what_stood_behind_it_is_sent_elsewhere() {
    must_end(|| {
        // Answers two of those that came, says that it closes with the second, and does.
        let peer = Peer::start(|conn| {
            for number in 0..2 {
                let seen = conn.request()?;
                let end = if number == 1 { "connection: close\r\n" } else { "" };
                let target = seen.target;
                conn.send(format!("HTTP/1.1 200 OK\r\n{end}content-length: {}\r\n\r\n{target}", target.len()))?;
            }
            conn.close()
        });
        // What the user allows is for what may have been begun.
        let mut client = Client::builder().versions(Versions::Http1).pipeline(4).retries(0).build().unwrap();
        let methods = ["GET", "PUT", "POST", "GET", "POST", "DELETE", "GET", "GET", "POST", "GET"];
        let mut sent = BTreeMap::new();
        for (number, method) in methods.into_iter().enumerate() {
            let url = peer.url(&format!("/{number}"));
            let request = match method {
                "PUT" => Request::put(url).body("x"),
                "POST" => Request::post(url).body("x"),
                "DELETE" => Request::delete(url),
                _ => Request::get(url),
            };
            sent.insert(client.send(request).unwrap(), number);
        }
        let all = outcomes(&mut client);
        assert_eq!(all.len(), sent.len());
        for outcome in all {
            let number = sent.remove(&outcome.request_id()).expect("each has one outcome");
            let response = outcome.into_result().unwrap_or_else(|error| panic!("{number}: {error}"));
            assert_eq!(response.text(), format!("/{number}"));
        }
        let posts = peer.seen().iter().filter(|seen| seen.method == "POST").count();
        assert_eq!(posts, 3, "nobody was asked twice for what may be done once");
    });
}
