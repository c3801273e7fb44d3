//! A peer that exists only as bytes, for protocols of which we speak one side.

use core::fmt::Debug;

use super::{Run, Side, in_context, show};
use crate::Protocol;

/// What a peer expects and sends, step by step.
///
/// ```text
/// Script::new().expect(b"GET /").expect_where("an empty line", |out| find(out, "\r\n\r\n")).send(b"HTTP/1.1 …").eof()
/// ```
///
/// See the [module](super#example) for an example that runs.
#[derive(Default)]
pub struct Script {
    steps: Vec<Step>,
}

enum Step {
    Expect(Vec<u8>),
    ExpectWhere(&'static str, fn(&[u8]) -> Option<usize>),
    ExpectNothing,
    Send(Vec<u8>),
    Eof,
}

impl Script {
    /// A peer that neither expects nor sends anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// These bytes come next from the machine. Others may follow them.
    #[must_use]
    pub fn expect(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Expect(bytes.as_ref().to_vec()))
    }

    /// `what` comes next from the machine: `takes` says of how many bytes it is, or `None` where it is something else.
    #[must_use]
    pub fn expect_where(self, what: &'static str, takes: fn(&[u8]) -> Option<usize>) -> Self {
        self.then(Step::ExpectWhere(what, takes))
    }

    /// The machine has nothing more to say for now.
    #[must_use]
    pub fn expect_nothing(self) -> Self {
        self.then(Step::ExpectNothing)
    }

    /// The peer sends these bytes.
    #[must_use]
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Send(bytes.as_ref().to_vec()))
    }

    /// The peer hangs up.
    #[must_use]
    pub fn eof(self) -> Self {
        self.then(Step::Eof)
    }

    /// Plays the script to two fresh machines: to one each step's bytes at once, to the other one by one. Panics where
    /// a step finds something else than it expects, where the runs differ and where a law is broken; returns the run of
    /// the first, `out` with what no step expected.
    pub fn run<P: Protocol + 'static, T: PartialEq + Debug>(&self, start: impl Fn() -> Side<P, T>) -> Run<T> {
        let at_once = self.play(start(), usize::MAX);
        let one_by_one = self.play(start(), 1);
        assert!(
            at_once == one_by_one,
            "another cut of the same bytes gives other events\n  at once: {at_once:?}\n  one by one: {one_by_one:?}"
        );
        at_once
    }

    fn play<P: Protocol + 'static, T>(&self, mut side: Side<P, T>, piece: usize) -> Run<T> {
        let test = |(number, sent): &mut (usize, Vec<u8>)| {
            side.receive(b"", false);
            for (at, step) in self.steps.iter().enumerate() {
                *number = at;
                match step {
                    Step::Expect(bytes) => {
                        let right = side.out.starts_with(bytes);
                        assert!(right, "expected {}, the machine said {}", show(bytes), show(&side.out));
                        side.out.drain(..bytes.len());
                    }
                    Step::ExpectWhere(what, takes) => match takes(&side.out) {
                        Some(length) => drop(side.out.drain(..length)),
                        None => panic!("expected {what}, the machine said {}", show(&side.out)),
                    },
                    Step::ExpectNothing => {
                        assert!(side.out.is_empty(), "expected nothing, the machine said {}", show(&side.out));
                    }
                    Step::Send(bytes) => {
                        sent.extend_from_slice(bytes);
                        for bytes in bytes.chunks(piece) {
                            side.receive(bytes, false);
                        }
                    }
                    Step::Eof => side.receive(b"", true),
                }
            }
            side.finish()
        };
        in_context(&mut Default::default(), test, |(number, sent)| {
            let cut = if piece == 1 { "byte by byte" } else { "each step at once" };
            format!("at step {} of the script, after the peer sent, {cut}, {}", number + 1, show(sent))
        })
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}
