//! One command as a value: its words, written as they go over the wire. When it is sent, and who gets the reply, is not
//! known here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::args::{Args, ToArgs};
use super::class::{self, Class};
use super::{Redis, Settings, Topology};
use crate::Error;
use crate::protocols::Refused;
use crate::protocols::redis::{PreparedCommand, Words};

/// A command to a server, with its arguments.
///
/// Made by [`Redis::command`] or by a method for it. Two are equal if they go to the same server and have the same words.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "a command does nothing until it is sent"]
pub struct Command {
    settings: Arc<Settings>,
    words: Words,
    /// How many words the name has.
    name: usize,
    /// The same for a server that does not know the script.
    fallback: Option<Box<Words>>,
}

impl Redis {
    /// Any command by its name. Names of two words may be written as one: `CONFIG GET`.
    ///
    /// ```
    /// use aquests::redis::Redis;
    ///
    /// let db = Redis::at("127.0.0.1:6379");
    /// let command = db.command("SET", ("city", "Plzen")).arg(("EX", 60));
    /// ```
    pub fn command(&self, name: &str, args: impl ToArgs) -> Command {
        let mut words = Words::new();
        name.split(' ').for_each(|word| words.push(word));
        let name = words.len();
        Command { settings: self.settings().clone(), words, name, fallback: None }.arg(args)
    }
}

impl Command {
    /// Adds arguments.
    pub fn arg(mut self, args: impl ToArgs) -> Self {
        args.to_args(&mut Args::new(&mut self.words));
        if let Some(words) = &mut self.fallback {
            args.to_args(&mut Args::new(words));
        }
        self
    }

    /// And what to send instead to a server that does not know the script.
    pub(super) fn fallback(mut self, other: Command) -> Self {
        self.fallback = Some(Box::new(other.words));
        self
    }

    /// The name in capital letters, as many words as it was given in: `SET`, `CONFIG GET`.
    pub fn name(&self) -> String {
        let words: Vec<_> = self.words.iter().take(self.name).map(String::from_utf8_lossy).collect();
        words.join(" ").to_ascii_uppercase()
    }

    /// All its words, the name first. Secrets too.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.words.iter()
    }

    /// Its keys, as far as they are known from the words: of a command that this version does not know, the first argument.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        class::keys(&self.words)
    }

    /// It changes nothing: after a lost connection it is sent again. `false` for commands that this version does not know.
    pub fn is_read_only(&self) -> bool {
        self.class().read_only
    }

    /// How long the server may wait before it answers, if it may: `Some(None)` for ever. Such a command gets a connection
    /// of its own.
    pub fn blocks(&self) -> Option<Option<Duration>> {
        self.class().wait.limit()
    }

    pub(crate) fn class(&self) -> Class {
        class::class(&self.words)
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    pub(crate) fn written(&self) -> &Words {
        &self.words
    }

    /// The slot of its keys, where it has any.
    pub(crate) fn slot(&self) -> Result<Option<u16>, Error> {
        class::slot(&self.words, None).map_err(|_| self.invalid("its keys are in different slots"))
    }

    fn invalid(&self, words: &str) -> Error {
        Error::invalid(format!("{} cannot be sent: {words}", self.name().escape_debug()))
    }

    /// What is sent, if it can be.
    pub(crate) fn exchange(self) -> Result<Exchange, Error> {
        if let Some(wrong) = &self.settings.wrong {
            return Err(Error::invalid(wrong));
        }
        let slot = if self.settings.topology == Topology::Cluster { self.slot()? } else { None };
        let (name, class) = (self.name(), self.class());
        let refused = |refused: Refused| Error::invalid(format!("{} cannot be sent: {refused}", name.escape_debug()));
        let prepared = self.words.finish().map_err(refused)?;
        let fallback = self.fallback.map(|words| words.finish()).transpose().map_err(refused)?;
        Ok(Exchange { settings: self.settings, prepared, name, class, slot, fallback })
    }
}

/// Without the arguments, which may be secrets.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments = self.words.len() - self.name;
        write!(f, "{} and {arguments} arguments to {}", self.name().escape_debug(), self.settings.place)
    }
}

/// What goes to a server in one go: one command, or several whose replies belong together.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) settings: Arc<Settings>,
    pub(crate) prepared: PreparedCommand,
    /// What reports and errors call it.
    pub(crate) name: String,
    pub(crate) class: Class,
    /// Where it belongs in a cluster; `None` where any node will do, and where there is no cluster.
    pub(crate) slot: Option<u16>,
    /// To be sent where the reply is NOSCRIPT.
    pub(crate) fallback: Option<PreparedCommand>,
}
