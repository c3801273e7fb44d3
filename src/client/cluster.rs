//! Clusters of Redis: which node has what, as far as is known, and who is to be asked. A request goes to the node of its
//! slot, and elsewhere when that says so. What servers say is read by `redis::Slots`; nothing here knows a command but the
//! one that asks for the map.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use super::core::Core;
use super::errands::{Due, Errand, MOST, PAUSE};
use super::prepared::Words;
use super::replies::DETOURS;
use crate::error::{ErrorKind, told};
use crate::pool::Waiting;
use crate::protocols::ExchangeId;
use crate::protocols::redis::Value;
use crate::reactor::Moment;
use crate::redis::{Node, Redis, Settings, Slots};
use crate::route::RouteKey;

/// What is known of a cluster.
pub(super) struct Cluster {
    settings: Arc<Settings>,
    slots: Slots,
    /// A map came once.
    known: bool,
    /// Who is to be asked for the map after the one that is being asked, which is the first.
    asking: VecDeque<Node>,
    /// When the last one was asked for.
    asked: Moment,
    /// It is to be asked for at a later time.
    is_due: bool,
    /// Requests that wait for the first map.
    parked: Vec<ExchangeId>,
    /// Sessions that do.
    sessions: Vec<usize>,
    /// Whose turn it is among nodes that all would do.
    turn: usize,
}

impl Core {
    /// The cluster with these settings.
    fn cluster(&mut self, settings: &Arc<Settings>) -> usize {
        let same = |known: &Arc<Settings>| Arc::ptr_eq(known, settings) || known == settings;
        if let Some(at) = self.clusters.iter().position(|cluster| same(&cluster.settings)) {
            return at;
        }
        let cluster = Cluster {
            settings: Arc::clone(settings),
            slots: Slots::default(),
            known: false,
            asking: VecDeque::new(),
            asked: Moment::START,
            is_due: false,
            parked: Vec::new(),
            sessions: Vec::new(),
            turn: 0,
        };
        let unused = (self.clusters.len() >= MOST).then(|| self.unused_cluster()).flatten();
        let Some(at) = unused else {
            self.clusters.push(cluster);
            return self.clusters.len() - 1;
        };
        self.clusters[at] = cluster;
        at
    }

    /// A cluster that nothing refers to by its place.
    fn unused_cluster(&self) -> Option<usize> {
        let in_use = self.settings_in_use();
        self.clusters.iter().position(|cluster| cluster.is_at_rest() && !in_use.contains(&*cluster.settings))
    }

    /// Puts an exchange that is in no queue where it belongs, or aside until that is known.
    pub(super) fn direct(&mut self, id: ExchangeId, now: Moment) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        let key = exchange.request.route(self.settings.versions);
        let to = match &exchange.request.words {
            Words::Redis(redis) if key.is_in_cluster() => {
                let exchange = &redis.exchange;
                Some((Arc::clone(&exchange.settings), exchange.node.clone(), exchange.slot))
            }
            _ => None,
        };
        let key = match to {
            None => key,
            Some((settings, Some(node), _)) => RouteKey::redis_at(&settings, &node.host, node.port),
            Some((settings, None, slot)) => {
                let at = self.cluster(&settings);
                if !self.clusters[at].known {
                    self.take_aside(id);
                    self.clusters[at].parked.push(id);
                    return self.ask_for_map(at, now);
                }
                match self.clusters[at].node(slot) {
                    Some(node) => RouteKey::redis_at(&settings, &node.host, node.port),
                    None => key,
                }
            }
        };
        let route = self.pool.route(&key);
        self.put_on(id, route);
    }

    /// Puts an exchange into the queue of a route.
    pub(super) fn put_on(&mut self, id: ExchangeId, route: usize) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        exchange.route = route;
        let age = exchange.age();
        self.pool.enqueue(route, Waiting { age, id });
    }

    /// The node of a session is known, or asked for.
    pub(super) fn knows_node(
        &mut self,
        route: usize,
        settings: &Arc<Settings>,
        slot: Option<u16>,
        now: Moment,
    ) -> bool {
        let at = self.cluster(settings);
        let cluster = &mut self.clusters[at];
        if cluster.known
            && let Some(node) = cluster.node(slot)
        {
            let to = (node.host.clone(), node.port);
            self.pool.routes[route].lead(Some(to));
            return true;
        }
        if !cluster.sessions.contains(&route) {
            cluster.sessions.push(route);
        }
        self.ask_for_map(at, now);
        false
    }

    /// A node cannot be reached: what waits for it waits for another, which the cluster may name.
    pub(super) fn node_is_out_of_reach(
        &mut self,
        route: usize,
        settings: &Arc<Settings>,
        kind: ErrorKind,
        detail: &str,
        now: Moment,
    ) -> bool {
        let at = self.cluster(settings);
        self.pool.routes[route].lead(None);
        if self.pool.routes[route].session.is_some() {
            self.ask_for_map(at, now);
            return false;
        }
        let mut put_off = false;
        while let Some(id) = self.pop(route) {
            let Some(exchange) = self.exchanges.get(id) else { continue };
            if exchange.errand.is_some() || exchange.detours >= DETOURS || exchange.total <= now {
                self.give_up(id, kind, detail, now);
                continue;
            }
            exchange.detours += 1;
            self.put_off(id, now);
            put_off = true;
        }
        // Where nobody waits, it is asked for when somebody does: else nodes that are gone would be asked for ever.
        if put_off {
            self.ask_for_map(at, now);
        }
        true
    }

    /// A node said that another has the slot. Who that is.
    pub(super) fn slot_moved(
        &mut self,
        settings: &Arc<Settings>,
        slot: u16,
        host: &str,
        port: u16,
        now: Moment,
    ) -> RouteKey {
        let at = self.cluster(settings);
        // A map that is too large for that is asked for again.
        let _ = self.clusters[at].slots.moved(slot, host, port);
        self.ask_for_map(at, now);
        RouteKey::redis_at(settings, &Node::new(host, port).host, port)
    }

    /// The map of a cluster may be out of date.
    pub(super) fn doubt_map(&mut self, settings: &Arc<Settings>, now: Moment) {
        let at = self.cluster(settings);
        self.ask_for_map(at, now);
    }

    /// Asks for a map: one at a time, and not all the time.
    fn ask_for_map(&mut self, at: usize, now: Moment) {
        let cluster = &mut self.clusters[at];
        if !cluster.asking.is_empty() || cluster.is_due {
            return;
        }
        if cluster.asked != Moment::START && now < cluster.asked + PAUSE {
            cluster.is_due = true;
            return self.later.push(Reverse((cluster.asked + PAUSE, Due::Map(at))));
        }
        cluster.asked = now;
        let known: Vec<_> = cluster.slots.primaries().cloned().collect();
        let mut asking: VecDeque<_> = known.into();
        if !asking.is_empty() {
            cluster.turn = cluster.turn.wrapping_add(1);
            asking.rotate_left(cluster.turn % asking.len());
        }
        for (host, port) in cluster.settings.seeds() {
            let seed = Node::new(host, port);
            if !asking.contains(&seed) {
                asking.push_back(seed);
            }
        }
        cluster.asking = asking;
        self.ask_next_node(at, now);
    }

    fn ask_next_node(&mut self, at: usize, now: Moment) {
        let cluster = &self.clusters[at];
        let Some(node) = cluster.asking.front() else { return };
        let key = RouteKey::redis_at(&cluster.settings, &node.host, node.port);
        let command = Redis::of(Arc::clone(&cluster.settings)).command("CLUSTER SLOTS", ());
        self.send_errand(Errand::Map(at), command, &key, self.settings.connect_timeout, now);
    }

    pub(super) fn map_is_due(&mut self, at: usize, now: Moment) {
        self.clusters[at].is_due = false;
        self.ask_for_map(at, now);
    }

    /// A node answered.
    pub(super) fn map_came(&mut self, at: usize, reply: &Value, now: Moment) {
        let cluster = &mut self.clusters[at];
        let Some(asked) = cluster.asking.front() else { return };
        if let Some(error) = reply.as_error() {
            let words = told(error.as_ref().text());
            return self.no_map(at, ErrorKind::Refused, &words, now);
        }
        match Slots::read(reply, asked, cluster.settings.tls) {
            Ok(slots) if slots.primaries().next().is_none() => {
                self.no_map(at, ErrorKind::Refused, "no node of the cluster has a slot", now);
            }
            Ok(slots) => {
                (cluster.slots, cluster.known) = (slots, true);
                cluster.asking.clear();
                let (parked, sessions) = (std::mem::take(&mut cluster.parked), std::mem::take(&mut cluster.sessions));
                for id in parked {
                    self.direct(id, now);
                }
                for session in sessions {
                    self.pool.line_up(session);
                }
            }
            Err(wrong) => self.no_map(at, ErrorKind::Protocol, &wrong.to_string(), now),
        }
    }

    /// A node has no map for us: the next one is asked. When there is none, what waits for the first map fails.
    pub(super) fn no_map(&mut self, at: usize, kind: ErrorKind, detail: &str, now: Moment) {
        let cluster = &mut self.clusters[at];
        let asked = cluster.asking.pop_front();
        if !cluster.asking.is_empty() {
            return self.ask_next_node(at, now);
        }
        let asked = asked.map_or_else(String::new, |node| format!(" {}:{}", node.host, node.port));
        let words = format!("no map of the cluster; the last node that was asked is{asked}: {detail}");
        let (parked, sessions) = (std::mem::take(&mut cluster.parked), std::mem::take(&mut cluster.sessions));
        for id in parked {
            self.give_up(id, kind, &words, now);
        }
        let settings = Arc::clone(&self.clusters[at].settings);
        for session in sessions {
            if self.is_of(session, &settings) && self.pool.routes[session].session.is_some() {
                self.fail_all(session, kind, &words, now);
            }
            // Whoever called this may be at work on a route that has its place by now: it is not forgotten here.
            self.pool.line_up(session);
        }
    }
}

impl Cluster {
    /// Nothing waits for its map, and nobody is asked for it, or is to be.
    fn is_at_rest(&self) -> bool {
        self.parked.is_empty() && self.sessions.is_empty() && self.asking.is_empty() && !self.is_due
    }

    /// The node of a slot; where there is none, any, one after the other.
    fn node(&mut self, slot: Option<u16>) -> Option<&Node> {
        if let Some(slot) = slot
            && self.slots.node(slot).is_some()
        {
            return self.slots.node(slot);
        }
        let count = self.slots.primaries().count();
        self.turn = self.turn.wrapping_add(1);
        self.slots.primaries().nth(self.turn % count.max(1))
    }
}
