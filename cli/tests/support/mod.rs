//! What the tests of the command share: running it with a time limit, a target of its own, and servers of a few lines.
#![allow(dead_code)] // Each test file uses a part.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longer than anything here takes on the slowest machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What a run of the command left.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "out: {}\nerr: {}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }

    /// Checks that a text is in what was printed.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.out.contains(text), "'{text}' is not in out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// Checks that a text is in what was said on standard error.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "'{text}' is not in err: {}\nout: {}", self.err, self.out);
        self
    }
}

/// The command, running.
pub(crate) struct Running {
    child: Child,
    out: Option<JoinHandle<Vec<u8>>>,
    err: Option<JoinHandle<Vec<u8>>>,
}

pub(crate) fn command(args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aquests"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(crate) fn aquests(args: &[impl AsRef<OsStr>]) -> Ran {
    start(&mut command(args)).end()
}

pub(crate) fn start(command: &mut Command) -> Running {
    let mut child = command.spawn().unwrap();
    let out = child.stdout.take().map(collect);
    let err = child.stderr.take().map(collect);
    Running { child, out, err }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A target catches signals after it listens, and a load before it begins.
    pub(crate) fn wait_until_it_catches(&self, signal: rustix::process::Signal) {
        let status = format!("/proc/{}/status", self.pid());
        let begin = Instant::now();
        while begin.elapsed() < LIMIT {
            let Ok(status) = std::fs::read_to_string(&status) else {
                // No such file system here: this is long enough.
                return thread::sleep(Duration::from_secs(1));
            };
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
            if u64::from_str_radix(caught, 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1 {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("the command does not catch signals");
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn end(self) -> Ran {
        let (ran, out) = self.end_with_bytes();
        Ran { out: String::from_utf8_lossy(&out).into_owned(), ..ran }
    }

    pub(crate) fn end_with_bytes(mut self) -> (Ran, Vec<u8>) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if begin.elapsed() > LIMIT {
                self.child.kill().unwrap();
                panic!("the command does not end");
            }
            thread::sleep(Duration::from_millis(2));
        };
        let out = self.out.take().map(|out| out.join().unwrap()).unwrap_or_default();
        let err = self.err.take().map(|err| err.join().unwrap()).unwrap_or_default();
        (Ran { status, out: String::new(), err: String::from_utf8_lossy(&err).into_owned() }, out)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `aquests target`, running.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    /// The file with what signed its certificate.
    pub(crate) authority: Option<String>,
    pub(crate) running: Running,
}

impl Target {
    pub(crate) fn start() -> Self {
        Self::with("http", &[])
    }

    /// One with TLS, as these options want it.
    pub(crate) fn secure(options: &[&str]) -> Self {
        Self::with("https", options)
    }

    fn with(scheme: &'static str, options: &[&str]) -> Self {
        let mut command = command(&[&["target", "--listen", "127.0.0.1:0"], options].concat());
        // It is killed, and what it leaves goes with the build.
        let mut child = command.env("TMPDIR", env!("CARGO_TARGET_TMPDIR")).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            line.trim().to_owned()
        };
        let first = line();
        let address = first.strip_prefix(&format!("listening on {scheme}://")).unwrap_or_else(|| panic!("{first}"));
        let address = address.trim_end_matches('/').parse().unwrap();
        let authority = options.contains(&"--tls").then(|| {
            let second = line();
            second.strip_prefix("clients trust it with --cacert ").unwrap_or_else(|| panic!("{second}")).to_owned()
        });
        let err = child.stderr.take().map(collect);
        Self { address, scheme, authority, running: Running { child, out: None, err } }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Sends bytes, and reads until the connection ends.
    pub(crate) fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// One request on a connection of its own: head and body of the answer.
    pub(crate) fn ask(&self, method: &str, path: &str, more: &str) -> (String, String) {
        let answer = self.raw(&format!("{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{more}\r\n"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
        (head.to_owned(), body.to_owned())
    }
}

/// A server that keeps what it was sent, head and body, and answers each request with the same bytes.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    /// How many there were.
    pub(crate) connections: Arc<Mutex<usize>>,
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

impl Server {
    /// `answers`: so many on each connection, then it hangs up without a word.
    pub(crate) fn start(answer: &'static str, answers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (all, connections) = (requests.clone(), Arc::new(Mutex::new(0)));
        let count = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (all, mut stream) = (all.clone(), stream.unwrap());
                *count.lock().unwrap() += 1;
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    for _ in 0..answers {
                        let Some(request) = read_request(&mut reader) else { break };
                        all.lock().unwrap().push(request);
                        if stream.write_all(answer.as_bytes()).is_err() {
                            break;
                        }
                    }
                    if answers > 0 {
                        let _ = read_request(&mut reader);
                    }
                });
            }
        });
        Self { address, requests, connections }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

/// A port where nobody listens.
pub(crate) fn refused() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A path that no other test uses, in a folder that goes away with the build.
pub(crate) fn path(name: &str) -> std::path::PathBuf {
    // Short, because the path of a unix socket must be.
    let path = std::env::temp_dir().join(format!("aquests-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}
