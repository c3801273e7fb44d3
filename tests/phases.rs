//! The phases of a request: how long each may take, what it is called when it takes too long, and the question that stands
//! between head and body (RFC 9110 §10.1.1).
#![cfg(feature = "http1")]

mod support;

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aquests::{Builder, Client, Error, ErrorKind, Phase, Request, Response};
use support::{Peer, must_end};

/// What came of every request, in the order of sending.
fn fetch(client: &mut Client) -> Vec<Result<Response, Error>> {
    let mut outcomes = Vec::new();
    let report = client
        .fetch_all_with(|_, outcome| {
            outcomes.push((outcome.request_id(), outcome.into_result()));
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    outcomes.sort_by_key(|(id, _)| *id);
    assert!(outcomes.windows(2).all(|two| two[0].0 != two[1].0), "two outcomes: {outcomes:?}");
    assert_eq!(report.requests(), outcomes.len() as u64, "{report}");
    assert!(client.is_idle() && client.in_hand() == 0);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn fetch_one(client: &mut Client) -> Result<Response, Error> {
    let mut outcomes = fetch(client);
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    outcomes.remove(0)
}

const SHORT: Duration = Duration::from_millis(100);
/// Longer than any test: what runs out must be the other.
const LONG: Duration = Duration::from_secs(600);

/// The same body from a reader, in memory, and as a large one in memory.
fn bodies() -> Vec<fn(Request) -> Request> {
    vec![
        |request| request.body_reader(&b"the body"[..], Some(8)),
        |request| request.body_reader(&b"the body"[..], None),
        |request| request.body("the body"),
        |request| request.body(vec![b'x'; 1 << 20]),
    ]
}

#[test]
fn a_body_waits_until_the_server_wants_it() {
    must_end(|| {
        for body in bodies() {
            let (sender, receiver) = mpsc::channel();
            let sender = std::sync::Mutex::new(sender);
            let peer = Peer::start(move |conn| {
                let mut seen = conn.head()?;
                assert_eq!(seen.field("expect"), Some("100-continue"));
                sender.lock().unwrap().send(()).unwrap();
                conn.wait();
                assert!(!conn.has_unread(), "the body came before it was wanted");
                // Another word is not the word.
                conn.send("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")?;
                seen.body = match seen.field("content-length") {
                    Some(length) => conn.take(length.parse().unwrap())?,
                    None => conn.take("8\r\nthe body\r\n0\r\n\r\n".len())?,
                };
                conn.write_down(&seen);
                conn.answer("thanks")?;
                conn.echo()
            });
            let mut client = Client::builder().expect_timeout(LONG).build().unwrap();
            client.send(body(Request::put(peer.url("/")).expect_continue())).unwrap();
            while receiver.try_recv().is_err() {
                client.turn(Some(Duration::from_millis(10))).unwrap();
            }
            for _ in 0..10 {
                client.turn(Some(Duration::from_millis(10))).unwrap();
            }
            peer.open_gate();
            assert_eq!(fetch_one(&mut client).expect("it was answered").content(), b"thanks");
            client.get(peer.url("/next")).unwrap();
            assert_eq!(fetch_one(&mut client).expect("it was answered").content(), b"/next");
            assert_eq!(peer.connections(), 1);
        }
    });
}

#[test]
fn a_server_that_does_not_say_whether_it_wants_a_body_gets_it() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::builder().expect_timeout(SHORT).build().unwrap();
        for body in bodies() {
            client.send(body(Request::put(peer.url("/")).expect_continue())).unwrap();
        }
        assert!(fetch(&mut client).iter().all(Result::is_ok));
        let seen = peer.seen();
        assert!(seen.iter().all(|seen| seen.field("expect") == Some("100-continue") && seen.connection == 0));
        assert_eq!(seen.iter().map(|seen| seen.body.len()).collect::<Vec<_>>(), [8, 8, 8, 1 << 20]);
    });
}

/// RFC 9110 §10.1.1: "A client MUST NOT generate a 100-continue expectation in a request that does not include content."
#[test]
fn a_request_without_a_body_asks_nothing() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::builder().expect_timeout(LONG).build().unwrap();
        client.send(Request::get(peer.url("/")).expect_continue()).unwrap();
        client.send(Request::put(peer.url("/")).expect_continue()).unwrap();
        assert!(fetch(&mut client).iter().all(Result::is_ok));
        assert!(peer.seen().iter().all(|seen| seen.field("expect").is_none()));
    });
}

#[test]
fn no_byte_of_a_body_is_sent_after_an_answer_that_did_not_want_it() {
    must_end(|| {
        for (status, length) in [(401, 6), (200, 6), (413, 0)] {
            let (sender, receiver) = mpsc::channel();
            let sender = std::sync::Mutex::new(sender);
            let peer = Peer::start(move |conn| {
                conn.head()?;
                conn.send(format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n"))?;
                // Time in which the wait for the 100 runs out.
                thread::sleep(3 * SHORT);
                conn.send(&b"enough"[..length])?;
                sender.lock().unwrap().send(conn.count_rest()).unwrap();
                Ok(())
            });
            for body in bodies() {
                let mut client = Client::builder().expect_timeout(SHORT).build().unwrap();
                client.send(body(Request::put(peer.url("/")).expect_continue())).unwrap();
                let response = fetch_one(&mut client).expect("it was answered");
                assert_eq!((response.status().as_u16(), response.content().len()), (status, length));
                drop(client);
                assert_eq!(receiver.recv().unwrap(), 0, "bytes of the body came after a {status}");
            }
        }
    });
}

/// RFC 9110 §15.5.18
#[test]
fn after_a_417_the_request_is_sent_again_without_the_question() {
    must_end(|| {
        for length in [0, 2] {
            let peer = Peer::start(move |conn| {
                loop {
                    let mut seen = conn.head()?;
                    if seen.field("expect").is_some() {
                        conn.write_down(&seen);
                        conn.send(format!("HTTP/1.1 417 No\r\ncontent-length: {length}\r\n\r\n"))?;
                        return conn.send(&b"no"[..length]);
                    }
                    seen.body = conn.take("8\r\nthe body\r\n0\r\n\r\n".len())?;
                    conn.write_down(&seen);
                    conn.answer("thanks")?;
                }
            });
            let mut client = Client::builder().expect_timeout(LONG).build().unwrap();
            let request = Request::put(peer.url("/")).header("x-a", "1").body_reader(&b"the body"[..], None);
            client.send(request.expect_continue()).unwrap();
            assert_eq!(fetch_one(&mut client).expect("it was answered").content(), b"thanks");
            let seen = peer.seen();
            assert_eq!(seen.len(), 2);
            assert!(seen.iter().all(|seen| seen.field("x-a") == Some("1")));
            assert_eq!((seen[0].field("expect"), seen[1].field("expect")), (Some("100-continue"), None));
            // A session has one connection, and nothing on it is tried again.
            let session = client.open(peer.url("/")).unwrap();
            session.send(Request::put(peer.url("/")).body("the body").expect_continue()).unwrap();
            assert_eq!(fetch_one(&mut client).expect("it was answered").status().as_u16(), 417);
            // A 417 that comes to somebody who asked nothing is an answer like any other.
        }
        let peer = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 417 No\r\ncontent-length: 0\r\n\r\n")
        });
        let mut client = Client::new().unwrap();
        client.send(Request::put(peer.url("/")).body("the body")).unwrap();
        assert_eq!(fetch_one(&mut client).expect("it was answered").status().as_u16(), 417);
        assert_eq!(peer.requests(), 1);
    });
}

#[test]
fn a_server_that_leaves_before_it_wants_a_body_fails_the_request_once() {
    must_end(|| {
        let peer = Peer::start(|conn| conn.head().map(drop));
        let mut client = Client::builder().workers(3).expect_timeout(LONG).build().unwrap();
        for body in bodies() {
            client.send(body(Request::post(peer.url("/")).expect_continue())).unwrap();
        }
        for outcome in fetch(&mut client) {
            assert_eq!(outcome.expect_err("nobody answered").kind(), ErrorKind::Closed);
        }
    });
}

/// The kind of error of one request whose other limits are far off.
fn phase(client: Builder, request: Request) -> ErrorKind {
    let mut client = client.timeout(LONG).connect_timeout(LONG).build().unwrap();
    client.send(request).unwrap();
    let error = fetch_one(&mut client).expect_err("it took too long");
    assert!(error.to_string().contains("127.0.0.1:"), "{error}");
    error.kind()
}

#[test]
fn a_server_that_does_not_begin_to_answer_is_given_up() {
    must_end(|| {
        let expected = ErrorKind::Timeout(Phase::FirstByte);
        let peer = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 20")?;
            conn.stall()
        });
        let get = || Request::get(peer.url("/"));
        assert_eq!(phase(Client::builder().first_byte_timeout(SHORT), get()), expected);
        assert_eq!(phase(Client::builder(), get().first_byte_timeout(SHORT)), expected);
        assert_eq!(phase(Client::builder().first_byte_timeout(LONG), get().first_byte_timeout(SHORT)), expected);
        for body in bodies() {
            let put = body(Request::put(peer.url("/")).send_timeout(LONG));
            assert_eq!(phase(Client::builder().first_byte_timeout(SHORT), put), expected);
        }
        // It ends with the head: a body may take longer.
        let slow = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")?;
            thread::sleep(13 * SHORT);
            conn.send("hello")
        });
        let mut client = Client::builder().first_byte_timeout(10 * SHORT).build().unwrap();
        client.get(slow.url("/")).unwrap();
        client.send(Request::get(slow.url("/")).discard()).unwrap();
        assert!(fetch(&mut client).iter().all(Result::is_ok));
    });
}

#[test]
fn a_server_that_does_not_take_a_request_is_given_up() {
    must_end(|| {
        let expected = ErrorKind::Timeout(Phase::Send);
        let peer = Peer::start(|conn| {
            conn.head()?;
            conn.wait();
            Ok(())
        });
        let put = || Request::put(peer.url("/"));
        let builder = || Client::builder().first_byte_timeout(LONG);
        assert_eq!(phase(builder().send_timeout(SHORT), put().body_reader(io::repeat(b'x'), None)), expected);
        assert_eq!(phase(builder().send_timeout(SHORT), put().body(vec![b'x'; 64 << 20])), expected);
        assert_eq!(phase(builder(), put().send_timeout(SHORT).body_reader(io::repeat(b'x'), None)), expected);
        // The wait for the 100 does not.
        let echo = Peer::echo();
        let mut client = Client::builder().expect_timeout(4 * SHORT).send_timeout(2 * SHORT).build().unwrap();
        client.send(Request::put(echo.url("/")).body("x").expect_continue()).unwrap();
        fetch_one(&mut client).expect("it was answered");
        peer.open_gate();
    });
}

/// The limits of a request run out one by one, and requests without any are not touched.
#[test]
fn each_request_has_its_own_limits() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            if conn.request()?.target == "/fast" {
                return conn.answer("fast");
            }
            thread::sleep(6 * SHORT);
            conn.answer("slow")
        });
        let mut client = Client::builder().workers(40).build().unwrap();
        for number in 0..40 {
            let request = Request::get(peer.url(if number % 4 == 0 { "/fast" } else { "/slow" }));
            client
                .send(match number % 4 {
                    0 => request.first_byte_timeout(LONG).timeout(LONG),
                    1 => request.first_byte_timeout(SHORT).timeout(LONG),
                    2 => request.first_byte_timeout(LONG).timeout(2 * SHORT),
                    _ => request,
                })
                .unwrap();
        }
        for (number, outcome) in fetch(&mut client).into_iter().enumerate() {
            match (number % 4, outcome) {
                (0, outcome) => assert_eq!(outcome.expect("it was answered").content(), b"fast"),
                (1, outcome) => {
                    assert_eq!(outcome.expect_err("too late").kind(), ErrorKind::Timeout(Phase::FirstByte));
                }
                (2, outcome) => assert_eq!(outcome.expect_err("too late").kind(), ErrorKind::Timeout(Phase::Total)),
                (_, outcome) => assert_eq!(outcome.expect("it was answered").content(), b"slow"),
            }
        }
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_server_that_does_not_finish_its_handshake_is_given_up() {
    must_end(|| {
        let peer = Peer::start(|conn| conn.stall());
        let get = || Request::get(peer.secure_url("/"));
        assert_eq!(phase(Client::builder().tls_timeout(SHORT), get()), ErrorKind::Timeout(Phase::Tls));
        let mut client = Client::builder().tls_timeout(LONG).connect_timeout(SHORT).build().unwrap();
        client.send(get()).unwrap();
        let kind = fetch_one(&mut client).expect_err("it took too long").kind();
        assert_eq!(kind, ErrorKind::Timeout(Phase::Connect), "the time for connecting has its own name");
    });
}

/// The time for TLS is each address's own, even where it is over before the next address would be tried beside it.
#[cfg(feature = "tls")]
#[test]
fn an_address_that_does_not_finish_its_handshake_leaves_it_to_the_next() {
    use aquests::TlsSettings;
    use support::tls::Authority;
    must_end(|| {
        let authority = Authority::new("root");
        let peer = Peer::secure(authority.localhost().server(), |conn| conn.echo());
        let port = peer.address().port();
        let mute = [2, 3].map(|last| Peer::at(([127, 0, 0, last], port).into(), |conn| conn.stall()));
        let mut client = Client::builder()
            .tls(TlsSettings::new().roots_pem(authority.pem.as_str()))
            .tls_timeout(2 * SHORT)
            .resolve("localhost", port, [2, 3, 1].map(|last| [127, 0, 0, last].into()))
            .build()
            .unwrap();
        let get = || Request::get(format!("https://localhost:{port}/x"));
        // On a busy machine the one that answers may be too late, too, but not always.
        let answers = (0..50).any(|_| {
            client.send(get()).unwrap();
            fetch_one(&mut client).is_ok_and(|response| response.content() == b"/x")
        });
        assert!(answers, "the third address is never reached");
        assert!(mute.iter().all(|peer| peer.connections() > 0));
        // None of them, and what it is called.
        let mute = [4, 5].map(|last| Peer::at(([127, 0, 0, last], port).into(), |conn| conn.stall()));
        let addresses = [4, 5].map(|last| [127, 0, 0, last].into());
        let mut client =
            Client::builder().tls_timeout(2 * SHORT).resolve("localhost", port, addresses).build().unwrap();
        client.send(get()).unwrap();
        let kind = fetch_one(&mut client).expect_err("nobody answers").kind();
        assert_eq!(kind, ErrorKind::Timeout(Phase::Tls));
        assert_eq!(mute.map(|peer| peer.connections()), [1, 1]);
    });
}

#[test]
fn the_parts_of_making_a_connection_are_told_once() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::new().unwrap();
        client.get(peer.url("/")).unwrap();
        client.get(peer.url("/")).unwrap();
        let timings: Vec<_> = fetch(&mut client).into_iter().map(|outcome| outcome.unwrap().timings()).collect();
        assert!(timings[0].connect.is_some() && timings[0].tls.is_none() && timings[0].resolve.is_none());
        assert!(timings[1].connect.is_none());
    });
}

#[cfg(feature = "tls")]
#[test]
fn the_handshake_is_part_of_connecting() {
    use aquests::TlsSettings;
    use support::tls::Authority;
    must_end(|| {
        let authority = Authority::new("root");
        let peer = Peer::secure(authority.localhost().server(), |conn| conn.echo());
        let settings = TlsSettings::new().roots_pem(authority.pem.as_str());
        let mut client = Client::builder().tls(settings).tls_timeout(LONG).build().unwrap();
        client.get(peer.secure_url("/")).unwrap();
        let timings = fetch_one(&mut client).expect("it was answered").timings();
        assert!(timings.tls.expect("there was one") <= timings.connect.expect("it is the first"));
    });
}
