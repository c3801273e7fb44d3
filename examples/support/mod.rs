//! Servers for the examples, so that each runs by itself: blocking, a thread per connection, a few lines each. Give an
//! example an address as its argument and it uses that instead.
#![allow(dead_code)] // Each example uses one of them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
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

/// The first argument, or the address of a server that speaks as much of Redis (in RESP2) as the examples need.
pub(crate) fn redis() -> String {
    std::env::args().nth(1).unwrap_or_else(|| start(answer_redis))
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

fn answer_redis(mut stream: TcpStream) -> Option<()> {
    static STORE: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    static SUBSCRIBERS: Mutex<Vec<(String, TcpStream)>> = Mutex::new(Vec::new());
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    loop {
        // `*2`, and for each word its length and itself: `$3`, `GET`, `$4`, `city`.
        let count: usize = lines.next()?.ok()?.strip_prefix('*')?.parse().ok()?;
        let words: Vec<String> = (0..count).map_while(|_| lines.nth(1)?.ok()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut store = STORE.lock().ok()?;
        let reply = match words[..] {
            ["SET", key, value] => {
                store.insert(key.to_owned(), value.to_owned());
                "+OK\r\n".to_owned()
            }
            ["GET", key] => match store.get(key) {
                Some(value) => format!("${}\r\n{value}\r\n", value.len()),
                None => "$-1\r\n".to_owned(),
            },
            ["INCRBY", key, by] => {
                let value = store.entry(key.to_owned()).or_default();
                let sum = value.parse().unwrap_or(0) + by.parse::<i64>().ok()?;
                *value = sum.to_string();
                format!(":{sum}\r\n")
            }
            ["SUBSCRIBE", channel] => {
                SUBSCRIBERS.lock().ok()?.push((channel.to_owned(), stream.try_clone().ok()?));
                format!("*3\r\n$9\r\nsubscribe\r\n${}\r\n{channel}\r\n:1\r\n", channel.len())
            }
            ["PUBLISH", channel, text] => {
                let message =
                    format!("*3\r\n$7\r\nmessage\r\n${}\r\n{channel}\r\n${}\r\n{text}\r\n", channel.len(), text.len());
                let mut subscribers = SUBSCRIBERS.lock().ok()?;
                let heard_by = subscribers.iter_mut().filter(|(name, _)| name == channel);
                let count = heard_by.filter_map(|(_, to)| to.write_all(message.as_bytes()).ok()).count();
                format!(":{count}\r\n")
            }
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        drop(store);
        stream.write_all(reply.as_bytes()).ok()?;
    }
}
