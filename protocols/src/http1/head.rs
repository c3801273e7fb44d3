//! Heads: finding their end without looking at a byte twice, reading them (with `httparse`), and judging what they say
//! about the body that follows. No state of an exchange lives here.

use core::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::{Limits, Violation};
use crate::semantics::{Fields, RequestHead, ResponseHead, Traits, Version, has_word};
use crate::{Error, Limit};

/// Finds the end of a head or of trailers that come in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Everything before this offset was looked at.
    seen: usize,
}

impl Scan {
    /// The length of the block up to and with its empty line, once it is there.
    pub(super) fn find(&mut self, bytes: &[u8], limit: u32) -> Result<Option<usize>, Error> {
        let end = self.end(bytes);
        if end.unwrap_or(bytes.len()) > limit as usize {
            return Err(Error::TooLarge(Limit { what: "header bytes", value: limit.into() }));
        }
        if end.is_some() {
            self.seen = 0;
        }
        Ok(end)
    }

    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = self.seen;
        while let Some(found) = memchr::memchr(b'\n', &bytes[at..]) {
            let newline = at + found;
            match &bytes[newline + 1..] {
                [b'\n', ..] => return Some(newline + 2),
                [b'\r', b'\n', ..] => return Some(newline + 3),
                [] | [b'\r'] => {
                    self.seen = newline;
                    return None;
                }
                _ => at = newline + 1,
            }
        }
        self.seen = bytes.len();
        None
    }
}

/// How the body of a message ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
    /// What follows is another protocol.
    Switched,
}

/// A head and what it says about the connection.
pub(super) struct Judged<H> {
    pub(super) head: H,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
}

/// Reads a whole response head.
pub(super) fn response<'a>(bytes: &'a [u8], asked: Traits, limits: Limits) -> Result<Judged<ResponseHead<'a>>, Error> {
    if limits.fields as usize <= USUAL_FIELDS {
        response_with::<USUAL_FIELDS>(bytes, asked, limits)
    } else {
        response_with::<{ Limits::MOST_FIELDS as usize }>(bytes, asked, limits)
    }
}

/// Reads a whole request head.
pub(super) fn request(bytes: &[u8], limits: Limits) -> Result<Judged<RequestHead<'_>>, Error> {
    if limits.fields as usize <= USUAL_FIELDS {
        request_with::<USUAL_FIELDS>(bytes, limits)
    } else {
        request_with::<{ Limits::MOST_FIELDS as usize }>(bytes, limits)
    }
}

/// Reads whole trailers, empty line included.
pub(super) fn trailers(bytes: &[u8], limits: Limits) -> Result<Fields<'_>, Error> {
    if bytes == b"\r\n" {
        return Ok(Fields::default());
    }
    let mut headers = [httparse::EMPTY_HEADER; Limits::MOST_FIELDS as usize];
    match httparse::parse_headers(bytes, &mut headers[..limits.fields as usize]) {
        Ok(Status::Complete(_)) => Ok(Fields::new(bytes)),
        Ok(Status::Partial) => Err(Violation::FieldLine.into()),
        Err(error) => Err(named(error, limits)),
    }
}

const USUAL_FIELDS: usize = 128;

fn response_with<'a, const N: usize>(
    bytes: &'a [u8],
    asked: Traits,
    limits: Limits,
) -> Result<Judged<ResponseHead<'a>>, Error> {
    let mut room = [const { MaybeUninit::uninit() }; N];
    let mut parsed = httparse::Response::new(&mut []);
    let room = &mut room[..limits.fields as usize];
    match ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, room) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(Violation::StartLine.into()),
        Err(error) => return Err(named(error, limits)),
    }
    let status = parsed.code.unwrap_or_default();
    if status < 100 {
        return Err(Violation::StartLine.into());
    }
    let version = version(parsed.version);
    let said = Said::read(parsed.headers)?;
    let framing = if status == 101 {
        if !asked.upgrade {
            return Err(Violation::UnexpectedSwitch.into());
        }
        Framing::Switched
    } else if asked.connect && (200..300).contains(&status) {
        Framing::Switched
    } else if asked.head || status < 200 || status == 204 || status == 304 {
        Framing::None
    } else {
        said.framing(version)?.unwrap_or(Framing::UntilClose)
    };
    let keep_alive = said.keep_alive(version) && framing != Framing::UntilClose;
    let head =
        ResponseHead { version, status, reason: parsed.reason.unwrap_or_default().as_bytes(), fields: fields(bytes) };
    Ok(Judged { head, framing, keep_alive })
}

fn request_with<const N: usize>(bytes: &[u8], limits: Limits) -> Result<Judged<RequestHead<'_>>, Error> {
    let mut room = [const { MaybeUninit::uninit() }; N];
    let mut parsed = httparse::Request::new(&mut []);
    let room = &mut room[..limits.fields as usize];
    match ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, bytes, room) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(Violation::StartLine.into()),
        Err(error) => return Err(named(error, limits)),
    }
    let version = version(parsed.version);
    let said = Said::read(parsed.headers)?;
    if said.hosts > 1 || (said.hosts == 0 && version == Version::Http11) {
        return Err(Violation::Host.into());
    }
    let framing = said.framing(version)?.unwrap_or(Framing::None);
    let head = RequestHead {
        version,
        method: parsed.method.unwrap_or_default(),
        target: parsed.path.unwrap_or_default(),
        fields: fields(bytes),
    };
    Ok(Judged { head, framing, keep_alive: said.keep_alive(version) })
}

/// The field lines of a whole head.
fn fields(head: &[u8]) -> Fields<'_> {
    let first = memchr::memchr(b'\n', head).map_or(head.len(), |newline| newline + 1);
    Fields::new(&head[first..])
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

#[cold]
fn named(error: httparse::Error, limits: Limits) -> Error {
    match error {
        httparse::Error::TooManyHeaders => Error::TooLarge(Limit { what: "header count", value: limits.fields.into() }),
        httparse::Error::HeaderName | httparse::Error::HeaderValue | httparse::Error::NewLine => {
            Violation::FieldLine.into()
        }
        httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => Violation::StartLine.into(),
    }
}

/// What the fields say that concerns the machine.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    hosts: usize,
}

impl Said {
    fn read(headers: &[Header<'_>]) -> Result<Self, Error> {
        let mut said = Said::default();
        for header in headers {
            // Length first: it rules out nearly every other field at the price of one comparison.
            match header.name.len() {
                4 if header.name.eq_ignore_ascii_case("host") => said.hosts += 1,
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    said.close |= has_word(header.value, "close");
                    said.keep_alive |= has_word(header.value, "keep-alive");
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    for item in header.value.split(|&b| b == b',') {
                        let length = decimal(item.trim_ascii()).ok_or(Violation::Length)?;
                        if said.length.is_some_and(|before| before != length) {
                            return Err(Violation::DifferentLengths.into());
                        }
                        said.length = Some(length);
                    }
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    if said.chunked || !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                        return Err(Violation::TransferEncoding.into());
                    }
                    said.chunked = true;
                }
                _ => {}
            }
        }
        Ok(said)
    }

    fn framing(&self, version: Version) -> Result<Option<Framing>, Error> {
        match (self.chunked, self.length) {
            (true, _) if version == Version::Http10 => Err(Violation::TransferEncodingInHttp10.into()),
            (true, _) => Ok(Some(Framing::Chunked)),
            (false, Some(length)) => Ok(Some(Framing::Length(length))),
            (false, None) => Ok(None),
        }
    }

    /// RFC 9112 §9.3; and a message with both framings ends its connection (§6.3).
    fn keep_alive(&self, version: Version) -> bool {
        let wanted = version != Version::Http10 || self.keep_alive;
        wanted && !self.close && !(self.chunked && self.length.is_some())
    }
}

/// Digits and nothing else.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(digit.into())
    })
}
