//! Servers that break TLS, at every place where they can. Whatever they do, every request has one outcome, it says what
//! happened, and nobody else is hurt.
#![cfg(all(feature = "http1", feature = "tls"))]

mod support;

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use aquests::{Client, Error, ErrorKind, Phase, Request, TlsSettings};
use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};
use support::tls::{Authority, Identity, Wanted};
use support::{Conn, FAULTS, Peer, must_end};

/// Whom these clients trust, and what these servers show. Signatures of Ed25519 are all of one length, so that two
/// handshakes are.
fn trusted() -> (TlsSettings, Identity) {
    let root = Authority::new("root");
    let identity = root.issue(&Wanted { algorithm: &rcgen::PKCS_ED25519, ..Wanted::default() });
    (TlsSettings::new().roots_pem(root.pem.as_str()), identity)
}

/// The bodies that came, or the errors, by request id.
fn fetch(client: &mut Client) -> Vec<Result<String, Error>> {
    let mut outcomes = Vec::new();
    client
        .fetch_all_with(|_, outcome| {
            outcomes.push((outcome.request_id(), outcome.into_result()));
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    outcomes.sort_by_key(|(id, _)| *id);
    outcomes.into_iter().map(|(_, result)| result.map(|response| response.text().into_owned())).collect()
}

fn get(client: &mut Client, url: String) -> Result<String, Error> {
    client.get(url).expect("this URL is good");
    let mut results = fetch(client);
    assert_eq!(results.len(), 1, "one request has one outcome");
    results.remove(0)
}

fn client(settings: &TlsSettings) -> Client {
    Client::builder().tls(settings.clone()).build().expect("the system has a poll")
}

/// One request to a server that does this after the handshake.
fn against(
    config: impl Fn(&Identity) -> ServerConfig,
    script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
) -> Result<String, Error> {
    let (settings, identity) = trusted();
    let peer = Peer::secure(config(&identity), script);
    get(&mut client(&settings), peer.secure_url("/"))
}

const CLOSE: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";

#[test]
fn a_connection_that_closes_at_any_byte_is_told_and_never_taken_for_an_answer() {
    must_end(|| {
        for version in [&TLS12, &TLS13] {
            let (settings, identity) = trusted();
            let config = Arc::new(identity.forgetful_server_of(version));
            let peer = Peer::start(move |conn| {
                conn.cut_after(conn.number(), false)?;
                conn.start_tls(&config)?;
                conn.request()?;
                conn.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\n")?;
                conn.send("12345")?;
                conn.send("6789")?;
                conn.close()
            });
            let mut client = client(&settings);
            let (mut failures, mut answers, mut before, mut after) = (0, 0, 0, 0);
            while answers < 20 {
                match get(&mut client, peer.secure_url("/")) {
                    Ok(text) => {
                        assert_eq!(text, "123456789", "{version:?}: cut after {failures} bytes");
                        answers += 1;
                    }
                    Err(error) => {
                        assert_eq!(answers, 0, "{version:?}: fewer bytes were enough: {error}");
                        match error.kind() {
                            ErrorKind::Connect => {
                                assert!(error.to_string().contains("during the TLS handshake"), "{error}");
                                before += 1;
                            }
                            ErrorKind::Closed => after += 1,
                            _ => panic!("{version:?}: cut after {failures} bytes: {error}"),
                        }
                        assert!(error.is_retryable(), "{error}");
                        failures += 1;
                    }
                }
                assert_eq!(peer.connections(), failures + answers);
            }
            assert!(before > 500 && after > 100, "{version:?}: {before} in the handshake, {after} in the answer");
        }
    });
}

#[test]
fn a_server_that_falls_silent_in_the_handshake_is_not_waited_for_beyond_the_time_for_connecting() {
    must_end(|| {
        for version in [&TLS12, &TLS13] {
            let (settings, identity) = trusted();
            let config = Arc::new(identity.forgetful_server_of(version));
            let (sender, receiver) = mpsc::channel();
            let sender = Mutex::new(sender);
            let peer = Peer::start(move |conn| {
                // The first is let through, and tells how long a handshake is.
                const MANY: usize = 1 << 20;
                conn.cut_after(if conn.number() == 0 { MANY } else { conn.number() - 1 }, true)?;
                conn.start_tls(&config)?;
                sender.lock().unwrap().send(MANY - conn.left()).unwrap();
                conn.echo()
            });
            assert!(get(&mut client(&settings), peer.secure_url("/")).is_ok());
            let handshake = receiver.recv().unwrap();
            let mut client = Client::builder()
                .workers(100)
                .connect_timeout(Duration::from_millis(200))
                .tls(settings)
                .build()
                .unwrap();
            for _ in 0..handshake {
                client.get(peer.secure_url("/")).unwrap();
            }
            let results = fetch(&mut client);
            assert_eq!(results.len(), handshake);
            for error in results.into_iter().map(Result::unwrap_err) {
                assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Connect), "{error}");
            }
            assert_eq!(peer.connections(), handshake + 1);
        }
    });
}

#[test]
fn a_body_without_a_length_needs_the_goodbye_of_tls() {
    must_end(|| {
        let cut = || {
            against(Identity::server, |conn| {
                conn.request()?;
                conn.send(CLOSE)?;
                conn.send("half of it")
            })
        };
        let error = cut().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(error.to_string().contains("close_notify"), "{error}");
        let whole = against(Identity::server, |conn| {
            conn.request()?;
            conn.send(CLOSE)?;
            conn.send("all of it")?;
            conn.close()
        });
        assert_eq!(whole.unwrap(), "all of it");
    });
}

#[test]
fn a_body_whose_length_is_known_and_met_needs_no_goodbye() {
    must_end(|| {
        for (answer, wanted) in [
            ("content-length: 4\r\n\r\nwell", Ok("well")),
            ("content-length: 5\r\n\r\nwell", Err(ErrorKind::Closed)),
            ("content-length: 0\r\n\r\n", Ok("")),
            ("transfer-encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\n\r\n", Ok("well")),
            ("transfer-encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\n", Err(ErrorKind::Closed)),
            ("transfer-encoding: chunked\r\n\r\n4\r\nwell\r\n", Err(ErrorKind::Closed)),
        ] {
            for goodbye in [false, true] {
                let result = against(Identity::server, move |conn| {
                    conn.request()?;
                    conn.send(format!("HTTP/1.1 200 OK\r\n{answer}"))?;
                    if goodbye { conn.close() } else { Ok(()) }
                });
                let result = result.as_deref().map_err(Error::kind);
                assert_eq!(result, wanted, "{answer:?}, goodbye: {goodbye}");
            }
        }
    });
}

#[test]
fn the_goodbye_of_tls_ends_a_body_although_the_connection_stays() {
    must_end(|| {
        for version in [&TLS12, &TLS13] {
            // In one piece with the data, so that no readiness will tell of it.
            let result = against(
                |identity| identity.server_of(version),
                |conn| {
                    conn.request()?;
                    let bytes = conn.encrypt(format!("{CLOSE}all of it"), true)?;
                    conn.send_raw(bytes)?;
                    conn.wait();
                    Ok(())
                },
            );
            assert_eq!(result.unwrap(), "all of it");
        }
    });
}

#[test]
fn what_follows_the_goodbye_is_ignored() {
    must_end(|| {
        let result = against(Identity::server, |conn| {
            conn.request()?;
            let mut bytes = conn.encrypt(format!("{CLOSE}all of it"), true)?;
            bytes.extend_from_slice(&[0xff; 100_000]);
            conn.send_raw(bytes)?;
            conn.stall()
        });
        assert_eq!(result.unwrap(), "all of it");
    });
}

/// Runs a script and hands back what the client told it in the end: an alert, in the words of rustls.
fn alert_after(sends: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static) -> (Result<String, Error>, String) {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let result = against(Identity::server, move |conn| {
        conn.request()?;
        sends(conn)?;
        let heard = conn.stall().unwrap_err().to_string();
        sender.lock().unwrap().send(heard).unwrap();
        Ok(())
    });
    (result, receiver.recv().unwrap())
}

#[test]
fn garbage_after_the_handshake_is_a_failure_that_both_sides_hear_of() {
    must_end(|| {
        let (result, heard) = alert_after(|conn| conn.send_raw("HTTP/1.1 200 OK\r\n\r\n in plain text"));
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains("something that is not TLS"), "{error}");
        assert!(heard.contains("DecodeError"), "{heard}");
        // A record of the right form, which nobody could have encrypted without the keys.
        let (result, heard) = alert_after(|conn| conn.send_raw([&[23, 3, 3, 0, 40][..], &[7; 40]].concat()));
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains("damaged or changed on its way"), "{error}");
        assert!(heard.contains("BadRecordMac"), "{heard}");
        let (result, heard) = alert_after(|conn| conn.send_raw([&[23, 3, 3, 0xff, 0xff][..], &[7; 70_000]].concat()));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Tls);
        assert!(heard.contains("alert"), "{heard}");
    });
}

#[test]
fn what_came_whole_before_garbage_is_delivered() {
    must_end(|| {
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345";
        for (answer, wanted) in [(format!("{half}67890"), Ok("1234567890")), (half.to_owned(), Err(ErrorKind::Tls))] {
            let result = against(Identity::server, move |conn| {
                conn.request()?;
                let mut bytes = conn.encrypt(&answer, false)?;
                bytes.extend_from_slice(b"garbage");
                conn.send_raw(bytes)?;
                conn.stall()
            });
            assert_eq!(result.as_deref().map_err(Error::kind), wanted);
        }
    });
}

#[test]
fn keys_are_changed_whenever_the_server_wants() {
    must_end(|| {
        let (settings, identity) = trusted();
        let peer = Peer::secure(identity.server_of(&TLS13), |conn| {
            loop {
                let seen = conn.request()?;
                conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 2 * seen.target.len()))?;
                conn.tls().refresh_traffic_keys().expect("this is TLS 1.3");
                conn.send(&seen.target)?;
                conn.tls().refresh_traffic_keys().expect("this is TLS 1.3");
                conn.send(&seen.target)?;
            }
        });
        let mut client = client(&settings);
        for number in 0..100 {
            client.get(peer.secure_url(&format!("/{number}"))).unwrap();
        }
        for (number, result) in fetch(&mut client).into_iter().enumerate() {
            assert_eq!(result.unwrap(), format!("/{number}/{number}"));
        }
        assert_eq!(peer.connections(), 1);
    });
}

#[test]
fn a_handshake_in_small_pieces_is_put_together() {
    must_end(|| {
        for version in [&TLS12, &TLS13] {
            let (settings, identity) = trusted();
            let mut config = identity.forgetful_server_of(version);
            // The least that rustls makes: 27 bytes in a record.
            config.max_fragment_size = Some(32);
            let peer = Peer::secure(config.clone(), |conn| conn.echo());
            assert_eq!(get(&mut client(&settings), peer.secure_url("/small")).unwrap(), "/small");
            // And broken off in the middle of a message.
            let config = Arc::new(config);
            let peer = Peer::start(move |conn| {
                conn.cut_after(150 + 20 * conn.number(), false)?;
                let _ = conn.start_tls(&config);
                conn.send_raw([99; 400])?;
                conn.close()
            });
            let mut client = client(&settings);
            for _ in 0..40 {
                let error = get(&mut client, peer.secure_url("/")).unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Connect), "{error}");
            }
        }
    });
}

/// A handshake in which these bytes take the place of everything that the server would say.
fn instead_of_hello(bytes: Vec<u8>) -> Error {
    let (settings, _) = trusted();
    let peer = Peer::start(move |conn| {
        conn.glance()?;
        conn.send(&bytes)?;
        conn.stall()
    });
    get(&mut client(&settings), peer.secure_url("/")).unwrap_err()
}

#[test]
fn nonsense_in_place_of_a_handshake_is_a_failure_and_no_more() {
    must_end(|| {
        let hello = [22, 3, 3, 0, 5, 2, 0, 0, 100, 3];
        for bytes in [
            b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
            b"220 mail.example ESMTP\r\n".to_vec(),
            vec![0; 100],
            vec![0xff; 100],
            // Half a message, and then no more of it.
            [&hello[..], &[99; 40]].concat(),
            [&hello[..], &[23, 3, 3, 0, 1, 0]].concat(),
            [&hello[..], &[21, 3, 3, 0, 2, 2, 40]].concat(),
            // A fatal alert; a warning too often; data; a change of ciphers.
            vec![21, 3, 3, 0, 2, 2, 40],
            [21, 3, 3, 0, 2, 1, 90].repeat(10),
            vec![23, 3, 3, 0, 1, 0],
            [20, 3, 3, 0, 1, 1].repeat(100),
            // Empty, too large, and of a message that is too large.
            [22, 3, 3, 0, 0].repeat(100),
            [&[22, 3, 3, 0xff, 0xff][..], &[2; 70_000]].concat(),
            vec![22, 3, 3, 0, 4, 2, 0xff, 0xff, 0xff],
        ] {
            let error = instead_of_hello(bytes.clone());
            assert_eq!(error.kind(), ErrorKind::Tls, "{}: {error}", bytes[..bytes.len().min(40)].escape_ascii());
        }
    });
}

#[test]
fn a_message_in_crumbs_is_not_collected_for_ever() {
    must_end(|| {
        // 60,000 bytes of a certificate, each in a record of its own.
        let crumbs = [&[22, 3, 3, 0, 4, 11, 0, 0xea, 0x60][..], &[22, 3, 3, 0, 1, 0].repeat(60_000)].concat();
        let error = instead_of_hello(crumbs);
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.to_string().contains("too many crumbs"), "{error}");
    });
}

#[test]
fn a_head_in_many_records_is_read_whole_whatever_room_there_is() {
    must_end(|| {
        let field = format!("x: {}\r\n", "y".repeat(995));
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 50000\r\n{}\r\n", field.repeat(50));
        let body = "0123456789".repeat(5_000);
        let answer = format!("{head}{body}");
        let wanted = body.clone();
        for first in [1, 10, 4_095, 4_097, 20_000, 50_000] {
            let answer = answer.clone();
            let result = against(Identity::server, move |conn| {
                conn.request()?;
                conn.send(&answer[..first])?;
                // Long enough for the client to have read it, usually: then it has to keep it, and little room.
                std::thread::sleep(Duration::from_millis(20));
                let rest = conn.encrypt(&answer[first..], false)?;
                conn.send_raw(rest)?;
                conn.stall()
            });
            assert!(result.unwrap() == wanted, "after {first} bytes");
        }
    });
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_read() {
    must_end(|| {
        for version in [&TLS12, &TLS13] {
            let result = against(
                |identity| identity.server_of(version),
                |conn| {
                    conn.request()?;
                    let bytes = conn.encrypt("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow", false)?;
                    bytes.iter().try_for_each(|byte| conn.send_raw([*byte]))?;
                    conn.stall()
                },
            );
            assert_eq!(result.unwrap(), "slow");
        }
    });
}

#[test]
fn the_server_hears_a_goodbye_however_a_connection_ends() {
    must_end(|| {
        let (settings, identity) = trusted();
        let (sender, goodbyes) = mpsc::channel();
        let sender = Mutex::new(sender);
        let peer = Peer::secure(identity.server(), move |conn| {
            loop {
                let heard = match conn.request() {
                    Ok(seen) if seen.target == "/last" => {
                        conn.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")?;
                        conn.stall()
                    }
                    Ok(seen) if seen.target == "/silent" => conn.stall(),
                    Ok(seen) if seen.target == "/broken" => {
                        conn.send("nonsense\r\n\r\n")?;
                        conn.stall()
                    }
                    Ok(_) => {
                        conn.answer("ok")?;
                        continue;
                    }
                    Err(error) => Err(error),
                };
                let properly = conn.tls().process_new_packets().is_ok_and(|state| state.peer_has_closed());
                sender.lock().unwrap().send((properly, heard.unwrap_err().to_string())).unwrap();
                return Ok(());
            }
        });
        let next = || goodbyes.recv().unwrap();
        let mut client = Client::builder().timeout(Duration::from_millis(300)).tls(settings.clone()).build().unwrap();
        for path in ["/last", "/silent", "/broken"] {
            // The one before has rested in between.
            let _ = get(&mut client, peer.secure_url("/ok"));
            let _ = get(&mut client, peer.secure_url(path));
            let (properly, heard) = next();
            assert!(properly, "after {path}: {heard}");
        }
        let id = client.get(peer.secure_url("/silent")).unwrap();
        while peer.requests() < 7 {
            client.turn(Some(Duration::from_millis(10))).unwrap();
        }
        client.cancel(id);
        fetch(&mut client);
        assert!(next().0, "after a cancel");
        assert!(get(&mut client, peer.secure_url("/ok")).is_ok());
        drop(client);
        assert!(next().0, "after the client is gone");
        let mut client = Client::builder().keep_alive(Duration::from_millis(10)).tls(settings).build().unwrap();
        assert!(get(&mut client, peer.secure_url("/ok")).is_ok());
        let goodbye = loop {
            client.turn(Some(Duration::from_millis(10))).unwrap();
            if let Ok(goodbye) = goodbyes.try_recv() {
                break goodbye;
            }
        };
        assert!(goodbye.0, "after resting for too long");
    });
}

#[test]
fn every_request_has_one_outcome_among_servers_that_are_broken_in_every_way() {
    must_end(|| {
        const REQUESTS: usize = 400;
        let (settings, identity) = trusted();
        let peer = Peer::secure(identity.server(), |conn| conn.misbehave(conn.number() % FAULTS));
        let mut client =
            Client::builder().workers(16).timeout(Duration::from_millis(300)).tls(settings).build().unwrap();
        for number in 0..REQUESTS {
            client.send(Request::get(peer.secure_url(&format!("/{number}")))).unwrap();
        }
        let results = fetch(&mut client);
        assert_eq!(results.len(), REQUESTS);
        let mut answered = 0;
        for (number, result) in results.into_iter().enumerate() {
            match result {
                Ok(text) => {
                    assert_eq!(text, format!("/{number}"), "an answer went to another request");
                    answered += 1;
                }
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::Closed
                            | ErrorKind::Protocol
                            | ErrorKind::Timeout(Phase::Silence)
                            | ErrorKind::Connect
                    ),
                    "{error}"
                ),
            }
        }
        assert!(answered > REQUESTS / 4, "{answered} answered");
    });
}
