//! What the live view shows: a pure function from a report and the size of the terminal to lines of text.

use std::time::Duration;

use aquests::{Interval, Latency, Report};

use super::paint::{Colour, Line, bar, columns};
use crate::words;

/// When the run ends.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) requests: Option<u64>,
    pub(super) duration: Option<Duration>,
    pub(super) warm_up: Duration,
}

/// What is to be drawn.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) title: &'a str,
    pub(super) goal: &'a Goal,
    pub(super) report: Option<&'a Report>,
    /// Since the view is up.
    pub(super) time: Duration,
}

/// Lines of charts, whatever the height.
const LOWEST: usize = 2;
const HIGHEST: usize = 8;
/// Rows of everything else.
const FIXED: usize = 17;

/// At most as many lines as there are rows, none wider than the terminal.
pub(super) fn lines(scene: &Scene<'_>, (width, rows): (usize, usize), colours: bool) -> Vec<String> {
    let line = || Line::new(width, colours);
    let mut lines = vec![line().add(Colour::Strong, "aquests load  ").add(Colour::Plain, scene.title)];
    lines.push(progress(scene, width, line()));
    if let Some(report) = scene.report.filter(|report| report.requests() > 0) {
        lines.push(line());
        lines.push(totals(report, line()));
        lines.push(line());
        lines.extend(charts(report, (width, rows), colours));
        lines.push(line());
        lines.extend(tables(report, width, colours));
    }
    lines.truncate(rows);
    lines.into_iter().map(Line::end).collect()
}

fn progress(scene: &Scene<'_>, width: usize, line: Line) -> Line {
    let Goal { requests, duration, warm_up } = *scene.goal;
    let seconds = |time: Duration| format!("{:.1}s", time.as_secs_f64());
    let (part, told) = if scene.time < warm_up {
        (0.0, format!("warming up, {} of {}", seconds(scene.time), seconds(warm_up)))
    } else {
        let elapsed = scene.report.map_or(Duration::ZERO, Report::elapsed);
        let done = scene.report.map_or(0, Report::requests);
        let by_time = duration.map(|all| elapsed.as_secs_f64() / all.as_secs_f64());
        let by_count = requests.map(|all| done as f64 / all as f64);
        let part = by_time.unwrap_or(0.0).max(by_count.unwrap_or(0.0));
        let of_time = duration.map_or(String::new(), |all| format!(" of {}", seconds(all)));
        let of_requests = requests.map_or(String::new(), |all| format!(" of {}", words::grouped(all)));
        let done = words::grouped(done);
        (part, format!("{:3.0} %  {}{of_time}  {done}{of_requests} requests", part * 100.0, seconds(elapsed)))
    };
    let room = width.saturating_sub(told.chars().count() + 2).min(60);
    let (full, rest) = bar(part, room);
    line.add(Colour::Green, &full).add(Colour::Faint, &rest).add(Colour::Plain, &format!("  {told}"))
}

fn totals(report: &Report, line: Line) -> Line {
    let now = report.series().iter().rev().nth(1).map_or(0.0, Interval::requests_per_second);
    let failed = report.failed();
    let share = words::percent(failed, report.requests());
    line.add(Colour::Strong, &words::number(report.requests_per_second()))
        .add(Colour::Plain, " req/s  ")
        .add(Colour::Faint, &format!("now {}  ", words::number(now)))
        .add(Colour::Plain, &format!("answered {}  ", words::grouped(report.responses())))
        .add(
            if failed > 0 { Colour::Red } else { Colour::Plain },
            &format!("failed {} ({share:.2} %)  ", words::grouped(failed)),
        )
        .add(Colour::Faint, &format!("{}/s", words::size(report.bytes_per_second())))
}

/// Throughput on the left, latency on the right.
fn charts(report: &Report, (width, rows): (usize, usize), colours: bool) -> Vec<Line> {
    let height = rows.saturating_sub(FIXED).clamp(LOWEST, HIGHEST);
    let half = width.saturating_sub(3) / 2;
    let all = report.series();
    // The last one is still going on.
    let all = if all.len() > 1 { &all[..all.len() - 1] } else { all };
    let rates = squeeze(all, half, |part| (0.0, part.requests_per_second()));
    let times = squeeze(all, half, |part| (part.p50().as_secs_f64(), part.p99().as_secs_f64()));
    let top = |values: &[(f64, f64)]| values.iter().map(|(_, upper)| *upper).fold(0.0, f64::max);
    let (most, longest) = (top(&rates), top(&times));
    // Logarithmic, or the p50 would be lost under the p99; the shortest has some height, too.
    let shortest = times.iter().map(|(p50, _)| *p50).filter(|p50| *p50 > 0.0).fold(longest, f64::min);
    let height_of = |time: f64| if time > 0.0 { (time / shortest * 2.0).ln() } else { 0.0 };
    let heights: Vec<_> = times.iter().map(|(p50, p99)| (height_of(*p50), height_of(*p99))).collect();
    let head = Line::new(half, colours)
        .add(Colour::Green, "■ requests/sec")
        .add(Colour::Faint, &format!("  up to {}", words::number(most)))
        .to(half);
    let right = Line::new(half, colours)
        .add(Colour::Cyan, "■ p50 ")
        .add(Colour::Yellow, "■ p99")
        .add(Colour::Faint, &format!("  {} to {}, logarithmic", words::seconds(shortest), words::seconds(longest)));
    let between = || Line::new(3, colours).add(Colour::Plain, "   ");
    let mut lines = vec![head.join(between()).join(right)];
    let left = columns(&rates, most, height, half, (Colour::Green, Colour::Green), colours);
    let right = columns(&heights, top(&heights), height, half, (Colour::Cyan, Colour::Yellow), colours);
    lines.extend(left.into_iter().zip(right).map(|(left, right)| left.join(between()).join(right)));
    lines
}

/// At most `most` values: the highest of those that share a column.
fn squeeze(all: &[Interval], most: usize, of: impl Fn(&Interval) -> (f64, f64)) -> Vec<(f64, f64)> {
    let columns = all.len().min(most);
    (0..columns)
        .map(|column| {
            let (from, to) = (column * all.len() / columns, (column + 1) * all.len() / columns);
            all[from..to].iter().map(&of).fold((0.0f64, 0.0f64), |sum, one| (sum.0.max(one.0), sum.1.max(one.1)))
        })
        .collect()
}

/// What a server called an error, as far as there is room for it.
fn short(code: &str) -> String {
    let code = code.escape_debug().to_string();
    if code.chars().count() <= 10 { code } else { code.chars().take(9).chain(['…']).collect() }
}

/// Percentiles, statuses and errors, side by side.
fn tables(report: &Report, width: usize, colours: bool) -> Vec<Line> {
    let latency = report.corrected_latency().unwrap_or(report.latency());
    let left = if report.corrected_latency().is_some() { "latency, intended start" } else { "latency" };
    let mut times = vec![("min".to_owned(), latency.min())];
    times.extend(Latency::PERCENTILES.map(|percent| (format!("p{percent}"), latency.percentile(percent))));
    times.push(("max".to_owned(), latency.max()));
    let longest = latency.max().as_secs_f64();
    let third = width / 3;
    let head = |text: &str, width| Line::new(width, colours).add(Colour::Faint, text).to(width);
    let row = |name: &str, told: &str, part: f64, colour, width: usize| {
        let line = Line::new(width.saturating_sub(2), colours);
        // A long name takes from the room of the number.
        let rest = 16_usize.saturating_sub(name.chars().count().max(7));
        let line = line.add(Colour::Plain, &format!("{name:<7}")).add(Colour::Strong, &format!("{told:>rest$} "));
        let room = width.saturating_sub(20);
        line.add(colour, &bar(part, room).0).to(width.saturating_sub(2))
    };
    let answers = if report.replies().is_empty() { "status codes" } else { "replies" };
    let mut columns = [vec![head(left, third)], vec![head(answers, third)], vec![head("errors", third)]];
    for (name, time) in &times {
        let part = if longest > 0.0 { time.as_secs_f64() / longest } else { 0.0 };
        columns[0].push(row(name, &words::time(*time), part, Colour::Cyan, third));
    }
    let most = times.len();
    let statuses = report.statuses().iter().map(|(status, count)| (status.to_string(), *status < 400, *count));
    let replies = report.replies().iter().map(|(code, count)| (short(code), code == "OK", *count));
    for (name, done, count) in statuses.chain(replies).take(most) {
        let colour = if done { Colour::Green } else { Colour::Yellow };
        let part = words::percent(count, report.requests()) / 100.0;
        columns[1].push(row(&name, &words::number(count as f64), part, colour, third));
    }
    for (kind, count) in report.errors().iter().take(most) {
        let line = Line::new(third, colours).add(Colour::Red, &format!("{:<17}", kind.name()));
        columns[2].push(line.add(Colour::Strong, &format!(" {:>7}", words::number(*count as f64))));
    }
    if report.errors().is_empty() {
        columns[2].push(Line::new(third, colours).add(Colour::Faint, "none"));
    }
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    let mut columns = columns.map(Vec::into_iter);
    (0..rows)
        .map(|_| {
            let mut line = Line::new(width, colours);
            for (at, column) in columns.iter_mut().enumerate() {
                if let Some(cell) = column.next() {
                    line = line.join(cell);
                }
                line = line.to((at + 1) * third);
            }
            line
        })
        .collect()
}
