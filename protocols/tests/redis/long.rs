//! Strings that are told in parts: hundreds of megabytes that nobody holds twice.

use aquests_protocols::Input;

use super::*;

const PARTS: usize = 64 << 10;

fn reply(length: usize) -> Vec<u8> {
    [format!("${length}\r\n").as_bytes(), &vec![b'x'; length], b"\r\n"].concat()
}

#[test]
fn a_string_over_the_threshold_comes_in_parts_and_one_at_it_whole() {
    let run = asked(&["GET a", "GET b"], [reply(PARTS + 1), reply(PARTS)].concat());
    assert_eq!(told(&run)[..2], ["0 bulk 65537", "0 65537 bytes done"]);
    assert!(told(&run)[2].starts_with("1 $65536\\r\\nxxx"));
    let start = || sent(Client::new().limits(Limits::default().parts(3)), &["GET a", "GET b", "GET c", "GET d"]);
    let run = splits(b"$3\r\nabc\r\n$4\r\nab\r\n\r\n*1\r\n$4\r\nabcd\r\n$5\r\nabcde\r\n", true, start);
    let lines = [
        "0 $3\\r\\nabc\\r\\n done",
        "1 bulk 4",
        "1 \"ab\\r\\n\" done",
        "2 *1\\r\\n$4\\r\\nabcd\\r\\n done",
        "3 bulk 5",
        "3 \"abcde\" done",
    ];
    assert_eq!(told(&run), lines);
}

#[test]
fn a_long_string_ends_where_its_length_says() {
    let start = || sent(Client::new().limits(Limits::default().parts(3)), &["GET a"]);
    for end in ["xx", "\n\n", "\rx", "\r\r", "\n\r"] {
        let run = splits(format!("$4\r\nabcd{end}").as_bytes(), false, start);
        assert_eq!(told(&run), ["0 bulk 4", "0 \"abcd\""], "{end:?}");
        assert_eq!(run.error, broken(Violation::Bulk), "{end:?}");
        assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)]);
    }
}

#[test]
fn one_that_ends_early_is_an_error() {
    let start = || sent(Client::new().limits(Limits::default().parts(3)), &["GET a"]);
    for peer in ["$9\r\n", "$9\r\nabc", "$9\r\nabcdefghi", "$9\r\nabcdefghi\r", "$?\r\n", "$?\r\n;3\r\nabc\r\n"] {
        let run = splits(peer.as_bytes(), true, start);
        assert_eq!(run.error, Some(Error::UnexpectedEof), "{peer:?}");
        assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)], "{peer:?}");
    }
}

/// In an exchange of several commands a part is the last of its string where another message comes.
#[test]
fn several_long_strings_of_one_exchange_are_told_apart() {
    let start = || {
        let mut side = quiet(Client::new().limits(Limits::default().parts(1)));
        let command = PreparedCommand::new(["GET", "a"]).unwrap().then(["GET", "b"]).unwrap();
        side.machine.send(ExchangeId(0), Request::Prepared(&command), &mut side.out).unwrap();
        side
    };
    let run = splits(b"$2\r\nab\r\n$?\r\n;1\r\nc\r\n;0\r\n", true, start);
    assert_eq!(told(&run), ["0 bulk 2", "0 \"ab\"", "0 bulk", "0 \"c\" done"]);
}

#[test]
fn a_dropped_one_is_read_and_not_told() {
    let run = splits(b"+a\r\n$4\r\nabcd\r\n+c\r\n", true, || {
        let mut side = sent(Client::new().limits(Limits::default().parts(1)), &["GET a", "GET b", "GET c"]);
        assert!(side.machine.cancel(ExchangeId(1), &mut side.out));
        side
    });
    assert_eq!(told(&run), ["0 +a\\r\\n done", "2 +c\\r\\n done"]);
}

/// 512 MiB pass through a buffer of 64 KiB: each byte is shown once and used at once.
#[test]
fn half_a_gibibyte_needs_no_room() {
    const LENGTH: usize = 512 << 20;
    let mut side = sent(Client::new(), &["GET a"]);
    let machine = side.machine.inner();
    let mut out = Vec::new();
    let header = format!("${LENGTH}\r\n");
    let (used, event) = machine.receive(Input { bytes: header.as_bytes(), eof: false }, &mut out).unwrap();
    assert!(
        matches!(event, Event::Message { message: Message::Bulk { length: Some(length) }, .. } if length == LENGTH as u64)
    );
    assert_eq!(used, header.len());
    let piece = vec![b'x'; PARTS];
    for _ in 0..LENGTH / PARTS {
        let (used, event) = machine.receive(Input { bytes: &piece, eof: false }, &mut out).unwrap();
        assert!(
            matches!(event, Event::Message { message: Message::Data(data), done: false, .. } if data.len() == PARTS)
        );
        assert_eq!(used, PARTS);
    }
    let (used, event) = machine.receive(Input { bytes: b"\r\n", eof: false }, &mut out).unwrap();
    assert!(used == 2 && matches!(event, Event::Message { message: Message::Data(b""), done: true, .. }), "{event:?}");
}
