//! From names to addresses, inside the loop: files, cache, and lookups over sockets of their own that the reactor only
//! carries. How one name is looked up is the business of the machine in `protocols::dns`; requests and routes are not
//! known here: a token comes back with the answer.

mod cache;
mod config;
mod settings;
mod sockets;
mod system;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::Registry;
use slab::Slab;

use self::cache::Cache;
use self::config::Files;
pub use self::settings::Resolver;
pub(crate) use self::settings::{Hook, Settings};
use self::sockets::{Heard, Socket};
use self::system::System;
use crate::protocols::dns::{self, Action, Outcome};
use crate::reactor::{Waker, guest};
use crate::time::Moment;

/// Lookups that run at once; others wait for them. Each has a socket or two.
const AT_ONCE: usize = 64;
/// What the system says comes without a time.
const SYSTEM: u32 = 60;

/// The addresses of a name, and until when they hold; or why there are none.
pub(crate) type Found = Result<(Vec<IpAddr>, Moment), Trouble>;

/// Why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) timeout: bool,
    pub(crate) words: String,
}

/// What was asked with this token has its answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) token: u64,
    pub(crate) result: Found,
}

/// The address, where the host is written as one.
pub(crate) fn numeric(host: &str, port: u16) -> Option<SocketAddr> {
    // A URL has IPv6 addresses in brackets.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
}

/// The order in which addresses are tried (RFC 8305 §4): the families in turn, IPv6 first.
pub(crate) fn interleave(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let (mut six, mut four) = (addresses.iter().filter(|ip| ip.is_ipv6()), addresses.iter().filter(|ip| ip.is_ipv4()));
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(six.next());
        order.extend(four.next());
    }
    order
}

/// All lookups of a client.
#[derive(Debug)]
pub(crate) struct Lookups {
    pub(crate) settings: Settings,
    files: Files,
    cache: Cache,
    searches: Slab<Search>,
    by_host: HashMap<String, usize>,
    /// Those that run.
    active: Vec<usize>,
    /// Those that wait until others are over, in the order in which they came.
    waiting: VecDeque<usize>,
    sockets: Slab<Way>,
    /// Sockets with more to read although no readiness will be told.
    again: Vec<usize>,
    system: System,
    answers: Vec<Answer>,
    generation: u64,
    random: RandomState,
}

/// The search for one name, for everybody who asked for it.
#[derive(Debug)]
struct Search {
    host: String,
    askers: Vec<u64>,
    generation: u64,
    /// When it has taken too long.
    limit: Moment,
    /// When the machine wants to be asked again.
    due: Moment,
    servers: Vec<SocketAddr>,
    /// `None`: the system looks.
    machine: Option<Box<dns::Lookup>>,
    sockets: Vec<usize>,
}

#[derive(Debug)]
struct Way {
    search: usize,
    server: usize,
    socket: Socket,
}

impl Lookups {
    pub(crate) fn new(settings: Settings, waker: Option<Waker>) -> Self {
        Self {
            files: Files::new(settings.resolv_conf.as_deref(), settings.hosts.as_deref()),
            settings,
            cache: Cache::default(),
            searches: Slab::new(),
            by_host: HashMap::new(),
            active: Vec::new(),
            waiting: VecDeque::new(),
            sockets: Slab::new(),
            again: Vec::new(),
            system: System::new(waker),
            answers: Vec::new(),
            generation: 0,
            random: RandomState::new(),
        }
    }

    /// What is known of a host. `None`: the answer comes later, with the token, after calls of [`turn`](Self::turn).
    pub(crate) fn ask(&mut self, token: u64, host: &str, now: Moment) -> Option<Found> {
        if let Some(hook) = &mut self.settings.hook
            && let Some(addresses) = (hook.0)(host)
        {
            // Asked again for every connection: what holds for how long is the hook's to know.
            return Some(found(&addresses, now));
        }
        let host = host.to_ascii_lowercase();
        if let Some(addresses) = config::special(&host) {
            return Some(found(&addresses, Moment::NEVER));
        }
        let own = self.settings.resolver == Resolver::Own && cfg!(unix);
        if own {
            if self.files.refresh(now) {
                self.cache.clear();
            }
            if let Some(addresses) = self.files.host(&host) {
                return Some(found(addresses, now + Duration::from_secs(u64::from(SYSTEM))));
            }
        }
        if let Some((addresses, until)) = self.cache.get(&host, now) {
            return Some(found(addresses, until));
        }
        if let Some(search) = self.by_host.get(&host) {
            self.searches[*search].askers.push(token);
            return None;
        }
        let mut servers = Vec::new();
        let mut machine = None;
        if own {
            servers.clone_from(self.settings.nameservers.as_ref().unwrap_or(&self.files.conf.servers));
            let mut options = self.files.conf.options.clone();
            options.servers = servers.len();
            match dns::Lookup::new(&host, options, self.random.hash_one(self.generation)) {
                Ok(lookup) => machine = Some(Box::new(lookup)),
                Err(error) => return Some(Err(Trouble { timeout: false, words: error.to_string() })),
            }
        }
        self.generation += 1;
        let search = self.searches.insert(Search {
            host: host.clone(),
            askers: vec![token],
            generation: self.generation,
            limit: now + self.settings.timeout,
            due: Moment::START,
            servers,
            machine,
            sockets: Vec::new(),
        });
        self.by_host.insert(host, search);
        self.waiting.push_back(search);
        None
    }

    /// Does everything that can be done without waiting. `ready` are the numbers of guests of the poll behind `registry`.
    pub(crate) fn turn(&mut self, registry: &Registry, ready: &[usize], now: Moment) {
        if self.searches.is_empty() {
            return;
        }
        let again = std::mem::take(&mut self.again);
        for number in ready.iter().chain(&again) {
            self.read(*number, now);
        }
        self.take_from_system(now);
        loop {
            for search in self.active.clone() {
                self.advance(search, registry, now);
            }
            self.expire(now);
            let Some(search) = self.next_to_start() else { return };
            self.active.push(search);
            let entry = &self.searches[search];
            if entry.machine.is_none() {
                let ticket = entry.generation << 24 | search as u64;
                if let Err(error) = self.system.ask(ticket, &entry.host) {
                    self.finish(search, &Err(Trouble { timeout: false, words: error.to_string() }));
                }
            }
        }
    }

    /// What has been found since the last call.
    pub(crate) fn answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// When [`turn`](Self::turn) has something to do although no socket is ready.
    pub(crate) fn next_deadline(&self) -> Moment {
        let at_once = !self.again.is_empty()
            || !self.answers.is_empty()
            || (!self.waiting.is_empty() && self.active.len() < AT_ONCE);
        if at_once {
            return Moment::START;
        }
        // They wait in the order of their limits.
        let first = self.waiting.front().map_or(Moment::NEVER, |search| self.searches[*search].limit);
        self.active.iter().map(|search| self.searches[*search].next()).min().unwrap_or(Moment::NEVER).min(first)
    }

    fn next_to_start(&mut self) -> Option<usize> {
        if self.active.len() < AT_ONCE { self.waiting.pop_front() } else { None }
    }

    fn read(&mut self, number: usize, now: Moment) {
        let Some(Way { search, server, socket }) = self.sockets.get_mut(number) else { return };
        let (server, transport) = (*server, socket.transport());
        let Some(machine) = self.searches[*search].machine.as_mut() else { return };
        let heard = match socket.flush() {
            Err(_) => Heard::End,
            Ok(()) => socket.receive(|message| {
                machine.receive(server, transport, message, since_start(now));
            }),
        };
        match heard {
            Heard::Everything => {}
            Heard::More => self.again.push(number),
            Heard::End => {
                machine.unreachable(server, transport);
                let way = self.sockets.remove(number);
                self.searches[way.search].sockets.retain(|other| *other != number);
            }
        }
    }

    fn advance(&mut self, search: usize, registry: &Registry, now: Moment) {
        loop {
            let entry = &mut self.searches[search];
            let Some(machine) = &mut entry.machine else { return entry.due = Moment::NEVER };
            match machine.poll(since_start(now)) {
                Action::Send { server, transport, message } => {
                    if self.send(search, server, transport, &message, registry).is_err()
                        && let Some(machine) = &mut self.searches[search].machine
                    {
                        machine.unreachable(server, transport);
                    }
                }
                Action::WaitUntil(until) => {
                    entry.due = Moment::START + until;
                    return;
                }
                Action::Done(outcome) => {
                    let result = match outcome {
                        Outcome::Found { addresses, ttl } => {
                            found(&addresses, self.cache.keep(&entry.host, &addresses, ttl, now))
                        }
                        Outcome::NotFound { ttl } => {
                            found(&[], self.cache.keep(&entry.host, &[], ttl.unwrap_or_default(), now))
                        }
                        Outcome::Failed(failure) => {
                            Err(Trouble { timeout: failure == dns::Failure::Timeout, words: failure.to_string() })
                        }
                    };
                    return self.finish(search, &result);
                }
            }
        }
    }

    fn send(
        &mut self,
        search: usize,
        server: usize,
        transport: dns::Transport,
        message: &[u8],
        registry: &Registry,
    ) -> io::Result<()> {
        let entry = &mut self.searches[search];
        let open = entry.sockets.iter().copied().find(|number| {
            let way = &self.sockets[*number];
            way.server == server && way.socket.transport() == transport
        });
        let number = match open {
            Some(number) => number,
            None => {
                let vacant = self.sockets.vacant_entry();
                let number = vacant.key();
                let socket = Socket::open(entry.servers[server], transport, registry, guest(number))?;
                vacant.insert(Way { search, server, socket });
                entry.sockets.push(number);
                number
            }
        };
        self.sockets[number].socket.send(message)
    }

    fn take_from_system(&mut self, now: Moment) {
        for system::Answer { token, result } in self.system.answers() {
            let search = (token & 0xff_ffff) as usize;
            // It may have taken too long, and another may stand in its place.
            let Some(entry) = self.searches.get(search).filter(|entry| entry.generation == token >> 24) else {
                continue;
            };
            let result = match result {
                Ok(addresses) => found(&addresses, self.cache.keep(&entry.host, &addresses, SYSTEM, now)),
                Err(error) => Err(Trouble { timeout: false, words: error.to_string() }),
            };
            self.finish(search, &result);
        }
    }

    fn expire(&mut self, now: Moment) {
        let late = |search: &usize| self.searches[*search].limit <= now;
        let mut over: Vec<_> = self.active.iter().copied().filter(late).collect();
        over.extend(self.waiting.iter().copied().take_while(late));
        for search in over {
            let words = format!("no answer within {:?}", self.settings.timeout);
            self.finish(search, &Err(Trouble { timeout: true, words }));
        }
    }

    /// Tells everybody who asked, and closes the sockets.
    fn finish(&mut self, search: usize, result: &Found) {
        let entry = self.searches.remove(search);
        self.by_host.remove(&entry.host);
        self.active.retain(|other| *other != search);
        if self.waiting.front() == Some(&search) {
            self.waiting.pop_front();
        }
        for number in entry.sockets {
            self.sockets.remove(number);
        }
        self.answers.extend(entry.askers.into_iter().map(|token| Answer { token, result: result.clone() }));
    }
}

impl Search {
    fn next(&self) -> Moment {
        self.due.min(self.limit)
    }
}

fn found(addresses: &[IpAddr], until: Moment) -> Found {
    if addresses.is_empty() {
        return Err(Trouble { timeout: false, words: "the name has no address".to_owned() });
    }
    Ok((interleave(addresses), until))
}

fn since_start(now: Moment) -> Duration {
    now.since(Moment::START)
}

/// Looks a name up and waits for it.
#[cfg(feature = "load")]
pub(crate) fn blocking(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Some(address) = numeric(host, port) {
        return Ok(vec![address]);
    }
    let found = wait(&mut Lookups::new(Settings::default(), None), host)?;
    let (addresses, _) = found.map_err(|trouble| io::Error::new(io::ErrorKind::NotFound, trouble.words))?;
    Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// A loop for nothing but one name.
#[cfg(feature = "load")]
fn wait(lookups: &mut Lookups, host: &str) -> io::Result<Found> {
    let (mut poll, mut events) = (mio::Poll::new()?, mio::Events::with_capacity(AT_ONCE));
    let start = std::time::Instant::now();
    if let Some(found) = lookups.ask(0, host, Moment::START) {
        return Ok(found);
    }
    let mut ready = Vec::new();
    loop {
        let now = Moment::START + start.elapsed();
        lookups.turn(poll.registry(), &ready, now);
        if let Some(answer) = lookups.answers().pop() {
            return Ok(answer.result);
        }
        // With nobody to wake it, it looks again and again whether the system has answered (not on Unix).
        let longest = if cfg!(unix) { Duration::MAX } else { Duration::from_millis(10) };
        match poll.poll(&mut events, Some(lookups.next_deadline().since(now).min(longest))) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => ready = events.iter().filter_map(|event| crate::reactor::guest_number(event.token())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_ipv6_begins() {
        let [a, b, c, d] =
            ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(interleave(&[a, b, c, d]), [d, a, b, c]);
        assert_eq!(interleave(&[]), Vec::<IpAddr>::new());
    }

    #[cfg(feature = "load")]
    #[test]
    fn a_thread_may_wait_for_one_name() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut settings = Settings { nameservers: Some(vec![server.local_addr().unwrap()]), ..Settings::default() };
        settings.resolv_conf = Some("/nonexistent".into());
        let thread = std::thread::spawn(move || {
            for _ in 0..2 {
                let mut message = [0; 512];
                let (length, from) = server.recv_from(&mut message).unwrap();
                // The question comes back, without OPT and without a record: no such name.
                message[2..12].copy_from_slice(&[0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
                server.send_to(&message[..length - 11], from).unwrap();
            }
        });
        let mut lookups = Lookups::new(settings, None);
        let words = wait(&mut lookups, "h.example").unwrap().unwrap_err().words;
        assert_eq!(words, "the name has no address");
        assert!(lookups.sockets.is_empty() && lookups.searches.is_empty() && lookups.by_host.is_empty());
        thread.join().unwrap();
    }
}
