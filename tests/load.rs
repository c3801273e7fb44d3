//! Loads against servers of a few lines each, which misbehave on purpose: whatever they do, every request of the plan
//! has exactly one place in the report. What the server saw is counted by the server.
#![cfg(feature = "load")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use aquests::load::{Control, Plan, run};
use aquests::{ErrorKind, Phase, Report};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

/// What a server saw.
#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    requests: AtomicU64,
    paths: Mutex<Vec<String>>,
}

/// One connection as its server sees it.
struct Peer {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    seen: Arc<Seen>,
}

impl Peer {
    /// Reads a request without a body. `None`: the client hung up.
    fn request(&mut self) -> Option<u64> {
        let mut first = String::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            if first.is_empty() {
                first = line;
            }
        }
        self.seen.paths.lock().unwrap().push(first.split(' ').nth(1)?.to_owned());
        Some(self.seen.requests.fetch_add(1, SeqCst) + 1)
    }

    /// Answers all requests.
    fn answer_all(&mut self, answer: &[u8], pause: Duration) {
        while self.request().is_some() {
            thread::sleep(pause);
            if self.stream.write_all(answer).is_err() {
                break;
            }
        }
    }
}

/// Serves each connection in a thread of its own.
fn serve(each: impl Fn(Peer) + Send + Sync + 'static) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, seen, each) = (listener.local_addr().unwrap(), Arc::new(Seen::default()), Arc::new(each));
    let all = seen.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { break };
            all.connections.fetch_add(1, SeqCst);
            let (seen, each) = (all.clone(), each.clone());
            thread::spawn(move || each(Peer { reader: BufReader::new(stream.try_clone().unwrap()), stream, seen }));
        }
    });
    (address, seen)
}

/// A port where nobody listens.
fn refused() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn plan(address: SocketAddr) -> Plan {
    Plan::new(&format!("http://{address}/")).unwrap().connections(4)
}

/// Runs, and checks what holds for every report.
fn load(plan: &Plan) -> Report {
    let control = Control::new();
    let report = run(plan, &control).unwrap();
    let failed: u64 = report.errors().values().sum();
    assert_eq!(report.requests(), report.responses() + failed, "{report}");
    assert_eq!(report.failed(), failed);
    assert_eq!(report.statuses().values().sum::<u64>(), report.responses());
    assert_eq!(report.versions().values().sum::<u64>(), report.responses());
    assert_eq!(report.latency().count(), report.responses());
    assert!(report.corrected_latency().is_none_or(|latency| latency.count() == report.responses()));
    assert!(report.errors().keys().all(|kind| report.sample(*kind).is_some()), "{report}");
    assert_eq!((control.finished(), control.failed(), control.bytes()), (report.requests(), failed, report.bytes()));
    report
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn all_requests_are_answered_on_few_connections_and_on_several_threads() {
    let (address, seen) = serve(|mut peer| peer.answer_all(OK, Duration::ZERO));
    for threads in [1, 3] {
        let before = seen.requests.load(SeqCst);
        let report = load(&plan(address).requests(100).threads(threads));
        assert_eq!((report.requests(), report.failed(), report.cut_off()), (100, 0, 0));
        assert_eq!((report.statuses()[&200], report.bytes()), (100, 200));
        assert_eq!(seen.requests.load(SeqCst) - before, 100);
    }
    assert_eq!(seen.connections.load(SeqCst), 8);
}

#[test]
fn no_more_connections_are_made_than_there_are_requests() {
    let (address, seen) = serve(|mut peer| peer.answer_all(OK, Duration::ZERO));
    let report = load(&plan(address).requests(3).connections(50));
    assert_eq!((report.responses(), seen.connections.load(SeqCst)), (3, 3));
    let report = load(&plan(address).requests(3).connections(50).threads(8));
    assert_eq!((report.responses(), seen.connections.load(SeqCst)), (3, 6));
}

#[test]
fn nothing_to_do_is_done_at_once() {
    let (address, seen) = serve(|mut peer| peer.answer_all(OK, Duration::ZERO));
    for plan in [plan(address).duration(Duration::ZERO), plan(address).requests(0)] {
        for plan in [plan.clone(), plan.clone().rate(1e6), plan.wait_for_ongoing(true)] {
            let report = load(&plan);
            assert_eq!((report.requests(), report.cut_off(), report.not_started()), (0, 0, 0), "{report}");
        }
    }
    assert_eq!(seen.requests.load(SeqCst), 0);
}

#[test]
fn a_refused_port_fails_every_request_and_says_whose_it_is() {
    let address = refused();
    let report = load(&plan(address).requests(50));
    assert_eq!((report.requests(), report.errors()[&ErrorKind::Connect]), (50, 50));
    let words = report.sample(ErrorKind::Connect).unwrap();
    assert!(words.starts_with(&format!("cannot connect to {address}: ")), "{words}");
    assert!(report.to_string().contains(&format!("  connect: 50 ({words})")), "{report}");
    let report = load(&plan(address).duration(millis(50)).rate(100.0));
    assert!(report.responses() == 0 && report.requests() + report.not_started() == 5, "{report}");
}

#[test]
fn a_server_that_dies_in_the_middle_fails_the_rest() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        let reader = BufReader::new(stream.try_clone().unwrap());
        let mut peer = Peer { stream, reader, seen: Arc::default() };
        for _ in 0..10 {
            peer.request().unwrap();
            peer.stream.write_all(OK).unwrap();
        }
        peer.request().unwrap();
        peer.stream.write_all(&OK[..OK.len() - 1]).unwrap();
    });
    let report = load(&plan(address).connections(1).requests(100));
    server.join().unwrap();
    assert_eq!((report.requests(), report.responses()), (100, 10), "{report}");
    assert_eq!(report.errors()[&ErrorKind::Closed], 1, "{report}");
    assert_eq!(report.errors()[&ErrorKind::Connect], 89, "{report}");
}

#[test]
fn a_server_that_hangs_up_at_once_is_not_stormed() {
    let (address, seen) = serve(drop);
    let report = load(&plan(address).duration(millis(200)).rate(10.0).connections(2));
    assert!(report.responses() == 0 && report.requests() <= 2, "{report}");
    let connections = seen.connections.load(SeqCst);
    assert!(connections <= 2 * 21, "{connections} connections in 200 ms");
    let report = load(&plan(address).requests(20));
    assert_eq!(report.errors()[&ErrorKind::Closed], 20, "{report}");
}

#[test]
fn a_connection_per_request_is_enough() {
    let (address, seen) = serve(|mut peer| {
        peer.request();
        let _ = peer.stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    });
    let report = load(&plan(address).requests(100));
    // A line that was dialed for the last request may find that another has taken it.
    let connections = seen.connections.load(SeqCst);
    assert_eq!(report.responses(), 100);
    assert!((100..=104).contains(&connections), "{connections} connections for 100 requests");
    // What was sent behind the last answer is sent again, since the server says that it did not see it.
    let report = load(&plan(address).requests(40).depth(4));
    assert_eq!(report.responses() + report.failed(), 40, "{report}");
    assert!(report.responses() > 0, "{report}");
}

#[test]
fn pipelined_requests_are_each_answered_once() {
    let (address, seen) = serve(|mut peer| peer.answer_all(OK, Duration::ZERO));
    let plan = Plan::new(&format!("http://{address}/{{seq}}")).unwrap().connections(3).depth(8).requests(1_000);
    let report = load(&plan.clone().threads(2));
    assert_eq!((report.responses(), report.failed()), (1_000, 0));
    let paths = std::mem::take(&mut *seen.paths.lock().unwrap());
    assert_eq!((paths.len(), paths.iter().collect::<BTreeSet<_>>().len()), (1_000, 1_000));
    assert!(paths.contains(&"/0".to_owned()) && paths.contains(&"/1".to_owned()));
    load(&plan.templates(false).requests(1));
    assert_eq!(*seen.paths.lock().unwrap(), ["/{seq}"]);
}

#[test]
fn the_time_limit_is_that_of_each_request() {
    let (address, _) = serve(|mut peer| peer.answer_all(OK, millis(200)));
    // One after the other they are in time; eight at once on one connection are not.
    let plan = plan(address).connections(1).timeout(millis(500));
    assert_eq!(load(&plan.clone().requests(3)).failed(), 0);
    let report = load(&plan.requests(8).depth(8));
    assert_eq!((report.responses(), report.errors()[&ErrorKind::Timeout(Phase::Total)]), (2, 6), "{report}");
    assert!(report.to_string().contains("did not answer in time: the limit is 500ms"), "{report}");
}

#[test]
fn a_silent_server_is_given_up() {
    let (address, _) = serve(|mut peer| while peer.request().is_some() {});
    let begin = Instant::now();
    let report = load(&plan(address).requests(8).timeout(millis(50)));
    assert_eq!(report.errors()[&ErrorKind::Timeout(Phase::Total)], 8, "{report}");
    assert!(begin.elapsed() < millis(10_000));
}

#[test]
fn a_rate_is_kept_and_nothing_of_it_is_lost() {
    let (address, seen) = serve(|mut peer| peer.answer_all(OK, Duration::ZERO));
    let report = load(&plan(address).connections(2).rate(1_000.0).duration(millis(300)).wait_for_ongoing(true));
    assert_eq!(report.requests() + report.not_started(), 300, "{report}");
    assert_eq!((report.cut_off(), seen.requests.load(SeqCst)), (0, report.requests()));
    assert!(report.not_started() < 150, "{report}");
}

#[test]
fn a_rate_that_cannot_be_kept_says_how_much_is_missing() {
    let (address, _) = serve(|mut peer| peer.answer_all(OK, millis(5)));
    for threads in [1, 2] {
        let report = load(&plan(address).threads(threads).rate(100_000.0).duration(millis(300)));
        let all = report.requests() + report.cut_off() + report.not_started();
        assert!((29_998..=30_002).contains(&all), "{all} in {report}");
        assert!(report.not_started() > 25_000, "{report}");
        // Waiting for a connection is part of what a user would have waited.
        let (own, corrected) = (report.latency(), report.corrected_latency().unwrap());
        assert!(own.percentile(50.0) < corrected.percentile(50.0) / 2, "{report}");
    }
}

#[test]
fn a_warm_up_is_not_counted_and_leaves_no_debt() {
    let (address, seen) = serve(|mut peer| peer.answer_all(OK, millis(5)));
    let report = load(&plan(address).warm_up(millis(100)).requests(20));
    assert_eq!((report.requests(), report.bytes()), (20, 40));
    assert!(seen.requests.load(SeqCst) > 40, "the warm-up sends requests, too");
    // The warm-up leaves 10,000 requests undone, which would keep the rest of the run busy with what does not count.
    let report = load(&plan(address).warm_up(millis(100)).rate(100_000.0).duration(millis(200)));
    let all = report.requests() + report.cut_off() + report.not_started();
    assert!(report.requests() > 40 && (19_998..=20_002).contains(&all), "{all} in {report}");
}

#[test]
fn what_is_on_its_way_at_the_end_is_waited_for_or_counted() {
    let (address, _) = serve(|mut peer| peer.answer_all(OK, millis(150)));
    let plan = plan(address).duration(millis(50));
    let report = load(&plan);
    assert_eq!((report.requests(), report.cut_off()), (0, 4), "{report}");
    assert!(report.elapsed() >= millis(50) && report.elapsed() < millis(120));
    let report = load(&plan.wait_for_ongoing(true));
    assert_eq!((report.requests(), report.cut_off()), (4, 0), "{report}");
    assert!(report.elapsed() >= millis(150));
}

#[test]
fn a_run_is_stopped_from_another_thread() {
    let (address, _) = serve(|mut peer| peer.answer_all(OK, millis(1)));
    let control = Arc::new(Control::new());
    let stop = control.clone();
    thread::spawn(move || {
        thread::sleep(millis(100));
        stop.stop();
    });
    let begin = Instant::now();
    let report = run(&plan(address).duration(Duration::from_secs(60)).wait_for_ongoing(true), &control).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(report.responses() > 0 && report.elapsed() < Duration::from_secs(5), "{report}");
}

#[test]
fn another_protocol_is_an_answer() {
    let (address, _) = serve(|mut peer| {
        peer.request();
        let _ = peer.stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n");
    });
    let report = load(&plan(address).header("connection", "upgrade").header("upgrade", "x").requests(10));
    assert_eq!(report.statuses()[&101], 10, "{report}");
}

#[test]
fn a_host_header_takes_the_place_of_the_url_s() {
    let (address, seen) = serve(|mut peer| {
        let mut line = String::new();
        while !line.starts_with("host:") {
            line.clear();
            peer.reader.read_line(&mut line).unwrap();
        }
        peer.seen.paths.lock().unwrap().push(line.trim().to_owned());
        let _ = peer.stream.write_all(OK);
    });
    load(&plan(address).header("Host", "example.org").requests(1));
    load(&Plan::new("http://example.org/").unwrap().connect_to(address).requests(1));
    assert_eq!(*seen.paths.lock().unwrap(), ["host: example.org", "host: example.org"]);
}

#[test]
fn what_cannot_be_sent_is_said_before_anything_is() {
    let (address, seen) = serve(|mut peer| peer.answer_all(OK, Duration::ZERO));
    let plan = plan(address);
    for (plan, words) in [
        (plan.clone().method("TRACE").body("x"), "no body"),
        (plan.clone().method("A B"), "method"),
        (plan.clone().header("a b", ""), "header"),
        (plan.clone().header("a", "b\r\nc: d"), "header"),
        (plan.clone().header("content-length", "3"), "content-length"),
        (plan.clone().header("host", "a b"), "host"),
        (plan.clone().rate(0.0), "rate"),
        (plan.clone().method("POST").depth(2), "POST"),
        (Plan::new(&format!("http://{address}/{{rand:5}}")).unwrap(), "template"),
    ] {
        let error = run(&plan, &Control::new()).expect_err(words);
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(seen.connections.load(SeqCst), 0);
}
