//! `aquests load postgres://…` on a real server.
#![cfg(unix)]

mod support;

#[path = "support/schema.rs"]
mod schema;
#[allow(unexpected_cfgs)]
#[path = "../../tests/support/mod.rs"]
mod servers;

use serde_json::Value;
use servers::PostgresServer;
use support::aquests;

const SELECT: &str = "SELECT $1::int + 1";

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
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    schema::validate(&json, &serde_json::from_str(include_str!("../load-report.schema.json")).unwrap()).unwrap();
    assert_eq!(json["replies"]["22012"], 100, "division by zero: {json}");
    assert_eq!((&json["options"]["method"], &json["requests"]["answered"]), (&"SELECT".into(), &100.into()));
    // Nobody is let in with another.
    let wrong = url.replace("hunter2", "hunter3");
    let ran = aquests(&["load", "--quiet", &wrong, "SELECT 1"]).exits(1).says("did not accept the login");
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
}
