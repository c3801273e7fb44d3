//! Whom a client believes, against servers with every kind of wrong certificate, and what it says when it does not. Both
//! versions of TLS, and both sides' certificates.
#![cfg(all(feature = "http1", feature = "tls"))]

mod support;

use std::sync::Arc;

use aquests::{Client, Error, ErrorKind, Request, TlsSettings};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use support::tls::{Authority, Identity, Wanted};
use support::{Conn, Folder, Peer, must_end};

/// One request; its body, or its error.
fn get(settings: TlsSettings, peer: &Peer) -> Result<String, Error> {
    ask(settings, Request::get(peer.secure_url("/asked")))
}

fn ask(settings: TlsSettings, request: Request) -> Result<String, Error> {
    let mut client = Client::builder().tls(settings).build().expect("the system has a poll");
    client.send(request).expect("this is a good request");
    let mut results = Vec::new();
    client
        .fetch_all_with(|_, outcome| {
            results.push(outcome.into_result());
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    assert_eq!(results.len(), 1, "one request has one outcome");
    results.remove(0).map(|response| response.text().into_owned())
}

fn echo(identity: &Identity) -> Peer {
    Peer::secure(identity.server(), Conn::echo)
}

fn trusting(pem: &str) -> TlsSettings {
    TlsSettings::new().roots_pem(pem)
}

fn insecure() -> TlsSettings {
    TlsSettings::new().insecure_accept_any_certificate()
}

const FORGED: &str = "a signature does not fit: the certificate is not from whom it names, or it is not the peer's own";

/// It fails because of the certificate, with these words and the name of the peer.
#[track_caller]
fn assert_refused(result: Result<String, Error>, peer: &Peer, words: &str) {
    let error = result.expect_err("this certificate must not be believed");
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert_eq!(error.to_string(), format!("TLS with {} failed: {words}", peer.address()));
    assert!(!error.is_retryable(), "trying again would not help");
    assert_eq!(peer.requests(), 0, "nothing was said to a server that was not believed");
}

#[test]
fn a_certificate_is_believed_only_in_its_time_with_its_name_and_from_a_known_root() {
    must_end(|| {
        let root = Authority::new("root");
        let refused = |wanted: Wanted<'_>, words: &str| {
            let identity = root.issue(&wanted);
            for version in [&TLS12, &TLS13] {
                let peer = Peer::secure(identity.server_of(version), Conn::echo);
                assert_refused(get(trusting(&root.pem), &peer), &peer, words);
                // It is the certificate and nothing else.
                assert_eq!(get(insecure(), &peer).unwrap(), "/asked");
            }
        };
        refused(
            Wanted { years: (2019, 2020), ..Wanted::default() },
            "the certificate has expired: it was good until 2020-12-31",
        );
        refused(
            Wanted { names: &["example.org"], ..Wanted::default() },
            "the certificate is for example.org, not for 127.0.0.1",
        );
        refused(
            Wanted { names: &["127.0.0.2", "127.0.0.3"], ..Wanted::default() },
            "the certificate is for 127.0.0.2, 127.0.0.3, not for 127.0.0.1",
        );
        refused(Wanted { client: true, ..Wanted::default() }, "the certificate is for another purpose than this");
        let peer = echo(&root.localhost());
        let unknown = "the certificate is signed by an unknown authority, or by nobody but itself";
        assert_refused(get(trusting(&Authority::new("another").pem), &peer), &peer, unknown);
        assert_refused(get(trusting(&Authority::new("root").pem), &peer), &peer, FORGED);
        assert_eq!(get(trusting(&root.pem), &peer).unwrap(), "/asked");
        // What the system trusts does not matter to who brings roots, and what one brings not to the system's.
        if let Err(error) = get(TlsSettings::new(), &peer) {
            assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        } else {
            panic!("nobody in the system knows this root");
        }
    });
}

#[test]
fn with_any_name_the_certificate_must_still_be_in_its_time_and_lead_to_a_root() {
    must_end(|| {
        let (root, stranger) = (Authority::new("root"), Authority::new("stranger"));
        let any_name = || trusting(&root.pem).accept_any_name();
        let wanted = || Wanted { names: &["example.org"], ..Wanted::default() };
        let peer = echo(&root.issue(&wanted()));
        assert!(get(trusting(&root.pem), &peer).unwrap_err().to_string().contains("is for example.org"));
        assert_eq!(get(any_name(), &peer).unwrap(), "/asked");
        for identity in [root.issue(&Wanted { years: (2019, 2020), ..wanted() }), stranger.issue(&wanted())] {
            let peer = echo(&identity);
            assert_eq!(get(any_name(), &peer).unwrap_err().kind(), ErrorKind::Tls);
            assert_eq!(peer.requests(), 0, "nothing was said to a server that was not believed");
        }
    });
}

#[test]
fn a_certificate_from_the_future_is_told_with_the_date_of_the_clock() {
    must_end(|| {
        let root = Authority::new("root");
        let peer = echo(&root.issue(&Wanted { years: (2088, 2089), ..Wanted::default() }));
        let error = get(trusting(&root.pem), &peer).unwrap_err().to_string();
        let words = "the certificate is not valid yet: it is good from 2088-01-01 on, and the clock here says 20";
        assert!(error.contains(words), "{error}");
    });
}

#[test]
fn a_certificate_that_was_named_itself_is_believed_whoever_signed_it() {
    must_end(|| {
        let wanted = Wanted::default();
        let (alone, as_authority) = (wanted.self_signed(), wanted.self_signed_authority());
        let unknown = Authority::new("unknown").below("between").localhost();
        let another = Authority::new("another").pem;
        for identity in [&alone, &as_authority, &unknown] {
            for version in [&TLS12, &TLS13] {
                let peer = Peer::secure(identity.server_of(version), Conn::echo);
                let words = "the certificate is signed by an unknown authority, or by nobody but itself";
                assert_refused(get(trusting(&another), &peer), &peer, words);
                assert_eq!(get(trusting(&identity.pem), &peer).unwrap(), "/asked");
                assert_eq!(get(trusting(&another).roots_pem(identity.pem.as_str()), &peer).unwrap(), "/asked");
            }
        }
        // It speaks for itself alone.
        let peer = echo(&wanted.self_signed_authority());
        assert!(get(trusting(&as_authority.pem), &peer).is_err());
    });
}

#[test]
fn a_certificate_that_was_named_itself_must_be_in_its_time_and_have_the_name() {
    must_end(|| {
        let refused = |wanted: Wanted<'_>, words: &str| {
            for identity in [wanted.self_signed(), wanted.self_signed_authority()] {
                let peer = echo(&identity);
                assert_refused(get(trusting(&identity.pem), &peer), &peer, words);
            }
        };
        refused(
            Wanted { years: (2019, 2020), ..Wanted::default() },
            "the certificate has expired: it was good until 2020-12-31",
        );
        refused(Wanted { names: &["a.b"], ..Wanted::default() }, "the certificate is for a.b, not for 127.0.0.1");
        let identity = Wanted { years: (2088, 2089), ..Wanted::default() }.self_signed_authority();
        let peer = echo(&identity);
        let error = get(trusting(&identity.pem), &peer).unwrap_err().to_string();
        assert!(error.contains("not valid yet"), "{error}");
    });
}

#[test]
fn who_shows_a_certificate_must_have_its_key() {
    must_end(|| {
        let (root, named) = (Authority::new("root"), Wanted::default().self_signed_authority());
        for (settings, certificate) in
            [(trusting(&root.pem), root.localhost()), (trusting(&named.pem), named), (insecure(), root.localhost())]
        {
            let key = root.localhost().signing_key();
            for version in [&TLS12, &TLS13] {
                let mut config = certificate.server_of(version);
                let shown = CertifiedKey::new(vec![certificate.der()], key.clone());
                config.cert_resolver = Arc::new(SingleCertAndKey::from(shown));
                let peer = Peer::secure(config, Conn::echo);
                assert_refused(get(settings.clone(), &peer), &peer, FORGED);
            }
        }
    });
}

#[test]
fn a_server_that_wants_a_certificate_gets_the_right_one_or_says_why_not() {
    must_end(|| {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let me = Wanted { names: &["me"], client: true, ..Wanted::default() };
        let mine = clients.below("between").issue(&me);
        let foreign = Authority::new("strangers").issue(&me);
        let expired = clients.issue(&Wanted { years: (2019, 2020), ..me.clone() });
        let trusting = || trusting(&servers.pem);
        let with = |identity: &Identity| trusting().identity_pem(identity.chain.as_str(), identity.key.as_str());
        for version in [&TLS12, &TLS13] {
            let peer = Peer::secure(servers.localhost().server_for(&clients, version), |conn| {
                let shown = conn.tls().peer_certificates().map_or(0, <[_]>::len);
                conn.request()?;
                conn.answer(format!("{shown} certificates"))
            });
            assert_eq!(get(with(&mine), &peer).unwrap(), "2 certificates");
            let refused = |settings: TlsSettings, words: &[&str]| {
                let error = get(settings, &peer).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
                let text = error.to_string();
                assert!(words.iter().any(|words| text.contains(words)), "{version:?}: {text}");
                assert!(text.contains(&peer.address().to_string()), "{text}");
            };
            // TLS 1.2 has no word for it (RFC 5246 §7.4.6).
            refused(trusting(), &["it wants a client certificate", "or a client certificate is missing"]);
            refused(with(&foreign), &["it does not know who signed our certificate"]);
            refused(with(&expired), &["our certificate has expired"]);
        }
    });
}

#[test]
fn an_identity_over_a_unix_socket_is_checked_against_the_name_in_the_url() {
    must_end(|| {
        let folder = Folder::new();
        let path = folder.path().join("tls.sock");
        let root = Authority::new("root");
        let config = Arc::new(root.issue(&Wanted { names: &["db.example"], ..Wanted::default() }).server());
        let _peer = Peer::unix(&path, move |conn| {
            conn.start_tls(&config)?;
            let name = conn.tls().server_name().map(str::to_owned);
            conn.request()?;
            conn.answer(name.unwrap_or_default())
        });
        let over = |url: &str| ask(trusting(&root.pem), Request::get(url).unix_socket(&path));
        assert_eq!(over("https://db.example/").unwrap(), "db.example");
        let error = over("https://other.example/").unwrap_err();
        let words = "failed: the certificate is for db.example, not for other.example";
        assert!(error.to_string().ends_with(words), "{error}");
        // The address in a URL is a name like any other.
        let error = over("https://127.0.0.1/").unwrap_err();
        assert!(error.to_string().ends_with("is for db.example, not for 127.0.0.1"), "{error}");
    });
}

#[test]
fn settings_that_cannot_work_fail_each_request_and_name_no_secret() {
    must_end(|| {
        let root = Authority::new("root");
        let (one, two) = (root.localhost(), root.localhost());
        let peer = echo(&one);
        let fails = |settings: TlsSettings, words: &str| {
            let error = get(settings, &peer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls);
            let text = format!("{error} {error:?}");
            assert!(text.contains(words), "{text}");
            for secret in one.key.lines().chain(two.key.lines()).filter(|line| !line.starts_with('-')) {
                assert!(!text.contains(secret), "{text}");
            }
        };
        fails(trusting("nothing"), "no certificate in the PEM text");
        fails(trusting(&one.key), "no certificate in the PEM text");
        fails(
            trusting("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "a root certificate is not valid",
        );
        fails(trusting(&root.pem).identity_pem(one.chain.as_str(), two.key.as_str()), "does not fit its key");
        fails(
            trusting(&root.pem).identity_pem(one.chain.as_str(), one.chain.as_str()),
            "no private key in the PEM text",
        );
        fails(trusting(&root.pem).identity_pem(one.key.as_str(), one.key.as_str()), "no certificate in the PEM text");
        let mangled = one.key.replace('A', "!");
        fails(trusting(&root.pem).identity_pem(one.chain.as_str(), mangled), "private key");
        assert_eq!(peer.connections(), 0, "nobody was bothered");
    });
}

#[test]
fn settings_show_no_key() {
    let identity = Authority::new("root").localhost();
    let settings = TlsSettings::new()
        .identity_pem(identity.chain.as_str(), identity.key.as_str())
        .insecure_accept_any_certificate();
    let tls = settings.connect("localhost", &[b"http/1.1"]).unwrap();
    let builder = Client::builder().tls(settings.clone());
    let text = format!("{settings:?} {tls:?} {builder:?}");
    for line in identity.key.lines() {
        assert!(!text.contains(line), "{text}");
    }
    assert!(text.contains("insecure: true") && text.contains("identity: true"), "{text}");
}
