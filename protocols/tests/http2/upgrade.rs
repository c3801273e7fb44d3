//! The upgrade from HTTP/1.1 (RFC 7540 §3.2, which RFC 9113 §3.1 leaves to those who have it): stream 1 is the request
//! that asked.

use super::*;

fn upgraded(method: &'static str) -> impl Fn() -> AtClient {
    move || Side::client(Client::upgraded(Settings::default(), ExchangeId(42), &request(method)), see_response)
}

/// §3.2: "The HTTP/1.1 request that is sent prior to upgrade is assigned a stream identifier of 1 … implicitly
/// half-closed from the client". The client still sends its preface.
#[test]
fn the_answer_comes_on_stream_1() {
    let mut side = upgraded("GET")();
    assert_eq!(said(&side.take_out())[0], "PREFACE");
    let head = request("GET");
    side.machine.inner().send(ExchangeId(43), Request { head: &head, body: Body::EMPTY }, &mut side.out).unwrap();
    assert!(said(&side.take_out())[0].starts_with("HEADERS 3 "));

    let mut client = Client::upgraded(Settings::default(), ExchangeId(42), &request("HEAD"));
    let mut out = Vec::new();
    let fields = [(":status", "200"), ("content-length", "9")];
    let input = from_server(&[headers(1, END_STREAM, &fields)]);
    let mut rest = &input[..];
    loop {
        let (used, event) = client.receive(aquests_protocols::Input { bytes: rest, eof: false }, &mut out).unwrap();
        rest = &rest[used..];
        match event {
            Event::Progress => {}
            Event::Message { id: ExchangeId(42), done: true, .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(client.slots(), 100);
}

/// §3.2.1: the field is the payload of SETTINGS in base64url, and the server answers the request on stream 1.
#[test]
fn a_server_answers_on_stream_1() {
    let field = Settings::default().window(5).upgrade_field();
    assert_eq!(field, "AAIAAAAAAAQAAAAFAAYAAQAAAAkAAAAB");
    let mut server = Server::upgraded(Settings::default(), ExchangeId(7), false, field.as_bytes()).unwrap();
    let (mut out, head) = (Vec::new(), response(200));
    server.connected(Default::default(), &mut out);
    out.clear();
    assert_eq!(server.slots(), 1);
    server.send(ExchangeId(7), Response { head: &head, body: Body::Whole(b"1234567") }, &mut out).unwrap();
    // The window that the field told holds.
    assert_eq!(said(&out), ["HEADERS 1 | :status: 200 | content-length: 7", "DATA 1 \"12345\""]);
    out.clear();
    let input = from_client(&[window_update(1, 10), get(3)]);
    let mut rest = &input[..];
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let (used, event) = server.receive(aquests_protocols::Input { bytes: rest, eof: false }, &mut out).unwrap();
        rest = &rest[used..];
        if let Event::Message { id, .. } = event {
            seen.push(id);
        }
    }
    assert_eq!(seen, [ExchangeId(8)]);
    assert_eq!(said(&out), ["SETTINGS ACK", "DATA 1 END_STREAM \"67\""]);
}

/// A field that is no payload of SETTINGS must not be agreed to.
#[test]
fn a_field_that_cannot_be_read_is_refused() {
    for (field, violation) in [
        (&b"AAMAAABk!"[..], Violation::Setting),
        (b"AAMAAAB", Violation::FrameSize),
        (b"AAIAAAAC", Violation::Setting),
        (b"AAT_____", Violation::WindowOverflow),
    ] {
        let refused = Server::upgraded(Settings::default(), ExchangeId(0), false, field);
        assert_eq!(refused.err(), Some(violation.into()), "{}", field.escape_ascii());
    }
    assert!(Server::upgraded(Settings::default(), ExchangeId(0), true, b"").is_ok());
}
