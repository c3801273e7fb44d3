//! Conformance of PostgreSQL, by topic: whatever comes from the server comes cut at every place.
//!
//! What a run told is compared as text, one line for each event: `0 row a,NULL`, `0 ready Idle done`, `push notice …`.

mod binary_copy;
mod copy;
mod errors;
mod extended;
mod holding;
mod limits;
mod login;
mod pipelines;
mod queries;
mod tls;
mod versions;

use aquests_protocols::postgres::{Client, End, Limits, Login, Message, Parameter, Request, Step, Violation};
use aquests_protocols::testing::{Run, Script, Seen, Side, splits};
use aquests_protocols::{Error, Event, ExchangeId, Limit, Protocol, Refused, Replay};

type AtClient = Side<Client, String>;

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn see(message: Message<'_>) -> Seen<String> {
    Seen::Item(match message {
        Message::ParameterDescription(types) => format!("types {types:?}"),
        Message::RowDescription(columns) => {
            let names: Vec<_> = columns.columns().map(|it| format!("{}:{}", text(it.name), it.type_oid)).collect();
            format!("columns {}", names.join(","))
        }
        Message::Row(row) => {
            let fields: Vec<_> = row.fields().map(|it| it.map_or("NULL".into(), text)).collect();
            format!("row {}", fields.join(","))
        }
        Message::Complete(tag) => text(tag.as_bytes()),
        Message::CopyIn(copy) => format!("copy in {:?}", copy.format()),
        Message::CopyOut(copy) => format!("copy out {:?}", copy.format()),
        Message::Data(bytes) => return Seen::Data(bytes.to_vec()),
        Message::Error(error) => format!("error {error}"),
        Message::Notice(notice) => format!("notice {notice}"),
        Message::Notification(it) => format!("{} on {}: {}", it.process, text(it.channel), text(it.payload)),
        Message::Parameter { name, value } => format!("{}={}", text(name), text(value)),
        Message::Key(key) => format!("key of {}", key.process()),
        Message::Ready(transaction) => format!("ready {transaction:?}"),
        other => format!("{other:?}"),
    })
}

/// A message of either side.
fn message(kind: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

/// AuthenticationOk and the others: what, and what belongs to it.
fn authentication(kind: u32, body: impl AsRef<[u8]>) -> Vec<u8> {
    message(b'R', [&kind.to_be_bytes()[..], body.as_ref()].concat())
}

fn ready(state: &str) -> Vec<u8> {
    message(b'Z', state)
}

/// RowDescription with columns of type text.
fn columns(names: &[&str]) -> Vec<u8> {
    let mut body = (names.len() as u16).to_be_bytes().to_vec();
    for name in names {
        body.extend(name.bytes().chain([0, 0, 0, 0, 9, 0, 1, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]));
    }
    message(b'T', body)
}

fn row(fields: &[Option<&str>]) -> Vec<u8> {
    let mut body = (fields.len() as u16).to_be_bytes().to_vec();
    for field in fields {
        match field {
            Some(field) => {
                body.extend((field.len() as u32).to_be_bytes());
                body.extend(field.as_bytes());
            }
            None => body.extend([0xff; 4]),
        }
    }
    message(b'D', body)
}

fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0"))
}

fn error(severity: &str, code: &str, words: &str) -> Vec<u8> {
    message(b'E', format!("S{severity}\0V{severity}\0C{code}\0M{words}\0Rroutine\0\0"))
}

/// What ParseComplete, BindComplete, RowDescription, one row and CommandComplete are together.
fn answer(value: &str) -> Vec<u8> {
    [message(b'1', ""), message(b'2', ""), columns(&["a"]), row(&[Some(value)]), complete("SELECT 1")].concat()
}

/// A client's side before the server said anything.
fn fresh(login: Login) -> AtClient {
    Side::client(Client::new(login).unwrap(), see)
}

/// A client's side after a login without a password.
fn quiet(limits: Limits) -> AtClient {
    let mut side = Side::client(Client::new(Login::new("me")).unwrap().pipeline(100).limits(limits), see);
    side.receive(&[authentication(0, ""), ready("I")].concat(), false);
    side.take_out();
    side
}

#[track_caller]
fn send(side: &mut AtClient, id: u64, request: Request<'_>) {
    side.machine.send(ExchangeId(id), request, &mut side.out).expect("the request is taken");
}

/// Parse, Bind, Describe and Execute, all without names.
const SELECT: &[Step<'static>] = &[
    Step::Parse { name: "", sql: "SELECT 1", types: &[] },
    Step::Bind { portal: "", statement: "", parameters: &[], results: &[] },
    Step::DescribePortal(""),
    Step::Execute { portal: "", rows: 0 },
];

/// A client's side that has sent `SELECT` several times, each with its end.
fn selects(ends: &[End]) -> AtClient {
    let mut side = quiet(Limits::default());
    for (id, end) in (0..).zip(ends) {
        send(&mut side, id, Request::Steps { steps: SELECT, end: *end });
    }
    side.take_out();
    side
}

/// A client's side that has sent simple queries.
fn queries(count: u64) -> AtClient {
    let mut side = quiet(Limits::default());
    (0..count).for_each(|id| send(&mut side, id, Request::Query("SELECT 1")));
    side.take_out();
    side
}

/// Each event as a line.
fn told(run: &Run<String>) -> Vec<String> {
    run.events.iter().map(line).collect()
}

fn line(event: &Event<Seen<String>>) -> String {
    let seen = |message: &Seen<String>| match message {
        Seen::Item(item) => item.clone(),
        Seen::Data(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    };
    match event {
        Event::Message { id, message, done } => {
            format!("{} {}{}", id.0, seen(message), if *done { " done" } else { "" })
        }
        Event::Push(message) => format!("push {}", seen(message)),
        Event::Failed { id, error, replay } => format!("{} {error}, {replay:?}", id.0),
        Event::StartTls => "TLS".into(),
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
