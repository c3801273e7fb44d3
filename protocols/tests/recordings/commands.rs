//! What another client of Redis said, asked of ours: its commands are read word by word, and sent again. Nothing of what
//! comes from a server is read here.

use core::str;

use aquests_protocols::redis::{Client, Message, Request, Value};
use aquests_protocols::testing::{Seen, Side};
use aquests_protocols::{ExchangeId, Protocol};

pub(crate) type AtClient = Side<Client, String>;

/// A client without a login: whoever was recorded said everything himself.
pub(crate) fn start() -> AtClient {
    Side::client(Client::new().pipeline(100), see)
}

/// Asks for what a run of commands asks for. What is refused or makes no sense is left out: a client that was recorded
/// does neither.
pub(crate) fn say(side: &mut AtClient, mut bytes: &[u8], next: &mut u64) {
    // An empty line is no command.
    while let Some((words, rest)) = command(bytes.strip_prefix(b"\r\n").unwrap_or(bytes)) {
        bytes = rest;
        if side.machine.send(ExchangeId(*next), Request::Words(&words), &mut side.out).is_ok() {
            *next += 1;
        }
    }
}

/// The first command, and what follows it.
fn command(mut bytes: &[u8]) -> Option<(Vec<&[u8]>, &[u8])> {
    let count = header(&mut bytes, b'*')?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = header(&mut bytes, b'$')?;
        let (word, rest) = bytes.split_at_checked(length)?;
        words.push(word);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
    Some((words, bytes))
}

fn header(bytes: &mut &[u8], kind: u8) -> Option<usize> {
    let rest = bytes.strip_prefix(&[kind])?;
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    *bytes = &rest[end + 2..];
    str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

fn see(message: Message<'_>) -> Seen<String> {
    match message {
        Message::Reply(value) => Seen::Item(format!("{:?} {:?}", Value::from(value), value.attributes())),
        Message::Bulk { length } => Seen::Item(format!("bulk {length:?}")),
        Message::Data(bytes) => Seen::Data(bytes.to_vec()),
    }
}
