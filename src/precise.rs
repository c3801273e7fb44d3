//! An alarm finer than the millisecond to which a poll rounds its timeout: a timer descriptor on Linux, nothing but the
//! timeout elsewhere. One per reactor, for pacing; deadlines of connections are in `timers`.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

use crate::time::Moment;

#[derive(Debug)]
pub(crate) struct Alarm {
    /// When a turn must end; `NEVER` is off.
    pub(crate) due: Moment,
    #[cfg(target_os = "linux")]
    timer: linux::Timer,
}

impl Alarm {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        #[cfg(not(target_os = "linux"))]
        let _ = (registry, token);
        Ok(Self {
            due: Moment::NEVER,
            #[cfg(target_os = "linux")]
            timer: linux::Timer::new(registry, token),
        })
    }

    /// How long a poll may wait for it, or for something else that is due before, after arming what can be armed.
    pub(crate) fn wait(&mut self, before: Moment, now: Moment) -> Option<Duration> {
        let due = self.due.min(before);
        if due == Moment::NEVER {
            return None;
        }
        let wait = due.since(now);
        #[cfg(target_os = "linux")]
        if !wait.is_zero() && self.timer.set(due, wait) {
            return None;
        }
        Some(wait)
    }

    /// The descriptor became readable.
    pub(crate) fn rang(&mut self) {
        #[cfg(target_os = "linux")]
        self.timer.rang();
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::Duration;

    use mio::event::Source;
    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };

    use crate::time::Moment;

    /// A timer descriptor, made when it is first needed.
    #[derive(Debug)]
    pub(super) struct Timer {
        registry: Option<Registry>,
        token: Token,
        descriptor: Option<OwnedFd>,
        armed: Moment,
    }

    impl Timer {
        pub(super) fn new(registry: &Registry, token: Token) -> Self {
            Self { registry: registry.try_clone().ok(), token, descriptor: None, armed: Moment::NEVER }
        }

        /// `false`: it cannot be had, and the timeout of the poll must do.
        pub(super) fn set(&mut self, due: Moment, wait: Duration) -> bool {
            if self.armed == due {
                return true;
            }
            if self.descriptor.is_none() {
                self.descriptor = self.make();
            }
            let Some(descriptor) = &self.descriptor else { return false };
            let value = Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            let set = timerfd_settime(descriptor, TimerfdTimerFlags::empty(), &once).is_ok();
            self.armed = if set { due } else { Moment::NEVER };
            set
        }

        // Readiness is told by the edge and setting it again clears it, so it is never read.
        pub(super) fn rang(&mut self) {
            self.armed = Moment::NEVER;
        }

        fn make(&mut self) -> Option<OwnedFd> {
            let registry = self.registry.take()?;
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags).ok()?;
            SourceFd(&descriptor.as_raw_fd()).register(&registry, self.token, Interest::READABLE).ok()?;
            Some(descriptor)
        }
    }
}
