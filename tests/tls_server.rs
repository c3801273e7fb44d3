//! The reactor as a TLS server: our own client, Python's and openssl's against it, many at once, and clients that break
//! off or never spoke TLS.
#![cfg(all(feature = "http1", feature = "tls"))]

mod support;

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aquests::protocols::http1::Server;
use aquests::protocols::semantics::{Body, Message, PreparedResponse, RequestHead, Response};
use aquests::protocols::{Established, ExchangeId, Replay};
use aquests::reactor::{At, Flow, Handler, Key, Listener, Reactor, Reason, Sender, ServerTls, Waker};
use aquests::{Client, Error, ErrorKind, Request, TlsSettings, Versions};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use support::tls::Authority;
use support::{Folder, must_end};

/// What the server saw.
#[derive(Clone, Default)]
struct Seen {
    /// Protocols that were agreed on, and whether inside TLS.
    established: BTreeSet<(bool, Option<String>)>,
    opened: usize,
    closed: usize,
    /// Why connections closed that were never established.
    unopened: Vec<String>,
}

/// Answers each request with its target, and what came with it.
struct Echo {
    requests: HashMap<Key, (String, Vec<u8>)>,
    ready: HashMap<Key, ExchangeId>,
    seen: Arc<Mutex<Seen>>,
}

impl Echo {
    fn see(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
    }
}

impl Handler<Server> for Echo {
    fn connected(&mut self, _at: At, established: Established<'_>) -> Server {
        let alpn = established.alpn.map(|alpn| String::from_utf8_lossy(alpn).into_owned());
        self.see(|seen| {
            seen.established.insert((established.tls, alpn));
            seen.opened += 1;
        });
        Server::new()
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Server>) {
        if let Some(id) = self.ready.remove(&at.key) {
            let (target, mut body) = self.requests.remove(&at.key).expect("a request has a head");
            body.splice(..0, target.into_bytes());
            let head = PreparedResponse::new(200, "OK").expect("this is a good answer");
            to.send(id, Response { head: &head, body: Body::Whole(&body) }).expect("it waits for one");
        }
    }

    fn on_message(
        &mut self,
        at: At,
        id: Option<ExchangeId>,
        message: Message<'_, RequestHead<'_>>,
        done: bool,
    ) -> Flow {
        match message {
            Message::Head(head) => drop(self.requests.insert(at.key, (head.target.to_owned(), Vec::new()))),
            Message::Data(bytes) => {
                self.requests.get_mut(&at.key).expect("a body has a head").1.extend_from_slice(bytes);
            }
            _ => {}
        }
        if done {
            self.ready.insert(at.key, id.expect("requests are numbered"));
        }
        Flow::Continue
    }

    fn on_failed(&mut self, _at: At, _id: ExchangeId, _reason: &Reason, _replay: Replay) {}

    fn on_closed(&mut self, at: At, opened: bool, reason: &Reason) {
        self.requests.remove(&at.key);
        self.ready.remove(&at.key);
        self.see(|seen| {
            seen.closed += usize::from(opened);
            if !opened {
                seen.unopened.push(reason.to_string());
            }
        });
    }
}

/// A server on a thread of its own.
struct Target {
    address: SocketAddr,
    authority: Authority,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Target {
    fn start(alpn: &[&[u8]]) -> Self {
        let authority = Authority::new("root");
        let identity = authority.below("between").localhost();
        let tls = ServerTls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes(), alpn).unwrap();
        let mut reactor = Reactor::new().unwrap();
        let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        reactor.listen(listener.tls(tls), 0).unwrap();
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
        let waker = reactor.waker();
        let thread = thread::spawn({
            let (stop, seen) = (stop.clone(), seen.clone());
            move || {
                let mut echo = Echo { requests: HashMap::new(), ready: HashMap::new(), seen };
                while !stop.load(Ordering::SeqCst) {
                    reactor.turn(None, &mut echo).unwrap();
                }
            }
        });
        Self { address, authority, seen, stop, waker, thread: Some(thread) }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    fn client(&self, workers: usize) -> Client {
        let settings = TlsSettings::new().roots_pem(self.authority.pem.as_str());
        Client::builder().versions(Versions::Http1).workers(workers).tls(settings).build().unwrap()
    }

    /// Why the next connection that came to nothing closed.
    fn unopened(&self, number: usize) -> String {
        loop {
            if let Some(words) = self.seen().unopened.get(number) {
                return words.clone();
            }
            thread::yield_now();
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.waker.wake().unwrap();
        let ended = self.thread.take().expect("it ends once").join();
        assert!(thread::panicking() || ended.is_ok(), "the server panicked");
    }
}

fn fetch(client: &mut Client) -> Vec<Result<String, Error>> {
    let mut outcomes = Vec::new();
    client
        .fetch_all_with(|_, outcome| {
            outcomes.push((outcome.request_id(), outcome.into_result()));
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    outcomes.sort_by_key(|(id, _)| *id);
    outcomes.into_iter().map(|(_, result)| result.map(|response| response.text().into_owned())).collect()
}

#[test]
fn many_connections_are_answered_and_know_their_protocol() {
    must_end(|| {
        let target = Target::start(&[b"h2", b"http/1.1"]);
        let mut client = target.client(100);
        for number in 0..3_000 {
            client.get(target.url(&format!("/{number}"))).unwrap();
        }
        for (number, result) in fetch(&mut client).into_iter().enumerate() {
            assert_eq!(result.unwrap(), format!("/{number}"));
        }
        let seen = target.seen();
        assert_eq!(seen.established, [(true, Some("http/1.1".to_owned()))].into());
        assert!(seen.opened <= 100 && seen.unopened.is_empty(), "{} and {:?}", seen.opened, seen.unopened);
        drop(client);
        while target.seen().closed < seen.opened {
            thread::yield_now();
        }
    });
}

#[test]
fn large_bodies_pass_in_both_directions_at_once() {
    must_end(|| {
        let target = Target::start(&[]);
        let mut client = target.client(4);
        let bodies: Vec<String> = (0..8).map(|number| format!("{number:07} ").repeat(1 << 19)).collect();
        for body in &bodies {
            client.send(Request::post(target.url("/")).body(body.clone())).unwrap();
        }
        for (result, body) in fetch(&mut client).into_iter().zip(&bodies) {
            assert!(result.unwrap()[1..] == *body, "4 MiB came back as they went");
        }
        assert_eq!(target.seen().established, [(true, None)].into(), "no list, no choice");
    });
}

#[test]
fn nobody_is_served_without_a_protocol_in_common() {
    must_end(|| {
        let target = Target::start(&[b"spdy/1"]);
        let mut client = target.client(1);
        client.get(target.url("/")).unwrap();
        let error = fetch(&mut client).remove(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains("none of the protocols that were offered"), "{error}");
        assert!(target.unopened(0).contains("none of the protocols"), "{}", target.unopened(0));
    });
}

#[test]
fn clients_of_other_makers_are_served() {
    must_end(|| {
        let target = Target::start(&[b"http/1.1"]);
        let folder = Folder::new();
        folder.write("root.pem", &target.authority.pem);
        let root = folder.path().join("root.pem");
        for version in ["TLSv1_2", "TLSv1_3"] {
            let script = format!(
                "import ssl, urllib.request\n\
                 context = ssl.create_default_context(cafile='{}')\n\
                 context.minimum_version = context.maximum_version = ssl.TLSVersion.{version}\n\
                 context.set_alpn_protocols(['http/1.1'])\n\
                 print(urllib.request.urlopen('{}', context=context).read().decode())",
                root.display(),
                target.url("/python")
            );
            let output = Command::new("python3").args(["-c", &script]).output().expect("python3 is installed");
            assert_eq!(String::from_utf8_lossy(&output.stdout), "/python\n", "{output:?}");
        }
        for version in ["-tls1_2", "-tls1_3"] {
            let mut openssl = Command::new("openssl")
                .args(["s_client", "-quiet", "-verify_return_error", version, "-CAfile"])
                .arg(&root)
                .args(["-connect", &target.address.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("openssl is installed");
            let request = b"GET /openssl HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            let mut stdin = openssl.stdin.take().unwrap();
            stdin.write_all(request).unwrap();
            let mut answer = String::new();
            openssl.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
            assert!(answer.ends_with("\r\n\r\n/openssl"), "{version}: {answer}");
            assert!(openssl.wait().unwrap().success());
        }
    });
}

#[test]
fn clients_that_speak_no_tls_or_break_off_are_told_apart_and_hurt_nobody() {
    must_end(|| {
        let target = Target::start(&[b"http/1.1"]);
        let mut plain = TcpStream::connect(target.address).unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        plain.read_to_end(&mut answer).unwrap();
        // A fatal alert (RFC 8446 §6), which is all that can be said to such a client.
        assert_eq!(answer[..6], [21, 3, 3, 0, 2, 2]);
        assert!(target.unopened(0).contains("is not TLS"), "{}", target.unopened(0));
        drop(TcpStream::connect(target.address).unwrap());
        assert!(target.unopened(1).contains("closed the connection during the TLS handshake"));
        // Half a hello.
        let mut half = TcpStream::connect(target.address).unwrap();
        half.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).unwrap();
        drop(half);
        assert!(target.unopened(2).contains("during the TLS handshake"));
        // One that does not believe us.
        let mut client =
            Client::builder().tls(TlsSettings::new().roots_pem(Authority::new("another").pem)).build().unwrap();
        client.get(target.url("/")).unwrap();
        assert!(fetch(&mut client).remove(0).is_err());
        assert!(target.unopened(3).contains("it does not know who signed our certificate"), "{}", target.unopened(3));
        let mut client = target.client(1);
        client.get(target.url("/still")).unwrap();
        assert_eq!(fetch(&mut client).remove(0).unwrap(), "/still");
    });
}

#[test]
fn a_certificate_that_does_not_fit_is_refused_at_once() {
    let authority = Authority::new("root");
    let (one, two) = (authority.localhost(), authority.localhost());
    let made = |chain: &str, key: &str| ServerTls::from_pem(chain.as_bytes(), key.as_bytes(), &[]);
    assert!(made(&one.chain, &one.key).is_ok());
    for (chain, key) in [(&*one.chain, &*two.key), (&one.key, &one.key), (&one.chain, &one.chain), ("", "")] {
        let error = made(chain, key).unwrap_err();
        assert!(one.key.lines().all(|line| !error.contains(line)), "{error}");
    }
    let text = format!("{:?}", made(&one.chain, &one.key).unwrap());
    assert!(one.key.lines().all(|line| !text.contains(line)), "{text}");
}

/// Asks for an echo as a client by other hands, says its last word, and reads only later.
fn ask_and_read_late(authority: &str, mut socket: UnixStream, length: usize) -> io::Result<usize> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(support::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&vec![b'x'; length])?;
    stream.conn.send_close_notify();
    stream.flush()?;
    stream.sock.shutdown(Shutdown::Write)?;
    thread::sleep(Duration::from_millis(300));
    let mut answer = Vec::new();
    // An error if the end is not that of TLS.
    stream.read_to_end(&mut answer)?;
    Ok(answer.iter().rev().take_while(|byte| **byte == b'x').count())
}

/// Of lengths so close together, one or two fill the socket with all but the very last records.
#[test]
fn an_answer_is_whole_although_the_client_said_its_last_word_and_reads_late() {
    must_end(|| {
        let (authority, folder) = (Authority::new("root"), Folder::new());
        let (identity, socket) = (authority.localhost(), folder.path().join("socket"));
        let tls = ServerTls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes(), &[]).unwrap();
        let mut reactor = Reactor::<Server>::new().unwrap();
        reactor.listen(Listener::unix(&socket).unwrap().tls(tls), 0).unwrap();
        let lengths = (64 << 10..512 << 10).step_by(12 << 10);
        let clients: Vec<_> = lengths
            .map(|length| {
                let (socket, authority) = (UnixStream::connect(&socket).unwrap(), authority.pem.clone());
                thread::spawn(move || (length, ask_and_read_late(&authority, socket, length)))
            })
            .collect();
        let mut echo = Echo { requests: HashMap::new(), ready: HashMap::new(), seen: Arc::default() };
        while !clients.iter().all(JoinHandle::is_finished) {
            reactor.turn(Some(Duration::from_millis(5)), &mut echo).unwrap();
        }
        for client in clients {
            let (length, came) = client.join().unwrap();
            assert_eq!(came.unwrap(), length);
        }
    });
}

#[test]
fn nothing_that_was_said_is_in_a_debug_print() {
    must_end(|| {
        let (secret, authority) = (b"a-secret-of-16-b", Authority::new("root"));
        let identity = authority.localhost();
        for secure in [false, true] {
            let mut reactor = Reactor::<Server>::new().unwrap();
            let mut listener = Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap();
            let address = listener.local_addr().unwrap();
            if secure {
                let tls = ServerTls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes(), &[]).unwrap();
                listener = listener.tls(tls);
            }
            reactor.listen(listener, 0).unwrap();
            let mut client =
                Client::builder().tls(TlsSettings::new().roots_pem(authority.pem.as_str())).build().unwrap();
            let url = format!("{}://{address}/", if secure { "https" } else { "http" });
            let body = secret.repeat(20_000);
            client.send(Request::post(url).header("authorization", "a-secret-of-16-b").body(body)).unwrap();
            let mut echo = Echo { requests: HashMap::new(), ready: HashMap::new(), seen: Arc::default() };
            // In every state on the way.
            let numbers = format!("{secret:?}");
            let numbers = numbers.trim_matches(['[', ']']);
            while client.next_outcome().is_none() {
                client.turn(Some(Duration::from_millis(1))).unwrap();
                reactor.turn(Some(Duration::from_millis(1)), &mut echo).unwrap();
                let prints = [format!("{reactor:?}"), format!("{client:?}")];
                assert!(
                    prints.iter().all(|print| !print.contains(numbers) && !print.contains("a-secret")),
                    "{prints:?}"
                );
            }
        }
    });
}
