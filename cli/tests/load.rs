//! `aquests load` from outside: what it prints, what it exits with, and what servers get to see.
#![cfg(unix)]

mod support;

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::{OK, Ran, Server, Target, aquests, command, path, refused, start};

#[path = "support/schema.rs"]
mod schema;

/// Reads the report, and checks what is true of every one.
#[track_caller]
fn report(ran: &Ran) -> Value {
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out));
    check(&report);
    report
}

#[track_caller]
fn check(report: &Value) {
    let schema = serde_json::from_str(include_str!("../load-report.schema.json")).unwrap();
    schema::validate(report, &schema).unwrap();
    let sum = |pointer: &str, of: fn(&Value) -> u64| -> u64 {
        report.pointer(pointer).unwrap().as_object().unwrap().values().map(of).sum()
    };
    let number = |pointer: &str| report.pointer(pointer).unwrap().as_u64().unwrap();
    let plain = |value: &Value| value.as_u64().unwrap();
    let answered = number("/requests/answered");
    assert_eq!(number("/requests/finished"), answered + number("/requests/failed"));
    assert_eq!(sum("/statuses", plain), answered);
    assert_eq!(sum("/versions", plain), answered);
    assert_eq!(sum("/errors", |error| error["count"].as_u64().unwrap()), number("/requests/failed"));
    assert_eq!(number("/latency/uncorrected/count"), answered);
    assert_eq!(report["latency"]["corrected"].is_null(), report["options"]["rate"].is_null());
    for times in [&report["latency"]["uncorrected"], &report["latency"]["corrected"]] {
        if times.is_null() {
            continue;
        }
        assert_eq!(times["count"], answered);
        let mut before = times["min"].as_f64().unwrap();
        for percent in ["50", "75", "90", "95", "99", "99.9", "99.99"] {
            let time = times["percentiles"][percent].as_f64().unwrap();
            assert!(time >= before, "{percent}: {times}");
            before = time;
        }
        assert!(times["max"].as_f64().unwrap() >= before, "{times}");
    }
}

fn json(args: &[&str]) -> Ran {
    aquests(&[&["load", "--quiet", "--output-format", "json"], args].concat())
}

#[test]
fn without_a_url_the_target_is_in_the_process() {
    let ran = aquests(&["load"]).exits(0).prints("200 requests").prints("requests: 200\n").prints("  200: 200\n");
    ran.prints("the target is embedded: it runs in this process");
    let ran = json(&["-n", "1k", "-c", "7", "--threads", "2", "/bytes/1000"]).exits(0);
    let report = report(&ran);
    assert_eq!(report["target"]["embedded"], true);
    assert!(report["target"]["url"].as_str().unwrap().ends_with("/bytes/1000"));
    assert_eq!((&report["requests"]["answered"], &report["bytes"]["received"]), (&1_000.into(), &1_000_000.into()));
    assert_eq!((&report["options"]["connections"], &report["options"]["threads"]), (&7.into(), &2.into()));
}

#[test]
fn every_answer_is_counted_by_what_it_says() {
    let target = Target::start();
    for (path, status) in [("/", "200"), ("/status/503", "503"), ("/redirect/1", "302"), ("/close", "200")] {
        let report = report(&json(&["-n", "100", "-c", "10", &target.url(path)]).exits(0));
        assert_eq!(report["statuses"][status], 100, "{path}: {report}");
        assert_eq!(report["target"]["embedded"], false);
    }
    let report = report(&json(&["-n", "40", "-c", "2", "-p", "8", &target.url("/chunked/70000")]).exits(0));
    assert_eq!(report["bytes"]["received"], 40 * 70_000);
}

#[test]
fn a_refused_port_names_peer_and_phase() {
    let address = refused();
    let url = format!("http://{address}/");
    let words = format!("  connect: 200 (cannot connect to {address}: Connection refused (os error 111))\n");
    let ran = aquests(&["load", "--quiet", &url]).exits(1).prints(&words).prints("requests: 200\n");
    ran.says(&format!("aquests: 200 of 200 requests failed: cannot connect to {address}: Connection refused"));
    let report = report(&json(&["-n", "30", &url]).exits(1));
    assert_eq!(report["errors"]["connect"]["count"], 30);
    assert!(report["errors"]["connect"]["example"].as_str().unwrap().contains(&address.to_string()));
}

#[test]
fn an_unknown_host_is_said() {
    let ran = aquests(&["load", "--quiet", "http://no.such.host.invalid/"]).exits(1);
    assert_eq!(ran.out, "");
    ran.says("aquests: cannot resolve no.such.host.invalid: ");
}

#[test]
fn a_server_that_dies_in_the_middle_fails_the_rest() {
    let server = Server::start(OK, 5);
    let report = report(&json(&["-n", "60", "-c", "1", &server.url()]).exits(1));
    let (answered, closed) = (&report["requests"]["answered"], &report["errors"]["closed"]["count"]);
    // Each connection answers five requests and loses the sixth, unless its end was seen before that was sent.
    let (answered, closed) = (answered.as_u64().unwrap(), closed.as_u64().unwrap());
    assert!(answered + closed == 60 && answered >= 50 && closed > 0, "{report}");
    let target = Target::start();
    let mut load = command(&["load", "--quiet", "--output-format", "json", "-z", "1s", "-c", "5", &target.url("/")]);
    let load = start(&mut load);
    thread::sleep(Duration::from_millis(300));
    drop(target);
    let report = self::report(&load.end().exits(1));
    assert!(report["requests"]["answered"].as_u64().unwrap() > 0, "{report}");
    assert!(report["errors"]["connect"]["count"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn a_rate_is_kept_and_both_latencies_are_told() {
    let report = report(&json(&["-q", "1k", "-z", "500ms", "-w", "-c", "20"]).exits(0));
    let requests = &report["requests"];
    assert_eq!(requests["finished"].as_u64().unwrap() + requests["not_started"].as_u64().unwrap(), 500, "{report}");
    assert_eq!((&report["options"]["rate"], &report["options"]["duration"]), (&1_000.0.into(), &0.5.into()));
    let text = aquests(&["load", "--quiet", "-q", "2k", "-n", "100"]).exits(0);
    text.prints("latency:     from intended start    from actual start\n").prints(", 2000 a second\n");
    // Far more than one connection can do, if each answer takes 20 ms.
    let report = self::report(&json(&["-q", "10k", "-z", "300ms", "-c", "1", "/delay/20"]).exits(0));
    assert!(report["requests"]["not_started"].as_u64().unwrap() > 2_900, "{report}");
}

#[test]
fn a_signal_ends_the_run_and_the_report_is_printed() {
    for signal in [Signal::INT, Signal::TERM] {
        let load = start(&mut command(&["load", "--quiet", "-z", "10m", "-w"]));
        load.wait_until_it_catches(signal);
        thread::sleep(Duration::from_millis(200));
        load.signal(signal);
        let begin = Instant::now();
        load.end().exits(0).prints("interrupted before its end\n").prints("  200: ");
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
    // Requests that nobody answers do not hold it up.
    let server = Server::start("", 1);
    let mut load = command(&["load", "--quiet", "--output-format", "json", "-n", "100", "-c", "3", &server.url()]);
    let load = start(&mut load);
    load.wait_until_it_catches(Signal::INT);
    let begin = Instant::now();
    while server.requests.lock().unwrap().len() < 3 && begin.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(2));
    }
    load.signal(Signal::INT);
    let report = report(&load.end().exits(0));
    assert_eq!((&report["interrupted"], &report["requests"]["cut_off"]), (&true.into(), &3.into()), "{report}");
}

#[test]
fn time_limits_are_kept() {
    let server = Server::start("", 1);
    let begin = Instant::now();
    let ran = aquests(&["load", "--quiet", "-n", "4", "-c", "2", "-t", "100ms", &server.url()]).exits(1);
    ran.prints(&format!("  timeout (total): 4 ({} did not answer in time: the limit is 100ms)\n", server.address));
    assert!(begin.elapsed() < Duration::from_secs(10));
    // TEST-NET-1 (RFC 5737) answers nobody, or the system says at once that there is no way.
    let ran = aquests(&["load", "--quiet", "-z", "200ms", "-c", "2", "http://192.0.2.1/"]).exits(1);
    if ran.err.contains("failed") {
        ran.says("cannot connect to 192.0.2.1:80");
    } else {
        ran.says("no connection to 192.0.2.1:80 was made").prints("connections not made by the end: 2\n");
    }
}

#[test]
fn progress_is_a_line_a_second() {
    let ran = aquests(&["load", "-z", "2300ms", "-c", "2", "--warm-up", "200ms"]).exits(0);
    assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
    for (second, line) in (1..).zip(ran.err.lines()) {
        assert!(line.starts_with(&format!("{second}s: ")) && line.ends_with("/s, 0 errors"), "{line}");
    }
    assert_eq!(aquests(&["load", "-z", "1200ms", "-c", "2", "--quiet"]).exits(0).err, "");
    let ran = aquests(&["load", "-z", "100ms", "-c", "2", "--warm-up", "1500ms"]).exits(0);
    assert_eq!(ran.err, "1s: warming up\n");
}

#[test]
fn a_report_goes_into_a_file() {
    let file = path("report.json");
    let name = file.to_str().unwrap();
    let ran = aquests(&["load", "--quiet", "-n", "10", "-o", name, "--output-format", "json"]).exits(0);
    assert_eq!(ran.out, "");
    check(&serde_json::from_slice(&fs::read(&file).unwrap()).unwrap());
    fs::remove_file(file).unwrap();
    // Said at once, and not after the run.
    let begin = Instant::now();
    let ran = aquests(&["load", "-z", "10m", "-o", "/no/such/folder/report"]).exits(1);
    assert!(begin.elapsed() < Duration::from_secs(30));
    ran.says("aquests: cannot write to /no/such/folder/report: ");
}

#[test]
fn nobody_who_listens_is_no_error() {
    let mut command = command(&["load", "-z", "1100ms", "-c", "2"]);
    let mut child = command.spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // A full disk is one.
    if std::path::Path::new("/dev/full").exists() {
        let full = fs::File::create("/dev/full").unwrap();
        let ran = start(support::command(&["load", "--quiet", "-n", "1"]).stdout(full)).end().exits(1);
        ran.says("aquests: cannot write to standard output: ");
    }
}

#[test]
fn other_places_than_the_url_s_are_reached() {
    let server = Server::start(OK, 100);
    let place = server.address.to_string();
    let report = report(&json(&["-n", "1", "--connect-to", &place, "http://example.org:81/a"]).exits(0));
    assert_eq!(report["target"]["connect_to"], place.as_str());
    json(&["-n", "1", "--connect-to", &format!("localhost:{}", server.address.port()), "example.org"]).exits(0);
    json(&["-n", "1", "-H", "Host: example.com", &server.url()]).exits(0);
    let requests = server.requests.lock().unwrap();
    for (request, host) in requests.iter().zip(["example.org:81", "example.org", "example.com"]) {
        assert!(request.contains(&format!("\r\nhost: {host}\r\n")), "{request}");
    }

    let socket = path("load.sock");
    let socket = socket.to_str().unwrap();
    let missing = aquests(&["load", "--quiet", "-n", "2", "--unix-socket", socket, "http://localhost/"]).exits(1);
    missing.prints(&format!("  connect: 2 (cannot connect to unix:{socket}: "));
    let target = start(&mut command(&["target", "--unix-socket", socket]));
    target.wait_until_it_catches(Signal::INT);
    json(&["-n", "100", "--unix-socket", socket, "http://localhost/"]).exits(0);
    target.signal(Signal::INT);
    target.end().exits(0);
}

#[test]
fn requests_are_what_was_asked_for() {
    let server = Server::start(OK, 100);
    let last = |args: &[&str]| {
        json(&[&["-n", "1", &server.url()], args].concat()).exits(0);
        server.requests.lock().unwrap().pop().unwrap()
    };
    assert_eq!(last(&[]), format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", server.address));
    let request = last(&["-d", "{seq}-{rand:5:5}", "-T", "text/plain", "-A", "*/*", "-H", "X-N: {bytes:3}"]);
    assert!(request.starts_with("POST / HTTP/1.1\r\n") && request.ends_with("\r\n\r\n0-5"), "{request}");
    assert!(request.contains("\r\ncontent-type: text/plain\r\naccept: */*\r\ncontent-length: 3\r\n"), "{request}");
    assert!(last(&["--no-template", "-m", "PUT", "-d", "{seq}"]).ends_with("\r\n\r\n{seq}"));
    let file = path("body");
    fs::write(&file, "from a file").unwrap();
    assert!(last(&["-D", file.to_str().unwrap()]).ends_with("content-length: 11\r\n\r\nfrom a file"));
    fs::remove_file(file).unwrap();
    let report = report(&json(&["-n", "1", "-H", "Authorization: hunter2", "-d", "abc", &server.url()]).exits(0));
    assert_eq!(report["options"]["headers"][0], "authorization");
    assert_eq!((&report["options"]["method"], &report["options"]["body_bytes"]), (&"POST".into(), &3.into()));
    assert!(!report.to_string().contains("hunter2"));
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_goes() {
    let run = |limits: &str, args: &str| {
        let aquests = env!("CARGO_BIN_EXE_aquests");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{limits}; exec {aquests} load --quiet {args}")]);
        start(shell.stdout(Stdio::piped()).stderr(Stdio::piped())).end()
    };
    run("ulimit -Sn 64", "-c 200 -n 1k").exits(0).prints("  200: 1000\n");
    let ran = run("ulimit -n 300", "-c 200 -n 1k").exits(2);
    ran.says("200 connections need 432 open files, and the system allows 300: ask for fewer with -c");
    run("ulimit -n 300", "-c 200 -n 1 http://127.0.0.1:1/").exits(1);
}

/// The example of the README is a report.
#[test]
fn the_readme_shows_what_is_true() {
    let readme = include_str!("../README.md");
    let example = readme.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    check(&serde_json::from_str(example).unwrap());
}

#[test]
fn each_request_has_a_connection_of_its_own_where_that_is_wanted() {
    // It would answer three on each connection, if it were asked.
    let server = Server::start(OK, 3);
    let report = report(&json(&["-n", "30", "-c", "3", "--disable-keepalive", &server.url()]).exits(0));
    assert_eq!(report["statuses"]["200"], 30);
    let requests = server.requests.lock().unwrap();
    assert_eq!((requests.len(), *server.connections.lock().unwrap()), (30, 30));
    assert!(requests.iter().all(|request| request.contains("\r\nconnection: close\r\n")), "{}", requests[0]);
}
