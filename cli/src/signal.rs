//! Ctrl-C, and its like from other programs (SIGTERM, SIGHUP). The first one asks for an end, the second one is the
//! end.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::Failure;

/// As shells count: 128 and the number of SIGINT.
pub(crate) const KILLED: u8 = 130;

/// What the first Ctrl-C does. Called once in a process.
pub(crate) fn on_interrupt(end: impl Fn() + Send + 'static) -> Result<(), Failure> {
    let asked = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::SeqCst) {
            crate::terminal::restore();
            process::exit(KILLED.into());
        }
        end();
    })
    .map_err(|error| Failure::Run(format!("cannot watch for Ctrl-C: {error}")))
}
