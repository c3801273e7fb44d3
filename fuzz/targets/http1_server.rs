//! Whatever a client sends, a server tells the same events or one error, however it is cut, and answers in order.
//!
//! The first byte says how the server answers, the second how to cut and whether the client hangs up; see `answering`.
#![no_main]

use aquests_fuzz::same_at_every_cut;
use aquests_protocols::http1::{Limits, Server};
use aquests_protocols::semantics::{Body, Message, PreparedResponse, RequestHead, Response};
use aquests_protocols::testing::{Seen, Side};
use aquests_protocols::{Event, ExchangeId, Protocol};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let [kind, cut, requests @ ..] = input {
        same_at_every_cut(requests, cut % 2 == 0, *cut, || answering(*kind));
    }
});

fn answering(kind: u8) -> Side<Server, String> {
    let limits = if kind == b'L' { Limits::default().head(64).fields(3) } else { Limits::default() };
    Side::server(Server::new().limits(limits), see).acting(move |side, event| match event {
        Some(Event::Message { id, done, message }) => {
            let now = if kind == b'E' { matches!(message, Seen::Item(_)) } else { *done };
            let body = if kind == b'P' { Body::Parts(None) } else { Body::EMPTY };
            let status = if kind == b'U' { 101 } else { 200 };
            let head = PreparedResponse::new(status, "").unwrap();
            if now && side.machine.slots() > 0 {
                let sent = side.machine.send(*id, Response { head: &head, body }, &mut side.out);
                // Refused is a 101 that nobody asked for, and a body in the answer to CONNECT.
                if let Err(refused) = sent {
                    let head = PreparedResponse::new(404, "").unwrap();
                    let sent = side.machine.send(*id, Response { head: &head, body: Body::EMPTY }, &mut side.out);
                    assert!(sent.is_ok(), "{refused}, and then {sent:?}");
                }
            }
            if kind == b'S' {
                side.machine.hold(*id);
            }
        }
        Some(_) => {}
        None => {
            if kind == b'S' {
                (0..9).for_each(|id| side.machine.resume(ExchangeId(id), &mut side.out));
            }
            if let Some((id, _)) = side.machine.wants_data() {
                side.machine.send_data(id, b"body", true, &mut side.out).unwrap();
            }
        }
    })
}

fn see(message: Message<'_, RequestHead<'_>>) -> Seen<String> {
    match message {
        Message::Data(bytes) => Seen::Data(bytes.to_vec()),
        Message::Informational(_) => panic!("a request is never informational"),
        Message::Head(head) => Seen::Item(format!("{head:?} {:?}", head.fields.block())),
        Message::Trailers(fields) => Seen::Item(format!("{fields:?} {:?}", fields.block())),
    }
}
