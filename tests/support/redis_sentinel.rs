//! A Redis master, its replica, and a sentinel that decides alone when the one takes the other's place.

use super::process::{Launch, find, run, wait_until};
use super::{Folder, RedisBuilder, RedisServer, Server};

/// A running sentinel and what it watches.
#[derive(Debug)]
pub(crate) struct RedisSentinel {
    // First, so that it does not see the others go.
    sentinel: Server,
    servers: Vec<RedisServer>,
    _folder: Folder,
}

impl RedisSentinel {
    /// What the sentinel calls its master.
    pub(crate) const NAME: &str = "mymaster";

    pub(crate) fn start() -> Self {
        Self::start_with(|builder| builder)
    }

    /// The same, of servers that are more than that.
    pub(crate) fn start_with(more: impl Fn(RedisBuilder) -> RedisBuilder) -> Self {
        let master = more(RedisServer::builder()).start();
        let replica = RedisServer::builder().config(&format!("replicaof 127.0.0.1 {}", master.port()));
        let replica = more(replica).start();
        let folder = Folder::new();
        let log = folder.path().join("log");
        let launch = Launch { log: Some(&log), ..Launch::new("redis-server", "redis-server") };
        let sentinel = launch.start(|command, port| {
            let (name, path) = (Self::NAME, folder.path().display());
            let mut text = format!(
                "bind 127.0.0.1\n\
                 port {port}\n\
                 dir {path}\n\
                 sentinel monitor {name} 127.0.0.1 {} 1\n\
                 sentinel down-after-milliseconds {name} 500\n\
                 sentinel failover-timeout {name} 3000\n",
                master.port()
            );
            if let Some(password) = master.password() {
                text += &format!("sentinel auth-pass {name} {password}\n");
            }
            folder.write("sentinel.conf", text);
            command.arg(folder.path().join("sentinel.conf")).arg("--sentinel");
        });
        let sentinel = Self { sentinel, servers: vec![master, replica], _folder: folder };
        // The replica finds itself connected before the master sends it what is written from now on.
        wait_until("the master has its replica online", || {
            sentinel.servers[0].cli(&["INFO", "replication"]).contains("state=online")
        });
        wait_until("the sentinel knows master and replica", || {
            let text = sentinel.ask(&["SENTINEL", "MASTER", Self::NAME]);
            let mut lines = text.lines();
            // Names and values take turns. Any flag beside "master" is a doubt.
            let mut value = |name| lines.by_ref().skip_while(|line| *line != name).nth(1);
            (value("flags"), value("num-slaves")) == (Some("master"), Some("1")) && sentinel.replica_is_known()
        });
        sentinel
    }

    /// It was reached, and told that it follows the master.
    fn replica_is_known(&self) -> bool {
        let text = self.ask(&["SENTINEL", "REPLICAS", Self::NAME]);
        let lines: Vec<_> = text.lines().collect();
        lines.windows(2).any(|pair| pair == ["flags", "slave"])
            && lines.windows(2).any(|pair| pair == ["master-link-status", "ok"])
    }

    /// The port of the sentinel.
    pub(crate) fn port(&self) -> u16 {
        self.sentinel.port
    }

    /// The master first, and its replica, as they were at the start.
    pub(crate) fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    pub(crate) fn server_mut(&mut self, number: usize) -> &mut RedisServer {
        &mut self.servers[number]
    }

    /// What `redis-cli` prints that asks the sentinel.
    #[track_caller]
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let mut command = std::process::Command::new(find("redis-cli", "redis-tools"));
        command.args(["-e", "-h", "127.0.0.1", "-p", &self.port().to_string()]).args(arguments);
        run(&mut command, "").unwrap_or_else(|error| panic!("redis-cli {}: {error}", arguments.join(" ")))
    }

    /// The number of the server that the sentinel names as the master.
    pub(crate) fn master(&self) -> usize {
        let text = self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME]);
        let port = text.lines().last().unwrap_or_default();
        let server = self.servers.iter().position(|server| server.port().to_string() == port);
        server.unwrap_or_else(|| panic!("the sentinel names a stranger: {text}"))
    }

    /// Makes the replica the master, with both alive, and waits until the sentinel says so. The old master follows later.
    pub(crate) fn failover(&self) {
        let old = self.master();
        self.ask(&["SENTINEL", "FAILOVER", Self::NAME]);
        self.wait_for_another(old);
    }

    /// Kills the master, and waits until the sentinel has found that out and named the replica.
    pub(crate) fn lose_master(&mut self) {
        let old = self.master();
        self.servers[old].kill();
        self.wait_for_another(old);
    }

    fn wait_for_another(&self, old: usize) {
        wait_until("the sentinel names another master", || self.master() != old);
        let new = &self.servers[1 - old];
        wait_until("that one takes writes", || new.cli(&["ROLE"]).starts_with("master"));
    }
}
