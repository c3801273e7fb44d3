//! Loading a server that misbehaves: in each fault the counts add up, the errors have the right name, nothing hangs, and
//! memory does not follow what the server sends.
#![cfg(feature = "load")]

mod support;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use aquests::load::{Control, Plan, run};
use aquests::{ErrorKind, Phase, Report};
use support::{Conn, FAULTS, Folder, Peer, forget_peak, full_backlog, must_end, peak_memory, refused, resident_memory};

/// Runs a plan; however it ends, every request has one outcome.
#[track_caller]
fn load(plan: Plan, requests: u64) -> Report {
    let control = std::sync::Arc::new(Control::new());
    let plan = plan.requests(requests);
    let watched = control.clone();
    let report = must_end(move || run(&plan, &control).expect("the loop works"));
    assert_eq!(report.requests(), requests, "{report}");
    assert_eq!(report.responses() + report.errors().values().sum::<u64>(), requests, "{report}");
    assert_eq!(report.statuses().values().sum::<u64>(), report.responses(), "{report}");
    assert_eq!(report.versions().values().sum::<u64>(), report.responses(), "{report}");
    assert_eq!(report.latency().count(), report.responses(), "{report}");
    assert_eq!(report.cut_off(), 0, "{report}");
    assert_eq!((watched.finished(), watched.failed()), (requests, report.failed()), "{report}");
    report
}

#[track_caller]
fn assert_errors(report: &Report, expected: &[(ErrorKind, u64)]) {
    assert_eq!(report.errors(), &expected.iter().copied().collect::<BTreeMap<_, _>>(), "{report}");
}

fn plan(peer: &Peer) -> Plan {
    Plan::new(&peer.url("/")).expect("this URL is good").timeout(Duration::from_secs(30))
}

const TOTAL: ErrorKind = ErrorKind::Timeout(Phase::Total);

#[test]
fn a_refused_connection_fails_the_request_that_would_have_used_it() {
    for connections in [1, 4] {
        let plan = Plan::new(&format!("http://{}/", refused())).unwrap().connections(connections);
        assert_errors(&load(plan, 20), &[(ErrorKind::Connect, 20)]);
    }
}

#[test]
fn a_unix_socket_that_is_not_there_fails_the_request_that_would_have_used_it() {
    let folder = Folder::new();
    let plan = Plan::new("http://anything/").unwrap().unix_socket(folder.path().join("none")).connections(3);
    assert_errors(&load(plan, 12), &[(ErrorKind::Connect, 12)]);
}

#[test]
fn a_connection_that_is_never_accepted_ends_at_the_limit_for_connecting() {
    let full = full_backlog();
    let plan = Plan::new(&format!("http://{}/", full.address)).unwrap();
    let plan = plan.connections(3).connect_timeout(Duration::from_millis(100));
    assert_errors(&load(plan, 6), &[(ErrorKind::Timeout(Phase::Connect), 6)]);
}

#[test]
fn a_server_that_closes_at_once_fails_each_request_once() {
    let peer = Peer::start(|_| Ok(()));
    assert_eq!(load(plan(&peer).connections(3), 50).responses(), 0);
}

#[test]
fn a_server_that_closes_after_reading_fails_each_request_once() {
    let peer = Peer::start(|conn| conn.request().map(|_| ()));
    assert_errors(&load(plan(&peer).connections(3), 50), &[(ErrorKind::Closed, 50)]);
    assert_eq!(peer.requests(), 50, "none is sent twice: nobody knows what the server did");
}

#[test]
fn a_reset_at_any_phase_fails_each_request_once() {
    type Phase = fn(&mut Conn) -> io::Result<()>;
    let phases: [(&str, Phase); 4] = [
        ("after accepting", |_| Ok(())),
        ("after the request", |conn| conn.request().map(|_| ())),
        ("in the head", |conn| conn.request().and_then(|_| conn.send("HTTP/1.1 200 OK\r\ncontent-le"))),
        ("in the body", |conn| {
            conn.request().and_then(|_| conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345"))
        }),
    ];
    for (name, phase) in phases {
        let peer = Peer::start(move |conn| {
            phase(conn)?;
            conn.reset()
        });
        let report = load(plan(&peer).connections(3), 50);
        assert_eq!(report.responses(), 0, "{name}: {report}");
        // Where the reset is as fast as the news of the connection, it never stood.
        let early = |kind: &ErrorKind| name == "after accepting" && *kind == ErrorKind::Connect;
        assert!(report.errors().keys().all(|kind| *kind == ErrorKind::Closed || early(kind)), "{name}: {report}");
    }
}

#[test]
fn a_server_that_falls_silent_at_any_phase_ends_at_the_limit_for_the_whole() {
    let starts =
        ["", "HTT", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n12"];
    for start in starts {
        let peer = Peer::start(move |conn| {
            conn.request()?;
            conn.send(start)?;
            conn.stall()
        });
        let report = load(plan(&peer).connections(5).timeout(Duration::from_millis(50)), 10);
        assert_errors(&report, &[(TOTAL, 10)]);
    }
}

#[test]
fn a_server_that_never_reads_ends_at_the_limit_for_the_whole() {
    let peer = Peer::start(|conn| {
        conn.wait();
        Ok(())
    });
    // More than the buffers of both sockets hold.
    let plan = plan(&peer).method("PUT").body(vec![b'x'; 16 << 20]).connections(2);
    assert_errors(&load(plan.timeout(Duration::from_millis(100)), 4), &[(TOTAL, 4)]);
}

/// Answers to GET of which only the last has all its bytes, one per connection.
fn cut_at_every_byte(answer: &'static [u8], end: fn(&mut Conn) -> io::Result<()>) -> (Report, u64) {
    let peer = Peer::start(move |conn| {
        conn.request()?;
        conn.send(&answer[..conn.number().min(answer.len())])?;
        end(conn)
    });
    let requests = answer.len() as u64 + 1;
    // One connection after the other, so that each offset comes once.
    (load(plan(&peer).connections(1), requests), requests)
}

const BY_LENGTH: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: y\r\n\r\nhello";
const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nt: u\r\n\r\n";
const UNTIL_THE_END: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nhello";

#[test]
fn an_answer_that_is_cut_off_at_any_byte_is_not_taken_for_whole() {
    for answer in [BY_LENGTH, CHUNKED] {
        let (report, requests) = cut_at_every_byte(answer, Conn::close);
        assert_errors(&report, &[(ErrorKind::Closed, requests - 1)]);
        assert_eq!(report.statuses(), &BTreeMap::from([(200, 1)]));
    }
    let (report, requests) = cut_at_every_byte(UNTIL_THE_END, Conn::close);
    let head = UNTIL_THE_END.len() as u64 - 5;
    assert_errors(&report, &[(ErrorKind::Closed, head)]);
    assert_eq!(report.responses(), requests - head, "its end is the end of the connection, wherever that is");
}

#[test]
fn an_answer_that_is_reset_at_any_byte_is_not_taken_for_whole() {
    for answer in [BY_LENGTH, CHUNKED, UNTIL_THE_END] {
        let (report, _) = cut_at_every_byte(answer, Conn::reset);
        // A reset may overtake what was sent before it, so even the last one may fail.
        assert!(report.responses() <= 1, "{report}");
    }
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_read() {
    let peer = Peer::start(|conn| {
        loop {
            conn.request()?;
            conn.drip(if conn.number() % 2 == 0 { BY_LENGTH } else { CHUNKED }, Duration::ZERO)?;
        }
    });
    let report = load(plan(&peer).connections(4), 200);
    assert_errors(&report, &[]);
    assert_eq!(report.bytes(), 200 * 5);
}

#[test]
fn an_answer_that_drips_too_slowly_ends_at_the_limit_for_the_whole() {
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.drip(b"HTTP/1.1 200 OK\r\nx: ".iter().chain(&[b'y'; 10_000]).copied().collect::<Vec<_>>(), PAUSE)
    });
    const PAUSE: Duration = Duration::from_millis(5);
    let report = load(plan(&peer).connections(4).timeout(Duration::from_millis(100)), 8);
    assert_errors(&report, &[(TOTAL, 8)]);
}

#[test]
fn garbage_is_a_broken_protocol() {
    let garbage: [&[u8]; 12] = [
        b"\0",
        b"\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
    ];
    let peer = Peer::start(move |conn| {
        conn.request()?;
        conn.send(garbage[conn.number() % garbage.len()])?;
        conn.stall()
    });
    let requests = 5 * garbage.len() as u64;
    assert_errors(&load(plan(&peer).connections(5), requests), &[(ErrorKind::Protocol, requests)]);
}

#[test]
fn random_bytes_never_hang_or_crash_a_run() {
    let peer = Peer::start(|conn| {
        conn.request()?;
        // xorshift, from the number of the connection: the same bytes in every run.
        let mut state = (conn.number() as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut bytes = if conn.number() % 2 == 0 { b"HTTP/1.1 200 OK\r\n".to_vec() } else { Vec::new() };
        for _ in 0..500 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.push(state as u8);
        }
        conn.send(&bytes)?;
        conn.close()
    });
    // Some may be answers by chance: an empty line, and the rest is the body.
    load(plan(&peer).connections(8), 400);
}

/// Runs a load against what never ends, and tells by how much this process grew, which includes the server.
fn grown(end: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static, kind: ErrorKind) -> u64 {
    let peer = Peer::start(move |conn| {
        conn.request()?;
        end(conn)
    });
    // Threads, buffers and histograms are there from here on.
    let plan = plan(&peer).connections(4).timeout(Duration::from_millis(100));
    load(plan.clone(), 4);
    let before = resident_memory();
    forget_peak();
    assert_errors(&load(plan, 24), &[(kind, 24)]);
    peak_memory().saturating_sub(before)
}

/// Far below what the server sends in the time, and far above what 4 connections hold. Tests of the same binary that run
/// meanwhile are in it too.
const BOUND: u64 = 64 << 20;

#[test]
fn what_never_ends_is_cut_off_and_not_collected() {
    static LINE: [u8; 64 << 10] = [b'a'; 64 << 10];
    let head = grown(
        |conn| {
            conn.send("HTTP/1.1 200 OK\r\nx: ")?;
            conn.send_for_ever(LINE)
        },
        ErrorKind::TooLarge,
    );
    let fields = grown(
        |conn| {
            conn.send("HTTP/1.1 200 OK\r\n")?;
            conn.send_for_ever("a: b\r\n".repeat(1_000))
        },
        ErrorKind::TooLarge,
    );
    let interim = grown(|conn| conn.send_for_ever("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(50)), ErrorKind::TooLarge);
    let body = grown(
        |conn| {
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n")?;
            conn.send_for_ever(LINE)
        },
        TOTAL,
    );
    let chunk = grown(
        |conn| {
            conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n")?;
            conn.send_for_ever(LINE)
        },
        TOTAL,
    );
    let chunks = grown(
        |conn| {
            conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            conn.send_for_ever("1\r\na\r\n".repeat(1_000))
        },
        TOTAL,
    );
    let extension = grown(
        |conn| {
            conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;")?;
            conn.send_for_ever(LINE)
        },
        ErrorKind::TooLarge,
    );
    let trailers = grown(
        |conn| {
            conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ")?;
            conn.send_for_ever(LINE)
        },
        ErrorKind::TooLarge,
    );
    let until_the_end = grown(
        |conn| {
            conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
            conn.send_for_ever(LINE)
        },
        TOTAL,
    );
    let all = [head, fields, interim, body, chunk, chunks, extension, trailers, until_the_end];
    assert!(all.iter().all(|grown| *grown < BOUND), "memory grew by {all:?} bytes");
}

#[test]
fn a_length_that_says_too_much_is_a_cut_off_answer() {
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello")?;
        conn.close()
    });
    assert_errors(&load(plan(&peer).connections(2), 20), &[(ErrorKind::Closed, 20)]);
}

#[test]
fn bytes_behind_a_whole_answer_cost_the_connection_and_no_answer() {
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello, and more")?;
        conn.stall()
    });
    let report = load(plan(&peer).connections(2), 20);
    assert_errors(&report, &[]);
    assert_eq!(report.bytes(), 100);
    assert!(peer.connections() >= 20, "none was used twice");
}

#[test]
fn an_answer_to_nothing_is_not_taken_for_the_next_answer() {
    // The second answer comes in the same packet as the first, before anything else could be asked.
    let peer = Peer::start(|conn| {
        loop {
            conn.request()?;
            conn.send(
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 Not Asked For\r\ncontent-length: 0\r\n\r\n",
            )?;
        }
    });
    let report = load(plan(&peer).connections(3), 30);
    assert_errors(&report, &[]);
    assert_eq!(report.statuses(), &BTreeMap::from([(200, 30)]));
}

#[test]
fn an_answer_before_the_request_answers_at_most_one() {
    let peer = Peer::start(|conn| {
        conn.answer("early")?;
        conn.close()
    });
    // It may come before or after the request was written: then nobody can tell it from an answer.
    load(plan(&peer).connections(3), 60);
    assert!(peer.connections() > 0);
}

#[test]
fn interim_answers_are_read_past() {
    let peer = Peer::start(|conn| {
        loop {
            conn.request()?;
            conn.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")?;
            conn.answer("hello")?;
        }
    });
    let report = load(plan(&peer).connections(3), 300);
    assert_errors(&report, &[]);
    assert_eq!(report.statuses(), &BTreeMap::from([(200, 300)]));
}

#[test]
fn a_switch_that_nobody_asked_for_is_a_broken_protocol() {
    let peer = Peer::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")?;
        conn.stall()
    });
    assert_errors(&load(plan(&peer).connections(2), 10), &[(ErrorKind::Protocol, 10)]);
}

#[test]
fn a_server_that_closes_between_answers_without_a_word_costs_at_most_the_request_it_met() {
    let peer = Peer::start(|conn| {
        for _ in 0..5 {
            conn.request()?;
            conn.answer("hello")?;
        }
        conn.close()
    });
    let report = load(plan(&peer).connections(4), 1_000);
    let lost = report.failed();
    assert!(report.errors().keys().all(|kind| *kind == ErrorKind::Closed), "{report}");
    // One at most for each connection that brought five answers.
    assert!(lost <= 200, "{report}");
}

#[test]
fn all_faults_at_once_fail_those_they_meet_and_no_others() {
    let peer = Peer::start(|conn| conn.misbehave(conn.number() % FAULTS));
    for depth in [1, 8] {
        let plan = plan(&peer).connections(64).depth(depth).timeout(Duration::from_millis(200));
        let report = load(plan, 5_000);
        assert!(report.responses() > 2_000, "connections without a fault do most of the work: {report}");
        let expected = [ErrorKind::Closed, ErrorKind::Connect, ErrorKind::Protocol, TOTAL];
        assert!(report.errors().keys().all(|kind| expected.contains(kind)), "{report}");
    }
}
