//! What a peer may not do to us: each limit of the module's table, at its edge, with the exchange or the connection that
//! it ends. What is kept in memory meanwhile is counted in `tests/http2_memory.rs`.

use aquests_protocols::http2::Limits;
use aquests_protocols::{Input, Limit};

use super::*;

fn too_large(what: &'static str, value: u64) -> Error {
    Error::TooLarge(Limit { what, value })
}

/// A whole response, in as many frames as it takes.
fn large(stream: u32, fields: &[(&str, &str)]) -> Vec<Vec<u8>> {
    let block = block(&[&[(":status", "200")], fields].concat());
    let mut parts: Vec<_> = block.chunks(16_384).map(|part| frame(CONTINUATION, 0, stream, part)).collect();
    (parts[0][3], parts[0][4]) = (HEADERS, END_STREAM);
    parts.last_mut().unwrap()[4] |= END_HEADERS;
    parts
}

/// What a client makes of large inputs: whole, in pieces, and byte by byte.
fn read(methods: &[&str], settings: Settings, frames: &[Vec<u8>]) -> Run<String> {
    let bytes = from_server(frames);
    let [whole, others @ ..] = [bytes.len(), 4099, 1].map(|piece| {
        let mut side = quiet(settings);
        for (id, method) in (0..).zip(methods) {
            send(&mut side, id, &request(method), Body::EMPTY);
        }
        side.take_out();
        bytes.chunks(piece).for_each(|piece| side.receive(piece, false));
        side.finish()
    });
    others.iter().for_each(|run| assert_eq!(*run, whole));
    whole
}

/// LIMITS: 64 KiB decoded, settable: the exchange ends, the connection lives.
#[test]
fn a_head_is_as_large_as_the_limit_and_no_larger() {
    let default = Limits::default();
    for (most, limits) in [(64 << 10, default), (1000, default.head(1000)), (100_000, default.head(100_000))] {
        let settings = Settings::default().limits(limits);
        // As RFC 9113 §6.5.2 counts: names, values, and 32 for each field.
        let room = most - (":status200".len() + 32) - (1 + 32);
        let run = read(&["GET"], settings, &large(1, &[("x", &"v".repeat(room))]));
        assert_eq!((run.error, run.events.len()), (None, 1));
        let frames = [large(1, &[("x", &"v".repeat(room + 1)), ("y", "z")]), vec![answer(3)]].concat();
        let run = read(&["GET", "GET"], settings, &frames);
        let failed = format!("0 failed, {}, Unknown", too_large("header bytes", most as u64));
        assert_eq!(told(&run), [failed, "1 HTTP/2.0 200 done".to_string()]);
        assert_eq!(answers(&run), ["RST_STREAM 1 ENHANCE_YOUR_CALM"]);
    }
}

/// LIMITS: 128 fields, in heads, interim heads and trailers; the tables of compression stay right.
#[test]
fn there_are_as_many_fields_as_the_limit_and_no_more() {
    let many = |count: usize| vec![("a", "b"); count];
    for (most, limits) in [(128, Limits::default()), (3, Limits::default().fields(3))] {
        let settings = Settings::default().limits(limits);
        assert_eq!(read(&["GET"], settings, &large(1, &many(most))).error, None);
        let failed = format!("0 failed, {}, Unknown", too_large("header count", most as u64));
        let mut indexed = literal(0x40, b"x", b"remembered");
        indexed.splice(0..0, block(&[&[(":status", "200")][..], &many(most + 1)].concat()));
        let frames = [
            frame(HEADERS, END_HEADERS | END_STREAM, 1, indexed),
            frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x88\xbe"),
        ];
        let run = read(&["GET", "GET"], settings, &frames);
        assert_eq!(told(&run), [failed.clone(), "1 HTTP/2.0 200 | x: remembered done".to_string()]);
        let trailers = [head(1), headers(1, END_STREAM, &many(most + 1))];
        assert_eq!(told(&read(&["GET"], settings, &trailers))[1..], [failed]);
    }
}

/// A server answers 431 (RFC 6585 §5), tells nothing, and goes on.
#[test]
fn a_server_answers_a_head_that_is_too_large() {
    for flags in [END_STREAM, 0] {
        let fields = [&asking("GET")[..], &[("a", "b"); 129]].concat();
        let mut side = obliging();
        side.receive(&from_client(&[headers(1, flags, &fields)]), false);
        if flags == 0 {
            side.receive(&[data(1, 0, "x"), data(1, END_STREAM, "y")].concat(), false);
        }
        side.receive(&get(3), false);
        let run = side.finish();
        assert_eq!(told(&run), ["0 GET / HTTP/2.0 | host: h done"]);
        let mut expected = vec!["HEADERS 1 END_STREAM | :status: 431"];
        expected.extend(["RST_STREAM 1 NO_ERROR"].into_iter().filter(|_| flags == 0));
        expected.extend(["HEADERS 3 | :status: 200 | content-length: 2", "DATA 3 END_STREAM \"ok\""]);
        assert_eq!(answers(&run), expected);
    }
}

/// LIMITS: 8 CONTINUATIONs (RUSTSEC-2024-0332), empty ones too, told at the frame that is one too many.
#[test]
fn a_block_has_as_many_continuations_as_the_limit_and_no_more() {
    for (most, limits) in [(8, Limits::default()), (2, Limits::default().continuations(2))] {
        let settings = Settings::default().limits(limits);
        let mut frames = vec![frame(HEADERS, END_STREAM, 1, block(&[(":status", "200")]))];
        frames.extend(vec![frame(CONTINUATION, 0, 1, ""); most - 1]);
        let run = read(&["GET"], settings, &[&frames[..], &[frame(CONTINUATION, END_HEADERS, 1, "")]].concat());
        assert_eq!(run.error, None);
        frames.extend(vec![frame(CONTINUATION, 0, 1, ""); 2]);
        let run = read(&["GET"], settings, &frames);
        assert_eq!(run.error, Some(too_large("CONTINUATION frames", most as u64)));
        assert_eq!(answers(&run), ["GOAWAY 0 ENHANCE_YOUR_CALM"]);
    }
}

/// Larger frames do not make larger blocks: 144 KiB are kept before they are decoded.
#[test]
fn a_block_is_bounded_before_it_is_decoded() {
    let settings = Settings::default().frame(1 << 20);
    let frames = [
        frame(HEADERS, 0, 1, vec![0x82; 144 << 10]),
        frame(CONTINUATION, 0, 1, [0x82; 1]),
        frame(CONTINUATION, 0, 1, ""),
    ];
    let run = read(&["GET"], settings, &frames);
    assert_eq!(run.error, Some(too_large("header block bytes", 144 << 10)));
}

/// LIMITS, HPACK bombs: a block that refers thousands of times to a large field costs no memory, and the exchange alone.
#[test]
fn a_block_that_refers_to_a_large_field_again_and_again_ends_its_stream() {
    let bomb = [literal(0x40, b"x", &[b'v'; 4000]), vec![0xbe; 12_000]].concat();
    let frames = [frame(HEADERS, END_HEADERS | END_STREAM, 1, bomb), answer(3)];
    let run = read(&["GET", "GET"], Settings::default(), &frames);
    let failed = format!("0 failed, {}, Unknown", too_large("header bytes", 64 << 10));
    assert_eq!(told(&run), [failed, "1 HTTP/2.0 200 done".to_string()]);
}

/// LIMITS: the table of our compression is 4 KiB whatever the peer says, and that of theirs what we said.
#[test]
fn the_tables_of_compression_are_bounded() {
    let mut side = quiet(Settings::default());
    side.receive(&settings(&[(HEADER_TABLE_SIZE, u32::MAX)]), false);
    side.take_out();
    let mut decoder = aquests_protocols::http2::hpack::Decoder::new(4096);
    for id in 0..90 {
        let mut head = request("GET");
        head.field("x-large", format!("{id:01000}").as_bytes()).unwrap();
        head.field(&format!("x-{id}"), b"y").unwrap();
        send(&mut side, id, &head, Body::EMPTY);
        // A decoder of 4,096 bytes follows: no update, no index beyond it.
        said_after(&mut decoder, &side.take_out());
    }
    let violation = Violation::Compression(aquests_protocols::http2::hpack::Error::TableSize);
    client_breaks(&[frame(HEADERS, END_HEADERS, 1, b"\x3f\xe2\x1f")], violation, Code::COMPRESSION_ERROR);
}

/// LIMITS: endless interim responses, 100 by default.
#[test]
fn a_request_has_as_many_interim_responses_as_the_limit_and_no_more() {
    let interim = headers(1, 0, &[(":status", "103")]);
    for (most, limits) in [(100, Limits::default()), (1, Limits::default().interim(1))] {
        let settings = Settings::default().limits(limits);
        let frames = [vec![interim.clone(); most], vec![answer(1)]].concat();
        assert_eq!(read(&["GET"], settings, &frames).events.len(), most + 1);
        let frames = [vec![interim.clone(); most + 1], vec![answer(3)]].concat();
        let run = read(&["GET", "GET"], settings, &frames);
        let failed = format!("0 failed, {}, Unknown", too_large("interim responses", most as u64));
        assert_eq!(told(&run)[most..], [failed, "1 HTTP/2.0 200 done".to_string()]);
        assert_eq!(answers(&run), ["RST_STREAM 1 ENHANCE_YOUR_CALM"]);
    }
}

/// Frames that bring nothing, by the words of the limit that ends them.
fn floods() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("PING frames", ping(b"12345678")),
        ("PING frames", frame(PING, ACK, 0, "12345678")),
        ("SETTINGS frames", settings(&[])),
        ("SETTINGS frames", settings(&[(INITIAL_WINDOW_SIZE, 7)])),
        ("empty DATA frames", data(1, 0, "")),
        ("empty DATA frames", frame(DATA, PADDED, 1, b"\x03\0\0\0")),
        ("WINDOW_UPDATE frames", window_update(0, 1)),
        ("WINDOW_UPDATE frames", window_update(1, 1)),
        ("PRIORITY frames", frame(PRIORITY, 0, 1, [0; 5])),
        ("PRIORITY frames", frame(PRIORITY, 0, 99, [0; 5])),
        ("RST_STREAM frames", rst_stream(3, Code::CANCEL)),
        ("unknown frames", frame(0x20, 0, 1, "x")),
        ("GOAWAY frames", goaway(3, Code::NO_ERROR)),
    ]
}

/// LIMITS: 1,000 of them, whatever they are; the answers that came before are told.
#[test]
fn a_flood_ends_the_connection() {
    for (what, bad) in floods() {
        let mut side = sent(&["GET", "GET"]);
        side.receive(&from_server(&[answer(3), head(1)]), false);
        // The answer has earned nothing: there was nothing to earn back.
        for _ in 0..1000 {
            side.receive(&bad, false);
        }
        assert!(!side.is_over(), "{what}");
        assert!(side.out.len() <= 1000 * 17 + 100, "{what}: {} bytes to be written", side.out.len());
        side.receive(&bad, false);
        let run = side.finish();
        assert_eq!(run.error, Some(too_large(what, 1000)));
        assert_eq!(said(&run.out).pop().unwrap(), "GOAWAY 0 ENHANCE_YOUR_CALM");
        assert_eq!(told(&run), ["1 HTTP/2.0 200 done", "0 HTTP/2.0 200"]);
        assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)]);
    }
}

/// The same for a server, and all kinds together.
#[test]
fn a_flood_of_all_kinds_ends_the_connection_of_a_server_too() {
    let kinds = floods();
    let mut side = mute(Settings::default().limits(Limits::default().credit(100)));
    side.receive(&from_client(&[post(1), get(3)]), false);
    // GOAWAY and the reset of stream 3 come first: they concern what is there.
    for (_, bad) in kinds.iter().cycle().take(100) {
        side.receive(bad, false);
    }
    assert!(!side.is_over());
    side.receive(&ping(b"12345678"), false);
    assert_eq!(side.finish().error, Some(too_large("PING frames", 100)));
}

/// LIMITS: rapid resets (CVE-2023-44487), refused streams and malformed requests cost a server's client its credit.
#[test]
fn requests_that_come_to_nothing_end_the_connection_of_a_server() {
    let malformed = |stream| vec![headers(stream, END_STREAM, &[(":method", "GET")])];
    let reset = |stream| vec![get(stream), rst_stream(stream, Code::CANCEL)];
    let refused = |stream| vec![get(stream)];
    type Attack = (&'static str, u32, fn(u32) -> Vec<Vec<u8>>);
    let attacks: [Attack; 3] =
        [("streams in error", 100, malformed), ("RST_STREAM frames", 100, reset), ("streams in error", 0, refused)];
    for (what, streams, attack) in attacks {
        let mut side = mute(Settings::default().streams(streams));
        side.receive(&from_client(&[]), false);
        for stream in 0..1000 {
            side.receive(&attack(2 * stream + 1).concat(), false);
        }
        assert!(!side.is_over(), "{what}");
        side.receive(&attack(2001).concat(), false);
        let run = side.finish();
        assert_eq!(run.error, Some(too_large(what, 1000)));
        assert_eq!(said(&run.out).pop().unwrap(), "GOAWAY 2001 ENHANCE_YOUR_CALM");
    }
}

/// LIMITS: one is earned back with each finished exchange, and with each 64 KiB of DATA; two with each DATA frame of ours,
/// which a peer may answer with updates of two windows.
#[test]
fn credit_is_earned_back_by_work() {
    let settings = Settings::default().limits(Limits::default().credit(4));
    let mut side = quiet(settings);
    side.receive(&from_server(&[]), false);
    for id in 0..500u32 {
        send(&mut side, id.into(), &request("GET"), Body::EMPTY);
        side.receive(&[ping(b"12345678"), answer(2 * id + 1)].concat(), false);
    }
    send(&mut side, 500, &request("GET"), Body::EMPTY);
    side.receive(&head(1001), false);
    for _ in 0..100 {
        side.receive(&vec![data(1001, 0, vec![0; 16_384]); 4].concat(), false);
        side.receive(&ping(b"12345678"), false);
    }
    send(&mut side, 501, &request("POST"), Body::Parts(None));
    for _ in 0..500 {
        assert_eq!(side.machine.send_data(ExchangeId(501), b"x", false, &mut side.out), Ok(1));
        side.receive(&[window_update(0, 1), window_update(1003, 1)].concat(), false);
    }
    assert!(!side.is_over());
    for _ in 0..5 {
        side.receive(&ping(b"12345678"), false);
    }
    assert_eq!(side.finish().error, Some(too_large("PING frames", 4)));
}

/// LIMITS, "all": total work linear in bytes. A block that comes byte by byte is looked at once, when it is whole: what is
/// asked for is all of it.
#[test]
fn a_frame_that_comes_in_pieces_is_not_looked_at_again() {
    let frames = from_server(&[headers(1, END_STREAM, &[(":status", "200"), ("x", &"v".repeat(10_000))])]);
    let (mut client, mut out) = (Client::new(), Vec::new());
    client.send(ExchangeId(0), Request { head: &request("GET"), body: Body::EMPTY }, &mut out).unwrap();
    let (mut used, mut wanted, mut calls) = (0, 0, 0);
    for end in 0..=frames.len() {
        while end - used >= wanted {
            calls += 1;
            let (more, event) = client.receive(Input { bytes: &frames[used..end], eof: false }, &mut out).unwrap();
            used += more;
            wanted = match event {
                Event::NeedData { at_least } => at_least,
                Event::Message { done: true, .. } => {
                    assert_eq!((end, used), (frames.len(), frames.len()));
                    break;
                }
                _ => 0,
            };
        }
    }
    assert_eq!(used, frames.len());
    assert!(calls <= 6, "{calls} calls for two frames");
}

/// A server that asks an idle connection for signs of life, and waits for each, may do so for days.
#[test]
fn signs_of_life_are_no_flood_while_their_answers_are_written() {
    let mut side = sent(&[]);
    side.receive(&settings(&[]), false);
    for _ in 0..10_000 {
        side.take_out();
        side.receive(&ping(b"12345678"), false);
        assert_eq!(said(&side.take_out()), ["PING ACK \"12345678\""]);
        side.receive(&settings(&[]), false);
    }
    assert_eq!(side.finish().error, None);
}

/// LIMITS: zero window stalls. A server that never opens a window gets what fits, and the rest waits: nothing spins and
/// nothing is lost, whatever time the caller gives it.
#[test]
fn a_window_that_never_opens_keeps_the_body_waiting() {
    let mut side = quiet(Settings::default());
    side.receive(&settings(&[(INITIAL_WINDOW_SIZE, 0)]), false);
    side.take_out();
    send(&mut side, 0, &request("POST"), Body::Whole(b"hello"));
    send(&mut side, 1, &request("POST"), Body::Parts(None));
    assert_eq!(said(&side.take_out()).len(), 2, "the heads");
    assert_eq!(side.machine.wants_data(), None);
    assert_eq!(side.machine.send_data(ExchangeId(1), b"x", false, &mut side.out), Ok(0));
    side.receive(&[answer(3), answer(1)].concat(), false);
    let run = side.finish();
    assert_eq!((told(&run).len(), run.error), (2, None));
}

/// LIMITS: whatever one exchange meets, the others do not notice. All faults of streams at once.
#[test]
fn faults_of_streams_leave_the_others_alone() {
    let faults = |stream| {
        [
            headers(stream, END_STREAM, &[(":status", "200"), ("A", "b")]),
            headers(stream, END_STREAM, &[(":status", "200"), ("content-length", "1")]),
            headers(stream, 0, &[]),
            data(stream, 0, "x"),
            window_update(stream, 0),
            rst_stream(stream, Code::INTERNAL_ERROR),
            frame(PRIORITY, 0, stream, ""),
            headers(stream, END_STREAM, &[(":status", "101")]),
        ]
    };
    let count = faults(1).len() as u32;
    let mut frames = vec![head(2 * count + 1)];
    for at in 0..count {
        frames.push(faults(2 * at + 1)[at as usize].clone());
        frames.push(data(2 * count + 1, 0, "x"));
    }
    frames.push(data(2 * count + 1, END_STREAM, ""));
    let run = asked(&vec!["GET"; count as usize + 1], &frames);
    let told = told(&run);
    assert_eq!(told.iter().filter(|line| line.contains("failed")).count(), count as usize);
    assert_eq!(*told.last().unwrap(), format!("{count} \"x\" done"));
    assert_eq!(told.iter().filter(|line| line.starts_with(&format!("{count} \"x\""))).count(), count as usize);
    assert_eq!((run.error, run.unfinished), (None, vec![]));
}
