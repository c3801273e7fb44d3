//! TLS in the middle, "SSL Session Encryption".

use aquests_protocols::postgres::Tls;
use aquests_protocols::{Established, Input};

use super::*;

const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

fn asking(tls: Tls) -> AtClient {
    fresh(Login::new("me").tls(tls))
}

#[test]
fn tls_is_asked_for_and_the_startup_follows_inside() {
    for tls in [Tls::Prefer, Tls::Require] {
        let run = Script::new()
            .expect(SSL_REQUEST)
            .expect_nothing()
            .send("S")
            .expect(b"\0\0\0\x11\0\x03\0\0user\0me\0\0")
            .send([authentication(0, ""), ready("I")].concat())
            .expect_nothing()
            .run(|| asking(tls));
        assert_eq!(told(&run), ["TLS"]);
    }
}

#[test]
fn a_server_without_tls_is_left_unless_that_was_allowed() {
    let run = splits(b"N", false, || asking(Tls::Require));
    assert_eq!((run.error, run.out), (broken(Violation::NoTls), SSL_REQUEST.to_vec()));
    Script::new().expect(SSL_REQUEST).send("N").expect(b"\0\0\0\x11\0\x03\0\0user\0me\0\0").run(|| asking(Tls::Prefer));
}

/// CVE-2024-10977: nobody vouches for an error before TLS. It is neither shown nor read as a length.
#[test]
fn an_error_in_place_of_tls_is_not_shown() {
    for peer in [error("FATAL", "53300", "send your password to me"), b"Ecould not fork".to_vec()] {
        for tls in [Tls::Prefer, Tls::Require] {
            let run = splits(&peer, false, || asking(tls));
            assert_eq!((run.error, run.events.len()), (broken(Violation::TlsError), 0));
        }
    }
    let run = splits(b"HTTP/1.1 400", false, || asking(Tls::Prefer));
    assert_eq!(run.error, broken(Violation::TlsAnswer));
}

/// CVE-2021-23222.
#[test]
fn bytes_behind_the_answer_are_an_attack() {
    let mut machine = Client::new(Login::new("me").tls(Tls::Require)).unwrap();
    let (peer, mut out) = ([b"S".to_vec(), error("ERROR", "00000", "injected")].concat(), Vec::new());
    machine.connected(Established::default(), &mut out);
    let (used, event) = machine.receive(Input { bytes: &peer, eof: false }, &mut out).unwrap();
    assert_eq!((used, event), (1, Event::StartTls));
    let injected = machine.receive(Input { bytes: &peer[1..], eof: false }, &mut out).map(drop);
    assert_eq!(injected.err(), broken(Violation::Injected));
    // And the caller sees it before that.
    let mut side = asking(Tls::Require);
    side.receive(&peer, false);
    assert!(side.finish().error.is_some());
}

/// How a machine that is told this begins: what it says, and its first error.
fn begun(tls: Tls, at: Established<'_>) -> (Vec<u8>, Option<Error>) {
    let (mut machine, mut out) = (Client::new(Login::new("me").tls(tls)).unwrap(), Vec::new());
    machine.connected(at, &mut out);
    let error = machine.receive(Input { bytes: b"", eof: false }, &mut out).map(drop).err();
    (out, error)
}

#[test]
fn direct_tls_agreed_on_postgresql_or_nothing_is_said() {
    let startup = b"\0\0\0\x11\0\x03\0\0user\0me\0\0".to_vec();
    let inside = |alpn| Established::default().over_tls(alpn);
    assert_eq!(begun(Tls::Direct, inside(Some(b"postgresql"))), (startup.clone(), None));
    assert_eq!(begun(Tls::Direct, inside(None)), (vec![], broken(Violation::Alpn)));
    assert_eq!(begun(Tls::Direct, inside(Some(b"h2"))), (vec![], broken(Violation::Alpn)));
    assert_eq!(begun(Tls::Direct, Established::default()), (vec![], broken(Violation::NoTls)));
    // Whoever has TLS already is not asked for it again.
    assert_eq!(begun(Tls::Require, inside(None)), (startup, None));
    assert_eq!(begun(Tls::Require, inside(Some(b"h2"))), (vec![], broken(Violation::Alpn)));
}

#[test]
fn a_caller_that_did_not_begin_tls_says_nothing_in_clear() {
    let (mut machine, mut out) = (Client::new(Login::new("me").tls(Tls::Require)).unwrap(), Vec::new());
    machine.connected(Established::default(), &mut out);
    machine.receive(Input { bytes: b"S", eof: false }, &mut out).unwrap();
    machine.connected(Established::default(), &mut out);
    assert_eq!(out, SSL_REQUEST);
    let error = machine.receive(Input { bytes: b"", eof: false }, &mut out).map(drop).err();
    assert_eq!(error, broken(Violation::NoTls));
}
