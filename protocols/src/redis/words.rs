//! A command that is written word by word, when nobody knows yet how many there will be. What a word means is never known
//! here.

use core::fmt;

use super::command::{PreparedCommand, Replies};
use super::value::push_header;
use crate::Refused;

/// The words of one command, written as they come: without a list of them, and without a second copy.
///
/// ```
/// use aquests_protocols::redis::Words;
///
/// let mut words = Words::new();
/// words.push("GET");
/// words.push(b"city");
/// assert_eq!(words.finish()?.as_bytes(), b"*2\r\n$3\r\nGET\r\n$4\r\ncity\r\n");
/// # Ok::<(), aquests_protocols::Refused>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Words {
    bytes: Vec<u8>,
    count: usize,
}

/// Room for the header of a command of less than ten words, which nearly all are: nothing moves at the end.
const ROOM: &[u8; 4] = b"*0\r\n";

impl Default for Words {
    fn default() -> Self {
        Self::new()
    }
}

impl Words {
    /// No words yet.
    pub fn new() -> Self {
        // Most commands are shorter, and grow no more.
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(ROOM);
        Self { bytes, count: 0 }
    }

    /// Adds one word, any bytes.
    pub fn push(&mut self, word: impl AsRef<[u8]>) {
        let word = word.as_ref();
        // The header, which is rarely longer than `$99999`, and two line ends.
        self.bytes.reserve(word.len() + 10);
        push_header(b'$', word.len(), &mut self.bytes);
        self.bytes.extend_from_slice(word);
        self.bytes.extend_from_slice(b"\r\n");
        self.count += 1;
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The words, one by one.
    pub fn iter(&self) -> WordsIter<'_> {
        WordsIter { rest: &self.bytes[ROOM.len()..], left: self.count }
    }

    /// The command as it is sent. [`Refused::Misuse`] where [`PreparedCommand::new`] says it.
    pub fn finish(mut self) -> Result<PreparedCommand, Refused> {
        let mut first: [&[u8]; 3] = [b""; 3];
        first.iter_mut().zip(self.iter()).for_each(|(place, word)| *place = word);
        let replies = Replies::of(&first[..self.count.min(3)], self.count)?;
        let mut header = Vec::with_capacity(24);
        push_header(b'*', self.count, &mut header);
        self.bytes.splice(..ROOM.len(), header);
        Ok(PreparedCommand::of(self.bytes, replies))
    }
}

impl<'a> IntoIterator for &'a Words {
    type Item = &'a [u8];
    type IntoIter = WordsIter<'a>;

    fn into_iter(self) -> WordsIter<'a> {
        self.iter()
    }
}

/// Without the words, which may be secrets.
impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} words, {} bytes", self.count, self.bytes.len() - ROOM.len())
    }
}

/// The words of a command, one by one.
#[derive(Clone)]
pub struct WordsIter<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for WordsIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        // `$`, digits, CRLF, the word, CRLF: as `push` wrote it.
        let end = memchr::memchr(b'\r', self.rest)?;
        let length = self.rest[1..end].iter().fold(0, |length, digit| 10 * length + usize::from(digit - b'0'));
        let word = &self.rest[end + 2..][..length];
        self.rest = &self.rest[end + 2 + length + 2..];
        Some(word)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for WordsIter<'_> {}

/// Without the words, which may be secrets.
impl fmt::Debug for WordsIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} words", self.left)
    }
}
