//! Recordings as they are written down, and as seeds of the fuzz targets. Which protocol was spoken is not known here.

#![allow(dead_code)] // A fuzz target uses a part of it.

/// What one side said before the other one did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) connection: u32,
    pub(crate) by_server: bool,
    pub(crate) bytes: Vec<u8>,
}

/// The runs of a recording, as `examples/record.rs` wrote them.
pub(crate) fn read(text: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for line in text.lines() {
        let (from, quoted) = line.split_once(' ').expect("a line has a name and bytes");
        let (connection, by_server) = match from.split_at(from.len() - 1) {
            (number, "<") => (number, true),
            (number, ">") => (number, false),
            _ => panic!("neither side said {line}"),
        };
        let connection = connection.parse().expect("connections have numbers");
        let quoted = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("bytes are quoted");
        let bytes = unescape(quoted.as_bytes());
        match runs.last_mut() {
            Some(last) if (last.connection, last.by_server) == (connection, by_server) => last.bytes.extend(bytes),
            _ => runs.push(Run { connection, by_server, bytes }),
        }
    }
    runs
}

/// Undoes `escape_ascii`.
fn unescape(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let (byte, rest) = match text {
            [] => return bytes,
            [b'\\', b'x', high, low, rest @ ..] => {
                let digit = |it: &u8| char::from(*it).to_digit(16).expect("a digit of a byte") as u8;
                (16 * digit(high) + digit(low), rest)
            }
            [b'\\', b'n', rest @ ..] => (b'\n', rest),
            [b'\\', b'r', rest @ ..] => (b'\r', rest),
            [b'\\', b't', rest @ ..] => (b'\t', rest),
            [b'\\', other, rest @ ..] => (*other, rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        bytes.push(byte);
        text = rest;
    }
}

/// A conversation as the fuzz targets want it: each run with who said it (1: the server) and its length.
pub(crate) fn seed(runs: &[Run]) -> Vec<u8> {
    let mut seed = Vec::new();
    for run in runs {
        for piece in run.bytes.chunks(usize::from(u16::MAX)) {
            seed.push(run.by_server.into());
            seed.extend((piece.len() as u16).to_be_bytes());
            seed.extend(piece);
        }
    }
    seed
}

/// Undoes [`seed`], whatever is given: the last run may be shorter than it says.
pub(crate) fn runs(mut seed: &[u8]) -> Vec<Run> {
    let mut runs = Vec::new();
    while let [by, high, low, rest @ ..] = seed {
        let (bytes, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(rest.len()));
        runs.push(Run { connection: 1, by_server: by % 2 == 1, bytes: bytes.to_vec() });
        seed = after;
    }
    runs
}
