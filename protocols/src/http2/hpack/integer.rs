//! Integers with a prefix (RFC 7541 §5.1).

use super::Error;

/// Appends `value` with a prefix of `bits` bits; `first` holds the bits in front of them.
#[inline]
pub(super) fn encode(value: u32, bits: u32, first: u8, out: &mut Vec<u8>) {
    let most = (1 << bits) - 1;
    if value < most {
        out.push(first | value as u8);
        return;
    }
    out.push(first | most as u8);
    let mut left = value - most;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// Takes an integer with a prefix of `bits` bits off the front.
#[inline]
pub(super) fn decode(bytes: &mut &[u8], bits: u32) -> Result<u32, Error> {
    let [first, rest @ ..] = *bytes else { return Err(Error::Truncated) };
    let most = (1 << bits) - 1;
    let value = u32::from(*first) & most;
    *bytes = rest;
    if value < most { Ok(value) } else { decode_long(bytes, most) }
}

/// RFC 7541 §5.1: "Integer encodings that exceed implementation limits -- in value or octet length -- MUST be treated as
/// decoding errors". Five more bytes hold everything that a `u32` holds.
fn decode_long(bytes: &mut &[u8], most: u32) -> Result<u32, Error> {
    let mut value = u64::from(most);
    for shift in [0, 7, 14, 21, 28] {
        let [byte, rest @ ..] = *bytes else { return Err(Error::Truncated) };
        *bytes = rest;
        value += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| Error::Integer);
        }
    }
    Err(Error::Integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8], bits: u32) -> Result<(u32, usize), Error> {
        let before = bytes.len();
        decode(&mut bytes, bits).map(|value| (value, before - bytes.len()))
    }

    /// RFC 7541 Appendix C.1.
    #[test]
    fn the_examples_of_the_standard_come_out() {
        for (value, bits, bytes) in [(10, 5, &[0x0a][..]), (1337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a])] {
            let mut out = Vec::new();
            encode(value, bits, 0, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(read(bytes, bits), Ok((value, bytes.len())));
        }
    }

    #[test]
    fn every_size_survives_every_prefix() {
        for bits in 1..=8 {
            for value in (0..32).flat_map(|shift| [(1u32 << shift) - 1, 1 << shift, u32::MAX >> shift]) {
                let mut out = Vec::new();
                encode(value, bits, 0, &mut out);
                assert_eq!(read(&out, bits), Ok((value, out.len())), "{value} with a prefix of {bits}");
                assert_eq!(read(&out[..out.len() - 1], bits), Err(Error::Truncated));
            }
        }
    }

    #[test]
    fn what_is_larger_or_longer_than_32_bits_is_refused() {
        assert_eq!(read(&[0x1f, 0xe0, 0xff, 0xff, 0xff, 0x0f], 5), Ok((u32::MAX, 6)));
        assert_eq!(read(&[0x1f, 0xe1, 0xff, 0xff, 0xff, 0x0f], 5), Err(Error::Integer));
        assert_eq!(read(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 5), Err(Error::Integer));
        assert_eq!(read(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00], 5), Ok((31, 6)));
    }
}
