//! Whatever a client asks and a server answers, in turns, ours tells the same events or one error, however the answers are
//! cut, and no exchange is lost. The seeds are recordings of redis-cli with a real server.
//!
//! Runs of either side, each with who says it (the lowest bit of 1 byte: the server) and its length (2 bytes).
#![no_main]

#[path = "../../protocols/tests/recordings/commands.rs"]
mod commands;

use aquests_fuzz::same_in_every_conversation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| same_in_every_conversation(input, commands::start, commands::say));
