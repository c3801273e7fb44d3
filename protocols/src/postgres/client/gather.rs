//! Small messages of COPY, told together: a server sends a message for each row, and telling one costs more than copying it.
//! What is large, or has not come whole, is told as it lies in the input.

use super::{Answer, Client, State};

/// A message with more is told by itself, without being copied.
const SMALL: usize = 1 << 10;
/// What is told at once, at most.
const MOST: usize = 16 << 10;

impl Client {
    /// Copies what stands at the beginning of the input, as far as that is small messages of COPY, whole ones, and somebody
    /// wants them. Returns how many bytes it used.
    #[inline]
    pub(super) fn gather(&mut self, bytes: &[u8]) -> usize {
        if self.answer != Answer::CopyOut {
            return 0;
        }
        self.gather_copy(bytes)
    }

    fn gather_copy(&mut self, bytes: &[u8]) -> usize {
        let wanted = self.owed.front().is_some_and(|front| !front.held && !front.dropped);
        if !wanted || !matches!(self.state, State::Message) {
            return 0;
        }
        // One alone needs no room.
        if small(bytes).is_none_or(|first| small(&bytes[5 + first.len()..]).is_none()) {
            return 0;
        }
        self.gathered.clear();
        let mut used = 0;
        while let Some(data) = small(&bytes[used..]).filter(|data| self.gathered.len() + data.len() <= MOST) {
            self.gathered.extend_from_slice(data);
            used += 5 + data.len();
        }
        used
    }

    /// The room goes with the copy.
    #[inline]
    pub(super) fn gathered_all(&mut self) {
        if self.gathered.capacity() > 0 {
            self.gathered = Vec::new();
        }
    }
}

/// What is in the first message, where that is a small one with data, and whole.
#[inline]
fn small(bytes: &[u8]) -> Option<&[u8]> {
    let (&[kind, a, b, c, d], rest) = bytes.split_first_chunk::<5>()?;
    let length = (u32::from_be_bytes([a, b, c, d]) as usize).checked_sub(4)?;
    if kind != b'd' || length > SMALL { None } else { rest.get(..length) }
}
