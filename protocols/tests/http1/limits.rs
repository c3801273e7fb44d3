//! What a peer may not do to us: each limit of the module's table, at its edge, and the work per byte. What is reserved
//! is counted in `tests/memory.rs`.

use aquests_protocols::http1::Limits;
use aquests_protocols::{Input, Limit};

use super::*;

const HEAD: usize = 64 << 10;

fn too_large(what: &'static str, value: u64) -> Option<Error> {
    Some(Error::TooLarge(Limit { what, value }))
}

/// A head of exactly so many bytes, of both roles.
fn heads(length: usize) -> [(bool, String); 2] {
    ["HTTP/1.1 204 x\r\n", "GET / HTTP/1.1\r\nhost: h\r\n"].map(|start| {
        let filler = "x".repeat(length - start.len() - "a: \r\n\r\n".len());
        (start.starts_with("HTTP"), format!("{start}a: {filler}\r\n\r\n"))
    })
}

fn side(at_client: bool, limits: Limits) -> Either {
    if at_client {
        Either::Client(sent(Client::new().limits(limits), &[request("GET")]))
    } else {
        Either::Server(Side::server(Server::new().limits(limits), see_request))
    }
}

enum Either {
    Client(AtClient),
    Server(AtServer),
}

impl Either {
    fn receive(&mut self, bytes: &[u8]) {
        match self {
            Either::Client(side) => side.receive(bytes, false),
            Either::Server(side) => side.receive(bytes, false),
        }
    }

    fn finish(self) -> Run<String> {
        match self {
            Either::Client(side) => side.finish(),
            Either::Server(side) => side.finish(),
        }
    }
}

/// What a role makes of an input that is too large to be cut at every place: whole, in pieces, and byte by byte.
fn read(at_client: bool, bytes: &[u8], limits: Limits) -> Run<String> {
    let [whole, others @ ..] = [bytes.len(), 4099, 1].map(|piece| {
        let mut side = side(at_client, limits);
        bytes.chunks(piece).for_each(|piece| side.receive(piece));
        side.finish()
    });
    others.iter().for_each(|run| assert_eq!(*run, whole));
    whole
}

/// LIMITS: 64 KiB head. At the limit, and one byte over it.
#[test]
fn a_head_is_as_long_as_the_limit_and_no_longer() {
    for (length, limits) in [(HEAD, Limits::default()), (100, Limits::default().head(100))] {
        for (at_client, head) in heads(length) {
            assert_eq!(read(at_client, head.as_bytes(), limits).error, None);
        }
        for (at_client, head) in heads(length + 1) {
            let run = read(at_client, head.as_bytes(), limits);
            assert_eq!((run.events.len(), run.error), (0, too_large("header bytes", length as u64)));
        }
    }
}

/// A head that never ends is told at the limit, not when it ends: in one line, in lines, in a start line.
#[test]
fn an_endless_head_is_ended_at_the_limit() {
    for line in ["a: b\r\n", "a", "\r", "a: b\n"] {
        let endless: String = ["HTTP/1.1 200 OK\r\n", &line.repeat(HEAD / line.len() + 1)].concat();
        let mut side = sent(Client::new(), &[request("GET")]);
        for piece in endless.as_bytes()[..HEAD].chunks(1000) {
            side.receive(piece, false);
        }
        assert!(!side.is_over(), "{line:?}");
        side.receive(b"a", false);
        assert_eq!(side.finish().error, too_large("header bytes", HEAD as u64), "{line:?}");
    }
    let mut side = mute();
    side.receive(&[b'a'; HEAD], false);
    assert!(!side.is_over());
    side.receive(b"a", false);
    assert_eq!(side.finish().error, too_large("header bytes", HEAD as u64));
}

/// LIMITS: 128 fields, settable, in heads of both roles and in trailers.
#[test]
fn there_are_as_many_fields_as_the_limit_and_no_more() {
    const PLACES: [(&str, usize, bool); 3] = [
        ("HTTP/1.1 200 x\r\ncontent-length: 0\r\n", 1, true),
        ("GET / HTTP/1.1\r\nhost: h\r\n", 1, false),
        ("HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", 0, true),
    ];
    let default = Limits::default();
    for (most, limits) in
        [(128, default), (3, default.fields(3)), (500, default.fields(500)), (1024, default.fields(u16::MAX))]
    {
        for (before, there, at_client) in PLACES {
            for (count, error) in [(most, None), (most + 1, too_large("header count", most as u64))] {
                let bytes = format!("{before}{}\r\n", "a: b\r\n".repeat(count - there));
                assert_eq!(read(at_client, bytes.as_bytes(), limits).error, error, "{count} of {most}: {before:?}");
            }
        }
    }
}

/// LIMITS: trailers too large; endless ones too.
#[test]
fn trailers_are_as_long_as_the_limit_and_no_longer() {
    let limits = Limits::default().head(100);
    let chunked = "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
    for (length, error) in [(100, None), (101, too_large("header bytes", 100))] {
        let trailers = format!("a: {}\r\n\r\n", "x".repeat(length - 7));
        assert_eq!(read(true, format!("{chunked}{trailers}").as_bytes(), limits).error, error);
    }
    for endless in ["a: b\r\n", "a", "\r"] {
        let run = read(true, format!("{chunked}{}", endless.repeat(200)).as_bytes(), limits);
        assert_eq!(run.error, too_large("header bytes", 100), "{endless:?}");
    }
}

/// Hyper's limit: 16 KiB of chunk extensions, whether in one chunk or in many, in both roles.
#[test]
fn chunk_extensions_are_counted_over_the_whole_body() {
    const MOST: usize = 16 << 10;
    let error = too_large("chunk extension bytes", MOST as u64);
    for (at_client, head) in [
        (true, "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n"),
        (false, "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"),
    ] {
        let check = |body: String| read(at_client, format!("{head}{body}").as_bytes(), Limits::default()).error;
        assert_eq!(check(format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(MOST))), None);
        assert_eq!(check(format!("1;{}", "a".repeat(MOST + 1))), error);
        assert_eq!(check(format!("1{}", " ".repeat(MOST + 1))), error);
        let (many, chunk) = (MOST / 64, format!("1;{}\r\nx\r\n", "a".repeat(64)));
        assert_eq!(check(format!("{}0\r\n\r\n", chunk.repeat(many))), None);
        assert_eq!(check(format!("{}1;a", chunk.repeat(many))), error);
    }
}

/// Calls of `receive` and bytes shown to it, for an input in pieces of `piece` bytes.
fn work(machine: &mut Client, input: &[u8], piece: usize) -> (usize, usize) {
    let (mut calls, mut shown, mut out) = (0, 0, Vec::new());
    let (mut used, mut came) = (0, 0);
    while came < input.len() {
        came = (came + piece).min(input.len());
        loop {
            calls += 1;
            shown += came - used;
            let (more, event) = machine.receive(Input { bytes: &input[used..came], eof: false }, &mut out).unwrap();
            used += more;
            if matches!(event, Event::NeedData { .. }) {
                break;
            }
        }
    }
    (calls, shown)
}

fn waiting() -> Client {
    let mut machine = Client::new();
    let head = request("GET");
    machine.send(ExchangeId(0), Request { head: &head, body: Body::EMPTY }, &mut Vec::new()).unwrap();
    machine
}

/// LIMITS, "quadratic re-scan": twice the body is twice the calls and twice the bytes shown, however small the pieces:
/// whatever is shown of a body is used at once. (Heads wait for their end; that they are not scanned again is shown
/// beside the scanner.)
#[test]
fn the_work_for_a_body_is_linear_in_its_length() {
    type Body = fn(usize) -> String;
    let bodies: [(&str, Body); 5] = [
        ("content-length: 999999", |size| "x".repeat(size)),
        ("connection: close", |size| "x".repeat(size)),
        ("transfer-encoding: chunked", |size| "1\r\nx\r\n".repeat(size / 6)),
        ("transfer-encoding: chunked", |size| format!("ffffff\r\n{}", "x".repeat(size))),
        ("transfer-encoding: chunked", |size| format!("1;{}", "x".repeat(size))),
    ];
    for (field, body) in bodies {
        for piece in [1, 2, 5, 1000] {
            let measure = |size| {
                let mut machine = waiting();
                work(&mut machine, format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n").as_bytes(), 10_000);
                work(&mut machine, body(size).as_bytes(), piece)
            };
            let ((calls, shown), (twice_calls, twice_shown)) = (measure(8_000), measure(16_000));
            assert!(twice_calls <= 2 * calls + 8, "{field}, pieces of {piece}: {calls} calls, then {twice_calls}");
            assert!(
                twice_shown <= 2 * shown + 8 * piece,
                "{field}, pieces of {piece}: {shown} bytes, then {twice_shown}"
            );
        }
    }
}

/// The work of one call is bounded by its input, and an event is at least a byte, or a state: a flood of the smallest
/// chunks is one call for each, and no call more.
#[test]
fn a_flood_of_the_smallest_chunks_is_two_calls_each() {
    let mut machine = waiting();
    work(&mut machine, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 1000);
    let (calls, _) = work(&mut machine, "1\r\nx\r\n".repeat(10_000).as_bytes(), usize::MAX / 2);
    assert!(calls <= 10_000 + 2, "{calls}");
}

/// LIMITS, "endless slow drip" and "endless answer": a machine has no clock and keeps nothing; it goes on as long as its
/// owner does.
#[test]
fn an_endless_body_goes_on_as_long_as_the_owner_wants() {
    let mut machine = waiting();
    work(&mut machine, b"HTTP/1.1 200 OK\r\n\r\n", 1000);
    let (calls, shown) = work(&mut machine, &[0; 100_000], 1);
    assert_eq!((calls, shown), (200_000, 100_000));
}
