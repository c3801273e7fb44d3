//! RFC 9113 §3: how a connection begins.

use aquests_protocols::Established;

use super::*;

/// §3.4: "the client connection preface starts with a sequence of 24 octets … This sequence MUST be followed by a
/// SETTINGS frame". Push is switched off (§6.5.2), and the window of the connection is raised.
#[test]
fn a_client_begins_with_the_preface_and_its_settings() {
    let side = Side::client(Client::new(), see_response);
    let expected = ["PREFACE", "SETTINGS 2=0 4=262144 6=65536 9=1", "WINDOW_UPDATE 0 16711681"];
    assert_eq!(said(&side.out), expected);
}

/// The same section: "The server connection preface consists of a potentially empty SETTINGS frame that MUST be the
/// first frame the server sends". Before it has heard anything.
#[test]
fn a_server_begins_with_its_settings() {
    let side = Side::server(Server::new(), see_request);
    let expected = ["SETTINGS 3=100 4=262144 6=65536 9=1", "WINDOW_UPDATE 0 16711681"];
    assert_eq!(said(&side.out), expected);
}

/// "Clients and servers MUST treat an invalid connection preface as a connection error of type PROTOCOL_ERROR." At the
/// first byte that is wrong.
#[test]
fn a_server_refuses_what_does_not_begin_with_the_preface() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", b"\0", b"X", b"PRI * HTTP/1.1"] {
        let run = splits(bytes, false, obliging);
        assert_eq!(run.error, Some(Violation::Preface.into()), "{}", bytes.escape_ascii());
        assert_eq!(answers(&run), ["GOAWAY 0 PROTOCOL_ERROR"]);
    }
    let run = splits(PREFACE, true, obliging);
    assert_eq!((run.error, told(&run)), (None, vec![]));
}

/// The first frame is SETTINGS, and no acknowledgement of any.
#[test]
fn anything_but_settings_is_refused_as_the_first_frame() {
    for first in [
        ping(b"too soon"),
        settings_ack(),
        frame(SETTINGS, 0, 1, []),
        window_update(0, 1),
        data(1, 0, "x"),
        answer(1),
        goaway(0, Code::NO_ERROR),
        frame(0x20, 0, 0, "unknown"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ] {
        let run = splits(&first, false, || sent(&["GET"]));
        assert_eq!(run.error, Some(Violation::Preface.into()), "{}", first.escape_ascii());
        assert_eq!(said(&run.out), ["GOAWAY 0 PROTOCOL_ERROR"]);
        assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)]);
        let run = splits(&[PREFACE, &first].concat(), false, obliging);
        assert_eq!(run.error, Some(Violation::Preface.into()), "{}", first.escape_ascii());
    }
}

/// "Upon receiving the SETTINGS frame, the client is expected to honor any settings established", and it acknowledges.
#[test]
fn settings_are_acknowledged_at_once() {
    let run = splits(&settings(&[(INITIAL_WINDOW_SIZE, 5), (MAX_FRAME_SIZE, 20_000)]), false, || sent(&[]));
    assert_eq!(said(&run.out), ["SETTINGS ACK"]);
    let run = splits(&[PREFACE, &settings(&[])].concat(), false, obliging);
    assert_eq!(said(&run.out), ["SETTINGS ACK"]);
}

/// "the client … SHOULD … send additional frames … immediately after sending the client connection preface, without
/// waiting to receive the server connection preface".
#[test]
fn a_client_sends_requests_before_it_hears_of_the_server() {
    let mut side = Side::client(Client::new(), see_response);
    assert_eq!(side.machine.slots(), 100);
    send(&mut side, 5, &request("GET"), Body::EMPTY);
    let expected = "HEADERS 1 END_STREAM | :method: GET | :scheme: http | :authority: h | :path: /";
    assert_eq!(said(&side.out).last().unwrap(), expected);
}

/// §8.3.1: the scheme is that of the connection.
#[test]
fn the_scheme_follows_from_tls() {
    let mut client = Client::new();
    let mut out = Vec::new();
    let mut established = Established::default();
    established.tls = true;
    client.connected(established, &mut out);
    client.send(ExchangeId(0), Request { head: &request("GET"), body: Body::EMPTY }, &mut out).unwrap();
    assert!(said(&out).last().unwrap().contains("| :scheme: https |"));
}

/// What is told follows from the settings, and nothing is told that holds anyway.
#[test]
fn settings_that_hold_by_default_are_not_told() {
    let settings = Settings::default().window(65_535).connection_window(65_535);
    let side = Side::client(Client::with(settings), see_response);
    assert_eq!(said(&side.out), ["PREFACE", "SETTINGS 2=0 6=65536 9=1"]);
    let settings = settings.window(1).frame(1 << 20).table(100).streams(7).connection_window(0);
    let side = Side::server(Server::with(settings), see_request);
    assert_eq!(said(&side.out), ["SETTINGS 1=100 3=7 4=1 5=1048576 6=65536 9=1"]);
}
