//! RFC 9113 §8.5: CONNECT.

use super::*;

/// "The :scheme and :path pseudo-header fields MUST be omitted. The :authority pseudo-header field contains the host and
/// port to connect to". Then DATA goes both ways, without a length.
#[test]
fn a_client_opens_a_tunnel() {
    for body in [Body::EMPTY, Body::Parts(None)] {
        let mut side = quiet(Settings::default());
        send(&mut side, 0, &request("CONNECT"), body);
        assert_eq!(said(&side.take_out()), ["HEADERS 1 | :method: CONNECT | :authority: h:443"]);
        // With EMPTY nobody is asked before the caller wants it.
        assert_eq!(side.machine.wants_data().is_some(), body != Body::EMPTY);
        let opened = headers(1, 0, &[(":status", "200"), ("content-length", "3")]);
        side.receive(&from_server(&[opened, data(1, 0, "hello")]), false);
        side.take_out();
        side.machine.resume(ExchangeId(0), &mut side.out);
        assert_eq!(side.machine.wants_data(), Some((ExchangeId(0), 16_384)));
        assert_eq!(side.machine.send_data(ExchangeId(0), b"hi", false, &mut side.out), Ok(2));
        assert!(side.machine.send_trailers(ExchangeId(0), b"", &mut side.out).is_err());
        side.receive(&data(1, END_STREAM, ""), false);
        assert_eq!(said(&side.take_out()), ["DATA 1 \"hi\"", "DATA 1 END_STREAM \"\""]);
        let run = side.finish();
        assert_eq!(told(&run), ["0 HTTP/2.0 200 | content-length: 3", "0 \"hello\" done"]);
    }
}

/// A proxy that refuses answers as any server does, and the request ends with it.
#[test]
fn a_refused_tunnel_is_an_answer() {
    let run = asked(
        &["CONNECT"],
        &[headers(1, 0, &[(":status", "407"), ("content-length", "2")]), data(1, END_STREAM, "no")],
    );
    assert_eq!(told(&run), ["0 HTTP/2.0 407 | content-length: 2", "0 \"no\" done"]);
    assert_eq!(answers(&run), ["RST_STREAM 1 CANCEL"]);
}

/// "Frame types other than DATA or stream management frames (RST_STREAM, WINDOW_UPDATE, and PRIORITY) MUST NOT be sent on a
/// connected stream and MUST be treated as a stream error if received."
#[test]
fn a_tunnel_has_no_trailers() {
    let frames = [head(1), data(1, 0, "hello"), headers(1, END_STREAM, &[("x", "y")])];
    let run = asked(&["CONNECT"], &frames);
    assert_eq!(told(&run)[2..], [format!("0 failed, {}, Unknown", Violation::Trailers)]);
    assert_eq!(answers(&run), ["RST_STREAM 1 PROTOCOL_ERROR"]);
}

/// A server takes the authority as the target, and data goes both ways once it has said so.
#[test]
fn a_server_opens_a_tunnel() {
    let mut side = mute(Settings::default());
    let connect = headers(1, 0, &[(":method", "CONNECT"), (":authority", "h:443"), ("x", "y")]);
    side.receive(&from_client(&[connect]), false);
    side.take_out();
    reply(&mut side, 0, 200, Body::Parts(None));
    assert_eq!(said(&side.take_out()), ["HEADERS 1 | :status: 200"]);
    side.receive(&data(1, 0, "hello"), false);
    assert_eq!(side.machine.send_data(ExchangeId(0), b"hi", false, &mut side.out), Ok(2));
    side.receive(&data(1, END_STREAM, ""), false);
    assert_eq!(side.machine.send_data(ExchangeId(0), b"", true, &mut side.out), Ok(0));
    assert_eq!(said(&side.take_out()), ["DATA 1 \"hi\"", "DATA 1 END_STREAM \"\""]);
    let run = side.finish();
    assert_eq!(told(&run), ["0 CONNECT h:443 HTTP/2.0 | host: h:443 | x: y", "0 \"hello\" done"]);
}

/// It may refuse, and a tunnel is opened with no body.
#[test]
fn a_server_answers_a_connect_as_it_likes() {
    let connect = headers(1, 0, &[(":method", "CONNECT"), (":authority", "h:443")]);
    let mut side = mute(Settings::default());
    side.receive(&from_client(&[connect]), false);
    side.take_out();
    let head = response(200);
    for body in [Body::Whole(b"x"), Body::Parts(Some(1))] {
        let refused = side.machine.send(ExchangeId(0), Response { head: &head, body }, &mut side.out);
        assert!(matches!(refused, Err(aquests_protocols::Refused::Misuse(_))), "{refused:?}");
    }
    reply(&mut side, 0, 403, Body::Whole(b"no"));
    let expected =
        ["HEADERS 1 | :status: 403 | content-length: 2", "DATA 1 END_STREAM \"no\"", "RST_STREAM 1 NO_ERROR"];
    assert_eq!(said(&side.take_out()), expected);
}

/// "A CONNECT request that does not conform to these restrictions is malformed."
#[test]
fn a_malformed_connect_is_refused() {
    let (method, authority) = ((":method", "CONNECT"), (":authority", "h:443"));
    for fields in [
        &[method][..],
        &[method, authority, (":path", "/")],
        &[method, authority, (":scheme", "http")],
        &[method, ("host", "h:443")],
        // RFC 8441 §4: only where the server has said that it takes it.
        &[method, (":protocol", "websocket"), (":scheme", "http"), (":path", "/"), authority],
    ] {
        server_resets(&[headers(1, END_STREAM, fields)], Violation::PseudoField, Code::PROTOCOL_ERROR, false);
    }
}
