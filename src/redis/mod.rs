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
//! # Limits
//!
//! Those of what a server may send are [`Limits`]; they are listed in [`crate::protocols::redis`]. Besides:
//!
//! | what | default | setter | source |
//! |---|---|---|---|
//! | commands on their way on a connection | 128 | [`Redis::pipeline`] | a read of the server has 16 KiB |
//! | nodes of a cluster | 4,096 | none | four times the 1,000 that its specification recommends |

mod address;
mod args;
mod class;
mod command;
mod commands;
mod convert;
mod script;
mod settings;
// Until the client asks clusters.
#[allow(dead_code)]
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
pub use script::{Call, Script};
use settings::{Login, PORT, SENTINEL_PORT};
pub(crate) use settings::{Place, Settings, Topology};
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
        self.settings.wrong.as_ref().map_or(Ok(()), |wrong| Err(Error::invalid(wrong.clone())))
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

    /// The server is a node of a cluster: each command goes to the node that has its keys.
    pub fn cluster(self) -> Self {
        self.change(|settings| settings.topology = Topology::Cluster)
    }

    /// The address is a sentinel's, and so are these (their port is 26379 where none is given): they say where the
    /// master of this name is.
    pub fn sentinel<I>(self, master: impl Into<String>, sentinels: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        self.change(|settings| {
            let mut places = Vec::new();
            for address in sentinels {
                match Place::parse(address.as_ref(), SENTINEL_PORT) {
                    Ok(place) => places.push(place),
                    Err(wrong) => settings.complain(wrong),
                }
            }
            settings.topology = Topology::Sentinel { master: master.into(), sentinels: places };
        })
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }
}

/// Without the user and the password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({})", self.settings.place)
    }
}

#[cfg(test)]
mod tests;
