//! What the client asks for itself, and what goes on at a later time. Nobody is told of an errand, and none is counted;
//! what its answer means is known to whoever sent it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::collected::Collected;
use super::core::Core;
use crate::error::ErrorKind;
#[cfg(feature = "redis")]
use crate::protocols::redis::Value;
use crate::reactor::{Moment, Reason};
#[cfg(feature = "redis")]
use {
    super::Request,
    super::exchange::{Exchange, Stage},
    crate::pool::Waiting,
    crate::protocols::ExchangeId,
    crate::reactor::Key,
    crate::redis::{Command, Settings},
    crate::route::{Dialect, RouteKey},
    std::collections::HashSet,
    std::sync::Arc,
    std::time::Duration,
};

/// Something that the client asks for itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errand {
    /// The map of a cluster.
    #[cfg(feature = "redis")]
    Map(usize),
    /// Where a master is, from a sentinel.
    #[cfg(feature = "redis")]
    Master(usize),
    /// Whether the server of a connection is the master that it was said to be.
    #[cfg(feature = "redis")]
    Role { master: usize, connection: usize, key: Key },
}

/// What goes on at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// An exchange is sent again, if it is still wanted.
    #[cfg(feature = "redis")]
    Exchange(ExchangeId),
    /// The map of a cluster is asked for.
    #[cfg(feature = "redis")]
    Map(usize),
    /// The sentinels of a master are asked.
    #[cfg(feature = "redis")]
    Master(usize),
}

pub(super) type Later = BinaryHeap<Reverse<(Moment, Due)>>;

/// How long a server that cannot help is left alone before it is asked again, and between two tries of a request at first.
#[cfg(feature = "redis")]
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// Clusters that are remembered, and masters: beyond that, those make room that nobody uses.
#[cfg(feature = "redis")]
pub(super) const MOST: usize = 1024;

#[cfg(not(feature = "redis"))]
impl Core {
    pub(super) fn go_on_later(&mut self, _now: Moment) {}

    pub(super) fn errand_done(&mut self, errand: Errand, _collected: Collected, _now: Moment) {
        match errand {}
    }

    pub(super) fn errand_failed(&mut self, errand: Errand, _kind: ErrorKind, _detail: &str, _now: Moment) {
        match errand {}
    }

    /// Where the connections of a route lead is known.
    pub(super) fn knows_the_way(&mut self, _route: usize, _now: Moment) -> bool {
        true
    }

    /// No connection could be made: what waits for it goes elsewhere.
    pub(super) fn goes_elsewhere(&mut self, _route: usize, _kind: ErrorKind, _detail: &str, _now: Moment) -> bool {
        false
    }

    /// A connection was of no use: it is found out again where they lead.
    pub(super) fn asks_for_the_way(&mut self, _route: usize, _reason: &Reason, _now: Moment) -> bool {
        false
    }
}

#[cfg(feature = "redis")]
impl Core {
    /// Goes on with what waited for a time that has come.
    pub(super) fn go_on_later(&mut self, now: Moment) {
        while let Some(Reverse((due, what))) = self.later.peek().copied() {
            if due > now {
                return;
            }
            self.later.pop();
            match what {
                Due::Exchange(id) => self.direct(id, now),
                Due::Map(cluster) => self.map_is_due(cluster, now),
                Due::Master(master) => self.master_is_due(master, now),
            }
        }
    }

    /// An errand was answered.
    pub(super) fn errand_done(&mut self, errand: Errand, mut collected: Collected, now: Moment) {
        let reply = collected.take_replies().into_iter().next().unwrap_or(Value::Null);
        match errand {
            Errand::Map(cluster) => self.map_came(cluster, &reply, now),
            Errand::Master(master) => self.sentinel_said(master, &reply, now),
            Errand::Role { master, connection, key } => self.role_came(master, connection, key, &reply, now),
        }
    }

    /// An errand failed.
    pub(super) fn errand_failed(&mut self, errand: Errand, kind: ErrorKind, detail: &str, now: Moment) {
        match errand {
            Errand::Map(cluster) => self.no_map(cluster, kind, detail, now),
            Errand::Master(master) => self.sentinel_failed(master, kind, detail, now),
            // Its connection is gone, which is told elsewhere.
            Errand::Role { .. } => {}
        }
    }

    /// Asks for something that no user asked for. `key`: whom; `limit`: how long it may take once there is a worker for it.
    pub(super) fn send_errand(
        &mut self,
        errand: Errand,
        command: Command,
        key: &RouteKey,
        limit: Duration,
        now: Moment,
    ) {
        // On a connection that there is, it begins when it is sent.
        let prepared = match Request::from(command).first_byte_timeout(limit).prepare() {
            Ok(prepared) => prepared,
            Err(error) => return self.errand_failed(errand, error.kind(), &error.to_string(), now),
        };
        let route = self.pool.route(key);
        let id = self.exchanges.insert_errand(errand, prepared, route, now);
        self.pool.enqueue(route, Waiting { age: 0, id });
    }

    /// There is a worker for a route: the time of errands that wait there begins.
    fn errands_begin(&mut self, route: usize, now: Moment) {
        for waiting in &self.pool.routes[route].queue {
            let Some(exchange) = self.exchanges.get(waiting.id) else { continue };
            // They come before everything else.
            if exchange.errand.is_none() {
                return;
            }
            if exchange.total == Moment::NEVER
                && let Some(limit) = exchange.request.timeouts.first_byte
            {
                exchange.total = now + limit;
                exchange.arm(waiting.id, &mut self.alarms);
            }
        }
    }

    /// An exchange is in no queue and on no connection for a while.
    pub(super) fn take_aside(&mut self, id: ExchangeId) {
        if let Some(exchange) = self.exchanges.get(id) {
            exchange.sent = None;
            exchange.route = usize::MAX;
            exchange.enter(Stage::Waiting, Moment::NEVER, id, &mut self.alarms);
        }
    }

    /// Sends an exchange again later: the oftener it was, the later.
    pub(super) fn put_off(&mut self, id: ExchangeId, now: Moment) {
        /// The longest that a request waits between two tries.
        const LONGEST: Duration = Duration::from_millis(500);
        self.take_aside(id);
        if let Some(exchange) = self.exchanges.get(id) {
            let pause = PAUSE / 8 * (1 << u32::from(exchange.detours.min(8)));
            self.later.push(Reverse((now + pause.min(LONGEST), Due::Exchange(id))));
        }
    }

    /// A route that was noted is still there, and no other's by now.
    pub(super) fn is_of(&self, route: usize, settings: &Arc<Settings>) -> bool {
        let dialect = self.pool.routes.get(route).map(|entry| &entry.key.dialect);
        matches!(dialect, Some(Dialect::Redis(its)) if Arc::ptr_eq(its, settings) || its == settings)
    }

    /// What the routes that there are were made with.
    pub(super) fn settings_in_use(&self) -> HashSet<&Settings> {
        let settings = self.pool.routes.iter().filter_map(|(_, route)| match &route.key.dialect {
            Dialect::Redis(settings) => Some(&**settings),
            _ => None,
        });
        settings.collect()
    }

    /// Whom errors of an exchange name, where that is not what its request says.
    pub(super) fn place_of(&self, exchange: &Exchange) -> Option<String> {
        let route = self.pool.routes.get(exchange.route)?;
        let Dialect::Redis(_) = route.key.dialect else { return None };
        Some(route.place().peer())
    }

    /// Where the connections of a route lead is known. `false`: it is being asked, and the route wants a connection again
    /// when that is known.
    pub(super) fn knows_the_way(&mut self, route: usize, now: Moment) -> bool {
        self.errands_begin(route, now);
        let entry = &self.pool.routes[route];
        let Dialect::Redis(settings) = &entry.key.dialect else { return true };
        if entry.led.is_some() || entry.key.address.is_some() {
            return true;
        }
        let settings = settings.clone();
        if settings.has_sentinels() {
            return self.knows_master(route, &settings, now);
        }
        match &entry.session {
            Some(session) if settings.is_cluster() => {
                let slot = session.slot;
                self.knows_node(route, &settings, slot, now)
            }
            _ => true,
        }
    }

    /// No connection could be made: what waits for it goes elsewhere. `false`: it can only fail.
    pub(super) fn goes_elsewhere(&mut self, route: usize, kind: ErrorKind, detail: &str, now: Moment) -> bool {
        let entry = &self.pool.routes[route];
        let Dialect::Redis(settings) = &entry.key.dialect else { return false };
        if entry.key.address.is_some() {
            return false;
        }
        let settings = settings.clone();
        if settings.has_sentinels() {
            return self.master_is_out_of_reach(&settings, kind, detail, now);
        }
        settings.is_cluster() && self.node_is_out_of_reach(route, &settings, kind, detail, now)
    }

    /// A connection was of no use. `true`: it is found out again where they lead, and what waits does so a while longer.
    pub(super) fn asks_for_the_way(&mut self, route: usize, reason: &Reason, now: Moment) -> bool {
        let Dialect::Redis(settings) = &self.pool.routes[route].key.dialect else { return false };
        let settings = settings.clone();
        settings.has_sentinels()
            && self.master_is_out_of_reach(&settings, ErrorKind::of(reason, true), &reason.to_string(), now)
    }
}
