//! Whatever strings a user makes a head of: it is refused, or it arrives as exactly one message with exactly these
//! fields. No request splitting, no field injection.
//!
//! The input is text, cut at `\x1e`: method, target, authority, then names and values in turn. (That byte may stand in
//! none of them.)
#![no_main]

use aquests_protocols::http1::{Client, Server};
use aquests_protocols::semantics::{Body, Fields, Message, PreparedRequest, PreparedResponse, Request, Response};
use aquests_protocols::testing::{Seen, Side};
use aquests_protocols::{Event, ExchangeId, Protocol};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let parts: Vec<_> = input.split(|&byte| byte == 0x1e).collect();
    if let ([method, target, authority, fields @ ..], true) = (&parts[..], input.len() < 10_000) {
        let text = |bytes| core::str::from_utf8(bytes).ok();
        if let (Some(method), Some(target), Some(authority)) = (text(method), text(target), text(authority)) {
            let pairs = || fields.chunks_exact(2).take(100).filter_map(|pair| Some((text(pair[0])?, pair[1])));
            request(method, target, authority, pairs());
            response(target, pairs());
        }
    }
});

/// The fields that are expected to arrive: those that were accepted.
type Expected = Vec<(String, Vec<u8>)>;

fn expect(expected: &mut Expected, name: &str, value: &[u8]) {
    expected.push((name.to_ascii_lowercase(), value.trim_ascii().to_vec()));
}

fn list(fields: Fields<'_>) -> Expected {
    fields.iter().map(|(name, value)| (name.to_string(), value.to_vec())).collect()
}

fn request<'a>(method: &str, target: &str, authority: &str, fields: impl Iterator<Item = (&'a str, &'a [u8])>) {
    let Ok(mut head) = PreparedRequest::new(method, target, authority) else { return };
    let mut expected = vec![("host".to_string(), authority.as_bytes().to_vec())];
    for (name, value) in fields {
        if head.field(name, value).is_ok() {
            expect(&mut expected, name, value);
        }
    }
    assert_eq!((head.method(), head.target(), list(head.fields())), (method, target, expected.clone()));
    let mut client = Client::new();
    let mut out = Vec::new();
    client.send(ExchangeId(0), Request { head: &head, body: Body::EMPTY }, &mut out).unwrap();
    let mut server = Side::server(Server::new(), |message| match message {
        Message::Head(head) => Seen::Item((head.method.to_string(), head.target.to_string(), list(head.fields))),
        other => panic!("{other:?}"),
    });
    server.receive(&out, false);
    if matches!(method, "POST" | "PUT" | "PATCH") {
        expected.push(("content-length".into(), b"0".to_vec()));
    }
    let item = Seen::Item((method.to_string(), target.to_string(), expected));
    assert!(server.take_events() == [Event::Message { id: ExchangeId(0), message: item, done: true }]);
    // Nothing is left that could be another request.
    let head = PreparedResponse::new(404, "").unwrap();
    server.machine.send(ExchangeId(0), Response { head: &head, body: Body::EMPTY }, &mut server.out).unwrap();
    server.receive(b"", true);
    let run = server.finish();
    assert!(
        run.error.is_none() && run.left.is_empty() && run.events.iter().all(|event| matches!(event, Event::Closed))
    );
}

fn response<'a>(reason: &str, fields: impl Iterator<Item = (&'a str, &'a [u8])>) {
    let Ok(mut head) = PreparedResponse::new(404, reason) else { return };
    let mut expected = Vec::new();
    for (name, value) in fields {
        if head.field(name, value).is_ok() {
            expect(&mut expected, name, value);
        }
    }
    let mut server = Side::server(Server::new(), |_| Seen::Item(()));
    server.receive(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", false);
    server.machine.send(ExchangeId(0), Response { head: &head, body: Body::EMPTY }, &mut server.out).unwrap();
    let mut client = Side::client(Client::new(), |message| match message {
        Message::Head(head) => Seen::Item((head.reason.to_vec(), list(head.fields))),
        other => panic!("{other:?}"),
    });
    let get = PreparedRequest::new("GET", "/", "h").unwrap();
    client.machine.send(ExchangeId(0), Request { head: &get, body: Body::EMPTY }, &mut client.out).unwrap();
    client.receive(&server.take_out(), false);
    expected.push(("content-length".into(), b"0".to_vec()));
    let item = Seen::Item((reason.as_bytes().to_vec(), expected));
    assert!(client.take_events()[0] == Event::Message { id: ExchangeId(0), message: item, done: true });
}
