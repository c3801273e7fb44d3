//! Strings, and numbers in them.

use super::*;

options! {
    /// When SET sets, and how long that lives.
    ///
    /// ```
    /// use aquests::redis::{Redis, SetOptions};
    ///
    /// let db = Redis::at("127.0.0.1:6379");
    /// let command = db.set_with("lock", "me", SetOptions::new().nx().px(30_000));
    /// assert_eq!(command, db.command("SET", ("lock", "me", "NX", "PX", 30_000)));
    /// ```
    SetOptions
}

impl SetOptions {
    /// It expires after so many seconds.
    pub fn ex(self, seconds: u64) -> Self {
        self.with(["EX", &seconds.to_string()])
    }

    /// It expires after so many milliseconds.
    pub fn px(self, milliseconds: u64) -> Self {
        self.with(["PX", &milliseconds.to_string()])
    }

    /// It expires at this time, in seconds since 1970.
    pub fn exat(self, seconds: u64) -> Self {
        self.with(["EXAT", &seconds.to_string()])
    }

    /// It expires at this time, in milliseconds since 1970.
    pub fn pxat(self, milliseconds: u64) -> Self {
        self.with(["PXAT", &milliseconds.to_string()])
    }

    /// It expires when what was there before would have.
    pub fn keepttl(self) -> Self {
        self.with(["KEEPTTL"])
    }

    /// Only where there is nothing.
    pub fn nx(self) -> Self {
        self.with(["NX"])
    }

    /// Only where there is something.
    pub fn xx(self) -> Self {
        self.with(["XX"])
    }

    /// The reply is what was there before.
    pub fn get(self) -> Self {
        self.with(["GET"])
    }
}

/// When a key expires, as GETEX has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// After so many seconds.
    Seconds(u64),
    /// After so many milliseconds.
    Milliseconds(u64),
    /// At this time, in seconds since 1970.
    At(u64),
    /// Never.
    Never,
}

impl ToArgs for Expiry {
    fn to_args(&self, args: &mut Args<'_>) {
        match self {
            Expiry::Seconds(seconds) => args.add(("EX", seconds)),
            Expiry::Milliseconds(milliseconds) => args.add(("PX", milliseconds)),
            Expiry::At(seconds) => args.add(("EXAT", seconds)),
            Expiry::Never => args.add("PERSIST"),
        }
    }
}

impl Redis {
    /// What a key has. Reply: string, or nil.
    pub fn get(&self, key: impl ToArg) -> Command {
        self.command("GET", key)
    }

    /// Sets a key. Reply: OK.
    pub fn set(&self, key: impl ToArg, value: impl ToArg) -> Command {
        self.command("SET", (key, value))
    }

    /// Sets a key under conditions. Reply: OK, or nil where it was not set; with `get`, what was there before.
    pub fn set_with(&self, key: impl ToArg, value: impl ToArg, options: SetOptions) -> Command {
        self.command("SET", (key, value, options))
    }

    /// What a key has, and removes it. Reply: string, or nil.
    pub fn getdel(&self, key: impl ToArg) -> Command {
        self.command("GETDEL", key)
    }

    /// What a key has, and changes when it expires. Reply: string, or nil.
    pub fn getex(&self, key: impl ToArg, expiry: Expiry) -> Command {
        self.command("GETEX", (key, expiry))
    }

    /// What keys have. Reply: array of strings and nils, in the order of the keys.
    pub fn mget(&self, keys: impl ToArgs) -> Command {
        self.command("MGET", keys)
    }

    /// Sets many keys at once: a map, or pairs. Reply: OK.
    pub fn mset(&self, pairs: impl ToArgs) -> Command {
        self.command("MSET", pairs)
    }

    /// Sets many keys at once if none of them is there. Reply: 1 or 0.
    pub fn msetnx(&self, pairs: impl ToArgs) -> Command {
        self.command("MSETNX", pairs)
    }

    /// Adds one. Reply: integer, the sum.
    pub fn incr(&self, key: impl ToArg) -> Command {
        self.command("INCR", key)
    }

    /// Adds a number. Reply: integer, the sum.
    pub fn incrby(&self, key: impl ToArg, number: i64) -> Command {
        self.command("INCRBY", (key, number))
    }

    /// Adds a number with a fraction. Reply: string, the sum.
    pub fn incrbyfloat(&self, key: impl ToArg, number: f64) -> Command {
        self.command("INCRBYFLOAT", (key, number))
    }

    /// Takes one away. Reply: integer, the difference.
    pub fn decr(&self, key: impl ToArg) -> Command {
        self.command("DECR", key)
    }

    /// Takes a number away. Reply: integer, the difference.
    pub fn decrby(&self, key: impl ToArg, number: i64) -> Command {
        self.command("DECRBY", (key, number))
    }

    /// Adds to the end. Reply: integer, bytes there are now.
    pub fn append(&self, key: impl ToArg, value: impl ToArg) -> Command {
        self.command("APPEND", (key, value))
    }

    /// How long it is. Reply: integer, bytes.
    pub fn strlen(&self, key: impl ToArg) -> Command {
        self.command("STRLEN", key)
    }

    /// A part, from the first to the last byte; counted from the end where negative. Reply: string.
    pub fn getrange(&self, key: impl ToArg, first: i64, last: i64) -> Command {
        self.command("GETRANGE", (key, first, last))
    }

    /// Writes over a part from this byte on. Reply: integer, bytes there are now.
    pub fn setrange(&self, key: impl ToArg, offset: u64, value: impl ToArg) -> Command {
        self.command("SETRANGE", (key, offset, value))
    }
}
