//! Versions of the protocol, on servers that know one and on one that knows two, and behind a pooler that knows nothing of
//! versions.

#![cfg(feature = "postgres")]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use aquests::postgres::{Postgres, ProtocolVersion};
use aquests::protocols::postgres::Login;
use aquests::protocols::{Established, Input, Protocol as _};
use aquests::{Client, ErrorKind, Outcome, Version};
use support::{Pgbouncer, PostgresServer, PostgresVersion, must_end, outcomes};

fn one(client: &mut Client, db: &Postgres) -> Outcome {
    client.send(db.query("SELECT 1")).unwrap();
    outcomes(client).remove(0)
}

fn eighteen() -> PostgresServer {
    PostgresServer::builder().version(PostgresVersion::V18).start()
}

fn at(server: &PostgresServer, user: &str, more: &str) -> Postgres {
    let (port, password) = (server.port(), PostgresServer::PASSWORD);
    Postgres::parse(&format!("host=127.0.0.1 port={port} dbname=test user={user} password={password} {more}")).unwrap()
}

#[test]
fn the_greatest_version_that_both_know_is_spoken_where_it_is_wanted() {
    must_end(|| {
        let (new, old) = (eighteen(), PostgresServer::start());
        let knows = if old.version() < 18 { Version::Postgres30 } else { Version::Postgres32 };
        let mut client = Client::new().unwrap();
        for user in ["trust", "scram", "md5", "password"] {
            for (server, more, expected) in [
                (&new, "", Version::Postgres30),
                (&new, "max_protocol_version=3.2", Version::Postgres32),
                (&new, "min_protocol_version=latest", Version::Postgres32),
                (&old, "", Version::Postgres30),
                (&old, "max_protocol_version=latest", knows),
            ] {
                let outcome = one(&mut client, &at(server, user, more));
                let response = outcome.response().unwrap_or_else(|| panic!("{user} {more}: {outcome}"));
                assert_eq!(response.version(), expected, "{user} {more}");
            }
        }
        let outcome = one(&mut client, &at(&old, "trust", "min_protocol_version=3.2"));
        if knows == Version::Postgres30 {
            let error = outcome.error().unwrap();
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            assert!(error.to_string().contains("no version of the protocol that is wanted"), "{error}");
        } else {
            assert!(outcome.response().is_some(), "{outcome}");
        }
    });
}

#[test]
fn a_server_that_knows_too_little_is_followed_by_the_next() {
    must_end(|| {
        let (new, old) = (eighteen(), PostgresServer::start());
        let text = format!(
            "host=127.0.0.1,127.0.0.1 port={},{} dbname=test user=trust min_protocol_version=3.2",
            old.port(),
            new.port()
        );
        let outcome = one(&mut Client::new().unwrap(), &Postgres::parse(&text).unwrap());
        assert_eq!(outcome.response().unwrap_or_else(|| panic!("{outcome}")).version(), Version::Postgres32);
    });
}

const LONG: &str = "SELECT pg_sleep(1000)";

fn running(server: &PostgresServer) -> String {
    server.psql(&format!("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '{LONG}'"))
}

#[test]
fn a_statement_is_cancelled_with_the_key_of_either_version() {
    must_end(|| {
        let (new, old) = (eighteen(), PostgresServer::start());
        let mut client = Client::new().unwrap();
        for server in [&new, &old] {
            for more in ["", "max_protocol_version=latest"] {
                let db = at(server, "trust", more);
                for gives_up in [true, false] {
                    let id = client.send(db.query(LONG)).unwrap();
                    while running(server) != "1" {
                        client.turn(Some(Duration::from_millis(10))).unwrap();
                    }
                    assert!(if gives_up { client.cancel(id) } else { client.interrupt(id) });
                    let outcome = outcomes(&mut client).remove(0);
                    assert_eq!(outcome.response().is_none(), gives_up, "{outcome}");
                    while running(server) != "0" {}
                }
            }
            assert_eq!(server.log().matches("canceling statement due to user request").count(), 4, "{}", server.log());
        }
    });
}

/// The machine alone: what the client keeps to itself.
#[test]
fn a_server_of_version_18_makes_keys_that_are_longer_than_they_were() {
    must_end(|| {
        let server = eighteen();
        let length = |versions: (ProtocolVersion, ProtocolVersion)| {
            let login = Login::new("trust").database("test").versions(versions.0, versions.1);
            let mut machine = aquests::protocols::postgres::Client::new(login).unwrap();
            let mut stream = UnixStream::connect(server.socket()).unwrap();
            let (mut bytes, mut out) = (Vec::new(), Vec::new());
            machine.connected(Established::default(), &mut out);
            stream.write_all(&out).unwrap();
            while machine.slots() == 0 {
                let (used, event) = machine.receive(Input { bytes: &bytes, eof: false }, &mut out).unwrap();
                if matches!(event, aquests::protocols::Event::NeedData { .. }) {
                    let mut more = [0; 4096];
                    let count = stream.read(&mut more).unwrap();
                    assert_ne!(count, 0, "the server lets us in");
                    bytes.extend_from_slice(&more[..count]);
                }
                bytes.drain(..used);
            }
            machine.cancel_key().unwrap().request().len() - 12
        };
        assert_eq!(length((ProtocolVersion::V3_0, ProtocolVersion::V3_0)), 4);
        assert_eq!(length((ProtocolVersion::V3_0, ProtocolVersion::V3_2)), 32, "256 bits");
    });
}

#[test]
fn a_pooler_that_knows_nothing_of_versions_is_right_as_long_as_nobody_speaks_of_them() {
    must_end(|| {
        let server = eighteen();
        let pooler = Pgbouncer::before(&server, "");
        let mut client = Client::new().unwrap();
        let plain = Postgres::parse(&pooler.url("scram:secret")).unwrap();
        assert_eq!(one(&mut client, &plain).response().unwrap().version(), Version::Postgres30);
        let newer = Postgres::parse(&format!("{}?max_protocol_version=latest", pooler.url("scram:secret"))).unwrap();
        let outcome = one(&mut client, &newer);
        // Debian 12 has one that says no; later ones name 3.0.
        match outcome.error() {
            Some(error) => assert_eq!(error.kind(), ErrorKind::Refused, "{error}"),
            None => assert_eq!(outcome.response().unwrap().version(), Version::Postgres30),
        }
    });
}
