//! What a load of Redis sends: one command, its words from templates.

use super::plan::{Place, Plan, Turns};
use super::template::Template;
use crate::error::Error;
use crate::protocols::Refused;
use crate::protocols::redis::{ErrorRef, Pattern, Request};
use crate::reactor::Address;
use crate::redis::{self, Wait};
use crate::wire::Wire;

/// What is asked, and of whom.
#[derive(Clone, Debug)]
pub(super) struct Redis {
    db: redis::Redis,
    words: Secret,
    name: String,
    /// The server may wait before it answers, and all behind it waits too.
    waits: bool,
}

/// Arguments may be secrets.
#[derive(Clone)]
struct Secret(Vec<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} words", self.0.len())
    }
}

impl Redis {
    pub(super) fn new<I>(db: &redis::Redis, words: I) -> Result<Self, Error>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        let words: Vec<Vec<u8>> = words.into_iter().map(|word| word.as_ref().to_vec()).collect();
        let Some((name, args)) = words.split_first() else {
            return Err(Error::invalid("a command has a name at least"));
        };
        let exchange = db.command(&String::from_utf8_lossy(name), args).exchange()?;
        if exchange.class.session {
            let words =
                format!("{} changes what the server knows of a connection, and cannot be loaded", exchange.name);
            return Err(Error::invalid(words));
        }
        Ok(Self { db: db.clone(), words: Secret(words), name: exchange.name, waits: exchange.class.wait != Wait::No })
    }

    pub(super) fn host(&self) -> Option<(&str, u16)> {
        match &self.db.settings().place {
            redis::Place::Host(host, port) => Some((host, *port)),
            redis::Place::Socket(_) => None,
        }
    }

    pub(super) fn place(&self) -> Place {
        match &self.db.settings().place {
            redis::Place::Host(host, port) => Place::Name(host.clone(), *port),
            redis::Place::Socket(path) => Place::Address(Address::Unix(path.clone())),
        }
    }

    /// The name of the server, where TLS is wanted.
    #[cfg(feature = "tls")]
    pub(super) fn tls_at_once(&self) -> Option<&str> {
        match &self.db.settings().place {
            redis::Place::Host(host, _) if self.db.settings().tls => Some(host),
            _ => None,
        }
    }

    pub(super) fn machine(&self, depth: u16) -> Wire {
        Wire::Redis(Box::new(self.db.settings().machine().pipeline(depth)))
    }

    pub(super) fn work(&self, plan: &Plan, turns: Turns) -> Result<Work, Error> {
        if self.waits && plan.depth > 1 {
            let name = &self.name;
            return Err(Error::invalid(format!("{name} may wait, and all behind it would wait with it: depth 1")));
        }
        let refused = |refused: Refused| Error::invalid(refused.to_string());
        let pattern = Pattern::new(&self.words.0).map_err(refused)?;
        let mut changing = Vec::new();
        for (at, word) in self.words.0.iter().enumerate().filter(|_| plan.templates) {
            let template = Template::parse(word)?;
            if !template.is_fixed() {
                changing.push((at, template));
            }
        }
        let mut work = Work { pattern, changing, scratch: Vec::new(), turns };
        work.fill().map_err(refused)?;
        Ok(work)
    }
}

/// How a server turns a client away in place of its first answer, where nothing was said before that (`networking.c`:
/// `acceptCommonHandler`).
pub(super) fn turns_away(error: ErrorRef<'_>) -> bool {
    error.text().starts_with(b"ERR max number of clients reached") || error.code() == b"DENIED"
}

/// The commands of one thread, written out one after the other in the same memory.
#[derive(Debug)]
pub(super) struct Work {
    pattern: Pattern,
    /// Words that are others in each command, and which ones.
    changing: Vec<(usize, Template)>,
    scratch: Vec<u8>,
    turns: Turns,
}

impl Work {
    /// The next command.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Request<'_>, Refused> {
        if !self.changing.is_empty() {
            self.fill()?;
            self.turns.advance();
        }
        Ok(Request::Prepared(self.pattern.prepared()))
    }

    fn fill(&mut self) -> Result<(), Refused> {
        for (at, template) in &self.changing {
            self.scratch.clear();
            template.fill(&mut self.turns.values, &mut self.scratch);
            self.pattern.replace(*at, &self.scratch)?;
        }
        Ok(())
    }
}
