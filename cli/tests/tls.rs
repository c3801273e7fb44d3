//! `fetch` and `load` over TLS, against `openssl s_server`: whom they trust, who they are, and what is said before
//! anything is sent.
#![cfg(unix)]

#[path = "support/secure.rs"]
mod secure;
mod support;

use std::fs;

use secure::{Certificates, Openssl};
use support::{Target, aquests, command, path, refused, start};

#[test]
fn a_root_of_one_s_own_is_trusted_and_nobody_else() {
    let certificates = Certificates::new("tls-root", &["localhost", "127.0.0.1"]);
    let server = Openssl::start(&certificates, &[]);
    let (url, root) = (server.url(), certificates.path("root.pem"));
    aquests(&["fetch", "--cacert", &root, &url]).exits(0).prints("Protocol  : TLSv1.3");
    let ran = aquests(&["load", "--quiet", "--cacert", &root, "-n", "3", "-c", "1", &url]).exits(0);
    ran.prints("  200: 3\n");
    let stranger = Certificates::new("tls-stranger", &["localhost"]);
    for command in ["fetch", "load"] {
        let ran = aquests(&[command, "--cacert", &stranger.path("root.pem"), &url]).exits(1);
        ran.says("the certificate is signed by an unknown authority");
    }
}

#[test]
fn insecure_believes_everybody_and_says_so() {
    let certificates = Certificates::new("tls-insecure", &["another.example"]);
    let server = Openssl::start(&certificates, &[]);
    let warning = "aquests: warning: --insecure believes any certificate";
    aquests(&["fetch", "-k", &server.url()]).exits(0).says(warning).prints("Protocol  : TLSv1.3");
    aquests(&["load", "--quiet", "--insecure", "-n", "2", "-c", "1", &server.url()]).exits(0).says(warning);
    let ran = aquests(&["fetch", "--cacert", &certificates.path("root.pem"), &server.url()]).exits(1);
    assert!(!ran.says("the certificate is for another.example, not for 127.0.0.1").err.contains("warning"));
}

#[test]
fn the_name_that_is_asked_for_can_be_another_than_the_url_s() {
    let certificates = Certificates::new("tls-sni", &["another.example"]);
    let options =
        ["-servername", "another.example", "-servername_fatal", "-cert2", "server.pem", "-key2", "server.key"];
    let server = Openssl::start(&certificates, &options);
    let root = certificates.path("root.pem");
    for command in ["fetch", "load"] {
        let args = [command, "--cacert", &root, "--sni", "another.example", &server.url()];
        aquests(&args).exits(0);
        let ran = aquests(&[command, "--cacert", &root, "--sni", "third.example", &server.url()]).exits(1);
        ran.says("it does not know the name that it was asked for");
    }
}

#[test]
fn a_client_certificate_is_shown_with_a_key_of_its_own_or_in_its_file() {
    let certificates = Certificates::new("tls-client", &["127.0.0.1"]);
    let server = Openssl::start(&certificates, &["-Verify", "1", "-verify_return_error", "-CAfile", "root.pem"]);
    let (root, pem, key) =
        (certificates.path("root.pem"), certificates.path("client.pem"), certificates.path("client.key"));
    aquests(&["fetch", "--cacert", &root, "--cert", &pem, &server.url()]).exits(0).prints("me.example");
    aquests(&["fetch", "--cacert", &root, "--cert", &pem, "--key", &key, &server.url()]).exits(0);
    aquests(&["load", "-n", "2", "-c", "1", "--cacert", &root, "--cert", &pem, &server.url()]).exits(0);
    aquests(&["fetch", "--cacert", &root, &server.url()]).exits(1).says("it wants a client certificate");
}

#[test]
fn what_an_address_says_is_told_rather_than_that_nobody_listens_at_another() {
    let certificates = Certificates::new("tls-several", &["127.0.0.1"]);
    let server = Openssl::start(&certificates, &[]);
    let port = server.address.port();
    // Nobody listens at the second, as with servers that know no IPv6.
    let (there, url) = (format!("h:{port}:127.0.0.1,127.0.0.2"), format!("https://h:{port}/"));
    for command in ["fetch", "load"] {
        let ran = aquests(&[command, "--resolve", &there, &url]).exits(1);
        ran.says("TLS with ").says("the certificate is signed by an unknown authority");
    }
}

#[test]
fn a_server_that_never_begins_with_tls_is_told_from_one_that_cannot_be_reached() {
    // Connections are made and nobody looks at them, as where a server waits for a line of its own protocol.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    aquests(&["fetch", "--connect-timeout", "100ms", &url]).exits(1).says("TLS was not agreed on within 100ms");
}

#[test]
fn one_version_is_spoken_where_that_is_wanted() {
    let certificates = Certificates::new("tls-version", &["127.0.0.1"]);
    let (any, old) = (Openssl::start(&certificates, &[]), Openssl::start(&certificates, &["-tls1_2"]));
    let root = certificates.path("root.pem");
    aquests(&["fetch", "--cacert", &root, "--tls1.2", &any.url()]).exits(0).prints("Protocol  : TLSv1.2");
    aquests(&["fetch", "--cacert", &root, "--tls1.3", &any.url()]).exits(0).prints("Protocol  : TLSv1.3");
    aquests(&["fetch", "--cacert", &root, &old.url()]).exits(0).prints("Protocol  : TLSv1.2");
    aquests(&["fetch", "--cacert", &root, "--tls1.3", &old.url()]).exits(1).says("no version of TLS in common");
}

#[test]
fn sessions_are_resumed_unless_that_is_not_wanted() {
    let certificates = Certificates::new("tls-resume", &["127.0.0.1"]);
    let root = certificates.path("root.pem");
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Openssl::start(&certificates, &[version]);
        let url = server.url();
        // The server closes each connection, and counts for how many of them it found a session.
        let hits = || {
            let page = aquests(&["fetch", "--no-resume", "--cacert", &root, &url]).exits(0).out;
            let line = page.lines().find(|line| line.ends_with(" session cache hits")).expect(&page);
            line.trim().split(' ').next().unwrap().parse::<u32>().unwrap()
        };
        let load = |more: &[&str]| {
            let args = [&["load", "--quiet", "-n", "5", "-c", "1", "--cacert", &root, &url], more].concat();
            aquests(&args).exits(0).prints("  200: 5\n");
            hits()
        };
        assert_eq!(load(&["--no-resume"]), 0, "{version}");
        assert_eq!(load(&[]), 4, "{version}: all but the first");
    }
}

#[test]
fn what_cannot_be_read_is_said_before_anything_is_sent() {
    let certificates = Certificates::new("tls-wrong", &["127.0.0.1"]);
    let url = format!("https://{}/", refused());
    let (pem, key, other) =
        (certificates.path("client.pem"), certificates.path("client.key"), certificates.path("server.key"));
    for (args, sentence) in [
        (&["--cacert", "/no/such/file"][..], "cannot read /no/such/file: "),
        (&["--cacert", &key], "no certificate in the PEM text"),
        (&["--cert", "/no/such/file"], "cannot read /no/such/file: "),
        (&["--cert", &pem, "--key", "/no/such/file"], "cannot read /no/such/file: "),
        (&["--cert", &key], "no certificate in the PEM text"),
        (&["--cert", &certificates.path("root.pem")], "no private key in the PEM text"),
        (&["--cert", &pem, "--key", &other], "the client certificate does not fit its key"),
        (&["--key", &key], "required arguments were not provided"),
        (&["--sni", "a b"], "--sni: 'a b' cannot be in a certificate"),
        (&["--tls1.2", "--tls1.3"], "cannot be used with"),
    ] {
        for command in ["fetch", "load"] {
            let ran = aquests(&[&[command], args, &[&url]].concat()).exits(2).says(sentence);
            assert_eq!(ran.out, "", "{args:?}");
            let secret = fs::read_to_string(&key).unwrap();
            assert!(secret.lines().all(|line| !ran.err.contains(line)), "{}", ran.err);
        }
    }
}

#[test]
fn keys_are_logged_where_the_environment_says() {
    let certificates = Certificates::new("tls-keys", &["127.0.0.1"]);
    let server = Openssl::start(&certificates, &[]);
    let (root, log) = (certificates.path("root.pem"), path("tls-keys.log"));
    let fetch = |log: &str| {
        let url = server.url();
        start(command(&["fetch", "--cacert", &root, &url]).env("SSLKEYLOGFILE", log)).end().exits(0)
    };
    assert!(!fetch("").err.contains("warning"));
    assert!(!fetch(log.to_str().unwrap()).err.contains("warning"));
    let keys = fs::read_to_string(&log).unwrap();
    assert!(keys.contains("CLIENT_TRAFFIC_SECRET_0 ") && keys.contains("SERVER_TRAFFIC_SECRET_0 "), "{keys}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&log).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "nobody else can read them");
    fs::remove_file(log).unwrap();
    fetch("/no/such/folder/keys").says("aquests: warning: no keys are written to /no/such/folder/keys: ");
}

#[test]
fn a_target_makes_its_certificate_and_says_where_to_find_its_authority() {
    let target = Target::secure(&["--tls"]);
    let authority = target.authority.clone().unwrap();
    let port = target.address.port();
    for version in ["--tls1.2", "--tls1.3"] {
        for host in ["127.0.0.1", "localhost"] {
            let url = format!("https://{host}:{port}/");
            aquests(&["fetch", version, "--cacert", &authority, &url]).exits(0).prints("the target of aquests");
        }
    }
    let (ran, body) =
        start(&mut command(&["fetch", "--cacert", &authority, &target.url("/bytes/5000000")])).end_with_bytes();
    ran.exits(0);
    assert_eq!(body.len(), 5_000_000);
    let args = ["load", "--quiet", "-n", "1k", "-c", "20", "--cacert", &authority, &target.url("/chunked/70000")];
    aquests(&args).exits(0).prints("  200: 1000\n");
    // Nobody else is fooled.
    let stranger = Target::secure(&["--tls"]);
    let ran = aquests(&["fetch", "--cacert", stranger.authority.as_ref().unwrap(), &target.url("/")]).exits(1);
    ran.says("the certificate");
    target.running.signal(rustix::process::Signal::INT);
    target.running.end().exits(0);
    assert!(!std::path::Path::new(&authority).exists(), "its file goes with it");
}

#[test]
fn clients_of_other_makers_trust_the_target_s_authority() {
    let target = Target::secure(&["--tls"]);
    let authority = target.authority.clone().unwrap();
    let output = std::process::Command::new("openssl")
        .args(["s_client", "-verify_return_error", "-verify_hostname", "localhost", "-alpn", "http/1.1", "-CAfile"])
        .args([&authority, "-connect", &target.address.to_string()])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl is missing; install it with: apt-get install openssl");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("ALPN protocol: http/1.1"), "{output:?}");
}

#[test]
fn a_target_is_who_it_is_told_to_be() {
    let certificates = Certificates::new("tls-target", &["127.0.0.1"]);
    let (root, pem, key) =
        (certificates.path("root.pem"), certificates.path("server.pem"), certificates.path("server.key"));
    let target = Target::secure(&["--cert", &pem, "--key", &key]);
    assert_eq!(target.authority, None);
    aquests(&["fetch", "--cacert", &root, &target.url("/")]).exits(0).prints("the target of aquests");
    for (args, sentence) in [
        (&["--cert", "/no/such/file"][..], "cannot read /no/such/file: "),
        (&["--cert", &pem], "no private key in the PEM text"),
        (&["--cert", &pem, "--key", &certificates.path("client.key")], "the certificate does not fit its key"),
        (&["--key", &key], "required arguments were not provided"),
    ] {
        aquests(&[&["target", "--listen", "127.0.0.1:0"], args].concat()).exits(2).says(sentence);
    }
}

#[test]
fn a_unix_socket_speaks_tls_too() {
    let socket = path("tls.sock");
    let socket = socket.to_str().unwrap();
    let target = start(&mut command(&["target", "--tls", "--unix-socket", socket]));
    target.wait_until_it_catches(rustix::process::Signal::INT);
    let ran = aquests(&["fetch", "-k", "--unix-socket", socket, "https://localhost/"]).exits(0);
    ran.prints("the target of aquests");
    aquests(&["load", "--quiet", "-k", "--unix-socket", socket, "https://localhost/"]).exits(0).prints("  200: 200\n");
    target.signal(rustix::process::Signal::INT);
    target.end().exits(0).prints("listening on unix socket").prints(", over TLS\nclients trust it with --cacert ");
}

#[test]
fn a_load_brings_a_target_with_tls_of_its_own() {
    let ran = aquests(&["load", "--quiet", "--tls"]).exits(0).prints("GET https://127.0.0.1:").prints("  200: 200\n");
    assert_eq!(ran.err, "", "what is made here is believed here");
    aquests(&["load", "--quiet", "--tls", "-n", "50", "-c", "5", "/bytes/100000"]).exits(0).prints("  200: 50\n");
    let ran = aquests(&["load", "--tls", "http://localhost/"]).exits(2);
    ran.says("--tls is for a target in this process");
}
