//! What a connection can lead to: whatever names a server and says who one is there.

#[cfg(unix)]
use std::path::PathBuf;

use crate::error::Error;
#[cfg(feature = "postgres")]
use crate::postgres::Postgres;
use crate::reactor::Address;
#[cfg(feature = "redis")]
use crate::redis::{AtKey, Redis};
use crate::route::RouteKey;
use crate::url::Url;
use crate::version::Versions;

/// Where a [`Session`](super::Session) is to lead: made from a URL, or from a database.
#[derive(Clone, Debug)]
pub struct Target {
    kind: Kind,
    /// Connect here, whatever it names.
    address: Option<Address>,
}

#[derive(Clone, Debug)]
enum Kind {
    /// A URL, to be read.
    Url(Secret),
    #[cfg(feature = "redis")]
    Redis(Redis, Option<u16>),
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

/// A URL may hold a password.
#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.split("://").next().unwrap_or_default())
    }
}

impl Target {
    fn of(kind: Kind) -> Self {
        Self { kind, address: None }
    }

    /// Connects to this unix socket, whatever the URL or the database names. Requests that are sent through the session must
    /// say the same.
    #[cfg(unix)]
    #[must_use]
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.address = Some(Address::Unix(path.into()));
        self
    }

    /// Whose connections may be used, and which slot of a cluster the server has.
    pub(super) fn route(self, versions: Versions) -> Result<(RouteKey, Option<u16>), Error> {
        let address = self.address;
        let key = match self.kind {
            #[cfg(feature = "redis")]
            Kind::Url(Secret(url)) if Redis::is_url(&url) => RouteKey::redis(Redis::parse(&url)?.settings(), address),
            #[cfg(feature = "postgres")]
            Kind::Url(Secret(url)) if Postgres::is_url(&url) => {
                RouteKey::postgres(Postgres::parse(&url)?.settings(), 0, address)
            }
            Kind::Url(Secret(url)) => RouteKey::http(&Url::parse(&url)?, address, versions),
            #[cfg(feature = "redis")]
            Kind::Redis(redis, slot) => {
                redis.check()?;
                return Ok((RouteKey::redis(redis.settings(), address), slot));
            }
            #[cfg(feature = "postgres")]
            Kind::Postgres(postgres) => {
                postgres.settings().check()?;
                RouteKey::postgres(postgres.settings(), 0, address)
            }
        };
        Ok((key, None))
    }
}

impl From<&str> for Target {
    fn from(url: &str) -> Self {
        Self::of(Kind::Url(Secret(url.to_owned())))
    }
}

impl From<&String> for Target {
    fn from(url: &String) -> Self {
        Self::from(url.as_str())
    }
}

impl From<String> for Target {
    fn from(url: String) -> Self {
        Self::of(Kind::Url(Secret(url)))
    }
}

#[cfg(feature = "redis")]
impl From<&Redis> for Target {
    fn from(redis: &Redis) -> Self {
        Self::of(Kind::Redis(redis.clone(), None))
    }
}

#[cfg(feature = "redis")]
impl From<Redis> for Target {
    fn from(redis: Redis) -> Self {
        Self::of(Kind::Redis(redis, None))
    }
}

#[cfg(feature = "redis")]
impl From<AtKey> for Target {
    fn from(AtKey { redis, slot }: AtKey) -> Self {
        Self::of(Kind::Redis(redis, Some(slot)))
    }
}

#[cfg(feature = "postgres")]
impl From<&Postgres> for Target {
    fn from(postgres: &Postgres) -> Self {
        Self::of(Kind::Postgres(postgres.clone()))
    }
}

#[cfg(feature = "postgres")]
impl From<Postgres> for Target {
    fn from(postgres: Postgres) -> Self {
        Self::of(Kind::Postgres(postgres))
    }
}
