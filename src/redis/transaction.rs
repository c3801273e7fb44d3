//! Several commands in one exchange: nothing of anybody else comes between them on the connection. Only written here;
//! how replies are put together is the client's business.

use std::fmt;
use std::sync::Arc;

use super::class::{self, Class, Wait};
use super::{Command, Exchange, Redis, Settings, Topology};
use crate::Error;
use crate::protocols::redis::{PreparedCommand, Words};

/// Commands that happen all at once or, if the server refuses to queue one, not at all: MULTI, EXEC, and these between.
///
/// One that fails while it runs does not take the others back; its error stands among the replies. The last reply is
/// that of EXEC: an array with the replies of the commands, which before it are only said to be queued.
///
/// ```
/// use aquests::redis::Redis;
///
/// let db = Redis::at("127.0.0.1:6379");
/// let transaction = db.transaction().add(db.incr("visits")).add(db.expire("visits", 60));
/// assert_eq!(transaction.len(), 2);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use = "a transaction does nothing until it is sent"]
pub struct Transaction {
    several: Several,
}

/// Commands that are sent in one go and answered one by one, others perhaps between them at the server.
///
/// Each has its own reply, and one that fails does not keep the others from running.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "a batch does nothing until it is sent"]
pub struct Batch {
    several: Several,
}

#[derive(Clone, PartialEq, Eq)]
struct Several {
    settings: Arc<Settings>,
    commands: Vec<Command>,
}

impl Redis {
    /// Commands that happen all at once.
    pub fn transaction(&self) -> Transaction {
        Transaction { several: Several { settings: self.settings().clone(), commands: Vec::new() } }
    }

    /// Commands that are sent in one go.
    pub fn batch(&self) -> Batch {
        Batch { several: Several { settings: self.settings().clone(), commands: Vec::new() } }
    }
}

macro_rules! several {
    ($name:ident, $what:literal, $in_multi:literal) => {
        impl $name {
            /// Adds a command to the same server. A [`Script`](crate::redis::Script) is sent whole.
            // Not a sum.
            #[allow(clippy::should_implement_trait)]
            pub fn add(mut self, command: impl Into<Command>) -> Self {
                self.several.commands.push(command.into());
                self
            }

            /// How many commands there are.
            pub fn len(&self) -> usize {
                self.several.commands.len()
            }

            /// There is none.
            pub fn is_empty(&self) -> bool {
                self.several.commands.is_empty()
            }

            /// What is sent, if it can be.
            pub(crate) fn exchange(self) -> Result<Exchange, Error> {
                self.several.exchange($what, $in_multi)
            }
        }

        /// Without the arguments, which may be secrets.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} of ", stringify!($name))?;
                f.debug_list().entries(&self.several.commands).finish()
            }
        }
    };
}

several!(Transaction, "transaction", true);
several!(Batch, "batch", false);

impl Several {
    fn exchange(self, what: &str, in_multi: bool) -> Result<Exchange, Error> {
        let Self { settings, commands } = self;
        settings.check()?;
        let wrong = |words: String| Error::invalid(format!("the {what} cannot be sent: {words}"));
        if commands.is_empty() {
            return Err(wrong("there is no command in it".into()));
        }
        let mut class = Class { read_only: true, session: false, wait: Wait::No };
        let mut slot = None;
        for command in &commands {
            let name = || command.name().escape_debug().to_string();
            if *command.settings() != settings {
                return Err(wrong(format!("{} is for another server", name())));
            }
            if command.names_node() {
                return Err(wrong(format!("{} names a node of its own", name())));
            }
            let it = command.class();
            if it.session {
                return Err(wrong(format!("{} changes the connection", name())));
            }
            class.read_only &= it.read_only;
            // Inside a transaction nothing waits.
            class.wait = if in_multi { Wait::No } else { class.wait.and(it.wait) };
            if settings.is_cluster() {
                slot = class::slot(command.written(), slot)
                    .map_err(|_| wrong(format!("with {} its keys are in different slots", name())))?;
            }
        }
        let one = |word: &str| {
            let mut words = Words::new();
            words.push(word);
            words
        };
        let (first, last) = if in_multi { (Some(one("MULTI")), Some(one("EXEC"))) } else { (None, None) };
        let prepared = PreparedCommand::several(first.iter().chain(commands.iter().map(Command::written)).chain(&last));
        let prepared = prepared.map_err(|refused| wrong(refused.to_string()))?;
        let name = if in_multi { "MULTI".into() } else { commands[0].name() };
        let in_parts = !in_multi && settings.topology != Topology::Single;
        let parts = commands.iter().filter(|_| in_parts).map(|command| command.written().clone().finish());
        let parts = parts.collect::<Result<_, _>>().map_err(|refused| wrong(refused.to_string()))?;
        let (node, fallback) = (None, None);
        Ok(Exchange { settings, prepared, name, class, slot, node, fallback, atomic: in_multi, parts })
    }
}
