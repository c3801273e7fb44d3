//! The statements that one connection keeps prepared.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use postgres_types::Type;

use crate::postgres::own::{self, Learned, OwnTypes, is_built_in, numbered};
use crate::postgres::{Column, Row, text};
use crate::protocols::postgres::{self as wire, Format};

/// What makes a statement the same: its text, and the types that the program named.
type Said = (Arc<str>, Arc<[u32]>);

/// A statement that was described.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Its name on the connection; empty where it has none.
    pub(super) name: String,
    /// What its parameters are.
    pub(super) types: Box<[Type]>,
    /// What its rows are, with the formats that are asked for.
    pub(super) columns: Arc<[Column]>,
    pub(super) formats: Box<[Format]>,
    pub(super) own: Own,
}

/// Types of a statement that are not built in.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// All, by their numbers.
    pub(super) all: Box<[u32]>,
    /// Those of which nothing is known yet.
    pub(super) missing: Box<[u32]>,
    /// One of them is the type of a column.
    pub(super) missing_columns: bool,
    /// The generation of what is known of the others.
    pub(super) generation: Option<u64>,
    /// Rows show whether that is still so.
    judged: bool,
}

impl Prepared {
    /// With what everybody knows of its types.
    pub(super) fn new(name: String, types: &[u32], columns: Arc<[Column]>) -> Self {
        let columns_own = columns.iter().map(|column| column.type_().oid());
        let mut all: Vec<u32> = types.iter().copied().chain(columns_own).filter(|oid| !is_built_in(*oid)).collect();
        all.sort_unstable();
        all.dedup();
        let own = Own { missing: all.clone().into(), all: all.into(), ..Own::default() };
        let types = types.iter().map(|oid| numbered(*oid)).collect();
        let mut made = Self { name, types, columns, formats: Box::default(), own };
        made.choose_formats(|_| None);
        made
    }

    /// How the columns are asked for: in binary, where it can be shown.
    fn choose_formats(&mut self, own: impl Fn(u32) -> Option<own::Own>) {
        for column in Arc::make_mut(&mut self.columns) {
            let written = match own(column.type_().oid()) {
                Some(own) => {
                    column.type_ = own.type_;
                    own.written
                }
                None => text::is_written(column.type_()),
            };
            column.format = if written { Format::Binary } else { Format::Text };
        }
        let formats: Box<[_]> = self.columns.iter().map(|column| column.format).collect();
        let judged = |column: &Column| column.is_binary() && text::is_judged(column.type_());
        self.own.judged = self.columns.iter().any(judged);
        // One for all, or none where all are text: PostgreSQL, "Bind".
        let same = formats.iter().all(|format| *format == Format::Binary);
        self.formats = if same { formats.iter().take(1).copied().collect() } else { formats };
    }

    /// Whether a row is as its types were when they were looked up, as far as that shows.
    pub(super) fn fits(&self, row: &wire::Row<'_>) -> bool {
        let as_known = |(column, raw): (&Column, Option<&[u8]>)| {
            !column.is_binary() || raw.is_none_or(|raw| text::fits(column.type_(), raw))
        };
        !self.own.judged || Row::new(&self.columns, row.as_bytes()).cells().all(as_known)
    }

    /// With what was learned of its own types, or else is known of them by now.
    fn resolved(&self, types: &OwnTypes, learned: Option<&Learned>) -> Self {
        let mut made = self.clone();
        made.own.generation = learned.map_or_else(|| Some(types.generation()), |learned| learned.generation);
        let find = |oid: u32| learned.and_then(|learned| learned.find(oid)).or_else(|| types.find(oid));
        let found: HashMap<u32, own::Own> = self.own.all.iter().filter_map(|oid| Some((*oid, find(*oid)?))).collect();
        made.own.missing = self.own.all.iter().copied().filter(|oid| !found.contains_key(oid)).collect();
        // In the order of their numbers, as all are.
        let is_missing = |oid: u32| made.own.missing.binary_search(&oid).is_ok();
        made.own.missing_columns = made.columns.iter().any(|column| is_missing(column.type_().oid()));
        for type_ in &mut made.types {
            let oid = type_.oid();
            if !is_built_in(oid) {
                *type_ = found.get(&oid).map_or_else(|| numbered(oid), |own| own.type_.clone());
            }
        }
        made.choose_formats(|oid| {
            (!is_built_in(oid)).then(|| found.get(&oid).cloned().unwrap_or_else(|| own::Own::unknown(oid)))
        });
        made
    }
}

/// The statements that one connection keeps prepared, each with the time of its last use.
#[derive(Debug)]
pub(crate) struct Cache {
    statements: HashMap<Said, (u64, Arc<Prepared>)>,
    /// Names that are to be closed with the next statement that is prepared.
    closing: Vec<String>,
    /// Names of statements that have yet to be run by them: these are not closed before that.
    held: Vec<String>,
    /// The number of the last use, and of the last name.
    uses: u64,
    names: u64,
    capacity: usize,
    /// Statements that have a name but no description yet.
    coming: usize,
    /// What is known of the database's own types.
    types: OwnTypes,
    /// A type may have been changed, in a transaction that is not over.
    altered: bool,
}

impl Cache {
    /// At most so many; none for 0.
    pub(crate) fn new(capacity: usize) -> Self {
        let (statements, closing, held, types) = Default::default();
        Self { statements, closing, held, uses: 0, names: 0, capacity, coming: 0, types, altered: false }
    }

    /// What other connections to the database found out of its types is known here too.
    pub(crate) fn share(&mut self, types: OwnTypes) {
        self.types = types;
    }

    pub(super) fn types(&self) -> &OwnTypes {
        &self.types
    }

    /// A statement with what is known of its types, or was just `learned`. It is judged anew where that changed.
    pub(super) fn with_types(
        &mut self,
        sql: &Arc<str>,
        types: &Arc<[u32]>,
        prepared: Arc<Prepared>,
        learned: Option<&Learned>,
    ) -> Arc<Prepared> {
        let own = &prepared.own;
        let is_known = || own.generation == Some(self.types.generation()) && !self.types.knows_any(&own.missing);
        if own.all.is_empty() || learned.is_none() && is_known() {
            return prepared;
        }
        let resolved = Arc::new(prepared.resolved(&self.types, learned));
        if let Some((_, kept)) = self.statements.get_mut(&(sql.clone(), types.clone()))
            && kept.name == resolved.name
        {
            *kept = resolved.clone();
        }
        resolved
    }

    /// A statement did this. What changes types is not always called so: a table is one, too.
    pub(super) fn did(&mut self, tag: &[u8]) {
        if tag.starts_with(b"ALTER ") {
            self.altered = true;
            self.types.forget();
        }
    }

    /// There is no transaction. What was known inside of one may have been taken back, and others know of it only now.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.altered) {
            self.types.forget();
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.statements.len()
    }

    pub(super) fn is_off(&self) -> bool {
        self.capacity == 0
    }

    pub(super) fn find(&mut self, sql: &Arc<str>, types: &Arc<[u32]>) -> Option<Arc<Prepared>> {
        if self.statements.is_empty() {
            return None;
        }
        self.uses += 1;
        let (used, prepared) = self.statements.get_mut(&(sql.clone(), types.clone()))?;
        *used = self.uses;
        Some(prepared.clone())
    }

    /// A name that the connection never had, and those that are to be closed before it is used. What it names shows in it: a
    /// pooler may give us the server of another connection, and what that prepared is never run in place of something else.
    pub(super) fn begin(&mut self, sql: &str, types: &[u32]) -> (String, Vec<String>) {
        self.coming += 1;
        while self.statements.len() + self.coming > self.capacity && !self.statements.is_empty() {
            let oldest = self.statements.iter().min_by_key(|(_, (used, _))| *used).map(|(said, _)| said.clone());
            if let Some((_, prepared)) = oldest.and_then(|said| self.statements.remove(&said)) {
                self.closing.push(prepared.name.clone());
            }
        }
        self.names += 1;
        let closing = std::mem::take(&mut self.closing);
        let (later, now) = closing.into_iter().partition(|name| self.held.contains(name));
        self.closing = later;
        let mut hasher = DefaultHasher::new();
        (sql, types).hash(&mut hasher);
        (format!("aquests_{:x}_{}", hasher.finish(), self.names), now)
    }

    /// A statement is to be run by this name, and may have to wait for that.
    pub(super) fn hold(&mut self, name: &str) {
        if !name.is_empty() {
            self.held.push(name.to_owned());
        }
    }

    /// It does not wait any more. Others may.
    pub(super) fn release(&mut self, name: &str) {
        if let Some(at) = self.held.iter().position(|held| held == name) {
            self.held.swap_remove(at);
        }
    }

    /// What began is over, and was described.
    pub(super) fn insert(&mut self, sql: &Arc<str>, types: &Arc<[u32]>, prepared: Arc<Prepared>) {
        self.coming = self.coming.saturating_sub(1);
        self.uses += 1;
        if self.is_off() {
            return;
        }
        let before = self.statements.insert((sql.clone(), types.clone()), (self.uses, prepared));
        // Two were on their way at once.
        self.closing.extend(before.map(|(_, prepared)| prepared.name.clone()));
    }

    /// What began is over, and came to nothing. The name may be taken nevertheless.
    pub(super) fn give_up(&mut self, name: String) {
        if !name.is_empty() && !self.is_off() {
            self.coming = self.coming.saturating_sub(1);
            self.closing.push(name);
        }
    }

    /// Names are of no use here: somebody between gives us one server and then another. The names that we had may be
    /// those of others, and are not closed.
    pub(super) fn turn_off(&mut self) {
        *self = Self { types: std::mem::take(&mut self.types), altered: self.altered, ..Self::new(0) };
    }

    /// It is not to be used again, if it is still this one.
    pub(super) fn invalidate(&mut self, sql: &Arc<str>, types: &Arc<[u32]>, prepared: &Prepared) {
        let said = (sql.clone(), types.clone());
        if self.statements.get(&said).is_some_and(|(_, it)| it.name == prepared.name) {
            self.statements.remove(&said);
            self.closing.push(prepared.name.clone());
        }
    }
}
