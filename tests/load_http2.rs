//! Loading over HTTP/2: every request is answered, whatever the server allows, and a late answer costs its own stream.
#![cfg(all(feature = "load", feature = "http2"))]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use aquests::Version;
use aquests::load::{Control, Plan, run};
use aquests::{ErrorKind, Phase, Report, Versions};
use support::{Apache, Folder, Nghttpd, Nginx, Peer, must_end};

fn load(plan: Plan) -> Report {
    must_end(move || run(&plan, &Control::new()).expect("the loop works"))
}

fn plan(url: &str) -> Plan {
    Plan::new(url).expect("this URL is good").versions(Versions::Http2)
}

/// All of them were answered in HTTP/2, and the counts add up.
#[track_caller]
fn assert_all(report: &Report, requests: u64, bytes: u64) {
    assert_eq!(report.errors(), &BTreeMap::new(), "{report}");
    assert_eq!(report.statuses(), &BTreeMap::from([(200, requests)]), "{report}");
    assert_eq!(report.versions(), &BTreeMap::from([(Version::Http2, requests)]), "{report}");
    assert_eq!((report.requests(), report.failed(), report.cut_off()), (requests, 0, 0), "{report}");
    assert_eq!(report.bytes(), bytes, "{report}");
}

#[test]
fn every_request_is_answered_over_connections_and_streams() {
    let nginx = Nginx::http2(Folder::new(), r#"keepalive_requests 100000; location = /2 { return 200 "ok"; }"#);
    for (connections, streams, requests) in
        [(1, 1, 500), (1, 100, 5_000), (10, 10, 5_000), (100, 1, 5_000), (3, 500, 7)]
    {
        let report = load(plan(&nginx.url("/2")).connections(connections).depth(streams).requests(requests));
        assert_all(&report, requests, 2 * requests);
    }
    let templates = plan(&nginx.url("/2?{seq}")).method("POST").body("{bytes:500}").header("x-id", "{uuid}");
    assert_all(&load(templates.connections(3).depth(20).requests(1_000)), 1_000, 2_000);
    let paced = plan(&nginx.url("/2")).connections(2).depth(20).rate(2_000.0).requests(1_000);
    assert_all(&load(paced), 1_000, 2_000);
}

#[test]
fn a_server_that_says_goodbye_after_some_requests_loses_none() {
    let nginx = Nginx::http2(Folder::new(), r#"keepalive_requests 7; location = /2 { return 200 "ok"; }"#);
    for (connections, streams) in [(1, 1), (1, 50), (5, 10)] {
        let report = load(plan(&nginx.url("/2")).connections(connections).depth(streams).requests(1_000));
        assert_all(&report, 1_000, 2_000);
    }
}

#[test]
fn no_more_streams_are_opened_than_the_server_allows() {
    let folder = Folder::new();
    folder.write("2", "ok");
    let server = Nghttpd::plain(folder, &["--max-concurrent-streams", "3"]);
    let report = load(plan(&server.url("/2")).connections(2).depth(100).requests(2_000));
    assert_all(&report, 2_000, 4_000);
}

#[test]
fn the_upgrade_is_asked_for_on_each_connection_and_a_server_may_decline() {
    let folder = Folder::new();
    folder.write("2", "ok");
    let server = Apache::serve(folder, "h2c http/1.1", "");
    let asking = |url: &str| Plan::new(url).expect("this URL is good").upgrade(true).connections(4).depth(10);
    assert_all(&load(asking(&server.url("/2")).requests(1_000)), 1_000, 2_000);
    let nginx = Nginx::start(r#"location = /2 { return 200 "ok"; }"#);
    let report = load(asking(&nginx.url("/2")).requests(1_000));
    assert_eq!((report.versions(), report.failed()), (&BTreeMap::from([(Version::Http11, 1_000)]), 0), "{report}");
}

#[test]
fn a_server_that_switches_to_something_else_has_answered() {
    for protocol in ["upgrade: websocket\r\n", "upgrade: h2\r\n", ""] {
        let peer = Peer::start(move |conn| {
            conn.request()?;
            conn.send(format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n{protocol}\r\n"))?;
            conn.stall()
        });
        let report = load(Plan::new(&peer.url("/")).unwrap().upgrade(true).connections(2).requests(10));
        assert_eq!(report.statuses(), &BTreeMap::from([(101, 10)]), "{protocol:?}: {report}");
        assert_eq!(report.versions(), &BTreeMap::from([(Version::Http11, 10)]), "{protocol:?}: {report}");
        assert_eq!(report.errors(), &BTreeMap::new(), "{protocol:?}: {report}");
    }
}

#[test]
fn a_late_answer_costs_its_stream_and_not_its_connection() {
    // Every answer comes at once but the third, which never does.
    let peer = Peer::start(|conn| {
        conn.take(24)?;
        conn.send(b"\0\0\0\x04\0\0\0\0\0")?;
        let mut asked = 0;
        loop {
            let head = conn.take(9)?;
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            conn.take(length)?;
            if head[3] == 1 {
                asked += 1;
                if asked != 3 {
                    conn.send([b"\0\0\x01\x01\x05", &head[5..9], b"\x88"].concat())?;
                }
            }
        }
    });
    let plan = plan(&peer.url("/")).connections(1).depth(5).timeout(Duration::from_millis(300)).requests(50);
    let report = load(plan);
    assert_eq!(report.statuses(), &BTreeMap::from([(200, 49)]), "{report}");
    assert_eq!(report.errors(), &BTreeMap::from([(ErrorKind::Timeout(Phase::Total), 1)]), "{report}");
    assert_eq!(peer.connections(), 1, "the others went on");
}

#[cfg(feature = "tls")]
#[test]
fn alpn_chooses_over_tls() {
    use aquests::TlsSettings;
    use support::tls::Authority;

    let (folder, authority) = (Folder::new(), Authority::new("root"));
    let identity = authority.localhost();
    folder.write("server.pem", &identity.chain);
    folder.write("server.key", &identity.key);
    let nginx = Nginx::secure_http2(folder, r#"location = /2 { return 200 "ok"; }"#);
    let any = Plan::new(&nginx.url("/2")).unwrap().tls(TlsSettings::new().roots_pem(authority.pem.as_str()));
    let any = any.connections(3).depth(10).requests(1_000);
    assert_all(&load(any.clone()), 1_000, 2_000);
    let report = load(any.versions(Versions::Http1));
    assert_eq!((report.versions(), report.failed()), (&BTreeMap::from([(Version::Http11, 1_000)]), 0), "{report}");
}
