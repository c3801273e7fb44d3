//! Values from PostgreSQL's binary formats into the words that the server itself would use ("Data Types" in the manual;
//! the formats are those of the types' `send` functions). Says `None` to what is not as its type wants it.

mod composed;

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use composed::{array, composite, hstore, multirange, range};
pub(super) use composed::{fits, is_judged};
use postgres_types::{Kind, Type};

use super::own::is_built_in;

/// Whether values of this type are asked for in binary: what is written below can be shown, and everything else comes as
/// text.
pub(super) fn is_written(type_: &Type) -> bool {
    match type_.kind() {
        // Arrays that are written in another way.
        _ if [Type::INT2_VECTOR, Type::OID_VECTOR].contains(type_) => false,
        Kind::Simple => SIMPLE.contains(type_) || EXTENSIONS.contains(&type_.name()),
        Kind::Array(part) | Kind::Range(part) | Kind::Multirange(part) | Kind::Domain(part) => is_written(part),
        Kind::Enum(_) => true,
        Kind::Composite(fields) => fields.iter().all(|field| is_written(field.type_())),
        _ => false,
    }
}

/// Types of extensions that come with the server, by the names that `postgres-types` knows them by.
const EXTENSIONS: &[&str] = &["citext", "hstore", "lquery", "ltree", "ltxtquery"];

const SIMPLE: &[Type] = &[
    Type::BIT,
    Type::BOOL,
    Type::BOX,
    Type::BPCHAR,
    Type::BYTEA,
    Type::CHAR,
    Type::CIDR,
    Type::DATE,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::INET,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::INTERVAL,
    Type::JSON,
    Type::JSONB,
    Type::MACADDR,
    Type::MACADDR8,
    Type::NAME,
    Type::NUMERIC,
    Type::OID,
    Type::PATH,
    Type::PG_LSN,
    Type::POINT,
    Type::TEXT,
    Type::TIME,
    Type::TIMESTAMP,
    Type::TIMESTAMPTZ,
    Type::TIMETZ,
    Type::UUID,
    Type::VARBIT,
    Type::VARCHAR,
    Type::XML,
];

/// A reader that says `None` at the end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn f64(&mut self) -> Option<f64> {
        self.take().map(f64::from_be_bytes)
    }

    /// A value with its length before it, -1 for NULL.
    fn value(&mut self) -> Option<Option<&'a [u8]>> {
        match self.i32()? {
            -1 => Some(None),
            length => {
                let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
                self.0 = rest;
                Some(Some(taken))
            }
        }
    }
}

/// Bytes of the words for a value that is made of others: as many for each of its own, and the longest number that there is
/// (147,455 digits in some bytes).
const TIMES: usize = 64;
const LONGEST: usize = 256 << 10;

/// Appends the words for a value in the binary format. What was appended before a `None` means nothing.
pub(super) fn write(type_: &Type, raw: &[u8], out: &mut String) -> Option<()> {
    write_within(type_, raw, raw.len().saturating_mul(TIMES).saturating_add(LONGEST), out)
}

/// The same; what is made of others says `None` to more than so many bytes.
fn write_within(type_: &Type, raw: &[u8], most: usize, out: &mut String) -> Option<()> {
    match type_.kind() {
        Kind::Array(member) => return array(member, raw, most, out),
        Kind::Range(member) => return range(member, raw, most, out),
        Kind::Multirange(member) => return multirange(member, raw, most, out),
        Kind::Domain(base) => return write_within(base, raw, most, out),
        Kind::Composite(fields) => return composite(fields, raw, most, out),
        Kind::Enum(_) => return words(raw, out),
        _ => {}
    }
    let mut reader = Reader(raw);
    let written = match *type_ {
        Type::BOOL => match raw {
            [0] => out.write_char('f'),
            [1] => out.write_char('t'),
            _ => return None,
        },
        Type::CHAR => match raw {
            [0] => Ok(()),
            [byte] if byte.is_ascii() => out.write_char(char::from(*byte)),
            // As the server writes it since 16.
            [byte] => write!(out, "\\{byte:03o}"),
            _ => return None,
        },
        Type::BYTEA => {
            out.push_str("\\x");
            raw.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
        }
        Type::INT2 => return all(raw).map(|it| push(i16::from_be_bytes(it), out)),
        Type::INT4 => return all(raw).map(|it| push(i32::from_be_bytes(it), out)),
        Type::INT8 => return all(raw).map(|it| push(i64::from_be_bytes(it), out)),
        Type::OID => return all(raw).map(|it| push(u32::from_be_bytes(it), out)),
        Type::FLOAT4 => {
            let number = f32::from_be_bytes(all(raw)?);
            return float(&format!("{number:e}"), 6, out);
        }
        Type::FLOAT8 => {
            let number = f64::from_be_bytes(all(raw)?);
            return float(&format!("{number:e}"), 15, out);
        }
        Type::NUMERIC => return numeric(&mut reader, out),
        Type::JSONB => return raw.strip_prefix(&[1]).and_then(|text| words(text, out)),
        Type::UUID => {
            let number = u128::from_be_bytes(all(raw)?);
            let (a, b, c, d) = (number >> 96, number >> 80 & 0xffff, number >> 64 & 0xffff, number >> 48 & 0xffff);
            write!(out, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{:012x}", number & 0xffff_ffff_ffff)
        }
        Type::DATE => return date(i32::from_be_bytes(all(raw)?), out),
        Type::TIME => return time(i64::from_be_bytes(all(raw)?), out),
        Type::TIMETZ => {
            time(reader.i64()?, out)?;
            // Seconds west of Greenwich.
            return zone(reader.i32()?.checked_neg()?, out).filter(|()| reader.0.is_empty());
        }
        Type::TIMESTAMP => return timestamp(i64::from_be_bytes(all(raw)?), "", out),
        Type::TIMESTAMPTZ => return timestamp(i64::from_be_bytes(all(raw)?), "+00", out),
        Type::INTERVAL => return interval(&mut reader, out),
        Type::INET | Type::CIDR => return inet(raw, out),
        Type::MACADDR | Type::MACADDR8 => raw
            .iter()
            .enumerate()
            .try_for_each(|(at, byte)| write!(out, "{}{byte:02x}", if at == 0 { "" } else { ":" })),
        Type::BIT | Type::VARBIT => {
            let count = usize::try_from(reader.i32()?).ok().filter(|count| count.div_ceil(8) == reader.0.len())?;
            let bit = |at: usize| if reader.0[at / 8] >> (7 - at % 8) & 1 == 1 { '1' } else { '0' };
            out.extend((0..count).map(bit));
            Ok(())
        }
        Type::PG_LSN => {
            let number = u64::from_be_bytes(all(raw)?);
            write!(out, "{:X}/{:X}", number >> 32, number as u32)
        }
        Type::POINT => return point(&mut reader, out).filter(|()| reader.0.is_empty()),
        Type::BOX => {
            point(&mut reader, out)?;
            out.push(',');
            return point(&mut reader, out).filter(|()| reader.0.is_empty());
        }
        Type::PATH => {
            let [closed] = reader.take()?;
            let count = reader.i32()?;
            out.push(if closed == 0 { '[' } else { '(' });
            for at in 0..count {
                if at > 0 {
                    out.push(',');
                }
                point(&mut reader, out)?;
            }
            out.push(if closed == 0 { ']' } else { ')' });
            return reader.0.is_empty().then_some(());
        }
        _ => {
            return match type_.name() {
                "hstore" => hstore(&mut reader, out),
                // The version of their formats stands before them.
                "lquery" | "ltree" | "ltxtquery" => raw.strip_prefix(&[1]).and_then(|text| words(text, out)),
                "citext" => words(raw, out),
                // How others are written is known to their extensions.
                _ if !is_built_in(type_.oid()) => None,
                _ => words(raw, out),
            };
        }
    };
    written.ok()
}

fn all<const N: usize>(raw: &[u8]) -> Option<[u8; N]> {
    raw.try_into().ok()
}

fn words(raw: &[u8], out: &mut String) -> Option<()> {
    out.push_str(std::str::from_utf8(raw).ok()?);
    Some(())
}

fn push(number: impl std::fmt::Display, out: &mut String) {
    let _ = write!(out, "{number}");
}

/// The shortest digits that are the number, as the server has them since 12: an exponent below 1e-4 and from so many
/// digits on. `text` is in Rust's `{:e}`.
fn float(text: &str, digits: i32, out: &mut String) -> Option<()> {
    let Some((mantissa, exponent)) = text.split_once('e') else {
        out.push_str(match text {
            "inf" => "Infinity",
            "-inf" => "-Infinity",
            _ => "NaN",
        });
        return Some(());
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..digits).contains(&exponent) {
        let _ = write!(out, "{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs());
        return Some(());
    }
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let figures: String = mantissa.chars().filter(|c| *c != '.').collect();
    out.push_str(sign);
    if exponent < 0 {
        let zeros = exponent.unsigned_abs() as usize - 1;
        let _ = write!(out, "0.{:0<zeros$}{figures}", "");
    } else {
        let whole = exponent as usize + 1;
        match figures.split_at_checked(whole).filter(|(_, rest)| !rest.is_empty()) {
            Some((whole, rest)) => out.extend([whole, ".", rest]),
            None => {
                let _ = write!(out, "{figures:0<whole$}");
            }
        }
    }
    Some(())
}

/// Digits to the base of 10,000, the weight of the first, a sign, and how many decimals are shown.
fn numeric(reader: &mut Reader<'_>, out: &mut String) -> Option<()> {
    let (count, weight, sign, scale) = (reader.i16()?, reader.i16()?, reader.i16()? as u16, reader.i16()?);
    let special = match sign {
        0 | 0x4000 => None,
        0xc000 => Some("NaN"),
        0xd000 => Some("Infinity"),
        0xf000 => Some("-Infinity"),
        _ => return None,
    };
    if let Some(special) = special {
        out.push_str(special);
        return Some(());
    }
    let (digits, rest) = reader.0.as_chunks::<2>();
    if digits.len() != usize::try_from(count).ok()? || !rest.is_empty() {
        return None;
    }
    let digit = |at: i32| {
        let digit = usize::try_from(at).ok().and_then(|at| digits.get(at)).map_or(0, |it| i16::from_be_bytes(*it));
        (0..10_000).contains(&digit).then_some(digit)
    };
    let (weight, scale) = (i32::from(weight), usize::try_from(scale).ok()?);
    if sign == 0x4000 {
        out.push('-');
    }
    push(digit(0).filter(|_| weight >= 0).unwrap_or(0), out);
    for at in 1..=weight {
        let _ = write!(out, "{:04}", digit(at)?);
    }
    if scale > 0 {
        out.push('.');
        let end = out.len() + scale;
        let mut at = weight + 1;
        // Digits before the first one that there is are zero.
        while out.len() < end {
            let _ = write!(out, "{:04}", digit(at)?);
            at += 1;
        }
        out.truncate(end);
    }
    Some(())
}

/// Years, months and days of a day since 2000-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from the 1st of March of the year 0, so that a leap day is the last of its year: H. Hinnant,
    // "chrono-Compatible Low-Level Date Algorithms".
    let days = days + 730_425;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// Appends year, month and day, and says what follows the time of a year before the first.
fn calendar(days: i64, out: &mut String) -> &'static str {
    let (year, month, day) = civil(days);
    let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
    era
}

fn date(days: i32, out: &mut String) -> Option<()> {
    match days {
        i32::MAX => out.push_str("infinity"),
        i32::MIN => out.push_str("-infinity"),
        days => {
            let era = calendar(days.into(), out);
            out.push_str(era);
        }
    }
    Some(())
}

const DAY: i64 = 86_400_000_000;

/// Microseconds since midnight.
fn time(time: i64, out: &mut String) -> Option<()> {
    if !(0..=DAY).contains(&time) {
        return None;
    }
    let seconds = time / 1_000_000;
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    fraction(time % 1_000_000, out);
    Some(())
}

/// Microseconds of a second without the zeros behind them.
fn fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let _ = write!(out, ".{micros:06}");
        out.truncate(out.trim_end_matches('0').len());
    }
}

fn zone(seconds: i32, out: &mut String) -> Option<()> {
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    let _ = write!(out, "{sign}{:02}", seconds / 3600);
    for rest in [seconds / 60 % 60, seconds % 60].into_iter().take(if seconds % 60 != 0 {
        2
    } else {
        (seconds % 3600 != 0).into()
    }) {
        let _ = write!(out, ":{rest:02}");
    }
    Some(())
}

fn timestamp(micros: i64, zone: &str, out: &mut String) -> Option<()> {
    match micros {
        i64::MAX => out.push_str("infinity"),
        i64::MIN => out.push_str("-infinity"),
        micros => {
            let era = calendar(micros.div_euclid(DAY), out);
            out.push(' ');
            time(micros.rem_euclid(DAY), out)?;
            out.extend([zone, era]);
        }
    }
    Some(())
}

/// As `intervalstyle` `postgres` writes it: what is zero is left out, and the sign is said again where it changes.
fn interval(reader: &mut Reader<'_>, out: &mut String) -> Option<()> {
    let (micros, days, months) = (reader.i64()?, reader.i32()?, reader.i32()?);
    if !reader.0.is_empty() {
        return None;
    }
    // Since 17.
    match (micros, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) => return words(b"infinity", out),
        (i64::MIN, i32::MIN, i32::MIN) => return words(b"-infinity", out),
        _ => {}
    }
    let begin = out.len();
    let mut before_negative = false;
    for (number, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if number != 0 {
            let space = if out.len() > begin { " " } else { "" };
            let plus = if before_negative && number > 0 { "+" } else { "" };
            let _ = write!(out, "{space}{plus}{number} {unit}{}", if number == 1 { "" } else { "s" });
            before_negative = number < 0;
        }
    }
    if micros != 0 || out.len() == begin {
        if out.len() > begin {
            out.push(' ');
        }
        out.push_str(if micros < 0 {
            "-"
        } else if before_negative {
            "+"
        } else {
            ""
        });
        let micros = micros.unsigned_abs();
        let seconds = micros / 1_000_000;
        let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        fraction((micros % 1_000_000) as i64, out);
    }
    Some(())
}

/// Family, bits of the net, whether it is a `cidr`, bytes of the address, and those. A whole address has no bits behind it.
fn inet(raw: &[u8], out: &mut String) -> Option<()> {
    let (&[family, bits, cidr, length], address) = raw.split_first_chunk::<4>()?;
    let most = match (family, length) {
        (2, 4) => {
            push(Ipv4Addr::from(all::<4>(address)?), out);
            32
        }
        (3, 16) => {
            let address = Ipv6Addr::from(all::<16>(address)?);
            match address.segments() {
                // Of version 4 inside, in the way that the server still shows.
                [0, 0, 0, 0, 0, 0, a, b] if a != 0 => {
                    let _ = write!(out, "::{}", Ipv4Addr::from(u32::from(a) << 16 | u32::from(b)));
                }
                _ => push(address, out),
            }
            128
        }
        _ => return None,
    };
    if bits != most || cidr != 0 {
        let _ = write!(out, "/{bits}");
    }
    Some(())
}

fn point(reader: &mut Reader<'_>, out: &mut String) -> Option<()> {
    out.push('(');
    float(&format!("{:e}", reader.f64()?), 15, out)?;
    out.push(',');
    float(&format!("{:e}", reader.f64()?), 15, out)?;
    out.push(')');
    Some(())
}

#[cfg(test)]
mod tests;
