//! Values from text, as simple queries bring them, into the binary formats that `FromSql` reads. Says `None` to what is not
//! as its type is written, and to types that it does not know.

use std::net::IpAddr;

use postgres_types::{Kind, Type};

/// Appends the binary format of a value. What was appended before a `None` means nothing.
pub(super) fn write(type_: &Type, text: &str, out: &mut Vec<u8>) -> Option<()> {
    if let Kind::Array(member) = type_.kind() {
        return array(type_, member, text, out);
    }
    match *type_ {
        Type::BOOL => out.push(match text {
            "t" => 1,
            "f" => 0,
            _ => return None,
        }),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON | Type::XML => {
            out.extend_from_slice(text.as_bytes());
        }
        Type::JSONB => {
            out.push(1);
            out.extend_from_slice(text.as_bytes());
        }
        Type::CHAR => out.push(match text.as_bytes() {
            [] => 0,
            [byte] => *byte,
            [b'\\', digits @ ..] => u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?,
            _ => return None,
        }),
        Type::INT2 => out.extend(text.parse::<i16>().ok()?.to_be_bytes()),
        Type::INT4 => out.extend(text.parse::<i32>().ok()?.to_be_bytes()),
        Type::INT8 => out.extend(text.parse::<i64>().ok()?.to_be_bytes()),
        Type::OID => out.extend(text.parse::<u32>().ok()?.to_be_bytes()),
        // `Infinity` and `NaN` are words of Rust's too.
        Type::FLOAT4 => out.extend(text.parse::<f32>().ok()?.to_be_bytes()),
        Type::FLOAT8 => out.extend(text.parse::<f64>().ok()?.to_be_bytes()),
        Type::NUMERIC => return numeric(text, out),
        Type::BYTEA => return bytea(text, out),
        Type::UUID => {
            let digits: String = text.chars().filter(|c| *c != '-').collect();
            if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            let number = u128::from_str_radix(&digits, 16).ok()?;
            out.extend(number.to_be_bytes());
        }
        Type::DATE => out.extend(date(text)?.to_be_bytes()),
        Type::TIME => out.extend(time(text)?.to_be_bytes()),
        Type::TIMESTAMP => out.extend(timestamp(text, false)?.to_be_bytes()),
        Type::TIMESTAMPTZ => out.extend(timestamp(text, true)?.to_be_bytes()),
        Type::INET | Type::CIDR => return inet(text, *type_ == Type::CIDR, out),
        _ => return None,
    }
    Some(())
}

/// `\x` and digits, or the older escapes: PostgreSQL, "bytea".
fn bytea(text: &str, out: &mut Vec<u8>) -> Option<()> {
    if let Some(digits) = text.strip_prefix("\\x") {
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        let digit = |byte: u8| char::from(byte).to_digit(16);
        for [high, low] in pairs {
            out.push((digit(*high)? * 16 + digit(*low)?) as u8);
        }
        return rest.is_empty().then_some(());
    }
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                out.push(b'\\');
                after
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                after
            }
            (b'\\', _) => return None,
            (byte, after) => {
                out.push(byte);
                after
            }
        };
    }
    Some(())
}

fn numeric(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let special: Option<u16> = match text {
        "NaN" => Some(0xc000),
        "Infinity" => Some(0xd000),
        "-Infinity" => Some(0xf000),
        _ => None,
    };
    if let Some(sign) = special {
        for word in [0, 0, sign, 0] {
            out.extend(word.to_be_bytes());
        }
        return Some(());
    }
    let (sign, figures) = text.strip_prefix('-').map_or((0u16, text), |rest| (0x4000, rest));
    let (whole, decimals) = figures.split_once('.').unwrap_or((figures, ""));
    if whole.is_empty() || !whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Groups of four on both sides of the point.
    let mut all = "0".repeat((4 - whole.len() % 4) % 4) + whole + decimals;
    all.push_str(&"0".repeat((4 - decimals.len() % 4) % 4));
    let mut groups: Vec<u16> =
        all.as_bytes().chunks(4).map(|it| it.iter().fold(0, |sum, d| sum * 10 + u16::from(d - b'0'))).collect();
    let mut weight = whole.len().div_ceil(4) as i64 - 1;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..zeros);
    weight = if groups.is_empty() { 0 } else { weight - zeros as i64 };
    let (count, scale) = (u16::try_from(groups.len()).ok()?, u16::try_from(decimals.len()).ok()?);
    for word in [count, i16::try_from(weight).ok()? as u16, sign, scale].into_iter().chain(groups) {
        out.extend(word.to_be_bytes());
    }
    Some(())
}

/// A number of digits only.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Days since 2000-01-01 of `2000-01-01`, with or without ` BC`, as `datestyle` `ISO` has it.
fn date(text: &str) -> Option<i32> {
    match text {
        "infinity" => return Some(i32::MAX),
        "-infinity" => return Some(i32::MIN),
        _ => {}
    }
    let (text, before) = text.strip_suffix(" BC").map_or((text, false), |rest| (rest, true));
    let mut parts = text.splitn(3, '-').map(digits::<i64>);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(1..=5_874_897).contains(&year) {
        return None;
    }
    let year = if before { 1 - year } else { year };
    // The inverse of what `text` does: years begin with March.
    let year = year - i64::from(month <= 2);
    let (era, within) = (year.div_euclid(400), year.rem_euclid(400));
    let day = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day = within * 365 + within / 4 - within / 100 + day;
    i32::try_from(era * 146_097 + day - 730_425).ok()
}

/// Microseconds since midnight of `12:34:56.789`.
fn time(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let (hours, minutes): (i64, i64) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let (seconds, fraction) =
        parts.next()?.split_once('.').unwrap_or_else(|| (text.rsplit(':').next().unwrap_or_default(), ""));
    let seconds: i64 = digits(seconds)?;
    if hours > 24 || minutes > 59 || seconds > 60 || fraction.len() > 6 || text.ends_with('.') {
        return None;
    }
    let micros: i64 = digits(&format!("{fraction:0<6}"))?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

/// Microseconds since 2000-01-01 of `2000-01-01 12:34:56.789+02 BC`.
fn timestamp(text: &str, zoned: bool) -> Option<i64> {
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let (text, era) = text.strip_suffix(" BC").map_or((text, ""), |rest| (rest, " BC"));
    let (day, text) = text.split_once(' ')?;
    let (clock, zone) = text.split_at(text.find(['+', '-']).unwrap_or(text.len()));
    let mut offset = 0;
    if zoned {
        let mut parts = zone.get(1..)?.split(':').map(digits::<u16>);
        for unit in [3600, 60, 1] {
            // Minutes and seconds may be missing.
            offset += i64::from(parts.next().unwrap_or(if unit < 3600 { Some(0) } else { None })?) * unit;
        }
        offset = if zone.starts_with('-') { -offset } else { offset };
    } else if !zone.is_empty() {
        return None;
    }
    let days = i64::from(date(&format!("{day}{era}"))?);
    days.checked_mul(86_400_000_000)?.checked_add(time(clock)?)?.checked_sub(offset.checked_mul(1_000_000)?)
}

fn inet(text: &str, cidr: bool, out: &mut Vec<u8>) -> Option<()> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let (family, most, bytes) = match address.parse().ok()? {
        IpAddr::V4(it) => (2, 32, it.octets().to_vec()),
        IpAddr::V6(it) => (3, 128, it.octets().to_vec()),
    };
    let bits = bits.map_or(Some(most), |bits| digits(bits).filter(|bits| *bits <= most))?;
    out.extend([family, bits, cidr.into(), bytes.len() as u8]);
    out.extend(bytes);
    Some(())
}

/// `{a,NULL,"b c"}`, of one dimension that begins with 1: what `Vec` takes.
fn array(type_: &Type, member: &Type, text: &str, out: &mut Vec<u8>) -> Option<()> {
    let delimiter = if *type_ == Type::BOX_ARRAY { ';' } else { ',' };
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    let (mut values, mut count, mut nulls) = (Vec::new(), 0_i32, false);
    let mut letters = inside.chars().peekable();
    while letters.peek().is_some() {
        let (mut value, mut quoted) = (String::new(), false);
        if letters.next_if_eq(&'"').is_some() {
            quoted = true;
            loop {
                match letters.next()? {
                    '"' => break,
                    '\\' => value.push(letters.next()?),
                    letter => value.push(letter),
                }
            }
        } else {
            while let Some(letter) = letters.next_if(|letter| *letter != delimiter) {
                match letter {
                    '{' | '}' | '"' => return None,
                    '\\' => value.push(letters.next()?),
                    letter => value.push(letter),
                }
            }
        }
        if !quoted && value == "NULL" {
            nulls = true;
            values.extend([0xff; 4]);
        } else {
            if !quoted && value.is_empty() {
                return None;
            }
            let at = values.len();
            values.extend([0; 4]);
            write(member, &value, &mut values)?;
            let length = u32::try_from(values.len() - at - 4).ok()?;
            values[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
        count = count.checked_add(1)?;
        match letters.next() {
            Some(letter) if letter == delimiter && letters.peek().is_some() => {}
            Some(_) => return None,
            None => break,
        }
    }
    out.extend(i32::from(count > 0).to_be_bytes());
    out.extend(i32::from(nulls).to_be_bytes());
    out.extend(member.oid().to_be_bytes());
    if count > 0 {
        out.extend(count.to_be_bytes());
        out.extend(1_i32.to_be_bytes());
    }
    out.extend(values);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::text;

    #[test]
    fn what_is_read_is_written_the_same() {
        for (type_, texts) in [
            (Type::BOOL, &["t", "f"][..]),
            (Type::INT8, &["-9223372036854775808"]),
            (Type::FLOAT8, &["NaN", "-Infinity", "1e+20", "0.1", "-0"]),
            (Type::NUMERIC, &["0", "0.000", "-12345.6700", "50000", "0.00000012", "NaN", "10000", "1.0001"]),
            (Type::BYTEA, &["\\x", "\\x00ff"]),
            (Type::UUID, &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
            (Type::DATE, &["2000-02-29", "0001-12-31 BC", "4713-01-01 BC", "1999-12-31", "5874897-12-31", "infinity"]),
            (Type::TIME, &["00:00:00", "23:59:59.999999", "24:00:00", "01:02:03.5"]),
            (Type::TIMESTAMP, &["1969-12-31 23:59:59.5", "0001-01-01 00:00:00 BC", "-infinity"]),
            (Type::TIMESTAMPTZ, &["2024-06-01 12:00:00+00"]),
            (Type::INET, &["127.0.0.1", "10.0.0.0/8", "::1", "::1.2.3.4", "::ffff:1.2.3.4", "2001:db8::/32"]),
            (Type::CIDR, &["10.0.0.0/8"]),
            (Type::JSONB, &["{\"a\": 1}"]),
            (Type::INT4_ARRAY, &["{}", "{1,NULL,-3}"]),
            (Type::TEXT_ARRAY, &["{a,\"null\",\"\",NULL,\"b\\\"\\\\ ,\"}"]),
        ] {
            for text in texts {
                let mut raw = Vec::new();
                assert_eq!(write(&type_, text, &mut raw), Some(()), "{type_} {text}");
                let mut again = String::new();
                assert_eq!(text::write(&type_, &raw, &mut again), Some(()), "{type_} {text}");
                assert_eq!(again, *text, "{type_}");
            }
        }
        let mut raw = Vec::new();
        assert_eq!(write(&Type::TIMESTAMPTZ, "2024-06-01 14:00:00+02", &mut raw), Some(()));
        let mut again = String::new();
        assert_eq!(text::write(&Type::TIMESTAMPTZ, &raw, &mut again), Some(()));
        assert_eq!(again, "2024-06-01 12:00:00+00");
    }

    #[test]
    fn what_is_not_as_its_type_is_refused() {
        for (type_, texts) in [
            (Type::BOOL, &["", "true"][..]),
            (Type::INT4, &["", "2147483648", "1 "]),
            (Type::NUMERIC, &["", "-", ".5", "1.2.3", "1e5"]),
            (Type::BYTEA, &["\\x0", "\\xzz", "\\9"]),
            (Type::DATE, &["", "2000-13-01", "2000-01", "+1-1-1", "99999999999-01-01"]),
            (Type::TIME, &["", "1:2", "25:00:00", "00:00:00.1234567", "00:00:00."]),
            (Type::TIMESTAMP, &["2000-01-01", "2000-01-01 00:00:00+00"]),
            (Type::TIMESTAMPTZ, &["2000-01-01 00:00:00", "2000-01-01 00:00:00+99999999999999999"]),
            (Type::UUID, &["", "+0eebc999c0b4ef8bb6d6bb9bd380a11"]),
            (Type::INET, &["1.2.3", "1.2.3.4/33"]),
            (Type::INT4_ARRAY, &["", "{", "{1,}", "{,1}", "{{1},{2}}", "[0:1]={1,2}", "{1}x", "{\"1\"2}"]),
            (Type::POINT, &["(1,2)"]),
        ] {
            for text in texts {
                assert_eq!(write(&type_, text, &mut Vec::new()), None, "{type_} {text}");
            }
        }
    }
}
