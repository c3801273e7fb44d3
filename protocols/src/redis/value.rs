//! Values that own what they hold, and how they are written in either version of RESP.

use core::fmt;

use super::view::{Content, ErrorRef, ValueRef};

/// A version of RESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// What every server speaks before HELLO.
    Resp2,
    /// Since Redis 6.
    Resp3,
}

/// A value that owns what it holds.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing, which is not the same as empty.
    Null,
    /// A status: `OK`. No CR or LF.
    Simple(Vec<u8>),
    /// A string.
    Bulk(Vec<u8>),
    /// An error.
    Error(ErrorReply),
    /// A number.
    Integer(i64),
    /// A number with a fraction; infinite, or not a number.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// A number of any length: a sign perhaps, and digits.
    BigNumber(String),
    /// A text and what it is: `txt`, `mkd`.
    Verbatim {
        /// Three characters.
        format: [u8; 3],
        /// The text.
        text: Vec<u8>,
    },
    /// Values in order.
    Array(Vec<Value>),
    /// Values in no order.
    Set(Vec<Value>),
    /// Keys and values, in the order in which they came.
    Map(Vec<(Value, Value)>),
    /// What nobody asked for.
    Push(Vec<Value>),
    /// A value with what is said about it.
    Attributed {
        /// Keys and values, those of all attributes in front of it.
        attributes: Vec<(Value, Value)>,
        /// The value itself, never attributed.
        value: Box<Value>,
    },
}

/// What a server says when it did not do as it was told.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ErrorReply {
    text: Vec<u8>,
}

impl ErrorReply {
    /// An error with this text: a code, a space, and words.
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        Self { text: text.into() }
    }

    /// The same, borrowed: with its code, its message, and where it sends a client of a cluster.
    pub fn as_ref(&self) -> ErrorRef<'_> {
        ErrorRef::new(&self.text)
    }
}

impl fmt::Debug for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl core::error::Error for ErrorReply {}

/// Bytes as a reader wants them.
struct Text<'a>(&'a [u8]);

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("Null"),
            Value::Simple(text) => f.debug_tuple("Simple").field(&Text(text)).finish(),
            Value::Bulk(text) => f.debug_tuple("Bulk").field(&Text(text)).finish(),
            Value::Error(error) => f.debug_tuple("Error").field(error).finish(),
            Value::Integer(number) => f.debug_tuple("Integer").field(number).finish(),
            Value::Double(number) => f.debug_tuple("Double").field(number).finish(),
            Value::Boolean(boolean) => f.debug_tuple("Boolean").field(boolean).finish(),
            Value::BigNumber(digits) => f.debug_tuple("BigNumber").field(digits).finish(),
            Value::Verbatim { format, text } => {
                f.debug_tuple("Verbatim").field(&Text(format)).field(&Text(text)).finish()
            }
            Value::Array(values) => f.debug_tuple("Array").field(values).finish(),
            Value::Set(values) => f.debug_tuple("Set").field(values).finish(),
            Value::Map(pairs) => f.debug_tuple("Map").field(pairs).finish(),
            Value::Push(values) => f.debug_tuple("Push").field(values).finish(),
            Value::Attributed { attributes, value } => {
                f.debug_tuple("Attributed").field(attributes).field(value).finish()
            }
        }
    }
}

impl From<ValueRef<'_>> for Value {
    /// Builds level by level on the stack: no deeper than [`Limits::MOST_DEPTH`](super::Limits::MOST_DEPTH).
    fn from(value: ValueRef<'_>) -> Self {
        build(value.as_bytes()).0
    }
}

/// The value at the front of a frame, and what is behind it: every byte is read once.
fn build(bytes: &[u8]) -> (Value, &[u8]) {
    let (attributes, bytes) = attributes(bytes);
    let (content, mut rest) = super::view::front(bytes);
    let value = match content {
        Content::Null => Value::Null,
        Content::Simple(text) => Value::Simple(text.to_vec()),
        Content::Bulk(text) => Value::Bulk(text.to_vec()),
        Content::Chunks(mut chunks) => {
            let mut text = Vec::new();
            chunks.by_ref().for_each(|chunk| text.extend_from_slice(chunk));
            rest = chunks.rest();
            Value::Bulk(text)
        }
        Content::Error(error) => Value::Error(ErrorReply::new(error.text())),
        Content::Integer(number) => Value::Integer(number),
        Content::Double(number) => Value::Double(number),
        Content::Boolean(boolean) => Value::Boolean(boolean),
        Content::BigNumber(digits) => Value::BigNumber(digits.to_owned()),
        Content::Verbatim { format, text } => Value::Verbatim { format, text: text.to_vec() },
        Content::Array(items) => Value::Array(values(items.left(), &mut rest)),
        Content::Set(items) => Value::Set(values(items.left(), &mut rest)),
        Content::Push(items) => Value::Push(values(items.left(), &mut rest)),
        Content::Map(items) => Value::Map(pairs(items.left(), &mut rest)),
    };
    let value = if attributes.is_empty() { value } else { Value::Attributed { attributes, value: Box::new(value) } };
    (value, rest)
}

/// The attributes at the front, and what is behind them.
fn attributes(mut bytes: &[u8]) -> (Vec<(Value, Value)>, &[u8]) {
    let mut attributes = Vec::new();
    while let Some((count, mut rest)) = super::view::attribute(bytes) {
        attributes.extend(pairs(Some(count), &mut rest));
        bytes = rest;
    }
    (attributes, bytes)
}

fn values(left: Option<u64>, rest: &mut &[u8]) -> Vec<Value> {
    let mut values = Vec::new();
    each(left, rest, |value| values.push(value));
    values
}

fn pairs(left: Option<u64>, rest: &mut &[u8]) -> Vec<(Value, Value)> {
    let (mut pairs, mut key) = (Vec::new(), None);
    each(left, rest, |value| match key.take() {
        None => key = Some(value),
        Some(key) => pairs.push((key, value)),
    });
    pairs
}

fn each(left: Option<u64>, rest: &mut &[u8], mut take: impl FnMut(Value)) {
    let mut left = left;
    while left != Some(0) && !rest.is_empty() {
        if left.is_none() && rest.starts_with(b".") {
            *rest = rest.get(3..).unwrap_or_default();
            return;
        }
        left = left.map(|left| left - 1);
        let (value, behind) = build(rest);
        *rest = behind;
        take(value);
    }
}

impl Value {
    /// The value without its attributes.
    pub fn plain(&self) -> &Value {
        match self {
            Value::Attributed { value, .. } => value,
            value => value,
        }
    }

    /// It is null: neither a string nor an aggregate, not even an empty one.
    pub fn is_null(&self) -> bool {
        *self.plain() == Value::Null
    }

    /// The bytes of a string, a status or a text.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self.plain() {
            Value::Bulk(bytes) | Value::Simple(bytes) | Value::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The same, where it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(self.as_bytes()?).ok()
    }

    /// A number: an integer, or a string that is one, as in the replies of GET.
    pub fn as_i64(&self) -> Option<i64> {
        match self.plain() {
            Value::Integer(number) => Some(*number),
            Value::BigNumber(digits) => digits.parse().ok(),
            value => value.as_str()?.parse().ok(),
        }
    }

    /// A number: a double, an integer, or a string that is one, as in the replies of RESP2.
    pub fn as_f64(&self) -> Option<f64> {
        match self.plain() {
            Value::Double(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            value => super::scan::double(value.as_bytes()?),
        }
    }

    /// True or false: a boolean, or 1 and 0, as in the replies of RESP2.
    pub fn as_bool(&self) -> Option<bool> {
        match self.plain() {
            Value::Boolean(boolean) => Some(*boolean),
            Value::Integer(number @ 0..=1) => Some(*number == 1),
            _ => None,
        }
    }

    /// The values of an array, a set or a push.
    pub fn as_slice(&self) -> Option<&[Value]> {
        match self.plain() {
            Value::Array(values) | Value::Set(values) | Value::Push(values) => Some(values),
            _ => None,
        }
    }

    /// What a map has under this key. In RESP2 it is an array with keys and values in turn.
    pub fn at(&self, key: impl AsRef<[u8]>) -> Option<&Value> {
        let key = key.as_ref();
        match self.plain() {
            Value::Map(pairs) => pairs.iter().find(|(name, _)| name.as_bytes() == Some(key)).map(|(_, value)| value),
            Value::Array(values) => {
                let mut pairs = values.chunks_exact(2);
                pairs.find(|pair| pair[0].as_bytes() == Some(key)).map(|pair| &pair[1])
            }
            _ => None,
        }
    }

    /// The error, if it is one.
    pub fn as_error(&self) -> Option<&ErrorReply> {
        match self.plain() {
            Value::Error(error) => Some(error),
            _ => None,
        }
    }

    /// Appends it as a server would write it. RESP2 has fewer types: a map becomes an array of keys and values, a boolean
    /// a number, other numbers and texts strings, attributes are left out. CR and LF become spaces where the type has
    /// room for one line only: in a status, and in an error of RESP2.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let resp3 = version == Version::Resp3;
        match self {
            Value::Null => out.extend_from_slice(if resp3 { b"_\r\n" } else { b"$-1\r\n" }),
            Value::Simple(text) => push_line(b'+', text, out),
            Value::Bulk(text) => push_text(b'$', &[text], out),
            Value::Error(ErrorReply { text }) if resp3 && text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) => {
                push_text(b'!', &[text], out);
            }
            Value::Error(ErrorReply { text }) => push_line(b'-', text, out),
            Value::Integer(number) => push_line(b':', number.to_string().as_bytes(), out),
            Value::Boolean(true) => out.extend_from_slice(if resp3 { b"#t\r\n" } else { b":1\r\n" }),
            Value::Boolean(false) => out.extend_from_slice(if resp3 { b"#f\r\n" } else { b":0\r\n" }),
            Value::Double(number) if resp3 => push_line(b',', double(*number).as_bytes(), out),
            Value::Double(number) => push_text(b'$', &[double(*number).as_bytes()], out),
            Value::BigNumber(digits) if resp3 => push_line(b'(', digits.as_bytes(), out),
            Value::BigNumber(digits) => push_text(b'$', &[digits.as_bytes()], out),
            Value::Verbatim { format, text } if resp3 => push_text(b'=', &[format, b":", text], out),
            Value::Verbatim { text, .. } => push_text(b'$', &[text], out),
            Value::Array(values) => push_values(b'*', values, version, out),
            Value::Set(values) => push_values(if resp3 { b'~' } else { b'*' }, values, version, out),
            Value::Push(values) => push_values(if resp3 { b'>' } else { b'*' }, values, version, out),
            Value::Map(pairs) => push_pairs(b'%', pairs, version, out),
            Value::Attributed { attributes, value } => {
                if resp3 {
                    push_pairs(b'|', attributes, version, out);
                }
                value.encode(version, out);
            }
        }
    }
}

fn double(number: f64) -> String {
    if number.is_nan() {
        "nan".into()
    } else if number.is_infinite() {
        if number > 0.0 { "inf".into() } else { "-inf".into() }
    } else {
        // The shortest digits that make the same number again.
        format!("{number:e}")
    }
}

fn push_line(kind: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    out.extend_from_slice(b"\r\n");
}

fn push_text(kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    push_header(kind, parts.iter().map(|part| part.len()).sum(), out);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"\r\n");
}

fn push_values(kind: u8, values: &[Value], version: Version, out: &mut Vec<u8>) {
    push_header(kind, values.len(), out);
    values.iter().for_each(|value| value.encode(version, out));
}

fn push_pairs(kind: u8, pairs: &[(Value, Value)], version: Version, out: &mut Vec<u8>) {
    match version {
        Version::Resp3 => push_header(kind, pairs.len(), out),
        Version::Resp2 => push_header(b'*', 2 * pairs.len(), out),
    }
    for (key, value) in pairs {
        key.encode(version, out);
        value.encode(version, out);
    }
}

/// A type and a number, as every string, aggregate and command begins.
pub(super) fn push_header(kind: u8, number: usize, out: &mut Vec<u8>) {
    // Room for the type, the 20 digits of a `u64`, and CRLF.
    let mut header = [0; 23];
    let (mut at, mut number) = (21, number);
    header[21..].copy_from_slice(b"\r\n");
    loop {
        at -= 1;
        header[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    at -= 1;
    header[at] = kind;
    out.extend_from_slice(&header[at..]);
}
