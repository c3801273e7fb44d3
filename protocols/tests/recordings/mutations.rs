//! What a server said, changed: the same for the same seed. Which protocol it is, is told by how units are found and where
//! their lengths stand.

/// Numbers that look unordered and are the same for the same seed: Marsaglia's xorshift64, 2003.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1))
    }

    /// Below `most`.
    pub(crate) fn roll(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % most.max(1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mutation {
    Flip,
    Cut,
    Drop,
    Double,
    Swap,
    Length,
    Foreign,
    End,
}

pub(crate) const ALL: [Mutation; 8] = [
    Mutation::Flip,
    Mutation::Cut,
    Mutation::Drop,
    Mutation::Double,
    Mutation::Swap,
    Mutation::Length,
    Mutation::Foreign,
    Mutation::End,
];

/// Changes one thing in what a server said, by units: `lengths` writes another length into one, `foreign` are units of
/// another conversation.
pub(crate) fn mutate(
    mutation: Mutation,
    units: &mut Vec<Vec<u8>>,
    foreign: &[Vec<u8>],
    lengths: fn(&[u8], &mut Dice) -> Vec<u8>,
    dice: &mut Dice,
) {
    if units.is_empty() {
        return;
    }
    let count = units.len();
    let at = dice.roll(count);
    match mutation {
        Mutation::Flip => {
            let place = dice.roll(units[at].len());
            let change = 1 + dice.roll(255) as u8;
            if let Some(byte) = units[at].get_mut(place) {
                *byte ^= change;
            }
        }
        Mutation::Cut => {
            let length = units[at].len();
            let from = dice.roll(length);
            units[at].drain(from..(from + 1 + dice.roll(length - from)).min(length));
        }
        Mutation::Drop => drop(units.remove(at)),
        Mutation::Double => units.insert(at, units[at].clone()),
        Mutation::Swap => units.swap(at, (at + 1) % count),
        Mutation::Length => units[at] = lengths(&units[at], dice),
        Mutation::Foreign => units.insert(at, foreign[dice.roll(foreign.len())].clone()),
        Mutation::End => units.truncate(at),
    }
}
