//! Servers that break the rules of HTTP/2, and what it means to requests: each limit and each rule at its edge. What was
//! answered before is delivered, what was not has one error that names the rule and the peer, other connections do not
//! hear of it, and the client goes on.
#![cfg(feature = "http2")]

mod support;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aquests::protocols::http2::Code;
use aquests::{Client, Error, ErrorKind, Flow, Outcome, Phase, Report, Request, RequestId, Response, Versions};
use support::frames::*;
use support::{Peer, Speaker, must_end};

type Outcomes = BTreeMap<RequestId, Result<Response, Error>>;

/// What came of every request; there must be nothing else, and nothing twice.
fn fetch(client: &mut Client) -> (Outcomes, Report) {
    let mut outcomes = BTreeMap::new();
    let report = client
        .fetch_all_with(|_, outcome: Outcome| {
            let before = outcomes.insert(outcome.request_id(), outcome.into_result());
            assert!(before.is_none(), "two outcomes: {before:?}");
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    assert_eq!(report.requests(), outcomes.len() as u64, "{report}");
    assert!(client.is_idle() && client.in_hand() == 0);
    (outcomes, report)
}

fn known() -> aquests::Builder {
    Client::builder().versions(Versions::Http2).retries(0)
}

/// A server that answers the first of four requests, breaks a rule in the middle of the others, and behaves on all later
/// connections. What the client said as it left comes out of the second.
fn breaks(fault: Vec<u8>) -> (Peer, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let peer = Peer::start(move |conn| {
        let first = conn.number() == 0;
        let mut speaker = Speaker::greet(conn, &[])?;
        if first {
            let mut asked = [(); 4].map(|()| (0, String::new()));
            for request in &mut asked {
                *request = speaker.request()?;
            }
            speaker.answer(asked[0].0, &asked[0].1)?;
            speaker.send(&fault)?;
            if let Ok(line) = speaker.goodbye() {
                heard.lock().unwrap().push(line);
            }
            return speaker.conn.stall();
        }
        speaker.echo()
    });
    (peer, said)
}

#[track_caller]
fn assert_says(error: &Error, words: &str) {
    let text = error.to_string();
    assert!(text.contains(words) && text.contains(error.peer()) && error.peer().contains("127.0.0.1:"), "{text}");
}

/// What breaks a connection: its name, the frames, what the error says, and the code that the server is told.
fn that_break_a_connection() -> Vec<(&'static str, Vec<u8>, &'static str, Code)> {
    let flood = |frame: Vec<u8>| frame.repeat(5_000);
    let behind = |first: Vec<u8>, flood: Vec<u8>| [first, flood].concat();
    let (calm, protocol, size) = (Code::ENHANCE_YOUR_CALM, Code::PROTOCOL_ERROR, Code::FRAME_SIZE_ERROR);
    let (flow, compression) = (Code::FLOW_CONTROL_ERROR, Code::COMPRESSION_ERROR);
    vec![
        (
            "CONTINUATION flood",
            behind(frame(HEADERS, 0, 3, b"\x88"), flood(frame(CONTINUATION, 0, 3, ""))),
            "CONTINUATION frames over 8",
            calm,
        ),
        ("PING flood", flood(ping(b"12345678")), "PING frames over 1000", calm),
        ("answers to no PING", flood(frame(PING, ACK, 0, b"12345678")), "PING frames over 1000", calm),
        ("SETTINGS flood", flood(settings(&[(4, 5)])), "SETTINGS frames over 1000", calm),
        ("acknowledgements of nothing", flood(settings_ack()), "SETTINGS frames over 1000", calm),
        ("empty DATA flood", behind(head(3), flood(data(3, 0, ""))), "empty DATA frames over 1000", calm),
        ("WINDOW_UPDATE flood", flood(window_update(3, 1)), "WINDOW_UPDATE frames over 1000", calm),
        ("RST_STREAM flood", flood(rst_stream(1, Code::CANCEL)), "RST_STREAM frames over 1000", calm),
        ("PRIORITY flood", flood(frame(PRIORITY, 0, 3, [0; 5])), "PRIORITY frames over 1000", calm),
        ("GOAWAY flood", flood(goaway(7, Code::NO_ERROR)), "GOAWAY frames over 1000", calm),
        ("flood of what nobody knows", flood(frame(99, 0, 3, "")), "unknown frames over 1000", calm),
        ("PUSH_PROMISE", frame(PUSH_PROMISE, END_HEADERS, 3, b"\0\0\0\x02\x88"), "PUSH_PROMISE", protocol),
        ("window overflow", window_update(0, i32::MAX as u32), "a window over 2^31-1", flow),
        ("first window overflow", settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)]), "a window over 2^31-1", flow),
        ("window by nothing", window_update(0, 0), "WINDOW_UPDATE by nothing", protocol),
        ("push switched on", settings(&[(ENABLE_PUSH, 1)]), "a setting out of its range", protocol),
        ("tiny frames", settings(&[(MAX_FRAME_SIZE, 16_383)]), "a setting out of its range", protocol),
        ("half a setting", frame(SETTINGS, 0, 0, [0; 5]), "a frame of a wrong length", size),
        ("DATA on an idle stream", data(99, 0, "x"), "a frame on a stream that nobody opened", protocol),
        ("RST_STREAM of an idle stream", rst_stream(99, Code::CANCEL), "nobody opened", protocol),
        ("an answer on an even stream", answer(2), "nobody opened", protocol),
        ("DATA on a closed stream", data(1, 0, "x"), "a frame on a stream that had ended", Code::STREAM_CLOSED),
        ("a second answer", answer(1), "a frame on a stream that had ended", Code::STREAM_CLOSED),
        ("DATA on the connection", data(0, 0, "x"), "a frame on a stream where it cannot be", protocol),
        ("a frame that is too large", frame(DATA, 0, 3, vec![0; 16_385]), "frame bytes over 16384", size),
        ("garbage", b"garbage, and more of it".to_vec(), "frame bytes over 16384", size),
        ("HTTP/1.1", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_vec(), "frame bytes over 16384", size),
        (
            "a frame in a block",
            behind(frame(HEADERS, 0, 3, b"\x88"), ping(b"12345678")),
            "a frame out of order around CONTINUATION",
            protocol,
        ),
        (
            "GOAWAY taken back",
            behind(goaway(7, Code::NO_ERROR), goaway(9, Code::NO_ERROR)),
            "GOAWAY with a higher stream",
            protocol,
        ),
        ("no such index", frame(HEADERS, END_HEADERS, 3, b"\xfe"), "header compression", compression),
        ("a table that is too large", frame(HEADERS, END_HEADERS, 3, b"\x3f\xe2\x1f\x88"), "table size", compression),
        ("padding over the frame", frame(DATA, PADDED, 3, b"\x05x"), "padding longer than the frame", protocol),
    ]
}

#[test]
fn a_rule_of_the_connection_ends_it_and_nothing_else() {
    must_end(|| {
        for (name, fault, words, code) in that_break_a_connection() {
            let (peer, said) = breaks(fault);
            // It answers when the other one is broken.
            let other = Peer::start(|conn| {
                let mut speaker = Speaker::greet(conn, &[])?;
                let (stream, path) = speaker.request()?;
                speaker.conn.wait();
                speaker.answer(stream, &path)?;
                speaker.echo()
            });
            let mut client = known().workers(2).build().unwrap();
            let waiting = client.get(other.url("/waiting")).unwrap();
            let ids: Vec<_> = (0..4).map(|number| client.get(peer.url(&format!("/{number}"))).unwrap()).collect();
            let mut outcomes = Outcomes::new();
            while outcomes.len() < 4 {
                client.turn(None).unwrap();
                while let Some(outcome) = client.next_outcome() {
                    outcomes.insert(outcome.request_id(), outcome.into_result());
                }
            }
            let whole = outcomes[&ids[0]].as_ref().unwrap_or_else(|error| panic!("{name}: lost an answer: {error}"));
            assert_eq!(whole.text(), "/0", "{name}");
            for id in &ids[1..] {
                let error = outcomes[id].as_ref().expect_err(name);
                assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::TooLarge), "{name}: {error:?}");
                assert_says(error, words);
            }
            other.open_gate();
            client.report();
            let again = client.get(peer.url("/again")).unwrap();
            let (outcomes, _) = fetch(&mut client);
            assert_eq!(outcomes[&waiting].as_ref().unwrap().text(), "/waiting", "{name}");
            assert_eq!(outcomes[&again].as_ref().unwrap().text(), "/again", "{name}");
            assert_eq!((peer.connections(), other.connections()), (2, 1), "{name}");
            drop(client);
            drop(peer);
            let said = said.lock().unwrap();
            assert_eq!(*said, [format!("GOAWAY 0 {code}")], "{name}");
        }
    });
}

/// What ends one stream, the second: its name, the frames, what the error says.
fn that_break_a_stream() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let fields = |fields: &[(&str, &str)]| headers(3, END_STREAM, fields);
    let ok = (":status", "200");
    let bomb = [literal(0x40, b"x", &[b'v'; 4000]), vec![0xbe; 12_000]].concat();
    vec![
        ("101", headers(3, 0, &[(":status", "101")]), "an interim response that is 101"),
        ("interim answers", headers(3, 0, &[(":status", "103")]).repeat(101), "interim responses over 100"),
        (
            "less than its length",
            [headers(3, 0, &[ok, ("content-length", "3")]), data(3, END_STREAM, "xx")].concat(),
            "content-length",
        ),
        (
            "more than its length",
            [headers(3, 0, &[ok, ("content-length", "3")]), data(3, 0, "xxxx")].concat(),
            "content-length",
        ),
        ("two lengths", fields(&[ok, ("content-length", "0"), ("content-length", "1")]), "content-length"),
        ("no status", fields(&[("server", "x")]), "pseudo-headers"),
        ("two statuses", fields(&[ok, ok]), "pseudo-headers"),
        ("a status behind a field", fields(&[("server", "x"), ok]), "pseudo-headers"),
        ("a status of a word", fields(&[(":status", "ok!")]), "pseudo-headers"),
        ("the path of a request", fields(&[ok, (":path", "/")]), "pseudo-headers"),
        ("upper case", fields(&[ok, ("Server", "x")]), "malformed name of a header"),
        ("a line break", fields(&[ok, ("server", "x\r\ny: z")]), "malformed value of a header"),
        ("white space around", fields(&[ok, ("server", " x")]), "malformed value of a header"),
        ("connection", fields(&[ok, ("connection", "close")]), "a header of one connection of HTTP/1"),
        ("transfer-encoding", fields(&[ok, ("transfer-encoding", "chunked")]), "a header of one connection of HTTP/1"),
        ("DATA before a head", data(3, END_STREAM, "x"), "pseudo-headers"),
        ("two heads", [head(3), headers(3, 0, &[("a", "b")])].concat(), "trailers that do not end the message"),
        ("an HPACK bomb", frame(HEADERS, END_HEADERS | END_STREAM, 3, bomb), "header bytes over 65536"),
        ("many fields", fields(&[&[ok][..], &[("a", "b"); 129]].concat()), "header count over 128"),
        ("window overflow", window_update(3, i32::MAX as u32), "a window over 2^31-1"),
        ("window by nothing", window_update(3, 0), "WINDOW_UPDATE by nothing"),
        ("a short priority", frame(PRIORITY, 0, 3, [0; 4]), "a frame of a wrong length"),
        ("a reset", rst_stream(3, Code::INTERNAL_ERROR), "INTERNAL_ERROR"),
        ("a reset without an error", rst_stream(3, Code::NO_ERROR), "NO_ERROR"),
    ]
}

#[test]
fn a_rule_of_a_message_ends_its_exchange_and_the_connection_is_used_again() {
    must_end(|| {
        for (name, fault, words) in that_break_a_stream() {
            let peer = Peer::start(move |conn| {
                let mut speaker = Speaker::greet(conn, &[])?;
                let mut asked = [(); 4].map(|()| (0, String::new()));
                for request in &mut asked {
                    *request = speaker.request()?;
                }
                speaker.send(&fault)?;
                for (stream, path) in &asked[..1] {
                    speaker.answer(*stream, path)?;
                }
                for (stream, path) in &asked[2..] {
                    speaker.answer(*stream, path)?;
                }
                speaker.echo()
            });
            let mut client = known().build().unwrap();
            let ids: Vec<_> = (0..4).map(|number| client.get(peer.url(&format!("/{number}"))).unwrap()).collect();
            let (mut outcomes, _) = fetch(&mut client);
            let error = outcomes.remove(&ids[1]).unwrap().expect_err(name);
            assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::TooLarge), "{name}: {error:?}");
            assert_says(&error, words);
            for (id, outcome) in outcomes {
                assert_eq!(outcome.unwrap_or_else(|error| panic!("{name}: {error}")).text(), format!("/{id}"));
            }
            let again = client.get(peer.url("/again")).unwrap();
            assert_eq!(fetch(&mut client).0[&again].as_ref().unwrap().text(), "/again", "{name}");
            assert_eq!(peer.connections(), 1, "{name}");
        }
    });
}

#[test]
fn a_server_that_ignores_the_window_of_a_held_stream_loses_that_stream() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            let mut speaker = Speaker::greet(conn, &[])?;
            let (large, _) = speaker.request()?;
            let (small, path) = speaker.request()?;
            speaker.send(head(large))?;
            // 256 KiB, and one byte.
            speaker.send(data(large, 0, [b'x'; 16_384]).repeat(16))?;
            speaker.send(data(large, 0, "x"))?;
            speaker.answer(small, &path)?;
            speaker.echo()
        });
        let mut client = known().build().unwrap();
        let held = client.send(Request::get(peer.url("/")).on_chunk(|_, _| Ok::<_, Error>(Flow::Hold))).unwrap();
        let other = client.get(peer.url("/other")).unwrap();
        let (outcomes, _) = fetch(&mut client);
        let error = outcomes[&held].as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert_says(error, "more data than the window allows");
        assert_eq!(outcomes[&other].as_ref().unwrap().text(), "/other");
    });
}

#[test]
fn what_a_goodbye_leaves_out_is_asked_elsewhere_whatever_it_is_and_the_rest_is_answered() {
    must_end(|| {
        for (last, code) in [(0, Code::NO_ERROR), (3, Code::NO_ERROR), (3, Code::INTERNAL_ERROR), (7, Code::NO_ERROR)] {
            let peer = Peer::start(move |conn| {
                let first = conn.number() == 0;
                let mut speaker = Speaker::greet(conn, &[])?;
                if !first {
                    return speaker.echo();
                }
                let mut asked = [(); 4].map(|()| (0, String::new()));
                for request in &mut asked {
                    *request = speaker.request()?;
                }
                speaker.send(goaway(last, code))?;
                for (stream, path) in asked.iter().filter(|(stream, _)| *stream <= last) {
                    speaker.answer(*stream, &format!("first {path}"))?;
                }
                speaker.conn.stall()
            });
            let mut client = known().build().unwrap();
            let ids: Vec<_> = (0..4)
                .map(|number| {
                    let url = peer.url(&format!("/{number}"));
                    client.send(if number % 2 == 0 { Request::get(url) } else { Request::post(url).body("x") }).unwrap()
                })
                .collect();
            let (outcomes, _) = fetch(&mut client);
            for (number, id) in ids.iter().enumerate() {
                let stream = 1 + 2 * number as u32;
                let first = if stream <= last { "first " } else { "" };
                let response = outcomes[id].as_ref().unwrap_or_else(|error| panic!("up to {last}: {error}"));
                assert_eq!(response.text(), format!("{first}/{number}"), "up to {last}, {code}");
            }
            assert_eq!(peer.connections(), if last < 7 { 2 } else { 1 });
        }
    });
}

#[test]
fn a_server_that_keeps_more_than_it_answers_has_it_asked_no_second_time() {
    must_end(|| {
        // Its last stream is one that was never opened: everything may have been acted on.
        let peer = Peer::start(|conn| {
            let mut speaker = Speaker::greet(conn, &[])?;
            for _ in 0..3 {
                speaker.request()?;
            }
            speaker.answer(1, "/0")?;
            speaker.send(goaway(i32::MAX as u32, Code::NO_ERROR))
        });
        let mut client = known().build().unwrap();
        for number in 0..3 {
            client.send(Request::post(peer.url(&format!("/{number}"))).body("x")).unwrap();
        }
        let (outcomes, _) = fetch(&mut client);
        let mut outcomes = outcomes.into_values();
        assert_eq!(outcomes.next().unwrap().unwrap().text(), "/0");
        for error in outcomes.map(Result::unwrap_err) {
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            assert_says(&error, "closed the connection");
        }
        assert_eq!(peer.connections(), 1);
    });
}

#[test]
fn a_server_that_refuses_for_ever_comes_to_an_end() {
    must_end(|| {
        type Refusal = fn(u32) -> Vec<u8>;
        let refusals: [(Refusal, &str); 2] = [
            (|stream| rst_stream(stream, Code::REFUSED_STREAM), "REFUSED_STREAM"),
            (|_| goaway(0, Code::ENHANCE_YOUR_CALM), "ENHANCE_YOUR_CALM"),
        ];
        for (refusal, words) in refusals {
            let count = Arc::new(Mutex::new(0));
            let counted = Arc::clone(&count);
            let peer = Peer::start(move |conn| {
                let mut speaker = Speaker::greet(conn, &[])?;
                loop {
                    let (stream, _) = speaker.request()?;
                    *counted.lock().unwrap() += 1;
                    speaker.send(refusal(stream))?;
                }
            });
            let mut client = known().build().unwrap();
            for _ in 0..3 {
                client.send(Request::post(peer.url("/")).body("x")).unwrap();
            }
            for error in fetch(&mut client).0.into_values().map(Result::unwrap_err) {
                assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
                assert_says(&error, words);
            }
            let count = *count.lock().unwrap();
            assert!((3..=3 * 11).contains(&count), "asked {count} times");
        }
    });
}

#[test]
fn streams_that_are_allowed_no_more_wait_until_they_are() {
    must_end(|| {
        let most = Arc::new(Mutex::new(0));
        let told = Arc::clone(&most);
        let peer = Peer::start(move |conn| {
            let mut speaker = Speaker::greet(conn, &[])?;
            let mut asked: Vec<_> = (0..10).map(|_| speaker.request()).collect::<Result<_, _>>()?;
            // From here on, two at once; those that are open stay.
            speaker.send(settings(&[(MAX_CONCURRENT_STREAMS, 2)]))?;
            while speaker.frame()?.2 != "SETTINGS ACK" {}
            while speaker.frame().map(|frame| frame.2).is_ok_and(|line| line != "SETTINGS ACK") {}
            for (stream, path) in asked.drain(..) {
                speaker.answer(stream, &path)?;
            }
            let mut answered = 0;
            loop {
                asked.push(speaker.request()?);
                // A third must not come: whatever follows two requests is no request until one is answered.
                if asked.len() == 2 || answered >= 29 {
                    speaker.send(ping(b"any more"))?;
                    let mut open = asked.len();
                    loop {
                        let (kind, _, line) = speaker.frame()?;
                        open += usize::from(kind == HEADERS);
                        if line.starts_with("PING ACK") {
                            break;
                        }
                    }
                    let mut most = told.lock().unwrap();
                    *most = open.max(*most);
                    drop(most);
                    for (stream, path) in asked.drain(..) {
                        speaker.answer(stream, &path)?;
                        answered += 1;
                    }
                }
            }
        });
        let mut client = known().streams(10).build().unwrap();
        for number in 0..40 {
            client.get(peer.url(&format!("/{number}"))).unwrap();
        }
        let (outcomes, report) = fetch(&mut client);
        for (id, outcome) in outcomes {
            assert_eq!(outcome.unwrap_or_else(|error| panic!("{error}; {report}")).text(), format!("/{id}"));
        }
        assert_eq!((*most.lock().unwrap(), peer.connections()), (2, 1));
    });
}

#[test]
fn a_window_that_never_opens_is_silence_and_its_error_says_so() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            let mut speaker = Speaker::greet(conn, &[(INITIAL_WINDOW_SIZE, 0)])?;
            speaker.echo_gets()
        });
        let mut client = known().timeout(Duration::from_millis(200)).build().unwrap();
        let stalled = client.send(Request::post(peer.url("/stalled")).body(vec![b'x'; 100_000])).unwrap();
        let get = client.get(peer.url("/get")).unwrap();
        let (outcomes, _) = fetch(&mut client);
        assert_eq!(outcomes[&get].as_ref().unwrap().text(), "/get");
        let error = outcomes[&stalled].as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Silence));
        assert_says(error, "nothing came for 200ms");

        // Where others keep the connection alive, the time to send it ends the one, and the connection lives.
        let mut client = known().build().unwrap();
        let request = Request::post(peer.url("/stalled")).body_reader(io::repeat(b'x'), None);
        let stalled = client.send(request.send_timeout(Duration::from_millis(100))).unwrap();
        let mut gets = 0;
        let error = loop {
            client.get(peer.url("/get")).unwrap();
            client.turn(Some(Duration::from_millis(10))).unwrap();
            match client.next_outcome() {
                Some(outcome) if outcome.request_id() == stalled => break outcome.into_result().unwrap_err(),
                Some(outcome) => gets += usize::from(outcome.into_result().unwrap().text() == "/get"),
                None => {}
            }
        };
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Send));
        client
            .fetch_all_with(|_, outcome| {
                gets += usize::from(outcome.into_result()?.text() == "/get");
                Ok::<_, Error>(())
            })
            .unwrap();
        assert!(gets > 0, "nothing else was answered meanwhile");
        assert_eq!(peer.connections(), 2, "one connection for each client");
    });
}

#[test]
fn a_server_that_does_not_begin_as_it_must_is_named() {
    must_end(|| {
        let begins: [(&[u8], ErrorKind, &str); 5] = [
            (b"", ErrorKind::Timeout(Phase::Silence), "nothing came for 200ms"),
            (b"\0\0\x08\x06\0\0\0\0\0", ErrorKind::Protocol, "this is not HTTP/2"),
            (b"\0\0\0\x04\x01\0\0\0\0", ErrorKind::Protocol, "this is not HTTP/2"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", ErrorKind::Protocol, "this is not HTTP/2"),
            (b"\x15\x03\x03\0\x02\x02\x50 and so on", ErrorKind::Protocol, "this is not HTTP/2"),
        ];
        for (bytes, kind, words) in begins {
            let peer = Peer::start(move |conn| {
                conn.take(PREFACE.len())?;
                conn.send(bytes)?;
                conn.stall()
            });
            let mut client = known().timeout(Duration::from_millis(200)).build().unwrap();
            for _ in 0..3 {
                client.get(peer.url("/")).unwrap();
            }
            for error in fetch(&mut client).0.into_values().map(Result::unwrap_err) {
                assert_eq!(error.kind(), kind, "{error}");
                assert_says(&error, words);
            }
        }
    });
}

#[test]
fn a_connection_that_ends_in_the_middle_delivers_what_was_whole() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            let mut speaker = Speaker::greet(conn, &[])?;
            for _ in 0..3 {
                speaker.request()?;
            }
            speaker.answer(3, "whole")?;
            speaker.send([head(1), data(1, 0, "half"), head(5), data(5, END_STREAM, "cut")[..10].to_vec()].concat())?;
            speaker.conn.close()
        });
        let mut client = known().build().unwrap();
        let ids: Vec<_> = (0..3).map(|_| client.send(Request::post(peer.url("/")).body("x")).unwrap()).collect();
        let (outcomes, _) = fetch(&mut client);
        assert_eq!(outcomes[&ids[1]].as_ref().unwrap().text(), "whole");
        for id in [ids[0], ids[2]] {
            let error = outcomes[&id].as_ref().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
            assert_says(error, "closed the connection before its answer was whole");
        }
    });
}

#[cfg(feature = "tls")]
#[test]
fn tls_that_is_cut_off_anywhere_loses_nothing_that_was_whole_and_invents_nothing() {
    use aquests::TlsSettings;
    use support::tls::Authority;

    must_end(|| {
        let authority = Authority::new("root");
        let identity = authority.localhost();
        let (mut whole, mut broken) = (0, 0);
        for cut in (0..400).step_by(13) {
            let mut config = identity.server();
            config.alpn_protocols = vec![b"h2".to_vec()];
            let peer = Peer::secure(config, move |conn| {
                let mut speaker = Speaker::greet(conn, &[])?;
                for _ in 0..3 {
                    speaker.request()?;
                }
                let answer = |stream| [head(stream), data(stream, END_STREAM, "body ".repeat(10))].concat();
                let mut bytes = Vec::new();
                for stream in [1, 3, 5] {
                    bytes.extend(speaker.conn.encrypt(answer(stream), false)?);
                }
                speaker.conn.leave_tls()?;
                speaker.conn.send(&bytes[..cut.min(bytes.len())])?;
                speaker.conn.close()
            });
            let tls = TlsSettings::new().roots_pem(authority.pem.as_str());
            let mut client = known().tls(tls).build().unwrap();
            for _ in 0..3 {
                client.send(Request::post(peer.secure_url("/")).body("x")).unwrap();
            }
            for outcome in fetch(&mut client).0.into_values() {
                match outcome {
                    Ok(response) => {
                        whole += 1;
                        assert_eq!(response.text(), "body ".repeat(10), "cut after {cut}");
                    }
                    Err(error) => {
                        broken += 1;
                        assert_eq!(error.kind(), ErrorKind::Closed, "cut after {cut}: {error}");
                        assert_says(&error, "closed the connection before its answer was whole");
                    }
                }
            }
        }
        assert!(whole > 9 && broken > 9, "{whole} were whole, {broken} were not");
    });
}
