//! Drives the machine of PostgreSQL over a plain `TcpStream`: every argument behind address and user is one statement,
//! with its values behind ` ;; `, and all of them are on their way at once. A COPY from STDIN gets what stands on the
//! standard input. The password is taken from `PGPASSWORD`.
//!
//! ```text
//! cargo run -p aquests-protocols --features postgres --example postgres -- \
//!     127.0.0.1:5432 postgres 'SELECT now()' 'SELECT $1::int + $2::int ;; 3 ;; 4'
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use aquests_protocols::postgres::{Client, End, Login, Parameter, Request, Step};
use aquests_protocols::{Established, Event, ExchangeId, Input, Protocol};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:5432".into());
    let mut login = Login::new(arguments.next().unwrap_or_else(|| "postgres".into()));
    let mut statements: Vec<String> = arguments.collect();
    if statements.is_empty() {
        statements = ["SELECT version()", "SELECT $1::int + $2::int ;; 3 ;; 4"].map(String::from).to_vec();
    }
    if let Ok(password) = std::env::var("PGPASSWORD") {
        let mut entropy = [0; 18];
        File::open("/dev/urandom")?.read_exact(&mut entropy)?;
        login = login.password(password, entropy);
    }
    let mut stream = TcpStream::connect(address)?;
    let mut machine = Client::new(login).map_err(io::Error::other)?.pipeline(100);
    let (mut unread, mut out) = (Vec::new(), Vec::new());
    let (mut sent, mut done, mut eof) = (0, 0, false);
    machine.connected(Established::default(), &mut out);
    while done < statements.len() {
        // A COPY must be alone: it waits for the others, and the others for it.
        while sent < statements.len() && machine.slots() > 0 && ask(&mut machine, sent, &statements[sent], &mut out)? {
            sent += 1;
        }
        if let Some((id, room)) = machine.wants_data() {
            let mut piece = vec![0; room];
            let length = io::stdin().read(&mut piece)?;
            machine.send_data(id, &piece[..length], length == 0, &mut out).map_err(io::Error::other)?;
        }
        stream.write_all(&out)?;
        out.clear();
        let (used, event) = machine.receive(Input { bytes: &unread, eof }, &mut out).map_err(io::Error::other)?;
        let mut wait = false;
        match event {
            Event::Message { id, message, done: last } => {
                println!("{}: {message:?}", id.0);
                done += usize::from(last);
            }
            Event::Failed { id, error, .. } => {
                println!("{}: {error}", id.0);
                done += 1;
            }
            Event::Push(message) => println!("by itself: {message:?}"),
            Event::NeedData { .. } | Event::Closed if eof => return Err(io::ErrorKind::UnexpectedEof.into()),
            Event::NeedData { .. } => wait = true,
            Event::Closed => eof = true,
            _ => {}
        }
        unread.drain(..used);
        if wait && out.is_empty() && machine.wants_data().is_none() {
            let mut piece = [0; 64 << 10];
            let length = stream.read(&mut piece)?;
            unread.extend_from_slice(&piece[..length]);
            eof = length == 0;
        }
    }
    machine.close(&mut out);
    stream.write_all(&out)
}

/// `false`: not now.
fn ask(machine: &mut Client, id: usize, statement: &str, out: &mut Vec<u8>) -> io::Result<bool> {
    let mut parts = statement.split(" ;; ");
    let sql = parts.next().unwrap_or_default();
    let parameters: Vec<_> = parts.map(Parameter::text).collect();
    let steps = [
        Step::Parse { name: "", sql, types: &[] },
        Step::Bind { portal: "", statement: "", parameters: &parameters, results: &[] },
        Step::DescribePortal(""),
        Step::Execute { portal: "", rows: 0 },
    ];
    let request = match sql.to_ascii_uppercase() {
        upper if upper.starts_with("COPY") && upper.contains("STDIN") => Request::CopyIn(sql),
        _ => Request::Steps { steps: &steps, end: End::Sync },
    };
    match machine.send(ExchangeId(id as u64), request, out) {
        Ok(()) => Ok(true),
        Err(aquests_protocols::Refused::NotNow) => Ok(false),
        Err(refused) => Err(io::Error::other(refused)),
    }
}
