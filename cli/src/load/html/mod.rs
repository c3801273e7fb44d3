//! The report as one HTML file that needs nothing else: no script, no network, charts as inline SVG (`chart`), light
//! and dark as the reader has it (`style.css`). Everything that came from outside goes through [`escape`].

mod chart;

use std::fmt::Write;
use std::time::Duration;

use aquests::{Interval, Latency, Report};

use super::Run;
use crate::words;
use chart::{Chart, Curve};

/// The document.
pub(super) fn write(run: &Run<'_>) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>aquests load: {}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n",
        escape(&run.job.url),
        include_str!("style.css")
    );
    head(&mut html, run);
    tiles(&mut html, run.report);
    judged(&mut html, run);
    html += "<div class=\"two\">\n";
    over_time(&mut html, run.report);
    html += "</div>\n";
    percentiles(&mut html, run);
    html += "<div class=\"two\">\n";
    latency_table(&mut html, run.report);
    html += "<div>\n";
    statuses(&mut html, run.report);
    errors(&mut html, run.report);
    options(&mut html, run);
    html += "</div>\n</div>\n";
    let _ = write!(html, "<footer>aquests {}</footer>\n</main>\n</body>\n</html>\n", env!("CARGO_PKG_VERSION"));
    html
}

/// Text as it stands in elements and attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            letter => safe.push(letter),
        }
    }
    safe
}

fn head(html: &mut String, run: &Run<'_>) {
    let words = run.job.to_string();
    let (what, how) = words.split_once(": ").unwrap_or((&words, ""));
    let _ = write!(html, "<header><h1><small>aquests load</small>{}</h1>\n<p>{}</p>\n", escape(what), escape(how));
    if run.embedded {
        *html += "<p>The target was embedded: it ran in the same process, and shared its CPU with the client.</p>\n";
    }
    if run.interrupted {
        *html += "<p class=\"bad\">Interrupted before its end.</p>\n";
    }
    *html += "</header>\n";
}

/// Where requests follow a schedule, what their users would have waited.
fn honest(report: &Report) -> (&Latency, &'static str) {
    match report.corrected_latency() {
        Some(corrected) => (corrected, "from intended start"),
        None => (report.latency(), "latency"),
    }
}

fn tiles(html: &mut String, report: &Report) {
    let (latency, what) = honest(report);
    let failed = words::percent(report.failed(), report.requests());
    *html += "<div class=\"tiles\">\n";
    for (class, number, name) in [
        ("", words::number(report.requests_per_second()), "requests per second".to_owned()),
        ("", words::time(latency.percentile(50.0)), format!("p50 {what}")),
        ("", words::time(latency.percentile(99.0)), format!("p99 {what}")),
        ("", words::grouped(report.responses()), format!("answered in {:.3} s", report.elapsed().as_secs_f64())),
        (
            if report.failed() > 0 { "bad" } else { "" },
            words::grouped(report.failed()),
            format!("failed ({failed:.2} %)"),
        ),
        ("", format!("{}/s", words::size(report.bytes_per_second())), "bodies received".to_owned()),
    ] {
        let _ = writeln!(html, "<div class=\"tile {class}\"><b>{number}</b><span>{name}</span></div>");
    }
    *html += "</div>\n";
}

fn judged(html: &mut String, run: &Run<'_>) {
    if run.verdicts.is_empty() && run.changes.is_empty() {
        return;
    }
    *html += "<div class=\"two\">\n";
    if !run.verdicts.is_empty() {
        *html += "<section><h2>Thresholds</h2>\n<table>\n";
        for verdict in run.verdicts {
            let measured = verdict.measured.as_ref().map_or("nothing was measured", |(words, _)| words);
            let (class, outcome) = if verdict.met { ("good", "✓ met") } else { ("bad", "✗ missed") };
            let _ = writeln!(
                html,
                "<tr><td>{}</td><td class=\"n\">{measured}</td><td class=\"n {class}\">{outcome}</td></tr>",
                escape(&verdict.words)
            );
        }
        *html += "</table></section>\n";
    }
    if !run.changes.is_empty() {
        *html += "<section><h2>Compared with an earlier run</h2>\n<table>\n<tr><th></th><th class=\"n\">before</th>\
                  <th class=\"n\">now</th><th class=\"n\">change</th></tr>\n";
        for row in run.changes {
            // Less than this happens between two runs of the same thing.
            let class = match row.change {
                Some(change) if change.abs() >= 5.0 && (change > 0.0) == row.more_is_better => "good",
                Some(change) if change.abs() >= 5.0 => "bad",
                _ => "",
            };
            let _ = writeln!(
                html,
                "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                 <td class=\"n {class}\">{}</td></tr>",
                row.name,
                row.before,
                row.now,
                row.change()
            );
        }
        *html += "</table></section>\n";
    }
    *html += "</div>\n";
}

/// The intervals that are long enough to have a rate.
fn whole(report: &Report) -> &[Interval] {
    match report.series() {
        [rest @ .., last] if !rest.is_empty() && last.length() < rest[0].length() / 2 => rest,
        all => all,
    }
}

fn over_time(html: &mut String, report: &Report) {
    let series = whole(report);
    let end = report.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
    let length = series.first().map_or(Duration::ZERO, Interval::length);
    let middle = |part: &Interval| (part.start() + part.length() / 2).as_secs_f64() / end;
    let chart = |label, curves, words, logarithmic| Chart {
        label,
        width: 520.0,
        places: series.iter().map(middle).collect(),
        place_names: series.iter().map(|part| format!("after {}", clock(part.start().as_secs_f64()))).collect(),
        marks: seconds(end),
        curves,
        words,
        logarithmic,
    };
    let curve = |name: &str, class, filled, of: &dyn Fn(&Interval) -> Option<f64>| Curve {
        name: name.to_owned(),
        class,
        filled,
        values: series.iter().map(of).collect(),
    };
    let rate = |count: u64, part: &Interval| Some(count as f64 / part.length().as_secs_f64());
    let mut rates = vec![curve("answered per second", "c1", true, &|part| rate(part.answered(), part))];
    if report.failed() > 0 {
        rates.push(curve("failed per second", "bad", true, &|part| rate(part.failed(), part)));
    }
    let throughput = chart("Throughput over time", rates, words::number, false);
    section(html, "Throughput", &format!("by intervals of {}", clock(length.as_secs_f64())), &throughput);
    let time = |name: &str, class, of: fn(&Interval) -> Duration| {
        curve(name, class, false, &|part| (part.answered() > 0).then(|| of(part).as_secs_f64()))
    };
    let times = vec![
        time("max", "c5", Interval::max),
        time("p99", "c4", Interval::p99),
        time("p90", "c3", Interval::p90),
        time("p50", "c2", Interval::p50),
    ];
    let times = chart("Latency over time", times, words::seconds, true);
    section(html, "Latency", "from actual start, logarithmic", &times);
}

fn section(html: &mut String, title: &str, more: &str, chart: &Chart<'_>) {
    let _ = writeln!(html, "<section><h2>{title}<small>{more}</small></h2>");
    if chart.places.is_empty() {
        *html += "<p class=\"none\">Nothing was measured.</p></section>\n";
    } else {
        let _ = writeln!(html, "{}{}</section>", chart.svg(), chart.legend());
    }
}

/// `7s`, `0.25s`, `2m`, `1h30m`: places on an axis of time.
fn clock(seconds: f64) -> String {
    if seconds < 120.0 {
        return format!("{}s", (seconds * 1_000.0).round() / 1_000.0);
    }
    let (hours, minutes, seconds) = (seconds as u64 / 3_600, seconds as u64 / 60 % 60, seconds as u64 % 60);
    [(hours, "h"), (minutes, "m"), (seconds, "s")]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect()
}

/// Marks on an axis of time: at most ten.
fn seconds(end: f64) -> Vec<(f64, String)> {
    const STEPS: [f64; 22] = [
        0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0,
        3_600.0, 7_200.0, 14_400.0, 43_200.0,
    ];
    let fits = |step: &f64| end / step <= 10.0;
    let step = STEPS.into_iter().find(fits).unwrap_or(86_400.0 * (end / 864_000.0).ceil());
    (0..=(end / step) as u32).map(|n| f64::from(n) * step).map(|at| (at / end, clock(at))).collect()
}

/// Percentiles on an axis where each step has ten times fewer above it, as HdrHistogram draws them.
fn percentiles(html: &mut String, run: &Run<'_>) {
    let report = run.report;
    let count = report.latency().count();
    if count == 0 {
        return;
    }
    // No further than to the longest of them all.
    let nines = (count as f64).log10().clamp(1.0, 7.0);
    let steps = 120;
    let percents: Vec<f64> = (0..=steps)
        .map(|step| nines * f64::from(step) / f64::from(steps))
        .map(|nines| (1.0 - 10f64.powf(-nines)) * 100.0)
        .collect();
    let place = |percent: f64| -(1.0 - percent / 100.0).log10() / nines;
    let marks = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999, 99.99999];
    let curve = |name: &str, class, latency: &Latency| Curve {
        name: name.to_owned(),
        class,
        filled: false,
        values: percents.iter().map(|percent| Some(latency.percentile(*percent).as_secs_f64())).collect(),
    };
    let mut curves = Vec::new();
    match report.corrected_latency() {
        Some(corrected) => {
            curves.push(curve("from intended start", "c4", corrected));
            curves.push(curve("from actual start", "c1", report.latency()));
        }
        None => curves.push(curve("latency", "c1", report.latency())),
    }
    if let Some(earlier) = run.earlier {
        let values = percents.iter().map(|percent| earlier.percentile(*percent, report.corrected_latency().is_some()));
        curves.push(Curve { name: "earlier run".to_owned(), class: "c5", filled: false, values: values.collect() });
    }
    let chart = Chart {
        label: "Latency by percentile",
        width: 1_100.0,
        places: percents.iter().map(|percent| place(*percent)).collect(),
        place_names: percents.iter().map(|percent| format!("p{}", digits(*percent))).collect(),
        marks: marks
            .into_iter()
            .filter(|percent| place(*percent) <= 1.0 + 1e-9)
            .map(|percent| (place(percent), format!("{percent} %")))
            .collect(),
        curves,
        words: words::seconds,
        logarithmic: true,
    };
    section(html, "Latency by percentile", "each nine to the right has ten times fewer answers beyond it", &chart);
}

/// As many digits as tell it from 100.
fn digits(percent: f64) -> String {
    let places = (-(1.0 - percent / 100.0).log10()).max(0.0) as usize;
    format!("{percent:.places$}")
}

fn latency_table(html: &mut String, report: &Report) {
    let columns = match report.corrected_latency() {
        Some(corrected) => vec![("from intended start", corrected), ("from actual start", report.latency())],
        None => vec![("time", report.latency())],
    };
    *html += "<section><h2>Latency</h2>\n<table>\n<tr><th></th>";
    for (name, _) in &columns {
        let _ = write!(html, "<th class=\"n\">{name}</th>");
    }
    *html += "</tr>\n";
    let mut row = |name: &str, of: &dyn Fn(&Latency) -> Duration| {
        let _ = write!(html, "<tr><th scope=\"row\">{name}</th>");
        for (_, latency) in &columns {
            let _ = write!(html, "<td class=\"n\">{}</td>", words::time(of(latency)));
        }
        *html += "</tr>\n";
    };
    row("min", &Latency::min);
    row("mean", &Latency::mean);
    row("standard deviation", &Latency::stdev);
    for percent in Latency::PERCENTILES {
        row(&format!("p{percent}"), &|latency| latency.percentile(percent));
    }
    row("max", &Latency::max);
    *html += "</table></section>\n";
}

fn statuses(html: &mut String, report: &Report) {
    *html += "<section><h2>Answers</h2>\n";
    if report.responses() == 0 {
        *html += "<p class=\"none\">None.</p></section>\n";
        return;
    }
    let what = if report.statuses().is_empty() { "reply" } else { "status" };
    let _ = writeln!(
        html,
        "<table>\n<tr><th>{what}</th><th></th><th class=\"n\">answers</th><th class=\"n\">share</th></tr>"
    );
    let statuses = report.statuses().iter().map(|(status, count)| {
        let class = match status {
            ..300 => "c2",
            300..400 => "c1",
            400..500 => "c3",
            _ => "c4",
        };
        (status.to_string(), class, *count)
    });
    let replies = report.replies().iter();
    let replies = replies.map(|(code, count)| (escape(code), if code == "OK" { "c2" } else { "c4" }, *count));
    for (status, class, count) in statuses.chain(replies) {
        let share = words::percent(count, report.responses());
        let _ = writeln!(
            html,
            "<tr><td>{status}</td><td class=\"b {class}\"><span class=\"bar\" style=\"width:{share:.1}%\"></span></td>\
             <td class=\"n\">{}</td><td class=\"n\">{share:.2} %</td></tr>",
            words::grouped(count)
        );
    }
    *html += "</table>\n<table>\n";
    for (version, count) in report.versions() {
        let _ =
            writeln!(html, "<tr><th scope=\"row\">{version}</th><td class=\"n\">{}</td></tr>", words::grouped(*count));
    }
    for (name, count) in [
        ("still on their way at the end", report.cut_off()),
        ("due and not started by the end", report.not_started()),
        ("connections not made by the end", report.connecting()),
    ] {
        if count > 0 {
            let _ =
                writeln!(html, "<tr><th scope=\"row\">{name}</th><td class=\"n\">{}</td></tr>", words::grouped(count));
        }
    }
    *html += "</table></section>\n";
}

fn errors(html: &mut String, report: &Report) {
    if report.errors().is_empty() {
        return;
    }
    *html +=
        "<section><h2>Errors</h2>\n<table>\n<tr><th>kind</th><th class=\"n\">requests</th><th>one of them</th></tr>\n";
    for (kind, count) in report.errors() {
        let _ = writeln!(
            html,
            "<tr><td class=\"bad\">{}</td><td class=\"n\">{}</td><td class=\"w\">{}</td></tr>",
            escape(kind.name()),
            words::grouped(*count),
            escape(report.sample(*kind).unwrap_or_default())
        );
    }
    *html += "</table></section>\n";
}

/// What was asked for; of headers only the names, whose values may be secrets.
fn options(html: &mut String, run: &Run<'_>) {
    let (job, args) = (run.job, run.job.args);
    let headers: Vec<_> = job.parts.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let time = |time: Duration| clock(time.as_secs_f64());
    let mut rows = vec![
        ("URL", job.url.clone()),
        (if args.words.is_empty() { "method" } else { "command" }, job.parts.method.clone()),
        ("connections", args.connections.to_string()),
        ("threads", args.threads.to_string()),
        ("at once on each connection", args.depth.to_string()),
        ("time limit of an answer", time(args.timeout)),
        ("time limit of connecting", time(args.connect_timeout)),
    ];
    rows.extend(job.connect_to.iter().map(|place| ("connected to", place.clone())));
    rows.extend(job.requests.map(|requests| ("requests", words::grouped(requests))));
    rows.extend(args.duration.map(|duration| ("duration", time(duration))));
    rows.extend(args.rate.map(|rate| ("rate", format!("{rate} a second"))));
    if !args.warm_up.is_zero() {
        rows.push(("warm-up", time(args.warm_up)));
    }
    if !headers.is_empty() {
        rows.push(("headers", headers.join(", ")));
    }
    if let Some(body) = &job.parts.body {
        rows.push(("body", words::size(body.len() as f64)));
    }
    *html += "<section><h2>Options</h2>\n<table>\n";
    for (name, value) in rows {
        let _ = writeln!(html, "<tr><th scope=\"row\">{name}</th><td class=\"w\">{}</td></tr>", escape(&value));
    }
    *html += "</table></section>\n";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        assert_eq!(escape("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
    }

    #[test]
    fn an_axis_of_time_has_few_marks_in_round_numbers() {
        for (end, last) in [(0.03, "0.03s"), (6.0, "6s"), (30.0, "30s"), (600.0, "10m"), (5_400.0, "1h30m")] {
            let marks = seconds(end);
            assert!(
                (3..=11).contains(&marks.len()) && marks.last().is_some_and(|(_, words)| words == last),
                "{marks:?}"
            );
        }
        assert!(seconds(1e8).len() <= 11 && clock(0.125) == "0.125s");
    }
}
