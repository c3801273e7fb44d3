//! Whatever a client sends, a server tells the same events or one error, however it is cut.
//!
//! The first byte says how the server answers, the second how to cut and whether the client hangs up; see `answering`.
//! Then come frames, behind a preface and SETTINGS that are given, unless the first byte is `R`.
#![no_main]

use aquests_fuzz::same_at_every_cut;
use aquests_protocols::http2::{Limits, Server, Settings};
use aquests_protocols::semantics::{Body, Message, PreparedResponse, RequestHead, Response};
use aquests_protocols::testing::{Seen, Side};
use aquests_protocols::{Event, ExchangeId, Protocol};
use libfuzzer_sys::fuzz_target;

const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fuzz_target!(|input: &[u8]| {
    if let [kind, cut, frames @ ..] = input {
        let greeting = if *kind == b'R' { &b""[..] } else { GREETING };
        same_at_every_cut(&[greeting, frames].concat(), cut % 2 == 0, *cut, || answering(*kind));
    }
});

fn answering(kind: u8) -> Side<Server, String> {
    let settings = match kind {
        b'L' => Settings::default().streams(2).limits(Limits::default().head(128).fields(6).continuations(2).credit(5)),
        b'W' => Settings::default().window(40).most_window(80).frame(20_000).table(64),
        _ => Settings::default(),
    };
    Side::server(Server::with(settings), see).acting(move |side, event| match event {
        Some(Event::Message { id, done, message }) => {
            let now = if kind == b'E' { matches!(message, Seen::Item(_)) } else { *done };
            let body = if kind == b'P' { Body::Parts(None) } else { Body::EMPTY };
            let mut head = PreparedResponse::new(200, "").unwrap();
            if kind == b'C' {
                head.field("connection", b"close").unwrap();
            }
            if now {
                // Refused is what was answered before.
                let _ = side.machine.send(*id, Response { head: &head, body }, &mut side.out);
            }
            // At once: what is given later is given before or after the next frame, as the cut will have it.
            if let (b'P', Some((id, room))) = (kind, side.machine.wants_data()) {
                let part = &b"body"[..room.min(4)];
                side.machine.send_data(id, part, part.len() == 4, &mut side.out).unwrap();
            }
            if kind == b'S' {
                side.machine.hold(*id);
            }
            if kind == b'X' && id.0 % 2 == 0 {
                let _ = side.machine.cancel(*id, &mut side.out);
            }
        }
        Some(_) => {}
        None => {
            if kind == b'S' {
                (0..9).for_each(|id| side.machine.resume(ExchangeId(id), &mut side.out));
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
