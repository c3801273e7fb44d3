//! Slow readers, commands that nobody waits for any more, and how a connection ends from our side.

use super::*;

#[test]
fn what_is_behind_a_held_string_waits_with_it() {
    let start = || {
        let mut side = sent(Client::new().limits(Limits::default().parts(1)), &["GET a", "GET b"]);
        side.machine.hold(ExchangeId(0));
        side
    };
    let mut side = start();
    side.receive(b"$4\r\nabcd\r\n>1\r\n+x\r\n+b\r\n", false);
    assert!(side.take_events().is_empty());
    side.machine.resume(ExchangeId(0), &mut side.out);
    side.receive(b"", false);
    assert_eq!(told(&side.finish()), ["0 bulk 4", "0 \"abcd\" done", "push >1\\r\\n+x\\r\\n", "1 +b\\r\\n done"]);
    // Held in the middle, and resumed each time that it is asked.
    let run = splits(b"$4\r\nabcd\r\n+b\r\n", true, || {
        start().acting(|side, event| match event {
            Some(Event::Message { id, done: false, .. }) => side.machine.hold(*id),
            Some(_) => {}
            None => side.machine.resume(ExchangeId(0), &mut side.out),
        })
    });
    assert_eq!(told(&run), ["0 bulk 4", "0 \"abcd\" done", "1 +b\\r\\n done"]);
}

#[test]
fn one_that_is_given_up_behind_another_is_read_and_dropped() {
    let run = splits(b"+a\r\n*1\r\n+b\r\n-ERR c\r\n", true, || {
        let mut side = sent(Client::new(), &["GET a", "GET b", "GET c"]);
        assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
        side
    });
    assert_eq!(told(&run), ["0 +a\\r\\n done", "2 -ERR c\\r\\n done"]);
}

/// The replies that come most take a shorter way through the machine, which must not be past anything.
#[test]
fn short_replies_are_dropped_and_held_and_end_what_others_end() {
    for reply in ["+OK\r\n", ":1\r\n", "$1\r\nb\r\n"] {
        let line = reply.as_bytes().escape_ascii();
        let run = splits(reply.repeat(3).as_bytes(), true, || {
            let mut side = sent(Client::new(), &["GET a", "GET b", "GET c"]);
            assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
            side
        });
        assert_eq!(told(&run), [format!("0 {line} done"), format!("2 {line} done")]);
        let mut side = sent(Client::new(), &["GET a"]);
        side.machine.hold(ExchangeId(0));
        side.receive(reply.as_bytes(), false);
        assert!(side.take_events().is_empty());
        side.machine.resume(ExchangeId(0), &mut side.out);
        side.machine.close(&mut side.out);
        side.receive(b"", false);
        assert_eq!(told(&side.finish()), [format!("0 {line} done"), "closed".into()]);
        // Two commands of one exchange, which has one slot.
        let mut side = quiet(Client::new());
        let command = PreparedCommand::new(["GET", "a"]).unwrap().then(["GET", "b"]).unwrap();
        side.machine.send(ExchangeId(0), Request::Prepared(&command), &mut side.out).unwrap();
        side.receive(reply.as_bytes(), false);
        assert_eq!(side.machine.slots(), 0);
        side.receive(reply.as_bytes(), false);
        assert_eq!(side.machine.slots(), 1);
        assert_eq!(told(&side.finish()), [format!("0 {line}"), format!("0 {line} done")]);
        // In a long string they are text.
        let run = splits(format!("$15\r\n{:15}\r\n", reply.repeat(2)).as_bytes(), true, || {
            sent(Client::new().limits(Limits::default().parts(9)), &["GET a"])
        });
        assert_eq!(
            told(&run)[1],
            format!("0 \"{}\" done", format!("{:15}", reply.repeat(2)).as_bytes().escape_ascii())
        );
    }
}

#[test]
fn one_that_is_given_up_holds_nobody() {
    let run = splits(b"+a\r\n$4\r\nabcd\r\n+c\r\n", true, || {
        let mut side = sent(Client::new().limits(Limits::default().parts(1)), &["GET a", "GET b", "GET c"]);
        side.machine.hold(ExchangeId(1));
        assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
        side
    });
    assert_eq!(told(&run), ["0 +a\\r\\n done", "2 +c\\r\\n done"]);
}

#[test]
fn one_that_is_given_up_at_the_front_costs_the_connection() {
    let mut side = sent(Client::new(), &["BLPOP q 0", "GET b"]);
    assert!(!side.machine.cancel(ExchangeId(0), &mut side.out));
    assert_eq!(side.machine.slots(), 0);
    assert_eq!(side.finish().unfinished, [(ExchangeId(1), Replay::Unknown)]);
    let mut side = sent(Client::new(), &["GET a"]);
    assert!(side.machine.cancel(ExchangeId(7), &mut side.out), "nobody has that name");
}

#[test]
fn all_commands_of_an_exchange_are_given_up_together() {
    let run = splits(b"+a\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n+c\r\n", true, || {
        let mut side = sent(Client::new(), &["GET a"]);
        let command = PreparedCommand::new(["MULTI"]).unwrap().then(["INCR", "n"]).unwrap().then(["EXEC"]).unwrap();
        side.machine.send(ExchangeId(1), Request::Prepared(&command), &mut side.out).unwrap();
        send(&mut side, 2, "GET c");
        assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
        side
    });
    assert_eq!(told(&run), ["0 +a\\r\\n done", "2 +c\\r\\n done"]);
}

#[test]
fn quit_is_the_last_command_and_its_reply_the_end() {
    let start = || sent(Client::new(), &["GET a", "QUIT"]);
    let mut side = start();
    assert_eq!(side.machine.slots(), 0);
    assert_eq!(try_send(&mut side, 2, "GET b"), Err(Refused::NotNow));
    drop(side.finish());
    let run = splits(b"+a\r\n+OK\r\nrest", true, start);
    assert_eq!(told(&run), ["0 +a\\r\\n done", "1 +OK\\r\\n done", "closed"]);
    assert_eq!(run.left, b"rest");
}

#[test]
fn a_close_waits_for_what_is_on_its_way_and_says_nothing() {
    let run = splits(b"+a\r\n", false, || {
        let mut side = sent(Client::new(), &["GET a"]);
        let before = side.out.len();
        side.machine.close(&mut side.out);
        assert_eq!((side.machine.slots(), side.out.len()), (0, before));
        side
    });
    assert_eq!(told(&run), ["0 +a\\r\\n done", "closed"]);
    let mut side = quiet(Client::new());
    side.machine.close(&mut side.out);
    side.receive(b"", true);
    assert_eq!(told(&side.finish()), ["closed"]);
}

#[test]
fn a_close_does_not_forget_an_error_and_nothing_is_sent_after_either() {
    let (mut side, mut out) = (quiet(Client::new()), Vec::new());
    let input = aquests_protocols::Input { bytes: b"+unsolicited\r\n", eof: false };
    let error = side.machine.receive(input, &mut out).map(|_| ()).unwrap_err();
    side.machine.close(&mut out);
    assert_eq!(side.machine.receive(input, &mut out).map(|_| ()), Err(error));
    assert_eq!(side.machine.slots(), 0);
    let mut side = sent(Client::new(), &["GET a"]);
    assert_eq!(side.machine.unfinished(), Some((ExchangeId(0), Replay::Unknown)));
    assert_eq!((side.machine.unfinished(), side.machine.slots()), (None, 0));
}

#[test]
fn a_sign_of_life_is_asked_for_where_nothing_is_on_its_way() {
    let mut side = quiet(Client::new());
    side.machine.ping(&mut side.out);
    assert_eq!((side.take_out(), side.machine.slots()), (b"*1\r\n$4\r\nPING\r\n".to_vec(), 0));
    side.machine.ping(&mut side.out);
    side.receive(b"+PONG\r\n", false);
    assert_eq!((side.take_events().len(), side.machine.slots()), (0, 1));
    send(&mut side, 0, "GET a");
    side.take_out();
    side.machine.ping(&mut side.out);
    assert_eq!(side.take_out(), b"");
    side.receive(b"+a\r\n", false);
    send(&mut side, 1, "MULTI");
    side.receive(b"+OK\r\n", false);
    side.take_out();
    side.machine.ping(&mut side.out);
    // It would be queued, and be part of what EXEC answers.
    assert_eq!(side.take_out(), b"");
    let run = side.finish();
    assert_eq!((run.events.len(), run.unfinished), (2, vec![]));
}
