//! HTTP messages as every version of HTTP has them (RFC 9110): what HTTP/1.1 and HTTP/2 share, so that a request never
//! depends on what ALPN chose.
//!
//! What is sent is prepared once and sent often ([`PreparedRequest`], [`PreparedResponse`]); what comes is borrowed from
//! the input and read lazily ([`ResponseHead`], [`RequestHead`], [`Fields`]). Framing (lengths, chunks, streams) is the
//! business of the versions and never belongs here.

use core::fmt;

/// A request to send.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The head.
    pub head: &'a PreparedRequest,
    /// The body.
    pub body: Body<'a>,
}

/// A response to send.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The head.
    pub head: &'a PreparedResponse,
    /// The body.
    pub body: Body<'a>,
}

/// The body of a message to send.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It follows through [`Protocol::send_data`](crate::Protocol::send_data). The length in bytes, where it is known,
    /// is promised to the peer: fewer or more bytes are a misuse.
    Parts(Option<u64>),
}

impl Body<'_> {
    /// No body.
    pub const EMPTY: Body<'static> = Body::Whole(&[]);
}

// A body may hold a secret: only its size is shown.
impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Body::Parts(length) => f.debug_tuple("Parts").field(length).finish(),
        }
    }
}

/// What comes, in order: any number of `Informational` (responses only), one head, any number of `Data`, and `Trailers`
/// where the body was sent in chunks. The last one is marked `done` by its event.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a, H> {
    /// A 1xx response.
    Informational(H),
    /// The head.
    Head(H),
    /// Part of the body. May be empty when it only brings the news that the body is whole.
    Data(&'a [u8]),
    /// The trailer fields, often none.
    Trailers(Fields<'a>),
}

/// The head of a response, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead<'a> {
    /// The version of the message.
    pub version: Version,
    /// The status code, 100 to 999.
    pub status: u16,
    /// The reason phrase; often empty.
    pub reason: &'a [u8],
    /// The fields.
    pub fields: Fields<'a>,
}

/// The head of a request, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// The version of the message.
    pub version: Version,
    /// The method, case-sensitive.
    pub method: &'a str,
    /// The request target in the form in which it came (RFC 9112 §3.2).
    pub target: &'a str,
    /// The fields.
    pub fields: Fields<'a>,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// Field lines that were checked, as they came; read lazily.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    block: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Field lines, each `name: value` ended by LF or CRLF, as [`block`](Self::block) gives them. Nothing is checked
    /// here: lines that are none are passed over.
    pub fn new(block: &'a [u8]) -> Self {
        Self { block }
    }

    /// The lines, as they came: what is to outlive the input is copied in one piece.
    pub fn block(&self) -> &'a [u8] {
        self.block
    }

    /// Names and values in the order in which they came. Values are without the white space around them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let mut rest = self.block;
        core::iter::from_fn(move || {
            loop {
                if rest.is_empty() {
                    return None;
                }
                let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                let line = &rest[..end];
                rest = rest.get(end + 1..).unwrap_or_default();
                // An empty line ends the block; a line without a colon cannot be here.
                if let Some(colon) = memchr::memchr(b':', line) {
                    let name = core::str::from_utf8(&line[..colon]).unwrap_or_default();
                    return Some((name, line[colon + 1..].trim_ascii()));
                }
            }
        })
    }

    /// The first value of a field; names are compared without regard to case.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// No field at all.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

// Values may be secrets (cookies, tokens): only names are shown.
impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Why a head could not be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Invalid {
    /// The method is not a token (RFC 9110 §5.6.2).
    Method,
    /// The target is empty, or has a byte that is not visible ASCII.
    Target,
    /// The authority is empty, or has a byte that may not stand in a `host` field.
    Authority,
    /// The name of a field is not a token.
    FieldName,
    /// The value of a field has a control character (CR, LF, NUL, …).
    FieldValue,
    /// `content-length`, `transfer-encoding` and `host` follow from the body and the authority and are not set by hand.
    Framing,
    /// The status is not between 200 and 599 (100 to 199 for an interim response).
    Status,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invalid::Method => "the method is not a token",
            Invalid::Target => "the path has a space, a control character or a byte that is not ASCII",
            Invalid::Authority => "the host name is empty or has a character that may not stand there",
            Invalid::FieldName => "the name of a header is not a token",
            Invalid::FieldValue => "the value of a header has a control character",
            Invalid::Framing => "content-length, transfer-encoding and host are set from the body and the address",
            Invalid::Status => "the status code is out of range",
        })
    }
}

impl core::error::Error for Invalid {}

/// A request head, checked and written out once, to be sent often.
///
/// The bytes are those of HTTP/1.1 without the framing fields and the empty line; [`fields`](Self::fields) cuts the
/// same bytes for versions that send fields one by one.
#[derive(Clone, PartialEq, Eq)]
pub struct PreparedRequest {
    bytes: Vec<u8>,
    method: usize,
    target: usize,
    first_field: usize,
    traits: Traits,
}

/// What a machine must know of a request to read its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    pub(crate) head: bool,
    pub(crate) connect: bool,
    pub(crate) bodiless: bool,
    pub(crate) idempotent: bool,
    pub(crate) may_have_body: bool,
    pub(crate) upgrade: bool,
    pub(crate) close: bool,
}

impl PreparedRequest {
    /// `target` is a path with its query, `*`, or for CONNECT an authority; `authority` is a host with its port where
    /// that is not the default.
    pub fn new(method: &str, target: &str, authority: &str) -> Result<Self, Invalid> {
        let mut head = Self { bytes: Vec::new(), method: 0, target: 0, first_field: 0, traits: Traits::default() };
        head.restart(method, target, authority)?;
        Ok(head)
    }

    /// Begins another head in the same memory, as [`new`](Self::new) does. After an error it is not fit to be sent.
    pub fn restart(&mut self, method: &str, target: &str, authority: &str) -> Result<&mut Self, Invalid> {
        if !is_token(method.as_bytes()) {
            return Err(Invalid::Method);
        }
        if target.is_empty() || !target.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
            return Err(Invalid::Target);
        }
        if authority.is_empty() || !is_authority(authority.as_bytes()) {
            return Err(Invalid::Authority);
        }
        self.bytes.clear();
        for part in [method, " ", target, " HTTP/1.1\r\n"] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        (self.method, self.target, self.first_field) = (method.len(), target.len(), self.bytes.len());
        for part in ["host: ", authority, "\r\n"] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.traits = Traits {
            head: method == "HEAD",
            connect: method == "CONNECT",
            // RFC 9110 §9.3.6, §9.3.8
            bodiless: matches!(method, "CONNECT" | "TRACE"),
            // RFC 9110 §9.2.2
            idempotent: matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"),
            may_have_body: matches!(method, "POST" | "PUT" | "PATCH"),
            upgrade: false,
            close: false,
        };
        Ok(self)
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: &[u8]) -> Result<&mut Self, Invalid> {
        check_field(name, value)?;
        if name.eq_ignore_ascii_case("host") {
            return Err(Invalid::Framing);
        }
        if name.eq_ignore_ascii_case("connection") {
            self.traits.close |= has_word(value, "close");
            self.traits.upgrade |= has_word(value, "upgrade");
        }
        push_field(&mut self.bytes, name, value);
        Ok(self)
    }

    /// The method.
    pub fn method(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.method]).unwrap_or_default()
    }

    /// The target.
    pub fn target(&self) -> &str {
        let start = self.method + 1;
        core::str::from_utf8(&self.bytes[start..start + self.target]).unwrap_or_default()
    }

    /// The fields, `host` first.
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.bytes[self.first_field..])
    }

    /// Sending it twice has the effect of sending it once (RFC 9110 §9.2.2).
    pub fn is_idempotent(&self) -> bool {
        self.traits.idempotent
    }

    /// Start line and fields as HTTP/1.1 writes them, without framing fields and without the empty line.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn traits(&self) -> Traits {
        self.traits
    }
}

// Fields may be secrets, and so may a query.
impl fmt::Debug for PreparedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target().split('?').next().unwrap_or_default();
        f.debug_struct("PreparedRequest")
            .field("method", &self.method())
            .field("path", &path)
            .field("fields", &self.fields())
            .finish()
    }
}

/// A response head, checked and written out once, to be sent often.
#[derive(Clone, PartialEq, Eq)]
pub struct PreparedResponse {
    bytes: Vec<u8>,
    status: u16,
    first_field: usize,
    close: bool,
}

impl PreparedResponse {
    /// A final status from 200 to 599; 101 for an upgrade; 100 and 102 to 199 for interim responses.
    pub fn new(status: u16, reason: &str) -> Result<Self, Invalid> {
        if !(100..=599).contains(&status) {
            return Err(Invalid::Status);
        }
        if !is_field_value(reason.as_bytes()) {
            return Err(Invalid::FieldValue);
        }
        let bytes = format!("HTTP/1.1 {status} {reason}\r\n").into_bytes();
        Ok(Self { first_field: bytes.len(), bytes, status, close: false })
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: &[u8]) -> Result<&mut Self, Invalid> {
        check_field(name, value)?;
        if name.eq_ignore_ascii_case("connection") {
            self.close |= has_word(value, "close");
        }
        push_field(&mut self.bytes, name, value);
        Ok(self)
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The fields.
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.bytes[self.first_field..])
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn closes(&self) -> bool {
        self.close
    }
}

impl fmt::Debug for PreparedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedResponse").field("status", &self.status).field("fields", &self.fields()).finish()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2.0",
        })
    }
}

fn check_field(name: &str, value: &[u8]) -> Result<(), Invalid> {
    if !is_token(name.as_bytes()) {
        return Err(Invalid::FieldName);
    }
    if !is_field_value(value) {
        return Err(Invalid::FieldValue);
    }
    if name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding") {
        return Err(Invalid::Framing);
    }
    Ok(())
}

fn push_field(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    // Lower case, as HTTP/2 demands it (RFC 9113 §8.2.1) and HTTP/1.1 does not care.
    bytes.extend(name.bytes().map(|b| b.to_ascii_lowercase()));
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value.trim_ascii());
    bytes.extend_from_slice(b"\r\n");
}

/// A comma-separated list has this word, in any case.
pub(crate) fn has_word(list: &[u8], word: &str) -> bool {
    list.split(|&b| b == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// RFC 9110 §5.6.2
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// RFC 9110 §5.5: visible characters, spaces, tabs, and bytes above ASCII.
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| b == b'\t' || (b >= 0x20 && b != 0x7f))
}

/// RFC 3986 §3.2, without user information.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&b))
}

/// Field lines, each `name: value` with CRLF, and none that frames or routes a message (RFC 9110 §6.5.1).
pub(crate) fn are_trailers(lines: &[u8]) -> bool {
    lines.split_inclusive(|&b| b == b'\n').all(|line| {
        let Some(line) = line.strip_suffix(b"\r\n") else { return false };
        let Some(colon) = memchr::memchr(b':', line) else { return false };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let frames = [&b"content-length"[..], b"transfer-encoding", b"host"];
        is_token(name) && is_field_value(value) && !frames.iter().any(|frame| name.eq_ignore_ascii_case(frame))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_refuses_what_could_split_a_message() {
        assert_eq!(PreparedRequest::new("GE T", "/", "h").unwrap_err(), Invalid::Method);
        assert_eq!(PreparedRequest::new("GET", "/ HTTP/1.1\r\nx: y", "h").unwrap_err(), Invalid::Target);
        assert_eq!(PreparedRequest::new("GET", "/\u{e9}", "h").unwrap_err(), Invalid::Target);
        assert_eq!(PreparedRequest::new("GET", "/", "h\r\nx: y").unwrap_err(), Invalid::Authority);
        assert_eq!(PreparedRequest::new("GET", "/", "user@h").unwrap_err(), Invalid::Authority);
        let mut head = PreparedRequest::new("GET", "/", "h").unwrap();
        assert_eq!(head.field("a b", b"").unwrap_err(), Invalid::FieldName);
        for value in [&b"a\r\nb: c"[..], b"a\nb", b"a\0b", b"a\rb"] {
            assert_eq!(head.field("a", value).unwrap_err(), Invalid::FieldValue);
        }
        for name in ["Content-Length", "transfer-encoding", "Host"] {
            assert_eq!(head.field(name, b"1").unwrap_err(), Invalid::Framing);
        }
        assert_eq!(PreparedResponse::new(99, "").unwrap_err(), Invalid::Status);
        assert_eq!(PreparedResponse::new(200, "a\r\nb").unwrap_err(), Invalid::FieldValue);
    }

    #[test]
    fn a_head_cuts_back_into_what_it_was_made_of() {
        let mut head = PreparedRequest::new("GET", "/a?b=c", "example.org:81").unwrap();
        head.field("X-Thing", b" one ").unwrap().field("accept", b"*/*").unwrap();
        assert_eq!((head.method(), head.target()), ("GET", "/a?b=c"));
        let fields: Vec<_> = head.fields().iter().collect();
        assert_eq!(fields, [("host", &b"example.org:81"[..]), ("x-thing", b"one"), ("accept", b"*/*")]);
        assert_eq!(head.fields().get("ACCEPT"), Some(&b"*/*"[..]));
    }

    #[test]
    fn debug_output_shows_no_value() {
        let mut head = PreparedRequest::new("GET", "/p?token=hunter2", "h").unwrap();
        head.field("authorization", b"hunter2").unwrap();
        let shown = format!("{head:?} {:?}", Body::Whole(b"hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("authorization"), "{shown}");
    }
}
