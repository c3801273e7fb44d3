//! HTTP/2 with servers of one's own making: ones that decline it, forget it, fall silent at the question, answer pings or
//! not, reset a stream, and let nobody in. Rules that are broken are in `http2_faults`.
#![cfg(feature = "http2")]

mod support;

use std::time::{Duration, Instant};

use aquests::{Client, Error, ErrorKind, Phase, Request, Response, Version, Versions};
use support::{Conn, Peer, must_end};

/// What came of each request, in the order in which they were sent.
fn fetch(client: &mut Client) -> Vec<Result<Response, Error>> {
    let mut results = Vec::new();
    client
        .fetch_all_with(|_, outcome| {
            results.push((outcome.request_id(), outcome.into_result()));
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    results.sort_by_key(|(id, _)| *id);
    results.into_iter().map(|(_, result)| result).collect()
}

fn one(client: &mut Client, request: Request) -> Response {
    client.send(request).unwrap();
    fetch(client).remove(0).expect("it was answered")
}

fn known() -> aquests::Builder {
    Client::builder().versions(Versions::Http2)
}

#[test]
fn a_server_that_hangs_up_on_the_question_is_asked_without_it() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            loop {
                if conn.request()?.field("upgrade").is_some() {
                    return Ok(());
                }
                conn.answer("fine")?;
            }
        });
        let mut client = Client::builder().retries(0).build().unwrap();
        for _ in 0..5 {
            client.get(peer.url("/")).unwrap();
        }
        let results = fetch(&mut client);
        assert!(results.iter().all(|result| result.as_ref().is_ok_and(|response| response.text() == "fine")));
        assert_eq!(peer.seen().iter().filter(|seen| seen.field("upgrade").is_some()).count(), 1);
    });
}

#[test]
fn a_server_that_falls_silent_at_the_question_is_asked_once() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            loop {
                if conn.request()?.field("upgrade").is_some() {
                    return conn.stall();
                }
                conn.answer("fine")?;
            }
        });
        let mut client = Client::builder().timeout(Duration::from_millis(200)).build().unwrap();
        for _ in 0..5 {
            client.get(peer.url("/")).unwrap();
        }
        assert_eq!(fetch(&mut client).iter().filter(|result| result.is_err()).count(), 1);
    });
}

#[test]
fn a_server_that_forgot_http2_is_spoken_to_in_http1_again() {
    must_end(|| {
        // The first connection is upgraded and leaves; on later ones only HTTP/1.1 is understood.
        let peer = Peer::start(|conn| {
            if conn.number() == 0 {
                conn.request()?;
                conn.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")?;
                // SETTINGS, the whole answer (:status 200), GOAWAY behind it.
                conn.send(
                    b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x88\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0",
                )?;
                return conn.stall();
            }
            let line = conn.line()?;
            if line.starts_with("PRI") {
                return conn.send("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            }
            while !conn.line()?.is_empty() {}
            conn.answer("old")
        });
        let mut client = Client::new().unwrap();
        let first = one(&mut client, Request::get(peer.url("/")));
        assert_eq!((first.status().as_u16(), first.version()), (200, Version::Http2));
        let second = one(&mut client, Request::get(peer.url("/")));
        assert_eq!((second.version(), &*second.text()), (Version::Http11, "old"));
    });
}

#[test]
fn a_switch_to_something_else_is_an_error_and_one_that_the_user_asked_for_is_an_answer() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chess\r\n\r\n")?;
            conn.stall()
        });
        let mut client = Client::new().unwrap();
        client.get(peer.url("/")).unwrap();
        let request = Request::get(peer.url("/")).header("connection", "upgrade").header("upgrade", "chess");
        client.send(request).unwrap();
        let results = fetch(&mut client);
        assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::Protocol);
        assert_eq!(results[1].as_ref().unwrap().status(), 101);
    });
}

#[test]
fn a_server_without_http2_is_an_error_where_nothing_else_is_allowed() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.line()?;
            conn.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")?;
            conn.stall()
        });
        let mut client = known().build().unwrap();
        client.get(peer.url("/")).unwrap();
        let error = fetch(&mut client).remove(0).expect_err("it speaks HTTP/1.1 only");
        assert!(error.kind() == ErrorKind::Protocol && error.to_string().contains("not HTTP/2"), "{error}");
    });
}

#[test]
fn a_peer_that_answers_pings_may_take_its_time_and_one_that_does_not_is_gone() {
    must_end(|| {
        // SETTINGS; a PING is answered for half a second or never, then comes the answer.
        let patient = |answers: bool| {
            Peer::start(move |conn| {
                conn.take(24)?;
                conn.send(b"\0\0\0\x04\0\0\0\0\0")?;
                let mut pings = 0;
                loop {
                    let head = conn.take(9)?;
                    let length = usize::from(head[1]) << 8 | usize::from(head[2]);
                    let payload = conn.take(length)?;
                    if head[3] == 6 && answers {
                        conn.send([b"\0\0\x08\x06\x01\0\0\0\0", &payload[..]].concat())?;
                        pings += 1;
                    }
                    if pings == 10 {
                        conn.send(b"\0\0\x01\x01\x05\0\0\0\x01\x88")?;
                    }
                }
            })
        };
        let limits = || known().timeout(Duration::from_millis(300)).ping_every(Duration::from_millis(50));
        let peer = patient(true);
        let mut client = limits().build().unwrap();
        assert_eq!(one(&mut client, Request::get(peer.url("/"))).status(), 200);

        let peer = patient(false);
        let mut client = limits().build().unwrap();
        client.get(peer.url("/")).unwrap();
        let error = fetch(&mut client).remove(0).expect_err("it answers nothing");
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Silence), "{error}");
    });
}

/// HEADERS with `:status: 200` on a stream; `end` ends it.
fn head(stream: u8, end: bool) -> Vec<u8> {
    vec![0, 0, 1, 1, 4 | u8::from(end), 0, 0, 0, stream, 0x88]
}

fn data(stream: u8, end: bool, bytes: &[u8]) -> Vec<u8> {
    [&[0, 0, bytes.len() as u8, 0, u8::from(end), 0, 0, 0, stream], bytes].concat()
}

fn reset(stream: u8, code: u8) -> Vec<u8> {
    vec![0, 0, 4, 3, 0, 0, 0, 0, stream, 0, 0, 0, code]
}

const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// Reads up to the end of the HEADERS of a stream.
fn asked(conn: &mut Conn, stream: u8) -> std::io::Result<()> {
    loop {
        let head = conn.take(9)?;
        conn.take(usize::from(head[1]) << 8 | usize::from(head[2]))?;
        if head[3] == 1 && head[8] == stream {
            return Ok(());
        }
    }
}

#[test]
fn an_answer_that_was_begun_and_refused_is_no_part_of_another() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.take(24)?;
            conn.send(SETTINGS)?;
            conn.send([head(1, false), data(1, false, b"AAA"), reset(1, 7)].concat())?;
            asked(conn, 3)?;
            conn.send([head(3, false), data(3, true, b"BBB")].concat())?;
            conn.stall()
        });
        let mut client = known().build().unwrap();
        client.get(peer.url("/")).unwrap();
        let results = fetch(&mut client);
        let error = results[0].as_ref().expect_err("it was begun, and ended by the server");
        assert!(results.len() == 1 && error.to_string().contains("REFUSED_STREAM"), "{error}");
    });
}

#[test]
fn a_stream_that_is_reset_says_nothing_against_http2() {
    must_end(|| {
        // Asked by upgrade first; on later connections by what is remembered.
        let peer = Peer::start(|conn| {
            if conn.number() == 0 {
                conn.request()?;
                conn.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")?;
                conn.send([SETTINGS, &head(1, true), b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0"].concat())?;
                return conn.stall();
            }
            assert!(conn.take(24)?.starts_with(b"PRI * HTTP/2.0"), "it is remembered");
            conn.send(SETTINGS)?;
            asked(conn, 1)?;
            conn.send(reset(1, 2))?;
            asked(conn, 3)?;
            conn.send(head(3, true))?;
            conn.stall()
        });
        let mut client = Client::new().unwrap();
        assert_eq!(one(&mut client, Request::get(peer.url("/"))).version(), Version::Http2);
        client.get(peer.url("/")).unwrap();
        let results = fetch(&mut client);
        let kinds: Vec<_> = results.into_iter().map(|result| result.map(drop).map_err(|error| error.kind())).collect();
        assert_eq!(kinds, [Err(ErrorKind::Protocol)], "reset once, and not sent again and again");
        assert_eq!(one(&mut client, Request::get(peer.url("/"))).version(), Version::Http2);
        assert_eq!(peer.connections(), 2);
    });
}

#[test]
fn pings_find_a_dead_peer_though_requests_go_on_leaving() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.take(24)?;
            conn.send(SETTINGS)?;
            loop {
                conn.take(1)?;
            }
        });
        let mut client =
            known().timeout(Duration::from_millis(300)).ping_every(Duration::from_millis(50)).build().unwrap();
        let (mut outcomes, mut last) = (0, Instant::now());
        client.get(peer.url("/")).unwrap();
        // As long as it takes: without the pings nothing would ever end while this goes on.
        while outcomes == 0 {
            client.turn(Some(Duration::from_millis(20))).unwrap();
            if last.elapsed() > Duration::from_millis(100) {
                client.get(peer.url("/")).unwrap();
                last = Instant::now();
            }
            while let Some(outcome) = client.next_outcome() {
                let kind = outcome.into_result().unwrap_err().kind();
                assert_eq!(kind, ErrorKind::Timeout(Phase::Silence));
                outcomes += 1;
            }
        }
    });
}

#[test]
fn a_server_that_lets_nobody_in_is_left_in_the_end() {
    must_end(|| {
        // SETTINGS with MAX_CONCURRENT_STREAMS 0; the upgrade gets there before any request on that connection.
        let peer = Peer::start(|conn| {
            conn.take(24)?;
            conn.send(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\0")?;
            conn.stall()
        });
        let mut client = known().timeout(Duration::from_millis(100)).build().unwrap();
        for _ in 0..3 {
            client.get(peer.url("/")).unwrap();
        }
        assert_eq!(fetch(&mut client).iter().filter(|result| result.is_err()).count(), 3);
    });
}
