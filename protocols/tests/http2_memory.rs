//! What the machines of HTTP/2 allocate: nothing for an exchange in the steady state, never because a peer said a number,
//! and little for a connection that waits. What else a peer may not do is in `tests/http2/limits.rs`.

mod counting;

use aquests_protocols::http2::{Client, Server};
use aquests_protocols::semantics::{Body, PreparedRequest, PreparedResponse, Request, Response};
use aquests_protocols::{Established, Event, ExchangeId, Input, Protocol};
use counting::{Counting, counted, counts, peak};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let head = [&(payload.len() as u32).to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

fn request(method: &str) -> PreparedRequest {
    let mut head = PreparedRequest::new(method, "/some/path", "example.org").unwrap();
    head.field("user-agent", b"aquests/0.1").unwrap().field("authorization", b"Bearer 1234567890").unwrap();
    head
}

/// Gives everything to the machine; returns how many messages were done, and stops at an error.
fn receive<P: Protocol>(machine: &mut P, bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let (mut used, mut done) = (0, 0);
    while let Ok((more, event)) = machine.receive(Input { bytes: &bytes[used..], eof: false }, out) {
        used += more;
        match event {
            Event::NeedData { .. } | Event::Closed => break,
            Event::Message { done: true, .. } => done += 1,
            _ => {}
        }
    }
    done
}

fn client() -> (Client, Vec<u8>) {
    let (mut client, mut out) = (Client::new(), Vec::with_capacity(64 << 10));
    client.connected(Established::default(), &mut out);
    receive(&mut client, &frame(4, 0, 0, b""), &mut out);
    out.clear();
    (client, out)
}

/// The counter counts: without it the tests below would show nothing.
#[test]
fn allocations_are_counted() {
    assert_eq!(counted(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(1000)))), (1, 1000));
    assert_eq!(peak(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(1000)))), 1000);
}

/// DESIGN: "zero allocations per request", whatever is sent and however the server compresses: written out, in Huffman
/// code, indexed each time anew, from the table; with trailers and interim heads.
#[test]
fn a_client_allocates_nothing_for_an_exchange() {
    let blocks: [&[u8]; 4] = [
        b"\x88\x00\x06server\x05nginx\x0f\x0d\x012",
        b"\x88\x76\x89\xaa\x63\x55\xe5\x80\xae\x21\x2e\x1f\x61\x97\xd0\x7a\xbe\x94\x13\x2a\x69\x3f\x75\x04\x01\x38\xa0\x1f\
\xb8\xd3\xf7\x1b\x7d\x4c\x5a\x37\xff",
        b"\x88\xbe\xbf",
        b"\x88\xbe\x40\x01x\x01y\xbf",
    ];
    let heads = [request("GET"), request("POST")];
    let (mut client, mut out) = client();
    let (mut id, mut answer) = (0, Vec::with_capacity(4096));
    let mut exchange = |block: &[u8]| {
        for body in [Body::EMPTY, Body::Whole(b"body"), Body::Parts(None), Body::Parts(Some(4))] {
            let head = &heads[usize::from(body != Body::EMPTY)];
            client.send(ExchangeId(id), Request { head, body }, &mut out).unwrap();
            if let Some((id, _)) = client.wants_data() {
                client.send_data(id, b"body", true, &mut out).unwrap();
            }
            let stream = (2 * id as u32 + 1).to_be_bytes();
            answer.clear();
            for (kind, flags, payload) in
                [(1, 4, &b"\x08\x03103"[..]), (1, 4, block), (0, 0, b"hi"), (1, 5, b"\x00\x01x\x01y")]
            {
                answer.extend([0, 0, payload.len() as u8, kind, flags]);
                answer.extend(stream);
                answer.extend(payload);
            }
            assert_eq!(receive(&mut client, &answer, &mut out), 1);
            out.clear();
            id += 1;
        }
    };
    let mut round = || (0..50).for_each(|at| exchange(blocks[at / 7 % 4]));
    round();
    round();
    assert_eq!(counted(|| (0..20).for_each(|_| round())), (0, 0));
}

/// The same with 100 streams at once, answered in another order.
#[test]
fn a_client_allocates_nothing_for_many_streams() {
    let head = request("GET");
    let (mut client, mut out) = client();
    let (mut next, mut answers) = (0u64, Vec::with_capacity(64 << 10));
    let mut round = || {
        let first = next;
        while client.slots() > 0 {
            client.send(ExchangeId(next), Request { head: &head, body: Body::EMPTY }, &mut out).unwrap();
            next += 1;
        }
        answers.clear();
        for at in 0..100 {
            let stream = (2 * (first + at * 37 % 100) as u32 + 1).to_be_bytes();
            answers.extend(b"\0\0\x01\x01\x05");
            answers.extend(stream);
            answers.push(0x88);
        }
        assert_eq!(receive(&mut client, &answers, &mut out), 100);
        out.clear();
    };
    round();
    assert_eq!(counted(|| (0..100).for_each(|_| round())), (0, 0));
}

/// The same for the server, whose client is ours.
#[test]
fn a_server_allocates_nothing_for_an_exchange() {
    let heads = [request("GET"), request("POST")];
    let mut response = PreparedResponse::new(200, "OK").unwrap();
    response.field("content-type", b"text/plain").unwrap();
    let (mut client, mut asked) = client();
    let (mut server, mut answered) = (Server::new(), Vec::with_capacity(4096));
    Client::new().connected(Established::default(), &mut asked);
    receive(&mut server, &asked, &mut answered);
    asked.clear();
    receive(&mut client, &frame(4, 1, 0, b""), &mut asked);
    asked.clear();
    let mut id = 0;
    let mut exchange = || {
        for body in [Body::Whole(&b"hi"[..]), Body::Parts(None), Body::Parts(Some(2)), Body::EMPTY] {
            let head = &heads[usize::from(body != Body::EMPTY)];
            client.send(ExchangeId(id), Request { head, body: Body::EMPTY }, &mut asked).unwrap();
            answered.clear();
            assert_eq!(receive(&mut server, &asked, &mut answered), 1);
            answered.clear();
            server.send(ExchangeId(id), Response { head: &response, body }, &mut answered).unwrap();
            if let Some((id, _)) = server.wants_data() {
                server.send_data(id, b"hi", true, &mut answered).unwrap();
            }
            asked.clear();
            assert_eq!(receive(&mut client, &answered, &mut asked), 1);
            asked.clear();
            id += 1;
        }
    };
    (0..10).for_each(|_| exchange());
    assert_eq!(counted(|| (0..100).for_each(|_| exchange())), (0, 0));
}

/// LIMITS, "all": nothing is reserved because a peer said a number: lengths of frames, of strings, of tables, windows and
/// limits as large as they can be.
#[test]
fn nothing_is_reserved_because_a_peer_said_a_number() {
    let (mut client, mut out) = client();
    for id in 0..2 {
        client.send(ExchangeId(id), Request { head: &request("GET"), body: Body::EMPTY }, &mut out).unwrap();
    }
    let most = i32::MAX.to_be_bytes();
    let large = [
        frame(4, 0, 0, &[0, 1, 0xff, 0xff, 0xff, 0xff, 0, 3, 0xff, 0xff, 0xff, 0xff, 0, 4, 0x7f, 0xff, 0xff, 0xff]),
        frame(7, 0, 0, &[most, [0; 4]].concat()),
        // A field whose value would be 2^32 bytes, in a block that is not whole.
        frame(1, 0, 1, b"\x88\x00\x01x\x7f\x80\xff\xff\xff\x0f"),
        // The head of a frame of 16 KiB.
        b"\0\x40\0\x09\0\0\0\0\x01".to_vec(),
    ]
    .concat();
    assert!(peak(|| assert_eq!(receive(&mut client, &large, &mut out), 0)) < 600);
    let late = [frame(0, 0, 1, b""), frame(9, 4, 1, b"")].concat();
    assert!(peak(|| assert_eq!(receive(&mut client, &late, &mut out), 0)) < 600);
}

/// LIMITS, HTTP/2: whatever floods a client, it keeps no more than its limits: a block of 144 KiB, a head of 64 KiB (and
/// the room of vectors that double), two tables, and what is to be written in answer.
#[test]
fn attacks_cost_no_more_memory_than_the_limits_say() {
    let ping = frame(6, 0, 0, b"12345678").repeat(2_000);
    let endless = [frame(1, 0, 1, &[0x82; 16_384]), frame(9, 0, 1, &[0x82; 16_384]).repeat(20)].concat();
    let mut bomb = vec![0x88, 0x40, 1, b'x', 0x7f, 0xa1, 0x1e];
    bomb.extend([b'v'; 4000]);
    bomb.extend([0xbe; 12_000]);
    let bomb = frame(1, 5, 1, &bomb);
    let mut table = vec![0x88];
    (0..1_600).for_each(|at: u32| table.extend([&b"\x40\x05"[..], format!("{at:05}").as_bytes(), b"\x01y"].concat()));
    let table = frame(1, 5, 1, &table);
    let mut resets = Vec::new();
    (0..2_000).for_each(|_| resets.extend(frame(3, 0, 1, &[0, 0, 0, 8])));
    let empty = frame(0, 0, 1, b"").repeat(2_000);
    for (what, bytes, most) in [
        ("PING", ping, 64 << 10),
        ("CONTINUATION", endless, 2 * (144 << 10)),
        ("a bomb of header compression", bomb, 3 * (64 << 10)),
        ("tables", table, 40 << 10),
        ("RST_STREAM", resets, 4 << 10),
        ("empty DATA", empty, 4 << 10),
    ] {
        let (mut client, _) = client();
        let mut out = Vec::new();
        client.send(ExchangeId(0), Request { head: &request("GET"), body: Body::EMPTY }, &mut out).unwrap();
        let used = peak(|| assert_eq!(receive(&mut client, &bytes, &mut out), 0));
        assert!(used <= most, "{what} costs {used} bytes");
    }
}

/// A head that was large gives its memory back with the next one that is not.
#[test]
fn memory_that_was_needed_once_is_given_back() {
    let (mut client, mut out) = client();
    let mut send = |client: &mut Client, id| {
        client.send(ExchangeId(id), Request { head: &request("GET"), body: Body::EMPTY }, &mut out).unwrap();
    };
    (0..3).for_each(|id| send(&mut client, id));
    let mut large = vec![0x88, 0x00, 1, b'x', 0x7f, 0x81, 0x7d];
    large.extend([b'v'; 16_000 + 128]);
    let (large, mut out) = (frame(1, 5, 1, &large), Vec::new());
    let before = counts().live;
    assert_eq!(receive(&mut client, &large, &mut out), 1);
    assert!(counts().live - before > 16_000);
    assert_eq!(receive(&mut client, &[frame(1, 5, 3, b"\x88"), frame(1, 5, 5, b"\x88")].concat(), &mut out), 2);
    assert!(counts().live - before < 1_000, "{} bytes are kept", counts().live - before);
}

/// DESIGN §7: an idle connection of HTTP/2 costs at most 2 KiB, all told, when it has been used.
#[test]
fn an_idle_connection_is_small() {
    let used = {
        let before = counts().live;
        let (mut client, mut out) = (Client::new(), Vec::new());
        client.connected(Established::default(), &mut out);
        receive(&mut client, &frame(4, 0, 0, b""), &mut out);
        let block = b"\x88\x76\x89\xaa\x63\x55\xe5\x80\xae\x21\x2e\x1f\x61\x97\xd0\x7a\xbe\x94\x13\x2a\x69\x3f\x75\x04\x01\x38\xa0\
\x1f\xb8\xd3\xf7\x1b\x7d\x4c\x5a\x37\xff";
        for id in 0..3u32 {
            client.send(ExchangeId(id.into()), Request { head: &request("GET"), body: Body::EMPTY }, &mut out).unwrap();
            assert_eq!(receive(&mut client, &frame(1, 5, 2 * id + 1, block), &mut out), 1);
        }
        drop(out);
        let used = counts().live - before;
        used as usize + size_of_val(&client)
    };
    assert!(used <= 2 << 10, "{used} bytes");
}
