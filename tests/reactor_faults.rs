//! The reactor under a handler of our own: every exchange ends exactly once whatever peers do, and nothing goes down a
//! connection of another route.
#![cfg(feature = "http1")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use aquests::protocols::http1::Client;
use aquests::protocols::semantics::{Body, Message, PreparedRequest, Request, ResponseHead};
use aquests::protocols::{Established, ExchangeId, Refused, Replay};
use aquests::reactor::{Address, At, Flow, Handler, Key, Moment, Reactor, Reason, Sender};
use support::{FAULTS, Folder, Peer, full_backlog, must_end, refused};

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Answered(Vec<u8>),
    Failed(String),
}

/// A place that is asked: everything in its queue, over at most `width` connections.
struct Route {
    address: Address,
    name: String,
    queue: VecDeque<u32>,
    width: usize,
    connections: BTreeSet<Key>,
}

/// Asks several routes for numbered things. Names of exchanges are places in a slab with generations, as in any client.
struct Asker {
    routes: Vec<Route>,
    places: Vec<Place>,
    outcomes: BTreeMap<(u64, u32), Outcome>,
    timeout: Option<Duration>,
    silence: Option<Duration>,
    depth: u16,
    opened: BTreeSet<Key>,
    reasons: Vec<(bool, String)>,
    idle: Vec<Key>,
}

#[derive(Default)]
struct Place {
    generation: u32,
    taken: Option<(Key, u64, u32)>,
    body: Vec<u8>,
}

impl Asker {
    fn new() -> Self {
        Self {
            routes: Vec::new(),
            places: Vec::new(),
            outcomes: BTreeMap::new(),
            timeout: None,
            silence: None,
            depth: 1,
            opened: BTreeSet::new(),
            reasons: Vec::new(),
            idle: Vec::new(),
        }
    }

    /// Adds a route with so many requests.
    fn ask(&mut self, address: impl Into<Address>, requests: u32, width: usize) {
        let name = format!("route-{}", self.routes.len());
        let queue = (0..requests).collect();
        self.routes.push(Route { address: address.into(), name, queue, width, connections: BTreeSet::new() });
    }

    fn request(&self, route: u64, number: u32) -> PreparedRequest {
        let name = &self.routes[route as usize].name;
        PreparedRequest::new("GET", &format!("/{name}/{number}"), name).expect("this is a good request")
    }

    fn depart(&mut self, key: Key, route: u64, number: u32) -> ExchangeId {
        let index = self.places.iter().position(|place| place.taken.is_none()).unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() - 1
        });
        let place = &mut self.places[index];
        place.taken = Some((key, route, number));
        place.body.clear();
        ExchangeId(u64::from(place.generation) << 32 | index as u64)
    }

    /// Where a living exchange is.
    #[track_caller]
    fn place(&mut self, at: At, id: ExchangeId) -> &mut Place {
        let place = &mut self.places[(id.0 & 0xffff_ffff) as usize];
        assert_eq!(u64::from(place.generation), id.0 >> 32, "{id:?} is named after its end");
        let (key, route, _) = place.taken.expect("a living exchange has a place");
        assert_eq!((key, route), (at.key, at.tag), "{id:?} is named on a connection that is not its own");
        place
    }

    #[track_caller]
    fn land(&mut self, at: At, id: ExchangeId) -> (u64, u32, Vec<u8>) {
        let place = self.place(at, id);
        place.generation += 1;
        let (_, route, number) = place.taken.take().expect("it was checked");
        (route, number, std::mem::take(&mut place.body))
    }

    #[track_caller]
    fn tell(&mut self, route: u64, number: u32, outcome: Outcome) {
        let before = self.outcomes.insert((route, number), outcome);
        assert_eq!(before, None, "request {number} of route {route} has two outcomes");
    }

    fn is_done(&self) -> bool {
        self.routes.iter().all(|route| route.queue.is_empty()) && self.places.iter().all(|place| place.taken.is_none())
    }

    /// Runs until every request has an outcome.
    fn run(&mut self, reactor: &mut Reactor<Client>) {
        while !self.is_done() {
            for tag in 0..self.routes.len() {
                self.dial(reactor, tag);
            }
            for key in std::mem::take(&mut self.idle) {
                reactor.wake(key);
            }
            reactor.turn(Some(Duration::from_millis(100)), self).expect("the loop works");
        }
    }

    fn dial(&mut self, reactor: &mut Reactor<Client>, tag: usize) {
        let deadline = reactor.now() + Duration::from_secs(5);
        let route = &mut self.routes[tag];
        while !route.queue.is_empty() && route.connections.len() < route.width {
            match reactor.connect(&route.address, tag as u64, deadline) {
                Ok(key) => assert!(route.connections.insert(key), "{key:?} was given out twice"),
                Err(error) => {
                    let number = route.queue.pop_front().expect("it is not empty");
                    return self.tell(tag as u64, number, Outcome::Failed(error.to_string()));
                }
            }
        }
    }

    /// Closes all connections, and checks that each was told of its end.
    fn finish(mut self, mut reactor: Reactor<Client>) -> Self {
        let open: Vec<Key> = self.routes.iter().flat_map(|route| &route.connections).copied().collect();
        for key in open {
            reactor.close(key, &mut self);
        }
        while !reactor.is_empty() {
            reactor.turn(Some(Duration::from_millis(100)), &mut self).expect("the loop works");
        }
        assert!(self.opened.is_empty(), "{:?} never closed", self.opened);
        assert!(self.routes.iter().all(|route| route.connections.is_empty()), "a key was forgotten");
        self
    }

    fn answered(&self) -> usize {
        self.outcomes.values().filter(|outcome| matches!(outcome, Outcome::Answered(_))).count()
    }
}

impl Handler<Client> for Asker {
    fn connected(&mut self, at: At, _established: Established<'_>) -> Client {
        assert!(self.routes[at.tag as usize].connections.contains(&at.key), "{:?} is nobody's", at.key);
        assert!(self.opened.insert(at.key), "{:?} opened twice", at.key);
        Client::new().pipeline(self.depth)
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Client>) {
        to.set_silence(self.silence);
        while to.slots() > 0 {
            let Some(number) = self.routes[at.tag as usize].queue.pop_front() else {
                self.idle.push(at.key);
                break;
            };
            let head = self.request(at.tag, number);
            let id = self.depart(at.key, at.tag, number);
            if let Err(refused) = to.send(id, Request { head: &head, body: Body::EMPTY }) {
                assert_eq!(refused, Refused::NotNow);
                self.land(at, id);
                self.routes[at.tag as usize].queue.push_front(number);
                break;
            }
        }
        if let Some(timeout) = self.timeout {
            let waits = self.places.iter().any(|place| matches!(place.taken, Some((key, ..)) if key == at.key));
            to.set_deadline(if waits { at.now + timeout } else { Moment::NEVER });
        }
    }

    fn on_message(
        &mut self,
        at: At,
        id: Option<ExchangeId>,
        message: Message<'_, ResponseHead<'_>>,
        done: bool,
    ) -> Flow {
        let id = id.expect("HTTP/1.1 has answers only");
        if let Message::Data(bytes) = message {
            self.place(at, id).body.extend_from_slice(bytes);
        }
        if done {
            let (route, number, body) = self.land(at, id);
            self.tell(route, number, Outcome::Answered(body));
        }
        Flow::Continue
    }

    fn on_failed(&mut self, at: At, id: ExchangeId, reason: &Reason, replay: Replay) {
        let (route, number, _) = self.land(at, id);
        if replay == Replay::Unknown {
            self.tell(route, number, Outcome::Failed(reason.to_string()));
        } else {
            self.routes[route as usize].queue.push_back(number);
        }
    }

    fn on_closed(&mut self, at: At, opened: bool, reason: &Reason) {
        assert_eq!(self.opened.remove(&at.key), opened, "{:?}", at.key);
        assert!(self.routes[at.tag as usize].connections.remove(&at.key), "{:?} closed twice", at.key);
        self.idle.retain(|key| *key != at.key);
        self.reasons.push((opened, reason.to_string()));
        let left = self.places.iter().filter(|place| matches!(place.taken, Some((key, ..)) if key == at.key)).count();
        assert_eq!(left, 0, "{:?} closed and left exchanges behind", at.key);
        if !opened && let Some(number) = self.routes[at.tag as usize].queue.pop_front() {
            self.tell(at.tag, number, Outcome::Failed(reason.to_string()));
        }
    }
}

/// Every answer is the one to its own request, and every connection of a peer was asked by its own route only.
fn assert_nothing_crossed(asker: &Asker, peers: &[Peer]) {
    for ((route, number), outcome) in &asker.outcomes {
        if let Outcome::Answered(body) = outcome {
            assert_eq!(String::from_utf8_lossy(body), format!("/route-{route}/{number}"));
        }
    }
    for (route, peer) in peers.iter().enumerate() {
        let own = BTreeSet::from([format!("route-{route}")]);
        assert!(peer.hosts().is_subset(&own), "route {route} was asked by {:?}", peer.hosts());
    }
}

#[test]
fn every_exchange_ends_once_in_each_fault() {
    must_end(|| {
        for depth in [1, 4] {
            for fault in 0..FAULTS {
                let peer = Peer::start(move |conn| conn.misbehave(fault));
                let mut reactor = Reactor::new().unwrap();
                let mut asker = Asker::new();
                asker.timeout = Some(Duration::from_millis(50));
                asker.depth = depth;
                asker.ask(peer.address(), 24, 3);
                asker.run(&mut reactor);
                let asker = asker.finish(reactor);
                assert_eq!(asker.outcomes.len(), 24, "fault {fault}");
                assert_eq!(asker.answered() > 0, fault >= 9, "fault {fault}: {:?}", asker.outcomes);
                assert_nothing_crossed(&asker, &[peer]);
            }
        }
    });
}

#[test]
fn routes_never_cross_when_faults_and_timeouts_reuse_names() {
    must_end(|| {
        for depth in [1, 4] {
            // Each route meets the faults in another order.
            let peers: Vec<Peer> = (0..6)
                .map(|route| Peer::start(move |conn| conn.misbehave((conn.number() * 7 + route) % FAULTS)))
                .collect();
            let mut reactor = Reactor::new().unwrap();
            let mut asker = Asker::new();
            asker.timeout = Some(Duration::from_millis(30));
            asker.depth = depth;
            for peer in &peers {
                asker.ask(peer.address(), 300, 8);
            }
            asker.run(&mut reactor);
            let asker = asker.finish(reactor);
            assert_eq!(asker.outcomes.len(), 6 * 300);
            assert!(asker.answered() > 600, "{} were answered", asker.answered());
            assert_nothing_crossed(&asker, &peers);
        }
    });
}

#[test]
fn no_request_is_seen_twice_unless_the_server_said_that_it_did_not_read_it() {
    must_end(|| {
        let peer = Peer::start(|conn| conn.misbehave([2, 3, 4, 5, 10, 12, 13, 14][conn.number() % 8]));
        let mut reactor = Reactor::new().unwrap();
        let mut asker = Asker::new();
        asker.ask(peer.address(), 400, 10);
        asker.run(&mut reactor);
        let asker = asker.finish(reactor);
        assert_eq!(asker.outcomes.len(), 400);
        let mut times: HashMap<String, u32> = HashMap::new();
        for seen in peer.seen() {
            *times.entry(seen.target).or_default() += 1;
        }
        assert!(times.values().all(|times| *times == 1), "{times:?}");
    });
}

#[test]
fn a_peer_that_ends_under_load_is_told_to_every_exchange() {
    must_end(|| {
        let (mut dying, living) = (Peer::echo(), Peer::echo());
        let mut reactor = Reactor::new().unwrap();
        let mut asker = Asker::new();
        asker.ask(dying.address(), 2_000, 5);
        asker.ask(living.address(), 2_000, 5);
        while asker.outcomes.len() < 500 {
            for tag in 0..2 {
                asker.dial(&mut reactor, tag);
            }
            reactor.turn(Some(Duration::from_millis(100)), &mut asker).unwrap();
        }
        dying.stop();
        asker.run(&mut reactor);
        let asker = asker.finish(reactor);
        assert_eq!(asker.outcomes.len(), 4_000);
        let of_living = asker.outcomes.iter().filter(|((route, _), _)| *route == 1);
        assert!(of_living.map(|(_, outcome)| outcome).all(|outcome| matches!(outcome, Outcome::Answered(_))));
    });
}

/// How the connections to an address end when nothing is answered.
fn reasons(address: impl Into<Address>, change: impl FnOnce(&mut Asker)) -> Vec<(bool, String)> {
    let mut reactor = Reactor::new().unwrap();
    let mut asker = Asker::new();
    change(&mut asker);
    asker.ask(address, 3, 3);
    asker.run(&mut reactor);
    let asker = asker.finish(reactor);
    assert_eq!((asker.outcomes.len(), asker.answered()), (3, 0));
    asker.reasons
}

#[test]
fn a_refused_connection_is_told_once() {
    let reasons = must_end(|| reasons(refused(), |_| {}));
    assert_eq!(reasons.len(), 3);
    assert!(reasons.iter().all(|(opened, reason)| !opened && reason.contains("refused")), "{reasons:?}");
}

#[test]
fn connecting_ends_at_its_deadline() {
    must_end(|| {
        let full = full_backlog();
        let mut reactor = Reactor::new().unwrap();
        let mut asker = Asker::new();
        asker.ask(full.address, 0, 0);
        for _ in 0..3 {
            let deadline = reactor.now() + Duration::from_millis(50);
            let key = reactor.connect(&full.address.into(), 0, deadline).unwrap();
            asker.routes[0].connections.insert(key);
        }
        let begin = reactor.now();
        while !reactor.is_empty() {
            // For ever: the deadline alone ends the wait.
            reactor.turn(None, &mut asker).unwrap();
        }
        assert!(reactor.now().since(begin) >= Duration::from_millis(49));
        let (opened, reason) = (false, Reason::Deadline.to_string());
        assert_eq!(asker.reasons, vec![(opened, reason); 3]);
    });
}

#[test]
fn an_answer_ends_at_its_deadline_and_silence_at_its_own() {
    must_end(|| {
        let silent = Peer::start(|conn| conn.request().and_then(|_| conn.stall()));
        let total = reasons(silent.address(), |asker| asker.timeout = Some(Duration::from_millis(50)));
        assert_eq!(total, vec![(true, Reason::Deadline.to_string()); 3]);
        let quiet = reasons(silent.address(), |asker| asker.silence = Some(Duration::from_millis(50)));
        assert_eq!(quiet, vec![(true, Reason::Silent.to_string()); 3]);
        // It never stops talking, so it is never silent, but it is late.
        let slow = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                conn.drip(" ", Duration::from_millis(2))?;
            }
        });
        let late = reasons(slow.address(), |asker| {
            (asker.timeout, asker.silence) = (Some(Duration::from_millis(300)), Some(Duration::from_millis(10_000)));
        });
        assert_eq!(late, vec![(true, Reason::Deadline.to_string()); 3]);
    });
}

#[test]
fn unix_sockets_are_asked_as_well() {
    must_end(|| {
        let folder = Folder::new();
        let path = folder.path().join("peer");
        let peer = Peer::unix(&path, |conn| conn.misbehave(9 + conn.number() % (FAULTS - 9)));
        let mut reactor = Reactor::new().unwrap();
        let mut asker = Asker::new();
        asker.ask(Address::Unix(path), 300, 6);
        asker.ask(Address::Unix(folder.path().join("none")), 3, 1);
        asker.run(&mut reactor);
        let asker = asker.finish(reactor);
        assert_eq!(asker.outcomes.len(), 303);
        assert!(asker.answered() > 200, "{} were answered", asker.answered());
        assert_nothing_crossed(&asker, &[peer]);
    });
}

/// Two routes on one reactor; counts what one turn brings from the first.
#[derive(Default)]
struct Fair {
    turn: u64,
    loudest: u64,
    total: u64,
    answers: u32,
    wanted: u32,
}

const LOUD: u64 = 0;

impl Handler<Client> for Fair {
    fn connected(&mut self, _at: At, _established: Established<'_>) -> Client {
        Client::new()
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Client>) {
        if at.tag != LOUD && self.answers >= self.wanted {
            return;
        }
        let head = PreparedRequest::new("GET", "/", "fair").unwrap();
        to.send(ExchangeId(at.tag), Request { head: &head, body: Body::EMPTY }).expect("there was a slot");
    }

    fn on_message(
        &mut self,
        at: At,
        _id: Option<ExchangeId>,
        message: Message<'_, ResponseHead<'_>>,
        done: bool,
    ) -> Flow {
        match message {
            Message::Data(bytes) if at.tag == LOUD => self.turn += bytes.len() as u64,
            _ => self.answers += u32::from(done),
        }
        Flow::Continue
    }

    fn on_failed(&mut self, at: At, id: ExchangeId, reason: &Reason, _replay: Replay) {
        panic!("{id:?} of route {} failed: {reason}", at.tag);
    }

    fn on_closed(&mut self, at: At, _opened: bool, reason: &Reason) {
        panic!("route {} closed: {reason}", at.tag);
    }
}

#[test]
fn a_loud_peer_does_not_starve_a_quiet_one() {
    must_end(|| {
        let loud = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
            conn.send_for_ever(vec![b'x'; 1 << 20])
        });
        let quiet = Peer::echo();
        let mut reactor = Reactor::new().unwrap();
        let mut fair = Fair { wanted: 200, ..Fair::default() };
        reactor.connect(&loud.address().into(), LOUD, Moment::NEVER).unwrap();
        reactor.connect(&quiet.address().into(), 1, Moment::NEVER).unwrap();
        while fair.answers < fair.wanted || fair.total < 64 << 20 {
            reactor.turn(Some(Duration::from_secs(1)), &mut fair).unwrap();
            fair.loudest = fair.loudest.max(fair.turn);
            fair.total += std::mem::take(&mut fair.turn);
        }
        // The budget is 256 KiB each time a connection is driven: by its readiness, and from the list.
        assert!(fair.loudest <= 1 << 20, "one turn read {} bytes from one connection", fair.loudest);
    });
}

#[test]
fn the_loop_can_be_driven_by_another_loop() {
    use rustix::event::{PollFd, PollFlags, poll};
    use std::os::fd::AsFd;

    must_end(|| {
        let peer = Peer::start(|conn| conn.misbehave([7, 9, 10, 12, 13][conn.number() % 5]));
        let mut reactor = Reactor::new().unwrap();
        let mut asker = Asker::new();
        asker.timeout = Some(Duration::from_millis(50));
        asker.ask(peer.address(), 200, 5);
        while !asker.is_done() {
            asker.dial(&mut reactor, 0);
            for key in std::mem::take(&mut asker.idle) {
                reactor.wake(key);
            }
            // Waits outside, for the descriptor or the deadline, and turns without waiting.
            let wait = reactor.next_deadline().map(|due| due.saturating_duration_since(std::time::Instant::now()));
            let wait = wait.map(|wait| wait.try_into().expect("deadlines are near"));
            poll(&mut [PollFd::new(&reactor.as_fd(), PollFlags::IN)], wait.as_ref()).unwrap();
            reactor.turn(Some(Duration::ZERO), &mut asker).unwrap();
        }
        let asker = asker.finish(reactor);
        assert_eq!(asker.outcomes.len(), 200);
        assert!(asker.answered() > 100, "{} were answered", asker.answered());
    });
}
