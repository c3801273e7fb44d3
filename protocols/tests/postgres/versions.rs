//! Versions of the protocol, "Protocol Versions" and "NegotiateProtocolVersion": which one is asked for, what a server may say
//! to that, and the key of which they decide the length.

use aquests_protocols::postgres::ProtocolVersion;
use aquests_protocols::postgres::ProtocolVersion::{V3_0, V3_2};
use aquests_protocols::{Established, Input};

use super::*;

fn login(least: ProtocolVersion, greatest: ProtocolVersion) -> Login {
    Login::new("me").versions(least, greatest)
}

/// NegotiateProtocolVersion: major and minor version, and options that the server does not know.
fn negotiation(version: [u8; 4], options: &[&str]) -> Vec<u8> {
    let mut body = [version, (options.len() as u32).to_be_bytes()].concat();
    options.iter().for_each(|name| body.extend(name.bytes().chain([0])));
    message(b'v', body)
}

const OLDER: [u8; 4] = [0, 3, 0, 0];

/// BackendKeyData with so many bytes of a key.
fn key(length: usize) -> Vec<u8> {
    message(b'K', [&[0, 0, 0x47, 0xd5][..], &vec![7; length]].concat())
}

fn error(login: &Login, peer: &[u8]) -> Option<Error> {
    splits(peer, false, || fresh(login.clone())).error
}

/// A machine that was told all of this.
fn after(login: Login, peer: &[u8]) -> Client {
    let (mut machine, mut used) = (Client::new(login).unwrap(), 0);
    machine.connected(Established::default(), &mut Vec::new());
    while used < peer.len() {
        used += machine.receive(Input { bytes: &peer[used..], eof: false }, &mut Vec::new()).unwrap().0;
    }
    machine
}

#[test]
fn the_greatest_version_that_will_do_is_asked_for() {
    for (login, minor) in
        [(Login::new("me"), 0), (login(V3_0, V3_0), 0), (login(V3_0, V3_2), 2), (login(V3_2, V3_2), 2)]
    {
        let startup = fresh(login).take_out();
        assert_eq!(startup[..8], [0, 0, 0, 17, 0, 3, 0, minor]);
    }
    assert_eq!(ProtocolVersion::LATEST, V3_2);
    let wrong = Client::new(login(V3_2, V3_0)).err();
    assert_eq!(wrong, Some(Refused::Misuse("a least version of the protocol above the greatest")));
}

#[test]
fn a_server_that_knows_an_older_version_names_it_and_that_is_spoken() {
    let welcome = [authentication(0, ""), key(4), ready("I")].concat();
    let peer = [negotiation(OLDER, &[]), welcome.clone()].concat();
    let run = splits(&peer, false, || fresh(login(V3_0, V3_2)));
    assert_eq!((told(&run), run.error), (vec!["push key of 18389".to_owned()], None));
    assert_eq!(after(login(V3_0, V3_2), &peer).version(), V3_0);
    assert_eq!(after(login(V3_0, V3_2), &welcome).version(), V3_2, "it has nothing to say against it");
    assert_eq!(after(login(V3_0, V3_0), &welcome).version(), V3_0);
    assert_eq!(error(&login(V3_2, V3_2), &peer), broken(Violation::Version), "that will not do");
}

/// As libpq, `pqGetNegotiateProtocolVersion3`.
#[test]
fn an_answer_about_versions_names_a_lower_one_and_nothing_that_was_not_asked_for() {
    let both = login(V3_0, V3_2);
    for version in
        [[0, 3, 0, 2], [0, 3, 0, 1], [0, 3, 0, 3], [0, 3, 0x27, 0x0f], [0, 2, 0, 0], [0, 4, 0, 0], [0; 4], [0xff; 4]]
    {
        assert_eq!(error(&both, &negotiation(version, &[])), broken(Violation::Negotiation), "{version:?}");
    }
    for options in [&["_pq_.one"][..], &["search_path"], &["", ""]] {
        for version in [OLDER, [0, 3, 0, 2]] {
            assert_eq!(error(&both, &negotiation(version, options)), broken(Violation::Negotiation), "{options:?}");
        }
    }
    assert_eq!(error(&login(V3_0, V3_0), &negotiation(OLDER, &[])), broken(Violation::Negotiation), "the same");
    for body in
        [&b"\0\x03\0\0\0\0\0\x01"[..], b"\0\x03\0\0\xff\xff\xff\xff", b"\0\x03\0\0\0\0\0\0\0", b"\0\x03\0\0\0\0\0\x01a"]
    {
        assert_eq!(error(&both, &message(b'v', body)), broken(Violation::Format), "{}", body.escape_ascii());
    }
}

#[test]
fn versions_are_spoken_of_once_and_before_everything_else() {
    let older = negotiation(OLDER, &[]);
    let unexpected = broken(Violation::Unexpected);
    assert_eq!(error(&login(V3_0, V3_2), &[older.clone(), older.clone()].concat()), unexpected);
    assert_eq!(error(&login(V3_0, V3_2), &[authentication(0, ""), older.clone()].concat()), unexpected);
    let asked = [authentication(3, ""), older.clone()].concat();
    assert_eq!(error(&login(V3_0, V3_2).password("secret", [0; 18]), &asked), unexpected);
    assert_eq!(splits(&older, false, || queries(1)).error, unexpected);
}

/// LIMITS: 2,000 bytes, and nothing is waited for beyond.
#[test]
fn what_a_server_says_of_versions_is_short() {
    let header = |length: u32| [&b"v"[..], &length.to_be_bytes()].concat();
    for (length, expected) in
        [(12, None), (2_000, None), (11, broken(Violation::Length)), (2_001, broken(Violation::Length))]
    {
        assert_eq!(error(&login(V3_0, V3_2), &header(length)), expected, "{length}");
    }
}

/// LIMITS: a key of more than 256 bytes, or of another length than 4 where 3.0 is spoken.
#[test]
fn a_key_is_as_long_as_the_version_allows() {
    let with = |login: &Login, first: &[u8], length: usize| {
        error(login, &[first, &authentication(0, ""), &key(length), &ready("I")].concat())
    };
    for length in [4, 5, 32, 255, 256] {
        assert_eq!(with(&login(V3_0, V3_2), b"", length), None, "{length}");
    }
    let length = broken(Violation::Length);
    for wrong in [0, 3, 257, 1_000] {
        assert_eq!(with(&login(V3_0, V3_2), b"", wrong), length, "{wrong}");
    }
    for wrong in [3, 5, 32] {
        assert_eq!(with(&login(V3_0, V3_0), b"", wrong), length, "{wrong}");
        assert_eq!(with(&login(V3_0, V3_2), &negotiation(OLDER, &[]), wrong), length, "{wrong} after 3.0 was named");
    }
    // Before anything of it came.
    let header = [&authentication(0, "")[..], b"K\0\0\x01\x09"].concat();
    assert_eq!(error(&login(V3_0, V3_2), &header), length);
}

#[test]
fn a_long_key_is_said_whole_to_cancel() {
    let peer = [authentication(0, ""), key(256), ready("I")].concat();
    let machine = after(login(V3_0, V3_2), &peer);
    let key = machine.cancel_key().unwrap();
    let expected = [&b"\0\0\x01\x0c\x04\xd2\x16\x2e\0\0\x47\xd5"[..], &[7; 256]].concat();
    assert_eq!((key.request(), key.process()), (expected.clone(), 18_389));
    assert_eq!(format!("{key:?}"), "CancelKey { process: 18389, .. }");
    let mut out = Vec::new();
    Client::new(Login::interrupt(key.clone())).unwrap().connected(Established::default(), &mut out);
    assert_eq!(out, expected);
}
