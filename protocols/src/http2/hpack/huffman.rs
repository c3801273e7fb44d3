//! The Huffman code (RFC 7541 §5.2, Appendix B), both ways.
//!
//! The code is canonical: the lengths alone, in the order of the symbols, give every bit of it. All tables are computed
//! from [`LENGTHS`] when this is compiled. A byte is written with one look into [`CODES`]; the decoder looks at the next
//! 12 bits at once, which are one or two characters of everything that usually stands in a header.

use super::Error;

/// The bits of each symbol; the last is the end of a string, which is never sent whole.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const EOS: usize = 256;
const LONGEST: usize = 30;
const SHORTEST: usize = 5;

/// The code of each byte in the low 32 bits, its length above them.
static CODES: [u64; 256] = codes();

/// What begins with these bits: two short characters, one, or none of so few bits. Low byte first: the characters, how
/// many, and their bits together.
static SHORT: [u32; 1 << AHEAD] = short();
const AHEAD: u32 = 12;

/// The symbols in the order of their codes; and by length, the first code and the place of its symbol.
static LONG: Long = long();

struct Long {
    symbols: [u16; 257],
    /// Left-aligned in 32 bits: the first code that is longer.
    ends: [u64; LONGEST + 1],
    first: [u32; LONGEST + 1],
    place: [u16; LONGEST + 1],
}

const fn long() -> Long {
    let mut long = Long { symbols: [0; 257], ends: [0; LONGEST + 1], first: [0; LONGEST + 1], place: [0; LONGEST + 1] };
    let (mut code, mut place, mut length) = (0u32, 0u16, 1);
    while length <= LONGEST {
        code <<= 1;
        long.first[length] = code;
        long.place[length] = place;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                long.symbols[place as usize] = symbol as u16;
                place += 1;
                code += 1;
            }
            symbol += 1;
        }
        long.ends[length] = (code as u64) << (32 - length);
        length += 1;
    }
    long
}

const fn codes() -> [u64; 256] {
    let (long, mut codes, mut place) = (long(), [0; 256], 0);
    while place < LENGTHS.len() {
        let symbol = long.symbols[place] as usize;
        let length = LENGTHS[symbol] as usize;
        if symbol != EOS {
            let code = long.first[length] + (place - long.place[length] as usize) as u32;
            codes[symbol] = (length as u64) << 32 | code as u64;
        }
        place += 1;
    }
    codes
}

const fn short() -> [u32; 1 << AHEAD] {
    let (codes, mut table) = (codes(), [0; 1 << AHEAD]);
    // The first character, and behind it each that still fits.
    let mut one = 0;
    while one < 256 {
        let (code, bits) = (codes[one] as u32, (codes[one] >> 32) as u32);
        if bits <= AHEAD {
            let left = AHEAD - bits;
            let mut tail = 0;
            while tail < 1 << left {
                table[(code << left | tail) as usize] = bits << 24 | 1 << 16 | one as u32;
                tail += 1;
            }
            let mut two = 0;
            while two < 256 {
                let (next, more) = (codes[two] as u32, (codes[two] >> 32) as u32);
                if more <= left {
                    let mut tail = 0;
                    while tail < 1 << (left - more) {
                        let at = code << left | next << (left - more) | tail;
                        table[at as usize] = (bits + more) << 24 | 2 << 16 | (two as u32) << 8 | one as u32;
                        tail += 1;
                    }
                }
                two += 1;
            }
        }
        one += 1;
    }
    table
}

/// How many bytes [`encode`] would write.
pub(super) fn encoded_len(bytes: &[u8]) -> usize {
    let bits: usize = bytes.iter().map(|&byte| usize::from(LENGTHS[usize::from(byte)])).sum();
    bits.div_ceil(8)
}

/// Appends `bytes` in the code, filled up with ones.
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let (mut held, mut bits) = (0u64, 0);
    for &byte in bytes {
        let code = CODES[usize::from(byte)];
        let length = (code >> 32) as u32;
        held = held << length | u64::from(code as u32);
        bits += length;
        if bits >= 32 {
            bits -= 32;
            out.extend_from_slice(&((held >> bits) as u32).to_be_bytes());
        }
    }
    if bits > 0 {
        let whole = ((held << (32 - bits)) as u32) | (u32::MAX >> bits);
        out.extend_from_slice(&whole.to_be_bytes()[..bits.div_ceil(8) as usize]);
    }
}

/// Appends what `bytes` stand for. `true`: nothing came out that may not stand in the value of a field, which costs
/// nothing to know, since all control characters have long codes.
pub(super) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Result<bool, Error> {
    // Characters on their way to `out`. An index of eight bits is never out of it.
    let (mut room, mut at) = ([0u8; 256], 0u8);
    // The bits at hand stand at the top; below them may be some of those that `rest` begins with.
    let (mut held, mut bits, mut rest) = (0u64, 0u32, bytes);
    let mut clean = true;
    loop {
        if let Some(eight) = rest.first_chunk::<8>() {
            held |= u64::from_be_bytes(*eight) >> bits;
            let whole = (63 - bits) / 8;
            rest = &rest[whole as usize..];
            bits += 8 * whole;
        } else {
            while bits <= 56
                && let [byte, after @ ..] = rest
            {
                held |= u64::from(*byte) << (56 - bits);
                (bits, rest) = (bits + 8, after);
            }
        }
        while bits >= AHEAD {
            let short = SHORT[(held >> (64 - AHEAD)) as usize];
            if short == 0 {
                break;
            }
            room[usize::from(at)] = short as u8;
            room[usize::from(at.wrapping_add(1))] = (short >> 8) as u8;
            at += (short >> 16) as u8;
            held <<= short >> 24;
            bits -= short >> 24;
        }
        // RFC 7541 §5.2: padding is at most 7 bits, and all ones.
        if rest.is_empty() && bits < 8 && (bits == 0 || held >> (64 - bits) == (1 << bits) - 1) {
            out.extend_from_slice(&room[..usize::from(at)]);
            return Ok(clean);
        }
        if bits >= LONGEST as u32 || rest.is_empty() {
            let (symbol, length) = long_symbol(held)?;
            if length > bits {
                return Err(Error::Huffman);
            }
            room[usize::from(at)] = symbol;
            at += 1;
            held <<= length;
            bits -= length;
            clean &= (symbol >= 0x20 && symbol != 0x7f) || symbol == b'\t';
        }
        // No more than 12 characters come out of what can be at hand.
        if at > 220 {
            out.extend_from_slice(&room[..usize::from(at)]);
            at = 0;
        }
    }
}

/// The symbol at the front, whatever its length.
#[inline(never)]
fn long_symbol(held: u64) -> Result<(u8, u32), Error> {
    let ahead = held >> 32;
    let mut length = SHORTEST;
    while length < LONGEST && ahead >= LONG.ends[length] {
        length += 1;
    }
    let place = usize::from(LONG.place[length]) + ((ahead >> (32 - length)) as u32 - LONG.first[length]) as usize;
    // RFC 7541 §5.2: "containing the EOS symbol MUST be treated as a decoding error".
    match LONG.symbols.get(place) {
        Some(&symbol) if (symbol as usize) < EOS => Ok((symbol as u8, length as u32)),
        _ => Err(Error::Huffman),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(bytes, &mut out);
        assert_eq!(out.len(), encoded_len(bytes), "{bytes:?}");
        out
    }

    fn decoded(bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = b"before".to_vec();
        decode(bytes, &mut out)?;
        assert!(out.starts_with(b"before"));
        Ok(out.split_off(6))
    }

    /// Rows of the table in RFC 7541 Appendix B, of every length: the bits as they are printed there.
    #[test]
    fn the_tables_say_what_the_standard_prints() {
        for (symbol, bits) in [
            (b'0', "00000"),
            (b't', "01001"),
            (b' ', "010100"),
            (b'u', "101101"),
            (b':', "1011100"),
            (b'z', "1111011"),
            (b'&', "11111000"),
            (b'Z', "11111101"),
            (b'!', "1111111000"),
            (b'?', "1111111100"),
            (b'\'', "11111111010"),
            (b'|', "11111111100"),
            (b'#', "111111111010"),
            (b'>', "111111111011"),
            (0, "1111111111000"),
            (b'~', "1111111111101"),
            (b'^', "11111111111100"),
            (b'}', "11111111111101"),
            (b'<', "111111111111100"),
            (b'{', "111111111111110"),
            (b'\\', "1111111111111110000"),
            (208, "1111111111111110010"),
            (128, "11111111111111100110"),
            (153, "111111111111111011100"),
            (129, "1111111111111111010010"),
            (1, "11111111111111111011000"),
            (9, "111111111111111111101010"),
            (199, "1111111111111111111101100"),
            (192, "11111111111111111111100000"),
            (203, "111111111111111111111011110"),
            (2, "1111111111111111111111100010"),
            (10, "111111111111111111111111111100"),
            (22, "111111111111111111111111111110"),
        ] {
            let code = CODES[usize::from(symbol)];
            let (length, code) = ((code >> 32) as usize, code as u32);
            assert_eq!(format!("{code:0length$b}"), bits, "symbol {symbol}");
        }
    }

    #[test]
    fn no_code_is_the_beginning_of_another() {
        for (at, one) in CODES.iter().enumerate() {
            for two in &CODES[at + 1..] {
                let (short, long) = if one >> 32 <= two >> 32 { (one, two) } else { (two, one) };
                let apart = (long >> 32) - (short >> 32);
                assert_ne!((long & 0xffff_ffff) >> apart, short & 0xffff_ffff);
            }
        }
    }

    #[test]
    fn every_byte_survives_alone_in_pairs_and_in_runs() {
        for one in 0..=255 {
            assert_eq!(decoded(&coded(&[one])), Ok(vec![one]));
            assert_eq!(decoded(&coded(&[one; 67])), Ok(vec![one; 67]));
            for two in 0..=255 {
                let bytes = [one, two, b'a', one, b'~', two, two];
                assert_eq!(decoded(&coded(&bytes)), Ok(bytes.to_vec()));
            }
        }
    }

    #[test]
    fn control_characters_are_noticed() {
        for byte in 0..=255 {
            let mut out = Vec::new();
            let clean = crate::semantics::is_field_value(&[byte]);
            assert_eq!(decode(&coded(&[byte]), &mut out), Ok(clean), "{byte}");
            assert_eq!(
                decode(&coded(&[&[b'x'; 50][..], &[byte], &[b'x'; 50]].concat()), &mut out),
                Ok(clean),
                "{byte}"
            );
        }
    }

    /// RFC 7541 §5.2: "A padding strictly longer than 7 bits MUST be treated as a decoding error. A padding not
    /// corresponding to the most significant bits of the code for the EOS symbol MUST be treated as a decoding error."
    #[test]
    fn padding_is_short_and_all_ones() {
        assert_eq!(decoded(&[]), Ok(vec![]));
        // 'a' is 00011.
        assert_eq!(decoded(&[0b0001_1111]), Ok(b"a".to_vec()));
        assert_eq!(decoded(&[0b0001_1110]), Err(Error::Huffman));
        assert_eq!(decoded(&[0b0001_1111, 0xff]), Err(Error::Huffman));
        assert_eq!(decoded(&[0xff]), Err(Error::Huffman));
        // '&' is 11111000: a whole byte, which needs no padding.
        assert_eq!(decoded(&[0b1111_1000]), Ok(b"&".to_vec()));
        assert_eq!(decoded(&[0b1111_1000, 0xff]), Err(Error::Huffman));
        for filled in 0..12 {
            let mut bytes = vec![0b0001_1000; filled];
            bytes.extend([0xff; 3]);
            assert_eq!(decoded(&bytes), Err(Error::Huffman), "{bytes:?}");
        }
    }

    /// The same section: "A Huffman-encoded string literal containing the EOS symbol MUST be treated as a decoding error".
    #[test]
    fn the_end_symbol_is_refused() {
        for before in 0..8 {
            let mut bytes = vec![0b1111_1000; before];
            bytes.extend([0xff, 0xff, 0xff, 0xff, 0xff]);
            assert_eq!(decoded(&bytes), Err(Error::Huffman));
            bytes.truncate(before + 4);
            assert_eq!(decoded(&bytes), Err(Error::Huffman));
        }
    }
}
