//! RFC 9113 §8.2 and §8.3: fields and pseudo-fields, which are judged on both sides and end their stream alone.

use super::*;

/// A response and a request with one field more are both refused.
#[track_caller]
fn both_refuse(name: &str, value: &str, violation: Violation) {
    let response = headers(1, END_STREAM, &[(":status", "200"), (name, value)]);
    client_resets(&[response], violation, Code::PROTOCOL_ERROR);
    let fields = [&asking("GET")[..], &[(name, value)]].concat();
    server_resets(&[headers(1, END_STREAM, &fields)], violation, Code::PROTOCOL_ERROR, false);
    let trailers = headers(1, END_STREAM, &[(name, value)]);
    client_resets(&[head(1), trailers], violation, Code::PROTOCOL_ERROR);
}

#[track_caller]
fn both_take(name: &str, value: &str) {
    let run = asked(&["GET"], &[headers(1, END_STREAM, &[(":status", "200"), (name, value)])]);
    let expected = format!("| {name}: {}", value.as_bytes().escape_ascii());
    assert_eq!(told(&run), [format!("0 HTTP/2.0 200 {expected} done")]);
    let run = heard(&[headers(1, END_STREAM, &[&asking("GET")[..], &[(name, value)]].concat())]);
    assert_eq!(told(&run), [format!("0 GET / HTTP/2.0 | host: h {expected} done")]);
}

/// §8.2.1: "A field name MUST NOT contain characters in the ranges 0x00-0x20, 0x41-0x5a, or 0x7f-0xff", nor a colon but
/// the first; and RFC 9110 §5.1 wants a token.
#[test]
fn names_are_tokens_in_lower_case() {
    for name in [
        "",
        "X-Thing",
        "x thing",
        "x\t",
        "x\0",
        "x\r\n",
        "x\u{7f}",
        "x\u{e9}",
        "x:y",
        "x(",
        "\"x\"",
        "x/y",
        "connectioN",
    ] {
        both_refuse(name, "y", Violation::FieldName);
    }
    for name in ["x", "x-thing", "!#$%&'*+-.^_`|~09az"] {
        both_take(name, "y");
    }
}

/// §8.2.1: "A field value MUST NOT contain the zero value, line feed or carriage return at any position", "MUST NOT start
/// or end with an ASCII whitespace character". Other control characters are as unwelcome as in HTTP/1.1.
#[test]
fn values_have_no_control_characters_and_no_white_space_around_them() {
    for value in ["a\0b", "a\nb", "a\rb", "\r\n", "a\u{1}", "a\u{7f}", " a", "a ", "\ta", "a\t", " ", "\t"] {
        both_refuse("x", value, Violation::FieldValue);
    }
    for value in ["", "a b", "a\tb", "\u{e9}", "~", ": ,;"] {
        both_take("x", value);
    }
}

/// The same where the compression hides it: in Huffman code, and in the dynamic table, where it is refused each time.
#[test]
fn values_are_judged_in_every_representation() {
    // "a\nb" and "a" in Huffman code: 00011 111111111111111111111111111100 100011, and ones.
    let huffman = b"\x88\x40\x01x\x86\x1f\xff\xff\xff\x91\xff";
    let frames = [
        frame(HEADERS, END_HEADERS | END_STREAM, 1, huffman),
        frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x88\xbe"),
        // Its name is good, with another value.
        frame(HEADERS, END_HEADERS | END_STREAM, 5, b"\x88\x0f\x2f\x01y"),
        frame(HEADERS, END_HEADERS | END_STREAM, 7, [&b"\x88"[..], &literal(0x40, b"Bad", b"y")].concat()),
        frame(HEADERS, END_HEADERS | END_STREAM, 9, b"\x88\x0f\x2f\x01y"),
    ];
    let run = asked(&["GET"; 5], &frames);
    let (name, value) = (Violation::FieldName, Violation::FieldValue);
    let expected = [
        format!("0 failed, {value}, Unknown"),
        format!("1 failed, {value}, Unknown"),
        "2 HTTP/2.0 200 | x: y done".to_string(),
        format!("3 failed, {name}, Unknown"),
        format!("4 failed, {name}, Unknown"),
    ];
    assert_eq!(told(&run), expected);
}

/// §8.2.2: "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields … Any message
/// containing connection-specific header fields MUST be treated as malformed." `te` may say `trailers`.
#[test]
fn fields_of_one_connection_are_refused() {
    for (name, value) in [
        ("connection", "close"),
        ("connection", ""),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", ""),
    ] {
        both_refuse(name, value, Violation::ConnectionField);
    }
    both_take("te", "trailers");
    both_take("te", "Trailers");
}

/// The same section: we generate none, whatever the caller has prepared for HTTP/1.1.
#[test]
fn fields_of_one_connection_are_left_out() {
    let mut head = request("GET");
    for (name, value) in [
        ("Connection", "upgrade, http2-settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABk"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "gzip"),
        ("TE", "trailers"),
        ("X-Thing", "kept"),
    ] {
        head.field(name, value.as_bytes()).unwrap();
    }
    let mut side = quiet(Settings::default());
    for id in 0..3 {
        send(&mut side, id, &head, Body::EMPTY);
    }
    let fields = "| :method: GET | :scheme: http | :authority: h | :path: / | te: trailers | x-thing: kept";
    let expected = [1, 3, 5].map(|stream| format!("HEADERS {stream} END_STREAM {fields}"));
    assert_eq!(said(&side.out), expected);
}

/// §8.3, §8.3.2: a response has `:status`, once, three digits, before all other fields, and no other pseudo-field.
#[test]
fn responses_with_bad_pseudo_fields_are_refused() {
    for fields in [
        &[][..],
        &[("server", "x")],
        &[(":status", "200"), (":status", "200")],
        &[(":status", "200"), (":status", "404")],
        &[("server", "x"), (":status", "200")],
        &[(":status", "")],
        &[(":status", "20")],
        &[(":status", "2000")],
        &[(":status", "099")],
        &[(":status", "2x0")],
        &[(":status", "+20")],
        &[(":status", "200"), (":path", "/")],
        &[(":status", "200"), (":method", "GET")],
        &[(":status", "200"), (":authority", "h")],
        &[(":status", "200"), (":protocol", "websocket")],
        &[(":status", "200"), (":unknown", "x")],
        &[(":status", "200"), (":", "x")],
        &[(":Status", "200")],
    ] {
        client_resets(&[headers(1, END_STREAM, fields)], Violation::PseudoField, Code::PROTOCOL_ERROR);
    }
    for status in ["200", "404", "999", "600"] {
        let run = asked(&["GET"], &[headers(1, END_STREAM, &[(":status", status)])]);
        assert_eq!(told(&run), [format!("0 HTTP/2.0 {status} done")]);
    }
}

/// §8.3, §8.3.1: a request has `:method`, `:scheme` and `:path`, each once, none empty, none behind another field, and no
/// other pseudo-field but `:authority`.
#[test]
fn requests_with_bad_pseudo_fields_are_refused() {
    let (method, scheme, path, authority) =
        ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "h"));
    for fields in [
        &[][..],
        &[scheme, path, authority],
        &[method, path, authority],
        &[method, scheme, authority],
        &[method, method, scheme, path],
        &[method, scheme, scheme, path],
        &[method, scheme, path, path],
        &[method, scheme, path, authority, authority],
        &[method, scheme, ("x", "y"), path],
        &[method, scheme, path, ("x", "y"), authority],
        &[method, scheme, path, (":status", "200")],
        &[method, scheme, path, (":unknown", "x")],
        &[method, scheme, path, authority, (":protocol", "websocket")],
        &[(":method", ""), scheme, path],
        &[(":method", "G ET"), scheme, path],
        &[method, (":scheme", ""), path],
        &[method, (":scheme", "1http"), path],
        &[method, (":scheme", "ht tp"), path],
        &[method, scheme, (":path", "")],
        &[method, scheme, (":path", "a")],
        &[method, scheme, (":path", "http://h/")],
        &[method, scheme, (":path", "/a b")],
        &[method, scheme, (":path", "/\u{e9}")],
        &[method, scheme, (":path", "*")],
        &[(":method", "OPTIONS"), scheme, (":path", "*a")],
    ] {
        server_resets(&[headers(1, END_STREAM, fields)], Violation::PseudoField, Code::PROTOCOL_ERROR, false);
    }
}

/// §8.3.1: `:authority` stands where `host` stands in HTTP/1.1; it may be missing, and `host` may say the same, or it
/// alone. "A server SHOULD treat a request as malformed if it contains a Host header field that identifies an entity that
/// differs from the entity in the :authority".
#[test]
fn the_authority_is_told_as_host() {
    let base = [(":method", "GET"), (":scheme", "https"), (":path", "/a?b=c")];
    for (more, expected) in [
        (&[][..], ""),
        (&[(":authority", "h:81")], " | host: h:81"),
        (&[(":authority", "h"), ("x", "y"), ("host", "H")], " | host: h | x: y"),
        (&[("x", "y"), ("host", "h")], " | x: y | host: h"),
        (&[(":authority", "[::1]:80")], " | host: [::1]:80"),
    ] {
        let run = heard(&[headers(1, END_STREAM, &[&base[..], more].concat())]);
        assert_eq!(told(&run), [format!("0 GET /a?b=c HTTP/2.0{expected} done")]);
    }
    for bad in [
        &[(":authority", "h"), ("host", "other")][..],
        &[("host", "h"), ("host", "h")],
        &[(":authority", "user@h")],
        &[(":authority", "h/path")],
        &[(":authority", "")],
        &[("host", "user@h")],
    ] {
        let bad = headers(1, END_STREAM, &[&base[..], bad].concat());
        server_resets(&[bad], Violation::Authority, Code::PROTOCOL_ERROR, false);
    }
    // "*" is the target of OPTIONS alone.
    let options = headers(1, END_STREAM, &[(":method", "OPTIONS"), (":scheme", "http"), (":path", "*")]);
    assert_eq!(told(&heard(&[options])), ["0 OPTIONS * HTTP/2.0 done"]);
}

/// §8.2.3: "If there are multiple Cookie header fields after decompression, these MUST be concatenated into a single octet
/// string using the two-octet delimiter of 0x3b, 0x20".
#[test]
fn cookies_are_put_together() {
    let fields = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("z", "w"), ("cookie", "c=3"), ("end", "")];
    let run = heard(&[headers(1, END_STREAM, &[&asking("GET")[..], &fields].concat())]);
    assert_eq!(told(&run), ["0 GET / HTTP/2.0 | host: h | cookie: a=1; b=2; c=3 | x: y | z: w | end:  done"]);
    let fields = [("cookie", "a=1"), ("cookie", "b=2")];
    let run = heard(&[headers(1, END_STREAM, &[&asking("GET")[..], &fields].concat())]);
    assert_eq!(told(&run), ["0 GET / HTTP/2.0 | host: h | cookie: a=1; b=2 done"]);
    // A response has none; a field of that name is like any other.
    let run = asked(&["GET"], &[headers(1, END_STREAM, &[&[(":status", "200")][..], &fields].concat())]);
    assert_eq!(told(&run), ["0 HTTP/2.0 200 | cookie: a=1 | cookie: b=2 done"]);
}

/// A malformed message fails one exchange, however many there are, and costs the server the credit of a flood.
#[test]
fn malformed_messages_end_one_exchange_each() {
    let bad = |stream| headers(stream, END_STREAM, &[(":status", "200"), ("X", "y")]);
    let run = asked(&["GET"; 3], &[bad(5), bad(1), answer(3)]);
    let failed = |id| format!("{id} failed, {}, Unknown", Violation::FieldName);
    assert_eq!(told(&run), [failed(2), failed(0), "1 HTTP/2.0 200 done".to_string()]);
}

/// Debug output shows no value (LIMITS, "secrets"): neither of what is kept of heads, nor of tables, nor of bodies.
#[test]
fn debug_output_shows_no_value() {
    let mut head = request("POST");
    head.field("authorization", b"hunter2").unwrap().field("x-key", b"hunter2").unwrap();
    let mut side = quiet(Settings::default());
    for id in 0..3 {
        send(&mut side, id, &head, Body::Whole(&b"hunter2".repeat(10_000)));
    }
    let secret = [&b"\x88"[..], &literal(0x40, b"set-cookie", b"hunter2")].concat();
    side.receive(&from_server(&[frame(HEADERS, END_HEADERS, 1, &secret), frame(HEADERS, 0, 3, &secret)]), false);
    let shown = format!("{:?}", side.machine.inner());
    let numbers = format!("{:?}", b"hunter2");
    assert!(!shown.contains("hunter2") && !shown.contains(&numbers[1..numbers.len() - 1]), "{shown}");
}
