//! What a TLS connection weighs that does nothing. A binary of its own, for its allocator.
#![cfg(all(feature = "http1", feature = "tls"))]

mod support;

use std::time::Duration;

use aquests::protocols::http1::Client;
use aquests::protocols::semantics::{Body, Message, PreparedRequest, Request, ResponseHead};
use aquests::protocols::{Established, ExchangeId, Replay};
use aquests::reactor::{Address, At, Flow, Handler, Key, Moment, Reactor, Reason, Sender};
use aquests::{TlsSettings, TlsVersion};
use support::counting::{Counting, counts};
use support::tls::Authority;
use support::{Folder, Nginx, raise_open_files};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNECTIONS: usize = 1_000;
/// Bytes that our allocations may take per idle connection, those of rustls among them: keys, and the certificate that the
/// server showed.
const BYTES: i64 = 5 << 10;

/// Lets every connection ask when it is told to.
struct Idle {
    head: PreparedRequest,
    may_ask: Vec<bool>,
    answers: usize,
}

impl Handler<Client> for Idle {
    fn connected(&mut self, _at: At, established: Established<'_>) -> Client {
        assert!(established.tls);
        Client::new()
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Client>) {
        // Tickets of TLS may come when something is on its way.
        if to.slots() > 0 && std::mem::take(&mut self.may_ask[at.tag as usize]) {
            let request = Request { head: &self.head, body: Body::EMPTY };
            to.send(ExchangeId(at.tag), request).expect("there was a slot");
        }
    }

    fn on_message(
        &mut self,
        _at: At,
        _id: Option<ExchangeId>,
        _message: Message<'_, ResponseHead<'_>>,
        done: bool,
    ) -> Flow {
        self.answers += usize::from(done);
        Flow::Continue
    }

    fn on_failed(&mut self, at: At, _id: ExchangeId, reason: &Reason, _replay: Replay) {
        panic!("connection {} failed: {reason}", at.tag);
    }

    fn on_closed(&mut self, at: At, _opened: bool, reason: &Reason) {
        panic!("connection {} closed: {reason}", at.tag);
    }
}

fn ask_all(reactor: &mut Reactor<Client>, idle: &mut Idle, keys: &[Key]) {
    idle.answers = 0;
    idle.may_ask.fill(true);
    for key in keys {
        reactor.wake(*key);
    }
    while idle.answers < keys.len() {
        reactor.turn(Some(Duration::from_secs(60)), idle).expect("the loop works");
    }
}

fn weigh(version: TlsVersion, protocols: &str, resumed: bool) {
    raise_open_files(CONNECTIONS as u64 + 100);
    let authority = Authority::new("root");
    let (identity, folder) = (authority.below("between").localhost(), Folder::new());
    folder.write("server.pem", &identity.chain);
    folder.write("server.key", &identity.key);
    let location = format!(
        "ssl_protocols {protocols}; ssl_session_cache shared:all:1m; keepalive_requests 1000;
        location = /2 {{ return 200 ok; }}"
    );
    let nginx = Nginx::secure(folder, &location);
    let address = Address::Tcp(([127, 0, 0, 1], nginx.port()).into());
    let mut settings = TlsSettings::new().roots_pem(authority.pem.as_str()).only(version);
    if !resumed {
        settings = settings.no_resumption();
    }
    let mut idle = Idle {
        head: PreparedRequest::new("GET", "/2", "idle").expect("this is a good request"),
        may_ask: vec![false; CONNECTIONS + 1],
        answers: 0,
    };
    let mut reactor = Reactor::new().expect("the system has a poll");
    let connect = |reactor: &mut Reactor<Client>, tag: usize| {
        let tls = settings.connect("localhost", &[b"http/1.1"]).expect("these settings are good");
        reactor.connect_tls(&address, &tls, tag as u64, Moment::NEVER).expect("the system has a socket")
    };
    // What all of them share, and a session to be resumed.
    let first = connect(&mut reactor, CONNECTIONS);
    ask_all(&mut reactor, &mut idle, &[first]);
    let mut keys = Vec::with_capacity(CONNECTIONS);
    let heap = counts().live;
    while keys.len() < CONNECTIONS {
        let batch = keys.len()..(keys.len() + 100).min(CONNECTIONS);
        keys.extend(batch.clone().map(|tag| connect(&mut reactor, tag)));
        ask_all(&mut reactor, &mut idle, &keys[batch]);
    }
    let heap = (counts().live - heap) / CONNECTIONS as i64;
    println!("{protocols}, resumed: {resumed}: an idle connection takes {heap} bytes on the heap");
    assert!(heap <= BYTES, "{protocols}: an idle connection takes {heap} bytes on the heap");

    // They are all alive, and using them leaves nothing behind.
    let before = counts().live;
    for _ in 0..3 {
        ask_all(&mut reactor, &mut idle, &keys);
    }
    let grown = (counts().live - before) / CONNECTIONS as i64;
    assert!(grown <= 16, "{protocols}: each connection grew by {grown} bytes when it was used");
}

#[test]
fn a_thousand_idle_connections_are_light_and_alive() {
    for (version, protocols) in [(TlsVersion::Tls12, "TLSv1.2"), (TlsVersion::Tls13, "TLSv1.3")] {
        for resumed in [false, true] {
            weigh(version, protocols, resumed);
        }
    }
}
