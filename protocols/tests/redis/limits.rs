//! What a peer may not do to us: each limit of the module's table, at its edge, and the work per byte. What is reserved
//! is counted in `tests/redis_memory.rs`.

use aquests_protocols::Input;
use aquests_protocols::redis::parse;

use super::*;

fn error(limits: Limits, peer: impl AsRef<[u8]>) -> Option<Error> {
    splits(peer.as_ref(), false, || sent(Client::new().limits(limits), &["GET k"])).error
}

/// The same for inputs that are too large to be cut at every place.
fn error_of_large(limits: Limits, peer: &[u8]) -> Option<Error> {
    let [whole, others @ ..] = [peer.len(), 4099].map(|piece| {
        let mut side = sent(Client::new().limits(limits), &["GET k"]);
        peer.chunks(piece).for_each(|piece| side.receive(piece, false));
        side.finish()
    });
    others.iter().for_each(|run| assert_eq!(*run, whole));
    whole.error
}

/// LIMITS: depth 64, hiredis #1336, redis-protocol's stack.
#[test]
fn nesting_is_as_deep_as_the_limit_and_no_deeper() {
    let openings = ["*1\r\n", "~1\r\n", "%1\r\n+k\r\n", "*?\r\n", "%?\r\n+k\r\n", "~?\r\n", "|1\r\n+k\r\n"];
    for (levels, limits) in [(64, Limits::default()), (3, Limits::default().depth(3))] {
        for opening in openings {
            let deep = |levels: usize| format!("{}:1\r\n", opening.repeat(levels));
            assert_eq!(error(limits, deep(levels)), None, "{opening:?}");
            assert_eq!(error(limits, deep(levels + 1)), too_large("levels of nesting", levels as u64), "{opening:?}");
        }
        let push = |levels: usize| format!(">1\r\n{}:1\r\n", "*1\r\n".repeat(levels - 1));
        assert_eq!(error(limits, push(levels)), None);
        assert_eq!(error(limits, push(levels + 1)), too_large("levels of nesting", levels as u64));
    }
    // The attack itself: 40 KB.
    let bomb = "*1\r\n".repeat(10_000);
    assert_eq!(error_of_large(Limits::default(), bomb.as_bytes()), too_large("levels of nesting", 64));
}

/// What is owned is built and dropped on the stack: also at the deepest that can be set.
#[test]
fn the_deepest_value_can_be_owned_looked_into_and_dropped() {
    let most = usize::from(Limits::MOST_DEPTH);
    let limits = Limits::default().depth(u16::MAX);
    for opening in ["*1\r\n", "*?\r\n", "|1\r\n+k\r\n", "%1\r\n+k\r\n"] {
        let close = if opening == "*?\r\n" { ".\r\n".repeat(most) } else { String::new() };
        let rest = if opening.starts_with('|') { "+v\r\n".repeat(most) } else { String::new() };
        let bytes = format!("{}:1\r\n{close}{rest}", opening.repeat(most));
        let (value, length) = parse(bytes.as_bytes(), limits).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        let owned = value.to_value();
        assert_eq!(owned, owned.clone());
        let mut depth = 0;
        let mut inside = value;
        while let Some(item) = inside.items().and_then(|items| items.last()) {
            (inside, depth) = (item, depth + 1);
        }
        assert!(depth == most || opening.starts_with('|'), "{depth}");
    }
    let over = "*1\r\n".repeat(most + 1);
    assert_eq!(parse(over.as_bytes(), limits).err(), too_large("levels of nesting", most as u64));
}

/// LIMITS: negative and huge lengths, hiredis CVE-2021-32765.
#[test]
fn lengths_are_numbers_and_nothing_else() {
    for length in ["-2", "-0", "+1", "01", "00", "1 ", " 1", "0x1", "1.0", "1e1", "", "-", "--1", "-11", "?1", "-1 "] {
        for kind in ['$', '*', '%', '~', '=', '!', '|', '>'] {
            refuses(format!("{kind}{length}\r\n"), Violation::Length);
        }
    }
    for length in ["99999999999999999999", "18446744073709551616", "36893488147419103233"] {
        refuses(format!("${length}\r\n"), Violation::Length);
        refuses(format!("*{length}\r\n"), Violation::Length);
    }
    for length in ["9223372036854775807", "9999999999999999999"] {
        assert_eq!(error(Limits::default(), format!("${length}\r\n")), too_large("string bytes", 512 << 20));
        for kind in ['*', '%', '~', '|', '>'] {
            assert_eq!(error(Limits::default(), format!("{kind}{length}\r\n")), too_large("value bytes", 64 << 20));
        }
    }
}

/// LIMITS: 512 MiB a string, as the server has it.
#[test]
fn a_string_is_as_long_as_the_limit_and_no_longer() {
    assert_eq!(error(Limits::default(), "$536870912\r\n"), None);
    assert_eq!(error(Limits::default(), "$536870913\r\n"), too_large("string bytes", 512 << 20));
    let limits = Limits::default().bulk(10).parts(5);
    for (length, expected) in [(10, None), (11, too_large("string bytes", 10))] {
        let text = "x".repeat(length);
        for header in ["", "*1\r\n"] {
            assert_eq!(error(limits, format!("{header}${length}\r\n{text}\r\n")), expected);
            assert_eq!(error(limits, format!("{header}!{length}\r\n{text}\r\n")), expected);
        }
        let streamed = format!("$?\r\n;3\r\nxxx\r\n;{}\r\n{}\r\n;0\r\n", length - 3, &text[3..]);
        assert_eq!(error(limits, streamed), expected);
    }
}

/// LIMITS: never over the reply cap unless streamed.
#[test]
fn a_value_that_is_told_whole_is_as_long_as_the_limit_and_no_longer() {
    let limits = Limits::default().whole(100).parts(1000);
    for header in ["", "*1\r\n", "|1\r\n+a\r\n+b\r\n"] {
        for (whole, expected) in [(100, None), (101, too_large("value bytes", 100))] {
            let length = whole - header.len() - "$99\r\n\r\n".len();
            assert_eq!(error(limits, format!("{header}${length}\r\n{}\r\n", "x".repeat(length))), expected);
            assert_eq!(error(limits, format!("{header}${length}\r\n")), expected, "told with the header");
            let line = "x".repeat(whole - header.len() - "+\r\n".len());
            assert_eq!(error(limits, format!("{header}+{line}\r\n")), expected);
        }
    }
    // Told with the header, and not when 64 MiB have come.
    let limits = Limits::default();
    assert_eq!(error(limits, "*1\r\n$67108864\r\n"), too_large("value bytes", 64 << 20));
    assert_eq!(error(limits, "=67108864\r\n"), too_large("value bytes", 64 << 20));
    assert_eq!(error(limits, ">2\r\n+message\r\n$67108864\r\n"), too_large("value bytes", 64 << 20));
    // An array without end.
    let limits = limits.whole(1000);
    for endless in ["*?\r\n", "|1\r\n+a\r\n+b\r\n", "*?\r\n|0\r\n", "*1\r\n$?\r\n", "%?\r\n", "|0\r\n"] {
        let unit = if endless.contains("$?") {
            ";1\r\na\r\n"
        } else if endless.starts_with('|') {
            endless
        } else {
            "+a\r\n"
        };
        let peer = format!("{endless}{}", unit.repeat(1000 / unit.len() + 1));
        assert_eq!(error(limits, peer), too_large("value bytes", 1000), "{endless:?}");
    }
}

/// LIMITS: "count × size overflow": an element has three bytes, so a count says at once that it cannot fit.
#[test]
fn more_elements_than_fit_are_refused_with_their_count() {
    let limits = Limits::default().whole(100);
    for (peer, expected) in [
        ("*31\r\n", None),
        ("*32\r\n", Some(())),
        ("%15\r\n", None),
        ("%16\r\n", Some(())),
        ("|16\r\n", Some(())),
        ("*1\r\n*30\r\n", None),
        ("*1\r\n*31\r\n", Some(())),
        ("*9223372036854775807\r\n", Some(())),
        ("%9223372036854775807\r\n", Some(())),
        ("*2147483648\r\n", Some(())),
        ("%2147483648\r\n", Some(())),
        ("*4294967296\r\n", Some(())),
    ] {
        let expected = expected.and_then(|()| too_large("value bytes", 100));
        assert_eq!(error(limits, peer), expected, "{peer:?}");
    }
    // As many as are allowed, and each as small as can be.
    let peer = format!("*31\r\n{}", "_\r\n".repeat(31));
    assert_eq!(asked(&["GET k"], peer).error, None);
}

#[test]
fn a_line_is_as_long_as_the_limit_and_no_longer() {
    for (most, limits) in [(64 << 10, Limits::default()), (10, Limits::default().line(10))] {
        for kind in ["+", "-", "(", "*1\r\n+"] {
            let line = |length: usize, end: &str| format!("{kind}{}{end}", "1".repeat(length)).into_bytes();
            assert_eq!(error_of_large(limits, &line(most, "\r\n")), None, "{kind}");
            assert_eq!(error_of_large(limits, &line(most, "")), None, "{kind}");
            for end in ["\r\n", "\n", ""] {
                let too_large = too_large("line bytes", most as u64);
                assert_eq!(error_of_large(limits, &line(most + 1, end)), too_large, "{kind} {end:?}");
            }
        }
    }
}

/// Calls of `receive`, for an input in pieces of `piece` bytes. The driver of the machine asks again when so many bytes
/// are there as it said.
fn calls(machine: &mut Client, input: &[u8], piece: usize) -> usize {
    let (mut calls, mut used, mut came, mut need) = (0, 0, 0, 1);
    let mut out = Vec::new();
    while came < input.len() {
        came = (came + piece).min(input.len());
        while came - used >= need {
            calls += 1;
            let (more, event) = machine.receive(Input { bytes: &input[used..came], eof: false }, &mut out).unwrap();
            used += more;
            need = if let Event::NeedData { at_least } = event { at_least.max(came - used + 1) } else { 1 };
        }
    }
    calls
}

/// LIMITS, "quadratic re-scan": twice the input is twice the calls, however small the pieces. That no call looks at what
/// was looked at before is shown beside the scanner.
#[test]
fn the_calls_for_a_reply_are_linear_in_its_length() {
    type Reply = fn(usize) -> String;
    let replies: [(&str, Reply); 6] = [
        ("a string", |size| format!("${size}\r\n{}\r\n", "x".repeat(size))),
        ("a string in an array", |size| format!("*1\r\n${size}\r\n{}\r\n", "x".repeat(size))),
        ("an array", |size| format!("*{}\r\n{}", size / 7, "$1\r\na\r\n".repeat(size / 7))),
        ("a map", |size| format!("%{}\r\n{}", size / 8, "+k\r\n:1\r\n".repeat(size / 8))),
        ("a streamed string", |size| format!("$?\r\n{};0\r\n", ";1\r\na\r\n".repeat(size / 7))),
        ("a streamed array", |size| format!("*?\r\n{}.\r\n", "*1\r\n_\r\n".repeat(size / 7))),
    ];
    for (what, reply) in replies {
        for piece in [1, 3, 1000] {
            let measure = |size| {
                let mut machine = Client::new().limits(Limits::default().parts(1 << 30));
                machine.send(ExchangeId(0), Request::Words(&[b"GET"]), &mut Vec::new()).unwrap();
                let calls = calls(&mut machine, reply(size).as_bytes(), piece);
                assert_eq!(machine.slots(), 1, "{what} is whole");
                calls
            };
            let (once, twice) = (measure(10_000), measure(20_000));
            assert!(twice <= 2 * once + 8, "{what}, pieces of {piece}: {once} calls, then {twice}");
        }
    }
}
