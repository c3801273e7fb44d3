//! What a lookup asks, whom, how often, and what it makes of the answers.

use std::net::IpAddr;
use std::time::Duration;

use aquests_protocols::dns::{Action, Code, Failure, Families, Lookup, Options, Outcome, Transport};

use crate::*;

/// A lookup and its clock.
struct Run {
    lookup: Lookup,
    now: Duration,
}

/// What was sent.
#[derive(Clone, Debug)]
struct Sent {
    server: usize,
    transport: Transport,
    query: Vec<u8>,
}

impl Sent {
    fn name(&self) -> Vec<u8> {
        self.query[12..question_end(&self.query) - 4].to_vec()
    }

    fn is_a(&self) -> bool {
        self.query[question_end(&self.query) - 3] == 1
    }
}

fn options(servers: usize, families: Families) -> Options {
    let mut options = Options::default();
    (options.servers, options.families, options.timeout) = (servers, families, Duration::from_secs(1));
    options
}

fn run(host: &str, options: Options) -> Run {
    Run { lookup: Lookup::new(host, options, 42).unwrap(), now: Duration::ZERO }
}

/// One family of a name, one server.
fn simple() -> Run {
    run("h.example", options(1, Families::V4))
}

impl Run {
    fn poll(&mut self) -> Action {
        self.lookup.poll(self.now)
    }

    #[track_caller]
    fn sends(&mut self) -> Sent {
        match self.poll() {
            Action::Send { server, transport, message } => Sent { server, transport, query: message },
            other => panic!("it sends nothing: {other:?}"),
        }
    }

    #[track_caller]
    fn waits(&mut self) -> Duration {
        match self.poll() {
            Action::WaitUntil(until) => until,
            other => panic!("it does not wait: {other:?}"),
        }
    }

    #[track_caller]
    fn ends(&mut self) -> Outcome {
        match self.poll() {
            Action::Done(outcome) => outcome,
            other => panic!("it goes on: {other:?}"),
        }
    }

    fn hears(&mut self, sent: &Sent, message: &[u8]) -> bool {
        self.lookup.receive(sent.server, sent.transport, message, self.now)
    }

    /// Answers a question.
    #[track_caller]
    fn answer(&mut self, sent: &Sent, code: u8, answers: &[Entry], authority: &[Entry]) {
        assert!(self.hears(sent, &answer(&sent.query, code, answers, authority)), "it was not taken");
    }
}

fn found(ends: &[u8], ttl: u32) -> Outcome {
    Outcome::Found { addresses: ends.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect(), ttl }
}

#[test]
fn both_families_are_asked_side_by_side_and_the_shortest_time_holds() {
    let mut run = run("h.example", options(1, Families::Both));
    let (six, four) = (run.sends(), run.sends());
    assert!(!six.is_a() && four.is_a() && id(&six.query) != id(&four.query));
    assert_eq!(run.waits(), Duration::from_secs(1));
    run.answer(&four, 0, &[a("h.example", 70, 1), a("H.example", 60, 2)], &[]);
    // RFC 8305 §3: what is missing is waited for only a little.
    assert_eq!(run.waits(), Duration::from_millis(50));
    run.answer(&six, 0, &[aaaa("h.example", 80, 3)], &[]);
    let Outcome::Found { addresses, ttl } = run.ends() else { panic!("it is found") };
    assert_eq!((addresses.len(), addresses[0].is_ipv6(), ttl), (3, true, 60));
}

#[test]
fn one_family_is_enough_and_holds_only_for_a_while_when_the_other_says_nothing() {
    let mut quiet = run("h.example", options(2, Families::Both));
    let (_six, four) = (quiet.sends(), quiet.sends());
    quiet.answer(&four, 0, &[a("h.example", 70, 1)], &[]);
    quiet.now = quiet.waits();
    assert_eq!(quiet.ends(), found(&[1], 5));
    let mut none = run("h.example", options(2, Families::Both));
    let (six, four) = (none.sends(), none.sends());
    none.answer(&six, 0, &[], &[soa("example", 9, 9)]);
    none.answer(&four, 0, &[a("h.example", 70, 1)], &[]);
    assert_eq!(none.ends(), found(&[1], 70));
}

#[test]
fn what_answers_another_question_is_no_answer() {
    let mut run = simple();
    let sent = run.sends();
    let right = answer(&sent.query, 0, &[a("h.example", 9, 1)], &[]);
    let mut id = right.clone();
    id[0] ^= 1;
    let mut name = right.clone();
    name[13] = b'x';
    let mut kind = right.clone();
    kind[question_end(&sent.query) - 3] = 28;
    let mut query = right.clone();
    query[2] &= 0x7f;
    for wrong in [id, name, kind, query] {
        assert!(!run.hears(&sent, &wrong));
    }
    assert!(!run.hears(&Sent { server: 1, ..sent.clone() }, &right), "another server");
    assert!(!run.hears(&Sent { transport: Transport::Tcp, ..sent.clone() }, &right), "another way");
    assert_eq!(run.waits(), Duration::from_secs(1));
    let mut upper = right.clone();
    upper[13] = b'H';
    assert!(run.hears(&sent, &upper), "case does not matter");
    assert_eq!(run.ends(), found(&[1], 9));
    assert!(!run.hears(&sent, &right), "it is over");
}

#[test]
fn servers_are_asked_in_turn_as_often_as_allowed() {
    let mut run = run("h.example", options(2, Families::V4));
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(run.sends().server);
        run.now = run.waits();
    }
    assert_eq!(asked, [0, 1, 0, 1]);
    assert_eq!((run.ends(), run.now), (Outcome::Failed(Failure::Timeout), Duration::from_secs(4)));
}

#[test]
fn a_late_answer_counts() {
    let mut run = run("h.example", options(2, Families::V4));
    let first = run.sends();
    run.now = run.waits();
    let second = run.sends();
    assert_eq!((first.server, second.server), (0, 1));
    // A failure that comes late is no news.
    let mut late = run.lookup.clone();
    assert!(late.receive(0, Transport::Udp, &answer(&first.query, 2, &[], &[]), run.now));
    assert!(matches!(late.poll(run.now), Action::WaitUntil(_)));
    run.answer(&first, 0, &[a("h.example", 9, 1)], &[]);
    assert_eq!(run.ends(), found(&[1], 9));
}

#[test]
fn a_server_that_fails_or_is_not_there_leaves_it_to_the_next_at_once() {
    for code in [2, 4, 5] {
        let mut run = run("h.example", options(2, Families::V4));
        let sent = run.sends();
        run.answer(&sent, code, &[], &[]);
        let sent = run.sends();
        assert_eq!(sent.server, 1);
        run.answer(&sent, 0, &[a("h.example", 9, 1)], &[]);
        assert_eq!(run.ends(), found(&[1], 9));
    }
    let mut gone = run("h.example", options(2, Families::V4));
    gone.sends();
    gone.lookup.unreachable(0, Transport::Udp);
    assert_eq!(gone.sends().server, 1);
    let mut all = simple();
    for _ in 0..2 {
        let sent = all.sends();
        all.answer(&sent, 2, &[], &[]);
    }
    assert_eq!(all.ends(), Outcome::Failed(Failure::Refused(Code::SERVER)));
}

#[test]
fn an_answer_that_cannot_be_read_is_a_failure_of_its_server() {
    let mut run = run("h.example", options(2, Families::V4));
    let sent = run.sends();
    let mut bytes = answer(&sent.query, 0, &[a("h.example", 9, 1)], &[]);
    bytes.pop();
    assert!(run.hears(&sent, &bytes));
    assert_eq!(run.sends().server, 1);
}

#[test]
fn what_is_cut_off_is_asked_for_over_tcp_once() {
    let mut run = simple();
    let sent = run.sends();
    assert!(run.hears(&sent, &truncated(&sent.query)));
    let stream = run.sends();
    assert_eq!((stream.server, stream.transport), (0, Transport::Tcp));
    assert!(!run.hears(&sent, &truncated(&sent.query)), "it was answered");
    run.answer(&stream, 0, &[a("h.example", 9, 1)], &[]);
    assert_eq!(run.ends(), found(&[1], 9));
    // Without TCP there is the next attempt.
    let mut run = simple();
    let sent = run.sends();
    assert!(run.hears(&sent, &truncated(&sent.query)));
    run.sends();
    run.lookup.unreachable(0, Transport::Tcp);
    assert_eq!(run.sends().transport, Transport::Udp);
}

#[test]
fn a_server_older_than_edns_is_asked_without_it() {
    let mut run = simple();
    let sent = run.sends();
    assert_eq!(sent.query[11], 1);
    // Some do not even repeat the question.
    let mut bytes = sent.query[..12].to_vec();
    bytes[2..].copy_from_slice(&[0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(run.hears(&sent, &bytes));
    let sent = run.sends();
    assert_eq!(sent.query[11], 0);
    run.answer(&sent, 0, &[a("h.example", 9, 1)], &[]);
    assert_eq!(run.ends(), found(&[1], 9));
}

#[test]
fn aliases_are_followed_inside_an_answer_and_beyond_it() {
    let mut run = simple();
    let sent = run.sends();
    // In any order, and with the smallest time.
    run.answer(&sent, 0, &[cname("b.example", 50, "c.example"), cname("h.example", 90, "b.example")], &[]);
    let sent = run.sends();
    assert_eq!(sent.name(), wire("c.example"));
    run.answer(&sent, 0, &[a("c.example", 70, 1), a("other.example", 70, 2)], &[]);
    assert_eq!(run.ends(), found(&[1], 50));
    // An alias to nothing.
    let mut run = simple();
    let sent = run.sends();
    run.answer(&sent, 0, &[cname("h.example", 50, "b.example")], &[soa("example", 100, 60)]);
    assert_eq!(run.ends(), Outcome::NotFound { ttl: Some(50) });
}

#[test]
fn aliases_lead_neither_in_a_circle_nor_without_end() {
    let mut run = simple();
    let sent = run.sends();
    run.answer(&sent, 0, &[cname("h.example", 9, "b.example"), cname("b.example", 9, "H.example")], &[]);
    assert_eq!(run.ends(), Outcome::Failed(Failure::Loop));
    for (links, outcome) in [(8, found(&[1], 9)), (9, Outcome::Failed(Failure::Chain))] {
        let mut run = run_chain(links);
        assert_eq!(run.ends(), outcome, "{links}");
    }
}

/// A name with so many aliases before its address, each answered alone.
fn run_chain(links: usize) -> Run {
    let mut run = run("0.example", options(1, Families::V4));
    for link in 0..=links {
        let Action::Send { server, transport, message: query } = run.poll() else { return run };
        let name = format!("{link}.example");
        let entry = if link == links { a(&name, 9, 1) } else { cname(&name, 9, &format!("{}.example", link + 1)) };
        run.answer(&Sent { server, transport, query }, 0, &[entry], &[]);
    }
    run
}

#[test]
fn the_search_list_is_tried_before_or_after_as_the_dots_say() {
    for (host, ndots, order) in [
        ("h", 1, vec!["h.a.example", "h.b.example", "h"]),
        ("h.x", 1, vec!["h.x", "h.x.a.example", "h.x.b.example"]),
        ("h.x", 2, vec!["h.x.a.example", "h.x.b.example", "h.x"]),
        ("h.", 1, vec!["h"]),
    ] {
        let mut options = options(1, Families::V4);
        options.search = vec!["a.example".into(), "b.example.".into(), "y.".repeat(127)];
        options.ndots = ndots;
        let mut run = run(host, options);
        for name in order {
            let sent = run.sends();
            assert_eq!(sent.name(), wire(name), "{host}");
            run.answer(&sent, 3, &[], &[soa("example", 30, 40)]);
        }
        assert_eq!(run.ends(), Outcome::NotFound { ttl: Some(30) });
    }
}

#[test]
fn a_name_that_nobody_can_say_anything_of_is_not_looked_for_elsewhere() {
    let mut options = options(1, Families::V4);
    options.search = vec!["a.example".into()];
    options.attempts = 1;
    let mut run = run("h", options);
    run.sends();
    run.now = run.waits();
    assert_eq!(run.ends(), Outcome::Failed(Failure::Timeout));
}

#[test]
fn no_such_name_in_one_family_is_no_such_name() {
    let mut none = run("h.example", options(3, Families::Both));
    let (six, _four) = (none.sends(), none.sends());
    none.answer(&six, 3, &[], &[]);
    none.now = none.waits();
    assert_eq!((none.ends(), none.now), (Outcome::NotFound { ttl: None }, Duration::from_secs(1)));
    // Unless the other family knows better, as behind servers that get this wrong (RFC 4074 §4.2).
    let mut wrong = run("h.example", options(3, Families::Both));
    let (six, four) = (wrong.sends(), wrong.sends());
    wrong.answer(&six, 3, &[], &[]);
    wrong.answer(&four, 0, &[a("h.example", 9, 1)], &[]);
    assert_eq!(wrong.ends(), found(&[1], 9));
}

#[test]
fn any_server_is_the_first_when_rotating() {
    let first = |entropy| {
        let mut options = options(3, Families::V4);
        options.rotate = true;
        match Lookup::new("h", options, entropy).unwrap().poll(Duration::ZERO) {
            Action::Send { server, .. } => server,
            other => panic!("{other:?}"),
        }
    };
    let mut seen: Vec<_> = (0..50).map(first).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [0, 1, 2]);
}

#[test]
fn without_a_server_or_a_name_nothing_is_asked() {
    assert_eq!(run("h", options(0, Families::Both)).ends(), Outcome::Failed(Failure::NoServer));
    assert!(Lookup::new("a..b", Options::default(), 0).is_err());
}
