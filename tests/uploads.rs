//! Bodies of requests that stream: from readers, files and writers, and what becomes of them when somebody breaks off.
#![cfg(feature = "http1")]

mod support;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aquests::{Client, Error, ErrorKind, Outcome, Request, RequestId, Response, Versions};
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
    assert!(client.is_idle() && client.in_hand() == 0);
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

/// Gives so many bytes at a time.
struct Slowly(io::Cursor<Vec<u8>>, usize);

impl Read for Slowly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.1);
        self.0.read(&mut buffer[..room])
    }
}

/// Fails after what it has.
struct Failing<R>(R);

impl<R: Read> Read for Failing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the disk is gone")),
            bytes => Ok(bytes),
        }
    }
}

#[test]
fn a_body_arrives_as_its_source_has_it() {
    must_end(|| {
        let peer = Peer::echo();
        let folder = Folder::new();
        let mut client = Client::new().unwrap();
        let mut expected = Vec::new();
        for length in [0, 1, 65_535, 65_536, 65_537, 1 << 20] {
            let body = text(length);
            folder.write(&format!("{length}"), &body);
            let post = || Request::post(peer.url("/"));
            for (request, announced) in [
                (post().body_reader(io::Cursor::new(body.clone()), Some(length as u64)), true),
                (post().body_reader(io::Cursor::new(body.clone()), None), false),
                (post().body_reader(Slowly(io::Cursor::new(body.clone()), 1 + length / 7), None), false),
                (post().body_file(folder.path().join(format!("{length}"))), true),
                (post().body(body.clone()), true),
            ] {
                client.send(request).unwrap();
                expected.push((body.clone(), announced));
            }
        }
        assert!(fetch(&mut client).values().all(Result::is_ok));
        let seen = peer.seen();
        assert_eq!(seen.len(), expected.len());
        for (seen, (body, announced)) in seen.iter().zip(expected) {
            assert!(seen.body == body, "a body of {} bytes arrived otherwise", body.len());
            let (length, coding) = (seen.field("content-length"), seen.field("transfer-encoding"));
            if announced {
                assert_eq!((length, coding), (Some(&*body.len().to_string()), None));
            } else {
                assert_eq!((length, coding), (None, Some("chunked")));
            }
            assert_eq!(seen.connection, 0, "a body that is whole leaves the connection alive");
        }
    });
}

#[test]
fn a_source_that_fails_or_breaks_its_promise_fails_its_request_and_no_other() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::new().unwrap();
        let put = || Request::put(peer.url("/bad"));
        for (request, words) in [
            (put().body_reader(Failing(&b"half"[..]), None), "the disk is gone"),
            (put().body_reader(Failing(io::empty()), Some(4)), "the disk is gone"),
            (put().body_reader(Failing(io::repeat(b'x').take(1 << 20)), Some(2 << 20)), "the disk is gone"),
            (put().body_reader(&b"four"[..], Some(5)), "ended after 4 of the 5 bytes"),
            (
                put().body_reader(io::repeat(b'x').take(1 << 20), Some(1 << 21)),
                "ended after 1048576 of the 2097152 bytes",
            ),
            (put().body_reader(&b"four"[..], Some(3)), "more than the 3 bytes"),
            (put().body_reader(io::repeat(b'x'), Some(1 << 20)), "more than the 1048576 bytes"),
            (put().body_file("/no/such/file"), "cannot read /no/such/file: "),
            (put().body_file(std::env::temp_dir()), "directory"),
        ] {
            client.send(request).unwrap();
            client.get(peer.url("/good")).unwrap();
            let outcomes: Vec<_> = fetch(&mut client).into_values().collect();
            let error = outcomes[0].as_ref().expect_err(words);
            assert_eq!(error.kind(), ErrorKind::Upload, "{error}");
            assert!(error.to_string().contains(words), "{error}");
            let source = std::error::Error::source(error).expect("it has a source");
            assert!(source.downcast_ref::<io::Error>().is_some(), "{source}");
            assert!(!error.is_retryable(), "{error}");
            assert_eq!(outcomes[1].as_ref().expect("it is well").content(), b"/good");
        }
        assert!(peer.seen().iter().all(|seen| seen.target == "/good"), "half a body looked whole to the server");
    });
}

/// RFC 9112 §9.3.2: those that were pipelined before a body that failed did nothing wrong, and are asked again.
#[test]
fn requests_before_a_body_that_fails_are_answered() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            if conn.number() == 0 {
                conn.head()?;
                return conn.stall();
            }
            conn.echo()
        });
        let mut client = Client::builder().versions(Versions::Http1).pipeline(4).build().unwrap();
        client.get(peer.url("/one")).unwrap();
        client.get(peer.url("/two")).unwrap();
        client.send(Request::put(peer.url("/bad")).body_reader(Failing(io::empty()), None)).unwrap();
        let outcomes: Vec<_> = fetch(&mut client).into_values().collect();
        assert_eq!(outcomes[0].as_ref().expect("it is well").content(), b"/one");
        assert_eq!(outcomes[1].as_ref().expect("it is well").content(), b"/two");
        assert_eq!(outcomes[2].as_ref().expect_err("it is not").kind(), ErrorKind::Upload);
    });
}

/// A kept connection that the server closes as the request comes: the request is sent again if its body can be.
#[test]
fn a_body_is_sent_again_only_from_a_source_that_has_it_again() {
    must_end(|| {
        let folder = Folder::new();
        folder.write("body", text(100_000));
        let start = || {
            Peer::start(|conn| {
                if conn.number() == 0 {
                    conn.request()?;
                    conn.answer("")?;
                    conn.head()?;
                    return Ok(());
                }
                conn.echo()
            })
        };
        type Make = fn(Request, &Folder) -> Request;
        let all: [(Make, bool); 3] = [
            (|request, folder| request.body_file(folder.path().join("body")), true),
            (|request, _| request.body(text(100_000)), true),
            (|request, _| request.body_reader(io::Cursor::new(text(100_000)), Some(100_000)), false),
        ];
        for (make, again) in all {
            let peer = start();
            let mut client = Client::new().unwrap();
            client.get(peer.url("/first")).unwrap();
            client.send(make(Request::put(peer.url("/second")), &folder)).unwrap();
            let second = fetch(&mut client).pop_last().expect("there are two").1;
            if again {
                assert_eq!(second.expect("it was sent again").content(), b"/second");
                assert!(peer.seen()[1].body == text(100_000), "it was sent from its start");
            } else {
                assert_eq!(second.expect_err("it cannot be sent again").kind(), ErrorKind::Closed);
                assert_eq!(peer.connections(), 1);
            }
        }
    });
}

/// A request that waited behind another when its connection ended was not sent, and its reader was not asked.
#[test]
fn a_reader_that_was_not_asked_can_wait_for_another_connection() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            let seen = conn.request()?;
            conn.send(format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", seen.body.len()))?;
            conn.send(seen.body)?;
            conn.close()
        });
        let mut client = Client::new().unwrap();
        for number in 0..5 {
            client.send(Request::post(peer.url("/")).body_reader(io::Cursor::new(text(number)), None)).unwrap();
        }
        for (number, outcome) in fetch(&mut client).into_values().enumerate() {
            assert_eq!(outcome.expect("it is well").content(), text(number));
        }
    });
}

#[test]
fn a_final_answer_ends_an_upload_that_never_would() {
    must_end(|| {
        for reads in [false, true] {
            let peer = Peer::start(move |conn| {
                conn.head()?;
                if reads {
                    conn.swallow(1 << 20)?;
                }
                conn.send("HTTP/1.1 413 Too much\r\ncontent-length: 6\r\n\r\nenough")?;
                if !reads {
                    conn.count_rest();
                }
                conn.close()
            });
            let mut client = Client::new().unwrap();
            for length in [None, Some(1 << 40)] {
                client.send(Request::put(peer.url("/")).body_reader(io::repeat(b'x'), length)).unwrap();
                let response = fetch_one(&mut client).expect("it was answered");
                assert_eq!((response.status().as_u16(), response.content()), (413, &b"enough"[..]));
            }
            assert_eq!(peer.connections(), 2, "what is left of a body would be read as a request");
        }
    });
}

/// The same where nothing is being sent, because the writer has nothing: it hears that it need not go on.
#[test]
fn a_final_answer_ends_an_upload_whose_writer_has_nothing() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.head()?;
            conn.swallow(b"4\r\nhalf\r\n".len() as u64)?;
            conn.answer("enough")?;
            conn.close()
        });
        let mut client = Client::builder().timeout(Duration::from_millis(200)).build().unwrap();
        for _ in 0..2 {
            let (request, writer) = Request::put(peer.url("/")).body_writer(None);
            client.send(request).unwrap();
            writer.try_write(b"half").unwrap();
            assert_eq!(fetch_one(&mut client).expect("it was answered").content(), b"enough");
            assert_eq!(writer.try_write(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
        assert_eq!(peer.connections(), 2);
    });
}

#[test]
fn a_server_that_leaves_in_the_middle_of_an_upload_fails_it_once() {
    must_end(|| {
        for reset in [false, true] {
            let peer = Peer::start(move |conn| {
                conn.head()?;
                conn.swallow(1 << 20)?;
                if reset { conn.reset() } else { Ok(()) }
            });
            let mut client = Client::builder().workers(3).build().unwrap();
            for length in [None, Some(1 << 40), Some(1 << 30)] {
                client.send(Request::post(peer.url("/")).body_reader(io::repeat(b'x'), length)).unwrap();
            }
            for outcome in fetch(&mut client).into_values() {
                let error = outcome.expect_err("nobody answered");
                assert!(matches!(error.kind(), ErrorKind::Closed | ErrorKind::Io), "{error}");
            }
        }
    });
}

#[test]
fn an_upload_is_cancelled_in_the_middle() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.head()?;
            conn.swallow(1 << 20)?;
            conn.send("HTTP/1.1 100 Continue\r\n\r\n")?;
            conn.stall()
        });
        let (sender, receiver) = mpsc::channel();
        let mut client = Client::new().unwrap();
        let handle = client.handle();
        let id = client
            .send(Request::put(peer.url("/")).body_reader(io::repeat(b'x'), None).on_progress(move |progress| {
                if progress.sent > 1 << 20 {
                    let _ = sender.send(());
                }
            }))
            .unwrap();
        let canceller = thread::spawn(move || {
            receiver.recv().expect("it is sent");
            handle.cancel(id);
        });
        assert_eq!(fetch_one(&mut client).expect_err("it was cancelled").kind(), ErrorKind::Cancelled);
        canceller.join().unwrap();
    });
}

/// A server that takes nothing: the source is asked for no more than fits between it and us.
#[test]
fn a_server_that_does_not_read_stops_the_source() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.head()?;
            conn.wait();
            let bytes = conn.count_rest();
            assert!(bytes < 100 << 20, "{bytes} bytes waited somewhere");
            Ok(())
        });
        let mut client = Client::builder().timeout(Duration::from_millis(300)).build().unwrap();
        client.send(Request::put(peer.url("/")).body_reader(io::repeat(b'x'), None)).unwrap();
        let error = fetch_one(&mut client).expect_err("nothing is read");
        assert_eq!(error.kind(), ErrorKind::Timeout(aquests::Phase::Silence), "{error}");
        peer.open_gate();
    });
}

#[test]
fn a_body_is_written_from_another_thread() {
    must_end(|| {
        for length in [None, Some(3 << 20)] {
            let peer = Peer::echo();
            let mut client = Client::builder().timeout(Duration::from_millis(200)).build().unwrap();
            let (request, mut writer) = Request::post(peer.url("/written")).body_writer(length);
            client.send(request).unwrap();
            let body = text(3 << 20);
            let expected = body.clone();
            let thread = thread::spawn(move || {
                // Longer than the server may be silent: it is we who have nothing to say.
                thread::sleep(Duration::from_millis(500));
                for part in body.chunks(100_001) {
                    writer.write_all(part).expect("it is taken");
                }
                writer.finish();
            });
            assert_eq!(fetch_one(&mut client).expect("it was answered").content(), b"/written");
            thread.join().unwrap();
            assert!(peer.seen()[0].body == expected);
            assert_eq!(peer.seen()[0].field("content-length").is_some(), length.is_some());
        }
    });
}

#[test]
fn a_writer_on_the_same_thread_takes_what_there_is_room_for() {
    must_end(|| {
        let peer = Peer::start(|conn| {
            conn.wait();
            conn.echo()
        });
        let mut client = Client::new().unwrap();
        let (request, writer) = Request::post(peer.url("/")).body_writer(None);
        writer.pending_limit(1 << 16);
        client.send(request).unwrap();
        // Nobody reads: after what the system takes, there is no room.
        let (mut written, mut refused) = (0, 0);
        while refused < 20 {
            let accepted = writer.try_write(&text(10_000)).unwrap();
            assert!(accepted <= 10_000 && writer.room() < 1 << 16);
            refused = if accepted == 0 { refused + 1 } else { 0 };
            written += accepted;
            client.turn(Some(Duration::from_millis(10))).unwrap();
            assert!(written < 100 << 20, "there is always room");
        }
        peer.open_gate();
        let (sender, receiver) = mpsc::channel();
        writer.on_room(move || {
            let _ = sender.send(());
        });
        assert_eq!(writer.try_write(b"x").unwrap(), 0);
        while receiver.try_recv().is_err() {
            client.turn(None).unwrap();
        }
        written += writer.try_write(b"end").unwrap();
        writer.finish();
        fetch_one(&mut client).expect("it was answered");
        let body = &peer.seen()[0].body;
        assert!(body.len() == written && body.ends_with(b"end"));
    });
}

#[test]
fn a_writer_that_goes_away_or_breaks_its_promise_fails_its_request() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::new().unwrap();
        for (length, finish, words) in [
            (None, false, "went away"),
            (Some(10), false, "went away"),
            (Some(10), true, "ended after 4 of the 10 bytes"),
        ] {
            let (request, writer) = Request::post(peer.url("/")).body_writer(length);
            client.send(request).unwrap();
            client.turn(Some(Duration::ZERO)).unwrap();
            writer.try_write(b"half").unwrap();
            if finish {
                writer.finish();
            } else {
                drop(writer);
            }
            let error = fetch_one(&mut client).expect_err(words);
            assert_eq!(error.kind(), ErrorKind::Upload);
            assert!(error.to_string().contains(words), "{error}");
        }
        assert_eq!(peer.requests(), 0);
    });
}

#[test]
fn a_writer_hears_that_its_request_is_over() {
    must_end(|| {
        let peer = Peer::start(|conn| conn.stall());
        let refused = || Some(io::ErrorKind::BrokenPipe);
        let mut client = Client::new().unwrap();
        let (request, writer) = Request::post(peer.url("/")).body_writer(None);
        let id = client.send(request).unwrap();
        client.turn(Some(Duration::from_millis(10))).unwrap();
        assert!(client.cancel(id));
        assert_eq!(fetch_one(&mut client).expect_err("it was cancelled").kind(), ErrorKind::Cancelled);
        assert_eq!(writer.try_write(b"x").err().map(|error| error.kind()), refused());
        let (request, mut writer) = Request::post(peer.url("/")).body_writer(None);
        client.send(request).unwrap();
        let blocked = thread::spawn(move || {
            loop {
                if let Err(error) = writer.write_all(&[0; 100_000]) {
                    return error.kind();
                }
            }
        });
        client.turn(Some(Duration::from_millis(10))).unwrap();
        drop(client);
        assert_eq!(Some(blocked.join().unwrap()), refused(), "its client is gone");
    });
}

#[test]
fn a_session_sends_bodies_piece_by_piece_down_its_connection() {
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::builder().workers(4).build().unwrap();
        let session = client.open(peer.url("/")).unwrap();
        for number in 0..3 {
            let (_, writer) = session.upload(Request::put(peer.url(&format!("/{number}"))), None).unwrap();
            session.send(Request::get(peer.url("/between"))).unwrap();
            writer.try_write(b"hello ").unwrap();
            client.turn(Some(Duration::from_millis(10))).unwrap();
            writer.try_write(b"world").unwrap();
            writer.finish();
        }
        assert!(fetch(&mut client).values().all(Result::is_ok));
        let seen = peer.seen();
        let order: Vec<_> = seen.iter().map(|seen| (&*seen.target, seen.body.len(), seen.connection)).collect();
        let between = ("/between", 0, 0);
        assert_eq!(order, [("/0", 11, 0), between, ("/1", 11, 0), between, ("/2", 11, 0), between]);
    });
}

/// A reader that has nothing yet says so, and is asked again when somebody says that it has.
#[test]
fn a_reader_that_would_block_is_asked_again_when_it_is_resumed() {
    struct Parts(mpsc::Receiver<Vec<u8>>);
    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.try_recv() {
                Ok(part) => (&part[..]).read(buffer),
                Err(mpsc::TryRecvError::Empty) => Err(io::ErrorKind::WouldBlock.into()),
                Err(mpsc::TryRecvError::Disconnected) => Ok(0),
            }
        }
    }
    must_end(|| {
        let peer = Peer::echo();
        let mut client = Client::builder().timeout(Duration::from_millis(200)).build().unwrap();
        let (sender, receiver) = mpsc::channel();
        let id = client.send(Request::post(peer.url("/")).body_reader(Parts(receiver), None)).unwrap();
        let handle = client.handle();
        let thread = thread::spawn(move || {
            for part in ["one ", "two ", "three"] {
                thread::sleep(Duration::from_millis(300));
                sender.send(part.into()).unwrap();
                handle.resume(id);
            }
            drop(sender);
            handle.resume(id);
        });
        fetch_one(&mut client).expect("it was answered");
        thread.join().unwrap();
        assert_eq!(peer.seen()[0].body, b"one two three");
    });
}

#[test]
fn every_request_with_a_streamed_body_has_one_outcome_in_each_fault() {
    must_end(|| {
        let folder = Folder::new();
        folder.write("body", text(70_000));
        for fault in 0..FAULTS {
            let peer = Peer::start(move |conn| conn.misbehave(fault));
            let mut client = Client::builder().workers(4).timeout(Duration::from_millis(100)).build().unwrap();
            let mut writers = Vec::new();
            for number in 0..24 {
                let request = Request::put(peer.url(&format!("/{number}"))).on_progress(|_| {});
                let request = match number % 4 {
                    0 => request.body_reader(io::Cursor::new(text(200_000)), None),
                    1 => request.body_file(folder.path().join("body")),
                    2 => request.body_reader(io::repeat(b'x').take(number as u64), Some(number as u64)),
                    _ => {
                        let (request, writer) = request.body_writer(None);
                        writer.try_write(b"all of it").unwrap();
                        writers.push(writer);
                        request
                    }
                };
                client.send(request).unwrap();
            }
            writers.into_iter().for_each(aquests::BodyWriter::finish);
            let outcomes = fetch(&mut client);
            assert_eq!(outcomes.len(), 24, "fault {fault}");
            if fault >= 11 {
                assert!(outcomes.values().all(Result::is_ok), "fault {fault} is none: {outcomes:?}");
            }
        }
    });
}
