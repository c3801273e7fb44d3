//! Conformance of HTTP/2, rule by rule: one file for each section of RFC 9113, one for RFC 7541 and one for each thing
//! that lies across them. Every test names the rule that it checks, and whatever comes from the peer comes cut at every
//! place.
//!
//! The peer is built from single frames (`frames`). What a run told is compared as text, one line for each event: `0
//! HTTP/2.0 200 | server: x`, `0 "hi" done`; what the machine said to the peer, one line for each frame.

mod errors;
mod frames;
mod hpack;
mod limits;
mod roles;
mod s3_starting;
mod s4_frames;
mod s5_flow_control;
mod s5_streams;
mod s6_data;
mod s6_goaway_and_ping;
mod s6_headers;
mod s6_settings;
mod s6_windows;
mod s7_error_codes;
mod s8_connect;
mod s8_fields;
mod s8_messages;
mod upgrade;
mod uploads;

use aquests_protocols::http2::{Client, Code, Server, Settings, Violation};
use aquests_protocols::semantics::{
    Body, Fields, Message, PreparedRequest, PreparedResponse, Request, RequestHead, Response, ResponseHead,
};
use aquests_protocols::testing::{Run, Seen, Side, splits};
use aquests_protocols::{Error, Event, ExchangeId, Protocol, Replay};

use frames::*;

type AtClient = Side<Client, String>;
type AtServer = Side<Server, String>;

/// A head for `method`, with as little in it as can be.
fn request(method: &str) -> PreparedRequest {
    let target = if method == "CONNECT" { "h:443" } else { "/" };
    PreparedRequest::new(method, target, "h").expect("a valid head")
}

fn response(status: u16) -> PreparedResponse {
    PreparedResponse::new(status, "").expect("a valid status")
}

/// A client's side on which nothing was sent; its greeting is taken.
fn quiet(settings: Settings) -> AtClient {
    let mut side = Side::client(Client::with(settings), see_response);
    side.take_out();
    side
}

/// A client's side that has sent these requests, numbered from 0, without a body; what it wrote is taken.
fn sent(methods: &[&str]) -> AtClient {
    let mut side = quiet(Settings::default());
    for (id, method) in (0..).zip(methods) {
        send(&mut side, id, &request(method), Body::EMPTY);
    }
    side.take_out();
    side
}

#[track_caller]
fn send(side: &mut AtClient, id: u64, head: &PreparedRequest, body: Body<'_>) {
    side.machine.send(ExchangeId(id), Request { head, body }, &mut side.out).expect("the request is taken");
}

#[track_caller]
fn reply(side: &mut AtServer, id: u64, status: u16, body: Body<'_>) {
    let head = response(status);
    side.machine.send(ExchangeId(id), Response { head: &head, body }, &mut side.out).expect("the answer is taken");
}

/// A server's side that answers nothing; its greeting is taken.
fn mute(settings: Settings) -> AtServer {
    let mut side = Side::server(Server::with(settings), see_request);
    side.take_out();
    side
}

/// A server's side that answers every request, when it is whole, with a 200 of two bytes.
fn obliging() -> AtServer {
    mute(Settings::default()).acting(|side, event| {
        if let Some(Event::Message { id, done: true, .. }) = event {
            reply(side, id.0, 200, Body::Whole(b"ok"));
        }
    })
}

/// What a server sends, behind its empty SETTINGS.
fn from_server(frames: &[Vec<u8>]) -> Vec<u8> {
    [&[settings(&[])], frames].concat().concat()
}

/// What a client sends, behind the preface and its empty SETTINGS.
fn from_client(frames: &[Vec<u8>]) -> Vec<u8> {
    [&[PREFACE.to_vec(), settings(&[])], frames].concat().concat()
}

/// What a client that sent these requests (on the streams 1, 3, …) makes of these frames; the connection stays open.
fn asked(methods: &[&str], frames: &[Vec<u8>]) -> Run<String> {
    splits(&from_server(frames), false, || sent(methods))
}

/// What an obliging server makes of these frames; the connection stays open.
fn served(frames: &[Vec<u8>]) -> Run<String> {
    splits(&from_client(frames), false, obliging)
}

/// What a server that answers nothing makes of these frames.
fn heard(frames: &[Vec<u8>]) -> Run<String> {
    splits(&from_client(frames), false, || mute(Settings::default()))
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
        Event::Failed { id, error, replay } => format!("{} failed, {error}, {replay:?}", id.0),
        Event::Closed => "closed".into(),
        other => format!("{other:?}"),
    }
}

/// What the machine said beside acknowledging SETTINGS.
fn answers(run: &Run<String>) -> Vec<String> {
    said(&run.out).into_iter().filter(|line| line != "SETTINGS ACK").collect()
}

fn see_response(message: Message<'_, ResponseHead<'_>>) -> Seen<String> {
    let head = |head: ResponseHead<'_>| {
        assert_eq!(head.reason, b"", "HTTP/2 has no reasons");
        with_fields(format!("{} {}", head.version, head.status), head.fields)
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

/// A client that waits for an answer on stream 1 breaks off at these frames, having told nothing of them, and says why.
#[track_caller]
fn client_breaks(frames: &[Vec<u8>], error: impl Into<Error>, code: Code) {
    let (run, error) = (asked(&["GET"], frames), error.into());
    assert_eq!(run.error, Some(error), "at {}", show(frames));
    assert_eq!(said(&run.out).last(), Some(&format!("GOAWAY 0 {code}")), "at {}", show(frames));
    assert_eq!(run.unfinished.len() + run.events.len(), 1, "at {}", show(frames));
}

/// The same of a server that was asked on stream 1, for a whole request, and has not answered.
#[track_caller]
fn server_breaks(frames: &[Vec<u8>], error: impl Into<Error>, code: Code) {
    let frames = [&[get(1)], frames].concat();
    let (run, error) = (heard(&frames), error.into());
    assert_eq!(run.error, Some(error), "at {}", show(&frames));
    let goodbye = said(&run.out).pop().unwrap_or_default();
    assert!(goodbye.starts_with("GOAWAY") && goodbye.ends_with(&format!(" {code}")), "{goodbye} at {}", show(&frames));
}

/// Both.
#[track_caller]
fn both_break(frames: &[Vec<u8>], error: impl Into<Error> + Copy, code: Code) {
    client_breaks(frames, error, code);
    server_breaks(frames, error, code);
}

/// A client ends the exchange on stream 1 at these frames, and lives: the answer on stream 3 still comes.
#[track_caller]
fn client_resets(frames: &[Vec<u8>], error: impl Into<Error>, code: Code) {
    let run = asked(&["GET", "GET"], &[frames, &[answer(3)]].concat());
    let failed = format!("0 failed, {}, Unknown", error.into());
    let told = told(&run);
    assert!(told.contains(&failed), "{told:?} at {}", show(frames));
    assert_eq!(told.last().unwrap(), "1 HTTP/2.0 200 done", "at {}", show(frames));
    assert_eq!(run.error, None, "at {}", show(frames));
    let resets: Vec<_> = answers(&run).into_iter().filter(|line| line.starts_with("RST")).collect();
    assert_eq!(resets, [format!("RST_STREAM 1 {code}")], "at {}", show(frames));
}

/// A server ends the exchange on stream 1 at these frames, and lives: a request on stream 3 is still answered. `told`:
/// it has told of it.
#[track_caller]
fn server_resets(frames: &[Vec<u8>], error: impl Into<Error>, code: Code, was_told: bool) {
    let run = served(&[frames, &[get(3)]].concat());
    let (failed, told) = (format!("0 failed, {}, Unknown", error.into()), told(&run));
    assert_eq!(told.contains(&failed), was_told, "{told:?} at {}", show(frames));
    assert_eq!(told.len() > 1, was_told, "{told:?} at {}", show(frames));
    let id = u8::from(was_told);
    assert_eq!(*told.last().unwrap(), format!("{id} GET / HTTP/2.0 | host: h done"), "at {}", show(frames));
    assert_eq!(run.error, None, "at {}", show(frames));
    let (resets, others): (Vec<_>, Vec<_>) = answers(&run).into_iter().partition(|line| line.starts_with("RST"));
    assert_eq!(resets, [format!("RST_STREAM 1 {code}")], "at {}", show(frames));
    assert!(others.contains(&"DATA 3 END_STREAM \"ok\"".to_string()), "{others:?} at {}", show(frames));
}

fn show(frames: &[Vec<u8>]) -> String {
    frames.iter().map(|frame| format!("\"{}\" ", frame.escape_ascii())).collect()
}
