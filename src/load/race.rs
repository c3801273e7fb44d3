//! Which of the addresses of a host a run begins with: those that are dead cost every connection its time, so that they are
//! tried once, before anything is measured. Sends nothing.

use std::time::Duration;

use super::Control;
use crate::error::{Error, ErrorKind};
use crate::protocols::{Established, ExchangeId, Replay, http1};
use crate::reactor::{Address, At, Flow, Handler, Moment, Reactor, Reason, Sender};
use crate::wire::{Message, Wire};

/// How long an address is tried before the next one is tried beside it: RFC 8305 §8.
const ATTEMPT: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
struct Race {
    first: Option<usize>,
    failed: usize,
}

/// Puts the address in front that connects first, if any does within the limit. One alone is not tried.
pub(super) fn sort(addresses: &mut [Address], limit: Duration, control: &Control) -> Result<(), Error> {
    if addresses.len() < 2 {
        return Ok(());
    }
    let broken = |error: std::io::Error| Error::new(ErrorKind::System, "", error.to_string()).source_is(error);
    let mut reactor = Reactor::<Wire>::new().map_err(broken)?;
    control.watch(reactor.waker());
    let mut race = Race::default();
    let end = reactor.now() + limit;
    let (mut started, mut next) = (0, Moment::START);
    while race.first.is_none() && race.failed < addresses.len() && !control.stopped() {
        let now = reactor.now();
        // Where all that were started have failed, nobody is waited for.
        while started < addresses.len() && (now >= next || race.failed == started) {
            match reactor.connect(&addresses[started], started as u64, end) {
                Ok(_) => next = now + ATTEMPT,
                Err(_) => race.failed += 1,
            }
            started += 1;
        }
        let wait = if started < addresses.len() { next.min(end) } else { end };
        reactor.turn(Some(wait.since(now)), &mut race).map_err(broken)?;
    }
    if let Some(first) = race.first {
        addresses[..=first].rotate_right(1);
    }
    Ok(())
}

impl Handler<Wire> for Race {
    fn connected(&mut self, at: At, _established: Established<'_>) -> Wire {
        self.first.get_or_insert(at.tag as usize);
        Wire::Http1(http1::Client::new())
    }

    fn pull(&mut self, _at: At, _to: &mut Sender<'_, Wire>) {}

    fn on_message(&mut self, _at: At, _id: Option<ExchangeId>, _message: Message<'_>, _done: bool) -> Flow {
        Flow::Continue
    }

    fn on_failed(&mut self, _at: At, _id: ExchangeId, _reason: &Reason, _replay: Replay) {}

    fn on_closed(&mut self, _at: At, opened: bool, _reason: &Reason) {
        self.failed += usize::from(!opened);
    }
}
