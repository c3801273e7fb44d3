//! Sets.

use super::*;

impl Redis {
    /// Adds members. Reply: integer, how many are new.
    pub fn sadd(&self, key: impl ToArg, members: impl ToArgs) -> Command {
        self.command("SADD", (key, members))
    }

    /// Removes members. Reply: integer, how many there were.
    pub fn srem(&self, key: impl ToArg, members: impl ToArgs) -> Command {
        self.command("SREM", (key, members))
    }

    /// All members. Reply: set.
    pub fn smembers(&self, key: impl ToArg) -> Command {
        self.command("SMEMBERS", key)
    }

    /// Whether it is a member. Reply: 1 or 0.
    pub fn sismember(&self, key: impl ToArg, member: impl ToArg) -> Command {
        self.command("SISMEMBER", (key, member))
    }

    /// Whether they are members. Reply: array of 1 and 0.
    pub fn smismember(&self, key: impl ToArg, members: impl ToArgs) -> Command {
        self.command("SMISMEMBER", (key, members))
    }

    /// How many members there are. Reply: integer.
    pub fn scard(&self, key: impl ToArg) -> Command {
        self.command("SCARD", key)
    }

    /// Takes a member at random; with a number, as many as that. Reply: string or nil; with a number, set.
    pub fn spop(&self, key: impl ToArg, count: Option<u64>) -> Command {
        self.command("SPOP", (key, count))
    }

    /// A member at random; with a number, as many as that, where negative perhaps the same again. Reply: string or nil; with
    /// a number, array.
    pub fn srandmember(&self, key: impl ToArg, count: Option<i64>) -> Command {
        self.command("SRANDMEMBER", (key, count))
    }

    /// Moves a member to another set. Reply: 1, or 0 where it is none.
    pub fn smove(&self, from: impl ToArg, to: impl ToArg, member: impl ToArg) -> Command {
        self.command("SMOVE", (from, to, member))
    }

    /// What all of these sets have. Reply: set.
    pub fn sinter(&self, keys: impl ToArgs) -> Command {
        self.command("SINTER", keys)
    }

    /// What any of these sets has. Reply: set.
    pub fn sunion(&self, keys: impl ToArgs) -> Command {
        self.command("SUNION", keys)
    }

    /// What the first of these sets has and no other. Reply: set.
    pub fn sdiff(&self, keys: impl ToArgs) -> Command {
        self.command("SDIFF", keys)
    }

    /// Some of the members, from the cursor 0 until the reply has it. Reply: the next cursor, and members.
    pub fn sscan(&self, key: impl ToArg, cursor: u64, options: ScanOptions) -> Command {
        self.command("SSCAN", (key, cursor, options))
    }
}
