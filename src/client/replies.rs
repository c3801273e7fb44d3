//! What Redis says, as it comes: replies, long strings in parts, and what only looks like an answer.

use std::collections::VecDeque;
use std::sync::Arc;

use super::collected::Collected;
use super::core::Core;
use super::exchange::{Exchange, Stage};
use super::prepared::{Asking, Detour, Redis, Words};
use super::push::turned_away;
use crate::error::ErrorKind;
use crate::protocols::redis::{Content, ErrorRef, Items, Message, PreparedCommand, Redirect, Value, ValueRef};
use crate::protocols::{ExchangeId, Refused};
use crate::reactor::{At, Flow, Moment};
use crate::redis::{Node, Topology};
use crate::report::Verdict;
use crate::route::RouteKey;

/// The replies to one request: one for each of its commands.
#[derive(Debug, Default)]
pub(super) struct Replies {
    pub(super) values: Vec<Value>,
    /// Memory that the values hold, in bytes, about.
    pub(super) size: usize,
    /// Where those go that are still to come, where that is not behind the others.
    pub(super) places: VecDeque<usize>,
    /// A string is coming in parts, of so many bytes where that is known.
    pub(super) long: Option<Option<u64>>,
}

impl Replies {
    fn push(&mut self, value: Value, size: usize) {
        self.size += size;
        match self.places.pop_front().and_then(|place| self.values.get_mut(place)) {
            Some(before) => *before = value,
            None => self.values.push(value),
        }
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
        if let Words::Redis(redis) = &mut exchange.request.words
            && redis.detour.as_mut().is_some_and(|detour| detour.skips(&message))
        {
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
            if !self.detour_of_several(at, id) {
                self.answer_ends(at, id);
            }
        }
        Flow::Continue
    }

    /// A whole value. `Err`: the exchange has its outcome, or is on its way elsewhere.
    fn on_reply(&mut self, at: At, id: ExchangeId, reply: ValueRef<'_>, done: bool) -> Result<Flow, Flow> {
        self.end_bulk(id);
        if let Some(flow) = self.detour(at, id, reply, done) {
            return Err(flow);
        }
        if let Some(error) = reply.error().filter(|error| self.lets_nobody_in(at, *error)) {
            let (kind, words) = turned_away(error);
            self.drop_off(at, id, kind, words, None);
            return Err(Flow::Cancel);
        }
        let Some(exchange) = self.exchanges.get(id) else { return Err(Flow::Cancel) };
        let sinks = exchange.request.streams.as_ref().is_some_and(|streams| streams.sink.is_some());
        if sinks && let Content::Bulk(bytes) = reply.read() {
            // Short, or it would come in parts.
            let flow = self.on_bulk(at, id, Some(bytes.len() as u64))?;
            return if bytes.is_empty() { Ok(flow) } else { self.answer_goes_on(at, id, bytes) };
        }
        let size = exchange.collected.size();
        let cost = cost(reply);
        self.make_room(at, id, size, cost)?;
        let Some(exchange) = self.exchanges.get(id) else { return Err(Flow::Cancel) };
        exchange.collected.received += reply.as_bytes().len() as u64;
        exchange.replies().push(reply.to_value(), cost);
        exchange.tell_progress();
        Ok(Flow::Continue)
    }

    /// The server said this before it looked at what it was asked: it stands where the first answer would.
    fn lets_nobody_in(&self, at: At, error: ErrorRef<'_>) -> bool {
        let served = self.pool.connections.get(at.tag as usize).map_or(0, |entry| entry.served);
        served == 0 && error.turns_away()
    }

    /// A string begins that comes in parts.
    fn on_bulk(&mut self, at: At, id: ExchangeId, length: Option<u64>) -> Result<Flow, Flow> {
        self.end_bulk(id);
        let Some(exchange) = self.exchanges.get(id) else { return Err(Flow::Cancel) };
        if exchange.errand.is_some() {
            // None is answered so, and its end might never come.
            let words = "a long string is no answer to this".to_owned();
            self.drop_off(at, id, ErrorKind::Protocol, words, None);
            return Err(Flow::Cancel);
        }
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
pub(super) const DETOURS: u8 = 16;

/// How a server wants to be asked otherwise.
enum Way {
    /// With the script itself.
    Whole,
    /// Another one, with ASKING in front.
    Node(RouteKey, bool),
    /// Later.
    Later,
    /// Whoever is the master now.
    Master,
}

impl Core {
    /// What is no answer yet: the server wants to be asked otherwise. `Some`: that is under way.
    fn detour(&mut self, at: At, id: ExchangeId, reply: ValueRef<'_>, done: bool) -> Option<Flow> {
        let error = reply.error()?;
        let exchange = self.exchanges.get(id)?;
        // Of several commands, all are answered first.
        if !done || exchange.collected.has_begun() || exchange.detours >= DETOURS {
            return None;
        }
        let way = self.way(at, id, error)?;
        Some(self.ask_again(at, id, way, None))
    }

    /// The same, for several commands that were all answered: a transaction that was not executed, or those commands of a
    /// batch that were not. `true`: that is under way.
    fn detour_of_several(&mut self, at: At, id: ExchangeId) -> bool {
        let Some(exchange) = self.exchanges.get(id) else { return false };
        let Words::Redis(redis) = &exchange.request.words else { return false };
        let Some(replies) = exchange.collected.replies() else { return false };
        let plain = redis.exchange.settings.topology == Topology::Single;
        if plain || exchange.detours >= DETOURS || exchange.errand.is_some() || redis.exchange.prepared.commands() == 1
        {
            return false;
        }
        let atomic = redis.exchange.atomic;
        // A transaction that was executed has its answer.
        if atomic && replies.values.last().is_none_or(|last| last.as_error().is_none()) {
            return false;
        }
        let errors: Vec<_> =
            replies.values.iter().enumerate().filter_map(|(at, value)| Some((at, value.as_error()?.clone()))).collect();
        for (_, error) in &errors {
            if let Some(way) = self.way(at, id, error.as_ref()) {
                let code = error.as_ref().code();
                let same = errors.iter().filter(|(_, error)| error.as_ref().code() == code).map(|(at, _)| *at);
                let places = (!atomic).then(|| same.collect());
                self.ask_again(at, id, way, places);
                return true;
            }
        }
        false
    }

    /// How a server that says this wants to be asked, if it does.
    fn way(&mut self, at: At, id: ExchangeId, error: ErrorRef<'_>) -> Option<Way> {
        let connection = at.tag as usize;
        let entry = &self.pool.routes[self.pool.connections[connection].route];
        let (in_session, pinned, host) =
            (entry.session.is_some(), entry.key.address.is_some(), entry.place().host.clone());
        let exchange = self.exchanges.get(id)?;
        let Words::Redis(redis) = &exchange.request.words else { return None };
        if error.code() == b"NOSCRIPT" && !redis.whole && redis.exchange.fallback.is_some() {
            return Some(Way::Whole);
        }
        let settings = Arc::clone(&redis.exchange.settings);
        let pinned = pinned || exchange.errand.is_some() || redis.exchange.node.is_some();
        if settings.has_sentinels() && !pinned && error.code() == b"READONLY" {
            self.forget_master(&settings, at.now);
            return (!in_session).then_some(Way::Master);
        }
        if !settings.is_cluster() || pinned {
            return None;
        }
        let redirect = error.redirect()?;
        if let Redirect::Moved { host, .. } | Redirect::Ask { host, .. } = redirect
            && !host.is_empty()
            && !Node::may_be_at(host)
        {
            return None;
        }
        let way = match redirect {
            Redirect::Moved { slot, host: to, port } => {
                let to = if to.is_empty() { &host } else { to };
                Way::Node(self.slot_moved(&settings, slot, to, port, at.now), false)
            }
            Redirect::Ask { host: to, port, .. } => {
                let to = if to.is_empty() { &host } else { to };
                Way::Node(RouteKey::redis_at(&settings, to, port), true)
            }
            Redirect::ClusterDown => {
                self.doubt_map(&settings, at.now);
                Way::Later
            }
            _ => Way::Later,
        };
        // What a session has sent stays where it was sent.
        (!in_session).then_some(way)
    }

    /// The exchange is over here, and is sent again: the whole, or those of its commands that have these places.
    fn ask_again(&mut self, at: At, id: ExchangeId, way: Way, places: Option<Vec<usize>>) -> Flow {
        self.served(at);
        self.left(at.tag as usize, 0);
        let Some(exchange) = self.exchanges.get(id) else { return Flow::Cancel };
        exchange.detours += 1;
        let Words::Redis(redis) = &mut exchange.request.words else { return Flow::Cancel };
        redis.whole |= matches!(way, Way::Whole);
        let asking = matches!(way, Way::Node(_, true));
        let written = Detour::write(redis, asking, places.as_deref());
        redis.detour = match written {
            Ok(detour) => detour,
            Err(refused) => {
                self.give_up_answered(id, refused, at);
                return Flow::Continue;
            }
        };
        match places {
            Some(places) => exchange.collected.replies_mut().places = places.into(),
            None => {
                let size = exchange.collected.size();
                exchange.collected = Collected::default();
                self.buffered = self.buffered.saturating_sub(size);
            }
        }
        match way {
            Way::Whole | Way::Master => self.send_again(id),
            Way::Later => self.put_off(id, at.now),
            Way::Node(key, _) => {
                self.take_aside(id);
                let route = self.pool.route(&key);
                self.put_on(id, route);
            }
        }
        Flow::Continue
    }

    fn give_up_answered(&mut self, id: ExchangeId, refused: Refused, at: At) {
        if let Some(exchange) = self.exchanges.remove(id) {
            self.fail_with(exchange, ErrorKind::InvalidRequest, refused.to_string(), None, at.now);
        }
    }
}

impl Detour {
    /// What is sent where an exchange, or these of its commands, is wanted with ASKING or without.
    fn write(redis: &Redis, asking: bool, places: Option<&[usize]>) -> Result<Option<Box<Self>>, Refused> {
        let ask = || PreparedCommand::new(["ASKING"]);
        let (prepared, asking) = match places {
            None if !asking => return Ok(None),
            None => (ask()?.and(redis.asked())?, Asking::Once),
            Some(places) => {
                let mut all: Option<PreparedCommand> = None;
                for part in places.iter().filter_map(|place| redis.exchange.parts.get(*place)) {
                    let part = if asking { ask()?.and(part)? } else { part.clone() };
                    all = Some(match all {
                        Some(all) => all.and(&part)?,
                        None => part,
                    });
                }
                let all = all.ok_or(Refused::Misuse("there is no command"))?;
                (all, if asking { Asking::Each } else { Asking::No })
            }
        };
        Ok(Some(Box::new(Self { prepared, asking, skip: asking != Asking::No })))
    }

    /// Whether the message that came is the answer to ASKING, which nobody wants to know.
    fn skips(&mut self, message: &Message<'_>) -> bool {
        if matches!(message, Message::Data(_)) {
            return false;
        }
        let skips = self.skip;
        self.skip = self.asking == Asking::Each && !skips;
        skips
    }
}

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
