//! The reactor under a handler of our own: every exchange ends exactly once whatever peers do, nothing goes down a
//! connection of another route, and the calls from outside (wake, resume, cancel, close) do what they say.

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use aquests::protocols::http1::Client;
use aquests::protocols::semantics::{Body, Message, PreparedRequest, Request, ResponseHead};
use aquests::protocols::{Error, Established, ExchangeId, Refused, Replay};
use aquests::reactor::{Address, At, Chunk, Flow, Handler, Key, Moment, Reactor, Reason, Sender};
use support::{FAULTS, Folder, Peer, full_backlog, must_end, peak_memory, refused, resident_memory};

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

/// One connection, to which tests do things by hand.
#[derive(Default)]
struct Hand {
    /// Requests that wait to be sent: target, and body by parts (its length) or none.
    queue: VecDeque<(ExchangeId, PreparedRequest, Option<Option<u64>>)>,
    chunks: VecDeque<Part>,
    given: Vec<u8>,
    /// What to do with the next messages.
    flows: VecDeque<Flow>,
    upgrade: Option<Client>,
    depth: u16,
    pulls: usize,
    messages: usize,
    bytes: u64,
    done: Vec<ExchangeId>,
    failed: Vec<(ExchangeId, String)>,
    switched: usize,
    closed: Vec<(Key, bool, String)>,
}

enum Part {
    Data(Vec<u8>),
    Last(Vec<u8>),
    Trailers(&'static [u8]),
    Later,
    Failed,
}

impl Hand {
    fn get(&mut self, id: u64, target: &str) {
        let head = PreparedRequest::new("GET", target, "hand").expect("this is a good request");
        self.queue.push_back((ExchangeId(id), head, None));
    }

    fn upload(&mut self, id: u64, length: Option<u64>, parts: impl IntoIterator<Item = Part>) {
        let head = PreparedRequest::new("POST", "/upload", "hand").expect("this is a good request");
        self.queue.push_back((ExchangeId(id), head, Some(length)));
        self.chunks.extend(parts);
    }
}

impl Handler<Client> for Hand {
    fn connected(&mut self, _at: At, _established: Established<'_>) -> Client {
        Client::new().pipeline(self.depth)
    }

    fn pull(&mut self, _at: At, to: &mut Sender<'_, Client>) {
        self.pulls += 1;
        while to.slots() > 0
            && let Some((id, head, parts)) = self.queue.pop_front()
        {
            let body = parts.map_or(Body::EMPTY, Body::Parts);
            to.send(id, Request { head: &head, body }).expect("there was a slot");
        }
    }

    fn chunk(&mut self, _at: At, _id: ExchangeId, room: usize) -> Chunk<'_> {
        assert!(room > 0);
        let (bytes, last) = match self.chunks.pop_front() {
            None | Some(Part::Later) => return Chunk::Later,
            Some(Part::Failed) => return Chunk::Failed,
            Some(Part::Trailers(trailers)) => return Chunk::Trailers(trailers),
            Some(Part::Data(bytes)) => (bytes, false),
            Some(Part::Last(bytes)) => (bytes, true),
        };
        if bytes.len() > room {
            // No more than was asked for; the rest is for the next time.
            let rest = bytes[room..].to_vec();
            self.chunks.push_front(if last { Part::Last(rest) } else { Part::Data(rest) });
            self.given = bytes[..room].to_vec();
            return Chunk::Data { bytes: &self.given, last: false };
        }
        self.given = bytes;
        Chunk::Data { bytes: &self.given, last }
    }

    fn on_message(
        &mut self,
        _at: At,
        id: Option<ExchangeId>,
        message: Message<'_, ResponseHead<'_>>,
        done: bool,
    ) -> Flow {
        self.messages += 1;
        if let Message::Data(bytes) = message {
            self.bytes += bytes.len() as u64;
        }
        if done {
            self.done.extend(id);
        }
        self.flows.pop_front().unwrap_or(Flow::Continue)
    }

    fn on_failed(&mut self, _at: At, id: ExchangeId, reason: &Reason, _replay: Replay) {
        self.failed.push((id, reason.to_string()));
    }

    fn switched(&mut self, _at: At, _id: ExchangeId) -> Option<Client> {
        self.switched += 1;
        self.upgrade.take()
    }

    fn on_closed(&mut self, at: At, opened: bool, reason: &Reason) {
        self.closed.push((at.key, opened, reason.to_string()));
    }
}

fn connect(reactor: &mut Reactor<Client>, peer: &Peer) -> Key {
    reactor.connect(&peer.address().into(), 0, Moment::NEVER).expect("the system has a socket")
}

/// Turns until something is so.
#[track_caller]
fn turn_until(reactor: &mut Reactor<Client>, hand: &mut Hand, so: impl Fn(&Hand) -> bool) {
    let start = std::time::Instant::now();
    while !so(hand) {
        assert!(start.elapsed() < Duration::from_secs(60), "it never comes: {:?} {:?}", hand.failed, hand.closed);
        reactor.turn(Some(Duration::from_millis(10)), hand).expect("the loop works");
    }
}

/// Turns for a while in which nothing should happen.
fn turn_idly(reactor: &mut Reactor<Client>, hand: &mut Hand) {
    for _ in 0..20 {
        reactor.turn(Some(Duration::from_millis(5)), hand).expect("the loop works");
    }
}

#[test]
fn an_idle_connection_pulls_when_it_is_woken_and_not_before() {
    let peer = Peer::echo();
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    hand.get(1, "/1");
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 1);
    let pulls = hand.pulls;
    hand.get(2, "/2");
    turn_idly(&mut reactor, &mut hand);
    assert_eq!(hand.pulls, pulls, "nobody woke it");
    reactor.wake(key);
    assert!(reactor.next_deadline().is_some_and(|due| due <= std::time::Instant::now()), "there is work");
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 2);
    assert_eq!(peer.connections(), 1);
}

#[test]
fn a_stale_key_does_nothing_to_its_successor() {
    let peer = Peer::echo();
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let old = connect(&mut reactor, &peer);
    hand.get(1, "/1");
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 1);
    reactor.close(old, &mut hand);
    assert_eq!(hand.closed.len(), 1);
    let new = connect(&mut reactor, &peer);
    assert_eq!((old.as_u64() as u32, old == new), (new.as_u64() as u32, false), "the place is used again, the key not");
    hand.get(2, "/2");
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 2);
    let pulls = hand.pulls;
    hand.get(3, "/3");
    reactor.wake(old);
    reactor.resume(old, ExchangeId(2));
    reactor.cancel(old, ExchangeId(2), &mut hand);
    reactor.close(old, &mut hand);
    turn_idly(&mut reactor, &mut hand);
    assert_eq!((hand.pulls, hand.closed.len(), reactor.len()), (pulls, 1, 1), "a stale key reached somebody");
    reactor.wake(new);
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 3);
    assert!(hand.failed.is_empty() && hand.closed.len() == 1);
}

#[test]
fn a_cancelled_exchange_at_the_front_takes_the_connection_with_it_and_is_not_named_again() {
    let peer = Peer::start(|conn| conn.request().and_then(|_| conn.stall()));
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand { depth: 3, ..Hand::default() });
    let key = connect(&mut reactor, &peer);
    for id in 1..=3 {
        hand.get(id, "/");
    }
    while peer.requests() == 0 {
        reactor.turn(Some(Duration::from_millis(5)), &mut hand).unwrap();
    }
    reactor.cancel(key, ExchangeId(1), &mut hand);
    turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
    let failed: Vec<ExchangeId> = hand.failed.iter().map(|(id, _)| *id).collect();
    assert_eq!((failed, hand.done.len()), (vec![ExchangeId(2), ExchangeId(3)], 0));
    assert_eq!(hand.closed, [(key, true, Reason::Owner.to_string())]);
}

#[test]
fn a_cancelled_exchange_behind_another_is_read_and_dropped() {
    let peer = Peer::start(|conn| {
        for _ in 0..3 {
            conn.request()?;
        }
        conn.wait();
        for body in ["one", "two", "three"] {
            conn.answer(body)?;
        }
        conn.echo()
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand { depth: 3, ..Hand::default() });
    let key = connect(&mut reactor, &peer);
    for id in 1..=3 {
        hand.get(id, "/");
    }
    while peer.requests() < 3 {
        reactor.turn(Some(Duration::from_millis(5)), &mut hand).unwrap();
    }
    reactor.cancel(key, ExchangeId(2), &mut hand);
    peer.open_gate();
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 2);
    assert_eq!((&hand.done, hand.bytes), (&vec![ExchangeId(1), ExchangeId(3)], 8));
    hand.get(4, "/four");
    reactor.wake(key);
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 3);
    assert!(hand.failed.is_empty() && hand.closed.is_empty(), "the connection lives");
}

#[test]
fn a_handler_can_cancel_in_the_middle_of_an_answer() {
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
        conn.send_for_ever("x".repeat(1_000))
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    hand.get(1, "/");
    // The head, some of the body, and enough.
    hand.flows = VecDeque::from([Flow::Continue, Flow::Continue, Flow::Cancel]);
    turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
    assert_eq!((hand.messages, &hand.failed), (3, &vec![]), "a cancelled exchange is not named again");
    assert_eq!(hand.closed, [(key, true, Reason::Owner.to_string())]);
}

#[test]
fn a_held_answer_waits_in_the_socket_and_not_in_memory() {
    const SIZE: u64 = 256 << 20;
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n"))?;
        let part = vec![b'x'; 1 << 20];
        for _ in 0..SIZE / part.len() as u64 {
            conn.send(&part)?;
        }
        conn.stall()
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    let before = resident_memory();
    hand.get(1, "/");
    hand.flows = VecDeque::from([Flow::Continue, Flow::Hold]);
    turn_until(&mut reactor, &mut hand, |hand| hand.messages == 2);
    turn_idly(&mut reactor, &mut hand);
    assert_eq!(hand.messages, 2, "it was held");
    assert!(peer.sent() < SIZE / 2, "the peer could send {} bytes while nobody read", peer.sent());
    assert_eq!(reactor.next_deadline(), None, "a held connection is no work");
    // Held again and again, with whatever comes in between.
    for _ in 0..100 {
        let messages = hand.messages;
        hand.flows = VecDeque::from([Flow::Hold]);
        reactor.resume(key, ExchangeId(1));
        turn_until(&mut reactor, &mut hand, |hand| hand.messages > messages);
    }
    let held = hand.messages;
    turn_idly(&mut reactor, &mut hand);
    assert_eq!(hand.messages, held);
    reactor.resume(key, ExchangeId(1));
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 1);
    assert_eq!(hand.bytes, SIZE);
    let grown = peak_memory().saturating_sub(before);
    assert!(grown < SIZE / 4, "memory grew by {grown} bytes");
}

#[test]
fn a_held_connection_still_meets_its_end() {
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")?;
        conn.wait();
        conn.reset()
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    hand.get(1, "/");
    hand.flows = VecDeque::from([Flow::Continue, Flow::Hold]);
    turn_until(&mut reactor, &mut hand, |hand| hand.messages == 2);
    peer.open_gate();
    turn_idly(&mut reactor, &mut hand);
    reactor.resume(key, ExchangeId(1));
    turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
    assert_eq!((hand.failed.len(), hand.bytes), (1, 5), "what had arrived was told, and then the end");
}

#[test]
fn a_body_in_parts_arrives_whole_and_waits_for_its_source() {
    for length in [Some(200_010), None] {
        let peer = Peer::start(|conn| {
            let seen = conn.request()?;
            conn.answer(seen.body.len().to_string())?;
            conn.echo()
        });
        let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
        let key = connect(&mut reactor, &peer);
        let parts = [Part::Data(vec![b'a'; 5]), Part::Data(vec![b'b'; 200_000]), Part::Later];
        hand.upload(1, length, parts);
        turn_until(&mut reactor, &mut hand, |hand| hand.chunks.is_empty());
        turn_idly(&mut reactor, &mut hand);
        assert!(hand.done.is_empty() && hand.failed.is_empty(), "its source has nothing yet");
        hand.chunks.push_back(Part::Last(vec![b'c'; 5]));
        reactor.resume(key, ExchangeId(1));
        turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 1);
        let expected = [vec![b'a'; 5], vec![b'b'; 200_000], vec![b'c'; 5]].concat();
        assert!(peer.seen()[0].body == expected, "with length {length:?} the body came otherwise");
        hand.get(2, "/next");
        reactor.wake(key);
        turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 2);
    }
}

#[test]
fn a_body_in_chunks_can_end_with_trailers() {
    let peer = Peer::echo();
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    hand.upload(1, None, [Part::Data(b"hello".to_vec()), Part::Trailers(b"x-sum: 5\r\n")]);
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 1);
    hand.get(2, "/next");
    reactor.wake(key);
    turn_until(&mut reactor, &mut hand, |hand| hand.done.len() == 2);
    assert_eq!(peer.seen()[0].body, b"hello");
}

#[test]
fn a_body_whose_source_fails_fails_its_exchange_and_takes_the_connection_with_it() {
    for length in [Some(1_000), None] {
        let peer = Peer::echo();
        let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
        let key = connect(&mut reactor, &peer);
        hand.upload(1, length, [Part::Data(b"hello".to_vec()), Part::Failed]);
        turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
        assert_eq!((hand.failed.len(), hand.done.len(), hand.closed.len()), (1, 0, 1), "{:?}", hand.failed);
        assert_eq!((hand.failed[0].0, hand.closed[0].0), (ExchangeId(1), key));
        assert_eq!(peer.requests(), 0, "half a body is no request");
    }
}

#[test]
fn an_early_answer_ends_an_upload_and_the_connection() {
    // The server goes on reading, or hangs up with bytes unread, which the system tells us as a reset.
    for patient in [true, false] {
        let peer = Peer::start(move |conn| {
            conn.glance()?;
            conn.send("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!")?;
            if patient { conn.stall() } else { Ok(()) }
        });
        let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
        connect(&mut reactor, &peer);
        hand.upload(1, Some(1 << 30), [Part::Data(vec![b'x'; 64 << 20])]);
        turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
        let outcome = (&hand.done, hand.bytes, &hand.failed);
        assert_eq!(outcome, (&vec![ExchangeId(1)], 3, &vec![]), "patient: {patient}, {:?}", hand.closed);
    }
}

#[test]
fn a_switched_connection_goes_on_with_the_new_machine_and_the_unread_bytes() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n";
    let ask = |hand: &mut Hand| {
        let mut head = PreparedRequest::new("GET", "/", "hand").unwrap();
        head.field("connection", b"upgrade").unwrap().field("upgrade", b"other").unwrap();
        hand.queue.push_back((ExchangeId(1), head, None));
    };
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.send(SWITCH)?;
        conn.echo()
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    let key = connect(&mut reactor, &peer);
    ask(&mut hand);
    hand.upgrade = Some(Client::new());
    turn_until(&mut reactor, &mut hand, |hand| hand.switched == 1);
    hand.get(2, "/after");
    reactor.wake(key);
    turn_until(&mut reactor, &mut hand, |hand| hand.done == [ExchangeId(2)]);
    assert!(hand.failed.is_empty() && hand.closed.is_empty());

    // The new machine reads what came behind the switch, and this one has no use for it.
    let eager = Peer::start(|conn| {
        conn.request()?;
        conn.send(format!("{SWITCH}HTTP/1.1 200 OK\r\n\r\n"))?;
        conn.stall()
    });
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    connect(&mut reactor, &eager);
    ask(&mut hand);
    hand.upgrade = Some(Client::new());
    turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
    let unsolicited = Error::from(aquests::protocols::http1::Violation::Unsolicited);
    assert_eq!(hand.closed[0].2, Reason::Protocol(unsolicited).to_string());

    // Nobody wants the new protocol.
    let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::default());
    connect(&mut reactor, &peer);
    ask(&mut hand);
    turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
    assert_eq!((hand.closed[0].2.clone(), hand.failed.len()), (Reason::Finished.to_string(), 0));
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
fn a_wake_up_from_another_thread_is_never_lost() {
    must_end(|| {
        let mut reactor = Reactor::<Client>::new().unwrap();
        let mut hand = Hand::default();
        let waker = reactor.waker();
        // Before the turn: it ends at once although it may wait for ever.
        for _ in 0..100 {
            waker.wake().unwrap();
            reactor.turn(None, &mut hand).unwrap();
        }
        // During the turn, at any point: each of them answers the one before, so that none may be lost.
        let (asked, asks) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            for () in asks {
                waker.wake().unwrap();
            }
        });
        for _ in 0..2_000 {
            asked.send(()).unwrap();
            reactor.turn(None, &mut hand).unwrap();
        }
        drop(asked);
        other.join().unwrap();
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
