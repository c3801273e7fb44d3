//! What became of everything that a client was given.

use aquests::{Client, Outcome};

/// All outcomes, in the order in which they came.
pub(crate) fn outcomes(client: &mut Client) -> Vec<Outcome> {
    let mut all = Vec::new();
    client
        .fetch_all_with(|_, outcome| {
            all.push(outcome);
            Ok::<_, aquests::Error>(())
        })
        .unwrap();
    all
}

/// The values that servers of Redis answered: every request has one.
#[cfg(feature = "redis")]
#[track_caller]
pub(crate) fn values(client: &mut Client) -> Vec<aquests::redis::Value> {
    outcomes(client)
        .iter()
        .map(|outcome| outcome.response().unwrap_or_else(|| panic!("{outcome}")).value().unwrap().clone())
        .collect()
}
