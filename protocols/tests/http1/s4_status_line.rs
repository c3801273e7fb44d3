//! RFC 9112 §4: the status line.

use super::*;

/// §4: the reason phrase may be empty or absent, and means nothing.
#[test]
fn a_reason_may_be_anything_or_nothing() {
    for (line, told_as) in [
        ("HTTP/1.1 204 No Content", "0 HTTP/1.1 204 No Content done"),
        ("HTTP/1.1 204 ", "0 HTTP/1.1 204  done"),
        // Without the space that the grammar wants: common, and harmless.
        ("HTTP/1.1 204", "0 HTTP/1.1 204  done"),
        ("HTTP/1.1 204 a\tb", "0 HTTP/1.1 204 a\\tb done"),
        ("HTTP/1.1 204  two spaces ", "0 HTTP/1.1 204  two spaces  done"),
        ("HTTP/1.1 204 caf\u{e9}", "0 HTTP/1.1 204 caf\\xc3\\xa9 done"),
        ("HTTP/1.1 204 HTTP/1.1 200 OK", "0 HTTP/1.1 204 HTTP/1.1 200 OK done"),
    ] {
        for end in ["\r\n", "\n"] {
            assert_eq!(told(&asked("GET", format!("{line}{end}{end}"))), [told_as], "{line:?}{end:?}");
        }
    }
}

/// §4: the reason phrase has no control characters.
#[test]
fn a_reason_with_a_control_character_is_refused() {
    for reason in ["a\0b", "a\x07", "\x7f", "\x1b[31m", "a\x0bb"] {
        refuses("GET", format!("HTTP/1.1 200 {reason}\r\n\r\n"), Violation::StartLine);
    }
}

/// §4: "status-code = 3DIGIT".
#[test]
fn a_status_that_is_not_three_digits_is_refused() {
    for status in ["20", "2", "", "2000", "2x0", "-20", "+20", "0x1", " 200", "200OK", "\u{0662}00", "1e2"] {
        refuses("GET", format!("HTTP/1.1 {status} OK\r\n\r\n"), Violation::StartLine);
    }
}

/// RFC 9110 §15: "values outside the range 100..599 are invalid"; below it there is no class at all, above it a client
/// "SHOULD process the response as if it had a 5xx status code": it is passed on as it is.
#[test]
fn a_status_below_100_is_refused_and_one_above_599_is_passed_on() {
    for status in ["000", "001", "099"] {
        refuses("GET", format!("HTTP/1.1 {status} OK\r\n\r\n"), Violation::StartLine);
    }
    for status in ["299", "600", "999"] {
        let run = asked("GET", format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n"));
        assert_eq!(told(&run), [format!("0 HTTP/1.1 {status} x | content-length: 0 done")]);
    }
}

/// §4: single spaces between version, status and reason.
#[test]
fn a_status_line_with_other_white_space_is_refused() {
    for line in ["HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200\tOK", "HTTP/1.1200 OK", "HTTP/1.1", "HTTP/1.1 "]
    {
        refuses("GET", format!("{line}\r\n\r\n"), Violation::StartLine);
    }
}

/// §4: what a server writes, a client reads back, whatever the status.
#[test]
fn what_a_server_writes_a_client_reads() {
    for status in (200..600).step_by(7) {
        let mut side = mute();
        side.receive(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", false);
        answer(&mut side, 0, status, Body::EMPTY);
        let run = asked("GET", side.take_out());
        assert_eq!(run.error, None, "{status}");
        assert!(told(&run)[0].starts_with(&format!("0 HTTP/1.1 {status} ")), "{:?}", told(&run));
        assert!(told(&run)[0].ends_with(" done"), "{:?}", told(&run));
    }
}
