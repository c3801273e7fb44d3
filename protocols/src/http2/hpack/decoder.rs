//! Blocks of fields on the way in.

use core::fmt;

use super::kind::Kind;
use super::table::{Line, OVERHEAD, Table};
use super::{Error, fixed, huffman, integer};

/// The receiving side of one direction.
#[derive(Clone)]
pub struct Decoder {
    table: Table<Kind>,
    /// What we allow the table to be.
    limit: usize,
    /// The limit went below the table's size: the next block must begin with a smaller one.
    owed: bool,
    last: Last,
}

/// The last block that was decoded. Where the next one is the same, byte for byte, so are its fields, and nothing is to
/// be decoded: servers under load say the same again and again.
#[derive(Clone, Default)]
struct Last {
    /// Empty where it cannot be used.
    block: Vec<u8>,
    inserted: Vec<Inserted>,
    /// So many times it came again, and its fields were not inserted again yet.
    owed: usize,
}

/// A field that went into the table: its place in the lines, the length of its name, its kind.
#[derive(Clone, Copy, Debug)]
struct Inserted {
    start: u32,
    end: u32,
    name: u32,
    kind: Kind,
}

/// Longer blocks, and those with more fields for the table, are not worth the memory.
const KEPT: usize = 1 << 10;
const INSERTED: usize = 32;

/// Where fields go: the lines one behind the other, and word of each.
pub(in super::super) trait Sink {
    /// The lines; the decoder appends to them.
    fn lines(&mut self) -> &mut Vec<u8>;

    /// Nothing more can be kept: fields that have come before need not be written again.
    fn is_full(&self) -> bool;

    /// A field was appended, or not where it is full.
    fn field(&mut self, field: Decoded);
}

/// A field at the end of the lines.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Decoded {
    /// Where its line begins.
    pub(in super::super) start: usize,
    /// The length of its name.
    pub(in super::super) name: usize,
    /// The length of its value.
    pub(in super::super) value: usize,
    pub(in super::super) kind: Kind,
}

impl Decoder {
    /// A decoder whose dynamic table the peer may make as large as `limit` bytes (RFC 7541 §4.1). It begins with 4,096,
    /// or with the limit where that is less.
    pub fn new(limit: u32) -> Self {
        Self { table: Table::new(limit.min(4096) as usize), limit: limit as usize, owed: false, last: Last::default() }
    }

    /// The peer knows another limit from now on (SETTINGS_HEADER_TABLE_SIZE, acknowledged).
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit as usize;
        self.owed = self.table.most() > self.limit;
    }

    /// Decodes a whole block. `each` is given names and values as they are, valid or not.
    pub fn decode(&mut self, block: &[u8], each: impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
        self.decode_into(block, &mut One { line: Vec::new(), each })
    }

    /// The block is the last one again, and stands for the same fields. The sink must be as that one left it.
    #[inline]
    pub(in super::super) fn repeats(&mut self, block: &[u8]) -> bool {
        let again = self.knows(block);
        self.last.owed += usize::from(again);
        again
    }

    #[inline]
    pub(in super::super) fn knows(&self, block: &[u8]) -> bool {
        block == self.last.block && !block.is_empty() && !self.owed
    }

    /// The sink is about to be used for another block: what the last one did to the table is made up for. `lines` are
    /// those of the last block.
    #[inline]
    pub(in super::super) fn settle(&mut self, lines: &[u8]) {
        let Last { inserted, owed, .. } = &mut self.last;
        // More often than fills the table would leave the same.
        let most = self.table.most() / OVERHEAD + 1;
        for _ in 0..core::mem::take(owed).min(most) {
            for field in &*inserted {
                let line = &lines[field.start as usize..field.end as usize];
                self.table.insert(line, field.name as usize, field.kind);
            }
        }
    }

    /// The last block is of no use: something was wrong with its fields, or they were moved.
    pub(in super::super) fn forget(&mut self) {
        self.last.block.clear();
    }

    /// Decodes a whole block. Before it, what the last one left in the sink must be [settled](Self::settle).
    pub(in super::super) fn decode_into<S: Sink>(&mut self, block: &[u8], sink: &mut S) -> Result<(), Error> {
        debug_assert_eq!(self.last.owed, 0);
        self.last.inserted.clear();
        self.last.block.clear();
        let mut rest = block;
        // RFC 7541 §4.2: changes of the size stand at the beginning of a block.
        while let [0x20..=0x3f, ..] = rest {
            let size = integer::decode(&mut rest, 5)? as usize;
            if size > self.limit {
                return Err(Error::TableSize);
            }
            self.table.resize(size);
            self.owed = false;
        }
        if self.owed {
            return Err(Error::TableSize);
        }
        // It depends on the table, and it changes it, so that it would mean something else the next time.
        let (mut refers, mut same) = (false, rest.len() == block.len());
        while let [first, ..] = rest {
            match first {
                0x80.. => {
                    let index = integer::decode(&mut rest, 7)? as usize;
                    refers |= index >= fixed::FIRST_DYNAMIC;
                    let entry = entry(&self.table, index)?;
                    let start = sink.lines().len();
                    if !sink.is_full() {
                        sink.lines().extend_from_slice(entry.line);
                    }
                    let (name, value) = (entry.name, entry.value().len());
                    sink.field(Decoded { start, name, value, kind: entry.what });
                }
                0x40..=0x7f => {
                    let field = self.literal(&mut rest, 6, sink.lines(), &mut refers)?;
                    let Decoded { start, name, kind, .. } = field;
                    self.table.insert(&sink.lines()[start..], name, kind);
                    let end = sink.lines().len();
                    sink.field(field);
                    // A field that the sink does not keep cannot be inserted from it again.
                    same &= sink.lines().len() == end && self.last.inserted.len() < INSERTED;
                    if same {
                        let (start, end, name) = (start as u32, end as u32, name as u32);
                        self.last.inserted.push(Inserted { start, end, name, kind });
                    }
                }
                0x20..=0x3f => return Err(Error::TableSize),
                // Never indexed, or not this time.
                0x00..=0x1f => {
                    let field = self.literal(&mut rest, 4, sink.lines(), &mut refers)?;
                    sink.field(field);
                }
            }
        }
        if same && block.len() <= KEPT && (!refers || self.last.inserted.is_empty()) {
            self.last.block.extend_from_slice(block);
        }
        Ok(())
    }

    /// RFC 7541 §6.2
    fn literal(&self, rest: &mut &[u8], bits: u32, lines: &mut Vec<u8>, refers: &mut bool) -> Result<Decoded, Error> {
        let start = lines.len();
        let index = integer::decode(rest, bits)? as usize;
        let kind = if index == 0 {
            string(rest, lines)?;
            Kind::of(&lines[start..])
        } else {
            *refers |= index >= fixed::FIRST_DYNAMIC;
            let entry = entry(&self.table, index)?;
            lines.extend_from_slice(&entry.line[..entry.name]);
            match entry.what {
                // It says nothing of the name.
                Kind::BadValue => Kind::of(entry.name()),
                kind => kind,
            }
        };
        let name = lines.len() - start;
        lines.extend_from_slice(b": ");
        let clean = string(rest, lines)?;
        let value = &lines[start + name + 2..];
        let (kind, value) = (kind.with(value, clean), value.len());
        lines.extend_from_slice(b"\r\n");
        Ok(Decoded { start, name, value, kind })
    }
}

#[inline]
fn entry(table: &Table<Kind>, index: usize) -> Result<Line<'_, Kind>, Error> {
    match index.checked_sub(fixed::FIRST_DYNAMIC) {
        Some(index) => table.get(index),
        None => fixed::get(index),
    }
    .ok_or(Error::Index)
}

/// RFC 7541 §5.2. `true`: it is known to have no control characters.
#[inline]
fn string(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, Error> {
    let coded = rest.first().is_some_and(|first| *first >= 0x80);
    let length = integer::decode(rest, 7)? as usize;
    let Some((bytes, after)) = rest.split_at_checked(length) else { return Err(Error::Truncated) };
    *rest = after;
    if coded {
        return huffman::decode(bytes, out);
    }
    out.extend_from_slice(bytes);
    Ok(false)
}

// What the table holds may be secret.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("limit", &self.limit).field("table", &self.table).finish_non_exhaustive()
    }
}

/// A sink that holds one line.
struct One<F> {
    line: Vec<u8>,
    each: F,
}

impl<F: FnMut(&[u8], &[u8])> Sink for One<F> {
    fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.line
    }

    fn is_full(&self) -> bool {
        false
    }

    fn field(&mut self, field: Decoded) {
        let (name, value) = self.line.split_at(field.name);
        (self.each)(name, &value[2..2 + field.value]);
        self.line.clear();
    }
}
