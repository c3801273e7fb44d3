//! Conformance of HTTP/1.1, rule by rule: one file for each section of RFC 9112 and one for each thing that lies across
//! them. Every test names the rule that it checks, and whatever comes from the peer comes cut at every place.
//!
//! What a run told is compared as text, one line for each event: `0 HTTP/1.1 200 OK | content-length: 2`, `0 "hi" done`.

mod errors;
mod holding;
mod interim_and_upgrade;
mod limits;
mod roles;
mod s2_message;
mod s3_request_line;
mod s4_status_line;
mod s5_fields;
mod s6_framing;
mod s7_chunked;
mod s8_incomplete;
mod s9_connections;
mod uploads;

use aquests_protocols::http1::{Client, Server, Violation};
use aquests_protocols::semantics::{
    Body, Fields, Message, PreparedRequest, PreparedResponse, Request, RequestHead, Response, ResponseHead,
};
use aquests_protocols::testing::{Run, Seen, Side, splits};
use aquests_protocols::{Error, Event, ExchangeId, Protocol};

type AtClient = Side<Client, String>;
type AtServer = Side<Server, String>;

/// A head for `method`, with as little in it as can be.
fn request(method: &str) -> PreparedRequest {
    let target = if method == "CONNECT" { "h:443" } else { "/" };
    PreparedRequest::new(method, target, "h").expect("a valid head")
}

/// The same, asking for another protocol.
fn upgrade() -> PreparedRequest {
    let mut head = request("GET");
    head.field("connection", b"upgrade").expect("a valid field");
    head.field("upgrade", b"echo").expect("a valid field");
    head
}

fn response(status: u16) -> PreparedResponse {
    PreparedResponse::new(status, "").expect("a valid status")
}

/// A client's side on which nothing was sent.
fn quiet(machine: Client) -> AtClient {
    Side::client(machine, see_response)
}

/// A client's side that has sent these requests, numbered from 0, without a body.
fn sent(machine: Client, heads: &[PreparedRequest]) -> AtClient {
    let mut side = quiet(machine);
    for (id, head) in (0..).zip(heads) {
        send(&mut side, id, head, Body::EMPTY);
    }
    side
}

#[track_caller]
fn send(side: &mut AtClient, id: u64, head: &PreparedRequest, body: Body<'_>) {
    side.machine.send(ExchangeId(id), Request { head, body }, &mut side.out).expect("the request is taken");
}

#[track_caller]
fn answer(side: &mut AtServer, id: u64, status: u16, body: Body<'_>) {
    let head = response(status);
    side.machine.send(ExchangeId(id), Response { head: &head, body }, &mut side.out).expect("the answer is taken");
}

/// What a client makes of an answer to `method`; the connection stays open.
fn asked(method: &str, answer: impl AsRef<[u8]>) -> Run<String> {
    splits(answer.as_ref(), false, || sent(Client::new(), &[request(method)]))
}

/// The same, and the server hangs up after it.
fn asked_until_end(method: &str, answer: impl AsRef<[u8]>) -> Run<String> {
    splits(answer.as_ref(), true, || sent(Client::new(), &[request(method)]))
}

/// A server's side that answers nothing.
fn mute() -> AtServer {
    Side::server(Server::new(), see_request)
}

/// A server's side that answers every request, when it is whole, with a 404 of two bytes.
fn obliging() -> AtServer {
    mute().acting(|side, event| {
        if let Some(Event::Message { id, done: true, .. }) = event {
            answer(side, id.0, 404, Body::Whole(b"no"));
        }
    })
}

/// What an obliging server makes of these bytes; the connection stays open.
fn served(bytes: impl AsRef<[u8]>) -> Run<String> {
    splits(bytes.as_ref(), false, obliging)
}

/// Each event as a line.
fn told(run: &Run<String>) -> Vec<String> {
    run.events.iter().map(line).collect()
}

fn line(event: &Event<Seen<String>>) -> String {
    match event {
        Event::Message { id, message, done } => {
            let message = match message {
                Seen::Item(item) => item.clone(),
                Seen::Data(bytes) => format!("\"{}\"", bytes.escape_ascii()),
            };
            format!("{} {message}{}", id.0, if *done { " done" } else { "" })
        }
        Event::Switched { id } => format!("{} switched", id.0),
        Event::Closed => "closed".into(),
        other => format!("{other:?}"),
    }
}

fn see_response(message: Message<'_, ResponseHead<'_>>) -> Seen<String> {
    let head = |head: ResponseHead<'_>| {
        let reason = head.reason.escape_ascii();
        with_fields(format!("{} {} {reason}", head.version, head.status), head.fields)
    };
    match message {
        Message::Informational(interim) => Seen::Item(format!("interim {}", head(interim))),
        Message::Head(last) => Seen::Item(head(last)),
        Message::Data(bytes) => Seen::Data(bytes.to_vec()),
        Message::Trailers(fields) => Seen::Item(with_fields("trailers".into(), fields)),
    }
}

fn see_request(message: Message<'_, RequestHead<'_>>) -> Seen<String> {
    match message {
        Message::Informational(_) => panic!("a request is never informational"),
        Message::Head(head) => {
            Seen::Item(with_fields(format!("{} {} {}", head.method, head.target, head.version), head.fields))
        }
        Message::Data(bytes) => Seen::Data(bytes.to_vec()),
        Message::Trailers(fields) => Seen::Item(with_fields("trailers".into(), fields)),
    }
}

fn with_fields(start: String, fields: Fields<'_>) -> String {
    fields.iter().fold(start, |line, (name, value)| format!("{line} | {name}: {}", value.escape_ascii()))
}

fn broken(violation: Violation) -> Option<Error> {
    Some(violation.into())
}

/// A client that asked with `method` refuses this answer, having told nothing of it.
#[track_caller]
fn refuses(method: &str, answer: impl AsRef<[u8]>, violation: Violation) {
    let answer = answer.as_ref();
    let run = asked(method, answer);
    assert_eq!(run.error, broken(violation), "the server sent \"{}\"", answer.escape_ascii());
    assert_eq!(run.events, [], "the server sent \"{}\"", answer.escape_ascii());
}

/// A server refuses this request with a violation and a status line, having told nothing of it.
#[track_caller]
fn rejects(bytes: impl AsRef<[u8]>, violation: Violation, status: &str) {
    let bytes = bytes.as_ref();
    let run = served(bytes);
    assert_eq!(run.error, broken(violation), "the client sent \"{}\"", bytes.escape_ascii());
    assert_eq!(run.events, [], "the client sent \"{}\"", bytes.escape_ascii());
    let goodbye = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(String::from_utf8_lossy(&run.out), goodbye, "the client sent \"{}\"", bytes.escape_ascii());
}
