//! Whatever a server sends, a client tells the same events or one error, however it is cut, and no exchange is lost.
//!
//! The first byte says what was asked, the second how to cut and whether the server hangs up; see `asked`.
#![no_main]

use aquests_fuzz::same_at_every_cut;
use aquests_protocols::postgres::{
    Client, End, Limits, Login, Message, Parameter, ProtocolVersion, Request, Step, Tls,
};
use aquests_protocols::testing::{Seen, Side};
use aquests_protocols::{Event, ExchangeId, Protocol};
use libfuzzer_sys::fuzz_target;

/// AuthenticationOk and ReadyForQuery.
const HELLO: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

fuzz_target!(|input: &[u8]| {
    if let [kind, cut, answers @ ..] = input {
        // Bytes behind the yes to TLS are an attack where they come with it, and part of TLS where they come later.
        if *kind == b'T' && answers.len() > 1 && answers[0] == b'S' {
            return;
        }
        same_at_every_cut(answers, cut % 2 == 0, *cut, || asked(*kind));
    }
});

fn asked(kind: u8) -> Side<Client, String> {
    let login = Login::new("me");
    // Few iterations: they are not what is looked for.
    let limits = Limits::default().iterations(16);
    let secret = || login.clone().password("geheim", [7; 18]);
    let (login, begun) = match kind {
        // Logins, behind which nothing is sent: that would depend on the cut.
        b'L' => (secret(), false),
        b'N' => (login, false),
        b'V' => (login.versions(ProtocolVersion::V3_0, ProtocolVersion::LATEST), false),
        b'T' | b'U' => (login.tls(Tls::Prefer), false),
        _ => (login, true),
    };
    let limits = if kind == b'M' { limits.message(64) } else { limits };
    let mut side = Side::client(Client::new(login).unwrap().limits(limits).pipeline(8), see);
    if !begun {
        if kind == b'U' {
            side.receive(b"S", false);
        }
        return side;
    }
    side.receive(HELLO, false);
    let values = [Parameter::text("a"), Parameter::NULL];
    let steps = [
        Step::Parse { name: "s", sql: "SELECT $1", types: &[] },
        Step::DescribeStatement("s"),
        Step::Bind { portal: "p", statement: "s", parameters: &values, results: &[] },
        Step::DescribePortal("p"),
        Step::Execute { portal: "p", rows: 2 },
        Step::ClosePortal("p"),
    ];
    let requests: &[Request<'_>] = match kind {
        b'C' => &[Request::CopyIn("COPY t FROM STDIN")],
        b'E' => &[Request::Steps { steps: &steps, end: End::Sync }; 2],
        b'P' => &[
            Request::Steps { steps: &steps, end: End::Later },
            Request::Steps { steps: &steps[4..], end: End::Flush },
            Request::Steps { steps: &steps, end: End::Sync },
            Request::Query("SELECT 1"),
        ],
        _ => &[Request::Query("SELECT 1"); 3],
    };
    for (id, request) in (0..).zip(requests) {
        side.machine.send(ExchangeId(id), *request, &mut side.out).unwrap();
    }
    if kind == b'X' {
        assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
    }
    side.acting(move |side, event| match event {
        // A slow reader, who is asked to go on at once.
        Some(Event::Message { id, .. }) if kind == b'S' => side.machine.hold(*id),
        Some(_) => {}
        None => {
            (0..4).for_each(|id| side.machine.resume(ExchangeId(id), &mut side.out));
            while let Some((id, room)) = side.machine.wants_data() {
                assert_eq!(
                    side.machine.send_data(id, &vec![b'x'; room.min(10)], true, &mut side.out),
                    Ok(room.min(10))
                );
            }
        }
    })
}

fn see(message: Message<'_>) -> Seen<String> {
    match message {
        Message::Data(bytes) => Seen::Data(bytes.to_vec()),
        Message::Error(error) | Message::Notice(error) => {
            let fields: Vec<_> = error.fields().collect();
            Seen::Item(format!("{error} {:?} {fields:?}", error.position()))
        }
        Message::Row(row) => {
            assert_eq!(row.fields().count(), usize::from(row.count()), "every field that was judged is there");
            Seen::Item(format!("{row:?}"))
        }
        Message::RowDescription(columns) => {
            assert_eq!(
                columns.columns().count(),
                usize::from(columns.count()),
                "every column that was judged is there"
            );
            Seen::Item(format!("{columns:?}"))
        }
        other => Seen::Item(format!("{other:?}")),
    }
}
