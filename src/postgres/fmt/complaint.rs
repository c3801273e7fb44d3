//! What a server complains about, in lines as `psql` has them, with the place in the statement. Control characters never
//! reach the terminal: words of an error may be anybody's.

use std::io::{self, Write};

use super::table::line;
use crate::postgres::ServerError;

/// Columns of the line of a statement that are shown, as `psql` does it.
const SHOWN: usize = 60;
/// So many of them stand behind the place, where there are any.
const BEHIND: usize = 10;

/// Writes an error or a notice: `ERROR:  42P01: relation "x" does not exist`, the line of the statement and a caret below
/// the place, and what else the server said. `sql`: the statement that was sent; without one no place is shown. Notices are
/// without their code, as they mostly say the same, and without their context.
pub fn write_error(mut out: impl Write, error: &ServerError, sql: Option<&str>) -> io::Result<()> {
    let fails = matches!(error.severity(), "ERROR" | "FATAL" | "PANIC");
    let code = if fails && !error.code().is_empty() { format!("{}: ", error.code()) } else { String::new() };
    write_lines(&mut out, &format!("{}:  {code}", error.severity()), error.message())?;
    if let Some((line, caret)) = sql.zip(error.position()).and_then(|(sql, position)| place(sql, position)) {
        writeln!(out, "{line}\n{caret}")?;
    }
    let context = error.context().filter(|_| fails);
    for (name, words) in [("DETAIL:  ", error.detail()), ("HINT:  ", error.hint()), ("CONTEXT:  ", context)] {
        if let Some(words) = words {
            write_lines(&mut out, name, words)?;
        }
    }
    Ok(())
}

fn write_lines(out: &mut impl Write, before: &str, words: &str) -> io::Result<()> {
    let mut before = before;
    for words in words.split('\n') {
        writeln!(out, "{before}{}", line(words).0)?;
        before = "";
    }
    Ok(())
}

/// The line of a statement that has its letter of this number, from 1, and a caret below that. Of a long one what stands
/// around it.
fn place(sql: &str, position: u32) -> Option<(String, String)> {
    let at = usize::try_from(position).ok()?.checked_sub(1)?;
    // Behind the last letter is a place, too: what is missing there.
    let offset = sql.char_indices().map(|(offset, _)| offset).chain([sql.len()]).nth(at)?;
    let begin = sql[..offset].rfind('\n').map_or(0, |end| end + 1);
    let end = sql[offset..].find('\n').map_or(sql.len(), |length| offset + length);
    let number = sql[..offset].matches('\n').count() + 1;
    let spaced = |text: String| text.replace(['\t', '\r'], " ");
    // More letters than that are never shown: a statement may be one line of any length.
    let near: Vec<char> = sql[begin..offset].chars().rev().take(SHOWN + 1).collect();
    let before = spaced(near.iter().rev().collect());
    let behind = spaced(sql[offset..end].chars().take(SHOWN + 1).collect());
    let (mut from, mut dots) = (0, "");
    while width(&before[from..]) > SHOWN - BEHIND.min(width(&behind)) {
        from += before[from..].chars().next().map_or(1, char::len_utf8);
        dots = "...";
    }
    let before = &before[from..];
    let mut until = behind.len();
    while width(before) + width(&behind[..until]) > SHOWN {
        until -= behind[..until].chars().next_back().map_or(1, char::len_utf8);
    }
    let more = if until < behind.len() { "..." } else { "" };
    let head = format!("LINE {number}: {dots}");
    let caret = " ".repeat(head.len() + width(before)) + "^";
    Some((format!("{head}{}{}{more}", line(before).0, line(&behind[..until]).0), caret))
}

fn width(text: &str) -> usize {
    line(text).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_below_its_letter() {
        for (sql, position, line, caret) in [
            ("SELEC 1", 1, "LINE 1: SELEC 1", "        ^"),
            ("SELECT 1,\n\tx + 1\nFROM y", 12, "LINE 2:  x + 1", "         ^"),
            ("SELECT 'Plzeň', x", 17, "LINE 1: SELECT 'Plzeň', x", "                        ^"),
            ("SELECT '東京', x", 14, "LINE 1: SELECT '東京', x", "                       ^"),
            ("SELECT (", 9, "LINE 1: SELECT (", "                ^"),
        ] {
            assert_eq!(place(sql, position), Some((line.to_owned(), caret.to_owned())), "{sql}");
        }
        for position in [0, 10, u32::MAX] {
            assert_eq!(place("SELECT (", position), None, "the statement has no letter {position}");
        }
    }

    #[test]
    fn of_a_long_line_what_stands_around_the_place_is_shown() {
        let sql = format!("SELECT {}x{}", "1 + ".repeat(40), " + 1".repeat(40));
        let (line, caret) = place(&sql, 168).unwrap();
        assert!(line.starts_with("LINE 1: ...") && line.ends_with("..."), "{line}");
        assert_eq!(line.find('x'), caret.find('^'), "{line}\n{caret}");
        assert!(line.len() < 80, "{line}");
    }
}
