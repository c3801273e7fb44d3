//! Loading Redis: real servers, and those that let nobody in.
#![cfg(all(feature = "load", feature = "redis"))]

mod support;

use std::time::Duration;

use aquests::load::{Control, Plan, run};
use aquests::redis::{Redis, Version as Resp};
use aquests::{Error, ErrorKind, Phase, Report, TlsSettings, Version};
use support::tls::Authority;
use support::{Peer, RedisServer, must_end};

fn try_load(plan: Plan) -> Result<Report, Error> {
    must_end(move || run(&plan, &Control::new()))
}

/// Runs a plan of so many requests: each has one outcome.
#[track_caller]
fn load(plan: Plan, requests: u64) -> Report {
    let report = try_load(plan.requests(requests)).unwrap();
    assert_eq!((report.requests(), report.cut_off()), (requests, 0), "{report}");
    assert_eq!(report.responses() + report.errors().values().sum::<u64>(), requests, "{report}");
    assert_eq!(report.replies().values().sum::<u64>(), report.responses(), "{report}");
    assert_eq!(report.versions().values().sum::<u64>(), report.responses(), "{report}");
    assert_eq!(report.latency().count(), report.responses(), "{report}");
    report
}

fn at(server: &RedisServer) -> Redis {
    Redis::at(&server.address().to_string())
}

#[test]
fn each_command_runs_once_and_is_answered_in_the_version_that_was_agreed_on() {
    let server = RedisServer::start();
    for (at_once, threads) in [(1, 1), (16, 1), (100, 2)] {
        server.cli(&["SET", "sum", "0"]);
        let plan = Plan::redis(&at(&server), ["INCRBY", "sum", "2"]).unwrap();
        let report = load(plan.connections(7).depth(at_once).threads(threads), 10_000);
        assert_eq!((report.failed(), report.replies()["OK"]), (0, 10_000), "{report}");
        assert_eq!(report.versions()[&Version::Resp3], 10_000, "{report}");
        assert_eq!(server.cli(&["GET", "sum"]).trim(), "20000");
    }
    let plan = Plan::redis(&at(&server).protocol(Resp::Resp2), ["PING"]).unwrap();
    assert_eq!(load(plan.connections(3), 30).versions()[&Version::Resp2], 30);
}

#[test]
fn every_word_may_be_a_template_and_no_other_key_is_touched() {
    let server = RedisServer::start();
    let plan = Plan::redis(&at(&server), ["SET", "key:{rand:1:20}", "{seq}-{bytes:10}-{uuid}"]).unwrap();
    load(plan.connections(5).depth(8), 5_000);
    let keys = server.cli(&["KEYS", "*"]);
    let numbers: Vec<u32> = keys.lines().map(|key| key.strip_prefix("key:").unwrap().parse().unwrap()).collect();
    assert!(numbers.len() == 20 && numbers.iter().all(|number| (1..=20).contains(number)), "{keys}");
    let value = server.cli(&["GET", "key:7"]);
    let parts: Vec<_> = value.trim().splitn(3, '-').map(str::len).collect();
    assert!(parts[0] >= 1 && parts[1..] == [10, 36], "{value}");
    let plan = Plan::redis(&at(&server), ["SET", "{seq}", "{bytes:64}"]).unwrap();
    load(plan.templates(false), 10);
    assert_eq!(server.cli(&["GET", "{seq}"]).trim(), "{bytes:64}");
}

#[test]
fn what_was_not_done_is_counted_by_its_code() {
    let server = RedisServer::start();
    server.cli(&["SET", "text", "x"]);
    let report = load(Plan::redis(&at(&server), ["LPUSH", "text", "1"]).unwrap().connections(3).depth(4), 100);
    assert_eq!((report.failed(), report.replies()["WRONGTYPE"]), (0, 100), "{report}");
    let report = load(Plan::redis(&at(&server), ["NO-SUCH-COMMAND"]).unwrap(), 10);
    assert_eq!(report.replies()["ERR"], 10, "{report}");
}

#[test]
fn long_strings_are_counted_byte_by_byte() {
    let server = RedisServer::start();
    for length in [0, 100, 65_000, 70_000, 3_000_000] {
        server.cli(&["SET", "key", ""]);
        server.cli(&["SETRANGE", "key", &length.to_string(), "x"]);
        let report = load(Plan::redis(&at(&server), ["GET", "key"]).unwrap().connections(2).depth(3), 20);
        assert_eq!((report.failed(), report.replies()["OK"]), (0, 20), "{report}");
        let bytes = report.bytes() / 20 - (length + 1);
        assert!(bytes < 20, "{length}: {bytes} bytes too many in each answer");
    }
}

#[test]
fn a_login_that_is_refused_ends_the_run_with_the_words_of_the_server() {
    let server = RedisServer::builder().password("right").start();
    for (db, code) in [
        (at(&server).password("hunter2"), "WRONGPASS"),
        (at(&server).password("hunter2").protocol(Resp::Resp2), "WRONGPASS"),
        (at(&server).user("nobody", "hunter2"), "WRONGPASS"),
        (at(&server), "NOAUTH"),
        (at(&server).password("right").database(99), "ERR DB index is out of range"),
    ] {
        let plan = Plan::redis(&db, ["PING"]).unwrap().connections(3).duration(Duration::from_secs(3_600));
        let error = try_load(plan).unwrap_err();
        assert_eq!((error.kind(), error.peer()), (ErrorKind::Authentication, &*server.address().to_string()));
        let words = format!("{error} {error:?}");
        assert!(words.contains(code) && !words.contains("hunter2"), "{words}");
    }
    // Whoever is let in sees what may not be done as an answer.
    let db = at(&server).password("right");
    assert_eq!(load(Plan::redis(&db, ["PING"]).unwrap().connections(3), 10).replies()["OK"], 10);
    let db = at(&server).protocol(Resp::Resp2);
    assert_eq!(load(Plan::redis(&db, ["PING"]).unwrap().connections(3), 10).replies()["NOAUTH"], 10);
}

#[test]
fn connections_that_are_turned_away_fail_requests_and_the_run_goes_on() {
    for version in [Resp::Resp2, Resp::Resp3] {
        let server = RedisServer::builder().max_clients(4).start();
        let db = at(&server).protocol(version);
        // It holds those that it let in, and turns away all others.
        let plan = Plan::redis(&db, ["DEBUG", "SLEEP", "0.001"]).unwrap().connections(12).depth(2);
        let report = load(plan, 300);
        assert!(report.replies()["OK"] > 0, "{version:?}: {report}");
        assert_eq!(report.replies().len(), 1, "{version:?}: {report}");
        assert!(report.errors()[&ErrorKind::Refused] > 0 && report.errors().len() == 1, "{version:?}: {report}");
        let words = report.sample(ErrorKind::Refused).unwrap();
        assert!(words.contains("turned the connection away: ERR max number of clients"), "{version:?}: {words}");
    }
}

#[test]
fn a_connection_that_closes_before_it_took_a_request_fails_one() {
    // In the middle of the login, and after it said something that is none.
    for answer in [&b""[..], b"%1\r\n", b":1\r\n", b"garbage\r\n"] {
        let peer = Peer::start(move |conn| {
            conn.line()?;
            conn.send(answer)
        });
        let db = Redis::at(&peer.address().to_string());
        let report = load(Plan::redis(&db, ["PING"]).unwrap().connections(3), 20);
        assert_eq!((report.responses(), report.failed()), (0, 20), "{answer:?}: {report}");
    }
}

#[test]
fn what_changes_a_connection_cannot_be_loaded_and_what_waits_only_alone() {
    let server = RedisServer::start();
    let db = at(&server);
    for words in [&["MULTI"][..], &["subscribe", "a"], &["SELECT", "1"], &["CLIENT", "REPLY", "OFF"], &["MONITOR"], &[]]
    {
        let error = Plan::redis(&db, words).and_then(|plan| run(&plan, &Control::new())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{words:?}: {error}");
    }
    server.cli(&["RPUSH", "list", "1", "2", "3"]);
    let plan = Plan::redis(&db, ["BLPOP", "list", "0.01"]).unwrap().connections(2);
    let error = try_load(plan.clone().depth(2)).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidRequest && error.to_string().contains("BLPOP may wait"), "{error}");
    assert_eq!(load(plan, 10).replies()["OK"], 10);
    assert_eq!(server.cli(&["LLEN", "list"]).trim(), "0");
}

#[test]
fn redirects_of_a_cluster_are_counted_and_not_followed() {
    let cluster = support::RedisCluster::start();
    let db = at(&cluster.nodes()[0]);
    let report = load(Plan::redis(&db, ["SET", "{seq}", "x"]).unwrap().connections(3), 300);
    assert_eq!(report.failed(), 0, "{report}");
    assert!(report.replies()["MOVED"] > 0 && report.replies()["OK"] > 0, "{report}");
}

#[test]
fn tls_and_unix_sockets_are_reached() {
    let authority = Authority::new("the authority");
    let server = RedisServer::builder().tls(&authority.localhost()).start();
    let db = Redis::parse(&server.tls_url()).unwrap();
    let plan = Plan::redis(&db, ["SET", "{seq}", "x"]).unwrap().connections(3).depth(4);
    let report = load(plan.clone().tls(TlsSettings::new().roots_pem(authority.pem.as_str())), 100);
    assert_eq!(report.replies()["OK"], 100, "{report}");
    let other = Authority::new("another authority");
    let address = (std::net::Ipv4Addr::LOCALHOST, server.tls_port()).into();
    let report = load(plan.tls(TlsSettings::new().roots_pem(other.pem.as_str())).connect_to(address), 10);
    assert_eq!(report.errors().get(&ErrorKind::Tls), Some(&10), "{report}");
    let plan = Plan::redis(&Redis::unix_socket(server.socket()), ["GET", "{seq}"]).unwrap();
    assert_eq!(load(plan.connections(3), 100).replies()["OK"], 100);
    let plan = Plan::redis(&Redis::at("no.such.host.invalid"), ["PING"]).unwrap();
    assert_eq!(load(plan.unix_socket(server.socket()), 10).replies()["OK"], 10);
}

#[test]
fn a_server_that_ends_and_comes_back_costs_what_it_had_and_nothing_else() {
    let mut server = RedisServer::start();
    let plan = Plan::redis(&at(&server), ["SET", "key", "x"]).unwrap().connections(4).depth(8);
    let plan = plan.duration(Duration::from_secs(3_600));
    let control = std::sync::Arc::new(Control::new());
    let watched = control.clone();
    let run = std::thread::spawn(move || run(&plan, &control).unwrap());
    let wait_for = |more: fn(&Control) -> u64, than: u64| {
        while more(&watched) <= than {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for(|control| control.finished() - control.failed(), 1_000);
    server.kill();
    wait_for(Control::failed, 0);
    server.restart();
    let before = watched.finished() - watched.failed();
    wait_for(|control| control.finished() - control.failed(), before + 1_000);
    watched.stop();
    let report = must_end(move || run.join().unwrap());
    assert_eq!(report.responses() + report.failed(), report.requests(), "{report}");
    assert!(report.errors().keys().all(|kind| matches!(kind, ErrorKind::Closed | ErrorKind::Connect)), "{report}");
}

#[test]
fn a_server_that_lets_nobody_in_fails_requests_like_one_that_cannot_be_reached() {
    // It accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let db = Redis::at(&silent.local_addr().unwrap().to_string());
    let plan = Plan::redis(&db, ["GET", "k"]).unwrap().connections(2).connect_timeout(Duration::from_millis(200));
    let report = load(plan, 4);
    assert_eq!(report.errors().get(&ErrorKind::Timeout(Phase::Connect)), Some(&4), "{report}");
}
