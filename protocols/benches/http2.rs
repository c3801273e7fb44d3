//! HTTP/2 in pieces: what an exchange costs on a warm connection, and header compression alone. The response is that of
//! nginx 1.22 to a small file, byte for byte.
//!
//! `cargo bench -p aquests-protocols --bench http2`

use aquests_protocols::http2::hpack::{Decoder, Encoder};
use aquests_protocols::http2::{Client, Server};
use aquests_protocols::semantics::{Body, PreparedRequest, PreparedResponse, Request, Response};
use aquests_protocols::{Established, Event, ExchangeId, Input, Protocol};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// The fields of a response of nginx: Huffman code, and nothing in the dynamic table.
const NGINX: &[u8] = b"\x88\x76\x89\xaa\x63\x55\xe5\x80\xae\x21\x2e\x1f\x61\x97\xd0\x7a\xbe\x94\x13\x2a\x69\x3f\x75\x04\
\x01\x38\xa0\x1f\xb8\xd3\xf7\x1b\x7d\x4c\x5a\x37\xff\x5f\x87\x49\x7c\xa5\x89\xd3\x4d\x1f\x5c\x02\x32\x37\x6c\x97\xd0\
\x7a\xbe\x94\x13\x2a\x69\x3f\x75\x04\x01\x38\xa0\x1f\xb8\xd3\xf7\x1b\x7d\x4c\x5a\x37\xff\x00\x83\x2a\x47\x37\x8b\xfe\x5c\
\x8c\x0d\x00\x8d\x3a\xb0\x63\xfe\x7f\x00\x89\x19\x08\x5a\xd2\xb5\x83\xaa\x62\xa3\x84\x8f\xd2\x4a\x8f";

/// The same fields as a server writes them that keeps all of them in the dynamic table.
const INDEXED: &[u8] = b"\x88\xc4\xc3\xc2\xc1\xc0\xbf\xbe";

const BODY: &[u8] = b"Hello, aquests! this is it.";
const STREAMS: u64 = 100;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let head = [&(payload.len() as u32).to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

fn request() -> PreparedRequest {
    let mut head = PreparedRequest::new("GET", "/index", "127.0.0.1:8080").unwrap();
    head.field("user-agent", b"aquests/0.1").unwrap().field("accept", b"*/*").unwrap();
    head
}

/// All events in `input`; how many exchanges were done.
fn receive<P: Protocol>(machine: &mut P, input: &[u8], out: &mut Vec<u8>, mut done: impl FnMut(ExchangeId)) {
    let mut used = 0;
    loop {
        let (more, event) = machine.receive(Input { bytes: &input[used..], eof: false }, out).unwrap();
        used += more;
        match event {
            Event::NeedData { .. } => return,
            Event::Message { id, done: true, .. } => done(id),
            _ => {}
        }
    }
}

/// A client that is fed with answers of which only the numbers of the streams change.
struct Warm {
    client: Client,
    head: PreparedRequest,
    out: Vec<u8>,
    answers: Vec<u8>,
    /// Where those numbers stand.
    numbers: Vec<usize>,
    next: u64,
}

impl Warm {
    fn new(first: &[u8], block: &[u8]) -> Self {
        let mut warm = Self {
            client: Client::new(),
            head: request(),
            out: Vec::with_capacity(1 << 16),
            answers: Vec::new(),
            numbers: Vec::new(),
            next: 0,
        };
        warm.client.connected(Established::default(), &mut warm.out);
        let greeting = frame(4, 0, 0, b"");
        receive(&mut warm.client, &greeting, &mut warm.out, |_| {});
        warm.answers(first);
        warm.round();
        warm.answers(block);
        for _ in 0..10 {
            warm.round();
        }
        warm
    }

    fn answers(&mut self, block: &[u8]) {
        self.answers.clear();
        self.numbers.clear();
        for _ in 0..STREAMS {
            self.numbers.push(self.answers.len() + 5);
            self.answers.extend(frame(1, 4, 0, block));
            self.numbers.push(self.answers.len() + 5);
            self.answers.extend(frame(0, 1, 0, BODY));
        }
    }

    fn round(&mut self) {
        self.out.clear();
        let first = self.next;
        for _ in 0..STREAMS {
            let request = Request { head: &self.head, body: Body::EMPTY };
            self.client.send(ExchangeId(self.next), request, &mut self.out).unwrap();
            self.next += 1;
        }
        for (at, place) in self.numbers.iter().enumerate() {
            let number = 2 * (first + at as u64 / 2) as u32 + 1;
            self.answers[*place..place + 4].copy_from_slice(&number.to_be_bytes());
        }
        let mut done = 0;
        receive(&mut self.client, &self.answers, &mut self.out, |_| done += 1);
        assert_eq!(done, STREAMS);
    }
}

/// 100 requests at once and their answers: the client's whole share, without sockets.
#[divan::bench(args = ["nginx", "indexed"])]
fn client_exchange(bencher: Bencher<'_, '_>, kind: &str) {
    let mut warm = match kind {
        "nginx" => Warm::new(NGINX, NGINX),
        _ => {
            let mut first = Vec::new();
            let fields = [
                (&b":status"[..], &b"200"[..]),
                (b"server", b"nginx/1.22.1"),
                (b"date", b"Mon, 23 Nov 2026 09:47:59 GMT"),
                (b"content-type", b"text/html"),
                (b"content-length", b"27"),
                (b"last-modified", b"Mon, 23 Nov 2026 09:47:59 GMT"),
                (b"etag", b"\"6742a3ff-1b\""),
                (b"accept-ranges", b"bytes"),
            ];
            Encoder::new(4096).encode(fields, &mut first);
            let mut warm = Warm::new(&first, INDEXED);
            warm.answers(INDEXED);
            warm
        }
    };
    bencher.counter(ItemsCount::new(STREAMS)).bench_local(|| warm.round());
}

/// The same for the server: requests as our client writes them, one head for all answers.
#[divan::bench]
fn server_exchange(bencher: Bencher<'_, '_>) {
    let (mut client, mut server) = (Client::new(), Server::new());
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    client.connected(Established::default(), &mut asked);
    server.connected(Established::default(), &mut answered);
    let head = request();
    let mut response = PreparedResponse::new(200, "OK").unwrap();
    response.field("server", b"aquests").unwrap().field("content-type", b"text/plain").unwrap();
    let mut next = 0;
    bencher.counter(ItemsCount::new(STREAMS)).bench_local(|| {
        for _ in 0..STREAMS {
            client.send(ExchangeId(next), Request { head: &head, body: Body::EMPTY }, &mut asked).unwrap();
            next += 1;
        }
        let mut whole = Vec::with_capacity(STREAMS as usize);
        receive(&mut server, &asked, &mut answered, |id| whole.push(id));
        for id in whole {
            server.send(id, Response { head: &response, body: Body::Whole(BODY) }, &mut answered).unwrap();
        }
        asked.clear();
        receive(&mut client, &answered, &mut asked, |_| {});
        answered.clear();
    });
}

/// One head, again and again; and one whose path changes.
#[divan::bench(args = [false, true])]
fn encode_request(bencher: Bencher<'_, '_>, changes: bool) {
    let heads: Vec<_> = (0..64)
        .map(|at| {
            let mut head = request();
            if changes {
                head.restart("GET", &format!("/item/{at}"), "127.0.0.1:8080").unwrap();
                head.field("user-agent", b"aquests/0.1").unwrap().field("accept", b"*/*").unwrap();
            }
            head
        })
        .collect();
    let mut next = 0;
    let fresh = || {
        let mut client = Client::new();
        for head in &heads {
            client.send(ExchangeId(0), Request { head, body: Body::EMPTY }, &mut Vec::new()).unwrap();
        }
        (client, Vec::with_capacity(1 << 16))
    };
    bencher.counter(ItemsCount::new(32usize)).with_inputs(fresh).bench_local_refs(|(client, out)| {
        for _ in 0..32 {
            let request = Request { head: &heads[next % heads.len()], body: Body::EMPTY };
            next += 1;
            client.send(ExchangeId(next as u64), request, out).unwrap();
        }
    });
}

/// The fields of a response, as nginx writes them and from the dynamic table.
#[divan::bench(args = ["huffman", "indexed"])]
fn decode_response(bencher: Bencher<'_, '_>, kind: &str) {
    let mut decoder = Decoder::new(4096);
    let mut block = NGINX.to_vec();
    if kind == "indexed" {
        let mut fields = Vec::new();
        decoder.decode(NGINX, |name, value| fields.push((name.to_vec(), value.to_vec()))).unwrap();
        block.clear();
        let mut encoder = Encoder::new(4096);
        encoder.encode(fields.iter().map(|(name, value)| (&name[..], &value[..])), &mut block);
        decoder.decode(&block, |_, _| {}).unwrap();
        block.clear();
        encoder.encode(fields.iter().map(|(name, value)| (&name[..], &value[..])), &mut block);
    }
    bencher.bench_local(|| {
        let each = |name: &[u8], value: &[u8]| {
            black_box((name, value));
        };
        decoder.decode(black_box(&block), each).unwrap();
    });
}

const TEXT: &str = "Mon, 23 Nov 2026 09:47:59 GMT; text/html; charset=utf-8; https://www.example.com/some/path?query=1";

/// One field of 100 characters in Huffman code.
#[divan::bench]
fn huffman_encode(bencher: Bencher<'_, '_>) {
    let mut out = Vec::with_capacity(1024);
    // A secret is written out each time.
    let mut encoder = Encoder::new(4096);
    bencher.counter(BytesCount::of_str(TEXT)).bench_local(|| {
        out.clear();
        encoder.encode([(&b"authorization"[..], black_box(TEXT.as_bytes()))], &mut out);
    });
}

/// And back.
#[divan::bench]
fn huffman_decode(bencher: Bencher<'_, '_>) {
    let mut block = Vec::new();
    Encoder::new(4096).encode([(&b"authorization"[..], TEXT.as_bytes())], &mut block);
    let mut decoder = Decoder::new(4096);
    bencher.counter(BytesCount::of_str(TEXT)).bench_local(|| {
        let each = |_: &[u8], value: &[u8]| {
            black_box(value);
        };
        decoder.decode(black_box(&block), each).unwrap();
    });
}
