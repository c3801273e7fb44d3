//! RFC 7541: header compression, by the examples of its Appendix C, by its rules, and by whatever lists of fields there
//! are.

use std::collections::VecDeque;

use aquests_protocols::http2::hpack::{Decoder, Encoder, Error};

use super::frames::literal;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|two| (two[0] << 4 | two[1]) as u8).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Error> {
    let mut fields = Vec::new();
    decoder.decode(block, |name, value| fields.push((name.to_vec(), value.to_vec())))?;
    Ok(fields)
}

fn fields(text: &[(&str, &str)]) -> Fields {
    text.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

fn encode(encoder: &mut Encoder, fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.encode(fields.iter().map(|(name, value)| (&name[..], &value[..])), &mut out);
    out
}

/// Blocks in a row through one decoder.
#[track_caller]
fn decodes(limit: u32, blocks: &[(&str, &[(&str, &str)])]) {
    let mut decoder = Decoder::new(limit);
    for (block, expected) in blocks {
        assert_eq!(decode(&mut decoder, &bytes(block)), Ok(fields(expected)), "{block}");
    }
}

/// Appendix C.2: each representation, alone.
#[test]
fn c_2_header_field_representations() {
    let key = [("custom-key", "custom-header")];
    decodes(4096, &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", &key), ("be", &key)]);
    decodes(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")])]);
    let password = [("password", "secret")];
    decodes(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &password)]);
    decodes(4096, &[("82", &[(":method", "GET")])]);
    let mut decoder = Decoder::new(4096);
    for never_indexed in ["040c 2f73 616d 706c 652f 7061 7468", "1008 7061 7373 776f 7264 0673 6563 7265 74", "82"] {
        decode(&mut decoder, &bytes(never_indexed)).unwrap();
    }
    assert_eq!(decode(&mut decoder, &[0xbe]), Err(Error::Index));
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
        ("cache-control", "no-cache"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

/// Appendix C.3: requests without Huffman code.
#[test]
fn c_3_requests() {
    decodes(
        4096,
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUESTS[0]),
            ("8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1]),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", REQUESTS[2]),
        ],
    );
}

/// Appendix C.4: requests with Huffman code, both ways.
#[test]
fn c_4_requests_with_huffman_code() {
    let blocks = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    let pairs: Vec<_> = blocks.into_iter().zip(REQUESTS).collect();
    decodes(4096, &pairs);
    let mut encoder = Encoder::new(4096);
    for (block, request) in pairs {
        assert_eq!(encode(&mut encoder, &fields(request)), bytes(block));
    }
}

const RESPONSES: [&[(&str, &str)]; 3] = [
    &[
        (":status", "302"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "307"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "200"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
        ("location", "https://www.example.com"),
        ("content-encoding", "gzip"),
        ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
];

/// Appendix C.5: responses without Huffman code, through a table of 256 bytes, which evicts.
#[test]
fn c_5_responses() {
    decodes(
        256,
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32
                 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                RESPONSES[0],
            ),
            ("4803 3330 37c1 c0bf", RESPONSES[1]),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970
                 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61
                 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                RESPONSES[2],
            ),
        ],
    );
}

/// Appendix C.6: responses with Huffman code, through a table of 256 bytes. Ours begins as the first of them.
#[test]
fn c_6_responses_with_huffman_code() {
    let first =
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
                 63c7 8f0b 97c8 e9ae 82ae 43d3";
    decodes(
        256,
        &[
            (first, RESPONSES[0]),
            ("4883 640e ffc1 c0bf", RESPONSES[1]),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2
                 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                RESPONSES[2],
            ),
        ],
    );
    assert_eq!(encode(&mut Encoder::new(4096), &fields(RESPONSES[0])), bytes(first));
}

/// §2.3.3: "Indices strictly greater than the sum of the lengths of both tables MUST be treated as a decoding error."
/// §6.1: "The index value of 0 is not used. It MUST be treated as a decoding error".
#[test]
fn an_index_without_an_entry_is_refused() {
    for block in [
        &b"\x80"[..],
        b"\xbe",
        b"\xff\x00",
        b"\xff\xff\xff\xff\xff\x07",
        b"\x7e\x01a",
        b"\x0f\x2f\x01a",
        b"\x1f\x2f\x01a",
    ] {
        assert_eq!(decode(&mut Decoder::new(4096), block), Err(Error::Index), "{}", block.escape_ascii());
    }
}

/// §4.2, §6.3: "The new maximum size MUST be lower than or equal to the limit", and it stands "at the beginning of the
/// first header block following the change".
#[test]
fn the_size_of_the_table_changes_at_the_beginning_of_a_block() {
    let mut decoder = Decoder::new(100);
    assert_eq!(decode(&mut decoder, b"\x3f\x46"), Err(Error::TableSize), "101");
    assert_eq!(decode(&mut decoder, b"\x3f\x45\x20\x3f\x45\x82"), Ok(fields(&[(":method", "GET")])), "100, 0, 100");
    assert_eq!(decode(&mut decoder, b"\x82\x20"), Err(Error::TableSize));
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &literal(0x40, b"a", b"b")).unwrap();
    assert_eq!(decode(&mut decoder, b"\xbe"), Ok(fields(&[("a", "b")])));
    assert_eq!(decode(&mut decoder, b"\x20\xbe"), Err(Error::Index), "it is empty now");
    decoder.set_limit(50);
    assert!(decode(&mut decoder, b"\x82").is_ok(), "it is smaller already");
    let mut decoder = Decoder::new(4096);
    decoder.set_limit(50);
    assert_eq!(decode(&mut decoder, b"\x82"), Err(Error::TableSize), "the smaller size is owed");
    assert_eq!(decode(&mut decoder, b"\x3f\x13\x82"), Ok(fields(&[(":method", "GET")])));
    decoder.set_limit(40);
    decoder.set_limit(60);
    assert!(decode(&mut decoder, b"\x82").is_ok(), "it fits again");
}

/// §4.4: "an attempt to add an entry larger than the maximum size causes the table to be emptied of all existing entries
/// and results in an empty table", and is no error; a name may come from an entry that goes.
#[test]
fn an_entry_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::new(40);
    decode(&mut decoder, &literal(0x40, b"ab", b"cd")).unwrap();
    // Index 62 is the name, and 7 bytes do not fit beside it.
    assert_eq!(decode(&mut decoder, b"\x7e\x06123456"), Ok(fields(&[("ab", "123456")])));
    assert_eq!(decode(&mut decoder, b"\xbe"), Ok(fields(&[("ab", "123456")])));
    assert_eq!(decode(&mut decoder, b"\x7e\x071234567"), Ok(fields(&[("ab", "1234567")])));
    assert_eq!(decode(&mut decoder, b"\xbe"), Err(Error::Index));
}

/// Every cut of a block is an error of a truncated block, or a shorter list; never a panic.
#[test]
fn a_block_without_its_end_is_refused() {
    let block = bytes("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf");
    for end in 0..block.len() {
        let mut decoder = Decoder::new(4096);
        decode(&mut decoder, &[literal(0x40, b"a", b"b"), literal(0x40, b"c", b"d")].concat()).unwrap();
        match decode(&mut decoder, &block[..end]) {
            Ok(fields) => assert!(fields.len() <= 4 && end <= 4),
            Err(error) => assert_eq!(error, Error::Truncated),
        }
    }
    assert_eq!(
        decode(&mut Decoder::new(4096), b"\x00\xff\xff\xff\xff\x0f"),
        Err(Error::Truncated),
        "a length of 4 GiB"
    );
}

/// §7.1.3: "intermediaries MUST use the same representation", and secrets are "never indexed".
#[test]
fn secrets_are_never_indexed() {
    for (name, value) in [("authorization", "Basic c2VjcmV0"), ("proxy-authorization", "x"), ("cookie", "short=1")] {
        let mut encoder = Encoder::new(4096);
        for _ in 0..3 {
            let block = encode(&mut encoder, &fields(&[(name, value)]));
            assert_eq!(block[0] & 0xf0, 0x10, "{name}: {}", block.escape_ascii());
        }
    }
}

/// What stays is one byte from the second time on; what changes each time does not push it out.
#[test]
fn what_comes_again_is_indexed_and_what_changes_is_not() {
    let mut encoder = Encoder::new(4096);
    let mut sizes = Vec::new();
    for round in 0..1000 {
        let path = format!("/item/{round}");
        let list = [(":path", &path[..]), ("user-agent", "something/1.0"), ("x-trace", &path[6..]), ("accept", "*/*")];
        let block = encode(&mut encoder, &fields(&list));
        sizes.push(block.len());
        assert_eq!(block[block.len() - 1] & 0x80, if round == 0 { 0 } else { 0x80 }, "round {round}");
    }
    assert!(sizes[1..].iter().all(|size| *size < 22), "{sizes:?}");
    // What came twice in a row is expected a third time.
    for (round, first) in [(0, 0x00), (1, 0x40), (2, 0x80)] {
        let block = encode(&mut encoder, &fields(&[("x-trace", "settled")]));
        assert_eq!(block[0] & 0xc0, first, "round {round}");
    }
}

/// The machine knows a block that comes again, and does not decode it: whatever is in it, the next block finds the tables
/// as if it had.
#[test]
fn blocks_that_come_again_leave_the_tables_as_if_they_were_decoded() {
    use super::*;
    let start: Vec<u8> = [&b"\x82\x86\x84"[..], &literal(0x00, b":authority", b"h")].concat();
    let written = |first, name: &str, value: &str| literal(first, name.as_bytes(), value.as_bytes());
    for (more, last, expected) in [
        // Inserted each time: the newest three are the last of them.
        ([written(0x40, "a", "1"), written(0x40, "b", "2")].concat(), b"\xbe\xbf\xc0".to_vec(), "b: 2 | a: 1 | b: 2"),
        // A cookie is put behind another one, and what stood between them moves.
        (
            [written(0x40, "cookie", "a=1"), written(0x40, "b", "2"), written(0x00, "cookie", "c=3")].concat(),
            b"\xbe\xbf".to_vec(),
            "b: 2 | cookie: a=1",
        ),
        // A field that is dropped, for the authority says the same.
        ([written(0x40, "host", "h"), written(0x40, "b", "2")].concat(), b"\xbe\xbf".to_vec(), "b: 2"),
        // A size that changes on the way empties the table.
        ([written(0x40, "large", &"v".repeat(3_000)), written(0x40, "b", "2")].concat(), b"\xbe".to_vec(), "b: 2"),
    ] {
        for times in [1, 2, 3, 200] {
            let block = [&start[..], &more].concat();
            let mut frames: Vec<_> =
                (0..times).map(|at| frame(HEADERS, END_HEADERS | END_STREAM, 2 * at + 1, &block)).collect();
            let last = [&start[..], &last].concat();
            frames.push(frame(HEADERS, END_HEADERS | END_STREAM, 2 * times + 1, &last));
            let mut side = obliging();
            side.receive(&from_client(&frames), false);
            let run = side.finish();
            if times == 1 && expected.starts_with("b: 2 | a: 1 | b") {
                // There is no third one yet.
                assert!(run.error.is_some());
                continue;
            }
            assert_eq!(run.error, None);
            let expected = format!("{times} GET / HTTP/2.0 | host: h | {expected} done");
            assert_eq!(*told(&run).last().unwrap(), expected, "after {times}");
            let fields = |line: &String| line.split_once(' ').map(|(_, fields)| fields.to_string());
            let all: Vec<_> = told(&run)[..times as usize].iter().map(fields).collect();
            assert!(all.iter().all(|fields| *fields == all[0]), "{all:?}");
        }
    }
}

/// Marsaglia's xorshift64, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1))
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % most
    }

    fn text(&mut self, most: usize) -> Vec<u8> {
        let (length, kind) = (self.below(most), self.below(3));
        let usual = b"abcdefghijklmnopqrstuvwxyz0123456789-=;, /";
        (0..length).map(|_| if kind == 0 { self.below(256) as u8 } else { usual[self.below(usual.len())] }).collect()
    }

    /// Fields of which many come again, and some names with other values.
    fn list(&mut self, known: &mut VecDeque<(Vec<u8>, Vec<u8>)>) -> Fields {
        let count = self.below(12);
        (0..count)
            .map(|_| {
                let field = match (self.below(8), known.len()) {
                    (0..=3, 1..) => known[self.below(known.len())].clone(),
                    (4, 1..) => (known[self.below(known.len())].0.clone(), self.text(40)),
                    (5, _) => ([&b"cookie"[..], b":status", b":path", b"date"][self.below(4)].to_vec(), self.text(60)),
                    (6, _) => (self.text(300), self.text(5000)),
                    _ => (self.text(20), self.text(50)),
                };
                known.push_back(field.clone());
                if known.len() > 30 {
                    known.pop_front();
                }
                field
            })
            .collect()
    }
}

/// Any list survives, in any order, through tables of any size that change meanwhile.
#[test]
fn any_list_of_fields_survives() {
    for seed in 1..=60 {
        let mut dice = Dice::new(seed);
        let (mut encoder, mut decoder, mut known) = (Encoder::new(4096), Decoder::new(4096), VecDeque::new());
        for round in 0..200 {
            if dice.below(20) == 0 {
                let limit = [0, 33, 100, 500, 4096, 1 << 20][dice.below(6)];
                encoder.set_limit(limit);
                decoder.set_limit(limit.max(4096));
            }
            let list = dice.list(&mut known);
            let block = encode(&mut encoder, &list);
            assert_eq!(decode(&mut decoder, &block), Ok(list), "seed {seed}, round {round}");
        }
    }
}

/// Whatever comes, a decoder returns fields or an error.
#[test]
fn any_bytes_are_fields_or_an_error() {
    let mut outcomes = [0, 0];
    for seed in 1..=20_000 {
        let mut dice = Dice::new(seed);
        let mut decoder = Decoder::new(4096);
        for _ in 0..5 {
            let block: Vec<u8> = (0..dice.below(40)).map(|_| dice.below(256) as u8).collect();
            outcomes[usize::from(decode(&mut decoder, &block).is_ok())] += 1;
        }
    }
    assert!(outcomes.iter().all(|count| *count > 1000), "{outcomes:?}");
}
