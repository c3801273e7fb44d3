//! Loading a real server: every request is answered, whatever the server does with connections, lengths and chunks.
#![cfg(feature = "load")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use aquests::Report;
use aquests::Version;
use aquests::load::{Control, Plan, run};
use support::{Folder, Nginx, Python, must_end};

fn load(plan: Plan) -> Report {
    must_end(move || run(&plan, &Control::new()).expect("the loop works"))
}

/// All of them were answered so, and the counts add up.
#[track_caller]
fn assert_all(report: &Report, requests: u64, status: u16, bytes: u64) {
    assert_eq!(report.errors(), &BTreeMap::new(), "{report}");
    assert_eq!(report.statuses(), &BTreeMap::from([(status, requests)]), "{report}");
    assert_eq!((report.requests(), report.responses(), report.failed()), (requests, requests, 0), "{report}");
    assert_eq!(report.bytes(), bytes, "{report}");
    assert_eq!(report.latency().count(), requests, "{report}");
    assert_eq!(report.cut_off(), 0, "{report}");
}

fn plan(url: &str) -> Plan {
    Plan::new(url).expect("this URL is good")
}

#[test]
fn every_request_is_answered_over_tcp() {
    let nginx = Nginx::start(r#"location = /2 { return 200 "ok"; }"#);
    for (connections, requests) in [(1, 500), (50, 5_000), (200, 5_000), (50, 7)] {
        let report = load(plan(&nginx.url("/2")).connections(connections).requests(requests));
        assert_all(&report, requests, 200, 2 * requests);
        assert_eq!(report.versions(), &BTreeMap::from([(Version::Http11, requests)]));
    }
}

#[test]
fn every_request_is_answered_over_a_unix_socket() {
    let nginx = Nginx::start(r#"location = /2 { return 200 "ok"; }"#);
    let report = load(plan("http://anything/2").unix_socket(nginx.socket()).connections(20).requests(2_000));
    assert_all(&report, 2_000, 200, 4_000);
}

#[test]
fn several_threads_share_the_requests() {
    let nginx = Nginx::start(r#"location = /2 { return 200 "ok"; }"#);
    for threads in [2, 3, 8] {
        let report = load(plan(&nginx.url("/2")).connections(10).threads(threads).requests(3_001));
        assert_all(&report, 3_001, 200, 6_002);
    }
}

#[test]
fn a_server_that_limits_requests_per_connection_loses_none() {
    let nginx = Nginx::start(r#"keepalive_requests 7; location = /2 { return 200 "ok"; }"#);
    let report = load(plan(&nginx.url("/2")).connections(20).requests(3_000));
    assert_all(&report, 3_000, 200, 6_000);
}

#[test]
fn a_server_that_closes_after_each_answer_loses_none() {
    let nginx = Nginx::start(r#"keepalive_timeout 0; location = /2 { return 200 "ok"; }"#);
    let report = load(plan(&nginx.url("/2")).connections(10).requests(1_000));
    assert_all(&report, 1_000, 200, 2_000);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let nginx = Nginx::start(r#"location = /2 { return 200 "ok"; }"#);
    for (connections, depth) in [(1, 16), (10, 16), (3, 100)] {
        let report = load(plan(&nginx.url("/2")).connections(connections).depth(depth).requests(4_000));
        assert_all(&report, 4_000, 200, 8_000);
    }
}

#[test]
fn requests_pipelined_behind_the_last_answer_of_a_connection_are_sent_again() {
    // 16 are on their way when the server announces the end after the 7th: 9 of them it never reads.
    let nginx = Nginx::start(r#"keepalive_requests 7; location = /2 { return 200 "ok"; }"#);
    let report = load(plan(&nginx.url("/2")).connections(4).depth(16).requests(2_000));
    assert_all(&report, 2_000, 200, 4_000);
}

#[test]
fn chunked_answers_are_counted_without_their_framing() {
    let folder = Folder::new();
    folder.write("page.html", "<p>hello</p>".repeat(1_000));
    // The filter may change the length, so nginx sends chunks.
    let nginx = Nginx::serve(folder, "sub_filter_types *; sub_filter hello howdy; sub_filter_once off;");
    let report = load(plan(&nginx.url("/page.html")).connections(5).requests(500));
    assert_all(&report, 500, 200, 500 * 12_000);
    let pipelined = load(plan(&nginx.url("/page.html")).connections(5).depth(8).requests(500));
    assert_all(&pipelined, 500, 200, 500 * 12_000);
}

#[test]
fn bodies_of_all_sizes_arrive_whole() {
    let folder = Folder::new();
    let sizes = [0, 1, 4_095, 4_096, 65_535, 65_536, 65_537, 262_144, 1_000_000, 16 << 20];
    for size in sizes {
        folder.write(&format!("f{size}"), vec![b'x'; size]);
    }
    let nginx = Nginx::serve(folder, "");
    for size in sizes {
        let requests = if size > 100_000 { 20 } else { 100 };
        let report = load(plan(&nginx.url(&format!("/f{size}"))).connections(4).requests(requests));
        assert_all(&report, requests, 200, requests * size as u64);
    }
}

#[test]
fn the_answer_to_head_has_no_body_whatever_its_length_says() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 100_000]);
    let nginx = Nginx::serve(folder, "");
    let report = load(plan(&nginx.url("/large")).method("HEAD").connections(3).depth(4).requests(300));
    assert_all(&report, 300, 200, 0);
}

#[test]
fn answers_without_a_body_keep_the_connection() {
    let nginx = Nginx::start("location /none { return 204; } location /same { return 304; }");
    assert_all(&load(plan(&nginx.url("/none")).connections(2).requests(200)), 200, 204, 0);
    assert_all(&load(plan(&nginx.url("/same")).connections(2).requests(200)), 200, 304, 0);
}

#[test]
fn bodies_are_sent_whole_whether_the_server_wants_them_or_not() {
    let folder = Folder::new();
    folder.write("static", "for GET only");
    let nginx = Nginx::serve(folder, r#"location = /taken { return 200 "thanks"; }"#);
    for size in [0, 1, 1_000, 100_000, 1 << 20] {
        let post = |path| plan(&nginx.url(path)).method("POST").body(vec![b'y'; size]).connections(4);
        let report = load(post("/taken").requests(50));
        assert_all(&report, 50, 200, 300);
        let refused = load(post("/static").requests(50));
        assert_eq!((refused.responses(), refused.statuses().get(&405)), (50, Some(&50)), "{refused}");
    }
}

#[test]
fn a_rate_is_kept_and_never_run_ahead_of() {
    let nginx = Nginx::start(r#"location = /2 { return 200 "ok"; }"#);
    for threads in [1, 2] {
        let report = load(plan(&nginx.url("/2")).connections(10).threads(threads).rate(2_000.0).requests(1_000));
        assert_all(&report, 1_000, 200, 2_000);
        // The last one is meant to start 999 intervals after the first.
        assert!(report.elapsed() >= Duration::from_micros(499_500), "{report}");
        let corrected = report.corrected_latency().expect("a schedule was followed");
        assert_eq!(corrected.count(), 1_000);
        assert!(corrected.max() >= report.latency().min(), "{report}");
    }
}

#[test]
fn a_duration_ends_the_run_and_what_is_on_its_way_is_counted_apart() {
    let nginx = Nginx::start(r#"location = /2 { return 200 "ok"; }"#);
    let duration = Duration::from_millis(300);
    let cut = load(plan(&nginx.url("/2")).connections(10).duration(duration));
    assert_eq!(cut.failed(), 0, "{cut}");
    assert!(cut.responses() > 0 && cut.cut_off() <= 10, "{cut}");
    let waited = load(plan(&nginx.url("/2")).connections(10).duration(duration).wait_for_ongoing(true));
    assert_all(&waited, waited.requests(), 200, 2 * waited.requests());
}

#[test]
fn requests_of_the_warm_up_are_not_counted() {
    let folder = Folder::new();
    let nginx = Nginx::serve(folder, r#"location = /2 { access_log seen.log uri; return 200 "ok"; }"#);
    let warm_up = Duration::from_millis(100);
    let report = load(plan(&nginx.url("/2")).connections(2).warm_up(warm_up).requests(100));
    assert_all(&report, 100, 200, 200);
    assert!(nginx.log("seen.log").len() > 100, "the server saw those of the warm-up too");
}

#[test]
fn each_number_of_a_sequence_is_sent_once() {
    for threads in [1, 3] {
        let nginx = Nginx::start(r#"location / { access_log seen.log uri; return 200 "ok"; }"#);
        let report = load(plan(&nginx.url("/{seq}")).connections(7).threads(threads).requests(1_000));
        assert_all(&report, 1_000, 200, 2_000);
        let mut seen: Vec<u32> = nginx.log("seen.log").iter().map(|uri| uri[1..].parse().unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..1_000).collect::<Vec<_>>(), "with {threads} threads");
    }
}

#[test]
fn a_run_can_be_stopped_from_another_thread() {
    let nginx = Nginx::start(r#"location = /2 { return 200 "ok"; }"#);
    let control = std::sync::Arc::new(Control::new());
    let plan = plan(&nginx.url("/2")).connections(5).threads(2).requests(u64::MAX / 2);
    let watched = control.clone();
    let stopper = std::thread::spawn(move || {
        while watched.finished() < 100 {
            std::thread::yield_now();
        }
        watched.stop();
    });
    let (report, control) = must_end(move || (run(&plan, &control).expect("the loop works"), control));
    stopper.join().unwrap();
    assert_eq!(report.failed(), 0, "{report}");
    assert!(report.responses() >= 100, "{report}");
    assert_eq!((control.finished(), control.failed(), control.bytes()), (report.requests(), 0, report.bytes()));
}

#[test]
fn a_server_that_ends_in_the_middle_of_a_run_fails_the_rest_and_nothing_hangs() {
    let mut nginx = Nginx::start(r#"location = /2 { return 200 "ok"; }"#);
    let control = std::sync::Arc::new(Control::new());
    let plan = plan(&nginx.url("/2")).connections(5).requests(3_000);
    let watched = control.clone();
    let stopper = std::thread::spawn(move || {
        while watched.finished() < 200 {
            std::thread::yield_now();
        }
        nginx.stop();
    });
    let report = must_end(move || run(&plan, &control).expect("the loop works"));
    stopper.join().unwrap();
    assert_eq!(report.requests(), 3_000, "{report}");
    assert_eq!(report.responses() + report.errors().values().sum::<u64>(), 3_000, "{report}");
    assert_eq!(report.statuses().get(&200), Some(&report.responses()), "{report}");
}

#[test]
fn a_server_of_http_1_0_is_asked_once_per_connection() {
    let folder = Folder::new();
    folder.write("page", "hello");
    let python = Python::files(folder);
    let report = load(plan(&python.url("/page")).connections(4).requests(100));
    assert_all(&report, 100, 200, 500);
    assert_eq!(report.versions(), &BTreeMap::from([(Version::Http10, 100)]));
}

#[test]
fn chunks_of_another_server_are_read_as_well() {
    let python = Python::echo();
    for size in [1, 7, 4_096] {
        let report = load(plan(&python.url(&format!("/?size=5000&chunked={size}"))).connections(2).requests(20));
        assert_all(&report, 20, 200, 20 * 5_000);
    }
}
