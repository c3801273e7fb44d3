//! Bodies on the way in: by length, in chunks with trailers (RFC 9112 §7.1), or until the connection ends. Chunk framing
//! is read byte by byte and used as it comes, so nothing is scanned twice and nothing is kept.

use super::head::{self, Framing, Scan};
use super::{Limits, Violation};
use crate::semantics::Fields;
use crate::{Error, Input, Limit};

/// A body that is being read.
#[derive(Debug)]
pub(super) enum Body {
    /// So many bytes are still to come; never 0.
    Length(u64),
    Chunked {
        step: Step,
        /// Bytes of chunk extensions so far, and of white space in their place.
        extensions: u32,
    },
    UntilClose,
}

/// Where in the chunk framing the next byte stands.
#[derive(Debug)]
pub(super) enum Step {
    Size {
        size: u64,
        digits: u8,
    },
    /// White space behind the size.
    Space {
        size: u64,
    },
    Extension {
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    Trailers(Scan),
}

/// What stood at the front of the input.
pub(super) enum Part<'a> {
    Need,
    Progress,
    Data { bytes: &'a [u8], last: bool },
    Trailers(Fields<'a>),
}

/// Chunk extensions mean nothing to us; this much of them is read past in one body.
const EXTENSIONS: u32 = 16 << 10;

impl Body {
    /// `None`: there is no body.
    pub(super) fn new(framing: Framing) -> Option<Self> {
        match framing {
            Framing::None | Framing::Switched | Framing::Length(0) => None,
            Framing::Length(length) => Some(Body::Length(length)),
            Framing::Chunked => Some(Body::Chunked { step: Step::Size { size: 0, digits: 0 }, extensions: 0 }),
            Framing::UntilClose => Some(Body::UntilClose),
        }
    }

    pub(super) fn read<'a>(&mut self, input: Input<'a>, limits: Limits) -> Result<(usize, Part<'a>), Error> {
        let bytes = input.bytes;
        match self {
            Body::UntilClose if bytes.is_empty() && !input.eof => Ok((0, Part::Need)),
            Body::UntilClose => Ok((bytes.len(), Part::Data { bytes, last: input.eof })),
            Body::Length(_) if bytes.is_empty() => Ok((0, Part::Need)),
            Body::Length(left) => {
                let bytes = up_to(bytes, *left);
                *left -= bytes.len() as u64;
                Ok((bytes.len(), Part::Data { bytes, last: *left == 0 }))
            }
            Body::Chunked { step, extensions } => chunked(step, extensions, bytes, limits),
        }
    }
}

fn up_to(bytes: &[u8], most: u64) -> &[u8] {
    &bytes[..usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len())]
}

fn chunked<'a>(
    step: &mut Step,
    extensions: &mut u32,
    bytes: &'a [u8],
    limits: Limits,
) -> Result<(usize, Part<'a>), Error> {
    let mut at = 0;
    loop {
        // Steps that look at more than one byte.
        match step {
            Step::Data { left } => {
                let data = up_to(&bytes[at..], *left);
                if data.is_empty() {
                    return Ok((at, need_or_progress(at)));
                }
                *left -= data.len() as u64;
                if *left == 0 {
                    *step = Step::DataCr;
                }
                return Ok((at + data.len(), Part::Data { bytes: data, last: false }));
            }
            Step::Trailers(scan) => {
                let rest = &bytes[at..];
                let length = match rest {
                    [b'\n', ..] => return Err(Violation::Chunk.into()),
                    [b'\r', b'\n', ..] => Some(2),
                    _ => scan.find(rest, limits.head)?,
                };
                return match length {
                    None => Ok((at, need_or_progress(at))),
                    Some(length) => Ok((at + length, Part::Trailers(head::trailers(&rest[..length], limits)?))),
                };
            }
            _ => {}
        }
        let Some(&byte) = bytes.get(at) else {
            return Ok((at, need_or_progress(at)));
        };
        at += 1;
        *step = match *step {
            Step::Size { size, digits } => match (byte as char).to_digit(16) {
                Some(digit) if size >> 60 == 0 && digits < 16 => {
                    Step::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
                }
                None if digits > 0 && byte == b'\r' => Step::SizeLf { size },
                None if digits > 0 && byte == b';' => Step::Extension { size },
                None if digits > 0 && matches!(byte, b' ' | b'\t') => count(extensions, Step::Space { size })?,
                _ => return Err(Violation::Chunk.into()),
            },
            // RFC 9112 §7.1.1 has it before a semicolon; some servers pad every size with it.
            Step::Space { size } => match byte {
                b'\r' => Step::SizeLf { size },
                b';' => Step::Extension { size },
                b' ' | b'\t' => count(extensions, Step::Space { size })?,
                _ => return Err(Violation::Chunk.into()),
            },
            Step::Extension { size } => match byte {
                b'\r' => Step::SizeLf { size },
                b'\t' | 0x20..=0x7e | 0x80.. => count(extensions, Step::Extension { size })?,
                _ => return Err(Violation::Chunk.into()),
            },
            Step::SizeLf { size: 0 } if byte == b'\n' => Step::Trailers(Scan::default()),
            Step::SizeLf { size } if byte == b'\n' => Step::Data { left: size },
            Step::DataCr if byte == b'\r' => Step::DataLf,
            Step::DataLf if byte == b'\n' => Step::Size { size: 0, digits: 0 },
            _ => return Err(Violation::Chunk.into()),
        };
    }
}

/// One byte more that means nothing.
fn count(extensions: &mut u32, step: Step) -> Result<Step, Error> {
    *extensions += 1;
    if *extensions > EXTENSIONS {
        return Err(Error::TooLarge(Limit { what: "chunk extension bytes", value: EXTENSIONS.into() }));
    }
    Ok(step)
}

fn need_or_progress(used: usize) -> Part<'static> {
    if used == 0 { Part::Need } else { Part::Progress }
}
