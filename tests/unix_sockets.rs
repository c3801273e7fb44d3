//! Unix sockets under the reactor: an exchange wakes the loop once, and yet a socket that was full is told of room, whoever
//! opened it, in plain text and inside TLS, however slowly its peer reads and however it ends.
#![cfg(all(feature = "http1", feature = "tls"))]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aquests::protocols::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay};
use aquests::reactor::{
    Address, At, Flow, Handler, Key, Listener, Moment, Reactor, Reason, Sender, ServerTls, Tls, TlsSettings,
};
use aquests::{Client, ErrorKind, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use support::tls::Authority;
use support::{Folder, Peer, must_end};

/// More than any socket holds.
const LARGE: usize = 4 << 20;

/// Says parcels of bytes, each answered with one byte, after a foreword of its own and, if that is wanted, TLS.
#[derive(Default)]
struct Parcels {
    open: VecDeque<ExchangeId>,
    foreword: Vec<u8>,
}

impl Protocol for Parcels {
    type Request<'a> = &'a [u8];
    type Message<'a> = ();

    fn connected(&mut self, _at: Established<'_>, out: &mut Vec<u8>) {
        out.append(&mut self.foreword);
    }

    fn send(&mut self, id: ExchangeId, parcel: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        out.extend_from_slice(parcel);
        self.open.push_back(id);
        Ok(())
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, _out: &mut Vec<u8>) -> Result<(usize, Event<()>), Error> {
        match (input.bytes.first(), self.open.pop_front()) {
            (None, open) => {
                self.open.extend(open);
                Ok((0, Event::NeedData { at_least: 1 }))
            }
            (Some(b'S'), None) => Ok((1, Event::StartTls)),
            (Some(_), Some(id)) => Ok((1, Event::Message { id, message: (), done: true })),
            (Some(byte), None) => panic!("{byte} answers nothing"),
        }
    }

    fn slots(&self) -> usize {
        usize::from(self.open.is_empty())
    }

    fn cancel(&mut self, id: ExchangeId, _out: &mut Vec<u8>) -> bool {
        self.open.retain(|other| *other != id);
        false
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        self.open.pop_front().map(|id| (id, Replay::Unknown))
    }
}

/// Sends parcels, one after another, and writes down what comes of them.
#[derive(Default)]
struct Hand {
    parcels: VecDeque<Vec<u8>>,
    foreword: Vec<u8>,
    tls: Option<Tls>,
    /// Ends a connection as soon as a parcel is on its way.
    leaves: bool,
    patience: Option<Duration>,
    silence: Option<Duration>,
    opened: Vec<Key>,
    sent: u64,
    answered: usize,
    failed: Vec<String>,
    closed: Vec<String>,
}

impl Hand {
    fn with(parcels: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { parcels: parcels.into_iter().collect(), ..Self::default() }
    }
}

impl Handler<Parcels> for Hand {
    fn connected(&mut self, at: At, _established: Established<'_>) -> Parcels {
        self.opened.push(at.key);
        Parcels { foreword: std::mem::take(&mut self.foreword), ..Parcels::default() }
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Parcels>) {
        // What is upgraded asks for nothing before.
        if self.tls.is_some() || to.slots() == 0 {
            return;
        }
        let Some(parcel) = self.parcels.pop_front() else { return };
        to.send(ExchangeId(self.sent), &parcel).expect("there is a slot");
        self.sent += 1;
        to.set_silence(self.silence);
        if let Some(patience) = self.patience {
            to.set_deadline(at.now + patience);
        }
        if self.leaves {
            to.close();
        }
    }

    fn on_message(&mut self, _at: At, _id: Option<ExchangeId>, _message: (), _done: bool) -> Flow {
        self.answered += 1;
        Flow::Continue
    }

    fn on_failed(&mut self, _at: At, _id: ExchangeId, reason: &Reason, _replay: Replay) {
        self.failed.push(reason.to_string());
    }

    fn start_tls(&mut self, at: At) -> Option<(Tls, Moment)> {
        Some((self.tls.take()?, at.now + Duration::from_secs(60)))
    }

    fn on_closed(&mut self, _at: At, _opened: bool, reason: &Reason) {
        self.closed.push(reason.to_string());
    }
}

/// The kernel has something for it.
fn is_awake(reactor: &Reactor<Parcels>) -> bool {
    poll(&mut [PollFd::new(&reactor.as_fd(), PollFlags::IN)], Some(&Timespec::default())).unwrap() > 0
}

/// Turns until there is nothing to do but to wait for the peer or a deadline.
fn fall_asleep(reactor: &mut Reactor<Parcels>, hand: &mut Hand) {
    while is_awake(reactor) || reactor.next_deadline().is_some_and(|due| due <= Instant::now()) {
        reactor.turn(Some(Duration::ZERO), hand).unwrap();
    }
}

#[track_caller]
fn turn_until(reactor: &mut Reactor<Parcels>, hand: &mut Hand, so: impl Fn(&Hand) -> bool) {
    while !so(hand) {
        reactor.turn(None, hand).unwrap();
    }
}

/// No part of it is like its neighbours.
fn parcel(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Reads so many bytes of a parcel in crumbs.
#[track_caller]
fn read_in_crumbs(from: &mut dyn Read, length: usize) {
    let (mut came, mut buffer) = (0, [0; 4096]);
    while came < length {
        let most = (1 + came * 613 % 4093).min(length - came);
        let count = from.read(&mut buffer[..most]).unwrap();
        assert!(count > 0, "the stream ended after {came} of {length} bytes");
        let expected = (came..came + count).map(|at| (at % 251) as u8);
        assert!(buffer[..count].iter().copied().eq(expected), "other bytes came after {came}");
        came += count;
    }
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// Where a reactor meets its peer.
struct Place {
    folder: Folder,
    authority: Authority,
    secure: bool,
    /// The reactor listens, and its peer connects.
    listens: bool,
}

impl Place {
    fn all() -> impl Iterator<Item = Self> {
        [(false, false), (false, true), (true, false), (true, true)].into_iter().map(|(secure, listens)| Self {
            secure,
            listens,
            ..Self::new()
        })
    }

    fn new() -> Self {
        Self { folder: Folder::new(), authority: Authority::new("root"), secure: false, listens: false }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn tls(&self) -> Tls {
        TlsSettings::new().roots_pem(self.authority.pem.as_str()).connect("localhost", &[]).unwrap()
    }

    fn server_config(&self) -> Arc<ServerConfig> {
        Arc::new(self.authority.localhost().server())
    }

    fn client_config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(support::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(config.with_no_client_auth())
    }

    /// Opens a connection between the reactor and this script, which runs on a thread of its own and is told when to go on.
    fn meet<T: Send + 'static>(
        &self,
        reactor: &mut Reactor<Parcels>,
        script: impl FnOnce(&mut dyn Stream, mpsc::Receiver<()>) -> T + Send + 'static,
    ) -> (JoinHandle<T>, mpsc::Sender<()>) {
        let (go, gone) = mpsc::channel();
        let path = self.path();
        let _ = std::fs::remove_file(&path);
        let thread = if self.listens {
            let mut listener = Listener::unix(&path).unwrap();
            if self.secure {
                let identity = self.authority.localhost();
                let tls = ServerTls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes(), &[]).unwrap();
                listener = listener.tls(tls);
            }
            reactor.listen(listener, 0).unwrap();
            let config = self.secure.then(|| self.client_config());
            thread::spawn(move || {
                let mut socket = UnixStream::connect(path).unwrap();
                let Some(config) = config else { return script(&mut socket, gone) };
                let tls = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
                let mut stream = StreamOwned::new(tls, socket);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock).unwrap();
                }
                script(&mut stream, gone)
            })
        } else {
            let listener = UnixListener::bind(&path).unwrap();
            let address = Address::Unix(path);
            let config = self.secure.then(|| self.server_config());
            let begun = match &config {
                Some(_) => reactor.connect_tls(&address, &self.tls(), 0, Moment::NEVER),
                None => reactor.connect(&address, 0, Moment::NEVER),
            };
            begun.unwrap();
            thread::spawn(move || {
                let mut socket = listener.accept().unwrap().0;
                let Some(config) = config else { return script(&mut socket, gone) };
                let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
                // The other end may leave before it has heard all of it.
                let _ = stream.flush();
                script(&mut stream, gone)
            })
        };
        (thread, go)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "secure: {}, listens: {}", self.secure, self.listens)
    }
}

/// A connection in plain text that both ends hold on one thread: what happens, happens when it is told to.
fn hold(reactor: &mut Reactor<Parcels>, hand: &mut Hand, path: &Path, listens: bool) -> (Key, UnixStream) {
    let socket = if listens {
        reactor.listen(Listener::unix(path).unwrap(), 0).unwrap();
        UnixStream::connect(path).unwrap()
    } else {
        let listener = UnixListener::bind(path).unwrap();
        reactor.connect(&Address::Unix(path.to_owned()), 0, Moment::NEVER).unwrap();
        listener.accept().unwrap().0
    };
    turn_until(reactor, hand, |hand| hand.opened.len() == 1);
    fall_asleep(reactor, hand);
    (hand.opened[0], socket)
}

#[test]
fn an_exchange_wakes_the_loop_once_and_not_when_the_peer_has_read() {
    must_end(|| {
        for listens in [false, true] {
            let (mut reactor, mut hand, folder) = (Reactor::new().unwrap(), Hand::default(), Folder::new());
            let (key, mut peer) = hold(&mut reactor, &mut hand, &folder.path().join("socket"), listens);
            // The third finds the socket full.
            for (round, length) in [1, 1_000, LARGE, 1, 1_000].into_iter().enumerate() {
                hand.parcels.push_back(parcel(length));
                reactor.wake(key);
                reactor.turn(None, &mut hand).unwrap();
                assert_eq!(hand.sent as usize, round + 1);
                let mut rest = length;
                if length == LARGE {
                    // As long as there is no room, each that there is wakes it.
                    while rest > 1 {
                        rest -= peer.read(&mut vec![0; rest.min(65_536) - 1]).unwrap();
                        fall_asleep(&mut reactor, &mut hand);
                    }
                }
                assert!(!is_awake(&reactor), "round {round}: the parcel is written, and nothing else happened");
                peer.read_exact(&mut vec![0; rest]).unwrap();
                assert!(!is_awake(&reactor), "round {round}: the peer has read {length} bytes, which is no news");
                assert_eq!(reactor.next_deadline(), None, "round {round}: there is nothing to do");
                peer.write_all(b"k").unwrap();
                assert!(is_awake(&reactor), "round {round}: the peer has answered");
                reactor.turn(None, &mut hand).unwrap();
                assert_eq!(hand.answered, round + 1);
                assert!(!is_awake(&reactor), "round {round}: that was all");
            }
            assert!(hand.failed.is_empty() && hand.closed.is_empty());
        }
    });
}

#[test]
fn large_parcels_arrive_whole_and_in_order_however_slowly_they_are_read() {
    must_end(|| {
        for place in Place::all() {
            let mut reactor = Reactor::new().unwrap();
            let mut hand = Hand::with([parcel(LARGE), parcel(3), parcel(LARGE)]);
            let (peer, go) = place.meet(&mut reactor, |stream, gone| {
                for length in [LARGE, 3, LARGE] {
                    // At first the socket is full and nobody reads.
                    let _ = gone.recv();
                    read_in_crumbs(stream, length);
                    stream.write_all(b"k").unwrap();
                    stream.flush().unwrap();
                }
                stream.read(&mut [0]).unwrap()
            });
            for round in 1..=3 {
                turn_until(&mut reactor, &mut hand, |hand| hand.sent == round);
                // It does: a full socket is no work.
                fall_asleep(&mut reactor, &mut hand);
                go.send(()).unwrap();
                turn_until(&mut reactor, &mut hand, |hand| hand.answered as u64 == round);
            }
            let key = hand.opened[0];
            reactor.close(key, &mut hand);
            assert_eq!(peer.join().unwrap(), 0, "{place}: the stream ends where the parcels do");
            assert!(hand.failed.is_empty() && hand.closed.len() == 1, "{place}: {:?}", hand.failed);
        }
    });
}

#[test]
fn a_peer_that_never_reads_costs_its_exchange_and_its_connection_however_they_end() {
    must_end(|| {
        let short = Some(Duration::from_millis(20));
        for place in Place::all() {
            for end in ["the time limit passed", "nothing was heard for too long", "cancel", "close", "the peer leaves"]
            {
                let (mut reactor, mut hand) = (Reactor::new().unwrap(), Hand::with([parcel(LARGE)]));
                match end {
                    "the time limit passed" => hand.patience = short,
                    "nothing was heard for too long" => hand.silence = short,
                    _ => {}
                }
                let (peer, go) = place.meet(&mut reactor, move |stream, gone| {
                    let _ = gone.recv();
                    let (mut count, mut buffer) = (0, [0; 1_000]);
                    while end != "the peer leaves"
                        && let Ok(some @ 1..) = stream.read(&mut buffer)
                    {
                        count += some;
                    }
                    count
                });
                turn_until(&mut reactor, &mut hand, |hand| hand.sent == 1);
                let reason = match end {
                    "cancel" | "close" => {
                        fall_asleep(&mut reactor, &mut hand);
                        let key = hand.opened[0];
                        if end == "cancel" {
                            reactor.cancel(key, ExchangeId(0), &mut hand);
                        } else {
                            reactor.close(key, &mut hand);
                        }
                        Reason::Owner.to_string()
                    }
                    "the peer leaves" => {
                        fall_asleep(&mut reactor, &mut hand);
                        go.send(()).unwrap();
                        turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
                        // Whether reading or writing tells first depends on what else was on its way.
                        let errnos = [rustix::io::Errno::CONNRESET, rustix::io::Errno::PIPE];
                        let words = errnos.map(|errno| io::Error::from(errno).to_string());
                        words.into_iter().find(|words| *words == hand.closed[0]).expect("the peer is gone")
                    }
                    end => end.to_owned(),
                };
                turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
                assert!(reactor.is_empty() && hand.answered == 0, "{place}, {end}");
                // What was cancelled is not named again.
                let failed = if end == "cancel" { vec![] } else { vec![reason.clone()] };
                assert_eq!(hand.failed, failed, "{place}, {end}");
                assert_eq!(hand.closed, [reason], "{place}, {end}");
                fall_asleep(&mut reactor, &mut hand);
                drop(go);
                let came = peer.join().unwrap();
                assert!(came < LARGE, "{place}, {end}: {came} bytes came");
            }
        }
    });
}

#[test]
fn what_was_said_before_the_end_is_written_when_there_is_room_for_it() {
    must_end(|| {
        for place in Place::all() {
            let mut reactor = Reactor::new().unwrap();
            let mut hand = Hand { leaves: true, ..Hand::with([parcel(LARGE)]) };
            let (peer, go) = place.meet(&mut reactor, |stream, gone| {
                let _ = gone.recv();
                read_in_crumbs(stream, LARGE);
                // An error, if the end is not that of TLS.
                stream.read(&mut [0]).unwrap()
            });
            turn_until(&mut reactor, &mut hand, |hand| hand.sent == 1);
            go.send(()).unwrap();
            turn_until(&mut reactor, &mut hand, |hand| !hand.closed.is_empty());
            assert_eq!(peer.join().unwrap(), 0, "{place}");
            assert_eq!(hand.closed, [Reason::Owner.to_string()], "{place}");
        }
    });
}

/// Of lengths so close together, some fill the socket so that there is no room for the first word of TLS, and some for only
/// a part of what goes before it.
#[test]
fn tls_begins_in_mid_connection_when_there_is_room_for_it() {
    must_end(|| {
        let place = Place::new();
        let config = place.server_config();
        for length in (64 << 10..512 << 10).step_by(12 << 10) {
            let _ = std::fs::remove_file(place.path());
            let listener = UnixListener::bind(place.path()).unwrap();
            let mut reactor = Reactor::new().unwrap();
            let mut hand = Hand { foreword: parcel(length), tls: Some(place.tls()), ..Hand::with([parcel(1_000)]) };
            reactor.connect(&Address::Unix(place.path()), 0, Moment::NEVER).unwrap();
            let (go, gone) = mpsc::channel::<()>();
            let config = config.clone();
            let peer = thread::spawn(move || {
                let mut socket = listener.accept().unwrap().0;
                socket.write_all(b"S").unwrap();
                let _ = gone.recv();
                read_in_crumbs(&mut socket, length);
                let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
                read_in_crumbs(&mut stream, 1_000);
                stream.write_all(b"k").unwrap();
                stream.flush().unwrap();
                stream
            });
            turn_until(&mut reactor, &mut hand, |hand| hand.opened.len() == 1 && hand.tls.is_none());
            fall_asleep(&mut reactor, &mut hand);
            go.send(()).unwrap();
            turn_until(&mut reactor, &mut hand, |hand| hand.answered == 1);
            let _stream = peer.join().unwrap();
            assert!(hand.failed.is_empty() && hand.closed.is_empty(), "{length}: {:?}", hand.closed);
        }
    });
}

#[test]
fn connecting_waits_for_nobody() {
    let (mut reactor, folder) = (Reactor::new().unwrap(), Folder::new());
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut hand = Hand::with([parcel(1_000)]);
    reactor.connect(&Address::Unix(path), 0, Moment::NEVER).unwrap();
    assert!(reactor.next_deadline().is_some_and(|due| due <= Instant::now()), "somebody else's loop must turn it");
    reactor.turn(None, &mut hand).unwrap();
    assert_eq!((hand.opened.len(), hand.sent), (1, 1), "one turn is enough, and nobody has accepted");
    read_in_crumbs(&mut listener.accept().unwrap().0, 1_000);
}

#[test]
fn what_is_no_socket_that_listens_is_refused_at_once() {
    let (mut reactor, folder) = (Reactor::<Parcels>::new().unwrap(), Folder::new());
    let at = |name: &str| folder.path().join(name);
    folder.write("file", "");
    drop(UnixListener::bind(at("gone")).unwrap());
    let _datagram = UnixDatagram::bind(at("datagram")).unwrap();
    let full = UnixListener::bind(at("full")).unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let mut waiting = Vec::new();
    // The kernel takes one more than it was told.
    while waiting.len() < 2
        && let Ok(key) = reactor.connect(&Address::Unix(at("full")), 0, Moment::NEVER)
    {
        waiting.push(key);
    }
    assert_eq!(waiting.len(), 1);
    let mut client = Client::new().unwrap();
    for (name, errno) in [
        ("none", rustix::io::Errno::NOENT),
        ("file", rustix::io::Errno::CONNREFUSED),
        ("gone", rustix::io::Errno::CONNREFUSED),
        ("datagram", rustix::io::Errno::PROTOTYPE),
        ("full", rustix::io::Errno::AGAIN),
    ] {
        let error = reactor.connect(&Address::Unix(at(name)), 0, Moment::NEVER).expect_err(name);
        assert_eq!(error.kind(), io::Error::from(errno).kind(), "{name}: {error}");
        client.send(Request::get("http://localhost/").unix_socket(at(name))).unwrap();
        client.turn(Some(Duration::ZERO)).unwrap();
        let error = client.next_outcome().expect(name).into_result().expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Connect, "{name}: {error}");
        assert_eq!(error.to_string().contains("its backlog is full"), name == "full", "{name}: {error}");
    }
    assert_eq!(reactor.len(), 1, "what was refused leaves nothing behind");
    drop(full.accept().unwrap());
    reactor.connect(&Address::Unix(at("full")), 0, Moment::NEVER).expect("there is room again");
}

/// Sends one parcel on each connection; every second of those with an odd tag has no patience.
#[derive(Default)]
struct Crowd {
    asked: u64,
    outcomes: BTreeMap<u64, String>,
    /// Connections that have nothing more to do.
    done: Vec<Key>,
    open: usize,
}

impl Crowd {
    const PARCEL: usize = 1 << 20;

    fn tell(&mut self, tag: u64, outcome: String) {
        let before = self.outcomes.insert(tag, outcome);
        assert_eq!(before, None, "{tag} has two outcomes");
    }
}

impl Handler<Parcels> for Crowd {
    fn connected(&mut self, _at: At, _established: Established<'_>) -> Parcels {
        Parcels::default()
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Parcels>) {
        if to.slots() > 0 && !self.outcomes.contains_key(&at.tag) {
            to.send(ExchangeId(at.tag), &parcel(Self::PARCEL)).expect("there is a slot");
            if at.tag % 4 == 1 {
                to.set_deadline(at.now + Duration::from_millis(5));
            }
        }
    }

    fn on_message(&mut self, at: At, _id: Option<ExchangeId>, _message: (), _done: bool) -> Flow {
        self.tell(at.tag, "answered".to_owned());
        self.done.push(at.key);
        Flow::Continue
    }

    fn on_failed(&mut self, at: At, _id: ExchangeId, reason: &Reason, _replay: Replay) {
        self.tell(at.tag, reason.to_string());
    }

    fn on_closed(&mut self, _at: At, _opened: bool, _reason: &Reason) {
        self.open -= 1;
    }
}

#[test]
fn connections_that_end_while_they_are_full_hurt_none_that_take_their_places() {
    const ALL: u64 = 200;
    must_end(|| {
        let folder = Folder::new();
        let path = folder.path().join("socket");
        // In the order in which they connect.
        let peer = Peer::unix(&path, |conn| match conn.number() % 4 {
            1 => {
                conn.wait();
                Ok(())
            }
            2 => conn.swallow(100_000),
            number => {
                let some = if number == 0 { Crowd::PARCEL } else { 1 << 10 };
                for _ in 0..Crowd::PARCEL / some {
                    conn.swallow(some as u64)?;
                    thread::yield_now();
                }
                conn.send("k")?;
                conn.stall()
            }
        });
        let (mut reactor, mut crowd) = (Reactor::new().unwrap(), Crowd::default());
        while crowd.outcomes.len() < ALL as usize {
            while crowd.open < 8 && crowd.asked < ALL {
                reactor.connect(&Address::Unix(path.clone()), crowd.asked, Moment::NEVER).unwrap();
                crowd.asked += 1;
                crowd.open += 1;
            }
            reactor.turn(None, &mut crowd).unwrap();
            for key in std::mem::take(&mut crowd.done) {
                reactor.close(key, &mut crowd);
            }
        }
        for (tag, outcome) in &crowd.outcomes {
            match tag % 4 {
                0 | 3 => assert_eq!(outcome, "answered", "{tag}"),
                1 => assert_eq!(outcome, &Reason::Deadline.to_string(), "{tag}"),
                _ => assert_ne!(outcome, "answered", "{tag}, whose peer left in the middle"),
            }
        }
        assert_eq!(peer.connections(), ALL as usize);
        peer.open_gate();
    });
}

#[test]
fn a_body_that_streams_arrives_whole_at_a_server_that_reads_late() {
    must_end(|| {
        let (folder, authority) = (Folder::new(), Authority::new("root"));
        for secure in [false, true] {
            for length in [None, Some(LARGE as u64)] {
                let path = folder.path().join("socket");
                let _ = std::fs::remove_file(&path);
                let config = Arc::new(authority.localhost().server());
                let peer = Peer::unix(&path, move |conn| {
                    if secure {
                        conn.start_tls(&config)?;
                    }
                    conn.wait();
                    let seen = conn.request()?;
                    conn.answer(seen.body.len().to_string())?;
                    conn.stall()
                });
                let settings = TlsSettings::new().roots_pem(authority.pem.as_str());
                let mut client = Client::builder().tls(settings).build().unwrap();
                let url = format!("{}://localhost/", if secure { "https" } else { "http" });
                let body = io::Cursor::new(parcel(LARGE));
                client.send(Request::post(url).unix_socket(&path).body_reader(body, length)).unwrap();
                // Until the socket is full, and some turns more.
                for _ in 0..50 {
                    client.turn(Some(Duration::from_millis(1))).unwrap();
                }
                peer.open_gate();
                let outcome = loop {
                    client.turn(None).unwrap();
                    if let Some(outcome) = client.next_outcome() {
                        break outcome;
                    }
                };
                let response = outcome.into_result().unwrap();
                assert_eq!(response.text(), LARGE.to_string(), "secure: {secure}, length: {length:?}");
                assert!(peer.seen()[0].body == parcel(LARGE), "secure: {secure}, length: {length:?}");
            }
        }
    });
}
