//! Forms with parts of every kind, as another implementation reads them.
#![cfg(feature = "http1")]

mod support;

use std::{fs, thread};

use aquests::{Client, Error, ErrorKind, Form, Part, Request, Response};
use support::{Folder, Peer, Python, must_end};

/// What came of one request, which is all there is.
fn fetch_one(client: &mut Client) -> Result<Response, Error> {
    let mut results = Vec::new();
    client
        .fetch_all_with(|_, outcome| {
            results.push(outcome.into_result());
            Ok::<_, Error>(())
        })
        .expect("the loop works");
    assert_eq!(results.len(), 1, "{results:?}");
    results.remove(0)
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + (at * 7 % 26) as u8).collect()
}

#[test]
fn a_form_is_read_by_another_implementation_as_it_was_meant() {
    must_end(|| {
        let python = Python::echo();
        let folder = Folder::new();
        let (photo, empty) = (folder.path().join("my \"car\".jpg"), folder.path().join("empty"));
        let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        fs::write(&photo, &bytes).unwrap();
        fs::write(&empty, "").unwrap();
        let form = Form::new()
            .text("author", "James Milton")
            .text("", "")
            .file("file", &photo)
            .file("none", &empty)
            .part("a\r\nb", Part::bytes("--\r\n--\r\n").file_name("raw").content_type("text/x"));
        let mut client = Client::new().unwrap();
        client.send(Request::post(python.url("/")).multipart(form)).unwrap();
        let told: serde_json::Value = fetch_one(&mut client).expect("it was answered").json().expect("it is JSON");
        let base64 = |bytes: &[u8]| {
            let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let mut text = String::new();
            for three in bytes.chunks(3) {
                let number = (0..3).fold(0u32, |n, at| n << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
                for at in 0..4 {
                    let letter = letters[(number >> (18 - 6 * at) & 63) as usize] as char;
                    text.push(if at <= three.len() { letter } else { '=' });
                }
            }
            text
        };
        let octets = "application/octet-stream";
        let expected = serde_json::json!([
            ["author", null, "text/plain", base64(b"James Milton")],
            ["", null, "text/plain", ""],
            ["file", "my %22car%22.jpg", octets, base64(&bytes)],
            ["none", "empty", octets, ""],
            ["a%0D%0Ab", "raw", "text/x", base64(b"--\r\n--\r\n")],
        ]);
        assert!(told["parts"] == expected, "it was read otherwise: {}", told["parts"]);
        let headers = told["headers"].to_string();
        assert!(headers.contains("ontent-length") && !headers.contains("chunked"), "all lengths are known: {headers}");
    });
}

/// A pipe has no length: the form is sent in chunks.
#[test]
fn a_form_with_a_part_of_unknown_length_is_sent_in_chunks() {
    must_end(|| {
        let peer = Peer::echo();
        let folder = Folder::new();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let written = thread::spawn({
            let pipe = pipe.clone();
            move || fs::write(pipe, text(100_000)).unwrap()
        });
        let mut client = Client::new().unwrap();
        client.send(Request::post(peer.url("/")).multipart(Form::new().text("a", "b").file("pipe", &pipe))).unwrap();
        fetch_one(&mut client).expect("it was answered");
        written.join().unwrap();
        let seen = &peer.seen()[0];
        assert_eq!(seen.field("transfer-encoding"), Some("chunked"));
        assert!(seen.field("content-type").is_some_and(|kind| kind.starts_with("multipart/form-data; boundary=")));
        assert!(seen.body.windows(1_000).any(|bytes| bytes == &text(100_000)[99_000..]));
        client.send(Request::post(peer.url("/")).multipart(Form::new().file("none", "/no/such/file"))).unwrap();
        let error = fetch_one(&mut client).expect_err("there is no such file");
        assert_eq!(error.kind(), ErrorKind::Upload, "{error}");
    });
}
