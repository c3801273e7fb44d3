//! A PostgreSQL that answers when its test says so: what happens between two messages can be had at leisure. It lets
//! everybody in, and writes down what it is sent.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Conn, Peer};

/// A running one. Dropping it ends all its connections.
pub(crate) struct PostgresScript {
    shared: Arc<Shared>,
    peer: Peer,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    sent: Vec<String>,
    answers: VecDeque<Answer>,
    over: bool,
}

struct Answer {
    bytes: Vec<u8>,
    then: Then,
}

/// What comes behind an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Read,
    /// The connection ends.
    Close,
    /// Nothing is read before there is another answer, of no bytes perhaps.
    Wait,
}

/// AuthenticationOk, a key to cancel with, and ReadyForQuery.
const HELLO: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x07\0\0\0\x08Z\0\0\0\x05I";
/// What stands in place of a version where something is to be cancelled: 1234 and 5678.
const CANCEL: [u8; 4] = [0x04, 0xd2, 0x16, 0x2e];

impl PostgresScript {
    pub(crate) fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let peer = Peer::start({
            let shared = Arc::clone(&shared);
            move |conn| {
                let served = shared.serve(conn);
                shared.write_down(conn, served.as_ref().map_or("gone", |last| last));
                served.map(drop)
            }
        });
        Self { shared, peer }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.peer.address()
    }

    /// The types of the messages that came in one go, behind the number of their connection: `0 PDS` for Parse, Describe and
    /// Sync on the first one. `cancel`: a CancelRequest; `gone`: the client closed without a Terminate; `closed`: the server did.
    pub(crate) fn sent(&self) -> Vec<String> {
        self.shared.state().sent.clone()
    }

    /// Answers the first that has no answer, or the next that comes.
    pub(crate) fn answer(&self, bytes: impl Into<Vec<u8>>) {
        self.say(bytes.into(), Then::Read);
    }

    /// The same, and closes the connection.
    pub(crate) fn answer_and_close(&self, bytes: impl Into<Vec<u8>>) {
        self.say(bytes.into(), Then::Close);
    }

    /// The same, and reads nothing before there is another answer, which may have no bytes.
    pub(crate) fn answer_and_wait(&self, bytes: impl Into<Vec<u8>>) {
        self.say(bytes.into(), Then::Wait);
    }

    fn say(&self, bytes: Vec<u8>, then: Then) {
        self.shared.state().answers.push_back(Answer { bytes, then });
        self.shared.changed.notify_all();
    }

    /// A message of the server.
    pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("it is short");
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    /// A statement with values of these types is prepared: it has one column of that type, or none.
    pub(crate) fn prepared(values: &[u32], column: Option<u32>) -> Vec<u8> {
        let count = u16::try_from(values.len()).expect("they are few");
        let types = [&count.to_be_bytes()[..], &values.iter().flat_map(|oid| oid.to_be_bytes()).collect::<Vec<_>>()];
        let row = match column {
            // A name, no table, no place in it; the type, of any size, without a modifier, as text.
            Some(oid) => [b"\0\x01a\0\0\0\0\0\0\0", &oid.to_be_bytes()[..], b"\xff\xff\xff\xff\xff\xff\0\0"].concat(),
            None => Vec::new(),
        };
        let described = Self::message(if column.is_some() { b'T' } else { b'n' }, &row);
        [Self::message(b'1', b""), Self::message(b't', &types.concat()), described, Self::message(b'Z', b"I")].concat()
    }

    /// A statement did what it was to do.
    pub(crate) fn done() -> Vec<u8> {
        [Self::message(b'C', b"DONE\0"), Self::message(b'Z', b"I")].concat()
    }
}

impl Drop for PostgresScript {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_down(&self, conn: &Conn, what: &str) {
        self.state().sent.push(format!("{} {what}", conn.number()));
    }

    /// Returns what came last.
    fn serve(&self, conn: &mut Conn) -> io::Result<String> {
        if untyped(conn)?.starts_with(&CANCEL) {
            return Ok("cancel".to_owned());
        }
        conn.send(HELLO)?;
        let mut kinds = String::new();
        loop {
            let kind = conn.take(1)?[0];
            untyped(conn)?;
            kinds.push(kind.into());
            match kind {
                b'X' => return Ok(kinds),
                b'S' | b'Q' => {
                    self.write_down(conn, &kinds);
                    kinds.clear();
                    let mut then = Then::Wait;
                    while then == Then::Wait {
                        let answer = self.next_answer()?;
                        conn.send(answer.bytes)?;
                        then = answer.then;
                    }
                    if then == Then::Close {
                        return Ok("closed".to_owned());
                    }
                }
                _ => {}
            }
        }
    }

    fn next_answer(&self) -> io::Result<Answer> {
        let waits = |state: &mut State| state.answers.is_empty() && !state.over;
        let state = self.changed.wait_while(self.state(), waits);
        state.unwrap_or_else(PoisonError::into_inner).answers.pop_front().ok_or(io::ErrorKind::ConnectionAborted.into())
    }
}

/// Reads a message without a type: its length, and the rest.
fn untyped(conn: &mut Conn) -> io::Result<Vec<u8>> {
    let length = conn.take(4)?;
    let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
    conn.take(length as usize - 4)
}
