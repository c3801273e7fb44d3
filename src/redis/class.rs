//! What a command is: may it be sent again, how long may it wait, does it belong to a session, where are its keys.
//! Judged by its words alone; who acts on that is the client.

use std::time::Duration;

use super::table::COMMANDS;
use crate::protocols::redis::{self, Words};

/// How a command is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// It changes nothing: after a lost connection it may be sent again.
    pub(crate) read_only: bool,
    /// It changes the connection itself, so it may be sent only by whoever has that alone.
    pub(crate) session: bool,
    pub(crate) wait: Wait,
}

/// How long a server may wait before it answers. What waits needs a connection alone: all behind it waits too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wait {
    No,
    For(Duration),
    Forever,
}

impl Wait {
    /// One after the other.
    pub(super) fn and(self, next: Self) -> Self {
        match (self, next) {
            (Wait::Forever, _) | (_, Wait::Forever) => Wait::Forever,
            (Wait::For(one), Wait::For(other)) => Wait::For(one.saturating_add(other)),
            (one, other) => one.max(other),
        }
    }

    /// How long at most, if it waits: `Some(None)` for ever.
    pub(crate) fn limit(self) -> Option<Option<Duration>> {
        match self {
            Wait::No => None,
            Wait::For(time) => Some(Some(time)),
            Wait::Forever => Some(None),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It changes nothing that outlives it.
    Read,
    /// It may change something.
    Write,
    /// It changes the connection.
    Session,
}

/// Where keys are. Words are counted from the name, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    None,
    At(u8),
    /// From, to (counted from the end if negative), and how far from one to the next.
    Range(u8, i8, u8),
    /// A number here says how many follow.
    Counted(u8),
    /// The first word is one, a number after it says how many more follow.
    StoreCounted,
    /// The first half of what follows STREAMS.
    Streams,
    /// The first word, and what follows the last STORE.
    Sort,
    /// The first word, and what follows STORE or STOREDIST, from this word on.
    GeoStore(u8),
    /// The third word or, if that is empty, all behind KEYS.
    Migrate,
    /// The second word says.
    Sub,
}

/// The longest name in the table, and more.
const LONGEST: usize = 40;

fn find(name: &[u8]) -> Option<(Kind, Keys)> {
    let at = COMMANDS.binary_search_by(|(known, ..)| known.as_bytes().cmp(name)).ok()?;
    let (_, kind, keys) = COMMANDS[at];
    Some((kind, keys))
}

/// What is known of a command. A name that is not known is a write, and its first argument is a key: so are nearly all
/// commands of modules, and where it is none the server says so.
fn look(words: &Words) -> (Kind, Keys) {
    const UNKNOWN: (Kind, Keys) = (Kind::Write, Keys::At(1));
    let mut buffer = [0; LONGEST];
    let mut words = words.iter();
    let name = words.next().unwrap_or_default();
    let Some(place) = buffer.get_mut(..name.len()) else { return UNKNOWN };
    place.copy_from_slice(name);
    place.make_ascii_uppercase();
    let Some(found) = find(place) else { return UNKNOWN };
    let (Keys::Sub, Some(second)) = (found.1, words.next()) else { return found };
    let (from, length) = (name.len() + 1, name.len() + 1 + second.len());
    // A part that is not known may do to the connection what others of its kind do.
    let unknown = (if found.0 == Kind::Session { Kind::Session } else { Kind::Write }, Keys::None);
    let Some(place) = buffer.get_mut(..length) else { return unknown };
    place[from - 1] = b' ';
    place[from..].copy_from_slice(second);
    place.make_ascii_uppercase();
    find(place).unwrap_or(unknown)
}

/// Whether the second word is a part of the name, behind this one in capital letters.
pub(super) fn has_parts(first: &str) -> bool {
    const FIRST: [&str; 17] = [
        "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT",
        "PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO",
    ];
    FIRST.contains(&first)
}

/// What a command is.
pub(crate) fn class(words: &Words) -> Class {
    let (kind, _) = look(words);
    Class { read_only: kind == Kind::Read, session: kind == Kind::Session, wait: wait(words) }
}

fn wait(words: &Words) -> Wait {
    let name = words.iter().next().unwrap_or_default();
    // Nothing that waits begins otherwise.
    if !matches!(name.first(), Some(b'B' | b'b' | b'X' | b'x' | b'W' | b'w')) {
        return Wait::No;
    }
    let is = |names: &[&str]| names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name));
    let at = |at: usize| words.iter().nth(at);
    if is(&["BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX", "BLMOVE", "BRPOPLPUSH"]) {
        seconds(words.iter().last())
    } else if is(&["BLMPOP", "BZMPOP"]) {
        seconds(at(1))
    } else if is(&["WAIT"]) {
        milliseconds(at(2))
    } else if is(&["WAITAOF"]) {
        milliseconds(at(3))
    } else if is(&["XREAD", "XREADGROUP"]) {
        let mut found = Wait::No;
        options(words, 1, |option, next| {
            let value = next.next();
            if option.eq_ignore_ascii_case(b"GROUP") {
                next.next();
            } else if option.eq_ignore_ascii_case(b"BLOCK") {
                found = milliseconds(value);
            }
        });
        found
    } else {
        Wait::No
    }
}

/// Goes through the options of XREAD that have values until STREAMS, and returns where that is.
fn options<'a>(
    words: &'a Words,
    from: usize,
    mut option: impl FnMut(&'a [u8], &mut redis::WordsIter<'a>),
) -> Option<usize> {
    let mut rest = words.iter();
    rest.by_ref().take(from).for_each(drop);
    loop {
        let at = words.len() - rest.len();
        let word = rest.next()?;
        if word.eq_ignore_ascii_case(b"STREAMS") {
            return Some(at);
        }
        if !word.eq_ignore_ascii_case(b"NOACK") {
            option(word, &mut rest);
        }
    }
}

/// What cannot be read may be anything: the server will say what is wrong with it.
fn seconds(word: Option<&[u8]>) -> Wait {
    let seconds = word.and_then(|word| std::str::from_utf8(word).ok()?.parse::<f64>().ok());
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(Duration::ZERO) | None => Wait::Forever,
        Some(time) => Wait::For(time),
    }
}

fn milliseconds(word: Option<&[u8]>) -> Wait {
    match number(word) {
        Some(0) | None => Wait::Forever,
        Some(time) => Wait::For(Duration::from_millis(time)),
    }
}

fn number(word: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(word?).ok()?.parse().ok()
}

/// The keys of a command, in their order (the destination of a SORT or a search by place last).
pub(crate) fn keys(words: &Words) -> impl Iterator<Item = &[u8]> {
    let (range, more) = positions(words);
    let (from, to, step) = range.unwrap_or((0, 0, 1));
    let in_range = words.iter().take(to).skip(from).step_by(step.max(1));
    in_range.chain(more.and_then(|at| words.iter().nth(at)))
}

/// From, up to and not including, and how far from one to the next.
type Positions = (usize, usize, usize);

fn positions(words: &Words) -> (Option<Positions>, Option<usize>) {
    let count = words.len();
    let one = |at: usize| Some((at, at + 1, 1)).filter(|_| at < count);
    let counted = |at: usize| {
        let keys = usize::try_from(number(words.iter().nth(at))?).ok()?;
        Some((at + 1, (at + 1).saturating_add(keys).min(count), 1))
    };
    // What stands behind the last of these words.
    let behind = |from: usize, names: &[&str]| {
        let is = |word: &[u8]| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
        let found = words.iter().enumerate().skip(from).filter(|(_, word)| is(word)).last();
        found.map(|(at, _)| at + 1).filter(|at| *at < count)
    };
    match look(words).1 {
        Keys::None | Keys::Sub => (None, None),
        Keys::At(at) => (one(at.into()), None),
        Keys::Range(from, to, step) => {
            let to = match usize::try_from(to) {
                Ok(to) => (to + 1).min(count),
                Err(_) => (count + 1).saturating_sub(to.unsigned_abs().into()),
            };
            (Some((from.into(), to, step.into())), None)
        }
        Keys::Counted(at) => (counted(at.into()), None),
        Keys::StoreCounted => (counted(2), one(1).map(|(at, ..)| at)),
        Keys::Streams => {
            let at = options(words, 1, |option, rest| {
                let values = if option.eq_ignore_ascii_case(b"GROUP") { 2 } else { 1 };
                rest.take(values).for_each(drop);
            });
            (at.map(|at| (at + 1, at + 1 + (count - at - 1) / 2, 1)), None)
        }
        Keys::Sort => {
            let (mut rest, mut store) = (words.iter(), None);
            rest.by_ref().take(2).for_each(drop);
            while let Some(word) = rest.next() {
                let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
                if is("STORE") {
                    store = Some(count - rest.len()).filter(|at| *at < count);
                }
                let values = if is("LIMIT") { 2 } else { usize::from(is("STORE") || is("BY") || is("GET")) };
                rest.by_ref().take(values).for_each(drop);
            }
            (one(1), store)
        }
        Keys::GeoStore(from) => (one(1), behind(from.into(), &["STORE", "STOREDIST"])),
        Keys::Migrate => {
            if words.iter().nth(3).is_none_or(|key| !key.is_empty()) {
                return (one(3), None);
            }
            let (mut rest, mut from) = (words.iter(), None);
            rest.by_ref().take(6).for_each(drop);
            while let Some(word) = rest.next() {
                let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
                if is("KEYS") {
                    from = Some(count - rest.len());
                    break;
                }
                // A password may be any word.
                let values = if is("AUTH2") { 2 } else { usize::from(is("AUTH")) };
                rest.by_ref().take(values).for_each(drop);
            }
            (from.map(|from| (from, count, 1)), None)
        }
    }
}

/// Keys in two slots: no node of a cluster has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CrossSlot;

/// The slot of all keys, if there is one; `before` is that of other commands in the same exchange.
pub(crate) fn slot(words: &Words, before: Option<u16>) -> Result<Option<u16>, CrossSlot> {
    keys(words).map(redis::slot).try_fold(before, |before, slot| match before {
        Some(before) if before != slot => Err(CrossSlot),
        _ => Ok(Some(slot)),
    })
}
