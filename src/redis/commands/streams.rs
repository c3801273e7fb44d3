//! Streams, and groups of their readers.

use super::*;

options! {
    /// How XADD keeps a stream short.
    XaddOptions
}

impl XaddOptions {
    /// Does not make the stream where it is not there.
    pub fn nomkstream(self) -> Self {
        self.with(["NOMKSTREAM"])
    }

    /// Keeps so many entries.
    pub fn maxlen(self, entries: u64) -> Self {
        self.with(["MAXLEN", &entries.to_string()])
    }

    /// Keeps so many entries or a few more, which is much less work.
    pub fn about(self, entries: u64) -> Self {
        self.with(["MAXLEN", "~", &entries.to_string()])
    }

    /// Keeps entries from this one on.
    pub fn minid(self, id: &str) -> Self {
        self.with(["MINID", id])
    }
}

options! {
    /// How many entries a read tells, and how long it waits for them.
    XreadOptions
}

impl XreadOptions {
    /// At most so many of each stream.
    pub fn count(self, entries: u64) -> Self {
        self.with(["COUNT", &entries.to_string()])
    }

    /// Waits for entries where there are none; `None` for ever.
    pub fn block(self, timeout: Option<Duration>) -> Self {
        self.with(["BLOCK", &timeout.map_or(0, milliseconds).to_string()])
    }

    /// What a group reads counts as acknowledged; for XREADGROUP only.
    pub fn noack(self) -> Self {
        self.with(["NOACK"])
    }
}

/// The keys of pairs, and then their values.
fn streams<K: ToArg, I: ToArg>(streams: &[(K, I)]) -> impl ToArgs {
    struct Streams<'a, K, I>(&'a [(K, I)]);
    impl<K: ToArg, I: ToArg> ToArgs for Streams<'_, K, I> {
        fn to_args(&self, args: &mut Args<'_>) {
            self.0.iter().for_each(|(key, _)| args.add(key));
            self.0.iter().for_each(|(_, id)| args.add(id));
        }
    }
    Streams(streams)
}

impl Redis {
    /// Adds an entry: `("city", "Plzen")`, a map, or pairs. Reply: string, its id.
    pub fn xadd(&self, key: impl ToArg, fields: impl ToArgs) -> Command {
        self.command("XADD", (key, "*", fields))
    }

    /// Adds an entry with an id of one's own, `*` for any. Reply: string, its id; nil with `nomkstream`.
    pub fn xadd_with(&self, key: impl ToArg, options: XaddOptions, id: impl ToArg, fields: impl ToArgs) -> Command {
        self.command("XADD", (key, options, id, fields))
    }

    /// Entries of streams after these ids, `$` for what comes from now on. Reply: keys and entries, or nil.
    ///
    /// ```
    /// use aquests::redis::{Redis, XreadOptions};
    ///
    /// let db = Redis::at("127.0.0.1:6379");
    /// let command = db.xread(XreadOptions::new().block(None), &[("orders", "$"), ("returns", "$")]);
    /// ```
    pub fn xread<K: ToArg, I: ToArg>(&self, options: XreadOptions, from: &[(K, I)]) -> Command {
        self.command("XREAD", (options, "STREAMS", streams(from)))
    }

    /// Entries of streams for one consumer of a group, `>` for what none got yet. Reply: keys and entries, or nil.
    pub fn xreadgroup<K: ToArg, I: ToArg>(
        &self,
        group: impl ToArg,
        consumer: impl ToArg,
        options: XreadOptions,
        from: &[(K, I)],
    ) -> Command {
        self.command("XREADGROUP", ("GROUP", group, consumer, options, "STREAMS", streams(from)))
    }

    /// Makes a group that begins after this id (`$`: now), and the stream if it is not there. Reply: OK.
    pub fn xgroup_create(&self, key: impl ToArg, group: impl ToArg, id: impl ToArg) -> Command {
        self.command("XGROUP CREATE", (key, group, id, "MKSTREAM"))
    }

    /// Removes a group. Reply: 1 or 0.
    pub fn xgroup_destroy(&self, key: impl ToArg, group: impl ToArg) -> Command {
        self.command("XGROUP DESTROY", (key, group))
    }

    /// A consumer is done with entries. Reply: integer, how many.
    pub fn xack(&self, key: impl ToArg, group: impl ToArg, ids: impl ToArgs) -> Command {
        self.command("XACK", (key, group, ids))
    }

    /// How many entries there are. Reply: integer.
    pub fn xlen(&self, key: impl ToArg) -> Command {
        self.command("XLEN", key)
    }

    /// The entries from one id to another, `-` and `+` for the ends; at most so many. Reply: entries.
    pub fn xrange(&self, key: impl ToArg, from: impl ToArg, to: impl ToArg, count: Option<u64>) -> Command {
        self.command("XRANGE", (key, from, to, count.map(|count| ("COUNT", count))))
    }

    /// The entries from one id back to another; at most so many. Reply: entries.
    pub fn xrevrange(&self, key: impl ToArg, from: impl ToArg, to: impl ToArg, count: Option<u64>) -> Command {
        self.command("XREVRANGE", (key, from, to, count.map(|count| ("COUNT", count))))
    }

    /// Keeps the last so many entries. Reply: integer, how many went.
    pub fn xtrim(&self, key: impl ToArg, entries: u64) -> Command {
        self.command("XTRIM", (key, "MAXLEN", entries))
    }

    /// Removes entries. Reply: integer, how many there were.
    pub fn xdel(&self, key: impl ToArg, ids: impl ToArgs) -> Command {
        self.command("XDEL", (key, ids))
    }

    /// What a group has not acknowledged. Reply: how many, the first and the last id, and how many of each consumer.
    pub fn xpending(&self, key: impl ToArg, group: impl ToArg) -> Command {
        self.command("XPENDING", (key, group))
    }

    /// What a group has not acknowledged, from one id to another, at most so many. Reply: array of id, consumer,
    /// milliseconds, and how often it was told.
    pub fn xpending_range(
        &self,
        key: impl ToArg,
        group: impl ToArg,
        from: impl ToArg,
        to: impl ToArg,
        count: u64,
    ) -> Command {
        self.command("XPENDING", (key, group, from, to, count))
    }

    /// Gives a consumer what others have not acknowledged for so long, from an id on. Reply: where to go on, entries, and
    /// ids of those that are gone.
    pub fn xautoclaim(
        &self,
        key: impl ToArg,
        group: impl ToArg,
        consumer: impl ToArg,
        idle: Duration,
        from: impl ToArg,
    ) -> Command {
        let idle = if idle.is_zero() { 0 } else { milliseconds(idle) };
        self.command("XAUTOCLAIM", (key, group, consumer, idle, from))
    }

    /// What is known of a stream. Reply: map.
    pub fn xinfo_stream(&self, key: impl ToArg) -> Command {
        self.command("XINFO STREAM", key)
    }

    /// What is known of its groups. Reply: array of maps.
    pub fn xinfo_groups(&self, key: impl ToArg) -> Command {
        self.command("XINFO GROUPS", key)
    }

    /// What is known of the consumers of a group. Reply: array of maps.
    pub fn xinfo_consumers(&self, key: impl ToArg, group: impl ToArg) -> Command {
        self.command("XINFO CONSUMERS", (key, group))
    }
}
