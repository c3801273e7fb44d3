//! Who one is at a server of Redis, and over what: users, passwords, databases, versions, TLS, unix sockets.

#![cfg(all(feature = "redis", feature = "tls"))]

#[path = "support/mod.rs"]
mod support;

use aquests::redis::{Redis, Version};
use aquests::{Client, ErrorKind, Outcome, TlsSettings};
use support::tls::{Authority, Wanted};
use support::{RedisServer, must_end, outcomes};

#[test]
fn what_a_user_may_not_do_is_an_answer() {
    must_end(|| {
        let server = RedisServer::builder().user("reader", "secret", "~public:* +get +select").start();
        let address = server.address().to_string();
        server.cli(&["SET", "public:a", "1"]);
        for db in [
            Redis::at(&address).user("reader", "secret"),
            Redis::at(&address).user("reader", "secret").protocol(Version::Resp2),
            Redis::parse(&format!("redis://reader:secret@{address}")).unwrap(),
        ] {
            let mut client = Client::new().unwrap();
            client.send(db.get("public:a")).unwrap();
            client.send(db.get("private:a")).unwrap();
            client.send(db.set("public:a", 2)).unwrap();
            let all = outcomes(&mut client);
            assert_eq!(all[0].response().unwrap().read::<u8>().unwrap(), 1);
            for refused in &all[1..] {
                let error = refused.response().unwrap().read::<String>().unwrap_err();
                assert_eq!(error.code(), Some("NOPERM"), "{refused}");
            }
        }
        let mut client = Client::new().unwrap();
        let nobody = Redis::at(&address).user("nobody", "hunter2");
        client.send(nobody.get("public:a")).unwrap();
        let error = outcomes(&mut client).remove(0).into_result().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(!format!("{error}{error:?}").contains("hunter2"), "{error:?}");
    });
}

#[test]
fn databases_are_apart_and_so_are_their_connections() {
    must_end(|| {
        let server = RedisServer::start();
        let address = server.address().to_string();
        let mut client = Client::builder().workers(2).build().unwrap();
        for number in 0..10 {
            let db = Redis::at(&address).database(number % 3);
            client.send(db.incr("n")).unwrap();
        }
        assert_eq!(outcomes(&mut client).len(), 10);
        assert_eq!(["0", "1", "2"].map(|number| server.cli(&["-n", number, "GET", "n"])), ["4", "3", "3"]);
        client.send(Redis::at(&address).database(99).incr("n")).unwrap();
        let error = outcomes(&mut client).remove(0).into_result().unwrap_err();
        assert!(error.to_string().contains("DB index"), "{error}");
    });
}

#[test]
fn the_version_that_was_asked_for_is_spoken() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::new().unwrap();
        let db = Redis::at(&server.address().to_string());
        server.cli(&["HSET", "h", "a", "1"]);
        for (db, version, kind) in [
            (db.clone().protocol(Version::Resp2), aquests::Version::Resp2, "Array"),
            (db, aquests::Version::Resp3, "Map"),
        ] {
            client.send(db.hgetall("h")).unwrap();
            let all = outcomes(&mut client);
            let response = all[0].response().unwrap();
            assert_eq!(response.version(), version);
            assert!(format!("{:?}", response.value().unwrap()).starts_with(kind), "{:?}", response.value());
            assert_eq!(response.read::<Vec<(String, u8)>>().unwrap(), [("a".to_owned(), 1)]);
        }
    });
}

#[test]
fn a_unix_socket_leads_to_the_same_server() {
    must_end(|| {
        let server = RedisServer::start();
        let mut client = Client::new().unwrap();
        client.send(Redis::unix_socket(server.socket()).database(1).set("key", "value")).unwrap();
        client.send(Redis::parse(&format!("unix://{}?db=1", server.socket().display())).unwrap().get("key")).unwrap();
        client.send(Redis::unix_socket("/nowhere/at/all").get("key")).unwrap();
        let mut all = outcomes(&mut client);
        all.sort_by_key(Outcome::request_id);
        assert_eq!(all[1].response().unwrap().read::<String>().unwrap(), "value");
        assert_eq!(server.cli(&["-n", "1", "GET", "key"]), "value");
        let error = all[2].error().unwrap();
        assert!(error.kind() == ErrorKind::Connect && error.to_string().contains("/nowhere/at/all"), "{error}");
    });
}

#[test]
fn over_tls_both_sides_show_who_they_are() {
    must_end(|| {
        let (authority, clients, stranger) =
            (Authority::new("servers"), Authority::new("clients"), Authority::new("strangers"));
        let server =
            RedisServer::builder().tls(&authority.localhost()).client_authority(&clients.pem).password("pw").start();
        let url = server.tls_url().replace("rediss://", "rediss://:pw@");
        let me = clients.issue(&Wanted { names: &["me"], client: true, ..Wanted::default() });
        let trusting = |authority: &Authority| TlsSettings::new().roots_pem(authority.pem.as_str());
        for (what, tls, kind) in [
            ("its own", trusting(&authority).identity_pem(me.chain.as_str(), me.key.as_str()), None),
            ("none", trusting(&authority), Some(ErrorKind::Tls)),
            (
                "a stranger's",
                trusting(&stranger).identity_pem(me.chain.as_str(), me.key.as_str()),
                Some(ErrorKind::Tls),
            ),
        ] {
            let mut client = Client::builder().tls(tls).build().unwrap();
            let db = Redis::parse(&url).unwrap();
            for _ in 0..3 {
                client.send(db.incr("n")).unwrap();
            }
            for outcome in outcomes(&mut client) {
                assert_eq!(outcome.error().map(aquests::Error::kind), kind, "{what}: {outcome}");
            }
        }
        assert_eq!(server.cli(&["GET", "n"]), "3");
    });
}
