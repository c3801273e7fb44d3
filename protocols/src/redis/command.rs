//! What is asked: commands as words, how they are written, and which of them do not get exactly one reply. What a command
//! means is known here as far as the order of replies depends on it, and no further.

use core::fmt;

use super::value::push_header;
use super::words::Words;
use crate::Refused;

/// What is sent in one exchange.
#[derive(Clone, Copy)]
pub enum Request<'a> {
    /// One command: its name and its arguments, any bytes.
    Words(&'a [&'a [u8]]),
    /// One or several commands, written before.
    Prepared(&'a PreparedCommand),
}

/// Commands as they go over the wire, to be sent any number of times.
///
/// Several in a row are one exchange: nothing of another exchange comes between them, and each reply is told, the last
/// one as `done`. So a transaction shares a connection, and ASKING stays with its command.
///
/// ```
/// use aquests_protocols::redis::PreparedCommand;
///
/// let transaction = PreparedCommand::new(["MULTI"])?.then(["INCR", "visits"])?.then(["EXEC"])?;
/// assert_eq!(transaction.commands(), 3);
/// # Ok::<(), aquests_protocols::Refused>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PreparedCommand {
    bytes: Vec<u8>,
    first: Replies,
    more: Vec<Replies>,
}

impl PreparedCommand {
    /// One command. [`Refused::Misuse`] where it has no words, or would break the order of replies for ever.
    pub fn new<I>(words: I) -> Result<Self, Refused>
    where
        I: IntoIterator<Item: AsRef<[u8]>, IntoIter: ExactSizeIterator>,
    {
        let mut bytes = Vec::new();
        let first = append(words, &mut bytes)?;
        Ok(Self { bytes, first, more: Vec::new() })
    }

    /// And another one, in the same exchange.
    pub fn then<I>(mut self, words: I) -> Result<Self, Refused>
    where
        I: IntoIterator<Item: AsRef<[u8]>, IntoIter: ExactSizeIterator>,
    {
        if self.replies().any(|replies| replies.kind == Kind::Quit) {
            return Err(Refused::Misuse("nothing is answered after QUIT"));
        }
        let replies = append(words, &mut self.bytes)?;
        self.more.push(replies);
        Ok(self)
    }

    /// And others that were prepared before, in the same exchange.
    pub fn and(mut self, others: &Self) -> Result<Self, Refused> {
        if self.replies().any(|replies| replies.kind == Kind::Quit) {
            return Err(Refused::Misuse("nothing is answered after QUIT"));
        }
        self.bytes.extend_from_slice(&others.bytes);
        self.more.extend(others.replies());
        Ok(self)
    }

    /// Several commands that were written word by word. [`Refused::Misuse`] where [`new`](Self::new) and
    /// [`then`](Self::then) say it, and where there is none.
    pub fn several<'a>(commands: impl IntoIterator<Item = &'a Words>) -> Result<Self, Refused> {
        let mut commands = commands.into_iter();
        let first = commands.next().ok_or(Refused::Misuse("there is no command"))?;
        commands.try_fold(Self::new(first)?, |prepared, words| prepared.then(words))
    }

    /// One command that was written elsewhere.
    pub(super) fn of(bytes: Vec<u8>, first: Replies) -> Self {
        Self { bytes, first, more: Vec::new() }
    }

    /// How many commands there are.
    pub fn commands(&self) -> usize {
        1 + self.more.len()
    }

    /// What is written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is written, of one command, to be changed where its words are.
    #[inline]
    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// It is another one now, which is answered so.
    pub(super) fn answered(&mut self, replies: Replies) {
        self.first = replies;
    }

    /// How it is answered, where it is one command.
    #[inline]
    pub(super) fn single(&self) -> Option<Replies> {
        self.more.is_empty().then_some(self.first)
    }

    pub(super) fn replies(&self) -> impl Iterator<Item = Replies> + '_ {
        [self.first].into_iter().chain(self.more.iter().copied())
    }
}

/// Without the arguments, which may be secrets.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Words([name, arguments @ ..]) => {
                write!(f, "{} and {} arguments", name.escape_ascii(), arguments.len())
            }
            Request::Words([]) => f.write_str("no words"),
            Request::Prepared(prepared) => prepared.fmt(f),
        }
    }
}

/// Without the words, which may be secrets.
impl fmt::Debug for PreparedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands, {} bytes", self.commands(), self.bytes.len())
    }
}

/// Appends a command, and says how it is answered.
fn append<I>(words: I, out: &mut Vec<u8>) -> Result<Replies, Refused>
where
    I: IntoIterator<Item: AsRef<[u8]>, IntoIter: ExactSizeIterator>,
{
    let words = words.into_iter();
    let count = words.len();
    push_header(b'*', count, out);
    // Where the words are that a kind depends on.
    let mut spans = [(0, 0); LOOKED_AT];
    for (at, word) in words.enumerate() {
        let word = word.as_ref();
        push_header(b'$', word.len(), out);
        if let Some(span) = spans.get_mut(at) {
            *span = (out.len(), out.len() + word.len());
        }
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    let looked_at = spans.map(|(start, end)| &out[start..end]);
    Replies::of(&looked_at[..count.min(LOOKED_AT)], count)
}

/// Appends a command.
#[inline]
pub(super) fn push_words(words: &[&[u8]], out: &mut Vec<u8>) {
    // Of each word the header, which is rarely longer than `$99999`, and two line ends.
    out.reserve(words.iter().fold(8, |bytes, word| bytes + word.len() + 10));
    push_header(b'*', words.len(), out);
    for word in words {
        push_header(b'$', word.len(), out);
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// How a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replies {
    pub(super) kind: Kind,
    /// Of a subscription: confirmations still to come, one for each channel. 0: one for each that is subscribed to.
    pub(super) confirmations: u32,
}

/// What a command does to the replies, its own and those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One reply.
    Plain,
    /// What follows is queued, and nothing that is answered otherwise may be.
    Multi,
    /// EXEC, DISCARD.
    EndOfMulti,
    /// The reply is in the version that it brings.
    Hello,
    /// Back to RESP2, without subscriptions.
    Reset,
    /// Nothing after it.
    Quit,
    /// One confirmation for each channel: in RESP3 as pushes, in RESP2 as arrays.
    Subscription(Verb),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Subscribe,
    Unsubscribe,
    Psubscribe,
    Punsubscribe,
    Ssubscribe,
    Sunsubscribe,
}

const VERBS: [(&[u8], Verb); 6] = [
    (b"subscribe", Verb::Subscribe),
    (b"unsubscribe", Verb::Unsubscribe),
    (b"psubscribe", Verb::Psubscribe),
    (b"punsubscribe", Verb::Punsubscribe),
    (b"ssubscribe", Verb::Ssubscribe),
    (b"sunsubscribe", Verb::Sunsubscribe),
];

impl Verb {
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        VERBS.iter().find(|(verb, _)| verb.eq_ignore_ascii_case(name)).map(|(_, verb)| *verb)
    }
}

/// So many words say what kind a command is.
const LOOKED_AT: usize = 3;

impl Replies {
    pub(super) const PLAIN: Self = Self { kind: Kind::Plain, confirmations: 0 };

    /// `words` are the first of `count`.
    #[inline]
    pub(super) fn of(words: &[&[u8]], count: usize) -> Result<Self, Refused> {
        let Some(name) = words.first() else { return Err(Refused::Misuse("a command has at least one word")) };
        // Only names of these lengths with these first letters are looked at more closely.
        match (name.first(), name.len()) {
            (Some(b'C' | b'c' | b'D' | b'd' | b'E' | b'e' | b'H' | b'h' | b'M' | b'm'), 4..=7)
            | (Some(b'P' | b'p' | b'Q' | b'q' | b'R' | b'r' | b'S' | b's' | b'U' | b'u'), 4..=12) => {
                Self::of_name(name, words, count)
            }
            _ => Ok(Self::PLAIN),
        }
    }

    /// Not the name alone says how such a command is answered.
    pub(super) fn has_subcommands(name: &[u8]) -> bool {
        [&b"CLIENT"[..], b"SCRIPT"].iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    fn of_name(name: &[u8], words: &[&[u8]], count: usize) -> Result<Self, Refused> {
        let mut buffer = [0; 12];
        let upper = &mut buffer[..name.len()];
        upper.copy_from_slice(name);
        upper.make_ascii_uppercase();
        let says = |at: usize, word: &str| words.get(at).is_some_and(|it| it.eq_ignore_ascii_case(word.as_bytes()));
        let kind = match &*upper {
            b"MULTI" => Kind::Multi,
            b"EXEC" | b"DISCARD" => Kind::EndOfMulti,
            b"HELLO" => Kind::Hello,
            b"RESET" => Kind::Reset,
            b"QUIT" => Kind::Quit,
            b"MONITOR" => return Err(Refused::Misuse("MONITOR is answered without end")),
            b"SYNC" | b"PSYNC" => return Err(Refused::Misuse("SYNC and PSYNC begin another protocol")),
            b"SCRIPT" if says(1, "DEBUG") && !says(2, "NO") => {
                return Err(Refused::Misuse("SCRIPT DEBUG begins another protocol"));
            }
            b"CLIENT" if says(1, "REPLY") && !says(2, "ON") => {
                return Err(Refused::Misuse("without replies nobody knows what was done"));
            }
            name => match Verb::of(name) {
                Some(verb) => Kind::Subscription(verb),
                None => return Ok(Self::PLAIN),
            },
        };
        let confirmations = match kind {
            Kind::Subscription(_) => count - 1,
            _ => 0,
        };
        let confirmations = u32::try_from(confirmations).map_err(|_| Refused::Misuse("too many channels"))?;
        Ok(Self { kind, confirmations })
    }
}
