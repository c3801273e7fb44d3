//! One name, from the question to its addresses: which name to ask for, which server, how often, and when enough is
//! known. Holds no socket and no cache, and keeps no answer longer than the lookup.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use super::message::{Code, Data, Kind, Malformed, Message, Section, query};
use super::name::{InvalidName, Name};

/// How to look up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How many servers there are. They are called 0, 1, 2, …
    pub servers: usize,
    /// Domains that are tried behind a name without a final dot.
    pub search: Vec<String>,
    /// A name with at least so many dots is tried as it is first: 1.
    pub ndots: u8,
    /// How often each server is asked: 2.
    pub attempts: u8,
    /// How long each of them is waited for: 5 s.
    pub timeout: Duration,
    /// Begin with any server, and not with the first.
    pub rotate: bool,
    /// Which addresses are wanted: both.
    pub families: Families,
}

impl Default for Options {
    fn default() -> Self {
        // As resolv.conf(5) has them.
        Self {
            servers: 1,
            search: Vec::new(),
            ndots: 1,
            attempts: 2,
            timeout: Duration::from_secs(5),
            rotate: false,
            families: Families::Both,
        }
    }
}

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Families {
    /// IPv6 and IPv4, asked for side by side.
    Both,
    /// Only IPv4.
    V4,
    /// Only IPv6.
    V6,
}

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// In one datagram.
    Udp,
    /// In a stream, see [`frame`](super::frame).
    Tcp,
}

/// What the caller is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this, and ask again what to do.
    Send {
        /// The number of the server.
        server: usize,
        /// How.
        transport: Transport,
        /// The bytes.
        message: Vec<u8>,
    },
    /// Nothing, until something comes or it is that time.
    WaitUntil(Duration),
    /// It is over. Said again whenever asked.
    Done(Outcome),
}

/// How a lookup ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// These are its addresses, IPv6 before IPv4.
    Found {
        /// At least one.
        addresses: Vec<IpAddr>,
        /// For how many seconds they hold.
        ttl: u32,
    },
    /// There is no such name, or it has no address.
    NotFound {
        /// For how many seconds that holds, if the server said.
        ttl: Option<u32>,
    },
    /// Nobody could say.
    Failed(Failure),
}

/// Why nobody could say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// There is no server to ask.
    NoServer,
    /// No server answered in time.
    Timeout,
    /// The last server that was asked could not be reached.
    Unreachable,
    /// The last server that was asked refused or failed.
    Refused(Code),
    /// The last server that was asked answered what cannot be read.
    Malformed,
    /// An alias leads back to itself.
    Loop,
    /// There is an alias behind eight others.
    Chain,
}

/// Aliases that are followed: more than serious zones have.
const CHAIN: usize = 8;
/// Addresses of one family that are kept.
const ADDRESSES: usize = 64;
/// How long IPv6 addresses are waited for when there are others: RFC 8305 §3.
const LATE_AAAA: Duration = Duration::from_millis(50);
/// How long IPv4 addresses are waited for when there are others. Longer: many paths carry nothing else.
const LATE_A: Duration = Duration::from_millis(500);
/// What was found while one family was given up holds no longer than this, in seconds.
const PARTIAL: u32 = 5;

/// The search for the addresses of one name.
///
/// Ask [`poll`](Self::poll) what to do until it says to wait; tell what came with [`receive`](Self::receive) and
/// [`unreachable`](Self::unreachable), and ask again. Points in time are counted from whenever the caller likes.
#[derive(Clone, Debug)]
pub struct Lookup {
    options: Options,
    candidates: VecDeque<Name>,
    questions: Vec<Question>,
    first: usize,
    /// The state of the generator of query numbers.
    entropy: u64,
    /// For how long the candidates so far are known not to exist; nothing if one of them came without.
    negative: Option<u32>,
    outcome: Option<Outcome>,
}

/// One name and one family.
#[derive(Clone, Debug)]
struct Question {
    kind: Kind,
    /// The name asked for now, and before it those that led to it.
    names: Vec<Name>,
    /// The smallest along the aliases.
    ttl: u32,
    tries: usize,
    edns: bool,
    /// What has been asked and not answered: late answers count.
    asked: Vec<Asked>,
    state: State,
    /// Why the last server did not help.
    failure: Failure,
    /// Not waited for beyond this, because the other family knows enough.
    give_up: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    server: usize,
    transport: Transport,
    id: u16,
}

#[derive(Clone, Debug)]
enum State {
    Ask { server: usize, transport: Transport },
    Waiting { on: Asked, until: Duration },
    Found(Vec<IpAddr>),
    None { no_name: bool, ttl: Option<u32> },
    Failed(Failure),
}

impl Lookup {
    /// Looks for a host. `entropy` must be a number that nobody can guess: the numbers of the queries come from it, and
    /// they are what keeps strangers from answering.
    pub fn new(host: &str, options: Options, entropy: u64) -> Result<Self, InvalidName> {
        let plain = Name::parse(host)?;
        let mut candidates = VecDeque::new();
        if !host.ends_with('.') {
            let host_dots = host.bytes().filter(|byte| *byte == b'.').count();
            // What becomes too long is no candidate.
            candidates.extend(options.search.iter().filter_map(|domain| Name::parse(&format!("{host}.{domain}")).ok()));
            if host_dots >= usize::from(options.ndots) {
                candidates.push_front(plain);
            } else {
                candidates.push_back(plain);
            }
        } else {
            candidates.push_back(plain);
        }
        let mut lookup = Self {
            candidates,
            questions: Vec::new(),
            first: 0,
            entropy,
            negative: Some(u32::MAX),
            outcome: None,
            options,
        };
        if lookup.options.servers == 0 {
            lookup.outcome = Some(Outcome::Failed(Failure::NoServer));
        } else if lookup.options.rotate {
            lookup.first = usize::from(lookup.number()) % lookup.options.servers;
        }
        lookup.next_candidate();
        Ok(lookup)
    }

    /// What to do now.
    pub fn poll(&mut self, now: Duration) -> Action {
        loop {
            if let Some(outcome) = &self.outcome {
                return Action::Done(outcome.clone());
            }
            for question in &mut self.questions {
                question.expire(now, &self.options);
            }
            self.hurry(now);
            for index in 0..self.questions.len() {
                if let State::Ask { server, transport } = self.questions[index].state {
                    let on = Asked { server, transport, id: self.number() };
                    let message = self.questions[index].ask(on, now + self.options.timeout);
                    return Action::Send { server, transport, message };
                }
            }
            if let Some(until) = self.questions.iter().filter_map(Question::until).min() {
                return Action::WaitUntil(until);
            }
            self.settle();
        }
    }

    /// What came from a server. `false`: it answers nothing that was asked, and counts for nothing.
    pub fn receive(&mut self, server: usize, transport: Transport, message: &[u8], now: Duration) -> bool {
        let Ok(message) = Message::parse(message) else { return false };
        let from = Asked { server, transport, id: message.id() };
        for question in &mut self.questions {
            if question.is_answered_by(from, &message) {
                question.receive(from, &message, &self.options);
                self.hurry(now);
                return true;
            }
        }
        false
    }

    /// A message could not be sent to a server, or the stream to it ended.
    pub fn unreachable(&mut self, server: usize, transport: Transport) {
        for question in &mut self.questions {
            if let State::Waiting { on, .. } = question.state
                && (on.server, on.transport) == (server, transport)
            {
                question.next_server(Failure::Unreachable, &self.options);
            }
        }
    }

    /// Once one family knows something, the other is not waited for as long.
    fn hurry(&mut self, now: Duration) {
        let found = self.questions.iter().any(|question| matches!(question.state, State::Found(_)));
        let no_name = self.questions.iter().any(|question| matches!(question.state, State::None { no_name: true, .. }));
        for question in &mut self.questions {
            if !question.is_open() || question.give_up.is_some() {
                continue;
            }
            if found {
                question.give_up = Some(now + if question.kind == Kind::Aaaa { LATE_AAAA } else { LATE_A });
            } else if no_name {
                // Some servers say that there is no such name when only this family is missing (RFC 4074 §4.2): what was
                // asked may be answered, and no more is asked.
                question.give_up = question.until().or(Some(now));
            }
        }
    }

    /// All questions about a candidate are answered.
    fn settle(&mut self) {
        let (mut addresses, mut holds) = (Vec::new(), u32::MAX);
        let (mut no_name, mut failed, mut negative) = (false, None, Some(u32::MAX));
        for question in &mut self.questions {
            match &mut question.state {
                State::Found(found) => {
                    addresses.append(found);
                    holds = holds.min(question.ttl);
                }
                State::None { no_name: none, ttl } => {
                    no_name |= *none;
                    negative = shorter(negative, *ttl);
                }
                State::Failed(failure) => failed = Some(*failure),
                State::Ask { .. } | State::Waiting { .. } => return,
            }
        }
        if !addresses.is_empty() {
            let ttl = if failed.is_some() { holds.min(PARTIAL) } else { holds };
            self.outcome = Some(Outcome::Found { addresses, ttl });
            return;
        }
        if let (Some(failure), false) = (failed, no_name) {
            // Not the next candidate: what another name leads to is not what was asked for.
            self.outcome = Some(Outcome::Failed(failure));
            return;
        }
        self.negative = shorter(self.negative, negative);
        self.next_candidate();
    }

    fn next_candidate(&mut self) {
        let Some(name) = self.candidates.pop_front() else {
            self.outcome.get_or_insert(Outcome::NotFound { ttl: self.negative });
            return;
        };
        let kinds: &[Kind] = match self.options.families {
            Families::Both => &[Kind::Aaaa, Kind::A],
            Families::V4 => &[Kind::A],
            Families::V6 => &[Kind::Aaaa],
        };
        self.questions = kinds.iter().map(|kind| Question::new(*kind, name.clone(), self.first)).collect();
    }

    /// A number for a query: the top of splitmix64.
    fn number(&mut self) -> u16 {
        self.entropy = self.entropy.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.entropy;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 48) as u16
    }
}

impl Question {
    fn new(kind: Kind, name: Name, server: usize) -> Self {
        Self {
            kind,
            names: vec![name],
            ttl: u32::MAX,
            tries: 0,
            edns: true,
            asked: Vec::new(),
            state: State::Ask { server, transport: Transport::Udp },
            failure: Failure::Timeout,
            give_up: None,
        }
    }

    fn name(&self) -> &Name {
        // Never empty: it begins with one, and names are only added.
        &self.names[self.names.len() - 1]
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Ask { .. } | State::Waiting { .. })
    }

    /// When it has waited long enough.
    fn until(&self) -> Option<Duration> {
        match self.state {
            State::Waiting { until, .. } => Some(self.give_up.map_or(until, |limit| limit.min(until))),
            _ => None,
        }
    }

    fn expire(&mut self, now: Duration, options: &Options) {
        if self.is_open() && self.give_up.is_some_and(|limit| limit <= now) {
            self.state = State::Failed(self.failure);
        } else if self.until().is_some_and(|until| until <= now) {
            self.next_server(Failure::Timeout, options);
        }
    }

    fn ask(&mut self, on: Asked, until: Duration) -> Vec<u8> {
        self.asked.push(on);
        self.state = State::Waiting { on, until };
        let mut message = Vec::new();
        query(on.id, self.name(), self.kind, self.edns, &mut message);
        message
    }

    fn next_server(&mut self, failure: Failure, options: &Options) {
        self.failure = failure;
        self.tries += 1;
        let State::Waiting { on, .. } = self.state else { return };
        self.state = if self.tries >= options.servers * usize::from(options.attempts.max(1)) {
            State::Failed(failure)
        } else {
            State::Ask { server: (on.server + 1) % options.servers, transport: Transport::Udp }
        };
    }

    fn is_answered_by(&self, from: Asked, message: &Message<'_>) -> bool {
        self.is_open()
            && self.asked.contains(&from)
            // Who did not understand a question need not repeat it.
            && message.answers(self.name(), self.kind).unwrap_or(message.code() == Code::FORMAT)
    }

    fn receive(&mut self, from: Asked, message: &Message<'_>, options: &Options) {
        self.asked.retain(|asked| *asked != from);
        let expected = matches!(self.state, State::Waiting { on, .. } if on == from);
        let failure = match message.code() {
            Code::ANSWERED | Code::NO_NAME if message.is_truncated() && from.transport == Transport::Udp => {
                if expected {
                    self.state = State::Ask { server: from.server, transport: Transport::Tcp };
                }
                return;
            }
            Code::ANSWERED | Code::NO_NAME => match self.follow(from.server, message) {
                Ok(()) => return,
                Err(Malformed) => Failure::Malformed,
            },
            // Older than EDNS (RFC 6891 §7).
            Code::FORMAT if self.edns => {
                self.edns = false;
                if expected {
                    self.state = State::Ask { server: from.server, transport: Transport::Udp };
                }
                return;
            }
            code => Failure::Refused(code),
        };
        // A late failure changes nothing: another server has been asked since.
        if expected {
            self.next_server(failure, options);
        }
    }

    /// Follows aliases to addresses, as far as the answer has them.
    fn follow(&mut self, server: usize, message: &Message<'_>) -> Result<(), Malformed> {
        let (mut answers, mut negative) = (Vec::new(), None);
        for record in message.records() {
            let record = record?;
            match (record.section, &record.data) {
                (Section::Answer, Data::A(_) | Data::Aaaa(_) | Data::Cname(_)) => answers.push(record),
                // RFC 2308 §5: the smaller of the two.
                (Section::Authority, Data::Soa { minimum }) => negative = Some(record.ttl.min(*minimum)),
                _ => {}
            }
        }
        let known = self.names.len();
        loop {
            let (mut addresses, mut alias) = (Vec::new(), None);
            let mut ttl = self.ttl;
            for record in answers.iter().filter(|record| record.owner == *self.name()) {
                let address = match (&record.data, self.kind) {
                    (Data::A(address), Kind::A) => IpAddr::V4(*address),
                    (Data::Aaaa(address), Kind::Aaaa) => IpAddr::V6(*address),
                    (Data::Cname(target), _) => {
                        alias.get_or_insert((target, record.ttl));
                        continue;
                    }
                    _ => continue,
                };
                ttl = ttl.min(record.ttl);
                if addresses.len() < ADDRESSES {
                    addresses.push(address);
                }
            }
            if !addresses.is_empty() {
                (self.ttl, self.state) = (ttl, State::Found(addresses));
                return Ok(());
            }
            let Some((target, ttl)) = alias else { break };
            if self.names.contains(target) {
                self.state = State::Failed(Failure::Loop);
                return Ok(());
            }
            if self.names.len() > CHAIN {
                self.state = State::Failed(Failure::Chain);
                return Ok(());
            }
            self.ttl = self.ttl.min(ttl);
            self.names.push(target.clone());
        }
        let no_name = message.code() == Code::NO_NAME;
        if self.names.len() > known && !no_name && negative.is_none() {
            // The alias leads out of what this server knows.
            self.asked.clear();
            self.state = State::Ask { server, transport: Transport::Udp };
        } else {
            // An alias to nothing holds no longer than the alias.
            let ttl = negative.map(|ttl| ttl.min(self.ttl));
            self.state = State::None { no_name, ttl };
        }
        Ok(())
    }
}

fn shorter(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    Some(one?.min(other?))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoServer => f.write_str("there is no name server to ask"),
            Failure::Timeout => f.write_str("no name server answered"),
            Failure::Unreachable => f.write_str("the name server could not be reached"),
            Failure::Refused(code) => write!(f, "the name server answered: {code}"),
            Failure::Malformed => f.write_str("the name server answered what cannot be read"),
            Failure::Loop => f.write_str("its alias leads back to itself"),
            Failure::Chain => write!(f, "more than {CHAIN} aliases lead from it"),
        }
    }
}

impl core::error::Error for Failure {}
