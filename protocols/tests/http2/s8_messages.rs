//! RFC 9113 §8.1: what makes a message, on both sides.

use super::*;

/// §8.1: "one HEADERS frame … containing the header section … zero or more DATA frames … optionally, one HEADERS frame …
/// containing the trailer section". Bodies and trailers, either of which may be missing.
#[test]
fn a_message_is_a_head_a_body_and_trailers() {
    let trailers = headers(1, END_STREAM, &[("x-sum", "3"), ("x-end", "yes")]);
    for (frames, expected) in [
        (vec![answer(1)], &["0 HTTP/2.0 200 done"][..]),
        (vec![head(1), data(1, END_STREAM, "hi")], &["0 HTTP/2.0 200", "0 \"hi\" done"]),
        (vec![head(1), trailers.clone()], &["0 HTTP/2.0 200", "0 trailers | x-sum: 3 | x-end: yes done"]),
        (
            vec![head(1), data(1, 0, "hi"), trailers.clone()],
            &["0 HTTP/2.0 200", "0 \"hi\"", "0 trailers | x-sum: 3 | x-end: yes done"],
        ),
        (
            vec![head(1), data(1, 0, "hi"), headers(1, END_STREAM, &[])],
            &["0 HTTP/2.0 200", "0 \"hi\"", "0 trailers done"],
        ),
    ] {
        assert_eq!(told(&asked(&["GET"], &frames)), expected);
    }
    let run = heard(&[post(1), data(1, 0, "hi"), trailers]);
    let expected = ["0 POST / HTTP/2.0 | host: h", "0 \"hi\"", "0 trailers | x-sum: 3 | x-end: yes done"];
    assert_eq!(told(&run), expected);
}

/// §8.1: "An endpoint that receives a HEADERS frame without the END_STREAM flag set after receiving the HEADERS frame that
/// opens a request or after receiving a final (non-informational) status code MUST treat the corresponding request or
/// response as malformed."
#[test]
fn trailers_that_do_not_end_the_message_are_refused() {
    let open = headers(1, 0, &[("x", "y")]);
    client_resets(&[head(1), open.clone()], Violation::Trailers, Code::PROTOCOL_ERROR);
    client_resets(&[head(1), data(1, 0, "x"), open.clone()], Violation::Trailers, Code::PROTOCOL_ERROR);
    server_resets(&[post(1), data(1, 0, "x"), open], Violation::Trailers, Code::PROTOCOL_ERROR, true);
}

/// §8.1: "Trailers MUST NOT include pseudo-header fields", and a second response is none.
#[test]
fn trailers_have_no_pseudo_fields() {
    for bad in [&[(":status", "200")][..], &[("x", "y"), (":status", "200")], &[(":method", "GET")], &[(":x", "y")]] {
        let trailers = headers(1, END_STREAM, bad);
        client_resets(&[head(1), trailers.clone()], Violation::PseudoField, Code::PROTOCOL_ERROR);
        server_resets(&[post(1), trailers], Violation::PseudoField, Code::PROTOCOL_ERROR, true);
    }
}

/// §8.1: "one or more HEADERS frames … containing the … interim responses", each told, none of them the end.
#[test]
fn interim_responses_come_before_the_head() {
    let interim = |status| headers(1, 0, &[(":status", status), ("link", "</a>")]);
    let run = asked(&["GET"], &[interim("100"), interim("103"), head(1), data(1, END_STREAM, "hi")]);
    let expected = [
        "0 interim HTTP/2.0 100 | link: </a>",
        "0 interim HTTP/2.0 103 | link: </a>",
        "0 HTTP/2.0 200",
        "0 \"hi\" done",
    ];
    assert_eq!(told(&run), expected);
}

/// §8.1: "A HEADERS frame with the END_STREAM flag set that carries an informational status code is malformed." §8.6:
/// "HTTP/2 removes support for the 101 (Switching Protocols) informational status code."
#[test]
fn an_interim_response_neither_ends_nor_switches() {
    let ended = headers(1, END_STREAM, &[(":status", "103")]);
    client_resets(&[ended], Violation::Interim, Code::PROTOCOL_ERROR);
    client_resets(&[headers(1, 0, &[(":status", "101")])], Violation::Interim, Code::PROTOCOL_ERROR);
    client_resets(
        &[headers(1, 0, &[(":status", "103")]), data(1, 0, "x")],
        Violation::PseudoField,
        Code::PROTOCOL_ERROR,
    );
}

/// §8.1.1: "A request or response that is defined as having content when it contains a Content-Length header field is
/// malformed if the value of the Content-Length header field does not equal the sum of the DATA frame payload lengths."
#[test]
fn a_length_that_data_does_not_keep_is_refused() {
    let sized = |length| headers(1, 0, &[(":status", "200"), ("content-length", length)]);
    let trailers = headers(1, END_STREAM, &[("x", "y")]);
    for frames in [
        vec![sized("5"), data(1, END_STREAM, "1234")],
        vec![sized("5"), data(1, 0, "1234"), data(1, END_STREAM, "")],
        vec![sized("5"), data(1, 0, "123456")],
        vec![sized("5"), data(1, 0, "12345"), data(1, END_STREAM, "6")],
        vec![sized("5"), data(1, 0, "1234"), trailers.clone()],
        vec![sized("0"), data(1, 0, "1")],
        vec![headers(1, END_STREAM, &[(":status", "200"), ("content-length", "5")])],
    ] {
        client_resets(&frames, Violation::ContentLength, Code::PROTOCOL_ERROR);
    }
    let sized = |length, flags| {
        let fields = [&asking("POST")[..], &[("content-length", length)]].concat();
        headers(1, flags, &fields)
    };
    for (frames, told) in [
        (vec![sized("5", 0), data(1, END_STREAM, "1234")], true),
        (vec![sized("5", 0), data(1, 0, "123456")], true),
        (vec![sized("5", 0), data(1, 0, "1234"), trailers], true),
        (vec![sized("5", END_STREAM)], false),
    ] {
        server_resets(&frames, Violation::ContentLength, Code::PROTOCOL_ERROR, told);
    }
    // What keeps it passes, padding aside.
    let frames = [
        headers(1, 0, &[(":status", "200"), ("content-length", "5")]),
        frame(DATA, PADDED, 1, b"\x021234\0\0"),
        data(1, END_STREAM, "5"),
    ];
    assert_eq!(told(&asked(&["GET"], &frames)).last().unwrap(), "0 \"12345\" done");
}

/// RFC 9110 §8.6: the value is digits, and several are the same.
#[test]
fn a_length_that_is_no_number_is_refused() {
    for value in ["", "+5", "-1", "5 5", "5,", "0x5", "18446744073709551616", "5, 6"] {
        let bad = headers(1, 0, &[(":status", "200"), ("content-length", value)]);
        client_resets(&[bad], Violation::ContentLength, Code::PROTOCOL_ERROR);
    }
    let twice = [(":status", "200"), ("content-length", "2"), ("content-length", "3")];
    client_resets(&[headers(1, 0, &twice)], Violation::ContentLength, Code::PROTOCOL_ERROR);
    let same = [(":status", "200"), ("content-length", "2, 02"), ("content-length", "2")];
    let run = asked(&["GET"], &[headers(1, 0, &same), data(1, END_STREAM, "hi")]);
    assert_eq!(told(&run).last().unwrap(), "0 \"hi\" done");
}

/// §8.1.1: "A response that is defined to have no content … can have a non-zero Content-Length header field, even though
/// no content is included in DATA frames": HEAD, 204, 304; and content there is too much.
#[test]
fn a_response_without_content_may_say_a_length() {
    for (method, status) in [("HEAD", "200"), ("HEAD", "404"), ("GET", "204"), ("GET", "304")] {
        let fields = [(":status", status), ("content-length", "7")];
        let expected = format!("0 HTTP/2.0 {status} | content-length: 7");
        let run = asked(&[method], &[headers(1, END_STREAM, &fields)]);
        assert_eq!(told(&run), [format!("{expected} done")]);
        let run = asked(&[method], &[headers(1, 0, &fields), data(1, END_STREAM, "")]);
        assert_eq!(told(&run), [&expected, "0 \"\" done"]);
        let run = asked(&[method], &[headers(1, 0, &fields), data(1, END_STREAM, "content")]);
        let failed = format!("0 failed, {}, Unknown", Violation::ContentLength);
        assert_eq!(told(&run), [expected, failed]);
    }
}

/// §8.1: "A server can send a complete response prior to the client sending an entire request … the server MAY request
/// that the client abort transmission of a request without error by sending a RST_STREAM with an error code of NO_ERROR".
#[test]
fn an_early_answer_ends_the_request() {
    let mut side = mute(Settings::default());
    side.receive(&from_client(&[post(1), data(1, 0, "some")]), false);
    side.take_out();
    reply(&mut side, 0, 413, Body::Whole(b"no"));
    let expected =
        ["HEADERS 1 | :status: 413 | content-length: 2", "DATA 1 END_STREAM \"no\"", "RST_STREAM 1 NO_ERROR"];
    assert_eq!(said(&side.take_out()), expected);
    side.receive(&[data(1, 0, "more"), data(1, END_STREAM, ""), get(3)].concat(), false);
    let run = side.finish();
    assert_eq!(told(&run)[2..], ["1 GET / HTTP/2.0 | host: h done"]);
    assert_eq!(run.error, None);
}

/// The same from the other side: "Clients MUST NOT discard responses as a result of receiving such a RST_STREAM", and what
/// is missing of the request is not sent.
#[test]
fn an_early_answer_is_kept_and_the_upload_ends() {
    let start = || {
        let mut side = quiet(Settings::default());
        send(&mut side, 0, &request("POST"), Body::Parts(None));
        send(&mut side, 1, &request("POST"), Body::Whole(&[0; 100_000]));
        side.take_out();
        side
    };
    let frames = [answer(1), rst_stream(1, Code::NO_ERROR), answer(3), rst_stream(3, Code::NO_ERROR)];
    let mut side = start();
    side.receive(&from_server(&frames), false);
    assert_eq!(side.machine.wants_data(), None);
    let run = side.finish();
    assert_eq!(told(&run), ["0 HTTP/2.0 200 done", "1 HTTP/2.0 200 done"]);
    assert_eq!(answers(&run), ["RST_STREAM 1 CANCEL", "RST_STREAM 3 CANCEL"]);
}

/// §8.1, what we write: heads, bodies and lengths by method, status and body.
#[test]
fn what_we_write_says_how_long_it_is() {
    let head = "| :scheme: http | :authority: h | :path: /";
    for (method, body, expected) in [
        ("GET", Body::EMPTY, vec![format!("HEADERS 1 END_STREAM | :method: GET {head}")]),
        ("POST", Body::EMPTY, vec![format!("HEADERS 1 END_STREAM | :method: POST {head} | content-length: 0")]),
        (
            "GET",
            Body::Whole(b"hi"),
            vec![format!("HEADERS 1 | :method: GET {head} | content-length: 2"), "DATA 1 END_STREAM \"hi\"".into()],
        ),
        ("PUT", Body::Parts(Some(7)), vec![format!("HEADERS 1 | :method: PUT {head} | content-length: 7")]),
        ("PUT", Body::Parts(None), vec![format!("HEADERS 1 | :method: PUT {head}")]),
    ] {
        let mut side = quiet(Settings::default());
        send(&mut side, 0, &request(method), body);
        assert_eq!(said(&side.out), expected, "{method} {body:?}");
    }
    for (method, status, body, expected) in [
        ("GET", 200, Body::EMPTY, &["HEADERS 1 END_STREAM | :status: 200 | content-length: 0"][..]),
        ("GET", 200, Body::Whole(b"hi"), &["HEADERS 1 | :status: 200 | content-length: 2", "DATA 1 END_STREAM \"hi\""]),
        ("GET", 200, Body::Parts(Some(9)), &["HEADERS 1 | :status: 200 | content-length: 9"]),
        ("GET", 200, Body::Parts(None), &["HEADERS 1 | :status: 200"]),
        ("GET", 204, Body::Whole(b"hi"), &["HEADERS 1 END_STREAM | :status: 204"]),
        ("GET", 304, Body::Parts(Some(9)), &["HEADERS 1 END_STREAM | :status: 304 | content-length: 9"]),
        ("GET", 304, Body::EMPTY, &["HEADERS 1 END_STREAM | :status: 304"]),
        ("HEAD", 200, Body::Whole(b"hi"), &["HEADERS 1 END_STREAM | :status: 200 | content-length: 2"]),
        ("HEAD", 200, Body::EMPTY, &["HEADERS 1 END_STREAM | :status: 200"]),
        ("HEAD", 200, Body::Parts(None), &["HEADERS 1 END_STREAM | :status: 200"]),
        ("GET", 103, Body::EMPTY, &["HEADERS 1 | :status: 103"]),
    ] {
        let mut side = mute(Settings::default());
        side.receive(&from_client(&[headers(1, END_STREAM, &asking(method))]), false);
        side.take_out();
        reply(&mut side, 0, status, body);
        assert_eq!(said(&side.out), expected, "{method} {status} {body:?}");
        assert_eq!(side.machine.slots(), usize::from(status == 103));
    }
}

/// §8.6, RFC 9110 §9.3.8: what has no body gets none, and a server switches to nothing.
#[test]
fn messages_that_cannot_be_are_a_misuse() {
    let mut side = quiet(Settings::default());
    for body in [Body::Whole(b"x"), Body::Parts(None), Body::Parts(Some(0))] {
        let head = request("TRACE");
        let refused = side.machine.send(ExchangeId(0), Request { head: &head, body }, &mut side.out);
        assert!(matches!(refused, Err(aquests_protocols::Refused::Misuse(_))), "{refused:?}");
    }
    let mut side = mute(Settings::default());
    side.receive(&from_client(&[get(1)]), false);
    for (status, body) in [(101, Body::EMPTY), (103, Body::Whole(b"x")), (103, Body::Parts(None))] {
        let head = response(status);
        let refused = side.machine.send(ExchangeId(0), Response { head: &head, body }, &mut side.out);
        assert!(matches!(refused, Err(aquests_protocols::Refused::Misuse(_))), "{refused:?}");
    }
}
