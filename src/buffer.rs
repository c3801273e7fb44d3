//! Unread bytes of an unfinished message. Grows with what came and never with what a peer said; holds no memory when
//! it is empty.

use std::fmt;

/// Bytes between `start` and `end` are unread; what follows is room, already initialised.
#[derive(Default)]
pub(crate) struct Buffer {
    storage: Vec<u8>,
    start: usize,
    end: usize,
}

// What a peer sends may be a secret.
impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.unread().len())
    }
}

/// The least room for a read.
const ROOM: usize = 4 << 10;

impl Buffer {
    pub(crate) fn unread(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Forgets bytes at the front.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        debug_assert!(self.start <= self.end);
        if self.is_empty() {
            *self = Buffer::default();
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Room behind the unread bytes: at least `wanted`, but never more than doubles what is there.
    pub(crate) fn room(&mut self, wanted: usize) -> &mut [u8] {
        let unread = self.end - self.start;
        let wanted = wanted.max(ROOM);
        if self.storage.len() - self.end < wanted {
            if self.storage.len() - unread >= wanted && unread <= self.start {
                self.storage.copy_within(self.start..self.end, 0);
            } else {
                let mut larger = vec![0; (unread + wanted).next_power_of_two()];
                larger[..unread].copy_from_slice(self.unread());
                self.storage = larger;
            }
            (self.start, self.end) = (0, unread);
        }
        &mut self.storage[self.end..]
    }

    /// So many bytes of the room hold something now.
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.end += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut buffer = Buffer::default();
        let (mut written, mut read) = (0u32, 0u32);
        for step in 0..10_000usize {
            for _ in 0..step % 7 {
                buffer.push(&written.to_be_bytes());
                written += 1;
            }
            for _ in 0..(step % 5).min(buffer.unread().len() / 4) {
                assert_eq!(buffer.unread()[..4], read.to_be_bytes());
                buffer.consume(4);
                read += 1;
            }
        }
        assert_eq!(buffer.unread().len() as u32, 4 * (written - read));
    }

    #[test]
    fn an_empty_buffer_holds_no_memory() {
        let mut buffer = Buffer::default();
        buffer.push(&[1; 100_000]);
        buffer.consume(100_000);
        assert_eq!(buffer.storage.capacity(), 0);
    }
}
