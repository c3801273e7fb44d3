//! Whatever a server sends, a client tells the same events or one error, however it is cut, and no exchange is lost.
//!
//! The first byte says what was asked, the second how to cut and whether the server hangs up; see `asked`.
#![no_main]

use aquests_fuzz::same_at_every_cut;
use aquests_protocols::redis::{Client, Limits, Message, PreparedCommand, Published, Request, Value};
use aquests_protocols::testing::{Seen, Side};
use aquests_protocols::{Event, ExchangeId, Protocol};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let [kind, cut, replies @ ..] = input {
        same_at_every_cut(replies, cut % 2 == 0, *cut, || asked(*kind));
    }
});

fn asked(kind: u8) -> Side<Client, String> {
    let commands: &[&str] = match kind {
        b'3' => &["HELLO 3", "GET a", "RESET", "GET b"],
        b'G' | b'A' | b'N' => &[],
        b'M' => &["MULTI", "INCR a", "EXEC"],
        b'P' => &["SUBSCRIBE a b", "PING", "PSUBSCRIBE p", "UNSUBSCRIBE", "GET a"],
        b'Q' => &["GET a", "QUIT"],
        b'U' => &["HELLO 3", "SSUBSCRIBE a", "GET a", "HELLO 2", "SUNSUBSCRIBE", "PUNSUBSCRIBE"],
        _ => &["GET a", "GET b", "GET c", "GET d"],
    };
    let machine = match kind {
        // Logins, behind which nothing is sent: that would depend on the cut.
        b'G' => Client::new().resp3().auth(Some(b"me"), b"pw").name(b"it").database(3),
        b'A' => Client::new().auth(None, b"pw").database(3),
        b'L' => Client::new().limits(Limits::default().depth(3).bulk(64).whole(100).parts(8).line(16)),
        b'S' | b'X' => Client::new().limits(Limits::default().parts(2)),
        _ => Client::new(),
    };
    let mut side = Side::client(machine.pipeline(8), see);
    for (id, command) in (0..).zip(commands) {
        let words: Vec<_> = command.split(' ').map(str::as_bytes).collect();
        side.machine.send(ExchangeId(id), Request::Words(&words), &mut side.out).unwrap();
    }
    if kind == b'T' {
        let several = PreparedCommand::new(["MULTI"]).unwrap().then(["GET", "a"]).unwrap().then(["EXEC"]).unwrap();
        side.machine.send(ExchangeId(9), Request::Prepared(&several), &mut side.out).unwrap();
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

fn see(message: Message<'_>) -> Seen<String> {
    match message {
        Message::Reply(value) => {
            let (looked, owned) = (value.read(), Value::from(value));
            Seen::Item(format!("{looked:?} {:?} {owned:?} {:?}", value.attributes(), Published::of(value)))
        }
        Message::Bulk { length } => Seen::Item(format!("bulk {length:?}")),
        Message::Data(bytes) => Seen::Data(bytes.to_vec()),
    }
}
