//! Scripts, and several commands in one exchange.

use super::*;
use crate::ErrorKind;
use crate::protocols::redis::PreparedCommand;

fn db() -> Redis {
    Redis::at("127.0.0.1:6379")
}

#[test]
fn a_script_has_the_name_that_servers_give_it() {
    assert_eq!(Script::new("return 1").sha(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    assert_eq!(Script::new("").sha(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

#[test]
fn a_call_of_a_script_knows_what_to_send_where_nobody_knows_it() {
    let script = Script::new("return {KEYS, ARGV}");
    let call = script.on(&db()).key("a").arg(("x", 1)).key(["b"]).command();
    let words = ["EVALSHA", script.sha(), "2", "a", "b", "x", "1"];
    let whole = ["EVAL", script.text(), "2", "a", "b", "x", "1"];
    assert!(call.words().eq(words.map(str::as_bytes)));
    let exchange = call.exchange().unwrap();
    assert!(exchange.prepared == PreparedCommand::new(words).unwrap());
    assert!(exchange.fallback == Some(PreparedCommand::new(whole).unwrap()));
    // What is added later is added to both.
    let exchange = script.on(&db()).command().arg("x").exchange().unwrap();
    assert!(exchange.prepared == PreparedCommand::new(["EVALSHA", script.sha(), "0", "x"]).unwrap());
    assert!(exchange.fallback == Some(PreparedCommand::new(["EVAL", script.text(), "0", "x"]).unwrap()));
    assert!(db().get("a").exchange().unwrap().fallback.is_none());
    let error = script.on(&db().cluster()).key(["a", "b"]).command().exchange().unwrap_err();
    assert!(error.to_string().contains("different slots"), "{error}");
}

#[test]
fn a_call_does_not_show_its_arguments() {
    let call = Script::new("return 'hunter1'").on(&db()).key("hunter2").arg("hunter3");
    assert!(!format!("{call:?} {:?}", call.clone().command()).contains("hunter"));
}

#[test]
fn a_transaction_is_written_between_multi_and_exec() {
    let transaction = db().transaction().add(db().set("a", 1)).add(db().incr("a"));
    let exchange = transaction.exchange().unwrap();
    let wanted = PreparedCommand::new(["MULTI"]).unwrap().then(["SET", "a", "1"]).unwrap();
    let wanted = wanted.then(["INCR", "a"]).unwrap().then(["EXEC"]).unwrap();
    assert!(exchange.prepared == wanted);
    assert_eq!((exchange.name.as_str(), exchange.prepared.commands()), ("MULTI", 4));
    assert_eq!(exchange.class, Class { read_only: false, session: false, wait: Wait::No });
}

#[test]
fn a_batch_is_its_commands_in_a_row() {
    let batch = db().batch().add(db().get("a")).add(db().get("b"));
    let exchange = batch.exchange().unwrap();
    assert!(exchange.prepared == PreparedCommand::new(["GET", "a"]).unwrap().then(["GET", "b"]).unwrap());
    assert!(exchange.class.read_only, "nothing in it changes anything");
    let batch = db().batch().add(db().get("a")).add(db().incr("b"));
    assert!(!batch.exchange().unwrap().class.read_only);
}

#[test]
fn in_a_batch_waits_add_up_and_in_a_transaction_nothing_waits() {
    let pop = |seconds| db().command("BLPOP", ("a", seconds));
    for (waits, sum) in [
        (vec![1, 2], Wait::For(std::time::Duration::from_secs(3))),
        (vec![1, 0], Wait::Forever),
        (vec![1], Wait::For(std::time::Duration::from_secs(1))),
    ] {
        let batch = waits.iter().fold(db().batch().add(db().get("a")), |batch, wait| batch.add(pop(*wait)));
        assert_eq!(batch.exchange().unwrap().class.wait, sum, "{waits:?}");
        let all = waits.iter().fold(db().transaction(), |all, wait| all.add(pop(*wait)));
        assert_eq!(all.exchange().unwrap().class.wait, Wait::No, "{waits:?}");
    }
}

#[test]
fn what_cannot_be_in_an_exchange_of_several_is_refused() {
    for (exchange, words) in [
        (db().transaction().exchange(), "the transaction cannot be sent: there is no command in it"),
        (db().batch().exchange(), "the batch cannot be sent: there is no command in it"),
        (db().batch().add(db().database(1).get("a")).exchange(), "GET is for another server"),
        (db().transaction().add(db().command("WATCH", "a")).exchange(), "WATCH changes the connection"),
        (db().transaction().add(db().command("exec", ())).exchange(), "EXEC changes the connection"),
        (db().batch().add(db().command("SYNC", ())).exchange(), "SYNC changes the connection"),
        (Redis::at("").batch().add(Redis::at("").get("a")).exchange(), "no host"),
    ] {
        let error = exchange.expect_err(words);
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn all_keys_of_an_exchange_are_in_one_slot_of_a_cluster() {
    let cluster = db().cluster();
    let together = cluster.transaction().add(cluster.ping()).add(cluster.get("{a}1")).add(cluster.get("{a}2"));
    assert_eq!(together.exchange().unwrap().slot, Some(15495));
    let apart = || cluster.batch().add(cluster.get("a")).add(cluster.get("b"));
    let error = apart().exchange().unwrap_err().to_string();
    assert!(error.contains("with GET its keys are in different slots"), "{error}");
    let single = db().batch().add(db().get("a")).add(db().get("b")).exchange().unwrap();
    assert_eq!(single.slot, None, "one server has all slots");
}
