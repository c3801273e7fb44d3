//! RFC 9112 §8: messages that are cut off: closed at every byte, in both roles.

use super::*;
use aquests_protocols::Replay;

/// What a client makes of the first `length` bytes of an answer.
fn cut(method: &str, answer: &str, length: usize) -> Run<String> {
    asked_until_end(method, &answer[..length])
}

/// §8: "A client that receives an incomplete response message … MUST record the message as incomplete": wherever a
/// length was announced, the exchange fails unless the last byte came.
#[test]
fn an_answer_with_an_announced_end_is_incomplete_before_it() {
    for (method, answer) in [
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
        ("GET", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"),
        ("GET", "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
        ),
        ("GET", "HTTP/1.1 200 OK\ncontent-length: 1\n\nx"),
    ] {
        for length in 0..answer.len() {
            let run = cut(method, answer, length);
            assert_eq!(run.error, Some(Error::UnexpectedEof), "{:?}", &answer[..length]);
            assert_eq!(run.unfinished, [(ExchangeId(0), Replay::Unknown)], "{:?}", &answer[..length]);
            assert!(!told(&run).iter().any(|line| line.ends_with(" done")), "{:?}", &answer[..length]);
        }
        let run = cut(method, answer, answer.len());
        assert_eq!((run.error, run.unfinished.len()), (None, 0), "{answer:?}");
    }
}

/// §8: "a response that has neither chunked transfer coding nor Content-Length is terminated by closure of the
/// connection and, if the header section was received intact, is considered complete".
#[test]
fn an_answer_until_the_end_is_complete_whenever_its_head_is() {
    let answer = "HTTP/1.1 200 OK\r\nx: y\r\n\r\nhello";
    let head = answer.len() - 5;
    for length in 0..=answer.len() {
        let run = cut("GET", answer, length);
        assert_eq!(run.error.is_none(), length >= head, "{:?}", &answer[..length]);
        if length >= head {
            assert_eq!(told(&run)[1], format!("0 {:?} done", &answer[head..length]));
        }
    }
}

/// §8: of a tunnel nothing is incomplete but its head.
#[test]
fn a_switch_is_complete_whenever_its_head_is() {
    let answer = "HTTP/1.1 101 x\r\nupgrade: echo\r\n\r\nleft over";
    let head = answer.len() - 9;
    for length in 0..=answer.len() {
        let run = splits(&answer.as_bytes()[..length], true, || sent(Client::new(), &[upgrade()]));
        assert_eq!(run.error.is_none(), length >= head, "{:?}", &answer[..length]);
        if length >= head {
            assert_eq!((told(&run)[1].as_str(), &run.left[..]), ("0 switched", &answer.as_bytes()[head..length]));
        }
    }
}

/// Of several answers those that came whole are delivered, and the others are named, each once.
#[test]
fn of_pipelined_answers_the_whole_ones_are_delivered() {
    let one = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    let answers = one.repeat(3);
    for length in 0..=answers.len() {
        let heads = [request("GET"), request("GET"), request("GET")];
        let run = splits(&answers.as_bytes()[..length], true, || sent(Client::new().pipeline(3), &heads));
        let whole = length / one.len();
        assert_eq!(told(&run).iter().filter(|line| line.ends_with(" done")).count(), whole, "{length} bytes");
        let named: Vec<_> = run.unfinished.iter().map(|(id, _)| id.0).collect();
        assert_eq!(named, (whole as u64..3).collect::<Vec<_>>(), "{length} bytes");
    }
}

/// A server is quiet about a request that never had a head, and names one whose body is missing.
#[test]
fn a_request_is_incomplete_before_its_last_byte() {
    for request in [
        "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n",
    ] {
        let head = request.find("\r\n\r\n").unwrap() + 4;
        for length in 0..request.len() {
            let run = splits(&request.as_bytes()[..length], true, obliging);
            let begun = length >= head;
            assert_eq!(run.error, begun.then_some(Error::UnexpectedEof), "{:?}", &request[..length]);
            assert_eq!(run.unfinished.len(), usize::from(begun), "{:?}", &request[..length]);
            assert_eq!(run.out, b"", "{:?}", &request[..length]);
        }
        let run = splits(request.as_bytes(), true, obliging);
        assert_eq!((run.error, run.unfinished.len()), (None, 0), "{request:?}");
        assert!(run.out.ends_with(b"\r\n\r\nno"), "{request:?}");
    }
}

/// §8, §9.5: a client may end its side when it has asked, and still gets its answers.
#[test]
fn a_client_that_has_said_all_is_answered() {
    let run = splits(b"GET / HTTP/1.1\r\nhost: h\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", true, obliging);
    assert_eq!(run.events.len(), 2);
    assert_eq!(run.out, b"HTTP/1.1 404 \r\ncontent-length: 2\r\n\r\nno".repeat(2));
}
