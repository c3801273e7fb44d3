//! Memory that connections use in turn, so that an idle one has none of its own.

use std::fmt;

use super::{LINGER, READ};
use crate::transport;

/// A shared buffer that a large request made larger than this is given back.
const KEEP: usize = 1 << 20;

/// What all connections of a reactor lend from it: one at a time needs them.
pub(crate) struct Lent {
    pub(super) read: Box<[u8]>,
    /// Empty buffers to write to. A connection keeps the one it was lent for as long as something is in it.
    outs: Vec<Vec<u8>>,
    pub(super) transport: transport::Lent,
}

impl Default for Lent {
    fn default() -> Self {
        Self { read: vec![0; READ].into_boxed_slice(), outs: Vec::new(), transport: Default::default() }
    }
}

impl Lent {
    pub(super) fn take_out(&mut self) -> Vec<u8> {
        self.outs.pop().unwrap_or_else(|| Vec::with_capacity(4 << 10))
    }

    pub(super) fn give_back(&mut self, out: Vec<u8>) {
        /// Small ones that are kept; of large ones, the first.
        const SPARE: usize = 256;
        let most = if self.outs.is_empty() { KEEP } else { LINGER };
        if out.capacity() <= most && self.outs.len() < SPARE {
            self.outs.push(out);
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}
