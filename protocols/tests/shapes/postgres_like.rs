//! A protocol with phases (PostgreSQL's, version 3): TLS in the middle, an extended-query pipeline in which one error
//! skips everything up to Sync, COPY, and notifications between answers.

use std::collections::VecDeque;

use aquests_protocols::testing::{Script, Seen, Side, splits};
use aquests_protocols::{Error, Established, Event, ExchangeId, Input, Limit, Protocol, Refused, Replay, Violation};

use crate::{failed, item, last, text, violation};

/// The client.
struct Postgres {
    phase: Phase,
    /// In the order in which they were sent, which is the order of the answers.
    exchanges: VecDeque<Exchange>,
    /// ReadyForQuery that are still to come for Syncs that were sent.
    syncs: usize,
    /// The requests sent last wait for a Sync of ours.
    unsynced: bool,
    error: Option<Error>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// SSLRequest was sent; its answer is one byte.
    Tls,
    Startup,
    Ready,
    /// An error came: what was sent before the next Sync is not executed, and every one of it fails.
    Skipping,
    /// The front exchange sends its COPY data; nothing may follow it.
    Copy {
        stalled: bool,
    },
    Closed,
}

struct Exchange {
    /// `None`: cancelled; its answer is read and dropped.
    id: Option<ExchangeId>,
    /// Sync was sent after it.
    sync: bool,
}

#[derive(Clone, Copy)]
enum Request<'a> {
    /// Goes to the server together with those after it, up to one that syncs.
    Query {
        sql: &'a str,
        sync: bool,
    },
    Copy {
        sql: &'a str,
    },
}

enum Message<'a> {
    Row(&'a [u8]),
    /// CommandComplete, with its tag.
    Complete(&'a [u8]),
    /// ErrorResponse: the server's words, and no error of the protocol.
    Error(&'a [u8]),
    Notification(&'a [u8]),
}

/// A message and the length before it may not be larger; libpq allows 1 GiB, which nobody wants by accident.
const MESSAGE: usize = 1 << 20;
const PIPELINE: usize = 32;
const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];

/// A message; the tests make their peers of it too.
fn message(kind: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut message = vec![kind];
    message.extend((body.len() as u32 + 4).to_be_bytes());
    message.extend(body);
    message
}

impl Postgres {
    fn new() -> Self {
        Self { phase: Phase::Tls, exchanges: VecDeque::new(), syncs: 0, unsynced: false, error: None }
    }

    /// The end of the connection: Terminate is in `out` before the error is returned.
    fn fail(&mut self, error: Error, out: &mut Vec<u8>) -> Error {
        out.extend(message(b'X', ""));
        self.error = Some(error);
        error
    }

    fn sync(&mut self, out: &mut Vec<u8>) {
        out.extend(message(b'S', ""));
        self.syncs += 1;
        self.unsynced = false;
        if let Some(exchange) = self.exchanges.back_mut() {
            exchange.sync = true;
        }
    }

    /// The answer of the front exchange goes on, or ends.
    fn answer<'a>(&mut self, message: Message<'a>, done: bool) -> Result<Event<Message<'a>>, Error> {
        let unasked = Error::Violation(Violation::Other("an answer that nobody asked for"));
        let exchange = if done { self.exchanges.pop_front() } else { self.exchanges.front().map(Exchange::copy) };
        let id = exchange.ok_or(unasked)?.id;
        Ok(id.map_or(Event::Progress, |id| Event::Message { id, message, done }))
    }

    fn receive_message<'a>(
        &mut self,
        kind: u8,
        body: &'a [u8],
        out: &mut Vec<u8>,
    ) -> Result<Event<Message<'a>>, Error> {
        match (kind, self.phase) {
            // At any time: NotificationResponse, NoticeResponse, ParameterStatus.
            (b'A', _) => Ok(Event::Push(Message::Notification(body))),
            (b'N' | b'S', _) => Ok(Event::Progress),
            // Authentication, of which this shape knows only that there was none to do.
            (b'R', Phase::Startup) => Ok(Event::Progress),
            (b'Z', Phase::Startup) => {
                self.phase = Phase::Ready;
                Ok(Event::Progress)
            }
            (b'Z', Phase::Ready | Phase::Skipping) if self.syncs > 0 => {
                self.syncs -= 1;
                self.phase = Phase::Ready;
                Ok(Event::Progress)
            }
            // A last word: the server says it and hangs up.
            (b'E', _) if self.exchanges.is_empty() => Ok(Event::Push(Message::Error(body))),
            (b'E', Phase::Ready | Phase::Copy { .. }) => {
                if self.unsynced {
                    self.sync(out);
                }
                let skips = self.exchanges.front().is_some_and(|exchange| !exchange.sync);
                self.phase = if skips { Phase::Skipping } else { Phase::Ready };
                self.answer(Message::Error(body), true)
            }
            // ParseComplete, BindComplete.
            (b'1' | b'2', Phase::Ready) => Ok(Event::Progress),
            (b'D', Phase::Ready) => self.answer(Message::Row(body), false),
            (b'C', Phase::Ready) => self.answer(Message::Complete(body), true),
            (b'G', Phase::Ready) if self.unsynced && self.exchanges.len() == 1 => {
                self.phase = Phase::Copy { stalled: false };
                Ok(Event::Progress)
            }
            _ => Err(Error::Violation(Violation::Other("a message out of place"))),
        }
    }
}

impl Exchange {
    fn copy(&self) -> Self {
        Self { ..*self }
    }
}

impl Protocol for Postgres {
    type Request<'a> = Request<'a>;
    type Message<'a> = Message<'a>;

    fn connected(&mut self, at: Established<'_>, out: &mut Vec<u8>) {
        if at.tls {
            self.phase = Phase::Startup;
            out.extend(b"\0\0\0\x12\0\x03\0\0user\0me\0\0");
        } else {
            out.extend(SSL_REQUEST);
        }
    }

    fn send(&mut self, id: ExchangeId, request: Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let copies = matches!(request, Request::Copy { .. });
        if self.slots() == 0 || (copies && !self.exchanges.is_empty()) {
            return Err(Refused::NotNow);
        }
        let (Request::Query { sql, .. } | Request::Copy { sql }) = request;
        if sql.contains('\0') {
            return Err(Refused::Misuse("a query has no NUL"));
        }
        out.extend(message(b'P', format!("\0{sql}\0\0\0")));
        out.extend(message(b'B', [0; 8]));
        out.extend(message(b'E', [0; 5]));
        self.exchanges.push_back(Exchange { id: Some(id), sync: false });
        self.unsynced = true;
        match request {
            // Flush: the server must answer before it is told to go on.
            Request::Copy { .. } => out.extend(message(b'H', "")),
            Request::Query { sync: true, .. } => self.sync(out),
            Request::Query { sync: false, .. } => {}
        }
        Ok(())
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, out: &mut Vec<u8>) -> Result<(usize, Event<Message<'a>>), Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.phase == Phase::Tls {
            return match input.bytes.first() {
                None => Ok((0, Event::NeedData { at_least: 1 })),
                Some(b'S') => Ok((1, Event::StartTls)),
                Some(_) => Err(self.fail(violation("the server has no TLS"), out)),
            };
        }
        // What was skipped fails before the next message is looked at: these events use no byte.
        if self.phase == Phase::Skipping
            && let Some(exchange) = self.exchanges.pop_front()
        {
            if exchange.sync {
                self.phase = Phase::Ready;
            }
            let error = violation("skipped after an error");
            let event = exchange.id.map(|id| Event::Failed { id, error, replay: Replay::NotProcessed });
            return Ok((0, event.unwrap_or(Event::Progress)));
        }
        let Some((&[kind, a, b, c, d], rest)) = input.bytes.split_first_chunk::<5>() else {
            return Ok((0, Event::NeedData { at_least: 5 }));
        };
        // The length counts itself. It is judged before anything is waited for, and nothing is reserved for it.
        let Some(length) = (u32::from_be_bytes([a, b, c, d]) as usize).checked_sub(4) else {
            return Err(self.fail(violation("a length below 4"), out));
        };
        if length > MESSAGE {
            return Err(self.fail(Error::TooLarge(Limit { what: "message bytes", value: MESSAGE as u64 }), out));
        }
        let Some(body) = rest.get(..length) else {
            return Ok((0, Event::NeedData { at_least: 5 + length }));
        };
        match self.receive_message(kind, body, out) {
            Ok(event) => Ok((5 + length, event)),
            Err(error) => Err(self.fail(error, out)),
        }
    }

    fn slots(&self) -> usize {
        // COPY stands alone, and it begins when the server says so.
        if self.phase != Phase::Ready || self.error.is_some() { 0 } else { PIPELINE - self.exchanges.len() }
    }

    fn wants_data(&self) -> Option<(ExchangeId, usize)> {
        let ready = self.phase == Phase::Copy { stalled: false };
        self.exchanges.front().and_then(|exchange| exchange.id).filter(|_| ready).map(|id| (id, MESSAGE))
    }

    fn send_data(&mut self, id: ExchangeId, data: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let copies = matches!(self.phase, Phase::Copy { .. });
        if !copies || self.exchanges.front().and_then(|exchange| exchange.id) != Some(id) {
            return Err(Refused::Misuse("this exchange is not sending a body"));
        }
        let data = &data[..data.len().min(MESSAGE)];
        out.extend(message(b'd', data));
        if last {
            out.extend(message(b'c', ""));
            self.sync(out);
            self.phase = Phase::Ready;
        }
        Ok(data.len())
    }

    fn stall(&mut self, _: ExchangeId) {
        if let Phase::Copy { stalled } = &mut self.phase {
            *stalled = true;
        }
    }

    fn resume(&mut self, id: ExchangeId, _: &mut Vec<u8>) {
        self.unstall(id);
    }

    fn unstall(&mut self, _: ExchangeId) {
        if let Phase::Copy { stalled } = &mut self.phase {
            *stalled = false;
        }
    }

    fn cancel(&mut self, id: ExchangeId, out: &mut Vec<u8>) -> bool {
        let Some(at) = self.exchanges.iter().position(|exchange| exchange.id == Some(id)) else { return true };
        self.exchanges[at].id = None;
        if let Phase::Copy { .. } = self.phase {
            // CopyFail: the server answers with an error, which nobody reads.
            out.extend(message(b'f', "cancelled\0"));
            self.sync(out);
            self.phase = Phase::Ready;
            return true;
        }
        at > 0
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        out.extend(message(b'X', ""));
        self.phase = Phase::Closed;
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        loop {
            if let Some(id) = self.exchanges.pop_front()?.id {
                let skipped = self.phase == Phase::Skipping;
                return Some((id, if skipped { Replay::NotProcessed } else { Replay::Unknown }));
            }
        }
    }
}

fn see(message: Message<'_>) -> Seen<String> {
    Seen::Item(match message {
        Message::Row(row) => format!("row {}", text(row)),
        Message::Complete(tag) => text(tag),
        Message::Error(words) => format!("error {}", text(words)),
        Message::Notification(words) => format!("notification {}", text(words)),
    })
}

/// A client behind TLS, ready for queries.
fn ready() -> Side<Postgres, String> {
    let mut side = Side::client(Postgres::new(), see);
    side.receive(b"S", false);
    side.receive(&[message(b'R', [0; 4]), message(b'Z', "I")].concat(), false);
    side.take_out();
    assert_eq!(side.take_events(), [Event::StartTls]);
    side
}

/// One that has sent queries, each with or without a Sync after it.
fn queries(syncs: &[bool]) -> Side<Postgres, String> {
    let mut side = ready();
    for (id, &sync) in syncs.iter().enumerate() {
        let request = Request::Query { sql: "SELECT 1", sync };
        side.machine.send(ExchangeId(id as u64), request, &mut side.out).unwrap();
    }
    side.take_out();
    side
}

fn answer(row: &str) -> Vec<u8> {
    [message(b'1', ""), message(b'2', ""), message(b'D', row), message(b'C', "SELECT 1")].concat()
}

fn text_of(text: &str) -> String {
    text.to_string()
}

#[test]
fn tls_begins_where_the_server_agrees_and_the_startup_follows_inside() {
    Script::new()
        .expect(SSL_REQUEST)
        .expect_nothing()
        .send("S")
        .expect_where("a startup message", |out| out.ends_with(b"user\0me\0\0").then_some(out.len()))
        .send([message(b'R', [0; 4]), message(b'S', "a\0b\0"), message(b'Z', "I")].concat())
        .expect_nothing()
        .run(|| Side::client(Postgres::new(), see));
}

#[test]
fn bytes_behind_the_answer_to_the_tls_request_are_refused() {
    let mut side = Side::client(Postgres::new(), see);
    side.receive(&[b"S", &message(b'E', "injected")[..]].concat(), false);
    assert_eq!(side.finish().error, Some(violation("bytes before the TLS that was asked for")));
}

#[test]
fn a_server_without_tls_is_left() {
    let run = splits(b"N", false, || Side::client(Postgres::new(), see));
    assert_eq!(run.error, Some(violation("the server has no TLS")));
    assert!(run.out.ends_with(&message(b'X', "")));
}

#[test]
fn pipelined_queries_are_answered_in_order_with_notifications_between() {
    let peer = [
        answer("a"),
        message(b'Z', "I"),
        message(b'A', "hello"),
        answer("b"),
        message(b'N', "notice"),
        answer("c"),
        message(b'Z', "I"),
    ];
    let run = splits(&peer.concat(), true, || queries(&[true, false, true]));
    let expected = [
        item(0, text_of("row a")),
        last(0, text_of("SELECT 1")),
        Event::Push(Seen::Item(text_of("notification hello"))),
        item(1, text_of("row b")),
        last(1, text_of("SELECT 1")),
        item(2, text_of("row c")),
        last(2, text_of("SELECT 1")),
    ];
    assert_eq!(run.events, expected);
    assert_eq!(run.error, None);
}

#[test]
fn an_error_fails_what_follows_up_to_the_sync_and_nothing_after_it() {
    let peer = [answer("a"), message(b'E', "division by zero"), message(b'Z', "I"), answer("e"), message(b'Z', "I")];
    let run = splits(&peer.concat(), true, || queries(&[false, false, false, true, true]));
    let skipped = violation("skipped after an error");
    let expected = [
        item(0, text_of("row a")),
        last(0, text_of("SELECT 1")),
        last(1, text_of("error division by zero")),
        failed(2, skipped, Replay::NotProcessed),
        failed(3, skipped, Replay::NotProcessed),
        item(4, text_of("row e")),
        last(4, text_of("SELECT 1")),
    ];
    assert_eq!(run.events, expected);
}

#[test]
fn an_error_of_the_last_query_before_a_sync_skips_nothing() {
    let peer = [message(b'E', "no"), message(b'Z', "I"), answer("b"), message(b'Z', "I")];
    let run = splits(&peer.concat(), true, || queries(&[true, true]));
    assert_eq!(run.events[0], last(0, text_of("error no")));
    assert_eq!(run.events[2], last(1, text_of("SELECT 1")));
}

#[test]
fn an_error_in_a_pipeline_without_sync_is_followed_by_one() {
    let run = Script::new()
        .send(message(b'E', "no"))
        .expect(message(b'S', ""))
        .send(message(b'Z', "I"))
        .expect_nothing()
        .run(|| queries(&[false, false]));
    let skipped = failed(1, violation("skipped after an error"), Replay::NotProcessed);
    assert_eq!(run.events, [last(0, text_of("error no")), skipped]);
}

/// A client that copies: it sends two parts when it is asked, and stalls once between them.
fn copying() -> Side<Postgres, String> {
    let mut side = ready();
    side.machine.send(ExchangeId(0), Request::Copy { sql: "COPY t FROM STDIN" }, &mut side.out).unwrap();
    side.take_out();
    let mut parts = vec![(&b"2\n"[..], true), (b"1\n", false)];
    side.acting(move |side, event| {
        while let Some((id, room)) = side.machine.wants_data().filter(|_| event.is_none()) {
            assert!(room >= 2);
            let Some((part, end)) = parts.pop() else { panic!("asked for more than there is") };
            assert_eq!(side.machine.send_data(id, part, end, &mut side.out), Ok(2));
            if !end {
                side.machine.stall(id);
                assert_eq!(side.machine.wants_data(), None);
                side.machine.resume(id, &mut side.out);
            }
        }
    })
}

#[test]
fn a_copy_sends_its_data_when_the_server_is_ready_for_it() {
    let run = Script::new()
        .expect_nothing()
        .send([message(b'1', ""), message(b'2', ""), message(b'G', [0, 0, 0])].concat())
        .expect([message(b'd', "1\n"), message(b'd', "2\n"), message(b'c', ""), message(b'S', "")].concat())
        .send([message(b'C', "COPY 2"), message(b'Z', "I")].concat())
        .run(copying);
    assert_eq!(run.events, [last(0, text_of("COPY 2"))]);
}

#[test]
fn a_copy_that_the_server_refuses_sends_no_data() {
    let run = Script::new()
        .send(message(b'E', "no such table"))
        .expect(message(b'S', ""))
        .send(message(b'Z', "I"))
        .expect_nothing()
        .run(copying);
    assert_eq!(run.events, [last(0, text_of("error no such table"))]);
}

#[test]
fn a_cancelled_copy_says_so_and_the_connection_lives() {
    let start = || {
        let mut side = ready();
        side.machine.send(ExchangeId(0), Request::Copy { sql: "COPY t FROM STDIN" }, &mut side.out).unwrap();
        side.receive(&message(b'G', [0, 0, 0]), false);
        assert!(side.machine.cancel(ExchangeId(0), &mut side.out));
        side.machine.send(ExchangeId(1), Request::Query { sql: "SELECT 1", sync: true }, &mut side.out).unwrap();
        side
    };
    let peer = [message(b'E', "cancelled"), message(b'Z', "I"), answer("a"), message(b'Z', "I")];
    let run = splits(&peer.concat(), true, start);
    assert_eq!(run.events, [item(1, text_of("row a")), last(1, text_of("SELECT 1"))]);
}

#[test]
fn a_length_is_judged_before_anything_is_waited_for() {
    let run = splits(b"D\x7f\xff\xff\xff", false, || queries(&[true]));
    assert_eq!(run.error, Some(Error::TooLarge(Limit { what: "message bytes", value: MESSAGE as u64 })));
    assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)]);
    let run = splits(b"D\0\0\0\x03", false, || queries(&[true]));
    assert_eq!(run.error, Some(violation("a length below 4")));
}

#[test]
fn a_last_word_of_the_server_is_no_answer_and_what_is_open_is_named() {
    let run = splits(&message(b'E', "shutting down"), true, || queries(&[]));
    assert_eq!(run.events, [Event::Push(Seen::Item(text_of("error shutting down")))]);
    assert_eq!(run.error, None);
    let run = splits(&message(b'E', "shutting down"), true, || queries(&[true, true]));
    assert_eq!(run.unfinished, [(ExchangeId(1), Replay::Unknown)]);
}
