//! Messages of DNS: questions out, answers in, borrowed and read lazily. What an answer means for a lookup is not known
//! here.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use super::DATAGRAM;
use super::name::Name;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Kind::A => A,
            Kind::Aaaa => AAAA,
        }
    }
}

// RFC 1035 §3.2.2, RFC 3596 §2.1, RFC 6891 §6.1.1.
const A: u16 = 1;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const AAAA: u16 = 28;
const OPT: u16 = 41;
/// The Internet (RFC 1035 §3.2.4).
const IN: u16 = 1;

/// Bits of the third byte: this is an answer; the kind of query, always 0; it was cut off; ask others for me.
const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
const TRUNCATED: u8 = 0x02;
const RECURSE: u8 = 0x01;

/// It is not a DNS message, or it lies about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Malformed;

/// Appends a question. `edns` tells the server that answers may have [`DATAGRAM`] bytes and not only 512.
pub fn query(id: u16, name: &Name, kind: Kind, edns: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&[RECURSE, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
    out.extend_from_slice(name.wire());
    out.extend_from_slice(&kind.number().to_be_bytes());
    out.extend_from_slice(&IN.to_be_bytes());
    if edns {
        // The root as its name, the size where a class would stand, no flags, no options.
        out.push(0);
        out.extend_from_slice(&OPT.to_be_bytes());
        out.extend_from_slice(&DATAGRAM.to_be_bytes());
        out.extend_from_slice(&[0; 6]);
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    question: Option<(Name, u16)>,
    records: usize,
}

/// What the server says of the question (RFC 1035 §4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub u8);

impl Code {
    /// It was answered.
    pub const ANSWERED: Code = Code(0);
    /// The server did not understand it.
    pub const FORMAT: Code = Code(1);
    /// The server could not find out.
    pub const SERVER: Code = Code(2);
    /// There is no such name.
    pub const NO_NAME: Code = Code(3);
}

/// A part of a message. What comes after these two is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// The answer.
    Answer,
    /// Who is responsible.
    Authority,
}

/// A resource record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The part of the message that it stands in.
    pub section: Section,
    /// The name that it tells about.
    pub owner: Name,
    /// For how many seconds it holds.
    pub ttl: u32,
    /// What it tells.
    pub data: Data,
}

/// What a record tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name is an alias of this one.
    Cname(Name),
    /// Where a zone begins, and for how many seconds the absence of a name in it holds (RFC 2308 §4).
    Soa {
        /// Seconds.
        minimum: u32,
    },
    /// Something else.
    Other,
}

impl<'a> Message<'a> {
    /// Reads head and question. What is no answer to a plain query is malformed, and so is one to several questions.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let flags = *bytes.get(2).ok_or(Malformed)?;
        if flags & (RESPONSE | OPCODE) != RESPONSE {
            return Err(Malformed);
        }
        let (question, records) = match read_u16(bytes, 4)? {
            0 => (None, 12),
            1 => {
                let (name, at) = Name::read(bytes, 12)?;
                let (kind, class) = (read_u16(bytes, at)?, read_u16(bytes, at + 2)?);
                if class != IN {
                    return Err(Malformed);
                }
                (Some((name, kind)), at + 4)
            }
            _ => return Err(Malformed),
        };
        if bytes.len() < 12 {
            return Err(Malformed);
        }
        Ok(Self { bytes, question, records })
    }

    /// The number of the query that it answers.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }

    /// Not everything fitted: ask over TCP.
    pub fn is_truncated(&self) -> bool {
        self.bytes[2] & TRUNCATED != 0
    }

    /// What the server says of the question.
    pub fn code(&self) -> Code {
        Code(self.bytes[3] & 0x0f)
    }

    /// Whether it repeats this question, as it must. `None`: it repeats none, as servers do that did not understand it.
    pub fn answers(&self, name: &Name, kind: Kind) -> Option<bool> {
        self.question.as_ref().map(|(asked, number)| *number == kind.number() && asked == name)
    }

    /// The records of answer and authority, in their order. The first that is malformed is the last.
    pub fn records(&self) -> Records<'a> {
        // Both numbers are there: `parse` has seen twelve bytes.
        let left = [6, 8].map(|at| read_u16(self.bytes, at).unwrap_or(0));
        Records { bytes: self.bytes, at: self.records, left }
    }
}

/// See [`Message::records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    left: [u16; 2],
}

impl Records<'_> {
    fn read(&mut self, section: Section) -> Result<Record, Malformed> {
        let bytes = self.bytes;
        let (owner, at) = Name::read(bytes, self.at)?;
        let (kind, class, ttl) = (read_u16(bytes, at)?, read_u16(bytes, at + 2)?, read_u32(bytes, at + 4)?);
        let begin = at + 10;
        let end = begin + usize::from(read_u16(bytes, at + 8)?);
        // Names in the data may point to before it, but nothing may reach beyond.
        let whole = bytes.get(..end).ok_or(Malformed)?;
        let data = match (class, kind) {
            (IN, A) => Data::A(<[u8; 4]>::try_from(&whole[begin..]).map_err(|_| Malformed)?.into()),
            (IN, AAAA) => Data::Aaaa(<[u8; 16]>::try_from(&whole[begin..]).map_err(|_| Malformed)?.into()),
            (IN, CNAME) => match Name::read(whole, begin)? {
                (target, after) if after == end => Data::Cname(target),
                _ => return Err(Malformed),
            },
            (IN, SOA) => {
                let numbers = Name::skip(whole, Name::skip(whole, begin)?)?;
                if numbers + 20 != end {
                    return Err(Malformed);
                }
                Data::Soa { minimum: read_u32(whole, numbers + 16)? }
            }
            _ => Data::Other,
        };
        self.at = end;
        // RFC 2181 §8: the first bit is never set, and one that has it counts for nothing.
        let ttl = if ttl >> 31 == 1 { 0 } else { ttl };
        Ok(Record { section, owner, ttl, data })
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let (index, section) = match self.left {
            [0, 0] => return None,
            [0, _] => (1, Section::Authority),
            _ => (0, Section::Answer),
        };
        self.left[index] -= 1;
        let record = self.read(section);
        if record.is_err() {
            self.left = [0, 0];
        }
        Some(record)
    }
}

fn read_u16(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).ok_or(Malformed)?;
    Ok(u16::from_be_bytes(*bytes))
}

fn read_u32(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).ok_or(Malformed)?;
    Ok(u32::from_be_bytes(*bytes))
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("no error"),
            1 => f.write_str("format error"),
            2 => f.write_str("server failure"),
            3 => f.write_str("no such name"),
            4 => f.write_str("not implemented"),
            5 => f.write_str("refused"),
            other => write!(f, "code {other}"),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a malformed DNS message")
    }
}

impl core::error::Error for Malformed {}
