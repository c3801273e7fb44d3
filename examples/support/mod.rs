//! Servers for the examples, so that each runs by itself: blocking, a thread per connection, a few lines each. Give an
//! example an address as its argument and it uses that instead.
#![allow(dead_code)] // Each example uses one of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// The first argument, or the address of a server that answers every request with its path, and `/bytes/N` with N bytes.
/// A URL without a slash at its end.
pub(crate) fn http_server() -> String {
    std::env::args().nth(1).unwrap_or_else(|| format!("http://{}", start(answer_http)))
}

/// The first argument, or the address of a server that speaks as much of memcached's text protocol as the example needs.
pub(crate) fn memcached() -> String {
    std::env::args().nth(1).unwrap_or_else(|| start(answer_memcached))
}

fn start(answer: fn(TcpStream) -> Option<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    let address = listener.local_addr().expect("a bound socket has an address").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer_http(mut stream: TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if lines.read_until(b'\n', &mut head).ok()? == 0 {
                return None;
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        if head.contains("\r\nexpect: 100-continue\r\n") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.trim().parse().ok()?];
        lines.read_exact(&mut body).ok()?;
        if let Some(length) = head.split(' ').nth(1)?.strip_prefix("/bytes/") {
            let body = vec![b'x'; length.parse().ok()?];
            stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes()).ok()?;
            stream.write_all(&body).ok()?;
            continue;
        }
        let answer = format!("you asked for {}, with {} bytes\n", head.split(' ').nth(1)?, body.len());
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn answer_memcached(mut stream: TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut store = std::collections::HashMap::<String, Vec<u8>>::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["set", key, _, _, length] => {
                let mut value = vec![0; length.parse::<usize>().ok()? + 2];
                lines.read_exact(&mut value).ok()?;
                value.truncate(value.len() - 2);
                store.insert(key.to_owned(), value);
                stream.write_all(b"STORED\r\n").ok()?;
            }
            ["get", key] => {
                let mut answer = Vec::new();
                if let Some(value) = store.get(key) {
                    answer.extend_from_slice(format!("VALUE {key} 0 {}\r\n", value.len()).as_bytes());
                    answer.extend_from_slice(value);
                    answer.extend_from_slice(b"\r\n");
                }
                answer.extend_from_slice(b"END\r\n");
                stream.write_all(&answer).ok()?;
            }
            _ => stream.write_all(b"ERROR\r\n").ok()?,
        }
    }
}
