//! What a route is: the requests that may share a connection. Two that name another server, speak another protocol or
//! another version of it, or are somebody else there, never do. Keeps no books: those are `pool`'s.

#[cfg(any(feature = "postgres", feature = "redis"))]
use std::sync::Arc;

#[cfg(feature = "postgres")]
use crate::postgres;
use crate::reactor::{Address, Reason};
#[cfg(feature = "redis")]
use crate::redis;
use crate::url::Url;
use crate::version::Versions;

/// Requests with the same key may share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RouteKey {
    pub(crate) dialect: Dialect,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Connect here, whatever host and port say.
    pub(crate) address: Option<Address>,
}

/// What is spoken on a connection, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    Http {
        tls: bool,
        versions: Versions,
    },
    #[cfg(feature = "redis")]
    Redis(Arc<redis::Settings>),
    /// One of the hosts of these settings, by its place among them.
    #[cfg(feature = "postgres")]
    Postgres(Arc<postgres::Settings>, usize),
}

impl RouteKey {
    pub(crate) fn http(url: &Url, address: Option<Address>, versions: Versions) -> Self {
        let dialect = Dialect::Http { tls: url.is_https(), versions };
        Self { dialect, host: url.host().to_owned(), port: url.port(), address }
    }

    /// `address`: in place of what the settings say.
    #[cfg(feature = "redis")]
    pub(crate) fn redis(settings: &Arc<redis::Settings>, address: Option<Address>) -> Self {
        let (host, port, socket) = match &settings.place {
            redis::Place::Host(host, port) => (host.clone(), *port, None),
            redis::Place::Socket(path) => (path.display().to_string(), 0, Some(Address::Unix(path.clone()))),
        };
        Self { dialect: Dialect::Redis(Arc::clone(settings)), host, port, address: address.or(socket) }
    }

    /// One of several hosts. `address`: in place of what the settings say.
    #[cfg(feature = "postgres")]
    pub(crate) fn postgres(settings: &Arc<postgres::Settings>, host: usize, address: Option<Address>) -> Self {
        let dialect = Dialect::Postgres(Arc::clone(settings), host);
        let Some(host) = settings.hosts.get(host) else {
            return Self { dialect, host: String::new(), port: 0, address };
        };
        let known = match &host.place {
            postgres::Place::Host { address: Some(ip), .. } => Some(Address::Tcp((*ip, host.port).into())),
            postgres::Place::Host { .. } => None,
            postgres::Place::Socket(_) => host.socket().map(Address::Unix),
        };
        let name = match &host.place {
            postgres::Place::Host { name, .. } => name.clone(),
            postgres::Place::Socket(folder) => folder.display().to_string(),
        };
        Self { dialect, host: name, port: host.port, address: address.or(known) }
    }

    /// The same settings at a node of their cluster.
    #[cfg(feature = "redis")]
    pub(crate) fn redis_at(settings: &Arc<redis::Settings>, host: &str, port: u16) -> Self {
        Self { dialect: Dialect::Redis(Arc::clone(settings)), host: host.to_owned(), port, address: None }
    }

    /// Servers are asked where its connections lead.
    #[cfg(feature = "redis")]
    pub(crate) fn is_led(&self) -> bool {
        let Dialect::Redis(settings) = &self.dialect else { return false };
        self.address.is_none() && (settings.is_cluster() || settings.has_sentinels())
    }

    /// Which server it is depends on the slot.
    pub(crate) fn is_in_cluster(&self) -> bool {
        #[cfg(feature = "redis")]
        if let Dialect::Redis(settings) = &self.dialect {
            return self.address.is_none() && settings.is_cluster();
        }
        false
    }

    /// The same, for another of its hosts.
    #[cfg(feature = "postgres")]
    pub(crate) fn of_host(&self, host: usize) -> Self {
        match &self.dialect {
            Dialect::Postgres(settings, _) if !self.is_fixed() => Self::postgres(settings, host, None),
            _ => self.clone(),
        }
    }

    /// Its address is not that of its settings.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_fixed(&self) -> bool {
        match &self.dialect {
            Dialect::Postgres(settings, host) => Self::postgres(settings, *host, None).address != self.address,
            _ => true,
        }
    }

    /// Whom errors name.
    pub(crate) fn peer(&self) -> String {
        match &self.address {
            Some(address) => address.to_string(),
            // An address of version 6, which has brackets in some dialects and in others none.
            None if self.host.contains(':') && !self.host.starts_with('[') => format!("[{}]:{}", self.host, self.port),
            None => format!("{}:{}", self.host, self.port),
        }
    }
}

impl Dialect {
    /// The version is agreed on with the first request, not with the connection.
    pub(crate) fn may_upgrade(&self) -> bool {
        cfg!(feature = "http2") && matches!(self, Dialect::Http { tls: false, versions: Versions::Any })
    }

    /// What somebody set on a connection stays set, and nobody can see it from outside.
    pub(crate) fn keeps_settings(&self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Dialect::Postgres(..) => true,
            _ => false,
        }
    }

    /// The first connection tells which version is spoken.
    pub(crate) fn is_told_by_connecting(&self) -> bool {
        cfg!(feature = "http2") && matches!(self, Dialect::Http { tls: true, versions: Versions::Any })
    }

    /// Nothing but HTTP/2 is spoken.
    #[cfg(feature = "http2")]
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Dialect::Http { versions: Versions::Http2, .. })
    }

    /// Why a connection came to nothing before anything was said on it, in words.
    pub(crate) fn explain(&self, reason: &Reason) -> String {
        match self {
            #[cfg(feature = "postgres")]
            Dialect::Postgres(settings, _) => settings.explain(reason),
            _ => reason.to_string(),
        }
    }

    /// TLS comes before the first byte, with these protocols offered.
    #[cfg(feature = "tls")]
    pub(crate) fn alpn(&self) -> Option<&'static [&'static [u8]]> {
        match self {
            Dialect::Http { tls: true, versions } => Some(versions.alpn()),
            Dialect::Http { tls: false, .. } => None,
            #[cfg(feature = "redis")]
            Dialect::Redis(settings) => settings.tls.then_some(&[]),
            #[cfg(feature = "postgres")]
            Dialect::Postgres(settings, _) => settings.is_direct().then_some(&[b"postgresql"]),
        }
    }
}
