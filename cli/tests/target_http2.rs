//! `aquests target` over HTTP/2, asked by clients that are not ours: nghttp, curl and h2load; and loaded by ours.
#![cfg(unix)]

mod support;

use std::process::{Command, Output};

use support::{Target, aquests};

const TEXT: &str = "This is the target of aquests.\n";

/// Runs a program that must be there and succeed.
#[track_caller]
fn run(program: &str, package: &str, args: &[&str]) -> Output {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; install it with: apt-get install {package}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {}\n{said}", output.status);
    output
}

fn curl(args: &[&str]) -> String {
    let args = [&["--silent", "--show-error", "--max-time", "60"], args].concat();
    String::from_utf8(run("curl", "curl", &args).stdout).expect("what the target sends is text")
}

#[test]
fn curl_gets_there_by_all_three_ways_and_the_content_is_the_same() {
    let (plain, secure) = (Target::start(), Target::secure(&["--tls"]));
    let authority = secure.authority.as_deref().expect("a target over TLS names its authority");
    for path in ["/", "/bytes/9000", "/bytes/100000", "/chunked/100000", "/status/404", "/delay/10"] {
        let old = curl(&["--http1.1", &plain.url(path)]);
        assert!(!old.is_empty());
        let version = ["--write-out", "|%{http_version}"];
        let known = curl(&[&version[..], &["--http2-prior-knowledge", &plain.url(path)]].concat());
        assert!(known == format!("{old}|2"), "{path}: {known}");
        // More behind the head than it has room for is too much for this curl.
        if old.len() < 10_000 {
            let upgraded = curl(&[&version[..], &["--http2", &plain.url(path)]].concat());
            assert!(upgraded == format!("{old}|2"), "{path}: {upgraded}");
        }
        let chosen = curl(&[&version[..], &["--cacert", authority, &secure.url(path)]].concat());
        assert!(chosen == format!("{old}|2"), "{path}: {chosen}");
    }
    let head = curl(&["--http2", "--head", &plain.url("/bytes/7")]);
    assert!(head.contains("HTTP/2 200") && head.contains("content-length: 7"), "{head}");
    let old = curl(&["--http1.1", "--cacert", authority, "--write-out", "|%{http_version}", &secure.url("/")]);
    assert_eq!(old, format!("{TEXT}|1.1"));
}

#[test]
fn an_echo_comes_back_over_streams_and_over_the_upgrade() {
    let target = Target::start();
    let body = "0123456789".repeat(200_000);
    let file = support::path("echo-body");
    std::fs::write(&file, &body).unwrap();
    let data = format!("@{}", file.display());
    for way in [&["--http2-prior-knowledge"][..], &["--http1.1"]] {
        let echo = curl(&[&["--data-binary", &data, &target.url("/echo")], way].concat());
        let (head, came) = echo.split_once("\n\n").expect("a head and a body");
        assert!(came == body, "{} bytes went and {} came back", body.len(), came.len());
        assert!(head.to_lowercase().contains("host: ") && head.starts_with("POST /echo HTTP/"), "{head}");
    }
    let echo = curl(&["--http2", "--header", "x-a: 1", &target.url("/echo?q")]);
    assert!(echo.starts_with("GET /echo?q HTTP/1.1\n") && echo.contains("x-a: 1\n"), "{echo}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn nghttp_is_served_many_streams_at_once() {
    let target = Target::start();
    let urls: Vec<String> = (0..60).map(|number| target.url(&format!("/bytes/{}", number * 1_000))).collect();
    let args: Vec<&str> = urls.iter().map(String::as_str).collect();
    let output = run("nghttp", "nghttp2-client", &[&["--timeout=60"], &args[..]].concat());
    assert_eq!(output.stdout.len(), (0..60).map(|number| number * 1_000).sum::<usize>());
    let output = run("nghttp", "nghttp2-client", &["--upgrade", "--timeout=60", &target.url("/bytes/30000")]);
    assert_eq!(output.stdout.len(), 30_000);
    // A client with the smallest of windows, and one that resets.
    let small = run("nghttp", "nghttp2-client", &["--window-bits=10", "--timeout=60", &target.url("/bytes/50000")]);
    assert_eq!(small.stdout.len(), 50_000);
}

#[test]
fn h2load_loses_nothing() {
    let (plain, secure) = (Target::start(), Target::secure(&["--tls"]));
    for (url, streams) in [(plain.url("/"), "1"), (plain.url("/bytes/5000"), "50"), (secure.url("/"), "20")] {
        let output = run("h2load", "nghttp2-client", &["-n", "5000", "-c", "5", "-m", streams, &url]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("5000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
        assert!(said.contains("status codes: 5000 2xx"), "{said}");
    }
}

#[test]
fn the_load_speaks_whichever_version_it_is_told_to() {
    let (plain, secure) = (Target::start(), Target::secure(&["--tls"]));
    let authority = secure.authority.clone().expect("a target over TLS names its authority");
    let (plain, secure) = (plain.url("/"), secure.url("/"));
    let trust = ["--cacert", &authority];
    for (url, args, versions) in [
        (&plain, &[][..], "HTTP/1.1: 1000"),
        (&plain, &["--http2", "-p", "20"], "HTTP/2.0: 1000"),
        (&plain, &["--upgrade", "-p", "20"], "HTTP/2.0: 1000"),
        (&plain, &["--http2", "-p", "20", "-d", "a body"], "HTTP/2.0: 1000"),
        (&secure, &trust, "HTTP/2.0: 1000"),
        (&secure, &[&trust[..], &["--http2", "-p", "20"]].concat(), "HTTP/2.0: 1000"),
        (&secure, &[&trust[..], &["--http1.1", "-p", "5"]].concat(), "HTTP/1.1: 1000"),
    ] {
        let common = ["load", "--quiet", "-c", "4", "-n", "1000"];
        let ran = aquests(&[&common[..], args, &[url.as_str()]].concat()).exits(0);
        ran.prints(versions);
    }
    aquests(&["load", "--upgrade", "-d", "x", &plain]).exits(2).says("does not ask for an upgrade");
    aquests(&["load", "--http2", "--http1.1", &plain]).exits(2);
}
