//! Requests in hand, from the queue to the outcome, in a slab whose names carry a generation: a queue entry or an event
//! that is late finds nobody.

use std::collections::HashMap;

use slab::Slab;

use super::RequestId;
use super::request::Prepared;
use super::response::Collected;
use crate::protocols::ExchangeId;
use crate::reactor::{Key, Moment};

/// A request in hand.
pub(super) struct Exchange {
    generation: u32,
    pub(super) id: RequestId,
    pub(super) request: Prepared,
    pub(super) route: usize,
    /// The connection it was written to.
    pub(super) sent: Option<Sent>,
    pub(super) queued: Moment,
    /// How often it was sent before.
    pub(super) retries: u8,
    pub(super) collected: Collected,
    /// It asks for HTTP/2 in HTTP/1.1, or did: the server agreed.
    pub(super) upgrade: Upgrade,
}

/// What an exchange has to do with a change of versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Upgrade {
    #[default]
    No,
    Asks,
    Agreed,
}

/// What is known of an exchange that was written to a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) key: Key,
    pub(super) connection: usize,
    pub(super) at: Moment,
    pub(super) first_byte: Option<Moment>,
    pub(super) connect: Option<std::time::Duration>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Exchanges {
    slab: Slab<Exchange>,
    by_request: HashMap<RequestId, ExchangeId>,
    generation: u32,
}

impl Exchanges {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn insert(&mut self, id: RequestId, request: Prepared, route: usize, now: Moment) -> ExchangeId {
        self.generation = self.generation.wrapping_add(1);
        let index = self.slab.insert(Exchange {
            generation: self.generation,
            id,
            request,
            route,
            sent: None,
            queued: now,
            retries: 0,
            collected: Collected::default(),
            upgrade: Upgrade::No,
        });
        let exchange = ExchangeId(u64::from(self.generation) << 32 | index as u64);
        self.by_request.insert(id, exchange);
        exchange
    }

    pub(super) fn get(&mut self, id: ExchangeId) -> Option<&mut Exchange> {
        self.slab.get_mut(index(id)).filter(|exchange| u64::from(exchange.generation) == id.0 >> 32)
    }

    pub(super) fn peek(&self, id: RequestId) -> Option<&Exchange> {
        self.slab.get(index(self.of_request(id)?))
    }

    pub(super) fn remove(&mut self, id: ExchangeId) -> Option<Exchange> {
        self.get(id)?;
        let exchange = self.slab.remove(index(id));
        self.by_request.remove(&exchange.id);
        Some(exchange)
    }

    pub(super) fn of_request(&self, id: RequestId) -> Option<ExchangeId> {
        self.by_request.get(&id).copied()
    }

    pub(super) fn ids(&self) -> Vec<ExchangeId> {
        let mut ids: Vec<_> = self.by_request.iter().collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| *id).collect()
    }
}

fn index(id: ExchangeId) -> usize {
    (id.0 & u64::from(u32::MAX)) as usize
}
