//! Whatever a server sends, a client tells the same events or one error, however it is cut, and no exchange is lost.
//!
//! The first byte says what was asked, the second how to cut and whether the server hangs up; see `asked`.
#![no_main]

use aquests_fuzz::same_at_every_cut;
use aquests_protocols::http1::{Client, Limits};
use aquests_protocols::semantics::{Body, Message, PreparedRequest, Request, ResponseHead};
use aquests_protocols::testing::{Seen, Side};
use aquests_protocols::{Event, ExchangeId, Protocol};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let [kind, cut, answers @ ..] = input {
        same_at_every_cut(answers, cut % 2 == 0, *cut, || asked(*kind));
    }
});

fn asked(kind: u8) -> Side<Client, String> {
    let requests: &[(&str, Body<'_>)] = match kind {
        b'B' => &[("POST", Body::Parts(Some(9)))],
        b'C' => &[("CONNECT", Body::EMPTY)],
        b'H' => &[("HEAD", Body::EMPTY)],
        b'P' | b'X' => &[("GET", Body::EMPTY), ("HEAD", Body::EMPTY), ("PUT", Body::Whole(b"x")), ("GET", Body::EMPTY)],
        _ => &[("GET", Body::EMPTY)],
    };
    let limits = if kind == b'L' { Limits::default().head(64).fields(3).interim(2) } else { Limits::default() };
    let mut side = Side::client(Client::new().pipeline(4).limits(limits), see);
    for (id, (method, body)) in (0..).zip(requests) {
        let mut head = PreparedRequest::new(method, "/", "h").unwrap();
        if kind == b'U' {
            head.field("connection", b"upgrade").unwrap();
        }
        side.machine.send(ExchangeId(id), Request { head: &head, body: *body }, &mut side.out).unwrap();
    }
    if kind == b'X' {
        assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
    }
    side.acting(move |side, event| match event {
        // A slow reader, who is asked to go on at once.
        Some(Event::Message { id, .. }) if kind == b'S' => side.machine.hold(*id),
        Some(_) => {}
        None => (0..4).for_each(|id| side.machine.resume(ExchangeId(id), &mut side.out)),
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
