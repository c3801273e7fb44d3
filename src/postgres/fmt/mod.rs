//! Results for people and for pipes: an aligned table, JSON, CSV. Writes to what it is given, row by row where the format
//! allows it.
//!
//! ```
//! use aquests::postgres::{ResultSet, fmt};
//!
//! fn show(set: &ResultSet) -> std::io::Result<()> {
//!     let mut csv = fmt::Csv::new(std::io::stdout());
//!     csv.header(set.columns())?;
//!     set.rows().try_for_each(|row| csv.row(&row))
//! }
//! ```

mod complaint;
mod table;

use std::io::{self, Write};

pub use complaint::write_error;
use postgres_types::Type;
use serde::de::IgnoredAny;
pub use table::write_table;

use super::row::{try_bytes, try_words};
use super::{Column, Row};

/// Rows as JSON (RFC 8259): an array of objects, or an object a line.
///
/// The integers, `oid`, `float4`, `float8` and `numeric` are numbers as the server writes them, whatever their size; NaN and
/// infinities are not, and strings. `bool` is one of JSON's, `json` and `jsonb` are what they are, NULL is `null`, and
/// everything else is a string. Columns with the same name give members with the same name. A text that is not UTF-8, as one
/// may be where somebody changed `client_encoding`, is an error.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    lines: bool,
    begun: bool,
    /// The row that is written.
    line: Vec<u8>,
}

impl<W: Write> Json<W> {
    /// An array of all rows, which [`finish`](Self::finish) closes.
    pub fn array(out: W) -> Self {
        Self { out, lines: false, begun: false, line: Vec::new() }
    }

    /// An object a line.
    pub fn lines(out: W) -> Self {
        Self { lines: true, ..Self::array(out) }
    }

    /// A row.
    pub fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.line.clear();
        if !self.lines {
            self.line.extend_from_slice(if self.begun { b",\n" } else { b"[" });
        }
        self.line.push(b'{');
        for (at, (column, raw)) in row.cells().enumerate() {
            if at > 0 {
                self.line.push(b',');
            }
            serde_json::to_writer(&mut self.line, column.name())?;
            self.line.push(b':');
            json_value(column, raw, &mut self.line)?;
        }
        self.line.push(b'}');
        if self.lines {
            self.line.push(b'\n');
        }
        self.begun = true;
        self.out.write_all(&self.line)
    }

    /// What is written to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// There are no more rows.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.lines {
            self.out.write_all(if self.begun { b"]\n" } else { b"[]\n" })?;
        }
        Ok(self.out)
    }
}

fn json_value(column: &Column, raw: Option<&[u8]>, out: &mut Vec<u8>) -> io::Result<()> {
    let Some(raw) = raw else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    // Replacing what is no UTF-8 would be to tell something else.
    if !column.is_binary() && std::str::from_utf8(raw).is_err() {
        let words = format!("a value of {} is not UTF-8, which JSON is: client_encoding was changed", column.name());
        return Err(io::Error::new(io::ErrorKind::InvalidData, words));
    }
    let words = match *column.type_() {
        // The version of its binary format stands before it.
        Type::JSONB if column.is_binary() => String::from_utf8_lossy(raw.strip_prefix(&[1]).unwrap_or(raw)),
        _ => try_words(column, raw)?,
    };
    let bare = match *column.type_() {
        Type::BOOL => match &*words {
            "t" => Some("true".into()),
            "f" => Some("false".into()),
            _ => None,
        },
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => {
            is_number(&words).then(|| words.clone())
        }
        // Outside of its strings a line break is but space.
        Type::JSON | Type::JSONB if serde_json::from_str::<IgnoredAny>(&words).is_ok() => {
            Some(words.replace(['\n', '\r'], " ").into())
        }
        _ => None,
    };
    match bare {
        Some(bare) => out.extend_from_slice(bare.as_bytes()),
        None => serde_json::to_writer(out, &*words)?,
    }
    Ok(())
}

/// As JSON has them: RFC 8259 §6.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) =
        text.split_once('e').map_or((text, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let (whole, decimals) = mantissa.split_once('.').map_or((mantissa, None), |(whole, rest)| (whole, Some(rest)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && decimals.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// Rows as CSV (RFC 4180): lines end with CR and LF. NULL is nothing, and a text that is empty is a pair of quotes, as `COPY`
/// has it; `\.` is in quotes, because alone on a line it would end what `COPY` reads. What came as text is written as it
/// came, and is UTF-8 unless somebody changed `client_encoding`.
#[derive(Debug)]
pub struct Csv<W> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Csv<W> {
    /// A writer of rows.
    pub fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }

    /// What is written to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// The names of the columns.
    pub fn header(&mut self, columns: &[Column]) -> io::Result<()> {
        self.write(columns.iter().map(|column| Ok(Some(column.name().as_bytes()))))
    }

    /// A row.
    pub fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.write(row.cells().map(|(column, raw)| raw.map(|raw| try_bytes(column, raw)).transpose()))
    }

    fn write<T: AsRef<[u8]>>(&mut self, fields: impl Iterator<Item = io::Result<Option<T>>>) -> io::Result<()> {
        self.line.clear();
        for (at, field) in fields.enumerate() {
            if at > 0 {
                self.line.push(b',');
            }
            let Some(field) = field? else { continue };
            let field = field.as_ref();
            let special = |byte| matches!(byte, b'"' | b',' | b'\r' | b'\n');
            if !field.is_empty() && field != b"\\." && !field.iter().copied().any(special) {
                self.line.extend_from_slice(field);
                continue;
            }
            self.line.push(b'"');
            for (part, piece) in field.split(|byte| *byte == b'"').enumerate() {
                self.line.extend_from_slice(if part == 0 { b"" } else { b"\"\"" });
                self.line.extend_from_slice(piece);
            }
            self.line.push(b'"');
        }
        self.line.extend_from_slice(b"\r\n");
        self.out.write_all(&self.line)
    }
}

#[cfg(test)]
mod tests;
