//! Values that are made of others: arrays, ranges, composites, and the pairs of `hstore`. How deep they go is the depth of
//! their types, whatever the bytes say. Quotes inside of quotes are doubled at each level, so that some hundred bytes could
//! come to gigabytes: all take `most`, the bytes of words that they stay within.

use std::fmt::Write;

use postgres_types::{Field, Kind, Type};

use super::{Reader, is_written, write_within};

/// Labels of an enum among which those that come are looked for: each costs a comparison.
const LABELS: usize = 64;

/// Dimensions that an array may have: `MAXDIM` of the server.
const DIMENSIONS: usize = 6;

pub(super) fn array(member: &Type, raw: &[u8], most: usize, out: &mut String) -> Option<()> {
    let mut reader = Reader(raw);
    let count = usize::try_from(reader.i32()?).ok().filter(|count| *count <= DIMENSIONS)?;
    let (_nulls, _member) = (reader.i32()?, reader.i32()?);
    let mut sizes = Vec::with_capacity(count);
    let mut bounds = String::new();
    let mut plain = true;
    for _ in 0..count {
        let (size, lower) = (reader.i32()?, reader.i32()?);
        sizes.push(usize::try_from(size).ok().filter(|size| *size > 0)?);
        plain &= lower == 1;
        let _ = write!(bounds, "[{lower}:{}]", i64::from(lower) + i64::from(size) - 1);
    }
    if count == 0 {
        return reader.0.is_empty().then(|| out.push_str("{}"));
    }
    if !plain {
        out.extend([&bounds, "="]);
    }
    members(member, &sizes, most, &mut reader, out)?;
    reader.0.is_empty().then_some(())
}

/// What stands between the members of an array: boxes have commas inside.
fn delimiter(member: &Type) -> char {
    match member.kind() {
        Kind::Domain(base) => delimiter(base),
        _ if *member == Type::BOX => ';',
        _ => ',',
    }
}

fn members(member: &Type, sizes: &[usize], most: usize, reader: &mut Reader<'_>, out: &mut String) -> Option<()> {
    let (size, inner) = sizes.split_first()?;
    let delimiter = delimiter(member);
    let special = |c: char| matches!(c, '{' | '}' | '"' | '\\') || c == delimiter || is_space(c);
    let special = |text: &str| text.eq_ignore_ascii_case("null") || text.contains(special);
    out.push('{');
    // A size that is not true ends with what came.
    for at in 0..*size {
        if at > 0 {
            out.push(delimiter);
        }
        if !inner.is_empty() {
            members(member, inner, most, reader, out)?;
            continue;
        }
        let Some(raw) = reader.value()? else {
            out.push_str("NULL");
            continue;
        };
        part(member, raw, special, "\\", most, out)?;
    }
    out.push('}');
    Some(())
}

/// What something is made of, in quotes where it is `special` or nothing at all.
fn part(
    type_: &Type,
    raw: &[u8],
    special: impl Fn(&str) -> bool,
    escape: &str,
    most: usize,
    out: &mut String,
) -> Option<()> {
    let mut text = String::new();
    write_within(type_, raw, most, &mut text)?;
    if text.is_empty() || special(&text) {
        quote(&text, escape, out);
    } else {
        out.push_str(&text);
    }
    (out.len() <= most).then_some(())
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\x0b'
}

/// In quotes; a quote inside has `escape` before it, or itself for a range.
fn quote(text: &str, escape: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' if escape.is_empty() => out.push('"'),
            '"' => out.push_str(escape),
            '\\' => out.push('\\'),
            _ => {}
        }
        out.push(letter);
    }
    out.push('"');
}

/// Flags (empty, lower and upper bound inclusive, infinite), and the bounds that there are.
pub(super) fn range(member: &Type, raw: &[u8], most: usize, out: &mut String) -> Option<()> {
    let special = |c: char| matches!(c, '"' | '\\' | '(' | ')' | '[' | ']' | ',') || is_space(c);
    let mut reader = Reader(raw);
    let [flags] = reader.take()?;
    if flags & 1 != 0 {
        out.push_str("empty");
        return Some(());
    }
    out.push(if flags & 2 != 0 { '[' } else { '(' });
    for (infinite, end) in [(8, ","), (16, if flags & 4 != 0 { "]" } else { ")" })] {
        if flags & infinite == 0 {
            part(member, reader.value()??, |text| text.contains(special), "", most, out)?;
        }
        out.push_str(end);
    }
    reader.0.is_empty().then_some(())
}

/// How many ranges, and those, each with its length before it.
pub(super) fn multirange(member: &Type, raw: &[u8], most: usize, out: &mut String) -> Option<()> {
    let mut reader = Reader(raw);
    out.push('{');
    for at in 0..reader.i32()? {
        if at > 0 {
            out.push(',');
        }
        range(member, reader.value()??, most, out)?;
    }
    out.push('}');
    reader.0.is_empty().then_some(())
}

/// How many fields, and those, each with the number of its type and its length before it. NULL is nothing at all.
pub(super) fn composite(fields: &[Field], raw: &[u8], most: usize, out: &mut String) -> Option<()> {
    let special = |c: char| matches!(c, '"' | '\\' | '(' | ')' | ',') || is_space(c);
    let mut reader = Reader(raw);
    let count = reader.i32()?;
    out.push('(');
    for at in 0..usize::try_from(count).ok()? {
        if at > 0 {
            out.push(',');
        }
        let oid = u32::from_be_bytes(reader.take()?);
        let Some(raw) = reader.value()? else { continue };
        // It may have been changed since it was looked up, and says itself what it is made of now.
        let known = fields.get(at).map(Field::type_).filter(|type_| type_.oid() == oid).cloned();
        let type_ = known.or_else(|| Type::from_oid(oid).filter(is_written))?;
        part(&type_, raw, |text| text.contains(special), "", most, out)?;
    }
    out.push(')');
    reader.0.is_empty().then_some(())
}

/// How many pairs, and those: a key, and a value or NULL.
pub(super) fn hstore(reader: &mut Reader<'_>, out: &mut String) -> Option<()> {
    for at in 0..reader.i32()? {
        out.push_str(if at > 0 { ", " } else { "" });
        quote(std::str::from_utf8(reader.value()??).ok()?, "\\", out);
        out.push_str("=>");
        match reader.value()? {
            Some(value) => quote(std::str::from_utf8(value).ok()?, "\\", out),
            None => out.push_str("NULL"),
        }
    }
    reader.0.is_empty().then_some(())
}

/// Something of values of this type shows whether it is still as it was when it was looked up.
pub(in crate::postgres) fn is_judged(type_: &Type) -> bool {
    match type_.kind() {
        Kind::Enum(labels) => labels.len() <= LABELS,
        Kind::Array(part) | Kind::Domain(part) => is_judged(part),
        Kind::Composite(_) => true,
        _ => false,
    }
}

/// Whether that is so: composites have the same fields, and enums no other labels.
pub(in crate::postgres) fn fits(type_: &Type, raw: &[u8]) -> bool {
    judge(type_, raw).is_some()
}

fn judge(type_: &Type, raw: &[u8]) -> Option<()> {
    let mut reader = Reader(raw);
    match type_.kind() {
        Kind::Enum(labels) => {
            return (labels.len() > LABELS || labels.iter().any(|label| label.as_bytes() == raw)).then_some(());
        }
        Kind::Domain(base) => return judge(base, raw),
        Kind::Array(member) if is_judged(member) => {
            let count = usize::try_from(reader.i32()?).ok().filter(|count| *count <= DIMENSIONS)?;
            reader.0 = reader.0.get(8 + 8 * count..)?;
            while !reader.0.is_empty() {
                reader.value()?.map_or(Some(()), |raw| judge(member, raw))?;
            }
        }
        Kind::Composite(fields) => {
            if usize::try_from(reader.i32()?).ok()? != fields.len() {
                return None;
            }
            for field in fields {
                if u32::from_be_bytes(reader.take()?) != field.type_().oid() {
                    return None;
                }
                reader.value()?.map_or(Some(()), |raw| judge(field.type_(), raw))?;
            }
        }
        _ => {}
    }
    Some(())
}
