//! Maps of slots as nodes of clusters say them.

use super::convert::any;
use super::*;
use crate::protocols::redis::SLOTS;
use crate::redis::slots::MOST_NODES;

fn text(text: &str) -> Value {
    Value::Bulk(text.into())
}

fn number(number: i64) -> Value {
    Value::Integer(number)
}

fn asked() -> Node {
    Node::new("10.0.0.9", 7009)
}

fn node(host: &str, port: i64) -> Value {
    Value::Array(vec![text(host), number(port), text("id"), Value::Array(vec![])])
}

fn range(from: i64, to: i64, nodes: &[Value]) -> Value {
    Value::Array([&[number(from), number(to)], nodes].concat())
}

/// In RESP3 a map, in RESP2 keys and values in turn.
fn map(pairs: Vec<(&str, Value)>, version: Version) -> Value {
    let pairs = pairs.into_iter().map(|(key, value)| (text(key), value));
    match version {
        Version::Resp3 => Value::Map(pairs.collect()),
        Version::Resp2 => Value::Array(pairs.flat_map(|(key, value)| [key, value]).collect()),
    }
}

fn at(slots: &Slots, slot: u16) -> String {
    let node = slots.node(slot).map_or_else(|| "nobody".into(), |node| format!("{}:{}", node.host, node.port));
    slots.replicas(slot).fold(node, |shown, replica| format!("{shown} {}:{}", replica.host, replica.port))
}

#[test]
fn cluster_slots_says_who_has_what() {
    let reply = Value::Array(vec![
        range(0, 100, &[node("A", 1), node("b", 2)]),
        range(200, 16383, &[node("c", 3)]),
        range(101, 101, &[node("a", 1), node("b", 2)]),
    ]);
    let slots = Slots::read(&reply, &asked(), false).unwrap();
    for (slot, who) in [
        (0, "a:1 b:2"),
        (100, "a:1 b:2"),
        (101, "a:1 b:2"),
        (102, "nobody"),
        (199, "nobody"),
        (200, "c:3"),
        (16383, "c:3"),
        (16384, "nobody"),
        (u16::MAX, "nobody"),
    ] {
        assert_eq!(at(&slots, slot), who, "slot {slot}");
    }
    assert_eq!(slots.nodes().len(), 3);
}

#[test]
fn a_node_that_does_not_know_its_name_is_the_one_that_was_asked() {
    for host in [Value::Null, text(""), text("?")] {
        let node = Value::Array(vec![host, number(7001), text("id")]);
        let slots = Slots::read(&Value::Array(vec![range(0, 0, &[node])]), &asked(), false).unwrap();
        assert_eq!(at(&slots, 0), "10.0.0.9:7001");
    }
}

#[test]
fn cluster_shards_says_the_same_in_either_version() {
    for version in [Version::Resp2, Version::Resp3] {
        let member = |host: &str, role: &str, health: &str| {
            let pairs = vec![
                ("id", text("x")),
                ("port", number(7000)),
                ("tls-port", number(7100)),
                ("ip", text("10.0.0.1")),
                ("endpoint", text(host)),
                ("role", text(role)),
                ("replication-offset", number(1)),
                ("health", text(health)),
            ];
            map(pairs, version)
        };
        let nodes = |members: Vec<Value>, numbers: &[i64]| {
            let numbers = numbers.iter().copied().map(number).collect();
            map(vec![("slots", Value::Array(numbers)), ("nodes", Value::Array(members))], version)
        };
        let reply = Value::Array(vec![
            nodes(vec![member("b", "replica", "online"), member("a", "master", "online")], &[0, 5, 10, 10]),
            nodes(vec![member("c", "master", "online"), member("d", "replica", "fail")], &[11, 16383]),
            nodes(vec![member("e", "replica", "online")], &[6, 6]),
            nodes(vec![member("f", "master", "online")], &[]),
        ]);
        let slots = Slots::read(&reply, &asked(), false).unwrap();
        for (slot, who) in
            [(5, "a:7000 b:7000"), (6, "nobody"), (10, "a:7000 b:7000"), (11, "c:7000"), (16383, "c:7000")]
        {
            assert_eq!(at(&slots, slot), who, "slot {slot} in {version:?}");
        }
        let slots = Slots::read(&reply, &asked(), true).unwrap();
        assert_eq!(at(&slots, 11), "c:7100");
    }
}

#[test]
fn a_slot_that_moved_goes_to_another_node_and_the_rest_stays() {
    let reply = Value::Array(vec![range(0, 16383, &[node("a", 1), node("b", 2)])]);
    let mut slots = Slots::read(&reply, &asked(), false).unwrap();
    slots.moved(7, "C", 3).unwrap();
    slots.moved(8, "b", 2).unwrap();
    slots.moved(9, "c", 3).unwrap();
    for (slot, who) in [(6, "a:1 b:2"), (7, "c:3"), (8, "b:2"), (9, "c:3"), (10, "a:1 b:2")] {
        assert_eq!(at(&slots, slot), who, "slot {slot}");
    }
    slots.moved(7, "a", 1).unwrap();
    assert_eq!(at(&slots, 7), "a:1 b:2");
    assert_eq!(slots.nodes().len(), 3);
    assert!(slots.moved(SLOTS, "a", 1).is_err());
}

#[test]
fn more_nodes_than_are_allowed_are_refused() {
    let nodes: Vec<_> = (0..=MOST_NODES).map(|at| node(&format!("h{at}"), 1)).collect();
    let reply = Value::Array(vec![range(0, 16383, &nodes)]);
    assert_eq!(Slots::read(&reply, &asked(), false), Err(SlotsError::TooMany));
    let reply = Value::Array(vec![range(0, 16383, &nodes[1..])]);
    let mut slots = Slots::read(&reply, &asked(), false).unwrap();
    // A node that lies says each time that another one has it.
    assert_eq!(slots.moved(0, "h0", 1), Err(SlotsError::TooMany));
    assert_eq!(slots.moved(0, "h1", 1), Ok(()), "one that is known");
    let mut slots = Slots::default();
    let refused = (0..2 * MOST_NODES).filter(|at| slots.moved(0, &format!("h{at}"), 1).is_err()).count();
    assert_eq!((slots.nodes().len(), refused), (MOST_NODES, MOST_NODES));
}

#[test]
fn what_is_no_map_is_refused_with_a_reason() {
    let shard = |pairs| Value::Array(vec![map(pairs, Version::Resp3)]);
    let member = Value::Array(vec![map(vec![("role", text("master")), ("endpoint", text("a"))], Version::Resp3)]);
    for (reply, what) in [
        (Value::Null, "no array"),
        (Value::Error(ErrorReply::new("ERR This instance has cluster support disabled")), "no array"),
        (Value::Array(vec![number(1)]), "a range without an end"),
        (Value::Array(vec![range(0, 1, &[])]), "a range without a node"),
        (Value::Array(vec![range(0, 16384, &[node("a", 1)])]), "slots that there are not"),
        (Value::Array(vec![range(5, 4, &[node("a", 1)])]), "slots that there are not"),
        (Value::Array(vec![range(-1, 4, &[node("a", 1)])]), "slots that there are not"),
        (Value::Array(vec![range(0, 4, &[node("a", 0)])]), "a node without a port"),
        (Value::Array(vec![range(0, 4, &[node("a", 65536)])]), "a node without a port"),
        (Value::Array(vec![range(0, 4, &[text("a")])]), "a node without a host"),
        (Value::Array(vec![range(0, 4, &[node(&"a".repeat(256), 1)])]), "a host that is no name"),
        (shard(vec![("nodes", Value::Array(vec![]))]), "a shard without slots"),
        (shard(vec![("nodes", number(1)), ("slots", Value::Array(vec![]))]), "a shard without nodes"),
        (
            shard(vec![("nodes", Value::Array(vec![])), ("slots", Value::Array(vec![number(1)]))]),
            "a range without an end",
        ),
        (shard(vec![("nodes", member), ("slots", Value::Array(vec![]))]), "a node without a port"),
    ] {
        assert_eq!(Slots::read(&reply, &asked(), false), Err(SlotsError::Shape(what)), "{reply:?}");
    }
}

#[test]
fn any_reply_is_a_map_or_refused() {
    let mut numbers = Numbers(17);
    for _ in 0..20_000 {
        let nodes = (0..numbers.below(3)).map(|_| any(&mut numbers, 2)).collect::<Vec<_>>();
        let (from, to) = (numbers.below(20_000) as i64 - 100, numbers.below(20_000) as i64);
        let shards = [any(&mut numbers, 3), range(from, to, &nodes), range(0, to, &[node("a", 1)])];
        let taken = numbers.below(3) as usize;
        if let Ok(slots) = Slots::read(&Value::Array(shards[taken..].into()), &asked(), numbers.below(2) == 0) {
            assert!(slots.nodes().len() <= MOST_NODES);
            assert!((0..=u16::MAX).step_by(97).all(|slot| slot < SLOTS || slots.node(slot).is_none()));
        }
    }
}

#[test]
fn a_map_has_no_more_ranges_than_there_are_slots() {
    let many = |count: usize| Value::Array(vec![range(0, 0, &[node("a", 1)]); count]);
    assert!(Slots::read(&many(16_384), &asked(), false).is_ok());
    assert!(Slots::read(&many(16_385), &asked(), false).is_err());
}

#[test]
fn a_host_that_would_write_lines_of_its_own_is_no_host() {
    for bad in ["h\nx", "h x", "h\u{1b}[2J", "\u{9b}", &"h".repeat(256)] {
        let reply = Value::Array(vec![range(0, 0, &[node(bad, 1)])]);
        assert!(Slots::read(&reply, &asked(), false).is_err(), "{bad:?}");
    }
    let reply = Value::Array(vec![range(0, 0, &[node(&"h".repeat(255), 1)])]);
    assert!(Slots::read(&reply, &asked(), false).is_ok());
}
