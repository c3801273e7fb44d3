//! What the machine of Redis allocates: nothing for an exchange in the steady state, never because a peer said a number,
//! and little for a connection that waits. What else a peer may not do is in `tests/redis/limits.rs`.

mod counting;

use aquests_protocols::redis::{Client, Content, Limits, Message, PreparedCommand, Request, ValueRef, parse};
use aquests_protocols::{Event, ExchangeId, Input, Protocol};
use counting::{Counting, counted};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Gives everything to the machine; returns how many messages were done, and stops at an error.
fn receive(machine: &mut Client, bytes: &[u8], out: &mut Vec<u8>) -> usize {
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

/// The counter counts: without it the tests below would show nothing.
#[test]
fn allocations_are_counted() {
    let (allocations, bytes) = counted(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(1000))));
    assert_eq!((allocations, bytes), (1, 1000));
}

/// DESIGN: "zero allocations per request", whatever is answered: also for nested replies, once the deepest came.
#[test]
fn a_client_allocates_nothing_for_an_exchange() {
    let long = [&b"$100000\r\n"[..], &[b'x'; 100_000], b"\r\n"].concat();
    let replies: [&[u8]; 7] = [
        b"*2\r\n*1\r\n%1\r\n+a\r\n~1\r\n:1\r\n$1\r\na\r\n",
        b"$5\r\nhello\r\n",
        b"+OK\r\n",
        b"-ERR no\r\n",
        b"|1\r\n+a\r\n+b\r\n*?\r\n$?\r\n;1\r\na\r\n;0\r\n.\r\n",
        b"$?\r\n;1\r\na\r\n;0\r\n",
        &long,
    ];
    let prepared = PreparedCommand::new(["GET", "key"]).unwrap();
    let (mut client, mut out, mut id) = (Client::new().pipeline(16), Vec::with_capacity(4096), 0);
    let mut exchange = |reply: &[u8]| {
        for request in [Request::Words(&[b"GET", b"key"]), Request::Prepared(&prepared)] {
            client.send(ExchangeId(id), request, &mut out).unwrap();
            assert_eq!(receive(&mut client, b">1\r\n+x\r\n", &mut out), 0);
            // In two pieces: what was not used of the first is shown again with the second.
            let (mut used, mut done) = (0, 0);
            for came in [reply.len() / 2, reply.len()] {
                loop {
                    let input = Input { bytes: &reply[used..came], eof: false };
                    let (more, event) = client.receive(input, &mut out).unwrap();
                    used += more;
                    match event {
                        Event::NeedData { .. } => break,
                        Event::Message { done: true, .. } => done += 1,
                        _ => {}
                    }
                }
            }
            assert_eq!((used, done), (reply.len(), 1));
            out.clear();
            id += 1;
        }
    };
    replies.iter().for_each(|reply| exchange(reply));
    assert_eq!(counted(|| (0..100).for_each(|_| replies.iter().for_each(|reply| exchange(reply)))), (0, 0));
}

#[test]
fn a_subscriber_allocates_nothing_for_a_message() {
    for kind in ["*", ">"] {
        let (mut client, mut out) = (Client::new(), Vec::with_capacity(4096));
        client.send(ExchangeId(0), Request::Words(&[b"SUBSCRIBE", b"a"]), &mut out).unwrap();
        assert_eq!(receive(&mut client, format!("{kind}3\r\n+subscribe\r\n+a\r\n:1\r\n").as_bytes(), &mut out), 1);
        let message = format!("{kind}3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n").repeat(1000);
        assert_eq!(counted(|| assert_eq!(receive(&mut client, message.as_bytes(), &mut out), 0)), (0, 0));
    }
}

/// LIMITS: "never reserve from a peer's number": counts and lengths of all kinds.
#[test]
fn nothing_is_reserved_because_a_peer_said_a_number() {
    for reply in [
        "$536870912\r\nsome of it",
        "*20000000\r\n$20000000\r\nsome",
        "%10000000\r\n+a\r\n",
        "|10000000\r\n*20000000\r\n",
        "$?\r\n;536870912\r\nsome",
        "=60000000\r\nsome",
        "*9223372036854775807\r\n",
        "$9223372036854775807\r\n",
    ] {
        let (mut client, mut out) = (Client::new(), Vec::with_capacity(4096));
        client.send(ExchangeId(0), Request::Words(&[b"GET"]), &mut out).unwrap();
        let (allocations, bytes) = counted(|| assert_eq!(receive(&mut client, reply.as_bytes(), &mut out), 0));
        // At most the room for a few levels.
        assert!(allocations <= 1 && bytes <= 64, "{reply:?}: {allocations} allocations, {bytes} bytes");
    }
    // Nor is anything owned for it: what is owned is whole.
    let limits = Limits::default();
    assert_eq!(counted(|| assert_eq!(parse(b"$60000000\r\nsome", limits), Ok(None))), (0, 0));
}

/// The deepest nesting costs what the scanner keeps for a level, and no more.
#[test]
fn nesting_costs_a_few_bytes_a_level() {
    let (mut client, mut out) = (Client::new(), Vec::with_capacity(4096));
    client.send(ExchangeId(0), Request::Words(&[b"GET"]), &mut out).unwrap();
    let bomb = b"*1\r\n".repeat(10_000);
    let (allocations, bytes) = counted(|| assert_eq!(receive(&mut client, &bomb, &mut out), 0));
    assert!(allocations <= 6 && bytes <= 4096, "{allocations} allocations, {bytes} bytes");
}

#[test]
fn looking_into_a_value_allocates_nothing() {
    fn walk(value: ValueRef<'_>) -> usize {
        value.attributes().map(|(key, value)| walk(key) + walk(value)).sum::<usize>()
            + match value.read() {
                Content::Array(items) | Content::Set(items) | Content::Map(items) => items.map(walk).sum(),
                Content::Chunks(chunks) => chunks.map(<[u8]>::len).sum(),
                Content::Error(error) => error.code().len(),
                _ => 1,
            }
    }
    let bytes =
        b"*4\r\n%1\r\n+a\r\n*2\r\n:1\r\n:2\r\n|1\r\n+x\r\n+y\r\n$?\r\n;2\r\nbc\r\n;0\r\n*?\r\n:3\r\n.\r\n-ERR no\r\n";
    let (value, _) = parse(bytes, Limits::default()).unwrap().unwrap();
    assert_eq!(counted(|| assert_eq!(walk(value), 3 + 4 + 1 + 3)), (0, 0));
}

/// DESIGN: an idle connection costs half a KiB at most, of which this is the machine's part.
#[test]
fn an_idle_connection_costs_little() {
    assert!(size_of::<Client>() <= 256, "{} bytes", size_of::<Client>());
    let mut client = Client::new();
    let (_, kept) = counted(|| {
        let mut out = Vec::new();
        client.send(ExchangeId(0), Request::Words(&[b"GET"]), &mut out).unwrap();
        receive(&mut client, b"$5\r\nhello\r\n", &mut out);
    });
    // The room for commands, and what was written.
    assert!(kept <= 192, "{kept} bytes");
    assert!(matches!(
        client.receive(Input { bytes: b"", eof: false }, &mut Vec::new()),
        Ok((0, Event::<Message<'_>>::NeedData { at_least: 1 }))
    ));
}
