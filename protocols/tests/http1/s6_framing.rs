//! RFC 9112 §6: how long a body is. The rules of §6.3 in their order, then every way to say two things at once: each is
//! a way to smuggle a message past somebody who reads it otherwise.

use super::*;

/// §6.3 rule 1: "Any response to a HEAD request … is always terminated by the first empty line".
#[test]
fn an_answer_to_head_has_no_body_whatever_it_says() {
    for fields in
        ["content-length: 5\r\n", "transfer-encoding: chunked\r\n", "content-length: 18446744073709551615\r\n", ""]
    {
        let run = asked("HEAD", format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        assert_eq!(run.events.len(), 1, "{fields}");
        assert!(told(&run)[0].ends_with(" done"), "{:?}", told(&run));
        assert_eq!((run.error, run.unfinished), (None, vec![]), "{fields}");
    }
}

/// §6.3 rule 1: "any response with a 1xx (Informational), 204 (No Content), or 304 (Not Modified) status code".
#[test]
fn a_204_and_a_304_have_no_body_whatever_they_say() {
    for status in ["204 No Content", "304 Not Modified"] {
        for fields in ["content-length: 5\r\n", "transfer-encoding: chunked\r\n", ""] {
            let run = asked("GET", format!("HTTP/1.1 {status}\r\n{fields}\r\n"));
            assert_eq!(run.events.len(), 1, "{status} {fields}");
            assert!(told(&run)[0].ends_with(" done"), "{:?}", told(&run));
        }
    }
}

/// The same rule for 1xx: what follows the empty line is the next response.
#[test]
fn an_interim_response_has_no_body_whatever_it_says() {
    for fields in ["content-length: 5\r\n", "transfer-encoding: chunked\r\n"] {
        let run = asked("GET", format!("HTTP/1.1 103 Early Hints\r\n{fields}\r\nHTTP/1.1 204 x\r\n\r\n"));
        assert_eq!(told(&run).last().unwrap(), "0 HTTP/1.1 204 x done", "{fields}");
    }
}

/// What comes where a body must not be answers nothing: the exchange is done, and the connection is over.
#[test]
fn a_body_where_none_may_be_ends_the_connection() {
    for (method, status) in [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")] {
        let run = asked(method, format!("HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\nhello"));
        assert_eq!(told(&run), [format!("0 HTTP/1.1 {status} | content-length: 5 done")]);
        assert_eq!((run.error, run.unfinished), (broken(Violation::Unsolicited), vec![]));
    }
}

/// The same where another answer is awaited: the body is not taken for it.
#[test]
fn a_body_where_none_may_be_is_not_the_next_answer() {
    let start = || sent(Client::new().pipeline(2), &[request("HEAD"), request("GET")]);
    let run = splits(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false, start);
    assert_eq!(told(&run), ["0 HTTP/1.1 200 OK | content-length: 5 done"]);
    assert_eq!(run.error, broken(Violation::StartLine));
    assert_eq!(run.unfinished.len(), 1);
}

/// §6.3 rule 2, RFC 9110 §9.3.6: a 2xx to CONNECT "implies that the connection will become a tunnel immediately after
/// the empty line", and a client "MUST ignore any Content-Length or Transfer-Encoding header fields" in it.
#[test]
fn a_2xx_to_connect_is_a_tunnel_whatever_it_says() {
    for status in ["200", "204", "299"] {
        for fields in [
            "",
            "content-length: 3\r\n",
            "transfer-encoding: chunked\r\n",
            "transfer-encoding: br\r\n",
            "content-length: -1\r\n",
            "content-length: 1\r\ncontent-length: 2\r\n",
        ] {
            let run = asked("CONNECT", format!("HTTP/1.1 {status} x\r\n{fields}\r\n\x16\x03\x01"));
            assert_eq!(told(&run).last().unwrap(), "0 switched", "{status} {fields}");
            assert_eq!(run.left, b"\x16\x03\x01", "{status} {fields}");
        }
    }
}

/// The same for everything but 2xx: an ordinary answer.
#[test]
fn a_refused_connect_has_a_body_like_any_answer() {
    let run = asked("CONNECT", "HTTP/1.1 407 x\r\ncontent-length: 2\r\n\r\nno");
    assert_eq!(told(&run), ["0 HTTP/1.1 407 x | content-length: 2", "0 \"no\" done"]);
    refuses("CONNECT", "HTTP/1.1 502 x\r\ncontent-length: -1\r\n\r\n", Violation::Length);
}

/// §6.3 rule 3: "If a message is received with both a Transfer-Encoding and a Content-Length header field, the
/// Transfer-Encoding overrides the Content-Length", and the connection is not used again, by either side (§6.1).
#[test]
fn both_framings_are_read_as_chunked_and_end_the_connection() {
    for fields in
        ["content-length: 5\r\ntransfer-encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 5\r\n"]
    {
        let run = asked("GET", format!("HTTP/1.1 200 OK\r\n{fields}\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"));
        assert_eq!(told(&run)[1..], ["0 \"hi\"", "0 trailers done", "closed"]);
        assert_eq!(run.left, b"HTTP/1.1 200 OK\r\n\r\n");
        let bytes = format!("POST / HTTP/1.1\r\nhost: h\r\n{fields}\r\n2\r\nhi\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n");
        let run = served(bytes);
        assert_eq!(told(&run)[1..], ["0 \"hi\"", "0 trailers done", "closed"]);
        assert_eq!(run.left, b"GET /admin HTTP/1.1\r\n", "what was to be smuggled is not read");
        assert!(run.out.windows(17).any(|bytes| bytes == b"connection: close"), "{}", run.out.escape_ascii());
    }
}

/// The other exchanges on such a connection: nobody knows what became of them.
#[test]
fn requests_behind_an_answer_with_both_framings_may_have_been_processed() {
    let start = || sent(Client::new().pipeline(2), &[request("GET"), request("GET")]);
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let run = splits(answer, false, start);
    assert_eq!(run.unfinished, [(ExchangeId(1), aquests_protocols::Replay::Unknown)]);
}

/// §6.1, §6.3 rule 4: of all codings only `chunked`, once, is understood. A server answers 501 (§6.1).
#[test]
fn a_transfer_coding_other_than_chunked_is_refused() {
    for value in [
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "identity",
        "chunked, chunked",
        "chunked, identity",
        "chunked,",
        ",chunked",
        "",
        "xchunked",
        "chunkedx",
        "chunked;q=1",
        "\"chunked\"",
        "chunke d",
        "chunked chunked",
        "chun\tked",
        "cow",
    ] {
        refuses("GET", format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {value}\r\n\r\n"), Violation::TransferEncoding);
        let bytes = format!("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: {value}\r\n\r\n");
        rejects(bytes, Violation::TransferEncoding, "501 Not Implemented");
    }
}

/// The same rule: two field lines are one list, whose `chunked` would be applied twice.
#[test]
fn two_transfer_encodings_are_refused() {
    for (one, two) in
        [("chunked", "chunked"), ("chunked", "identity"), ("identity", "chunked"), ("gzip", "chunked"), ("chunked", "")]
    {
        let fields = format!("transfer-encoding: {one}\r\nx: y\r\nTransfer-Encoding: {two}\r\n");
        refuses("GET", format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), Violation::TransferEncoding);
        let bytes = format!("POST / HTTP/1.1\r\nhost: h\r\n{fields}\r\n");
        rejects(bytes, Violation::TransferEncoding, "501 Not Implemented");
    }
}

/// §7: "all transfer-coding names are case-insensitive", and white space around the value is no part of it.
#[test]
fn chunked_is_known_in_any_case() {
    for value in ["chunked", "Chunked", "CHUNKED", " \tchunked\t "] {
        let run = asked("GET", format!("HTTP/1.1 200 OK\r\nTRANSFER-ENCODING:{value}\r\n\r\n0\r\n\r\n"));
        assert_eq!(told(&run).last().unwrap(), "0 trailers done", "{value:?}");
    }
}

/// §6.1: "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header field MUST treat
/// the message as if the framing is faulty, even if a Content-Length is present".
#[test]
fn a_transfer_encoding_in_http_1_0_is_refused() {
    for fields in ["", "content-length: 5\r\n"] {
        for coding in ["chunked", "gzip", "identity"] {
            let fields = format!("{fields}transfer-encoding: {coding}\r\nconnection: keep-alive\r\n");
            let violation = Violation::TransferEncodingInHttp10;
            refuses("GET", format!("HTTP/1.0 200 OK\r\n{fields}\r\n"), violation);
            rejects(format!("POST / HTTP/1.0\r\n{fields}\r\n0\r\n\r\n"), violation, "400 Bad Request");
        }
    }
}

/// §6.3 rule 5: an invalid Content-Length is "an unrecoverable error". Digits, and nothing else (RFC 9110 §8.6).
#[test]
fn a_length_that_is_no_number_is_refused() {
    for value in [
        "",
        "+5",
        "-5",
        "-0",
        "5 5",
        "5 ,",
        ",5",
        "5,,5",
        "5;",
        "0x5",
        "5a",
        "five",
        "5.0",
        "1e3",
        "5\u{a0}",
        "\u{0665}",
        "\"5\"",
        "18446744073709551616",
        "99999999999999999999999999999999",
        "5,+5",
    ] {
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {value}\r\n\r\nhello");
        refuses("GET", &response, Violation::Length);
        refuses("HEAD", &response, Violation::Length);
        let bytes = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {value}\r\n\r\nhello");
        rejects(bytes, Violation::Length, "400 Bad Request");
    }
}

/// The same rule, "if there are multiple Content-Length header fields … or a list": they must not differ.
#[test]
fn lengths_that_differ_are_refused() {
    for fields in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: 5,5, 6\r\n",
        "content-length: 0\r\nx: y\r\nCONTENT-LENGTH: 5\r\n",
        "content-length: 5, 5\r\ncontent-length: 50\r\n",
    ] {
        refuses("GET", format!("HTTP/1.1 200 OK\r\n{fields}\r\nhello"), Violation::DifferentLengths);
        let bytes = format!("POST / HTTP/1.1\r\nhost: h\r\n{fields}\r\nhello");
        rejects(bytes, Violation::DifferentLengths, "400 Bad Request");
    }
}

/// The same rule: "unless … all of the values in the list are valid and identical … with that single value being used".
#[test]
fn one_length_said_twice_is_read_once() {
    for fields in [
        "content-length: 2\r\ncontent-length: 2\r\n",
        "content-length: 2, 2\r\n",
        "content-length: 2 ,\t2\r\n",
        "content-length: 2, 02\r\ncontent-length: 002\r\n",
    ] {
        let run = asked("GET", format!("HTTP/1.1 200 OK\r\n{fields}\r\nhi"));
        assert_eq!((told(&run).last().unwrap().as_str(), run.error), ("0 \"hi\" done", None), "{fields}");
        let run = served(format!("POST / HTTP/1.1\r\nhost: h\r\n{fields}\r\nhi"));
        assert_eq!((told(&run).last().unwrap().as_str(), run.error), ("0 \"hi\" done", None), "{fields}");
    }
}

/// RFC 9110 §8.6: "any Content-Length field value greater than or equal to zero is valid": zeros in front, and all that
/// 64 bits can hold.
#[test]
fn a_length_may_have_zeros_in_front_and_be_as_large_as_64_bits() {
    let run = asked("GET", "HTTP/1.1 200 OK\r\ncontent-length: 00000000000000000000000000000002\r\n\r\nhi");
    assert_eq!(told(&run).last().unwrap(), "0 \"hi\" done");
    let run = asked_until_end("GET", "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\nhi");
    assert_eq!(told(&run).last().unwrap(), "0 \"hi\"");
    assert_eq!(run.error, Some(Error::UnexpectedEof));
}

/// §6.3 rule 6: by length; a length of 0 ends with the head.
#[test]
fn a_body_by_length_ends_at_its_length() {
    let run = asked("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(told(&run), ["0 HTTP/1.1 200 OK | content-length: 0 done"]);
    let run = served("PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(told(&run)[1..], ["0 \"abc\" done", "1 GET / HTTP/1.1 | host: h done"]);
}

/// §6.3 rule 7: "If this is a request message and none of the above are true, then the message body length is zero".
#[test]
fn a_request_that_says_nothing_has_no_body() {
    for method in ["GET", "POST", "PUT"] {
        let run = served(format!("{method} / HTTP/1.1\r\nhost: h\r\n\r\n"));
        assert_eq!(told(&run), [format!("0 {method} / HTTP/1.1 | host: h done")]);
    }
}

/// §6.3 rule 8: "Otherwise, this is a response message without a declared message body length": until the end.
#[test]
fn an_answer_that_says_nothing_goes_on_until_the_end() {
    let run = asked_until_end("GET", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(told(&run), ["0 HTTP/1.1 200 OK", "0 \"HTTP/1.1 200 OK\\r\\n\\r\\n\" done", "closed"]);
    let run = asked_until_end("POST", "HTTP/1.1 500 x\r\nconnection: keep-alive\r\n\r\n");
    assert_eq!(told(&run), ["0 HTTP/1.1 500 x | connection: keep-alive", "0 \"\" done", "closed"]);
    let run = asked("GET", "HTTP/1.1 200 OK\r\n\r\nhi");
    assert_eq!(told(&run), ["0 HTTP/1.1 200 OK", "0 \"hi\""]);
}

/// §6.3: names that only look like the two fields frame nothing.
#[test]
fn fields_that_only_look_like_framing_frame_nothing() {
    for fields in [
        "content_length: 5",
        "x-content-length: 5",
        "content-length-x: 5",
        "content-lengt: 5",
        "transfer_encoding: chunked",
    ] {
        let run = served(format!("POST / HTTP/1.1\r\nhost: h\r\n{fields}\r\n\r\n"));
        assert_eq!(run.error, None, "{fields}");
        assert!(told(&run)[0].ends_with(" done"), "{:?}", told(&run));
    }
}

/// §6.2, RFC 9110 §8.6: what a client writes says how long it is, and a method that means a body says so even without.
#[test]
fn a_client_says_how_long_its_body_is() {
    for (method, body, expected) in [
        ("GET", Body::EMPTY, "\r\nhost: h\r\n\r\n"),
        ("DELETE", Body::EMPTY, "\r\nhost: h\r\n\r\n"),
        ("POST", Body::EMPTY, "\r\nhost: h\r\ncontent-length: 0\r\n\r\n"),
        ("PUT", Body::EMPTY, "\r\nhost: h\r\ncontent-length: 0\r\n\r\n"),
        ("PATCH", Body::EMPTY, "\r\nhost: h\r\ncontent-length: 0\r\n\r\n"),
        ("GET", Body::Whole(b"hi"), "\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi"),
        ("POST", Body::Parts(Some(7)), "\r\nhost: h\r\ncontent-length: 7\r\n\r\n"),
        ("POST", Body::Parts(None), "\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"),
    ] {
        let mut side = quiet(Client::new());
        send(&mut side, 0, &request(method), body);
        let text = String::from_utf8(side.out).unwrap();
        assert!(text.ends_with(expected), "{method} {body:?}: {text}");
    }
}

/// RFC 9110 §9.3.6, §9.3.8: CONNECT and TRACE have no content.
#[test]
fn a_client_sends_no_body_with_connect_and_trace() {
    for method in ["CONNECT", "TRACE"] {
        for body in [Body::Whole(b"x"), Body::Parts(None), Body::Parts(Some(0))] {
            let (mut side, head) = (quiet(Client::new()), request(method));
            let refused = side.machine.send(ExchangeId(0), Request { head: &head, body }, &mut side.out);
            assert!(matches!(refused, Err(aquests_protocols::Refused::Misuse(_))), "{method} {body:?}");
            send(&mut side, 1, &head, Body::EMPTY);
        }
    }
}

/// §6.1, §6.2, RFC 9110 §8.6: what a server writes, by method, version, status and body.
#[test]
fn a_server_says_how_long_its_body_is() {
    const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    const HEAD: &str = "HEAD / HTTP/1.1\r\nhost: h\r\n\r\n";
    const OLD: &str = "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    const OLD_HEAD: &str = "HEAD / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    for (asked, status, body, expected) in [
        (GET, 200, Body::EMPTY, "content-length: 0\r\n\r\n"),
        (GET, 200, Body::Whole(b"hi"), "content-length: 2\r\n\r\nhi"),
        (GET, 200, Body::Parts(Some(9)), "content-length: 9\r\n\r\n"),
        (GET, 200, Body::Parts(None), "transfer-encoding: chunked\r\n\r\n"),
        // "A server MUST NOT send a Content-Length header field in any response with a status code of … 204".
        (GET, 204, Body::EMPTY, "\r\n"),
        (GET, 204, Body::Whole(b"hi"), "\r\n"),
        (GET, 204, Body::Parts(None), "\r\n"),
        // "MUST NOT send Content-Length in such a response unless its field value equals" what a 200 would have had.
        (GET, 304, Body::EMPTY, "\r\n"),
        (GET, 304, Body::Parts(Some(9)), "content-length: 9\r\n\r\n"),
        (HEAD, 200, Body::EMPTY, "\r\n"),
        (HEAD, 200, Body::Whole(b"hi"), "content-length: 2\r\n\r\n"),
        (HEAD, 200, Body::Parts(Some(9)), "content-length: 9\r\n\r\n"),
        (HEAD, 200, Body::Parts(None), "\r\n"),
        // §6.1: "A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request
        // indicates HTTP/1.1".
        (OLD, 200, Body::Whole(b"hi"), "connection: keep-alive\r\ncontent-length: 2\r\n\r\nhi"),
        (OLD, 200, Body::Parts(None), "connection: close\r\n\r\n"),
        (OLD_HEAD, 200, Body::Parts(None), "connection: keep-alive\r\n\r\n"),
    ] {
        let mut side = mute();
        side.receive(asked.as_bytes(), false);
        answer(&mut side, 0, status, body);
        let text = String::from_utf8(side.take_out()).unwrap();
        assert_eq!(text, format!("HTTP/1.1 {status} \r\n{expected}"), "{asked:?} {body:?}");
    }
}
