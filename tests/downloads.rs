//! Bodies of answers that are not collected: to a callback, which may hold them, to a file, to nobody.
#![cfg(feature = "http1")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aquests::{BoxError, Client, Error, ErrorKind, Flow, Outcome, Phase, Progress, Request, RequestId, Response};
use support::{FAULTS, Folder, Peer, must_end};

/// What came of every request; there must be nothing else, and nothing twice.
fn fetch(client: &mut Client) -> BTreeMap<RequestId, Result<Response, Error>> {
    let mut outcomes = BTreeMap::new();
    let report = client
        .fetch_all_with(|_, outcome: Outcome| {
            let before = outcomes.insert(outcome.request_id(), outcome.into_result());
            assert!(before.is_none(), "two outcomes: {before:?}");
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    assert_eq!(report.requests(), outcomes.len() as u64, "{report}");
    // A handle may still have something to say, which makes it busy.
    assert_eq!(client.in_hand(), 0);
    outcomes
}

/// What came of one request, which is all there is.
fn fetch_one(client: &mut Client) -> Result<Response, Error> {
    let mut outcomes = fetch(client);
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    outcomes.pop_first().expect("there is one").1
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + (at * 7 % 26) as u8).collect()
}

/// Answers with bodies of each framing: by length, in chunks, until the end.
fn framed(body: Vec<u8>) -> Peer {
    Peer::start(move |conn| {
        loop {
            match &*conn.request()?.target {
                "/length" => conn.answer(&body)?,
                "/chunks" => {
                    conn.send("HTTP/1.1 200 OK\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n")?;
                    for part in body.chunks(10_000) {
                        conn.send(format!("{:x}\r\n", part.len()))?;
                        conn.send(part)?;
                        conn.send("\r\n")?;
                    }
                    conn.send("0\r\nx-end: yes\r\n\r\n")?;
                }
                "/close" => {
                    conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
                    conn.send(&body)?;
                    return conn.close();
                }
                "/empty" => conn.send("HTTP/1.1 204 No\r\n\r\n")?,
                other => panic!("{other} is not here"),
            }
        }
    })
}

/// What a callback was given, joined.
type Given = Arc<Mutex<Vec<u8>>>;

fn given_to(request: Request) -> (Request, Given) {
    let given = Given::default();
    let to = Arc::clone(&given);
    let request = request.on_chunk(move |_, bytes| {
        assert!(!bytes.is_empty(), "an empty piece tells nothing");
        to.lock().unwrap().extend_from_slice(bytes);
        Ok::<_, Error>(Flow::Continue)
    });
    (request, given)
}

#[test]
fn a_body_is_handed_over_as_it_comes_whatever_the_limits_for_collected_ones() {
    must_end(|| {
        let peer = framed(text(1 << 20));
        let folder = Folder::new();
        let mut client = Client::builder().reply_limit(1_000).buffer_limit(1_000).build().unwrap();
        for target in ["/length", "/chunks", "/close"] {
            let (request, given) = given_to(Request::get(peer.url(target)));
            client.send(request).unwrap();
            client.send(Request::get(peer.url(target)).to_file(folder.path().join(&target[1..]))).unwrap();
            client.send(Request::get(peer.url(target)).discard()).unwrap();
            for outcome in fetch(&mut client).into_values() {
                let response = outcome.expect("it was answered");
                assert_eq!((response.received(), response.content()), (1 << 20, &b""[..]));
                if target == "/chunks" {
                    assert_eq!(
                        (&response.headers()["x-a"], &response.trailers()["x-end"]),
                        (&"1".parse().unwrap(), &"yes".parse().unwrap())
                    );
                }
            }
            assert!(*given.lock().unwrap() == text(1 << 20), "{target} came otherwise to the callback");
            assert!(fs::read(folder.path().join(&target[1..])).unwrap() == text(1 << 20), "{target} came otherwise");
            client.get(peer.url(target)).unwrap();
            assert_eq!(fetch_one(&mut client).expect_err("collected ones have a limit").kind(), ErrorKind::TooLarge);
        }
        let report = {
            client.send(Request::get(peer.url("/length")).discard()).unwrap();
            client.fetch_all().unwrap()
        };
        assert_eq!(report.bytes(), 1 << 20, "what is not kept is counted");
    });
}

#[test]
fn a_callback_sees_the_head() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 404 Gone\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 2\r\n\r\nhi")
        });
        let mut client = Client::new().unwrap();
        let url = peer.url("/a?b");
        let (sender, receiver) = mpsc::channel();
        let id = client
            .send(Request::get(&url).on_chunk(move |head, bytes| {
                assert_eq!((head.status().as_u16(), head.version().to_string()), (404, "HTTP/1.1".to_owned()));
                assert_eq!(head.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
                assert_eq!((head.header("X-A"), head.header("x-b")), (Some(&b"1"[..]), None));
                assert_eq!((head.content_length(), bytes), (Some(2), &b"hi"[..]));
                assert!(format!("{head:?}").contains("404"));
                sender.send((head.request_id(), head.url().to_string()))?;
                Ok::<_, BoxError>(Flow::Continue)
            }))
            .unwrap();
        fetch_one(&mut client).expect("it was answered");
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [(id, url)]);
    });
}

#[test]
fn a_file_is_made_when_the_head_comes_and_keeps_what_came() {
    must_end(|| {
        let peer = Peer::start(|conn| match &*conn.request()?.target {
            "/nothing" => Ok(()),
            "/half" => conn.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
            "/empty" => conn.send("HTTP/1.1 204 No\r\n\r\n"),
            "/head" => conn.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
            _ => conn.answer("all of it"),
        });
        let folder = Folder::new();
        let path = folder.path().join("file");
        let mut client = Client::builder().retries(0).build().unwrap();
        let get = |target: &str| Request::get(peer.url(target)).to_file(&path);
        folder.write("file", "what was there before");
        client.send(get("/nothing")).unwrap();
        let error = fetch_one(&mut client).expect_err("nothing came");
        assert!(!error.to_string().contains("file"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"what was there before");
        client.send(get("/half")).unwrap();
        let error = fetch_one(&mut client).expect_err("half of it came");
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(error.to_string().ends_with(&format!("{} is left with part of the answer", path.display())), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"half");
        client.send(get("/all")).unwrap();
        fetch_one(&mut client).expect("all came");
        assert_eq!(fs::read(&path).unwrap(), b"all of it");
        client.send(get("/empty")).unwrap();
        fetch_one(&mut client).expect("there is no body");
        assert_eq!(fs::read(&path).unwrap(), b"", "an answer without a body is an empty file");
        client.send(Request::head(peer.url("/head")).to_file(&path)).unwrap();
        fetch_one(&mut client).expect("a HEAD has no body");
    });
}

#[test]
fn a_file_that_cannot_be_written_fails_its_request_and_no_other() {
    must_end(|| {
        let peer = framed(text(1 << 20));
        let mut client = Client::new().unwrap();
        // The second one fails in the middle, or at the end, as a full disk would.
        for (path, target) in
            [("/no/such/folder/file", "/length"), ("/dev/full", "/length"), ("/no/such/file", "/empty")]
        {
            client.send(Request::get(peer.url(target)).to_file(path)).unwrap();
            client.send(Request::get(peer.url("/length")).discard()).unwrap();
            let mut outcomes = fetch(&mut client);
            outcomes.pop_last().expect("there are two").1.expect("it is well");
            let error = outcomes.pop_last().expect("there are two").1.expect_err(path);
            assert_eq!(error.kind(), ErrorKind::Download, "{error}");
            assert!(std::error::Error::source(&error).is_some_and(|source| source.is::<io::Error>()), "{error}");
        }
        let peer = framed(text(10));
        client.send(Request::get(peer.url("/length")).to_file("/dev/full")).unwrap();
        let error = fetch_one(&mut client).expect_err("even ten bytes have no room there");
        assert_eq!(error.kind(), ErrorKind::Download, "{error}");
    });
}

/// Turns until a server's socket has been full for a while: it sent nothing in twenty turns of 10 ms.
fn turn_until_blocked(client: &mut Client, peer: &Peer) -> u64 {
    let (mut sent, mut quiet) = (0, 0);
    while quiet < 20 {
        client.turn(Some(Duration::from_millis(10))).unwrap();
        quiet = if sent > 0 && peer.sent() == sent { quiet + 1 } else { 0 };
        sent = peer.sent();
    }
    sent
}

#[test]
fn a_download_that_is_held_stops_its_server_until_it_is_resumed() {
    const LENGTH: u64 = 64 << 20;
    must_end(|| {
        for framing in ["content-length: 67108864", "connection: close"] {
            let peer = Peer::start(move |conn| {
                conn.request()?;
                conn.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"))?;
                (0..LENGTH >> 16).try_for_each(|_| conn.send([b'x'; 1 << 16]))?;
                conn.close()
            });
            // It is quiet for longer than this while it is held, and nobody but us is to blame.
            let mut client = Client::builder().timeout(Duration::from_millis(100)).build().unwrap();
            let pieces = Arc::new(Mutex::new((0u64, 0u32)));
            let told = Arc::clone(&pieces);
            let id = client
                .send(Request::get(peer.url("/")).on_chunk(move |_, bytes| {
                    let mut told = told.lock().unwrap();
                    *told = (told.0 + bytes.len() as u64, told.1 + 1);
                    Ok::<_, Error>(if matches!(told.1, 1 | 10) { Flow::Hold } else { Flow::Continue })
                }))
                .unwrap();
            for pieces_before in [1, 10] {
                let sent = turn_until_blocked(&mut client, &peer);
                assert!(sent < LENGTH, "the server could send everything: {sent} bytes");
                assert_eq!(pieces.lock().unwrap().1, pieces_before, "nothing is told while it is held");
                assert!(client.next_outcome().is_none());
                // By the client, and by a handle.
                if pieces_before == 1 { assert!(client.resume(id)) } else { client.handle().resume(id) }
            }
            assert_eq!(fetch_one(&mut client).expect("it was answered").received(), LENGTH);
            assert_eq!(pieces.lock().unwrap().0, LENGTH);
            assert!(!client.resume(id), "it has its outcome");
        }
    });
}

/// Both bodies of one request have a pace of their own: more of one does not let the other go on.
#[test]
fn a_download_stays_held_while_its_upload_goes_on() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.head()?;
            conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
            for word in ["one", "two", "three"] {
                let sent = format!("{:x}\r\n{word}\r\n", word.len());
                assert_eq!(conn.take(sent.len())?, sent.into_bytes());
                conn.send(word)?;
            }
            conn.take("0\r\n\r\n".len())?;
            conn.close()
        });
        let mut client = Client::new().unwrap();
        let told = Given::default();
        let to = Arc::clone(&told);
        let (request, writer) = Request::put(peer.url("/")).body_writer(None);
        let request = request.on_chunk(move |_, bytes| {
            to.lock().unwrap().extend_from_slice(bytes);
            Ok::<_, Error>(if bytes == b"one" { Flow::Hold } else { Flow::Continue })
        });
        let id = client.send(request).unwrap();
        for (word, seen) in [("one", "one"), ("two", "one"), ("three", "one")] {
            assert_eq!(writer.try_write(word.as_bytes()).unwrap(), word.len());
            // The answer to it is here, whether it is told or not.
            turn_until_blocked(&mut client, &peer);
            assert_eq!(*told.lock().unwrap(), seen.as_bytes(), "after {word} was sent");
        }
        writer.finish();
        client.resume(id);
        assert_eq!(fetch_one(&mut client).expect("it was answered").received(), 11);
        assert_eq!(*told.lock().unwrap(), b"onetwothree");
    });
}

#[test]
fn a_held_download_is_cancelled_timed_out_or_left_behind() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
            conn.send_for_ever([b'x'; 1 << 16])
        });
        let held = |request: Request| request.on_chunk(|_, _| Ok::<_, Error>(Flow::Hold));
        let mut client = Client::new().unwrap();
        let id = client.send(held(Request::get(peer.url("/")))).unwrap();
        turn_until_blocked(&mut client, &peer);
        assert!(client.cancel(id));
        assert_eq!(fetch_one(&mut client).expect_err("it was cancelled").kind(), ErrorKind::Cancelled);
        client.send(held(Request::get(peer.url("/")).timeout(Duration::from_millis(100)))).unwrap();
        let error = fetch_one(&mut client).expect_err("nobody resumed it");
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Total));
        // The connection that was held does not keep its leniency for the next request.
        let silent = Peer::start(|conn| {
            if conn.request()?.target == "/held" {
                conn.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")?;
                conn.wait();
                conn.send("def")?;
                conn.request()?;
            }
            conn.stall()
        });
        let mut client = Client::builder().timeout(Duration::from_millis(100)).build().unwrap();
        let mut first = true;
        let id = client
            .send(Request::get(silent.url("/held")).on_chunk(move |_, _| {
                Ok::<_, Error>(if std::mem::take(&mut first) { Flow::Hold } else { Flow::Continue })
            }))
            .unwrap();
        turn_until_blocked(&mut client, &silent);
        silent.open_gate();
        client.resume(id);
        client.get(silent.url("/silent")).unwrap();
        let outcomes: Vec<_> = fetch(&mut client).into_values().collect();
        assert_eq!(outcomes[0].as_ref().expect("it was answered").received(), 6);
        assert_eq!(outcomes[1].as_ref().expect_err("nobody did").kind(), ErrorKind::Timeout(Phase::Silence));
        assert_eq!(silent.connections(), 1);
        client.send(held(Request::get(peer.url("/")))).unwrap();
        turn_until_blocked(&mut client, &peer);
        drop(client);
    });
}

#[test]
fn a_callback_ends_its_request_and_no_other() {
    must_end(|| {
        let peer = framed(text(1 << 20));
        let mut client = Client::new().unwrap();
        for target in ["/length", "/chunks", "/close"] {
            let get = || Request::get(peer.url(target));
            client.send(get().on_chunk(|_, _| Err("the disk is full"))).unwrap();
            client.send(get().on_chunk(|_, _| Ok::<_, Error>(Flow::Cancel))).unwrap();
            client.send(get().discard()).unwrap();
            let outcomes: Vec<_> = fetch(&mut client).into_values().collect();
            let error = outcomes[0].as_ref().expect_err("its callback failed");
            assert_eq!(error.kind(), ErrorKind::Callback, "{error}");
            assert!(error.to_string().contains("the disk is full"), "{error}");
            assert!(error.peer().starts_with("127.0.0.1:"), "{error:?}");
            assert_eq!(outcomes[1].as_ref().expect_err("it had enough").kind(), ErrorKind::Cancelled);
            assert_eq!(outcomes[2].as_ref().expect("it is well").received(), 1 << 20);
        }
    });
}

#[test]
fn progress_is_told_of_both_bodies() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            loop {
                let body = conn.request()?.body;
                conn.answer(&body)?;
            }
        });
        let mut client = Client::new().unwrap();
        let (small, large) = (text(10), text(1 << 20));
        for (request, length, announced) in [
            (Request::post(peer.url("/")).body(small.clone()), 10, true),
            (Request::post(peer.url("/")).body(large.clone()).discard(), 1 << 20, true),
            (Request::post(peer.url("/")).body_reader(io::Cursor::new(large), None), 1 << 20, false),
        ] {
            let told = Arc::new(Mutex::new(Vec::<Progress>::new()));
            let to = Arc::clone(&told);
            client.send(request.on_progress(move |progress| to.lock().unwrap().push(progress))).unwrap();
            fetch_one(&mut client).expect("it was answered");
            let told = told.lock().unwrap();
            assert!(told.windows(2).all(|two| two[0].sent <= two[1].sent && two[0].received <= two[1].received));
            let (first, last) = (told[0], told[told.len() - 1]);
            assert_eq!((first.received, first.to_receive), (0, None), "sending is told before anything comes");
            assert_eq!((last.sent, last.received, last.to_receive), (length, length, Some(length)));
            assert_eq!(last.to_send, announced.then_some(length));
        }
    });
}

#[test]
fn every_streamed_download_has_one_outcome_in_each_fault() {
    must_end(|| {
        let folder = Folder::new();
        for fault in 0..FAULTS {
            let peer = Peer::start(move |conn| conn.misbehave(fault));
            let mut client = Client::builder().workers(4).timeout(Duration::from_millis(100)).build().unwrap();
            let handle = client.handle();
            // Resumes what is held, whenever that may be.
            let (sender, receiver) = mpsc::channel();
            let resumer = thread::spawn(move || {
                for id in receiver {
                    handle.resume(id);
                }
            });
            for number in 0..24 {
                let request = Request::get(peer.url(&format!("/{number}")));
                let sender = sender.clone();
                let request = match number % 4 {
                    0 => request.to_file(folder.path().join(format!("{fault}-{number}"))),
                    1 => request.discard(),
                    2 => given_to(request).0,
                    _ => request.on_chunk(move |head, _| {
                        sender.send(head.request_id())?;
                        Ok::<_, BoxError>(Flow::Hold)
                    }),
                };
                client.send(request).unwrap();
            }
            drop(sender);
            let outcomes = fetch(&mut client);
            assert_eq!(outcomes.len(), 24, "fault {fault}");
            for (number, outcome) in outcomes.into_values().enumerate() {
                if let Ok(response) = outcome {
                    assert_eq!(response.received(), format!("/{number}").len() as u64, "fault {fault}");
                }
            }
            drop(client);
            resumer.join().unwrap();
        }
    });
}
