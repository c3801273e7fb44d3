//! Redis as a program asks it: where the server is and who one is there, commands as values, and what they answer as
//! types of Rust. How bytes travel, and when a command is sent, is the client's business and never belongs here.
//!
//! [`Redis`] says where and who, its methods make [`Command`]s ([`Redis::command`] any of them), [`Transaction`]s,
//! and calls of [`Script`]s; [`FromValue`] reads replies.
//!
//! ```
//! use aquests::redis::{Redis, SetOptions};
//!
//! let db = Redis::at("127.0.0.1:6379").database(2);
//! let command = db.set_with("city", "Plzen", SetOptions::new().ex(60));
//! assert_eq!(command, db.command("SET", ("city", "Plzen", "EX", 60)));
//! ```
//!
//! [`Client::send`](crate::Client::send) sends them, and commands share few connections: as many are on their way on each
//! as [`Redis::pipeline`] says. What the server says, an error too, is an answer: [`Response::read`](crate::Response::read)
//! makes a type of Rust of it.
//!
//! ```no_run
//! use aquests::redis::Redis;
//!
//! let mut client = aquests::Client::new()?;
//! let db = Redis::at("127.0.0.1:6379");
//! client.send(db.lpush("jobs", ("one", "two")))?;
//! client.send(db.lrange("jobs", 0, -1))?;
//! client.fetch_all_with(|_, outcome| {
//!     println!("{:?}", outcome.into_result()?.value());
//!     Ok::<_, aquests::Error>(())
//! })?;
//! # Ok::<(), aquests::Error>(())
//! ```
//!
//! # Which connection
//!
//! A command that waits at the server (BLPOP, XREAD with BLOCK, …) has a connection alone for as long. What changes a
//! connection (SUBSCRIBE, WATCH, MULTI by itself, SELECT, …) is sent through a [`Session`](crate::Session), which
//! [`Client::open`](crate::Client::open) makes; what the server pushes is told to
//! [`Session::on_push`](crate::Session::on_push). A [`Transaction`] and a [`Batch`] are one exchange and need no session,
//! unless keys are to be watched.
//!
//! # When a connection breaks
//!
//! Reads that were on their way are sent again, once, if the connection had answered anything before; and up to 10 times
//! where it closed because another request on it was given up, or where sentinels say who the master is. Of anything else nobody knows whether the server did it: it
//! fails as [`Closed`](crate::ErrorKind::Closed), and the error is not [retryable](crate::Error::is_retryable). What the
//! server certainly did not do (it turned the connection away, does not know the script, has not the slot, is a replica) is
//! sent again, whatever it is. In a session nothing is sent again.
//!
//! # Clusters and sentinels
//!
//! With [`Redis::cluster`] each command goes to the node that has its keys; keys in different slots are refused when it is
//! sent. MOVED, ASK, TRYAGAIN and CLUSTERDOWN are followed; when that has no end, or takes longer than the request may, the
//! last one is the answer, or the time limit the error. Of a batch, only those commands are sent again that were not done.
//! A node that drops packets costs [`connect_timeout`](crate::Builder::connect_timeout) for each of the 16 tries; one that
//! refuses connections costs only the pauses between them.
//! With [`Redis::sentinel`] the master is asked for by its name, and whether it is one, before anything is sent to it.
//! Between the end of an old master and the word of it, writes may be lost: that is Redis, whose replicas follow later.
//!
//! # Limits
//!
//! Those of what a server may send are [`Limits`]; they are listed in [`crate::protocols::redis`]. Besides:
//!
//! | what | default | setter | source |
//! |---|---|---|---|
//! | commands on their way on a connection | 128 | [`Redis::pipeline`] | a read of the server has 16 KiB |
//! | clusters, and masters, that are remembered and not in use | 1,024 each | none | their maps of 32 KiB take 32 MiB |
//! | ranges of slots that a node tells | 16,384 | none | as many as there are slots |
//! | nodes of a cluster | 4,096 | none | four times the 1,000 that its specification recommends |
//! | times that servers say where or how to ask instead | 16 | none | as many as redis-py allows (`RedisClusterRequestTTL`) |
//! | pause before a cluster or sentinels are asked again | 100 ms | none | so often a second costs them nothing that shows |
//! | pause before a request is tried again there | 25 ms, doubled up to 500 ms | none | 16 of them take 6 s, so that a slot has time to move |
//! | time until sentinels have named a master | 10 s | [`connect_timeout`](crate::Builder::connect_timeout) | it is part of connecting |

mod address;
mod args;
mod class;
mod command;
mod commands;
mod convert;
mod scan;
mod script;
mod settings;
mod slots;
mod table;
mod transaction;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use crate::protocols::redis::{ErrorReply, Limits, Value, Version};
use crate::{Error, Url};
pub use args::{Args, ToArg, ToArgs};
#[cfg(feature = "load")]
pub(crate) use class::Wait;
pub use command::Command;
pub(crate) use command::Exchange;
pub use commands::{
    Expiry, GeoArea, GeoOptions, RangeOptions, ScanOptions, SetOptions, Side, XaddOptions, XreadOptions, ZaddOptions,
};
pub use convert::{FromValue, ReadError, StreamEntry};
pub use scan::Scan;
pub use script::{Call, Script};
use settings::{Login, PORT, SENTINEL_PORT};
pub(crate) use settings::{Place, Settings, Topology};
pub(crate) use slots::{Node, Slots};
pub use transaction::{Batch, Transaction};

/// Where a server is, and who one is there. Cheap to clone; its methods make [`Command`]s.
///
/// Making one never fails: what is wrong is said when a command is sent.
#[derive(Clone, PartialEq, Eq, Hash)]
#[must_use = "this only says where a server is"]
pub struct Redis {
    settings: Arc<Settings>,
}

impl Redis {
    /// A server at a host and a port, which is 6379 where none is given: `127.0.0.1:6379`, `[::1]`,
    /// `redis.example.org`.
    pub fn at(address: &str) -> Self {
        let settings = match Place::parse(address, PORT) {
            Ok(place) => Settings::new(place),
            Err(wrong) => {
                let mut settings = Settings::new(Place::Host(String::new(), PORT));
                settings.complain(wrong);
                settings
            }
        };
        Self { settings: Arc::new(settings) }
    }

    /// A server at a unix socket.
    pub fn unix_socket(path: impl Into<PathBuf>) -> Self {
        Self { settings: Arc::new(Settings::new(Place::Socket(path.into()))) }
    }

    /// What a URL says: `redis://[[user]:password@]host[:port][/database][?name=value…]`, with `rediss` over TLS, and
    /// `redis+unix:///path?db=2` (or `unix`) for a socket; `valkey` means the same as `redis`.
    ///
    /// Percent-encoded are user, password, path and values. The parameters are `db`, `protocol` (2 or 3),
    /// `client_name`, `username` (or `user`) and `password` (or `pass`). Fails with
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest), in words that repeat no secret.
    ///
    /// ```
    /// use aquests::redis::Redis;
    ///
    /// let db = Redis::parse("redis://reporter:hunter2@redis.example.org/2?protocol=3")?;
    /// assert_eq!(format!("{db:?}"), "Redis(redis.example.org:6379)");
    /// # Ok::<(), aquests::Error>(())
    /// ```
    pub fn parse(url: &str) -> Result<Self, Error> {
        let settings = address::parse(url).map_err(Error::invalid)?;
        Ok(Self { settings: Arc::new(settings) })
    }

    /// Whether a URL is one of Redis.
    pub fn is_url(text: &str) -> bool {
        address::is_url(text)
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.settings.check()
    }

    /// Where it is, without who one is: `redis://redis.example.org:6379/2`.
    pub fn url(&self) -> Url {
        self.settings.url()
    }

    fn change(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Logs in as a user of the server's access list (Redis 6).
    pub fn user(self, user: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Self {
        let login = Login { user: Some(user.as_ref().to_vec()), password: password.as_ref().to_vec() };
        self.change(|settings| settings.login = Some(login))
    }

    /// Logs in with the password of the server (`requirepass`).
    pub fn password(self, password: impl AsRef<[u8]>) -> Self {
        let login = Login { user: None, password: password.as_ref().to_vec() };
        self.change(|settings| settings.login = Some(login))
    }

    /// The number of the database: 0 unless set. A cluster has no other.
    pub fn database(self, number: u32) -> Self {
        self.change(|settings| settings.database = number)
    }

    /// Over TLS.
    #[cfg(feature = "tls")]
    pub fn tls(self) -> Self {
        self.change(|settings| {
            settings.tls = true;
            if matches!(settings.place, Place::Socket(_)) {
                settings.complain("there is no TLS over a unix socket");
            }
        })
    }

    /// The version of RESP to speak. Unless set, RESP3 is asked for with HELLO, and a server that does not know it is
    /// spoken to in RESP2; with RESP2, nothing is asked.
    pub fn protocol(self, version: Version) -> Self {
        self.change(|settings| settings.version = version)
    }

    /// The name of the connections, as CLIENT LIST shows it: visible ASCII without spaces.
    pub fn client_name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.change(|settings| settings.name(name))
    }

    /// So many commands may be on their way at once on one connection: 128 unless set, at least 1.
    pub fn pipeline(self, depth: u16) -> Self {
        self.change(|settings| settings.pipeline = depth.max(1))
    }

    /// What the server may send.
    pub fn limits(self, limits: Limits) -> Self {
        self.change(|settings| settings.limits = limits)
    }

    /// The server is a node of a cluster: each command goes to the node that has its keys, one without keys to any.
    ///
    /// The client asks the cluster who has what, follows it when slots move, and asks again when a node is not reached.
    /// Give it at least as many [workers](crate::Builder::workers) as the cluster has masters. What concerns all nodes
    /// (FLUSHALL, DBSIZE, …) is sent to each of them: [`Command::at`]. A [`Session`](crate::Session) leads to one node:
    /// [`at_key`](Self::at_key).
    pub fn cluster(self) -> Self {
        self.seeds::<[&str; 0]>([])
    }

    /// A cluster of which these nodes may be asked too, where the first is not reached: hosts with ports, which are 6379
    /// where none is given.
    pub fn seeds<I>(self, nodes: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        self.change(|settings| {
            let seeds = settings.places(nodes, PORT);
            settings.topology = Topology::Cluster { seeds };
        })
    }

    /// The address, with its port, is a sentinel's, and so are these, whose port is 26379 where none is given: they say
    /// where the master of this name is. Over TLS, its certificate is to have the name or the address that they say.
    ///
    /// They are asked in turn when the first command is sent, and again when the master is not reached or is none any
    /// more; meanwhile commands wait, for no longer than the client's
    /// [`connect_timeout`](crate::Builder::connect_timeout). They are asked without a
    /// login, unless [`sentinel_user`](Self::sentinel_user) or [`sentinel_password`](Self::sentinel_password) says who one is.
    pub fn sentinel<I>(self, master: impl Into<String>, sentinels: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        self.change(|settings| {
            let sentinels = settings.places(sentinels, SENTINEL_PORT);
            settings.topology = Topology::Sentinel { master: master.into(), sentinels };
        })
    }

    /// Logs in at the sentinels, as a user of theirs.
    pub fn sentinel_user(self, user: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Self {
        let login = Login { user: Some(user.as_ref().to_vec()), password: password.as_ref().to_vec() };
        self.change(|settings| settings.sentinel_login = Some(login))
    }

    /// Logs in at the sentinels, with their password.
    pub fn sentinel_password(self, password: impl AsRef<[u8]>) -> Self {
        let login = Login { user: None, password: password.as_ref().to_vec() };
        self.change(|settings| settings.sentinel_login = Some(login))
    }

    /// In a cluster, the node that has a key: for a [`Session`](crate::Session).
    ///
    /// ```no_run
    /// use aquests::redis::Redis;
    ///
    /// let mut client = aquests::Client::new()?;
    /// let db = Redis::at("127.0.0.1:7000").cluster();
    /// let session = client.open(db.at_key("orders"))?;
    /// session.send(db.command("SSUBSCRIBE", "orders"))?;
    /// # Ok::<(), aquests::Error>(())
    /// ```
    pub fn at_key(&self, key: impl ToArg) -> AtKey {
        let mut words = crate::protocols::redis::Words::new();
        key.to_args(&mut Args::new(&mut words));
        let slot = crate::protocols::redis::slot(words.iter().next().unwrap_or_default());
        AtKey { redis: self.clone(), slot }
    }

    /// What has these settings.
    pub(crate) fn of(settings: Arc<Settings>) -> Self {
        Self { settings }
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }
}

/// The node of a cluster that has a key; where there is no cluster, the server. Made by [`Redis::at_key`].
#[derive(Clone, Debug)]
#[must_use = "this only says where a key is"]
pub struct AtKey {
    pub(crate) redis: Redis,
    pub(crate) slot: u16,
}

/// Without the user and the password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({})", self.settings.place)
    }
}

#[cfg(test)]
mod tests;
