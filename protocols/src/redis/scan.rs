//! Where a value ends: every byte is judged once, in the order in which it came, without recursion and without keeping
//! any of it. What a value says is read by `view` and never here.

use memchr::memchr2;

use super::{Limits, ValueRef, Violation};
use crate::{Error, Limit};

/// How far the value at the front was understood, so that what came is never looked at again.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Bytes that are known to belong to the value.
    known: usize,
    /// Up to here there is no end of a line.
    looked: usize,
    /// An attribute stands before the next value, which must come.
    attributed: bool,
    levels: Vec<Level>,
}

/// An aggregate that is not whole.
#[derive(Debug)]
struct Level {
    kind: Kind,
    /// Values still to come. In a streamed map: 1 where a value follows a key.
    left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counted,
    Attribute,
    Streamed,
    StreamedMap,
    /// A streamed string.
    Chunks,
}

/// What is at the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A value of so many bytes.
    Whole(usize),
    /// So many bytes must be there before there is more to know.
    Need(usize),
    /// A string that is told in parts, behind a header of so many bytes.
    Long { header: usize, length: Option<u64> },
}

/// The digits of the largest length, which is an `i64`.
const DIGITS: usize = 19;
/// The least that an element can be: `_` and CRLF.
const ELEMENT: u64 = 3;

/// Reads one whole value from the front of `bytes`: its view, and how many bytes it has. `None`: it is not all there.
/// [`Limits::parts`] does not count.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Option<(ValueRef<'_>, usize)>, Error> {
    match Scan::default().find(bytes, limits, false)? {
        Found::Whole(length) => Ok(Some((ValueRef::new(&bytes[..length]), length))),
        _ => Ok(None),
    }
}

impl Scan {
    /// The length of what comes most, if it stands whole at the front: a string told whole, a number, `+OK`. `None` says
    /// nothing. A value of which something is known already begins otherwise: it is an aggregate.
    #[inline]
    pub(super) fn short(bytes: &[u8], limits: &Limits) -> Option<usize> {
        let (&kind, rest) = bytes.split_first()?;
        let (mut number, mut digits) = (0_u32, 0);
        if matches!(kind, b'$' | b':') {
            // No more than fit.
            while digits < 9
                && let Some(digit @ b'0'..=b'9') = rest.get(digits)
            {
                number = number * 10 + u32::from(digit - b'0');
                digits += 1;
            }
            // A length has no zeros in front of it, and is judged where it has.
            if digits == 0 || (rest[0] == b'0' && kind == b'$') || digits as u32 > limits.line {
                return None;
            }
        }
        let next = digits + 3;
        match kind {
            b'$' if number <= limits.parts
                && u64::from(number) <= limits.bulk
                && u64::from(number) + 16 <= limits.whole =>
            {
                let end = next + number as usize;
                let whole = bytes.get(digits + 1..next) == Some(b"\r\n") && bytes.get(end..end + 2) == Some(b"\r\n");
                whole.then_some(end + 2)
            }
            b':' => (bytes.get(digits + 1..next) == Some(b"\r\n") && next as u64 <= limits.whole).then_some(next),
            b'+' => (rest.starts_with(b"OK\r\n") && limits.line >= 2 && limits.whole >= 5).then_some(5),
            _ => None,
        }
    }

    /// The value that [`short`](Self::short) found was used.
    #[inline]
    pub(super) fn used(&mut self) {
        self.looked = 0;
    }

    /// Goes on with the value at the front. `bytes` begin where they began before.
    pub(super) fn find(&mut self, bytes: &[u8], limits: Limits, in_parts: bool) -> Result<Found, Error> {
        let found = self.go_on(bytes, limits, in_parts);
        if !matches!(found, Ok(Found::Need(_))) {
            // A value that is whole left nothing open, and after an error nobody asks.
            (self.known, self.looked) = (0, 0);
        }
        found
    }

    fn go_on(&mut self, bytes: &[u8], limits: Limits, in_parts: bool) -> Result<Found, Error> {
        loop {
            let Some(&kind) = bytes.get(self.known) else { return Ok(Found::Need(self.known + 1)) };
            self.may_stand_here(kind)?;
            let Some(end) = self.line(bytes, limits)? else { return Ok(Found::Need(bytes.len() + 1)) };
            let line = &bytes[self.known + 1..end];
            let next = end + 2;
            let top = self.known == 0;
            let whole = match kind {
                b'$' | b'=' | b'!' => match length(kind, line)? {
                    Length::Null => self.value(next),
                    Length::Streamed if top && in_parts => return Ok(Found::Long { header: next, length: None }),
                    Length::Streamed => {
                        self.open(Kind::Chunks, 1, limits)?;
                        self.know(next)
                    }
                    Length::Known(length) => {
                        if length > limits.bulk {
                            return Err(too_large("string bytes", limits.bulk));
                        }
                        if kind == b'$' && top && in_parts && length > limits.parts.into() {
                            return Ok(Found::Long { header: next, length: Some(length) });
                        }
                        match text(bytes, next, length, limits)? {
                            Ok(end) if kind == b'=' && bytes[next..end - 2].get(3) != Some(&b':') => {
                                return Err(Violation::Scalar.into());
                            }
                            Ok(end) => self.value(end),
                            Err(need) => return Ok(Found::Need(need)),
                        }
                    }
                },
                b';' => match chunk(line)? {
                    0 => {
                        self.levels.pop();
                        self.value(next)
                    }
                    length => match text(bytes, next, length, limits)? {
                        Ok(end) => self.know(end),
                        Err(need) => return Ok(Found::Need(need)),
                    },
                },
                b'*' | b'~' | b'%' | b'>' | b'|' => match length(kind, line)? {
                    Length::Null => self.value(next),
                    Length::Streamed => {
                        let kind = if kind == b'%' { Kind::StreamedMap } else { Kind::Streamed };
                        self.open(kind, 0, limits)?;
                        self.know(next)
                    }
                    Length::Known(count) => {
                        let pairs = matches!(kind, b'%' | b'|');
                        let room = limits.whole.saturating_sub(next as u64) / ELEMENT;
                        let values = count.checked_mul(if pairs { 2 } else { 1 }).filter(|values| *values <= room);
                        let values = values.ok_or(too_large("value bytes", limits.whole))?;
                        let kind = if kind == b'|' { Kind::Attribute } else { Kind::Counted };
                        self.open(kind, values, limits)?;
                        self.know(next);
                        if values > 0 {
                            false
                        } else {
                            self.levels.pop();
                            self.attributed = kind == Kind::Attribute;
                            kind != Kind::Attribute && self.value(next)
                        }
                    }
                },
                b'.' => {
                    if !line.is_empty() {
                        return Err(Violation::Stream.into());
                    }
                    self.levels.pop();
                    self.value(next)
                }
                _ if is_scalar(kind, line) => self.value(next),
                _ => return Err(Violation::Scalar.into()),
            };
            if self.known as u64 > limits.whole {
                return Err(too_large("value bytes", limits.whole));
            }
            if whole {
                return Ok(Found::Whole(self.known));
            }
        }
    }

    /// A value of this type may come next. Told with its first byte, so that nobody waits for the rest of nonsense.
    fn may_stand_here(&self, kind: u8) -> Result<(), Violation> {
        let inside = self.levels.last();
        match kind {
            _ if inside.is_some_and(|level| level.kind == Kind::Chunks) => {
                if kind == b';' {
                    Ok(())
                } else {
                    Err(Violation::Stream)
                }
            }
            b'$' | b'*' | b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' | b'!' | b'=' | b'%' | b'~' | b'|' => Ok(()),
            b'>' if inside.is_none() => Ok(()),
            b'>' => Err(Violation::PushInReply),
            b'.' => match inside {
                Some(Level { kind: Kind::Streamed | Kind::StreamedMap, left: 0 }) if !self.attributed => Ok(()),
                _ => Err(Violation::Stream),
            },
            b';' => Err(Violation::Stream),
            _ => Err(Violation::Type),
        }
    }

    /// Where the line that begins at `known` ends, before its CRLF.
    fn line(&mut self, bytes: &[u8], limits: Limits) -> Result<Option<usize>, Error> {
        let from = self.looked.max(self.known + 1);
        let found = memchr2(b'\r', b'\n', &bytes[from..]).map(|at| from + at);
        let end = found.unwrap_or(bytes.len());
        if end - self.known - 1 > limits.line as usize {
            return Err(too_large("line bytes", limits.line.into()));
        }
        // The CR is looked at again: it is one byte.
        self.looked = end;
        match (bytes.get(end), bytes.get(end + 1)) {
            (Some(b'\n'), _) => Err(Violation::Line.into()),
            (Some(_), Some(b'\n')) => Ok(Some(end)),
            (Some(_), Some(_)) => Err(Violation::Line.into()),
            _ => Ok(None),
        }
    }

    fn open(&mut self, kind: Kind, left: u64, limits: Limits) -> Result<(), Error> {
        if self.levels.len() >= limits.depth.into() {
            return Err(too_large("levels of nesting", limits.depth.into()));
        }
        self.attributed = false;
        self.levels.push(Level { kind, left });
        Ok(())
    }

    /// So far it is understood, and it goes on.
    fn know(&mut self, known: usize) -> bool {
        self.known = known;
        false
    }

    /// A value ended, and with it perhaps those around it. Returns whether that was all.
    fn value(&mut self, known: usize) -> bool {
        self.known = known;
        self.attributed = false;
        while let Some(Level { kind, left }) = self.levels.last_mut() {
            match kind {
                Kind::Streamed | Kind::Chunks => return false,
                Kind::StreamedMap => {
                    *left ^= 1;
                    return false;
                }
                Kind::Counted | Kind::Attribute => *left -= 1,
            }
            if *left > 0 {
                return false;
            }
            let attribute = *kind == Kind::Attribute;
            self.levels.pop();
            if attribute {
                self.attributed = true;
                return false;
            }
        }
        true
    }
}

/// Where a string that begins at `at` ends, its CRLF included; or how many bytes must be there to know.
fn text(bytes: &[u8], at: usize, length: u64, limits: Limits) -> Result<Result<usize, usize>, Error> {
    let end = (at as u64).saturating_add(length).saturating_add(2);
    if end > limits.whole {
        return Err(too_large("value bytes", limits.whole));
    }
    let Ok(end) = usize::try_from(end) else { return Err(too_large("value bytes", limits.whole)) };
    match bytes.get(end - 2..end) {
        None => Ok(Err(end)),
        Some(b"\r\n") => Ok(Ok(end)),
        Some(_) => Err(Violation::Bulk.into()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Known(u64),
    Null,
    Streamed,
}

/// What stands behind the first byte of a string or an aggregate.
pub(super) fn length(kind: u8, line: &[u8]) -> Result<Length, Violation> {
    match line {
        b"-1" if matches!(kind, b'$' | b'*') => Ok(Length::Null),
        b"?" if matches!(kind, b'$' | b'*' | b'~' | b'%') => Ok(Length::Streamed),
        line => Ok(Length::Known(digits(line)?)),
    }
}

/// The length of a part of a streamed string.
pub(super) fn chunk(line: &[u8]) -> Result<u64, Violation> {
    digits(line)
}

fn digits(line: &[u8]) -> Result<u64, Violation> {
    match line {
        [b'0'] => Ok(0),
        [b'1'..=b'9', rest @ ..] if rest.len() < DIGITS && rest.iter().all(u8::is_ascii_digit) => {
            Ok(line.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
        }
        _ => Err(Violation::Length),
    }
}

/// The value is what its type says.
fn is_scalar(kind: u8, line: &[u8]) -> bool {
    match kind {
        b'+' | b'-' => true,
        b':' => integer(line).is_some(),
        b'_' => line.is_empty(),
        b'#' => matches!(line, b"t" | b"f"),
        b',' => double(line).is_some(),
        b'(' => {
            let digits = line.strip_prefix(b"-").or(line.strip_prefix(b"+")).unwrap_or(line);
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

pub(super) fn integer(line: &[u8]) -> Option<i64> {
    core::str::from_utf8(line).ok()?.parse().ok()
}

/// As RESP3 has it, and `-nan`, which servers before 7.2 send.
pub(super) fn double(line: &[u8]) -> Option<f64> {
    match line {
        b"inf" | b"+inf" => Some(f64::INFINITY),
        b"-inf" => Some(f64::NEG_INFINITY),
        b"nan" | b"-nan" => Some(f64::NAN),
        _ if line.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) => {
            core::str::from_utf8(line).ok()?.parse().ok()
        }
        _ => None,
    }
}

pub(super) fn too_large(what: &'static str, value: u64) -> Error {
    Error::TooLarge(Limit { what, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LIMITS, "quadratic re-scan": a scanner that comes back finds the same when everything that it has understood was
    /// overwritten in between, so it cannot have looked at it. Only the short header of a string is read once more.
    #[test]
    fn what_was_understood_is_not_looked_at_again() {
        let texts = [
            "+a status of some length\r\n".to_owned(),
            format!("+{}\r\n", "x".repeat(1000)),
            "*3\r\n$5\r\nhello\r\n%1\r\n+key\r\n~2\r\n:1\r\n,1.5\r\n|1\r\n+a\r\n#t\r\n=5\r\ntxt:x\r\n".to_owned(),
            "*?\r\n$?\r\n;3\r\nabc\r\n;1\r\nd\r\n;0\r\n%?\r\n+a\r\n_\r\n.\r\n.\r\n".to_owned(),
        ];
        for text in texts {
            let (mut scan, mut bytes) = (Scan::default(), Vec::new());
            for (at, byte) in text.bytes().enumerate() {
                bytes.push(byte);
                let found = scan.find(&bytes, Limits::default(), false).unwrap();
                let whole = at + 1 == text.len();
                assert_eq!(found == Found::Whole(at + 1), whole, "{text:?} at {at}: {found:?}");
                bytes[..scan.known].fill(0);
                if !whole && bytes.get(scan.known) == Some(&b'+') {
                    // All of it but the CR, which may be the end.
                    assert!(scan.looked >= at, "{text:?} at {at}: {scan:?}");
                    bytes[scan.known + 1..scan.looked].fill(b'\n');
                }
            }
        }
    }

    /// The way that is taken nearly always says nothing else than the long one, whatever the limits.
    #[test]
    fn the_short_way_and_the_long_one_agree() {
        let lines = [
            "0",
            "1",
            "2",
            "3",
            "9",
            "10",
            "01",
            "00",
            "12",
            "-1",
            "?",
            "",
            "OK",
            "OKE",
            "O",
            "999999999",
            "1234567890",
        ];
        let rests = [
            "",
            "\r",
            "\r\n",
            "\r\na",
            "\r\na\r\n",
            "\r\nab\r\n",
            "\r\nabc\r\n",
            "\r\nabcd\r\n",
            "\n",
            "\r\n\r\n",
            "\r\naXX",
        ];
        let default = Limits::default();
        let mut texts = Vec::new();
        for (kind, line) in ["$", ":", "+", "-", "*"].iter().flat_map(|kind| lines.map(|line| (kind, line))) {
            texts.extend(rests.map(|rest| format!("{kind}{line}{rest}")));
        }
        let mut found = 0;
        for limits in [
            default,
            default.line(1),
            default.line(2),
            default.bulk(2),
            default.parts(2),
            default.whole(4),
            default.whole(5),
            default.whole(20),
        ] {
            for text in &texts {
                if let Some(length) = Scan::short(text.as_bytes(), &limits) {
                    let long = Scan::default().find(text.as_bytes(), limits, true);
                    assert_eq!(long, Ok(Found::Whole(length)), "{text:?}, {limits:?}");
                    found += 1;
                }
            }
        }
        assert!(found > 100, "{found} of {}", texts.len());
        // These are what it is for.
        for text in ["$1\r\na\r\n", "$3\r\nabc\r\n", ":0\r\n", ":12\r\n", "+OK\r\n"] {
            assert_eq!(Scan::short(text.as_bytes(), &default), Some(text.len()), "{text:?}");
        }
    }
}
