//! What one exchange costs the Redis client: `cargo bench -p aquests-protocols --bench redis`. Throughput is in commands,
//! or in bytes of the reply.

use aquests_protocols::redis::{Client, Limits, PreparedCommand, Request, parse};
use aquests_protocols::{Event, ExchangeId, Input, Protocol};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// As `redis-benchmark -t get` has it: three bytes.
const REPLY: &[u8] = b"$3\r\nxxx\r\n";

#[divan::bench]
fn send_words(bencher: Bencher<'_, '_>) {
    send(bencher, Request::Words(&[b"GET", b"key:000000000042"]));
}

#[divan::bench]
fn send_prepared(bencher: Bencher<'_, '_>) {
    let command = PreparedCommand::new(["GET", "key:000000000042"]).expect("a command");
    send(bencher, Request::Prepared(&command));
}

/// And the shortest reply there is, or the machine would be full.
fn send(bencher: Bencher<'_, '_>, request: Request<'_>) {
    let (mut client, mut out) = (Client::new(), Vec::with_capacity(4096));
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        out.clear();
        client.send(ExchangeId(1), black_box(request), &mut out).expect("the machine is idle");
        drain(&mut client, black_box(b"+\r\n"), &mut out)
    });
}

/// A command and its reply, alone and many at once: what a load generator does. Per command.
#[divan::bench(args = [1, 16, 100])]
fn exchange(bencher: Bencher<'_, '_>, pipeline: u16) {
    let command = PreparedCommand::new(["GET", "key:000000000042"]).expect("a command");
    let (mut client, mut out) = (Client::new().pipeline(pipeline), Vec::with_capacity(8192));
    let replies = REPLY.repeat(pipeline.into());
    bencher.counter(ItemsCount::new(pipeline)).bench_local(|| {
        out.clear();
        for id in 0..u64::from(pipeline) {
            client.send(ExchangeId(id), Request::Prepared(black_box(&command)), &mut out).expect("there is room");
        }
        drain(&mut client, black_box(&replies), &mut out)
    });
}

#[divan::bench]
fn receive_4_kib(bencher: Bencher<'_, '_>) {
    receive(bencher, [&b"$4096\r\n"[..], &[b'x'; 4096], b"\r\n"].concat());
}

#[divan::bench]
fn receive_100_strings(bencher: Bencher<'_, '_>) {
    receive(bencher, [b"*100\r\n", &REPLY.repeat(100)[..]].concat());
}

#[divan::bench]
fn receive_100_pairs_of_a_map(bencher: Bencher<'_, '_>) {
    receive(bencher, [b"%100\r\n", &b"$5\r\nfield\r\n:12345\r\n".repeat(100)[..]].concat());
}

fn receive(bencher: Bencher<'_, '_>, reply: Vec<u8>) {
    let (mut client, mut out) = (Client::new(), Vec::with_capacity(4096));
    bencher.counter(BytesCount::of_slice(&reply)).bench_local(|| {
        out.clear();
        client.send(ExchangeId(1), Request::Words(&[b"X"]), &mut out).expect("the machine is idle");
        drain(&mut client, black_box(&reply), &mut out)
    });
}

/// What the caller does with an array: looks at each element, or owns all of it.
#[divan::bench]
fn walk_100_strings(bencher: Bencher<'_, '_>) {
    let reply = [b"*100\r\n", &REPLY.repeat(100)[..]].concat();
    let (value, _) = parse(&reply, Limits::default()).expect("a value").expect("a whole one");
    bencher.counter(BytesCount::of_slice(&reply)).bench_local(|| {
        let items = black_box(value).items().expect("an array");
        items.map(|item| item.bytes().map_or(0, <[u8]>::len)).sum::<usize>()
    });
}

#[divan::bench]
fn own_100_strings(bencher: Bencher<'_, '_>) {
    let reply = [b"*100\r\n", &REPLY.repeat(100)[..]].concat();
    let (value, _) = parse(&reply, Limits::default()).expect("a value").expect("a whole one");
    bencher.counter(BytesCount::of_slice(&reply)).bench_local(|| black_box(value).to_value());
}

/// Everything in `bytes`, until the machine wants more.
fn drain(machine: &mut Client, bytes: &[u8], out: &mut Vec<u8>) {
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
