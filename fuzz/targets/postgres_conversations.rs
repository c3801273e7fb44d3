//! Whatever a client asks and a server answers, in turns, ours tells the same events or one error, however the answers are
//! cut, and no exchange is lost. The seeds are recordings of psql and libpq with a real server.
//!
//! Runs of either side, each with who says it (the lowest bit of 1 byte: the server) and its length (2 bytes).
#![no_main]

#[path = "../../protocols/tests/recordings/frontend.rs"]
mod frontend;

use aquests_fuzz::same_in_every_conversation;
use aquests_protocols::postgres::{Client, Limits, Login};
use aquests_protocols::testing::Side;
use libfuzzer_sys::fuzz_target;

/// AuthenticationOk and ReadyForQuery.
const HELLO: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

fuzz_target!(|input: &[u8]| same_in_every_conversation(input, start, frontend::say));

fn start() -> Side<Client, String> {
    let limits = Limits::default().message(1 << 20);
    let client = Client::new(Login::new("me")).expect("it can be written").limits(limits).pipeline(8);
    let mut side = Side::client(client, frontend::see);
    side.receive(HELLO, false);
    side
}
