//! TLS that comes before everything else (`sslnegotiation=direct`), on a real server of version 18, and on what is none.

#![cfg(all(feature = "postgres", feature = "tls"))]

mod support;

use std::time::Duration;

use aquests::postgres::{ChannelBinding, Postgres, SslMode, SslNegotiation};
use aquests::{Client, Error, ErrorKind, Outcome};
use support::tls::{Authority, Identity};
use support::{Folder, PostgresServer, PostgresVersion, Server, Stunnel, must_end};

/// Somebody to trust, and a certificate of `localhost`.
struct Trust {
    folder: Folder,
    identity: Identity,
}

impl Trust {
    fn new() -> Self {
        let authority = Authority::new("root");
        let identity = authority.issue(&support::tls::Wanted { names: &["localhost"], ..Default::default() });
        let folder = Folder::new();
        folder.write("root.pem", &authority.pem);
        Self { folder, identity }
    }

    /// A folder with the certificate and its key.
    fn copy(&self) -> Folder {
        let folder = Folder::new();
        folder.write("server.pem", &self.identity.chain);
        folder.write("server.key", &self.identity.key);
        folder
    }

    /// TLS first, at a port of `localhost`, with whatever else a connection string says.
    fn direct(&self, port: u16, user: &str, more: &str) -> Postgres {
        let root = self.folder.path().join("root.pem");
        let (root, password) = (root.display(), PostgresServer::PASSWORD);
        Postgres::parse(&format!(
            "host=localhost port={port} dbname=test user={user} password={password} sslrootcert={root} \
             sslnegotiation=direct sslmode=verify-full {more}"
        ))
        .unwrap()
    }
}

fn one(client: &mut Client, db: &Postgres, sql: &str) -> Outcome {
    client.send(db.query(sql)).unwrap();
    let mut all = Vec::new();
    client
        .fetch_all_with(|_, outcome| {
            all.push(outcome);
            Ok::<_, Error>(())
        })
        .unwrap();
    all.remove(0)
}

/// Whether the server says that it was asked inside TLS.
const INSIDE: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

fn says(outcome: Outcome) -> bool {
    outcome.into_result().unwrap().rows().next().unwrap().get::<bool>("ssl")
}

fn eighteen(trust: &Trust) -> PostgresServer {
    PostgresServer::builder()
        .version(PostgresVersion::V18)
        .tls(&trust.identity)
        .config("trace_connection_negotiation = on")
        .start()
}

#[test]
fn tls_comes_first_and_the_server_is_who_it_says() {
    must_end(|| {
        let trust = Trust::new();
        let server = eighteen(&trust);
        assert_eq!(server.version(), 18);
        let mut client = Client::new().unwrap();
        let count = |server: &PostgresServer, what: &str| server.log().matches(what).count();
        let begun = "direct SSL connection accepted";
        for more in ["", "sslmode=verify-ca", "sslmode=require", "ssl_min_protocol_version=TLSv1.3"] {
            let before = count(&server, begun);
            let db = trust.direct(server.port(), "scram", more);
            assert!(says(one(&mut client, &db, INSIDE)), "{more}");
            assert_eq!(count(&server, begun), before + 1, "{more}: {}", server.log());
        }
        assert_eq!(count(&server, "SSLRequest accepted"), 0, "{}", server.log());
        // The name counts, and so does who signed.
        let address = trust.direct(server.port(), "scram", "host=127.0.0.1");
        assert_eq!(one(&mut client, &address, "SELECT 1").error().unwrap().kind(), ErrorKind::Tls);
        let stranger = Trust::new().direct(server.port(), "scram", "");
        assert_eq!(one(&mut client, &stranger, "SELECT 1").error().unwrap().kind(), ErrorKind::Tls);
    });
}

#[test]
fn a_login_inside_is_bound_to_it() {
    must_end(|| {
        let trust = Trust::new();
        let server = eighteen(&trust);
        let mut client = Client::new().unwrap();
        for user in ["scram", "secure"] {
            let bound = trust.direct(server.port(), user, "channel_binding=require");
            assert!(says(one(&mut client, &bound, INSIDE)), "{user}");
        }
        // There is nothing to be bound in these.
        for user in ["trust", "md5", "password"] {
            let unbound = trust.direct(server.port(), user, "channel_binding=require");
            let outcome = one(&mut client, &unbound, INSIDE);
            assert_eq!(outcome.error().unwrap().kind(), ErrorKind::Authentication, "{user}: {outcome}");
        }
    });
}

#[test]
fn what_runs_inside_is_cancelled_inside() {
    must_end(|| {
        let trust = Trust::new();
        let server = eighteen(&trust);
        let mut client = Client::new().unwrap();
        let db = trust.direct(server.port(), "scram", "");
        let running =
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(1000)'";
        let id = client.send(db.query("SELECT pg_sleep(1000)")).unwrap();
        let turn_until = |client: &mut Client, count: &str| {
            while server.psql(running) != count {
                client.turn(Some(Duration::from_millis(10))).unwrap();
            }
        };
        turn_until(&mut client, "1");
        client.cancel(id);
        turn_until(&mut client, "0");
        assert!(server.log().contains("canceling statement due to user request"));
        assert_eq!(server.log().matches("SSLRequest").count(), 0, "{}", server.log());
    });
}

#[test]
fn a_socket_of_this_machine_knows_no_tls() {
    must_end(|| {
        let trust = Trust::new();
        let server = eighteen(&trust);
        let host = format!("host={}", server.socket_folder().display());
        let db = trust.direct(server.port(), "trust", &host);
        assert!(!says(one(&mut Client::new().unwrap(), &db, INSIDE)), "as libpq has it");
    });
}

#[test]
fn tls_that_agrees_on_nothing_is_not_for_postgresql() {
    must_end(|| {
        let trust = Trust::new();
        let server = PostgresServer::builder().version(PostgresVersion::V18).start();
        // It speaks TLS, and PostgreSQL inside, but did not say so: it could be any other service of that name.
        let silent = Stunnel::to(server.port(), trust.copy(), "");
        let mut client = Client::new().unwrap();
        let outcome = one(&mut client, &trust.direct(silent.port(), "trust", ""), "SELECT 1");
        let error = outcome.error().unwrap();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.to_string().contains("TLS without ALPN for postgresql"), "{error}");
        // One that knows better says so itself.
        let folder = trust.copy();
        let web = Server::start("openssl", "openssl", |command, port| {
            let at = format!("127.0.0.1:{port}");
            command.args(["s_server", "-www", "-alpn", "http/1.1", "-accept", &at, "-cert", "server.pem"]);
            command.args(["-key", "server.key"]).current_dir(folder.path());
        });
        let outcome = one(&mut client, &trust.direct(web.port, "trust", ""), "SELECT 1");
        let error = outcome.error().unwrap();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.to_string().contains("none of the protocols that were offered (ALPN)"), "{error}");
    });
}

#[test]
fn a_server_that_is_too_old_hangs_up_and_the_error_says_why() {
    must_end(|| {
        let trust = Trust::new();
        let server = PostgresServer::builder().tls(&trust.identity).start();
        let outcome = one(&mut Client::new().unwrap(), &trust.direct(server.port(), "scram", ""), INSIDE);
        // Unless the usual one was chosen to be another.
        if server.version() >= 17 {
            return assert!(says(outcome), "{} knows it", server.version());
        }
        let error = outcome.error().unwrap();
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
        let words = "servers before PostgreSQL 17 do so with sslnegotiation=direct";
        assert!(error.to_string().contains(words), "{error}");
    });
}

#[test]
fn what_could_be_had_without_tls_does_not_begin_with_it() {
    let refused = "sslnegotiation=direct wants sslmode=require or stronger";
    for mode in ["disable", "allow", "prefer"] {
        let error = Postgres::parse(&format!("user=me sslnegotiation=direct sslmode={mode}")).unwrap_err();
        assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::InvalidRequest, refused), "{mode}");
    }
    let db = Postgres::at("localhost", "d").user("u", "").ssl_negotiation(SslNegotiation::Direct);
    let error = Client::new().unwrap().send(db.query("SELECT 1")).unwrap_err();
    assert_eq!((error.error().kind(), &*error.to_string()), (ErrorKind::InvalidRequest, refused), "the default");
    // What is bound wants a password, and TLS.
    let db = db.ssl_mode(SslMode::Require).channel_binding(ChannelBinding::Require);
    assert!(Client::new().unwrap().send(db.query("SELECT 1")).is_ok());
}
