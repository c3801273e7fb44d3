//! Servers that send, under the keys of the connection, what no TLS library would: too much of what is allowed once, and
//! records that are too large.
#![cfg(all(feature = "http1", feature = "tls"))]

mod support;

use std::io;

use aquests::{Client, Error, ErrorKind, TlsSettings};
use rustls::version::{TLS12, TLS13};
use rustls::{ContentType, ServerConfig, SupportedProtocolVersion};
use support::tls::{Authority, Forger, Identity, Wanted};
use support::{Conn, Peer, must_end};

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

fn allowing_forgery(identity: &Identity, version: &'static SupportedProtocolVersion) -> ServerConfig {
    let mut config = identity.server_of(version);
    config.enable_secret_extraction = true;
    config
}

#[test]
fn an_alert_in_the_middle_of_an_answer_is_told_in_words() {
    must_end(|| {
        let result = against(
            |identity| allowing_forgery(identity, &TLS13),
            |conn| {
                conn.request()?;
                let mut forger = Forger::new(conn.leave_tls()?);
                let mut bytes = forger.data("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345");
                // Fatal, internal_error.
                bytes.extend(forger.record(ContentType::Alert, &[2, 80]));
                conn.send(bytes)?;
                conn.stall()
            },
        );
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains("the peer refused: it failed (InternalError)"), "{error}");
    });
}

/// A server that sends such records without end is left, and another answers meanwhile.
fn assert_flood_ends(flood: impl Fn(&mut Forger) -> Vec<u8> + Send + Sync + 'static) {
    assert_flood_ends_in(&TLS13, flood);
}

fn assert_flood_ends_in(
    version: &'static SupportedProtocolVersion,
    flood: impl Fn(&mut Forger) -> Vec<u8> + Send + Sync + 'static,
) {
    let (settings, identity) = trusted();
    let flooding = Peer::secure(allowing_forgery(&identity, version), move |conn| {
        conn.request()?;
        let mut forger = Forger::new(conn.leave_tls()?);
        loop {
            let records: Vec<u8> = (0..500).flat_map(|_| flood(&mut forger)).collect();
            conn.send(records)?;
        }
    });
    let echo = Peer::secure(identity.server(), Conn::echo);
    let mut client = Client::builder().workers(2).tls(settings).build().expect("the system has a poll");
    client.get(flooding.secure_url("/")).unwrap();
    for number in 0..200 {
        client.get(echo.secure_url(&format!("/{number}"))).unwrap();
    }
    let mut results = fetch(&mut client);
    let error = results.remove(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    for (number, result) in results.into_iter().enumerate() {
        assert_eq!(result.unwrap(), format!("/{number}"));
    }
}

#[test]
fn a_flood_of_empty_records_ends_the_connection() {
    must_end(|| assert_flood_ends(|forger| forger.data("")));
}

#[test]
fn a_flood_of_key_updates_ends_the_connection() {
    // update_requested (RFC 8446 §4.6.3), under the first keys, as nobody gets to hear the second.
    must_end(|| assert_flood_ends(|forger| forger.record(ContentType::Handshake, &[24, 0, 0, 1, 1])));
}

#[test]
fn a_flood_of_tickets_ends_the_connection() {
    must_end(|| assert_flood_ends(Forger::ticket));
}

#[test]
fn a_flood_of_warnings_ends_the_connection() {
    // user_canceled, the one that TLS 1.3 still allows (RFC 8446 §6.1).
    must_end(|| assert_flood_ends(|forger| forger.record(ContentType::Alert, &[1, 90])));
    must_end(|| assert_flood_ends_in(&TLS12, |forger| forger.record(ContentType::Alert, &[1, 90])));
}

#[test]
fn a_server_that_wants_to_renegotiate_again_and_again_is_left() {
    // HelloRequest (RFC 5246 §7.4.1.1).
    must_end(|| assert_flood_ends_in(&TLS12, |forger| forger.record(ContentType::Handshake, &[0, 0, 0, 0])));
}

#[test]
fn the_largest_record_is_read_and_a_larger_one_is_not() {
    const LARGEST: usize = 16 << 10;
    must_end(|| {
        for version in [&TLS12, &TLS13] {
            for (length, good) in [(LARGEST, true), (LARGEST + 1, false)] {
                let (settings, identity) = trusted();
                let peer = Peer::secure(allowing_forgery(&identity, version), move |conn| {
                    conn.request()?;
                    let mut forger = Forger::new(conn.leave_tls()?);
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                    let mut records = forger.data(head);
                    records.extend(forger.data("x".repeat(length)));
                    conn.send(records)?;
                    conn.take(1 << 20).map(|_| ())
                });
                let result = get(&mut client(&settings), peer.secure_url("/"));
                match result {
                    Ok(body) => assert!(good && body.len() == length, "{version:?}: {}", body.len()),
                    Err(error) => {
                        assert!(!good && error.kind() == ErrorKind::Tls, "{version:?}, {length}: {error}");
                        assert!(error.to_string().contains("larger than TLS allows"), "{version:?}: {error}");
                    }
                }
            }
        }
    });
}
