//! Whatever a server sends, a client tells the same events or one error, however it is cut, and no exchange is lost.
//!
//! The first byte says what was asked, the second how to cut and whether the server hangs up; see `asked`. Then come
//! frames, behind SETTINGS that are given, unless the first byte is `R`.
#![no_main]

use aquests_fuzz::same_at_every_cut;
use aquests_protocols::http2::{Client, Limits, Settings};
use aquests_protocols::semantics::{Body, Message, PreparedRequest, Request, ResponseHead};
use aquests_protocols::testing::{Seen, Side};
use aquests_protocols::{Event, ExchangeId, Protocol};
use libfuzzer_sys::fuzz_target;

const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

fuzz_target!(|input: &[u8]| {
    if let [kind, cut, frames @ ..] = input {
        let greeting = if *kind == b'R' { &b""[..] } else { SETTINGS };
        same_at_every_cut(&[greeting, frames].concat(), cut % 2 == 0, *cut, || asked(*kind));
    }
});

fn asked(kind: u8) -> Side<Client, String> {
    let settings = match kind {
        b'L' => Settings::default().limits(Limits::default().head(128).fields(3).interim(2).continuations(2).credit(5)),
        b'W' => Settings::default().window(40).most_window(80).frame(20_000).table(64),
        _ => Settings::default(),
    };
    let mut side = Side::client(Client::with(settings), see);
    for (id, (method, body)) in (0..).zip([
        ("GET", Body::EMPTY),
        ("HEAD", Body::EMPTY),
        ("POST", Body::Parts(Some(9))),
        ("POST", Body::Whole(&[b'x'; 70_000])),
        ("CONNECT", Body::EMPTY),
    ]) {
        let head = PreparedRequest::new(method, "/", "h").unwrap();
        side.machine.send(ExchangeId(id), Request { head: &head, body }, &mut side.out).unwrap();
    }
    if kind == b'G' {
        side.machine.close(&mut side.out);
    }
    side.acting(move |side, event| match event {
        Some(Event::Message { id, .. }) if kind == b'X' => {
            let _ = side.machine.cancel(*id, &mut side.out);
        }
        // A slow reader, who is asked to go on at once.
        Some(Event::Message { id, .. }) if kind == b'S' => side.machine.hold(*id),
        Some(_) => {}
        None if kind == b'S' => (0..5).for_each(|id| side.machine.resume(ExchangeId(id), &mut side.out)),
        None => {}
    })
}

fn see(message: Message<'_, ResponseHead<'_>>) -> Seen<String> {
    match message {
        Message::Data(bytes) => Seen::Data(bytes.to_vec()),
        Message::Informational(head) => Seen::Item(format!("interim {head:?} {:?}", head.fields.block())),
        Message::Head(head) => Seen::Item(format!("{head:?} {:?}", head.fields.block())),
        Message::Trailers(fields) => Seen::Item(format!("{fields:?} {:?}", fields.block())),
    }
}
