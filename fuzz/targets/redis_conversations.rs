//! Whatever a client asks and a server answers, in turns, ours tells the same events or one error, however the answers are
//! cut, and no exchange is lost. The seeds are recordings of redis-cli with a real server.
//!
//! Runs of either side, each with who says it (the lowest bit of 1 byte: the server) and its length (2 bytes).
#![no_main]

#[path = "../../protocols/tests/recordings/commands.rs"]
mod commands;
#[path = "../../protocols/tests/recordings/tape.rs"]
mod tape;

use aquests_protocols::testing::Run;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let runs = tape::runs(input);
    let whole = hold(&runs, usize::MAX);
    for piece in [1, 7] {
        assert_eq!(hold(&runs, piece), whole, "in pieces of {piece}, and whole");
    }
});

fn hold(runs: &[tape::Run], piece: usize) -> Run<String> {
    let (mut side, mut next) = (commands::start(), 0);
    for run in runs {
        if run.by_server {
            run.bytes.chunks(piece).for_each(|bytes| side.receive(bytes, false));
        } else if !side.is_over() {
            commands::say(&mut side, &run.bytes, &mut next);
        }
    }
    if !side.is_over() {
        side.receive(b"", true);
    }
    side.finish()
}
