//! Answers that were found, for as long as they hold. Bounded; asks nobody, and reads no clock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Moment;

/// Names that are kept.
const ENTRIES: usize = 4096;
/// A server that says 0 would be asked for each of a thousand connections; one that says years is wrong.
const SHORTEST: u32 = 1;
const LONGEST: u32 = 24 * 60 * 60;
/// That there is nothing holds for three hours at most (RFC 2308 §5).
const LONGEST_NOTHING: u32 = 3 * 60 * 60;

/// Addresses of names; an empty list is a name that has none.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<String, (Vec<IpAddr>, Moment)>,
}

impl Cache {
    /// What is known, and until when.
    pub(super) fn get(&self, name: &str, now: Moment) -> Option<(&Vec<IpAddr>, Moment)> {
        self.entries.get(name).filter(|(_, until)| *until > now).map(|(addresses, until)| (addresses, *until))
    }

    /// Keeps an answer and says until when it holds.
    pub(super) fn keep(&mut self, name: &str, addresses: &[IpAddr], ttl: u32, now: Moment) -> Moment {
        if self.entries.len() >= ENTRIES && !self.entries.contains_key(name) {
            self.make_room(now);
        }
        let longest = if addresses.is_empty() { LONGEST_NOTHING } else { LONGEST };
        let until = now + Duration::from_secs(ttl.clamp(SHORTEST, longest).into());
        self.entries.insert(name.to_owned(), (addresses.to_vec(), until));
        until
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Drops what holds no more, or the quarter that holds for the shortest time: many at once, so that it is rare.
    fn make_room(&mut self, now: Moment) {
        self.entries.retain(|_, (_, until)| *until > now);
        if self.entries.len() > ENTRIES / 4 * 3 {
            let mut untils: Vec<_> = self.entries.values().map(|(_, until)| *until).collect();
            let (_, &mut limit, _) = untils.select_nth_unstable(ENTRIES / 4);
            let mut drop = ENTRIES / 4;
            self.entries.retain(|_, (_, until)| {
                let keep = *until > limit || drop == 0;
                drop -= usize::from(!keep);
                keep
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn an_answer_holds_as_long_as_it_says_within_reason() {
        let mut cache = Cache::default();
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        for (ttl, holds) in [(0, 1), (30, 30), (u32::MAX, 86_400)] {
            assert_eq!(cache.keep("h", &[ip], ttl, at(100)), at(100 + holds));
            assert!(cache.get("h", at(100 + holds - 1)).is_some());
            assert!(cache.get("h", at(100 + holds)).is_none());
        }
        assert_eq!(cache.keep("h", &[], u32::MAX, at(0)), at(10_800));
    }

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        let mut cache = Cache::default();
        for number in 0..20_000 {
            cache.keep(&format!("h{number}"), &[], 60, at(0));
            assert!(cache.entries.len() <= ENTRIES);
        }
        assert!(cache.get("h19999", at(1)).is_some());
        cache.keep("later", &[], 60, at(61));
        assert!(cache.get("later", at(61)).is_some());
    }
}
