//! Several requests on their way: "Pipelining" in the manual.

use super::*;

#[test]
fn each_request_with_its_own_sync_fails_alone() {
    let failed = [error("ERROR", "42601", "no"), ready("I")].concat();
    let peer = [answer("a"), ready("I"), failed, answer("c"), ready("I")].concat();
    let run = splits(&peer, true, || selects(&[End::Sync; 3]));
    let expected = [
        "0 columns a:25",
        "0 row a",
        "0 SELECT 1",
        "0 ready Idle done",
        "1 error ERROR 42601: no",
        "1 ready Idle done",
        "2 columns a:25",
        "2 row c",
        "2 SELECT 1",
        "2 ready Idle done",
    ];
    assert_eq!(told(&run), expected);
}

#[test]
fn an_error_skips_what_shares_its_sync_and_nothing_behind_it() {
    let peer = [answer("a"), error("ERROR", "22012", "no"), ready("I"), answer("e"), ready("I")].concat();
    let ends = [End::Later, End::Later, End::Flush, End::Sync, End::Sync];
    let run = splits(&peer, true, || selects(&ends));
    let skipped = "not run, because a request before it had failed, NotProcessed";
    let expected = [
        "0 columns a:25",
        "0 row a",
        "0 SELECT 1 done",
        "1 error ERROR 22012: no done",
        &format!("2 {skipped}"),
        &format!("3 {skipped}"),
        "4 columns a:25",
        "4 row e",
        "4 SELECT 1",
        "4 ready Idle done",
    ];
    assert_eq!(told(&run), expected);
    assert_eq!((run.error, run.unfinished), (None, vec![]));
}

#[test]
fn an_error_of_the_last_before_the_sync_skips_nothing() {
    let peer = [answer("a"), message(b'1', ""), error("ERROR", "22012", "no"), ready("I"), answer("c"), ready("I")];
    let run = splits(&peer.concat(), true, || selects(&[End::Later, End::Sync, End::Sync]));
    let told = told(&run);
    assert_eq!(told[2..5], ["0 SELECT 1 done", "1 error ERROR 22012: no", "1 ready Idle done"]);
    assert_eq!(told.last().unwrap(), "2 ready Idle done");
}

/// What is sent before the Sync is skipped too, also where the error is known already.
#[test]
fn a_server_skips_until_the_sync_whenever_it_was_sent() {
    let mut side = selects(&[End::Flush]);
    side.receive(&error("ERROR", "22012", "no"), false);
    send(&mut side, 1, Request::Steps { steps: SELECT, end: End::Later });
    send(&mut side, 2, Request::Steps { steps: &[], end: End::Sync });
    side.receive(&ready("I"), false);
    send(&mut side, 3, Request::Steps { steps: SELECT, end: End::Sync });
    side.receive(&[answer("d"), ready("I")].concat(), false);
    let run = side.finish();
    let lines = told(&run);
    let skipped = "1 not run, because a request before it had failed, NotProcessed";
    assert_eq!(lines[..3], ["0 error ERROR 22012: no done", skipped, "2 ready Idle done"]);
    assert_eq!(lines.last().unwrap(), "3 ready Idle done");
}

/// A constraint that is checked at the end of the transaction.
#[test]
fn an_error_at_the_sync_belongs_to_the_request_that_has_it() {
    let peer = [answer("a"), error("ERROR", "23503", "no"), ready("I")].concat();
    let run = splits(&peer, true, || selects(&[End::Sync]));
    assert_eq!(told(&run)[2..], ["0 SELECT 1", "0 error ERROR 23503: no", "0 ready Idle done"]);
}

#[test]
fn what_the_server_skipped_may_be_sent_again_when_the_connection_ends() {
    let mut side = selects(&[End::Later, End::Later, End::Sync, End::Sync]);
    let skipping = [error("ERROR", "22012", "no")].concat();
    // Not driven to its end: the caller lets go between two events.
    let mut machine = Client::new(Login::new("me")).unwrap().pipeline(9);
    let mut out = Vec::new();
    machine.connected(Default::default(), &mut out);
    let hello = [authentication(0, ""), ready("I")].concat();
    let input = |bytes| aquests_protocols::Input { bytes, eof: false };
    for bytes in [&hello[..9], &hello[9..]] {
        machine.receive(input(bytes), &mut out).unwrap();
    }
    for (id, end) in (0..).zip([End::Later, End::Later, End::Sync, End::Sync]) {
        machine.send(ExchangeId(id), Request::Steps { steps: SELECT, end }, &mut out).unwrap();
    }
    machine.receive(input(&skipping), &mut out).unwrap();
    let unfinished: Vec<_> = core::iter::from_fn(|| machine.unfinished()).collect();
    let skipped = Replay::NotProcessed;
    assert_eq!(unfinished, [(ExchangeId(1), skipped), (ExchangeId(2), skipped), (ExchangeId(3), Replay::Unknown)]);
    assert_eq!(machine.slots(), 0);
    side.receive(&skipping, true);
    let run = side.finish();
    assert_eq!(run.unfinished, [(ExchangeId(3), Replay::Unknown)], "those skipped were told before");
}

#[test]
fn a_simple_query_does_not_stand_between_requests_that_share_a_sync() {
    let mut side = selects(&[End::Later]);
    let refused = side.machine.send(ExchangeId(1), Request::Query("SELECT 1"), &mut side.out);
    assert_eq!(refused, Err(Refused::Misuse("a simple query between requests that share a Sync")));
    send(&mut side, 1, Request::Steps { steps: SELECT, end: End::Sync });
    send(&mut side, 2, Request::Query("SELECT 1"));
    drop(side.finish());
}

#[test]
fn so_many_are_on_their_way_as_was_said() {
    let mut side = Side::client(Client::new(Login::new("me")).unwrap().pipeline(2), see);
    assert_eq!(side.machine.slots(), 0);
    side.receive(&[authentication(0, ""), ready("I")].concat(), false);
    assert_eq!(side.machine.slots(), 2);
    (0..2).for_each(|id| send(&mut side, id, Request::Query("SELECT 1")));
    assert_eq!(side.machine.slots(), 0);
    let refused = side.machine.send(ExchangeId(2), Request::Query("SELECT 1"), &mut side.out);
    assert_eq!(refused, Err(Refused::NotNow));
    side.receive(&[complete("A"), ready("I")].concat(), false);
    assert_eq!(side.machine.slots(), 1);
    drop(side.finish());
}
