//! What Redis says, as it comes: replies, long strings in parts, and what only looks like an answer.

use super::core::Core;
use super::exchange::{Exchange, Stage};
use super::prepared::Words;
use crate::protocols::ExchangeId;
use crate::protocols::redis::{Content, Items, Message, Value, ValueRef};
use crate::reactor::{At, Flow, Moment};
use crate::report::Verdict;
use crate::version::Version;

/// The replies to one request: one for each of its commands.
#[derive(Debug, Default)]
pub(super) struct Replies {
    pub(super) version: Option<Version>,
    pub(super) values: Vec<Value>,
    /// Memory that the values hold, in bytes, about.
    pub(super) size: usize,
    /// A string is coming in parts, of so many bytes where that is known.
    pub(super) long: Option<Option<u64>>,
}

impl Replies {
    fn push(&mut self, value: Value, size: usize) {
        self.size += size;
        self.values.push(value);
    }

    /// Of several commands, the first that was not done counts.
    pub(super) fn verdict(&self) -> Verdict<'_> {
        let errors = self.values.iter().filter_map(Value::as_error);
        let code = errors.filter_map(|error| std::str::from_utf8(error.as_ref().code()).ok()).next();
        code.map_or(Verdict::Ok, Verdict::Error)
    }
}

impl Exchange {
    fn replies(&mut self) -> &mut Replies {
        if !self.collected.has_begun()
            && let Some(version) = self.sent.and_then(|sent| sent.version)
        {
            self.collected.replies_mut().version = Some(version);
        }
        self.collected.replies_mut()
    }
}

impl Core {
    /// A message, or a part of one.
    pub(super) fn on_redis(&mut self, at: At, id: ExchangeId, message: Message<'_>, done: bool) -> Flow {
        let Some(exchange) = self.exchanges.get(id) else { return Flow::Cancel };
        if let Some(sent) = &mut exchange.sent {
            sent.first_byte.get_or_insert(at.now);
        }
        if exchange.skips > 0 && !done {
            // The answer to a word that was said for the client's own sake.
            exchange.skips -= 1;
            return Flow::Continue;
        }
        if exchange.stage == Stage::Sent {
            exchange.enter(Stage::Reading, Moment::NEVER, id, &mut self.alarms);
        }
        let result = match message {
            Message::Reply(reply) => self.on_reply(at, id, reply, done),
            Message::Bulk { length } => self.on_bulk(at, id, length),
            Message::Data(bytes) => self.answer_goes_on(at, id, bytes),
        };
        match result {
            Ok(Flow::Continue) => {}
            Ok(Flow::Hold) if done => {}
            Ok(flow) | Err(flow) => return flow,
        }
        if done {
            self.end_bulk(id);
            self.answer_ends(at, id);
        }
        Flow::Continue
    }

    /// A whole value. `Err`: the exchange has its outcome, or is on its way elsewhere.
    fn on_reply(&mut self, at: At, id: ExchangeId, reply: ValueRef<'_>, done: bool) -> Result<Flow, Flow> {
        self.end_bulk(id);
        if let Some(flow) = self.detour(at, id, reply, done) {
            return Err(flow);
        }
        let Some(exchange) = self.exchanges.get(id) else { return Err(Flow::Cancel) };
        let sinks = exchange.request.streams.as_ref().is_some_and(|streams| streams.sink.is_some());
        if sinks && let Content::Bulk(bytes) = reply.read() {
            // Short, or it would come in parts.
            let flow = self.on_bulk(at, id, Some(bytes.len() as u64))?;
            return if bytes.is_empty() { Ok(flow) } else { self.answer_goes_on(at, id, bytes) };
        }
        let size = exchange.collected.size();
        let cost = if reply.as_bytes().len() * WORST > self.settings.reply_limit.saturating_sub(size) {
            cost(reply)
        } else {
            // Nothing that small can hold too much.
            reply.as_bytes().len()
        };
        self.make_room(at, id, size, cost)?;
        let Some(exchange) = self.exchanges.get(id) else { return Err(Flow::Cancel) };
        exchange.collected.received += reply.as_bytes().len() as u64;
        exchange.replies().push(reply.to_value(), cost);
        exchange.tell_progress();
        Ok(Flow::Continue)
    }

    /// A string begins that comes in parts.
    fn on_bulk(&mut self, at: At, id: ExchangeId, length: Option<u64>) -> Result<Flow, Flow> {
        self.end_bulk(id);
        let Some(exchange) = self.exchanges.get(id) else { return Err(Flow::Cancel) };
        exchange.replies().long = Some(length);
        let sinks = exchange.request.streams.as_ref().is_some_and(|streams| streams.sink.is_some());
        if !sinks && let Some(length) = length {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let size = exchange.collected.size();
            self.fits(at, id, size, length)?;
            if let Some(exchange) = self.exchanges.get(id) {
                /// What is reserved because a server said so, at most.
                const TRUSTED: usize = 1 << 20;
                exchange.collected.content.reserve(length.min(TRUSTED));
            }
        }
        self.sink_begins(at, id)
    }

    /// The string that came in parts is whole.
    fn end_bulk(&mut self, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        let collected = &mut exchange.collected;
        if collected.replies().is_some_and(|replies| replies.long.is_some()) {
            let content = std::mem::take(&mut collected.content);
            let replies = collected.replies_mut();
            replies.long = None;
            let size = content.len();
            replies.push(Value::Bulk(content), size);
        }
    }
}

/// As often a server may say that it is to be asked otherwise, before that is the answer.
const DETOURS: u8 = 16;

impl Core {
    /// What is no answer yet: the server wants to be asked otherwise. `Some`: that is under way.
    fn detour(&mut self, at: At, id: ExchangeId, reply: ValueRef<'_>, done: bool) -> Option<Flow> {
        let error = reply.error()?;
        let exchange = self.exchanges.get(id)?;
        if exchange.collected.has_begun() || exchange.detours >= DETOURS {
            return None;
        }
        let Words::Redis(redis) = &mut exchange.request.words else { return None };
        if error.code() == b"NOSCRIPT" && done && !redis.whole && redis.exchange.fallback.is_some() {
            redis.whole = true;
            return Some(self.ask_again(at, id));
        }
        None
    }

    /// The exchange is over here, and is sent again.
    fn ask_again(&mut self, at: At, id: ExchangeId) -> Flow {
        let Some(exchange) = self.exchanges.get(id) else { return Flow::Cancel };
        exchange.detours += 1;
        exchange.skips = 0;
        self.served(at);
        self.left(at.tag as usize, 0);
        self.send_again(id);
        Flow::Continue
    }
}

/// A value of three bytes takes so many times as much when it is owned.
const WORST: usize = size_of::<Value>() / 3 + 1;

/// What a value takes when it is owned, in bytes, about.
fn cost(value: ValueRef<'_>) -> usize {
    let all = |items: Items<'_>| items.map(cost).sum::<usize>();
    let attributes: usize = value.attributes().map(|(key, value)| cost(key) + cost(value)).sum();
    let inside = match value.read() {
        Content::Array(items) | Content::Set(items) | Content::Map(items) | Content::Push(items) => all(items),
        _ => value.as_bytes().len(),
    };
    attributes + inside + size_of::<Value>()
}
