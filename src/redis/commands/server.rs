//! The server itself.

use super::*;

impl Redis {
    /// Whether the server answers. Reply: PONG.
    pub fn ping(&self) -> Command {
        self.command("PING", ())
    }

    /// Says it back. Reply: string.
    pub fn echo(&self, message: impl ToArg) -> Command {
        self.command("ECHO", message)
    }

    /// How many keys the database has. Reply: integer.
    pub fn dbsize(&self) -> Command {
        self.command("DBSIZE", ())
    }

    /// Removes all keys of the database. Reply: OK.
    pub fn flushdb(&self) -> Command {
        self.command("FLUSHDB", ())
    }

    /// Removes all keys of all databases. Reply: OK.
    pub fn flushall(&self) -> Command {
        self.command("FLUSHALL", ())
    }

    /// What is known of the server; of some sections only: `"memory"`, or `()` for the usual ones. Reply: text.
    pub fn info(&self, sections: impl ToArgs) -> Command {
        self.command("INFO", sections)
    }

    /// Settings of the server that match a pattern. Reply: map.
    pub fn config_get(&self, pattern: impl ToArg) -> Command {
        self.command("CONFIG GET", pattern)
    }

    /// Changes a setting of the server. Reply: OK.
    pub fn config_set(&self, name: impl ToArg, value: impl ToArg) -> Command {
        self.command("CONFIG SET", (name, value))
    }

    /// The time of the server. Reply: two strings, seconds since 1970 and microseconds.
    pub fn time(&self) -> Command {
        self.command("TIME", ())
    }

    /// The connections of the server. Reply: text, a line for each.
    pub fn client_list(&self) -> Command {
        self.command("CLIENT LIST", ())
    }

    /// The last commands that took long, at most so many. Reply: array.
    pub fn slowlog_get(&self, count: Option<u64>) -> Command {
        self.command("SLOWLOG GET", count)
    }
}
