//! Loading a host with several addresses, some of which are dead: the run begins with the one that answers first, and
//! goes on with the others when that does not any more.
#![cfg(feature = "load")]

mod support;

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use aquests::load::{Control, Plan, run};
use aquests::{ErrorKind, Report};
use support::{Peer, full_backlog, must_end, refused};

/// Far more than anything here may take: who waited for a dead address would not end.
const LONG: Duration = Duration::from_secs(24 * 3_600);

fn load(addresses: &[SocketAddr], requests: u64) -> Report {
    let plan = Plan::new("http://some.name.example/").expect("this URL is good").connect_to_any(addresses.to_vec());
    let plan = plan.connections(5).requests(requests).connect_timeout(LONG);
    must_end(move || run(&plan, &Control::new()).expect("the loop works"))
}

#[track_caller]
fn assert_answered(report: &Report, requests: u64) {
    assert_eq!(report.errors(), &BTreeMap::new(), "{report}");
    assert_eq!(report.statuses(), &BTreeMap::from([(200, requests)]), "{report}");
}

#[test]
fn an_address_that_never_answers_delays_nobody() {
    let (silent, peer) = (full_backlog(), Peer::echo());
    assert_answered(&load(&[silent.address, peer.address()], 100), 100);
    assert_answered(&load(&[peer.address(), silent.address], 100), 100);
    assert_answered(&load(&[refused(), silent.address, refused(), peer.address()], 100), 100);
}

#[test]
fn addresses_that_refuse_are_passed_over_on_several_threads() {
    let peer = Peer::echo();
    let addresses = [refused(), refused(), peer.address()];
    assert_answered(&load(&addresses, 50), 50);
    let plan = Plan::new("http://some.name.example/").unwrap().connect_to_any(addresses).connections(6).threads(3);
    let report = must_end(move || run(&plan.requests(60), &Control::new()).expect("the loop works"));
    assert_answered(&report, 60);
}

/// Answers so many requests, the last with the news that it was the last.
fn answer_some(conn: &mut TcpStream, requests: usize) -> io::Result<()> {
    let mut reader = BufReader::new(conn.try_clone()?);
    for left in (0..requests).rev() {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
        }
        let close = if left == 0 { "connection: close\r\n" } else { "" };
        conn.write_all(format!("HTTP/1.1 200 OK\r\n{close}content-length: 0\r\n\r\n").as_bytes())?;
    }
    Ok(())
}

#[test]
fn where_one_of_two_goes_down_everything_goes_on_with_the_other() {
    const LINES: usize = 30;
    for round in 0..10 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let first = listener.local_addr().unwrap();
        thread::spawn(move || {
            // The first one only looks whether somebody is there.
            let all: Vec<_> = (0..=LINES).map(|_| listener.accept().unwrap().0).collect();
            drop(listener);
            for (number, mut conn) in all.into_iter().enumerate() {
                thread::spawn(move || answer_some(&mut conn, 10 + number));
            }
        });
        // Always there, and always dialed anew.
        let second = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        });
        let plan = Plan::new("http://some.name.example/").unwrap().connect_to_any([first, second.address()]);
        let plan = plan.connections(LINES).requests(2_000).connect_timeout(LONG).timeout(LONG);
        let report = must_end(move || run(&plan, &Control::new()).expect("the loop works"));
        assert_eq!(report.errors(), &BTreeMap::new(), "round {round}: {report}");
        assert_eq!(report.responses(), 2_000, "round {round}: {report}");
        assert!(second.connections() > 0, "the first one went down in the middle");
    }
}

#[test]
fn each_request_fails_once_where_no_address_answers() {
    let report = load(&[refused(), refused()], 20);
    assert_eq!(report.errors(), &BTreeMap::from([(ErrorKind::Connect, 20)]), "{report}");
    let sample = report.sample(ErrorKind::Connect).unwrap();
    assert!(sample.contains(" or 127.0.0.1:"), "both are named: {sample}");
}

#[test]
fn a_plan_without_any_address_is_refused() {
    let plan = Plan::new("http://some.name.example/").unwrap().connect_to_any([]);
    assert_eq!(run(&plan, &Control::new()).unwrap_err().kind(), ErrorKind::InvalidRequest);
}
