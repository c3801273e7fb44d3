//! Publishing. Subscribing is no command with one reply, and not here.

use super::*;

impl Redis {
    /// Publishes to all who subscribed to a channel. Reply: integer, how many (in a cluster, at this node).
    pub fn publish(&self, channel: impl ToArg, message: impl ToArg) -> Command {
        self.command("PUBLISH", (channel, message))
    }

    /// Publishes within the shard that has the channel (Redis 7). Reply: integer, how many.
    pub fn spublish(&self, channel: impl ToArg, message: impl ToArg) -> Command {
        self.command("SPUBLISH", (channel, message))
    }

    /// The channels that somebody subscribed to and that match a pattern. Reply: array of strings.
    pub fn pubsub_channels(&self, pattern: impl ToArg) -> Command {
        self.command("PUBSUB CHANNELS", pattern)
    }

    /// How many subscribed to channels. Reply: channels and numbers in turn.
    pub fn pubsub_numsub(&self, channels: impl ToArgs) -> Command {
        self.command("PUBSUB NUMSUB", channels)
    }
}
