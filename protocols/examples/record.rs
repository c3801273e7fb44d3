//! Stands between a client and a server and writes down what passes, whatever the protocol: this is how the recordings in
//! `tests/recordings` are made (see `tests/recordings/make`). The port at which it listens is told on the standard
//! output; it ends when so many connections have.
//!
//! ```text
//! cargo run -p aquests-protocols --example record -- 127.0.0.1:5432 conversation 1
//! ```
//!
//! A line holds the number of the connection, `>` for what the client says and `<` for what the server says, and the
//! bytes. Runs of one side are cut into lines for the eye only.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [server, file, connections] = &arguments[..] else {
        return Err(io::Error::new(ErrorKind::InvalidInput, "usage: record SERVER FILE CONNECTIONS"));
    };
    let connections: usize = connections.parse().map_err(io::Error::other)?;
    let tape = Mutex::new(Tape { file: File::create(file)?, from: String::new(), bytes: Vec::new() });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    thread::scope(|scope| {
        for number in 1..=connections {
            let client = listener.accept()?.0;
            let server = TcpStream::connect(server)?;
            let (tape, ends) = (&tape, (client.try_clone()?, server.try_clone()?));
            scope.spawn(move || pass(client, server, &format!("{number}>"), tape));
            scope.spawn(move || pass(ends.1, ends.0, &format!("{number}<"), tape));
        }
        Ok::<_, io::Error>(())
    })?;
    tape.into_inner().unwrap_or_else(PoisonError::into_inner).end()
}

/// Hands on what one side says until it hangs up, having written it down: so nothing stands before what it answers.
fn pass(mut from: TcpStream, mut to: TcpStream, name: &str, tape: &Mutex<Tape>) -> io::Result<()> {
    let mut piece = [0; 16 << 10];
    loop {
        let length = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        };
        tape.lock().unwrap_or_else(PoisonError::into_inner).add(name, &piece[..length])?;
        to.write_all(&piece[..length])?;
    }
    // The other side may have hung up before.
    let _ = to.shutdown(Shutdown::Write);
    Ok(())
}

struct Tape {
    file: File,
    /// Who said what is not written yet.
    from: String,
    bytes: Vec<u8>,
}

impl Tape {
    fn add(&mut self, from: &str, bytes: &[u8]) -> io::Result<()> {
        if self.from != from {
            self.end()?;
            self.from = from.to_owned();
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        /// Characters of a line, between its quotes.
        const WIDTH: usize = 100;
        let mut line = String::new();
        for byte in self.bytes.drain(..) {
            let escaped = byte.escape_ascii().to_string();
            if line.len() + escaped.len() > WIDTH {
                writeln!(self.file, "{} \"{line}\"", self.from)?;
                line.clear();
            }
            line.push_str(&escaped);
        }
        if !line.is_empty() {
            writeln!(self.file, "{} \"{line}\"", self.from)?;
        }
        Ok(())
    }
}
