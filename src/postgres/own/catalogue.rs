//! What `pg_type` and its neighbours say of types, and the types that this comes to. A server can say anything: how much is
//! read and kept, how deep types go, and how much they come to is limited, and one that is made of itself ends there.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use postgres_types::{Field, Kind, Type};

use super::Own;
use crate::postgres::{Column, Row, text};
use crate::protocols::postgres::{self as wire, Violation};
use crate::protocols::{Error, Limit};

/// Bytes of memory that are taken by what is kept of the catalogues at once: with more, values are text. The longest enums
/// come to some hundred thousand.
const BYTES: usize = 4 << 20;
/// What each label and each name of a field takes besides its bytes, with what is put around them: a server says `a,a,a,…`.
const PIECE: usize = size_of::<String>() + 32;
/// Bytes that are read of them: one that does not end is left.
const ENDLESS: usize = 64 << 20;
/// How deep types may be made of others, whichever of them was asked for.
pub(super) const DEPTH: u32 = 64;
/// Types that one may be made of, as often as they occur: a row of the widest table (1,600 columns) of such rows is left to
/// be text.
const PARTS: u32 = 65_536;

/// The question for these types and for what they are made of.
///
/// All of it is named with its schema, operators too: what stands before `pg_catalog` in somebody's `search_path` would run
/// with our rights (as in CVE-2018-1058).
///
/// One for all servers since 9.3: the name `rngmultitypid` is that of `pg_range` where it has one (14), and else the one
/// beside it, which is NULL.
pub(in crate::postgres) fn question(oids: &[u32]) -> String {
    let mut list = String::new();
    for (at, oid) in oids.iter().enumerate() {
        let _ = write!(list, "{}{oid}", if at > 0 { "," } else { "" });
    }
    format!(
        "WITH RECURSIVE found (oid) AS (\
           SELECT pg_catalog.unnest('{{{list}}}'::pg_catalog.oid[]) \
           UNION \
           SELECT part.oid FROM found JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) found.oid \
           CROSS JOIN (SELECT NULL::pg_catalog.oid AS rngmultitypid) AS before_14 \
           CROSS JOIN LATERAL (\
             SELECT t.typelem WHERE t.typlen OPERATOR(pg_catalog.=) -1 \
             UNION ALL SELECT t.typbasetype \
             UNION ALL SELECT atttypid FROM pg_catalog.pg_attribute \
               WHERE attrelid OPERATOR(pg_catalog.=) t.typrelid AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped \
             UNION ALL SELECT rngsubtype FROM pg_catalog.pg_range \
               WHERE rngtypid OPERATOR(pg_catalog.=) t.oid OR rngmultitypid OPERATOR(pg_catalog.=) t.oid\
           ) AS part (oid) WHERE part.oid OPERATOR(pg_catalog.<>) 0\
         ) \
         SELECT t.oid, t.typname, n.nspname, t.typtype, \
           CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'd' THEN t.typbasetype \
             WHEN t.typtype OPERATOR(pg_catalog.=) 'b' AND t.typlen OPERATOR(pg_catalog.=) -1 \
               AND t.typcategory OPERATOR(pg_catalog.=) 'A' THEN t.typelem \
             ELSE (SELECT rngsubtype FROM pg_catalog.pg_range \
               WHERE rngtypid OPERATOR(pg_catalog.=) t.oid OR rngmultitypid OPERATOR(pg_catalog.=) t.oid) END, \
           t.typsend::pg_catalog.oid OPERATOR(pg_catalog.<>) 0 \
             AND t.typreceive::pg_catalog.oid OPERATOR(pg_catalog.<>) 0, \
           ARRAY(SELECT enumlabel FROM pg_catalog.pg_enum \
             WHERE enumtypid OPERATOR(pg_catalog.=) t.oid ORDER BY enumsortorder), \
           ARRAY(SELECT attname FROM pg_catalog.pg_attribute \
             WHERE attrelid OPERATOR(pg_catalog.=) t.typrelid AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped \
             ORDER BY attnum), \
           ARRAY(SELECT atttypid FROM pg_catalog.pg_attribute \
             WHERE attrelid OPERATOR(pg_catalog.=) t.typrelid AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped \
             ORDER BY attnum) \
         FROM found JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) found.oid \
         JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace \
         CROSS JOIN (SELECT NULL::pg_catalog.oid AS rngmultitypid) AS before_14"
    )
}

/// The answer to it, as far as it came.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Catalogue {
    columns: Arc<[Column]>,
    entries: HashMap<u32, Entry>,
    /// Bytes that came, and those that it takes.
    read: usize,
    size: usize,
}

/// A row of it.
#[derive(Debug)]
struct Entry {
    name: String,
    schema: String,
    /// `typtype`: base, composite, domain, enum, multirange, pseudo, range.
    sort: u8,
    /// Of which it is an array, a range, a domain.
    part: Option<u32>,
    /// It has a binary format.
    is_binary: bool,
    labels: Vec<String>,
    fields: Vec<(String, u32)>,
    /// Bytes that it takes.
    size: usize,
}

impl Catalogue {
    pub(in crate::postgres) fn describe(&mut self, columns: Arc<[Column]>) {
        self.columns = columns;
    }

    /// The next type.
    pub(in crate::postgres) fn push(&mut self, row: &wire::Row<'_>) -> Result<(), Error> {
        let bytes = row.as_bytes();
        self.read += bytes.len();
        if self.read > ENDLESS {
            return Err(Error::TooLarge(Limit { what: "bytes of type catalogues", value: ENDLESS as u64 }));
        }
        // Before they are taken: no array has more than its commas.
        let pieces = bytes.iter().filter(|byte| **byte == b',').count() + 2;
        let size = bytes.len() + pieces * PIECE + size_of::<Entry>() + size_of::<Own>();
        self.size = self.size.saturating_add(size);
        if self.is_too_large() {
            self.entries = HashMap::new();
            return Ok(());
        }
        if self.columns.len() != usize::from(row.count()) {
            return Err(Violation::Row.into());
        }
        let (oid, entry) = read(&Row::new(&self.columns, bytes), size).ok_or(Error::from(Violation::Format))?;
        self.entries.insert(oid, entry);
        Ok(())
    }

    /// More came than is kept.
    pub(in crate::postgres) fn is_too_large(&self) -> bool {
        self.size > BYTES
    }

    /// It speaks of all of these.
    pub(in crate::postgres) fn has(&self, oids: &[u32]) -> bool {
        oids.iter().all(|oid| self.entries.contains_key(oid))
    }

    /// Bytes that are taken by what is kept of it.
    pub(in crate::postgres) fn size(&self) -> usize {
        if self.is_too_large() { 0 } else { self.size }
    }

    /// Those that were asked for, and what they are made of. One that is not there has but its number. `binary`: names of
    /// types that are wanted in binary.
    pub(super) fn build(self, asked: &[u32], binary: &[String]) -> HashMap<u32, Own> {
        let mut building = Building { entries: self.entries, binary, built: HashMap::new() };
        for oid in asked {
            building.one(*oid, DEPTH);
        }
        building.built
    }
}

/// Types on their way out of the catalogues.
struct Building<'a> {
    /// Those that were not built yet: some are large, and are not copied.
    entries: HashMap<u32, Entry>,
    binary: &'a [String],
    built: HashMap<u32, Own>,
}

impl Building<'_> {
    fn one(&mut self, oid: u32, depth: u32) -> Own {
        if let Some(own) = Own::built_in(oid).or_else(|| self.built.get(&oid).cloned()) {
            return own;
        }
        // Too deep, and with it all that it is a part of.
        if depth == 0 {
            return Own { height: DEPTH, ..Own::unknown(oid) };
        }
        let Some(entry) = self.entries.remove(&oid) else {
            self.built.insert(oid, Own::unknown(oid));
            return Own::unknown(oid);
        };
        // What it is made of finds this in its place, if it is made of itself.
        self.built.insert(oid, Own::unknown(oid));
        let own = self.made(oid, entry, depth);
        self.built.insert(oid, own.clone());
        own
    }

    fn made(&mut self, oid: u32, entry: Entry, depth: u32) -> Own {
        let (mut parts, mut height, mut size, mut written) = (1_u32, 1, entry.size, true);
        let mut part = |oid: u32| {
            let own = self.one(oid, depth - 1);
            parts = parts.saturating_add(own.parts);
            height = height.max(own.height + 1);
            size = size.saturating_add(own.size);
            written &= own.written;
            own.type_
        };
        let kind = match (entry.sort, entry.part) {
            (b'e', _) => Kind::Enum(entry.labels),
            (b'p', _) => Kind::Pseudo,
            (b'd', Some(base)) => Kind::Domain(part(base)),
            (b'r', Some(of)) => Kind::Range(part(of)),
            (b'm', Some(of)) => Kind::Multirange(part(of)),
            (b'b', Some(member)) => Kind::Array(part(member)),
            (b'c', _) => {
                Kind::Composite(entry.fields.into_iter().map(|(name, oid)| Field::new(name, part(oid))).collect())
            }
            // Without a binary format there is nothing that a type of Rust could read.
            (b'b', None) if entry.is_binary => Kind::Simple,
            _ => return Own::unknown(oid),
        };
        // What was built for another that was asked for may be deep already.
        if height > DEPTH {
            return Own { height: DEPTH, ..Own::unknown(oid) };
        }
        if parts > PARTS {
            return Own::unknown(oid);
        }
        let simple = matches!(kind, Kind::Simple | Kind::Pseudo);
        let type_ = Type::new(entry.name, oid, kind, entry.schema);
        // Of others it is known already: some are large.
        let is_wanted = || self.binary.iter().any(|name| name == type_.name());
        let written = if simple { text::is_written(&type_) || is_wanted() } else { written };
        Own { type_, written, parts, height, size }
    }
}

fn read(row: &Row<'_>, size: usize) -> Option<(u32, Entry)> {
    let names: Vec<String> = row.try_get(7).ok()?;
    let types: Vec<u32> = row.try_get(8).ok()?;
    let entry = Entry {
        name: row.try_get(1).ok()?,
        schema: row.try_get(2).ok()?,
        sort: row.try_get::<i8>(3).ok()?.cast_unsigned(),
        part: row.try_get::<Option<u32>>(4).ok()?.filter(|oid| *oid != 0),
        is_binary: row.try_get(5).ok()?,
        labels: row.try_get(6).ok()?,
        fields: (names.len() == types.len()).then(|| names.into_iter().zip(types).collect())?,
        size,
    };
    Some((row.try_get(0).ok()?, entry))
}

#[cfg(test)]
impl Catalogue {
    /// One that says this: a number, `typtype`, what it is made of, and fields by their types.
    pub(super) fn saying(all: &[(u32, u8, Option<u32>, &[u32])]) -> Self {
        let entry = |&(oid, sort, part, fields): &(u32, u8, Option<u32>, &[u32])| {
            let fields = fields.iter().map(|oid| (format!("f{oid}"), *oid)).collect();
            let (name, schema, labels) = (format!("t{oid}"), String::from("public"), Vec::new());
            (oid, Entry { name, schema, sort, part, is_binary: true, labels, fields, size: 0 })
        };
        Self { entries: all.iter().map(entry).collect(), ..Self::default() }
    }

    /// Each type of which takes so many bytes.
    pub(super) fn sized(mut self, size: usize) -> Self {
        self.entries.values_mut().for_each(|entry| entry.size = size);
        self
    }
}
