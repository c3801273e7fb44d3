//! The live view and the bar, on a pseudo-terminal that `script` (util-linux) makes.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::{Ran, Running, Target, path, start};

const OPEN: &str = "\x1b[?1049h";
const CLOSE: &str = "\x1b[?1049l";
const SHOWN: &str = "\x1b[?25h";

/// The command with its standard error on a terminal of 100 columns; standard output is what `more` makes of it.
fn on_terminal(command: &str, more: &str) -> Running {
    let aquests = env!("CARGO_BIN_EXE_aquests");
    let mut script = Command::new("script");
    script.args(["-qefc", &format!("stty cols 100 rows 30; exec {aquests} {command} {more}"), "/dev/null"]);
    script.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    start(script.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

#[track_caller]
fn gives_the_screen_back(ran: &Ran) {
    assert_eq!((ran.out.matches(OPEN).count(), ran.out.matches(CLOSE).count()), (1, 1), "{}", ran.out);
    let close = ran.out.rfind(CLOSE).unwrap();
    assert!(ran.out.rfind(SHOWN).is_some_and(|at| at < close), "the cursor is shown again");
    assert!(!ran.out[close..].contains("\x1b[H"), "nothing is drawn after it: {}", ran.out);
}

#[test]
fn a_run_is_seen_on_a_terminal_and_the_report_stays() {
    let ran = on_terminal("load -z 1500ms -c 4 /status/404", "").end().exits(0);
    gives_the_screen_back(&ran);
    let (seen, left) = ran.out.split_once(CLOSE).unwrap();
    for words in ["aquests load", "requests/sec", "p99.9", "status codes", "404", " of 1.5s", "━"] {
        assert!(seen.contains(words), "{words} is not in {seen}");
    }
    assert!(seen.matches("\x1b[H").count() >= 4, "it moves");
    assert!(left.contains("response status codes:\r\n  404: ") && !left.contains('\x1b'), "{left}");
    // No frame is wider or higher than the terminal.
    for frame in seen.split("\x1b[H").skip(1) {
        let lines: Vec<_> = frame.split("\r\n").map(plain).collect();
        assert!(lines.len() <= 30 && lines.iter().all(|line| line.chars().count() <= 100), "{lines:#?}");
    }
}

/// Without sequences.
fn plain(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    let letters = |part: &str| part.find(|c: char| c.is_ascii_alphabetic()).map(|at| part[at + 1..].to_owned());
    parts.filter_map(letters).fold(first, |line, part| line + &part)
}

#[test]
fn standard_output_gets_the_report_and_nothing_else() {
    let file = path("view.json");
    let command = "load -z 600ms -c 2 --output-format json";
    let ran = on_terminal(command, &format!("> {}", file.display())).end().exits(0);
    gives_the_screen_back(&ran);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(report["requests"]["failed"], 0);
    fs::remove_file(file).unwrap();
}

#[test]
fn no_view_where_none_is_wanted() {
    for option in ["--no-tui", "--quiet"] {
        let ran = on_terminal(&format!("load -z 1200ms -c 2 {option}"), "").end().exits(0);
        assert!(!ran.out.contains('\x1b'), "{}", ran.out);
        assert_eq!(ran.out.contains("1s: "), option == "--no-tui", "{}", ran.out);
    }
    let ran = start(&mut support::command(&["load", "-z", "1200ms", "-c", "2"])).end().exits(0);
    assert!(ran.err.starts_with("1s: ") && !ran.err.contains('\x1b') && !ran.out.contains('\x1b'), "{}", ran.err);
}

#[test]
fn what_ends_a_run_gives_the_screen_back() {
    // Ctrl-C once, and twice for those who cannot wait.
    for (signals, code) in [(1, 0), (2, 130)] {
        let pids = path(&format!("pid-{signals}"));
        let aquests = env!("CARGO_BIN_EXE_aquests");
        let mut script = Command::new("script");
        let shell = format!("echo $$ > {}; exec {aquests} load -z 10m -c 2 /delay/50", pids.display());
        script.args(["-qefc", &shell, "/dev/null"]).env("TERM", "xterm");
        let running = start(script.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let begin = Instant::now();
        let pid = loop {
            let pid = fs::read_to_string(&pids).unwrap_or_default().trim().parse().unwrap_or(0);
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
            if pid > 0 && u64::from_str_radix(caught, 16).unwrap() & 2 == 2 {
                break pid;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it does not catch signals");
            thread::sleep(Duration::from_millis(5));
        };
        thread::sleep(Duration::from_millis(500));
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        for _ in 0..signals {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let ran = running.end();
        gives_the_screen_back(&ran);
        // The run may be over before the second signal comes.
        let ended = ran.status.code();
        assert!(ended == Some(code) || signals == 2 && ended == Some(0), "{ended:?}: {}", ran.out);
        fs::remove_file(pids).unwrap();
    }
    // An error, and a server that is not there.
    let ran = on_terminal("load -n 4 http://no.such.host.invalid/", "").end().exits(1);
    gives_the_screen_back(&ran);
    assert!(ran.out.split(CLOSE).nth(1).unwrap().contains("cannot resolve no.such.host.invalid"), "{}", ran.out);
}

#[test]
fn a_download_has_a_bar_that_goes_away() {
    let target = Target::start();
    let file = path("downloaded");
    let name = file.display();
    let ran =
        on_terminal(&format!("fetch -o {name} {} {}", target.url("/bytes/9000000"), target.url("/delay/700")), "");
    let ran = ran.end().exits(0);
    assert_eq!(fs::metadata(&file).unwrap().len(), 9_000_000 + 31);
    assert!(ran.out.contains("/s") && ran.out.contains("/2 done"), "{:?}", ran.out);
    assert!(ran.out.trim_end().ends_with("\r\x1b[K"), "{:?}", ran.out);
    fs::remove_file(&file).unwrap();
    // Nothing of it where standard error is not a terminal.
    let ran = support::aquests(&["fetch", "-o", file.to_str().unwrap(), &target.url("/delay/300")]).exits(0);
    assert_eq!(ran.err, "");
    fs::remove_file(file).unwrap();
}
