//! Bodies that stream over HTTP/2: many on one connection, each with a pace of its own.
#![cfg(feature = "http2")]

mod support;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aquests::{BodyWriter, Client, Error, ErrorKind, Flow, Outcome, Request, RequestId, Response, Versions};
use support::{Folder, Nghttpd, Nginx, must_end};

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
    assert!(client.is_idle() && client.in_hand() == 0);
    outcomes
}

/// One connection, many streams.
fn client() -> Client {
    Client::builder().versions(Versions::Http2).streams(50).build().unwrap()
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + (at * 7 % 26) as u8).collect()
}

#[test]
fn bodies_of_every_source_come_back_from_an_echo() {
    must_end(|| {
        let folder = Folder::new();
        for length in [0, 1, 70_000, 1 << 20] {
            folder.write(&format!("{length}"), text(length));
        }
        let files = folder.path().to_owned();
        let server = Nghttpd::plain(folder, &[]);
        let mut client = client();
        let (mut expected, mut writers) = (Vec::new(), Vec::new());
        for length in [0, 1, 70_000, 1 << 20] {
            let post = || Request::post(server.url("/echo"));
            let body = || io::Cursor::new(text(length));
            let (written, writer) = post().body_writer(None);
            for request in [
                post().body(text(length)),
                post().body_reader(body(), Some(length as u64)),
                post().body_reader(body(), None),
                post().body_file(files.join(format!("{length}"))),
                written,
            ] {
                client.send(request).unwrap();
                expected.push(length);
            }
            writers.push((writer, text(length)));
        }
        let writing = thread::spawn(move || {
            for (mut writer, body) in writers {
                io::Write::write_all(&mut writer, &body).expect("it is taken");
                writer.finish();
            }
        });
        for (outcome, length) in fetch(&mut client).into_values().zip(expected) {
            let response = outcome.expect("it was answered");
            assert_eq!(response.version().to_string(), "HTTP/2.0");
            assert!(response.content() == text(length), "{length} bytes came back otherwise");
        }
        writing.join().unwrap();
    });
}

#[test]
fn a_stream_that_is_held_stands_in_nobody_s_way() {
    const LENGTH: u64 = 8 << 20;
    must_end(|| {
        let folder = Folder::new();
        folder.write("large", text(LENGTH as usize));
        folder.write("small", "small");
        let server = Nghttpd::plain(folder, &[]);
        let mut client = client();
        let got = Arc::new(Mutex::new(0u64));
        let told = Arc::clone(&got);
        let held = client
            .send(Request::get(server.url("/large")).on_chunk(move |_, bytes| {
                let mut told = told.lock().unwrap();
                let first = *told == 0;
                *told += bytes.len() as u64;
                Ok::<_, Error>(if first { Flow::Hold } else { Flow::Continue })
            }))
            .unwrap();
        let others: Vec<_> = (0..100).map(|_| client.get(server.url("/small")).unwrap()).collect();
        let mut answered = Vec::new();
        while answered.len() < others.len() {
            client.turn(None).unwrap();
            while let Some(outcome) = client.next_outcome() {
                assert_ne!(outcome.request_id(), held, "it is held");
                answered.push(outcome.request_id());
                assert_eq!(outcome.into_result().expect("it was answered").content(), b"small");
            }
        }
        assert!(*got.lock().unwrap() < LENGTH, "what is held is not told");
        assert_eq!(client.report().responses(), 100);
        assert!(client.resume(held));
        let response = fetch(&mut client).pop_first().expect("the one that was held").1.expect("it was answered");
        assert_eq!((response.received(), *got.lock().unwrap()), (LENGTH, LENGTH));
    });
}

/// An upload that goes on while the answer is held feeds the server, and asks for nothing: what comes is bounded by the
/// window that the server had, however often the upload had to wait for more.
#[test]
fn a_held_download_stays_held_while_its_upload_goes_on() {
    const LENGTH: usize = 32 << 20;
    // As far as the window of a stream grows.
    const WINDOW: u64 = 4 << 20;
    must_end(|| {
        let folder = Folder::new();
        folder.write("large", text(LENGTH));
        let server = Nghttpd::plain(folder, &["--early-response"]);
        let mut client = client();
        let got = Arc::new(Mutex::new(0u64));
        let told = Arc::clone(&got);
        let (request, writer) = Request::new(http::Method::PATCH, server.url("/large")).body_writer(None);
        let id = client
            .send(request.on_chunk(move |_, bytes| {
                *told.lock().unwrap() += bytes.len() as u64;
                Ok::<_, Error>(Flow::Hold)
            }))
            .unwrap();
        while *got.lock().unwrap() == 0 {
            client.turn(None).unwrap();
        }
        for _ in 0..200 {
            assert_eq!(writer.try_write(b"x").expect("it still uploads"), 1);
            // The server has every chance to send more.
            for _ in 0..3 {
                client.turn(Some(Duration::from_millis(2))).unwrap();
            }
        }
        let held = *got.lock().unwrap();
        assert!(held <= WINDOW, "{held} bytes came while it was held");
        assert!(client.cancel(id));
        assert_eq!(fetch(&mut client).remove(&id).unwrap().expect_err("cancelled").kind(), ErrorKind::Cancelled);
    });
}

/// What ends one stream, on our side or theirs, ends no other on the connection.
#[test]
fn a_stream_that_breaks_off_takes_no_other_with_it() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    must_end(|| {
        let folder = Folder::new();
        folder.write("large", text(4 << 20));
        let server = Nghttpd::plain(folder, &[]);
        let mut client = client();
        let mut writers: Vec<BodyWriter> = Vec::new();
        let mut expected = Vec::new();
        for number in 0..70 {
            let (get, post) = (Request::get(server.url("/large")), Request::post(server.url("/echo")));
            let (request, kind) = match number % 7 {
                0 => (post.body_reader(Failing, None), Some(ErrorKind::Upload)),
                1 => (post.body_reader(&b"more"[..], Some(3)), Some(ErrorKind::Upload)),
                2 => {
                    let (request, writer) = post.body_writer(None);
                    writers.push(writer);
                    (request, Some(ErrorKind::Upload))
                }
                3 => (get.on_chunk(|_, _| Err("enough")), Some(ErrorKind::Callback)),
                4 => (get.on_chunk(|_, _| Ok::<_, Error>(Flow::Cancel)), Some(ErrorKind::Cancelled)),
                5 => (get.to_file("/dev/full"), Some(ErrorKind::Download)),
                _ => (post.body_reader(io::Cursor::new(text(300_000)), None), None),
            };
            client.send(request).unwrap();
            expected.push(kind);
        }
        client.turn(Some(Duration::from_millis(20))).unwrap();
        drop(writers);
        for (outcome, kind) in fetch(&mut client).into_values().zip(expected) {
            match (outcome, kind) {
                (Ok(response), None) => assert!(response.content() == text(300_000)),
                (outcome, kind) => assert_eq!(outcome.err().map(|error| error.kind()), kind),
            }
        }
    });
}

#[test]
fn a_final_answer_ends_an_upload_that_never_would() {
    must_end(|| {
        let nginx = Nginx::http2(Folder::new(), "location /put/ { dav_methods PUT; client_max_body_size 1m; }");
        let mut client = client();
        for (length, expect) in [(Some(1 << 40), false), (Some(1 << 40), true), (None, false)] {
            let request = Request::put(nginx.url("/put/x")).body_reader(io::repeat(b'x'), length);
            client.send(if expect { request.expect_continue() } else { request }).unwrap();
        }
        for outcome in fetch(&mut client).into_values() {
            assert_eq!(outcome.expect("it was answered").status().as_u16(), 413);
        }
    });
}

#[test]
fn a_server_that_does_not_say_whether_it_wants_a_body_gets_it() {
    must_end(|| {
        let server = Nghttpd::plain(Folder::new(), &[]);
        let mut client =
            Client::builder().versions(Versions::Http2).expect_timeout(Duration::from_millis(50)).build().unwrap();
        for _ in 0..10 {
            client.send(Request::post(server.url("/echo")).body(text(100_000)).expect_continue()).unwrap();
        }
        for outcome in fetch(&mut client).into_values() {
            assert!(outcome.expect("it was answered").content() == text(100_000));
        }
    });
}
