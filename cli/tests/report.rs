//! What `aquests load` makes of a run: intervals, CSV, HTML, thresholds, and the comparison with an earlier one.
#![cfg(unix)]

mod support;

use std::fs;

use serde_json::Value;
use support::{OK, Ran, Server, Target, aquests, path, refused};

fn load(args: &[&str]) -> Ran {
    aquests(&[&["load", "--quiet"], args].concat())
}

fn json(args: &[&str]) -> Value {
    let ran = load(&[&["--output-format", "json"], args].concat());
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {} {}", ran.out, ran.err))
}

fn sum(report: &Value, field: &str) -> u64 {
    report["series"].as_array().unwrap().iter().map(|part| part[field].as_u64().unwrap()).sum()
}

#[test]
fn the_intervals_are_all_of_the_run_and_nothing_twice() {
    let target = Target::start();
    let (url, dead) = (target.url("/bytes/100"), format!("http://{}/", refused()));
    for args in [
        &["-z", "600ms", "-c", "4", &url][..],
        &["-n", "5k", "-c", "9", "--threads", "2", &url],
        &["-z", "400ms", "-q", "500", "-c", "3", "--warm-up", "200ms", &url],
        &["-z", "300ms", "-c", "2", &dead],
    ] {
        let report = json(args);
        for (field, all) in [("answered", "/requests/answered"), ("failed", "/requests/failed")] {
            assert_eq!(Some(sum(&report, field)), report.pointer(all).unwrap().as_u64(), "{field}: {report}");
        }
        assert_eq!(sum(&report, "bytes"), report["bytes"]["received"], "{report}");
        let (series, mut end) = (report["series"].as_array().unwrap(), 0.0);
        for part in series {
            let number = |field: &str| part[field].as_f64().unwrap();
            assert!((number("start") - end).abs() < 1e-6, "one begins where the other ends: {report}");
            assert!(number("p50") <= number("p90") && number("p90") <= number("p99") && number("p99") <= number("max"));
            end = number("start") + number("length");
        }
        assert!((end - report["elapsed"].as_f64().unwrap()).abs() < 1e-6, "{report}");
        let longest = series.iter().map(|part| part["max"].as_f64().unwrap()).fold(0.0, f64::max);
        // The histogram of all has three digits.
        let max = report["latency"]["uncorrected"]["max"].as_f64().unwrap();
        assert!((longest - max).abs() <= max * 2e-3, "{longest} is not {max}");
    }
}

#[test]
fn a_table_has_a_row_for_each_interval() {
    let ran = load(&["-z", "500ms", "-c", "2", "--output-format", "csv", "/delay/1"]).exits(0);
    let mut rows = ran.out.split_terminator("\r\n").map(|row| row.split(',').collect::<Vec<_>>());
    let columns = rows.next().unwrap();
    assert_eq!(columns.join(","), "start,length,answered,failed,bytes,requests_per_second,p50,p90,p99,max");
    let readme = include_str!("../README.md");
    for column in &columns {
        assert!(readme.contains(&format!("`{column}`")), "the README does not tell {column}");
    }
    let rows: Vec<_> = rows.collect();
    assert!((4..=5).contains(&rows.len()), "{}", ran.out);
    for (at, row) in rows.iter().enumerate() {
        let numbers: Vec<f64> = row.iter().map(|cell| cell.parse().unwrap()).collect();
        assert_eq!((numbers.len(), numbers[0]), (10, at as f64 * 0.125), "{}", ran.out);
        assert!(numbers[6] >= 0.001 && numbers[9] >= numbers[8], "{}", ran.out);
    }
    // Where nothing was answered, there is no time.
    let ran = load(&["-n", "2", "--output-format", "csv", &format!("http://{}/", refused())]).exits(1);
    assert!(ran.out.ends_with(",,,,\r\n"), "{}", ran.out);
}

#[test]
fn a_page_needs_nothing_but_itself() {
    let file = path("page.html");
    let name = file.to_str().unwrap();
    let args = ["-z", "300ms", "-c", "4", "-H", "authorization: hunter2", "-o", name, "--output-format", "html"];
    assert_eq!(load(&[&args[..], &["/status/404?<b>&\"'"]].concat()).exits(0).out, "");
    let page = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{page}");
    for nothing in ["<script", "<link", "<img", "url(", "@import", "src=", "href=", "hunter2", "<b>&", "NaN", "inf"] {
        assert!(!page.contains(nothing), "{nothing} is in {page}");
    }
    for something in [
        "/status/404?&lt;b&gt;&amp;&quot;&#39;",
        "prefers-color-scheme:dark",
        "<h2>Throughput",
        "<h2>Latency by percentile",
        "<td>404</td>",
        "authorization",
    ] {
        assert!(page.contains(something), "{something} is not in {page}");
    }
    assert_eq!(page.matches("<svg ").count(), 3);
    is_balanced(&page);
    // With nothing to draw, too.
    let dead = format!("http://{}/", refused());
    let page = load(&["-n", "3", "--output-format", "html", &dead]).exits(1).out;
    assert!(page.contains("Connection refused") && !page.contains("NaN"), "{page}");
    is_balanced(&page);
}

/// Every element that is opened is closed, in order.
fn is_balanced(page: &str) {
    const EMPTY: [&str; 3] = ["!doctype", "meta", "rect"];
    let mut open = Vec::new();
    for part in page.split('<').skip(1) {
        let tag = part.split('>').next().unwrap();
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "at <{tag}>");
        } else if !tag.ends_with('/') && !EMPTY.contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0]);
}

#[test]
fn a_threshold_that_is_missed_is_said_and_fails_the_run() {
    let args = ["-n", "100", "-c", "2", "/delay/5"];
    let with = |more: &[&str]| load(&[&args[..], more].concat());
    let good = ["--threshold", "p99 < 10s", "--threshold", "errors<=0", "--threshold", "rps>1"];
    let ran = with(&good).exits(0).prints("thresholds:\n  met p99 < 10s: it was ");
    assert_eq!(ran.err, "");
    let ran = with(&["--threshold", "p50<1ms", "--threshold", "rps>=1g", "--threshold", "max<1m"]).exits(1);
    assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
    let ran = ran.says("aquests: missed p50<1ms: it was ").says("aquests: missed rps>=1g: it was ");
    ran.prints("  missed p50<1ms: it was ").prints("  met max<1m: it was ");
    let report = json(&[&args[..], &["--threshold", "min>5ms", "--threshold", "mean<1ms"]].concat());
    assert_eq!((&report["thresholds"][0]["met"], &report["thresholds"][1]["met"]), (&true.into(), &false.into()));
    assert!(report["thresholds"][0]["measured"].as_f64().unwrap() >= 0.005, "{report}");
    let page = with(&["--threshold", "p50<1ms", "--output-format", "html"]).exits(1).out;
    assert!(page.contains("p50&lt;1ms") && page.contains("missed"), "{page}");
}

#[test]
fn how_many_may_fail_is_said_by_a_threshold() {
    // Each connection answers five requests and loses the sixth.
    let server = Server::start(OK, 5);
    let args = ["-n", "60", "-c", "1", &server.url()];
    let with = |more: &[&str]| load(&[&args[..], more].concat());
    with(&["--threshold", "errors<50%"]).exits(0).says(" of 60 requests failed: ");
    with(&["--threshold", "errors<1"]).exits(1).says("aquests: missed errors<1: it was ");
    with(&["--threshold", "max<1h"]).exits(1).says(" of 60 requests failed: ");
    let dead = format!("http://{}/", refused());
    let ran = load(&["-n", "2", "--threshold", "p99<1h", &dead]).exits(1);
    ran.says("aquests: missed p99<1h: nothing was measured\n");
}

#[test]
fn an_earlier_run_is_put_beside_this_one() {
    let file = path("earlier.json");
    let name = file.to_str().unwrap();
    load(&["-n", "50", "-c", "2", "--output-format", "json", "-o", name, "/delay/20"]).exits(0);
    let with =
        |more: &[&str]| load(&[&["-n", "100", "-c", "2", "--compare", name, "/delay/1"], more].concat()).exits(0);
    let ran = with(&[]).prints("compared:  ");
    let row = |name: &str| ran.out.lines().rev().find(|line| line.trim_start().starts_with(name)).unwrap();
    assert!(row("requests/sec").contains(" +") && row("p50").contains(" -"), "{}", ran.out);
    assert!(row("p50").contains(" ms "), "{}", ran.out);
    for form in ["json", "csv"] {
        with(&["--output-format", form]).says("compared:  ");
    }
    let page = with(&["--output-format", "html"]).out;
    assert!(page.contains("Compared with an earlier run") && page.contains("earlier run</span>"), "{page}");
    is_balanced(&page);
    // What 1.0 wrote is understood; another schema is not.
    let mut earlier: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for new in ["minor", "series", "thresholds"] {
        earlier.as_object_mut().unwrap().remove(new);
    }
    fs::write(&file, earlier.to_string()).unwrap();
    with(&[]).prints("compared:  ");
    earlier["schema"] = 2.into();
    fs::write(&file, earlier.to_string()).unwrap();
    load(&["--compare", name]).exits(2).says("its schema is 2, which this version does not know");
    fs::remove_file(file).unwrap();
}
