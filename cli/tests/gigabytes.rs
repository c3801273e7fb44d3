//! A gigabyte each way through the command, which keeps none of it. `tests/run --long` runs it.
#![cfg(unix)]

mod support;

#[allow(unexpected_cfgs)]
#[path = "../../tests/support/mod.rs"]
mod servers;

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use servers::{PostgresServer, must_end};
use support::command;

const GIB: usize = 1 << 30;
/// Bytes of a line with its end: 2^20 of them are a gigabyte.
const LINE: usize = 1 << 10;
/// What the whole process may hold at its peak.
const MOST: u64 = 16 << 20;

/// Waits for its end; returns the most that it held in memory.
fn end(what: &str, mut child: Child, start: Instant) -> u64 {
    let mut most = 0;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        // The mark only rises, and is gone with the process.
        if let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            most = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{what}: {status}");
    println!("{what}: {:?}, and {} KiB at most", start.elapsed(), most >> 10);
    most
}

#[test]
fn a_gigabyte_goes_through_the_command_each_way_in_flat_memory() {
    must_end(|| {
        let server = PostgresServer::start();
        let url = server.url("trust:secret");
        server.psql("CREATE TABLE t (word text); GRANT ALL ON t TO PUBLIC");

        let sql = format!("COPY (SELECT repeat('x', {}) FROM generate_series(1, {})) TO STDOUT", LINE - 1, GIB / LINE);
        let start = Instant::now();
        let mut child = command(&["fetch", &url, &sql]).stderr(Stdio::inherit()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let (mut piece, mut bytes, mut lines) = (vec![0; 1 << 16], 0, 0);
            loop {
                match out.read(&mut piece).unwrap() {
                    0 => return (bytes, lines),
                    count => {
                        bytes += count;
                        lines += piece[..count].iter().filter(|byte| **byte == b'\n').count();
                    }
                }
            }
        });
        let most = end("COPY out", child, start);
        assert_eq!(reader.join().unwrap(), (GIB, GIB / LINE));
        assert!(most < MOST, "{most} bytes of memory");

        let start = Instant::now();
        let copy = "COPY t FROM STDIN WHERE word = ''";
        let mut child = command(&["fetch", "-v", &url, copy]).stdin(Stdio::piped()).spawn().unwrap();
        let (mut to, mut err) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
        let said = thread::spawn(move || {
            let mut said = String::new();
            err.read_to_string(&mut said).map(|_| said)
        });
        let writer = thread::spawn(move || {
            let mut line = vec![b'x'; LINE];
            line[LINE - 1] = b'\n';
            let lines = line.repeat(64);
            (0..GIB / lines.len()).try_for_each(|_| to.write_all(&lines))
        });
        let most = end("COPY in", child, start);
        writer.join().unwrap().unwrap();
        let said = said.join().unwrap().unwrap();
        assert!(said.contains("COPY 0"), "it was read, and no line is empty: {said}");
        assert!(most < MOST, "{most} bytes of memory");
    });
}
