//! A connection as the pool sees it: what it does, and what is known of it. It is the reactor that has its socket and its
//! machine.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::error::ErrorKind;
#[cfg(feature = "postgres")]
use crate::postgres;
use crate::protocols::ExchangeId;
#[cfg(feature = "postgres")]
use crate::reactor::Address;
use crate::reactor::{Key, Moment};

/// A connection as the pool sees it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) key: Option<Key>,
    pub(crate) route: usize,
    pub(crate) state: State,
    /// Exchanges that were answered on it.
    pub(crate) served: u64,
    pub(crate) in_flight: u32,
    /// A request was sent on it.
    pub(crate) used: bool,
    /// It was asked whether it is the server that it was said to be.
    #[cfg(feature = "redis")]
    pub(crate) checked: bool,
    /// The server keeps something for it that nobody else is to find: a transaction, subscriptions.
    pub(crate) dirty: bool,
    /// The server let it in: it had room for a request once.
    pub(crate) let_in: bool,
    /// Answers come in any order: nothing waits behind anything.
    pub(crate) multiplexed: bool,
    /// Nothing is to follow the exchange that was sent last, before that is over.
    pub(crate) alone: bool,
    /// How long its exchange may wait at the server, where that is not silence; `Some(None)`: for ever.
    pub(crate) patience: Option<Option<Duration>>,
    /// Exchanges that go on where they were, before any others are sent.
    pub(crate) again: VecDeque<ExchangeId>,
    #[cfg(feature = "postgres")]
    pub(crate) postgres: Option<Box<postgres::Server>>,
    /// Which of several hosts it leads to, and how.
    #[cfg(feature = "postgres")]
    pub(crate) way: postgres::Way,
    /// Where it leads, or is to.
    #[cfg(feature = "postgres")]
    pub(crate) address: Option<Address>,
    /// Why the server did not let it in, in its words.
    pub(crate) words: Option<(ErrorKind, String)>,
    /// How many times exchanges on it wait for the program: to read on, to have more to send.
    pub(crate) waits: u32,
    pub(crate) dialed: Moment,
    /// How long making it took, until a request has taken note of it.
    pub(crate) made: Made,
    /// When TLS began, for each address at which it did.
    pub(crate) handshakes: Vec<(Key, Moment)>,
    /// HTTP/2 was taken for granted, because the server had it before.
    pub(crate) assumed: bool,
    /// HTTP/2 was asked for on it.
    pub(crate) asked: bool,
    /// Several addresses are being tried for it; nothing where there is but one.
    pub(crate) race: Option<Box<Race>>,
    /// When it became idle, as a number that only grows.
    pub(super) idle_since: u64,
}

/// How long it took to make a connection, and the parts of that.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    pub(crate) resolve: Option<Duration>,
    pub(crate) connect: Option<Duration>,
    pub(crate) tls: Option<Duration>,
}

impl Connection {
    /// One that is being dialed.
    pub(super) fn dialed(
        route: usize,
        now: Moment,
        made: Made,
        #[cfg(feature = "postgres")] way: postgres::Way,
    ) -> Self {
        Self {
            key: None,
            route,
            state: State::Dialing,
            served: 0,
            in_flight: 0,
            used: false,
            #[cfg(feature = "redis")]
            checked: false,
            dirty: false,
            let_in: false,
            multiplexed: false,
            alone: false,
            patience: None,
            again: VecDeque::new(),
            #[cfg(feature = "postgres")]
            postgres: None,
            #[cfg(feature = "postgres")]
            way,
            #[cfg(feature = "postgres")]
            address: None,
            words: None,
            waits: 0,
            dialed: now,
            made,
            handshakes: Vec::new(),
            assumed: false,
            asked: false,
            race: None,
            idle_since: 0,
        }
    }

    /// How long it may be silent while exchanges are on it, where `timeout` is what holds for most.
    pub(crate) fn silence(&self, timeout: Duration) -> Option<Duration> {
        match self.patience {
            // The program is waited for.
            _ if self.waits > 0 => None,
            Some(longest) => longest.map(|longest| longest.saturating_add(timeout)),
            None => Some(timeout),
        }
    }

    /// Nothing may be sent on it now, though it has room: what it has must be over first.
    pub(crate) fn is_taken(&self) -> bool {
        self.alone || (self.waits > 0 && !self.multiplexed)
    }

    /// No request was ever sent on it, and it never had room for one.
    pub(crate) fn was_never_of_use(&self) -> bool {
        !self.used && self.idle_since == 0
    }
}

/// The addresses of a host as they are tried for one connection (RFC 8305 §5): the first that connects is it. It counts
/// as one connection, though two may be open.
#[derive(Debug)]
pub(crate) struct Race {
    /// Those that are being tried.
    pub(crate) attempts: Vec<(Key, SocketAddr)>,
    /// Those that come next.
    pub(crate) rest: VecDeque<SocketAddr>,
    /// When the next of them is tried.
    pub(crate) next_at: Moment,
    /// When all of it must be over.
    pub(crate) deadline: Moment,
    /// Why TLS failed at one of them: that tells more than that nobody listens at another.
    pub(crate) refused: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Dialing,
    /// It was woken to take requests.
    Woken,
    /// It has as many exchanges as it can have.
    Busy,
    /// It has room, and there was nothing to send.
    Idle,
    /// It is about to close and takes nothing.
    Closing,
}
