//! One command as a value: its words, written as they go over the wire. When it is sent, and who gets the reply, is not
//! known here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::args::{Args, ToArgs};
use super::class::{self, Class};
use super::{Node, Redis, Settings};
use crate::Error;
use crate::protocols::Refused;
use crate::protocols::redis::{PreparedCommand, Words};

/// A command to a server, with its arguments.
///
/// Made by [`Redis::command`] or by a method for it. Two are equal if they go to the same server and have the same
/// words, those for a server that does not know the [`Script`](crate::redis::Script) included.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "a command does nothing until it is sent"]
pub struct Command {
    settings: Arc<Settings>,
    words: Words,
    /// How many words the name has.
    name: usize,
    /// The same for a server that does not know the script.
    fallback: Option<Box<Words>>,
    /// Who is to be asked, whoever has the keys.
    node: Option<Box<Node>>,
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
        Command { settings: self.settings().clone(), words, name, fallback: None, node: None }.arg(args)
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

    /// In a cluster: to this node, whoever has its keys. Its host is an IPv6 address without brackets, an IPv4 address, or
    /// a name.
    ///
    /// ```
    /// use aquests::redis::Redis;
    ///
    /// let db = Redis::at("127.0.0.1:7000").cluster();
    /// let commands = [7000, 7001, 7002].map(|port| db.dbsize().at("127.0.0.1", port));
    /// ```
    pub fn at(mut self, host: &str, port: u16) -> Self {
        self.node = Some(Box::new(Node::new(host, port)));
        self
    }

    /// And what to send instead to a server that does not know the script.
    pub(super) fn fallback(mut self, other: Command) -> Self {
        self.fallback = Some(Box::new(other.words));
        self
    }

    /// The name in capital letters: `SET`, `CONFIG GET`. The second word is a part of it where it was given with it and names
    /// a command together with the first; else it is an argument, which may be a secret.
    pub fn name(&self) -> String {
        let mut name = String::with_capacity(16);
        for (at, word) in self.words.iter().take(self.name).enumerate() {
            name.extend((at > 0).then_some(' '));
            name.push_str(&String::from_utf8_lossy(word));
        }
        name.make_ascii_uppercase();
        if self.name > 1 && !class::is_known(&name) {
            name.truncate(name.find(' ').unwrap_or(name.len()));
        }
        name
    }

    /// All its words, the name first. Secrets too.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.words.iter()
    }

    /// Its keys, as far as they are known from the words: of a command that this version does not know, the first
    /// argument.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        class::keys(&self.words)
    }

    /// It changes nothing: after a lost connection it is sent again. `false` for commands that this version does not
    /// know.
    pub fn is_read_only(&self) -> bool {
        self.class().read_only
    }

    /// How long the server may wait before it answers, if it may: `Some(None)` for ever. Such a command gets a
    /// connection of its own.
    pub fn blocks(&self) -> Option<Option<Duration>> {
        self.class().wait.limit()
    }

    pub(crate) fn class(&self) -> Class {
        class::class(&self.words)
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The words that any server understands: those of a script are the script itself. Among others nobody can send
    /// them again.
    pub(super) fn written(&self) -> &Words {
        self.fallback.as_deref().unwrap_or(&self.words)
    }

    /// The slot of its keys, where it has any.
    pub(crate) fn slot(&self) -> Result<Option<u16>, Error> {
        class::slot(&self.words, None).map_err(|_| self.invalid("its keys are in different slots"))
    }

    /// It is for one node, whoever has the keys.
    pub(super) fn names_node(&self) -> bool {
        self.node.is_some()
    }

    fn invalid(&self, words: &str) -> Error {
        Error::invalid(format!("{} cannot be sent: {words}", self.name().escape_debug()))
    }

    /// What is sent, if it can be.
    pub(crate) fn exchange(self) -> Result<Exchange, Error> {
        self.settings.check()?;
        let slot = if self.settings.is_cluster() && self.node.is_none() { self.slot()? } else { None };
        let (name, class) = (self.name(), self.class());
        let refused = |refused: Refused| Error::invalid(format!("{} cannot be sent: {refused}", name.escape_debug()));
        let prepared = self.words.finish().map_err(refused)?;
        let fallback = self.fallback.map(|words| words.finish()).transpose().map_err(refused)?;
        let (node, parts) = (self.node, Vec::new());
        Ok(Exchange { settings: self.settings, prepared, name, class, slot, node, fallback, atomic: true, parts })
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
    /// The node of a cluster that is asked, whoever has the slot.
    pub(crate) node: Option<Box<Node>>,
    /// To be sent where the reply is NOSCRIPT.
    pub(crate) fallback: Option<PreparedCommand>,
    /// It is done whole or not at all.
    pub(crate) atomic: bool,
    /// The commands of a batch one by one, where the server may want some of them elsewhere.
    pub(crate) parts: Vec<PreparedCommand>,
}
