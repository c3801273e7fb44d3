//! What is known of commands, against a server: its own table says which change nothing, which wait and where keys are, and
//! every method for a command is understood.
#![cfg(feature = "redis")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use aquests::protocols::redis::{Limits, PreparedCommand, Value, parse};
use aquests::redis::{
    Command, Expiry, FromValue, GeoArea, GeoOptions, RangeOptions, Redis, ScanOptions, Script, SetOptions, Side,
    StreamEntry, XaddOptions, XreadOptions, ZaddOptions,
};
use support::RedisServer;

/// A server, and a connection to it that asks one thing after the other.
struct Asked {
    stream: TcpStream,
    unread: Vec<u8>,
    _server: RedisServer,
}

impl Asked {
    fn new() -> Self {
        let server = RedisServer::start();
        let stream = TcpStream::connect(server.address()).expect("it accepts");
        Self { stream, unread: Vec::new(), _server: server }
    }

    fn ask<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W, IntoIter: ExactSizeIterator>) -> Value {
        let command = PreparedCommand::new(words).expect("it can be sent");
        self.stream.write_all(command.as_bytes()).expect("the server reads");
        loop {
            if let Some((reply, length)) = parse(&self.unread, Limits::default()).expect("it speaks RESP") {
                let reply = reply.to_value();
                self.unread.drain(..length);
                return reply;
            }
            let mut bytes = [0; 64 << 10];
            let length = self.stream.read(&mut bytes).expect("the server answers");
            assert_ne!(length, 0, "the server closed the connection");
            self.unread.extend_from_slice(&bytes[..length]);
        }
    }

    #[track_caller]
    fn read<T: FromValue>(&mut self, command: Command) -> T {
        let reply = self.ask(command.words());
        T::from_value(reply).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }
}

/// A command as the server's table has it.
struct Known {
    name: String,
    arity: i64,
    flags: BTreeSet<String>,
}

fn known(server: &mut Asked) -> Vec<Known> {
    fn add(entry: &Value, all: &mut Vec<Known>) {
        let fields = entry.as_slice().expect("an entry is an array");
        let name = fields[0].as_str().expect("it begins with a name").to_ascii_uppercase().replace('|', " ");
        let arity = fields[1].as_i64().expect("then how many words");
        let flags = BTreeSet::from_value(fields[2].clone()).expect("then flags");
        let subcommands = fields.get(9).and_then(Value::as_slice).unwrap_or_default();
        if subcommands.is_empty() {
            all.push(Known { name, arity, flags });
        }
        subcommands.iter().for_each(|entry| add(entry, all));
    }
    let table = server.ask(["COMMAND"]);
    let mut all = Vec::new();
    table.as_slice().expect("a table is an array").iter().for_each(|entry| add(entry, &mut all));
    assert!(all.len() > 300, "the server has all its {} commands", all.len());
    all
}

/// Arguments where the server wants some that mean something before it says where keys are.
const SENSIBLE: &[&str] = &[
    "BLMPOP 0 2 a b LEFT",
    "BZMPOP 0 2 a b MIN",
    "EVAL return 2 a b c",
    "EVALSHA sha 2 a b c",
    "EVALSHA_RO sha 1 a b c",
    "EVAL_RO return 3 a b c",
    "FCALL f 2 a b c",
    "FCALL_RO f 2 a b c",
    "GEORADIUS a 1 1 1 m STORE b",
    "GEORADIUS a 1 1 1 m STOREDIST b",
    "GEORADIUSBYMEMBER a STORE 1 m COUNT 1 STORE b",
    "LMPOP 2 a b LEFT",
    "MIGRATE h 1 a 0 10",
    "SINTERCARD 2 a b",
    "SORT a LIMIT 0 1 STORE b",
    "SORT a",
    "SORT_RO a BY b GET c",
    "XREAD COUNT 1 BLOCK 0 STREAMS a b 0 0",
    "XREADGROUP GROUP g c COUNT 1 NOACK STREAMS a b > >",
    "ZDIFF 2 a b WITHSCORES",
    "ZDIFFSTORE d 2 a b",
    "ZINTER 2 a b WITHSCORES",
    "ZINTERCARD 2 a b",
    "ZINTERSTORE d 2 a b WEIGHTS 1 2",
    "ZMPOP 2 a b MIN",
    "ZUNION 2 a b",
    "ZUNIONSTORE d 1 a AGGREGATE MIN",
];

/// Words for a command: some that mean something, or as many as it must have and a few more that it may.
fn samples(known: &Known) -> Vec<String> {
    let prefix = format!("{} ", known.name);
    let sensible: Vec<_> =
        SENSIBLE.iter().filter(|words| words.starts_with(&prefix)).map(|words| (*words).to_owned()).collect();
    if !sensible.is_empty() {
        return sensible;
    }
    let least = known.arity.unsigned_abs() as usize;
    let more: &[usize] = if known.arity < 0 { &[0, 2, 4] } else { &[0] };
    let words = |count: usize| {
        let have = known.name.split(' ').count();
        (have..count).fold(known.name.clone(), |words, at| format!("{words} w{at}"))
    };
    more.iter().map(|more| words(least + more)).collect()
}

fn command(words: &str) -> Command {
    let mut words = words.split(' ');
    let name = words.next().unwrap_or_default();
    Redis::at("127.0.0.1:1").command(name, words.collect::<Vec<_>>())
}

#[test]
fn keys_are_where_the_server_finds_them() {
    let mut server = Asked::new();
    let mut with_keys = 0;
    for known in known(&mut server) {
        let mut compared = 0;
        for words in samples(&known) {
            let command = command(&words);
            let ours: Vec<_> = command.keys().map(<[u8]>::to_vec).collect();
            if command.words().len() == 1 {
                assert!(ours.is_empty(), "a name alone has no keys: {words}");
                compared += 1;
                continue;
            }
            let asked = [&b"COMMAND"[..], b"GETKEYS"].into_iter().chain(command.words()).collect::<Vec<_>>();
            let theirs = match Vec::<Vec<u8>>::from_value(server.ask(asked)) {
                Ok(keys) => keys,
                Err(error) if error.to_string().contains("no key arguments") => Vec::new(),
                // It does not look at what can have no meaning: another sample has one.
                Err(error) if error.to_string().contains("Invalid arguments specified") => continue,
                Err(error) => panic!("{words}: {error}"),
            };
            compared += 1;
            with_keys += usize::from(!ours.is_empty());
            // Where a key is stored comes last with us: only which there are counts.
            let sorted = |mut keys: Vec<Vec<u8>>| {
                keys.sort();
                keys
            };
            // Channels of a shard decide where a command goes, as keys do, and are none.
            if ["SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH"].contains(&known.name.as_str()) {
                assert!(theirs.is_empty(), "{words}");
                continue;
            }
            assert_eq!(sorted(ours), sorted(theirs), "keys of {words}");
        }
        assert_ne!(compared, 0, "no sample of {} has a meaning", known.name);
    }
    assert!(with_keys > 200, "{with_keys} samples have keys");
}

#[test]
fn what_the_server_calls_a_read_may_be_sent_again() {
    let mut server = Asked::new();
    for known in known(&mut server) {
        let sample = command(&samples(&known)[0]);
        let writes = known.flags.contains("write") || known.flags.contains("no-multi") || known.name == "SHUTDOWN";
        assert!(!(sample.is_read_only() && writes), "{} changes something", known.name);
        assert!(sample.is_read_only() || !known.flags.contains("readonly"), "{} changes nothing", known.name);
    }
}

#[test]
fn what_the_server_lets_wait_waits() {
    let mut server = Asked::new();
    for known in known(&mut server) {
        // These are no commands that are blocked: one waits for replicas, whatever its flags say.
        let waits = known.flags.contains("blocking") || known.name == "WAIT" || known.name == "WAITAOF";
        let words = match known.name.as_str() {
            "XREADGROUP" => "XREADGROUP GROUP g c BLOCK 0 STREAMS a >".to_owned(),
            _ => samples(&known)[0].clone(),
        };
        assert_eq!(command(&words).blocks().is_some(), waits, "{words}");
    }
}

/// One of each method, in an order in which the server says no to none.
#[test]
fn every_method_is_a_command_that_the_server_takes() {
    let mut server = Asked::new();
    for version in ["2", "3"] {
        let hello = server.ask(["HELLO", version]);
        assert!(hello.as_error().is_none(), "HELLO {version}: {hello:?}");
        let db = &Redis::at("127.0.0.1:1");
        let () = server.read(db.flushall());
        strings_and_keys(db, &mut server);
        collections(db, &mut server);
        streams(db, &mut server);
        scripts_and_server(db, &mut server);
    }
}

fn strings_and_keys(db: &Redis, server: &mut Asked) {
    assert!(server.read::<bool>(db.set("a", "1")));
    assert!(!server.read::<bool>(db.set_with("a", 2, SetOptions::new().nx().ex(10))));
    let old: Option<String> = server.read(db.set_with("a", 2, SetOptions::new().xx().keepttl().get()));
    assert_eq!(old.as_deref(), Some("1"));
    for options in [SetOptions::new().px(10_000), SetOptions::new().exat(9_999_999_999)] {
        assert!(server.read::<bool>(db.set_with("b", 1, options)));
    }
    assert!(server.read::<bool>(db.set_with("b", 1, SetOptions::new().pxat(9_999_999_999_999))));
    assert_eq!(server.read::<Vec<Option<u8>>>(db.mget(["a", "none"])), [Some(2), None]);
    for expiry in [Expiry::Seconds(10), Expiry::Milliseconds(10_000), Expiry::At(9_999_999_999), Expiry::Never] {
        assert_eq!(server.read::<Option<i64>>(db.getex("a", expiry)), Some(2));
    }
    let () = server.read(db.mset(BTreeMap::from([("c", 1), ("d", 2)])));
    assert!(!server.read::<bool>(db.msetnx([("c", 1), ("e", 2)])));
    assert_eq!(server.read::<i64>(db.incr("c")), 2);
    assert_eq!(server.read::<i64>(db.incrby("c", 5)), 7);
    assert_eq!(server.read::<f64>(db.incrbyfloat("c", 0.5)), 7.5);
    assert_eq!(server.read::<i64>(db.decr("d")), 1);
    assert_eq!(server.read::<i64>(db.decrby("d", 5)), -4);
    assert_eq!(server.read::<u64>(db.append("s", "Plzen")), 5);
    assert_eq!(server.read::<u64>(db.strlen("s")), 5);
    assert_eq!(server.read::<String>(db.getrange("s", 0, -2)), "Plze");
    assert_eq!(server.read::<u64>(db.setrange("s", 5, b"\xff\0")), 7);
    assert_eq!(server.read::<Vec<u8>>(db.get("s")), b"Plzen\xff\0");
    assert_eq!(server.read::<Option<Vec<u8>>>(db.getdel("none")), None);

    assert_eq!(server.read::<u64>(db.exists(["a", "b", "none"])), 2);
    assert_eq!(server.read::<u64>(db.touch(["a", "b"])), 2);
    for command in [db.expire("a", 100), db.pexpire("a", 100_000), db.expireat("a", 9_999_999_999)] {
        assert!(server.read::<bool>(command));
    }
    assert!(server.read::<bool>(db.pexpireat("a", 9_999_999_999_999)));
    assert!(server.read::<i64>(db.ttl("a")) > 0);
    assert!(server.read::<i64>(db.pttl("a")) > 0);
    assert!(server.read::<bool>(db.persist("a")));
    assert_eq!(server.read::<String>(db.key_type("a")), "string");
    assert_eq!(server.read::<String>(db.object_encoding("a")), "int");
    assert!(server.read::<u64>(db.memory_usage("a")) > 0);
    let () = server.read(db.rename("a", "a2"));
    assert!(server.read::<bool>(db.renamenx("a2", "a")));
    assert!(server.read::<bool>(db.copy("a", "copy")));
    assert_eq!(server.read::<Vec<String>>(db.keys("cop*")), ["copy"]);
    assert!(server.read::<Option<String>>(db.randomkey()).is_some());
    let options = ScanOptions::new().matching("cop*").count(1000).of_type("string");
    assert_eq!(server.read::<(u64, Vec<String>)>(db.scan(0, options)), (0, vec!["copy".to_owned()]));
    assert_eq!(server.read::<u64>(db.del(["a", "b"])), 2);
    assert_eq!(server.read::<u64>(db.unlink("copy")), 1);

    assert!(!server.read::<bool>(db.setbit("bits", 7, true)));
    assert!(server.read::<bool>(db.getbit("bits", 7)));
    assert_eq!(server.read::<u64>(db.bitcount("bits", None)), 1);
    assert_eq!(server.read::<u64>(db.bitcount("bits", Some((0, 0)))), 1);
    assert_eq!(server.read::<i64>(db.bitpos("bits", true)), 7);
    assert!(server.read::<bool>(db.pfadd("hll", ["a", "b"])));
    let () = server.read(db.pfmerge("hll2", ["hll"]));
    assert_eq!(server.read::<u64>(db.pfcount(["hll", "hll2"])), 2);
}

fn collections(db: &Redis, server: &mut Asked) {
    assert_eq!(server.read::<u64>(db.hset("h", [("a", 1), ("b", 2)])), 2);
    assert!(!server.read::<bool>(db.hsetnx("h", "a", 1)));
    assert_eq!(server.read::<Option<u8>>(db.hget("h", "a")), Some(1));
    assert_eq!(server.read::<Vec<Option<u8>>>(db.hmget("h", ["a", "x"])), [Some(1), None]);
    assert_eq!(server.read::<HashMap<String, u8>>(db.hgetall("h")), [("a".into(), 1), ("b".into(), 2)].into());
    assert_eq!(server.read::<i64>(db.hincrby("h", "a", 2)), 3);
    assert_eq!(server.read::<f64>(db.hincrbyfloat("h", "a", 0.5)), 3.5);
    assert!(server.read::<bool>(db.hexists("h", "a")));
    assert_eq!(server.read::<Vec<String>>(db.hkeys("h")).len(), 2);
    assert_eq!(server.read::<Vec<f64>>(db.hvals("h")).len(), 2);
    assert_eq!(server.read::<u64>(db.hlen("h")), 2);
    let (_, pairs): (u64, Vec<(String, f64)>) = server.read(db.hscan("h", 0, ScanOptions::new().matching("a")));
    assert_eq!(pairs, [("a".to_owned(), 3.5)]);
    assert_eq!(server.read::<u64>(db.hdel("h", ["a", "x"])), 1);

    assert_eq!(server.read::<u64>(db.rpush("l", ["b", "c", "d"])), 3);
    assert_eq!(server.read::<u64>(db.lpush("l", "a")), 4);
    assert_eq!(server.read::<Vec<String>>(db.lrange("l", 0, -1)), ["a", "b", "c", "d"]);
    assert_eq!(server.read::<Option<String>>(db.lpop("l", None)).as_deref(), Some("a"));
    assert_eq!(server.read::<Option<Vec<String>>>(db.rpop("l", Some(2))), Some(vec!["d".into(), "c".into()]));
    assert_eq!(server.read::<Option<Vec<String>>>(db.lpop("none", Some(2))), None);
    assert_eq!(server.read::<u64>(db.llen("l")), 1);
    let () = server.read(db.lset("l", 0, "x"));
    assert_eq!(server.read::<Option<String>>(db.lindex("l", 0)).as_deref(), Some("x"));
    assert_eq!(server.read::<u64>(db.lrem("l", 0, "none")), 0);
    assert_eq!(server.read::<String>(db.lmove("l", "m", Side::Left, Side::Right)), "x");
    let soon = Some(Duration::from_millis(1));
    assert_eq!(server.read::<String>(db.blmove("m", "l", Side::Left, Side::Right, soon)), "x");
    let popped: Option<(String, String)> = server.read(db.blpop(["none", "l"], None));
    assert_eq!(popped, Some(("l".into(), "x".into())));
    assert_eq!(server.read::<Option<(String, String)>>(db.brpop("l", soon)), None);
    let () = server.read(db.ltrim("l", 0, 0));

    assert_eq!(server.read::<u64>(db.sadd("s1", ["a", "b", "c"])), 3);
    assert_eq!(server.read::<u64>(db.sadd("s2", ["b", "d"])), 2);
    assert_eq!(server.read::<BTreeSet<String>>(db.smembers("s2")), ["b".into(), "d".into()].into());
    assert!(server.read::<bool>(db.sismember("s1", "a")));
    assert_eq!(server.read::<Vec<bool>>(db.smismember("s1", ["a", "x"])), [true, false]);
    assert_eq!(server.read::<u64>(db.scard("s1")), 3);
    assert_eq!(server.read::<Vec<String>>(db.sinter(["s1", "s2"])), ["b"]);
    assert_eq!(server.read::<BTreeSet<String>>(db.sunion(["s1", "s2"])).len(), 4);
    assert_eq!(server.read::<BTreeSet<String>>(db.sdiff(["s1", "s2"])).len(), 2);
    assert!(server.read::<Option<String>>(db.srandmember("s1", None)).is_some());
    assert_eq!(server.read::<Vec<String>>(db.srandmember("s1", Some(-5))).len(), 5);
    assert!(server.read::<bool>(db.smove("s1", "s2", "a")));
    assert_eq!(server.read::<(u64, Vec<String>)>(db.sscan("s1", 0, ScanOptions::new())).1.len(), 2);
    assert_eq!(server.read::<u64>(db.srem("s1", "b")), 1);
    assert_eq!(server.read::<Option<String>>(db.spop("s1", None)).as_deref(), Some("c"));
    assert_eq!(server.read::<BTreeSet<String>>(db.spop("s2", Some(9))).len(), 3);

    assert_eq!(server.read::<u64>(db.zadd("z", [(1.5, "a"), (2.0, "b"), (3.0, "c")])), 3);
    assert_eq!(server.read::<u64>(db.zadd_with("z", ZaddOptions::new().xx().gt().ch(), (4, "c"))), 1);
    let sum: Option<f64> = server.read(db.zadd_with("z", ZaddOptions::new().incr(), (1, "c")));
    assert_eq!(sum, Some(5.0));
    for options in [ZaddOptions::new().nx(), ZaddOptions::new().lt()] {
        assert_eq!(server.read::<u64>(db.zadd_with("z", options, (9, "c"))), 0);
    }
    assert_eq!(server.read::<Option<f64>>(db.zscore("z", "a")), Some(1.5));
    assert_eq!(server.read::<Vec<Option<f64>>>(db.zmscore("z", ["a", "x"])), [Some(1.5), None]);
    assert_eq!(server.read::<f64>(db.zincrby("z", 0.5, "a")), 2.0);
    assert_eq!(server.read::<Vec<String>>(db.zrange("z", 0, 1)), ["a", "b"]);
    let options = RangeOptions::new().by_score().rev().limit(0, 1).with_scores();
    let best: Vec<(String, f64)> = server.read(db.zrange_with("z", "+inf", "(2", options));
    assert_eq!(best, [("c".to_owned(), 5.0)]);
    assert_eq!(server.read::<Vec<String>>(db.zrange_with("z", "[a", "+", RangeOptions::new().by_lex())).len(), 3);
    assert_eq!(server.read::<Vec<String>>(db.zrangebyscore("z", 2, "(5")), ["a", "b"]);
    assert_eq!(server.read::<Option<u64>>(db.zrank("z", "a")), Some(0));
    assert_eq!(server.read::<Option<u64>>(db.zrevrank("z", "x")), None);
    assert_eq!(server.read::<u64>(db.zcard("z")), 3);
    assert_eq!(server.read::<u64>(db.zcount("z", "-inf", 2.0)), 2);
    assert_eq!(server.read::<(u64, Vec<(String, f64)>)>(db.zscan("z", 0, ScanOptions::new())).1.len(), 3);
    assert_eq!(server.read::<Vec<(String, f64)>>(db.zpopmin("z", None)), [("a".to_owned(), 2.0)]);
    assert_eq!(server.read::<Vec<(String, f64)>>(db.zpopmax("z", Some(1))), [("c".to_owned(), 5.0)]);
    assert_eq!(server.read::<u64>(db.zremrangebyscore("z", 7, 8)), 0);
    assert_eq!(server.read::<u64>(db.zremrangebyrank("z", 7, 8)), 0);
    let popped: Option<(String, String, f64)> = server.read(db.bzpopmin("z", soon));
    assert_eq!(popped, Some(("z".into(), "b".into(), 2.0)));
    assert_eq!(server.read::<Option<(String, String, f64)>>(db.bzpopmax(["z", "y"], soon)), None);
    assert_eq!(server.read::<u64>(db.zrem("z", ["a", "b"])), 0);

    assert_eq!(server.read::<u64>(db.geoadd("g", [(13.38, 49.75, "Plzen"), (14.42, 50.09, "Praha")])), 2);
    assert!(server.read::<f64>(db.geodist("g", "Plzen", "Praha")) > 80_000.0);
    assert_eq!(server.read::<Vec<Option<(f64, f64)>>>(db.geopos("g", ["Plzen", "x"]))[1], None);
    let near = db.geosearch("g", (13.0, 49.0), GeoArea::Radius(500_000.0), GeoOptions::new().asc().count(1));
    assert_eq!(server.read::<Vec<String>>(near), ["Plzen"]);
    let options = GeoOptions::new().desc().with_distance().with_coordinates();
    let far = db.geosearch_member("g", "Plzen", GeoArea::Box(500_000.0, 500_000.0), options);
    assert_eq!(server.read::<Vec<(String, f64, (f64, f64))>>(far)[0].0, "Praha");
}

fn streams(db: &Redis, server: &mut Asked) {
    let id: String = server.read(db.xadd("x", ("city", "Plzen")));
    let none: Option<String> = server.read(db.xadd_with("none", XaddOptions::new().nomkstream(), "*", ("a", "b")));
    assert_eq!(none, None);
    for options in [XaddOptions::new().maxlen(10), XaddOptions::new().about(10), XaddOptions::new().minid("1-1")] {
        let _: String = server.read(db.xadd_with("x", options, "*", [("a", "b")]));
    }
    assert_eq!(server.read::<u64>(db.xlen("x")), 4);
    let entries: Vec<StreamEntry> = server.read(db.xrange("x", "-", "+", Some(1)));
    assert_eq!((entries[0].id.as_str(), entries[0].field("city")), (id.as_str(), Some(&b"Plzen"[..])));
    assert_eq!(server.read::<Vec<StreamEntry>>(db.xrevrange("x", "+", "-", None)).len(), 4);
    type Read = Option<Vec<(String, Vec<StreamEntry>)>>;
    let read: Read = server.read(db.xread(XreadOptions::new().count(2), &[("x", "0"), ("none", "0")]));
    assert_eq!(read.map(|streams| (streams[0].0.clone(), streams[0].1.len())), Some(("x".to_owned(), 2)));
    let soon = XreadOptions::new().block(Some(Duration::from_millis(1)));
    assert_eq!(server.read::<Read>(db.xread(soon.clone(), &[("x", "$")])), None);
    let () = server.read(db.xgroup_create("x", "g", "0"));
    let read: Read = server.read(db.xreadgroup("g", "me", soon, &[("x", ">")]));
    assert_eq!(read.expect("there are entries")[0].1.len(), 4);
    let _: Read = server.read(db.xreadgroup("g", "me", XreadOptions::new().noack(), &[("x", ">")]));
    let (count, first, _, consumers): (u64, String, String, Vec<(String, u64)>) = server.read(db.xpending("x", "g"));
    assert_eq!((count, &first, consumers), (4, &id, vec![("me".to_owned(), 4)]));
    let pending: Vec<(String, String, u64, u64)> = server.read(db.xpending_range("x", "g", "-", "+", 9));
    assert_eq!(pending.len(), 4);
    let claimed: (String, Vec<StreamEntry>, Vec<String>) =
        server.read(db.xautoclaim("x", "g", "you", Duration::ZERO, "0"));
    assert_eq!(claimed.1.len(), 4);
    assert_eq!(server.read::<u64>(db.xack("x", "g", [&id])), 1);
    assert_eq!(server.read::<HashMap<String, Value>>(db.xinfo_stream("x"))["length"], Value::Integer(4));
    assert_eq!(server.read::<Vec<HashMap<String, Value>>>(db.xinfo_groups("x")).len(), 1);
    assert_eq!(server.read::<Vec<HashMap<String, Value>>>(db.xinfo_consumers("x", "g")).len(), 2);
    assert!(server.read::<bool>(db.xgroup_destroy("x", "g")));
    assert_eq!(server.read::<u64>(db.xdel("x", id)), 1);
    assert_eq!(server.read::<u64>(db.xtrim("x", 1)), 2);
}

fn scripts_and_server(db: &Redis, server: &mut Asked) {
    let () = server.read(db.script_flush());
    let script = Script::new("return {KEYS[1], ARGV[1]}");
    let call = script.on(db).key("k").arg("v").command();
    let unknown = <(String, String)>::from_value(server.ask(call.words())).unwrap_err();
    assert_eq!(unknown.code(), Some("NOSCRIPT"));
    assert_eq!(server.read::<String>(db.script_load(script.text())), script.sha());
    assert_eq!(server.read::<(String, String)>(call), ("k".to_owned(), "v".to_owned()));
    assert_eq!(server.read::<Vec<bool>>(db.script_exists([script.sha(), "x"])), [true, false]);
    assert_eq!(server.read::<(String, u8)>(db.eval(script.text(), ["k"], 1)), ("k".to_owned(), 1));
    let unknown = server.ask(db.fcall("none", "k", ()).words());
    assert!(unknown.as_error().is_some_and(|error| error.to_string().contains("not found")), "{unknown:?}");

    assert_eq!(server.read::<String>(db.ping()), "PONG");
    assert_eq!(server.read::<String>(db.echo("hello")), "hello");
    assert!(server.read::<u64>(db.dbsize()) > 0);
    assert!(server.read::<String>(db.info(())).contains("redis_version"));
    assert!(server.read::<String>(db.info(["memory", "clients"])).contains("used_memory"));
    let () = server.read(db.config_set("maxmemory-samples", 6));
    let config: HashMap<String, u64> = server.read(db.config_get("maxmemory-samp*"));
    assert_eq!(config["maxmemory-samples"], 6);
    assert!(server.read::<(u64, u64)>(db.time()).0 > 1_000_000_000);
    assert!(server.read::<String>(db.client_list()).contains("addr="));
    let _: Vec<Value> = server.read(db.slowlog_get(Some(1)));
    assert_eq!(server.read::<u64>(db.publish("c", "m")), 0);
    assert_eq!(server.read::<u64>(db.spublish("c", "m")), 0);
    assert_eq!(server.read::<Vec<String>>(db.pubsub_channels("*")), Vec::<String>::new());
    assert_eq!(server.read::<Vec<(String, u64)>>(db.pubsub_numsub(["c"])), [("c".to_owned(), 0)]);
    let () = server.read(db.flushdb());
}
