//! Simple queries, and what comes by itself: "Simple Query", "Asynchronous Operations".

use super::*;

#[test]
fn several_statements_have_several_results_and_one_end() {
    let peer = [
        complete("BEGIN"),
        columns(&["a", "b"]),
        row(&[Some("1"), None]),
        row(&[Some(""), Some("x")]),
        complete("SELECT 2"),
        complete("INSERT 0 1"),
        message(b'I', ""),
        ready("T"),
    ];
    let run = splits(&peer.concat(), true, || queries(1));
    let expected = [
        "0 BEGIN",
        "0 columns a:25,b:25",
        "0 row 1,NULL",
        "0 row ,x",
        "0 SELECT 2",
        "0 INSERT 0 1",
        "0 Empty",
        "0 ready Open done",
    ];
    assert_eq!(told(&run), expected);
    assert_eq!((run.error, run.unfinished), (None, vec![]));
}

#[test]
fn a_query_is_one_message() {
    let mut side = quiet(Limits::default());
    send(&mut side, 0, Request::Query("SELECT 1"));
    assert_eq!(side.take_out(), message(b'Q', "SELECT 1\0"));
    drop(side.finish());
}

#[test]
fn an_error_ends_the_query_and_the_next_one_runs() {
    let peer = [
        columns(&["a"]),
        row(&[Some("1")]),
        error("ERROR", "22012", "division by zero"),
        ready("E"),
        columns(&["a"]),
        complete("SELECT 0"),
        ready("I"),
    ];
    let run = splits(&peer.concat(), true, || queries(2));
    let expected = [
        "0 columns a:25",
        "0 row 1",
        "0 error ERROR 22012: division by zero",
        "0 ready Failed done",
        "1 columns a:25",
        "1 SELECT 0",
        "1 ready Idle done",
    ];
    assert_eq!(told(&run), expected);
}

#[test]
fn what_comes_by_itself_is_a_push_and_a_notice_belongs_to_what_runs() {
    let mut peer = Vec::new();
    let asides = [
        message(b'A', b"\0\0\0\x07news\0hello\0"),
        message(b'N', "SNOTICE\0VNOTICE\0C00000\0Mhi\0\0"),
        message(b'S', "TimeZone\0UTC\0"),
    ]
    .concat();
    for part in [columns(&["a"]), row(&[Some("1")]), complete("SELECT 1"), ready("I")] {
        peer.extend_from_slice(&asides);
        peer.extend(part);
    }
    peer.extend_from_slice(&asides);
    let run = splits(&peer, true, || queries(1));
    let told = told(&run);
    for at in 0..5 {
        let notice = if at < 4 { "0 notice NOTICE 00000: hi" } else { "push notice NOTICE 00000: hi" };
        assert_eq!(told[4 * at..4 * at + 3], ["push 7 on news: hello", notice, "push TimeZone=UTC"]);
    }
    let answers: Vec<_> = told.iter().filter(|line| line.starts_with('0') && !line.contains("notice")).collect();
    assert_eq!(answers, ["0 columns a:25", "0 row 1", "0 SELECT 1", "0 ready Idle done"]);
}

#[test]
fn an_error_has_its_fields() {
    let body = b"SFEHLER\0VERROR\0C42P01\0Mno x\0Dmore\0Htry\0P15\0qx\0\0";
    let mut machine = Client::new(Login::new("me")).unwrap();
    let mut out = Vec::new();
    machine.connected(Default::default(), &mut out);
    let hello = [authentication(0, ""), ready("I")].concat();
    for bytes in [&hello[..9], &hello[9..]] {
        machine.receive(aquests_protocols::Input { bytes, eof: false }, &mut out).unwrap();
    }
    machine.send(ExchangeId(0), Request::Query("x"), &mut out).unwrap();
    let bytes = message(b'E', body);
    let (_, event) = machine.receive(aquests_protocols::Input { bytes: &bytes, eof: false }, &mut out).unwrap();
    let Event::Message { message: Message::Error(error), done: false, .. } = event else { panic!("{event:?}") };
    assert_eq!((error.severity(), error.code(), error.message()), (&b"ERROR"[..], &b"42P01"[..], &b"no x"[..]));
    assert_eq!((error.detail(), error.hint(), error.position()), (Some(&b"more"[..]), Some(&b"try"[..]), Some(15)));
    assert_eq!((error.field(b'q'), error.field(b'z'), error.is_fatal()), (Some(&b"x"[..]), None, false));
    assert_eq!(error.fields().count(), 8);
}

#[test]
fn a_fatal_error_ends_its_request_and_the_connection() {
    let fatal = error("FATAL", "57P01", "terminating connection");
    let run = splits(&[columns(&["a"]), fatal.clone()].concat(), true, || queries(3));
    assert_eq!(told(&run), ["0 columns a:25", "0 error FATAL 57P01: terminating connection done", "closed"]);
    // They stood behind it: the server never began them.
    assert_eq!(run.unfinished, [1, 2].map(|id| (ExchangeId(id), Replay::NotProcessed)));
    let run = splits(&fatal, true, || queries(0));
    assert_eq!(told(&run), ["push error FATAL 57P01: terminating connection", "closed"]);
    // Of a pooler: the server may have been given all of them, and works on.
    let run = splits(&message(b'E', "SFATAL\0C08P01\0Mquery_timeout\0\0"), true, || queries(3));
    assert_eq!(run.unfinished, [1, 2].map(|id| (ExchangeId(id), Replay::Unknown)));
}

#[test]
fn a_tag_counts_rows_where_it_does() {
    for (tag, rows) in [("SELECT 3", Some(3)), ("INSERT 0 17", Some(17)), ("BEGIN", None), ("COPY 0", Some(0))] {
        let seen = move |message: Message<'_>| match message {
            Message::Complete(tag) => Seen::Item(format!("{:?}", tag.rows())),
            _ => Seen::Item(String::new()),
        };
        let mut side = Side::client(Client::new(Login::new("me")).unwrap(), seen);
        side.receive(&[authentication(0, ""), ready("I")].concat(), false);
        send(&mut side, 0, Request::Query("x"));
        side.receive(&[complete(tag), ready("I")].concat(), false);
        assert_eq!(told(&side.finish())[0], format!("0 {rows:?}"));
    }
}

#[test]
fn an_end_in_the_middle_names_what_is_open() {
    let run = splits(&columns(&["a"]), true, || queries(2));
    assert_eq!(run.error, Some(Error::UnexpectedEof));
    assert_eq!(run.unfinished, [0, 1].map(|id| (ExchangeId(id), Replay::Unknown)));
}
