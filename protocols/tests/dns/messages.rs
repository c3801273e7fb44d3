//! RFC 1035 §4: what is written and what is read.

use aquests_protocols::dns::{Code, Data, Kind, Malformed, Message, Name, Section, frame, query, unframe};

use crate::*;

fn asked(name: &str, kind: Kind) -> Vec<u8> {
    let mut bytes = Vec::new();
    query(0x1234, &Name::parse(name).unwrap(), kind, true, &mut bytes);
    bytes
}

#[test]
fn a_question_is_written_with_room_for_larger_answers() {
    let bytes = asked("Www.Example.", Kind::Aaaa);
    let plain = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03www\x07example\x00\x00\x1c\x00\x01";
    // RFC 6891 §6.1.2: the root, OPT, 1232 bytes.
    assert_eq!(bytes, [&plain[..], b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"].concat());
    let mut bytes = Vec::new();
    query(0x1234, &Name::parse("www.example").unwrap(), Kind::Aaaa, false, &mut bytes);
    assert_eq!((bytes[11], bytes.len()), (0, plain.len()));
}

#[test]
fn an_answer_is_read_with_all_that_counts() {
    let bytes = asked("a.example", Kind::A);
    let unknown = Entry(wire("a.example"), NS, 5, vec![9; 7]);
    let records = [cname("A.example", 300, "b.EXAMPLE"), unknown, a("b.example", 60, 1), aaaa("b.example", 1 << 31, 2)];
    let bytes = answer(&bytes, 0, &records, &[soa("example", 10, 20)]);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.id(), message.code(), message.is_truncated()), (0x1234, Code::ANSWERED, false));
    assert_eq!(message.answers(&Name::parse("A.Example").unwrap(), Kind::A), Some(true));
    assert_eq!(message.answers(&Name::parse("a.example").unwrap(), Kind::Aaaa), Some(false));
    assert_eq!(message.answers(&Name::parse("b.example").unwrap(), Kind::A), Some(false));
    let records: Vec<_> = message.records().map(Result::unwrap).collect();
    assert_eq!(records[0].data, Data::Cname(Name::parse("b.example").unwrap()));
    assert_eq!(records[1].data, Data::Other);
    assert_eq!((&records[2].data, records[2].ttl), (&Data::A([192, 0, 2, 1].into()), 60));
    // RFC 2181 §8
    assert_eq!((&records[3].data, records[3].ttl), (&Data::Aaaa("2001:db8::2".parse().unwrap()), 0));
    assert_eq!((&records[4].data, records[4].section), (&Data::Soa { minimum: 20 }, Section::Authority));
}

#[test]
fn names_may_be_compressed_backwards_only() {
    let plain = answer(&asked("a.example", Kind::A), 0, &[], &[]);
    let with = |owner: &[u8]| {
        let mut bytes = plain.clone();
        bytes[7] = 1;
        bytes.extend(owner);
        bytes.extend(b"\x00\x01\x00\x01\x00\x00\x00\x09\x00\x04\x01\x02\x03\x04");
        let message = Message::parse(&bytes).unwrap();
        message.records().next().unwrap().map(|record| record.owner.to_string())
    };
    let here = u8::try_from(plain.len()).unwrap();
    assert_eq!(with(b"\xc0\x0c"), Ok("a.example.".into()));
    assert_eq!(with(b"\x01b\xc0\x0e"), Ok("b.example.".into()));
    assert_eq!(with(b"\x00"), Ok(".".into()));
    for (owner, what) in [
        (&[0xc0, here][..], "to itself"),
        (&[1, b'b', 0xc0, here], "to its own beginning"),
        (&[0xc0, here + 4], "forwards"),
        (&[0xc0, 0], "into the header"),
        (&[0x40, 0], "another kind of label"),
        (&[0xff, 0xff], "out of the message"),
    ] {
        assert_eq!(with(owner), Err(Malformed), "{what}");
    }
}

#[test]
fn a_name_is_a_name_only_when_it_fits() {
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    assert_eq!(Name::parse(&long).unwrap().wire().len(), 255);
    assert_eq!(Name::parse("A.b.").unwrap(), Name::parse("a.B").unwrap());
    let (label, name) = ("a".repeat(64), format!("{long}d"));
    for text in ["", ".", "a..b", ".a", "a b", "a\0", "é", label.as_str(), name.as_str()] {
        assert!(Name::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_stream_has_the_length_before_each_message() {
    let mut stream = Vec::new();
    frame(b"one", &mut stream);
    frame(b"", &mut stream);
    frame(&vec![0; 65_536], &mut stream);
    assert_eq!(stream, b"\x00\x03one\x00\x00");
    assert_eq!(unframe(&stream), Some(&b"one"[..]));
    for cut in 0..5 {
        assert_eq!(unframe(&stream[..cut]), None);
    }
    assert_eq!(unframe(&stream[5..]), Some(&b""[..]));
}
