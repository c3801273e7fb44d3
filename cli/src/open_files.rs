//! How many files, and so how many connections, this process may have open.

use crate::output::Failure;

/// What a process has open beside its connections: standard streams, polls, timers, listeners, a report.
const OTHERS: u64 = 32;

/// The most that macOS allows whatever it says (sys/syslimits.h).
#[cfg(unix)]
const OPEN_MAX: u64 = 10_240;

/// Raises the limit as far as the system allows without asking. Returns it: `None` where there is none, or none is
/// known.
pub(crate) fn raise() -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let current = limit.current?;
        if limit.maximum.is_none_or(|most| current < most) {
            let raise = |current| setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum });
            // macOS says "no limit" and allows OPEN_MAX; where that is refused, too, the soft one stays.
            if raise(limit.maximum).is_err() && current < OPEN_MAX {
                let _ = raise(Some(OPEN_MAX));
            }
        }
        getrlimit(Resource::Nofile).current
    }
    #[cfg(not(unix))]
    None
}

/// Whether so many connections are possible, each with `ends` of it in this process.
pub(crate) fn need(connections: usize, ends: u64) -> Result<(), Failure> {
    let needed = (connections as u64).saturating_mul(ends).saturating_add(OTHERS);
    match raise() {
        Some(limit) if needed > limit => Err(Failure::Usage(format!(
            "{connections} connections need {needed} open files, and the system allows {limit}: ask for fewer with -c, \
             or raise the limit (ulimit -n {needed})"
        ))),
        _ => Ok(()),
    }
}
