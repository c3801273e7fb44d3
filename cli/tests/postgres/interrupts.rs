//! Ctrl-C: what runs stops at the server, and what does not run yet never does.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::servers::tls::Authority;
use crate::servers::{PostgresScript, PostgresServer, must_end};
use crate::support::{command, start};
use crate::{wait_for, wait_for_nobody};

/// Waits until a client sleeps in its last statement, which begins like this: it is prepared by then.
fn wait_for_sleep(server: &PostgresServer, begins: &str) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND starts_with(query, '{begins}')"
    );
    while server.psql(&sql) == "0" {}
}

pub(crate) fn interrupt(child: &Child) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn ctrl_c_stops_what_runs_at_the_server_and_says_what_came_of_it() {
    must_end(|| {
        let identity = Authority::new("root").localhost();
        let server = PostgresServer::builder().tls(&identity).start();
        let url = server.url("scram:secret");
        let slow = "SELECT i, pg_sleep(0.01) IS NULL AS n FROM generate_series(1, 1000000) AS i";
        let copy = format!("COPY ({slow}) TO STDOUT");
        for (words, begins) in [
            (&["SELECT pg_sleep(1000)"][..], "SELECT pg_sleep"),
            (&["SELECT pg_sleep($1)", "1000"], "SELECT pg_sleep"),
            (&["SELECT 1 AS one; SELECT pg_sleep(1000)"], "SELECT 1"),
            (&["LISTEN a; SELECT pg_sleep(1000)"], "LISTEN a"),
            (&[slow], "SELECT i"),
            (&[&copy], "COPY (SELECT i"),
        ] {
            for mode in ["disable", "require"] {
                let url = &format!("{url}?sslmode={mode}");
                let running = start(&mut command(&[&["fetch", url], words].concat()));
                wait_for_sleep(&server, begins);
                running.signal(Signal::INT);
                let ran = running.end().exits(130).says("ERROR:  57014: canceling statement due to user request");
                assert_eq!(ran.out.starts_with("one\r\n1\r\n"), begins == "SELECT 1", "what came before: {}", ran.out);
                wait_for_nobody(&server);
            }
        }
    });
}

/// The type of a value, as `pg_type` has it.
const INT4: u32 = 23;

#[test]
fn ctrl_c_while_a_statement_is_prepared_keeps_it_from_being_run() {
    must_end(|| {
        let server = PostgresScript::start();
        let url = format!("postgres://u@{}/d?sslmode=disable", server.address());
        let running = start(&mut command(&["fetch", &url, "DELETE FROM t WHERE a = $1", "1"]));
        while server.sent() != ["0 PDS"] {}
        running.signal(Signal::INT);
        while server.sent() != ["0 PDS", "1 cancel"] {}
        // The server heard of it too late. What came next would be done, too.
        server.answer(PostgresScript::prepared(&[INT4], None));
        server.answer(PostgresScript::done());
        let ran = running.end().exits(130).says("was cancelled: it was interrupted before it was run");
        assert_eq!(ran.out, "");
        assert!(!server.sent().iter().any(|sent| sent.contains('B')), "{:?}", server.sent());
    });
}

#[test]
fn ctrl_c_leaves_nothing_of_what_is_copied_in() {
    must_end(|| {
        let server = PostgresServer::start();
        server.psql("CREATE TABLE copied (a int); GRANT ALL ON copied TO PUBLIC");
        let url = server.url("trust:secret");
        let mut child = command(&["fetch", &url, "COPY copied FROM STDIN"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"1\n2\n").unwrap();
        wait_for(&server, "active", "COPY copied");
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(said.contains("was cancelled"), "{said}");
        wait_for_nobody(&server);
        assert_eq!(server.psql("SELECT count(*) FROM copied"), "0");
        drop(stdin);
    });
}

#[test]
fn a_second_ctrl_c_waits_for_nobody_and_neither_does_one_before_the_login() {
    must_end(|| {
        let server = PostgresServer::start();
        let url = server.url("trust:secret");
        let running = start(&mut command(&["fetch", &url, "SELECT pg_sleep(1000)"]));
        wait_for(&server, "active", "SELECT pg_sleep");
        // Nobody answers any more.
        server.pause();
        running.signal(Signal::INT);
        // A signal that is pending is the same as two.
        while fs::read_to_string(format!("/proc/{}/status", running.pid()))
            .unwrap()
            .contains("ShdPnd:\t0000000000000002")
        {}
        running.signal(Signal::INT);
        let ran = running.end().exits(130);
        assert_eq!((&*ran.out, &*ran.err), ("", ""));
        // Whether the server was told before that is left to chance.
        server.go_on();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://me@{}/test", silent.local_addr().unwrap());
        let running = start(&mut command(&["fetch", &url, "SELECT 1"]));
        let _connection = silent.accept().unwrap();
        running.signal(Signal::INT);
        running.end().exits(130).says("was cancelled");
    });
}
