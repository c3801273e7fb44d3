//! A list of fields as it is decoded: kept, counted and judged (RFC 9113 §8.2, §8.3). What is wrong with it is noted
//! and the rest passed over, for the block must be decoded to its end whatever is in it. What a message may be at this
//! point of its stream is the business of the connection.

use super::hpack::{Decoded, Kind, Sink};
use super::settings::Limits;
use super::{Violation, streams};
use crate::semantics::{Fields, RequestHead, ResponseHead, Version, is_authority, is_token};
use crate::{Error, Limit};

pub(super) struct Section {
    limits: Limits,
    expected: Expected,
    /// The fields, and `host` in front of them where a request has an authority.
    lines: Vec<u8>,
    /// Method and target of a request.
    start: String,
    method: Part,
    target: Part,
    authority: Part,
    /// Where the first cookie ends, and whether another one was put behind it.
    cookie: usize,
    joined: bool,
    status: u16,
    length: u64,
    /// As RFC 9113 §6.5.2 counts it.
    size: usize,
    fields: u32,
    /// A field came that is no pseudo-field.
    regular: bool,
    seen: Seen,
    fault: Option<Error>,
}

/// What the list belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Request,
    Response,
    Trailers,
    /// Nobody: it is decoded for the sake of the tables.
    Nothing,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    at: usize,
    length: usize,
}

/// The pseudo-fields that came.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    authority: bool,
    connect: bool,
    host: bool,
    method: bool,
    path: bool,
    scheme: bool,
}

/// Beyond so many bytes, memory that was needed once is given back.
const KEEP: usize = 8 << 10;

impl Section {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            expected: Expected::Nothing,
            lines: Vec::new(),
            start: String::new(),
            method: Part::default(),
            target: Part::default(),
            authority: Part::default(),
            cookie: 0,
            joined: false,
            status: 0,
            length: streams::UNKNOWN,
            size: 0,
            fields: 0,
            regular: false,
            seen: Seen::default(),
            fault: None,
        }
    }

    /// What the last list was, and the next one is of the same kind.
    #[inline]
    pub(super) fn is(&self, expected: Expected) -> bool {
        self.expected == expected && expected != Expected::Nothing
    }

    /// Lines do not stand where the decoder has put them.
    pub(super) fn is_rearranged(&self) -> bool {
        self.joined
    }

    /// Forgets the last list and begins another.
    pub(super) fn begin(&mut self, expected: Expected) {
        if self.lines.capacity() > KEEP {
            self.lines = Vec::new();
        }
        self.lines.clear();
        self.expected = expected;
        self.status = 0;
        self.length = streams::UNKNOWN;
        (self.size, self.fields, self.regular, self.fault) = (0, 0, false, None);
        self.joined = false;
        if expected == Expected::Request {
            self.start.clear();
            (self.method, self.target, self.authority) = Default::default();
            (self.cookie, self.seen) = (0, Seen::default());
        }
    }

    /// The whole list came: the first thing that is wrong with it.
    pub(super) fn judge(&mut self) -> Result<(), Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match self.expected {
            Expected::Response if self.status == 0 => Err(Violation::PseudoField.into()),
            Expected::Request => self.judge_request(),
            _ => Ok(()),
        }
    }

    /// RFC 9113 §8.3.1, §8.5
    fn judge_request(&mut self) -> Result<(), Error> {
        let Seen { authority, connect, method, path, scheme, .. } = self.seen;
        let complete = match connect {
            true => authority && !path && !scheme,
            false => method && path && scheme,
        };
        if !complete {
            return Err(Violation::PseudoField.into());
        }
        if connect {
            let Part { at, length } = self.authority;
            self.target = Part { at: self.start.len(), length };
            // An authority is ASCII.
            self.start.push_str(core::str::from_utf8(&self.lines[at..at + length]).unwrap_or_default());
        } else if self.target().starts_with('*') && (self.target() != "*" || self.method() != "OPTIONS") {
            return Err(Violation::PseudoField.into());
        }
        Ok(())
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// What `content-length` says, or [`UNKNOWN`](streams::UNKNOWN).
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn is_connect(&self) -> bool {
        self.seen.connect
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        Fields::new(&self.lines)
    }

    pub(super) fn response(&self) -> ResponseHead<'_> {
        ResponseHead { version: Version::Http2, status: self.status, reason: b"", fields: self.fields() }
    }

    pub(super) fn request(&self) -> RequestHead<'_> {
        let (method, target, fields) = (self.method(), self.target(), self.fields());
        RequestHead { version: Version::Http2, method, target, fields }
    }

    pub(super) fn method(&self) -> &str {
        &self.start[self.method.at..self.method.at + self.method.length]
    }

    fn target(&self) -> &str {
        &self.start[self.target.at..self.target.at + self.target.length]
    }

    /// A field that is more than a line.
    fn special(&mut self, field: Decoded) -> Result<(), Violation> {
        let value = field.start + field.name + 2;
        let value = value..value + field.value;
        let is_request = self.expected == Expected::Request;
        match field.kind {
            Kind::BadName => return Err(Violation::FieldName),
            Kind::BadValue => return Err(Violation::FieldValue),
            Kind::Connection => return Err(Violation::ConnectionField),
            Kind::Te if !self.lines[value.clone()].eq_ignore_ascii_case(b"trailers") => {
                return Err(Violation::ConnectionField);
            }
            Kind::ContentLength if self.expected != Expected::Trailers => {
                let length = length(&self.lines[value]).ok_or(Violation::ContentLength)?;
                if self.length != streams::UNKNOWN && self.length != length {
                    return Err(Violation::ContentLength);
                }
                self.length = length;
            }
            Kind::Cookie if is_request => self.join_cookie(field.start),
            Kind::Host if is_request => return self.host(field, value),
            Kind::Plain | Kind::ContentLength | Kind::Cookie | Kind::Host | Kind::Te => {}
            kind => return self.pseudo(kind, field, value),
        }
        self.regular = true;
        Ok(())
    }

    /// RFC 9113 §8.3: only those that are defined, each once, before all other fields, and none in trailers.
    fn pseudo(&mut self, kind: Kind, field: Decoded, value: core::ops::Range<usize>) -> Result<(), Violation> {
        if self.regular {
            return Err(Violation::PseudoField);
        }
        let (bytes, seen) = (&self.lines[value.clone()], &mut self.seen);
        let before = match (self.expected, kind) {
            (Expected::Response, Kind::Status) => {
                let before = self.status != 0;
                self.status = status(bytes).ok_or(Violation::PseudoField)?;
                before
            }
            (Expected::Request, Kind::Method) if is_token(bytes) => {
                seen.connect = bytes == b"CONNECT";
                self.method = keep(&mut self.start, bytes);
                core::mem::replace(&mut seen.method, true)
            }
            (Expected::Request, Kind::Path) if is_path(bytes) => {
                self.target = keep(&mut self.start, bytes);
                core::mem::replace(&mut seen.path, true)
            }
            (Expected::Request, Kind::Scheme) if is_scheme(bytes) => core::mem::replace(&mut seen.scheme, true),
            (Expected::Request, Kind::Authority) => {
                if bytes.is_empty() || !is_authority(bytes) {
                    return Err(Violation::Authority);
                }
                // It stands where HTTP/1.1 has it, so that a request looks the same.
                self.lines.splice(field.start..value.start, *b"host: ");
                self.authority = Part { at: field.start + 6, length: field.value };
                return if core::mem::replace(&mut self.seen.authority, true) {
                    Err(Violation::PseudoField)
                } else {
                    Ok(())
                };
            }
            _ => return Err(Violation::PseudoField),
        };
        self.lines.truncate(field.start);
        if before { Err(Violation::PseudoField) } else { Ok(()) }
    }

    /// RFC 9113 §8.3.1: it may say what the authority says, and nothing else.
    fn host(&mut self, field: Decoded, value: core::ops::Range<usize>) -> Result<(), Violation> {
        self.regular = true;
        let (host, Part { at, length }) = (&self.lines[value], self.authority);
        if self.seen.host || !is_authority(host) {
            return Err(Violation::Authority);
        }
        self.seen.host = true;
        if self.seen.authority {
            if !host.eq_ignore_ascii_case(&self.lines[at..at + length]) {
                return Err(Violation::Authority);
            }
            self.lines.truncate(field.start);
        }
        Ok(())
    }

    /// RFC 9113 §8.2.3: cookies may come in pieces, and are read as one.
    fn join_cookie(&mut self, start: usize) {
        const NAME: usize = "cookie: ".len();
        if self.cookie == 0 {
            self.cookie = self.lines.len() - 2;
            return;
        }
        self.joined = true;
        self.lines.truncate(self.lines.len() - 2);
        self.lines.splice(start..start + NAME, *b"; ");
        let more = self.lines.len() - start;
        self.lines[self.cookie..].rotate_right(more);
        self.cookie += more;
    }

    #[cold]
    fn fail(&mut self, fault: Error, start: usize) {
        self.fault = Some(fault);
        self.lines.truncate(start);
    }

    #[cold]
    fn too_large(&mut self, start: usize) {
        let limit = match self.size > self.limits.head as usize {
            true => Limit { what: "header bytes", value: self.limits.head.into() },
            false => Limit { what: "header count", value: self.limits.fields.into() },
        };
        self.fail(Error::TooLarge(limit), start);
    }
}

impl Sink for Section {
    #[inline]
    fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.fault.is_some() || self.expected == Expected::Nothing
    }

    #[inline]
    fn field(&mut self, field: Decoded) {
        if self.is_full() {
            self.lines.truncate(field.start);
            return;
        }
        self.size += field.name + field.value + 32;
        self.fields += u32::from(!field.kind.is_pseudo());
        if self.size > self.limits.head as usize || self.fields > self.limits.fields.into() {
            return self.too_large(field.start);
        }
        if field.kind == Kind::Plain {
            self.regular = true;
        } else if let Err(violation) = self.special(field) {
            self.fail(violation.into(), field.start);
        }
    }
}

fn keep(start: &mut String, bytes: &[u8]) -> Part {
    let at = start.len();
    // It was looked at: it is ASCII.
    start.push_str(core::str::from_utf8(bytes).unwrap_or_default());
    Part { at, length: start.len() - at }
}

/// RFC 9113 §8.3.2
fn status(value: &[u8]) -> Option<u16> {
    match value {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Some([a, b, c].iter().fold(0, |status, digit| status * 10 + u16::from(*digit - b'0')))
        }
        _ => None,
    }
}

/// RFC 9110 §8.6: digits, or the same digits several times.
fn length(value: &[u8]) -> Option<u64> {
    let mut lengths = value.split(|&byte| byte == b',').map(|item| {
        let digits = item.trim_ascii();
        let number = |number: u64, digit: &u8| {
            number.checked_mul(10)?.checked_add(digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?)
        };
        digits.iter().try_fold(0, number).filter(|length| !digits.is_empty() && *length != streams::UNKNOWN)
    });
    let first = lengths.next()??;
    lengths.all(|length| length == Some(first)).then_some(first)
}

/// A path with its query, or `*`: visible ASCII.
fn is_path(bytes: &[u8]) -> bool {
    matches!(bytes, [b'/' | b'*', ..]) && bytes.iter().all(|byte| (0x21..=0x7e).contains(byte))
}

/// RFC 3986 §3.1
fn is_scheme(bytes: &[u8]) -> bool {
    let others = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    matches!(bytes, [first, ..] if first.is_ascii_alphabetic()) && bytes.iter().all(others)
}
