//! redis-cli with Redis 7.

use aquests_protocols::redis::Client;

use super::commands::{say, start};
use super::mutations::{ALL, Dice};
use super::{Conversation, mutated, seeds_are, tape};

const RECORDINGS: [(&str, &str); 3] = [
    ("commands", include_str!("redis/commands")),
    ("resp3", include_str!("redis/resp3")),
    ("subscriber", include_str!("redis/subscriber")),
];

fn conversations() -> Vec<Conversation<Client>> {
    let conversation =
        |name, text| Conversation { name, runs: tape::read(text), start: Box::new(start), say, units: lines, lengths };
    RECORDINGS.iter().map(|(name, text)| conversation(*name, text)).collect()
}

/// Lines of a server, and what its strings were cut into by theirs.
fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn lengths(unit: &[u8], dice: &mut Dice) -> Vec<u8> {
    let lies =
        ["-1", "-2", "0", "1", "2", "7", "64", "9223372036854775807", "536870912", "99999999999999999999", "?", ""];
    let kind = &unit[..unit.len().min(1)];
    [kind, lies[dice.roll(lies.len())].as_bytes(), b"\r\n"].concat()
}

#[test]
fn the_same_commands_are_the_bytes_of_redis_cli() {
    for conversation in conversations() {
        // redis-cli ends what it was given with an empty line.
        conversation.writes_what_was_recorded(|run| run.bytes.strip_prefix(b"\r\n").unwrap_or(&run.bytes).to_vec());
    }
}

#[test]
fn what_was_said_is_told_whole_at_every_cut() {
    let told = conversations().iter().map(|it| it.tells_the_same_at_every_cut().events.len()).collect::<Vec<_>>();
    // One for each command, and one more for each channel that SUBSCRIBE and UNSUBSCRIBE name beside the first.
    let commands = 18 + 1 + 1;
    // A push that was asked for, and a message.
    let resp3 = 18 + 1 + 1;
    // Two confirmations, and three messages.
    let subscriber = 2 + 3;
    assert_eq!(told, [commands, resp3, subscriber]);
}

#[test]
fn whatever_is_changed_in_it_nothing_is_lost_and_errors_have_types() {
    let ends = mutated(&conversations(), 2_000);
    assert_eq!(ends.variants, 6_000);
    for kind in ALL {
        assert!(ends.noticed.get(&kind) > Some(&0), "{kind:?} is noticed: {ends:?}");
    }
    assert!(ends.errors.len() >= 6, "errors of many types: {ends:?}");
}

#[test]
fn recordings_are_seeds() {
    seeds_are("redis_conversations", RECORDINGS.iter().map(|(name, text)| (*name, tape::seed(&tape::read(text)))));
}
