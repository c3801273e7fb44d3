//! A protocol of one's own on the reactor: memcached's text protocol, sans-IO, in about 100 lines, then a handler that
//! stores and fetches. `cargo run --example own_protocol [HOST:PORT]`

mod support;

use std::collections::VecDeque;

use aquests::protocols::{Error, Established, Event, ExchangeId, Input, Limit, Protocol, Refused, Replay, Violation};
use aquests::reactor::{Address, At, Flow, Handler, Moment, Reactor, Reason, Sender};

/// The client side of memcached's text protocol: answers come in the order of the commands.
#[derive(Default)]
struct Memcached {
    waiting: VecDeque<ExchangeId>,
    /// A value is being answered: END is still to come.
    in_value: bool,
}

enum Command<'a> {
    Set(&'a str, &'a [u8]),
    Get(&'a str),
}

#[derive(Debug)]
enum Answer<'a> {
    Value(&'a [u8]),
    /// STORED, END, ERROR, …
    Line(&'a str),
}

const PIPELINE: usize = 16;
const LONGEST_LINE: usize = 2 << 10;
const LARGEST_VALUE: usize = 1 << 20;

impl Protocol for Memcached {
    type Request<'a> = Command<'a>;
    type Message<'a> = Answer<'a>;

    fn send(&mut self, id: ExchangeId, command: Command<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let (Command::Set(key, _) | Command::Get(key)) = command;
        if key.is_empty() || key.len() > 250 || key.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(Refused::Misuse("a key has 1 to 250 bytes, none of them a space or a control character"));
        }
        if self.slots() == 0 {
            return Err(Refused::NotNow);
        }
        match command {
            Command::Get(key) => out.extend_from_slice(format!("get {key}\r\n").as_bytes()),
            Command::Set(key, value) => {
                out.extend_from_slice(format!("set {key} 0 0 {}\r\n", value.len()).as_bytes());
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
            }
        }
        self.waiting.push_back(id);
        Ok(())
    }

    fn receive<'a>(&'a mut self, input: Input<'a>, _out: &mut Vec<u8>) -> Result<(usize, Event<Answer<'a>>), Error> {
        let Some(end) = input.bytes.iter().position(|&byte| byte == b'\n') else {
            if input.bytes.len() > LONGEST_LINE {
                return Err(Error::TooLarge(Limit { what: "line bytes", value: LONGEST_LINE as u64 }));
            }
            return Ok((0, Event::NeedData { at_least: input.bytes.len() + 1 }));
        };
        let line = std::str::from_utf8(&input.bytes[..end]).map_err(|_| broken("a line is not text"))?.trim_end();
        let id = *self.waiting.front().ok_or(broken("an answer to nothing"))?;
        if let Some(value) = line.strip_prefix("VALUE ").filter(|_| !self.in_value) {
            let length = value.split(' ').nth(2).and_then(|length| length.parse::<usize>().ok());
            let length = length.ok_or(broken("a value without a length"))?;
            if length > LARGEST_VALUE {
                return Err(Error::TooLarge(Limit { what: "value bytes", value: LARGEST_VALUE as u64 }));
            }
            let whole = end + 1 + length + 2;
            if input.bytes.len() < whole {
                return Ok((0, Event::NeedData { at_least: whole }));
            }
            self.in_value = true;
            let message = Answer::Value(&input.bytes[end + 1..end + 1 + length]);
            return Ok((whole, Event::Message { id, message, done: false }));
        }
        (self.in_value, _) = (false, self.waiting.pop_front());
        Ok((end + 1, Event::Message { id, message: Answer::Line(line), done: true }))
    }

    fn slots(&self) -> usize {
        PIPELINE - self.waiting.len()
    }

    fn cancel(&mut self, id: ExchangeId, _out: &mut Vec<u8>) -> bool {
        // Its answer would come all the same: without it, the connection must close.
        let open = self.waiting.len();
        self.waiting.retain(|waiting| *waiting != id);
        self.waiting.len() == open
    }

    fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
        self.waiting.pop_front().map(|id| (id, Replay::Unknown))
    }
}

fn broken(rule: &'static str) -> Error {
    Error::Violation(Violation::Other(rule))
}

/// Stores a hundred values and fetches them again.
#[derive(Default)]
struct Job {
    sent: u64,
    done: u64,
    values: u64,
    closed: Option<String>,
}

const COMMANDS: u64 = 200;

impl Handler<Memcached> for Job {
    fn connected(&mut self, _at: At, _established: Established<'_>) -> Memcached {
        Memcached::default()
    }

    fn pull(&mut self, at: At, to: &mut Sender<'_, Memcached>) {
        to.set_deadline(at.now + std::time::Duration::from_secs(5));
        while to.slots() > 0 && self.sent < COMMANDS {
            let key = format!("key-{}", self.sent % 100);
            let command = if self.sent < 100 { Command::Set(&key, key.as_bytes()) } else { Command::Get(&key) };
            to.send(ExchangeId(self.sent), command).expect("there is a slot, and the keys are fine");
            self.sent += 1;
        }
        if self.done == COMMANDS {
            to.close();
        }
    }

    fn on_message(&mut self, _at: At, id: Option<ExchangeId>, message: Answer<'_>, done: bool) -> Flow {
        let id = id.expect("memcached answers and says nothing else").0;
        match message {
            Answer::Value(value) => {
                assert_eq!(value, format!("key-{}", id - 100).as_bytes());
                self.values += 1;
            }
            Answer::Line(line) => assert_eq!(line, if id < 100 { "STORED" } else { "END" }),
        }
        self.done += u64::from(done);
        Flow::Continue
    }

    fn on_failed(&mut self, _at: At, id: ExchangeId, reason: &Reason, _replay: Replay) {
        println!("command {} failed: {reason}", id.0);
    }

    fn on_closed(&mut self, _at: At, _opened: bool, reason: &Reason) {
        self.closed = Some(reason.to_string());
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = Address::Tcp(support::memcached().parse()?);
    let mut reactor = Reactor::new()?;
    let mut job = Job::default();
    reactor.connect(&address, 0, Moment::NEVER)?;
    while job.closed.is_none() {
        reactor.turn(None, &mut job)?;
    }
    println!("{} commands, {} values, then: {}", job.done, job.values, job.closed.unwrap_or_default());
    assert_eq!((job.done, job.values), (COMMANDS, 100));
    Ok(())
}
