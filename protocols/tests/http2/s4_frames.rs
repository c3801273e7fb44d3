//! RFC 9113 §4: the format of frames, their size, and field blocks.

use aquests_protocols::Limit;
use aquests_protocols::http2::hpack;

use super::*;

/// §4.1: "A reserved 1-bit field. … MUST be ignored when receiving."
#[test]
fn the_reserved_bit_is_ignored() {
    let mut frames = [answer(1), ping(b"12345678"), window_update(0, 1)];
    for frame in &mut frames {
        frame[5] |= 0x80;
    }
    frames[2][9] |= 0x80;
    let run = asked(&["GET"], &frames);
    assert_eq!(told(&run), ["0 HTTP/2.0 200 done"]);
    assert_eq!(answers(&run), ["PING ACK \"12345678\""]);
    let goodbye = frame(GOAWAY, 0, 0, [0x80, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(told(&asked(&["GET"], &[goodbye, answer(1)])), ["0 HTTP/2.0 200 done", "closed"]);
}

/// §4.1: flags without a meaning for a frame "MUST be ignored", and §5.5: "Implementations MUST ignore and discard
/// frames of unknown types", also on streams that are idle or closed.
#[test]
fn unknown_frames_and_flags_are_ignored() {
    let frames = [
        frame(0xa, 0xff, 0, "altsvc"),
        frame(0xff, 0, 1, vec![0; 16_384]),
        frame(HEADERS, 0xc2 | END_HEADERS, 1, block(&[(":status", "200")])),
        frame(0x10, 0, 77, ""),
        data(1, 0xf6 | END_STREAM, "hi"),
        frame(0x10, 0, 1, "closed"),
        frame(SETTINGS, 0xfe, 0, []),
        frame(PING, 0xfe, 0, "12345678"),
    ];
    let run = asked(&["GET"], &frames);
    assert_eq!(told(&run), ["0 HTTP/2.0 200", "0 \"hi\" done"]);
    assert_eq!(answers(&run), ["PING ACK \"12345678\""]);
}

/// §5.5: "extension frames that appear in the middle of a field block … MUST be treated as a connection error of type
/// PROTOCOL_ERROR".
#[test]
fn an_unknown_frame_in_the_middle_of_a_block_is_refused() {
    let begun = frame(HEADERS, 0, 1, block(&[(":status", "200")]));
    client_breaks(&[begun, frame(0x10, 0, 1, "")], Violation::Continuation, Code::PROTOCOL_ERROR);
}

/// §4.2: "All implementations MUST be capable of receiving and minimally processing frames up to 2^14 octets".
#[test]
fn frames_may_be_as_large_as_we_said() {
    let run = asked(&["GET"], &[head(1), data(1, 0, vec![b'x'; 16_384]), data(1, END_STREAM, "")]);
    assert_eq!(told(&run).last().unwrap().len(), "0 \"\" done".len() + 16_384);
    let large = splits(&from_server(&[head(1), data(1, END_STREAM, vec![b'x'; 20_000])]), false, || {
        let mut side = quiet(Settings::default().frame(20_000));
        send(&mut side, 0, &request("GET"), Body::EMPTY);
        side
    });
    assert_eq!(large.error, None);
    assert_eq!(told(&large).len(), 2);
}

/// §4.2: "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame exceeds the size defined in
/// SETTINGS_MAX_FRAME_SIZE". Known from its head, before any of it is waited for.
#[test]
fn frames_that_are_larger_are_refused() {
    for kind in [DATA, HEADERS, SETTINGS, PING, GOAWAY, 0x20] {
        let head = frame(kind, 0, u32::from(matches!(kind, DATA | HEADERS)), vec![0; 16_385])[..9].to_vec();
        both_break(&[head], Error::TooLarge(Limit { what: "frame bytes", value: 16_384 }), Code::FRAME_SIZE_ERROR);
    }
}

/// §4.2: "if a frame … is too small to contain mandatory frame data", and lengths of fixed frames (§6.4, §6.7, §6.9).
#[test]
fn frames_of_a_wrong_length_are_refused() {
    for bad in [
        frame(RST_STREAM, 0, 1, [0; 3]),
        frame(RST_STREAM, 0, 1, [0; 5]),
        frame(PING, 0, 0, [0; 7]),
        frame(PING, 0, 0, [0; 9]),
        frame(PING, ACK, 0, []),
        frame(WINDOW_UPDATE, 0, 0, [0; 3]),
        frame(WINDOW_UPDATE, 0, 1, [0, 0, 0, 1, 0]),
        frame(SETTINGS, 0, 0, [0; 5]),
        frame(SETTINGS, 0, 0, [0; 7]),
        frame(SETTINGS, ACK, 0, [0; 6]),
        frame(GOAWAY, 0, 0, [0; 7]),
        frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, [0; 4]),
        frame(HEADERS, END_HEADERS | PADDED, 1, []),
    ] {
        both_break(&[bad], Violation::FrameSize, Code::FRAME_SIZE_ERROR);
    }
    let run = asked(&["GET"], &[head(1), frame(DATA, PADDED, 1, [])]);
    assert_eq!(
        (run.error, answers(&run)),
        (Some(Violation::FrameSize.into()), vec!["GOAWAY 0 FRAME_SIZE_ERROR".into()])
    );
}

/// §4.2, the other way: no frame of ours is larger than the peer allows.
#[test]
fn what_we_send_is_cut_into_frames_that_the_peer_takes() {
    let mut side = sent(&[]);
    let mut large = request("POST");
    for at in 0..5 {
        large.field(&format!("x-{at}"), "v".repeat(7_000).as_bytes()).unwrap();
    }
    send(&mut side, 0, &large, Body::Whole(&[b'x'; 40_000]));
    let out = side.take_out();
    let mut sizes = Vec::new();
    let mut rest = &out[..];
    while let Some((head, after)) = rest.split_first_chunk::<9>() {
        let size = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        sizes.push((head[3], head[4], size));
        rest = &after[size..];
    }
    let [(HEADERS, 0, 16_384), (CONTINUATION, END_HEADERS, _), bodies @ ..] = &sizes[..] else { panic!("{sizes:?}") };
    assert_eq!(bodies, [(DATA, 0, 16_384), (DATA, 0, 16_384), (DATA, END_STREAM, 7_232)]);
    assert!(said(&out)[0].starts_with("HEADERS 1 + | :method: POST"));
}

/// §4.3: "A field block MUST be transmitted as a contiguous sequence of frames", in as many pieces as it wants.
#[test]
fn a_field_block_may_come_in_pieces() {
    let whole = block(&[(":status", "200"), ("x-thing", "something"), ("x-other", "thing")]);
    for cut in 0..whole.len() {
        let (one, two) = whole.split_at(cut);
        let frames = [
            frame(HEADERS, END_STREAM, 1, one),
            frame(CONTINUATION, 0, 1, ""),
            frame(CONTINUATION, END_HEADERS, 1, two),
        ];
        let mut side = sent(&["GET"]);
        side.receive(&from_server(&frames), false);
        let run = side.finish();
        assert_eq!(told(&run), ["0 HTTP/2.0 200 | x-thing: something | x-other: thing done"]);
    }
    let pieces = whole.chunks(7).map(|piece| frame(CONTINUATION, 0, 1, piece));
    let mut frames: Vec<_> = [frame(HEADERS, END_STREAM, 1, "")].into_iter().chain(pieces).collect();
    frames.last_mut().unwrap()[4] = END_HEADERS;
    assert_eq!(told(&asked(&["GET"], &frames)).len(), 1);
}

/// §4.3: "A receiver MUST terminate the connection with a connection error of type COMPRESSION_ERROR if it does not
/// decompress a field block."
#[test]
fn a_block_that_cannot_be_decoded_ends_the_connection() {
    for (error, bad) in [
        (hpack::Error::Index, &b"\x80"[..]),
        (hpack::Error::Index, b"\xbe"),
        (hpack::Error::Truncated, b"\x00\x05ab"),
        (hpack::Error::Integer, b"\xff\xff\xff\xff\xff\xff\xff"),
        (hpack::Error::Huffman, b"\x08\x82\xff\xff"),
        (hpack::Error::TableSize, b"\x88\x20"),
        (hpack::Error::TableSize, b"\x3f\xe2\x1f"),
        // The byte at which the hpack crate panics (RUSTSEC-2023-0085).
        (hpack::Error::Truncated, b"\x3f"),
    ] {
        let violation = Violation::Compression(error);
        client_breaks(&[frame(HEADERS, END_HEADERS, 1, bad)], violation, Code::COMPRESSION_ERROR);
        server_breaks(&[frame(HEADERS, END_HEADERS, 3, bad)], violation, Code::COMPRESSION_ERROR);
        let (one, two) = bad.split_at(1);
        let pieces = [frame(HEADERS, 0, 1, one), frame(CONTINUATION, END_HEADERS, 1, two)];
        client_breaks(&pieces, violation, Code::COMPRESSION_ERROR);
    }
}

/// §4.3: "the header compression state" is kept for blocks that concern nobody: those of streams that we have cancelled,
/// and those that were malformed.
#[test]
fn blocks_that_concern_nobody_are_decoded_nevertheless() {
    let remembered = |name: &str| literal(0x40, name.as_bytes(), b"yes");
    let frames = [
        frame(HEADERS, END_HEADERS, 1, [&b"\x88"[..], &remembered("x-one")].concat()),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, remembered("x-two")),
        frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            3,
            [&remembered("X-BAD")[..], &remembered("x-three"), b"\x88"].concat(),
        ),
        frame(HEADERS, END_HEADERS | END_STREAM, 5, b"\x88\xc1\xc0\xbe"),
    ];
    let run = splits(&from_server(&frames), false, || {
        sent(&["GET", "GET", "GET"]).acting(|side, event| {
            if let Some(Event::Message { id: ExchangeId(0), .. }) = event {
                assert!(side.machine.cancel(ExchangeId(0), &mut side.out));
            }
        })
    });
    assert_eq!(run.error, None);
    assert_eq!(told(&run).last().unwrap(), "2 HTTP/2.0 200 | x-one: yes | x-two: yes | x-three: yes done");
}
