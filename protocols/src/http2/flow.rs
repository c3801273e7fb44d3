//! Windows (RFC 9113 §5.2, §6.9): how much may be sent each way, how the windows of streams grow, and the credit that
//! keeps a peer from sending frames that bring nothing. What is in the frames is not looked at here.

use super::settings::MOST_WINDOW;

/// What may be sent. Below zero after the peer has made its windows smaller (§6.9.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(i32);

impl Room {
    pub(super) fn new(window: u32) -> Self {
        Self(window.min(MOST_WINDOW) as i32)
    }

    #[inline]
    pub(super) fn left(self) -> usize {
        self.0.max(0) as usize
    }

    /// So many bytes, which were there, are sent.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.left());
        self.0 -= bytes as i32;
    }

    /// More may be sent, or less. `false`: more than there can be (§6.9.1).
    #[must_use]
    pub(super) fn change(&mut self, by: i64) -> bool {
        let Ok(room) = i32::try_from(i64::from(self.0) + by) else { return false };
        self.0 = room;
        true
    }
}

/// What the peer may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted(i32);

impl Granted {
    pub(super) fn new(window: u32) -> Self {
        Self(window.min(MOST_WINDOW) as i32)
    }

    pub(super) fn left(self) -> u32 {
        self.0.max(0) as u32
    }

    /// So many bytes came. `false`: they are more than it was granted.
    #[must_use]
    #[inline]
    pub(super) fn take(&mut self, bytes: u32) -> bool {
        if bytes > self.left() {
            return false;
        }
        self.0 -= bytes as i32;
        true
    }

    /// How much to grant, so that it is `window` again. Nothing while half of it is left: an update for every frame
    /// would cost more than it brings.
    #[must_use]
    #[inline]
    pub(super) fn refill(&mut self, window: u32) -> Option<u32> {
        let window = window.min(MOST_WINDOW) as i32;
        if self.0 > window / 2 {
            return None;
        }
        let more = window.saturating_sub(self.0);
        self.0 = window;
        Some(more as u32)
    }

    /// The window that the peer begins with is smaller than the one that held until it knew.
    pub(super) fn shrink(&mut self, by: u32) {
        self.0 = self.0.saturating_sub_unsigned(by);
    }
}

/// How large the windows of streams are: the policy of growth.
///
/// A stream that is read as fast as it comes, and yet gets a whole window in one round trip, is slowed down by the
/// window. The round trip is measured without a clock: when a stream is granted more, a PING goes with it, and what the
/// stream brings before the answer is what fits into one round trip (the estimate that gRPC uses). Streams that never
/// use up half a window never cause a PING.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    window: u32,
    most: u32,
    probe: Option<Probe>,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    stream: u32,
    bytes: u64,
}

/// The PING that measures.
pub(super) const PROBE: [u8; 8] = *b"how fast";

impl Growth {
    pub(super) fn new(window: u32, most: u32) -> Self {
        Self { window, most, probe: None }
    }

    /// What a stream is granted now.
    #[inline]
    pub(super) fn window(&self) -> u32 {
        self.window
    }

    /// A stream was granted more. `true`: send [`PROBE`].
    #[must_use]
    pub(super) fn granted(&mut self, stream: u32) -> bool {
        let begins = self.probe.is_none() && self.window < self.most;
        if begins {
            self.probe = Some(Probe { stream, bytes: 0 });
        }
        begins
    }

    #[inline]
    pub(super) fn came(&mut self, stream: u32, bytes: u32) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.stream == stream) {
            probe.bytes += u64::from(bytes);
        }
    }

    /// The answer to [`PROBE`]. `false`: there was none to answer.
    pub(super) fn answered(&mut self) -> bool {
        let Some(probe) = self.probe.take() else { return false };
        // Two thirds, since the update came when half a window was still to be sent.
        if 3 * probe.bytes >= 2 * u64::from(self.window) {
            self.window = self.window.saturating_mul(2).min(self.most);
        }
        true
    }
}

/// How many more frames that bring nothing are taken (LIMITS of [`Limits::credit`](super::Limits::credit)).
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    left: u32,
    most: u32,
    /// Of DATA, that have earned nothing yet.
    bytes: u32,
}

impl Credit {
    pub(super) fn new(most: u32) -> Self {
        Self { left: most, most, bytes: 0 }
    }

    pub(super) fn most(self) -> u32 {
        self.most
    }

    /// A frame that brings nothing. `false`: it was one too many.
    #[must_use]
    pub(super) fn spend(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or_default();
        left.is_some()
    }

    #[inline]
    pub(super) fn earn(&mut self, frames: u32) {
        self.left = (self.left + frames).min(self.most);
    }

    /// DATA, in either direction.
    #[inline]
    pub(super) fn carried(&mut self, bytes: u32) {
        self.bytes += bytes;
        if self.bytes >= EARNS {
            self.earn(self.bytes / EARNS);
            self.bytes %= EARNS;
        }
    }
}

const EARNS: u32 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_refilled_when_half_of_it_is_used() {
        let mut granted = Granted::new(100);
        assert!(granted.take(49));
        assert_eq!(granted.refill(100), None);
        assert!(granted.take(1));
        assert_eq!(granted.refill(100), Some(50));
        assert!(!granted.take(101));
        assert!(granted.take(100));
        assert_eq!(granted.refill(200), Some(200));
    }

    #[test]
    fn a_window_grows_while_one_round_trip_fills_it_and_not_beyond_its_most() {
        let mut growth = Growth::new(100, 300);
        assert!(growth.granted(1));
        assert!(!growth.granted(3), "one probe at a time");
        growth.came(1, 50);
        growth.came(3, 1000);
        assert!(growth.answered());
        assert_eq!(growth.window(), 100, "what other streams bring does not count");
        for (bytes, window) in [(67, 200), (200, 300)] {
            assert!(growth.granted(1));
            growth.came(1, bytes);
            assert!(growth.answered());
            assert_eq!(growth.window(), window);
        }
        assert!(!growth.granted(1), "it is as large as it may be");
        assert!(!growth.answered());
    }

    #[test]
    fn room_may_be_negative_and_not_over_its_most() {
        let mut room = Room::new(10);
        room.take(10);
        assert!(room.change(-5));
        assert_eq!(room.left(), 0);
        assert!(room.change(6));
        assert_eq!(room.left(), 1);
        assert!(room.change(i64::from(i32::MAX) - 1));
        assert!(!room.change(1));
    }

    #[test]
    fn credit_is_earned_back_up_to_where_it_began() {
        let mut credit = Credit::new(2);
        assert!(credit.spend() && credit.spend() && !credit.spend() && !credit.spend());
        credit.carried(EARNS - 1);
        assert!(!credit.spend());
        credit.carried(1);
        assert!(credit.spend() && !credit.spend());
        credit.earn(1000);
        assert!(credit.spend() && credit.spend() && !credit.spend());
    }
}
