//! A run beside an earlier one, whose report is a JSON file. Reads of it what it needs, whichever minor version wrote
//! it, and judges nothing: what a change means is for people to say.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use aquests::{Latency, Report};
use serde::Deserialize;

use crate::output::Failure;
use crate::words;

/// What is read of an earlier report.
#[derive(Debug, Deserialize)]
pub(super) struct Earlier {
    schema: u32,
    requests: Requests,
    latency: Latencies,
}

#[derive(Debug, Deserialize)]
struct Requests {
    finished: u64,
    failed: u64,
    per_second: f64,
}

#[derive(Debug, Deserialize)]
struct Latencies {
    uncorrected: Times,
    corrected: Option<Times>,
}

#[derive(Debug, Deserialize)]
struct Times {
    count: u64,
    mean: f64,
    max: f64,
    percentiles: BTreeMap<String, f64>,
}

/// One line of the comparison.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) before: String,
    pub(super) now: String,
    /// In percent of what was before.
    pub(super) change: Option<f64>,
    /// More of it is better.
    pub(super) more_is_better: bool,
}

impl Row {
    /// `+3.2 %`, or a dash where there is nothing to compare with.
    pub(super) fn change(&self) -> String {
        self.change.map_or("–".to_owned(), |change| format!("{change:+.1} %"))
    }
}

impl Earlier {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let usage = |why: String| Failure::Usage(format!("cannot compare with {}: {why}", path.display()));
        let text = fs::read(path).map_err(|error| usage(error.to_string()))?;
        let earlier: Earlier = serde_json::from_slice(&text)
            .map_err(|error| usage(format!("it is no report of --output-format json ({error})")))?;
        match earlier.schema {
            super::json::SCHEMA => Ok(earlier),
            other => Err(usage(format!("its schema is {other}, which this version does not know"))),
        }
    }

    /// What it says of one percentile, read between those that it has; `None` beyond them.
    pub(super) fn percentile(&self, percent: f64, corrected: bool) -> Option<f64> {
        let times = self.latency.corrected.as_ref().filter(|_| corrected).unwrap_or(&self.latency.uncorrected);
        let mut known: Vec<(f64, f64)> = times
            .percentiles
            .iter()
            .filter_map(|(name, time)| Some((name.parse().ok()?, *time)))
            .filter(|(_, time)| times.count > 0 && *time > 0.0)
            .collect();
        known.sort_by(|one, other| one.0.total_cmp(&other.0));
        let after = known.iter().position(|(known, _)| *known >= percent)?;
        let (right, high) = known[after];
        let (left, low) =
            after.checked_sub(1).map(|before| known[before]).filter(|_| right > percent).unwrap_or((right, high));
        if after == 0 && right > percent {
            return None;
        }
        // A straight line where they are drawn: by nines, and by the logarithm of time.
        let nines = |percent: f64| -(1.0 - percent / 100.0).log10();
        let part = if right > left { (nines(percent) - nines(left)) / (nines(right) - nines(left)) } else { 0.0 };
        Some((low.ln() + (high.ln() - low.ln()) * part).exp())
    }

    /// Throughput, failures and percentiles side by side. Latencies are from the intended start where both runs had a
    /// rate, and from the actual start elsewhere: nothing else can be compared.
    pub(super) fn rows(&self, report: &Report) -> Vec<Row> {
        let row = |name: &str, before: f64, now: f64, words: &dyn Fn(f64) -> String, more_is_better| Row {
            name: name.to_owned(),
            before: words(before),
            now: words(now),
            change: (before > 0.0).then(|| (now / before - 1.0) * 100.0),
            more_is_better,
        };
        let mut rows = vec![
            row("requests/sec", self.requests.per_second, report.requests_per_second(), &words::number, true),
            row(
                "failed",
                words::percent(self.requests.failed, self.requests.finished),
                words::percent(report.failed(), report.requests()),
                &|percent| format!("{percent:.2} %"),
                false,
            ),
        ];
        let (before, now) = match (&self.latency.corrected, report.corrected_latency()) {
            (Some(before), Some(now)) => (before, now),
            _ => (&self.latency.uncorrected, report.latency()),
        };
        if before.count > 0 && now.count() > 0 {
            rows.push(row("mean", before.mean, now.mean().as_secs_f64(), &words::seconds, false));
            for percent in Latency::PERCENTILES {
                if let Some(before) = before.percentiles.get(&percent.to_string()) {
                    let now = now.percentile(percent).as_secs_f64();
                    rows.push(row(&format!("p{percent}"), *before, now, &words::seconds, false));
                }
            }
            rows.push(row("max", before.max, now.max().as_secs_f64(), &words::seconds, false));
        }
        rows
    }
}

/// The rows as a table of text.
pub(super) fn text(rows: &[Row]) -> String {
    let mut text = format!("compared:    {:>16} {:>14} {:>12}\n", "before", "now", "change");
    for row in rows {
        let _ = writeln!(text, "  {:<12}{:>15} {:>14} {:>12}", row.name, row.before, row.now, row.change());
    }
    text
}
