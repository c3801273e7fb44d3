//! Heads: finding their end without looking at a byte twice, reading them (with `httparse`), and judging what they say
//! about the body that follows. No state of an exchange lives here.

use core::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::{Limits, Violation};
use crate::semantics::{Fields, RequestHead, ResponseHead, Traits, Version, is_authority};
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

    /// Nothing was looked at yet.
    fn is_new(&self) -> bool {
        self.seen == 0
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
    /// Bytes, with the empty line.
    pub(super) length: usize,
    pub(super) head: H,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    /// It has `connection: close`: the sender acts on nothing that comes after it (RFC 9112 §9.6).
    pub(super) says_close: bool,
    /// It has `connection: upgrade`.
    pub(super) upgrade: bool,
}

/// Reads a response head from the front of `bytes`, once it is whole.
pub(super) fn response<'a>(
    bytes: &'a [u8],
    scan: &mut Scan,
    asked: Traits,
    limits: Limits,
) -> Result<Option<Judged<ResponseHead<'a>>>, Error> {
    if limits.fields as usize <= USUAL_FIELDS {
        response_with::<USUAL_FIELDS>(bytes, scan, asked, limits)
    } else {
        response_with::<{ Limits::MOST_FIELDS as usize }>(bytes, scan, asked, limits)
    }
}

/// Reads a request head from the front of `bytes`, once it is whole.
pub(super) fn request<'a>(
    bytes: &'a [u8],
    scan: &mut Scan,
    limits: Limits,
) -> Result<Option<Judged<RequestHead<'a>>>, Error> {
    if limits.fields as usize <= USUAL_FIELDS {
        request_with::<USUAL_FIELDS>(bytes, scan, limits)
    } else {
        request_with::<{ Limits::MOST_FIELDS as usize }>(bytes, scan, limits)
    }
}

/// Reads whole trailers, empty line included.
pub(super) fn trailers(bytes: &[u8], limits: Limits) -> Result<Fields<'_>, Error> {
    if bytes == b"\r\n" {
        return Ok(Fields::default());
    }
    if limits.fields as usize <= USUAL_FIELDS {
        trailers_with::<USUAL_FIELDS>(bytes, limits)
    } else {
        trailers_with::<{ Limits::MOST_FIELDS as usize }>(bytes, limits)
    }
}

const USUAL_FIELDS: usize = 128;

fn trailers_with<const N: usize>(bytes: &[u8], limits: Limits) -> Result<Fields<'_>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; N];
    match httparse::parse_headers(bytes, &mut headers[..limits.fields as usize]) {
        Ok(Status::Complete((length, _))) if length == bytes.len() => Ok(Fields::new(bytes)),
        Ok(_) => Err(Violation::FieldLine.into()),
        Err(httparse::Error::TooManyHeaders) => Err(too_many(limits)),
        Err(_) => Err(Violation::FieldLine.into()),
    }
}

// A head that came in one piece is read in one pass. Where that fails, its end is looked for first, without beginning
// again with every piece; and an error counts when the head is whole, or it would depend on the pieces.

fn response_with<'a, const N: usize>(
    bytes: &'a [u8],
    scan: &mut Scan,
    asked: Traits,
    limits: Limits,
) -> Result<Option<Judged<ResponseHead<'a>>>, Error> {
    let mut room = [const { MaybeUninit::uninit() }; N];
    let room = &mut room[..limits.fields as usize];
    if scan.is_new()
        && let Ok((length, parsed)) = parse_response(bytes, room)
        && length <= limits.head as usize
    {
        return judge_response(&bytes[..length], &parsed, asked).map(Some);
    }
    let Some(length) = scan.find(bytes, limits.head)? else { return Ok(None) };
    let bytes = &bytes[..length];
    match parse_response(bytes, room) {
        Ok((whole, parsed)) if whole == length => judge_response(bytes, &parsed, asked).map(Some),
        Ok(_) | Err(None) => Err(Violation::StartLine.into()),
        Err(Some(error)) => Err(named(error, bytes, limits)),
    }
}

fn request_with<'a, const N: usize>(
    bytes: &'a [u8],
    scan: &mut Scan,
    limits: Limits,
) -> Result<Option<Judged<RequestHead<'a>>>, Error> {
    let mut room = [const { MaybeUninit::uninit() }; N];
    let room = &mut room[..limits.fields as usize];
    // `httparse` would read past empty lines.
    let blank = matches!(bytes, [b'\r' | b'\n', ..]);
    if scan.is_new()
        && !blank
        && let Ok((length, parsed)) = parse_request(bytes, room)
        && length <= limits.head as usize
    {
        return judge_request(&bytes[..length], &parsed).map(Some);
    }
    let Some(length) = scan.find(bytes, limits.head)? else { return Ok(None) };
    let bytes = &bytes[..length];
    match parse_request(bytes, room) {
        _ if blank => Err(Violation::StartLine.into()),
        Ok((whole, parsed)) if whole == length => judge_request(bytes, &parsed).map(Some),
        Ok(_) | Err(None) => Err(Violation::StartLine.into()),
        Err(Some(error)) => Err(named(error, bytes, limits)),
    }
}

/// The length of a head and the head; `Err(None)` where its end is missing.
fn parse_response<'h, 'a>(
    bytes: &'a [u8],
    room: &'h mut [MaybeUninit<Header<'a>>],
) -> Result<(usize, httparse::Response<'h, 'a>), Option<httparse::Error>> {
    let mut parsed = httparse::Response::new(&mut []);
    match ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, room) {
        Ok(Status::Complete(length)) => Ok((length, parsed)),
        Ok(Status::Partial) => Err(None),
        Err(error) => Err(Some(error)),
    }
}

fn parse_request<'h, 'a>(
    bytes: &'a [u8],
    room: &'h mut [MaybeUninit<Header<'a>>],
) -> Result<(usize, httparse::Request<'h, 'a>), Option<httparse::Error>> {
    let mut parsed = httparse::Request::new(&mut []);
    match ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, bytes, room) {
        Ok(Status::Complete(length)) => Ok((length, parsed)),
        Ok(Status::Partial) => Err(None),
        Err(error) => Err(Some(error)),
    }
}

fn judge_response<'a>(
    bytes: &'a [u8],
    parsed: &httparse::Response<'_, 'a>,
    asked: Traits,
) -> Result<Judged<ResponseHead<'a>>, Error> {
    let status = parsed.code.unwrap_or_default();
    if status < 100 {
        return Err(Violation::StartLine.into());
    }
    let version = version(parsed.version);
    let said = Said::read(parsed.headers);
    let framing = if status == 101 {
        if !asked.upgrade {
            return Err(Violation::UnexpectedSwitch.into());
        }
        Framing::Switched
    } else if asked.connect && (200..300).contains(&status) {
        // Whatever it says of a body is ignored (RFC 9110 §9.3.6).
        Framing::Switched
    } else if asked.head || status < 200 || status == 204 || status == 304 {
        said.sound()?;
        Framing::None
    } else {
        said.framing(version)?.unwrap_or(Framing::UntilClose)
    };
    let (line, fields) = cut(bytes);
    Ok(Judged {
        length: bytes.len(),
        // What stands behind `HTTP/1.1 200 `. Not httparse's: that is a str, and empty where a byte is above ASCII.
        head: ResponseHead { version, status, reason: line.get(13..).unwrap_or_default(), fields },
        framing,
        keep_alive: said.keep_alive(version) && framing != Framing::UntilClose,
        says_close: said.close,
        upgrade: said.upgrade,
    })
}

fn judge_request<'a>(bytes: &'a [u8], parsed: &httparse::Request<'_, 'a>) -> Result<Judged<RequestHead<'a>>, Error> {
    let version = version(parsed.version);
    let target = parsed.path.unwrap_or_default();
    if !target.is_ascii() {
        return Err(Violation::StartLine.into());
    }
    let said = Said::read(parsed.headers);
    if said.hosts > 1 || said.bad_host || (said.hosts == 0 && version == Version::Http11) {
        return Err(Violation::Host.into());
    }
    let framing = said.framing(version)?.unwrap_or(Framing::None);
    let (_, fields) = cut(bytes);
    Ok(Judged {
        length: bytes.len(),
        head: RequestHead { version, method: parsed.method.unwrap_or_default(), target, fields },
        framing,
        keep_alive: said.keep_alive(version),
        says_close: said.close,
        upgrade: said.upgrade,
    })
}

/// The start line of a whole head, without its end, and the field lines.
fn cut(head: &[u8]) -> (&[u8], Fields<'_>) {
    let newline = memchr::memchr(b'\n', head).unwrap_or(head.len());
    let line = &head[..newline];
    (line.strip_suffix(b"\r").unwrap_or(line), Fields::new(head.get(newline + 1..).unwrap_or_default()))
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

#[cold]
fn named(error: httparse::Error, head: &[u8], limits: Limits) -> Error {
    match error {
        httparse::Error::TooManyHeaders => too_many(limits),
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Violation::FieldLine.into(),
        httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => Violation::StartLine.into(),
        // Of whatever line. A status line brings an error of its own; a request line has something behind its version.
        httparse::Error::NewLine => {
            let mut words = cut(head).0.split(|&b| b == b' ').skip(2);
            let third = words.next();
            let request_line = matches!(third, Some(b"HTTP/1.0" | b"HTTP/1.1")) && words.next().is_none();
            if request_line || head.starts_with(b"HTTP/") {
                Violation::FieldLine.into()
            } else {
                Violation::StartLine.into()
            }
        }
    }
}

#[cold]
fn too_many(limits: Limits) -> Error {
    Error::TooLarge(Limit { what: "header count", value: limits.fields.into() })
}

/// What the fields say that concerns the machine.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    /// The first rule of framing that they break.
    broken: Option<Violation>,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    hosts: usize,
    bad_host: bool,
}

impl Said {
    fn read(headers: &[Header<'_>]) -> Self {
        let mut said = Said::default();
        for header in headers {
            let name = header.name.as_bytes();
            // Length first: it rules out nearly every other field at the price of one comparison.
            match name.len() {
                4 if is(name, b"host") => {
                    said.hosts += 1;
                    said.bad_host |= !is_authority(header.value);
                }
                10 if is(name, b"connection") => said.options(header.value),
                14 if is(name, b"content-length") => match decimal(header.value) {
                    Some(length) if said.length.is_none() => said.length = Some(length),
                    _ => said.lengths(header.value),
                },
                17 if is(name, b"transfer-encoding") => {
                    if said.chunked || !is(header.value, b"chunked") {
                        said.breaks(Violation::TransferEncoding);
                    }
                    said.chunked = true;
                }
                _ => {}
            }
        }
        said
    }

    fn options(&mut self, list: &[u8]) {
        // The usual ones are no list, and dear if they are read as one.
        if !self.option(list) {
            for word in list.split(|&b| b == b',') {
                self.option(word.trim_ascii());
            }
        }
    }

    /// One option of a connection. Returns whether it is known.
    fn option(&mut self, word: &[u8]) -> bool {
        let (close, keep_alive, upgrade) = (is(word, b"close"), is(word, b"keep-alive"), is(word, b"upgrade"));
        self.close |= close;
        self.keep_alive |= keep_alive;
        self.upgrade |= upgrade;
        close || keep_alive || upgrade
    }

    /// A list of lengths, or one more of them: they must be the same.
    #[cold]
    fn lengths(&mut self, list: &[u8]) {
        for item in list.split(|&b| b == b',') {
            match (decimal(item.trim_ascii()), self.length) {
                (None, _) => self.breaks(Violation::Length),
                (Some(length), Some(before)) if length != before => self.breaks(Violation::DifferentLengths),
                (Some(length), _) => self.length = Some(length),
            }
        }
    }

    #[cold]
    fn breaks(&mut self, rule: Violation) {
        self.broken = self.broken.or(Some(rule));
    }

    fn sound(&self) -> Result<(), Error> {
        self.broken.map_or(Ok(()), |rule| Err(rule.into()))
    }

    fn framing(&self, version: Version) -> Result<Option<Framing>, Error> {
        // Before anything else: a sender of HTTP/1.0 does not know what it says there (RFC 9112 §6.1).
        if self.chunked && version == Version::Http10 {
            return Err(Violation::TransferEncodingInHttp10.into());
        }
        self.sound()?;
        Ok(match (self.chunked, self.length) {
            (true, _) => Some(Framing::Chunked),
            (false, Some(length)) => Some(Framing::Length(length)),
            (false, None) => None,
        })
    }

    /// RFC 9112 §9.3; and a message with both framings ends its connection (§6.3).
    fn keep_alive(&self, version: Version) -> bool {
        let wanted = version != Version::Http10 || self.keep_alive;
        wanted && !self.close && !(self.chunked && self.length.is_some())
    }
}

/// `word` is `lower` in any case. Of lower-case letters and hyphens only, for which setting one bit is enough; what has
/// that bit unset and would be mistaken for a hyphen is CR, which no name and no value has. Unlike
/// `eq_ignore_ascii_case` it compiles to a few instructions, and this is the hottest comparison there is.
fn is<const N: usize>(word: &[u8], lower: &[u8; N]) -> bool {
    let Ok(word) = <&[u8; N]>::try_from(word) else { return false };
    let mut difference = 0;
    for at in 0..N {
        difference |= (word[at] | 0x20) ^ lower[at];
    }
    difference == 0
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Linear work: whatever the pieces, a byte is looked at once, but for the line end in front of the last pieces.
    #[test]
    fn the_scan_begins_where_it_ended() {
        let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
        while head.len() < 60_000 {
            head.extend_from_slice(b"x-field: something\r\n");
        }
        for piece in [1, 2, 3, 7, 1000] {
            let (mut scan, mut looked_at) = (Scan::default(), 0);
            for end in (piece..head.len()).step_by(piece) {
                looked_at += end - scan.seen;
                assert_eq!(scan.find(&head[..end], 64 << 10), Ok(None));
                assert!(end - scan.seen <= 2, "{} of {end} bytes would be looked at again", end - scan.seen);
            }
            assert!(looked_at <= 2 * head.len(), "{looked_at} bytes looked at in pieces of {piece}");
        }
    }

    #[test]
    fn the_scan_finds_the_empty_line_wherever_the_pieces_end() {
        for head in ["a\r\n\r\n", "a\n\n", "a\r\nb: c\n\r\n", "a\nb\r\n\n"] {
            let mut scan = Scan::default();
            for end in 0..head.len() {
                assert_eq!(scan.find(&head.as_bytes()[..end], 100), Ok(None), "{head:?} up to {end}");
            }
            assert_eq!(scan.find(format!("{head}more\n\n").as_bytes(), 100), Ok(Some(head.len())), "{head:?}");
        }
    }
}
