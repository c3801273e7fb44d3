//! Scripts that servers keep by their SHA-1. Whether one knows it is found out by sending; that is the client's business.

use std::fmt;
use std::sync::Arc;

use sha1::{Digest, Sha1};

use super::{Args, Command, Redis, ToArg, ToArgs};

/// A script in Lua. It is sent whole only to a server that does not know it.
///
/// ```
/// use aquests::redis::{Redis, Script};
///
/// let add = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
/// let db = Redis::at("127.0.0.1:6379");
/// let command = add.on(&db).key("visits").arg(2).command();
/// assert_eq!(command, db.evalsha(add.sha(), "visits", 2));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Script {
    text: Arc<str>,
    sha: String,
}

impl Script {
    /// A script, and its SHA-1.
    pub fn new(lua: &str) -> Self {
        let sha = Sha1::digest(lua).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text: lua.into(), sha }
    }

    /// The name by which servers know it: 40 hexadecimal digits in lower case.
    pub fn sha(&self) -> &str {
        &self.sha
    }

    /// The script.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Runs it on a server, with keys and arguments.
    pub fn on(&self, db: &Redis) -> Call {
        Call { db: db.clone(), script: self.clone(), keys: Vec::new(), args: Vec::new() }
    }
}

/// By its name, and without its text.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Script({})", self.sha)
    }
}

/// A call of a script.
#[derive(Clone)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    db: Redis,
    script: Script,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

impl Call {
    /// Adds a key, or several. In a cluster they say where the script runs.
    pub fn key(mut self, keys: impl ToArgs) -> Self {
        Args::collect(keys, &mut self.keys);
        self
    }

    /// Adds an argument, or several.
    pub fn arg(mut self, args: impl ToArgs) -> Self {
        Args::collect(args, &mut self.args);
        self
    }

    /// The command: EVALSHA, and EVAL in its place where the server does not know the script.
    pub fn command(self) -> Command {
        let whole = self.db.eval(&*self.script.text, &self.keys, &self.args);
        self.db.evalsha(&*self.script.sha, &self.keys, &self.args).fallback(whole)
    }
}

impl From<Call> for Command {
    fn from(call: Call) -> Self {
        call.command()
    }
}

/// Without the arguments, which may be secrets.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {} keys and {} arguments", self.script, self.keys.len(), self.args.len())
    }
}
