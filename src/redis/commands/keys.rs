//! Keys, whatever they have.

use super::*;

options! {
    /// Which keys, fields or members a scan tells, and how many at a time.
    ///
    /// ```
    /// use aquests::redis::{Redis, ScanOptions};
    ///
    /// let db = Redis::at("127.0.0.1:6379");
    /// let page = db.scan(0, ScanOptions::new().matching("user:*").count(1000));
    /// ```
    ScanOptions
}

impl ScanOptions {
    /// Those that match a pattern: `user:*`, `h?llo`, `h[ae]llo`.
    pub fn matching(self, pattern: &str) -> Self {
        self.with(["MATCH", pattern])
    }

    /// The server looks at about so many at a time: 10 unless set.
    pub fn count(self, count: u64) -> Self {
        self.with(["COUNT", &count.to_string()])
    }

    /// Keys of one type (`string`, `hash`, …); for SCAN only.
    pub fn of_type(self, name: &str) -> Self {
        self.with(["TYPE", name])
    }
}

impl Redis {
    /// Removes keys. Reply: integer, how many there were.
    pub fn del(&self, keys: impl ToArgs) -> Command {
        self.command("DEL", keys)
    }

    /// Removes keys, and frees their memory later. Reply: integer, how many there were.
    pub fn unlink(&self, keys: impl ToArgs) -> Command {
        self.command("UNLINK", keys)
    }

    /// Whether keys are there. Reply: integer, how many are.
    pub fn exists(&self, keys: impl ToArgs) -> Command {
        self.command("EXISTS", keys)
    }

    /// Expires after so many seconds. Reply: 1, or 0 where there is no such key.
    pub fn expire(&self, key: impl ToArg, seconds: i64) -> Command {
        self.command("EXPIRE", (key, seconds))
    }

    /// Expires after so many milliseconds. Reply: 1, or 0 where there is no such key.
    pub fn pexpire(&self, key: impl ToArg, milliseconds: i64) -> Command {
        self.command("PEXPIRE", (key, milliseconds))
    }

    /// Expires at a time in seconds since 1970. Reply: 1, or 0 where there is no such key.
    pub fn expireat(&self, key: impl ToArg, seconds: i64) -> Command {
        self.command("EXPIREAT", (key, seconds))
    }

    /// Expires at a time in milliseconds since 1970. Reply: 1, or 0 where there is no such key.
    pub fn pexpireat(&self, key: impl ToArg, milliseconds: i64) -> Command {
        self.command("PEXPIREAT", (key, milliseconds))
    }

    /// Seconds until it expires. Reply: integer; -1 where it does not, -2 where there is no such key.
    pub fn ttl(&self, key: impl ToArg) -> Command {
        self.command("TTL", key)
    }

    /// Milliseconds until it expires. Reply: integer; -1 where it does not, -2 where there is no such key.
    pub fn pttl(&self, key: impl ToArg) -> Command {
        self.command("PTTL", key)
    }

    /// Does not expire any more. Reply: 1, or 0 where it did not before.
    pub fn persist(&self, key: impl ToArg) -> Command {
        self.command("PERSIST", key)
    }

    /// What a key has: `string`, `hash`, `list`, `set`, `zset`, `stream`, `none`. Reply: status.
    pub fn key_type(&self, key: impl ToArg) -> Command {
        self.command("TYPE", key)
    }

    /// Gives a key another name, and removes what had that. Reply: OK.
    pub fn rename(&self, key: impl ToArg, name: impl ToArg) -> Command {
        self.command("RENAME", (key, name))
    }

    /// Gives a key another name that nothing has. Reply: 1 or 0.
    pub fn renamenx(&self, key: impl ToArg, name: impl ToArg) -> Command {
        self.command("RENAMENX", (key, name))
    }

    /// Copies a key to another one that is not there. Reply: 1 or 0.
    pub fn copy(&self, key: impl ToArg, to: impl ToArg) -> Command {
        self.command("COPY", (key, to))
    }

    /// Says that keys are in use. Reply: integer, how many there are.
    pub fn touch(&self, keys: impl ToArgs) -> Command {
        self.command("TOUCH", keys)
    }

    /// All keys that match a pattern; the server does nothing else meanwhile. Reply: array of strings.
    pub fn keys(&self, pattern: impl ToArg) -> Command {
        self.command("KEYS", pattern)
    }

    /// Some of the keys: begins with the cursor 0, and ends when the reply has it. Reply: the next cursor, and keys.
    pub fn scan(&self, cursor: u64, options: ScanOptions) -> Command {
        self.command("SCAN", (cursor, options))
    }

    /// Any key. Reply: string, or nil where there is none.
    pub fn randomkey(&self) -> Command {
        self.command("RANDOMKEY", ())
    }

    /// How the server holds what a key has. Reply: string, or nil.
    pub fn object_encoding(&self, key: impl ToArg) -> Command {
        self.command("OBJECT ENCODING", key)
    }

    /// How much memory a key takes. Reply: integer, bytes; or nil.
    pub fn memory_usage(&self, key: impl ToArg) -> Command {
        self.command("MEMORY USAGE", key)
    }
}
