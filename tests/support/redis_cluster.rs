//! A Redis cluster of three masters, and slots that move between them, step by step.

use std::ops::Index;

use super::process::{find, free_port, run, wait_until};
use super::{RedisBuilder, RedisServer};

/// A running cluster of three masters, which share the 16,384 slots.
#[derive(Debug)]
pub(crate) struct RedisCluster {
    nodes: Vec<RedisServer>,
    names: Vec<String>,
}

impl RedisCluster {
    pub(crate) fn start() -> Self {
        Self::start_with(|builder| builder)
    }

    /// The same, of servers that are more than that.
    pub(crate) fn start_with(more: impl Fn(RedisBuilder) -> RedisBuilder) -> Self {
        let nodes: Vec<_> = (0..3).map(|_| Self::node(&more)).collect();
        let mut command = std::process::Command::new(find("redis-cli", "redis-tools"));
        if let Some(password) = nodes[0].password() {
            command.env("REDISCLI_AUTH", password);
        }
        command.args(["--cluster", "create"]);
        for node in &nodes {
            command.arg(node.address().to_string());
        }
        command.args(["--cluster-replicas", "0", "--cluster-yes"]);
        run(&mut command, "").unwrap_or_else(|error| panic!("redis-cli cannot make a cluster: {error}"));
        let names = nodes.iter().map(|node| node.cli(&["CLUSTER", "MYID"])).collect();
        let cluster = Self { nodes, names };
        cluster.wait_until_it_is_whole();
        cluster
    }

    fn node(more: &impl Fn(RedisBuilder) -> RedisBuilder) -> RedisServer {
        // By default the bus is 10,000 ports up, which is where the system takes ports for outgoing connections.
        let builder = RedisServer::builder().config("cluster-enabled yes").config("cluster-node-timeout 5000");
        more(builder.config(&format!("cluster-port {}", free_port()))).start()
    }

    /// Waits until every node finds every slot served, and knows the others.
    pub(crate) fn wait_until_it_is_whole(&self) {
        wait_until("all nodes of the cluster say cluster_state:ok", || {
            self.nodes.iter().all(|node| {
                let info = node.cli(&["CLUSTER", "INFO"]);
                ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:3"]
                    .iter()
                    .all(|it| info.contains(it))
            })
        });
    }

    pub(crate) fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// To stop one, or start it again.
    pub(crate) fn node_mut(&mut self, number: usize) -> &mut RedisServer {
        &mut self.nodes[number]
    }

    /// The slot of a key, as the server counts it.
    pub(crate) fn slot(&self, key: &str) -> u16 {
        self.nodes[0].cli(&["CLUSTER", "KEYSLOT", key]).parse().expect("a slot is a number")
    }

    /// The number of the node that serves a slot, as the first node sees it.
    pub(crate) fn owner(&self, slot: u16) -> usize {
        let nodes = self.nodes[0].cli(&["CLUSTER", "NODES"]);
        // "id ip:port@cport flags master ping pong epoch state slots…", where a slot is "7", "7-9", or "[7->-id]".
        let serves = |word: &str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
        };
        let line = nodes.lines().find(|line| line.split_whitespace().skip(8).any(serves));
        let line = line.unwrap_or_else(|| panic!("nobody serves slot {slot}: {nodes}"));
        self.names.iter().position(|name| line.starts_with(name)).expect("a node of this cluster serves it")
    }

    /// Moves a slot with all its keys.
    pub(crate) fn move_slot(&self, slot: u16, to: usize) {
        self.begin_move(slot, to);
        self.finish_move(slot, to);
    }

    /// Half a move: the slot is MIGRATING at its owner and IMPORTING at the other, and every key is still where it was.
    /// The owner answers ASK for keys that it has not, or TRYAGAIN where it has some of those that a command names.
    pub(crate) fn begin_move(&self, slot: u16, to: usize) {
        let from = self.owner(slot);
        assert_ne!(from, to, "slot {slot} is there already");
        self.set_slot(to, slot, &["IMPORTING", &self.names[from]]);
        self.set_slot(from, slot, &["MIGRATING", &self.names[to]]);
    }

    /// Moves some keys of a slot whose move has begun.
    pub(crate) fn move_keys(&self, keys: &[&str], to: usize) {
        let from = &self.nodes[self.owner(self.slot(keys[0]))];
        let port = self.nodes[to].port().to_string();
        let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "10000"];
        if let Some(password) = from.password() {
            command.extend(["AUTH", password]);
        }
        command.push("KEYS");
        command.extend(keys);
        assert_eq!(from.cli(&command), "OK", "keys {keys:?} are moved");
    }

    /// Moves what is left of a slot, and tells every node whose it is now.
    pub(crate) fn finish_move(&self, slot: u16, to: usize) {
        let from = self.owner(slot);
        loop {
            let keys = self.nodes[from].cli(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "100"]);
            let keys: Vec<_> = keys.lines().filter(|key| !key.is_empty()).collect();
            if keys.is_empty() {
                break;
            }
            self.move_keys(&keys, to);
        }
        // The new owner first: until it knows, nobody would take what the old one sends away.
        let others = (0..self.nodes.len()).filter(|node| ![from, to].contains(node));
        for node in [to, from].into_iter().chain(others) {
            self.set_slot(node, slot, &["NODE", &self.names[to]]);
        }
    }

    /// Gives up a move that has begun. Keys that were moved already are lost to their owner.
    pub(crate) fn abandon_move(&self, slot: u16, to: usize) {
        for node in [to, self.owner(slot)] {
            self.set_slot(node, slot, &["STABLE"]);
        }
    }

    fn set_slot(&self, node: usize, slot: u16, what: &[&str]) {
        let slot = slot.to_string();
        let mut command = vec!["CLUSTER", "SETSLOT", &slot];
        command.extend(what);
        self.nodes[node].cli(&command);
    }
}

impl Index<usize> for RedisCluster {
    type Output = RedisServer;

    fn index(&self, number: usize) -> &RedisServer {
        &self.nodes[number]
    }
}
