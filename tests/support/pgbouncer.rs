//! pgbouncer: many connections of clients over few of its own to PostgreSQL, in a folder of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::postgres::psql;
use super::process::{Launch, hand_over};
use super::{Folder, PostgresServer, Server};

/// A running pgbouncer.
#[derive(Debug)]
pub(crate) struct Pgbouncer {
    // First, so that the process ends before its folder goes.
    server: Server,
    folder: Folder,
}

impl Pgbouncer {
    /// Stands before a server and lends a connection for one transaction. Clients log in by SCRAM, with any of its users
    /// that have a password. `more` are lines of its configuration, which overrule what is there: `default_pool_size = 1`.
    pub(crate) fn before(postgres: &PostgresServer, more: &str) -> Self {
        let folder = Folder::new();
        let users = ["postgres", "trust", "password", "md5", "scram"];
        let users: String = users.iter().map(|user| format!("\"{user}\" \"{}\"\n", PostgresServer::PASSWORD)).collect();
        folder.write("users.txt", users);
        hand_over(folder.path());
        let log = folder.path().join("log");
        let launch = Launch { unprivileged: true, log: Some(&log), ..Launch::new("pgbouncer", "pgbouncer") };
        let server = launch.start(|command, port| {
            let path = folder.path().display();
            let (host, server_port) = (postgres.socket_folder().display(), postgres.port());
            let configuration = format!(
                "[databases]\n\
                 * = host={host} port={server_port}\n\
                 [pgbouncer]\n\
                 listen_addr = 127.0.0.1\n\
                 listen_port = {port}\n\
                 unix_socket_dir = {path}\n\
                 auth_type = scram-sha-256\n\
                 auth_file = {path}/users.txt\n\
                 admin_users = postgres\n\
                 pool_mode = transaction\n\
                 {more}\n"
            );
            folder.write("pgbouncer.ini", configuration);
            command.current_dir(folder.path()).arg(folder.path().join("pgbouncer.ini"));
        });
        Self { server, folder }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// The unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{}", self.port()))
    }

    /// `user`: with a password, like `scram:secret`.
    pub(crate) fn url(&self, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{}", self.port(), PostgresServer::DATABASE)
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What `psql` prints for a user over TCP, or what it complains about.
    pub(crate) fn psql_as(&self, user: &str, sql: &str) -> Result<String, String> {
        self.psql_in(PostgresServer::DATABASE, user, sql)
    }

    /// Its own commands: `SHOW POOLS`, `KILL test`, `PAUSE`.
    #[track_caller]
    pub(crate) fn admin(&self, command: &str) -> String {
        let text = self.psql_in("pgbouncer", "postgres", &format!("{command};"));
        text.unwrap_or_else(|error| panic!("pgbouncer does not {command}: {error}"))
    }

    fn psql_in(&self, database: &str, user: &str, sql: &str) -> Result<String, String> {
        let (port, password) = (self.port(), PostgresServer::PASSWORD);
        let target = format!("host=127.0.0.1 port={port} user={user} dbname={database} password={password}");
        psql(&target, sql)
    }

    pub(crate) fn stop(&mut self) {
        self.server.stop();
    }
}
