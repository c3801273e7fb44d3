//! TLS against real servers: nginx and `openssl s_server`. Versions, names, chains, client certificates, resumption, large
//! bodies, and servers that speak too old a TLS or none.
#![cfg(all(feature = "http1", feature = "tls"))]

mod support;

use std::path::Path;
use std::process::Command;

use aquests::{Client, Error, ErrorKind, Request, TlsSettings, Versions};
use support::tls::{Authority, Identity, Wanted};
use support::{Folder, Nginx, Peer, Server, Stunnel, must_end};

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

fn get(client: &mut Client, url: impl Into<String>) -> Result<String, Error> {
    client.get(url).expect("this URL is good");
    fetch(client).remove(0)
}

fn trusting(authority: &Authority) -> TlsSettings {
    TlsSettings::new().roots_pem(authority.pem.as_str())
}

fn client(settings: TlsSettings) -> Client {
    Client::builder().tls(settings).build().expect("the system has a poll")
}

/// A folder with what [`Nginx::secure`] wants to find there.
fn folder(identity: &Identity) -> Folder {
    let folder = Folder::new();
    folder.write("server.pem", &identity.chain);
    folder.write("server.key", &identity.key);
    folder
}

const VERSIONS: [(&str, &str); 2] = [("TLSv1.2", "TLSv1.2"), ("TLSv1.3", "TLSv1.3")];

#[test]
fn nginx_answers_on_one_kept_connection_in_either_version() {
    must_end(|| {
        let authority = Authority::new("root");
        for (directive, version) in VERSIONS {
            let location = format!(
                "ssl_protocols {directive}; location / {{ return 200 \"$ssl_protocol $connection $connection_requests\"; }}"
            );
            let nginx = Nginx::secure(folder(&authority.localhost()), &location);
            let mut client = client(trusting(&authority));
            for _ in 0..200 {
                client.get(nginx.url("/")).unwrap();
            }
            let answers: Vec<_> = fetch(&mut client).into_iter().map(Result::unwrap).collect();
            let connection = answers[0].split(' ').nth(1).unwrap().to_owned();
            for (number, answer) in answers.into_iter().enumerate() {
                assert_eq!(answer, format!("{version} {connection} {}", number + 1));
            }
        }
    });
}

#[test]
fn bodies_of_16_mib_pass_in_both_directions() {
    must_end(|| {
        // Nothing that repeats, so that no part can stand for another.
        let mut state = 1u64;
        let body: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(16 << 20)
        .collect();
        let authority = Authority::new("root");
        for (directive, _) in VERSIONS {
            let location = format!("ssl_protocols {directive}; location / {{ dav_methods PUT; }}");
            let nginx = Nginx::secure(folder(&authority.localhost()), &location);
            let mut client = client(trusting(&authority));
            client.send(Request::put(nginx.url("/file")).body(body.clone())).unwrap();
            client.get(nginx.url("/file")).unwrap();
            let mut answers = Vec::new();
            client
                .fetch_all_with(|_, outcome| {
                    answers.push(outcome.into_result()?);
                    Ok::<_, Error>(())
                })
                .unwrap();
            assert_eq!(answers[0].status().as_u16(), 201);
            assert!(
                answers[1].content() == body,
                "{} bytes came, and not those that were sent",
                answers[1].content().len()
            );
        }
    });
}

#[test]
fn a_chain_is_followed_to_the_root_and_a_gap_in_it_is_not_bridged() {
    must_end(|| {
        let root = Authority::new("root");
        let identity = root.below("between").below("further below").localhost();
        let nginx = Nginx::secure(folder(&identity), "location / { return 200 found; }");
        assert_eq!(get(&mut client(trusting(&root)), nginx.url("/")).unwrap(), "found");
        // A common mistake: the certificate is put on the server without what is between it and the root.
        let alone = Identity { chain: identity.pem.clone(), ..identity };
        let nginx = Nginx::secure(folder(&alone), "location / { return 200 found; }");
        let error = get(&mut client(trusting(&root)), nginx.url("/")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains("signed by an unknown authority"), "{error}");
    });
}

#[test]
fn stunnel_leads_to_servers_that_know_no_tls() {
    must_end(|| {
        let (authority, clients) = (Authority::new("root"), Authority::new("clients"));
        let nginx = Nginx::serve(Folder::new(), "location / { dav_methods PUT; }");
        let me = clients.issue(&Wanted { names: &["me"], client: true, ..Wanted::default() });
        let body = "stunnel ".repeat(1 << 18);
        for version in ["TLSv1.2", "TLSv1.3"] {
            let own = folder(&authority.localhost());
            own.write("clients.pem", &clients.pem);
            let clients = own.path().join("clients.pem");
            let options = format!("sslVersion = {version}\nverifyChain = yes\nCAfile = {}", clients.display());
            let stunnel = Stunnel::to(nginx.port(), own, &options);
            let mine = trusting(&authority).identity_pem(me.chain.as_str(), me.key.as_str());
            let mut known = client(mine);
            known.send(Request::put(stunnel.url("/file")).body(body.clone())).unwrap();
            assert!(fetch(&mut known)[0].is_ok());
            for _ in 0..20 {
                known.get(stunnel.url("/file")).unwrap();
            }
            assert!(fetch(&mut known).into_iter().all(|answer| answer.unwrap() == body), "{version}");
            let error = get(&mut client(trusting(&authority)), stunnel.url("/file")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls, "{version}: {error}");
        }
    });
}

#[test]
fn an_answer_that_ends_with_the_connection_is_whole_behind_stunnel() {
    must_end(|| {
        // No length: only close_notify tells that this is all (RFC 8446 §6.1).
        let peer = Peer::start(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\n\r\nall of it")
        });
        let authority = Authority::new("root");
        let stunnel = Stunnel::to(peer.address().port(), folder(&authority.localhost()), "");
        let mut client = Client::builder().tls(trusting(&authority)).versions(Versions::Http1).build().unwrap();
        assert_eq!(get(&mut client, stunnel.url("/")).unwrap(), "all of it");
    });
}

#[test]
fn nginx_sees_the_client_certificate_or_that_there_is_none() {
    must_end(|| {
        let (servers, clients, strangers) = (Authority::new("servers"), Authority::new("clients"), Authority::new("x"));
        let folder = folder(&servers.localhost());
        folder.write("clients.pem", &clients.pem);
        let locations = r#"
            ssl_verify_client on; ssl_client_certificate clients.pem;
            location / { return 200 "$ssl_client_verify $ssl_client_s_dn"; }
        "#;
        let nginx = Nginx::secure(folder, locations);
        let me = Wanted { names: &["me"], client: true, ..Wanted::default() };
        let (mine, foreign) = (clients.issue(&me), strangers.issue(&me));
        let with =
            |identity: &Identity| trusting(&servers).identity_pem(identity.chain.as_str(), identity.key.as_str());
        assert_eq!(get(&mut client(with(&mine)), nginx.url("/")).unwrap(), "SUCCESS CN=me");
        // nginx lets everybody in and says what is wrong in HTTP.
        let answer = get(&mut client(trusting(&servers)), nginx.url("/")).unwrap();
        assert!(answer.contains("No required SSL certificate was sent"), "{answer}");
        let answer = get(&mut client(with(&foreign)), nginx.url("/")).unwrap();
        assert!(answer.contains("The SSL certificate error"), "{answer}");
    });
}

#[test]
fn connections_of_a_pool_resume_the_sessions_of_each_other() {
    must_end(|| {
        let authority = Authority::new("root");
        for (directive, _) in VERSIONS {
            // Every request needs a connection of its own.
            let location = format!(
                "ssl_protocols {directive}; ssl_session_cache shared:all:1m; keepalive_timeout 0;
                location / {{ return 200 \"$ssl_session_reused\"; }}"
            );
            let nginx = Nginx::secure(folder(&authority.localhost()), &location);
            let settings = trusting(&authority);
            let resumed = |workers: usize| {
                let mut client = Client::builder().workers(workers).tls(settings.clone()).build().unwrap();
                for _ in 0..100 {
                    client.get(nginx.url("/")).unwrap();
                }
                let answers: Vec<_> = fetch(&mut client).into_iter().map(Result::unwrap).collect();
                assert!(answers.iter().all(|reused| reused == "r" || reused == "."), "{answers:?}");
                answers.iter().filter(|reused| *reused == "r").count()
            };
            assert_eq!(resumed(1), 99, "{directive}: all but the first");
            // Settings are shared, and sessions with them, even among clients.
            assert_eq!(resumed(1), 100, "{directive}");
            let several = resumed(8);
            assert!(several >= 92, "{directive}: {several} of 100 resumed on 8 connections at once");
        }
    });
}

#[test]
fn the_server_is_told_the_name_and_never_an_address() {
    must_end(|| {
        let authority = Authority::new("root");
        let nginx = Nginx::secure(folder(&authority.localhost()), r#"location / { return 200 "<$ssl_server_name>"; }"#);
        let mut client = client(trusting(&authority));
        let port = nginx.port();
        assert_eq!(get(&mut client, format!("https://localhost:{port}/")).unwrap(), "<localhost>");
        // RFC 6066 §3.
        assert_eq!(get(&mut client, format!("https://127.0.0.1:{port}/")).unwrap(), "<>");
    });
}

#[test]
fn the_certificate_must_have_the_name_in_the_url_wherever_the_connection_leads() {
    must_end(|| {
        let authority = Authority::new("root");
        let identity = authority.issue(&Wanted { names: &["example.org", "*.example.org"], ..Wanted::default() });
        let nginx = Nginx::secure(folder(&identity), r#"location / { return 200 "$ssl_server_name $host"; }"#);
        let mut client = client(trusting(&authority));
        let mut ask = |url: &str| {
            client.send(Request::get(url).unix_socket(nginx.socket())).unwrap();
            fetch(&mut client).remove(0)
        };
        assert_eq!(ask("https://example.org/").unwrap(), "example.org example.org");
        assert_eq!(ask("https://WWW.Example.org/").unwrap(), "www.example.org www.example.org");
        let error = ask("https://example.com/").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        let words = "the certificate is for example.org, *.example.org, not for example.com";
        assert!(error.to_string().ends_with(words), "{error}");
        assert!(error.peer().starts_with("unix:"), "{error}");
        // One star stands for one label (RFC 6125 §6.4.3).
        assert_eq!(ask("https://a.b.example.org/").unwrap_err().kind(), ErrorKind::Tls);
    });
}

#[test]
fn a_name_that_is_prescribed_takes_the_place_of_the_url_s() {
    must_end(|| {
        let authority = Authority::new("root");
        let identity = authority.issue(&Wanted { names: &["example.org"], ..Wanted::default() });
        let nginx = Nginx::secure(folder(&identity), r#"location / { return 200 "$ssl_server_name $host"; }"#);
        let ask = |name: &str| get(&mut client(trusting(&authority).server_name(name)), nginx.url("/"));
        assert_eq!(ask("example.org").unwrap(), "example.org 127.0.0.1");
        let error = ask("example.com").unwrap_err();
        assert!(error.to_string().ends_with("the certificate is for example.org, not for example.com"), "{error}");
        assert!(trusting(&authority).server_name("a b").check().unwrap_err().contains("cannot be in a certificate"));
        assert!(TlsSettings::new().roots_pem("nothing").check().unwrap_err().contains("no certificate"));
    });
}

/// A running `openssl s_server -www`, which answers with a page about the connection.
fn openssl(folder: &Folder, options: &[&str]) -> Server {
    let path = folder.path().to_owned();
    Server::start("openssl", "openssl", |command, port| {
        command.current_dir(&path).args(["s_server", "-www", "-cert", "server.pem", "-key", "server.key", "-accept"]);
        command.arg(format!("127.0.0.1:{port}")).args(options);
    })
}

#[test]
fn a_server_with_no_version_in_common_is_refused_in_plain_words() {
    must_end(|| {
        let authority = Authority::new("root");
        let folder = folder(&authority.localhost());
        let mut client = client(trusting(&authority));
        for (options, speaks) in [(&["-tls1_3"][..], true), (&["-tls1_2"], true), (&["-tls1_1"], false)] {
            let server = openssl(&folder, &[options, &["-cipher", "ALL:@SECLEVEL=0"]].concat());
            let answer = get(&mut client, format!("https://127.0.0.1:{}/", server.port));
            if speaks {
                assert!(answer.unwrap().contains("Ciphers"), "{options:?}");
                continue;
            }
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
            let words = "no version of TLS in common: only 1.2 and 1.3 are spoken here";
            assert!(error.to_string().contains(words) && !error.is_retryable(), "{error}");
        }
    });
}

/// Runs openssl to its end.
fn make(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output();
    let output = output.expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_openssl_makes_in_one_line_can_be_trusted_by_name() {
    must_end(|| {
        let folder = Folder::new();
        make(
            folder.path(),
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 \
             -keyout server.key -out server.pem",
        );
        let pem = std::fs::read(folder.path().join("server.pem")).unwrap();
        let server = openssl(&folder, &[]);
        let url = format!("https://127.0.0.1:{}/", server.port);
        assert!(get(&mut client(TlsSettings::new().roots_pem(pem)), &url).unwrap().contains("Ciphers"));
        let error = get(&mut client(trusting(&Authority::new("another"))), &url).unwrap_err();
        assert!(error.to_string().contains("by an unknown authority, or by nobody but itself"), "{error}");
    });
}

#[test]
fn insecure_accepts_even_certificates_of_version_1() {
    must_end(|| {
        let folder = Folder::new();
        make(folder.path(), "req -new -newkey rsa:2048 -nodes -subj /CN=old -keyout server.key -out server.csr");
        make(folder.path(), "x509 -req -in server.csr -signkey server.key -days 2 -out server.pem");
        for version in ["-tls1_2", "-tls1_3"] {
            let server = openssl(&folder, &[version]);
            let url = format!("https://127.0.0.1:{}/", server.port);
            let insecure = TlsSettings::new().insecure_accept_any_certificate();
            assert!(get(&mut client(insecure), &url).unwrap().contains("Ciphers"));
            let pem = std::fs::read(folder.path().join("server.pem")).unwrap();
            let error = get(&mut client(TlsSettings::new().roots_pem(pem)), &url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        }
    });
}

#[test]
fn plain_text_where_tls_is_wanted_and_the_other_way_round_are_told_apart() {
    must_end(|| {
        let authority = Authority::new("root");
        let plain = Nginx::start("location / { return 200 plain; }");
        let mut client = client(trusting(&authority));
        let error = get(&mut client, format!("https://127.0.0.1:{}/", plain.port())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains("is not TLS: its port may be one for plain text"), "{error}");
        let secure = Peer::secure(authority.localhost().server(), |conn| conn.echo());
        let error = get(&mut client, secure.url("/")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    });
}

#[test]
fn keys_are_logged_where_the_environment_says_and_only_if_asked_for() {
    const ROLE: &str = "AQUESTS_TEST_KEY_LOG";
    if let Ok(url) = std::env::var(ROLE) {
        // This process is the one below. It has the variable of which a process has only one.
        let (url, pem) = url.split_once(' ').unwrap();
        let settings = TlsSettings::new().roots_pem(std::fs::read(pem).unwrap());
        assert!(get(&mut client(settings.clone()), url).is_ok());
        assert!(get(&mut client(settings.key_log()), url).is_ok());
        return;
    }
    must_end(|| {
        let authority = Authority::new("root");
        for (directive, version) in VERSIONS {
            let nginx = Nginx::secure(
                folder(&authority.localhost()),
                &format!("ssl_protocols {directive}; location / {{ return 200 ok; }}"),
            );
            let folder = Folder::new();
            folder.write("root.pem", &authority.pem);
            let log = folder.path().join("keys");
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "keys_are_logged_where_the_environment_says_and_only_if_asked_for"])
                .env(ROLE, format!("{} {}", nginx.url("/"), folder.path().join("root.pem").display()))
                .env("SSLKEYLOGFILE", &log)
                .output()
                .unwrap();
            assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
            let log = std::fs::read_to_string(log).unwrap();
            let mut labels: Vec<_> = log.lines().map(|line| line.split(' ').next().unwrap()).collect();
            labels.sort_unstable();
            let wanted: &[&str] = match version {
                "TLSv1.2" => &["CLIENT_RANDOM"],
                _ => &[
                    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
                    "CLIENT_TRAFFIC_SECRET_0",
                    "EXPORTER_SECRET",
                    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
                    "SERVER_TRAFFIC_SECRET_0",
                ],
            };
            assert_eq!(labels, wanted, "one connection of two");
        }
    });
}
