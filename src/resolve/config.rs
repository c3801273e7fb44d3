//! What the system's files say: `resolv.conf` and `hosts`, read again when they change, and the names that mean the same
//! everywhere (RFC 6761). Asks nobody.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::protocols::dns;
use crate::time::Moment;

/// How often the files are looked at, at most.
const EVERY: Duration = Duration::from_secs(5);
/// As resolv.conf(5) limits them.
const NDOTS: u8 = 15;
const TIMEOUT: u64 = 30;
const ATTEMPTS: u8 = 5;
const SERVERS: usize = 3;
const PORT: u16 = 53;

/// Both files, as they were when they were last looked at.
#[derive(Debug)]
pub(super) struct Files {
    resolv: File,
    hosts: File,
    look_again: Moment,
    pub(super) conf: Conf,
    names: HashMap<String, Vec<IpAddr>>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// When it was changed last; nothing where there is none.
    changed: Option<SystemTime>,
}

/// What `resolv.conf` says.
#[derive(Clone, Debug)]
pub(super) struct Conf {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) options: dns::Options,
}

impl File {
    /// Its text, if it is not the one that was read last. One that is gone is empty.
    fn changes(&mut self) -> Option<String> {
        let changed = fs::metadata(&self.path).and_then(|data| data.modified()).ok();
        if changed == self.changed {
            return None;
        }
        self.changed = changed;
        Some(fs::read(&self.path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default())
    }
}

impl Files {
    pub(super) fn new(resolv: Option<&Path>, hosts: Option<&Path>) -> Self {
        let file = |path: Option<&Path>, usual: &str| File {
            path: path.map_or_else(|| PathBuf::from(usual), Path::to_owned),
            changed: None,
        };
        Self {
            resolv: file(resolv, "/etc/resolv.conf"),
            hosts: file(hosts, "/etc/hosts"),
            look_again: Moment::START,
            conf: read_conf(""),
            names: HashMap::new(),
        }
    }

    /// Reads what has changed. `true`: something has.
    pub(super) fn refresh(&mut self, now: Moment) -> bool {
        if now < self.look_again {
            return false;
        }
        self.look_again = now + EVERY;
        let (conf, hosts) = (self.resolv.changes(), self.hosts.changes());
        let changed = conf.is_some() || hosts.is_some();
        if let Some(text) = conf {
            self.conf = read_conf(&text);
        }
        if let Some(text) = hosts {
            self.names = read_hosts(&text);
        }
        changed
    }

    /// What `hosts` says of a name in lower case.
    pub(super) fn host(&self, name: &str) -> Option<&Vec<IpAddr>> {
        self.names.get(name.strip_suffix('.').unwrap_or(name))
    }
}

/// What a name in lower case means without asking anybody: nothing (`Some` of an empty list), this machine, or who knows.
pub(super) fn special(name: &str) -> Option<Vec<IpAddr>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is = |domain: &str| name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if is("localhost") {
        // RFC 6761 §6.3
        return Some(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
    }
    // RFC 6761 §6.4
    is("invalid").then(Vec::new)
}

fn read_conf(text: &str) -> Conf {
    let mut conf = Conf { servers: Vec::new(), options: dns::Options::default() };
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                if let Some(Ok(ip)) = words.next().map(str::parse::<IpAddr>)
                    && conf.servers.len() < SERVERS
                {
                    conf.servers.push(SocketAddr::new(ip, PORT));
                }
            }
            // The last line of either counts.
            Some("search") => conf.options.search = words.map(str::to_owned).collect(),
            Some("domain") => conf.options.search = words.take(1).map(str::to_owned).collect(),
            Some("options") => words.for_each(|word| option(&mut conf.options, word)),
            _ => {}
        }
    }
    if conf.servers.is_empty() {
        conf.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    }
    conf
}

fn option(options: &mut dns::Options, word: &str) {
    let (name, value) = word.split_once(':').unwrap_or((word, ""));
    let value = value.parse::<u64>();
    match (name, value) {
        ("ndots", Ok(dots)) => options.ndots = u8::try_from(dots).unwrap_or(NDOTS).min(NDOTS),
        ("timeout", Ok(seconds)) => options.timeout = Duration::from_secs(seconds.clamp(1, TIMEOUT)),
        ("attempts", Ok(times)) => options.attempts = u8::try_from(times).unwrap_or(ATTEMPTS).clamp(1, ATTEMPTS),
        ("rotate", _) => options.rotate = true,
        _ => {}
    }
}

fn read_hosts(text: &str) -> HashMap<String, Vec<IpAddr>> {
    let mut names: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(ip)) = words.next().map(str::parse::<IpAddr>) else { continue };
        for name in words {
            let addresses = names.entry(name.to_ascii_lowercase()).or_default();
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_its_manual_page_says() {
        let text = "# c\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n nameserver 2001:db8::1 x\ndomain a.example\n\
                    search b.example c.example\noptions ndots:3 timeout:2 attempts:99 rotate edns0 ndots:x\n";
        let conf = read_conf(text);
        assert_eq!(conf.servers, ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()]);
        let options = conf.options;
        assert_eq!(options.search, ["b.example", "c.example"]);
        assert_eq!((options.ndots, options.attempts, options.rotate), (3, 5, true));
        assert_eq!(options.timeout, Duration::from_secs(2));
        assert_eq!(read_conf("").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn hosts_gives_a_name_all_its_addresses() {
        let names = read_hosts("127.0.0.1 a B # c\n::1\tb\nnonsense d\n127.0.0.1 a\n");
        assert_eq!(names["a"], ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(names["b"].len(), 2);
        assert!(!names.contains_key("c") && !names.contains_key("d"));
    }

    #[test]
    fn names_of_this_machine_and_of_nobody_need_no_server() {
        for name in ["localhost", "localhost.", "a.b.localhost"] {
            assert_eq!(special(name).map(|addresses| addresses.len()), Some(2), "{name}");
        }
        assert_eq!(special("x.invalid"), Some(Vec::new()));
        assert_eq!((special("notlocalhost"), special("localhost.example")), (None, None));
    }
}
