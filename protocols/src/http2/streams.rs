//! The streams of a connection: a ring in the order of their numbers, which is the order in which they were opened. A
//! stream is found by where its number ought to be; one that ended leaves a gap until those before it have ended too, so
//! that opening and ending streams moves and allocates nothing. What a stream may do is the business of the connection.

use std::collections::VecDeque;

use super::flow::{Granted, Room};
use crate::ExchangeId;

#[derive(Default)]
pub(super) struct Streams {
    ring: VecDeque<Stream>,
    live: usize,
}

pub(super) struct Stream {
    pub(super) number: u32,
    pub(super) exchange: ExchangeId,
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
    /// It ended, and is only a gap.
    gone: bool,
    /// The reader is slow: no more is granted.
    pub(super) held: bool,
    /// The answer to HEAD.
    pub(super) bodiless: bool,
    /// CONNECT: what travels is no HTTP.
    pub(super) tunnel: bool,
    pub(super) interim: u16,
    pub(super) room: Room,
    pub(super) granted: Granted,
    /// Bytes that are still promised by `content-length`, on the way in and on the way out.
    pub(super) in_left: u64,
    pub(super) out_left: u64,
    /// What is left of a body that was given whole and found no room.
    pub(super) rest: Option<Box<Rest>>,
}

/// No length was promised.
pub(super) const UNKNOWN: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// The head is awaited.
    Head,
    Body,
    /// The message is whole.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// A server has not answered yet.
    Head,
    /// The body may go on.
    Ready,
    /// Its source has nothing.
    Stalled,
    /// `rest` goes on by itself.
    Rest,
    /// The message is whole.
    Done,
}

pub(super) struct Rest {
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
}

/// The ring may have so many gaps, beside one for each stream in it, before it is put together.
const GAPS: usize = 64;

impl Stream {
    pub(super) fn new(number: u32, exchange: ExchangeId, room: Room, granted: Granted) -> Self {
        Self {
            number,
            exchange,
            incoming: Incoming::Head,
            outgoing: Outgoing::Head,
            gone: false,
            held: false,
            bodiless: false,
            tunnel: false,
            interim: 0,
            room,
            granted,
            in_left: UNKNOWN,
            out_left: UNKNOWN,
            rest: None,
        }
    }
}

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Its number is higher than that of every stream before.
    pub(super) fn open(&mut self, stream: Stream) {
        self.ring.push_back(stream);
        self.live += 1;
    }

    /// The place of the stream that was opened last; there must be one.
    pub(super) fn last(&self) -> usize {
        self.ring.len() - 1
    }

    /// Where a stream is that has not ended. Places are good until the next stream ends.
    #[inline]
    pub(super) fn find(&self, number: u32) -> Option<usize> {
        // Numbers go up by two, mostly.
        let at = number.wrapping_sub(self.ring.front()?.number) as usize / 2;
        match self.ring.get(at) {
            Some(stream) if stream.number == number => (!stream.gone).then_some(at),
            _ => self.search(number),
        }
    }

    #[cold]
    fn search(&self, number: u32) -> Option<usize> {
        let at = self.ring.binary_search_by_key(&number, |stream| stream.number).ok()?;
        (!self.ring[at].gone).then_some(at)
    }

    /// The same by the exchange, where exchanges are numbered as they come.
    pub(super) fn find_numbered(&self, exchange: ExchangeId) -> Option<usize> {
        let at = self.ring.binary_search_by_key(&exchange, |stream| stream.exchange).ok()?;
        (!self.ring[at].gone).then_some(at)
    }

    /// The same where the caller chose the names; `near` is where to look first.
    pub(super) fn find_named(&self, exchange: ExchangeId, near: u32) -> Option<usize> {
        let from = self.behind(near);
        let is_it = |at: &usize| !self.ring[*at].gone && self.ring[*at].exchange == exchange;
        (from..self.ring.len()).chain(0..from).find(is_it)
    }

    /// The first place with a number above this one.
    pub(super) fn behind(&self, number: u32) -> usize {
        self.ring.partition_point(|stream| stream.number <= number)
    }

    /// Places and streams in a circle from a place on.
    pub(super) fn circle(&self, from: usize) -> impl Iterator<Item = &Stream> {
        let from = from.min(self.ring.len());
        self.ring.range(from..).chain(self.ring.range(..from)).filter(|stream| !stream.gone)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.ring.iter_mut().filter(|stream| !stream.gone)
    }

    /// The first stream that has not ended, from a place on.
    pub(super) fn first_from(&self, from: usize) -> Option<usize> {
        (from..self.ring.len()).find(|at| !self.ring[*at].gone)
    }

    /// Ends a stream.
    #[inline]
    pub(super) fn end(&mut self, at: usize) {
        let stream = &mut self.ring[at];
        debug_assert!(!stream.gone);
        stream.gone = true;
        stream.rest = None;
        self.live -= 1;
        while self.ring.front().is_some_and(|stream| stream.gone) {
            self.ring.pop_front();
        }
        if self.ring.len() > 2 * self.live + GAPS {
            self.ring.retain(|stream| !stream.gone);
        }
    }
}

impl core::ops::Index<usize> for Streams {
    type Output = Stream;

    #[inline]
    fn index(&self, at: usize) -> &Stream {
        &self.ring[at]
    }
}

impl core::ops::IndexMut<usize> for Streams {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut Stream {
        &mut self.ring[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(streams: &mut Streams, number: u32) {
        let exchange = ExchangeId(u64::from(number) * 10);
        streams.open(Stream::new(number, exchange, Room::new(0), Granted::new(0)));
    }

    fn end(streams: &mut Streams, number: u32) {
        let at = streams.find(number).unwrap();
        streams.end(at);
    }

    #[test]
    fn streams_are_found_whatever_gaps_and_leaps_there_are() {
        let mut streams = Streams::default();
        let numbers: Vec<u32> = (0..300).map(|at| 2 * at + 1 + if at > 100 { 1000 } else { 0 }).collect();
        for number in &numbers {
            open(&mut streams, *number);
        }
        for number in numbers.iter().filter(|number| *number % 3 == 0) {
            end(&mut streams, *number);
        }
        for number in 0..2000 {
            let lives = numbers.contains(&number) && number % 3 != 0;
            for found in [
                streams.find(number),
                streams.find_named(ExchangeId(u64::from(number) * 10), number / 2),
                streams.find_numbered(ExchangeId(u64::from(number) * 10)),
            ] {
                assert_eq!(found.map(|at| streams[at].number), lives.then_some(number));
            }
        }
        assert_eq!(streams.len(), numbers.iter().filter(|number| *number % 3 != 0).count());
    }

    #[test]
    fn a_stream_that_stays_open_does_not_make_the_ring_grow() {
        let mut streams = Streams::default();
        open(&mut streams, 1);
        for number in (3..100_000).step_by(2) {
            open(&mut streams, number);
            if number > 9 {
                end(&mut streams, number - 6);
            }
            assert!(streams.find(1).is_some());
        }
        assert!(streams.ring.capacity() <= 256, "{}", streams.ring.capacity());
    }

    #[test]
    fn a_circle_passes_every_stream_once() {
        let mut streams = Streams::default();
        for number in [1, 3, 5, 7] {
            open(&mut streams, number);
        }
        end(&mut streams, 3);
        for (after, expected) in [(0, [1, 5, 7]), (1, [5, 7, 1]), (5, [7, 1, 5]), (7, [1, 5, 7]), (99, [1, 5, 7])] {
            let seen: Vec<_> = streams.circle(streams.behind(after)).map(|stream| stream.number).collect();
            assert_eq!(seen, expected, "after {after}");
        }
    }
}
