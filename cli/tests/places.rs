//! Where `fetch` and `load` connect when they are told to connect elsewhere, and whom they ask for names.
#![cfg(unix)]

mod support;

use std::net::UdpSocket;
use std::thread;

use support::{OK, Server, aquests, refused};

#[test]
fn a_detour_is_for_the_host_and_the_port_that_it_names() {
    let server = Server::start(OK, 1_000);
    let port = server.address.port();
    let elsewhere = format!("example.org:81:127.0.0.1:{port}");
    let both = ["--connect-to", &elsewhere, "http://example.org:81/a", &format!("http://127.0.0.1:{port}/b")];
    assert_eq!(aquests(&[&["fetch"][..], &both].concat()).exits(0).out, "hihi");
    let mut requests = std::mem::take(&mut *server.requests.lock().unwrap());
    requests.sort();
    assert!(requests[0].starts_with("GET /a ") && requests[0].contains("\r\nhost: example.org:81\r\n"));
    assert!(requests[1].starts_with("GET /b ") && requests[1].contains(&format!("\r\nhost: 127.0.0.1:{port}\r\n")));
    // The same, for a load, which has one URL.
    let ran = aquests(&["load", "--quiet", "--connect-to", &elsewhere, "http://example.org:81/"]).exits(0);
    ran.prints(&format!("at 127.0.0.1:{port}: ")).prints("  200: 200\n");
    // For another port: it is not about this one.
    let other = format!("no.such.host.invalid:82:127.0.0.1:{port}");
    for command in ["fetch", "load"] {
        let ran = aquests(&[command, "--connect-to", &other, "http://no.such.host.invalid:81/"]).exits(1);
        ran.says("cannot resolve no.such.host.invalid");
        // What is left empty is any, or the same.
        aquests(&[command, "--connect-to", &format!("::127.0.0.1:{port}"), "http://no.such.host.invalid/"]).exits(0);
        let host = format!("127.0.0.1:{port}");
        aquests(&[command, "--connect-to", &format!(":81::{port}"), "http://127.0.0.1:81/"]).exits(0);
        aquests(&[command, "--connect-to", &host, "http://no.such.host.invalid/"]).exits(0);
    }
    let ran = aquests(&["fetch", "--connect-to", "no.such.host.invalid:1", "http://127.0.0.1/"]).exits(1);
    ran.says("cannot resolve 127.0.0.1:80: no.such.host.invalid: ");
}

#[test]
fn addresses_that_are_named_are_tried_until_one_answers() {
    let server = Server::start(OK, 1_000);
    let port = server.address.port();
    let url = format!("http://no.such.host.invalid:{port}/");
    for addresses in ["127.0.0.1", "127.0.0.9,127.0.0.1", "[::1],127.0.0.1"] {
        let known = format!("no.such.host.invalid:{port}:{addresses}");
        assert_eq!(aquests(&["fetch", "--resolve", &known, &url]).exits(0).out, "hi", "{addresses}");
        let ran = aquests(&["load", "--quiet", "-n", "50", "-c", "5", "--resolve", &known, &url]).exits(0);
        ran.prints("  200: 50\n");
    }
    // It is known for one port only; and a detour may lead to it.
    let known = format!("no.such.host.invalid:{port}:127.0.0.1");
    for command in ["fetch", "load"] {
        let ran = aquests(&[command, "--resolve", &known, "http://no.such.host.invalid:81/"]).exits(1);
        ran.says("cannot resolve no.such.host.invalid");
        let detour = format!("no.such.host.invalid:{port}");
        aquests(&[command, "--resolve", &known, "--connect-to", &detour, "http://example.org/"]).exits(0);
    }
    let nobody = format!("h:{}:127.0.0.1", refused().port());
    let ran = aquests(&["fetch", "--resolve", &nobody, &format!("http://h:{}/", refused().port())]).exits(1);
    assert!(!ran.err.is_empty());
}

#[test]
fn name_servers_that_are_named_are_asked() {
    let server = Server::start(OK, 10);
    let names = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = names.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut query = [0; 1500];
        loop {
            let (_, from) = names.recv_from(&mut query).unwrap();
            let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let wants_four = query[end - 4..end - 2] == [0, 1];
            // Its number and its question, and 127.0.0.1 for whom wants IPv4.
            let mut answer = query[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, u8::from(wants_four), 0, 0, 0, 0]);
            answer.extend(&query[12..end]);
            if wants_four {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1]);
            }
            names.send_to(&answer, from).unwrap();
        }
    });
    let url = format!("http://some.name.example:{}/", server.address.port());
    assert_eq!(aquests(&["fetch", "--dns-servers", &address, &url]).exits(0).out, "hi");
}
