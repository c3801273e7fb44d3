//! The dynamic table (RFC 7541 §2.3.2, §4): a queue of fields, kept as `name: value` lines with CRLF in one piece of
//! memory, so that a field goes in and out with one copy and no entry has an allocation of its own. It knows nothing of
//! how fields are coded.

use core::fmt;
use std::collections::VecDeque;

/// What RFC 7541 §4.1 adds to the size of a name and a value.
pub(super) const OVERHEAD: usize = 32;

/// The newest entry has index 0. `M` is what the owner wants to know of each.
#[derive(Clone)]
pub(super) struct Table<M> {
    /// Lines one behind the other; those before the oldest entry are gone.
    bytes: Vec<u8>,
    /// The offset of the first byte of `bytes`. Offsets begin anew after 4 GiB: only how far they are apart counts.
    base: u32,
    /// Oldest first.
    entries: VecDeque<Entry<M>>,
    size: usize,
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry<M> {
    at: u32,
    name: u32,
    line: u32,
    what: M,
}

/// An entry as it is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a, M> {
    /// `name: value` and CRLF.
    pub(super) line: &'a [u8],
    /// The length of the name.
    pub(super) name: usize,
    pub(super) what: M,
}

impl<'a, M> Line<'a, M> {
    pub(super) fn name(&self) -> &'a [u8] {
        &self.line[..self.name]
    }

    pub(super) fn value(&self) -> &'a [u8] {
        &self.line[self.name + 2..self.line.len() - 2]
    }
}

impl<M: Copy> Table<M> {
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), base: 0, entries: VecDeque::new(), size: 0, most }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// RFC 7541 §4.3
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most;
        self.evict(0);
        if self.entries.is_empty() {
            // A table that was made small is meant to need little.
            *self = Self::new(most);
        }
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<Line<'_, M>> {
        let entry = self.entries.get(self.entries.len().checked_sub(index + 1)?)?;
        Some(self.line(entry))
    }

    /// What the owner noted of each, the newest first.
    pub(super) fn notes(&self) -> impl Iterator<Item = &M> {
        self.entries.iter().rev().map(|entry| &entry.what)
    }

    /// Appends a line of which the name is so long. One that is larger than the table empties it (RFC 7541 §4.4).
    pub(super) fn insert(&mut self, line: &[u8], name: usize, what: M) {
        let size = line.len() - 4 + OVERHEAD;
        self.evict(size);
        if size > self.most {
            return;
        }
        self.make_room(line.len());
        let at = self.base.wrapping_add(self.bytes.len() as u32);
        self.bytes.extend_from_slice(line);
        self.entries.push_back(Entry { at, name: name as u32, line: line.len() as u32, what });
        self.size += size;
    }

    #[inline]
    fn line(&self, entry: &Entry<M>) -> Line<'_, M> {
        let at = entry.at.wrapping_sub(self.base) as usize;
        Line { line: &self.bytes[at..at + entry.line as usize], name: entry.name as usize, what: entry.what }
    }

    /// Drops the oldest until an entry of this size fits.
    fn evict(&mut self, size: usize) {
        while self.size + size > self.most {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.size -= oldest.line as usize - 4 + OVERHEAD;
        }
    }

    /// Lines in use are at most `most` bytes, for each has only 4 beside its name and value. In twice that, a byte is
    /// moved about once.
    fn make_room(&mut self, more: usize) {
        let (length, most) = (self.bytes.len(), 2 * self.most);
        if length + more <= self.bytes.capacity() && length + more <= most {
            return;
        }
        let gone = match self.entries.front() {
            Some(oldest) => oldest.at.wrapping_sub(self.base) as usize,
            None => length,
        };
        if 2 * gone >= length || length + more > most {
            self.bytes.drain(..gone);
            self.base = self.base.wrapping_add(gone as u32);
        }
        let length = self.bytes.len();
        if length + more > self.bytes.capacity() {
            self.bytes.reserve_exact((2 * length).max(128).min(most).max(length + more) - length);
        }
    }
}

// What it holds may be secret.
impl<M> fmt::Debug for Table<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries, {} of {} bytes", self.entries.len(), self.size, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(most: usize, entries: usize) -> Table<usize> {
        let mut table = Table::new(most);
        for at in 0..entries {
            let line = format!("name{}: {}\r\n", at % 10, "v".repeat(at % 50));
            table.insert(line.as_bytes(), 5, at);
        }
        table
    }

    #[test]
    fn the_newest_comes_first_and_the_oldest_goes_first() {
        let table = filled(4096, 1000);
        let mut size = 0;
        for index in 0..table.len() {
            let (entry, at) = (table.get(index).unwrap(), 999 - index);
            assert_eq!((entry.what, entry.name()), (at, format!("name{}", at % 10).as_bytes()));
            assert_eq!(entry.value(), "v".repeat(at % 50).as_bytes());
            size += entry.line.len() - 4 + OVERHEAD;
        }
        assert!(table.get(table.len()).is_none());
        assert!(size <= 4096 && size > 4096 - 90, "{size}");
    }

    #[test]
    fn its_memory_is_bounded_whatever_goes_through_it() {
        let mut table = Table::new(4096);
        // So that the offsets begin anew on the way.
        table.base = u32::MAX - 100_000;
        for at in 0..100_000 {
            table.insert(format!("name: {at}\r\n").as_bytes(), 4, at);
            assert_eq!(table.get(0).unwrap().value(), at.to_string().as_bytes());
        }
        assert!(table.bytes.capacity() <= 2 * 4096, "{}", table.bytes.capacity());
        assert!(table.entries.capacity() <= 256, "{}", table.entries.capacity());
        let mut table = filled(4096, 100);
        table.resize(0);
        assert_eq!((table.len(), table.bytes.capacity()), (0, 0));
    }

    #[test]
    fn what_is_too_large_empties_it() {
        let mut table = filled(100, 3);
        table.insert(format!("name: {}\r\n", "v".repeat(65)).as_bytes(), 4, 0);
        assert_eq!(table.len(), 0);
        table.insert(format!("name: {}\r\n", "v".repeat(64)).as_bytes(), 4, 0);
        assert_eq!(table.len(), 1);
    }
}
