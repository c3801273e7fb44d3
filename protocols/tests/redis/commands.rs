//! What is written, how many may be on their way, and what is refused because nobody could tell its replies apart.

use super::*;

#[test]
fn words_are_written_as_an_array_of_strings_whatever_is_in_them() {
    let mut side = quiet(Client::new());
    let long = vec![b'x'; 12345];
    let words: [&[u8]; 5] = [b"SET", b"", b"\r\n\0\xff", b"$1", &long];
    side.machine.send(ExchangeId(0), Request::Words(&words), &mut side.out).unwrap();
    let written =
        [&b"*5\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\n\r\n\0\xff\r\n$2\r\n$1\r\n$12345\r\n"[..], &long, b"\r\n"].concat();
    assert_eq!(side.out, written);
    let prepared = PreparedCommand::new(words).unwrap();
    assert_eq!(prepared.as_bytes(), written);
    let many = vec!["a"; 1000];
    assert!(PreparedCommand::new(&many).unwrap().as_bytes().starts_with(b"*1000\r\n$1\r\na\r\n"));
}

#[test]
fn a_command_written_word_by_word_is_the_same_as_one_written_at_once() {
    for count in [1, 2, 9, 10, 11, 99, 100, 101, 1000, 1001] {
        let list: Vec<Vec<u8>> = (0..count).map(|at| vec![b'\r'; at % 13 * at]).collect();
        let mut words = Words::new();
        list.iter().for_each(|word| words.push(word));
        assert_eq!(words.len(), count);
        assert!(words.iter().eq(list.iter().map(Vec::as_slice)), "{count} words are read as they were written");
        let whole = PreparedCommand::new(&list).unwrap();
        assert_eq!(whole.clone().then(words.iter()), whole.clone().then(&list));
        assert!(words.finish().unwrap() == whole, "{count} words");
    }
    assert!(matches!(Words::new().finish(), Err(Refused::Misuse(_))));
}

#[test]
fn what_is_refused_at_once_is_refused_word_by_word() {
    for command in
        ["MONITOR", "PSYNC ? -1", "CLIENT REPLY OFF", "CLIENT REPLY", "script debug sync", "subscribe a b c d"]
    {
        let mut written = Words::new();
        words(command).iter().for_each(|word| written.push(word));
        assert_eq!(written.finish(), PreparedCommand::new(words(command)), "{command}");
    }
}

#[test]
fn a_command_with_words_replaced_is_the_same_as_one_written_anew() {
    let mut list: Vec<Vec<u8>> = ["SET", "key", "value", "EX", "60"].map(|word| word.as_bytes().to_vec()).to_vec();
    let mut pattern = Pattern::new(&list).unwrap();
    assert_eq!(*pattern.prepared(), PreparedCommand::new(&list).unwrap());
    for (at, length) in [(1, 3), (1, 0), (1, 9), (2, 10), (2, 10), (4, 99), (4, 100), (1, 1000), (2, 0), (1, 7), (0, 4)]
    {
        list[at] = vec![b'x'; length];
        assert_eq!(pattern.replace(at, &list[at]), Ok(()));
        assert_eq!(*pattern.prepared(), PreparedCommand::new(&list).unwrap(), "word {at} with {length} bytes");
    }
    assert!(matches!(pattern.replace(5, b"x"), Err(Refused::Misuse(_))), "it has five words");
    let many = vec!["a"; 1000];
    assert_eq!(*Pattern::new(&many).unwrap().prepared(), PreparedCommand::new(&many).unwrap());
}

#[test]
fn a_word_that_is_replaced_makes_no_command_that_is_refused() {
    for (before, at, word) in [
        ("PING", 0, "MONITOR"),
        ("CLIENT REPLY ON", 2, "OFF"),
        ("client list", 1, "reply"),
        ("SCRIPT DEBUG NO", 2, "YES"),
        ("XXXXXX REPLY OFF", 0, "CLIENT"),
    ] {
        let mut pattern = Pattern::new(words(before)).unwrap();
        let refused = pattern.replace(at, word.as_bytes());
        assert!(matches!(refused, Err(Refused::Misuse(_))), "{before} with {word}: {refused:?}");
    }
    // How it is answered goes with its name.
    let mut pattern = Pattern::new(["GET", "a", "b"]).unwrap();
    pattern.replace(0, b"SUBSCRIBE").unwrap();
    assert_eq!(*pattern.prepared(), PreparedCommand::new(["SUBSCRIBE", "a", "b"]).unwrap());
    assert!(Pattern::new([""; 0]).is_err());
    assert_eq!(format!("{pattern:?}"), "3 words, 33 bytes");
}

#[test]
fn there_is_one_slot_or_as_many_as_were_asked_for() {
    let mut side = quiet(Client::new());
    assert_eq!(side.machine.slots(), 1);
    send(&mut side, 0, "GET a");
    assert_eq!((side.machine.slots(), try_send(&mut side, 1, "GET b")), (0, Err(Refused::NotNow)));
    side.receive(b"+a\r\n", false);
    assert_eq!(side.machine.slots(), 1);
    // An exchange of several commands takes one slot, until the last is answered.
    let mut side = quiet(Client::new().pipeline(2));
    let command = PreparedCommand::new(["A"]).unwrap().then(["B"]).unwrap().then(["C"]).unwrap();
    for id in 0..2 {
        assert_eq!(side.machine.slots(), 2 - id as usize);
        side.machine.send(ExchangeId(id), Request::Prepared(&command), &mut side.out).unwrap();
    }
    side.receive(b"+a\r\n+b\r\n", false);
    assert_eq!(side.machine.slots(), 0);
    side.receive(b"+c\r\n", false);
    assert_eq!(side.machine.slots(), 1);
    assert_eq!(quiet(Client::new().pipeline(0)).machine.slots(), 1);
}

#[test]
fn what_breaks_the_order_of_replies_for_ever_is_refused_in_any_letters() {
    for command in [
        "MONITOR",
        "monitor",
        "SYNC",
        "PSYNC ? -1",
        "pSync",
        "CLIENT REPLY OFF",
        "client reply skip",
        "CLIENT REPLY",
        "SCRIPT DEBUG YES",
        "script debug sync",
    ] {
        let mut side = quiet(Client::new());
        let refused = try_send(&mut side, 0, command);
        assert!(matches!(refused, Err(Refused::Misuse(_))), "{command}: {refused:?}");
        let prepared = PreparedCommand::new(words(command));
        assert_eq!(prepared.unwrap_err(), refused.unwrap_err(), "{command}");
        assert_eq!(side.machine.slots(), 1);
    }
    for command in ["CLIENT REPLY ON", "CLIENT LIST", "SCRIPT DEBUG NO", "SCRIPT LOAD x", "MONITORS", "SYNCS", "CLIENT"]
    {
        assert_eq!(try_send(&mut quiet(Client::new()), 0, command), Ok(()), "{command}");
    }
}

#[test]
fn a_request_does_not_show_its_arguments() {
    let prepared = PreparedCommand::new(["AUTH", "hunter2"]).unwrap();
    let words: &[&[u8]] = &[b"AUTH", b"hunter2"];
    for (request, shown) in [
        (Request::Words(words), "AUTH and 1 arguments"),
        (Request::Prepared(&prepared), "1 commands, 27 bytes"),
        (Request::Words(&[]), "no words"),
    ] {
        assert_eq!(format!("{request:?}"), shown);
    }
}

#[test]
fn no_words_are_no_command() {
    let mut side = quiet(Client::new());
    let refused = side.machine.send(ExchangeId(0), Request::Words(&[]), &mut side.out);
    assert!(matches!(refused, Err(Refused::Misuse(_))));
    assert!(PreparedCommand::new([""; 0]).is_err());
    // An empty name is one the server does not know.
    assert!(PreparedCommand::new([""]).is_ok());
}

#[test]
fn inside_multi_nothing_may_be_sent_that_is_not_answered_once() {
    for (before, after) in [("MULTI", "EXEC"), ("multi", "DISCARD"), ("Multi", "RESET")] {
        let mut side = sent(Client::new(), &[before, "INCR a"]);
        for command in ["SUBSCRIBE a", "unsubscribe", "PSUBSCRIBE a", "SSUBSCRIBE a", "HELLO 3"] {
            let refused = try_send(&mut side, 2, command);
            assert!(matches!(refused, Err(Refused::Misuse(_))), "{command}: {refused:?}");
        }
        send(&mut side, 2, after);
        send(&mut side, 3, "SUBSCRIBE a");
    }
    // In one exchange, too; and nothing was taken of one that is refused.
    let command = PreparedCommand::new(["MULTI"]).unwrap().then(["SUBSCRIBE", "a"]).unwrap();
    let mut side = quiet(Client::new());
    let refused = side.machine.send(ExchangeId(0), Request::Prepared(&command), &mut side.out);
    assert!(matches!(refused, Err(Refused::Misuse(_))));
    send(&mut side, 0, "SUBSCRIBE a");
    // A MULTI that failed opened nothing.
    let mut side = sent(Client::new(), &["MULTI"]);
    side.receive(b"-NOPERM no\r\n", false);
    send(&mut side, 1, "SUBSCRIBE a");
    assert!(PreparedCommand::new(["QUIT"]).unwrap().then(["GET", "a"]).is_err());
}

#[test]
fn commands_that_were_prepared_apart_become_one_exchange() {
    let transaction = PreparedCommand::new(["MULTI"]).unwrap().then(["EXEC"]).unwrap();
    let both = PreparedCommand::new(["ASKING"]).unwrap().and(&transaction).unwrap();
    let at_once = PreparedCommand::new(["ASKING"]).unwrap().then(["MULTI"]).unwrap().then(["EXEC"]).unwrap();
    assert_eq!(both, at_once);
    assert!(PreparedCommand::new(["QUIT"]).unwrap().and(&transaction).is_err(), "nothing is answered after it");
}
