//! Header compression against another implementation: whatever bytes come, both make the same fields of them, or refuse
//! them; and whatever fields there are, both read what our encoder writes.
//!
//! The first byte says which. Blocks, or names and values, are cut at `\x1e`: what is compressed has that byte rarely.
#![no_main]

use aquests_protocols::http2::hpack::{Decoder, Encoder, Error};
use libfuzzer_sys::fuzz_target;
use loona_hpack::Decoder as Other;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fuzz_target!(|input: &[u8]| match input {
    [b'D', blocks @ ..] => decode(blocks.split(|&byte| byte == 0x1e)),
    [limit, fields @ ..] => encode(*limit, &fields.split(|&byte| byte == 0x1e).collect::<Vec<_>>()),
    [] => {}
});

fn ours(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Error> {
    let mut fields = Vec::new();
    decoder.decode(block, |name, value| fields.push((name.to_vec(), value.to_vec())))?;
    Ok(fields)
}

/// Blocks in a row, through the tables of both.
fn decode<'a>(blocks: impl Iterator<Item = &'a [u8]>) {
    let (mut decoder, mut other) = (Decoder::new(4096), Other::new());
    other.set_max_allowed_table_size(4096);
    for block in blocks {
        match (ours(&mut decoder, block), other.decode(block)) {
            (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{}", block.escape_ascii()),
            // It takes changes of the size anywhere, and integers of any length.
            (Err(Error::TableSize | Error::Integer), _) | (Err(_), Err(_)) => return,
            // And none at the end of a block, where nothing follows that they could concern.
            (Ok(fields), Err(_)) if fields.is_empty() => return,
            (ours, theirs) => panic!("{ours:?}, and {theirs:?}, of {}", block.escape_ascii()),
        }
    }
}

/// Lists of four fields, the whole twice, so that much of it comes from the table.
fn encode(limit: u8, parts: &[&[u8]]) {
    let (mut encoder, mut decoder, mut other) = (Encoder::new(4096), Decoder::new(4096), Other::new());
    encoder.set_limit(u32::from(limit) * 16);
    let fields: Fields = parts.chunks_exact(2).map(|pair| (pair[0].to_vec(), pair[1].to_vec())).collect();
    for list in fields.chunks(4).chain(fields.chunks(4)) {
        let mut block = Vec::new();
        encoder.encode(list.iter().map(|(name, value)| (&name[..], &value[..])), &mut block);
        assert_eq!(ours(&mut decoder, &block).as_deref(), Ok(list), "{}", block.escape_ascii());
        assert_eq!(other.decode(&block).as_deref().ok(), Some(list), "{}", block.escape_ascii());
    }
}
