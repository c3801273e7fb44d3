//! The statements that one connection keeps prepared.

use std::collections::HashMap;
use std::sync::Arc;

use postgres_types::Type;

use crate::postgres::Column;
use crate::protocols::postgres::Format;

/// What makes a statement the same: its text, and the types that the program named.
type Said = (Arc<str>, Arc<[u32]>);

/// A statement that was described.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Its name on the connection; empty where it has none.
    pub(super) name: String,
    /// What its parameters are.
    pub(super) types: Box<[Type]>,
    /// What its rows are, with the formats that are asked for.
    pub(super) columns: Arc<[Column]>,
    pub(super) formats: Box<[Format]>,
}

/// The statements that one connection keeps prepared, each with the time of its last use.
#[derive(Debug)]
pub(crate) struct Cache {
    statements: HashMap<Said, (u64, Arc<Prepared>)>,
    /// Names that are to be closed with the next statement that is prepared.
    closing: Vec<String>,
    /// The number of the last use, and of the last name.
    uses: u64,
    names: u64,
    capacity: usize,
    /// Statements that have a name but no description yet.
    coming: usize,
}

impl Cache {
    /// At most so many; none for 0.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { statements: HashMap::new(), closing: Vec::new(), uses: 0, names: 0, capacity, coming: 0 }
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

    /// A name that the connection never had, and those that are to be closed before it is used.
    pub(super) fn begin(&mut self) -> (String, Vec<String>) {
        self.coming += 1;
        while self.statements.len() + self.coming > self.capacity && !self.statements.is_empty() {
            let oldest = self.statements.iter().min_by_key(|(_, (used, _))| *used).map(|(said, _)| said.clone());
            if let Some((_, prepared)) = oldest.and_then(|said| self.statements.remove(&said)) {
                self.closing.push(prepared.name.clone());
            }
        }
        self.names += 1;
        (format!("aquests_{}", self.names), std::mem::take(&mut self.closing))
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
    /// those of others by now, and are not closed.
    pub(super) fn turn_off(&mut self) {
        *self = Self::new(0);
    }

    /// It is not to be used again, if it is still this one.
    pub(super) fn invalidate(&mut self, sql: &Arc<str>, types: &Arc<[u32]>, prepared: &Arc<Prepared>) {
        let said = (sql.clone(), types.clone());
        if self.statements.get(&said).is_some_and(|(_, it)| Arc::ptr_eq(it, prepared)) {
            self.statements.remove(&said);
            self.closing.push(prepared.name.clone());
        }
    }
}
