//! Whatever a server sends, a lookup ends, in time and without panic.

use std::time::Duration;

use aquests_protocols::dns::{Action, Lookup, Message, Options, Transport};

use crate::*;

/// Reads all of a message; how many records could be read.
fn read(bytes: &[u8]) -> usize {
    Message::parse(bytes).map_or(0, |message| message.records().filter(Result::is_ok).count())
}

fn typical() -> (Lookup, Vec<u8>, Vec<u8>) {
    let mut lookup = Lookup::new("www.example", Options::default(), 7).unwrap();
    let Action::Send { message: query, .. } = lookup.poll(Duration::ZERO) else { panic!("it asks") };
    let records = [cname("www.example", 9, "b.example"), cname("b.example", 9, "c.example"), aaaa("c.example", 9, 1)];
    let message = answer(&query, 0, &records, &[soa("example", 1, 1)]);
    (lookup, query, message)
}

#[test]
fn no_prefix_of_an_answer_is_more_than_an_answer() {
    let (lookup, _, message) = typical();
    assert_eq!(read(&message), 4);
    for cut in 0..message.len() {
        assert!(read(&message[..cut]) < 4);
        lookup.clone().receive(0, Transport::Udp, &message[..cut], Duration::ZERO);
    }
}

#[test]
fn ten_thousand_mutations_never_panic() {
    let (lookup, _, message) = typical();
    let mut state = 1u64;
    let mut number = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..10_000 {
        let mut bytes = message.clone();
        for _ in 0..=number(4) {
            let at = number(bytes.len());
            match number(4) {
                0 => bytes[at] = number(256) as u8,
                1 => bytes[at] ^= 1 << number(8),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, [0, 0xc0, 0xff, 0x3f][number(4)]),
            }
        }
        read(&bytes);
        let mut lookup = lookup.clone();
        lookup.receive(0, Transport::Udp, &bytes, Duration::ZERO);
        for second in 0..100 {
            lookup.poll(Duration::from_secs(second));
        }
        assert!(matches!(lookup.poll(Duration::from_secs(100)), Action::Done(_)));
    }
}

#[test]
fn lengths_that_lie_are_found_out() {
    let (_, _, message) = typical();
    // The counts of answer and authority, and the length of the last record.
    for (at, value) in [(6, 0xff), (7, 0xff), (8, 0xff), (message.len() - 50, 0xff)] {
        let mut bytes = message.clone();
        bytes[at] = value;
        let message = Message::parse(&bytes).unwrap();
        let records: Vec<_> = message.records().collect();
        assert!(records.len() <= 5, "the first that is malformed is the last");
    }
}

/// A record of an unknown kind whose data is a chain of so many pointers, each to the one before it and the first to the
/// question; then a record whose owner is the last of them.
fn chained(pointers: u16) -> Vec<u8> {
    let (_, query, _) = typical();
    let mut bytes = answer(&query, 0, &[], &[]);
    bytes[7] = 2;
    bytes.extend(b"\xc0\x0c\x00\x63\x00\x01\x00\x00\x00\x09");
    bytes.extend((2 * pointers).to_be_bytes());
    let mut before = 12u16;
    for _ in 0..pointers {
        let here = u16::try_from(bytes.len()).unwrap();
        bytes.extend((0xc000 | before).to_be_bytes());
        before = here;
    }
    bytes.extend((0xc000 | before).to_be_bytes());
    bytes.extend(b"\x00\x01\x00\x01\x00\x00\x00\x09\x00\x04\x01\x02\x03\x04");
    bytes
}

/// Otherwise a message of 64 KiB has room for a chain of 8,000 and for 4,000 records that begin with it: 30 million jumps.
#[test]
fn a_chain_of_pointers_is_not_followed_without_end() {
    for (pointers, records) in [(1, 2), (127, 2), (128, 1), (8_000, 1)] {
        assert_eq!(read(&chained(pointers)), records, "a chain of {pointers} pointers, and one to it");
    }
}

#[test]
fn a_question_of_zero_length_is_no_answer() {
    let (mut lookup, query, _) = typical();
    let mut bytes = query[..12].to_vec();
    bytes[2] |= 0x80;
    // The root instead of the name, and no question at all.
    bytes.extend(b"\x00\x00\x1c\x00\x01");
    assert!(!lookup.receive(0, Transport::Udp, &bytes, Duration::ZERO));
    bytes[5] = 0;
    assert!(!lookup.receive(0, Transport::Udp, &bytes, Duration::ZERO));
    assert!(!lookup.receive(0, Transport::Udp, b"", Duration::ZERO));
}
