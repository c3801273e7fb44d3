//! Text that differs from request to request: `{rand:1:100000}`, `{seq}`, `{uuid}`, `{bytes:64}`. Everything else,
//! other braces included, stays as it is.

use crate::error::Error;

/// Text with places to fill in.
#[derive(Clone, Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    /// A whole number, both ends included.
    Rand(i64, i64),
    /// The number of the request.
    Seq,
    /// A random UUID (version 4).
    Uuid,
    /// So many random letters and digits.
    Bytes(usize),
}

/// What fills the places of one request.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) random: fastrand::Rng,
    pub(super) seq: u64,
}

/// More than this many random bytes are surely a mistake.
const MOST_BYTES: usize = 64 << 20;

impl Template {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some((&first, after)) = rest.split_first() {
            let place = (first == b'{').then(|| after.iter().position(|&b| b == b'}')).flatten();
            if let Some(end) = place
                && let Some(part) = place_for(&after[..end])?
            {
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(part);
                rest = &after[end + 1..];
            } else {
                literal.push(first);
                rest = after;
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// Text without any place.
    pub(super) fn literal(text: &[u8]) -> Self {
        Self { parts: vec![Part::Text(text.to_vec())] }
    }

    /// The same every time.
    pub(super) fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// Appends the text of one request.
    pub(super) fn fill(&self, values: &mut Values, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Rand(from, to) => {
                    let number = values.random.i64(*from..=*to);
                    if number < 0 {
                        out.push(b'-');
                    }
                    push_number(number.unsigned_abs(), out);
                }
                Part::Seq => push_number(values.seq, out),
                Part::Uuid => push_uuid(values.random.u128(..), out),
                Part::Bytes(count) => push_letters(*count, &mut values.random, out),
            }
        }
    }
}

/// Appends a number in decimal. The formatter of the standard library takes several times as long.
fn push_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn push_uuid(random: u128, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // RFC 9562 §5.4: the version and the variant.
    let bits = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let mut text = [b'-'; 36];
    let places = (0..text.len()).filter(|at| ![8, 13, 18, 23].contains(at));
    for (place, digit) in places.zip((0..32).rev()) {
        text[place] = DIGITS[(bits >> (4 * digit)) as usize & 0xf];
    }
    out.extend_from_slice(&text);
}

fn push_letters(count: usize, random: &mut fastrand::Rng, out: &mut Vec<u8>) {
    // Six bits each, so two of them come twice as often as the others.
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ez";
    let draw = |random: &mut fastrand::Rng| {
        let bits = random.u64(..);
        std::array::from_fn::<u8, 10, _>(|at| LETTERS[(bits >> (6 * at)) as usize & 63])
    };
    let end = out.len() + count;
    out.reserve(count);
    while out.len() + 10 <= end {
        out.extend_from_slice(&draw(random));
    }
    out.extend_from_slice(&draw(random)[..end - out.len()]);
}

/// What stands between two braces, if it is a place.
fn place_for(inside: &[u8]) -> Result<Option<Part>, Error> {
    let Ok(inside) = std::str::from_utf8(inside) else { return Ok(None) };
    let bad = || Error::invalid(format!("'{{{inside}}}' is not a template: {{rand:1:100}}, {{bytes:64}}"));
    Ok(match inside.split_once(':') {
        None if inside == "seq" => Some(Part::Seq),
        None if inside == "uuid" => Some(Part::Uuid),
        Some(("rand", range)) => {
            let (from, to) = range.split_once(':').ok_or_else(bad)?;
            let (from, to): (i64, i64) = (from.parse().map_err(|_| bad())?, to.parse().map_err(|_| bad())?);
            if from > to {
                return Err(bad());
            }
            Some(Part::Rand(from, to))
        }
        Some(("bytes", count)) => match count.parse() {
            Ok(count) if count <= MOST_BYTES => Some(Part::Bytes(count)),
            _ => return Err(bad()),
        },
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> String {
        let mut values = Values { random: fastrand::Rng::with_seed(7), seq: 42 };
        let mut out = Vec::new();
        Template::parse(text.as_bytes()).unwrap().fill(&mut values, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn places_are_filled_and_other_braces_stay() {
        assert_eq!(fill(r#"{"n": {seq}, "x": {}}"#), r#"{"n": 42, "x": {}}"#);
        assert_eq!(fill("{{seq}"), "{42");
        assert_eq!(fill("{seq"), "{seq");
        assert_eq!(fill("{rand:5:5}-{bytes:0}"), "5-");
        let number: i64 = fill("{rand:-3:100000}").parse().unwrap();
        assert!((-3..=100_000).contains(&number));
        for (from, digits) in [(0, 1), (9, 1), (10, 2), (i64::MIN, 20), (i64::MAX, 19)] {
            let text = fill(&format!("{{rand:{from}:{from}}}"));
            assert_eq!((text.parse::<i64>(), text.len()), (Ok(from), digits), "{text}");
        }
        let letters = fill("{bytes:64}");
        assert!(letters.len() == 64 && letters.bytes().all(|b| b.is_ascii_alphanumeric()), "{letters}");
        let uuid = fill("{uuid}");
        assert!(uuid.len() == 36 && &uuid[14..15] == "4" && "89ab".contains(&uuid[19..20]), "{uuid}");
        assert!(Template::parse(b"/a{b}").unwrap().is_fixed());
        assert!(!Template::parse(b"/a{seq}").unwrap().is_fixed());
    }

    #[test]
    fn a_place_that_cannot_be_filled_is_an_error() {
        for text in ["{rand:5}", "{rand:5:1}", "{rand:a:b}", "{bytes:-1}", "{bytes:x}", "{bytes:99999999999}"] {
            let error = Template::parse(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
