//! Whatever a client asks and a server answers, in turns, ours tells the same events or one error, however the answers are
//! cut, and no exchange is lost. The seeds are recordings of psql and libpq with a real server.
//!
//! Runs of either side, each with who says it (the lowest bit of 1 byte: the server) and its length (2 bytes).
#![no_main]

#[path = "../../protocols/tests/recordings/frontend.rs"]
mod frontend;
#[path = "../../protocols/tests/recordings/tape.rs"]
mod tape;

use aquests_protocols::postgres::{Client, Limits, Login};
use aquests_protocols::testing::{Run, Side};
use libfuzzer_sys::fuzz_target;

/// AuthenticationOk and ReadyForQuery.
const HELLO: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

fuzz_target!(|input: &[u8]| {
    let runs = tape::runs(input);
    let whole = hold(&runs, usize::MAX);
    for piece in [1, 7] {
        assert_eq!(hold(&runs, piece), whole, "in pieces of {piece}, and whole");
    }
});

fn hold(runs: &[tape::Run], piece: usize) -> Run<String> {
    let limits = Limits::default().message(1 << 20);
    let client = Client::new(Login::new("me")).expect("it can be written").limits(limits).pipeline(8);
    let (mut side, mut next) = (Side::client(client, frontend::see), 0);
    side.receive(HELLO, false);
    for run in runs {
        if run.by_server {
            run.bytes.chunks(piece).for_each(|bytes| side.receive(bytes, false));
        } else if !side.is_over() {
            frontend::say(&mut side, &run.bytes, &mut next);
        }
    }
    if !side.is_over() {
        side.receive(b"", true);
    }
    side.finish()
}
