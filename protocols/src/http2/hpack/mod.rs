//! Header compression (RFC 7541): [`Encoder`] and [`Decoder`], each with the table of its direction.
//!
//! Fields travel through here as lines, `name: value` with CRLF, as [`Fields`](crate::semantics::Fields) reads them and
//! as the tables keep them: an indexed field is one copy. What a field may look like is judged once, when it enters the
//! table, and noted there as its kind. What a list of fields means is the business of the connection.
//!
//! ```
//! use aquests_protocols::http2::hpack::{Decoder, Encoder};
//!
//! let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096));
//! for length in [17, 2] {
//!     let mut block = Vec::new();
//!     encoder.encode([(&b":method"[..], &b"GET"[..]), (b"x-thing", b"something")], &mut block);
//!     // What comes again is a byte each.
//!     assert_eq!(block.len(), length);
//!     let mut fields = Vec::new();
//!     decoder.decode(&block, |name, value| fields.push((name.to_vec(), value.to_vec())))?;
//!     assert_eq!(fields[1], (b"x-thing".to_vec(), b"something".to_vec()));
//! }
//! # Ok::<(), aquests_protocols::http2::hpack::Error>(())
//! ```

mod decoder;
mod encoder;
mod fixed;
mod huffman;
mod integer;
mod kind;
mod table;

pub use decoder::Decoder;
pub(super) use decoder::{Decoded, Sink};
pub use encoder::Encoder;
pub(super) use kind::Kind;

use core::fmt;

/// Why a block of fields could not be decoded. The state of the connection is lost with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Error {
    /// A string is not in the Huffman code, or padded wrongly (RFC 7541 §5.2).
    Huffman,
    /// An index points to nothing (RFC 7541 §2.3.3).
    Index,
    /// An integer is too large, or too long (RFC 7541 §5.1).
    Integer,
    /// A change of the table's size above what was allowed, not at the beginning of a block, or missing (RFC 7541 §4.2).
    TableSize,
    /// The block ends in the middle of a field.
    Truncated,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Huffman => "a string that is not in the Huffman code (RFC 7541 §5.2)",
            Error::Index => "an index without an entry (RFC 7541 §2.3.3)",
            Error::Integer => "an integer that is too large (RFC 7541 §5.1)",
            Error::TableSize => "a table size that was not allowed (RFC 7541 §4.2)",
            Error::Truncated => "a field without its end (RFC 7541 §6)",
        })
    }
}

impl core::error::Error for Error {}
