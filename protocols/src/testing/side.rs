//! One end of a connection without the connection: the driving steps of the crate's documentation, in memory.

use core::fmt;

use super::Checked;
use crate::{Error, Established, Event, ExchangeId, Input, Protocol, Replay, Violation};

/// A machine with its two buffers and its caller.
///
/// It drives as the [crate's documentation](crate#driving-a-machine) says, over a plain transport;
/// [`Event::StartTls`] gives it TLS, and is refused where bytes are unread.
///
/// Bytes for before and after `StartTls` are two inputs: [`receive`](Self::receive) the first of them where the side is
/// made.
pub struct Side<P: Protocol + 'static, T> {
    /// The machine. Send on it, hold and cancel; what it writes goes to `out`.
    pub machine: Checked<P>,
    /// Bytes for the peer that were not taken yet.
    pub out: Vec<u8>,
    see: See<P, T>,
    act: Option<Act<P, T>>,
    unread: Vec<u8>,
    eof: bool,
    end: Option<End>,
    events: Vec<Event<Seen<T>>>,
}

type See<P, T> = Box<dyn Fn(<P as Protocol>::Message<'_>) -> Seen<T>>;
type Act<P, T> = Box<dyn FnMut(&mut Side<P, T>, Option<&Event<Seen<T>>>)>;

/// A message as a test looks at it: owned, and to be compared.
#[derive(Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// A whole thing: a head, a row, a reply.
    Item(T),
    /// A run of body data, which may come in other pieces when the input is cut otherwise.
    Data(Vec<u8>),
}

/// How a run ended, and what was seen on the way.
#[derive(Clone)]
pub struct Run<T> {
    /// What came, in order. Runs of data are joined; `NeedData`, `Paused` and `Progress` are left out.
    pub events: Vec<Event<Seen<T>>>,
    /// The error, if one ended it.
    pub error: Option<Error>,
    /// The exchanges that got no whole answer, in the order of the ids.
    pub unfinished: Vec<(ExchangeId, Replay)>,
    /// What was written and not taken. Where a window is granted may depend on the cut, so this is not compared.
    pub out: Vec<u8>,
    /// After `Switched` or `Closed`: the bytes that the machine did not use.
    pub left: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Failed(Error),
    /// Nothing more comes, and nothing was open.
    Eof,
    /// The machine wants no more input: it is closed, or another protocol follows.
    Over,
}

/// So many turns in a row may pass without a byte being used: a caller that resumes what the machine pauses would go on
/// for ever.
const TURNS: usize = 1000;

impl<P: Protocol + 'static, T> Side<P, T> {
    /// The client's side, connected. `see` makes a message comparable.
    pub fn client(machine: P, see: impl Fn(P::Message<'_>) -> Seen<T> + 'static) -> Self {
        Self::new(Checked::client(machine), Box::new(see))
    }

    /// The server's side, connected. `see` makes a message comparable.
    pub fn server(machine: P, see: impl Fn(P::Message<'_>) -> Seen<T> + 'static) -> Self {
        Self::new(Checked::server(machine), Box::new(see))
    }

    fn new(mut machine: Checked<P>, see: See<P, T>) -> Self {
        let mut out = Vec::new();
        machine.connected(Established::default(), &mut out);
        Self { machine, out, see, act: None, unread: Vec::new(), eof: false, end: None, events: Vec::new() }
    }

    /// What the caller does: with `Some` after each event, when it was let go of (hold, cancel, answer), and with
    /// `None` in each turn before and after reading (send, give data, resume).
    #[must_use]
    pub fn acting(mut self, act: impl FnMut(&mut Self, Option<&Event<Seen<T>>>) + 'static) -> Self {
        self.act = Some(Box::new(act));
        self
    }

    /// `bytes` came from the peer: drives until the machine wants more. `eof`: they were the last.
    pub fn receive(&mut self, bytes: &[u8], eof: bool) {
        self.unread.extend_from_slice(bytes);
        self.eof |= eof;
        self.drive();
    }

    /// Takes what is to be written.
    pub fn take_out(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.out)
    }

    /// Takes what was seen so far: a greeting that is no part of the test.
    pub fn take_events(&mut self) -> Vec<Event<Seen<T>>> {
        core::mem::take(&mut self.events)
    }

    /// The transport is to be closed when `out` is written.
    pub fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Ends what has not ended with a `close`, and accounts for every exchange.
    pub fn finish(mut self) -> Run<T> {
        let out = self.take_out();
        if self.end.is_none() {
            self.machine.close(&mut self.out);
        }
        let unfinished = self.machine.settle();
        let error = match self.end {
            Some(End::Failed(error)) => Some(error),
            _ => None,
        };
        let left = if self.end == Some(End::Over) { self.unread } else { Vec::new() };
        Run { events: self.events, error, unfinished, out, left }
    }

    fn drive(&mut self) {
        let mut turns = 0;
        self.act(None);
        while self.end.is_none() && self.machine.wants_input(self.unread.len(), self.eof) {
            let before = self.unread.len();
            self.read();
            turns = if self.unread.len() < before { 0 } else { turns + 1 };
            assert!(turns <= TURNS, "{turns} turns in which no byte was used");
            self.act(None);
        }
    }

    /// Step 5: until the machine wants to be left alone.
    fn read(&mut self) {
        while self.end.is_none() {
            let input = Input { bytes: &self.unread, eof: self.eof };
            let came = self.machine.receive(input, &mut self.out).map(|(used, event)| (used, event.map(&self.see)));
            let (used, event) = match came {
                Ok(came) => came,
                Err(error) => return self.failed(error),
            };
            self.unread.drain(..used);
            match &event {
                Event::Progress => continue,
                Event::Paused => return,
                Event::NeedData { .. } => {
                    if self.eof {
                        let open = self.machine.open() > 0;
                        self.end = Some(if open { End::Failed(Error::UnexpectedEof) } else { End::Eof });
                    }
                    return;
                }
                Event::StartTls if self.unread.is_empty() => {
                    self.machine.connected(Established::default().over_tls(None), &mut self.out);
                }
                // Whoever sits between us and the peer could have put them there (CVE-2011-0411).
                Event::StartTls => {
                    let injected = Violation::Other("bytes before the TLS that was asked for");
                    self.end = Some(End::Failed(Error::Violation(injected)));
                }
                Event::Closed | Event::Switched { .. } => self.end = Some(End::Over),
                Event::Message { .. } | Event::Push(_) | Event::Failed { .. } => {}
            }
            self.act(Some(&event));
            self.note(event);
        }
    }

    /// An error sticks: whatever comes after it, the same is said, and [`Checked`] compares.
    fn failed(&mut self, error: Error) {
        self.end = Some(End::Failed(error));
        for bytes in [&self.unread[..], b""] {
            let again = self.machine.receive(Input { bytes, eof: true }, &mut self.out);
            assert!(again.is_err(), "receive forgot its error: {error}");
        }
    }

    fn act(&mut self, event: Option<&Event<Seen<T>>>) {
        // Taken out for the call: what it does may not come back here.
        if let Some(mut act) = self.act.take() {
            act(self, event);
            self.act = Some(act);
        }
    }

    fn note(&mut self, event: Event<Seen<T>>) {
        if let Event::Message { id, message: Seen::Data(more), done } = &event {
            if let Some(Event::Message { id: before, message: Seen::Data(data), done: last }) = self.events.last_mut()
                && before == id
            {
                data.extend_from_slice(more);
                *last |= done;
                return;
            }
            if more.is_empty() && !done {
                return;
            }
        }
        self.events.push(event);
    }
}

impl<T: PartialEq> PartialEq for Run<T> {
    fn eq(&self, other: &Self) -> bool {
        self.events == other.events
            && self.error == other.error
            && self.unfinished == other.unfinished
            && self.left == other.left
    }
}

impl<T: fmt::Debug> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("events", &self.events)
            .field("error", &self.error)
            .field("unfinished", &self.unfinished)
            .field("out", &format_args!("{}", super::show(&self.out)))
            .field("left", &format_args!("{}", super::show(&self.left)))
            .finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Seen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Item(item) => item.fmt(f),
            Seen::Data(data) => write!(f, "Data({})", super::show(data)),
        }
    }
}
