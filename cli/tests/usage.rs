//! Wrong words on the command line: exit 2 and a sentence, before anything is done. And what is right about help.
#![cfg(unix)]

mod support;

use support::{aquests, refused};

#[test]
fn what_is_wrong_is_said_in_a_sentence() {
    let url = format!("http://{}/", refused());
    let url = url.as_str();
    for (args, sentence) in [
        (&["load", "-n", "1o", url][..], "'1o' is not a number: write 200, 10k or 1m"),
        (&["load", "-n", "0", url], "it must be at least 1"),
        (&["load", "-c", "0", url], "it must be at least 1"),
        (&["load", "-p", "70k", url], "at most 65535 are possible"),
        (&["load", "-z", "5x", url], "'5x' is not a duration: write 500ms, 10s or 1m30s"),
        (&["load", "-z", "0s", url], "it must be above 0"),
        (&["load", "-q", "-1", url], "unexpected argument '-1'"),
        (&["load", "-q", "0", url], "it must be above 0"),
        (&["load", "-H", "x", url], "a header is written 'name: value'"),
        (&["load", "-d", "a", "-D", "b", url], "cannot be used with"),
        (&["load", "-D", "/no/such/file", url], "cannot read /no/such/file: "),
        (&["load", "--output-format", "yaml", url], "possible values: text, json, csv, html"),
        (&["load", "-m", "A B", url], "the method is not a token"),
        (&["load", "-m", "TRACE", "-d", "x", url], "this method has no body"),
        (&["load", "-H", "a b: c", url], "the name of a header is not a token"),
        (&["load", "-m", "POST", "-p", "2", url], "POST is not idempotent and is never sent behind another"),
        (&["load", "-d", "{rand:2:1}", url], "'{rand:2:1}' is not a template"),
        (&["load", "http://"], "has no valid host and port"),
        (&["load", "http://plzeň.invalid/"], "outside of ASCII, a name is written as xn--"),
        (&["fetch", "-H", "Host: other", url], "lead it elsewhere with --connect-to"),
        (&["fetch", "postgres://u:a/b@h", "SELECT 1"], "the / of a password is %2F"),
        (&["load", "ftp://h/"], "'ftp' is not a scheme that can be fetched"),
        (&["load", "--connect-to", "h", url], "'h' is not a host and a port"),
        (&["load", "--connect-to", "h:1"], "a URL must say what to ask for"),
        (&["load", "--unix-socket", "/tmp/s", "--connect-to", "h:1", url], "cannot be used with"),
        (
            &["load", "--threshold", "p99", url],
            "'p99' is not a condition: write 'p99<50ms', 'errors<0.1%' or 'rps>1000'",
        ),
        (&["load", "--threshold", "p101<1s", url], "'p101' is not a percentile"),
        (&["load", "--threshold", "p99<5", "--threshold", "p50<x", url], "'x' is not a duration"),
        (&["load", "--compare", "/no/such/file", url], "cannot compare with /no/such/file: No such file"),
        (&["load", "--compare", "Cargo.toml", url], "it is no report of --output-format json"),
        (&["fetch", "--connect-to", "h", url], "'h' is not a host and a port"),
        (&["fetch", "--connect-to", "a:1:b", url], "'a:1:b' is not a host and a port"),
        (&["load", "--resolve", "h:80", url], "'h:80' is not a host, a port and its addresses"),
        (&["load", "--resolve", "h:80:127.0.0.1"], "a URL must say what to ask for"),
        (&["fetch", "--dns-servers", "ns.example", url], "'ns.example' is not an address"),
        (&["load", "--nonsense", url], "unexpected argument '--nonsense'"),
        (&["load", "-c", "1g", url], "1000000000 connections need 1000000032 open files, and the system allows"),
        (&["fetch"], "required arguments were not provided"),
        (&["fetch", "http://h:x/"], "the URL has no valid port behind the host 'h'"),
        (&["fetch", "-m", "A B", url], "'A B' is not a method"),
        (&["target", "-l", "nowhere"], "invalid socket address"),
        (&["target", "-l", "127.0.0.1:0", "--unix-socket", "/tmp/s"], "cannot be used with"),
        (&["nonsense"], "unrecognized subcommand 'nonsense'"),
        (&[], "Usage: aquests"),
    ] {
        let ran = aquests(args).exits(2).says(sentence);
        assert_eq!(ran.out, "", "{args:?}");
    }
}

#[test]
fn help_is_for_people_and_ends_well() {
    aquests(&["--help"]).exits(0).prints("target").prints("load").prints("fetch");
    aquests(&["load", "--help"]).exits(0).prints("[default: 50]").prints("Exit status: 0 all requests were answered");
    aquests(&["target", "-h"]).exits(0).prints("127.0.0.1:8080");
    aquests(&["--version"]).exits(0).prints(concat!("aquests ", env!("CARGO_PKG_VERSION")));
}

/// The options of the README are those of the help, and the other way round.
#[test]
fn the_readme_has_every_option_and_no_other() {
    let readme = include_str!("../README.md");
    for command in ["fetch", "load", "target"] {
        let help = aquests(&[command, "--help"]).exits(0).out;
        let section = readme.split(&format!("\n## aquests {command}\n")).nth(1).expect(command);
        let section = section.split("\n## ").next().unwrap();
        let told = options(section.lines().filter(|line| line.starts_with("| `")));
        let mut real = options(help.lines().filter(|line| line.trim_start().starts_with('-')));
        real.retain(|option| option != "--help");
        assert_eq!(told, real, "{command}");
    }
}

fn options<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let words = lines.filter_map(|line| line.split([' ', '`', ',']).find(|word| word.starts_with("--")));
    let mut options: Vec<_> = words.map(str::to_owned).collect();
    options.sort();
    options
}
