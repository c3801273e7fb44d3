//! The extended protocol: "Extended Query".

use aquests_protocols::postgres::Format;

use super::*;

#[test]
fn steps_are_written_as_the_manual_has_them() {
    let mut side = quiet(Limits::default());
    let parameters = [Parameter::text("x"), Parameter::binary(&[0, 1]), Parameter::NULL];
    let steps = [
        Step::Parse { name: "s", sql: "SELECT $1", types: &[25, 0] },
        Step::DescribeStatement("s"),
        Step::Bind { portal: "p", statement: "s", parameters: &parameters, results: &[Format::Binary] },
        Step::DescribePortal("p"),
        Step::Execute { portal: "p", rows: 7 },
        Step::ClosePortal("p"),
        Step::CloseStatement("s"),
    ];
    send(&mut side, 0, Request::Steps { steps: &steps, end: End::Sync });
    let expected = [
        message(b'P', b"s\0SELECT $1\0\0\x02\0\0\0\x19\0\0\0\0"),
        message(b'D', b"Ss\0"),
        message(b'B', b"p\0s\0\0\x03\0\0\0\x01\0\0\0\x03\0\0\0\x01x\0\0\0\x02\0\x01\xff\xff\xff\xff\0\x01\0\x01"),
        message(b'D', b"Pp\0"),
        message(b'E', b"p\0\0\0\0\x07"),
        message(b'C', b"Pp\0"),
        message(b'C', b"Ss\0"),
        message(b'S', b""),
    ];
    assert_eq!(text(&side.take_out()), text(&expected.concat()));
    drop(side.finish());
}

#[test]
fn formats_that_are_all_the_same_are_said_once() {
    let written = |parameters: &[Parameter<'_>]| {
        let mut side = quiet(Limits::default());
        let steps = [Step::Bind { portal: "", statement: "", parameters, results: &[] }];
        send(&mut side, 0, Request::Steps { steps: &steps, end: End::Flush });
        let out = side.take_out();
        drop(side.finish());
        out
    };
    let flush = message(b'H', "");
    let text = [message(b'B', b"\0\0\0\0\0\x01\0\0\0\x01a\0\0"), flush.clone()].concat();
    assert_eq!(written(&[Parameter::text("a")]), text);
    let binary = [message(b'B', b"\0\0\0\x01\0\x01\0\x02\0\0\0\x01a\0\0\0\x01b\0\0"), flush].concat();
    assert_eq!(written(&[Parameter::binary(b"a"), Parameter::binary(b"b")]), binary);
}

#[test]
fn every_step_has_its_answer() {
    let start = || {
        let mut side = quiet(Limits::default());
        let steps = [
            Step::Parse { name: "s", sql: "SELECT $1", types: &[] },
            Step::DescribeStatement("s"),
            Step::Bind { portal: "", statement: "s", parameters: &[Parameter::text("a")], results: &[] },
            Step::Execute { portal: "", rows: 0 },
            Step::CloseStatement("s"),
        ];
        send(&mut side, 0, Request::Steps { steps: &steps, end: End::Sync });
        side
    };
    let peer = [
        message(b'1', ""),
        message(b't', b"\0\x01\0\0\0\x19"),
        columns(&["a"]),
        message(b'2', ""),
        row(&[Some("a")]),
        complete("SELECT 1"),
        message(b'3', ""),
        ready("I"),
    ];
    let run = splits(&peer.concat(), true, start);
    assert_eq!(told(&run), ["0 types [25]", "0 columns a:25", "0 row a", "0 SELECT 1", "0 ready Idle done"]);
}

#[test]
fn a_statement_is_prepared_once_and_run_later() {
    let mut side = quiet(Limits::default());
    let parse = [Step::Parse { name: "s", sql: "SELECT 1", types: &[] }];
    send(&mut side, 0, Request::Steps { steps: &parse, end: End::Sync });
    side.receive(&[message(b'1', ""), ready("I")].concat(), false);
    for id in [1, 2] {
        let run = [
            Step::Bind { portal: "", statement: "s", parameters: &[], results: &[] },
            Step::Execute { portal: "", rows: 0 },
        ];
        send(&mut side, id, Request::Steps { steps: &run, end: End::Sync });
        side.receive(&[message(b'2', ""), row(&[Some("1")]), complete("SELECT 1"), ready("I")].concat(), false);
    }
    let run = side.finish();
    let runs = ["1 row 1", "1 SELECT 1", "1 ready Idle done", "2 row 1", "2 SELECT 1", "2 ready Idle done"];
    assert_eq!(told(&run), [&["0 ready Idle done"][..], &runs].concat());
}

#[test]
fn a_portal_is_asked_for_a_few_rows_at_a_time() {
    let start = || {
        let mut side = quiet(Limits::default());
        let execute = Step::Execute { portal: "p", rows: 1 };
        let steps = [
            Step::Bind { portal: "p", statement: "s", parameters: &[], results: &[] },
            Step::DescribePortal("p"),
            execute,
        ];
        send(&mut side, 0, Request::Steps { steps: &steps, end: End::Flush });
        send(&mut side, 1, Request::Steps { steps: &[execute], end: End::Flush });
        send(&mut side, 2, Request::Steps { steps: &[Step::ClosePortal("p")], end: End::Later });
        send(&mut side, 3, Request::Steps { steps: &[], end: End::Sync });
        side
    };
    let peer = [
        message(b'2', ""),
        columns(&["a"]),
        row(&[Some("1")]),
        message(b's', ""),
        row(&[Some("2")]),
        complete("SELECT 1"),
        message(b'3', ""),
        ready("T"),
    ];
    let run = splits(&peer.concat(), true, start);
    let expected = [
        "0 columns a:25",
        "0 row 1",
        "0 Suspended done",
        "1 row 2",
        "1 SELECT 1 done",
        "2 Acknowledged done",
        "3 ready Open done",
    ];
    assert_eq!(told(&run), expected);
}

#[test]
fn portions_of_a_portal_have_other_requests_between_them() {
    let start = || {
        let mut side = quiet(Limits::default());
        let bind = Step::Bind { portal: "p", statement: "s", parameters: &[], results: &[] };
        let fetch = Step::Execute { portal: "p", rows: 1 };
        let steps: [&[Step<'_>]; 4] = [&[bind], &[fetch], &[fetch], &[Step::ClosePortal("p")]];
        for (id, steps) in (0..).zip(steps) {
            send(&mut side, 2 * id, Request::Steps { steps, end: End::Sync });
            send(&mut side, 2 * id + 1, Request::Query("x"));
        }
        side
    };
    let other = [complete("x"), ready("T")].concat();
    let peer = [
        [message(b'2', ""), ready("T")].concat(),
        other.clone(),
        [row(&[Some("1")]), message(b's', ""), ready("T")].concat(),
        other.clone(),
        [error("ERROR", "22012", "no"), ready("E")].concat(),
        other.clone(),
        [message(b'3', ""), ready("T")].concat(),
        other,
    ];
    let run = splits(&peer.concat(), true, start);
    let expected = [
        "0 ready Open done",
        "1 x",
        "1 ready Open done",
        "2 row 1",
        "2 Suspended",
        "2 ready Open done",
        "3 x",
        "3 ready Open done",
        "4 error ERROR 22012: no",
        "4 ready Failed done",
        "5 x",
        "5 ready Open done",
        "6 ready Open done",
        "7 x",
        "7 ready Open done",
    ];
    assert_eq!(told(&run), expected);
}

#[test]
fn what_brings_no_rows_says_so() {
    let peer = [message(b'1', ""), message(b'2', ""), message(b'n', ""), message(b'I', ""), ready("I")];
    let run = splits(&peer.concat(), true, || selects(&[End::Sync]));
    assert_eq!(told(&run), ["0 NoData", "0 Empty", "0 ready Idle done"]);
}

#[test]
fn an_answer_to_another_step_is_out_of_place() {
    for peer in [
        message(b'2', ""),
        message(b'3', ""),
        columns(&["a"]),
        row(&[]),
        complete("SELECT 1"),
        message(b'n', ""),
        message(b't', [0, 0]),
        message(b's', ""),
        ready("I"),
        message(b'c', ""),
        message(b'K', [0; 8]),
        authentication(0, ""),
    ] {
        let run = splits(&peer, false, || selects(&[End::Sync]));
        assert_eq!(run.error, broken(Violation::Unexpected), "{}", text(&peer));
        assert_eq!((run.events.len(), run.unfinished.len()), (0, 1), "{}", text(&peer));
    }
    // Rows were not limited.
    let peer = [message(b'1', ""), message(b'2', ""), columns(&["a"]), message(b's', "")].concat();
    let run = splits(&peer, false, || selects(&[End::Sync]));
    assert_eq!(run.error, broken(Violation::Unexpected));
}

#[test]
fn what_cannot_be_written_is_refused_and_nothing_is_written() {
    let mut side = quiet(Limits::default());
    let mut refused = |request: Request<'_>, words: &str| {
        let refused = side.machine.send(ExchangeId(0), request, &mut side.out).unwrap_err();
        assert_eq!((refused.to_string().as_str(), side.out.len()), (words, 0));
    };
    let nul = "a query or a name with NUL";
    refused(Request::Query("a\0b"), nul);
    refused(Request::CopyIn("a\0b"), nul);
    let step = |step: Step<'_>, words: &str, refused: &mut dyn FnMut(Request<'_>, &str)| {
        refused(Request::Steps { steps: &[Step::DescribePortal(""), step], end: End::Sync }, words);
    };
    step(Step::Parse { name: "\0", sql: "", types: &[] }, nul, &mut refused);
    step(Step::Parse { name: "", sql: "\0", types: &[] }, nul, &mut refused);
    step(Step::Execute { portal: "\0", rows: 0 }, nul, &mut refused);
    step(Step::CloseStatement("\0"), nul, &mut refused);
    let many = vec![Parameter::NULL; 65_536];
    let few = "more than 65,535 parameters, types or formats";
    step(Step::Bind { portal: "", statement: "", parameters: &many, results: &[] }, few, &mut refused);
    step(Step::Parse { name: "", sql: "", types: &[0; 65_536] }, few, &mut refused);
    // LIMITS: sqlx RUSTSEC-2024-0363, a length that wraps: 4 GiB of the same 64 MiB and a little more.
    let part = vec![0; 64 << 20];
    for count in [32, 64, 65] {
        let parameters = vec![Parameter::binary(&part); count];
        let bind = Step::Bind { portal: "", statement: "", parameters: &parameters, results: &[] };
        step(bind, "a message of 2 GiB or more", &mut refused);
    }
    refused(Request::Steps { steps: &[], end: End::Later }, "a request without steps and without a Sync");
}
