//! Drives the machine of Redis over a plain `TcpStream`: every argument behind the address is one command, and all of
//! them are on their way at once.
//!
//! ```text
//! cargo run -p aquests-protocols --features redis --example redis -- 127.0.0.1:6379 'SET city Plzen' 'GET city'
//! ```

use std::io::{self, Read, Write};
use std::net::TcpStream;

use aquests_protocols::redis::{Client, Message, Request};
use aquests_protocols::{Established, Event, ExchangeId, Input, Protocol};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:6379".into());
    let mut commands: Vec<String> = arguments.collect();
    if commands.is_empty() {
        commands = ["SET city Plzen", "GET city", "COMMAND COUNT"].map(String::from).to_vec();
    }
    let mut stream = TcpStream::connect(address)?;
    let (mut machine, mut unread, mut out) = (Client::new().resp3().pipeline(100), Vec::new(), Vec::new());
    let (mut sent, mut done, mut eof) = (0, 0, false);
    machine.connected(Established::default(), &mut out);
    while done < commands.len() {
        // A command that may not be sent is the user's mistake; without a slot it is tried again when something came.
        while sent < commands.len() && machine.slots() > 0 {
            let words: Vec<&[u8]> = commands[sent].split(' ').map(str::as_bytes).collect();
            machine.send(ExchangeId(sent as u64), Request::Words(&words), &mut out).map_err(io::Error::other)?;
            sent += 1;
        }
        stream.write_all(&out)?;
        out.clear();
        let (used, event) = machine.receive(Input { bytes: &unread, eof }, &mut out).map_err(io::Error::other)?;
        let mut wait = false;
        match event {
            Event::Message { id, message, done: last } => {
                match message {
                    Message::Reply(value) => println!("{}: {:?}", commands[id.0 as usize], value.to_value()),
                    Message::Bulk { length } => {
                        println!("{}: a long string, {length:?} bytes", commands[id.0 as usize])
                    }
                    Message::Data(bytes) => println!("… {} bytes", bytes.len()),
                }
                done += usize::from(last);
            }
            Event::Push(Message::Reply(value)) => println!("by itself: {:?}", value.to_value()),
            Event::NeedData { .. } | Event::Closed if eof => return Err(io::ErrorKind::UnexpectedEof.into()),
            Event::NeedData { .. } => wait = true,
            Event::Closed => eof = true,
            _ => {}
        }
        unread.drain(..used);
        // What was not sent yet may have a slot now, and the login may have more to say.
        if wait && out.is_empty() && (sent == commands.len() || machine.slots() == 0) {
            let mut piece = [0; 64 << 10];
            let length = stream.read(&mut piece)?;
            unread.extend_from_slice(&piece[..length]);
            eof = length == 0;
        }
    }
    Ok(())
}
