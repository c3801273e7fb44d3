//! RFC 9112 §5: field lines, in heads of both roles and in trailers.

use super::*;

/// The same field lines in a response, a request and in trailers of a response, each with the part before them.
const PLACES: [(&str, bool); 3] = [
    ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n", true),
    ("GET / HTTP/1.1\r\nhost: h\r\n", false),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", true),
];

fn at(place: (&str, bool), lines: &[u8]) -> Run<String> {
    let bytes = [place.0.as_bytes(), lines, b"\r\n"].concat();
    if place.1 { asked("GET", bytes) } else { served(bytes) }
}

#[track_caller]
fn refused_everywhere(lines: &[u8]) {
    for place in PLACES {
        let run = at(place, lines);
        assert_eq!(run.error, broken(Violation::FieldLine), "{}{}", place.0, lines.escape_ascii());
        assert!(!told(&run).iter().any(|line| line.ends_with(" done")), "{}{}", place.0, lines.escape_ascii());
    }
}

#[track_caller]
fn read_everywhere(lines: &[u8], as_told: &str) {
    for place in PLACES {
        let run = at(place, lines);
        let last = told(&run).pop().unwrap_or_default();
        assert_eq!(run.error, None, "{}{}", place.0, lines.escape_ascii());
        assert!(last.ends_with(&format!("{as_told} done")), "{last:?} does not end with {as_told:?}");
    }
}

/// §5, RFC 9110 §5.5: white space around a value is no part of it; white space within is.
#[test]
fn white_space_around_a_value_is_left_out() {
    read_everywhere(b"a:b\r\n", " | a: b");
    read_everywhere(b"a: \t b c\td \t \r\n", " | a: b c\\td");
    read_everywhere(b"a:\r\nb: \r\nc:\t\t\r\n", " | a:  | b:  | c: ");
}

/// §5.1: "No whitespace is allowed between the field name and colon": a server MUST refuse it, and a client that
/// removed it would hand on what others read in another way.
#[test]
fn white_space_before_the_colon_is_refused() {
    for line in
        [&b"a : b\r\n"[..], b"a\t: b\r\n", b"transfer-encoding : chunked\r\n", b"content-length : 5\r\n", b" : b\r\n"]
    {
        refused_everywhere(line);
    }
}

/// §5.2: "A server that receives an obs-fold … MUST either reject the message … or replace": it is rejected. For a
/// user agent the RFC knows replacing only; folded fields are extinct, and two readings of one field are an attack.
#[test]
fn a_folded_line_is_refused() {
    for fold in [&b"a: b\r\n c\r\n"[..], b"a: b\r\n\tc\r\n", b"a:\r\n b\r\n", b"a: b\n c\r\n", b"a: b\r\n \r\n"] {
        refused_everywhere(fold);
    }
    refuses("GET", "HTTP/1.1 200 OK\r\ntransfer-encoding:\r\n chunked\r\n\r\n", Violation::FieldLine);
    refuses("GET", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n 0\r\n\r\n", Violation::FieldLine);
}

/// RFC 9110 §5.5: "Field values containing CR, LF, or NUL characters are invalid and dangerous"; other control
/// characters are invalid too.
#[test]
fn a_value_with_a_control_character_is_refused() {
    for bad in (0..=0x1f).filter(|b| !matches!(b, b'\t' | b'\n' | b'\r')).chain([0x7f]) {
        refused_everywhere(&[b"a: b", &[bad][..], b"c\r\n"].concat());
        refused_everywhere(&[b"a: ", &[bad][..], b"\r\n"].concat());
    }
}

/// RFC 9110 §5.5: bytes above ASCII are opaque data.
#[test]
fn a_value_above_ascii_is_passed_on() {
    read_everywhere(b"a: \x80\xa0\xff\r\n", " | a: \\x80\\xa0\\xff");
}

/// RFC 9110 §5.1: a field name is a token.
#[test]
fn a_name_that_is_no_token_is_refused() {
    for bad in (0..=0xff_u8).filter(|b| !b.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~:\n".contains(b)) {
        refused_everywhere(&[b"a", &[bad][..], b"c: d\r\n"].concat());
    }
    for line in [&b": b\r\n"[..], b"a\r\n", b"a b: c\r\n", b"\x00: b\r\n", b"a\r\nb: c\r\n", b"\xe9: b\r\n"] {
        refused_everywhere(line);
    }
    read_everywhere(b"X!#$%&'*+-.^_`|~9: b\r\n", " | X!#$%&'*+-.^_`|~9: b");
}

/// RFC 9110 §5.3: lines of one name are kept apart and in order; names are compared without regard to case.
#[test]
fn fields_come_in_order_and_are_found_in_any_case() {
    read_everywhere(b"b: 1\r\nA: 2\r\nB: 3\r\n", " | b: 1 | A: 2 | B: 3");
    let fields = Fields::new(b"Set-Cookie: a\r\nX: y\r\nset-cookie: b\r\n");
    assert_eq!(fields.get("SET-COOKIE"), Some(&b"a"[..]));
    assert_eq!(fields.get("x"), Some(&b"y"[..]));
    assert_eq!(fields.get("set"), None);
    assert!(!fields.is_empty() && Fields::default().is_empty());
}

/// A value with a colon, and one that looks like another line.
#[test]
fn a_value_may_look_like_anything() {
    read_everywhere(b"a: b: c\r\nd: HTTP/1.1 200 OK\r\n", " | a: b: c | d: HTTP/1.1 200 OK");
}
