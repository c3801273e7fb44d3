//! Several servers of PostgreSQL behind one name, on real ones: who is tried, who is taken, and what is told at the end.

#![cfg(feature = "postgres")]

mod support;

use std::time::Duration;

use aquests::postgres::{LoadBalance, Postgres, SslMode, Target};
use aquests::{Client, Error, ErrorKind, Outcome, Phase};
use support::{Peer, Pgbouncer, PostgresServer, must_end, outcomes, refused};

fn hosts(addresses: &[std::net::SocketAddr]) -> Postgres {
    let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    Postgres::at(&list.join(","), PostgresServer::DATABASE).user("scram", PostgresServer::PASSWORD)
}

/// The port of the server that answers each of several statements, or the error.
fn ports(client: &mut Client, db: &Postgres, requests: usize) -> Vec<Result<u16, Error>> {
    for _ in 0..requests {
        client.send(db.query("SELECT current_setting('port') AS port")).unwrap();
    }
    let port = |outcome: Outcome| {
        let response = outcome.into_result()?;
        let results = response.results().unwrap();
        assert!(results.error().is_none(), "{results:?}");
        Ok(results.rows().next().unwrap().get::<String>("port").parse().unwrap())
    };
    outcomes(client).into_iter().map(port).collect()
}

fn all_from(client: &mut Client, db: &Postgres, server: &PostgresServer) {
    for port in ports(client, db, 10) {
        assert_eq!(port.unwrap(), server.port());
    }
}

/// Two servers, the first of which lets nobody write.
fn two() -> (PostgresServer, PostgresServer) {
    let (read_only, writes) = (PostgresServer::start(), PostgresServer::start());
    read_only.psql("ALTER DATABASE test SET default_transaction_read_only = on;");
    (read_only, writes)
}

#[test]
fn who_cannot_be_reached_is_passed_over_and_all_are_named_at_the_end() {
    must_end(|| {
        let (gone, also_gone) = (refused(), refused());
        let mut server = PostgresServer::start();
        for workers in [1, 4] {
            let mut client = Client::builder().workers(workers).build().unwrap();
            all_from(&mut client, &hosts(&[gone, also_gone, server.address()]), &server);
            // What worked is asked first, also by a session.
            let db = hosts(&[gone, server.address()]);
            all_from(&mut client, &db, &server);
            let session = client.open(&db).unwrap();
            for _ in 0..2 {
                session.send(db.query("SELECT 1")).unwrap();
            }
            assert!(outcomes(&mut client).iter().all(|outcome| outcome.response().is_some()));
            for port in ports(&mut client, &hosts(&[gone, also_gone]), 5) {
                let error = port.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
                let words = error.to_string();
                assert!(words.contains(&format!("{gone}: ")) && words.contains(&format!("{also_gone}: ")), "{words}");
            }
        }
        // A session has the same choice, and the same end.
        let mut client = Client::new().unwrap();
        let db = hosts(&[gone, server.address()]);
        let session = client.open(&db).unwrap();
        session.send(db.query("SELECT 1")).unwrap();
        assert!(outcomes(&mut client)[0].response().is_some());
        let db = hosts(&[gone, also_gone]);
        let session = client.open(&db).unwrap();
        session.send(db.query("SELECT 1")).unwrap();
        assert_eq!(outcomes(&mut client)[0].error().unwrap().kind(), ErrorKind::Connect);
        // One that goes away is followed by another.
        let other = PostgresServer::start();
        let db = hosts(&[server.address(), other.address()]);
        all_from(&mut client, &db, &server);
        server.stop();
        all_from(&mut client, &db, &other);
        server.restart();
        all_from(&mut client, &db, &other);
    });
}

#[test]
fn names_that_nobody_knows_are_passed_over() {
    must_end(|| {
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let list = format!("no.such.host.invalid:5432,localhost:{}", server.port());
        let db = Postgres::at(&list, PostgresServer::DATABASE).user("trust", "");
        all_from(&mut client, &db, &server);
    });
}

#[test]
fn the_kind_of_session_that_is_wanted_is_looked_for() {
    must_end(|| {
        let (read_only, writes) = two();
        let both = hosts(&[read_only.address(), writes.address()]);
        let turned = hosts(&[writes.address(), read_only.address()]);
        for workers in [1, 3] {
            let mut client = Client::builder().workers(workers).build().unwrap();
            for (target, server) in [
                (Target::Any, &read_only),
                (Target::ReadWrite, &writes),
                (Target::ReadOnly, &read_only),
                (Target::Primary, &read_only),
                (Target::PreferStandby, &read_only),
            ] {
                all_from(&mut client, &both.clone().target_session_attrs(target), server);
            }
            all_from(&mut client, &turned.clone().target_session_attrs(Target::ReadOnly), &read_only);
            for port in ports(&mut client, &both.clone().target_session_attrs(Target::Standby), 3) {
                let error = port.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
                assert!(error.to_string().contains(&format!("{}: its sessions", writes.address())), "{error}");
            }
        }
        // One alone is told in the same way.
        let mut client = Client::new().unwrap();
        let alone = hosts(&[writes.address()]).target_session_attrs(Target::ReadOnly);
        assert_eq!(ports(&mut client, &alone, 1).remove(0).unwrap_err().kind(), ErrorKind::Refused);
    });
}

#[test]
fn a_standby_is_told_from_a_primary() {
    must_end(|| {
        let (mut standby, primary) = (PostgresServer::start(), PostgresServer::start());
        standby.become_standby();
        let mut client = Client::builder().workers(2).build().unwrap();
        let wants = |addresses: &[std::net::SocketAddr], target| hosts(addresses).target_session_attrs(target);
        let (first, second) = (standby.address(), primary.address());
        for order in [[first, second], [second, first]] {
            all_from(&mut client, &wants(&order, Target::Standby), &standby);
            all_from(&mut client, &wants(&order, Target::PreferStandby), &standby);
            all_from(&mut client, &wants(&order, Target::ReadOnly), &standby);
            all_from(&mut client, &wants(&order, Target::Primary), &primary);
            all_from(&mut client, &wants(&order, Target::ReadWrite), &primary);
        }
        // A pooler before it does not say so.
        let pooler = Pgbouncer::before(&standby, "");
        all_from(&mut client, &wants(&[second, pooler.address()], Target::Standby), &standby);
    });
}

#[test]
fn a_server_that_does_not_say_what_it_is_is_asked() {
    must_end(|| {
        let (read_only, writes) = two();
        // pgbouncer passes on neither of the two settings.
        let behind = [&read_only, &writes].map(|server| Pgbouncer::before(server, ""));
        let both = hosts(&behind.each_ref().map(Pgbouncer::address));
        let mut client = Client::builder().workers(2).build().unwrap();
        all_from(&mut client, &both.clone().target_session_attrs(Target::ReadWrite), &writes);
        all_from(&mut client, &both.clone().target_session_attrs(Target::ReadOnly), &read_only);
        let standby = ports(&mut client, &both.target_session_attrs(Target::Standby), 1).remove(0);
        assert_eq!(standby.unwrap_err().kind(), ErrorKind::Refused);
    });
}

#[test]
fn the_load_is_spread_where_that_is_wanted() {
    must_end(|| {
        let servers = [PostgresServer::start(), PostgresServer::start()];
        let db = hosts(&servers.each_ref().map(PostgresServer::address)).load_balance_hosts(LoadBalance::Random);
        // By chance all of 24 connections lead to one of them once in eight million times.
        let mut client = Client::builder().workers(24).build().unwrap();
        for _ in 0..24 {
            client.send(db.clone().pipeline(1).query("SELECT pg_sleep(0.3)")).unwrap();
        }
        assert!(outcomes(&mut client).iter().all(|outcome| outcome.response().is_some()));
        for server in &servers {
            assert!(server.backends() > 0);
        }
    });
}

#[test]
fn a_login_that_fails_is_not_tried_elsewhere() {
    must_end(|| {
        let servers = [PostgresServer::start(), PostgresServer::start()];
        let db = hosts(&servers.each_ref().map(PostgresServer::address)).user("scram", "hunter2");
        let mut client = Client::new().unwrap();
        for port in ports(&mut client, &db, 3) {
            let error = port.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Authentication);
            assert_eq!(error.to_string().matches("FATAL").count(), 1, "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    });
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_left_within_the_time_for_connecting() {
    must_end(|| {
        let silent = Peer::start(|conn| {
            conn.wait();
            Ok(())
        });
        let server = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let soon = Duration::from_millis(100);
        let db = hosts(&[silent.address(), server.address()]).connect_timeout(Duration::from_secs(2));
        all_from(&mut client, &db, &server);
        let alone = hosts(&[silent.address()]).ssl_mode(SslMode::Disable).connect_timeout(soon);
        let error = ports(&mut client, &alone, 1).remove(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Connect), "{error}");
        assert!(error.to_string().contains("let nobody in within 100ms"), "{error}");
        silent.open_gate();
    });
}

/// A statement that tells whether it came inside TLS.
#[cfg(feature = "tls")]
fn ssl(client: &mut Client, db: Postgres) -> Result<bool, ErrorKind> {
    client.send(db.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).unwrap();
    match outcomes(client).remove(0).into_result() {
        Ok(response) => Ok(response.rows().next().unwrap().get::<bool>("ssl")),
        Err(error) => Err(error.kind()),
    }
}

#[cfg(feature = "tls")]
#[test]
fn allow_and_prefer_try_the_other_way_where_they_are_turned_away() {
    must_end(|| {
        let identity = support::tls::Authority::new("root").localhost();
        let builder = || PostgresServer::builder().tls(&identity);
        let only_tls = builder().rule("hostnossl all scram 127.0.0.1/32 reject").start();
        let only_plain = builder().rule("hostssl all scram 127.0.0.1/32 reject").start();
        let none = builder().rule("host all scram 127.0.0.1/32 reject").start();
        let both = builder().start();
        let without = PostgresServer::start();
        let mut client = Client::new().unwrap();
        let mut ask = |server: &PostgresServer, mode| ssl(&mut client, hosts(&[server.address()]).ssl_mode(mode));
        for (mode, outcomes) in [
            (SslMode::Allow, [Ok(true), Ok(false), Ok(false), Ok(false)]),
            (SslMode::Prefer, [Ok(true), Ok(false), Ok(true), Ok(false)]),
            (SslMode::Disable, [Err(ErrorKind::Authentication), Ok(false), Ok(false), Ok(false)]),
            (SslMode::Require, [Ok(true), Err(ErrorKind::Authentication), Ok(true), Err(ErrorKind::Tls)]),
        ] {
            let said = [&only_tls, &only_plain, &both, &without].map(|server| ask(server, mode));
            assert_eq!(said, outcomes, "{mode:?}: only TLS, only plain, both, no TLS at all");
            assert_eq!(ask(&none, mode), Err(ErrorKind::Authentication), "{mode:?}");
        }
    });
}

#[cfg(feature = "tls")]
#[test]
fn prefer_goes_on_in_plain_text_where_tls_fails_and_require_does_not() {
    must_end(|| {
        let server = PostgresServer::builder()
            .tls(&support::tls::Authority::new("root").localhost())
            .config("ssl_max_protocol_version = 'TLSv1.2'")
            .start();
        // Versions that do not meet.
        let db = |mode: &str| {
            let port = server.port();
            let text = format!(
                "host=127.0.0.1 port={port} dbname={} user=trust sslmode={mode} ssl_min_protocol_version=TLSv1.3",
                PostgresServer::DATABASE
            );
            Postgres::parse(&text).unwrap()
        };
        let mut client = Client::new().unwrap();
        assert_eq!(ssl(&mut client, db("prefer")), Ok(false));
        assert_eq!(ssl(&mut client, db("require")), Err(ErrorKind::Tls));
    });
}
