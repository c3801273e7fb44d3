//! Answers of a server for tests: messages as bytes, and the machine that reads them.

use crate::protocols::postgres::{Client, Login, Message, Request, Step};
use crate::protocols::{Established, Event, ExchangeId, Input, Protocol};

/// A message with its length.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

/// Columns with their types and formats.
pub(super) fn described(columns: &[(&str, u32, u16)]) -> Vec<u8> {
    let mut body = (columns.len() as u16).to_be_bytes().to_vec();
    for (name, type_oid, format) in columns {
        body.extend(name.bytes());
        body.extend([0; 7]);
        body.extend(type_oid.to_be_bytes());
        body.extend([0xff; 6]);
        body.extend(format.to_be_bytes());
    }
    message(b'T', &body)
}

pub(super) fn row(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = (fields.len() as u16).to_be_bytes().to_vec();
    for field in fields {
        body.extend(field.map_or(-1, |field| field.len() as i32).to_be_bytes());
        body.extend(field.unwrap_or_default());
    }
    message(b'D', &body)
}

/// A row of text.
pub(super) fn texts(fields: &[&str]) -> Vec<u8> {
    row(&fields.iter().map(|field| Some(field.as_bytes())).collect::<Vec<_>>())
}

pub(super) fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

pub(super) fn error(code: &str, routine: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0VERROR\0C{code}\0Mno\0R{routine}\0\0").as_bytes())
}

pub(super) fn ready(state: u8) -> Vec<u8> {
    message(b'Z', &[state])
}

/// A connection whose login is over.
pub(super) struct Line {
    client: Client,
    pub(super) sent: Vec<u8>,
}

impl Line {
    pub(super) fn new() -> Self {
        let mut line = Self { client: Client::new(Login::new("me")).unwrap().pipeline(8), sent: Vec::new() };
        line.client.connected(Established::default(), &mut line.sent);
        line.answer(&[message(b'R', &[0; 4]), ready(b'I')].concat(), |_| ());
        line.sent.clear();
        line
    }

    pub(super) fn send(&mut self, request: Request<'_>) {
        self.client.send(ExchangeId(1), request, &mut self.sent).unwrap();
    }

    /// The server says this.
    pub(super) fn answer(&mut self, bytes: &[u8], mut told: impl FnMut(Message<'_>)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (used, event) = self.client.receive(Input { bytes: rest, eof: false }, &mut self.sent).unwrap();
            match event {
                Event::Message { message, .. } | Event::Push(message) => told(message),
                Event::Progress => {}
                other => panic!("{other:?}"),
            }
            rest = &rest[used..];
        }
    }

    /// The kinds of the messages that were sent.
    pub(super) fn kinds(&mut self) -> String {
        let (mut kinds, mut rest) = (String::new(), &self.sent[..]);
        while let Some((&[kind, a, b, c, d], _)) = rest.split_first_chunk::<5>() {
            kinds.push(char::from(kind));
            rest = &rest[1 + u32::from_be_bytes([a, b, c, d]) as usize..];
        }
        self.sent.clear();
        kinds
    }
}

/// Messages of a simple query, or of steps without a description, to whoever wants them.
pub(super) fn tell(bytes: &[u8], told: impl FnMut(Message<'_>)) {
    let mut line = Line::new();
    line.send(Request::Query(""));
    line.answer(bytes, told);
}

/// The same for a portal whose columns nobody described.
pub(super) fn tell_undescribed(bytes: &[u8], told: impl FnMut(Message<'_>)) {
    let mut line = Line::new();
    let steps = [Step::Execute { portal: "", rows: 0 }];
    line.send(Request::Steps { steps: &steps, end: Default::default() });
    line.answer(bytes, told);
}
