//! RFC 9112 §2: what a message is made of, and how much may be wrong with it.

use super::*;

/// §2.1: a start line, field lines, an empty line, a body.
#[test]
fn a_message_is_read_line_by_line() {
    let run = asked("GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: y\r\n\r\nhi");
    assert_eq!(told(&run), ["0 HTTP/1.1 200 OK | content-length: 2 | x: y", "0 \"hi\" done"]);
    assert_eq!((run.error, run.unfinished), (None, vec![]));
    let run = served("POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi");
    assert_eq!(told(&run), ["0 POST /a HTTP/1.1 | host: h | content-length: 2", "0 \"hi\" done"]);
    assert_eq!(run.out, b"HTTP/1.1 404 \r\ncontent-length: 2\r\n\r\nno");
}

/// §2.2: "a recipient MUST parse an HTTP message as a sequence of octets": what is no UTF-8 goes through.
#[test]
fn a_message_is_bytes_and_not_text() {
    let run = asked("GET", b"HTTP/1.1 200 \xe9\xff\r\nx: \x80\xff\r\ncontent-length: 1\r\n\r\n\xfe");
    assert_eq!(told(&run), ["0 HTTP/1.1 200 \\xe9\\xff | x: \\x80\\xff | content-length: 1", "0 \"\\xfe\" done"]);
}

/// §2.2: "a recipient MAY recognize a single LF as a line terminator".
#[test]
fn a_lone_lf_ends_a_line_of_a_head() {
    let run = asked("GET", "HTTP/1.1 200 OK\ncontent-length: 1\r\nx: y\n\nz");
    assert_eq!(told(&run), ["0 HTTP/1.1 200 OK | content-length: 1 | x: y", "0 \"z\" done"]);
    let run = served("GET / HTTP/1.1\nhost: h\n\r\nGET / HTTP/1.1\r\nhost: i\n\n");
    assert_eq!(told(&run), ["0 GET / HTTP/1.1 | host: h done", "1 GET / HTTP/1.1 | host: i done"]);
}

/// §2.2: "a recipient of such a bare CR MUST consider that element to be invalid".
#[test]
fn a_bare_cr_is_refused_wherever_it_stands_in_a_head() {
    for (answer, violation) in [
        ("HTTP/1.1 200 O\rK\r\n\r\n", Violation::StartLine),
        ("HTTP/1.1 200\r OK\r\n\r\n", Violation::StartLine),
        ("HTTP/1.1 200 OK\r\r\n\r\n", Violation::StartLine),
        ("HTTP/1.1\r 200 OK\r\n\r\n", Violation::StartLine),
        ("HTTP/1.1 200 OK\r\nx\r: y\r\n\r\n", Violation::FieldLine),
        ("HTTP/1.1 200 OK\r\nx: y\rz\r\n\r\n", Violation::FieldLine),
        ("HTTP/1.1 200 OK\r\nx: y\r\r\n\r\n", Violation::FieldLine),
        ("HTTP/1.1 200 OK\r\nx:\ry\r\n\r\n", Violation::FieldLine),
        ("HTTP/1.1 200 OK\r\n\rx: y\r\n\r\n", Violation::FieldLine),
        ("HTTP/1.1 200 OK\r\nx: y\r\n\r\r\n\r\n", Violation::FieldLine),
    ] {
        refuses("GET", answer, violation);
    }
    for (bytes, violation) in [
        ("GET\r / HTTP/1.1\r\nhost: h\r\n\r\n", Violation::StartLine),
        ("GET /\r HTTP/1.1\r\nhost: h\r\n\r\n", Violation::StartLine),
        ("GET / HTTP/1.1\r\r\nhost: h\r\n\r\n", Violation::StartLine),
        ("\rGET / HTTP/1.1\r\nhost: h\r\n\r\n", Violation::StartLine),
        ("\r\rGET / HTTP/1.1\r\nhost: h\r\n\r\n", Violation::StartLine),
        ("GET / HTTP/1.1\r\nhost: h\rx: y\r\n\r\n", Violation::FieldLine),
        ("GET / HTTP/1.1\r\nhost: h\r\r\n\r\n", Violation::FieldLine),
    ] {
        rejects(bytes, violation, "400 Bad Request");
    }
}

/// §2.2: a server "SHOULD ignore at least one empty line (CRLF) received prior to the request-line".
#[test]
fn one_empty_line_before_a_request_is_read_past() {
    for blank in ["\r\n", "\n"] {
        let run = served(format!("{blank}GET / HTTP/1.1\r\nhost: h\r\n\r\n{blank}GET / HTTP/1.1\r\nhost: i\r\n\r\n"));
        assert_eq!(told(&run), ["0 GET / HTTP/1.1 | host: h done", "1 GET / HTTP/1.1 | host: i done"]);
    }
}

/// The other side of the same rule: we stop at one, so that empty lines are no way to keep a server busy.
#[test]
fn two_empty_lines_before_a_request_are_refused() {
    for blank in ["\r\n\r\n", "\n\n", "\r\n\n", "\n\r\n"] {
        let run = served(format!("{blank}GET / HTTP/1.1\r\nhost: h\r\n\r\n"));
        assert_eq!((run.error, run.events), (broken(Violation::StartLine), vec![]), "{blank:?}");
    }
}

/// Nothing allows an empty line before a response.
#[test]
fn an_empty_line_before_a_response_is_refused() {
    for blank in ["\r\n", "\n", "\r", " "] {
        refuses("GET", format!("{blank}HTTP/1.1 200 OK\r\n\r\n"), Violation::StartLine);
    }
}

/// §2.2: "whitespace between the start-line and the first header field": "reject the message as invalid".
#[test]
fn white_space_before_the_first_field_is_refused() {
    for space in [" ", "\t", " \r\n"] {
        refuses("GET", format!("HTTP/1.1 200 OK\r\n{space}x: y\r\n\r\n"), Violation::FieldLine);
        let bytes = format!("GET / HTTP/1.1\r\n{space}host: h\r\nhost: i\r\n\r\n");
        rejects(bytes, Violation::FieldLine, "400 Bad Request");
    }
}

/// §2.3: the version is case-sensitive, and has two digits and one dot. Other majors are another protocol.
#[test]
fn only_http_1_0_and_1_1_are_spoken() {
    for version in
        ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/1.10", "HTTP/01.1", "HTTP/1,1", "http/1.1", "HTTP/1.", "HTTPS/1.1"]
    {
        refuses("GET", format!("{version} 200 OK\r\n\r\n"), Violation::StartLine);
        rejects(format!("GET / {version}\r\nhost: h\r\n\r\n"), Violation::StartLine, "400 Bad Request");
    }
    let run = asked_until_end("GET", "HTTP/1.0 200 OK\r\n\r\nhi");
    assert_eq!(told(&run), ["0 HTTP/1.0 200 OK", "0 \"hi\" done", "closed"]);
    assert_eq!(told(&served("GET / HTTP/1.0\r\n\r\n")), ["0 GET / HTTP/1.0 done", "closed"]);
}

/// What speaks another protocol is told apart at its first byte, and not after a whole head of it.
#[test]
fn another_protocol_is_refused_at_its_first_byte() {
    for first in
        [&b"<html>"[..], b"SSH-2.0-OpenSSH\r\n", b"\x15\x03\x01\0\x02\x02\x46", b"220 mail\r\n", b"HTTP/2", b"\0"]
    {
        refuses("GET", first, Violation::StartLine);
    }
    rejects("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Violation::StartLine, "400 Bad Request");
}
