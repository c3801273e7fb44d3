//! Commands as people write them, one a line, quoted as `redis-cli` reads it; and which words of one are secrets. Knows no
//! connection.

/// The words of a line; `None` where its quotes are not balanced. An empty line has none.
///
/// Inside `"`, `\n`, `\r`, `\t`, `\b`, `\a` and `\xHH` are what they are in C, and any other letter behind a `\` is itself;
/// inside `'`, only `\'` is something else than it looks like. Behind a closing quote comes a space.
pub(super) fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut words, mut rest) = (Vec::new(), line.trim_ascii_start());
    while !rest.is_empty() {
        let (word, behind) = word(rest)?;
        words.push(word);
        rest = behind.trim_ascii_start();
    }
    Some(words)
}

/// The word at the front, and what is behind it.
fn word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut word, mut quote) = (Vec::new(), None);
    loop {
        let (byte, used) = match (quote, rest) {
            (None, []) => return Some((word, rest)),
            (None, [space, ..]) if space.is_ascii_whitespace() => return Some((word, rest)),
            (None, [mark @ (b'"' | b'\''), after @ ..]) => {
                (quote, rest) = (Some(*mark), after);
                continue;
            }
            (Some(_), []) => return None,
            (Some(mark), [end, after @ ..]) if *end == mark => {
                let is_over = after.first().is_none_or(u8::is_ascii_whitespace);
                return is_over.then_some((word, after));
            }
            (Some(b'"'), [b'\\', b'x', high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
                (digit(*high) << 4 | digit(*low), 4)
            }
            (Some(b'"'), [b'\\', letter, ..]) => match letter {
                b'n' => (b'\n', 2),
                b'r' => (b'\r', 2),
                b't' => (b'\t', 2),
                b'b' => (8, 2),
                b'a' => (7, 2),
                letter => (*letter, 2),
            },
            (Some(b'\''), [b'\\', b'\'', ..]) => (b'\'', 2),
            (_, [byte, ..]) => (*byte, 1),
        };
        word.push(byte);
        rest = &rest[used..];
    }
}

/// A command as it may be shown: without what may be a password.
pub(super) fn shown(words: &[Vec<u8>]) -> String {
    let is = |at: usize, name: &str| words.get(at).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let speaks_of =
        |what: &[u8]| words.iter().any(|word| word.to_ascii_lowercase().windows(4).any(|part| part == what));
    let shown = match () {
        () if is(0, "AUTH") => 1,
        () if is(0, "HELLO") => 2,
        () if is(0, "ACL") && is(1, "SETUSER") => 3,
        () if is(0, "CONFIG") && is(1, "SET") => 2,
        () if (is(0, "SENTINEL") || is(0, "MIGRATE")) && (speaks_of(b"auth") || speaks_of(b"pass")) => 2,
        () => words.len(),
    };
    let mut text = String::new();
    for word in words.iter().take(shown) {
        let plain = !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte));
        let space = if text.is_empty() { "" } else { " " };
        text += space;
        text += &if plain { word.escape_ascii().to_string() } else { format!("\"{}\"", word.escape_ascii()) };
    }
    if shown < words.len() { text + " …" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_into_words_as_redis_cli_does() {
        for (line, expected) in [
            ("", Some(&[][..])),
            ("  \t ", Some(&[])),
            ("GET key", Some(&["GET", "key"])),
            ("  SET  'a b'   \"c\\\"d\" \r\n", Some(&["SET", "a b", "c\"d"])),
            (r#"SET k "\x41\n\r\t\b\a\q\x4""#, Some(&["SET", "k", "A\n\r\t\u{8}\u{7}qx4"])),
            (r"SET k 'a\'b\n'", Some(&["SET", "k", r"a'b\n"])),
            ("SET k ''", Some(&["SET", "k", ""])),
            ("a\"b c\" d", Some(&["ab c", "d"])),
            ("GET \"key", None),
            ("GET 'key", None),
            ("GET \"a\"b", None),
            ("GET \"a\\", None),
        ] {
            let words = words(line.as_bytes());
            let words = words.map(|words| words.iter().map(|word| String::from_utf8_lossy(word).into()).collect());
            let expected = expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>());
            assert_eq!(words, expected, "{line}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        for (line, expected) in [
            ("get key", "get key"),
            ("SET k 'a b'", "SET k \"a b\""),
            ("auth hunter2", "auth …"),
            ("HELLO 3 AUTH me hunter2", "HELLO 3 …"),
            ("config set requirepass hunter2", "config set …"),
            ("ACL SETUSER me >hunter2", "ACL SETUSER me …"),
            ("MIGRATE h 1 k 0 9 AUTH hunter2", "MIGRATE h …"),
            ("MIGRATE h 1 k 0 9", "MIGRATE h 1 k 0 9"),
            ("SENTINEL SET m auth-pass hunter2", "SENTINEL SET …"),
        ] {
            assert_eq!(shown(&words(line.as_bytes()).unwrap()), expected);
        }
    }
}
