//! The law of splits: any cut of the same bytes gives the same events.

use core::fmt::Debug;

use super::{Dice, Run, Side, in_context, show};
use crate::Protocol;

/// Gives `input` to fresh machines whole, byte by byte, cut in two at every place and in unequal pieces, and with the
/// end (if `eof`) together with the last byte and after it. Panics where two runs differ in events, error, unfinished
/// exchanges or unused bytes, and where one breaks another law; returns the run of the whole.
///
/// An input over 2 KiB is cut at 1,024 places spread evenly and near both its ends, and its first 64 KiB go byte by
/// byte.
///
/// An answer that needs two turns (a request is sent when the one before it is done) depends on the cut by nature, and
/// belongs into a [`Script`](super::Script).
pub fn splits<P, T>(input: &[u8], eof: bool, start: impl Fn() -> Side<P, T>) -> Run<T>
where
    P: Protocol + 'static,
    T: PartialEq + Debug,
{
    let whole = run(&Cut::whole(input.len()), input, eof, &start);
    for cut in cuts(input.len(), eof) {
        let run = run(&cut, input, eof, &start);
        assert!(run == whole, "{}", difference(&cut, input, &run, &whole));
    }
    whole
}

/// How an input is cut.
struct Cut {
    name: String,
    /// Where each piece ends; the last is the length of the input.
    ends: Vec<usize>,
    /// The end of the stream comes after the last piece, and not with it.
    eof_apart: bool,
}

/// Inputs up to this length are cut at every place. The work is its square.
const EVERYWHERE: usize = 2048;
const BY_BYTE: usize = 64 << 10;
const SEEDS: u64 = 8;

impl Cut {
    fn whole(length: usize) -> Self {
        Self { name: "whole".into(), ends: vec![length], eof_apart: false }
    }

    fn pieces<'a>(&'a self, input: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &input[start..end])
    }
}

fn cuts(length: usize, eof: bool) -> impl Iterator<Item = Cut> {
    let apart = Cut { name: "whole, and the end after it".into(), eof_apart: true, ..Cut::whole(length) };
    let by_byte = (1..=length.min(BY_BYTE)).chain([length]).collect();
    let by_byte = Cut { name: "byte by byte".into(), ends: by_byte, eof_apart: true };
    let step = length.div_ceil(EVERYWHERE / 2);
    let single = (1..length)
        .filter(move |at| length <= EVERYWHERE || at % step == 0 || *at < 64 || *at > length - 64)
        .map(move |at| Cut { name: format!("cut at {at}"), ends: vec![at, length], eof_apart: false });
    let unequal = (0..SEEDS).map(move |seed| {
        let (mut dice, mut ends) = (Dice::new(seed), vec![0]);
        while let Some(&at) = ends.last().filter(|&&at| at < length) {
            ends.push(at + dice.piece(length - at));
        }
        Cut { name: format!("cut at {ends:?}"), ends, eof_apart: seed % 2 == 0 }
    });
    eof.then_some(apart).into_iter().chain([by_byte]).chain(single).chain(unequal)
}

fn run<P: Protocol + 'static, T>(cut: &Cut, input: &[u8], eof: bool, start: impl Fn() -> Side<P, T>) -> Run<T> {
    let test = |given: &mut usize| {
        let mut side = start();
        let mut ended = false;
        for piece in cut.pieces(input) {
            *given += piece.len();
            ended = eof && !cut.eof_apart && *given == input.len();
            side.receive(piece, ended);
        }
        if eof && !ended {
            side.receive(b"", true);
        }
        side.finish()
    };
    in_context(&mut 0, test, |given| format!("{}\n(of which {given} bytes had come)", sent(cut, input)))
}

fn sent(cut: &Cut, input: &[u8]) -> String {
    match cut.ends[..] {
        [at, _] => format!("the peer sent {} and then {}", show(&input[..at]), show(&input[at..])),
        _ => format!("the peer sent, {}, {}", cut.name, show(input)),
    }
}

fn difference<T: PartialEq + Debug>(cut: &Cut, input: &[u8], run: &Run<T>, whole: &Run<T>) -> String {
    let same = run.events.iter().zip(&whole.events).take_while(|(one, other)| one == other).count();
    let tell = |run: &Run<T>| {
        format!(
            "event {same} is {:?}, the error {:?}, unfinished {:?}, left {}",
            run.events.get(same),
            run.error,
            run.unfinished,
            show(&run.left)
        )
    };
    format!(
        "another cut of the same bytes gives other events\n  whole: {}\n  {}: {}\n{}",
        tell(whole),
        cut.name,
        tell(run),
        sent(cut, input)
    )
}
