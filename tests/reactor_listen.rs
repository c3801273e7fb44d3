//! Serving on the reactor: connections are accepted, answered, and not forgotten when the system has no room for a while.
#![cfg(feature = "http1")]

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use aquests::protocols::http1::Server;
use aquests::protocols::semantics::{Body, Message, PreparedResponse, RequestHead, Response};
use aquests::protocols::{Established, ExchangeId, Replay};
use aquests::reactor::{At, Flow, Handler, Key, Listener, Reactor, Reason, Sender};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Folder, must_end};

/// One test at a time: one of them takes descriptors away from the whole process.
fn alone(work: impl FnOnce() + Send + 'static) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    must_end(work);
}

/// Answers each request with its target.
#[derive(Default)]
struct Echo {
    targets: HashMap<Key, String>,
    ready: HashMap<Key, ExchangeId>,
    open: usize,
    answered: usize,
    failed: usize,
}

impl Handler<Server> for Echo {
    fn connected(&mut self, _at: At, _established: Established<'_>) -> Server {
        self.open += 1;
        Server::new()
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Server>) {
        if let Some(id) = self.ready.remove(&at.key) {
            let target = self.targets.remove(&at.key).expect("a request has a head");
            let head = PreparedResponse::new(200, "OK").expect("this is a good answer");
            to.send(id, Response { head: &head, body: Body::Whole(target.as_bytes()) }).expect("it waits for one");
            self.answered += 1;
        }
    }

    fn on_message(
        &mut self,
        at: At,
        id: Option<ExchangeId>,
        message: Message<'_, RequestHead<'_>>,
        done: bool,
    ) -> Flow {
        if let Message::Head(head) = message {
            self.targets.insert(at.key, head.target.to_owned());
        }
        if done {
            self.ready.insert(at.key, id.expect("requests are numbered"));
        }
        Flow::Continue
    }

    fn on_failed(&mut self, _at: At, _id: ExchangeId, _reason: &Reason, _replay: Replay) {
        self.failed += 1;
    }

    fn on_closed(&mut self, at: At, opened: bool, _reason: &Reason) {
        assert!(opened, "what was accepted is open");
        self.targets.remove(&at.key);
        self.ready.remove(&at.key);
        self.open -= 1;
    }
}

fn serve() -> (Reactor<Server>, SocketAddr) {
    let mut reactor = Reactor::new().expect("the system has a poll");
    let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).expect("a port can be had");
    let address = listener.local_addr().expect("a listener has an address");
    reactor.listen(listener, 0).expect("a listener can be watched");
    (reactor, address)
}

fn turn_until(reactor: &mut Reactor<Server>, echo: &mut Echo, so: impl Fn(&Echo) -> bool) {
    while !so(echo) {
        reactor.turn(Some(Duration::from_millis(100)), echo).expect("the loop works");
    }
}

fn ask(stream: &mut (impl Read + Write), target: &str) -> String {
    // In one piece: the system holds small pieces back (RFC 896).
    stream.write_all(format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    while !answer.ends_with(&format!("\r\n\r\n{target}")) {
        let mut bytes = [0; 1_000];
        match stream.read(&mut bytes).unwrap() {
            0 => panic!("the server closed after {answer}"),
            count => answer.push_str(std::str::from_utf8(&bytes[..count]).unwrap()),
        }
    }
    answer
}

#[test]
fn many_connections_on_two_listeners_are_answered() {
    alone(|| {
        let (mut reactor, address) = serve();
        let folder = Folder::new();
        let path = folder.path().join("socket");
        reactor.listen(Listener::unix(&path).unwrap(), 1).unwrap();
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let path = path.clone();
                thread::spawn(move || {
                    for round in 0..10 {
                        let targets: Vec<String> = (0..10).map(|n| format!("/{client}/{round}/{n}")).collect();
                        if client % 2 == 0 {
                            let mut stream = TcpStream::connect(address).unwrap();
                            targets.iter().for_each(|target| drop(ask(&mut stream, target)));
                        } else {
                            let mut stream = UnixStream::connect(&path).unwrap();
                            targets.iter().for_each(|target| drop(ask(&mut stream, target)));
                        }
                    }
                })
            })
            .collect();
        let mut echo = Echo::default();
        turn_until(&mut reactor, &mut echo, |echo| echo.answered == 800 && echo.open == 0);
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert!(echo.failed == 0 && reactor.is_empty());
    });
}

#[test]
fn clients_that_misbehave_cost_their_own_connection_only() {
    alone(|| {
        let (mut reactor, address) = serve();
        let mut echo = Echo::default();
        let mut good = TcpStream::connect(address).unwrap();
        let send = |bytes: &[u8]| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(bytes).unwrap();
            stream
        };
        let reset = send(b"GET / HTT");
        rustix::net::sockopt::set_socket_linger(&reset, Some(Duration::ZERO)).unwrap();
        drop(reset);
        drop(send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n123"));
        let mut garbage = send(b"\x16\x03\x01 is no HTTP\r\n\r\n");
        let mut endless = send(&[&b"GET / HTTP/1.1\r\nx: "[..], &[b'a'; 200_000]].concat());
        // Asks, hangs up its own side, and still gets its answer.
        let mut half = send(b"GET /half HTTP/1.1\r\nhost: h\r\n\r\n");
        half.shutdown(Shutdown::Write).unwrap();
        let readers = thread::spawn(move || {
            let mut answers = [String::new(), String::new(), String::new()];
            garbage.read_to_string(&mut answers[0]).unwrap();
            endless.read_to_string(&mut answers[1]).unwrap();
            half.read_to_string(&mut answers[2]).unwrap();
            assert!(ask(&mut good, "/good").starts_with("HTTP/1.1 200 OK\r\n"));
            (answers, good)
        });
        turn_until(&mut reactor, &mut echo, |echo| echo.answered == 2 && echo.open == 1);
        let (answers, good) = readers.join().unwrap();
        assert!(answers[0].starts_with("HTTP/1.1 400 "), "{}", answers[0]);
        assert!(answers[1].starts_with("HTTP/1.1 431 "), "{}", answers[1]);
        assert!(answers[2].ends_with("\r\n\r\n/half"), "{}", answers[2]);
        drop(good);
        turn_until(&mut reactor, &mut echo, |echo| echo.open == 0);
    });
}

#[test]
fn connections_that_the_system_has_no_room_for_are_accepted_when_it_has() {
    alone(|| {
        let (mut reactor, address) = serve();
        let mut echo = Echo::default();
        // They are complete before anybody accepts them.
        let mut clients: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
        let limit = getrlimit(Resource::Nofile);
        // All descriptors that are open are above it.
        setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..limit }).unwrap();
        for _ in 0..5 {
            reactor.turn(Some(Duration::ZERO), &mut echo).unwrap();
        }
        let (accepted, due) = (echo.open, reactor.next_deadline());
        setrlimit(Resource::Nofile, limit).unwrap();
        assert_eq!(accepted, 0, "there was no room");
        assert!(due.is_some(), "it must be tried again, though nothing will become ready");
        turn_until(&mut reactor, &mut echo, |echo| echo.open == 20);
        reactor.turn(Some(Duration::ZERO), &mut echo).unwrap();
        assert_eq!(reactor.next_deadline(), None, "all were accepted");
        let asker = thread::spawn(move || clients.iter_mut().for_each(|client| drop(ask(client, "/late"))));
        turn_until(&mut reactor, &mut echo, |echo| echo.answered == 20);
        asker.join().unwrap();
    });
}
