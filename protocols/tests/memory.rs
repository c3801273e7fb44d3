//! What machines allocate: nothing for an exchange in the steady state, and never because a peer said a number. What else a
//! peer may not do is in `tests/http1/limits.rs`.

mod counting;

use aquests_protocols::dns;
use aquests_protocols::http1::{Client, Server};
use aquests_protocols::semantics::{Body, Message, PreparedRequest, PreparedResponse, Request, Response};
use aquests_protocols::{Event, ExchangeId, Input, Protocol};
use counting::{Counting, counted};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn head(method: &str) -> PreparedRequest {
    PreparedRequest::new(method, "/", "h").unwrap()
}

/// Gives everything to the machine; returns how many messages were done.
fn receive<P: Protocol>(machine: &mut P, bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let (mut used, mut done) = (0, 0);
    loop {
        let (more, event) = machine.receive(Input { bytes: &bytes[used..], eof: false }, out).unwrap();
        used += more;
        match event {
            Event::NeedData { .. } | Event::Paused => return done,
            Event::Message { done: true, .. } => done += 1,
            _ => {}
        }
    }
}

/// The counter counts: without it the tests below would show nothing.
#[test]
fn allocations_are_counted() {
    let (allocations, bytes) = counted(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(1000))));
    assert_eq!((allocations, bytes), (1, 1000));
}

/// DESIGN: "zero allocations per request", once the caller's buffer has grown.
#[test]
fn a_client_allocates_nothing_for_an_exchange() {
    let answers: [&[u8]; 5] = [
        b"HTTP/1.1 200 OK\r\nserver: x\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nx: y\r\n\r\n",
        b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 204 x\r\n\r\n",
        b"HTTP/1.1 304 x\r\nconnection: keep-alive\r\n\r\n",
        b"HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n",
    ];
    let (get, post) = (head("GET"), head("POST"));
    let (mut client, mut out, mut id) = (Client::new(), Vec::with_capacity(4096), 0);
    let mut exchange = |answer: &[u8]| {
        for body in [Body::EMPTY, Body::Whole(b"body"), Body::Parts(None), Body::Parts(Some(4))] {
            let head = if body == Body::EMPTY { &get } else { &post };
            client.send(ExchangeId(id), Request { head, body }, &mut out).unwrap();
            if let Some((id, _)) = client.wants_data() {
                client.send_data(id, b"body", true, &mut out).unwrap();
            }
            assert_eq!(receive(&mut client, answer, &mut out), 1);
            out.clear();
            id += 1;
        }
    };
    exchange(answers[0]);
    assert_eq!(counted(|| (0..100).for_each(|_| answers.iter().for_each(|answer| exchange(answer)))), (0, 0));
}

/// The same with many requests on their way.
#[test]
fn a_client_allocates_nothing_for_pipelined_exchanges() {
    let head = head("GET");
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".repeat(32);
    let (mut client, mut out, mut id) = (Client::new().pipeline(32), Vec::with_capacity(4096), 0);
    let mut round = || {
        while client.slots() > 0 {
            client.send(ExchangeId(id), Request { head: &head, body: Body::EMPTY }, &mut out).unwrap();
            id += 1;
        }
        assert_eq!(receive(&mut client, &answer, &mut out), 32);
        out.clear();
    };
    round();
    assert_eq!(counted(|| (0..100).for_each(|_| round())), (0, 0));
}

/// The same for the server.
#[test]
fn a_server_allocates_nothing_for_an_exchange() {
    let request = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let head = PreparedResponse::new(200, "OK").unwrap();
    let (mut server, mut out, mut id) = (Server::new(), Vec::with_capacity(4096), 0);
    let mut exchange = || {
        for body in [Body::Whole(b"hi"), Body::Parts(None), Body::Parts(Some(2))] {
            assert_eq!(receive(&mut server, request, &mut out), 1);
            server.send(ExchangeId(id), Response { head: &head, body }, &mut out).unwrap();
            if let Some((id, _)) = server.wants_data() {
                server.send_data(id, b"hi", true, &mut out).unwrap();
            }
            out.clear();
            id += 1;
        }
    };
    exchange();
    assert_eq!(counted(|| (0..100).for_each(|_| exchange())), (0, 0));
}

/// LIMITS: "never reserve from a peer's number": lengths and chunk sizes of 2^64 - 1, in both roles.
#[test]
fn nothing_is_reserved_because_a_peer_said_a_number() {
    let lengths =
        ["content-length: 18446744073709551615\r\n\r\n", "transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n"];
    for length in lengths {
        let (mut client, mut server, mut out) = (Client::new(), Server::new(), Vec::with_capacity(4096));
        client.send(ExchangeId(0), Request { head: &head("GET"), body: Body::EMPTY }, &mut out).unwrap();
        let response = format!("HTTP/1.1 200 OK\r\n{length}some of it");
        let request = format!("POST / HTTP/1.1\r\nhost: h\r\n{length}some of it");
        let work = || {
            assert_eq!(receive(&mut client, response.as_bytes(), &mut out), 0);
            assert_eq!(receive(&mut server, request.as_bytes(), &mut out), 0);
        };
        assert_eq!(counted(work), (0, 0), "{length:?}");
    }
}

/// Nor because we promise one: a body of 2^64 - 1 bytes is sent as it comes.
#[test]
fn nothing_is_reserved_for_a_body_that_was_promised() {
    let (mut client, mut out, head) = (Client::new(), Vec::with_capacity(4096), head("POST"));
    let work = || {
        let request = Request { head: &head, body: Body::Parts(Some(u64::MAX)) };
        client.send(ExchangeId(0), request, &mut out).unwrap();
        client.send_data(ExchangeId(0), &[0; 100], false, &mut out).unwrap();
    };
    // The one allocation is the room for exchanges, which the first request makes.
    let (allocations, bytes) = counted(work);
    assert!(allocations <= 1 && bytes <= 256, "{allocations} allocations, {bytes} bytes");
}

/// LIMITS, "endless answer": the machine keeps none of it; and of heads, trailers and extensions neither.
#[test]
fn nothing_of_what_comes_is_kept() {
    let mut endless: Vec<(&str, Vec<u8>)> = Vec::new();
    endless.push(("a body", [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![0; 1 << 20]].concat()));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    endless.push(("small chunks", format!("{chunked}{}", "1\r\nx\r\n".repeat(1 << 17)).into_bytes()));
    endless.push(("an extension", format!("{chunked}1;{}", "x".repeat(16 << 10)).into_bytes()));
    endless.push(("trailers", format!("{chunked}0\r\n{}", "a: b\r\n".repeat(10_000)).into_bytes()));
    endless.push(("a head", format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(10_000)).into_bytes()));
    endless.push(("interim responses", b"HTTP/1.1 100 x\r\n\r\n".repeat(100)));
    for (what, bytes) in endless {
        let (mut client, mut out) = (Client::new(), Vec::with_capacity(4096));
        client.send(ExchangeId(0), Request { head: &head("GET"), body: Body::EMPTY }, &mut out).unwrap();
        assert_eq!(counted(|| assert_eq!(receive(&mut client, &bytes, &mut out), 0)), (0, 0), "{what}");
    }
}

/// A head is read on the stack, however many fields it has, and its fields when they are asked for.
#[test]
fn reading_a_head_and_its_fields_allocates_nothing() {
    let bytes = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(128));
    let (mut client, mut out) = (Client::new(), Vec::with_capacity(4096));
    client.send(ExchangeId(0), Request { head: &head("GET"), body: Body::EMPTY }, &mut out).unwrap();
    let work = || {
        let input = Input { bytes: bytes.as_bytes(), eof: false };
        let Ok((_, Event::Message { message: Message::Head(head), .. })) = client.receive(input, &mut out) else {
            panic!("the head is whole")
        };
        assert_eq!((head.fields.iter().count(), head.fields.get("A")), (128, Some(&b"b"[..])));
    };
    assert_eq!(counted(work), (0, 0));
}

/// A message of so many records, all of whose names are as long as they can be and stand in one place.
fn heavy(records: u16) -> Vec<u8> {
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(59)].join(".");
    let mut bytes = Vec::new();
    dns::query(1, &dns::Name::parse(&long).unwrap(), dns::Kind::A, false, &mut bytes);
    bytes[2] |= 0x80;
    bytes[6..8].copy_from_slice(&records.to_be_bytes());
    for _ in 0..records {
        bytes.extend(b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x09\x00\x02\xc0\x0c");
    }
    bytes
}

/// Work is told by what is written down of names: an answer that is twice as long has twice as much of it, and each
/// record no more than two names have.
#[test]
fn twice_the_names_are_twice_the_work() {
    let work = |records: u16| {
        let bytes = heavy(records);
        counted(|| {
            let message = dns::Message::parse(&bytes).unwrap();
            assert_eq!(message.records().filter(Result::is_ok).count(), usize::from(records));
        })
    };
    let (none, once, twice) = (work(0), work(2_000), work(4_000));
    assert_eq!((twice.0 - once.0, twice.1 - once.1), (once.0 - none.0, once.1 - none.1));
    let each = (once.1 - none.1) / 2_000;
    assert!((2 * 255..=2 * 1024).contains(&each), "{each} bytes are allocated for two names of 255");
}
