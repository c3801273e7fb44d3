//! Which of several servers is tried next, and how: what is known of those that were tried. Nothing here connects, and no
//! time is known here.

use super::settings::{LoadBalance, Settings, SslMode, Target};

/// One way to get in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// The place of the host among those of the settings.
    pub(crate) host: usize,
    /// TLS as its mode wants it only second: none for `prefer`, and for `allow` there is.
    pub(crate) second: bool,
    /// Whatever kind of server it is: nobody was a standby, where one was preferred.
    pub(crate) any: bool,
}

/// How far a connection came that is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setback {
    /// Nobody was there, or said anything.
    Unreached,
    /// Its sessions are not of the kind that is wanted.
    Unsuited,
    /// The server, or TLS, let nobody in.
    TurnedAway {
        /// TLS was begun.
        tls: bool,
        /// It was about who one is, which is the same for all.
        login: bool,
    },
}

/// What is to be done after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try again: another way, or the same one, which somebody else has told to fail already.
    Try,
    /// There was only one way.
    Only,
    /// This was the last of several, which failed like this.
    Last(String),
}

/// The hosts of one route.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    next: Way,
    /// The one to begin with: that which worked last.
    first: usize,
    /// What did not work since something did, in words.
    tried: Vec<(Way, String)>,
    /// The host of the next connection was drawn.
    drawn: bool,
    /// An address is given: what the settings say does not count.
    fixed: bool,
}

impl Hosts {
    /// `fixed`: every connection goes to one address, whatever the settings say.
    pub(crate) fn new(fixed: bool) -> Self {
        Self { fixed, ..Self::default() }
    }

    /// Begins with what another route knows.
    pub(crate) fn like(&mut self, other: &Self) {
        (self.next, self.first) = (Way { any: false, ..other.next }, other.first);
    }

    /// How the next connection is to get in.
    pub(crate) fn next(&self) -> Way {
        self.next
    }

    /// Whether hosts are drawn by chance, and the one of the next connection was not.
    pub(crate) fn wants_draw(&self, settings: &Settings) -> bool {
        let several = settings.hosts.len() > 1 && !self.fixed;
        several && settings.balance == LoadBalance::Random && self.tried.is_empty() && !self.drawn
    }

    /// The host of the next connection, by a number that nobody chose. `true`: another one than before.
    pub(crate) fn draw(&mut self, settings: &Settings, number: u32) -> bool {
        let host = number as usize % settings.hosts.len().max(1);
        let other = host != self.next.host;
        self.drawn = true;
        self.first = host;
        if other {
            self.next = Way { host, second: false, any: false };
        }
        other
    }

    /// A connection is on this way now.
    pub(crate) fn dialed(&mut self) {
        self.drawn = false;
    }

    /// Somebody got in. Later ones begin with it.
    pub(crate) fn worked(&mut self, way: Way) {
        self.tried.clear();
        self.first = way.host;
        // A standby may be there by the time of the next.
        self.next = Way { any: false, ..way };
    }

    /// Somebody did not, and why.
    pub(crate) fn failed(&mut self, settings: &Settings, way: Way, setback: Setback, words: String) -> Next {
        if self.tried.iter().any(|(tried, _)| *tried == way) {
            return Next::Try;
        }
        self.tried.push((way, words));
        if let Some(next) = self.after(settings, way, setback) {
            self.next = next;
            return Next::Try;
        }
        self.next = Way { host: self.first, ..Way::default() };
        let tried = std::mem::take(&mut self.tried);
        if tried.len() == 1 && (self.fixed || settings.hosts.len() == 1) {
            return Next::Only;
        }
        let mut words: Vec<_> = Vec::new();
        for (_, said) in tried {
            if !words.contains(&said) {
                words.push(said);
            }
        }
        Next::Last(words.join("; "))
    }

    /// The way behind one that did not work.
    fn after(&self, settings: &Settings, way: Way, setback: Setback) -> Option<Way> {
        if let Setback::TurnedAway { tls, login } = setback {
            let second = match settings.ssl.mode {
                SslMode::Allow => !tls && cfg!(feature = "tls"),
                SslMode::Prefer => tls,
                _ => false,
            };
            let on_socket = settings.hosts.get(way.host).is_some_and(|host| host.socket().is_some());
            if second && !way.second && !on_socket {
                return Some(Way { second: true, ..way });
            }
            // The others are told nothing: libpq does the same.
            if login {
                return None;
            }
        }
        if self.fixed {
            return None;
        }
        let count = settings.hosts.len();
        let fresh = |host: usize, any: bool| !self.tried.iter().any(|(it, _)| it.host == host && it.any == any);
        let around = |from: usize, any: bool| {
            let host = (0..count).map(|step| (from + step) % count).find(|host| fresh(*host, any))?;
            Some(Way { host, second: false, any })
        };
        around(way.host + 1, way.any)
            .or_else(|| around(self.first, true).filter(|_| settings.target == Target::PreferStandby && !way.any))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Postgres;
    use super::*;

    const AWAY: Setback = Setback::TurnedAway { tls: false, login: false };

    fn settings(addresses: &str, change: impl FnOnce(Postgres) -> Postgres) -> Settings {
        Settings::clone(change(Postgres::at(addresses, "d").user("u", "")).settings())
    }

    fn walk(settings: &Settings, hosts: &mut Hosts, setback: impl Fn(Way) -> Setback) -> (Vec<Way>, Next) {
        let mut ways = Vec::new();
        loop {
            let way = hosts.next();
            ways.push(way);
            match hosts.failed(settings, way, setback(way), format!("no {}", way.host)) {
                Next::Try => {}
                end => return (ways, end),
            }
        }
    }

    fn way(host: usize) -> Way {
        Way { host, ..Way::default() }
    }

    #[test]
    fn hosts_are_tried_in_turn_from_the_one_that_worked_and_each_once() {
        let three = settings("a,b,c", |db| db);
        let mut hosts = Hosts::default();
        let (ways, end) = walk(&three, &mut hosts, |_| Setback::Unreached);
        assert_eq!((ways, end), (vec![way(0), way(1), way(2)], Next::Last("no 0; no 1; no 2".into())));
        hosts.worked(way(1));
        let (ways, _) = walk(&three, &mut hosts, |_| AWAY);
        assert_eq!(ways, [way(1), way(2), way(0)]);
        assert_eq!(hosts.next(), way(1), "it begins where it began");
    }

    #[test]
    fn several_connections_that_fail_on_one_way_count_once() {
        let three = settings("a,b,c", |db| db);
        let mut hosts = Hosts::default();
        for _ in 0..5 {
            assert_eq!(hosts.failed(&three, way(0), Setback::Unreached, String::new()), Next::Try);
        }
        assert_eq!(hosts.next(), way(1));
    }

    #[test]
    fn a_login_that_fails_is_told_at_once() {
        let login = |tls| Setback::TurnedAway { tls, login: true };
        let two = settings("a,b", |db| db.ssl_mode(SslMode::Require));
        assert_eq!(walk(&two, &mut Hosts::default(), |_| login(true)).0, [way(0)]);
        // But not before the other way of the same host was tried.
        let second = Way { second: true, ..way(0) };
        let prefer = settings("a", |db| db);
        assert_eq!(walk(&prefer, &mut Hosts::default(), |way| login(!way.second)).0, [way(0), second]);
        assert_eq!(walk(&prefer, &mut Hosts::default(), |_| login(false)).0, [way(0)], "there was no TLS");
        assert_eq!(walk(&prefer, &mut Hosts::default(), |_| login(false)).1, Next::Only);
        let socket = settings("/run", |db| db);
        assert_eq!(walk(&socket, &mut Hosts::default(), |_| login(true)).0, [way(0)]);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn allow_asks_for_tls_where_it_is_turned_away_without() {
        let allow = settings("a,b", |db| db.ssl_mode(SslMode::Allow));
        let (ways, _) =
            walk(&allow, &mut Hosts::default(), |way| Setback::TurnedAway { tls: way.second, login: false });
        let second = |host| Way { second: true, ..way(host) };
        assert_eq!(ways, [way(0), second(0), way(1), second(1)]);
    }

    #[test]
    fn a_standby_that_nobody_is_may_be_anybody() {
        let two = settings("a,b", |db| db.target_session_attrs(Target::PreferStandby));
        let mut hosts = Hosts::default();
        let (ways, _) = walk(&two, &mut hosts, |way| if way.any { Setback::Unreached } else { Setback::Unsuited });
        let any = |host| Way { any: true, ..way(host) };
        assert_eq!(ways, [way(0), way(1), any(0), any(1)]);
        hosts.worked(any(1));
        assert_eq!(hosts.next(), way(1), "the next one looks for a standby again");
    }

    #[test]
    fn what_is_drawn_holds_until_it_is_dialed() {
        let three = settings("a,b,c", |db| db.load_balance_hosts(LoadBalance::Random));
        let mut hosts = Hosts::default();
        assert!(hosts.wants_draw(&three));
        assert!(hosts.draw(&three, 5), "another one");
        assert!(!hosts.wants_draw(&three));
        assert_eq!(hosts.next(), way(2));
        hosts.dialed();
        assert!(hosts.wants_draw(&three));
        assert!(!Hosts::new(true).wants_draw(&three));
        assert!(!Hosts::default().wants_draw(&settings("a", |db| db.load_balance_hosts(LoadBalance::Random))));
    }
}
