//! The login, "Start-up" and "SASL Authentication". The SCRAM conversations are of a PostgreSQL 15 whose password is
//! `geheim`; the client's half is another implementation's.

use aquests_protocols::postgres::{Binding, Tls};
use aquests_protocols::{ChannelBinding, Established, Input};

use super::*;

const FIRST: &str = "r=AAECAwQFBgcICQoLDA0ODxARqBuOe/sQEZf3DUmuocsuCHoa,s=n8pmD/A38chyAiyDXyy1xw==,i=4096";
const PROOF: &str =
    "c=biws,r=AAECAwQFBgcICQoLDA0ODxARqBuOe/sQEZf3DUmuocsuCHoa,p=tGoQsKkiht2LwpFPifkIkkwcM7QKa3cy5EvK0W6TekI=";
const LAST: &str = "v=fn7FXj03BDbmJZvzA5AXmqgQHpurVrVJEqUKjU3OXI8=";

fn entropy() -> [u8; 18] {
    core::array::from_fn(|at| at as u8)
}

fn with_password() -> Login {
    Login::new("five").password("geheim", entropy())
}

fn client_first(mechanism: &str, header: &str) -> Vec<u8> {
    let first = format!("{header}n=,r=AAECAwQFBgcICQoLDA0ODxAR");
    message(b'p', [mechanism.as_bytes(), b"\0", &(first.len() as u32).to_be_bytes(), first.as_bytes()].concat())
}

fn startup(fields: &str) -> Vec<u8> {
    [&(fields.len() as u32 + 8).to_be_bytes()[..], b"\0\x03\0\0", fields.as_bytes()].concat()
}

#[test]
fn a_startup_names_user_database_and_settings() {
    let login = Login::new("me").database("db").parameter("application_name", "it");
    assert_eq!(fresh(login).take_out(), startup("user\0me\0database\0db\0application_name\0it\0\0"));
}

#[test]
fn a_server_that_trusts_asks_nothing_and_tells_its_settings_and_a_key() {
    let peer = [
        authentication(0, ""),
        message(b'S', "server_version\x0015.18\0"),
        message(b'K', [0, 0, 0x47, 0xd5, 0xab, 0xa2, 0x33, 0x15]),
        message(b'N', "SWARNING\0VWARNING\0C01000\0Mold\0\0"),
        ready("I"),
    ];
    let run = splits(&peer.concat(), false, || fresh(Login::new("me")));
    assert_eq!(told(&run), ["push server_version=15.18", "push key of 18389", "push notice WARNING 01000: old"]);
    assert_eq!(run.error, None);
    let mut machine = Client::new(Login::new("me")).unwrap();
    machine.connected(Established::default(), &mut Vec::new());
    let (peer, mut used) = (peer.concat(), 0);
    while used < peer.len() {
        assert_eq!(machine.slots(), 0);
        used += machine.receive(Input { bytes: &peer[used..], eof: false }, &mut Vec::new()).unwrap().0;
    }
    assert_eq!(machine.slots(), 1);
    // "CancelRequest": 16 bytes, 1234 and 5678, process and secret.
    let key = machine.cancel_key().unwrap();
    assert_eq!(key.request(), b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\x47\xd5\xab\xa2\x33\x15");
    assert_eq!(format!("{key:?}"), "CancelKey { process: 18389, .. }");
}

#[test]
fn what_runs_elsewhere_is_cancelled_without_a_login_and_inside_tls_where_that_is_wanted() {
    let mut machine = Client::new(Login::new("me")).unwrap();
    machine.connected(Established::default(), &mut Vec::new());
    let hello = [authentication(0, ""), message(b'K', [0, 0, 0x47, 0xd5, 0xab, 0xa2, 0x33, 0x15])].concat();
    machine.receive(Input { bytes: &hello, eof: false }, &mut Vec::new()).unwrap();
    machine.receive(Input { bytes: &hello[9..], eof: false }, &mut Vec::new()).unwrap();
    let key = machine.cancel_key().unwrap();
    let mut out = Vec::new();
    let mut plain = Client::new(Login::interrupt(key.clone())).unwrap();
    plain.connected(Established::default(), &mut out);
    assert_eq!((&out[..], plain.slots()), (&key.request()[..], 0));
    let in_tls = || Client::new(Login::interrupt(key.clone()).tls(Tls::Require)).unwrap();
    for (answer, says) in [(b"S", Ok((1, Event::StartTls))), (b"N", Err(Violation::NoTls.into()))] {
        let (mut machine, mut out) = (in_tls(), Vec::new());
        machine.connected(Established::default(), &mut out);
        assert_eq!(out, b"\0\0\0\x08\x04\xd2\x16\x2f", "SSLRequest, and nothing that could be read by others");
        out.clear();
        assert_eq!(machine.receive(Input { bytes: answer, eof: false }, &mut out), says);
        machine.connected(Established::default().over_tls(None), &mut out);
        let said = if answer == b"S" { key.request() } else { Vec::new() };
        assert_eq!(out, said, "after {answer:?}");
    }
}

#[test]
fn a_password_is_said_in_clear_where_the_server_wants_it_so() {
    let side = || fresh(with_password());
    Script::new()
        .expect(startup("user\0five\0\0"))
        .send(authentication(3, ""))
        .expect(message(b'p', "geheim\0"))
        .send([authentication(0, ""), ready("I")].concat())
        .expect_nothing()
        .run(side);
    for kind in [authentication(3, ""), authentication(5, [1, 2, 3, 4])] {
        let run = splits(&kind, false, || fresh(with_password().no_clear_text()));
        assert_eq!(run.error, broken(Violation::Authentication));
        let run = splits(&kind, false, || fresh(Login::new("me")));
        assert_eq!(run.error, broken(Violation::NoPassword));
    }
}

#[test]
fn a_password_is_hashed_with_user_and_salt_for_md5() {
    Script::new()
        .expect(startup("user\0five\0\0"))
        .send(authentication(5, [1, 2, 3, 4]))
        .expect(message(b'p', "md5871e4973ce4cd9d600cbe6585be8f043\0"))
        .send([authentication(0, ""), ready("I")].concat())
        .expect_nothing()
        .run(|| fresh(with_password()));
}

#[test]
fn scram_proves_the_password_without_saying_it() {
    Script::new()
        .expect(startup("user\0five\0\0"))
        .send(authentication(10, "SCRAM-SHA-256\0\0"))
        .expect(client_first("SCRAM-SHA-256", "n,,"))
        .send(authentication(11, FIRST))
        .expect(message(b'p', PROOF))
        .send([authentication(12, LAST), authentication(0, ""), ready("I")].concat())
        .expect_nothing()
        .run(|| fresh(with_password()));
}

/// What TLS offers, in place of TLS.
#[derive(Debug)]
struct Certificate;

impl ChannelBinding for Certificate {
    fn tls_server_end_point(&self) -> Option<Vec<u8>> {
        let hash = "ab26d4e219ea7da40c2032bb25092032ab9c89b711b3715aa313cf4e3ef32b75";
        Some((0..32).map(|at| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).unwrap()).collect())
    }

    fn tls_exporter(&self) -> Option<[u8; 32]> {
        None
    }
}

/// What a client inside TLS says to these messages, and how it ends.
fn inside_tls(login: Login, peer: &[Vec<u8>]) -> (Vec<u8>, Result<(), Error>) {
    let (mut machine, mut out) = (Client::new(login).unwrap(), Vec::new());
    machine.connected(Established::default().over_tls(None).bound_by(&Certificate), &mut out);
    out.clear();
    for bytes in peer {
        if let Err(error) = machine.receive(Input { bytes, eof: false }, &mut out) {
            return (out, Err(error));
        }
    }
    (out, Ok(()))
}

#[test]
fn scram_is_bound_to_the_certificate_where_the_server_offers_it() {
    let first = "r=AAECAwQFBgcICQoLDA0ODxARpvd7C83GZ3Mch3YyX2LnF1t4,s=n8pmD/A38chyAiyDXyy1xw==,i=4096";
    let proof = "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsqybU4hnqfaQMIDK7JQkgMqucibcRs3FaoxPPTj7zK3U=,\
                 r=AAECAwQFBgcICQoLDA0ODxARpvd7C83GZ3Mch3YyX2LnF1t4,p=kcjWsv3GrHCEdjXO/sMy18L1nFJBpWdeth7FAxhqrHA=";
    let both = authentication(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
    let peer = [
        both.clone(),
        authentication(11, first),
        authentication(12, "v=UGqDpKxicwMNZ67TeqSydZwsP4sv/pGqdRuDP6YCntk="),
        authentication(0, ""),
        ready("I"),
    ];
    let said = [client_first("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,"), message(b'p', proof)].concat();
    for binding in [Binding::Prefer, Binding::Require] {
        assert_eq!(inside_tls(with_password().binding(binding), &peer), (said.clone(), Ok(())));
    }
    // We could, and say so: a server whose offer was taken away sees it.
    let plain = authentication(10, "SCRAM-SHA-256\0\0");
    assert_eq!(inside_tls(with_password(), &[plain]).0, client_first("SCRAM-SHA-256", "y,,"));
    let unbound = with_password().binding(Binding::Disable);
    assert_eq!(inside_tls(unbound, &[both]).0, client_first("SCRAM-SHA-256", "n,,"));
}

#[test]
fn nothing_but_a_bound_login_does_where_it_is_demanded() {
    let bound = || with_password().binding(Binding::Require);
    for peer in [
        authentication(0, ""),
        authentication(3, ""),
        authentication(5, [0; 4]),
        authentication(10, "SCRAM-SHA-256\0\0"),
    ] {
        let (out, result) = inside_tls(bound(), &[peer]);
        assert_eq!((out, result.err()), (message(b'X', ""), broken(Violation::Unbound)));
    }
    let mut side = fresh(bound());
    assert_eq!(side.take_out(), b"", "nothing is said without TLS");
    side.receive(b"R", false);
    assert_eq!(side.finish().error, broken(Violation::Unbound));
}

#[test]
fn a_binding_is_not_offered_outside_of_tls() {
    let run = splits(&authentication(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"), false, || fresh(with_password()));
    assert_eq!(run.error, broken(Violation::Authentication));
}

/// How a SCRAM login ends in which the server says this.
fn scram(then: &[Vec<u8>], limits: Limits) -> Option<Error> {
    let peer = [authentication(10, "SCRAM-SHA-256\0\0"), then.concat()].concat();
    let start = || Side::client(Client::new(with_password()).unwrap().limits(limits), see);
    // Not cut at every place: each run computes thousands of hashes.
    let mut side = start();
    side.receive(&peer, false);
    side.finish().error
}

/// LIMITS: RUSTSEC-2026-0179, CVE-2026-42198.
#[test]
fn iterations_are_limited_before_one_is_computed() {
    let first = |iterations: &str| {
        let first = FIRST.replace("i=4096", &format!("i={iterations}"));
        scram(&[authentication(11, first)], Limits::default())
    };
    assert_eq!(first("100001"), too_large("SCRAM iterations", 100_000));
    assert_eq!(first("4294967295"), too_large("SCRAM iterations", 100_000));
    assert_eq!(first("99999999999999999999"), too_large("SCRAM iterations", 100_000));
    assert_eq!(first("4096"), None);
    for wrong in ["0", "", "-1", "+1", "4096x", "4 096"] {
        assert_eq!(first(wrong), broken(Violation::Scram), "i={wrong}");
    }
    let fewer = Limits::default().iterations(4095);
    assert_eq!(scram(&[authentication(11, FIRST)], fewer), too_large("SCRAM iterations", 4095));
}

#[test]
fn a_nonce_must_be_ours_and_go_on() {
    let nonce = "AAECAwQFBgcICQoLDA0ODxARqBuOe/sQEZf3DUmuocsuCHoa";
    for wrong in ["AAECAwQFBgcICQoLDA0ODxAR", "BAECAwQFBgcICQoLDA0ODxARqBuOe", "", "AAECAwQFBgcICQoLDA0ODxAR\u{7f}"] {
        let first = authentication(11, FIRST.replace(nonce, wrong));
        assert_eq!(scram(&[first], Limits::default()), broken(Violation::Scram), "r={wrong}");
    }
    for wrong in ["", "m=x,", "r=a"] {
        assert_eq!(scram(&[authentication(11, wrong)], Limits::default()), broken(Violation::Scram), "{wrong}");
    }
    for salt in ["*", ""] {
        let first = authentication(11, FIRST.replace("n8pmD/A38chyAiyDXyy1xw==", salt));
        assert_eq!(scram(&[first], Limits::default()), broken(Violation::Scram), "s={salt}");
    }
}

#[test]
fn a_server_must_prove_that_it_knows_the_password() {
    let first = || authentication(11, FIRST);
    for wrong in [LAST.replace("fn7", "fn8"), "v=".into(), "v=*".into(), "e=other-error".into(), String::new()] {
        let error = scram(&[first(), authentication(12, &wrong)], Limits::default());
        assert_eq!(error, broken(Violation::Unproven), "{wrong}");
    }
    let unproven = |then: &[Vec<u8>]| assert_eq!(scram(then, Limits::default()), broken(Violation::Unproven));
    unproven(&[authentication(0, "")]);
    unproven(&[first(), authentication(0, "")]);
    let early = scram(&[authentication(12, LAST)], Limits::default());
    assert_eq!(early, broken(Violation::Unexpected));
    assert_eq!(scram(&[first(), first()], Limits::default()), broken(Violation::Unexpected));
}

#[test]
fn a_key_saves_the_iterations_while_the_salt_is_the_same() {
    let peer = [
        authentication(10, "SCRAM-SHA-256\0\0"),
        authentication(11, FIRST),
        authentication(12, LAST),
        authentication(0, ""),
        ready("I"),
    ];
    let log_in = |login: Login| {
        let (mut machine, mut out) = (Client::new(login).unwrap(), Vec::new());
        machine.connected(Established::default(), &mut out);
        for bytes in &peer {
            machine.receive(Input { bytes, eof: false }, &mut out).map(drop)?;
        }
        Ok::<_, Error>(machine.scram_key().cloned())
    };
    let key = log_in(with_password()).unwrap().unwrap();
    assert_eq!(format!("{key:?}"), "ScramKey { iterations: 4096, .. }");
    // The key alone does it: the password is not looked at.
    let other = Login::new("me").password("another", entropy());
    assert_eq!(log_in(other.clone()), Err(Violation::Unproven.into()));
    assert_eq!(log_in(other.scram_key(key.clone())), Ok(Some(key)));
}

#[test]
fn a_way_to_log_in_that_we_do_not_have_is_refused() {
    // Kerberos, SCM, GSSAPI and its next step, SSPI, and none at all.
    for kind in [1, 2, 4, 6, 7, 8, 9, 13, u32::MAX] {
        let run = splits(&authentication(kind, ""), false, || fresh(with_password()));
        assert_eq!(run.error, broken(Violation::Authentication), "kind {kind}");
    }
    let run = splits(&authentication(10, "SCRAM-SHA-1\0\0"), false, || fresh(with_password()));
    assert_eq!(run.error, broken(Violation::Authentication));
    let run = splits(&authentication(10, "SCRAM-SHA-256\0\0"), false, || fresh(Login::new("me")));
    assert_eq!(run.error, broken(Violation::NoPassword));
    for malformed in [authentication(10, "SCRAM-SHA-256"), authentication(5, [1; 3]), authentication(0, "x")] {
        let run = splits(&malformed, false, || fresh(with_password()));
        assert_eq!(run.error, broken(Violation::Format), "{}", text(&malformed));
    }
}

#[test]
fn a_login_that_fails_tells_the_words_of_the_server() {
    let wrong = error("FATAL", "28P01", "password authentication failed");
    for peer in [wrong.clone(), [authentication(0, ""), wrong].concat()] {
        let run = splits(&peer, false, || fresh(Login::new("me")));
        assert_eq!(told(&run), ["push error FATAL 28P01: password authentication failed"]);
        assert_eq!(run.error, Some(Error::Rejected));
    }
}

/// lib/pq #1249: the text of a server that cannot start a process is no length.
#[test]
fn words_of_protocol_2_are_an_error_and_no_length() {
    let words = b"Ecould not fork new process for connection: Out of memory\n\0";
    let run = splits(words, false, || fresh(Login::new("me")));
    assert_eq!(told(&run), ["push error FATAL: could not fork new process for connection: Out of memory"]);
    assert_eq!(run.error, Some(Error::Rejected));
    let run = splits(b"Ebusy now", true, || fresh(Login::new("me")));
    assert_eq!(told(&run), ["push error FATAL: busy now"]);
    // Later the server speaks our protocol, and a length is one.
    let run = splits(&[authentication(3, ""), words.to_vec()].concat(), false, || fresh(with_password()));
    assert_eq!(run.error, too_large("message bytes", 30_000));
}

#[test]
fn before_the_login_is_over_only_it_is_listened_to() {
    for peer in [ready("I"), message(b'S', "a\0b\0"), message(b'N', "\0"), b"HTTP/1.1".to_vec()] {
        let run = splits(&peer, false, || fresh(Login::new("me")));
        assert_eq!((run.error, run.events.len()), (broken(Violation::Unexpected), 0), "{}", text(&peer));
    }
    for peer in [row(&[]), authentication(0, ""), message(b'A', "\0\0\0\0\0\0")] {
        let run = splits(&[authentication(0, ""), peer.clone()].concat(), false, || fresh(Login::new("me")));
        assert_eq!(run.error, broken(Violation::Unexpected), "{}", text(&peer));
    }
}

#[test]
fn a_login_that_cannot_be_written_is_refused() {
    let refused = |login: Login| assert!(matches!(Client::new(login), Err(Refused::Misuse(_))));
    refused(Login::new(""));
    refused(Login::new("a\0b"));
    refused(Login::new("a").database("b\0"));
    refused(Login::new("a").parameter("", "b"));
    refused(Login::new("a").password("b\0", [0; 18]));
    refused(Login::new("a").parameter("options", "x".repeat(10_000)));
}

#[test]
fn nothing_shows_the_password() {
    let login = with_password();
    assert!(!format!("{login:?}").contains("geheim"));
    let mut machine = Client::new(login).unwrap();
    machine.connected(Established::default(), &mut Vec::new());
    let shown = format!("{machine:?}");
    assert!(!shown.contains("geheim") && !shown.contains("103, 101, 104"), "{shown}");
    let steps = [Step::Bind { portal: "", statement: "", parameters: &[Parameter::text("geheim")], results: &[] }];
    let request = Request::Steps { steps: &steps, end: End::Sync };
    assert!(!format!("{request:?} {:?}", Parameter::text("geheim")).contains("geheim"));
}
