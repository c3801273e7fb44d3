//! Types that the users of a database made: what is known of them, for all connections to it. What the catalogues say is
//! read in `catalogue`; when they are asked is the business of `statement`, and never decided here.

mod catalogue;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub(super) use catalogue::{Catalogue, question};
use postgres_types::{Kind, Type};

use super::text;

/// Types of a database that are remembered. Beyond that all are forgotten, and looked up again when they come.
const MOST: usize = 1024;
/// The same in bytes of memory. What several are made of counts for each: it is theirs when that is replaced.
const MOST_BYTES: usize = 16 << 20;

/// Bytes that one takes of which nothing is known.
const LEAST: usize = 256;

/// A type, and what follows from it.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) type_: Type,
    /// It can be asked for in binary.
    pub(super) written: bool,
    /// Types that it is made of, with itself, as often as they occur.
    parts: u32,
    /// How many of them are inside of each other.
    height: u32,
    /// Bytes of memory that all of them take.
    size: usize,
}

impl Own {
    /// One of which nothing is known but its number: values travel as text.
    pub(super) fn unknown(oid: u32) -> Self {
        Self { type_: numbered(oid), written: false, parts: 1, height: 1, size: LEAST }
    }

    fn built_in(oid: u32) -> Option<Self> {
        let type_ = Type::from_oid(oid)?;
        let written = text::is_written(&type_);
        Some(Self { type_, written, parts: 1, height: 1, size: 0 })
    }
}

/// A type that has no name here but its number.
pub(super) fn numbered(oid: u32) -> Type {
    Type::from_oid(oid).unwrap_or_else(|| Type::new(oid.to_string(), oid, Kind::Simple, String::new()))
}

/// The server knows it by this number, and everybody else too.
pub(super) fn is_built_in(oid: u32) -> bool {
    Type::from_oid(oid).is_some()
}

/// What values of a type are in binary to who does not know it: the labels of an enum are text, a domain is what it is made
/// from, and an array is an array of that.
pub(super) fn plain(type_: &Type) -> Option<Type> {
    match type_.kind() {
        Kind::Enum(_) => Some(Type::TEXT),
        Kind::Domain(base) => Some(plain(base).unwrap_or_else(|| base.clone())),
        Kind::Array(member) => {
            let kind = Kind::Array(plain(member)?);
            Some(Type::new(type_.name().to_owned(), type_.oid(), kind, type_.schema().to_owned()))
        }
        _ => None,
    }
}

/// The types of one database, shared by the connections to it. They are forgotten with the last of these: what is there when
/// it is reached again may be another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnTypes(Arc<Mutex<Known>>);

/// The same, for whoever does not want to keep them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered(Weak<Mutex<Known>>);

/// What one statement was told of its types, which is so whatever others learn and forget before it runs.
#[derive(Debug, Default)]
pub(super) struct Learned {
    types: HashMap<u32, Own>,
    /// As long as it is this one, it is so for the same statement on the same connection.
    pub(super) generation: Option<u64>,
}

impl Learned {
    pub(super) fn find(&self, oid: u32) -> Option<Own> {
        self.types.get(&oid).cloned()
    }
}

#[derive(Debug, Default)]
struct Known {
    types: HashMap<u32, Own>,
    /// Bytes that they take.
    bytes: usize,
    /// How often they were forgotten.
    generation: u64,
    /// It has no catalogues that we can read.
    barren: bool,
    /// Names of types that are wanted in binary, whether they can be shown or not.
    binary: Arc<[String]>,
}

impl Known {
    fn clear(&mut self) {
        self.types.clear();
        self.bytes = 0;
    }

    /// With these, or with these alone where there is no room for all.
    fn extend(&mut self, built: HashMap<u32, Own>) {
        let bytes: usize = built.values().map(|own| own.size).fold(0, usize::saturating_add);
        let before: Vec<&Own> = built.keys().filter_map(|oid| self.types.get(oid)).collect();
        let count = self.types.len() - before.len() + built.len();
        let replaced = before.iter().map(|own| own.size).fold(0, usize::saturating_add);
        self.bytes = self.bytes.saturating_sub(replaced).saturating_add(bytes);
        if count > MOST || self.bytes > MOST_BYTES {
            self.types.clear();
            self.bytes = bytes;
        }
        self.types.extend(built.into_iter().take(MOST));
    }
}

impl Remembered {
    /// The types, if somebody still has them.
    pub(crate) fn recall(&self) -> Option<OwnTypes> {
        self.0.upgrade().map(OwnTypes)
    }
}

impl OwnTypes {
    /// Nothing is known yet; types of these names are wanted in binary.
    pub(crate) fn new(binary: &[String]) -> Self {
        Self(Arc::new(Mutex::new(Known { binary: binary.into(), ..Known::default() })))
    }

    /// The same, without keeping them.
    pub(crate) fn remember(&self) -> Remembered {
        Remembered(Arc::downgrade(&self.0))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, oid: u32) -> Option<Own> {
        self.known().types.get(&oid).cloned()
    }

    /// Something is known of one of these.
    pub(super) fn knows_any(&self, oids: &[u32]) -> bool {
        let known = self.known();
        oids.iter().any(|oid| known.types.contains_key(oid))
    }

    /// What is known now may be something else under another generation.
    pub(super) fn generation(&self) -> u64 {
        self.known().generation
    }

    /// What the catalogues said when they were asked for these, for who asked.
    pub(super) fn learn(&self, asked: &[u32], catalogue: Catalogue) -> Learned {
        let binary = self.known().binary.clone();
        let mut built = catalogue.build(asked, &binary);
        let types: HashMap<_, _> = asked.iter().filter_map(|oid| Some((*oid, built.get(oid)?.clone()))).collect();
        if built.len() > MOST {
            built.retain(|oid, _| types.contains_key(oid));
        }
        let mut known = self.known();
        // What replaces something is another generation, so that nobody goes on with that.
        known.generation += u64::from(built.keys().any(|oid| known.types.contains_key(oid)));
        known.extend(built);
        Learned { types, generation: Some(known.generation) }
    }

    /// They could not be asked for these: what is not known of them is text.
    pub(super) fn without(&self, asked: &[u32]) -> Learned {
        let known = self.known();
        let find = |oid: &u32| (*oid, known.types.get(oid).cloned().unwrap_or_else(|| Own::unknown(*oid)));
        Learned { types: asked.iter().map(find).collect(), generation: Some(known.generation) }
    }

    /// Nobody else needs to ask for them.
    pub(super) fn remember_all(&self, learned: &Learned) {
        let mut known = self.known();
        known.extend(learned.types.clone());
    }

    /// Some of it is not so any more.
    pub(super) fn forget(&self) {
        let mut known = self.known();
        known.clear();
        known.generation += 1;
    }

    /// Some of what was known then is not so, unless that was forgotten meanwhile.
    pub(super) fn forget_since(&self, generation: Option<u64>) {
        let mut known = self.known();
        if generation == Some(known.generation) {
            known.clear();
            known.generation += 1;
        }
    }

    /// There is nothing to be learned here.
    pub(super) fn give_up(&self) {
        self.known().barren = true;
    }

    pub(super) fn is_barren(&self) -> bool {
        self.known().barren
    }
}

#[cfg(test)]
mod tests;
