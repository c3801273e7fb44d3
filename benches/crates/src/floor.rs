//! One statement after the other on one connection, by nothing but a blocking socket: the least that any client pays, for the
//! system calls and the waking. Knows the one answer that it expects, and no error.

use std::io::{Read, Write};
use std::net::TcpStream;

use aquests::load::{Control, Mode, Plan, run};
use aquests::postgres::Postgres;

use crate::Done;

const SELECT: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";

/// The same by a load with one connection.
pub(crate) fn ours(url: &str, statements: u64) -> Done {
    let plan = Plan::postgres(&Postgres::parse(url)?, SELECT, ["{rand:1:100000}"], Mode::Prepared)?;
    let report = run(&plan.connections(1).requests(statements), &Control::new())?;
    Ok(report.responses())
}

pub(crate) fn bare(url: &str, statements: u64) -> Done {
    let (_, place) = url.split_once('@').ok_or("no user in the URL")?;
    let mut stream = TcpStream::connect(place.split('/').next().unwrap_or_default())?;
    stream.set_nodelay(true)?;
    let mut hello = Vec::from(196_608_u32.to_be_bytes());
    hello.extend_from_slice(b"user\0postgres\0database\0postgres\0\0");
    let mut out = Vec::new();
    push(&mut out, None, &hello);
    ask(&mut stream, &out)?;
    out.clear();
    push(&mut out, Some(b'P'), &[b"s\0", SELECT.as_bytes(), b"\0\0\0"].concat());
    push(&mut out, Some(b'S'), b"");
    ask(&mut stream, &out)?;
    // A generator that any program would call fast.
    let mut number = 1_u64;
    let mut bind = Vec::new();
    for _ in 0..statements {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = (number >> 33) % 100_000 + 1;
        bind.clear();
        bind.extend_from_slice(b"\0s\0\0\0\0\x01\0\0\0\0");
        write!(bind, "{value}")?;
        let length = u32::try_from(bind.len() - 11)?;
        bind[7..11].copy_from_slice(&length.to_be_bytes());
        bind.extend_from_slice(b"\0\0");
        out.clear();
        push(&mut out, Some(b'B'), &bind);
        push(&mut out, Some(b'E'), b"\0\0\0\0\0");
        push(&mut out, Some(b'S'), b"");
        ask(&mut stream, &out)?;
    }
    Ok(statements)
}

fn push(out: &mut Vec<u8>, kind: Option<u8>, body: &[u8]) {
    out.extend(kind);
    out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    out.extend_from_slice(body);
}

/// Sends, and reads until the server is ready for more.
fn ask(stream: &mut TcpStream, out: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    stream.write_all(out)?;
    let (mut answer, mut length) = ([0; 8192], 0);
    loop {
        let count = stream.read(&mut answer[length..])?;
        length += count;
        match &answer[..length] {
            [b'E', ..] => return Err(String::from_utf8_lossy(&answer[5..length]).into_owned().into()),
            [.., b'Z', 0, 0, 0, 5, _] => return Ok(()),
            _ if count == 0 => return Err("the server hung up".into()),
            _ => {}
        }
    }
}
