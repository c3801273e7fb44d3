//! Lists.

use super::*;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The head.
    Left,
    /// The tail.
    Right,
}

impl ToArgs for Side {
    fn to_args(&self, args: &mut Args<'_>) {
        args.word(match self {
            Side::Left => "LEFT",
            Side::Right => "RIGHT",
        });
    }
}

impl ToArg for Side {}

impl Redis {
    /// Adds values at the head, one after the other. Reply: integer, how many there are now.
    pub fn lpush(&self, key: impl ToArg, values: impl ToArgs) -> Command {
        self.command("LPUSH", (key, values))
    }

    /// Adds values at the tail. Reply: integer, how many there are now.
    pub fn rpush(&self, key: impl ToArg, values: impl ToArgs) -> Command {
        self.command("RPUSH", (key, values))
    }

    /// Takes the first value; with a number, as many as that. Reply: string or nil; with a number, array or nil.
    pub fn lpop(&self, key: impl ToArg, count: Option<u64>) -> Command {
        self.command("LPOP", (key, count))
    }

    /// Takes the last value; with a number, as many as that. Reply: string or nil; with a number, array or nil.
    pub fn rpop(&self, key: impl ToArg, count: Option<u64>) -> Command {
        self.command("RPOP", (key, count))
    }

    /// The values from the first to the last; counted from the end where negative. Reply: array of strings.
    pub fn lrange(&self, key: impl ToArg, first: i64, last: i64) -> Command {
        self.command("LRANGE", (key, first, last))
    }

    /// How many values there are. Reply: integer.
    pub fn llen(&self, key: impl ToArg) -> Command {
        self.command("LLEN", key)
    }

    /// The value at this place. Reply: string, or nil.
    pub fn lindex(&self, key: impl ToArg, index: i64) -> Command {
        self.command("LINDEX", (key, index))
    }

    /// Sets the value at this place. Reply: OK.
    pub fn lset(&self, key: impl ToArg, index: i64, value: impl ToArg) -> Command {
        self.command("LSET", (key, index, value))
    }

    /// Keeps the values from the first to the last. Reply: OK.
    pub fn ltrim(&self, key: impl ToArg, first: i64, last: i64) -> Command {
        self.command("LTRIM", (key, first, last))
    }

    /// Removes so many values like this: from the head, from the tail where negative, all where 0. Reply: integer, how many.
    pub fn lrem(&self, key: impl ToArg, count: i64, value: impl ToArg) -> Command {
        self.command("LREM", (key, count, value))
    }

    /// Takes a value from one list and adds it to another. Reply: string, or nil.
    pub fn lmove(&self, from: impl ToArg, to: impl ToArg, take: Side, add: Side) -> Command {
        self.command("LMOVE", (from, to, take, add))
    }

    /// Waits for the first value of any of these lists; `None` for ever. Reply: key and value, or nil.
    pub fn blpop(&self, keys: impl ToArgs, timeout: Option<Duration>) -> Command {
        self.command("BLPOP", (keys, seconds(timeout)))
    }

    /// Waits for the last value of any of these lists; `None` for ever. Reply: key and value, or nil.
    pub fn brpop(&self, keys: impl ToArgs, timeout: Option<Duration>) -> Command {
        self.command("BRPOP", (keys, seconds(timeout)))
    }

    /// Waits for a value in one list and adds it to another; `None` for ever. Reply: string, or nil.
    pub fn blmove(
        &self,
        from: impl ToArg,
        to: impl ToArg,
        take: Side,
        add: Side,
        timeout: Option<Duration>,
    ) -> Command {
        self.command("BLMOVE", (from, to, take, add, seconds(timeout)))
    }
}
