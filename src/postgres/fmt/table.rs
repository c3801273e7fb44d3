//! A table as `psql` draws it. Control characters never reach the terminal: a table may hold anybody's text.

use std::fmt::Write as _;
use std::io::{self, Write};

use postgres_types::Type;

use crate::postgres::ResultSet;
use crate::postgres::row::try_words;

/// A cell: its lines with their widths in columns of the terminal.
type Cell = Vec<(String, usize)>;

/// Draws the rows with their number below, or says what a statement without rows did.
pub fn write_table(mut out: impl Write, set: &ResultSet) -> io::Result<()> {
    let columns = set.columns();
    if columns.is_empty() && set.is_empty() {
        return writeln!(out, "{}", set.tag().escape_debug());
    }
    if columns.is_empty() {
        return writeln!(out, "--\n({} row{})\n", set.len(), if set.len() == 1 { "" } else { "s" });
    }
    let header: Vec<Cell> = columns.iter().map(|column| cell(column.name())).collect();
    let rows: Vec<Vec<Cell>> = set
        .rows()
        .map(|row| {
            row.cells()
                .map(|(column, raw)| raw.map_or(Ok(Cell::new()), |raw| Ok(cell(&try_words(column, raw)?))))
                .collect()
        })
        .collect::<io::Result<_>>()?;
    let width = |cell: &Cell| cell.iter().map(|(_, width)| *width).max().unwrap_or(0);
    let mut widths: Vec<usize> = header.iter().map(width).collect();
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(widest, cell)| *widest = width(cell).max(*widest));
    }
    let mut text = String::new();
    draw(&header, &widths, &mut text, |_| Align::Center);
    let dashes: Vec<_> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    let _ = writeln!(text, "{}", dashes.join("+"));
    out.write_all(text.as_bytes())?;
    for row in &rows {
        text.clear();
        let align = |at: usize| if is_number(columns[at].type_()) { Align::Right } else { Align::Left };
        draw(row, &widths, &mut text, align);
        out.write_all(text.as_bytes())?;
    }
    writeln!(out, "({} row{})", rows.len(), if rows.len() == 1 { "" } else { "s" })?;
    writeln!(out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
    Center,
}

/// Appends the lines of one row; a plus stands behind a line that goes on below.
fn draw(cells: &[Cell], widths: &[usize], out: &mut String, align: impl Fn(usize) -> Align) {
    let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
    for line in 0..height {
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let (text, used) = cell.get(line).map_or(("", 0), |(text, used)| (text.as_str(), *used));
            let (space, goes_on, last) = (width - used, line + 1 < cell.len(), at + 1 == cells.len());
            let (before, after) = match align(at) {
                // What has no such line ends the row.
                Align::Right if last && line > 0 && line >= cell.len() => (0, 0),
                Align::Left => (0, space),
                Align::Right => (space, 0),
                Align::Center => (space / 2, space - space / 2),
            };
            out.push_str(if at == 0 { " " } else { "| " });
            let _ = write!(out, "{:before$}{text}", "");
            // A line has no space at its end, unless it is the header's.
            if !last || goes_on || align(at) == Align::Center {
                let _ = write!(out, "{:after$}{}", "", if goes_on { '+' } else { ' ' });
            }
        }
        out.push('\n');
    }
}

/// Aligned to the right, as `psql` does.
fn is_number(type_: &Type) -> bool {
    let numbers = [
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::NUMERIC,
        Type::OID,
        Type::XID,
        Type::XID8,
        Type::CID,
        Type::MONEY,
    ];
    numbers.contains(type_)
}

fn cell(text: &str) -> Cell {
    text.split('\n').map(line).collect()
}

/// What stands for a line on a terminal, and its width.
pub(super) fn line(text: &str) -> (String, usize) {
    let (mut shown, mut used) = (String::with_capacity(text.len()), 0);
    for letter in text.chars() {
        let before = shown.len();
        match letter {
            '\r' => shown.push_str("\\r"),
            '\t' => (used..(used / 8 + 1) * 8).for_each(|_| shown.push(' ')),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(shown, "\\x{:02X}", u32::from(letter));
            }
            // More controls, and what turns the direction of a text around.
            '\u{80}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(shown, "\\u{:04X}", u32::from(letter));
            }
            letter => {
                shown.push(letter);
                used += width(letter);
                continue;
            }
        }
        used += shown.len() - before;
    }
    (shown, used)
}

/// Columns of the terminal: none for what stands on the letter before, two for the wide and full-width ones of Unicode's
/// annex 11.
fn width(letter: char) -> usize {
    match u32::from(letter) {
        0x300..=0x36f
        | 0x483..=0x489
        | 0x591..=0x5bd
        | 0x610..=0x61a
        | 0x64b..=0x65f
        | 0x6d6..=0x6dc
        | 0xe31
        | 0xe34..=0xe3a
        | 0xe47..=0xe4e
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x200b..=0x200d
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f
        | 0xfeff => 0,
        0x1100..=0x115f
        | 0x231a..=0x231b
        | 0x2329..=0x232a
        | 0x23e9..=0x23ec
        | 0x2e80..=0x303e
        | 0x3041..=0x33ff
        | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff
        | 0xa000..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}
