//! Whatever servers send, when they send it, and however sockets fail: a lookup ends in bounded time with a bounded number
//! of questions, and what it finds is of the families that were asked for.
//!
//! The input: how to look up (1 byte), which host (1 byte), then steps. A step is what happens (1 byte), its length divided
//! by 2 (1 byte), and its bytes.
#![no_main]

use std::time::Duration;

use aquests_protocols::dns::{Action, Families, Lookup, Message, Options, Outcome, Transport, frame, unframe};
use libfuzzer_sys::fuzz_target;

const HOSTS: [&str; 4] = ["www.example", "host", "a.b.c.example.", "WWW.Example"];
const SEARCH: [&str; 2] = ["example", "corp.example"];
/// Aliases that are followed for one question, each with a question of its own.
const CHAIN: usize = 8;

fuzz_target!(|input: &[u8]| {
    let [how, place, steps @ ..] = input else { return };
    let options = options(*how);
    let host = HOSTS[usize::from(*place) % HOSTS.len()];
    let lookup = Lookup::new(host, options.clone(), u64::from(*place)).expect("these are names");
    Run { lookup, options, sent: Vec::new(), now: Duration::ZERO }.go(steps);
});

fn options(how: u8) -> Options {
    let mut options = Options::default();
    options.servers = usize::from(how & 3);
    options.attempts = how >> 2 & 1;
    options.rotate = how & 8 != 0;
    options.families = [Families::Both, Families::V4, Families::V6, Families::Both][usize::from(how >> 4 & 3)];
    options.search = SEARCH[..usize::from(how >> 6) % 3].iter().map(|domain| (*domain).to_owned()).collect();
    options
}

struct Run {
    lookup: Lookup,
    options: Options,
    sent: Vec<(usize, Transport, Vec<u8>)>,
    now: Duration,
}

impl Run {
    fn go(mut self, mut steps: &[u8]) {
        let mut done = self.poll();
        while let [what, half, rest @ ..] = steps {
            let (bytes, rest) = rest.split_at(rest.len().min(usize::from(*half) * 2));
            steps = rest;
            self.step(*what, bytes);
            let after = self.poll();
            assert!(done.is_none() || after == done, "what is done stays done");
            done = after;
        }
        // Nobody says anything any more.
        while done.is_none() {
            self.now += Duration::from_millis(700);
            assert!(self.now < Duration::from_secs(1_000), "it ends");
            done = self.poll();
        }
        self.check(&done.expect("it ended"));
    }

    /// Sends what is to be sent, until it waits or is done.
    fn poll(&mut self) -> Option<Outcome> {
        loop {
            match self.lookup.poll(self.now) {
                Action::Send { server, transport, message } => {
                    assert!(server < self.options.servers);
                    self.sent.push((server, transport, message));
                    let each = self.options.servers * usize::from(self.options.attempts.max(1)) + CHAIN + 1;
                    let most = 2 * (self.options.search.len() + 1) * 2 * each;
                    assert!(self.sent.len() <= most, "{} questions, of at most {most}", self.sent.len());
                }
                Action::WaitUntil(until) => {
                    assert!(until > self.now, "it waits for what is to come");
                    return None;
                }
                Action::Done(outcome) => return Some(outcome),
            }
        }
    }

    fn step(&mut self, what: u8, bytes: &[u8]) {
        let Some((server, transport, query)) =
            self.sent.iter().rev().nth(usize::from(what >> 2 & 3)).or(self.sent.last()).cloned()
        else {
            return;
        };
        let other = what & 0x80 != 0;
        let server = if other { (server + 1) % self.options.servers } else { server };
        match what & 3 {
            // Anything at all.
            0 => self.receive(server, transport, bytes),
            // An answer to what was asked: flags, code and counts, and what stands behind the question.
            1 => {
                let Some((head, records)) = bytes.split_at_checked(6) else { return };
                let end = query.len() - if query[11] == 1 { 11 } else { 0 };
                let mut message = query[..2].to_vec();
                message.extend([head[0] | 0x80, head[1], 0, 1, head[2], head[3], head[4], head[5], 0, 0]);
                message.extend(&query[12..end]);
                message.extend(records);
                self.receive(server, transport, &message);
            }
            2 => self.lookup.unreachable(server, transport),
            _ => {
                let [first, second, ..] = bytes else { return };
                self.now += Duration::from_millis(u16::from_le_bytes([*first, *second]).into());
            }
        }
    }

    fn receive(&mut self, server: usize, transport: Transport, message: &[u8]) {
        if let Ok(message) = Message::parse(message) {
            let records: Vec<_> = message.records().collect();
            let broken = records.iter().position(Result::is_err);
            assert!(broken.is_none_or(|at| at + 1 == records.len()), "the first that is malformed is the last");
        }
        let mut stream = Vec::new();
        frame(message, &mut stream);
        assert_eq!(unframe(&stream), Some(message));
        assert_eq!(unframe(&stream[..stream.len() - 1]), None);
        self.lookup.receive(server, transport, message, self.now);
    }

    fn check(&self, outcome: &Outcome) {
        if let Outcome::Found { addresses, .. } = outcome {
            assert!((1..=128).contains(&addresses.len()));
            assert!(addresses.is_sorted_by_key(|address| address.is_ipv4()), "IPv6 before IPv4: {addresses:?}");
            match self.options.families {
                Families::V4 => assert!(addresses.iter().all(|address| address.is_ipv4())),
                Families::V6 => assert!(addresses.iter().all(|address| address.is_ipv6())),
                Families::Both => {}
            }
        }
    }
}
