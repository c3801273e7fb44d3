//! Where a server is, who one is there, and how to talk to it. Only stored here: nothing connects, and what is wrong is
//! kept until a command is sent.

use std::fmt;
use std::path::PathBuf;

use super::{Limits, Version};
use crate::Error;
use crate::protocols::redis::Client;
use crate::url::{Scheme, Url};

/// What two values of [`Redis`](super::Redis) share a connection for, if it is the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Settings {
    pub(crate) place: Place,
    pub(crate) tls: bool,
    pub(crate) login: Option<Login>,
    /// Who one is at sentinels.
    pub(crate) sentinel_login: Option<Login>,
    pub(crate) database: u32,
    pub(crate) version: Version,
    pub(crate) client_name: Option<String>,
    /// Commands on their way at once on one connection, at least 1.
    pub(crate) pipeline: u16,
    pub(crate) limits: Limits,
    pub(crate) topology: Topology,
    /// Why nothing can be sent.
    pub(crate) wrong: Option<String>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A name or an address in lower case, an IPv6 address without brackets.
    Host(String, u16),
    /// A unix socket.
    Socket(PathBuf),
}

/// Who one is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Login {
    /// `None`: the user `default`, whom servers before Redis 6 know as nobody.
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) password: Vec<u8>,
}

/// What stands behind the place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Topology {
    /// One server.
    Single,
    /// A node of a cluster.
    Cluster {
        /// Other nodes that may be asked which there are.
        seeds: Vec<Place>,
    },
    /// Sentinels, which know who the master is.
    Sentinel {
        master: String,
        /// Besides the place itself.
        sentinels: Vec<Place>,
    },
}

/// Where servers listen when nobody says otherwise.
pub(super) const PORT: u16 = 6379;
/// The same, for sentinels.
pub(super) const SENTINEL_PORT: u16 = 26379;
/// One read of the server (`PROTO_IOBUF_LEN`, 16 KiB) takes so many of 128 bytes.
pub(super) const PIPELINE: u16 = 128;

impl Settings {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            tls: false,
            login: None,
            sentinel_login: None,
            database: 0,
            version: Version::Resp3,
            client_name: None,
            pipeline: PIPELINE,
            limits: Limits::default(),
            topology: Topology::Single,
            wrong: None,
        }
    }

    /// The name of the connections; an empty one is none.
    pub(super) fn name(&mut self, name: String) {
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.complain(format!("'{}' is no name of a connection: it is visible ASCII", name.escape_debug()));
        }
        self.client_name = Some(name).filter(|name| !name.is_empty());
    }

    /// Addresses, as far as they are some.
    pub(super) fn places<I>(&mut self, addresses: I, port: u16) -> Vec<Place>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let mut places = Vec::new();
        for address in addresses {
            match Place::parse(address.as_ref(), port) {
                Ok(place) => places.push(place),
                Err(wrong) => self.complain(wrong),
            }
        }
        places
    }

    /// The first complaint stays.
    pub(super) fn complain(&mut self, words: impl Into<String>) {
        self.wrong.get_or_insert(words.into());
    }

    /// Why nothing can be sent, if nothing can.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let at_socket = matches!(self.place, Place::Socket(_));
        let wrong = match (&self.wrong, &self.topology) {
            (Some(wrong), _) => wrong,
            (None, Topology::Cluster { .. }) if self.database != 0 => "a cluster has no database but 0",
            (None, Topology::Cluster { .. }) if at_socket => "the nodes of a cluster have no unix sockets",
            (None, Topology::Sentinel { .. }) if at_socket => "sentinels have no unix sockets",
            (None, _) => return Ok(()),
        };
        Err(Error::invalid(wrong))
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.topology, Topology::Cluster { .. })
    }

    pub(crate) fn has_sentinels(&self) -> bool {
        matches!(self.topology, Topology::Sentinel { .. })
    }

    /// Where else there are servers of whom one may ask where to go: the first is the place itself.
    pub(crate) fn seeds(&self) -> impl Iterator<Item = (&str, u16)> {
        let more = match &self.topology {
            Topology::Single => &[][..],
            Topology::Cluster { seeds } => seeds,
            Topology::Sentinel { sentinels, .. } => sentinels,
        };
        [&self.place].into_iter().chain(more).filter_map(|place| match place {
            Place::Host(host, port) => Some((host.as_str(), *port)),
            Place::Socket(_) => None,
        })
    }

    /// What is said to a sentinel: it knows no databases, and has users of its own.
    pub(crate) fn of_sentinel(&self, host: &str, port: u16) -> Self {
        Self {
            tls: self.tls,
            login: self.sentinel_login.clone(),
            version: self.version,
            client_name: self.client_name.clone(),
            limits: self.limits,
            ..Self::new(Place::Host(host.to_owned(), port))
        }
    }

    /// Where it is, without who one is.
    pub(crate) fn url(&self) -> Url {
        #[cfg(feature = "tls")]
        let scheme = if self.tls { Scheme::Rediss } else { Scheme::Redis };
        #[cfg(not(feature = "tls"))]
        let scheme = Scheme::Redis;
        match &self.place {
            Place::Host(host, port) => Url::of_database(scheme, host, *port, format!("/{}", self.database)),
            Place::Socket(path) => {
                Url::of_database(scheme, "localhost", PORT, format!("{}?db={}", path.display(), self.database))
            }
        }
    }

    /// A machine for a new connection.
    pub(crate) fn machine(&self) -> Client {
        let mut machine = Client::new().limits(self.limits).pipeline(self.pipeline).database(self.database);
        if self.version == Version::Resp3 {
            machine = machine.resp3();
        }
        if let Some(login) = &self.login {
            machine = machine.auth(login.user.as_deref(), &login.password);
        }
        match &self.client_name {
            Some(name) => machine.name(name.as_bytes()),
            None => machine,
        }
    }
}

impl Place {
    /// Host and port; the port may be missing, an IPv6 address has brackets then.
    pub(super) fn parse(text: &str, default: u16) -> Result<Self, String> {
        // Whatever stands before an `@` may be a secret.
        if text.contains('@') {
            return Err("an address has no '@': a user and a password are given apart, or in a URL".into());
        }
        let bad = |what: &str| format!("'{}' has {what}", text.escape_debug());
        let (host, after) = match text.strip_prefix('[') {
            Some(inside) => inside.split_once(']').ok_or_else(|| bad("a bracket that does not close"))?,
            None if text.matches(':').count() > 1 => return Err(bad("an IPv6 address without brackets")),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match after {
            "" => default,
            after => after
                .strip_prefix(':')
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|port| *port != 0)
                .ok_or_else(|| bad("no valid port"))?,
        };
        let strange = |byte: u8| byte <= b' ' || byte == 0x7f || b"/?#\\%[]".contains(&byte);
        if host.is_empty() {
            return Err(bad("no host"));
        }
        if host.bytes().any(strange) {
            return Err(bad("no valid host"));
        }
        Ok(Place::Host(host.to_ascii_lowercase(), port))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Host(host, port) => write!(f, "{host}:{port}"),
            Place::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Without the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{}", user.escape_ascii()),
            None => f.write_str("default"),
        }
    }
}

/// Without the password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("place", &self.place)
            .field("tls", &self.tls)
            .field("login", &self.login)
            .field("sentinel_login", &self.sentinel_login)
            .field("database", &self.database)
            .field("version", &self.version)
            .field("client_name", &self.client_name)
            .field("pipeline", &self.pipeline)
            .field("limits", &self.limits)
            .field("topology", &self.topology)
            .field("wrong", &self.wrong)
            .finish()
    }
}
