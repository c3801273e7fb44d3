//! Bodies that are written piece by piece: what whoever writes hears of the client, and when.
#![cfg(feature = "http1")]

mod support;

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use aquests::{Client, Error, ErrorKind, Phase, Request, Response};
use support::{Peer, must_end};

/// What came of the only request.
fn outcome_of(client: &mut Client, request: Request) -> Result<Response, Error> {
    client.send(request).unwrap();
    loop {
        client.turn(None).unwrap();
        if let Some(outcome) = client.next_outcome() {
            return outcome.into_result();
        }
    }
}

/// Nothing listens: what is tested here never leaves.
const NOWHERE: &str = "http://127.0.0.1:1/";

#[test]
fn a_writer_hears_that_the_client_is_gone_before_it_took_the_request() {
    must_end(|| {
        let client = Client::new().unwrap();
        let handle = client.handle();
        let (request, mut writer) = Request::post(NOWHERE).body_writer(None);
        handle.send(request).unwrap();
        let (second, later) = Request::post(NOWHERE).body_writer(None);
        let blocked = thread::spawn(move || writer.write_all(&vec![b'x'; 1 << 20]).map_err(|error| error.kind()));
        drop(client);
        assert_eq!(blocked.join().unwrap(), Err(io::ErrorKind::BrokenPipe), "nobody will take it");
        let rejected = handle.send(second).expect_err("there is no client");
        assert_eq!(rejected.error().kind(), ErrorKind::Cancelled);
        // The request is whole: as long as it may be sent elsewhere, its body may be written.
        assert_eq!(later.try_write(b"x").unwrap(), 1);
        drop(rejected.into_request());
        assert_eq!(later.try_write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

/// `send_timeout` is the server's time: it stands still while the program has nothing to say, and goes on after that.
#[test]
fn a_writer_that_says_nothing_uses_up_none_of_the_server_s_time() {
    must_end(|| {
        let limit = Duration::from_millis(200);
        let peer = Peer::echo();
        let mut client = Client::builder().send_timeout(limit).build().unwrap();
        let (request, writer) = Request::post(peer.url("/written")).body_writer(None);
        let writing = thread::spawn(move || {
            for _ in 0..3 {
                thread::sleep(limit * 2);
                writer.try_write(b"x").expect("it is taken");
            }
            writer.finish();
        });
        let answered = outcome_of(&mut client, request).expect("the server took everything at once");
        assert_eq!(answered.content(), b"/written");
        writing.join().unwrap();
        assert_eq!(peer.seen()[0].body, b"xxx");

        let peer = Peer::start(|conn| conn.stall());
        let (request, mut writer) = Request::post(peer.url("/")).body_writer(None);
        let writing = thread::spawn(move || {
            thread::sleep(limit * 2);
            loop {
                if let Err(error) = writer.write_all(&[b'x'; 100_000]) {
                    return error.kind();
                }
            }
        });
        let error = outcome_of(&mut client, request).expect_err("the server takes nothing");
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Send), "{error}");
        assert_eq!(writing.join().unwrap(), io::ErrorKind::BrokenPipe);
    });
}

/// Whatever a handle was told, nobody waits for ever: the request is refused, or its writer hears of the end.
#[test]
fn requests_that_race_with_the_end_of_the_client_are_refused_or_dropped() {
    must_end(|| {
        for _ in 0..200 {
            let client = Client::new().unwrap();
            let handle = client.handle();
            let sending = thread::spawn(move || {
                loop {
                    let (request, mut writer) = Request::post(NOWHERE).body_writer(None);
                    writer.pending_limit(1);
                    if let Err(rejected) = handle.send(request) {
                        return rejected.error().kind();
                    }
                    assert_eq!(writer.write_all(b"xx").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
                }
            });
            drop(client);
            assert_eq!(sending.join().unwrap(), ErrorKind::Cancelled);
        }
    });
}
