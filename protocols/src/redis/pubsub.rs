//! Subscriptions: which values are messages and confirmations, and how many channels there are. Who gets them is known to
//! the caller and never here.

use super::command::Verb;
use super::view::ValueRef;

/// A message that was published, in either version of RESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published<'a> {
    /// The pattern that the channel matches, where a pattern was subscribed to.
    pub pattern: Option<&'a [u8]>,
    /// Where it was published.
    pub channel: &'a [u8],
    /// What was published.
    pub payload: &'a [u8],
    /// It came through the shard that has the channel (SPUBLISH).
    pub sharded: bool,
}

impl<'a> Published<'a> {
    /// What was published, if that is what a push tells.
    pub fn of(push: ValueRef<'a>) -> Option<Self> {
        let mut items = push.items()?;
        let kind = items.next()?.bytes()?;
        let pattern = match kind {
            b"message" | b"smessage" => None,
            b"pmessage" => Some(items.next()?.bytes()?),
            _ => return None,
        };
        let (channel, payload) = (items.next()?.bytes()?, items.next()?.bytes()?);
        items.next().is_none().then_some(Self { pattern, channel, payload, sharded: kind == b"smessage" })
    }
}

/// What an array of a subscriber, or a push, is to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Somebody published something.
    Message,
    /// A subscription began or ended, and this is how many there are.
    Confirmation(Verb, u32),
}

impl Notice {
    pub(super) fn of(value: ValueRef<'_>) -> Option<Self> {
        let mut items = value.items()?;
        let kind = items.next()?.bytes()?;
        match kind {
            b"message" | b"smessage" | b"pmessage" => Published::of(value).map(|_| Notice::Message),
            kind => {
                let verb = Verb::of(kind)?;
                let count = items.nth(1)?.integer()?;
                items.next().is_none().then_some(Notice::Confirmation(verb, count.try_into().unwrap_or(0)))
            }
        }
    }
}

/// How many channels there are, as the server counts them: channels and patterns together, those of shards apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subscriptions {
    channels: u32,
    patterns: u32,
    shards: u32,
}

impl Subscriptions {
    pub(super) fn any(self) -> bool {
        self.channels > 0 || self.patterns > 0 || self.shards > 0
    }

    /// A confirmation came.
    pub(super) fn confirm(&mut self, verb: Verb, count: u32) {
        match verb {
            Verb::Subscribe | Verb::Unsubscribe => self.channels = count.saturating_sub(self.patterns),
            Verb::Psubscribe | Verb::Punsubscribe => self.patterns = count.saturating_sub(self.channels),
            Verb::Ssubscribe | Verb::Sunsubscribe => self.shards = count,
        }
    }

    /// How many of this kind are left.
    pub(super) fn left(self, verb: Verb) -> u32 {
        match verb {
            Verb::Subscribe | Verb::Unsubscribe => self.channels,
            Verb::Psubscribe | Verb::Punsubscribe => self.patterns,
            Verb::Ssubscribe | Verb::Sunsubscribe => self.shards,
        }
    }
}
