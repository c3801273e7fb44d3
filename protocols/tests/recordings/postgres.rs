//! psql and libpq with PostgreSQL 15.

use std::collections::BTreeMap;

use aquests_protocols::postgres::{Client, Limits, Login};
use aquests_protocols::testing::{self, Seen, Side};
use aquests_protocols::{Error, Established, Event, Protocol};

use super::frontend::{self, message, say, see};
use super::mutations::{ALL, Dice};
use super::{Conversation, Run, mutated, seeds_are, tape};

const RECORDINGS: [(&str, &str); 8] = [
    ("cancelled", include_str!("postgres/cancelled")),
    ("copies", include_str!("postgres/copies")),
    ("extended", include_str!("postgres/extended")),
    ("md5", include_str!("postgres/md5")),
    ("notices", include_str!("postgres/notices")),
    ("queries", include_str!("postgres/queries")),
    ("refused", include_str!("postgres/refused")),
    ("terminated", include_str!("postgres/terminated")),
];

/// The recordings that end as the client wants it.
const ENDED: [&str; 6] = ["cancelled", "copies", "extended", "md5", "notices", "queries"];

fn conversation(name: &str) -> Conversation<Client> {
    let (name, text) = *RECORDINGS.iter().find(|(it, _)| *it == name).expect("it was recorded");
    let runs: Vec<_> = tape::read(text).into_iter().filter(|run| run.connection == 1).collect();
    let password = if name == "refused" { "other" } else { "secret" };
    let login = frontend::login(&runs[0].bytes, password, nonce(&runs)).expect("it begins with a startup message");
    let mut conversation = Conversation { name, runs, start: start(login.clone()), say: speak, units, lengths };
    // Once is enough for thousands of iterations.
    if let Some(key) = conversation.up_to(conversation.runs.len()).0.machine.inner().scram_key() {
        conversation.start = start(login.scram_key(key.clone()));
    }
    conversation
}

fn start(login: Login) -> Box<dyn Fn() -> Side<Client, String>> {
    Box::new(move || {
        let limits = Limits::default().iterations(5_000);
        Side::client(Client::new(login.clone()).expect("it can be written").limits(limits).pipeline(100), see)
    })
}

/// The startup message, which has no type, was said when the connection was made.
fn speak(side: &mut Side<Client, String>, bytes: &[u8], next: &mut u64) {
    if bytes.first() != Some(&0) {
        say(side, bytes, next);
    }
}

/// What a client of the recording made its nonce of: 18 bytes, in Base64.
fn nonce(runs: &[Run]) -> [u8; 18] {
    let first = runs.iter().find(|run| run.bytes.starts_with(b"p") && !run.by_server);
    let Some(at) = first.and_then(|run| run.bytes.windows(7).position(|it| it == b",,n=,r=").map(|at| (run, at + 7)))
    else {
        return [0; 18];
    };
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut nonce = [0; 18];
    for (three, four) in nonce.chunks_mut(3).zip(at.0.bytes[at.1..].chunks(4)) {
        let bits = four.iter().fold(0, |bits, byte| bits << 6 | u32::from(digit(*byte)));
        three.copy_from_slice(&bits.to_be_bytes()[1..]);
    }
    nonce
}

/// Messages of a server.
fn units(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut units = Vec::new();
    while let Some((_, _, rest)) = message(bytes) {
        units.push(bytes[..bytes.len() - rest.len()].to_vec());
        bytes = rest;
    }
    assert!(bytes.is_empty(), "the recording ends within a message");
    units
}

fn lengths(unit: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut unit = unit.to_vec();
    if let Some(length) = unit.get_mut(1..5) {
        let before = i64::from(u32::from_be_bytes([length[0], length[1], length[2], length[3]]));
        let lies = [before - 1, before + 1, 2 * before, 0, 3, 4, 5, 30_001, 64 << 20, 0x7fff_ffff, 0xffff_ffff];
        length.copy_from_slice(&(lies[dice.roll(lies.len())] as u32).to_be_bytes());
    }
    unit
}

/// libpq tells the format of every parameter. None stands for text and one for all ("Bind"), and that is what we tell.
fn with_few_formats(run: &Run) -> Vec<u8> {
    let (mut bytes, mut written) = (&run.bytes[..], Vec::new());
    while let Some((kind, body, rest)) = message(bytes) {
        let mut names = body.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at + 1);
        let Some(at) = names.nth(1).filter(|_| kind == b'B') else {
            written.extend(&bytes[..bytes.len() - rest.len()]);
            bytes = rest;
            continue;
        };
        let count = usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
        let (formats, values) = body[at + 2..].split_at(2 * count);
        let binary = formats.iter().any(|byte| *byte != 0);
        let told: &[u8] = if binary { &body[at..at + 2 + 2 * count] } else { b"\0\0" };
        let body = [&body[..at], told, values].concat();
        written.push(kind);
        written.extend((body.len() as u32 + 4).to_be_bytes());
        written.extend(body);
        bytes = rest;
    }
    // The startup message has no type.
    if written.is_empty() { run.bytes.clone() } else { written }
}

/// Items of a kind, by the name that `Debug` gives them.
fn told(run: &testing::Run<String>) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    let mut add = |name: &str, count| *told.entry(name.to_owned()).or_default() += count;
    for event in &run.events {
        match event {
            Event::Message { message: Seen::Data(bytes), .. } => add("Data", bytes.len()),
            Event::Message { message: Seen::Item(item), .. } | Event::Push(Seen::Item(item)) => {
                add(item.split(['(', ' ']).next().unwrap_or_default(), 1);
            }
            Event::Failed { error: Error::Skipped, .. } => add("Skipped", 1),
            _ => {}
        }
    }
    // How many requests are done depends on what was asked, which is looked at elsewhere.
    told.remove("Ready");
    told
}

/// What a server said, by the types of its messages.
fn said(runs: &[Run]) -> BTreeMap<String, usize> {
    let mut said = BTreeMap::new();
    for unit in runs.iter().filter(|run| run.by_server).flat_map(|run| units(&run.bytes)) {
        let (name, count) = match unit[0] {
            b'A' => ("Notification", 1),
            b'C' => ("Complete", 1),
            b'D' => ("Row", 1),
            b'E' => ("Error", 1),
            b'G' => ("CopyIn", 1),
            b'H' => ("CopyOut", 1),
            b'I' => ("Empty", 1),
            b'K' => ("Key", 1),
            b'N' => ("Notice", 1),
            b'S' => ("Parameter", 1),
            b'T' => ("RowDescription", 1),
            b'd' => ("Data", unit.len() - 5),
            b'n' => ("NoData", 1),
            b't' => ("ParameterDescription", 1),
            // Steps that are answered with yes, the end of COPY data, logins.
            b'1' | b'2' | b'3' | b'c' | b'R' | b'Z' => continue,
            other => panic!("what is {}", other.escape_ascii()),
        };
        *said.entry(name.to_owned()).or_default() += count;
    }
    said
}

#[test]
fn the_same_requests_are_the_bytes_of_libpq() {
    for (name, _) in RECORDINGS {
        conversation(name).writes_what_was_recorded(with_few_formats);
    }
}

#[test]
fn what_was_said_is_told_whole_at_every_cut() {
    for name in ENDED {
        let conversation = conversation(name);
        let run = conversation.tells_the_same_at_every_cut();
        let mut told = told(&run);
        // Two that stood behind one that failed.
        assert_eq!(told.remove("Skipped"), (name == "extended").then_some(2), "{name}");
        assert_eq!(told, said(&conversation.runs), "{name}: {run:?}");
    }
}

#[test]
fn a_login_that_fails_and_a_server_that_hangs_up_are_told_with_their_words() {
    for (name, words, error, open) in [
        ("refused", "FATAL 28P01: password authentication failed for user \"scram\"", Some(Error::Rejected), false),
        ("terminated", "FATAL 57P01: terminating connection due to administrator command", None, true),
    ] {
        let conversation = conversation(name);
        let run = conversation.with(&conversation.said(), usize::MAX);
        assert_eq!((run.error, &run.unfinished[..]), (error, &[][..]), "{name}: {run:?}");
        let (in_answer, said) = match run.events.iter().rev().find(|it| !matches!(it, Event::Closed)) {
            Some(Event::Push(Seen::Item(item))) => (false, item),
            Some(Event::Message { message: Seen::Item(item), done: true, .. }) => (true, item),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(in_answer, open, "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
    }
}

#[test]
fn a_query_is_cancelled_with_the_bytes_of_libpq() {
    let (_, text) = RECORDINGS[0];
    let all = tape::read(text);
    let cancel = all.iter().find(|run| run.connection == 2).expect("psql made a connection for it");
    let conversation = conversation("cancelled");
    let mut up_to_there = conversation.up_to(2).0;
    let key = up_to_there.machine.inner().cancel_key().expect("the server told one").clone();
    let (mut client, mut out) = (Client::new(Login::interrupt(key)).expect("it can be written"), Vec::new());
    client.connected(Established::default(), &mut out);
    assert_eq!(out, cancel.bytes);
}

#[test]
fn whatever_is_changed_in_it_nothing_is_lost_and_errors_have_types() {
    // Each variant of the login that is refused computes the iterations anew.
    let (slow, quick): (Vec<_>, Vec<_>) =
        RECORDINGS.iter().map(|(name, _)| conversation(name)).partition(|it| it.name == "refused");
    for (conversations, each) in [(&quick, 1_000), (&slow, 40)] {
        let ends = mutated(conversations, each);
        assert_eq!(ends.variants as u64, conversations.len() as u64 * each);
        // There is little in a login to be swapped.
        for kind in ALL.iter().filter(|_| each > 40) {
            assert!(ends.noticed.get(kind) > Some(&0), "{kind:?} is noticed: {ends:?}");
        }
        assert!(ends.errors.len() >= 6, "errors of many types: {ends:?}");
    }
}

/// Without the logins: their iterations would be what is fuzzed, and `postgres_client` has them.
#[test]
fn recordings_are_seeds() {
    let logged_in = RECORDINGS.iter().filter(|(name, _)| *name != "refused").map(|(name, text)| {
        let runs: Vec<_> = tape::read(text).into_iter().filter(|run| run.connection == 1).collect();
        let begins = runs.iter().position(|run| run.by_server && run.bytes.ends_with(b"Z\0\0\0\x05I"));
        (*name, tape::seed(&runs[begins.expect("the login was good") + 1..]))
    });
    seeds_are("postgres_conversations", logged_in);
}
