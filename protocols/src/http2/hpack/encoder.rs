//! Blocks of fields on the way out.
//!
//! A field is indexed when it comes for the first time, unless another value of the same name is in the table: what
//! changes from message to message (a path, a length, an id) is written out until it comes twice, so that it does not
//! push out what stays. Secrets are never indexed (RFC 7541 §7.1.3).

use core::fmt;

use super::table::{OVERHEAD, Table};
use super::{fixed, huffman, integer};

/// The sending side of one direction.
#[derive(Clone)]
pub struct Encoder {
    table: Table<Hashes>,
    /// Never more than this, whatever the peer allows.
    most: usize,
    /// The peer must still be told of the present size, and of this one, which is the smallest that it has been.
    owed: Option<usize>,
    /// Hashes of fields that were written out.
    seen: [u32; SEEN],
    /// Counts whatever changes how a field would be written.
    epoch: u32,
}

#[derive(Clone, Copy, Debug)]
struct Hashes {
    name: u32,
    field: u32,
}

const SEEN: usize = 8;

impl Encoder {
    /// An encoder whose table has at most `most` bytes (RFC 7541 §4.1), beginning with the 4,096 that every peer allows.
    pub fn new(most: u32) -> Self {
        let most = most as usize;
        let mut encoder = Self { table: Table::new(DEFAULT), most, owed: None, seen: [0; SEEN], epoch: 0 };
        encoder.resize(most.min(DEFAULT));
        encoder
    }

    /// What the peer allows (its SETTINGS_HEADER_TABLE_SIZE).
    pub fn set_limit(&mut self, limit: u32) {
        self.resize(self.most.min(limit as usize));
    }

    /// Appends a whole block.
    pub fn encode<'a>(&mut self, fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>, out: &mut Vec<u8>) {
        self.begin(out);
        for (name, value) in fields {
            self.field(name, value, out);
        }
    }

    /// Begins a block.
    pub(in super::super) fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(smallest) = self.owed.take() {
            if smallest < self.table.most() {
                integer::encode(smallest as u32, 5, 0x20, out);
            }
            integer::encode(self.table.most() as u32, 5, 0x20, out);
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    /// Where this has not changed over a block, nor since, the same fields are written as the same block again.
    pub(in super::super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Appends a field to a block. The name is in lower case.
    pub(in super::super) fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let first = fixed::index_of(name);
        for index in fixed::with_values(first) {
            if fixed::get(index as usize).is_some_and(|entry| entry.value() == value) {
                return integer::encode(index, 7, 0x80, out);
            }
        }
        if is_secret(name, value) {
            return literal(0x10, 4, first, name, value, out);
        }
        let hashes = Hashes::of(name, value);
        let mut same_name = None;
        for (index, noted) in self.table.notes().enumerate() {
            if noted.name != hashes.name {
                continue;
            }
            let Some(entry) = self.table.get(index).filter(|entry| entry.name() == name) else { continue };
            let index = (index + fixed::FIRST_DYNAMIC) as u32;
            if noted.field == hashes.field && entry.value() == value {
                return integer::encode(index, 7, 0x80, out);
            }
            same_name = same_name.or(Some(index));
        }
        let index = if first > 0 { first } else { same_name.unwrap_or(0) };
        if name.len() + value.len() + OVERHEAD > self.table.most() / 2 {
            return literal(0x00, 4, index, name, value, out);
        }
        self.epoch = self.epoch.wrapping_add(1);
        let seen = &mut self.seen[hashes.field as usize / 2 % SEEN];
        if same_name.is_some() && *seen != hashes.field {
            *seen = hashes.field;
            return literal(0x00, 4, index, name, value, out);
        }
        literal(0x40, 6, index, name, value, out);
        // The line is put together behind the block, where there is room anyway.
        let end = out.len();
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
        self.table.insert(&out[end..], name.len(), hashes);
        out.truncate(end);
    }

    fn resize(&mut self, size: usize) {
        if size != self.table.most() {
            let smallest = self.owed.unwrap_or(size).min(size);
            self.table.resize(size);
            self.owed = Some(smallest);
            self.epoch = self.epoch.wrapping_add(1);
        }
    }
}

// What the table holds may be secret.
impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("most", &self.most).field("table", &self.table).finish_non_exhaustive()
    }
}

/// RFC 9113 §6.5.2
const DEFAULT: usize = 4096;

/// RFC 7541 §7.1.3. Short cookies can be guessed one by one (as nghttp2 has it).
fn is_secret(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"authorization" | b"proxy-authorization" => true,
        b"cookie" => value.len() < 20,
        _ => false,
    }
}

/// RFC 7541 §6.2
fn literal(first: u8, bits: u32, index: u32, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    integer::encode(index, bits, first, out);
    if index == 0 {
        string(name, out);
    }
    string(value, out);
}

/// RFC 7541 §5.2, the shorter way.
fn string(bytes: &[u8], out: &mut Vec<u8>) {
    let coded = huffman::encoded_len(bytes);
    if coded < bytes.len() {
        integer::encode(coded as u32, 7, 0x80, out);
        huffman::encode(bytes, out);
    } else {
        integer::encode(bytes.len() as u32, 7, 0, out);
        out.extend_from_slice(bytes);
    }
}

impl Hashes {
    fn of(name: &[u8], value: &[u8]) -> Self {
        let name = hash(name.len() as u64, name);
        let field = hash(name, value);
        // 0 stands for no field in `seen`.
        Self { name: (name >> 32) as u32, field: (field >> 32) as u32 | 1 }
    }
}

/// Ours alone put bytes into it, and what it finds is compared: it only has to be quick.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = seed.wrapping_mul(MULTIPLIER);
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        hash = (hash.rotate_left(29) ^ u64::from_le_bytes(*eight)).wrapping_mul(MULTIPLIER);
    }
    let rest = rest.iter().fold(rest.len() as u64, |word, byte| word << 8 | u64::from(*byte));
    (hash.rotate_left(29) ^ rest).wrapping_mul(MULTIPLIER)
}
