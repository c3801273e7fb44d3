//! PostgreSQL of either version that we have, in a folder of its own, on a TCP port and a unix socket, with a user for each
//! way to log in. pgbouncer stands beside this file.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use super::process::{Launch, assert_reachable, find, hand_over, run, state, unprivileged, wait_until};
use super::tls::Identity;
use super::{Folder, Server};

/// Whose programs are run: a version is a folder of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Version {
    /// Those of the folder that `AQUESTS_POSTGRES` names, from the root of the repository on, or else the system's.
    #[default]
    Usual,
    /// One that knows direct TLS and protocol 3.2, which Debian does not have. In the folder that `AQUESTS_POSTGRES_18`
    /// names, where the one in which it is installed cannot be reached.
    V18,
}

impl Version {
    /// What it takes to have them.
    fn program(self, name: &str) -> PathBuf {
        let folder = match self {
            Version::Usual => env::var_os("AQUESTS_POSTGRES").map(PathBuf::from),
            Version::V18 => {
                let elsewhere = env::var_os("AQUESTS_POSTGRES_18").map(PathBuf::from);
                Some(elsewhere.unwrap_or_else(|| "target/servers/postgresql-18/bin".into()))
            }
        };
        let Some(folder) = folder else { return find(name, "postgresql") };
        let path = root().join(folder).join(name);
        let help = "install PostgreSQL 18 with: tests/run --install postgres-18";
        assert!(path.is_file(), "{} is missing; {help}", path.display());
        assert_reachable(&path);
        path
    }
}

/// Of the repository: this file is a part of several packages.
fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("tests/run").is_file()).expect("tests/run is beside the tests")
}

/// What a server is to be like.
#[derive(Clone, Debug, Default)]
pub(crate) struct PostgresBuilder {
    version: Version,
    identity: Option<Identity>,
    /// Who signs the certificates of clients.
    authority: Option<String>,
    more: String,
    rules: String,
}

impl PostgresBuilder {
    pub(crate) fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Speaks TLS to whoever asks for it. Without this it answers that it does not.
    pub(crate) fn tls(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// Believes certificates that this authority signed: the user `cert` logs in with one of that name.
    pub(crate) fn client_authority(mut self, pem: &str) -> Self {
        self.authority = Some(pem.to_owned());
        self
    }

    /// Another line of `postgresql.conf`.
    pub(crate) fn config(mut self, line: &str) -> Self {
        writeln!(self.more, "{line}").expect("a string takes everything");
        self
    }

    /// A line of `pg_hba.conf`, before those that are there: the first that fits decides.
    pub(crate) fn rule(mut self, line: &str) -> Self {
        writeln!(self.rules, "{line}").expect("a string takes everything");
        self
    }

    pub(crate) fn start(self) -> PostgresServer {
        let folder = Folder::new();
        hand_over(folder.path());
        let path = folder.path().display().to_string();
        let mut command = Command::new(find("setpriv", "util-linux"));
        command.args(unprivileged()).arg("--").arg(self.version.program("initdb")).current_dir(folder.path());
        command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]);
        command.arg(folder.path().join("data"));
        run(&mut command, "").unwrap_or_else(|error| panic!("initdb makes no cluster of databases: {error}"));
        for (name, text) in [("data/postgresql.conf", self.configuration(&path)), ("data/pg_hba.conf", self.rules())] {
            folder.write(name, text);
        }
        if let Some(identity) = &self.identity {
            folder.write("server.pem", &identity.chain);
            folder.write("server.key", &identity.key);
            let key = folder.path().join("server.key");
            // It takes no key that others can read.
            fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("the key is ours");
            hand_over(&key);
        }
        if let Some(pem) = &self.authority {
            folder.write("clients.pem", pem);
        }
        let server = launch(self.version, folder.path(), None);
        let mut postgres = PostgresServer { server, folder, version: self.version };
        postgres.wait_until_it_is_ready();
        postgres.psql_in("postgres", ROLES);
        postgres
    }

    fn configuration(&self, folder: &str) -> String {
        let mut text = format!(
            "listen_addresses = '127.0.0.1'\n\
             unix_socket_directories = '{folder}'\n\
             # What it holds need not outlive it.\n\
             fsync = off\n\
             synchronous_commit = off\n\
             full_page_writes = off\n\
             # Rows come in the order in which they were written.\n\
             synchronize_seqscans = off\n\
             # In its folder, which goes whatever happens.\n\
             dynamic_shared_memory_type = mmap\n"
        );
        if self.identity.is_some() {
            let files = format!("ssl_cert_file = '{folder}/server.pem'\nssl_key_file = '{folder}/server.key'");
            writeln!(text, "ssl = on\n{files}").expect("a string takes everything");
        }
        if self.authority.is_some() {
            writeln!(text, "ssl_ca_file = '{folder}/clients.pem'").expect("a string takes everything");
        }
        text + &self.more
    }

    fn rules(&self) -> String {
        let mut text = self.rules.clone();
        let users = ["postgres trust", "trust trust", "password password", "md5 md5", "scram scram-sha-256"];
        for (user, method) in users.iter().filter_map(|line| line.split_once(' ')) {
            writeln!(text, "local all {user} {method}\nhost all {user} 127.0.0.1/32 {method}").expect("it takes all");
        }
        text.push_str("host all reject 127.0.0.1/32 reject\n");
        if self.identity.is_some() {
            text.push_str("hostssl all secure 127.0.0.1/32 scram-sha-256\n");
        }
        if self.authority.is_some() {
            text.push_str("hostssl all cert 127.0.0.1/32 cert\n");
        }
        text
    }
}

/// How a hash of a password is kept decides which ways to log in there are for it.
const ROLES: &str = r#"
SET password_encryption = 'md5';
CREATE ROLE "md5" LOGIN PASSWORD 'secret';
SET password_encryption = 'scram-sha-256';
CREATE ROLE "password" LOGIN PASSWORD 'secret';
CREATE ROLE "scram" LOGIN PASSWORD 'secret';
CREATE ROLE "secure" LOGIN PASSWORD 'secret';
CREATE ROLE "trust" LOGIN PASSWORD 'secret';
CREATE ROLE "cert" LOGIN;
CREATE ROLE "reject" LOGIN PASSWORD 'secret';
ALTER ROLE postgres PASSWORD 'secret';
CREATE DATABASE test;
\connect test
GRANT ALL ON SCHEMA public TO PUBLIC;
"#;

fn launch(version: Version, folder: &Path, port: Option<u16>) -> Server {
    let log = folder.join("log");
    let launch = Launch::at(version.program("postgres"));
    // The usual farewell lets it wait for its clients; this one does not.
    let launch = Launch { unprivileged: true, farewell: Signal::INT, log: Some(&log), port, ..launch };
    launch.start(|command, port| {
        command.current_dir(folder).args(["-p", &port.to_string(), "-D"]).arg(folder.join("data"));
    })
}

/// A running PostgreSQL with the database [`Self::DATABASE`].
///
/// Its users are named by how they log in, over TCP and the unix socket: `trust`, `password` (in clear text), `md5` and
/// `scram`; over TCP with TLS alone `secure` (SCRAM) and `cert` (see [`PostgresBuilder::client_authority`]). `reject` is
/// turned away. The superuser `postgres` is trusted. The password of all is [`Self::PASSWORD`].
#[derive(Debug)]
pub(crate) struct PostgresServer {
    // First, so that the process ends before its folder goes.
    server: Server,
    folder: Folder,
    version: Version,
}

impl PostgresServer {
    pub(crate) const DATABASE: &str = "test";
    pub(crate) const PASSWORD: &str = "secret";

    /// One without TLS.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// The folder of the unix socket: what clients of PostgreSQL want to be told.
    pub(crate) fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The unix socket itself.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{}", self.port()))
    }

    /// `user`: `trust`, or with a password `scram:secret`.
    pub(crate) fn url(&self, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{}", self.port(), Self::DATABASE)
    }

    /// The first number of what it calls its version.
    #[track_caller]
    pub(crate) fn version(&self) -> u32 {
        self.psql("SELECT current_setting('server_version_num')::int / 10000").parse().expect("a version is a number")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What `psql` prints for statements of the superuser: a line for each row, with `|` between columns.
    #[track_caller]
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.psql_in(Self::DATABASE, sql)
    }

    #[track_caller]
    fn psql_in(&self, database: &str, sql: &str) -> String {
        let target =
            format!("host={} port={} user=postgres dbname={database}", self.folder.path().display(), self.port());
        psql(&target, sql).unwrap_or_else(|error| panic!("psql: {error}\nafter: {sql}"))
    }

    /// What `psql` prints for another user over TCP, or what it complains about. `options` are words of a connection
    /// string, like `sslmode=require`.
    pub(crate) fn psql_as(&self, user: &str, options: &str, sql: &str) -> Result<String, String> {
        let database = Self::DATABASE;
        psql(&format!("host=127.0.0.1 port={} user={user} dbname={database} {options}", self.port()), sql)
    }

    /// Ends the connections of all clients, and returns how many there were: they are told 57P01.
    #[track_caller]
    pub(crate) fn terminate_backends(&self) -> usize {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid();";
        self.psql(sql).parse().expect("a count is a number")
    }

    /// How many connections clients have, without the one that asks.
    #[track_caller]
    pub(crate) fn backends(&self) -> usize {
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid();";
        self.psql(sql).parse().expect("a count is a number")
    }

    /// Holds it and its backends still: the system accepts for it, and nobody answers, until [`Self::go_on`].
    pub(crate) fn pause(&self) {
        // The first one first, so that it starts no others meanwhile.
        self.server.pause();
        self.signal_children(Signal::STOP);
        let children = self.children();
        // One that was about to end has.
        wait_until("the backends are held still", || children.iter().all(|pid| matches!(state(*pid), 'T' | 'Z')));
    }

    pub(crate) fn go_on(&self) {
        self.signal_children(Signal::CONT);
        self.server.go_on();
    }

    fn children(&self) -> Vec<Pid> {
        let pid = self.server.pid();
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    }

    fn signal_children(&self, signal: Signal) {
        for pid in self.children() {
            // One that ended meanwhile is no matter.
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it and all connections: clients are told 57P01.
    pub(crate) fn stop(&mut self) {
        if self.server.runs() {
            // Children that are held still would not see their end come.
            self.signal_children(Signal::CONT);
        }
        self.server.stop();
    }

    /// Ends it as a loss of power does: connections are reset.
    pub(crate) fn kill(&mut self) {
        if !self.server.runs() {
            return;
        }
        // So that it starts no others meanwhile.
        self.server.pause();
        let children = self.children();
        self.signal_children(Signal::KILL);
        self.server.kill();
        // It does not start again while one of them holds its memory.
        wait_until("the backends are gone", || children.iter().all(|pid| state(*pid) == 'Z'));
    }

    /// Ends it, if it runs, and starts it on the same port. What it held is still there, but perhaps not after
    /// [`Self::kill`].
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.server = launch(self.version, self.folder.path(), Some(self.port()));
        self.wait_until_it_is_ready();
    }

    /// Goes on as a standby, which only reads, of a primary that it never hears of.
    pub(crate) fn become_standby(&mut self) {
        self.folder.write("data/standby.signal", "");
        self.restart();
    }

    /// It accepts before it is ready, and then turns everybody away with 57P03. It says in a file when that is over.
    fn wait_until_it_is_ready(&mut self) {
        let (folder, pid) = (self.folder.path(), self.server.pid().to_string());
        self.server.wait_until("postgres is ready", &folder.join("log"), || {
            let text = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
            // The eighth line; the first is its process, so that what another left behind is not taken for it.
            text.lines().next() == Some(&pid) && text.lines().nth(7).map(str::trim) == Some("ready")
        });
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs `psql`. Statements are sent one by one, outside of a transaction.
pub(crate) fn psql(target: &str, sql: &str) -> Result<String, String> {
    let mut command = Command::new(find("psql", "postgresql-client"));
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", target]);
    // It has no business with what whoever runs the tests has in their home.
    command.env("HOME", "/nonexistent").env("PGCONNECT_TIMEOUT", "20");
    run(&mut command, sql)
}
