//! How names are to be resolved: every knob with its default, and the names that the user resolves himself.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{Found, found, numeric};
use crate::time::Moment;

/// Who resolves names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolver {
    /// The client itself, inside its loop: files, DNS, and a cache. Not on Windows, where it is the system.
    #[default]
    Own,
    /// The system (`getaddrinfo`), on helper threads: for name services that only it knows, such as mDNS or LDAP.
    System,
}

/// What a host is called, and its port.
type Place = (String, u16);

pub(crate) struct Settings {
    pub(crate) resolver: Resolver,
    pub(crate) timeout: Duration,
    pub(crate) nameservers: Option<Vec<SocketAddr>>,
    pub(crate) resolv_conf: Option<PathBuf>,
    pub(crate) hosts: Option<PathBuf>,
    pub(crate) hook: Option<Hook>,
    pub(crate) addresses: HashMap<Place, Vec<IpAddr>>,
    pub(crate) elsewhere: HashMap<Place, Place>,
}

/// What takes the place of the resolver.
pub(crate) struct Hook(pub(crate) Box<Ask>);

type Ask = dyn FnMut(&str) -> Option<Vec<IpAddr>> + Send;

impl Default for Settings {
    fn default() -> Self {
        Self {
            resolver: Resolver::default(),
            timeout: Duration::from_secs(10),
            nameservers: None,
            resolv_conf: None,
            hosts: None,
            hook: None,
            addresses: HashMap::new(),
            elsewhere: HashMap::new(),
        }
    }
}

impl Settings {
    /// Where connections to a host and port really go.
    pub(crate) fn place<'a>(&'a self, host: &'a str, port: u16) -> (&'a str, u16) {
        if self.elsewhere.is_empty() {
            return (host, port);
        }
        match self.elsewhere.get(&(host.to_ascii_lowercase(), port)) {
            Some((host, port)) => (host, *port),
            None => (host, port),
        }
    }

    /// The addresses of a host that is written as an address, or that the user has resolved.
    pub(crate) fn known(&self, host: &str, port: u16) -> Option<Found> {
        if !self.addresses.is_empty()
            && let Some(addresses) = self.addresses.get(&(host.to_ascii_lowercase(), port))
        {
            return Some(found(addresses, Moment::NEVER));
        }
        numeric(host, port).map(|address| Ok((vec![address.ip()], Moment::NEVER)))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("resolver", &self.resolver)
            .field("nameservers", &self.nameservers)
            .finish_non_exhaustive()
    }
}
