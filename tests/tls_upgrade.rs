//! TLS under protocols of one's own: begun in mid-connection, as PostgreSQL does (SSLRequest, one byte, TLS), and with an
//! authentication that is tied to it.
#![cfg(feature = "tls")]

mod support;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aquests::protocols::{Error, Established, Event, ExchangeId, Input, Protocol, Refused, Replay, Violation};
use aquests::reactor::{Address, At, Flow, Handler, Key, Moment, Reactor, Reason, Sender, Tls, TlsSettings};
use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};
use support::tls::{Authority, Identity, Wanted};
use support::{Conn, Folder, Peer, Server, must_end};

const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];

/// Asks for TLS, and then for one line after another.
#[derive(Default)]
struct Lines {
    /// Goes on without asking for TLS.
    plain: bool,
    /// Takes requests before TLS is up, and sends them afterwards.
    eager: bool,
    tls: bool,
    asked: VecDeque<ExchangeId>,
    unsent: Vec<u8>,
    told: usize,
}

impl Protocol for Lines {
    type Request<'a> = &'a str;
    type Message<'a> = String;

    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        self.told += 1;
        self.tls = at.tls || self.plain;
        if self.tls {
            out.append(&mut self.unsent);
        } else {
            out.extend_from_slice(SSL_REQUEST);
        }
    }

    fn send(&mut self, id: ExchangeId, request: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        let out = if self.tls { out } else { &mut self.unsent };
        out.extend_from_slice(request.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.asked.push_back(id);
        Ok(())
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, _out: &mut Vec<u8>) -> Result<(usize, Event<String>), Error> {
        let other = |words| Err(Error::Violation(Violation::Other(words)));
        if !self.tls {
            return match input.bytes.first() {
                None => Ok((0, Event::NeedData { at_least: 1 })),
                Some(b'S') => Ok((1, Event::StartTls)),
                Some(b'N') => other("the server has no TLS"),
                Some(_) => other("this is no answer"),
            };
        }
        let Some(end) = input.bytes.iter().position(|byte| *byte == b'\n') else {
            return Ok((0, Event::NeedData { at_least: input.bytes.len() + 1 }));
        };
        let Some(id) = self.asked.pop_front() else { return other("nobody asked") };
        let message = String::from_utf8_lossy(&input.bytes[..end]).trim_end().to_owned();
        Ok((end + 1, Event::Message { id, message, done: true }))
    }

    fn slots(&self) -> usize {
        if self.tls || self.eager { 4 - self.asked.len() } else { 0 }
    }

    fn cancel(&mut self, id: ExchangeId, _out: &mut Vec<u8>) -> bool {
        self.asked.retain(|other| *other != id);
        !self.tls
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        self.asked.pop_front().map(|id| (id, Replay::Unknown))
    }
}

/// Asks so many times on one connection and writes down what comes of it.
#[derive(Default)]
struct Asker {
    tls: Option<Tls>,
    plain: bool,
    eager: bool,
    patience: Duration,
    requests: u64,
    next: u64,
    connected: Vec<bool>,
    upgrading: bool,
    answers: Vec<String>,
    failed: Vec<(ExchangeId, String)>,
    closed: Option<(bool, Reason)>,
    end_point: Option<Vec<u8>>,
    exporter: Option<[u8; 32]>,
}

impl Handler<Lines> for Asker {
    fn connected(&mut self, _at: At, established: Established<'_>) -> Lines {
        self.connected.push(established.tls);
        if let Some(binding) = established.channel_binding {
            (self.end_point, self.exporter) = (binding.tls_server_end_point(), binding.tls_exporter());
        }
        Lines { plain: self.plain, eager: self.eager, ..Lines::default() }
    }

    fn pull(&mut self, _at: At, to: &mut Sender<'_, Lines>) {
        while to.slots() > 0 && self.next < self.requests {
            to.send(ExchangeId(self.next), &format!("ask {}", self.next)).expect("there is a slot");
            self.next += 1;
        }
        if self.next == self.requests && self.answers.len() as u64 == self.requests {
            assert_eq!(to.protocol().told, if self.upgrading { 2 } else { 1 });
            to.close();
        }
    }

    fn on_message(&mut self, _at: At, _id: Option<ExchangeId>, message: String, _done: bool) -> Flow {
        self.answers.push(message);
        Flow::Continue
    }

    fn on_failed(&mut self, _at: At, id: ExchangeId, reason: &Reason, _replay: Replay) {
        self.failed.push((id, reason.to_string()));
    }

    fn start_tls(&mut self, at: At) -> Option<(Tls, Moment)> {
        self.upgrading = true;
        Some((self.tls.clone()?, at.now + self.patience))
    }

    fn on_closed(&mut self, _at: At, opened: bool, reason: &Reason) {
        assert!(self.closed.is_none(), "a connection closes once");
        let again = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        let reason = match reason {
            Reason::Tls(error) => Reason::Tls(again(error)),
            Reason::Io(error) => Reason::Io(again(error)),
            Reason::Protocol(error) => Reason::Protocol(*error),
            Reason::Deadline => Reason::Deadline,
            Reason::Owner => Reason::Owner,
            Reason::Truncated => Reason::Truncated,
            Reason::Ended => Reason::Ended,
            Reason::Finished => Reason::Finished,
            other => panic!("{other}"),
        };
        self.closed = Some((opened, reason));
    }
}

fn asker(tls: Tls) -> Asker {
    Asker { tls: Some(tls), patience: Duration::from_secs(60), requests: 10, ..Asker::default() }
}

/// Runs it against a server until the connection is closed.
fn run(mut asker: Asker, address: impl Into<Address>) -> Asker {
    let mut reactor = Reactor::new().unwrap();
    let deadline = reactor.now() + Duration::from_secs(60);
    match &asker.tls {
        Some(tls) if asker.plain => reactor.connect_tls(&address.into(), tls, 0, deadline).unwrap(),
        _ => reactor.connect(&address.into(), 0, deadline).unwrap(),
    };
    while asker.closed.is_none() {
        reactor.turn(None, &mut asker).unwrap();
    }
    assert!(reactor.is_empty());
    asker
}

/// Whom these clients trust, and what these servers show.
fn trusted() -> (Tls, Arc<ServerConfig>) {
    let root = Authority::new("root");
    let settings = TlsSettings::new().roots_pem(root.pem.as_str());
    (settings.connect("localhost", &[]).unwrap(), Arc::new(root.localhost().server()))
}

fn answer_lines(conn: &mut Conn) -> io::Result<()> {
    loop {
        let line = conn.line()?;
        conn.send(format!("{line}: answered\r\n"))?;
    }
}

/// A server that agrees to TLS, does this, and answers lines.
fn agreeing(config: Arc<ServerConfig>, then: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static) -> Peer {
    Peer::start(move |conn| {
        assert_eq!(conn.take(8)?, SSL_REQUEST);
        then(conn)?;
        conn.start_tls(&config)?;
        answer_lines(conn)
    })
}

#[test]
fn tls_begins_in_mid_connection_and_the_machine_goes_on_inside() {
    must_end(|| {
        let (tls, config) = trusted();
        let peer = agreeing(config, |conn| conn.send("S"));
        for eager in [false, true] {
            let asker = run(Asker { eager, ..asker(tls.clone()) }, peer.address());
            let wanted: Vec<_> = (0..10).map(|number| format!("ask {number}: answered")).collect();
            assert_eq!(asker.answers, wanted);
            assert_eq!(asker.connected, [false], "the handler is asked for a machine once");
            assert!(asker.failed.is_empty() && matches!(asker.closed, Some((true, Reason::Owner))));
        }
    });
}

#[test]
fn plain_text_that_came_before_tls_is_an_attack() {
    must_end(|| {
        let (tls, config) = trusted();
        // CVE-2021-23222: what somebody in the middle adds would pass for the server's.
        for injected in ["S\n", "Sask 0: wrong\r\n", "SS", "S\x16\x03\x03"] {
            let peer = agreeing(config.clone(), move |conn| conn.send(injected));
            for eager in [false, true] {
                let asker = run(Asker { eager, ..asker(tls.clone()) }, peer.address());
                let Some((true, Reason::Tls(error))) = asker.closed else { panic!("{:?}", asker.closed) };
                assert!(error.to_string().contains("plain text came where TLS was to begin"), "{error}");
                assert!(asker.answers.is_empty(), "{:?}", asker.answers);
                let failed: Vec<_> = asker.failed.iter().map(|(id, _)| id.0).collect();
                assert_eq!(failed, if eager { vec![0, 1, 2, 3] } else { vec![] });
            }
        }
    });
}

#[test]
fn garbage_in_place_of_the_handshake_is_a_failure_of_tls() {
    must_end(|| {
        let (tls, config) = trusted();
        for eager in [false, true] {
            let peer = agreeing(config.clone(), |conn| {
                conn.send("S")?;
                // After the first words of the handshake, so that it cannot be taken for what the test above sends.
                conn.glance()?;
                conn.send("ask 0: wrong\r\n")?;
                conn.stall()
            });
            let asker = run(Asker { eager, ..asker(tls.clone()) }, peer.address());
            let Some((true, Reason::Tls(error))) = asker.closed else { panic!("{:?}", asker.closed) };
            assert!(error.to_string().contains("is not TLS"), "{error}");
            assert!(asker.answers.is_empty());
            assert_eq!(asker.failed.len(), if eager { 4 } else { 0 });
            assert!(asker.failed.iter().all(|(_, words)| words.contains("is not TLS")), "{:?}", asker.failed);
        }
    });
}

#[test]
fn a_refusal_a_missing_setting_and_a_wrong_certificate_never_lead_back_to_plain_text() {
    must_end(|| {
        let (tls, config) = trusted();
        let peer = agreeing(config.clone(), |conn| conn.send("N").and_then(|()| conn.stall()));
        let refused = run(asker(tls), peer.address());
        assert!(matches!(refused.closed, Some((true, Reason::Protocol(_)))), "{:?}", refused.closed);
        let peer = agreeing(config.clone(), |conn| conn.send("S"));
        let missing = run(Asker { tls: None, ..asker(trusted().0) }, peer.address());
        let Some((true, Reason::Io(error))) = missing.closed else { panic!("{:?}", missing.closed) };
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        let another = TlsSettings::new().roots_pem(Authority::new("another").pem);
        let strange = run(asker(another.connect("localhost", &[]).unwrap()), peer.address());
        let Some((true, Reason::Tls(error))) = strange.closed else { panic!("{:?}", strange.closed) };
        assert!(error.to_string().contains("signed by an unknown authority"), "{error}");
    });
}

#[test]
fn a_handshake_in_mid_connection_has_a_deadline() {
    must_end(|| {
        let (tls, config) = trusted();
        let peer = agreeing(config, |conn| conn.send("S").and_then(|()| conn.stall()));
        let silent = run(Asker { patience: Duration::from_millis(50), eager: true, ..asker(tls) }, peer.address());
        assert!(matches!(silent.closed, Some((true, Reason::Deadline))), "{:?}", silent.closed);
        assert_eq!(silent.failed.len(), 4, "each exchange is told once");
    });
}

#[test]
fn an_exchange_that_is_cancelled_during_the_handshake_is_not_named_again() {
    must_end(|| {
        let (tls, config) = trusted();
        let peer = agreeing(config, |conn| {
            conn.send("S")?;
            conn.wait();
            Ok(())
        });
        let mut asker = Asker { eager: true, ..asker(tls) };
        let mut reactor = Reactor::new().unwrap();
        let deadline = reactor.now() + Duration::from_secs(60);
        let key: Key = reactor.connect(&Address::Tcp(peer.address()), 0, deadline).unwrap();
        while !asker.upgrading {
            reactor.turn(None, &mut asker).unwrap();
        }
        reactor.turn(Some(Duration::ZERO), &mut asker).unwrap();
        reactor.cancel(key, ExchangeId(1), &mut asker);
        peer.open_gate();
        while asker.closed.is_none() && asker.answers.len() < 4 {
            reactor.turn(None, &mut asker).unwrap();
        }
        drop(peer);
        while asker.closed.is_none() {
            reactor.turn(None, &mut asker).unwrap();
        }
        assert!(asker.failed.iter().all(|(id, _)| *id != ExchangeId(1)), "{:?}", asker.failed);
    });
}

/// Runs openssl to its end and hands back what it wrote.
fn openssl(folder: &Path, arguments: &str) -> String {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output();
    let output = output.expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Connects to a server over TLS, and asks it nothing.
fn bind(tls: &Tls, address: impl Into<Address>) -> Asker {
    let asker = run(Asker { plain: true, requests: 0, ..asker(tls.clone()) }, address);
    assert!(matches!(asker.closed, Some((true, Reason::Owner))), "{:?}", asker.closed);
    asker
}

#[test]
fn an_authentication_can_be_tied_to_the_certificate_of_the_server() {
    must_end(|| {
        // RFC 5929 §4.1: the hash is that of the signature, and SHA-256 for the two that are too weak.
        for (how, hash) in [
            ("rsa:2048 -sha256", "sha256"),
            ("rsa:2048 -sha384", "sha384"),
            ("rsa:2048 -sha512", "sha512"),
            ("rsa:2048 -sha1", "sha256"),
            ("rsa:2048 -md5", "sha256"),
            ("rsa:2048 -sha384 -sigopt rsa_padding_mode:pss", "sha384"),
            ("rsa:2048 -sha1 -sigopt rsa_padding_mode:pss", "sha256"),
            ("ec -pkeyopt ec_paramgen_curve:P-256 -sha256", "sha256"),
            ("ec -pkeyopt ec_paramgen_curve:P-256 -sha512", "sha512"),
            ("ec -pkeyopt ec_paramgen_curve:P-384 -sha384", "sha384"),
            ("ec -pkeyopt ec_paramgen_curve:P-256 -sha1", "sha256"),
            ("ed25519", ""),
            ("rsa:2048 -sha224", ""),
        ] {
            let folder = Folder::new();
            let make = format!("req -x509 -nodes -subj /CN=x -keyout key.pem -out cert.pem -newkey {how}");
            openssl(folder.path(), &make);
            let identity = Identity {
                pem: std::fs::read_to_string(folder.path().join("cert.pem")).unwrap(),
                chain: std::fs::read_to_string(folder.path().join("cert.pem")).unwrap(),
                key: std::fs::read_to_string(folder.path().join("key.pem")).unwrap(),
            };
            let peer = Peer::secure(identity.server(), Conn::stall);
            let insecure = TlsSettings::new().insecure_accept_any_certificate().connect("x", &[]).unwrap();
            let end_point = bind(&insecure, peer.address()).end_point.map(|bytes| hex(&bytes));
            let wanted = (!hash.is_empty()).then(|| {
                openssl(folder.path(), "x509 -in cert.pem -outform DER -out cert.der");
                let digest = openssl(folder.path(), &format!("dgst -r -{hash} cert.der"));
                digest.split(' ').next().unwrap().to_owned()
            });
            assert_eq!(end_point, wanted, "{how}");
            // And when the certificate did not travel, because the session was resumed.
            assert_eq!(bind(&insecure, peer.address()).end_point.map(|bytes| hex(&bytes)), wanted, "{how}, resumed");
        }
    });
}

#[test]
fn an_authentication_can_be_tied_to_the_connection() {
    must_end(|| {
        let (root, folder) = (Authority::new("root"), Folder::new());
        let identity = root.issue(&Wanted::default());
        folder.write("server.pem", &identity.chain);
        folder.write("server.key", &identity.key);
        let log = folder.path().join("log");
        let settings = TlsSettings::new().roots_pem(root.pem.as_str());
        let plain = settings.connect("localhost", &[]).unwrap();
        let tls = plain.clone().keep_exporter();
        for (version, has) in [("-tls1_3", true), ("-tls1_2", false)] {
            std::fs::write(&log, "").unwrap();
            // The shell makes way for openssl, which is so the process that is ended in the end. Its standard input must
            // neither end nor bring anything.
            let server = Server::start("sh", "dash", |command, port| {
                command.current_dir(folder.path()).arg("-c").arg(format!(
                    "rm -f in; mkfifo in; exec openssl s_server -accept 127.0.0.1:{port} {version} -cert server.pem \
                     -key server.key -keymatexport EXPORTER-Channel-Binding -keymatexportlen 32 0<>in > log"
                ));
            });
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], server.port));
            let bindings: Vec<_> = (0..3).map(|_| bind(&tls, address).exporter).collect();
            assert_eq!(bind(&plain, address).exporter, None, "nobody asked to keep it");
            if !has {
                assert_eq!(bindings, [None; 3], "RFC 9266 §3 wants what this version may lack");
                continue;
            }
            // Some of them resume; each has its own.
            let wanted: Vec<_> = bindings.into_iter().map(|binding| hex(&binding.expect("it was kept"))).collect();
            assert!(wanted[0] != wanted[1] && wanted[1] != wanted[2]);
            drop(server);
            let log = std::fs::read_to_string(&log).unwrap().to_lowercase();
            for binding in wanted {
                assert!(log.contains(&binding), "{binding} in {log}");
            }
        }
    });
}

#[test]
fn both_ends_agree_on_what_an_authentication_is_tied_to() {
    must_end(|| {
        let root = Authority::new("root");
        let settings = TlsSettings::new().roots_pem(root.pem.as_str());
        let tls = settings.connect("localhost", &[]).unwrap().keep_exporter();
        for version in [&TLS12, &TLS13] {
            let (sender, receiver) = std::sync::mpsc::channel();
            let sender = std::sync::Mutex::new(sender);
            let peer = Peer::secure(root.localhost().server_of(version), move |conn| {
                let exported = conn.tls().export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""));
                sender.lock().unwrap().send(exported.unwrap()).unwrap();
                conn.stall()
            });
            for _ in 0..3 {
                let ours = bind(&tls, peer.address()).exporter;
                let theirs = receiver.recv().unwrap();
                assert_eq!(ours, (version == &TLS13).then_some(theirs));
            }
        }
    });
}
