//! `aquests fetch postgres://…` and `aquests load postgres://…` on real servers. What is printed is judged by `psql`.
#![cfg(unix)]

mod support;

#[path = "postgres/interrupts.rs"]
mod interrupts;
#[path = "support/schema.rs"]
mod schema;
#[allow(unexpected_cfgs)]
#[path = "../../tests/support/mod.rs"]
mod servers;
#[path = "postgres/values.rs"]
mod values;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::Value;
use servers::tls::{Authority, Wanted};
use servers::{Folder, PostgresServer, PostgresVersion, must_end};
use support::{Ran, aquests, command, path, start};

const SELECT: &str = "SELECT $1::int + 1";

/// What a fetch does, and `psql` for the same with these options.
fn both(server: &PostgresServer, options: &[&str], args: &[&str], of_psql: &[&str], sql: &str) -> (Ran, Ran) {
    let url = server.url("trust:secret");
    let ours = aquests(&[&["fetch"], options, &[&url], args].concat());
    (ours, psql(&url, &[of_psql, &["-c", sql]].concat(), Stdio::null()))
}

fn psql(url: &str, args: &[&str], stdin: impl Into<Stdio>) -> Ran {
    let mut command = Command::new("psql");
    command.args(["-X", "-P", "pager=off", url]).args(args).env("HOME", "/nonexistent").stdin(stdin);
    let output = command.output().unwrap_or_else(|error| panic!("{error}: apt-get install postgresql-client"));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: output.status, out: text(output.stdout), err: text(output.stderr) }
}

/// What is printed on a terminal.
fn on_a_terminal(url: &str, args: &[&str]) -> String {
    let mut line = format!("{} fetch '{url}'", env!("CARGO_BIN_EXE_aquests"));
    args.iter().for_each(|arg| line += &format!(" '{}'", arg.replace('\'', "'\\''")));
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{error}: apt-get install bsdutils"));
    // A terminal makes two of each line break.
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
}

const RESULTS: &str = "CREATE TEMP TABLE city (name text, people int);
    INSERT INTO city VALUES ('Plzeň', 187928), ('東京', 14264798), (E'two\nlines', NULL) RETURNING people, name;
    SELECT name AS \"the name\", people, people * 1.5 AS half, 'a \"b\", c' AS quoted, true AS yes FROM city;
    SELECT 1 WHERE false; SELECT; SELECT WHERE false; ; COPY city (people) TO STDOUT; UPDATE city SET people = 0; TABLE city; BEGIN; COMMIT";

#[test]
fn results_look_as_psql_shows_them() {
    must_end(|| {
        let server = PostgresServer::start();
        let url = server.url("trust:secret");
        assert_eq!(on_a_terminal(&url, &[RESULTS]), psql(&url, &["-c", RESULTS], Stdio::null()).out);
        // Its rows end with LF, those of RFC 4180 with CRLF, and there an empty text is not NULL, which no value here is. A row
        // without columns has no form in CSV.
        let sql = RESULTS.replace("SELECT; SELECT WHERE false; ;", ";");
        let (ours, theirs) = both(&server, &[], &[&sql], &["-q", "--csv"], &sql);
        assert_eq!(ours.exits(0).out.replace("\r\n", "\n"), theirs.out);
        // Values are never written into the statement, and types need not be said.
        let sql =
            "SELECT $1 || '!' AS a, $2::int + 1 AS b, $3::date AS c, $4::numeric AS d, $5::jsonb AS e, $6::bytea AS f";
        let values = ["it's", "41", "2024-02-29", "-1.50", r#"{"a": [1]}"#, r"\x00ff"];
        let written = values.iter().enumerate().rev().fold(sql.to_owned(), |sql, (at, value)| {
            sql.replace(&format!("${}", at + 1), &format!("'{}'", value.replace('\'', "''")))
        });
        let words = [&[sql], &values[..]].concat();
        let (ours, theirs) = both(&server, &[], &words, &["--csv"], &written);
        assert_eq!(ours.exits(0).out.replace("\r\n", "\n"), theirs.out);
        assert_eq!(on_a_terminal(&url, &words), psql(&url, &["-c", &written], Stdio::null()).out);
        let json = aquests(&[&["fetch", "--json", &url], &words[..]].concat()).exits(0).out;
        let json: Value = serde_json::from_str(&json).unwrap();
        let expected = r#"{"a": "it's!", "b": 42, "c": "2024-02-29", "d": -1.50, "e": {"a": [1]}, "f": "\\x00ff"}"#;
        assert_eq!(json, serde_json::from_str::<Value>(expected).unwrap());
    });
}

#[test]
fn types_that_users_made_are_shown_as_they_are_and_nobody_looks_them_up() {
    must_end(|| {
        let server = PostgresServer::builder().config("log_statement = all").start();
        server.psql("CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE TYPE pair AS (a int, b mood)");
        let sql = "SELECT $1::mood AS mood, row(1, $1)::pair AS pair";
        let (ours, theirs) = both(&server, &[], &[sql, "sad"], &["--csv"], &sql.replace("$1", "'sad'"));
        assert_eq!(ours.exits(0).out.replace("\r\n", "\n"), theirs.out);
        let log = server.log();
        assert!(log.contains(sql) && !log.contains("pg_catalog.pg_type"), "{log}");
    });
}

#[test]
fn an_error_is_said_as_psql_says_it_behind_what_came_before() {
    let server = PostgresServer::start();
    server.psql("CREATE TABLE one (a int PRIMARY KEY); INSERT INTO one VALUES (1); GRANT ALL ON one TO PUBLIC");
    for sql in [
        "SELECT 1 AS a; SELECT 2,\n\tnothing + 1\nFROM one",
        "SELECT 1; SELEC 2",
        "SELECT 'Plzeň', '東京', x FROM one",
        "SELECT 1 / 0",
        "INSERT INTO one VALUES (1)",
        "DROP TABLE IF EXISTS nothing; DO $$ BEGIN RAISE WARNING E'a\nb' USING HINT = 'h', DETAIL = 'd'; END $$",
        "DO $$ BEGIN PERFORM 1 / 0; END $$",
        "SELECT (",
        "SELECT 11111 + 11111 + 11111 + 11111 + 11111 + 11111 + 11111 + 11111 + x + 11111 + 11111 + 11111 + 11111 FROM one",
    ] {
        let (ours, theirs) = both(&server, &[], &[sql], &["-q", "--csv"], sql);
        assert_eq!(ours.out.replace("\r\n", "\n"), theirs.out, "{sql}");
        assert_eq!(ours.status.code(), Some(i32::from(!theirs.status.success())), "{sql}: {}", ours.err);
        // It says the code where it is asked to say everything, and then more than that.
        let (_, verbose) = both(&server, &[], &[sql], &["-q", "--csv", "-v", "VERBOSITY=verbose"], sql);
        let code = verbose.err.lines().find_map(|line| line.strip_prefix("ERROR:  ")).unwrap_or_default();
        let code = code.split(' ').next().unwrap();
        assert_eq!(ours.err, theirs.err.replace("ERROR:  ", &format!("ERROR:  {code} ")), "{sql}");
    }
    aquests(&["fetch", &server.url("trust:secret"), "SELECT 1 / $1::int", "0"])
        .exits(1)
        .says("ERROR:  22012: division");
    aquests(&["fetch", &server.url("reject:hunter2"), "SELECT 1"]).exits(1).says("28000");
}

#[test]
fn a_million_rows_take_no_memory() {
    must_end(|| {
        let server = PostgresServer::start();
        let rows = "SELECT i, repeat('x', 100) FROM generate_series(1, 1000000) AS i";
        for (options, sql, length) in [
            (&[][..], rows.to_owned(), 5_888_896 + 103_000_000 + "i,repeat\r\n".len() as u64),
            (&["--json"], rows.to_owned(), 5_888_896 + 119_000_000),
            (&[], format!("COPY ({rows}) TO STDOUT"), 5_888_896 + 102_000_000),
        ] {
            let file = path("rows");
            let url = server.url("trust:secret");
            let args = [&["fetch", "-o", file.to_str().unwrap()], options, &[&url, &sql]].concat();
            let mut child = command(&args).spawn().unwrap();
            let mut most = 0;
            while child.try_wait().unwrap().is_none() {
                most = most.max(memory_of(child.id()));
            }
            assert!(child.wait().unwrap().success(), "{sql}");
            assert_eq!(fs::metadata(&file).unwrap().len(), length, "{options:?} {sql}");
            fs::remove_file(file).unwrap();
            assert!(most < 40 << 20, "{most} bytes of memory for {length} of {sql}");
        }
    });
}

/// What a process holds in memory, in bytes; 0 where it is gone.
fn memory_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn copies_come_from_standard_input_or_a_file_and_go_out_as_they_are() {
    must_end(|| {
        let server = PostgresServer::start();
        let url = server.url("trust:secret");
        server.psql("CREATE TABLE copied (a int, b text); GRANT ALL ON copied TO PUBLIC");
        let folder = Folder::new();
        let rows: String = (0..100_000).map(|number| format!("{number},text {number}\n")).collect();
        folder.write("rows", &rows);
        let file = folder.path().join("rows");
        let copy = "COPY copied FROM STDIN WITH (FORMAT csv)";
        let stdin = || fs::File::open(&file).unwrap();
        let ran = start(command(&["fetch", "-v", &url, copy]).stdin(stdin())).end().exits(0).says("< COPY 100000");
        assert_eq!(ran.out, "");
        aquests(&["fetch", "-D", file.to_str().unwrap(), &url, copy]).exits(0);
        assert_eq!(server.psql("SELECT count(*), sum(a) FROM copied"), "200000|9999900000");
        let out = "COPY (SELECT a, b FROM copied ORDER BY a LIMIT 3) TO STDOUT";
        for sql in [out.to_owned(), format!("{out} WITH (FORMAT binary)")] {
            let (ran, bytes) = start(&mut command(&["fetch", &url, &sql])).end_with_bytes();
            ran.exits(0);
            let theirs = Command::new("psql").args(["-X", "-c", &sql, &url]).output().unwrap().stdout;
            assert_eq!(bytes, theirs, "{sql}");
        }
        // Who is asked on a terminal is told so.
        let said = on_a_terminal(&url, &["COPY copied FROM STDIN"]);
        assert!(said.contains("what is written now is copied; Ctrl-D ends it") && said.contains("COPY 0"), "{said}");
        // Nothing of it is there where something of it is wrong.
        folder.write("wrong", "1,a\nx,b\n");
        let wrong = fs::File::open(folder.path().join("wrong")).unwrap();
        let ran = start(command(&["fetch", &url, "TRUNCATE copied"]).stdin(Stdio::null())).end();
        ran.exits(0);
        let ran = start(command(&["fetch", &url, copy]).stdin(wrong)).end().exits(1);
        assert!(
            ran.err.contains("ERROR:  22P02: ") && ran.err.contains("CONTEXT:  COPY copied, line 2"),
            "{}",
            ran.err
        );
        assert_eq!(server.psql("SELECT count(*) FROM copied"), "0");
    });
}

#[test]
fn statements_of_standard_input_run_in_one_session() {
    let server = PostgresServer::start();
    let folder = Folder::new();
    folder.write("sql", "BEGIN; CREATE TEMP TABLE t (a int);\nINSERT INTO t VALUES (1);\nSELECT a FROM t; ROLLBACK;\n");
    for words in [&[][..], &["-"]] {
        let stdin = fs::File::open(folder.path().join("sql")).unwrap();
        let url = server.url("trust:secret");
        let ran = start(command(&[&["fetch", "--json", &url], words].concat()).stdin(stdin)).end().exits(0);
        assert_eq!((&*ran.out, &*ran.err), ("{\"a\":1}\n", ""));
    }
}

#[test]
fn notifications_are_printed_as_they_come_until_there_are_enough() {
    must_end(|| {
        let server = PostgresServer::start();
        let url = server.url("trust:secret");
        let mut child = command(&["fetch", "--count", "2", &url, "LISTEN news"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let listens = "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN news' AND state = 'idle'";
        while server.psql(listens) != "1" {}
        server.psql("NOTIFY news, 'late, \"very\"'");
        assert_eq!(lines.next().unwrap(), "channel,payload,pid");
        let line = lines.next().unwrap();
        assert!(line.starts_with("news,\"late, \"\"very\"\"\","), "{line}");
        server.psql("NOTIFY news");
        assert!(lines.next().unwrap().starts_with("news,,"));
        assert!(child.wait().unwrap().success());
        // Until somebody presses Ctrl-C.
        let mut child = command(&["fetch", "--json", &url, "LISTEN a; NOTIFY a, 'x'"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        wait_for(&server, "idle", "LISTEN a");
        server.psql("NOTIFY a, 'y'");
        for payload in ["x", "y"] {
            let line = lines.next().unwrap();
            assert!(line.starts_with(&format!(r#"{{"channel":"a","payload":"{payload}","pid":"#)), "{line}");
        }
        interrupts::interrupt(&child);
        assert!(child.wait().unwrap().success(), "that is how it ends");
        // Or the connection ends, which fails.
        let running = start(&mut command(&["fetch", &url, "LISTEN a"]));
        wait_for(&server, "idle", "LISTEN a");
        server.terminate_backends();
        running.end().exits(1).says("FATAL 57P01: terminating connection due to administrator command");
    });
}

#[test]
fn a_statement_that_takes_long_is_waited_for_and_a_limit_ends_it() {
    must_end(|| {
        let server = PostgresServer::start();
        let url = server.url("trust:secret");
        // Longer than a server of HTTP may be silent.
        aquests(&["fetch", "--json", &url, "SELECT 1 AS a FROM pg_sleep(10.5)"]).exits(0).prints("{\"a\":1}");
        aquests(&["fetch", "-t", "200ms", &url, "SELECT pg_sleep(60)"]).exits(1).says("did not answer in time");
    });
}

/// Waits until a client is there in this state whose last statement begins like this.
fn wait_for(server: &PostgresServer, state: &str, begins: &str) {
    let begins = begins.replace('\'', "''");
    let sql =
        format!("SELECT count(*) FROM pg_stat_activity WHERE state = '{state}' AND starts_with(query, '{begins}')");
    while server.psql(&sql) == "0" {}
}

/// Waits until no client is there.
fn wait_for_nobody(server: &PostgresServer) {
    while server.backends() > 0 {}
}

#[test]
fn a_reader_who_goes_away_ends_it() {
    must_end(|| {
        let server = PostgresServer::start();
        let sql = "SELECT i FROM generate_series(1, 10000000) AS i";
        let mut child = command(&["fetch", &server.url("trust:secret"), sql]).spawn().unwrap();
        let mut some = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut some).unwrap();
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn tls_unix_sockets_and_other_places_are_reached() {
    let authority = Authority::new("the authority");
    let identity = authority.localhost();
    let server = PostgresServer::builder().tls(&identity).client_authority(&authority.pem).start();
    let folder = Folder::new();
    folder.write("root.pem", &authority.pem);
    let me = authority.issue(&Wanted { names: &["cert"], client: true, ..Wanted::default() });
    folder.write("me.pem", format!("{}{}", me.chain, me.key));
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (root, me) = (file("root.pem"), file("me.pem"));
    let (socket, port) = (server.socket().display().to_string(), server.port());
    let elsewhere = format!("no.such.host.invalid:81:127.0.0.1:{port}");
    let known = format!("no.such.host.invalid:{port}:127.0.0.1");
    let by_folder = format!("postgres:///test?user=trust&port={port}&host={}", server.socket_folder().display());
    let (plain, secure) = (server.url("trust"), server.url("secure:secret"));
    let named = "postgres://trust@no.such.host.invalid";
    for (options, url, tls) in [
        (&["--cacert", &root][..], &*secure, "t"),
        (&["-k"], &*secure, "t"),
        (&["-k"], &*plain, "t"),
        (&["--cacert", &root, "--cert", &me], &*server.url("cert"), "t"),
        (&["--unix-socket", &socket], &*format!("{named}/test"), ""),
        (&[], &*by_folder, ""),
        (&["--connect-to", &elsewhere], &*format!("{named}:81/test?sslmode=disable"), "f"),
        (&["--resolve", &known], &*format!("{named}:{port}/test?sslmode=disable"), "f"),
    ] {
        let sql = "SELECT ssl AS tls FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND inet_client_addr() IS NOT NULL";
        let ran = aquests(&[&["fetch"], options, &[url, sql]].concat()).exits(0);
        assert_eq!(ran.out.replace("\r\n", " ").trim(), format!("tls {tls}").trim(), "{options:?} {url}");
        let ran = aquests(&[&["load", "--quiet", "-n", "20", "-c", "2"], options, &[url, SELECT, "{seq}"]].concat());
        ran.exits(0).prints("  OK: 20\n");
    }
    // Who names somebody to trust is not content with clear text, nor with somebody else.
    let other = Authority::new("another");
    folder.write("other.pem", &other.pem);
    let other = file("other.pem");
    aquests(&["fetch", "--cacert", &other, &plain, "SELECT 1"]).exits(1).says("TLS");
    let server = PostgresServer::start();
    aquests(&["fetch", "--cacert", &root, &server.url("trust"), "SELECT 1"]).exits(1).says("TLS");
}

#[test]
fn tls_comes_first_where_it_is_wanted_so() {
    let authority = Authority::new("the authority");
    let identity = authority.localhost();
    let server = PostgresServer::builder().version(PostgresVersion::V18).tls(&identity).start();
    let folder = Folder::new();
    folder.write("root.pem", &authority.pem);
    let root = folder.path().join("root.pem").display().to_string();
    let direct =
        |server: &PostgresServer, more: &str| format!("{}?sslnegotiation=direct&{more}", server.url("scram:secret"));
    let sql = "SELECT ssl AS tls FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let load = ["load", "--quiet", "-n", "20", "-c", "2"];
    let full = "sslmode=verify-full&channel_binding=require";
    let cases = [
        (&["--cacert", &root][..], full),
        (&["--cacert", &root], "user=secure"),
        (&["-k"], "sslmode=require"),
        (&["-k"], "user=md5"),
    ];
    for (options, more) in cases {
        let url = direct(&server, more);
        aquests(&[&["fetch"], options, &[&url, sql]].concat()).exits(0).prints("tls\r\nt");
        let ran = aquests(&[&load, options, &[&url, SELECT, "{seq}"]].concat()).exits(0).prints("  OK: 20\n");
        ran.prints("  PostgreSQL 3.0: 20\n");
        let newer = format!("{url}&max_protocol_version=latest");
        let ran = aquests(&[&load, options, &[&newer, SELECT, "{seq}"]].concat()).exits(0).prints("  OK: 20\n");
        ran.prints("  PostgreSQL 3.2: 20\n");
    }
    let socket = server.socket().display().to_string();
    let url = direct(&server, "sslmode=require");
    aquests(&["fetch", "--unix-socket", &socket, &url, sql]).exits(0).prints("tls\r\nf");
    aquests(&[&load, &["--unix-socket", &socket, &url, SELECT, "1"][..]].concat()).exits(0).prints("  OK: 20\n");
    // Who says nothing else would be content with clear text.
    for words in [&["fetch"][..], &load] {
        let ran = aquests(&[words, &[&direct(&server, "sslmode=prefer"), "SELECT 1"]].concat()).exits(2);
        ran.says("aquests: sslnegotiation=direct wants sslmode=require or stronger");
    }
    // One that is too old hangs up, unless the usual one was chosen to be another.
    let old = PostgresServer::builder().tls(&identity).start();
    for words in [&["fetch"][..], &load] {
        let ran = aquests(&[words, &["-k", &direct(&old, "sslmode=require"), "SELECT 1"]].concat());
        if old.version() < 17 {
            ran.exits(1).says("servers before PostgreSQL 17 do so with sslnegotiation=direct");
        } else {
            ran.exits(0);
        }
    }
}

#[test]
fn null_is_a_value_too() {
    let server = PostgresServer::start();
    let url = server.url("trust:secret");
    let sql = "SELECT $1::int IS NULL AS a, $2::text AS b, $3::text AS c, $4::text AS d, $5::bytea AS e";
    let words = [r"\N", r"\\N", "NULL", "", r"\x00"];
    let ran = aquests(&[&["fetch", "--json", &url, sql], &words[..]].concat()).exits(0);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    let expected = serde_json::json!({"a": true, "b": r"\N", "c": "NULL", "d": "", "e": r"\x00"});
    assert_eq!(json, expected, "{}", ran.out);
    // A load sends the same, however it sends it, and a template is never taken for it.
    let sql = "INSERT INTO loaded VALUES ($1, $2, $3)";
    for (protocol, options) in
        [("prepared", &[][..]), ("extended", &[]), ("simple", &[]), ("prepared", &["--no-template"])]
    {
        server.psql("DROP TABLE IF EXISTS loaded; CREATE TABLE loaded (a int, b text, c text)");
        server.psql("GRANT ALL ON loaded TO PUBLIC");
        let load = ["load", "--quiet", "-n", "20", "-c", "2", "-M", protocol];
        aquests(&[&load, options, &[&url, sql, r"\N", r"\\N", "N{seq}"]].concat()).exits(0).prints("  OK: 20\n");
        let counts = server.psql(r"SELECT count(*) - count(a), count(*) FILTER (WHERE b = '\N'), count(c) FROM loaded");
        assert_eq!(counts, "20|20|20", "{protocol} {options:?}");
    }
}

#[test]
fn words_of_libpq_stand_in_place_of_a_url() {
    let authority = Authority::new("the authority");
    let server = PostgresServer::builder().tls(&authority.localhost()).start();
    let folder = Folder::new();
    let (port, socket) = (server.port(), server.socket_folder().display().to_string());
    folder.write("services", format!("[it]\nhost=127.0.0.1\nport={port}\ndbname=test\nuser=trust\nsslmode=disable\n"));
    let services = folder.path().join("services");
    let sql = "SELECT current_user, current_database(), coalesce(ssl, false) AS ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    for (text, options, row) in [
        (format!("host=127.0.0.1 port={port} dbname=test user=scram password=secret"), &[][..], "scram,test,t"),
        (format!("user=trust dbname = 'test' host='{socket}' port={port}"), &[], "trust,test,f"),
        (format!("host=127.0.0.1 port={port} dbname=test user=secure password=secret"), &["-k"], "secure,test,t"),
        ("service=it".to_owned(), &[], "trust,test,f"),
        ("service=it user=md5 password=secret".to_owned(), &[], "md5,test,f"),
        // What is said there of TLS comes before what an option would have it be.
        ("service=it".to_owned(), &["-k"], "trust,test,f"),
    ] {
        let run = |args: &[&str]| start(command(args).env("PGSERVICEFILE", &services)).end().exits(0);
        let ran = run(&[&["fetch"], options, &[&text, sql]].concat());
        assert_eq!(ran.out.lines().nth(1), Some(row), "{text}");
        // Behind it nothing is an option.
        run(&["fetch", &text, "SELECT $1::int", "-1"]).prints("int4\r\n-1");
        let ran = run(&[&["load", "--quiet", "-n", "20", "-c", "2"], options, &[&text, SELECT, "-1"]].concat());
        assert!(ran.prints("  OK: 20\n").out.contains("SELECT postgres://"), "{text}");
    }
    for text in [
        "host=x port=y",
        "user=me password=hunter2 colour=blue",
        "service=none",
        "hots=h password=hunter2",
        "passwd=hunter2",
    ] {
        for name in ["fetch", "load"] {
            let ran = start(command(&[name, text, "SELECT 1"]).env("PGSERVICEFILE", &services)).end().exits(2);
            assert!(!ran.err.contains("hunter2"), "{}", ran.err);
        }
    }
    // What looks like it elsewhere is not.
    let url = "http://127.0.0.1:1/";
    aquests(&["fetch", "-F", "user=me", "-o", "/dev/null", url, "-v"]).exits(1).says("> POST");
    aquests(&["fetch", url, "host=x", "--colour"]).exits(2).says("--colour");
}

#[test]
fn statements_are_sent_as_they_are_wanted() {
    let server = PostgresServer::builder().config("log_statement = all").start();
    let url = server.url("trust:secret");
    for (protocol, told) in [
        (&[][..], "execute load: SELECT $1::int + 1"),
        (&["-M", "prepared"], "execute load: SELECT $1::int + 1"),
        (&["--protocol", "extended"], "execute <unnamed>: SELECT $1::int + 1"),
        (&["-M", "simple"], "statement: SELECT '7'::int + 1"),
    ] {
        let before = server.log().matches(told).count();
        let ran = aquests(&[&["load", "--quiet", "-n", "20", "-c", "2"], protocol, &[&url, SELECT, "7"]].concat());
        ran.exits(0).prints("  OK: 20\n");
        assert_eq!(server.log().matches(told).count() - before, 20, "{protocol:?}: {}", server.log());
        let wrong = &[&["load", "--quiet", "-n", "20", "-c", "2"], protocol, &[&url, "SELEC 1"]].concat();
        aquests(wrong).exits(0).prints("replies:\n  42601: 20\nversions:\n  PostgreSQL 3");
    }
    aquests(&["load", "--quiet", &server.url("reject:x"), "SELECT 1"]).exits(1).says("28000");
    aquests(&["load", "-M", "simple", "http://127.0.0.1:1"]).exits(2).says("--protocol is for PostgreSQL");
}

#[test]
fn a_report_tells_answers_by_code_and_shows_no_password() {
    let server = PostgresServer::start();
    server.psql("ALTER ROLE scram PASSWORD 'hunter2'");
    let url = server.url("scram:hunter2") + "?sslmode=disable";
    let load = |form: &str, words: &[&str]| {
        let options = ["load", "-n", "100", "-c", "4", "-p", "4", "--output-format", form, &url];
        aquests(&[&options, words].concat()).exits(0)
    };
    for form in ["text", "json", "csv", "html"] {
        let ran = load(form, &[SELECT, "{rand:1:9}"]);
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{form}: {} {}", ran.out, ran.err);
        assert!(form == "csv" || ran.out.contains("postgres://127.0.0.1:"), "{form}: {}", ran.out);
    }
    let ran = load("json", &["SELECT 1 / $1::int", "0"]);
    assert!(ran.err.contains("no answer was OK: all 100 were errors, most of them 22012"), "{}", ran.err);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    schema::validate(&json, &serde_json::from_str(include_str!("../load-report.schema.json")).unwrap()).unwrap();
    assert_eq!(json["replies"]["22012"], 100, "division by zero: {json}");
    assert_eq!((&json["options"]["method"], &json["requests"]["answered"]), (&"SELECT".into(), &100.into()));
    let ran = load("csv", &["SELECT 1 / ($1::int % 2)", "{seq}"]);
    assert!(ran.out.ends_with("\r\n\r\nreply,count\r\n22012,50\r\nOK,50\r\n"), "{}", ran.out);
    assert!(!ran.err.contains("no answer was OK"), "{}", ran.err);
    // Nobody is let in with another.
    let wrong = url.replace("hunter2", "hunter3");
    let ran = aquests(&["load", "--quiet", &wrong, "SELECT 1"]).exits(1).says("did not accept the login");
    assert!(!ran.err.contains("hunter3"), "{}", ran.err);
    let ran = aquests(&["fetch", &wrong, "SELECT 1"]).exits(1).says("did not accept the login: FATAL 28P01: ");
    assert!(!ran.err.contains("hunter3"), "{}", ran.err);
}

#[test]
fn what_belongs_to_http_is_refused_by_name() {
    let url = "postgres://me@127.0.0.1:1/postgres";
    for options in [&["--header", "a: b"][..], &["--http2"], &["--body", "x"], &["--upgrade"]] {
        let ran = aquests(&[&["load"], options, &[url, "SELECT 1"]].concat()).exits(2);
        ran.says(&format!("aquests: {} belongs to HTTP, and the URL is one of PostgreSQL", options[0]));
    }
    aquests(&["load", url]).exits(2).says("a statement is missing behind the URL");
    for (args, words) in [
        (&["fetch", "--include", url, "SELECT 1"][..], "--include belongs to HTTP"),
        (&["fetch", "-F", "a=b", url, "SELECT 1"], "--form belongs to HTTP"),
        (&["fetch", "-D", "/dev/null", "--http2", url, "COPY t FROM STDIN"], "--http2 belongs to HTTP"),
        (&["fetch", "-D", "/dev/null", url, "SELECT 1"], "--body-file is for COPY … FROM STDIN"),
        (&["fetch", "-D", "/no/such/file", url, "COPY t FROM STDIN"], "cannot read /no/such/file"),
        (&["fetch", "--count", "1", url, "SELECT 1"], "--count is for what listens"),
        (&["fetch", url, "COPY t FROM STDIN", "x"], "COPY takes no values"),
    ] {
        let ran = aquests(args).exits(2).says(words);
        assert_eq!(ran.out, "", "{args:?}");
    }
}

#[test]
fn a_password_is_shown_nowhere() {
    let server = PostgresServer::start();
    server.psql("ALTER ROLE scram PASSWORD 'hunter2'");
    let (url, wrong) = (server.url("scram:hunter2"), server.url("trust:hunter2"));
    for (args, code) in [
        (&["fetch", "-v", &url, "SELECT 1"][..], 0),
        (&["fetch", "-v", &url, "ALTER ROLE scram PASSWORD 'hunter2'"], 0),
        (&["fetch", "-v", &url, "SELECT $1", "hunter2"], 0),
        (&["fetch", "-v", &wrong.replace("trust:", "md5:"), "SELECT 1"], 1),
        (&["fetch", "postgres://me:hunter2@[::1:7/", "SELECT 1"], 2),
        (&["load", "postgres://me:hunter2@[::1:7/", "SELECT 1"], 2),
    ] {
        let ran = aquests(args).exits(code);
        let out = if code == 0 && args.len() == 5 { "" } else { &*ran.out };
        assert!(!out.contains("hunter2") && !ran.err.contains("hunter2"), "{args:?}: {} {}", ran.out, ran.err);
    }
    // As psql finds it, where the URL says nothing.
    let bare = server.url("scram");
    start(command(&["fetch", &bare, "SELECT 1"]).env("PGPASSWORD", "hunter2")).end().exits(0);
    start(command(&["fetch", &bare, "SELECT 1"]).env("PGPASSWORD", "wrong")).end().exits(1).says("28P01");
}
