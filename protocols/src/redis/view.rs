//! A look into a value that is whole: borrowed, lazy, without an allocation. The scanner has judged every byte of it, so
//! nothing here fails; limits belong there.

use core::fmt;

use memchr::memchr;

use super::scan::{self, Length};
use super::{Redirect, Value};

/// A value as it stands in the input, with the attributes in front of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ValueRef<'a> {
    frame: &'a [u8],
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Content<'a> {
    /// Nothing: `_`, and in RESP2 `$-1` and `*-1`. Not the same as empty.
    Null,
    /// A status: `+OK`.
    Simple(&'a [u8]),
    /// A string.
    Bulk(&'a [u8]),
    /// A string whose length the server did not know in advance.
    Chunks(Chunks<'a>),
    /// An error, of one line or of many.
    Error(ErrorRef<'a>),
    /// A number.
    Integer(i64),
    /// A number with a fraction; infinite, or not a number.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// A number of any length: a sign perhaps, and digits.
    BigNumber(&'a str),
    /// A text and what it is: `txt`, `mkd`.
    Verbatim {
        /// Three characters.
        format: [u8; 3],
        /// The text.
        text: &'a [u8],
    },
    /// Values in order.
    Array(Items<'a>),
    /// Values in no order.
    Set(Items<'a>),
    /// Keys, each followed by its value: see [`Items::pairs`].
    Map(Items<'a>),
    /// What nobody asked for: a kind, and what belongs to it.
    Push(Items<'a>),
}

/// The values of an aggregate, one by one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Items<'a> {
    rest: &'a [u8],
    /// `None`: until the end is found.
    left: Option<u64>,
}

/// The keys and values of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs<'a>(Items<'a>);

/// The keys and values of the attributes in front of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    rest: &'a [u8],
    pairs: Pairs<'a>,
}

/// The parts of a streamed string.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Chunks<'a> {
    rest: &'a [u8],
}

/// What a server says when it did not do as it was told.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorRef<'a> {
    text: &'a [u8],
}

/// The beginning of a value: all of it, where it is no aggregate.
enum Token<'a> {
    Value(Content<'a>),
    /// So many values follow, or those until the end.
    Open(u8, Option<u64>),
    /// A streamed string follows.
    Chunks,
    Chunk(&'a [u8]),
    /// The end of a streamed aggregate.
    End,
}

/// Reads the token at the front, and returns what is behind it. `None` only where the scanner was not asked.
fn token(bytes: &[u8]) -> Option<(Token<'_>, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let end = memchr(b'\r', rest)?;
    let (line, rest) = (&rest[..end], rest.get(end + 2..)?);
    let text = |length: u64| {
        let length = usize::try_from(length).ok()?;
        Some((rest.get(..length)?, rest.get(length..)?.get(2..)?))
    };
    let content = match kind {
        b'+' => Content::Simple(line),
        b'-' => Content::Error(ErrorRef { text: line }),
        b':' => Content::Integer(scan::integer(line)?),
        b'_' => Content::Null,
        b'#' => Content::Boolean(line == b"t"),
        b',' => Content::Double(scan::double(line)?),
        b'(' => Content::BigNumber(core::str::from_utf8(line).ok()?),
        b'.' => return Some((Token::End, rest)),
        b';' => {
            let length = scan::chunk(line).ok()?;
            let (text, rest) = if length == 0 { (&rest[..0], rest) } else { text(length)? };
            return Some((Token::Chunk(text), rest));
        }
        b'$' | b'!' | b'=' => match scan::length(kind, line).ok()? {
            Length::Null => Content::Null,
            Length::Streamed => return Some((Token::Chunks, rest)),
            Length::Known(length) => {
                let (text, rest) = text(length)?;
                let content = match kind {
                    b'$' => Content::Bulk(text),
                    b'!' => Content::Error(ErrorRef { text }),
                    _ => {
                        let (format, text) = text.split_first_chunk()?;
                        Content::Verbatim { format: *format, text: text.get(1..)? }
                    }
                };
                return Some((Token::Value(content), rest));
            }
        },
        b'*' | b'~' | b'%' | b'>' | b'|' => match scan::length(kind, line).ok()? {
            Length::Null => Content::Null,
            Length::Streamed => return Some((Token::Open(kind, None), rest)),
            Length::Known(count) => {
                let values = if matches!(kind, b'%' | b'|') { count.checked_mul(2)? } else { count };
                return Some((Token::Open(kind, Some(values)), rest));
            }
        },
        _ => return None,
    };
    Some((Token::Value(content), rest))
}

/// The value at the front, which has no attributes, and what is behind its first token.
pub(super) fn front(bytes: &[u8]) -> (Content<'_>, &[u8]) {
    match token(bytes) {
        Some((Token::Value(content), rest)) => (content, rest),
        Some((Token::Chunks, rest)) => (Content::Chunks(Chunks { rest }), rest),
        Some((Token::Open(kind, left), rest)) => {
            let items = Items { rest, left };
            let content = match kind {
                b'~' => Content::Set(items),
                b'%' => Content::Map(items),
                b'>' => Content::Push(items),
                _ => Content::Array(items),
            };
            (content, rest)
        }
        _ => (Content::Null, b""),
    }
}

/// If an attribute is at the front: how many values it has, and where they begin.
pub(super) fn attribute(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if bytes.first() != Some(&b'|') {
        return None;
    }
    match token(bytes)? {
        (Token::Open(_, Some(count)), rest) => Some((count, rest)),
        _ => None,
    }
}

/// What is behind the value at the front. Calls itself for streamed aggregates only, which the scanner nests no deeper
/// than [`Limits::MOST_DEPTH`](super::Limits::MOST_DEPTH).
fn behind(mut bytes: &[u8]) -> Option<&[u8]> {
    let mut values = 1_u64;
    while values > 0 {
        let (token, mut rest) = token(bytes)?;
        match token {
            Token::Value(_) => values -= 1,
            Token::Open(b'|', Some(count)) => values = values.checked_add(count)?,
            Token::Open(_, Some(count)) => values = (values - 1).checked_add(count)?,
            Token::Open(_, None) => {
                while !rest.starts_with(b".") {
                    rest = behind(rest)?;
                }
                rest = rest.get(3..)?;
                values -= 1;
            }
            Token::Chunks => {
                let mut chunks = Chunks { rest };
                chunks.by_ref().for_each(drop);
                rest = chunks.rest;
                values -= 1;
            }
            Token::Chunk(_) | Token::End => return None,
        }
        bytes = rest;
    }
    Some(bytes)
}

impl<'a> ValueRef<'a> {
    /// A value that the scanner has judged.
    pub(super) fn new(frame: &'a [u8]) -> Self {
        Self { frame }
    }

    /// The bytes as they came, attributes included.
    pub fn as_bytes(self) -> &'a [u8] {
        self.frame
    }

    /// What it is.
    pub fn read(self) -> Content<'a> {
        front(self.without_attributes()).0
    }

    /// The attributes in front of it, key by key. Those of several attributes follow each other.
    pub fn attributes(self) -> Attributes<'a> {
        Attributes { rest: self.frame, pairs: Pairs(Items { rest: b"", left: Some(0) }) }
    }

    /// The first byte of the value itself.
    pub(super) fn kind(self) -> u8 {
        self.without_attributes().first().copied().unwrap_or(b'_')
    }

    fn without_attributes(self) -> &'a [u8] {
        let mut bytes = self.frame;
        while let Some((values, mut rest)) = attribute(bytes) {
            for _ in 0..values {
                rest = behind(rest).unwrap_or_default();
            }
            bytes = rest;
        }
        bytes
    }

    /// It is null: neither a string nor an aggregate, not even an empty one.
    pub fn is_null(self) -> bool {
        self.read() == Content::Null
    }

    /// The error, if it is one.
    #[inline]
    pub fn error(self) -> Option<ErrorRef<'a>> {
        // Nothing else begins one, and nearly nothing is one.
        match self.frame.first() {
            Some(b'-' | b'!' | b'|') => self.read_error(),
            _ => None,
        }
    }

    #[cold]
    fn read_error(self) -> Option<ErrorRef<'a>> {
        match self.read() {
            Content::Error(error) => Some(error),
            _ => None,
        }
    }

    /// The bytes of a string, a status or a text. Those of a streamed string are not in one piece: see [`Value`].
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self.read() {
            Content::Bulk(bytes) | Content::Simple(bytes) | Content::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The number, if it is one without a fraction that fits.
    pub fn integer(self) -> Option<i64> {
        match self.read() {
            Content::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// The values of an array, a set, a push or a map.
    pub fn items(self) -> Option<Items<'a>> {
        match self.read() {
            Content::Array(items) | Content::Set(items) | Content::Map(items) | Content::Push(items) => Some(items),
            _ => None,
        }
    }

    /// An owned copy.
    pub fn to_value(self) -> Value {
        Value::from(self)
    }
}

impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.frame.escape_ascii())
    }
}

impl<'a> Items<'a> {
    /// How many values are left; `None` where the server did not say.
    pub fn left(&self) -> Option<u64> {
        self.left
    }

    /// The values two by two: those of a map, or of an array that stands for one in RESP2.
    pub fn pairs(self) -> Pairs<'a> {
        Pairs(self)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        match &mut self.left {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None if self.rest.starts_with(b".") => return None,
            None => {}
        }
        let rest = behind(self.rest)?;
        let frame = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        Some(ValueRef { frame })
    }
}

impl fmt::Debug for Items<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (ValueRef<'a>, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (ValueRef<'a>, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.pairs.next() {
                self.rest = self.pairs.0.rest;
                return Some(pair);
            }
            let (values, rest) = attribute(self.rest)?;
            self.rest = rest;
            self.pairs = Items { rest, left: Some(values) }.pairs();
        }
    }
}

impl<'a> Chunks<'a> {
    /// What is behind those that were read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (Token::Chunk(text), rest) = token(self.rest)? else { return None };
        // What is behind the last one belongs to others.
        self.rest = rest;
        (!text.is_empty()).then_some(text)
    }
}

impl fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.map(|chunk| chunk.escape_ascii().to_string())).finish()
    }
}

impl<'a> ErrorRef<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text }
    }

    /// All that the server said.
    pub fn text(self) -> &'a [u8] {
        self.text
    }

    /// The first word: `WRONGTYPE`, `MOVED`, `ERR`.
    pub fn code(self) -> &'a [u8] {
        self.text.split(|byte| *byte == b' ').next().unwrap_or_default()
    }

    /// What stands behind the code.
    pub fn message(self) -> &'a [u8] {
        self.text.get(self.code().len() + 1..).unwrap_or_default()
    }

    /// Where the command belongs, or when it may be repeated, if a cluster says so.
    pub fn redirect(self) -> Option<Redirect<'a>> {
        Redirect::of(self)
    }

    /// It lets the client in for nothing, whatever was asked: as the first thing on a connection, it answers no command.
    pub fn turns_away(self) -> bool {
        TURNED_AWAY.iter().any(|words| self.text.starts_with(words))
    }
}

/// How servers turn a client away before they look at what it asks (`networking.c`: `acceptCommonHandler`,
/// `protected-mode`).
const TURNED_AWAY: [&[u8]; 2] = [b"ERR max number of clients reached", b"DENIED Redis is running in protected mode"];

impl fmt::Debug for ErrorRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.text.escape_ascii())
    }
}

impl fmt::Display for ErrorRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.text))
    }
}
