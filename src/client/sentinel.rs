//! Masters of Redis that sentinels know: a name that is resolved by asking servers. Whoever is named is asked whether it
//! is the master before it is sent anything, and forgotten when it is not, cannot be reached, or is a master no more.

use std::cmp::Reverse;
use std::sync::Arc;

use super::Request;
use super::core::Core;
use super::errands::{Due, Errand, MOST, PAUSE};
use super::exchange::{Sent, Stage};
use crate::error::{ErrorKind, told};
use crate::protocols::redis::Value;
use crate::reactor::{At, Key, Moment, Sender};
use crate::redis::{Node, Redis, Settings, Topology};
use crate::route::{Dialect, RouteKey};
use crate::wire::Wire;

/// What is known of a master.
pub(super) struct Masters {
    settings: Arc<Settings>,
    name: String,
    /// Whom to ask, in turn, beginning with the one that knew it last.
    sentinels: Vec<Arc<Settings>>,
    next: usize,
    /// Sentinels that are still to be asked this time; none is being asked where that is nothing.
    left: Option<usize>,
    master: Option<(String, u16)>,
    /// Since when nobody is known to be the master.
    since: Option<Moment>,
    /// When sentinels were asked last.
    asked: Moment,
    /// They are to be asked again at a later time.
    is_due: bool,
    /// Why it is not known, or not reached.
    trouble: Option<(ErrorKind, String)>,
    /// Routes that wait for it.
    waiting: Vec<usize>,
}

impl Core {
    /// The master with these settings.
    fn master(&mut self, settings: &Arc<Settings>) -> usize {
        let same = |known: &Arc<Settings>| Arc::ptr_eq(known, settings) || known == settings;
        if let Some(at) = self.masters.iter().position(|master| same(&master.settings)) {
            return at;
        }
        let name = match &settings.topology {
            Topology::Sentinel { master, .. } => master.clone(),
            _ => String::new(),
        };
        let sentinels = settings.seeds().map(|(host, port)| Arc::new(settings.of_sentinel(host, port))).collect();
        let master = Masters {
            settings: Arc::clone(settings),
            name,
            sentinels,
            next: 0,
            left: None,
            master: None,
            since: None,
            asked: Moment::START,
            is_due: false,
            trouble: None,
            waiting: Vec::new(),
        };
        let unused = (self.masters.len() >= MOST).then(|| self.unused_master()).flatten();
        let Some(at) = unused else {
            self.masters.push(master);
            return self.masters.len() - 1;
        };
        self.masters[at] = master;
        at
    }

    /// A master that nothing refers to by its place.
    fn unused_master(&self) -> Option<usize> {
        let in_use = self.settings_in_use();
        let at_rest = |master: &Masters| master.waiting.is_empty() && master.left.is_none() && !master.is_due;
        self.masters.iter().position(|master| at_rest(master) && !in_use.contains(&*master.settings))
    }

    /// The master of a route is known, or asked for.
    pub(super) fn knows_master(&mut self, route: usize, settings: &Arc<Settings>, now: Moment) -> bool {
        let at = self.master(settings);
        if let Some(master) = self.masters[at].master.clone() {
            self.pool.routes[route].lead(Some(master));
            return true;
        }
        if !self.masters[at].waiting.contains(&route) {
            self.masters[at].waiting.push(route);
        }
        self.seek(at, now);
        false
    }

    /// Asks the sentinels, one after the other, and not all the time.
    fn seek(&mut self, at: usize, now: Moment) {
        let limit = self.settings.connect_timeout;
        let master = &mut self.masters[at];
        if master.left.is_some() || master.is_due {
            return;
        }
        let since = *master.since.get_or_insert(now);
        if since + limit <= now {
            return self.no_master(at, now);
        }
        if master.asked != Moment::START && now < master.asked + PAUSE {
            master.is_due = true;
            return self.later.push(Reverse((master.asked + PAUSE, Due::Master(at))));
        }
        master.asked = now;
        master.left = Some(master.sentinels.len());
        self.ask_sentinel(at, now);
    }

    fn ask_sentinel(&mut self, at: usize, now: Moment) {
        let master = &self.masters[at];
        let sentinel = &master.sentinels[master.next % master.sentinels.len()];
        let command = Redis::of(Arc::clone(sentinel)).command("SENTINEL GET-MASTER-ADDR-BY-NAME", &master.name);
        let key = RouteKey::redis(sentinel, None);
        // So that there is time for each of them.
        let limit = self.settings.connect_timeout / u32::try_from(master.sentinels.len()).unwrap_or(u32::MAX);
        self.send_errand(Errand::Master(at), command, &key, limit, now);
    }

    pub(super) fn master_is_due(&mut self, at: usize, now: Moment) {
        self.masters[at].is_due = false;
        let settings = Arc::clone(&self.masters[at].settings);
        let waiting = std::mem::take(&mut self.masters[at].waiting);
        for route in waiting {
            if self.is_of(route, &settings) && self.has_waiting(route) {
                self.masters[at].waiting.push(route);
            } else {
                // Nobody may need it any more.
                self.pool.line_up(route);
            }
        }
        if self.masters[at].waiting.is_empty() {
            // Nobody wants it any more.
            self.masters[at].since = None;
        } else {
            self.seek(at, now);
        }
    }

    /// A sentinel answered.
    pub(super) fn sentinel_said(&mut self, at: usize, reply: &Value, now: Moment) {
        let host = reply.as_slice().and_then(|place| place.first()).and_then(Value::as_str);
        let port = reply.as_slice().and_then(|place| place.get(1)).and_then(Value::as_str);
        let port = port.and_then(|port| port.parse().ok()).filter(|port| *port != 0);
        let (Some(host), Some(port)) = (host.filter(|host| Node::may_be_at(host)), port) else {
            let words = match reply.as_error() {
                Some(error) => told(error.as_ref().text()),
                None if reply.is_null() => "it knows no such master".to_owned(),
                None => "what it says is no address".to_owned(),
            };
            return self.sentinel_failed(at, ErrorKind::Resolve, &words, now);
        };
        let master = &mut self.masters[at];
        master.left = None;
        master.master = Some((host.to_owned(), port));
        let mut is_wanted = false;
        for route in std::mem::take(&mut master.waiting) {
            is_wanted |= self.has_waiting(route);
            self.pool.line_up(route);
        }
        if !is_wanted {
            self.masters[at].since = None;
        }
    }

    /// A sentinel does not know the master, or was not reached: the next one is asked.
    pub(super) fn sentinel_failed(&mut self, at: usize, kind: ErrorKind, detail: &str, now: Moment) {
        let master = &mut self.masters[at];
        let asked = &master.sentinels[master.next % master.sentinels.len()];
        master.trouble = Some((kind, format!("{}: {detail}", asked.place)));
        master.next = master.next.wrapping_add(1);
        let left = master.left.take().unwrap_or(0).saturating_sub(1);
        if left > 0 {
            master.left = Some(left);
            return self.ask_sentinel(at, now);
        }
        // All over again, until that took too long.
        self.seek(at, now);
    }

    /// Nobody was found to be the master in time.
    fn no_master(&mut self, at: usize, now: Moment) {
        let master = &mut self.masters[at];
        master.since = None;
        let (kind, trouble) = master.trouble.take().unwrap_or((ErrorKind::Resolve, "nobody answered".to_owned()));
        let sentinels: Vec<_> = master.sentinels.iter().map(|sentinel| sentinel.place.to_string()).collect();
        let words =
            format!("no master '{}' within the time: sentinels {}; {trouble}", master.name, sentinels.join(", "));
        let settings = Arc::clone(&master.settings);
        for route in std::mem::take(&mut master.waiting) {
            if self.is_of(route, &settings) {
                self.fail_all(route, kind, &words, now);
            }
            // Whoever called this may be at work on a route that has its place by now: it is not forgotten here.
            self.pool.line_up(route);
        }
    }

    /// The server that was named cannot be reached, or is of no use.
    pub(super) fn master_is_out_of_reach(
        &mut self,
        settings: &Arc<Settings>,
        kind: ErrorKind,
        detail: &str,
        now: Moment,
    ) -> bool {
        let at = self.master(settings);
        let master = &mut self.masters[at];
        if let Some((host, port)) = &master.master {
            master.trouble = Some((kind, format!("{host}:{port}, which they named: {detail}")));
        }
        self.forget_master(settings, now);
        true
    }

    /// It is a master no more: nothing is sent on the connections that there are, and sentinels are asked before there are
    /// others.
    pub(super) fn forget_master(&mut self, settings: &Arc<Settings>, now: Moment) {
        let at = self.master(settings);
        self.masters[at].master = None;
        let mut is_wanted = false;
        let routes: Vec<_> = self.pool.routes.iter().map(|(route, _)| route).collect();
        for route in routes {
            if !self.is_of(route, settings) {
                continue;
            }
            self.pool.routes[route].lead(None);
            if self.pool.routes[route].session.is_none() {
                let free = self.pool.retire_all(route);
                self.to_close.extend(free);
            }
            if self.has_waiting(route) {
                is_wanted = true;
                self.pool.line_up(route);
            }
        }
        // The time of who waits runs on; that of who comes later begins when he comes.
        let since = &mut self.masters[at].since;
        *since = is_wanted.then(|| since.unwrap_or(now));
    }

    /// Asks a server that sentinels named whether it is the master, before anything else is sent to it.
    pub(super) fn check_role(&mut self, at: At, to: &mut Sender<'_, Wire>) {
        let connection = at.tag as usize;
        let entry = &self.pool.connections[connection];
        let route = &self.pool.routes[entry.route];
        let Dialect::Redis(settings) = &route.key.dialect else { return };
        if entry.checked || route.key.address.is_some() || !settings.has_sentinels() || to.slots() == 0 {
            return;
        }
        let (settings, route) = (Arc::clone(settings), entry.route);
        let master = self.master(&settings);
        let Ok(request) = Request::from(Redis::of(settings).command("ROLE", ())).prepare() else { return };
        let errand = Errand::Role { master, connection, key: at.key };
        let id = self.exchanges.insert_errand(errand, request, route, at.now);
        let version = to.protocol().version();
        let entry = &mut self.pool.connections[connection];
        let Some(exchange) = self.exchanges.get(id) else { return };
        if !matches!(exchange.request.send(id, None, entry, to), Ok(Ok(()))) {
            self.exchanges.remove(id);
            return;
        }
        entry.checked = true;
        entry.in_flight += 1;
        entry.alone = true;
        let made = Default::default();
        exchange.sent = Some(Sent { key: at.key, connection, at: at.now, first_byte: None, made, version });
        exchange.enter(Stage::Sent, Moment::NEVER, id, &mut self.alarms);
        self.on_way += 1;
        to.set_silence(Some(self.settings.timeout));
    }

    /// A server said what it is.
    pub(super) fn role_came(&mut self, at: usize, connection: usize, key: Key, reply: &Value, now: Moment) {
        let role = reply.as_slice().and_then(|role| role.first()).and_then(Value::as_str);
        let master = &mut self.masters[at];
        if role == Some("master") {
            master.since = None;
            return;
        }
        let what = match reply.as_error() {
            Some(error) => told(error.as_ref().text()),
            None => format!("it is no master but a {}", told(role.unwrap_or("stranger").as_bytes())),
        };
        let settings = Arc::clone(&master.settings);
        if self.pool.is(connection, key) {
            self.pool.retire(connection);
            self.to_close.push(key);
        }
        self.master_is_out_of_reach(&settings, ErrorKind::Resolve, &what, now);
    }
}
