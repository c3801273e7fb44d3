//! RFC 9112 §3: the request line, as a server reads it and as a client writes it.

use super::*;

/// §3: method, space, target, space, version: one space each, and nothing else.
#[test]
fn a_request_line_with_other_white_space_is_refused() {
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\t",
        "GET /a b HTTP/1.1",
        "GET / HTTP/1.1 HTTP/1.1",
        "GET/ HTTP/1.1",
        "GET /HTTP/1.1",
    ] {
        rejects(format!("{line}\r\nhost: h\r\n\r\n"), Violation::StartLine, "400 Bad Request");
    }
}

/// §3: a part that is missing. HTTP/0.9 is not spoken.
#[test]
fn a_request_line_without_all_its_parts_is_refused() {
    for line in ["GET /", "GET", "GET / ", "/ HTTP/1.1", " / HTTP/1.1", "GET  HTTP/1.1", "HTTP/1.1"] {
        rejects(format!("{line}\r\nhost: h\r\n\r\n"), Violation::StartLine, "400 Bad Request");
    }
}

/// §3.1: the method is a token, and case-sensitive; a server sees whatever it is.
#[test]
fn any_token_is_a_method() {
    for method in ["get", "M-SEARCH", "X!#$%&'*+-.^_`|~9", "GETT", "POSTER"] {
        let run = served(format!("{method} / HTTP/1.1\r\nhost: h\r\n\r\n"));
        assert_eq!(told(&run), [format!("0 {method} / HTTP/1.1 | host: h done")]);
    }
    for method in ["GE(T", "G\u{c9}T", "GE\0T", "G:T", "{GET}", "GE\x7fT"] {
        rejects(format!("{method} / HTTP/1.1\r\nhost: h\r\n\r\n"), Violation::StartLine, "400 Bad Request");
    }
}

/// §3.1, RFC 9110 §9.1: a method in lower case is another method, so that an answer to `head` may have a body.
#[test]
fn a_client_knows_head_and_connect_only_in_upper_case() {
    let run = asked("head", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    assert_eq!(told(&run), ["0 HTTP/1.1 200 OK | content-length: 2", "0 \"hi\" done"]);
    let run = asked("connect", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    assert_eq!(told(&run), ["0 HTTP/1.1 200 OK | content-length: 2", "0 \"hi\" done"]);
}

/// §3.2: origin-form, absolute-form, authority-form, asterisk-form: each comes as it was sent.
#[test]
fn a_target_comes_in_the_form_in_which_it_was_sent() {
    for (method, target) in [
        ("GET", "/where?q=now"),
        ("GET", "http://www.example.org/pub/WWW/TheProject.html"),
        ("CONNECT", "www.example.com:80"),
        ("OPTIONS", "*"),
        ("GET", "/a%20b/../%00?a=b&c[]=\"<>\\^`{|}#"),
    ] {
        let run = served(format!("{method} {target} HTTP/1.1\r\nhost: h\r\n\r\n"));
        assert_eq!(told(&run), [format!("0 {method} {target} HTTP/1.1 | host: h done")]);
    }
}

/// §3.2: "recipients typically parse the request-line into its component parts by splitting on whitespace"; a target
/// with a control character, or with a byte that no URI has, is refused and not corrected.
#[test]
fn a_target_with_a_byte_that_no_uri_has_is_refused() {
    for target in [&b"/\0"[..], b"/\x01", b"/\x7f", b"/\xc3\xa9", b"/\xff", b"/a\x0bb"] {
        let bytes = [b"GET ", target, b" HTTP/1.1\r\nhost: h\r\n\r\n"].concat();
        rejects(bytes, Violation::StartLine, "400 Bad Request");
    }
}

/// §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host
/// header field and to any request message that contains more than one Host header field line".
#[test]
fn a_request_needs_exactly_one_host() {
    rejects("GET / HTTP/1.1\r\n\r\n", Violation::Host, "400 Bad Request");
    rejects("GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n", Violation::Host, "400 Bad Request");
    rejects("GET / HTTP/1.0\r\nhost: a\r\nHOST: b\r\n\r\n", Violation::Host, "400 Bad Request");
    rejects("GET http://a/ HTTP/1.1\r\nx-host: a\r\n\r\n", Violation::Host, "400 Bad Request");
    assert_eq!(served("GET / HTTP/1.0\r\n\r\n").error, None);
}

/// §3.2, the same sentence: "or a Host header field with an invalid field value".
#[test]
fn a_host_that_is_none_is_refused() {
    for host in ["user@h", "h/path", "a b", "h?q", "h#f", "h\\", "a\"b", "<h>", "h\u{e9}", "a\tb"] {
        rejects(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"), Violation::Host, "400 Bad Request");
    }
    for host in ["", "h", "h:80", "[::1]:8080", "[fe80::1%25eth0]", "a-b_c.~d", "xn--nxasmq6b", "%41"] {
        assert_eq!(served(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).error, None, "host: {host}");
    }
}

/// §3.2: "A client MUST send a Host header field in all HTTP/1.1 request messages", and it "SHOULD" be the first.
#[test]
fn a_client_sends_host_as_its_first_field() {
    for method in ["GET", "HEAD", "DELETE", "CONNECT"] {
        let side = sent(Client::new(), &[request(method)]);
        let text = String::from_utf8(side.out).unwrap();
        assert!(text.split("\r\n").nth(1) == Some("host: h"), "{text}");
    }
}

/// §3 as a whole: what a client writes, a server reads back.
#[test]
fn what_a_client_writes_a_server_reads() {
    let mut head = PreparedRequest::new("PURGE", "/a?b=c%20d", "example.org:81").unwrap();
    head.field("X-One", b"1").unwrap().field("x-two", b"\xe9 \t2").unwrap().field("x-empty", b"").unwrap();
    let side = sent(Client::new(), &[head]);
    let run = served(&side.out);
    let line = "0 PURGE /a?b=c%20d HTTP/1.1 | host: example.org:81 | x-one: 1 | x-two: \\xe9 \\t2 | x-empty:  done";
    assert_eq!(told(&run), [line]);
}
