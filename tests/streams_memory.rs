//! Memory that streamed bodies take: none to speak of. A binary of its own, which nothing else weighs on.
#![cfg(feature = "http1")]

mod support;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aquests::{Client, Error, Flow, Form, Request, Response, Versions};
use support::{Folder, Nginx, forget_peak, must_end, peak_memory, resident_memory};

const LENGTH: u64 = 64 << 20;
/// What the process may grow by, at its peak, above what it was before.
const GROWTH: u64 = 16 << 20;

fn fetch_one(client: &mut Client, request: Request) -> Response {
    client.send(request).expect("it can be sent");
    let mut answer = None;
    client
        .fetch_all_with(|_, outcome| {
            answer = Some(outcome.into_result()?);
            Ok::<_, Error>(())
        })
        .expect("it was answered");
    answer.expect("there was an outcome")
}

/// Bytes that have no period that a buffer could have.
struct Pattern(u64);

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(LENGTH - self.0).unwrap_or(usize::MAX));
        for byte in &mut buffer[..room] {
            *byte = (self.0 % 251) as u8 ^ (self.0 >> 16) as u8;
            self.0 += 1;
        }
        Ok(room)
    }
}

#[track_caller]
fn assert_same(mut one: impl Read, mut two: impl Read) {
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = one.read(&mut left).expect("it can be read");
        two.read_exact(&mut right[..count]).expect("the other has as much");
        assert!(left[..count] == right[..count], "they differ");
        if count == 0 {
            assert_eq!(two.read(&mut right).expect("it can be read"), 0, "the other has more");
            return;
        }
    }
}

fn open(path: &Path) -> File {
    File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const PUT: &str = "location /put/ {
    dav_methods PUT; create_full_put_path on; client_max_body_size 1g; client_body_buffer_size 64k;
}";

fn round(client: &mut Client, nginx: &Nginx) {
    let there = |name: &str| nginx.folder().join("put").join(name);
    let url = |name: &str| nginx.url(&format!("/put/{name}"));
    let here = Folder::new();
    fetch_one(client, Request::put(url("warm")).body_reader(&b"warm"[..], None));
    let before = resident_memory();
    forget_peak();

    let put = |name: &str| Request::put(url(name));
    for (name, length) in [("length", Some(LENGTH)), ("chunks", None)] {
        assert_eq!(fetch_one(client, put(name).body_reader(Pattern(0), length)).status().as_u16(), 201);
        assert_same(Pattern(0), open(&there(name)));
    }
    assert_eq!(fetch_one(client, put("file").body_file(there("length"))).status().as_u16(), 201);
    assert_same(Pattern(0), open(&there("file")));
    let form = Form::new().text("a", "b").file("file", there("length"));
    assert_eq!(fetch_one(client, put("form").multipart(form)).status().as_u16(), 201);
    assert!(there("form").metadata().unwrap().len() > LENGTH);

    let path = here.path().join("file");
    assert_eq!(fetch_one(client, Request::get(url("length")).to_file(&path)).received(), LENGTH);
    assert_same(Pattern(0), open(&path));
    assert_eq!(fetch_one(client, Request::get(url("length")).discard()).received(), LENGTH);
    let mut pattern = Pattern(0);
    let compare = move |_: aquests::Head<'_>, bytes: &[u8]| {
        assert_same(bytes, (&mut pattern).take(bytes.len() as u64));
        Ok::<_, Error>(Flow::Continue)
    };
    assert_eq!(fetch_one(client, Request::get(url("length")).on_chunk(compare)).received(), LENGTH);

    let grown = peak_memory().saturating_sub(before);
    println!("the peak was {grown} bytes above what it was before");
    assert!(grown < GROWTH, "memory grew by {grown} bytes");
}

// One test: others would be weighed too.
#[test]
fn bodies_stream_both_ways_in_flat_memory_in_every_version() {
    must_end(|| {
        let nginx = Nginx::start(PUT);
        round(&mut Client::builder().versions(Versions::Http1).build().unwrap(), &nginx);
        #[cfg(feature = "http2")]
        {
            let nginx = Nginx::http2(Folder::new(), PUT);
            round(&mut Client::builder().versions(Versions::Http2).build().unwrap(), &nginx);
        }
        #[cfg(feature = "tls")]
        {
            let authority = support::tls::Authority::new("root");
            let (folder, identity) = (Folder::new(), authority.localhost());
            folder.write("server.pem", &identity.chain);
            folder.write("server.key", &identity.key);
            let nginx = Nginx::secure(folder, PUT);
            let settings = aquests::TlsSettings::new().roots_pem(authority.pem.as_str());
            round(&mut Client::builder().tls(settings).build().unwrap(), &nginx);
        }
    });
}
