//! Signs of life: asks the peers of connections with requests on their way, as often as the user wants, where the
//! protocol can. What an unanswered question means is for the silence of the connection to say.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::pool::Pool;
use crate::reactor::{Key, Moment, Reactor};
use crate::wire::Wire;

/// When which connection is asked next. Those that are gone leave their entries behind, until they are due.
#[derive(Debug, Default)]
pub(super) struct Pings {
    due: BinaryHeap<Reverse<(Moment, usize, Key)>>,
}

impl Pings {
    pub(super) fn begin(&mut self, connection: usize, key: Key, at: Moment) {
        self.due.push(Reverse((at, connection, key)));
    }

    pub(super) fn next(&self) -> Moment {
        self.due.peek().map_or(Moment::NEVER, |Reverse((due, ..))| *due)
    }

    /// Asks those that are due.
    pub(super) fn send(&mut self, pool: &Pool, reactor: &mut Reactor<Wire>, every: Duration, now: Moment) {
        while let Some(Reverse((due, connection, key))) = self.due.peek().copied() {
            if due > now {
                return;
            }
            self.due.pop();
            if !pool.is(connection, key) {
                continue;
            }
            if pool.connections[connection].in_flight > 0 {
                reactor.ping(key);
            }
            self.begin(connection, key, now + every);
        }
    }
}
