//! RFC 9113 §5.2: flow control as a receiver: what is granted, to whom, and when.

use aquests_protocols::testing::Script;

use super::*;

/// §5.2.2 and the hazards of it: a held stream gets no more credit, the connection does, so that the others go on.
#[test]
fn a_held_stream_is_granted_nothing_and_the_others_go_on() {
    let settings = Settings::default().window(100).most_window(100).connection_window(65_535);
    let start = move || {
        let mut side = quiet(settings);
        for id in [0, 1] {
            send(&mut side, id, &request("GET"), Body::EMPTY);
        }
        side.take_out();
        side.acting(|side, event| match event {
            Some(Event::Message { id: ExchangeId(0), message: Seen::Item(_), .. }) => side.machine.hold(ExchangeId(0)),
            Some(Event::Message { id: ExchangeId(1), done: true, .. }) => {
                side.machine.resume(ExchangeId(0), &mut side.out);
            }
            _ => {}
        })
    };
    let greeting = [from_server(&[settings_ack()]), head(1), head(3)].concat();
    let run = Script::new()
        .send(greeting)
        .expect(settings_ack())
        .send([data(1, 0, [b'h'; 60]), data(1, 0, [b'h'; 40])].concat())
        .expect_nothing()
        .send(data(3, 0, [b'g'; 49]))
        .expect_nothing()
        .send(data(3, 0, [b'g'; 1]))
        .expect(window_update(3, 50))
        .send(data(3, END_STREAM, [b'g'; 100]))
        .expect(window_update(1, 100))
        .expect_nothing()
        .run(start);
    assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)]);
}

/// The window of the connection is granted again whatever stream is held, cancelled or unknown to the reader: data of
/// many windows passes by a stream that nobody reads.
#[test]
fn the_connection_goes_on_whatever_becomes_of_its_streams() {
    let mut side = quiet(Settings::default().connection_window(65_535));
    for id in 0..4 {
        send(&mut side, id, &request("GET"), Body::EMPTY);
    }
    side.receive(&from_server(&[head(1), head(3), head(5), head(7)]), false);
    side.machine.hold(ExchangeId(0));
    assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
    side.take_out();
    let mut granted = 65_535 - 4 * 16_384i64;
    let mut carried = 0;
    for round in 0..1000 {
        let streams = if round < 15 { [1, 3, 5, 7] } else { [5, 7, 5, 7] };
        for stream in streams {
            side.receive(&data(stream, 0, [0; 16_384]), false);
            carried += 16_384;
        }
        for line in said(&side.take_out()) {
            if let Some(more) = line.strip_prefix("WINDOW_UPDATE 0 ") {
                granted += more.parse::<i64>().unwrap();
            }
        }
        granted -= 4 * 16_384;
        assert!(granted >= -4 * 16_384, "stalled after {carried} bytes");
    }
    side.machine.hold(ExchangeId(2));
    let run = side.finish();
    assert_eq!(run.error, None);
}

/// §6.9: updates are worth a frame: one for each half of a window and not for each frame, and none for what has ended.
#[test]
fn windows_are_granted_again_in_halves() {
    let settings = Settings::default().window(1000).most_window(1000);
    let mut side = quiet(settings);
    send(&mut side, 0, &request("GET"), Body::EMPTY);
    side.receive(&from_server(&[settings_ack(), head(1)]), false);
    side.take_out();
    for _ in 0..100 {
        side.receive(&data(1, 0, [0; 100]), false);
    }
    assert_eq!(said(&side.take_out()), vec!["WINDOW_UPDATE 1 500"; 20]);
    side.receive(&data(1, END_STREAM, [0; 900]), false);
    assert_eq!(said(&side.take_out()), [""; 0]);
}

/// The windows of streams grow while a round trip, measured by a PING, fills them; and only then.
#[test]
fn windows_grow_while_one_round_trip_fills_them() {
    let settings = Settings::default().window(10_000).most_window(35_000);
    let mut side = quiet(settings);
    send(&mut side, 0, &request("GET"), Body::EMPTY);
    side.receive(&from_server(&[settings_ack(), head(1)]), false);
    side.take_out();
    let probe = frame(PING, 0, 0, "how fast");
    let answered = frame(PING, ACK, 0, "how fast");
    side.receive(&data(1, 0, [0; 6_000]), false);
    assert_eq!(side.take_out(), [window_update(1, 6_000), probe.clone()].concat());
    // Less than two thirds of a window in this round trip: nothing grows.
    side.receive(&[data(1, 0, [0; 2_000]), answered.clone()].concat(), false);
    side.receive(&data(1, 0, [0; 3_000]), false);
    assert_eq!(side.take_out(), [window_update(1, 5_000), probe.clone()].concat());
    side.receive(&[data(1, 0, [0; 7_000]), answered.clone()].concat(), false);
    assert_eq!(side.take_out(), window_update(1, 7_000));
    // It is 20,000 now, and of its 10,000 as many are left as before.
    side.receive(&data(1, 0, [0; 5_001]), false);
    assert_eq!(side.take_out(), [window_update(1, 15_001), probe].concat());
    side.receive(&[data(1, 0, [0; 14_000]), answered].concat(), false);
    assert_eq!(side.take_out(), window_update(1, 14_000));
    // And 35,000, which is the most: nothing is measured any more.
    side.receive(&data(1, 0, [0; 10_001]), false);
    assert_eq!(side.take_out(), window_update(1, 25_001));
    assert_eq!(side.finish().error, None);
}

/// §6.9.2: a server's client may send by the default until it knows better: what came before is no fault, and the window
/// is granted anew when it is smaller than what came.
#[test]
fn a_smaller_window_holds_when_it_is_acknowledged() {
    let start = || mute(Settings::default().window(1_000).most_window(1_000));
    let frames = [post(1), data(1, 0, [b'x'; 16_000]), settings_ack(), ping(b"12345678")];
    let run = splits(&from_client(&frames), false, start);
    assert_eq!(run.error, None);
    // 65,535 bytes were allowed, 16,000 came, and now it is 1,000: what the client counts is 1,000 - 16,000.
    assert_eq!(answers(&run), ["WINDOW_UPDATE 1 16000", "PING ACK \"12345678\""]);
    let mut side = start();
    side.receive(&from_client(&[settings_ack(), post(1), data(1, 0, [b'x'; 1_001])]), false);
    assert_eq!(said(&side.take_out()).last().unwrap(), "RST_STREAM 1 FLOW_CONTROL_ERROR");
}

/// §6.9.1, of what comes: "A receiver … MUST … terminate the stream or the connection" when more comes than was granted.
/// A stream's window ends the stream.
#[test]
fn more_than_a_stream_was_granted_ends_the_stream() {
    let frames = [vec![head(1)], vec![data(1, 0, vec![0; 16_384]); 16], vec![data(1, 0, "x"), answer(3)]].concat();
    let mut side = sent(&["GET", "GET"]);
    side.machine.hold(ExchangeId(0));
    side.receive(&from_server(&frames), false);
    let run = side.finish();
    let failed = format!("0 failed, {}, Unknown", Violation::FlowControl);
    assert_eq!(told(&run)[2..], [failed, "1 HTTP/2.0 200 done".to_string()]);
    assert_eq!(answers(&run), ["RST_STREAM 1 FLOW_CONTROL_ERROR"]);
}

/// The window of the connection ends the connection. It is granted again as it is used, so that only a frame larger than
/// half of it can break it.
#[test]
fn more_than_the_connection_was_granted_ends_the_connection() {
    let frames = [head(1), data(1, 0, vec![0; 65_535]), data(1, 0, vec![0; 65_536])];
    let mut side = quiet(Settings::default().frame(1 << 20).connection_window(65_535));
    send(&mut side, 0, &request("GET"), Body::EMPTY);
    side.take_out();
    side.receive(&from_server(&frames), false);
    let run = side.finish();
    assert_eq!(run.error, Some(Violation::FlowControl.into()));
    assert_eq!(answers(&run), ["WINDOW_UPDATE 0 65535", "GOAWAY 0 FLOW_CONTROL_ERROR"]);
    assert_eq!(told(&run)[1].len(), "0 \"\"".len() + 4 * 65_535, "what came before is told");
}
