//! The properties that every protocol passes: the laws in the [crate's documentation](crate), as code.
//!
//! What lives here drives machines in memory and checks what they answer, for tests and fuzz targets. What knows one
//! protocol (its frames, its requests) belongs beside that protocol and never here, and neither does anything that
//! needs a socket or a clock.
//!
//! | to show that | use |
//! |---|---|
//! | any cut of the same bytes gives the same events | [`splits`] |
//! | a client and a server understand each other | [`Pair`] |
//! | a client and a peer that exists only as bytes understand each other | [`Script`] |
//! | no exchange is lost or ended twice, whatever drives the machine | [`Checked`] |
//!
//! Each of the first three takes a [`Side`]: a machine, wrapped in [`Checked`], with its buffers and with the caller's
//! part: how a message is seen, and what is done when. All of them panic when a law is broken, and say what the peer
//! sent.
//!
//! # Example
//!
//! The smallest protocol there is: a line each way.
//!
//! ```
//! use aquests_protocols::testing::{Pair, Script, Seen, Side, splits};
//! use aquests_protocols::{Error, Event, ExchangeId, Input, Protocol, Refused, Replay};
//! use std::collections::VecDeque;
//!
//! #[derive(Default)]
//! struct Lines {
//!     open: VecDeque<ExchangeId>,
//!     /// A server: how many requests came.
//!     came: Option<u64>,
//! }
//!
//! impl Protocol for Lines {
//!     type Request<'a> = &'a str;
//!     type Message<'a> = &'a [u8];
//!
//!     fn send(&mut self, id: ExchangeId, line: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
//!         match self.came {
//!             None => self.open.push_back(id),
//!             Some(_) => self.open.retain(|open| *open != id),
//!         }
//!         out.extend_from_slice(line.as_bytes());
//!         out.push(b'\n');
//!         Ok(())
//!     }
//!
//!     fn receive<'a>(&'a mut self, input: Input<'a>, _: &mut Vec<u8>) -> Result<(usize, Event<&'a [u8]>), Error> {
//!         let Some(end) = input.bytes.iter().position(|&byte| byte == b'\n') else {
//!             return Ok((0, Event::NeedData { at_least: input.bytes.len() + 1 }));
//!         };
//!         let id = match &mut self.came {
//!             None => self.open.pop_front().ok_or(Error::UnexpectedEof)?,
//!             Some(came) => {
//!                 let id = ExchangeId(*came);
//!                 *came += 1;
//!                 self.open.push_back(id);
//!                 id
//!             }
//!         };
//!         Ok((end + 1, Event::Message { id, message: &input.bytes[..end], done: true }))
//!     }
//!
//!     fn slots(&self) -> usize {
//!         if self.came.is_some() { self.open.len() } else { 4 - self.open.len() }
//!     }
//!
//!     fn cancel(&mut self, id: ExchangeId, _: &mut Vec<u8>) -> bool {
//!         self.open.retain(|open| *open != id);
//!         false
//!     }
//!
//!     fn unfinished(&mut self) -> Option<(ExchangeId, Replay)> {
//!         Some((self.open.pop_front()?, Replay::Unknown))
//!     }
//! }
//!
//! // A fresh client that has sent a line and will see the answer as a string.
//! let client = || {
//!     let mut side = Side::client(Lines::default(), |line| Seen::Item(String::from_utf8_lossy(line).into_owned()));
//!     side.machine.send(ExchangeId(1), "ping", &mut side.out).unwrap();
//!     side
//! };
//!
//! let run = splits(b"pong\nrest", true, client);
//! let pong = Event::Message { id: ExchangeId(1), message: Seen::Item("pong".to_string()), done: true };
//! assert_eq!(run.events, [pong]);
//!
//! let run = Script::new().expect(b"ping\n").send(b"pong\n").run(client);
//! assert_eq!(run.events.len(), 1);
//!
//! // A server that answers each line with the same line.
//! let server = Side::server(Lines { came: Some(0), ..Lines::default() }, |line| Seen::Item(line.to_vec()))
//!     .acting(|side, event| {
//!         if let Some(Event::Message { id, message: Seen::Item(line), .. }) = event {
//!             side.machine.send(*id, core::str::from_utf8(line).unwrap(), &mut side.out).unwrap();
//!         }
//!     });
//! let (at_client, at_server) = Pair::new(client(), server).run(7);
//! assert_eq!((at_client.events.len(), at_server.events.len()), (1, 1));
//! ```

mod checked;
mod pair;
mod script;
mod side;
mod splits;

pub use checked::Checked;
pub use pair::Pair;
pub use script::Script;
pub use side::{Run, Seen, Side};
pub use splits::splits;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `test`; a panic in it goes on with `context` under its words. `sent` is what both look at.
fn in_context<S, R>(sent: &mut S, test: impl FnOnce(&mut S) -> R, context: impl FnOnce(&S) -> String) -> R {
    catch_unwind(AssertUnwindSafe(|| test(sent))).unwrap_or_else(|payload| {
        let words = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without words");
        panic!("{words}\n{}", context(sent))
    })
}

/// Bytes as a reader of a failed test wants them: escaped, and the middle of long ones left out.
fn show(bytes: &[u8]) -> String {
    const SHOWN: usize = 1024;
    if bytes.len() <= SHOWN {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    let (front, back) = (&bytes[..SHOWN / 2], &bytes[bytes.len() - SHOWN / 2..]);
    format!("\"{}\" … {} bytes … \"{}\"", front.escape_ascii(), bytes.len() - SHOWN, back.escape_ascii())
}

/// Numbers that look unordered and are the same for the same seed: Marsaglia's xorshift64, 2003.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        // An odd multiplier spreads small seeds over all bits; zero is the one state that xorshift never leaves.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1))
    }

    /// From 1 to `most`; often very small, for that is where machines break.
    fn piece(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let most = match self.0 >> 62 {
            0 => 1,
            1 => most.min(4),
            2 => most.min(64),
            _ => most,
        };
        1 + (self.0 >> 16) as usize % most
    }
}
