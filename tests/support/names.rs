//! Name servers: one that does what a script tells it, over UDP and TCP on plain threads, and nsd.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::{Folder, Server, free_port};

/// A question that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) name: String,
    /// For IPv4 addresses; else for IPv6 addresses.
    pub(crate) a: bool,
    pub(crate) tcp: bool,
    /// How many were like it before.
    pub(crate) nth: usize,
    query: Vec<u8>,
}

/// What an answer consists of.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// An address of the name that was asked for, and how long it holds.
    Address(IpAddr, u32),
    /// One name is an alias of the other.
    Alias(String, String),
    /// Absence holds for so long.
    Absent(u32),
}

impl Asked {
    /// An answer with this code.
    pub(crate) fn answer(&self, code: u8, says: &[Says]) -> Vec<u8> {
        let end = question_end(&self.query);
        let mut message = self.query[..2].to_vec();
        let absent = says.iter().filter(|says| matches!(says, Says::Absent(_))).count();
        message.extend([0x81, 0x80 | code, 0, 1, 0, (says.len() - absent) as u8, 0, absent as u8, 0, 0]);
        message.extend(&self.query[12..end]);
        for says in says {
            let (owner, kind, ttl, data) = match says {
                Says::Address(IpAddr::V4(ip), ttl) => (vec![0xc0, 12], 1u16, *ttl, ip.octets().to_vec()),
                Says::Address(IpAddr::V6(ip), ttl) => (vec![0xc0, 12], 28, *ttl, ip.octets().to_vec()),
                Says::Alias(from, to) => (wire(from), 5, 60, wire(to)),
                Says::Absent(ttl) => {
                    let numbers = [0; 16].into_iter().chain(ttl.to_be_bytes());
                    (vec![0], 6, *ttl, [0, 0].into_iter().chain(numbers).collect())
                }
            };
            message.extend(owner);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1]);
            message.extend(ttl.to_be_bytes());
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(data);
        }
        message
    }

    /// This address where its family is asked for, else nothing.
    pub(crate) fn address(&self, ip: IpAddr, ttl: u32) -> Vec<Vec<u8>> {
        vec![if self.a == ip.is_ipv4() {
            self.answer(0, &[Says::Address(ip, ttl)])
        } else {
            self.answer(0, &[Says::Absent(ttl)])
        }]
    }

    /// The address of every test: 127.0.0.1, for an hour.
    pub(crate) fn here(&self) -> Vec<Vec<u8>> {
        self.address(Ipv4Addr::LOCALHOST.into(), 3600)
    }
}

fn wire(name: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

fn question_end(query: &[u8]) -> usize {
    let mut at = 12;
    while query[at] != 0 {
        at += 1 + usize::from(query[at]);
    }
    at + 5
}

type Script = dyn Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync;

/// A scripted name server.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    script: Box<Script>,
    log: Mutex<Vec<Asked>>,
    stopped: AtomicBool,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reply(&self, query: &[u8], tcp: bool) -> Vec<Vec<u8>> {
        let end = question_end(query);
        let mut labels = Vec::new();
        let mut rest = &query[12..end - 5];
        while let Some((&length, after)) = rest.split_first() {
            let (label, after) = after.split_at(usize::from(length));
            labels.push(String::from_utf8_lossy(label).into_owned());
            rest = after;
        }
        let (name, a) = (labels.join("."), query[end - 3] == 1);
        let mut log = self.log();
        let nth = log.iter().filter(|asked| (&asked.name, asked.a, asked.tcp) == (&name, a, tcp)).count();
        let asked = Asked { name, a, tcp, nth, query: query.to_vec() };
        log.push(asked.clone());
        drop(log);
        (self.script)(&asked)
    }
}

impl NameServer {
    /// `script` says with which messages each question is answered.
    pub(crate) fn start(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let shared =
            Arc::new(Shared { script: Box::new(script), log: Mutex::default(), stopped: AtomicBool::new(false) });
        let (udp, tcp) = (0..20)
            .find_map(|_| {
                let address = (Ipv4Addr::LOCALHOST, free_port());
                Some((UdpSocket::bind(address).ok()?, TcpListener::bind(address).ok()?))
            })
            .expect("a port for both");
        let address = udp.local_addr().expect("a socket has an address");
        let datagrams = {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok((length, from)) = udp.recv_from(&mut bytes) {
                    if shared.stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    for message in shared.reply(&bytes[..length], false) {
                        // The client may be gone.
                        let _ = udp.send_to(&message, from);
                    }
                }
            })
        };
        let streams = {
            let shared = shared.clone();
            thread::spawn(move || {
                for stream in tcp.incoming().flatten() {
                    if shared.stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = shared.clone();
                    thread::spawn(move || serve(stream, &shared));
                }
            })
        };
        Self { address, shared, threads: vec![datagrams, streams] }
    }

    /// One that never answers.
    pub(crate) fn mute() -> Self {
        Self::start(|_| Vec::new())
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.log().clone()
    }

    /// How often IPv4 addresses of a name were asked for.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.asked().iter().filter(|asked| asked.a && asked.name == name).count()
    }
}

/// An end of the stream is the client's right.
fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query).ok()?;
        for message in shared.reply(&query, true) {
            // In pieces: a stream has no borders.
            let length = (message.len() as u16).to_be_bytes();
            stream.write_all(&length[..1]).ok()?;
            stream.write_all(&[&length[1..], &message[..]].concat()).ok()?;
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            let _ = socket.send_to(&[0], self.address);
        }
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A running nsd, with one zone.
#[derive(Debug)]
pub(crate) struct Nsd {
    server: Server,
    _folder: Folder,
}

impl Nsd {
    /// Serves `example.` with these records behind SOA and NS.
    pub(crate) fn start(records: &str) -> Self {
        let folder = Folder::new();
        let zone = "$ORIGIN example.\n$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n";
        folder.write("example.zone", format!("{zone}{records}"));
        let path = folder.path().display().to_string();
        let server = Server::start("nsd", "nsd", |command, port| {
            let config = format!(
                "server:\n  ip-address: 127.0.0.1\n  port: {port}\n  zonesdir: {path:?}\n  database: \"\"\n  \
                 pidfile: \"\"\n  xfrdfile: \"{path}/xfrd.state\"\n  zonelistfile: \"{path}/zone.list\"\n  \
                 xfrdir: {path:?}\n  username: \"\"\n  verbosity: 0\n  rrl-ratelimit: 0\n\
                 remote-control:\n  control-enable: no\n\
                 zone:\n  name: example\n  zonefile: example.zone\n"
            );
            folder.write("nsd.conf", config);
            command.args(["-d", "-c"]).arg(folder.path().join("nsd.conf"));
        });
        Self { server, _folder: folder }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.server.port).into()
    }
}
