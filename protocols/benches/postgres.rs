//! What a row costs the PostgreSQL client: `cargo bench -p aquests-protocols --bench postgres`. Throughput is in statements
//! or in rows.

use aquests_protocols::postgres::{Client, End, Format, Login, Message, Parameter, Request, Step};
use aquests_protocols::{Established, Event, ExchangeId, Input, Protocol};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

fn client(pipeline: u16) -> Client {
    let (mut client, mut out) = (Client::new(Login::new("me")).expect("a login").pipeline(pipeline), Vec::new());
    client.connected(Established::default(), &mut out);
    drain(&mut client, b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", &mut out);
    client
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("it is short");
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// A row of three fields: a number, a short text, NULL.
fn row() -> Vec<u8> {
    message(b'D', b"\0\x03\0\0\0\x04\0\0\0\x2a\0\0\0\x0aten bytes.\xff\xff\xff\xff")
}

/// What a prepared statement answers that brings so many rows.
fn answer(rows: usize) -> Vec<u8> {
    let end = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
    [message(b'2', b""), row().repeat(rows), end].concat()
}

fn send(client: &mut Client, id: u64, out: &mut Vec<u8>) {
    let values = [Parameter::binary(&[0, 0, 0, 42])];
    let steps = [
        Step::Bind { portal: "", statement: "s1", parameters: &values, results: &[Format::Binary] },
        Step::Execute { portal: "", rows: 0 },
    ];
    let request = Request::Steps { steps: black_box(&steps), end: End::Sync };
    client.send(ExchangeId(id), request, out).expect("there is room");
}

/// A prepared statement and its one row, alone and many at once. Per statement.
#[divan::bench(args = [1, 16, 32])]
fn exchange(bencher: Bencher<'_, '_>, pipeline: u16) {
    let (mut client, mut out) = (client(pipeline), Vec::with_capacity(8192));
    let answers = answer(1).repeat(pipeline.into());
    bencher.counter(ItemsCount::new(pipeline)).bench_local(|| {
        out.clear();
        (0..u64::from(pipeline)).for_each(|id| send(&mut client, id, &mut out));
        drain(&mut client, black_box(&answers), &mut out)
    });
}

/// Rows that are judged and passed on, and that are looked into as well. Per row.
#[divan::bench(args = [false, true])]
fn rows(bencher: Bencher<'_, '_>, fields: bool) {
    const ROWS: usize = 1_000;
    let (mut client, mut out, answer) = (client(1), Vec::with_capacity(8192), answer(ROWS));
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        out.clear();
        send(&mut client, 1, &mut out);
        let (mut at, mut bytes) = (0, 0);
        while at < answer.len() {
            let (used, event) = receive(&mut client, black_box(&answer[at..]), &mut out);
            at += used;
            if let Event::Message { message: Message::Row(row), .. } = event
                && fields
            {
                bytes += row.fields().flatten().map(<[u8]>::len).sum::<usize>();
            }
        }
        bytes
    });
}

fn receive<'a>(client: &'a mut Client, bytes: &'a [u8], out: &mut Vec<u8>) -> (usize, Event<Message<'a>>) {
    client.receive(Input { bytes, eof: false }, out).expect("the server keeps the rules")
}

/// Reads all of it, and returns how many events there were.
fn drain(client: &mut Client, bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let (mut at, mut events) = (0, 0);
    while at < bytes.len() {
        let (used, _) = receive(client, &bytes[at..], out);
        at += used;
        events += 1;
    }
    events
}
