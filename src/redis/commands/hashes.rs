//! Hashes: fields and their values.

use super::*;

impl Redis {
    /// Sets fields: `("name", "Ada")`, a map, or pairs. Reply: integer, how many are new.
    pub fn hset(&self, key: impl ToArg, fields: impl ToArgs) -> Command {
        self.command("HSET", (key, fields))
    }

    /// Sets a field that is not there. Reply: 1 or 0.
    pub fn hsetnx(&self, key: impl ToArg, field: impl ToArg, value: impl ToArg) -> Command {
        self.command("HSETNX", (key, field, value))
    }

    /// What a field has. Reply: string, or nil.
    pub fn hget(&self, key: impl ToArg, field: impl ToArg) -> Command {
        self.command("HGET", (key, field))
    }

    /// What fields have. Reply: array of strings and nils, in the order of the fields.
    pub fn hmget(&self, key: impl ToArg, fields: impl ToArgs) -> Command {
        self.command("HMGET", (key, fields))
    }

    /// All fields and their values. Reply: map.
    pub fn hgetall(&self, key: impl ToArg) -> Command {
        self.command("HGETALL", key)
    }

    /// Removes fields. Reply: integer, how many there were.
    pub fn hdel(&self, key: impl ToArg, fields: impl ToArgs) -> Command {
        self.command("HDEL", (key, fields))
    }

    /// Adds a number. Reply: integer, the sum.
    pub fn hincrby(&self, key: impl ToArg, field: impl ToArg, number: i64) -> Command {
        self.command("HINCRBY", (key, field, number))
    }

    /// Adds a number with a fraction. Reply: string, the sum.
    pub fn hincrbyfloat(&self, key: impl ToArg, field: impl ToArg, number: f64) -> Command {
        self.command("HINCRBYFLOAT", (key, field, number))
    }

    /// Whether a field is there. Reply: 1 or 0.
    pub fn hexists(&self, key: impl ToArg, field: impl ToArg) -> Command {
        self.command("HEXISTS", (key, field))
    }

    /// All fields. Reply: array of strings.
    pub fn hkeys(&self, key: impl ToArg) -> Command {
        self.command("HKEYS", key)
    }

    /// All values. Reply: array of strings.
    pub fn hvals(&self, key: impl ToArg) -> Command {
        self.command("HVALS", key)
    }

    /// How many fields there are. Reply: integer.
    pub fn hlen(&self, key: impl ToArg) -> Command {
        self.command("HLEN", key)
    }

    /// Some of the fields, from the cursor 0 until the reply has it. Reply: the next cursor, and fields with their values.
    pub fn hscan(&self, key: impl ToArg, cursor: u64, options: ScanOptions) -> Command {
        self.command("HSCAN", (key, cursor, options))
    }
}
