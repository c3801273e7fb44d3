//! DNS: messages as RFC 1035 has them, lookups as a stub resolver makes them, and what hostile servers send.

mod hostile;
mod lookups;
mod messages;

use aquests_protocols::dns::Name;

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const AAAA: u16 = 28;

/// A record as it stands in a message.
#[derive(Clone, Debug)]
struct Entry(Vec<u8>, u16, u32, Vec<u8>);

fn wire(name: &str) -> Vec<u8> {
    Name::parse(name).expect("a valid name").wire().to_vec()
}

fn a(owner: &str, ttl: u32, last: u8) -> Entry {
    Entry(wire(owner), A, ttl, vec![192, 0, 2, last])
}

fn aaaa(owner: &str, ttl: u32, last: u8) -> Entry {
    let mut data = vec![0x20, 0x01, 0x0d, 0xb8];
    data.resize(15, 0);
    data.push(last);
    Entry(wire(owner), AAAA, ttl, data)
}

fn cname(owner: &str, ttl: u32, target: &str) -> Entry {
    Entry(wire(owner), CNAME, ttl, wire(target))
}

fn soa(zone: &str, ttl: u32, minimum: u32) -> Entry {
    let mut data = [wire("ns.example"), wire("admin.example")].concat();
    for number in [1, 2, 3, 4, minimum] {
        data.extend(u32::to_be_bytes(number));
    }
    Entry(wire(zone), SOA, ttl, data)
}

/// The end of the question of a query.
fn question_end(query: &[u8]) -> usize {
    let mut at = 12;
    while query[at] != 0 {
        at += 1 + usize::from(query[at]);
    }
    at + 5
}

/// An answer to a query: its number and its question, and these records.
fn answer(query: &[u8], code: u8, answers: &[Entry], authority: &[Entry]) -> Vec<u8> {
    let mut message = query[..2].to_vec();
    message.extend([0x81, 0x80 | code, 0, 1]);
    for count in [answers.len(), authority.len(), 0] {
        message.extend(u16::try_from(count).expect("few").to_be_bytes());
    }
    message.extend(&query[12..question_end(query)]);
    for Entry(owner, kind, ttl, data) in answers.iter().chain(authority) {
        message.extend(owner);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message.extend(ttl.to_be_bytes());
        message.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        message.extend(data);
    }
    message
}

/// The same, cut off.
fn truncated(query: &[u8]) -> Vec<u8> {
    let mut message = answer(query, 0, &[], &[]);
    message[2] |= 2;
    message
}

fn id(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}
