//! Bodies as they pass through the client: what is sent next, and where what comes goes. Called by `core` in the middle of
//! turns; sources and sinks themselves are in `upload`, `writer`, `form` and `download`.

use super::BoxError;
use super::core::Core;
use super::download::{Head, Trouble};
use super::exchange::Stage;
use super::upload::Piece;
use crate::error::ErrorKind;
use crate::protocols::ExchangeId;
use crate::protocols::semantics;
use crate::reactor::{At, Chunk, Flow, Moment};

impl Core {
    /// The body of an exchange may be sent now.
    pub(super) fn send_body(&mut self, id: ExchangeId, now: Moment) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        if let Some(streams) = &mut exchange.request.streams {
            streams.expect = None;
        }
        let due = exchange.request.timeouts.send.or(self.settings.send_timeout).map_or(Moment::NEVER, |t| now + t);
        exchange.enter(Stage::Sending, due, id, &mut self.alarms);
        if let Some(sent) = exchange.sent {
            self.to_resume.push((sent.key, id));
        }
    }

    /// The next part of a body, of no more than `room` bytes.
    pub(super) fn next_chunk(&mut self, at: At, id: ExchangeId, room: usize) -> Chunk<'_> {
        // One that was given up is about to be taken off its connection.
        let Some(exchange) = self.exchanges.get(id) else { return Chunk::Later };
        if exchange.stage == Stage::Expecting {
            return Chunk::Later;
        }
        let waits = exchange.waits();
        let (bytes, last) = match exchange.request.next(room, &mut self.buffer) {
            Ok(Piece::Data { bytes, last }) => (bytes, last),
            Ok(Piece::Later) => {
                if let Some(streams) = &mut exchange.request.streams {
                    streams.stalled = true;
                }
                exchange.suspend(at.now);
                let after = exchange.waits();
                self.waiting(at.tag as usize, waits, after);
                return Chunk::Later;
            }
            Err(trouble) => {
                if let Some(streams) = &mut exchange.request.streams {
                    streams.trouble = Some(trouble);
                }
                return Chunk::Failed;
            }
        };
        exchange.tell_progress();
        if last && exchange.collected.has_begun() {
            exchange.enter(Stage::Reading, Moment::NEVER, id, &mut self.alarms);
        } else if last {
            let timeout = exchange.request.timeouts.first_byte.or(self.settings.first_byte_timeout);
            let due = timeout.map_or(Moment::NEVER, |timeout| at.now + timeout);
            exchange.enter(Stage::Sent, due, id, &mut self.alarms);
        }
        match self.exchanges.get(id) {
            Some(exchange) => Chunk::Data { bytes: exchange.request.handed(bytes, &self.buffer), last },
            None => Chunk::Later,
        }
    }

    /// The server does not know what it was asked, before the body (RFC 9110 §10.1.1): sends it again without asking.
    /// `false`: that cannot be.
    pub(super) fn ask_no_more(&mut self, at: At, id: ExchangeId, plain: semantics::PreparedRequest) -> bool {
        let Some(exchange) = self.exchanges.get(id) else { return false };
        let in_session = self.pool.routes.get(exchange.route).is_some_and(|route| route.session.is_some());
        if in_session || exchange.stage != Stage::Expecting || !exchange.restart() {
            return false;
        }
        exchange.request.set_head(plain);
        self.left(at.tag as usize, 0);
        self.send_again(id);
        true
    }

    /// The head of an answer came. `Err`: the exchange has its outcome.
    pub(super) fn answer_begins(
        &mut self,
        at: At,
        id: ExchangeId,
        head: &semantics::ResponseHead<'_>,
    ) -> Result<(), Flow> {
        let Some(exchange) = self.exchanges.get(id) else { return Err(Flow::Cancel) };
        if let Some(sent) = &mut exchange.sent {
            sent.first_byte = Some(at.now);
        }
        exchange.collected.head(head);
        self.buffered += exchange.collected.size();
        match exchange.stage {
            Stage::Sent => exchange.enter(Stage::Reading, Moment::NEVER, id, &mut self.alarms),
            // An answer to what was asked: the body is not wanted, and not sent either when time has passed.
            Stage::Expecting => exchange.enter(Stage::Expecting, Moment::NEVER, id, &mut self.alarms),
            _ => {}
        }
        self.sink_begins(at, id).map(drop)
    }

    /// A body follows. `Err`: the exchange has its outcome.
    pub(super) fn sink_begins(&mut self, at: At, id: ExchangeId) -> Result<Flow, Flow> {
        let Some(exchange) = self.exchanges.get(id) else { return Err(Flow::Cancel) };
        let sink = exchange.request.streams.as_mut().and_then(|streams| streams.sink.as_mut());
        match sink.map_or(Ok(()), |sink| sink.begin()) {
            Ok(()) => Ok(Flow::Continue),
            Err(trouble) => Err(self.spoiled(at, id, trouble)),
        }
    }

    /// Part of the body of an answer came. `Err`: the exchange has its outcome.
    pub(super) fn answer_goes_on(&mut self, at: At, id: ExchangeId, bytes: &[u8]) -> Result<Flow, Flow> {
        let Some(exchange) = self.exchanges.get(id) else { return Err(Flow::Cancel) };
        let Some(streams) = exchange.request.streams.as_mut().filter(|streams| streams.sink.is_some()) else {
            return self.collect(at, id, bytes);
        };
        exchange.collected.received += bytes.len() as u64;
        let head = Head { id: exchange.id, url: &exchange.request.url, collected: &exchange.collected };
        let taken = streams.sink.as_mut().map_or(Ok(Flow::Continue), |sink| sink.take(head, bytes));
        exchange.tell_progress();
        match taken {
            Ok(Flow::Hold) => {
                self.hold(at, id);
                Ok(Flow::Hold)
            }
            Ok(Flow::Cancel) => {
                self.drop_off(at, id, ErrorKind::Cancelled, "its callback wanted no more".to_owned(), None);
                Err(Flow::Cancel)
            }
            Ok(flow) => Ok(flow),
            Err(trouble) => Err(self.spoiled(at, id, trouble)),
        }
    }

    /// The program wants no more of an answer for now.
    pub(super) fn hold(&mut self, at: At, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        let before = exchange.waits();
        exchange.request.streams.get_or_insert_default().held = true;
        let after = exchange.waits();
        self.waiting(at.tag as usize, before, after);
    }

    /// So many more bytes are kept of an answer, of which there are so many already. `Err`: there is no room, and the
    /// exchange has its outcome.
    pub(super) fn make_room(&mut self, at: At, id: ExchangeId, size: usize, more: usize) -> Result<(), Flow> {
        self.fits(at, id, size, more)?;
        self.buffered += more;
        Ok(())
    }

    /// The same, without keeping them yet.
    pub(super) fn fits(&mut self, at: At, id: ExchangeId, size: usize, more: usize) -> Result<(), Flow> {
        self.room(size, more).map_err(|detail| {
            self.drop_off(at, id, ErrorKind::TooLarge, detail, None);
            Flow::Cancel
        })
    }

    /// The connection brought an answer.
    pub(super) fn served(&mut self, at: At) {
        if let Some(entry) = self.pool.connections.get_mut(at.tag as usize) {
            entry.served += 1;
        }
    }

    /// Keeps part of a body.
    fn collect(&mut self, at: At, id: ExchangeId, bytes: &[u8]) -> Result<Flow, Flow> {
        let Some(exchange) = self.exchanges.get(id) else { return Err(Flow::Cancel) };
        let size = exchange.collected.size();
        self.make_room(at, id, size, bytes.len())?;
        if let Some(exchange) = self.exchanges.get(id) {
            exchange.collected.content.extend_from_slice(bytes);
            exchange.collected.received += bytes.len() as u64;
            exchange.tell_progress();
        }
        Ok(Flow::Continue)
    }

    /// An answer is whole.
    pub(super) fn answer_ends(&mut self, at: At, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        let sink = exchange.request.streams.as_mut().and_then(|streams| streams.sink.as_mut());
        let ended = sink.map_or(Ok(()), |sink| sink.end());
        self.served(at);
        if let Err(trouble) = ended {
            self.spoiled(at, id, trouble);
        } else if let Some(exchange) = self.exchanges.remove(id) {
            self.left(at.tag as usize, exchange.waits());
            self.answer(exchange, at.now);
        }
    }

    /// The body of an answer cannot be put where it was to go.
    fn spoiled(&mut self, at: At, id: ExchangeId, trouble: Trouble) -> Flow {
        let (kind, source) = match trouble {
            Trouble::Callback(error) => (ErrorKind::Callback, error),
            Trouble::File(error) => (ErrorKind::Download, error.into()),
        };
        self.drop_off(at, id, kind, source.to_string(), Some(source));
        Flow::Cancel
    }

    /// Ends an exchange in the middle of an event. Not through `give_up`: the answer to the event is what takes it off the
    /// connection.
    pub(super) fn drop_off(
        &mut self,
        at: At,
        id: ExchangeId,
        kind: ErrorKind,
        detail: String,
        source: Option<BoxError>,
    ) {
        if let Some(exchange) = self.exchanges.remove(id) {
            self.left(at.tag as usize, exchange.waits());
            self.fail_with(exchange, kind, detail, source, at.now);
        }
    }

    /// Room for so many more bytes of a body, or which limit stands in the way.
    fn room(&self, exchange: usize, more: usize) -> Result<(), String> {
        if exchange.saturating_add(more) > self.settings.reply_limit {
            return Err(format!(
                "its body is over {} bytes, the limit for one that is collected",
                self.settings.reply_limit
            ));
        }
        if self.buffered.saturating_add(more) > self.settings.buffer_limit {
            return Err(format!("answers that wait to be taken are over {} bytes", self.settings.buffer_limit));
        }
        Ok(())
    }
}
