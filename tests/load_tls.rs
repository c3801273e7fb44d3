//! Loading over TLS: nginx in either version, sessions that are resumed or not, servers that are not believed, and servers
//! that fall silent.
#![cfg(all(feature = "load", feature = "tls"))]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use aquests::load::{Control, Plan, run};
use aquests::{ErrorKind, Phase, Report, TlsSettings, TlsVersion};
use support::tls::{Authority, Identity};
use support::{Folder, Nginx, Peer, must_end};

fn load(plan: Plan) -> Report {
    must_end(move || run(&plan, &Control::new()).expect("the loop works"))
}

fn plan(url: &str, authority: &Authority) -> Plan {
    Plan::new(url).expect("this URL is good").tls(trusting(authority))
}

fn trusting(authority: &Authority) -> TlsSettings {
    TlsSettings::new().roots_pem(authority.pem.as_str())
}

fn nginx(identity: &Identity, locations: &str) -> Nginx {
    let folder = Folder::new();
    folder.write("server.pem", &identity.chain);
    folder.write("server.key", &identity.key);
    Nginx::secure(folder, &format!("access_log {LOG} tls; {locations}"))
}

const LOG: &str = "tls.log";
const VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// What nginx saw of so many requests: version, `r` where the session was resumed and `.` where not, connection.
fn seen(nginx: &Nginx, requests: usize) -> Vec<(String, String, String)> {
    // It writes a line when it is done with a request, which may be after the answer has come.
    while nginx.log(LOG).len() < requests {
        thread::sleep(Duration::from_millis(5));
    }
    let lines = nginx.log(LOG);
    assert_eq!(lines.len(), requests, "each request is seen once");
    let words = |line: &String| {
        let mut words = line.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_else(|| panic!("a line of three words: {line}"));
        (word(), word(), word())
    };
    lines.iter().map(words).collect()
}

/// How many connections there were, and how many of them resumed a session.
fn connections(seen: &[(String, String, String)]) -> (usize, usize) {
    let all: BTreeSet<_> = seen.iter().map(|(_, resumed, connection)| (connection, resumed)).collect();
    (all.len(), all.iter().filter(|(_, resumed)| *resumed == "r").count())
}

#[track_caller]
fn assert_answered(report: &Report, requests: u64, bytes: u64) {
    assert_eq!(report.errors(), &BTreeMap::new(), "{report}");
    assert_eq!(report.statuses(), &BTreeMap::from([(200, requests)]), "{report}");
    assert_eq!((report.requests(), report.bytes()), (requests, bytes), "{report}");
    assert_eq!((report.latency().count(), report.cut_off()), (requests, 0), "{report}");
}

#[track_caller]
fn assert_failed(report: &Report, requests: u64, kind: ErrorKind) {
    assert_eq!(report.errors(), &BTreeMap::from([(kind, requests)]), "{report}");
    assert_eq!((report.requests(), report.responses(), report.cut_off()), (requests, 0, 0), "{report}");
}

#[test]
fn every_request_is_answered_on_kept_connections_in_either_version() {
    must_end(|| {
        let authority = Authority::new("root");
        for version in VERSIONS {
            let locations = format!("ssl_protocols {version}; location / {{ return 200 ok; }}");
            let nginx = nginx(&authority.localhost(), &locations);
            let report = load(plan(&nginx.url("/"), &authority).connections(20).requests(2_000));
            assert_answered(&report, 2_000, 4_000);
            let seen = seen(&nginx, 2_000);
            assert!(seen.iter().all(|(spoken, ..)| spoken == version), "{:?}", seen[0]);
            assert_eq!(connections(&seen).0, 20);
        }
    });
}

#[test]
fn one_version_is_loaded_where_that_is_wanted() {
    must_end(|| {
        let authority = Authority::new("root");
        let locations = "ssl_protocols TLSv1.2 TLSv1.3; location / { return 200 ok; }";
        let nginx = nginx(&authority.localhost(), locations);
        let wanted = [(TlsVersion::Tls12, "TLSv1.2"), (TlsVersion::Tls13, "TLSv1.3")];
        for (version, _) in wanted {
            let plan = plan(&nginx.url("/"), &authority).tls(trusting(&authority).only(version));
            assert_answered(&load(plan.connections(1).requests(10)), 10, 20);
        }
        for (line, (_, version)) in seen(&nginx, 20).chunks(10).zip(wanted) {
            assert!(line.iter().all(|(spoken, ..)| spoken == version), "{version}: {line:?}");
        }
    });
}

#[test]
fn large_and_chunked_answers_and_pipelines_are_counted_whole() {
    must_end(|| {
        let authority = Authority::new("root");
        let identity = authority.localhost();
        let folder = Folder::new();
        folder.write("server.pem", &identity.chain);
        folder.write("server.key", &identity.key);
        folder.write("large", vec![b'x'; 3_000_001]);
        folder.write("page.html", "<p>hello</p>".repeat(10_000));
        let nginx = Nginx::secure(folder, "sub_filter hello howdy; sub_filter_once off; sub_filter_types text/html;");
        let large = load(plan(&nginx.url("/large"), &authority).connections(3).requests(30));
        assert_answered(&large, 30, 30 * 3_000_001);
        let pipelined = load(plan(&nginx.url("/page.html"), &authority).connections(3).depth(8).requests(300));
        assert_answered(&pipelined, 300, 300 * 120_000);
        let threads = load(plan(&nginx.url("/page.html"), &authority).connections(8).threads(3).requests(100));
        assert_answered(&threads, 100, 100 * 120_000);
    });
}

#[test]
fn sessions_are_resumed_when_connections_are_lost_and_never_where_that_is_not_wanted() {
    must_end(|| {
        let authority = Authority::new("root");
        for version in VERSIONS {
            // The server closes each connection after one answer.
            let locations = format!(
                "ssl_protocols {version}; ssl_session_cache shared:all:1m; keepalive_timeout 0;
                location / {{ return 200 ok; }}"
            );
            let loaded = |settings: TlsSettings, lines: usize| {
                let nginx = nginx(&authority.localhost(), &locations);
                let report = load(plan(&nginx.url("/"), &authority).tls(settings).connections(lines).requests(200));
                assert_answered(&report, 200, 400);
                connections(&seen(&nginx, 200))
            };
            assert_eq!(loaded(trusting(&authority), 1), (200, 199), "{version}: all but the first");
            let (all, resumed) = loaded(trusting(&authority), 8);
            assert!(all == 200 && resumed >= 184, "{version}: {resumed} of {all} on 8 connections at once");
            assert_eq!(loaded(trusting(&authority).no_resumption(), 4), (200, 0), "{version}");
        }
    });
}

#[test]
fn each_request_to_a_server_that_is_not_believed_fails_once() {
    must_end(|| {
        let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
        for version in VERSIONS {
            let locations = format!("ssl_protocols {version}; location / {{ return 200 ok; }}");
            let nginx = nginx(&authority.localhost(), &locations);
            for (connections, threads) in [(1, 1), (5, 1), (6, 2)] {
                let plan = plan(&nginx.url("/"), &stranger).connections(connections).threads(threads).requests(20);
                let report = load(plan);
                assert_failed(&report, 20, ErrorKind::Tls);
                let words = report.sample(ErrorKind::Tls).unwrap();
                assert!(words.contains("is signed by an unknown authority"), "{words}");
            }
            // The name is wrong, which the URL says and not the address.
            let elsewhere = plan("https://another.example/", &authority).unix_socket(nginx.socket());
            let report = load(elsewhere.requests(10));
            assert_failed(&report, 10, ErrorKind::Tls);
            assert_eq!(nginx.log(LOG), Vec::<String>::new(), "nobody asked anything");
        }
    });
}

#[test]
fn a_server_without_tls_fails_each_request_once() {
    must_end(|| {
        let authority = Authority::new("root");
        let nginx = Nginx::start("location / { return 200 plain; }");
        let url = format!("https://127.0.0.1:{}/", nginx.port());
        let report = load(plan(&url, &authority).connections(3).requests(20));
        assert_failed(&report, 20, ErrorKind::Tls);
        assert!(report.sample(ErrorKind::Tls).unwrap().contains("is not TLS"), "{report}");
    });
}

#[test]
fn a_server_that_is_silent_in_the_handshake_has_the_time_for_connecting() {
    must_end(|| {
        let authority = Authority::new("root");
        // More than any client hello: it waits until the client has had enough.
        let silent = Peer::start(|conn| conn.take(1 << 20).map(|_| ()));
        let url = silent.secure_url("/");
        let plan = plan(&url, &authority).connect_timeout(Duration::from_millis(100)).connections(3);
        assert_failed(&load(plan.requests(6)), 6, ErrorKind::Timeout(Phase::Connect));
    });
}

#[test]
fn a_server_that_is_silent_after_the_handshake_has_the_time_for_an_answer() {
    must_end(|| {
        let authority = Authority::new("root");
        let peer = Peer::secure(authority.localhost().server(), |conn| {
            conn.request()?;
            conn.request().map(|_| ())
        });
        let plan = plan(&peer.secure_url("/"), &authority).timeout(Duration::from_millis(200)).connections(3);
        assert_failed(&load(plan.requests(6)), 6, ErrorKind::Timeout(Phase::Total));
        assert_eq!(peer.requests(), 6, "none is sent twice");
    });
}
