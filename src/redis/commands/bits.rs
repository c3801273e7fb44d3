//! Bits in strings, and counts of what is different.

use super::*;

impl Redis {
    /// Sets a bit. Reply: 1 or 0, what it was.
    pub fn setbit(&self, key: impl ToArg, offset: u64, bit: bool) -> Command {
        self.command("SETBIT", (key, offset, bit))
    }

    /// A bit. Reply: 1 or 0.
    pub fn getbit(&self, key: impl ToArg, offset: u64) -> Command {
        self.command("GETBIT", (key, offset))
    }

    /// How many bits are 1, perhaps only from one byte to another; counted from the end where negative. Reply: integer.
    pub fn bitcount(&self, key: impl ToArg, bytes: Option<(i64, i64)>) -> Command {
        self.command("BITCOUNT", (key, bytes))
    }

    /// Where the first such bit is. Reply: integer, or -1.
    pub fn bitpos(&self, key: impl ToArg, bit: bool) -> Command {
        self.command("BITPOS", (key, bit))
    }

    /// Adds members to a HyperLogLog. Reply: 1 where its count changed, or 0.
    pub fn pfadd(&self, key: impl ToArg, members: impl ToArgs) -> Command {
        self.command("PFADD", (key, members))
    }

    /// How many different members there are in any of these, about. Reply: integer.
    pub fn pfcount(&self, keys: impl ToArgs) -> Command {
        self.command("PFCOUNT", keys)
    }

    /// Puts several into one. Reply: OK.
    pub fn pfmerge(&self, to: impl ToArg, keys: impl ToArgs) -> Command {
        self.command("PFMERGE", (to, keys))
    }
}
