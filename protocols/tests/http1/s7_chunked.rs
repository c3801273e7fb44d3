//! RFC 9112 §7: the chunked transfer coding.

use super::*;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const UPLOAD: &str = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";

/// What both roles make of a body: they must agree. The lines after the head.
fn body(chunks: impl AsRef<[u8]>) -> (Vec<String>, Option<Error>) {
    let chunks = chunks.as_ref();
    let at_client = asked("GET", [CHUNKED.as_bytes(), chunks].concat());
    let at_server = served([UPLOAD.as_bytes(), chunks].concat());
    let (mut client, server) = (told(&at_client), told(&at_server));
    assert_eq!((&client[1..], at_client.error), (&server[1..], at_server.error), "{}", chunks.escape_ascii());
    client.remove(0);
    (client, at_client.error)
}

#[track_caller]
fn reads(chunks: impl AsRef<[u8]>, lines: &[&str]) {
    let chunks = chunks.as_ref();
    let (told, error) = body(chunks);
    assert_eq!(
        (told.iter().map(String::as_str).collect::<Vec<_>>(), error),
        (lines.to_vec(), None),
        "{}",
        chunks.escape_ascii()
    );
}

#[track_caller]
fn refuses_chunks(chunks: impl AsRef<[u8]>) {
    let chunks = chunks.as_ref();
    let (told, error) = body(chunks);
    assert_eq!(error, broken(Violation::Chunk), "{}", chunks.escape_ascii());
    assert!(!told.iter().any(|line| line.ends_with(" done")), "{told:?} of {}", chunks.escape_ascii());
}

/// §7.1: chunks, a last chunk of size zero, trailers, an empty line.
#[test]
fn chunks_are_joined_and_end_with_trailers() {
    reads("3\r\nabc\r\n0\r\n\r\n", &["0 \"abc\"", "0 trailers done"]);
    reads("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", &["0 \"abcde\"", "0 trailers done"]);
    reads("0\r\n\r\n", &["0 trailers done"]);
    reads("5\r\n0\r\n\r\n\r\n0\r\n\r\n", &["0 \"0\\r\\n\\r\\n\"", "0 trailers done"]);
}

/// §7.1: "chunk-size = 1*HEXDIG", in both cases and with zeros in front.
#[test]
fn sizes_are_hexadecimal() {
    reads(
        format!("a\r\n{0}\r\nA\r\n{0}\r\n0\r\n\r\n", "x".repeat(10)),
        &[&format!("0 \"{}\"", "x".repeat(20)), "0 trailers done"],
    );
    reads(
        format!("0000000000001f\r\n{}\r\n00\r\n\r\n", "x".repeat(31)),
        &[&format!("0 \"{}\"", "x".repeat(31)), "0 trailers done"],
    );
}

/// §7.1: "recipients MUST anticipate potentially large hexadecimal numerals and prevent parsing errors due to integer
/// conversion overflows": 64 bits fit, more do not, with or without zeros in front.
#[test]
fn a_size_that_overflows_is_refused() {
    for size in
        ["10000000000000000", "fffffffffffffffff", "00000000000000001", "0000000000000000000", &"f".repeat(1000)]
    {
        refuses_chunks(format!("{size}\r\nabc"));
    }
    for size in ["ffffffffffffffff", "8000000000000000", "0fffffffffffffff"] {
        assert_eq!(body(format!("{size}\r\nabc")), (vec!["0 \"abc\"".to_string()], None), "{size}");
    }
}

/// §7.1: signs, prefixes, white space in front, other digits, no digit at all.
#[test]
fn a_size_that_is_no_number_is_refused() {
    for size in
        ["", "+3", "-3", "0x3", " 3", "\t3", "3g", "g", "3.0", "3,3", ";a=b", "\u{0663}", "\u{ff13}", "3_0", "\r\n3"]
    {
        refuses_chunks(format!("{size}\r\nabc\r\n0\r\n\r\n"));
    }
}

/// §7.1.1: white space before an extension is bad, and to be read (RFC 9110 §5.6.3); servers that pad sizes put it
/// where nothing follows. Anything else behind it would be a second number.
#[test]
fn white_space_behind_a_size_is_read_past() {
    for line in ["3 ", "3\t", "3 \t  ", "3 ;a=b", "3\t;a", "3; a = b ", "3 ; a"] {
        reads(format!("{line}\r\nabc\r\n0  \r\n\r\n"), &["0 \"abc\"", "0 trailers done"]);
    }
    for line in ["3 4", "3 a", "3 ,", "3  0", "3\x0b", "3\x0c", "3\u{a0}"] {
        refuses_chunks(format!("{line}\r\nabc\r\n0\r\n\r\n"));
    }
}

/// §7.1.1: "A recipient MUST ignore unrecognized chunk extensions".
#[test]
fn extensions_are_read_past() {
    for extension in [";", ";a", ";a=b", ";a=\"b;c\"", ";a=b;c=d", ";0", ";\u{e9}", ";a\tb", ";a=\"\\\"\""] {
        reads(format!("3{extension}\r\nabc\r\n0{extension}\r\n\r\n"), &["0 \"abc\"", "0 trailers done"]);
    }
}

/// §7.1.1: an extension ends at CRLF, and a lone LF or CR in it is how chunks are smuggled (pingora, netty, 2025).
#[test]
fn an_extension_with_a_line_end_or_a_control_character_is_refused() {
    for extension in [";\n", ";a\nb", ";a\rb", ";\r\r\n", ";\0", ";a=\"\n\"", ";\x7f", ";\x0b", ";\x1b"] {
        refuses_chunks(format!("3{extension}\r\nabc\r\n0\r\n\r\n"));
    }
}

/// §7.1: every line of the framing ends with CRLF; §2.2's lone LF is for heads, and here it is an attack.
#[test]
fn a_lone_lf_in_the_framing_is_refused() {
    for chunks in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r\n0\n\r\n",
        "3\r\nabc\r\n0\r\n\n",
        "3\nabc\n0\n\n",
        "3 \nabc\r\n0\r\n\r\n",
        "3;a\nabc\r\n0\r\n\r\n",
    ] {
        refuses_chunks(chunks);
    }
}

/// §7.1: a lone CR too.
#[test]
fn a_lone_cr_in_the_framing_is_refused() {
    for chunks in [
        "3\rabc\r\n0\r\n\r\n",
        "3\r\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r0\r\n\r\n",
        "3\r\nabc\r\r\n0\r\n\r\n",
        "0\r\r\n\r\n",
    ] {
        refuses_chunks(chunks);
    }
}

/// §7.1: data that is longer or shorter than its size.
#[test]
fn data_of_another_length_than_its_size_is_refused() {
    for chunks in [
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\r\n\r\n0\r\n\r\n",
        "3\r\n\r\n0\r\n\r\n",
    ] {
        refuses_chunks(chunks);
    }
}

/// §7.1.2: trailers are told, apart from the fields of the head; what they say about framing is too late to matter.
#[test]
fn trailers_are_told_and_frame_nothing() {
    reads("0\r\na: b\r\nC:d\r\n\r\n", &["0 trailers | a: b | C: d done"]);
    reads("1\r\nx\r\n0;z\r\na: b\r\n\r\n", &["0 \"x\"", "0 trailers | a: b done"]);
    for fields in ["content-length: 5\r\n", "transfer-encoding: chunked\r\n", "connection: close\r\n", "host: evil\r\n"]
    {
        let run = served(format!("{UPLOAD}0\r\n{fields}\r\nGET / HTTP/1.1\r\nhost: i\r\n\r\n"));
        assert_eq!(told(&run).last().unwrap(), "1 GET / HTTP/1.1 | host: i done", "{fields}");
    }
}

/// §2.2 holds for trailers as for heads, once they have begun.
#[test]
fn a_lone_lf_ends_a_line_of_trailers() {
    reads("0\r\na: b\nc: d\n\n", &["0 trailers | a: b | c: d done"]);
}

/// §5 holds for trailers.
#[test]
fn malformed_trailers_are_refused() {
    for lines in [
        "a\r\n",
        "a : b\r\n",
        " a: b\r\n",
        "a: b\r\n c\r\n",
        ": b\r\n",
        "a: \0\r\n",
        "\rb: c\r\n",
        "a: b\r\r\n",
        "\r\r\n",
    ] {
        let (told, error) = body(format!("0\r\n{lines}\r\n"));
        assert_eq!((told, error), (vec![], broken(Violation::FieldLine)), "{lines:?}");
    }
}

/// §8: a chunked body is whole with its last empty line, and not before.
#[test]
fn a_body_without_its_last_chunk_is_cut_off() {
    for chunks in
        ["", "3", "3\r\nab", "3\r\nabc", "3\r\nabc\r\n", "3\r\nabc\r\n0", "3\r\nabc\r\n0\r\n", "0\r\na: b\r\n"]
    {
        let run = asked_until_end("GET", format!("{CHUNKED}{chunks}"));
        assert_eq!(run.error, Some(Error::UnexpectedEof), "{chunks:?}");
        assert_eq!(run.unfinished.len(), 1, "{chunks:?}");
    }
}

/// §7.1: after the empty line the next message begins.
#[test]
fn the_next_message_begins_behind_the_last_empty_line() {
    let start = || sent(Client::new().pipeline(2), &[request("GET"), request("GET")]);
    let run = splits(format!("{CHUNKED}1\r\nx\r\n0\r\na: b\r\n\r\nHTTP/1.1 204 x\r\n\r\n").as_bytes(), false, start);
    assert_eq!(told(&run)[1..], ["0 \"x\"", "0 trailers | a: b done", "1 HTTP/1.1 204 x done"]);
}

/// §7.1: what a client writes, part by part: no empty chunk in the middle, for that would end the body.
#[test]
fn a_client_writes_chunks_that_a_server_reads() {
    let mut side = quiet(Client::new());
    send(&mut side, 0, &request("POST"), Body::Parts(None));
    for part in [&b"abc"[..], b"", &[b'x'; 300], b""] {
        assert_eq!(side.machine.send_data(ExchangeId(0), part, false, &mut side.out), Ok(part.len()));
    }
    side.machine.send_data(ExchangeId(0), b"end", true, &mut side.out).unwrap();
    let text = String::from_utf8(side.take_out()).unwrap();
    let chunks = text.split_once("\r\n\r\n").unwrap().1.to_string();
    assert_eq!(chunks, format!("3\r\nabc\r\n12c\r\n{}\r\n3\r\nend\r\n0\r\n\r\n", "x".repeat(300)));
    assert_eq!(told(&served(text))[1..], [format!("0 \"abc{}end\"", "x".repeat(300)), "0 trailers done".into()]);
}
