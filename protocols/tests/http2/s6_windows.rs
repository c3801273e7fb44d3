//! RFC 9113 §6.9: WINDOW_UPDATE, and what we send within the windows.

use super::*;

/// §6.9: "A receiver MUST treat the receipt of a WINDOW_UPDATE frame with a flow-control window increment of 0 as a stream
/// error of type PROTOCOL_ERROR; errors on the connection flow-control window MUST be treated as a connection error."
#[test]
fn an_update_by_nothing_is_refused() {
    client_resets(&[window_update(1, 0)], Violation::WindowIncrement, Code::PROTOCOL_ERROR);
    server_resets(&[post(1), window_update(1, 0)], Violation::WindowIncrement, Code::PROTOCOL_ERROR, true);
    both_break(&[window_update(0, 0)], Violation::WindowIncrement, Code::PROTOCOL_ERROR);
}

/// §6.9.1: "If a sender receives a WINDOW_UPDATE that causes a flow-control window to exceed this maximum, it MUST
/// terminate either the stream or the connection": RST_STREAM and GOAWAY with FLOW_CONTROL_ERROR.
#[test]
fn a_window_may_not_become_too_large() {
    let most = 0x7fff_ffff - 65_535;
    client_resets(&[window_update(1, most + 1)], Violation::WindowOverflow, Code::FLOW_CONTROL_ERROR);
    client_resets(&[window_update(1, most), window_update(1, 1)], Violation::WindowOverflow, Code::FLOW_CONTROL_ERROR);
    both_break(&[window_update(0, most + 1)], Violation::WindowOverflow, Code::FLOW_CONTROL_ERROR);
    let run = asked(&["GET"], &[window_update(1, most), window_update(0, most), answer(1)]);
    assert_eq!((run.error, told(&run)), (None, vec!["0 HTTP/2.0 200 done".to_string()]));
}

/// §6.9.1: "The sender MUST NOT send a flow-controlled frame with a length that exceeds the space available in either of
/// the flow-control windows"; a body that was given whole goes on by itself when they open.
#[test]
fn a_whole_body_is_sent_as_the_windows_open() {
    let mut side = quiet(Settings::default());
    side.receive(&settings(&[(INITIAL_WINDOW_SIZE, 4)]), false);
    side.take_out();
    send(&mut side, 0, &request("POST"), Body::Whole(b"0123456789"));
    send(&mut side, 1, &request("POST"), Body::Whole(b"abc"));
    let head = "POST | :scheme: http | :authority: h | :path: / | content-length:";
    let expected = [
        format!("HEADERS 1 | :method: {head} 10"),
        "DATA 1 \"0123\"".into(),
        format!("HEADERS 3 | :method: {head} 3"),
        "DATA 3 END_STREAM \"abc\"".into(),
    ];
    assert_eq!(said(&side.take_out()), expected);
    assert_eq!(side.machine.wants_data(), None, "nobody is asked for what was given");
    side.receive(&window_update(1, 3), false);
    assert_eq!(said(&side.take_out()), ["DATA 1 \"456\""]);
    side.receive(&settings(&[(INITIAL_WINDOW_SIZE, 5)]), false);
    assert_eq!(said(&side.take_out()), ["SETTINGS ACK", "DATA 1 \"7\""]);
    side.receive(&window_update(1, 1000), false);
    assert_eq!(said(&side.take_out()), ["DATA 1 END_STREAM \"89\""]);
    side.receive(&[answer(3), answer(1)].concat(), false);
    assert_eq!(told(&side.finish()), ["1 HTTP/2.0 200 done", "0 HTTP/2.0 200 done"]);
}

/// The window of the connection is shared: the oldest body goes on first, and none is forgotten.
#[test]
fn whole_bodies_share_the_window_of_the_connection() {
    let mut side = quiet(Settings::default());
    side.receive(&settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)]), false);
    let body = vec![b'x'; 50_000];
    for id in 0..4 {
        send(&mut side, id, &request("POST"), Body::Whole(&body));
    }
    let mut sent = count(&side.take_out());
    assert_eq!(sent, [(1, 50_000), (3, 15_535)]);
    for _ in 0..150 {
        side.receive(&window_update(0, 1_000), false);
        for (stream, bytes) in count(&side.take_out()) {
            match sent.iter_mut().find(|(known, _)| *known == stream) {
                Some((_, sum)) => *sum += bytes,
                None => sent.push((stream, bytes)),
            }
        }
    }
    assert_eq!(sent, [(1, 50_000), (3, 50_000), (5, 50_000), (7, 50_000)]);
}

/// A server's answers too, which end their streams when they are whole.
#[test]
fn whole_answers_are_sent_as_the_windows_open() {
    let mut side = mute(Settings::default());
    let greeting = [PREFACE, &settings(&[(INITIAL_WINDOW_SIZE, 4)]), &get(1), &get(3), &get(5)].concat();
    side.receive(&greeting, false);
    side.take_out();
    for id in 0..3 {
        reply(&mut side, id, 200, Body::Whole(b"0123456789"));
    }
    side.take_out();
    side.receive(&[window_update(3, 100), rst_stream(1, Code::CANCEL), window_update(5, 100)].concat(), false);
    let expected = ["DATA 3 END_STREAM \"456789\"", "DATA 5 END_STREAM \"456789\""];
    assert_eq!(said(&side.take_out()), expected);
    assert_eq!(side.machine.slots(), 0);
}

/// Bytes of DATA by stream, each frame no larger than 16,384.
fn count(out: &[u8]) -> Vec<(u32, usize)> {
    let mut sums: Vec<(u32, usize)> = Vec::new();
    let mut rest = out;
    while let Some((head, after)) = rest.split_first_chunk::<9>() {
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from(head[8]);
        if head[3] == DATA {
            assert!(length <= 16_384);
            match sums.last_mut().filter(|(last, _)| *last == stream) {
                Some((_, sum)) => *sum += length,
                None => sums.push((stream, length)),
            }
        }
        rest = &after[length..];
    }
    sums
}
