//! Conformance of Redis, by topic: whatever comes from the server comes cut at every place.
//!
//! What a run told is compared as text, one line for each event: `0 $5\r\nhello\r\n done`, `push >1\r\n+x\r\n`,
//! `0 bulk 70000`, `0 "…" done`.

mod cluster;
mod commands;
mod errors;
mod greeting;
mod holding;
mod limits;
mod long;
mod pubsub;
mod replies;
mod resp3;
mod streamed;
mod values;

use aquests_protocols::redis::{Client, Limits, Message, Pattern, PreparedCommand, Request, Violation, Words};
use aquests_protocols::testing::{Run, Seen, Side, splits};
use aquests_protocols::{Error, Event, ExchangeId, Limit, Protocol, Refused, Replay};

type AtClient = Side<Client, String>;

/// A client's side on which nothing was sent.
fn quiet(machine: Client) -> AtClient {
    Side::client(machine, |message| match message {
        Message::Reply(value) => Seen::Item(value.as_bytes().escape_ascii().to_string()),
        Message::Bulk { length: Some(length) } => Seen::Item(format!("bulk {length}")),
        Message::Bulk { length: None } => Seen::Item("bulk".into()),
        Message::Data(bytes) => Seen::Data(bytes.to_vec()),
    })
}

fn words(command: &str) -> Vec<&[u8]> {
    command.split(' ').map(str::as_bytes).collect()
}

fn try_send(side: &mut AtClient, id: u64, command: &str) -> Result<(), Refused> {
    side.machine.send(ExchangeId(id), Request::Words(&words(command)), &mut side.out)
}

#[track_caller]
fn send(side: &mut AtClient, id: u64, command: &str) {
    try_send(side, id, command).expect("the command is taken");
}

/// A client's side that has sent these commands, numbered from 0.
fn sent(machine: Client, commands: &[&str]) -> AtClient {
    let mut side = quiet(machine.pipeline(100));
    for (id, command) in (0..).zip(commands) {
        send(&mut side, id, command);
    }
    side
}

/// What a client makes of what the server sends after these commands; the connection stays open.
fn asked(commands: &[&str], peer: impl AsRef<[u8]>) -> Run<String> {
    splits(peer.as_ref(), false, || sent(Client::new(), commands))
}

/// The same in RESP3.
fn asked3(commands: &[&str], peer: impl AsRef<[u8]>) -> Run<String> {
    splits(peer.as_ref(), false, || in_resp3(commands))
}

/// A client's side after HELLO, that has sent these commands.
fn in_resp3(commands: &[&str]) -> AtClient {
    let mut side = quiet(Client::new().resp3().pipeline(100));
    side.receive(b"%1\r\n+proto\r\n:3\r\n", false);
    assert_eq!(side.take_out(), b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
    for (id, command) in (0..).zip(commands) {
        send(&mut side, id, command);
    }
    side
}

/// Each event as a line.
fn told(run: &Run<String>) -> Vec<String> {
    run.events.iter().map(line).collect()
}

fn line(event: &Event<Seen<String>>) -> String {
    let seen = |message: &Seen<String>| match message {
        Seen::Item(item) => item.clone(),
        Seen::Data(bytes) if bytes.len() > 100 => format!("{} bytes", bytes.len()),
        Seen::Data(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    };
    match event {
        Event::Message { id, message, done } => {
            format!("{} {}{}", id.0, seen(message), if *done { " done" } else { "" })
        }
        Event::Push(message) => format!("push {}", seen(message)),
        Event::Closed => "closed".into(),
        other => format!("{other:?}"),
    }
}

fn broken(violation: Violation) -> Option<Error> {
    Some(violation.into())
}

fn too_large(what: &'static str, value: u64) -> Option<Error> {
    Some(Error::TooLarge(Limit { what, value }))
}

/// A client that asked for one thing refuses this answer, having told nothing of it.
#[track_caller]
fn refuses(peer: impl AsRef<[u8]>, violation: Violation) {
    let peer = peer.as_ref();
    let run = asked(&["GET k"], peer);
    assert_eq!(run.error, broken(violation), "the server sent \"{}\"", peer.escape_ascii());
    assert_eq!(told(&run), [""; 0], "the server sent \"{}\"", peer.escape_ascii());
    assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)], "the server sent \"{}\"", peer.escape_ascii());
}
