//! A server that does what a script tells it, connection by connection, on plain threads: what real servers do only when
//! they are broken. It writes down who asked for what on which connection.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::stream::Stream;

/// See [`Conn::misbehave`]; from 9 on, it answers at least once.
pub(crate) const FAULTS: usize = 15;

/// A running scripted server. Dropping it ends all its connections.
#[derive(Debug)]
pub(crate) struct Peer {
    place: Place,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    panicked: AtomicBool,
    forgets: AtomicBool,
    sent: AtomicU64,
    log: Mutex<Log>,
    open: Gate,
}

#[derive(Debug, Default)]
struct Log {
    connections: usize,
    seen: Vec<Seen>,
    /// A second handle of every connection that is alive, to end it.
    alive: BTreeMap<usize, Stream>,
}

/// A request that came whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The first value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Peer {
    /// `script` runs on a thread of its own for each connection. An error that it returns means that the client left,
    /// which is the client's right; the connection closes when the script is over.
    pub(crate) fn start(script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into(), script)
    }

    /// The same at an address.
    pub(crate) fn at(
        address: SocketAddr,
        script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a port can be had");
        // The default backlog of 128 is less than some tests open at once.
        rustix::net::listen(&listener, 4096).expect("a backlog can be raised");
        let place = Place::Tcp(listener.local_addr().expect("a listener has an address"));
        Self::run(place, move || Ok(Stream::Tcp(listener.accept()?.0)), script)
    }

    /// The same on a unix socket.
    pub(crate) fn unix(path: &Path, script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(path).expect("a socket can be made");
        Self::run(Place::Unix(path.to_owned()), move || Ok(Stream::Unix(listener.accept()?.0)), script)
    }

    /// The same over TLS: the script begins when the handshake is done.
    pub(crate) fn secure(
        config: rustls::ServerConfig,
        script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let config = Arc::new(config);
        Self::start(move |conn| {
            conn.start_tls(&config)?;
            script(conn)
        })
    }

    /// A server that answers every request with its own target.
    pub(crate) fn echo() -> Self {
        Self::start(Conn::echo)
    }

    fn run(
        place: Place,
        accept: impl Fn() -> io::Result<Stream> + Send + 'static,
        script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let acceptor = thread::spawn({
            let shared = shared.clone();
            move || accept_all(&accept, Arc::new(script), &shared)
        });
        Self { place, shared, acceptor: Some(acceptor) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match &self.place {
            Place::Tcp(address) => *address,
            Place::Unix(path) => panic!("{} has no port", path.display()),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub(crate) fn secure_url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address())
    }

    /// Connections that came so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.log().connections
    }

    /// Connections whose script has not ended.
    pub(crate) fn alive(&self) -> usize {
        self.shared.log().alive.len()
    }

    /// Writes down no requests from here on: a long run would fill the memory.
    pub(crate) fn forgetful(self) -> Self {
        self.shared.forgets.store(true, Ordering::SeqCst);
        self
    }

    /// Requests that came whole so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.log().seen.clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.log().seen.len()
    }

    /// Bytes that went out so far.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Who asked here, by `host` field.
    pub(crate) fn hosts(&self) -> BTreeSet<String> {
        self.shared.log().seen.iter().map(|seen| seen.field("host").unwrap_or_default().to_owned()).collect()
    }

    /// Lets all scripts go on that wait in [`Conn::wait`], now and later.
    pub(crate) fn open_gate(&self) {
        self.shared.open.open();
    }

    /// Ends all connections and accepts no more.
    pub(crate) fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.open.open();
        for stream in self.shared.log().alive.values() {
            stream.shutdown(Shutdown::Both);
        }
        // The acceptor waits for a connection, so it gets one.
        match &self.place {
            Place::Tcp(address) => drop(TcpStream::connect(address)),
            Place::Unix(path) => drop(UnixStream::connect(path)),
        }
        let _ = acceptor.join();
        // A test must not pass because its server broke.
        assert!(thread::panicking() || !self.shared.panicked.load(Ordering::SeqCst), "the script of a peer panicked");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop();
    }
}

type Script = dyn Fn(&mut Conn) -> io::Result<()> + Send + Sync;

fn accept_all(accept: &dyn Fn() -> io::Result<Stream>, script: Arc<Script>, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    while let Ok(stream) = accept() {
        if shared.stopped.load(Ordering::SeqCst) {
            break;
        }
        let number = {
            let mut log = shared.log();
            let number = log.connections;
            log.connections += 1;
            log.alive.insert(number, stream.try_clone().expect("a descriptor can be had"));
            number
        };
        let (script, shared) = (script.clone(), shared.clone());
        // Many threads that do little: they need no large stack.
        let thread = thread::Builder::new().stack_size(256 << 10).spawn(move || {
            let _alive = Alive { shared: shared.clone(), number };
            // What the client does to the script is the client's right.
            let _ = script(&mut Conn { stream, number, unread: Vec::new(), shared });
        });
        threads.push(thread.expect("a thread can be had"));
        if threads.len() > 256 {
            threads.retain(|thread| !thread.is_finished());
        }
    }
    for thread in threads {
        // A script that panicked is counted already.
        let _ = thread.join();
    }
}

/// Ends with the script: the second handle goes, and the connection with it.
struct Alive {
    shared: Arc<Shared>,
    number: usize,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.shared.log().alive.remove(&self.number);
        if thread::panicking() {
            self.shared.panicked.store(true, Ordering::SeqCst);
        }
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(open, |open| !*open));
    }
}

/// One connection, in the hands of a script.
#[derive(Debug)]
pub(crate) struct Conn {
    stream: Stream,
    number: usize,
    unread: Vec<u8>,
    shared: Arc<Shared>,
}

impl Conn {
    /// The number of this connection, from 0.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Reads a request to its end and writes it down.
    pub(crate) fn request(&mut self) -> io::Result<Seen> {
        let mut seen = self.head()?;
        if let Some(length) = seen.field("content-length").and_then(|length| length.parse::<usize>().ok()) {
            seen.body = self.take(length)?;
        } else if seen.field("transfer-encoding").is_some() {
            seen.body = self.chunks()?;
        }
        self.write_down(&seen);
        Ok(seen)
    }

    /// Reads the head of a request, and leaves its body unread.
    pub(crate) fn head(&mut self) -> io::Result<Seen> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more()?;
        };
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        self.unread.drain(..end);
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Ok(Seen {
            connection: self.number,
            method: method.to_owned(),
            target: target.to_owned(),
            head: head.clone(),
            body: Vec::new(),
        })
    }

    /// Writes a request down that was read by hand.
    pub(crate) fn write_down(&mut self, seen: &Seen) {
        if !self.shared.forgets.load(Ordering::SeqCst) {
            self.shared.log().seen.push(seen.clone());
        }
    }

    /// Reads so many bytes and forgets them.
    pub(crate) fn swallow(&mut self, bytes: u64) -> io::Result<()> {
        let mut left = bytes;
        while left > 0 {
            if self.unread.is_empty() {
                self.read_more()?;
            }
            let some = left.min(self.unread.len() as u64);
            self.unread.drain(..some as usize);
            left -= some;
        }
        Ok(())
    }

    /// How many bytes the client sends until it leaves.
    pub(crate) fn count_rest(&mut self) -> u64 {
        let mut count = 0;
        loop {
            count += self.unread.len() as u64;
            self.unread.clear();
            if self.read_more().is_err() {
                return count;
            }
        }
    }

    /// Something that the client sent is here and was not read.
    pub(crate) fn has_unread(&self) -> bool {
        let Stream::Tcp(stream) = &self.stream else { panic!("{:?} cannot be looked into", self.stream) };
        stream.set_nonblocking(true).expect("a socket can be told not to block");
        let there = stream.peek(&mut [0]).is_ok_and(|bytes| bytes > 0);
        stream.set_nonblocking(false).expect("a socket can be told to block");
        there || !self.unread.is_empty()
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("'{line}' is no chunk size")))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size)?);
            self.line()?;
        }
    }

    /// Reads a line, without its end.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.unread.windows(2).position(|bytes| bytes == b"\r\n") {
                let line = String::from_utf8_lossy(&self.unread[..at]).into_owned();
                self.unread.drain(..at + 2);
                return Ok(line);
            }
            self.read_more()?;
        }
    }

    /// Reads so many bytes.
    pub(crate) fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.read_more()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// Reads whatever comes first, and leaves it unread.
    pub(crate) fn glance(&mut self) -> io::Result<()> {
        self.read_more()
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 << 10];
        match self.stream.read(&mut bytes)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.unread.extend_from_slice(&bytes[..count]);
                Ok(())
            }
        }
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let mut bytes = bytes.as_ref();
        while !bytes.is_empty() {
            let sent = self.stream.write(bytes)?;
            self.shared.sent.fetch_add(sent as u64, Ordering::Relaxed);
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Sends bytes one by one, each in a packet of its own.
    pub(crate) fn drip(&mut self, bytes: impl AsRef<[u8]>, pause: Duration) -> io::Result<()> {
        for byte in bytes.as_ref() {
            self.send([*byte])?;
            if !pause.is_zero() {
                thread::sleep(pause);
            }
        }
        Ok(())
    }

    /// Sends the same bytes until the client has enough of them.
    pub(crate) fn send_for_ever(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        loop {
            self.send(&bytes)?;
        }
    }

    /// Answers 200 with a body.
    pub(crate) fn answer(&mut self, body: impl AsRef<[u8]>) -> io::Result<()> {
        let body = body.as_ref();
        let mut bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        self.send(bytes)
    }

    /// Answers every request with its own target, as long as any come.
    pub(crate) fn echo(&mut self) -> io::Result<()> {
        loop {
            let seen = self.request()?;
            self.answer(seen.target)?;
        }
    }

    /// One of [`FAULTS`] ways to be broken, or of two or three to be well. What it answers it answers with the target.
    pub(crate) fn misbehave(&mut self, fault: usize) -> io::Result<()> {
        match fault {
            0 => return self.reset(),
            1 => return Ok(()),
            _ => {}
        }
        loop {
            let target = self.request()?.target;
            let length = target.len();
            match fault {
                2 => return self.reset(),
                3 => return Ok(()),
                4 => self.send("HTTP/1.1 200 OK\r\ncontent-le").and_then(|()| self.close())?,
                5 => self.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n123").and_then(|()| self.reset())?,
                6 => self.send("garbage").and_then(|()| self.stall())?,
                7 => self.stall()?,
                8 => self.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n123").and_then(|()| self.stall())?,
                9 => self.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{target}, and more"))?,
                10 => self.answer(&target).and_then(|()| self.close())?,
                11 => self
                    .send(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{target}"))
                    .and_then(|()| self.close())?,
                12 => {
                    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                    self.drip(format!("{head}{length:x}\r\n{target}\r\n0\r\n\r\n"), Duration::ZERO)?;
                }
                _ => self.answer(&target)?,
            }
        }
    }

    /// Goes on inside TLS, when the handshake is done.
    pub(crate) fn start_tls(&mut self, config: &Arc<rustls::ServerConfig>) -> io::Result<()> {
        let connection = rustls::ServerConnection::new(config.clone()).expect("this is a good configuration");
        let mut tls = Box::new(rustls::StreamOwned::new(connection, self.stream.try_clone()?));
        while tls.conn.is_handshaking() {
            let done = tls.conn.complete_io(&mut tls.sock);
            if let Err(error) = done {
                // The alert that says why.
                let _ = tls.conn.write_tls(&mut tls.sock);
                return Err(error);
            }
        }
        // Tickets.
        tls.flush()?;
        self.stream = Stream::Tls(tls);
        Ok(())
    }

    /// What was negotiated.
    pub(crate) fn tls(&mut self) -> &mut rustls::ServerConnection {
        match &mut self.stream {
            Stream::Tls(tls) => &mut tls.conn,
            stream => panic!("no TLS on {stream:?}"),
        }
    }

    /// Goes on outside TLS, which it leaves in the hands of the script.
    pub(crate) fn leave_tls(&mut self) -> io::Result<rustls::ServerConnection> {
        let Stream::Tls(tls) = &self.stream else { panic!("no TLS on {:?}", self.stream) };
        let plain = tls.sock.try_clone()?;
        match std::mem::replace(&mut self.stream, plain) {
            Stream::Tls(tls) => Ok(tls.into_parts().0),
            stream => panic!("no TLS on {stream:?}"),
        }
    }

    /// Sends bytes beside TLS.
    pub(crate) fn send_raw(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tls(tls) => tls.sock.write_all(bytes.as_ref()),
            stream => stream.write_all(bytes.as_ref()),
        }
    }

    /// What TLS makes of these bytes, and its goodbye after them if that is wanted, to be sent with
    /// [`send_raw`](Self::send_raw).
    pub(crate) fn encrypt(&mut self, bytes: impl AsRef<[u8]>, goodbye: bool) -> io::Result<Vec<u8>> {
        let tls = self.tls();
        tls.set_buffer_limit(None);
        tls.writer().write_all(bytes.as_ref())?;
        if goodbye {
            tls.send_close_notify();
        }
        let mut ciphertext = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut ciphertext)?;
        }
        Ok(ciphertext)
    }

    /// How many more bytes [`cut_after`](Self::cut_after) lets out.
    pub(crate) fn left(&self) -> usize {
        match &self.stream {
            Stream::Tls(tls) => match &tls.sock {
                Stream::Cut { left, .. } => *left,
                _ => usize::MAX,
            },
            Stream::Cut { left, .. } => *left,
            _ => usize::MAX,
        }
    }

    /// Lets so many bytes out from here on; then it closes, or says nothing more.
    pub(crate) fn cut_after(&mut self, bytes: usize, silent: bool) -> io::Result<()> {
        self.stream = Stream::Cut { stream: Box::new(self.stream.try_clone()?), left: bytes, silent };
        Ok(())
    }

    /// Says nothing until the client leaves.
    pub(crate) fn stall(&mut self) -> io::Result<()> {
        loop {
            self.read_more()?;
            self.unread.clear();
        }
    }

    /// Reads nothing and says nothing until [`Peer::open_gate`].
    pub(crate) fn wait(&mut self) {
        self.shared.open.wait();
    }

    /// Ends the stream properly: what was sent arrives, whatever the client still sends.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            tls.flush()?;
        }
        self.stream.shutdown(Shutdown::Write);
        self.stall()
    }

    /// Ends the connection with a reset. What was sent may be lost.
    pub(crate) fn reset(&mut self) -> io::Result<()> {
        if let Stream::Tcp(stream) = self.stream.innermost() {
            rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}
