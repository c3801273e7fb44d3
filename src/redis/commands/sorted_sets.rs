//! Sorted sets: members and their scores.

use super::*;

options! {
    /// When ZADD sets a score, and what it answers.
    ZaddOptions
}

impl ZaddOptions {
    /// Only members that are new.
    pub fn nx(self) -> Self {
        self.with(["NX"])
    }

    /// Only members that are there.
    pub fn xx(self) -> Self {
        self.with(["XX"])
    }

    /// Only scores that become greater; new members too.
    pub fn gt(self) -> Self {
        self.with(["GT"])
    }

    /// Only scores that become less; new members too.
    pub fn lt(self) -> Self {
        self.with(["LT"])
    }

    /// The reply is how many changed, and not how many are new.
    pub fn ch(self) -> Self {
        self.with(["CH"])
    }

    /// Adds to the score, and the reply is the sum.
    pub fn incr(self) -> Self {
        self.with(["INCR"])
    }
}

options! {
    /// What ZRANGE means by its bounds, and what it tells.
    ///
    /// ```
    /// use aquests::redis::{RangeOptions, Redis};
    ///
    /// let db = Redis::at("127.0.0.1:6379");
    /// let best = db.zrange_with("scores", "+inf", "(100", RangeOptions::new().by_score().rev().limit(0, 10));
    /// ```
    RangeOptions
}

impl RangeOptions {
    /// The bounds are scores: `1.5`, `(1.5` for more than that, `-inf`.
    pub fn by_score(self) -> Self {
        self.with(["BYSCORE"])
    }

    /// The bounds are members, which all have the same score: `[a`, `(a`, `-`, `+`.
    pub fn by_lex(self) -> Self {
        self.with(["BYLEX"])
    }

    /// From the greatest on; the bounds are in this order too.
    pub fn rev(self) -> Self {
        self.with(["REV"])
    }

    /// So many of them, after so many; all of them where negative.
    pub fn limit(self, offset: u64, count: i64) -> Self {
        self.with(["LIMIT", &offset.to_string(), &count.to_string()])
    }

    /// Each member with its score.
    pub fn with_scores(self) -> Self {
        self.with(["WITHSCORES"])
    }
}

impl Redis {
    /// Adds members: `(score, member)`, or many such pairs. Reply: integer, how many are new.
    pub fn zadd(&self, key: impl ToArg, scores: impl ToArgs) -> Command {
        self.command("ZADD", (key, scores))
    }

    /// Adds members under conditions. Reply: integer; with `incr`, double or nil.
    pub fn zadd_with(&self, key: impl ToArg, options: ZaddOptions, scores: impl ToArgs) -> Command {
        self.command("ZADD", (key, options, scores))
    }

    /// Removes members. Reply: integer, how many there were.
    pub fn zrem(&self, key: impl ToArg, members: impl ToArgs) -> Command {
        self.command("ZREM", (key, members))
    }

    /// The score of a member. Reply: double, or nil.
    pub fn zscore(&self, key: impl ToArg, member: impl ToArg) -> Command {
        self.command("ZSCORE", (key, member))
    }

    /// The scores of members. Reply: array of doubles and nils.
    pub fn zmscore(&self, key: impl ToArg, members: impl ToArgs) -> Command {
        self.command("ZMSCORE", (key, members))
    }

    /// Adds to a score. Reply: double, the sum.
    pub fn zincrby(&self, key: impl ToArg, number: f64, member: impl ToArg) -> Command {
        self.command("ZINCRBY", (key, number, member))
    }

    /// The members from the first to the last, by their scores; counted from the end where negative. Reply: array.
    pub fn zrange(&self, key: impl ToArg, first: i64, last: i64) -> Command {
        self.command("ZRANGE", (key, first, last))
    }

    /// The members between two bounds, which the options explain (Redis 6.2). Reply: array, or pairs with scores.
    pub fn zrange_with(&self, key: impl ToArg, from: impl ToArg, to: impl ToArg, options: RangeOptions) -> Command {
        self.command("ZRANGE", (key, from, to, options))
    }

    /// The members with scores between two: numbers, `"(1"` for more than that, `"-inf"`. Reply: array.
    pub fn zrangebyscore(&self, key: impl ToArg, least: impl ToArg, most: impl ToArg) -> Command {
        self.command("ZRANGEBYSCORE", (key, least, most))
    }

    /// Removes the members with scores between two. Reply: integer, how many there were.
    pub fn zremrangebyscore(&self, key: impl ToArg, least: impl ToArg, most: impl ToArg) -> Command {
        self.command("ZREMRANGEBYSCORE", (key, least, most))
    }

    /// Removes the members from the first to the last, by their scores. Reply: integer, how many there were.
    pub fn zremrangebyrank(&self, key: impl ToArg, first: i64, last: i64) -> Command {
        self.command("ZREMRANGEBYRANK", (key, first, last))
    }

    /// The place of a member, 0 with the least score. Reply: integer, or nil.
    pub fn zrank(&self, key: impl ToArg, member: impl ToArg) -> Command {
        self.command("ZRANK", (key, member))
    }

    /// The place of a member, 0 with the greatest score. Reply: integer, or nil.
    pub fn zrevrank(&self, key: impl ToArg, member: impl ToArg) -> Command {
        self.command("ZREVRANK", (key, member))
    }

    /// How many members there are. Reply: integer.
    pub fn zcard(&self, key: impl ToArg) -> Command {
        self.command("ZCARD", key)
    }

    /// How many members have scores between two. Reply: integer.
    pub fn zcount(&self, key: impl ToArg, least: impl ToArg, most: impl ToArg) -> Command {
        self.command("ZCOUNT", (key, least, most))
    }

    /// Takes the member with the least score; with a number, as many as that. Reply: members and scores.
    pub fn zpopmin(&self, key: impl ToArg, count: Option<u64>) -> Command {
        self.command("ZPOPMIN", (key, count))
    }

    /// Takes the member with the greatest score; with a number, as many as that. Reply: members and scores.
    pub fn zpopmax(&self, key: impl ToArg, count: Option<u64>) -> Command {
        self.command("ZPOPMAX", (key, count))
    }

    /// Waits for the member with the least score of any of these; `None` for ever. Reply: key, member and score, or nil.
    pub fn bzpopmin(&self, keys: impl ToArgs, timeout: Option<Duration>) -> Command {
        self.command("BZPOPMIN", (keys, seconds(timeout)))
    }

    /// Waits for the member with the greatest score of any of these; `None` for ever. Reply: key, member and score, or nil.
    pub fn bzpopmax(&self, keys: impl ToArgs, timeout: Option<Duration>) -> Command {
        self.command("BZPOPMAX", (keys, seconds(timeout)))
    }

    /// Some of the members, from the cursor 0 until the reply has it. Reply: the next cursor, and members with scores.
    pub fn zscan(&self, key: impl ToArg, cursor: u64, options: ScanOptions) -> Command {
        self.command("ZSCAN", (key, cursor, options))
    }
}
