//! What one exchange costs the HTTP/1.1 client: `cargo bench -p aquests-protocols`. Each answer is read by a machine that
//! waits for it; throughput is in bytes of the answer.

use aquests_protocols::http1::{Client, Server};
use aquests_protocols::semantics::{Body, PreparedRequest, PreparedResponse, Request, Response};
use aquests_protocols::{Event, ExchangeId, Input, Protocol};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// As nginx sends it for `return 200 ok;`.
const NGINX: &str = "HTTP/1.1 200 OK\r\nServer: nginx/1.26.2\r\nDate: Mon, 02 Jun 2025 10:00:00 GMT\r\n\
                     Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok";

#[divan::bench]
fn receive_nginx(bencher: Bencher<'_, '_>) {
    receive(bencher, NGINX.as_bytes().to_vec());
}

#[divan::bench]
fn receive_20_fields(bencher: Bencher<'_, '_>) {
    let fields: String = (0..19).map(|n| format!("x-some-field-{n}: a value of usual length, {n}\r\n")).collect();
    receive(bencher, format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n").into_bytes());
}

#[divan::bench]
fn receive_4_kib(bencher: Bencher<'_, '_>) {
    receive(bencher, format!("HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\n{}", "x".repeat(4096)).into_bytes());
}

#[divan::bench]
fn receive_1000_chunks(bencher: Bencher<'_, '_>) {
    let chunks = format!("40\r\n{}\r\n", "x".repeat(64)).repeat(1000);
    receive(bencher, format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into_bytes());
}

fn receive(bencher: Bencher<'_, '_>, answer: Vec<u8>) {
    bencher
        .counter(BytesCount::of_slice(&answer))
        .with_inputs(|| sent(ExchangeId(0)))
        .bench_refs(|(client, out)| drain(client, black_box(&answer), out));
}

/// The whole cycle on one connection, which is what a load generator does: requests and answers a second.
#[divan::bench]
fn exchange_with_nginx(bencher: Bencher<'_, '_>) {
    let (mut client, mut out) = sent(ExchangeId(0));
    let (head, mut id) = (get(), 1);
    drain(&mut client, NGINX.as_bytes(), &mut out);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        out.clear();
        let request = Request { head: black_box(&head), body: Body::EMPTY };
        client.send(ExchangeId(id), request, &mut out).expect("the machine is idle");
        id += 1;
        drain(&mut client, black_box(NGINX.as_bytes()), &mut out);
    });
}

#[divan::bench]
fn send_a_request(bencher: Bencher<'_, '_>) {
    let head = get();
    let idle = || {
        let (mut client, mut out) = sent(ExchangeId(0));
        drain(&mut client, NGINX.as_bytes(), &mut out);
        out.clear();
        (client, out)
    };
    bencher.counter(ItemsCount::new(1_u32)).with_inputs(idle).bench_refs(|(client, out)| {
        client.send(ExchangeId(1), Request { head: black_box(&head), body: Body::EMPTY }, out)
    });
}

/// The other role, for those who serve with it.
#[divan::bench]
fn serve_a_request(bencher: Bencher<'_, '_>) {
    let (mut server, mut out, mut id) = (Server::new(), Vec::with_capacity(4096), 0);
    let head = PreparedResponse::new(200, "OK").expect("a valid head");
    let (_, request) = sent(ExchangeId(0));
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        out.clear();
        drain(&mut server, black_box(&request), &mut out);
        let response = Response { head: black_box(&head), body: Body::Whole(b"ok") };
        server.send(ExchangeId(id), response, &mut out).expect("the request waits");
        id += 1;
    });
}

fn get() -> PreparedRequest {
    let mut head = PreparedRequest::new("GET", "/some/path?with=query", "www.example.org").expect("a valid head");
    for (name, value) in [("user-agent", &b"aquests/0.1"[..]), ("accept", b"*/*"), ("accept-encoding", b"gzip, br")] {
        head.field(name, value).expect("a valid field");
    }
    head
}

/// A client that waits for an answer, and what it sent.
fn sent(id: ExchangeId) -> (Client, Vec<u8>) {
    let (mut client, mut out) = (Client::new(), Vec::with_capacity(4096));
    client.send(id, Request { head: &get(), body: Body::EMPTY }, &mut out).expect("the machine is idle");
    (client, out)
}

/// Everything in `bytes`, until the machine wants more.
fn drain<P: Protocol>(machine: &mut P, bytes: &[u8], out: &mut Vec<u8>) {
    let mut used = 0;
    loop {
        let input = Input { bytes: &bytes[used..], eof: false };
        let (more, event) = machine.receive(input, out).expect("nothing is wrong with it");
        used += more;
        match black_box(event) {
            Event::NeedData { .. } | Event::Paused => return,
            _ => {}
        }
    }
}
