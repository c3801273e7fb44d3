//! `aquests fetch` from outside: bodies, heads, order, and what it exits with.
#![cfg(unix)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use support::{OK, Server, Target, aquests, command, path, refused, start};

const TEXT: &str = "This is the target of aquests.\n";

#[test]
fn a_body_is_printed_as_it_came() {
    let target = Target::start();
    assert_eq!(aquests(&["fetch", &target.url("/")]).exits(0).out, TEXT);
    let (ran, body) = start(&mut command(&["fetch", &target.url("/bytes/1000000")])).end_with_bytes();
    ran.exits(0);
    assert_eq!(body.len(), 1_000_000);
    let ran = aquests(&["fetch", "-i", "--http1.1", &target.url("/status/404")]).exits(0);
    assert!(ran.out.starts_with("HTTP/1.1 404 Not Found\r\n") && ran.out.ends_with("\r\n\r\n404 Not Found\n"));
    for version in [&["--http2"][..], &[]] {
        let ran = aquests(&[&["fetch", "-i", &target.url("/status/404")], version].concat()).exits(0);
        assert!(ran.out.starts_with("HTTP/2.0 404\r\n") && ran.out.ends_with("\r\n\r\n404 Not Found\n"), "{}", ran.out);
    }
    let ran = aquests(&["fetch", "-i", "-m", "HEAD", &target.url("/")]).exits(0);
    assert!(ran.out.contains("content-length: 31\r\n") && ran.out.ends_with("\r\n\r\n"), "{}", ran.out);
}

#[test]
fn several_are_fetched_at_once_and_printed_in_order() {
    let target = Target::start();
    let begin = Instant::now();
    let urls = ["/delay/700", "/delay/500", "/bytes/3", "/delay/699"].map(|path| target.url(path));
    let ran = aquests(&[&["fetch".to_owned()], &urls[..]].concat()).exits(0);
    assert_eq!(ran.out, format!("{TEXT}{TEXT}abc{TEXT}"));
    assert!(begin.elapsed() < Duration::from_millis(1_890), "one after the other takes longer: {:?}", begin.elapsed());
}

#[test]
fn what_fails_is_said_and_the_rest_is_printed() {
    let target = Target::start();
    let dead = refused();
    let ran = aquests(&["fetch", &target.url("/bytes/1"), &format!("http://{dead}/"), &target.url("/bytes/2")]);
    let ran = ran.exits(1).says(&format!("aquests: cannot connect to {dead}: Connection refused"));
    assert_eq!(ran.out, "aab");
    aquests(&["fetch", "http://no.such.host.invalid/"]).exits(1).says("cannot resolve no.such.host.invalid");
    let server = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi", 1);
    let cut = aquests(&["fetch", "-t", "200ms", &server.url()]).exits(1);
    cut.says(&format!("aquests: {} did not answer in time", server.address));
}

#[test]
fn a_status_is_a_failure_only_when_asked() {
    let target = Target::start();
    let (good, bad) = (target.url("/bytes/2"), target.url("/status/500"));
    assert_eq!(aquests(&["fetch", &bad]).exits(0).out, "500 Internal Server Error\n");
    let ran = aquests(&["fetch", "--fail", "--http1.1", &bad, &good]).exits(1);
    assert_eq!(ran.out, "ab");
    ran.says(&format!("aquests: {bad} answered 500 Internal Server Error\n"));
    aquests(&["fetch", "--fail", &good]).exits(0);
}

#[test]
fn requests_are_what_was_asked_for() {
    let server = Server::start(OK, 100);
    let last = |args: &[&str]| {
        assert_eq!(aquests(&[&["fetch", &server.url()], args].concat()).exits(0).out, "hi");
        server.requests.lock().unwrap().pop().unwrap()
    };
    assert!(last(&[]).starts_with(&format!("GET / HTTP/1.1\r\nhost: {}\r\n", server.address)));
    let request = last(&["-d", "a{seq}", "-T", "text/plain", "-A", "text/html", "-H", "X-A: 1"]);
    assert!(request.starts_with("POST ") && request.ends_with("\r\n\r\na{seq}"), "{request}");
    for field in ["x-a: 1", "content-type: text/plain", "accept: text/html", "content-length: 6"] {
        assert!(request.contains(&format!("\r\n{field}\r\n")), "{field} is not in {request}");
    }
    let file = path("fetch-body");
    fs::write(&file, "from a file").unwrap();
    assert!(last(&["-m", "PUT", "-D", file.to_str().unwrap()]).ends_with("\r\n\r\nfrom a file"));
    fs::remove_file(file).unwrap();
}

#[test]
fn verbose_tells_what_happens() {
    let target = Target::start();
    let ran = aquests(&["fetch", "-v", "--http1.1", &target.url("/bytes/2?q")]).exits(0);
    assert_eq!(ran.out, "ab");
    let ran = ran.says("> GET /bytes/2?q\n").says(&format!("> host: {}\n", target.address));
    let ran = ran.says("< HTTP/1.1 200 OK\n").says("< content-length: 2\n").says("* 2 bytes; wait ");
    let times = ran.err.lines().find(|line| line.starts_with("* 2 bytes; ")).unwrap();
    for phase in [" connect ", " first byte ", " body ", " total "] {
        assert!(times.contains(phase), "{phase} is not in {times}");
    }
    let ran = aquests(&["fetch", "-v", "-d", "abc", "-H", "X-A: 1", &target.url("/echo")]).exits(0);
    ran.says("> POST /echo\n").says("> x-a: 1\n").says("> content-length: 3\n");
    let ran = aquests(&["fetch", "-v", "--http2", &target.url("/bytes/2")]).exits(0);
    ran.says("> GET /bytes/2\n").says("< HTTP/2.0 200\n").says("< content-length: 2\n");
}

#[test]
fn a_file_or_nobody_takes_the_bodies() {
    let target = Target::start();
    let file = path("fetched");
    let ran = aquests(&["fetch", "-o", file.to_str().unwrap(), &target.url("/bytes/3"), &target.url("/bytes/1")]);
    assert_eq!(ran.exits(0).out, "");
    assert_eq!(fs::read_to_string(&file).unwrap(), "abca");
    fs::remove_file(file).unwrap();
    let mut child = command(&["fetch", &target.url("/bytes/1000000")]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// One after the other, however large and however slow, and a file or a terminal is all that holds them.
#[test]
fn large_bodies_are_printed_as_they_come_in_the_order_of_their_urls() {
    let target = Target::start();
    let sizes = ["/delay/300", "/bytes/5000000", "/bytes/1", "/bytes/3000000", "/delay/100", "/chunked/2000000"];
    let urls = sizes.map(|path| target.url(path));
    let file = path("fetched-large");
    for _ in 0..2 {
        let ran = aquests(&[&["fetch".into(), "-o".into(), file.to_str().unwrap().to_owned()], &urls[..]].concat());
        assert_eq!(ran.exits(0).out, "");
        let bytes = fs::read(&file).unwrap();
        assert_eq!(bytes.len(), 10_000_001 + 2 * TEXT.len());
        assert!(bytes.starts_with(TEXT.as_bytes()));
        assert_eq!(&bytes[8_000_001 + TEXT.len()..][..TEXT.len()], TEXT.as_bytes());
    }
    fs::remove_file(file).unwrap();
    // What came before an error is printed, as far as it came.
    let server = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi", 1);
    let ran = aquests(&["fetch", "-t", "200ms", &server.url(), &target.url("/bytes/3")]).exits(1);
    assert_eq!(ran.out, "hiabc");
}

/// There are more than connections, and each of the others would take one and wait with it for its turn.
#[test]
fn the_one_whose_turn_it_is_gets_a_connection_even_when_it_loses_its_first() {
    const LARGE: usize = 2 << 20;
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n{}", "x".repeat(LARGE));
    let others = Server::start(large.leak(), 100);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let late = listener.local_addr().unwrap();
    // Is confused by an offer of HTTP/2, and not by HTTP/1.1.
    let server = thread::spawn(move || {
        for wait in [1_000, 0] {
            let (mut stream, _) = listener.accept().unwrap();
            assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
            // By then the others have all that they may have.
            thread::sleep(Duration::from_millis(wait));
            if wait == 0 {
                stream.write_all(OK.as_bytes()).unwrap();
            }
        }
    });
    let file = path("fetched-many");
    let mut args = ["fetch", "-o", file.to_str().unwrap()].map(str::to_owned).to_vec();
    args.push(format!("http://{late}/"));
    args.extend(vec![others.url(); 69]);
    aquests(&args).exits(0);
    server.join().unwrap();
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"hi") && bytes.len() == 2 + 69 * LARGE, "{} bytes", bytes.len());
    fs::remove_file(file).unwrap();
}

#[test]
fn a_form_with_files_is_sent() {
    let server = Server::start(OK, 100);
    let file = path("form file");
    fs::write(&file, "from a file").unwrap();
    let at = format!("file=@{};type=text/x", file.display());
    aquests(&["fetch", "-F", "author=James Milton", "-F", &at, &server.url()]).exits(0);
    let request = server.requests.lock().unwrap().pop().unwrap();
    assert!(request.starts_with("POST / "), "{request}");
    let boundary = request.split("boundary=").nth(1).unwrap().lines().next().unwrap().to_owned();
    assert!(request.contains("\r\ncontent-type: multipart/form-data; boundary="), "{request}");
    let body = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"author\"\r\n\r\nJames Milton\r\n\
         --{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\
         content-type: text/x\r\n\r\nfrom a file\r\n--{boundary}--\r\n",
        file.file_name().unwrap().to_str().unwrap()
    );
    assert!(request.ends_with(&body), "{request}");
    assert!(request.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{request}");
    fs::remove_file(file).unwrap();
    aquests(&["fetch", "-F", "file=@/no/such/file", &server.url()]).exits(1).says("cannot read /no/such/file: ");
    aquests(&["fetch", "-F", "nothing", &server.url()]).exits(2).says("'name=text' or 'name=@file'");
    aquests(&["fetch", "-F", "a=b", "-d", "c", &server.url()]).exits(2).says("cannot be used with");
}

#[test]
fn standard_input_is_sent_as_it_comes() {
    let target = Target::start();
    let mut child =
        command(&["fetch", "-m", "PUT", "-D", "-", &target.url("/echo")]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut answer = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // The echo of the first line comes while the second is not there yet.
    for text in ["one\n", "two\n"] {
        stdin.write_all(text.as_bytes()).unwrap();
        while line != text {
            line.clear();
            assert_ne!(answer.read_line(&mut line).unwrap(), 0, "the answer ended before {text}");
        }
    }
    drop(stdin);
    assert_eq!(answer.read_line(&mut line).unwrap(), 0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // Several take the same.
    let file = path("stdin");
    fs::write(&file, "both").unwrap();
    let server = Server::start(OK, 100);
    let both =
        command(&["fetch", "-D", "-", &server.url(), &server.url()]).stdin(fs::File::open(&file).unwrap()).status();
    assert_eq!(both.unwrap().code(), Some(0));
    assert!(server.requests.lock().unwrap().iter().all(|request| request.ends_with("\r\n\r\nboth")));
    fs::remove_file(file).unwrap();
}

#[test]
fn the_server_is_asked_whether_it_wants_a_body() {
    let target = Target::start();
    let ran = aquests(&["fetch", "-d", "body", "--expect-continue", &target.url("/echo")]).exits(0);
    assert!(ran.out.contains("expect: 100-continue\n") && ran.out.ends_with("body"), "{}", ran.out);
}

#[test]
fn a_unix_socket_is_reached() {
    let socket = path("fetch.sock");
    let socket = socket.to_str().unwrap();
    let target = start(&mut command(&["target", "--unix-socket", socket]));
    target.wait_until_it_catches(rustix::process::Signal::INT);
    assert_eq!(aquests(&["fetch", "--unix-socket", socket, "http://localhost/"]).exits(0).out, TEXT);
    target.signal(rustix::process::Signal::INT);
    target.end().exits(0);
    aquests(&["fetch", "--unix-socket", "/no/such.sock", "http://localhost/"]).exits(1).says("unix:/no/such.sock");
}

#[test]
fn another_place_than_the_url_s_is_reached() {
    let server = Server::start(OK, 100);
    let port = server.address.port();
    for place in [server.address.to_string(), format!("localhost:{port}")] {
        assert_eq!(aquests(&["fetch", "--connect-to", &place, "http://example.org:81/a"]).exits(0).out, "hi");
        let request = server.requests.lock().unwrap().pop().unwrap();
        assert!(request.starts_with("GET /a ") && request.contains("\r\nhost: example.org:81\r\n"), "{request}");
    }
}
