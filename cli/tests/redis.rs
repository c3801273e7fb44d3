//! `aquests fetch redis://…` and `aquests load redis://…` on real servers. What is printed is judged by `redis-cli`.
#![cfg(unix)]

mod support;

#[path = "support/schema.rs"]
mod schema;
#[allow(unexpected_cfgs)]
#[path = "../../tests/support/mod.rs"]
mod servers;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use servers::tls::Authority;
use servers::{Folder, RedisServer, must_end};
use support::{aquests, command, path, start};

/// What a fetch prints.
#[track_caller]
fn fetch(server: &RedisServer, args: &[&str]) -> String {
    let url = server.url();
    aquests(&[&["fetch", &url], args].concat()).exits(0).out
}

/// Gives commands on standard input.
fn feed(server: &RedisServer, options: &[&str], commands: &str) -> support::Ran {
    let folder = Folder::new();
    folder.write("commands", commands);
    let stdin = fs::File::open(folder.path().join("commands")).unwrap();
    let url = server.url();
    start(command(&[&["fetch"], options, &[&url]].concat()).stdin(stdin)).end()
}

/// What `redis-cli` prints for the same.
fn cli(server: &RedisServer, options: &[&str], args: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &server.port().to_string(), "-3"]).args(options).args(args);
    let output = command.output().unwrap_or_else(|error| panic!("{error}: apt-get install redis-tools"));
    String::from_utf8(output.stdout).unwrap()
}

/// What is printed on a terminal.
#[track_caller]
fn on_a_terminal(server: &RedisServer, args: &[&str]) -> String {
    let mut line = format!("{} fetch {}", env!("CARGO_BIN_EXE_aquests"), server.url());
    args.iter().for_each(|arg| line += &format!(" '{arg}'"));
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{error}: apt-get install bsdutils"));
    // A terminal makes two of each line break.
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
}

const REPLIES: [&[&str]; 16] = [
    &["SET", "key", "a \"b\"\\\n\t\u{1}é"],
    &["GET", "key"],
    &["GET", "nothing"],
    &["APPEND", "key", ""],
    &["LRANGE", "list", "0", "-1"],
    &["LRANGE", "nothing", "0", "-1"],
    &["HGETALL", "hash"],
    &["HGETALL", "nothing"],
    &["SMEMBERS", "set"],
    &["SMEMBERS", "nothing"],
    &["ZRANGE", "sorted", "0", "-1", "WITHSCORES"],
    &["EVAL", "return {1, {2, {\"three\", false, {}}}, \"four\"}", "0"],
    &["CLIENT", "GETNAME"],
    &["DEBUG", "PROTOCOL", "true"],
    &["DEBUG", "PROTOCOL", "verbatim"],
    &["DEBUG", "PROTOCOL", "map"],
];

fn with_data() -> RedisServer {
    let server = RedisServer::start();
    server.feed("RPUSH list a b c d e f g h i j k\nHSET hash f1 v1 f2 \"v 2\"\nSADD set one\nZADD sorted 1 a 2.5 b\n");
    server
}

#[test]
fn replies_look_as_redis_cli_shows_them() {
    let server = with_data();
    for args in REPLIES {
        assert_eq!(fetch(&server, args), cli(&server, &["--raw"], args), "{args:?}");
        assert_eq!(on_a_terminal(&server, args), cli(&server, &["--no-raw"], args), "{args:?}");
        let json = aquests(&[&["fetch", "--json", &server.url()], args].concat()).exits(0).out;
        assert_eq!(json, cli(&server, &["--json"], args), "{args:?}");
    }
}

#[test]
fn an_error_is_said_on_standard_error_and_fails() {
    let server = RedisServer::start();
    let ran = aquests(&["fetch", &server.url(), "LPUSH", "key"]).exits(1);
    assert_eq!((&*ran.out, &*ran.err), ("", "(error) ERR wrong number of arguments for 'lpush' command\n"));
    // Those behind it are answered all the same.
    let ran = feed(&server, &[], "SET key 1\nLPUSH key 2\nGET \"key\nGET key\n").exits(1);
    assert_eq!(ran.out, "OK\n1\n");
    assert!(
        ran.err.contains("(error) WRONGTYPE ") && ran.err.contains("line 3 has quotes that are not"),
        "{}",
        ran.err
    );
    // Nobody listens there, and where its port begins can be seen.
    aquests(&["fetch", "redis://[::1]:1", "PING"]).exits(1).says("cannot connect to [::1]:1: ");
    server.cli(&["CONFIG", "SET", "requirepass", "right"]);
    let ran = aquests(&["fetch", &server.url(), "GET", "key"]).exits(1);
    assert!(ran.err.contains("did not accept the login: NOAUTH"), "{}", ran.err);
}

#[test]
fn commands_of_standard_input_are_answered_in_their_order_on_one_connection() {
    must_end(|| {
        let server = RedisServer::start();
        let before = server.info("total_connections_received");
        let commands: String =
            (0..20_000).map(|number| format!("SET 'key {number}' \"{number}\\x21\"\r\n\n")).collect();
        let ran =
            feed(&server, &[], &format!("{commands}SELECT 1\nSET other x\nMULTI\nGET other\nEXEC\nDBSIZE")).exits(0);
        assert_eq!(ran.out, format!("{}OK\nOK\nOK\nQUEUED\nx\n1\n", "OK\n".repeat(20_000)));
        assert_eq!(server.cli(&["GET", "key 777"]).trim(), "777!");
        assert!(server.info("total_connections_received") - before <= 4, "one, and those that ask");
        // Strings and all else, long ones too, which come in parts.
        server.cli(&["SETRANGE", "long", "3000000", "x"]);
        let ran = feed(&server, &[], &"ECHO a\nPING\nGET long\nGET nothing\nGET long\nECHO b\n".repeat(3)).exits(0);
        let long = "\0".repeat(3_000_000) + "x\n";
        assert!(ran.out == format!("a\nPONG\n{long}\n{long}b\n").repeat(3), "{} bytes", ran.out.len());
        // The answer to what is there comes before the rest is.
        let mut child = command(&["fetch", &server.url(), "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        for text in ["one", "two"] {
            writeln!(stdin, "ECHO {text}").unwrap();
            let mut line = String::new();
            answers.read_line(&mut line).unwrap();
            assert_eq!(line.trim(), text);
        }
        drop(stdin);
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn a_long_string_goes_to_a_file_as_it_comes() {
    must_end(|| {
        let server = RedisServer::start();
        let length = 200 << 20;
        server.cli(&["SETRANGE", "key", &(length - 1).to_string(), "x"]);
        let file = path("string");
        let mut child = command(&["fetch", "-o", file.to_str().unwrap(), &server.url(), "GET", "key"]).spawn().unwrap();
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            most = most.max(memory_of(child.id()));
        }
        assert!(child.wait().unwrap().success());
        assert_eq!(fs::metadata(&file).unwrap().len(), length + 1, "and a line break");
        fs::remove_file(file).unwrap();
        assert!(most < 40 << 20, "{most} bytes of memory for a string of {length}");
    });
}

/// What a process holds in memory, in bytes; 0 where it is gone.
fn memory_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn a_reader_who_goes_away_is_no_error_and_nobody_complains_of_what_was_given_up() {
    let server = RedisServer::start();
    server.feed(&format!("SET long {}\n", "x".repeat(4 << 20)));
    let mut child = command(&["fetch", &server.url()]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than are sent ahead, so that many wait when the reader goes.
    stdin.write_all("GET long\n".repeat(2_000).as_bytes()).unwrap();
    let mut some = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*said), (Some(0), ""), "only the first bytes were wanted");
    drop(stdin);
}

#[test]
fn messages_are_printed_as_they_come_until_there_are_enough() {
    must_end(|| {
        let server = RedisServer::start();
        let mut child =
            command(&["fetch", "--count", "2", &server.url(), "SUBSCRIBE", "news", "weather"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut next = |number: usize| lines.by_ref().take(number).collect::<Vec<_>>();
        assert_eq!(next(6), ["subscribe", "news", "1", "subscribe", "weather", "2"]);
        for (channel, text) in [("weather", "rain"), ("news", "late")] {
            server.cli(&["PUBLISH", channel, text]);
            assert_eq!(next(3), ["message", channel, text]);
        }
        assert!(child.wait().unwrap().success());
        // In either version, with patterns, until somebody presses Ctrl-C.
        for version in ["2", "3"] {
            let url = format!("{}?protocol={version}", server.url());
            let mut fetch = command(&["fetch", "--json", &url, "PSUBSCRIBE", "n*"]);
            let running = start(&mut fetch);
            running.wait_until_it_catches(Signal::INT);
            server.cli(&["PUBLISH", "news", "late"]);
            server.cli(&["PUBLISH", "sports", "none"]);
            running.signal(Signal::INT);
            let ran = running.end().exits(0);
            assert!(ran.out.starts_with("[\"psubscribe\",\"n*\",1]\n"), "{}", ran.out);
            let more = ran.out.lines().skip(1).collect::<Vec<_>>();
            assert!(more.is_empty() || more == [r#"["pmessage","n*","news","late"]"#], "{more:?}");
        }
    });
}

#[test]
fn a_subscription_whose_connection_ends_fails_and_says_so() {
    let mut server = RedisServer::start();
    let url = server.url();
    let running = start(&mut command(&["fetch", &url, "SUBSCRIBE", "news"]));
    running.wait_until_it_catches(Signal::INT);
    server.stop();
    let ran = running.end().exits(1).prints("subscribe\nnews\n1\n");
    ran.says(&format!("127.0.0.1:{} closed the connection", server.port()));
}

#[test]
fn a_command_that_waits_is_waited_for_and_a_limit_ends_it() {
    must_end(|| {
        let server = RedisServer::start();
        assert_eq!(fetch(&server, &["BLPOP", "list", "0.2"]), "\n");
        let running = start(&mut command(&["fetch", &server.url(), "BLPOP", "list", "0"]));
        while server.info("blocked_clients") == 0 {}
        server.cli(&["RPUSH", "list", "x"]);
        assert_eq!(running.end().exits(0).out, "list\nx\n");
        aquests(&["fetch", "-t", "200ms", &server.url(), "BLPOP", "list", "0"]).exits(1).says("did not answer in time");
    });
}

#[test]
fn tls_unix_sockets_and_other_places_are_reached() {
    let authority = Authority::new("the authority");
    let server = RedisServer::builder().tls(&authority.localhost()).start();
    let folder = Folder::new();
    folder.write("root.pem", &authority.pem);
    let root = folder.path().join("root.pem");
    let root = root.to_str().unwrap();
    let (socket, port) = (server.socket(), server.port());
    let socket = socket.to_str().unwrap();
    let by_path = format!("redis+unix://{socket}?db=1");
    let elsewhere = format!("no.such.host.invalid:81:127.0.0.1:{port}");
    let known = format!("no.such.host.invalid:{port}:127.0.0.1");
    let named = format!("redis://no.such.host.invalid:{port}");
    for (options, url) in [
        (&["--cacert", root][..], &*server.tls_url()),
        (&["-k"], &server.tls_url()),
        (&["--unix-socket", socket], "redis://no.such.host.invalid/1"),
        (&[], &by_path),
        (&["--connect-to", &elsewhere], "redis://no.such.host.invalid:81/"),
        (&["--resolve", &known], &named),
    ] {
        let ran = aquests(&[&["fetch"], options, &[url, "ECHO", "hi"]].concat()).exits(0);
        assert_eq!(ran.out, "hi\n", "{options:?} {url}");
        let ran = aquests(&[&["load", "--quiet", "-n", "20", "-c", "2"], options, &[url, "INCR", "n"]].concat());
        ran.exits(0).prints("  OK: 20\n");
    }
    aquests(&["fetch", &server.tls_url(), "PING"]).exits(1).says("TLS with localhost");
    assert_eq!(server.cli(&["GET", "n"]).trim(), "80");
}

/// A password is shown nowhere, whatever happens.
#[test]
fn a_password_is_shown_nowhere() {
    let server = RedisServer::builder().password("hunter2").start();
    let url = format!("redis://:hunter2@127.0.0.1:{}/3", server.port());
    let wrong = format!("redis://me:hunter2@127.0.0.1:{}", server.port());
    let shown = format!("redis://127.0.0.1:{}/3", server.port());
    for form in ["text", "json", "csv", "html"] {
        let ran = aquests(&["load", "-n", "50", "--output-format", form, &url, "GET", "key"]).exits(0);
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{form}: {}", ran.out);
        assert!(form == "csv" || ran.out.contains(&shown), "{form}: {}", ran.out);
    }
    let bad = "redis://me:hunter2@[::1:7/".to_owned();
    for (args, code) in [
        (&["load", &wrong, "GET", "key"][..], 1),
        (&["fetch", "-v", &wrong, "GET", "key"], 1),
        (&["fetch", "-v", &url, "GET", "key"], 0),
        (&["fetch", "-v", &url, "AUTH", "hunter2"], 0),
        (&["fetch", "-v", &url, "CONFIG", "SET", "requirepass", "hunter2"], 0),
        (&["fetch", &bad, "GET", "key"], 2),
        (&["load", &bad, "GET", "key"], 2),
        (&["load", &wrong, "MULTI"], 2),
        (&["load", "--http2", &wrong, "PING"], 2),
    ] {
        let ran = aquests(args).exits(code);
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{args:?}: {} {}", ran.out, ran.err);
    }
    aquests(&["load", &wrong, "GET", "key"]).exits(1).says("did not accept the login: WRONGPASS");
    // As redis-cli finds it, where the URL says nothing.
    let bare = server.url();
    for args in [&["fetch", &*bare, "GET", "key"][..], &["load", "--quiet", &bare, "GET", "key"]] {
        start(command(args).env("REDISCLI_AUTH", "hunter2")).end().exits(0);
        start(command(args).env("REDISCLI_AUTH", "")).end().exits(1).says("NOAUTH");
    }
    start(command(&["fetch", &url, "PING"]).env("REDISCLI_AUTH", "wrong")).end().exits(0).prints("PONG");
}

#[test]
fn what_belongs_to_http_is_refused_by_name() {
    let url = "redis://127.0.0.1:1";
    for options in [
        &["--method", "GET"][..],
        &["--header", "a: b"],
        &["--body", "x"],
        &["--body-file", "/no/such/file"],
        &["--content-type", "x"],
        &["--accept", "x"],
        &["--http2"],
        &["--http1.1"],
    ] {
        for of in ["fetch", "load"] {
            let ran = aquests(&[&[of], options, &[url, "GET", "key"]].concat()).exits(2);
            ran.says(&format!("aquests: {} belongs to HTTP", options[0]));
        }
    }
    for (args, words) in [
        (&["fetch", "--include", url, "PING"][..], "--include belongs to HTTP"),
        (&["fetch", "--fail", url, "PING"], "--fail belongs to HTTP"),
        (&["fetch", "-F", "a=b", url, "PING"], "--form belongs to HTTP"),
        (&["load", "--upgrade", url, "PING"], "--upgrade belongs to HTTP"),
        (&["load", "--disable-keepalive", url, "PING"], "--disable-keepalive belongs to HTTP"),
        (&["load", url], "a command of Redis is missing"),
        (&["load", url, "SUBSCRIBE", "a"], "SUBSCRIBE changes what the server knows of a connection"),
        (&["load", "-p", "2", url, "BLPOP", "a", "1"], "BLPOP may wait"),
        (&["load", "http://127.0.0.1:1", "GET", "key"], "words behind the URL are for databases"),
        (&["fetch", "--json", "http://127.0.0.1:1"], "--json is for databases"),
        (&["fetch", url, "MONITOR"], "MONITOR is answered without end"),
        (&["fetch", "--count", "1", url, "GET", "key"], "--count is for what listens"),
    ] {
        let ran = aquests(args).exits(2).says(words);
        assert_eq!(ran.out, "", "{args:?}");
    }
}

#[test]
fn a_report_tells_replies_by_code_in_every_form() {
    let server = RedisServer::start();
    server.cli(&["SET", "text", "x"]);
    let url = server.url();
    let load = |form: &str, words: &[&str]| {
        let options = ["load", "--quiet", "-n", "100", "-c", "4", "-p", "4", "--output-format", form, &url];
        aquests(&[&options, words].concat()).exits(0).out
    };
    let text = load("text", &["LPUSH", "text", "hunter2"]);
    assert!(text.starts_with(&format!("LPUSH {url}/0: 4 connections")), "{text}");
    assert!(text.contains("replies:\n  WRONGTYPE: 100\nversions:\n  RESP3: 100\n"), "{text}");
    let json: Value = serde_json::from_str(&load("json", &["lpush", "text", "hunter2"])).unwrap();
    schema::validate(&json, &serde_json::from_str(include_str!("../load-report.schema.json")).unwrap()).unwrap();
    assert_eq!((&json["replies"]["WRONGTYPE"], &json["minor"]), (&100.into(), &3.into()));
    assert_eq!((&json["options"]["method"], &json["requests"]["answered"]), (&"LPUSH".into(), &100.into()));
    assert_eq!(json["statuses"], serde_json::json!({}));
    let html = load("html", &["LPUSH", "text", "hunter2"]);
    assert!(html.contains("<td>WRONGTYPE</td>") && html.contains(">command</th>"), "{html}");
    assert!([text, json.to_string(), html].iter().all(|form| !form.contains("hunter2")), "arguments may be secrets");
    // A word that looks like an option is a word, behind the first.
    load("text", &["SET", "number", "-n"]);
    assert_eq!(server.cli(&["GET", "number"]).trim(), "-n");
}
