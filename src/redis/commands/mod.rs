//! Methods for the commands that programs use every day, one file for each kind of data. They only write words; what is not
//! here is [`Redis::command`].

mod bits;
mod geo;
mod hashes;
mod keys;
mod lists;
mod pubsub;
mod scripts;
mod server;
mod sets;
mod sorted_sets;
mod streams;
mod strings;

use std::time::Duration;

use super::{Args, Command, Redis, ToArg, ToArgs};

pub use geo::{GeoArea, GeoOptions};
pub use keys::ScanOptions;
pub use lists::Side;
pub use sorted_sets::{RangeOptions, ZaddOptions};
pub use streams::{XaddOptions, XreadOptions};
pub use strings::{Expiry, SetOptions};

/// The words of options, written as they are chosen.
macro_rules! options {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[must_use = "options do nothing by themselves"]
        pub struct $name {
            words: Vec<String>,
        }

        impl $name {
            /// None of them.
            pub fn new() -> Self {
                Self::default()
            }

            fn with<const N: usize>(mut self, words: [&str; N]) -> Self {
                self.words.extend(words.map(str::to_owned));
                self
            }
        }

        impl $crate::redis::ToArgs for $name {
            fn to_args(&self, args: &mut $crate::redis::Args<'_>) {
                args.add(&self.words);
            }
        }
    };
}
use options;

/// Seconds with a fraction, as commands have it that wait. Never less than a millisecond: 0 is for ever.
fn seconds(time: Option<Duration>) -> f64 {
    time.map_or(0.0, |time| milliseconds(time) as f64 / 1000.0)
}

/// Milliseconds, rounded up.
fn milliseconds(time: Duration) -> u64 {
    let milliseconds = time.as_nanos().div_ceil(1_000_000).max(1);
    u64::try_from(milliseconds).unwrap_or(u64::MAX).min(i64::MAX as u64)
}
