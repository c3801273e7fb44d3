//! Transactions, scripts and sessions of Redis through the client, on a real server.

#![cfg(feature = "redis")]

#[path = "support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aquests::redis::{Redis, Script, Value};
use aquests::{Client, Outcome, Push};
use support::{RedisServer, must_end, outcomes};

fn values(client: &mut Client) -> Vec<Value> {
    let value = |outcome: &Outcome| outcome.response().unwrap_or_else(|| panic!("{outcome}")).value().unwrap().clone();
    outcomes(client).iter().map(value).collect()
}

fn db(server: &RedisServer) -> Redis {
    Redis::at(&server.address().to_string())
}

fn code(value: &Value) -> String {
    let error = value.as_error().unwrap_or_else(|| panic!("no error: {value:?}"));
    String::from_utf8_lossy(error.as_ref().code()).into_owned()
}

#[test]
fn a_watched_key_that_changes_undoes_the_transaction() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::new().unwrap();
        let db = db(&server);
        let session = client.open(&db).unwrap();
        session.send(db.command("WATCH", "n")).unwrap();
        session.send(db.get("n")).unwrap();
        assert_eq!(values(&mut client)[1], Value::Null);
        client.send(db.set("n", 7)).unwrap();
        values(&mut client);
        session.send(db.transaction().add(db.set("n", 1)).add(db.incr("m"))).unwrap();
        assert_eq!(values(&mut client), [Value::Null], "EXEC says that it was not done");
        assert_eq!(server.cli(&["GET", "n"]), "7");

        // Nothing is watched any more, and in between nobody came.
        session.send(db.command("WATCH", "n")).unwrap();
        session.send(db.transaction().add(db.incr("n")).add(db.incr("m"))).unwrap();
        let replies = Value::Array(vec![Value::Integer(8), Value::Integer(1)]);
        assert_eq!(values(&mut client)[1], replies);
        for command in [db.command("MULTI", ()), db.incr("n"), db.command("DISCARD", ()), db.get("n")] {
            session.send(command).unwrap();
        }
        assert_eq!(values(&mut client)[3], Value::Bulk(b"8".to_vec()), "it was discarded");
    });
}

#[test]
fn a_transaction_with_a_command_that_there_is_not_is_not_done() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::new().unwrap();
        let db = db(&server);
        client.send(db.transaction().add(db.incr("n")).add(db.command("NOSUCH", ())).add(db.incr("n"))).unwrap();
        client.send(db.transaction().add(db.set("text", "a")).add(db.incr("text")).add(db.incr("n"))).unwrap();
        client.send(db.get("n")).unwrap();
        let all = outcomes(&mut client);
        let replies = all[0].response().unwrap().replies();
        assert_eq!((replies.len(), code(&replies[4])), (5, "EXECABORT".to_owned()));
        assert_eq!(&*all[0].response().unwrap().reason(), "ERR", "the first that was not done");
        // One that fails while it runs takes nothing back.
        let done = all[1].response().unwrap().value().unwrap().as_slice().unwrap().to_vec();
        assert_eq!((code(&done[1]), &done[2]), ("ERR".to_owned(), &Value::Integer(1)));
        assert_eq!(all[2].response().unwrap().read::<u8>().unwrap(), 1);
    });
}

#[test]
fn a_session_that_goes_in_the_middle_of_a_transaction_takes_it_along() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::new().unwrap();
        let db = db(&server);
        let session = client.open(&db).unwrap();
        for command in [db.command("MULTI", ()), db.incr("n"), db.command("SELECT", 3)] {
            session.send(command).unwrap();
        }
        values(&mut client);
        drop(session);
        client.send(db.incr("m")).unwrap();
        assert_eq!(values(&mut client), [Value::Integer(1)], "it is not queued behind another's MULTI");
        assert_eq!(server.cli(&["EXISTS", "n"]), "0");
        while server.cli(&["CLIENT", "LIST"]).contains("multi=2") {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        // A session that left nothing behind gives its connection back.
        let before = server.info("total_connections_received");
        let session = client.open(&db).unwrap();
        session.send(db.get("m")).unwrap();
        values(&mut client);
        drop(session);
        for _ in 0..2 {
            client.turn(Some(Duration::ZERO)).unwrap();
        }
        client.send(db.get("m")).unwrap();
        values(&mut client);
        // `info` is one itself.
        assert_eq!(server.info("total_connections_received"), before + 1);
    });
}

#[test]
fn a_script_that_the_server_does_not_know_runs_once_all_the_same() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::builder().workers(2).build().unwrap();
        let db = db(&server);
        let script = Script::new("return {redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[2]}");
        for round in 1..=2i64 {
            for _ in 0..50 {
                client.send(script.on(&db).key("n").arg((2, "text"))).unwrap();
                client.send(db.incr("m")).unwrap();
            }
            let all = outcomes(&mut client);
            assert_eq!(all.len(), 100);
            for outcome in all.iter().filter(|outcome| outcome.request_id().as_u64() % 2 == 0) {
                let (_, text): (i64, String) = outcome.response().unwrap().read().unwrap();
                assert_eq!(text, "text");
            }
            assert_eq!(server.cli(&["GET", "n"]), (100 * round).to_string());
            assert_eq!(server.cli(&["GET", "m"]), (50 * round).to_string());
            server.cli(&["SCRIPT", "FLUSH"]);
        }
        // In one exchange with others it is sent whole.
        client.send(db.batch().add(script.on(&db).key("n").arg((1, "a"))).add(db.get("n"))).unwrap();
        assert_eq!(values(&mut client), [Value::Bulk(b"201".to_vec())]);
        // What is not known by its name alone is an answer.
        client.send(db.evalsha("0".repeat(40), "n", ())).unwrap();
        assert_eq!(code(&values(&mut client)[0]), "NOSCRIPT");
    });
}

#[test]
fn what_is_no_longer_valid_is_told_while_commands_go_on() {
    must_end(|| {
        let server = RedisServer::start();
        let told = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&told);
        let mut client = Client::builder()
            .on_push(move |push| {
                if let Push::Redis(push) = push {
                    into.lock().unwrap().push(format!("{:?}", push.to_value()));
                }
            })
            .build()
            .unwrap();
        let db = db(&server);
        let session = client.open(&db).unwrap();
        session.send(db.command("CLIENT TRACKING", "ON")).unwrap();
        for round in 0..100 {
            session.send(db.get("key")).unwrap();
            session.send(db.get(round)).unwrap();
            values(&mut client);
            client.send(db.set("key", round)).unwrap();
            values(&mut client);
        }
        session.send(db.ping()).unwrap();
        assert_eq!(values(&mut client).len(), 1);
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 100, "one for each change");
    });
}

#[test]
fn several_that_wait_at_the_server_are_answered_beside_others() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::builder().workers(4).build().unwrap();
        let db = db(&server);
        for number in 0..3 {
            client.send(db.blpop(format!("list-{number}"), None)).unwrap();
        }
        while server.info("blocked_clients") < 3 {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        for number in [2, 0, 1] {
            client.send(db.rpush(format!("list-{number}"), number)).unwrap();
            for _ in 0..50 {
                client.send(db.ping()).unwrap();
            }
        }
        let mut popped = Vec::new();
        for outcome in outcomes(&mut client) {
            if outcome.request_id().as_u64() < 3 {
                let (list, item): (String, u64) = outcome.response().unwrap().read().unwrap();
                assert_eq!(list, format!("list-{item}"));
                popped.push(item);
            }
        }
        popped.sort_unstable();
        assert_eq!(popped, [0, 1, 2]);
    });
}
