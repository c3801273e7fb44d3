//! Conversations of other clients with real servers, as bytes (see `make`), held with our machines: asked for the same,
//! they write the same and tell what the servers said, however that is cut; and whatever is changed in it, no exchange is
//! lost, nothing grows and every error has its type.

#[path = "../counting/mod.rs"]
mod counting;

mod commands;
mod frontend;
mod mutations;
mod postgres;
mod redis;
mod tape;

use std::collections::{BTreeMap, BTreeSet};

use aquests_protocols::testing::{self, Side, splits};
use aquests_protocols::{Error, Protocol, Violation};
use counting::{Counting, peak};
use mutations::{Dice, Mutation, mutate};
use tape::Run;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A conversation that can be held again.
struct Conversation<P: Protocol + 'static> {
    name: &'static str,
    runs: Vec<Run>,
    start: Box<dyn Fn() -> Side<P, String>>,
    /// Asks for what a run of the client's asks for.
    say: fn(&mut Side<P, String>, &[u8], &mut u64),
    /// Messages or lines of what a server said.
    units: fn(&[u8]) -> Vec<Vec<u8>>,
    /// Writes another length into a unit.
    lengths: fn(&[u8], &mut Dice) -> Vec<u8>,
}

impl<P: Protocol + 'static> Conversation<P> {
    /// Holds it with a fresh machine up to a run, and returns what our side wrote in each of the client's.
    fn up_to(&self, end: usize) -> (Side<P, String>, Vec<Vec<u8>>) {
        let (mut side, mut next, mut wrote) = ((self.start)(), 0, Vec::new());
        for run in &self.runs[..end] {
            if run.by_server {
                side.receive(&run.bytes, false);
            } else {
                (self.say)(&mut side, &run.bytes, &mut next);
                wrote.push(side.take_out());
            }
        }
        (side, wrote)
    }

    /// The same requests are the same bytes.
    fn writes_what_was_recorded(&self, expected: impl Fn(&Run) -> Vec<u8>) {
        let (_, wrote) = self.up_to(self.runs.len());
        let said = self.runs.iter().filter(|run| !run.by_server);
        for (number, (run, wrote)) in said.zip(&wrote).enumerate() {
            let (expected, name) = (expected(run), self.name);
            assert!(
                *wrote == expected,
                "{name}: run {number} of the client\n ours: {}\n was:  {}",
                wrote.escape_ascii(),
                expected.escape_ascii()
            );
        }
    }

    /// Each run of the server comes cut at every place, after all that was before it; returns what was told in all.
    fn tells_the_same_at_every_cut(&self) -> testing::Run<String> {
        let mut last = None;
        for (at, run) in self.runs.iter().enumerate().filter(|(_, run)| run.by_server) {
            last = Some(splits(&run.bytes, false, || self.up_to(at).0));
        }
        let run = last.expect("the server says something");
        let name = self.name;
        assert_eq!((run.error, &run.unfinished[..]), (None, &[][..]), "{name}: nothing was wrong with it");
        run
    }

    /// Holds it with another server: units by run of the conversation; then the server hangs up.
    fn with(&self, said: &BTreeMap<usize, Vec<Vec<u8>>>, piece: usize) -> testing::Run<String> {
        let (mut side, mut next) = ((self.start)(), 0);
        for (at, run) in self.runs.iter().enumerate() {
            match said.get(&at) {
                Some(units) => {
                    let bytes = units.concat();
                    bytes.chunks(piece).for_each(|bytes| side.receive(bytes, false));
                }
                None if side.is_over() => {}
                None => (self.say)(&mut side, &run.bytes, &mut next),
            }
        }
        if !side.is_over() {
            side.receive(b"", true);
        }
        side.finish()
    }

    /// The server's units, by run.
    fn said(&self) -> BTreeMap<usize, Vec<Vec<u8>>> {
        let runs = self.runs.iter().enumerate().filter(|(_, run)| run.by_server);
        runs.map(|(at, run)| (at, (self.units)(&run.bytes))).collect()
    }
}

/// How variants of conversations ended.
#[derive(Debug, Default)]
struct Ends {
    variants: usize,
    /// By what was changed: how often it was noticed.
    noticed: BTreeMap<Mutation, usize>,
    errors: BTreeSet<String>,
}

/// Holds `each` variants of every conversation: in each, one to three things are changed. No law may be broken
/// ([`Side`] sees to that), the cut must not matter, errors have types, and memory stays what the conversation is worth.
fn mutated<P: Protocol + 'static>(conversations: &[Conversation<P>], each: u64) -> Ends {
    let foreign: Vec<_> = conversations.iter().flat_map(|it| it.said().into_values().flatten()).collect();
    let mut ends = Ends::default();
    for conversation in conversations {
        let whole = conversation.with(&conversation.said(), usize::MAX);
        for seed in 0..each {
            let (mut dice, mut said) = (Dice::new(seed), conversation.said());
            let runs: Vec<_> = said.keys().copied().collect();
            let kind = mutations::ALL[dice.roll(mutations::ALL.len())];
            for _ in 0..1 + dice.roll(3) {
                let run = runs[dice.roll(runs.len())];
                if let Some(units) = said.get_mut(&run) {
                    mutate(kind, units, &foreign, conversation.lengths, &mut dice);
                }
            }
            let piece = 1 + dice.roll(40);
            let what = || format!("{}, seed {seed}: {kind:?}", conversation.name);
            let mut run = None;
            let used = peak(|| run = Some(conversation.with(&said, usize::MAX)));
            let Some(run) = run else { panic!("{}", what()) };
            assert!(used < MEMORY, "{}: {used} bytes were used", what());
            let cut = conversation.with(&said, piece);
            assert!(cut == run, "{}: in pieces of {piece}\n {cut:?}\n whole\n {run:?}", what());
            if let Some(error) = run.error {
                let typed = !matches!(error, Error::Violation(Violation::Other(_)));
                assert!(typed, "{}: {error:?} has no type", what());
                ends.errors.insert(format!("{error:?}"));
            }
            ends.variants += 1;
            *ends.noticed.entry(kind).or_default() += usize::from(run != whole);
        }
    }
    ends
}

/// What a conversation may cost with everything that the test writes down of it: none is longer than 10 KiB.
const MEMORY: i64 = 512 << 10;

/// The seeds of a fuzz target are the recordings.
fn seeds_are<'a>(target: &str, recordings: impl Iterator<Item = (&'a str, Vec<u8>)>) {
    let folder = format!("{}/../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let write = std::env::var_os("WRITE_SEEDS").is_some();
    for (name, seed) in recordings {
        let path = format!("{folder}/{name}");
        if write {
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            std::fs::write(&path, &seed).expect("the seed can be written");
        }
        let there = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(there == seed, "{path} is not as recorded: run this test with WRITE_SEEDS=1");
        let same = tape::runs(&seed).iter().map(|run| run.bytes.len()).sum::<usize>();
        assert!(same > 0 && tape::seed(&tape::runs(&seed)) == seed, "{path} is read as it was written");
    }
}
