//! Values as they are: what CSV must keep from being read as something else, texts in another encoding than UTF-8, and what is
//! too long for most.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::servers::{Folder, PostgresServer, must_end};
use crate::support::{aquests, command, start};

#[test]
fn csv_is_read_again_as_the_same_values() {
    must_end(|| {
        let server = PostgresServer::start();
        let url = server.url("trust:secret");
        server.psql(
            "CREATE TABLE went (n int, t text); CREATE TABLE one (t text); GRANT ALL ON went, one TO PUBLIC;
             INSERT INTO one VALUES ('before'), ('\\.'), ('behind');
             INSERT INTO went VALUES (1, '\\.'), (2, ''), (3, NULL), (4, E'a\nb'), (5, E'\r'), (6, '\"'), (7, ','), (8, ' x '),
                 (9, '\\N'), (10, '\\\\.'), (11, E'\\.\n'), (12, 'Plzeň')",
        );
        let folder = Folder::new();
        for table in ["one", "went"] {
            let csv = aquests(&["fetch", &url, &format!("TABLE {table}")]).exits(0).out;
            folder.write("rows.csv", &csv);
            let copy = format!("CREATE TABLE came_{table} (LIKE {table})");
            aquests(&["fetch", &url, &copy]).exits(0);
            let file = folder.path().join("rows.csv").display().to_string();
            let copy = format!("COPY came_{table} FROM STDIN WITH (FORMAT csv, HEADER)");
            aquests(&["fetch", "-D", &file, &url, &copy]).exits(0);
            let rows = |table: &str| {
                server
                    .psql(&format!("SELECT count(*), md5(string_agg(x::text, '|' ORDER BY x::text)) FROM {table} AS x"))
            };
            assert_eq!(rows(&format!("came_{table}")), rows(table), "{csv}");
        }
    });
}

#[test]
fn a_text_that_is_not_utf_8_is_never_replaced_by_another() {
    must_end(|| {
        let server = PostgresServer::start();
        let url = server.url("trust:secret");
        let sql = "SET client_encoding = latin1; SELECT 'Plze\u{fc}' AS city";
        let (ran, out) = start(&mut command(&["fetch", &url, sql])).end_with_bytes();
        ran.exits(0);
        assert_eq!(out, b"city\r\nPlze\xfc\r\n", "as the server sent it: {}", out.escape_ascii());
        let ran = aquests(&["fetch", "--json", &url, sql]).exits(1).says("a value of city is not UTF-8");
        assert_eq!(ran.out, "");
    });
}

#[test]
fn a_row_may_be_as_long_as_a_server_can_send_it() {
    must_end(|| {
        let server = PostgresServer::start();
        // More than the 64 MiB that a program is content with.
        let sql = "SELECT repeat('x', 70000000) AS x";
        let (ran, out) = start(&mut command(&["fetch", &server.url("trust:secret"), sql])).end_with_bytes();
        ran.exits(0);
        assert_eq!(out.len(), "x\r\n\r\n".len() + 70_000_000);
    });
}

#[test]
fn a_password_file_that_is_left_alone_is_named() {
    must_end(|| {
        let server = PostgresServer::start();
        let folder = Folder::new();
        folder.write("secrets", "*:*:*:*:secret\n");
        let file = folder.path().join("secrets");
        let url = server.url("scram");
        let mut command = command(&["fetch", &url, "SELECT 1 AS one"]);
        command.env("PGPASSFILE", &file);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let ran = start(&mut command).end().exits(1).says("the server wants a password");
        ran.says(&format!("aquests: warning: the password file {} can be read by others", file.display()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let ran = start(&mut command).end().exits(0).prints("one\r\n1\r\n");
        assert_eq!(ran.err, "");
    });
}
