//! What is written for a command, and what is known of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::*;

fn db() -> Redis {
    Redis::at("127.0.0.1:6379")
}

fn shown(command: &Command) -> String {
    let words: Vec<_> = command.words().map(|word| word.escape_ascii().to_string()).collect();
    words.join(" ")
}

/// A command from its words.
fn line(words: &str) -> Command {
    let (name, arguments) = words.split_once(' ').unwrap_or((words, ""));
    let arguments: Vec<&str> = arguments.split(' ').filter(|word| !word.is_empty()).collect();
    db().command(name, arguments)
}

#[test]
fn a_value_is_as_many_words_as_it_has_parts() {
    fn words(args: impl ToArgs) -> String {
        shown(&db().command("X", args))
    }
    assert_eq!(words(()), "X");
    assert_eq!(words("a b"), "X a b");
    assert_eq!(db().command("X", "a b").words().len(), 2);
    assert_eq!(words((String::from("a"), 'é', &"b", Box::<str>::from("c"))), "X a \\xc3\\xa9 b c");
    assert_eq!(words((-1_i8, 255_u8, i128::MIN, usize::MAX)), format!("X -1 255 {} {}", i128::MIN, usize::MAX));
    assert_eq!(words((true, false, Some(1), None::<u8>)), "X 1 0 1");
    // Bytes are one word, however they are held; numbers are many.
    assert_eq!(words((b"ab", &b"cd"[..], vec![0_u8, 255], Arc::<[u8]>::from(&b"e"[..]))), "X ab cd \\x00\\xff e");
    assert_eq!(words((vec![1_u16, 2], [3_i32, 4], &[5_u64][..])), "X 1 2 3 4 5");
    assert_eq!(words((Vec::<u8>::new(), Vec::<u16>::new())), "X ");
    assert_eq!(words(vec![vec![1_u8], vec![2_u8]]), "X \\x01 \\x02");
    assert_eq!(words((vec![("a", 1), ("b", 2)], BTreeMap::from([("k", 1), ("l", 2)]))), "X a 1 b 2 k 1 l 2");
    assert_eq!(words((HashMap::from([("k", "v")]), HashSet::from([1]), BTreeSet::from([2]))), "X k v 1 2");
}

#[test]
fn a_number_with_a_fraction_is_read_as_the_same_by_the_server() {
    for (number, text) in [
        (0.0, "0"),
        (-0.5, "-0.5"),
        (3.0, "3"),
        (0.1, "0.1"),
        (1e15, "1000000000000000"),
        (1e16, "1e16"),
        (f64::MAX, "1.7976931348623157e308"),
        (5e-324, "5e-324"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        assert_eq!(shown(&db().command("X", number)), format!("X {text}"));
    }
    assert_eq!(shown(&db().command("X", 0.1_f32)), "X 0.1");
    let mut numbers = Numbers(7);
    for _ in 0..10_000 {
        let number = f64::from_bits(numbers.next());
        let text = shown(&db().command("X", number));
        assert!(text.len() < 30, "{text}");
        let read: f64 = text[2..].parse().unwrap_or_else(|_| panic!("{number:e} is written as '{text}'"));
        assert!(read == number || number.is_nan(), "{number:e} is written as '{text}'");
    }
}

#[test]
fn a_command_is_written_as_the_machine_writes_it() {
    let exchange = db().command("config set", ("maxmemory", 100)).arg(["a"; 9]).exchange().unwrap();
    let words = ["config", "set", "maxmemory", "100", "a", "a", "a", "a", "a", "a", "a", "a", "a"];
    assert!(exchange.prepared == protocols::redis::PreparedCommand::new(words).unwrap());
    assert_eq!(exchange.name, "CONFIG SET");
}

#[test]
fn a_command_does_not_show_its_arguments() {
    let command = db().command("AUTH", "hunter2");
    assert_eq!(format!("{command:?}"), "AUTH and 1 arguments to 127.0.0.1:6379");
    assert!(!format!("{:?}", command.exchange().unwrap()).contains("hunter2"));
}

#[test]
fn what_can_never_be_sent_is_said_when_it_is_to_be() {
    for (command, words) in [
        (line("MONITOR"), "MONITOR cannot be sent: MONITOR is answered without end"),
        (line("client reply off"), "CLIENT cannot be sent"),
        (Redis::at("").command("GET", "a"), "no host"),
        (db().cluster().command("MGET", ["a", "b"]), "MGET cannot be sent: its keys are in different slots"),
    ] {
        let error = command.exchange().expect_err(words);
        assert_eq!(error.kind(), crate::ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(db().command("MGET", ["a", "b"]).exchange().is_ok(), "one server has all slots");
}

#[test]
fn keys_in_one_slot_say_which() {
    for (words, slot) in [
        ("GET 123456789", Some(12739)),
        ("MGET {a}1 {a}2 a", Some(15495)),
        ("PING", None),
        ("EVAL return 0", None),
        ("EVAL return 1 a", Some(15495)),
    ] {
        assert_eq!(line(words).slot().unwrap(), slot, "{words}");
    }
    assert!(line("SMOVE a b c").slot().is_err());
}

#[test]
fn keys_are_found_wherever_they_stand() {
    for (words, keys) in [
        ("get k", "k"),
        ("GET", ""),
        ("MSET a 1 b 2", "a b"),
        ("BLPOP a b 0", "a b"),
        ("BLPOP", ""),
        ("EVALSHA sha 2 a b c", "a b"),
        ("EVALSHA sha 0 a", ""),
        ("EVALSHA sha 99999999999999999999 a", ""),
        ("EVALSHA sha 18446744073709551615 a b", "a b"),
        ("EVALSHA sha -1 a", ""),
        ("FCALL f 1 a b", "a"),
        ("ZUNIONSTORE d 2 a b WEIGHTS 1 2", "a b d"),
        ("SINTERCARD 2 a b LIMIT 1", "a b"),
        ("BZMPOP 0 2 a b MIN", "a b"),
        ("XREAD COUNT 2 BLOCK 0 STREAMS a b 0 0", "a b"),
        ("XREADGROUP GROUP STREAMS STREAMS NOACK COUNT 1 STREAMS a >", "a"),
        ("XREAD STREAMS", ""),
        ("XREAD COUNT", ""),
        ("XGROUP CREATE s g $", "s"),
        ("xinfo stream s full", "s"),
        ("XINFO", ""),
        ("OBJECT ENCODING k", "k"),
        ("MEMORY USAGE k", "k"),
        ("MEMORY DOCTOR", ""),
        ("DEBUG OBJECT k", "k"),
        ("MIGRATE h 1 k 0 10", "k"),
        ("SORT l BY STORE LIMIT 0 1 GET STORE STORE d", "l d"),
        ("SORT l STORE", "l"),
        ("GEORADIUSBYMEMBER g STORE 1 m STOREDIST d", "g d"),
        ("BITOP AND d a b", "d a b"),
        ("PUBLISH c m", ""),
        ("SPUBLISH c m", "c"),
        ("KEYS *", ""),
        ("JSON.SET doc $ 1", "doc"),
        ("SOMETHING.NEW k v", "k"),
    ] {
        let command = line(words);
        let found: Vec<_> = command.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
        assert_eq!(found.join(" "), keys, "{words}");
    }
    let migrate = db().command("MIGRATE", ("h", 1, "", 0, 10, "AUTH", "KEYS", "KEYS", "a", "b"));
    assert!(migrate.keys().eq([b"a", b"b"]));
}

#[test]
fn a_command_that_waits_says_how_long() {
    let seconds = |seconds| Some(Some(Duration::from_secs_f64(seconds)));
    for (words, wait) in [
        ("BLPOP a b 1.5", seconds(1.5)),
        ("blpop a 0", Some(None)),
        ("BLPOP a x", Some(None)),
        ("BLPOP a -1", Some(None)),
        ("BLPOP a inf", Some(None)),
        ("BLMOVE a b LEFT RIGHT 2", seconds(2.0)),
        ("BRPOPLPUSH a b 2", seconds(2.0)),
        ("BZPOPMIN a 1", seconds(1.0)),
        ("BLMPOP 3 1 a LEFT", seconds(3.0)),
        ("WAIT 1 1500", seconds(1.5)),
        ("WAIT 1 0", Some(None)),
        ("WAITAOF 1 0 100", seconds(0.1)),
        ("XREAD BLOCK 250 STREAMS a 0", seconds(0.25)),
        ("XREAD COUNT BLOCK STREAMS BLOCK 0", None),
        ("XREADGROUP GROUP BLOCK 7 COUNT 1 BLOCK 0 STREAMS a >", Some(None)),
        ("XREAD STREAMS a 0", None),
        ("LPOP a", None),
        ("XADD BLOCK 1", None),
        ("BITCOUNT a", None),
    ] {
        assert_eq!(line(words).blocks(), wait, "{words}");
    }
}

#[test]
fn what_changes_the_connection_belongs_to_a_session() {
    for words in [
        "SUBSCRIBE a",
        "multi",
        "WATCH a",
        "UNWATCH",
        "SELECT 1",
        "AUTH a",
        "HELLO 3",
        "RESET",
        "QUIT",
        "ASKING",
        "READONLY",
        "CLIENT TRACKING ON",
        "client reply on",
        "client no-evict on",
    ] {
        assert!(line(words).class().session, "{words}");
        assert!(!line(words).is_read_only(), "{words}");
    }
    // What a server of another kind may know: it is safer that way.
    assert!(line("CLIENT IMPORT-SOURCE ON").class().session);
    for words in ["PUBLISH a b", "CLIENT LIST", "CLIENT KILL a", "GET a", "EVAL a 0", "", "SUBSCRIBED a"] {
        assert!(!line(words).class().session, "{words}");
    }
}

#[test]
fn only_what_changes_nothing_may_be_sent_again() {
    for words in
        ["GET a", "get a", "PING", "CONFIG GET a", "XREAD STREAMS a 0", "EVAL_RO a 0", "CLUSTER SLOTS", "SORT_RO a"]
    {
        assert!(line(words).is_read_only(), "{words}");
    }
    let long = "GET".repeat(100);
    for words in
        ["SET a b", "GETDEL a", "CONFIG SET a b", "EVAL a 0", "SORT a", "OBJECT", "JSON.DEL a", &long, "CLUSTER RESET"]
    {
        assert!(!line(words).is_read_only(), "{words}");
    }
}

#[test]
fn the_table_is_in_order() {
    assert!(table::COMMANDS.is_sorted_by(|(one, ..), (other, ..)| one < other));
}
