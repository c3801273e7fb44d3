//! RFC 9113 §6.5: SETTINGS, RFC 8441 §3 and RFC 9218 §2.1.

use aquests_protocols::{Established, Input, Refused};

use super::*;

/// "If an endpoint receives a SETTINGS frame whose Stream Identifier field is anything other than 0x00, the endpoint MUST
/// respond with a connection error of type PROTOCOL_ERROR."
#[test]
fn settings_belong_on_stream_0() {
    both_break(&[frame(SETTINGS, 0, 1, [])], Violation::StreamId, Code::PROTOCOL_ERROR);
}

/// §6.5.3: "Once all values have been processed, the recipient MUST immediately emit a SETTINGS frame with the ACK flag
/// set"; one for each, and none for an acknowledgement.
#[test]
fn every_settings_frame_is_acknowledged_once() {
    let run = asked(&[], &[settings(&[(INITIAL_WINDOW_SIZE, 1)]), settings(&[]), settings_ack(), settings_ack()]);
    assert_eq!(said(&run.out), ["SETTINGS ACK"; 3]);
    assert_eq!(run.error, None);
}

/// §6.5.2: values out of their ranges, with the code that each demands.
#[test]
fn settings_out_of_range_are_refused() {
    for (id, value, violation, code) in [
        (ENABLE_PUSH, 2, Violation::Setting, Code::PROTOCOL_ERROR),
        (INITIAL_WINDOW_SIZE, 1 << 31, Violation::WindowOverflow, Code::FLOW_CONTROL_ERROR),
        (INITIAL_WINDOW_SIZE, u32::MAX, Violation::WindowOverflow, Code::FLOW_CONTROL_ERROR),
        (MAX_FRAME_SIZE, 16_383, Violation::Setting, Code::PROTOCOL_ERROR),
        (MAX_FRAME_SIZE, 1 << 24, Violation::Setting, Code::PROTOCOL_ERROR),
        (ENABLE_CONNECT_PROTOCOL, 2, Violation::Setting, Code::PROTOCOL_ERROR),
        (NO_RFC7540_PRIORITIES, 2, Violation::Setting, Code::PROTOCOL_ERROR),
    ] {
        both_break(&[settings(&[(id, value)])], violation, code);
        let run = splits(&settings(&[(id, value)]), false, || sent(&["GET"]));
        assert_eq!(run.error, Some(violation.into()), "in the first frame");
    }
    for setting in [
        (HEADER_TABLE_SIZE, u32::MAX),
        (MAX_CONCURRENT_STREAMS, u32::MAX),
        (INITIAL_WINDOW_SIZE, 0x7fff_ffff),
        (MAX_FRAME_SIZE, (1 << 24) - 1),
        (ENABLE_PUSH, 0),
        (ENABLE_CONNECT_PROTOCOL, 1),
        (NO_RFC7540_PRIORITIES, 1),
    ] {
        assert_eq!(asked(&["GET"], &[settings(&[setting])]).error, None, "{setting:?}");
        assert_eq!(heard(&[settings(&[setting])]).error, None, "{setting:?}");
    }
}

/// §6.5.2: "A server MUST NOT explicitly set this value to 1", and "A client MUST treat receipt of a SETTINGS frame with
/// SETTINGS_ENABLE_PUSH set to 1 as a connection error of type PROTOCOL_ERROR". A client may.
#[test]
fn a_server_cannot_enable_push() {
    client_breaks(&[settings(&[(ENABLE_PUSH, 1)])], Violation::Setting, Code::PROTOCOL_ERROR);
    assert_eq!(heard(&[settings(&[(ENABLE_PUSH, 1)])]).error, None);
}

/// §6.5.2: "An endpoint that receives a SETTINGS frame with any unknown or unsupported identifier MUST ignore that
/// setting." §6.5: "processed in the order in which they appear".
#[test]
fn unknown_settings_are_ignored_and_the_last_value_counts() {
    let frames = [settings(&[(0, 1), (7, 5), (0xffff, 3), (MAX_CONCURRENT_STREAMS, 1), (MAX_CONCURRENT_STREAMS, 4)])];
    let mut side = sent(&[]);
    side.receive(&from_server(&frames), false);
    assert_eq!(side.machine.slots(), 4);
}

/// RFC 8441 §3: extended CONNECT is allowed once the server says so, and it MUST NOT be taken back.
#[test]
fn extended_connect_is_remembered() {
    let mut side = sent(&[]);
    assert!(!side.machine.inner().allows_extended_connect());
    side.receive(&settings(&[(ENABLE_CONNECT_PROTOCOL, 1)]), false);
    assert!(side.machine.inner().allows_extended_connect());
    let again = [settings(&[(ENABLE_CONNECT_PROTOCOL, 1)]), settings(&[(ENABLE_CONNECT_PROTOCOL, 0)])];
    client_breaks(&again, Violation::Setting, Code::PROTOCOL_ERROR);
}

/// §6.9.2: a change of SETTINGS_INITIAL_WINDOW_SIZE moves the windows of all streams, below zero too, and not the
/// connection's; "MUST NOT send new flow-controlled frames until … the flow-control window becomes positive".
#[test]
fn a_changed_window_moves_the_windows_of_open_streams() {
    let mut side = quiet(Settings::default());
    for id in [0, 1] {
        send(&mut side, id, &request("POST"), Body::Parts(None));
    }
    side.take_out();
    side.receive(&settings(&[(INITIAL_WINDOW_SIZE, 10)]), false);
    assert_eq!(side.machine.send_data(ExchangeId(0), b"12345678", false, &mut side.out), Ok(8));
    side.receive(&settings(&[(INITIAL_WINDOW_SIZE, 3)]), false);
    assert_eq!(side.machine.send_data(ExchangeId(0), b"x", false, &mut side.out), Ok(0));
    assert_eq!(side.machine.wants_data(), Some((ExchangeId(1), 3)));
    // It is at -5 now.
    side.receive(&window_update(1, 5), false);
    assert_eq!(side.machine.send_data(ExchangeId(0), b"x", false, &mut side.out), Ok(0));
    side.receive(&window_update(1, 1), false);
    assert_eq!(side.machine.send_data(ExchangeId(0), b"xy", false, &mut side.out), Ok(1));
    side.receive(&settings(&[(INITIAL_WINDOW_SIZE, 5)]), false);
    assert_eq!(side.machine.send_data(ExchangeId(0), b"xyz", false, &mut side.out), Ok(2));
    send(&mut side, 2, &request("POST"), Body::Parts(None));
    assert_eq!(side.machine.send_data(ExchangeId(2), &[0; 100], false, &mut side.out), Ok(5));
    let sent: usize = [8, 1, 2, 5].iter().sum();
    assert_eq!(side.machine.send_data(ExchangeId(1), &[0; 100], false, &mut side.out), Ok(5));
    side.receive(&settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]), false);
    // What is left is the connection's.
    assert_eq!(side.machine.send_data(ExchangeId(1), &[0; 70_000], false, &mut side.out), Ok(65_535 - 5 - sent));
}

/// §6.9.2: "An endpoint MUST treat a change to SETTINGS_INITIAL_WINDOW_SIZE that causes any flow-control window to exceed
/// the maximum size as a connection error of type FLOW_CONTROL_ERROR."
#[test]
fn a_changed_window_may_make_no_window_too_large() {
    let frames = [window_update(1, 0x7fff_ffff - 65_535), settings(&[(INITIAL_WINDOW_SIZE, 65_536)])];
    client_breaks(&frames, Violation::WindowOverflow, Code::FLOW_CONTROL_ERROR);
    let frames = [window_update(1, 0x7fff_ffff - 65_535), settings(&[(INITIAL_WINDOW_SIZE, 65_535)])];
    assert_eq!(asked(&["GET"], &frames).error, None);
}

/// §6.5.2, RFC 7541 §4.2: SETTINGS_HEADER_TABLE_SIZE is followed, up to 4,096, and the next block says so.
#[test]
fn the_table_of_our_compression_follows_the_peer() {
    for (sizes, update) in [
        (&[0][..], &b"\x20"[..]),
        (&[100], b"\x3f\x45"),
        (&[4096], b""),
        (&[u32::MAX], b""),
        (&[0, 4096], b"\x20\x3f\xe1\x1f"),
        (&[50, 30, 100], b"\x3e\x3f\x45"),
    ] {
        let mut side = quiet(Settings::default());
        let changes: Vec<_> = sizes.iter().map(|size| (HEADER_TABLE_SIZE, *size)).collect();
        side.receive(&settings(&changes), false);
        side.take_out();
        send(&mut side, 0, &request("GET"), Body::EMPTY);
        let block = &side.take_out()[9..];
        assert!(block.starts_with(update), "{sizes:?}: {}", block.escape_ascii());
        assert_eq!(block[update.len()], 0x82, "{sizes:?}: {}", block.escape_ascii());
        send(&mut side, 1, &request("GET"), Body::EMPTY);
        assert_eq!(side.take_out()[9], 0x82, "it is said once");
    }
}

/// §6.5.3, RFC 7541 §4.2: our own smaller table holds when it is acknowledged, and must then be followed.
#[test]
fn the_table_of_the_peers_compression_follows_us() {
    let start = || {
        let mut side = quiet(Settings::default().table(100));
        for id in 0..2 {
            send(&mut side, id, &request("GET"), Body::EMPTY);
        }
        side.take_out();
        side
    };
    let long = "v".repeat(200);
    let indexed = [literal(0x40, b"x", long.as_bytes()), b"\x88\xbe".to_vec()].concat();
    let before =
        frame(HEADERS, END_HEADERS | END_STREAM, 1, [&b"\x88"[..], &literal(0x40, b"x", b"y"), b"\xbe"].concat());
    // Not known yet: 4,096 hold.
    let early =
        frame(HEADERS, END_HEADERS | END_STREAM, 1, [&b"\x88"[..], &literal(0x40, b"x", long.as_bytes())].concat());
    let _ = indexed;
    let run = splits(&from_server(&[early]), false, start);
    assert_eq!(run.error, None);
    let run = splits(&from_server(&[before.clone(), settings_ack(), answer(3)]), false, start);
    assert_eq!(
        run.error,
        Some(Violation::Compression(aquests_protocols::http2::hpack::Error::TableSize).into()),
        "a block that does not begin with the smaller size"
    );
    let told_so = frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x3f\x45\x88");
    let run = splits(&from_server(&[before, settings_ack(), told_so]), false, start);
    assert_eq!(run.error, None);
}

/// §6.5.2: SETTINGS_MAX_HEADER_LIST_SIZE "informs a peer of the maximum field section size that the sender is prepared to
/// accept … based on the uncompressed size of fields, including the length of the name and value in units of octets plus
/// an overhead of 32 octets for each field". What is larger is not sent in vain.
#[test]
fn a_head_that_the_server_would_not_take_is_not_sent() {
    const MAX_HEADER_LIST_SIZE: u16 = 6;
    // :method GET, :scheme http, :authority h, :path /, and a: b.
    const EXACT: u32 = 42 + 43 + 43 + 38 + 34;
    let mut head = PreparedRequest::new("GET", "/", "h").unwrap();
    head.field("a", b"b").unwrap();
    for (most, taken) in [(EXACT, true), (EXACT - 1, false), (0, false), (u32::MAX, true)] {
        let (mut client, mut out) = (Client::new(), Vec::new());
        client.connected(Established::default(), &mut out);
        let told = settings(&[(MAX_HEADER_LIST_SIZE, most)]);
        client.receive(Input { bytes: &told, eof: false }, &mut out).unwrap();
        let before = out.len();
        let sent = client.send(ExchangeId(0), Request { head: &head, body: Body::EMPTY }, &mut out);
        assert_eq!((sent.is_ok(), out.len() > before), (taken, taken), "{most}: {sent:?}");
        assert!(sent.is_ok() || matches!(sent, Err(Refused::Misuse(_))), "it never will: {sent:?}");
    }
    // And content-length: 12.
    head = PreparedRequest::new("POST", "/", "h").unwrap();
    let body = Body::Whole(&[0; 12]);
    for (most, taken) in [(EXACT - 34 + 1 + 48, true), (EXACT - 34 + 1 + 47, false)] {
        let (mut client, mut out) = (Client::new(), Vec::new());
        client.connected(Established::default(), &mut out);
        client.receive(Input { bytes: &settings(&[(MAX_HEADER_LIST_SIZE, most)]), eof: false }, &mut out).unwrap();
        let sent = client.send(ExchangeId(0), Request { head: &head, body }, &mut out);
        assert_eq!(sent.is_ok(), taken, "{most}: {sent:?}");
    }
}
