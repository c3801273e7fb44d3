//! What the targets share: the law of splits at the price of a few runs, where `testing::splits` makes hundreds. What
//! knows one protocol belongs into its target and never here.

#[path = "../../protocols/tests/recordings/tape.rs"]
mod tape;

use std::fmt::Debug;

use aquests_protocols::Protocol;
use aquests_protocols::testing::{Run, Side};

/// Gives `input` to fresh machines whole, byte by byte, and cut by `cut`; they must tell the same. All other laws are
/// checked by [`Side`] on the way.
pub fn same_at_every_cut<P, T>(input: &[u8], eof: bool, cut: u8, start: impl Fn() -> Side<P, T>) -> Run<T>
where
    P: Protocol + 'static,
    T: PartialEq + Debug,
{
    let whole = run(&[input], eof, &start);
    let bytes: Vec<_> = input.chunks(1).collect();
    assert_eq!(run(&bytes, eof, &start), whole, "byte by byte, and whole");
    let at = usize::from(cut) * input.len() / 256;
    let halves = [&input[..at], &input[at..]];
    assert_eq!(run(&halves, eof, &start), whole, "cut at {at}, and whole");
    let thirds: Vec<_> = input.chunks(usize::from(cut) + 1).collect();
    assert_eq!(run(&thirds, eof, &start), whole, "in pieces of {}, and whole", u16::from(cut) + 1);
    whole
}

/// Holds the conversation in `input` with fresh machines, to which the server's part comes whole, byte by byte, and in
/// pieces of seven; they must tell the same. `say` has the machine ask what a run of the other part does.
pub fn same_in_every_conversation<P, T>(
    input: &[u8],
    start: impl Fn() -> Side<P, T>,
    say: impl Fn(&mut Side<P, T>, &[u8], &mut u64),
) where
    P: Protocol + 'static,
    T: PartialEq + Debug,
{
    let runs = tape::runs(input);
    let hold = |piece: usize| {
        let (mut side, mut next) = (start(), 0);
        for run in &runs {
            if run.by_server {
                run.bytes.chunks(piece).for_each(|bytes| side.receive(bytes, false));
            } else if !side.is_over() {
                say(&mut side, &run.bytes, &mut next);
            }
        }
        if !side.is_over() {
            side.receive(b"", true);
        }
        side.finish()
    };
    let whole = hold(usize::MAX);
    for piece in [1, 7] {
        assert_eq!(hold(piece), whole, "in pieces of {piece}, and whole");
    }
}

fn run<P: Protocol + 'static, T>(pieces: &[&[u8]], eof: bool, start: impl Fn() -> Side<P, T>) -> Run<T> {
    let mut side = start();
    for piece in pieces {
        side.receive(piece, false);
    }
    if eof {
        side.receive(b"", true);
    }
    side.finish()
}
