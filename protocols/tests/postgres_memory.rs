//! What the machine of PostgreSQL allocates: nothing for an exchange in the steady state, never because a peer said a
//! number, and little for a connection that waits. What else a peer may not do is in `tests/postgres/limits.rs`.

mod counting;

use aquests_protocols::postgres::{Client, End, Login, Message, Parameter, Request, Step};
use aquests_protocols::{Established, Event, ExchangeId, Input, Protocol};
use counting::{Counting, counted};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Gives everything to the machine; returns how many messages were done, and how many bytes were looked into. Stops at an
/// error.
fn receive(machine: &mut Client, bytes: &[u8], out: &mut Vec<u8>) -> (usize, usize) {
    let (mut used, mut done, mut seen) = (0, 0, 0);
    while let Ok((more, event)) = machine.receive(Input { bytes: &bytes[used..], eof: false }, out) {
        used += more;
        match event {
            Event::NeedData { .. } | Event::Closed => break,
            Event::Message { message, done: last, .. } => {
                done += usize::from(last);
                seen += look(message);
            }
            Event::Push(message) => seen += look(message),
            _ => {}
        }
    }
    (done, seen)
}

fn look(message: Message<'_>) -> usize {
    match message {
        Message::RowDescription(columns) => columns.columns().map(|column| column.name.len()).sum(),
        Message::Row(row) => row.fields().flatten().map(<[u8]>::len).sum(),
        Message::Complete(tag) => tag.as_bytes().len(),
        Message::Error(error) | Message::Notice(error) => error.fields().map(|(_, text)| text.len()).sum(),
        Message::ParameterDescription(types) => types.oids().count(),
        Message::Data(bytes) => bytes.len(),
        _ => 0,
    }
}

fn logged_in(out: &mut Vec<u8>) -> Client {
    let mut client = Client::new(Login::new("me")).unwrap().pipeline(16);
    client.connected(Established::default(), out);
    assert_eq!(receive(&mut client, b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", out), (0, 0));
    out.clear();
    client
}

/// The counter counts: without it the tests below would show nothing.
#[test]
fn allocations_are_counted() {
    let (allocations, bytes) = counted(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(1000))));
    assert_eq!((allocations, bytes), (1, 1000));
}

/// DESIGN: "zero allocations per request", whatever is answered, and looked into.
#[test]
fn a_client_allocates_nothing_for_an_exchange() {
    let mut out = Vec::with_capacity(4096);
    let mut client = logged_in(&mut out);
    let parameters = [Parameter::text("x"), Parameter::NULL];
    let steps = [
        Step::Parse { name: "", sql: "SELECT $1", types: &[25] },
        Step::Bind { portal: "", statement: "", parameters: &parameters, results: &[] },
        Step::DescribePortal(""),
        Step::Execute { portal: "", rows: 0 },
    ];
    let result = b"T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0D\0\0\0\x0b\0\x01\0\0\0\x01xC\0\0\0\x0dSELECT 1\0";
    let notice = b"N\0\0\0\x11SNOTICE\0Mhi\0\0";
    let error = b"E\0\0\0\x0fSERROR\0Mx\0\0";
    let (asked, ready) = (b"1\0\0\0\x042\0\0\0\x04", b"Z\0\0\0\x05I");
    let mut id = 0;
    let mut exchange = |request: Request<'_>, reply: &[&[u8]]| {
        client.send(ExchangeId(id), request, &mut out).unwrap();
        let mut answered = (0, 0);
        for piece in reply {
            let (done, seen) = receive(&mut client, piece, &mut out);
            answered = (answered.0 + done, answered.1 + seen);
        }
        assert!(answered.0 == 1 && answered.1 > 0, "{answered:?}");
        out.clear();
        id += 1;
    };
    let mut all = || {
        exchange(Request::Query("SELECT 'x' AS a"), &[result, notice, ready]);
        exchange(Request::Steps { steps: &steps, end: End::Sync }, &[asked, result, ready]);
        exchange(Request::Steps { steps: &steps, end: End::Sync }, &[error, ready]);
        exchange(
            Request::Query("COPY t TO STDOUT"),
            &[b"H\0\0\0\x07\0\0\0d\0\0\0\x05xc\0\0\0\x04C\0\0\0\x0bCOPY 1\0", ready],
        );
    };
    all();
    assert_eq!(counted(|| (0..100).for_each(|_| all())), (0, 0));
}

/// Rows are told together, in one room of 16 KiB, which goes with the copy.
#[test]
fn a_copy_of_many_rows_needs_one_room() {
    let mut out = Vec::with_capacity(4096);
    let mut client = logged_in(&mut out);
    let rows = b"d\0\0\0\x0ba row\n\0".repeat(10_000);
    client.send(ExchangeId(0), Request::Query("COPY t TO STDOUT"), &mut out).unwrap();
    receive(&mut client, b"H\0\0\0\x07\0\0\0", &mut out);
    let (allocations, bytes) = counted(|| assert_eq!(receive(&mut client, &rows, &mut out), (0, 70_000)));
    assert!((1..=16).contains(&allocations) && bytes <= 64 << 10, "{allocations} allocations of {bytes} bytes");
    assert_eq!(receive(&mut client, b"c\0\0\0\x04C\0\0\0\x0fCOPY 10000\0Z\0\0\0\x05I", &mut out).0, 1);
    assert!(format!("{client:?}").contains("gathered: []"), "{client:?}");
}

/// LIMITS: "never reserve from a peer's number"; postgres-protocol reserves 1 GiB for five bytes.
#[test]
fn nothing_is_reserved_because_a_peer_said_a_number() {
    for answer in [
        &b"T\x03\xff\xff\xff\xff\xff"[..],
        b"D\x03\xff\xff\xff\xff\xff",
        b"D\xff\xff\xff\xff",
        b"E\x03\xff\xff\xff",
        b"H\0\0\0\x07\0\0\0d\xff\xff\xff\xffsome",
        b"T\0\0\0\x06\xff\xff",
    ] {
        let mut out = Vec::with_capacity(4096);
        let mut client = logged_in(&mut out);
        client.send(ExchangeId(0), Request::Query("SELECT 1"), &mut out).unwrap();
        let (allocations, bytes) = counted(|| {
            receive(&mut client, answer, &mut out);
        });
        assert_eq!((allocations, bytes), (0, 0), "{}", answer.escape_ascii());
    }
}

/// DESIGN: an idle connection costs half a KiB at most, of which this is the machine's part. The login is gone.
#[test]
fn an_idle_connection_costs_little() {
    assert!(size_of::<Client>() <= 256, "{} bytes", size_of::<Client>());
    let mut out = Vec::with_capacity(4096);
    let mut client = logged_in(&mut out);
    let (_, kept) = counted(|| {
        client.send(ExchangeId(0), Request::Query("SELECT 1"), &mut out).unwrap();
        receive(&mut client, b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I", &mut out);
    });
    // The room for what is owed.
    assert!(kept <= 128, "{kept} bytes");
}
