//! Masters of Redis that a sentinel names, through the client, and what happens when another takes their place.

#![cfg(feature = "redis")]

#[path = "support/mod.rs"]
mod support;

use std::io::ErrorKind::WouldBlock;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aquests::redis::{Command, Redis, Value};
use aquests::{Client, ErrorKind};
use support::{Folder, NameServer, Peer, RedisSentinel, RedisServer, must_end, next_command, outcomes};

fn db(sentinel: &RedisSentinel) -> Redis {
    // The first of them is nobody.
    Redis::at("127.0.0.1:1").sentinel(RedisSentinel::NAME, [format!("127.0.0.1:{}", sentinel.port())])
}

/// Writes something, and waits until the replica has it too.
fn write_to_both(client: &mut Client, db: &Redis, command: Command) {
    let session = client.open(db).unwrap();
    session.send(command).unwrap();
    session.send(db.command("WAIT", (1, 0))).unwrap();
    assert_eq!(outcomes(client)[1].response().unwrap().value(), Some(&Value::Integer(1)), "the replica has it");
}

/// A sentinel that names a port of this machine as the master.
fn sentinel_that_names(port: &Arc<AtomicU16>) -> Peer {
    let port = Arc::clone(port);
    Peer::start(move |conn| {
        loop {
            // Three words, each with its length in front.
            for _ in 0..7 {
                conn.line()?;
            }
            let port = port.load(Ordering::SeqCst).to_string();
            conn.send(format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len()))?;
        }
    })
}

#[test]
fn commands_go_to_the_master_that_the_sentinel_names() {
    must_end(|| {
        let sentinel = RedisSentinel::start_with(|builder| builder.password("secret"));
        let mut client = Client::new().unwrap();
        let db = db(&sentinel).password("secret").database(3);
        for _ in 0..100 {
            client.send(db.incr("n")).unwrap();
        }
        let report = client.fetch_all().unwrap();
        assert_eq!(report.replies()["OK"], 100, "{report}");
        assert_eq!(report.responses(), 100, "what the client asks for itself is not counted: {report}");
        assert_eq!(sentinel.servers()[0].cli(&["-n", "3", "GET", "n"]), "100");
        let session = client.open(&db).unwrap();
        for command in [db.command("MULTI", ()), db.incr("n"), db.command("EXEC", ())] {
            session.send(command).unwrap();
        }
        let all = outcomes(&mut client);
        assert_eq!(all[2].response().unwrap().value(), Some(&Value::Array(vec![Value::Integer(101)])), "{}", all[2]);
    });
}

#[test]
fn after_a_failover_commands_go_to_the_new_master() {
    must_end(|| {
        let sentinel = RedisSentinel::start();
        let mut client = Client::new().unwrap();
        let db = db(&sentinel);
        write_to_both(&mut client, &db, db.incr("n"));
        let old = sentinel.master();
        sentinel.failover();
        // Until it is told, the old master takes writes and loses them.
        while !sentinel.servers()[old].try_cli(&["ROLE"]).is_ok_and(|role| role.starts_with("slave")) {}
        for _ in 0..10 {
            client.send(db.incr("n")).unwrap();
        }
        for outcome in outcomes(&mut client) {
            let response = outcome.response().unwrap_or_else(|| panic!("{outcome}"));
            assert!(response.read::<u64>().is_ok(), "{outcome}");
        }
        assert_eq!(sentinel.servers()[sentinel.master()].cli(&["GET", "n"]), "11");
    });
}

#[test]
fn a_master_that_takes_no_writes_any_more_is_looked_for_again() {
    must_end(|| {
        let (old, new) = (RedisServer::start(), RedisServer::start());
        let named = Arc::new(AtomicU16::new(old.port()));
        let sentinel = sentinel_that_names(&named);
        let mut client = Client::new().unwrap();
        let db = Redis::at(&sentinel.address().to_string())
            .protocol(aquests::redis::Version::Resp2)
            .sentinel("mymaster", [""; 0]);
        client.send(db.set("n", 1)).unwrap();
        outcomes(&mut client);
        new.cli(&["SET", "n", "1"]);
        // Its connections stay open.
        old.cli(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
        while !old.cli(&["INFO", "replication"]).contains("master_link_status:up") {}
        named.store(new.port(), Ordering::SeqCst);
        client.send(db.batch().add(db.get("n")).add(db.append("other", "x")).add(db.get("n"))).unwrap();
        client.send(db.incr("n")).unwrap();
        client.send(db.transaction().add(db.incr("n")).add(db.get("n"))).unwrap();
        for outcome in outcomes(&mut client) {
            let response = outcome.response().unwrap_or_else(|| panic!("{outcome}"));
            assert!(response.replies().iter().all(|reply| reply.as_error().is_none()), "{outcome}");
        }
        assert_eq!((new.cli(&["GET", "n"]), new.cli(&["GET", "other"])), ("3".to_owned(), "x".to_owned()));
        let errors = old.cli(&["INFO", "errorstats"]);
        assert!(errors.contains("READONLY"), "it was asked first: {errors}");
    });
}

#[test]
fn a_master_that_dies_under_load_loses_no_outcome_and_no_read() {
    must_end(|| {
        let mut sentinel = RedisSentinel::start();
        let mut client = Client::builder().workers(2).build().unwrap();
        let db = db(&sentinel);
        write_to_both(&mut client, &db, db.set("key", "value"));
        let killer = std::thread::spawn(move || {
            sentinel.lose_master();
            sentinel
        });
        let (mut sent, mut read, mut written, mut unknown) = (0u64, 0u64, 0u64, 0u64);
        let mut after = 0;
        while after < 3 || client.in_hand() > 0 {
            while after < 3 && client.in_hand() < 100 {
                let command = if sent % 2 == 0 { db.get("key") } else { db.incr("n") };
                client.send(command).unwrap();
                sent += 1;
                after += usize::from(killer.is_finished());
            }
            client.turn(Some(Duration::from_millis(50))).unwrap();
            while let Some(outcome) = client.next_outcome() {
                match outcome.response() {
                    Some(response) if outcome.request_id().as_u64() % 2 == 0 => {
                        assert_eq!(response.read::<String>().unwrap(), "value", "{outcome}");
                        read += 1;
                    }
                    Some(response) => {
                        assert!(response.read::<u64>().is_ok(), "{outcome}");
                        written += 1;
                    }
                    None => {
                        let error = outcome.error().unwrap();
                        assert!(!error.is_retryable(), "only a write may have been done: {error}");
                        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                        unknown += 1;
                    }
                }
            }
        }
        assert_eq!(read + written + unknown, sent, "{read} reads, {written} writes, {unknown} unknown");
        let _ = killer.join().unwrap();
    });
}

#[test]
fn a_master_that_nobody_knows_fails_what_waits_and_names_the_sentinels() {
    must_end(|| {
        let sentinel = RedisSentinel::start();
        let mut client = Client::builder().connect_timeout(Duration::from_millis(400)).build().unwrap();
        let address = format!("127.0.0.1:{}", sentinel.port());
        client.send(Redis::at(&address).sentinel("other", ["127.0.0.1:1"]).get("a")).unwrap();
        client.send(Redis::at("127.0.0.1:1").sentinel("mymaster", ["127.0.0.1:2"]).get("a")).unwrap();
        let mut words: Vec<_> =
            outcomes(&mut client).iter().map(|outcome| outcome.error().unwrap().to_string()).collect();
        words.sort();
        assert!(words.iter().any(|words| words.contains("'other'") && words.contains(&address)), "{words:?}");
        assert!(
            words.iter().any(|words| words.contains("'mymaster'") && words.contains("127.0.0.1:1, 127.0.0.1:2")),
            "{words:?}"
        );
    });
}

#[test]
fn a_replica_that_a_sentinel_names_gets_no_command() {
    must_end(|| {
        let servers = RedisSentinel::start();
        // A sentinel that is behind.
        let peer = sentinel_that_names(&Arc::new(AtomicU16::new(servers.servers()[1].port())));
        let mut client = Client::builder().connect_timeout(Duration::from_millis(500)).build().unwrap();
        let db = Redis::at(&peer.address().to_string())
            .protocol(aquests::redis::Version::Resp2)
            .sentinel("mymaster", [""; 0]);
        client.send(db.get("a")).unwrap();
        let error = outcomes(&mut client).remove(0).to_string();
        assert!(error.contains("no master but a slave"), "{error}");
        let stats = servers.servers()[1].cli(&["INFO", "commandstats"]);
        assert!(stats.contains("cmdstat_role") && !stats.contains("cmdstat_get"), "{stats}");
    });
}

#[test]
fn a_sentinel_is_told_who_one_is_there_and_not_who_one_is_at_the_master() {
    must_end(|| {
        let master = RedisServer::builder().password("master-secret").start();
        let port = master.port().to_string();
        let sentinel = Peer::start(move |conn| {
            // `*2`, AUTH and a password, each with its length in front.
            let lines = (0..5).map(|_| conn.line()).collect::<Result<Vec<_>, _>>()?;
            if (&*lines[2], &*lines[4]) != ("AUTH", "sentinel-secret") {
                return conn.send("-WRONGPASS invalid username-password pair\r\n");
            }
            conn.send("+OK\r\n")?;
            for _ in 0..7 {
                conn.line()?;
            }
            conn.send(format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len()))?;
            conn.wait();
            Ok(())
        });
        let mut client = Client::builder().connect_timeout(Duration::from_millis(500)).build().unwrap();
        let db = Redis::at(&sentinel.address().to_string())
            .protocol(aquests::redis::Version::Resp2)
            .sentinel("mymaster", [""; 0])
            .password("master-secret");
        client.send(db.clone().sentinel_password("sentinel-secret").incr("n")).unwrap();
        assert_eq!(outcomes(&mut client)[0].response().unwrap().read::<u8>().unwrap(), 1);
        client.send(db.sentinel_password("hunter2").incr("n")).unwrap();
        let error = outcomes(&mut client).remove(0).into_result().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        assert!(error.to_string().contains("WRONGPASS") && !error.to_string().contains("hunter2"), "{error}");
    });
}

#[test]
fn what_a_sentinel_says_is_told_without_lines_of_its_own() {
    must_end(|| {
        for said in ["*2\r\n$4\r\nh\nxx\r\n$1\r\n7\r\n", "-ERR \u{1b}[2J\r\n"] {
            let peer = Peer::start(move |conn| {
                loop {
                    for _ in 0..7 {
                        conn.line()?;
                    }
                    conn.send(said)?;
                }
            });
            let mut client = Client::builder().connect_timeout(Duration::from_millis(300)).build().unwrap();
            let db = Redis::at(&peer.address().to_string())
                .protocol(aquests::redis::Version::Resp2)
                .sentinel("mymaster", [""; 0]);
            client.send(db.get("a")).unwrap();
            let error = outcomes(&mut client).remove(0).into_result().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Resolve, "{error}");
            let words = error.to_string();
            assert!(!words.contains(char::is_control), "{words:?}");
            assert!(words.contains("no address") || words.contains("\\u{1b}[2J"), "{words}");
        }
    });
}

#[test]
fn who_comes_after_a_failover_has_all_the_time_to_find_the_master() {
    must_end(|| {
        let (old, new) = (RedisServer::start(), RedisServer::start());
        let named = Arc::new(AtomicU16::new(old.port()));
        let sentinel = sentinel_that_names(&named);
        let limit = Duration::from_millis(800);
        let mut client = Client::builder().connect_timeout(limit).build().unwrap();
        let db = Redis::at(&sentinel.address().to_string())
            .protocol(aquests::redis::Version::Resp2)
            .sentinel("mymaster", [""; 0]);
        let session = client.open(&db).unwrap();
        session.send(db.set("n", 1)).unwrap();
        outcomes(&mut client);
        old.cli(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
        session.send(db.set("n", 2)).unwrap();
        let answer = outcomes(&mut client).remove(0);
        assert_eq!(answer.response().unwrap().read::<u8>().unwrap_err().code(), Some("READONLY"), "{answer}");
        drop(session);
        named.store(new.port(), Ordering::SeqCst);
        // Nobody looks for it meanwhile.
        std::thread::sleep(2 * limit);
        client.send(db.set("n", 3)).unwrap();
        let answer = outcomes(&mut client).remove(0);
        assert!(answer.response().is_some(), "{answer}");
        assert_eq!(new.cli(&["GET", "n"]), "3");
    });
}

/// A master that answers everything with this.
fn master_that_says(answer: &'static str) -> Peer {
    Peer::start(move |conn| {
        loop {
            let is_role = next_command(conn)?[0] == "ROLE";
            conn.send(if is_role { "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n" } else { answer })?;
        }
    })
}

#[test]
fn an_answer_for_a_host_that_is_wanted_no_more_leads_to_nobody() {
    must_end(|| {
        let (old, new) = (master_that_says("-READONLY it is over\r\n"), master_that_says("+here\r\n"));
        // Whoever is at the address of the one with the port of the other.
        let stranger = TcpListener::bind(("127.0.0.2", new.address().port())).unwrap();
        stranger.set_nonblocking(true).unwrap();
        // Nothing is answered when it is asked for the first time, and the one is asked for first.
        let names = NameServer::start(|asked| match (&*asked.name, asked.nth) {
            (_, 0) => Vec::new(),
            ("one.example", _) => asked.address([127, 0, 0, 2].into(), 3600),
            _ => asked.here(),
        });
        let named = Arc::new(Mutex::new(("127.0.0.1".to_owned(), old.address().port())));
        let told = Arc::clone(&named);
        let sentinel = Peer::start(move |conn| {
            loop {
                next_command(conn)?;
                let (host, port) = told.lock().unwrap().clone();
                let port = port.to_string();
                conn.send(format!("*2\r\n${}\r\n{host}\r\n${}\r\n{port}\r\n", host.len(), port.len()))?;
            }
        });
        let folder = Folder::new();
        folder.write("resolv.conf", "options timeout:1 attempts:3\n");
        folder.write("hosts", "");
        let mut client = Client::builder()
            .nameservers([names.address])
            .resolv_conf(folder.path().join("resolv.conf"))
            .hosts(folder.path().join("hosts"))
            .workers(4)
            .build()
            .unwrap();
        let db = Redis::at(&sentinel.address().to_string())
            .protocol(aquests::redis::Version::Resp2)
            .sentinel("mymaster", [""; 0]);
        let readonly = |client: &mut Client| {
            while client.next_outcome().map(|outcome| outcome.to_string()).is_none_or(|it| !it.contains("READONLY")) {
                client.turn(Some(Duration::from_millis(10))).unwrap();
            }
        };
        let session = client.open(&db).unwrap();
        session.send(db.set("n", 1)).unwrap();
        readonly(&mut client);

        // Somebody asks for the one, and it is the other before that is answered.
        *named.lock().unwrap() = ("one.example".to_owned(), old.address().port());
        client.send(db.get("n")).unwrap();
        while names.count("one.example") == 0 {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        *named.lock().unwrap() = ("two.example".to_owned(), new.address().port());
        session.send(db.set("n", 2)).unwrap();
        readonly(&mut client);
        let answer = outcomes(&mut client).remove(0);
        let response = answer.response().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(response.value(), Some(&Value::Simple("here".into())), "{answer}");
        assert!(names.count("one.example") > 1, "the one was answered in the end: {:?}", names.asked());
        assert_eq!(stranger.accept().unwrap_err().kind(), WouldBlock, "nobody came to the stranger");
    });
}
