//! Answers in order with news between them (RESP3): replies know no exchange, pushes answer none, and values nest.

use std::collections::VecDeque;

use aquests_protocols::testing::{Seen, Side, splits};
use aquests_protocols::{Error, Event, ExchangeId, Input, Limit, Protocol, Refused, Replay};

use crate::{last, text, violation};

/// The client.
struct Redis {
    /// In the order in which they were sent, which is the order of the replies. `None`: cancelled, the reply is
    /// dropped.
    exchanges: VecDeque<Option<ExchangeId>>,
    scan: Scan,
    error: Option<Error>,
    closed: bool,
}

/// How far a value was understood, so that what came is never looked at again.
#[derive(Default)]
struct Scan {
    /// Bytes that are known to belong to the value.
    known: usize,
    /// From here on there is no end of a line.
    looked: usize,
    /// For each level that is open: values still to come.
    levels: Vec<u32>,
}

const PIPELINE: usize = 64;
/// Real replies are flat or nearly so: `COMMAND DOCS` reaches 8 levels.
const DEPTH: usize = 32;
const LINE: usize = 1024;
const VALUE: usize = 1 << 20;

impl Scan {
    /// The length of the value at the front, or how many bytes must be there before there is more to know.
    fn value(&mut self, bytes: &[u8]) -> Result<Result<usize, usize>, Error> {
        loop {
            let from = self.looked.max(self.known).min(bytes.len());
            let Some(end) = memchr::memchr(b'\n', &bytes[from..]).map(|at| from + at) else {
                self.looked = bytes.len();
                short(bytes.len().saturating_sub(self.known))?;
                return Ok(Err(bytes.len().max(self.known) + 1));
            };
            short(end - self.known)?;
            let line = bytes[self.known..end].strip_suffix(b"\r").ok_or(violation("a line that ends in LF alone"))?;
            let (&kind, rest) = line.split_first().ok_or(violation("an empty line"))?;
            let mut next = end + 1;
            match kind {
                b'+' | b'-' | b':' | b'_' | b'#' => {}
                b'$' => next += number(rest)? as usize + 2,
                b'*' | b'~' | b'>' => self.levels.push(number(rest)?),
                b'%' => self.levels.push(number(rest)?.saturating_mul(2)),
                _ => return Err(violation("a value of an unknown kind")),
            }
            if self.levels.len() > DEPTH {
                return Err(Error::TooLarge(Limit { what: "levels of nesting", value: DEPTH as u64 }));
            }
            if next > VALUE {
                return Err(Error::TooLarge(Limit { what: "value bytes", value: VALUE as u64 }));
            }
            if kind == b'$' && next > bytes.len() {
                // Not noted: the line is short, and is read once more when its bytes are there.
                return Ok(Err(next));
            }
            self.known = next;
            let nested = matches!(kind, b'*' | b'~' | b'>' | b'%');
            if !nested && let Some(left) = self.levels.last_mut() {
                *left -= 1;
            }
            // A level that is complete is one value of the level around it.
            while self.levels.last() == Some(&0) {
                self.levels.pop();
                if let Some(left) = self.levels.last_mut() {
                    *left -= 1;
                }
            }
            if self.levels.is_empty() {
                *self = Self::default();
                return Ok(Ok(next));
            }
        }
    }
}

/// A line with its CR, whole or not: the same is said whether its end has come or not.
fn short(line: usize) -> Result<(), Error> {
    let limit = Limit { what: "line bytes", value: LINE as u64 };
    if line > LINE + 1 { Err(Error::TooLarge(limit)) } else { Ok(()) }
}

fn number(digits: &[u8]) -> Result<u32, Error> {
    let digits = core::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or(violation("a length that is no number"))
}

impl Redis {
    fn new() -> Self {
        Self { exchanges: VecDeque::new(), scan: Scan::default(), error: None, closed: false }
    }

    fn read<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Event<&'a [u8]>), Error> {
        let length = match self.scan.value(bytes)? {
            Ok(length) => length,
            Err(at_least) => return Ok((0, Event::NeedData { at_least })),
        };
        let value = &bytes[..length];
        if value[0] == b'>' {
            return Ok((length, Event::Push(value)));
        }
        let exchange = self.exchanges.pop_front().ok_or(violation("a reply that nobody asked for"))?;
        Ok((length, exchange.map_or(Event::Progress, |id| Event::Message { id, message: value, done: true })))
    }
}

impl Protocol for Redis {
    /// The words of a command.
    type Request<'a> = &'a [&'a str];
    /// A whole value, checked and not decoded.
    type Message<'a> = &'a [u8];

    fn send(&mut self, id: ExchangeId, words: &[&str], out: &mut Vec<u8>) -> Result<(), Refused> {
        if self.slots() == 0 {
            return Err(Refused::NotNow);
        }
        out.extend(format!("*{}\r\n", words.len()).bytes());
        for word in words {
            out.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
        }
        self.exchanges.push_back(Some(id));
        Ok(())
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, _: &mut Vec<u8>) -> Result<(usize, Event<&'a [u8]>), Error> {
        match self.error {
            Some(error) => Err(error),
            None => self.read(input.bytes).inspect_err(|error| self.error = Some(*error)),
        }
    }

    fn slots(&self) -> usize {
        if self.error.is_some() || self.closed { 0 } else { PIPELINE - self.exchanges.len() }
    }

    fn cancel(&mut self, id: ExchangeId, _: &mut Vec<u8>) -> bool {
        let at = self.exchanges.iter().position(|exchange| *exchange == Some(id));
        if let Some(at) = at {
            self.exchanges[at] = None;
        }
        // One at the front may be stuck (BLPOP), and whoever is behind it with it.
        at != Some(0)
    }

    fn close(&mut self, _: &mut Vec<u8>) {
        self.closed = true;
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        loop {
            if let Some(id) = self.exchanges.pop_front()? {
                return Some((id, Replay::Unknown));
            }
        }
    }
}

fn client(requests: u64) -> Side<Redis, String> {
    let mut side = Side::client(Redis::new(), |value| Seen::Item(text(value)));
    for id in 0..requests {
        side.machine.send(ExchangeId(id), &["GET", "key"], &mut side.out).unwrap();
    }
    side
}

fn push(value: &str) -> Event<Seen<String>> {
    Event::Push(Seen::Item(value.to_string()))
}

#[test]
fn replies_come_in_order_with_pushes_between_and_before_and_after() {
    let news = ">3\r\n+message\r\n$1\r\nc\r\n$5\r\nhello\r\n";
    let array = "*3\r\n:1\r\n*0\r\n%1\r\n+k\r\n*2\r\n$-0\r\n".replace("$-0\r\n", "$0\r\n\r\n_\r\n");
    let peer = [news, "$4\r\na\r\nb\r\n", news, &array, "-ERR no\r\n", news].concat();
    let run = splits(peer.as_bytes(), true, || client(3));
    let expected = [
        push(news),
        last(0, "$4\r\na\r\nb\r\n".to_string()),
        push(news),
        last(1, array),
        last(2, "-ERR no\r\n".to_string()),
        push(news),
    ];
    assert_eq!(run.events, expected);
    assert_eq!(run.error, None);
    assert!(run.out.starts_with(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"));
}

#[test]
fn a_cancelled_command_behind_another_is_read_and_dropped() {
    let run = splits(b"+a\r\n*1\r\n+b\r\n+c\r\n", true, || {
        let mut side = client(3);
        assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
        side
    });
    assert_eq!(run.events, [last(0, "+a\r\n".to_string()), last(2, "+c\r\n".to_string())]);
}

#[test]
fn a_cancelled_command_at_the_front_costs_the_connection() {
    let mut side = client(2);
    assert!(!side.machine.cancel(ExchangeId(0), &mut side.out));
    assert_eq!(side.finish().unfinished, [(ExchangeId(1), Replay::Unknown)]);
}

#[test]
fn nesting_has_a_limit() {
    let deep = |levels| ["*1\r\n".repeat(levels), ":1\r\n".into()].concat();
    assert_eq!(splits(deep(DEPTH).as_bytes(), true, || client(1)).error, None);
    let run = splits(deep(DEPTH + 1).as_bytes(), true, || client(1));
    assert_eq!(run.error, Some(Error::TooLarge(Limit { what: "levels of nesting", value: DEPTH as u64 })));
}

#[test]
fn lines_and_values_have_limits() {
    let line = |length, end| ["+", &"x".repeat(length - 1), end].concat();
    let error = |peer: String| splits(peer.as_bytes(), false, || client(1)).error;
    let too_large = Some(Error::TooLarge(Limit { what: "line bytes", value: LINE as u64 }));
    assert_eq!(error(line(LINE, "\r\n")), None);
    assert_eq!(error(line(LINE + 1, "")), None);
    for end in ["\r\n", "\n", ""] {
        assert_eq!(error(line(LINE + 2, end)), too_large);
    }
    let error = splits(b"$4000000000\r\n", false, || client(1)).error;
    assert_eq!(error, Some(Error::TooLarge(Limit { what: "value bytes", value: VALUE as u64 })));
}

#[test]
fn what_is_no_value_is_an_error_and_names_what_is_open() {
    for peer in ["?\r\n", "\r\n", "+a\n", "$x\r\n", "*-2\r\n", "$+1\r\na\r\n"] {
        let run = splits(peer.as_bytes(), false, || client(1));
        assert!(run.error.is_some(), "{peer:?}");
        assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)], "{peer:?}");
    }
    assert_eq!(splits(b"+a\r\n", false, || client(0)).error, Some(violation("a reply that nobody asked for")));
}
