//! Redis in a folder of its own, on a TCP port, on one with TLS and on a unix socket; it writes nothing to disk. Clusters
//! and sentinels are made of it beside this file.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Launch, find, run};
use super::tls::Identity;
use super::{Conn, Folder, Server, free_port};

/// What a server is to be like.
#[derive(Clone, Debug, Default)]
pub(crate) struct RedisBuilder {
    password: Option<String>,
    identity: Option<Identity>,
    /// Who signs the certificates of clients.
    authority: Option<String>,
    more: String,
}

impl RedisBuilder {
    /// What `AUTH` with one argument must say.
    pub(crate) fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// A user, and what it may do: `~* &* +@all`.
    pub(crate) fn user(self, name: &str, password: &str, rules: &str) -> Self {
        self.config(&format!("user {name} on >{password} {rules}"))
    }

    /// A second port, with TLS.
    pub(crate) fn tls(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// Asks clients for certificates that this authority signed.
    pub(crate) fn client_authority(mut self, pem: &str) -> Self {
        self.authority = Some(pem.to_owned());
        self
    }

    /// How many connections there may be. `redis-cli` needs one too.
    pub(crate) fn max_clients(self, clients: usize) -> Self {
        self.config(&format!("maxclients {clients}"))
    }

    /// Another line of its configuration.
    pub(crate) fn config(mut self, line: &str) -> Self {
        writeln!(self.more, "{line}").expect("a string takes everything");
        self
    }

    pub(crate) fn start(self) -> RedisServer {
        let folder = Folder::new();
        if let Some(identity) = &self.identity {
            folder.write("server.pem", &identity.chain);
            folder.write("server.key", &identity.key);
        }
        if let Some(pem) = &self.authority {
            folder.write("clients.pem", pem);
        }
        let mut tls_port = 0;
        let log = folder.path().join("log");
        let launch = Launch { log: Some(&log), ..Launch::new("redis-server", "redis-server") };
        let server = launch.start(|command, port| {
            tls_port = if self.identity.is_some() { free_port() } else { 0 };
            folder.write("redis.conf", self.configuration(folder.path(), port, tls_port));
            command.arg(folder.path().join("redis.conf"));
        });
        let mut redis = RedisServer { server, folder, tls_port, builder: self };
        redis.wait_until_it_answers();
        redis
    }

    fn configuration(&self, folder: &Path, port: u16, tls_port: u16) -> String {
        let folder = folder.display();
        let mut text = format!(
            "bind 127.0.0.1\n\
             port {port}\n\
             unixsocket {folder}/socket\n\
             dir {folder}\n\
             save \"\"\n\
             appendonly no\n\
             repl-diskless-sync yes\n\
             repl-diskless-sync-delay 0\n\
             enable-debug-command local\n"
        );
        if let Some(password) = &self.password {
            // Replicas of it, and sentinels, are told the same.
            writeln!(text, "requirepass {password}\nmasterauth {password}").expect("a string takes everything");
        }
        if self.identity.is_some() {
            let clients = match self.authority {
                Some(_) => format!("tls-auth-clients yes\ntls-ca-cert-file {folder}/clients.pem"),
                None => "tls-auth-clients no".to_owned(),
            };
            let files = format!("tls-cert-file {folder}/server.pem\ntls-key-file {folder}/server.key");
            writeln!(text, "tls-port {tls_port}\n{files}\n{clients}").expect("a string takes everything");
        }
        text + &self.more
    }
}

/// A running Redis.
#[derive(Debug)]
pub(crate) struct RedisServer {
    // First, so that the process ends before its folder goes.
    server: Server,
    folder: Folder,
    tls_port: u16,
    builder: RedisBuilder,
}

impl RedisServer {
    /// One that lets everybody in.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// The port with TLS.
    pub(crate) fn tls_port(&self) -> u16 {
        assert_ne!(self.tls_port, 0, "this server was not asked for TLS");
        self.tls_port
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// The unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    pub(crate) fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.tls_port())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The password of [`RedisBuilder::password`].
    pub(crate) fn password(&self) -> Option<&str> {
        self.builder.password.as_deref()
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What `redis-cli` prints for a command: the bare value, and a line for each element of an array.
    #[track_caller]
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        self.try_cli(arguments).unwrap_or_else(|error| panic!("redis-cli {}: {error}", arguments.join(" ")))
    }

    /// The same, where the answer may be an error.
    pub(crate) fn try_cli(&self, arguments: &[&str]) -> Result<String, String> {
        run(self.client().arg("-e").args(arguments), "")
    }

    /// What `redis-cli` prints over TLS, which trusts `authority` and shows a certificate, or what it complains about.
    pub(crate) fn try_tls_cli(
        &self,
        authority: &str,
        client: Option<&Identity>,
        arguments: &[&str],
    ) -> Result<String, String> {
        let folder = Folder::new();
        folder.write("root.pem", authority);
        let mut command = Command::new(find("redis-cli", "redis-tools"));
        command.args(["-e", "-h", "127.0.0.1", "-p", &self.tls_port().to_string(), "--tls", "--cacert"]);
        command.arg(folder.path().join("root.pem"));
        if let Some(client) = client {
            folder.write("client.pem", &client.chain);
            folder.write("client.key", &client.key);
            command.arg("--cert").arg(folder.path().join("client.pem"));
            command.arg("--key").arg(folder.path().join("client.key"));
        }
        run(command.args(arguments), "")
    }

    /// Sends many commands, one a line, and returns the answers, one a line.
    #[track_caller]
    pub(crate) fn feed(&self, commands: &str) -> String {
        run(&mut self.client(), commands).unwrap_or_else(|error| panic!("redis-cli: {error}"))
    }

    fn client(&self) -> Command {
        // Over the TCP port: the unix socket is not there yet when the port is.
        let mut command = Command::new(find("redis-cli", "redis-tools"));
        command.args(["-h", "127.0.0.1", "-p"]).arg(self.port().to_string());
        if let Some(password) = self.password() {
            command.env("REDISCLI_AUTH", password);
        }
        command
    }

    /// A number of `INFO`, like `connected_clients` (the one that asks is one) or `total_commands_processed`.
    #[track_caller]
    pub(crate) fn info(&self, name: &str) -> u64 {
        let text = self.cli(&["INFO", "everything"]);
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = value.unwrap_or_else(|| panic!("INFO has no {name}: {text}"));
        value.trim().parse().unwrap_or_else(|_| panic!("{name} is no number: {value}"))
    }

    /// Ends it politely.
    pub(crate) fn stop(&mut self) {
        self.server.stop();
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    /// Holds it still: it accepts (the system does) and does not answer, until [`Self::go_on`].
    pub(crate) fn pause(&self) {
        self.server.pause();
    }

    pub(crate) fn go_on(&self) {
        self.server.go_on();
    }

    /// Ends it, if it runs, and starts it on the same ports. What it held is gone.
    pub(crate) fn restart(&mut self) {
        self.server.stop();
        // Left over from a crash.
        let _ = std::fs::remove_file(self.socket());
        let log = self.folder.path().join("log");
        let launch = Launch::new("redis-server", "redis-server");
        let launch = Launch { log: Some(&log), port: Some(self.port()), ..launch };
        // The file is as it was, or as `CONFIG REWRITE` and a sentinel left it.
        self.server = launch.start(|command, _| {
            command.arg(self.folder.path().join("redis.conf"));
        });
        self.wait_until_it_answers();
    }

    /// It accepts before it is ready, and then its answer is LOADING. Any other says that it is.
    fn wait_until_it_answers(&mut self) {
        let (address, socket, log) = (self.address(), self.socket(), self.folder.path().join("log"));
        self.server.wait_until("redis-server answers PING", &log, || {
            let Ok(mut stream) = TcpStream::connect(address) else { return false };
            let mut line = String::new();
            stream.write_all(b"PING\r\n").is_ok()
                && BufReader::new(stream).read_line(&mut line).is_ok()
                && (line.starts_with('+') || line.starts_with("-NOAUTH"))
        });
        self.server.wait_until("redis-server listens on its unix socket", &log, || socket.exists());
    }
}

/// The words of the next command that a client sends to a peer.
pub(crate) fn next_command(conn: &mut Conn) -> io::Result<Vec<String>> {
    // How many words there are, and each with its length in front.
    let count = conn.line()?[1..].parse::<usize>().expect("a command is an array");
    let lines = (0..2 * count).map(|_| conn.line()).collect::<io::Result<Vec<_>>>()?;
    Ok(lines.into_iter().skip(1).step_by(2).collect())
}
