//! Redis under fault, through the client: connections that break, servers that are away, full, or silent, and peers that
//! answer what no server does.

#![cfg(feature = "redis")]

#[path = "support/mod.rs"]
mod support;

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aquests::redis::{Limits, Redis, Version};
use aquests::{Client, ErrorKind, Outcome, Phase, Push};
use support::{Peer, RedisServer, must_end, outcomes};

fn db(server: &RedisServer) -> Redis {
    Redis::at(&server.address().to_string())
}

/// Waits until the server says this number.
fn until(server: &RedisServer, name: &str, is: impl Fn(u64) -> bool) {
    while !is(server.info(name)) {}
}

#[test]
fn of_a_pipeline_that_is_cut_reads_are_sent_again_and_writes_fail() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::new().unwrap();
        let db = db(&server);
        client.send(db.set("key", "value")).unwrap();
        outcomes(&mut client);
        // The first write waits, and all behind it.
        server.cli(&["CLIENT", "PAUSE", "100000", "WRITE"]);
        for number in 0..100 {
            client.send(if number % 2 == 0 { db.get("key") } else { db.incr("n") }).unwrap();
        }
        let mut all = Vec::new();
        while all.is_empty() {
            client.turn(Some(Duration::from_millis(10))).unwrap();
            all.extend(std::iter::from_fn(|| client.next_outcome()));
        }
        until(&server, "blocked_clients", |count| count == 1);
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        server.cli(&["CLIENT", "UNPAUSE"]);
        all.extend(outcomes(&mut client));
        assert_eq!(all.len(), 100, "each has one outcome");
        let mut ids: Vec<_> = all.iter().map(|outcome| outcome.request_id().as_u64()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 100);
        for outcome in &all {
            // The one before them was a write.
            if outcome.request_id().as_u64() % 2 == 1 {
                assert_eq!(outcome.response().unwrap().read::<String>().unwrap(), "value", "{outcome}");
            } else {
                let error = outcome.error().unwrap_or_else(|| panic!("{outcome}"));
                assert!(error.kind() == ErrorKind::Closed && !error.is_retryable(), "{error}");
            }
        }
        assert_eq!(server.cli(&["EXISTS", "n"]), "0", "none of the writes was executed");
    });
}

#[test]
fn a_server_that_falls_silent_is_given_up_and_answers_the_next() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::builder().timeout(Duration::from_millis(200)).build().unwrap();
        let db = db(&server);
        client.send(db.command("DEBUG SLEEP", 1)).unwrap();
        let all = outcomes(&mut client);
        assert_eq!(all[0].error().unwrap().kind(), ErrorKind::Timeout(Phase::Silence), "{}", all[0]);
        until(&server, "connected_clients", |clients| clients == 1);
        client.send(db.ping()).unwrap();
        assert!(outcomes(&mut client)[0].response().is_some());
    });
}

#[test]
fn a_server_that_is_started_again_under_load_costs_no_outcome() {
    must_end(|| {
        let mut server = RedisServer::start();
        let mut client = Client::builder().workers(3).build().unwrap();
        let db = db(&server);
        let restarts = std::thread::spawn(move || {
            server.restart();
            server.kill();
            server.restart();
            server
        });
        let (mut sent, mut ended, mut answered) = (0u64, 0u64, 0u64);
        let mut more = 100;
        while more > 0 || client.in_hand() > 0 {
            while more > 0 && client.in_hand() < 300 {
                client.send(if sent % 2 == 0 { db.get("key") } else { db.incr("n") }).unwrap();
                sent += 1;
                more -= u64::from(restarts.is_finished());
            }
            client.turn(Some(Duration::from_millis(20))).unwrap();
            while let Some(outcome) = client.next_outcome() {
                ended += 1;
                match outcome.error() {
                    None => answered += 1,
                    Some(error) => assert!(
                        matches!(error.kind(), ErrorKind::Closed | ErrorKind::Connect | ErrorKind::Io),
                        "{error}"
                    ),
                }
            }
        }
        assert_eq!(ended, sent);
        assert!(answered >= 100, "it goes on when the server does: {answered} of {sent}");
        drop(restarts.join().unwrap());
    });
}

#[test]
fn a_server_that_is_full_says_so_and_is_used_when_there_is_room() {
    must_end(|| {
        let server = RedisServer::builder().max_clients(3).start();
        let db = db(&server);
        let mut holder = Client::new().unwrap();
        let sessions: Vec<_> = (0..3).map(|_| holder.open(&db).unwrap()).collect();
        for session in &sessions {
            session.send(db.ping()).unwrap();
        }
        assert!(outcomes(&mut holder).iter().all(|outcome| outcome.response().is_some()));
        for db in [db.clone(), db.clone().protocol(Version::Resp2)] {
            let mut client = Client::new().unwrap();
            client.send(db.incr("n")).unwrap();
            let error = outcomes(&mut client).remove(0).into_result().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            assert!(error.to_string().contains("max number of clients reached"), "{error}");
        }
        drop((sessions, holder));
        let mut client = Client::new().unwrap();
        let n = loop {
            client.send(db.incr("n")).unwrap();
            if let Some(response) = outcomes(&mut client)[0].response() {
                break response.read::<u64>().unwrap();
            }
        };
        assert_eq!(n, 1, "what was refused was not done");
    });
}

#[test]
fn a_server_that_turns_away_where_the_answer_would_stand_has_answered_nothing() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            // After the command is here, so that it can only look like the answer.
            conn.line()?;
            if conn.number() == 0 {
                conn.send("-ERR max number of clients reached\r\n")?;
                return conn.close();
            }
            for _ in 0..2 {
                conn.send(":1\r\n")?;
            }
            conn.wait();
            Ok(())
        });
        let mut client = Client::new().unwrap();
        let db = Redis::at(&peer.address().to_string()).protocol(Version::Resp2);
        for _ in 0..3 {
            client.send(db.incr("n")).unwrap();
        }
        let all = outcomes(&mut client);
        let error = all[0].error().unwrap_or_else(|| panic!("{}", all[0]));
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("max number of clients reached"), "{error}");
        // Those behind it were certainly not done.
        assert!(all[1..].iter().all(|outcome| outcome.response().is_some()), "{all:?}");
    });
}

#[test]
fn what_a_server_says_that_turns_away_is_told_in_part_and_moves_no_terminal() {
    must_end(|| {
        // The words of the login that it refuses, and what it says where an answer would stand.
        for protocol in [Version::Resp2, Version::Resp3] {
            let peer = Peer::start(|conn| {
                conn.line()?;
                conn.send(format!(
                    "-ERR max number of clients reached, \"all\" \u{1b}[2J\u{7}{}\r\n",
                    "x".repeat(5_000)
                ))?;
                conn.close()
            });
            let mut client = Client::new().unwrap();
            let db = Redis::at(&peer.address().to_string()).protocol(protocol);
            client.send(db.incr("n")).unwrap();
            let error = outcomes(&mut client).remove(0).into_result().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            let words = error.to_string();
            assert!(words.contains("reached, \"all\" \\u{1b}[2J\\u{7}xxx") && words.len() < 500, "{words:?}");
        }
    });
}

#[test]
fn a_subscriber_that_is_too_slow_is_told_that_its_connection_is_gone() {
    must_end(|| {
        let server = RedisServer::builder().config("client-output-buffer-limit pubsub 1mb 0 0").start();
        let db = db(&server);
        let mut client = Client::new().unwrap();
        let session = client.open(&db).unwrap();
        let told = Arc::new(Mutex::new((0, None)));
        let seen = Arc::clone(&told);
        session.on_push(move |push| match push {
            Push::Lost(error) => seen.lock().unwrap().1 = Some(error.to_string()),
            _ => seen.lock().unwrap().0 += 1,
        });
        session.send(db.command("SUBSCRIBE", "news")).unwrap();
        outcomes(&mut client);
        let mut publisher = Client::new().unwrap();
        let (news, mut heard_by) = ("x".repeat(1 << 20), 1);
        let mut published = 0;
        // Nobody reads meanwhile, and sockets hold a few of them.
        while heard_by > 0 {
            publisher.send(db.publish("news", &news)).unwrap();
            heard_by = outcomes(&mut publisher)[0].response().unwrap().read::<u64>().unwrap();
            published += heard_by;
        }
        while told.lock().unwrap().1.is_none() {
            client.turn(Some(Duration::from_secs(1))).unwrap();
        }
        let (heard, lost) = told.lock().unwrap().clone();
        assert!(heard < published, "{heard} of {published}");
        assert!(lost.unwrap().contains(&server.port().to_string()), "it says whose");
        session.send(db.ping()).unwrap();
        assert_eq!(outcomes(&mut client)[0].error().unwrap().kind(), ErrorKind::Closed);
    });
}

#[test]
fn what_no_server_says_ends_the_connection_and_not_the_client() {
    must_end(|| {
        let deep = b"*1\r\n".repeat(100_000);
        let broad = b"*1000000000\r\n".to_vec();
        let long = b"$99999999999999\r\n".to_vec();
        let endless = [&b"+"[..], &[b'x'; 1 << 20]].concat();
        for (what, said, kind) in [
            ("100,000 arrays in each other", deep, ErrorKind::TooLarge),
            ("an array of 1,000,000,000", broad, ErrorKind::TooLarge),
            ("a string of 99 TB", long, ErrorKind::TooLarge),
            ("a line without an end", endless, ErrorKind::TooLarge),
            ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), ErrorKind::Protocol),
            ("a length of letters", b"$abc\r\n".to_vec(), ErrorKind::Protocol),
            ("half a reply", b"$10\r\nabc".to_vec(), ErrorKind::Closed),
            ("nothing", Vec::new(), ErrorKind::Closed),
        ] {
            let peer = Peer::start(move |conn| {
                conn.line()?;
                conn.send(&said)?;
                conn.close()
            });
            let mut client = Client::new().unwrap();
            let db = Redis::at(&peer.address().to_string()).protocol(Version::Resp2);
            client.send(db.incr("n")).unwrap();
            let error = outcomes(&mut client).remove(0).into_result().unwrap_err();
            assert_eq!(error.kind(), kind, "{what}: {error}");
            assert!(error.to_string().contains(&peer.address().to_string()), "{what}: {error}");
        }
    });
}

#[test]
fn a_reply_over_the_limit_fails_alone() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::builder().reply_limit(100_000).build().unwrap();
        let db = db(&server);
        server.cli(&["SETRANGE", "large", "199999", "x"]);
        server.feed(&(0..10_000).map(|number| format!("RPUSH list {number}\n")).collect::<String>());
        for command in [db.get("large"), db.lrange("list", 0, -1), db.strlen("large")] {
            client.send(command).unwrap();
        }
        let mut all = outcomes(&mut client);
        all.sort_by_key(Outcome::request_id);
        for outcome in &all[..2] {
            assert_eq!(outcome.error().map(aquests::Error::kind), Some(ErrorKind::TooLarge), "{outcome}");
        }
        assert_eq!(all[2].response().unwrap().read::<u64>().unwrap(), 200_000, "what was asked beside it");

        // The limit of the machine, for what is told whole.
        let small = db.clone().limits(Limits::default().whole(50_000));
        client.send(small.lrange("list", 0, -1)).unwrap();
        assert_eq!(outcomes(&mut client)[0].error().unwrap().kind(), ErrorKind::TooLarge);
    });
}

#[test]
fn a_reply_that_nobody_asked_for_is_given_to_nobody() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            for _ in 0..3 {
                conn.line()?;
            }
            conn.send("+PONG\r\n+another user's\r\n")?;
            conn.wait();
            Ok(())
        });
        let mut client = Client::new().unwrap();
        let db = Redis::at(&peer.address().to_string()).protocol(Version::Resp2);
        client.send(db.ping()).unwrap();
        assert_eq!(outcomes(&mut client)[0].response().unwrap().read::<String>().unwrap(), "PONG");
        client.send(db.ping()).unwrap();
        let all = outcomes(&mut client);
        let answer = all[0].response().map(|response| response.read::<String>().unwrap());
        assert_ne!(answer.as_deref(), Some("another user's"), "it belongs to nobody");
    });
}

#[test]
fn a_command_that_waits_at_the_server_can_be_cancelled() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::builder().workers(2).build().unwrap();
        let db = db(&server);
        let id = client.send(db.blpop("list", None)).unwrap();
        while server.info("blocked_clients") == 0 {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        client.send(db.ping()).unwrap();
        assert!(client.cancel(id));
        let all = outcomes(&mut client);
        assert_eq!(all.len(), 2);
        let cancelled = all.iter().find(|outcome| outcome.request_id() == id).unwrap();
        assert_eq!(cancelled.error().unwrap().kind(), ErrorKind::Cancelled);
        until(&server, "blocked_clients", |blocked| blocked == 0);
        client.send(db.rpush("list", "kept")).unwrap();
        client.send(db.llen("list")).unwrap();
        assert_eq!(outcomes(&mut client)[1].response().unwrap().read::<u64>().unwrap(), 1, "nobody took it");
    });
}

#[test]
fn of_100_000_commands_none_is_lost_and_none_is_done_twice() {
    must_end(|| {
        let server = RedisServer::start();
        let db = db(&server);
        let mut client = Client::builder().workers(4).build().unwrap();
        let source = db.clone();
        client.source((0..100_000i64).map(move |number| source.incrby(format!("n{}", number % 7), number).into()));
        let (mut ended, mut ids) = (0u64, 0u64);
        client
            .fetch_all_with(|_, outcome| {
                assert!(outcome.response().is_some(), "{outcome}");
                (ended, ids) = (ended + 1, ids + outcome.request_id().as_u64());
                Ok::<_, aquests::Error>(())
            })
            .unwrap();
        assert_eq!((ended, ids), (100_000, 99_999 * 100_000 / 2));
        client.send(db.mget(["n0", "n1", "n2", "n3", "n4", "n5", "n6"])).unwrap();
        let sums: Vec<u64> = outcomes(&mut client)[0].response().unwrap().read().unwrap();
        assert_eq!(sums.iter().sum::<u64>(), 99_999 * 100_000 / 2);
    });
}

#[test]
fn a_server_that_accepts_and_is_no_redis_is_told_apart_from_one_that_is_away() {
    must_end(|| {
        let away = support::free_port();
        let mut client = Client::new().unwrap();
        client.send(Redis::at(&format!("127.0.0.1:{away}")).ping()).unwrap();
        let error = outcomes(&mut client).remove(0).into_result().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
        let server = RedisServer::start();
        // What is no RESP at all closes the connection of whoever sent it, and nobody else's.
        let mut stranger = TcpStream::connect(server.address()).unwrap();
        stranger.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        client.send(db(&server).ping()).unwrap();
        assert!(outcomes(&mut client)[0].response().is_some());
    });
}
