//! Names: as people write them, as they stand in messages. Knows nothing of records.

use core::fmt;

use super::message::Malformed;

/// RFC 1035 §2.3.4.
const LONGEST_LABEL: usize = 63;
/// RFC 1035 §2.3.4, with the lengths of the labels and the final 0.
const LONGEST: usize = 255;
/// Jumps from one place of a message to another in one name. A name has at most 127 labels (RFC 1035 §2.3.4), and no
/// server needs more than one jump behind each; without this a chain of thousands of pointers would be followed anew for
/// every record that begins with it.
const JUMPS: usize = 128;
/// No name begins in the header of a message.
const HEADER: usize = 12;

/// A name that ends at the root, in lower case: names are compared without regard to case (RFC 4343).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Vec<u8>);

/// It cannot be a name: an empty or overlong label, too long in all, or characters that no host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidName;

impl Name {
    /// Reads a name as it is written, with or without the final dot. International names must be in their ASCII form.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut wire = Vec::new();
        for label in text.split('.') {
            let fits = (1..=LONGEST_LABEL).contains(&label.len()) && wire.len() + label.len() + 2 <= LONGEST;
            if !fits || !label.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(InvalidName);
            }
            // Fits: at most 63.
            wire.push(label.len() as u8);
            wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        wire.push(0);
        Ok(Self(wire))
    }

    /// Length and bytes of each label, and a final 0.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Reads the name that begins at `at`, and says where what follows it begins.
    ///
    /// A compression pointer may only lead to before the labels that it ends, so that every jump goes further to the
    /// front; there are at most [`JUMPS`], and all that is gathered is at most 255 bytes: no message makes this long.
    pub(super) fn read(message: &[u8], at: usize) -> Result<(Self, usize), Malformed> {
        let (mut at, mut front, mut end) = (at, at, None);
        let (mut wire, mut jumps) = (Vec::new(), 0);
        loop {
            let length = *message.get(at).ok_or(Malformed)?;
            match length >> 6 {
                0 if length == 0 => {
                    wire.push(0);
                    return Ok((Self(wire), end.unwrap_or(at + 1)));
                }
                0 => {
                    let label = message.get(at + 1..=at + usize::from(length)).ok_or(Malformed)?;
                    if wire.len() + label.len() + 2 > LONGEST {
                        return Err(Malformed);
                    }
                    wire.push(length);
                    wire.extend(label.iter().map(u8::to_ascii_lowercase));
                    at += 1 + label.len();
                }
                3 => {
                    let low = *message.get(at + 1).ok_or(Malformed)?;
                    let to = usize::from(length & 0x3f) << 8 | usize::from(low);
                    jumps += 1;
                    if to >= front || to < HEADER || jumps > JUMPS {
                        return Err(Malformed);
                    }
                    end.get_or_insert(at + 2);
                    (at, front) = (to, to);
                }
                _ => return Err(Malformed),
            }
        }
    }

    /// Where what follows the name begins; the name itself is not looked at.
    pub(super) fn skip(message: &[u8], mut at: usize) -> Result<usize, Malformed> {
        loop {
            let length = *message.get(at).ok_or(Malformed)?;
            match length >> 6 {
                0 if length == 0 => return Ok(at + 1),
                0 => at += 1 + usize::from(length),
                3 => return Ok(at + 2),
                _ => return Err(Malformed),
            }
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = &self.0[..];
        while let Some((&length, labels)) = rest.split_first()
            && length > 0
        {
            let (label, others) = labels.split_at(usize::from(length));
            write!(f, "{}.", label.escape_ascii())?;
            rest = others;
        }
        if self.0.len() == 1 { f.write_str(".") } else { Ok(()) }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a host name")
    }
}

impl core::error::Error for InvalidName {}
