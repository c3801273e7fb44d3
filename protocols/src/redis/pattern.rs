//! A command that is sent again and again with other words in it: only what changes is written. What a word means is never
//! known here.

use core::fmt;
use core::ops::Range;

use super::command::{PreparedCommand, Replies};
use super::value::push_header;
use crate::Refused;

/// A command whose words are replaced where they stand.
///
/// ```
/// use aquests_protocols::redis::Pattern;
///
/// let mut command = Pattern::new(["GET", "city"])?;
/// command.replace(1, b"town")?;
/// assert_eq!(command.prepared().as_bytes(), b"*2\r\n$3\r\nGET\r\n$4\r\ntown\r\n");
/// command.replace(1, b"country")?;
/// assert_eq!(command.prepared().as_bytes(), b"*2\r\n$3\r\nGET\r\n$7\r\ncountry\r\n");
/// # Ok::<(), aquests_protocols::Refused>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    prepared: PreparedCommand,
    /// Where the words are in it.
    words: Vec<Range<usize>>,
    /// Words behind the name say how it is answered, too.
    subcommand: bool,
    /// A header that is being written.
    header: Vec<u8>,
}

impl Pattern {
    /// One command. [`Refused::Misuse`] where [`PreparedCommand::new`] says it.
    pub fn new<I>(words: I) -> Result<Self, Refused>
    where
        I: IntoIterator<Item: AsRef<[u8]>, IntoIter: ExactSizeIterator>,
    {
        let mut spans = Vec::new();
        let words = words.into_iter();
        let mut end = 0;
        let mut first = header_length(words.len());
        let measured = words.inspect(|word| {
            let length = word.as_ref().len();
            let start = end + first + header_length(length);
            end = start + length + 2;
            first = 0;
            spans.push(start..start + length);
        });
        let prepared = PreparedCommand::new(measured)?;
        let mut pattern = Self { prepared, words: spans, subcommand: false, header: Vec::new() };
        pattern.subcommand = Replies::has_subcommands(pattern.word(0));
        Ok(pattern)
    }

    fn word(&self, at: usize) -> &[u8] {
        &self.prepared.as_bytes()[self.words[at].clone()]
    }

    /// Another word in the place of one, counted from the name, which is 0. One of the same length is written over it, and
    /// nothing else is touched. [`Refused::Misuse`] where there is no such word, or where nothing but that makes it a
    /// command that [`PreparedCommand::new`] refuses: then it is not to be sent.
    #[inline]
    pub fn replace(&mut self, at: usize, word: &[u8]) -> Result<(), Refused> {
        let Some(span) = self.words.get(at).cloned() else { return Err(Refused::Misuse("there is no such word")) };
        match self.prepared.bytes_mut().get_mut(span) {
            Some(place) if place.len() == word.len() => place.copy_from_slice(word),
            _ => self.resize(at, word),
        }
        if at == 0 || self.subcommand { self.judge() } else { Ok(()) }
    }

    /// The same, where the word has another length: what is behind it moves.
    fn resize(&mut self, at: usize, word: &[u8]) {
        let span = self.words[at].clone();
        self.header.clear();
        push_header(b'$', word.len(), &mut self.header);
        let start = span.start - header_length(span.len());
        let bytes = self.prepared.bytes_mut();
        let tail = bytes.len() - span.end;
        let end = start + self.header.len() + word.len();
        if end > span.end {
            bytes.resize(end + tail, 0);
        }
        bytes.copy_within(span.end..span.end + tail, end);
        bytes.truncate(end + tail);
        bytes[start..start + self.header.len()].copy_from_slice(&self.header);
        bytes[end - word.len()..end].copy_from_slice(word);
        self.words[at] = end - word.len()..end;
        for later in &mut self.words[at + 1..] {
            *later = later.start - span.end + end..later.end - span.end + end;
        }
    }

    #[cold]
    fn judge(&mut self) -> Result<(), Refused> {
        let mut first: [&[u8]; 3] = [b""; 3];
        let count = self.words.len();
        first.iter_mut().zip(0..count).for_each(|(place, at)| *place = self.word(at));
        let replies = Replies::of(&first[..count.min(3)], count)?;
        self.subcommand = Replies::has_subcommands(first[0]);
        self.prepared.answered(replies);
        Ok(())
    }

    /// The command as it is now.
    #[inline]
    pub fn prepared(&self) -> &PreparedCommand {
        &self.prepared
    }
}

/// How long the header of a word is: its type, the digits of its length, CRLF.
fn header_length(length: usize) -> usize {
    length.checked_ilog10().unwrap_or(0) as usize + 4
}

/// Without the words, which may be secrets.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} words, {} bytes", self.words.len(), self.prepared.as_bytes().len())
    }
}
