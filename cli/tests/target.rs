//! `aquests target`, asked by hand: every path, every method, and clients that behave oddly.
#![cfg(unix)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use support::{Target, aquests, command, path, start};

const TEXT: &str = "This is the target of aquests.\n";

/// The value of a field in a head.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A body that was sent in chunks.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            assert_eq!(rest, "\r\n");
            return whole;
        }
        whole.push_str(&rest[..size]);
        assert_eq!(&rest[size..size + 2], "\r\n");
        body = &rest[size + 2..];
    }
}

#[test]
fn every_path_answers_as_it_says() {
    let target = Target::start();
    let get = |path: &str| target.ask("GET", path, "");

    let (head, body) = get("/");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == TEXT, "{head}");
    assert_eq!((field(&head, "content-type"), field(&head, "content-length")), (Some("text/plain"), Some("31")));
    let date = field(&head, "date").unwrap();
    let age = httpdate::parse_http_date(date).unwrap().elapsed().unwrap_or_default();
    assert!(age < Duration::from_secs(5), "{date}");

    for bytes in [0, 1, 16_384, 16_385, 3_000_000] {
        let (head, body) = get(&format!("/bytes/{bytes}"));
        assert_eq!((field(&head, "content-length"), body.len()), (Some(bytes.to_string().as_str()), bytes));
        let (head, body) = get(&format!("/chunked/{bytes}"));
        assert_eq!((field(&head, "transfer-encoding"), unchunked(&body).len()), (Some("chunked"), bytes));
    }
    for status in [200, 201, 301, 400, 404, 418, 499, 500, 503, 599] {
        let (head, body) = get(&format!("/status/{status}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && body.starts_with(&status.to_string()), "{head}");
    }
    for status in [204, 205, 304] {
        let (head, body) = get(&format!("/status/{status}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && body.is_empty(), "{head}");
    }
    assert!(field(&get("/status/401").0, "www-authenticate").is_some());

    let begin = Instant::now();
    assert_eq!(get("/delay/150").1, TEXT);
    assert!(begin.elapsed() >= Duration::from_millis(150), "{:?}", begin.elapsed());

    assert_eq!(field(&get("/redirect/2?a").0, "location"), Some("/redirect/1"));
    let (head, body) = get("/redirect/1");
    assert!(head.starts_with("HTTP/1.1 302 Found\r\n") && body.is_empty());
    assert_eq!(field(&head, "location"), Some("/"));
    assert_eq!(get("/redirect/0").1, TEXT);
    assert_eq!(get("http://h/bytes/3").1, "abc", "a whole URL is a target, too");

    for (path, status) in [("/nowhere", 404), ("/bytes/x", 400), ("/status/99", 400), ("/delay/9999999", 400)] {
        let (head, body) = get(path);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && body.contains(": "), "{path}: {head}");
    }
}

#[test]
fn head_is_get_without_a_body() {
    let target = Target::start();
    for path in
        ["/", "/bytes/100000", "/bytes/7", "/chunked/9", "/status/404", "/delay/1", "/redirect/1", "/close", "/nowhere"]
    {
        let ((get, _), (head, body)) = (target.ask("GET", path, ""), target.ask("HEAD", path, ""));
        assert_eq!(body, "", "{path}");
        let strip = |head: &str| -> Vec<String> {
            // RFC 9110 §9.3.2: what is known only when the body is made may be left out, and dates differ.
            let left_out = ["date", "transfer-encoding", "content-length: 0"];
            let kept = head.lines().filter(|line| !left_out.iter().any(|start| line.starts_with(start)));
            kept.map(str::to_owned).collect()
        };
        assert_eq!(strip(&get), strip(&head), "{path}");
    }
}

#[test]
fn methods_are_known_or_refused() {
    let target = Target::start();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let (head, body) = target.ask(method, "/", "content-length: 3\r\n\r\nabc");
        assert!(head.starts_with("HTTP/1.1 200 ") && body == TEXT, "{method}: {head}");
    }
    let (head, _) = target.ask("OPTIONS", "*", "");
    assert!(head.starts_with("HTTP/1.1 204 ") && field(&head, "allow").unwrap().contains("PATCH"), "{head}");
    for (method, target_form, status) in [("TRACE", "/", 405), ("CONNECT", "h:80", 405), ("BREW", "/", 501)] {
        let (head, _) = target.ask(method, target_form, "");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method}: {head}");
        assert_eq!(field(&head, "allow").is_some(), status == 405);
    }
    let answer = target.raw("nonsense\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}

#[test]
fn connections_are_kept_until_somebody_wants_their_end() {
    let target = Target::start();
    let ask = |version: &str, path: &str, more: &str| format!("GET {path} HTTP/{version}\r\nhost: h\r\n{more}\r\n");
    // Sent at once, answered in order; what follows a request for the end is not.
    let requests = ask("1.1", "/bytes/1", "") + &ask("1.1", "/delay/20", "") + &ask("1.1", "/close", "");
    let answers = target.raw(&(requests + &ask("1.1", "/", "")));
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert_eq!(answers.matches(TEXT).count(), 2);
    assert_eq!(answers.matches("connection: close").count(), 1);
    let answer = target.raw(&ask("1.0", "/chunked/5", ""));
    assert!(answer.ends_with("\r\n\r\nabcde") && !answer.contains("chunked\r\n"), "{answer}");
    let answers = target.raw(&(ask("1.0", "/", "connection: keep-alive\r\n") + &ask("1.0", "/", "")));
    assert_eq!(answers.matches(TEXT).count(), 2, "{answers}");
}

#[test]
fn a_request_that_begins_as_http2_does_is_read_however_it_is_cut() {
    let target = Target::start();
    let stream = TcpStream::connect(target.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    for part in [&b"P"[..], b"UT / HTTP/1.0\r\n\r\n"] {
        (&stream).write_all(part).unwrap();
        // Long enough for the first part to be read alone.
        thread::sleep(Duration::from_millis(50));
    }
    let mut answer = String::new();
    (&stream).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(TEXT), "{answer}");
}

#[test]
fn an_echo_tells_what_it_was_sent() {
    let target = Target::start();
    let (head, body) = target.ask("PUT", "/echo?a=b", "x-one: 1\r\ncontent-length: 5\r\n\r\nhello");
    assert!(head.starts_with("HTTP/1.1 200 "));
    let sent = "PUT /echo?a=b HTTP/1.1\nhost: h\nconnection: close\nx-one: 1\ncontent-length: 5\n\nhello";
    assert_eq!(body, sent);
    assert_eq!(field(&head, "content-length"), Some(sent.len().to_string().as_str()));
    let chunks = "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n";
    let (head, body) = target.ask("POST", "/echo", chunks);
    let body = if field(&head, "transfer-encoding").is_some() { unchunked(&body) } else { body };
    assert!(body.ends_with("\n\nabcdefg"), "{body}");
    assert!(target.ask("GET", "/echo", "").1.starts_with("GET /echo HTTP/1.1\n"));
    let (head, body) = target.ask("HEAD", "/echo", "");
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty());
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let target = Target::start();
    for path in ["/", "/echo"] {
        let stream = TcpStream::connect(target.address).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let head = format!("POST {path} HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
        (&stream).write_all(head.as_bytes()).unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 100 Continue\r\n", "{path}");
        (&stream).write_all(b"body").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "{rest}");
        assert!(rest.contains("HTTP/1.1 200 OK"), "{rest}");
    }
    assert!(target.ask("POST", "/", "expect: magic\r\n").0.starts_with("HTTP/1.1 417 "));
}

/// The most memory that the target ever had, in KiB.
#[cfg(target_os = "linux")]
fn peak(target: &Target) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", target.running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn large_bodies_take_little_memory() {
    let target = Target::start();
    assert_eq!(target.ask("GET", "/", "").1, TEXT);
    let before = peak(&target);
    const LENGTH: usize = 64 << 20;
    for path in ["/bytes", "/chunked"] {
        let mut stream = TcpStream::connect(target.address).unwrap();
        stream.write_all(format!("GET {path}/{LENGTH} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        assert!(read_all(&mut stream) > LENGTH);
    }
    // Much faster than it is read.
    let stream = TcpStream::connect(target.address).unwrap();
    let mut sending = stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        let head = format!("POST /echo HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {LENGTH}\r\n\r\n");
        sending.write_all(head.as_bytes()).unwrap();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..LENGTH / piece.len() {
            sending.write_all(&piece).unwrap();
        }
    });
    thread::sleep(Duration::from_millis(300));
    assert!(!sender.is_finished(), "who does not read cannot send without end");
    assert!(read_all(&mut (&stream)) > LENGTH);
    sender.join().unwrap();
    let grown = peak(&target) - before;
    assert!(grown < 4 << 10, "{grown} KiB more than before");
}

fn read_all(from: &mut impl Read) -> usize {
    let (mut buffer, mut all) = (vec![0; 1 << 16], 0);
    loop {
        match from.read(&mut buffer).unwrap() {
            0 => return all,
            bytes => all += bytes,
        }
    }
}

#[test]
fn clients_that_go_away_leave_it_as_it_was() {
    let target = Target::start();
    for half in ["", "GET / HT", "POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nabc"] {
        TcpStream::connect(target.address).unwrap().write_all(half.as_bytes()).unwrap();
    }
    for path in ["/delay/50", "/bytes/100000000", "/chunked/100000000"] {
        let mut stream = TcpStream::connect(target.address).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes()).unwrap();
    }
    thread::sleep(Duration::from_millis(100));
    assert_eq!(target.ask("GET", "/", "").1, TEXT);
}

#[test]
fn a_signal_stops_it_and_its_socket_goes() {
    let target = Target::start();
    // Somebody is there, and busy.
    let mut stream = TcpStream::connect(target.address).unwrap();
    stream.write_all(b"GET /delay/600000 HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    target.running.signal(rustix::process::Signal::INT);
    target.running.end().exits(0);

    let socket = path("target.sock");
    let running = start(&mut command(&["target", "--unix-socket", socket.to_str().unwrap()]));
    running.wait_until_it_catches(rustix::process::Signal::TERM);
    let second = aquests(&["target", "--unix-socket", socket.to_str().unwrap()]).exits(1);
    second.says("cannot listen on unix socket").says("remove the file if no server uses it");
    assert!(socket.exists(), "the first one still listens");
    running.signal(rustix::process::Signal::TERM);
    running.end().exits(0).prints("listening on unix socket");
    assert!(!socket.exists());
}

#[test]
fn a_port_in_use_is_said() {
    let target = Target::start();
    let second = aquests(&["target", "-l", &target.address.to_string()]).exits(1);
    second.says(&format!("cannot listen on http://{}/: ", target.address));
}
