//! The report as JSON. Its schema is `load-report.schema.json`, and the README tells it: what changes here changes
//! there, and what takes something away or gives it another meaning needs another [`SCHEMA`].

use std::collections::BTreeMap;
use std::time::Duration;

use aquests::Latency;
use serde::Serialize;

use super::Run;

/// The version of the schema.
pub(super) const SCHEMA: u32 = 1;
/// Counts what was added to it.
const MINOR: u32 = 3;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    minor: u32,
    aquests: &'static str,
    target: Target<'a>,
    options: Options<'a>,
    interrupted: bool,
    elapsed: f64,
    requests: Requests,
    bytes: Bytes,
    statuses: BTreeMap<String, u64>,
    replies: &'a BTreeMap<String, u64>,
    versions: BTreeMap<String, u64>,
    errors: BTreeMap<&'static str, Errors<'a>>,
    latency: Latencies,
    series: Vec<Part>,
    thresholds: Vec<Judged<'a>>,
}

#[derive(Serialize)]
struct Target<'a> {
    url: &'a str,
    connect_to: Option<&'a str>,
    embedded: bool,
}

#[derive(Serialize)]
struct Options<'a> {
    connections: usize,
    threads: usize,
    depth: u16,
    requests: Option<u64>,
    duration: Option<f64>,
    rate: Option<f64>,
    warm_up: f64,
    wait: bool,
    timeout: f64,
    connect_timeout: f64,
    method: &'a str,
    /// Without their values, which may be secrets.
    headers: Vec<String>,
    body_bytes: usize,
    templates: bool,
    coalesce: bool,
}

#[derive(Serialize)]
struct Requests {
    finished: u64,
    answered: u64,
    failed: u64,
    cut_off: u64,
    not_started: u64,
    per_second: f64,
}

#[derive(Serialize)]
struct Bytes {
    received: u64,
    per_second: f64,
}

#[derive(Serialize)]
struct Errors<'a> {
    count: u64,
    example: Option<&'a str>,
}

#[derive(Serialize)]
struct Latencies {
    uncorrected: Times,
    corrected: Option<Times>,
}

/// One interval.
#[derive(Serialize)]
struct Part {
    start: f64,
    length: f64,
    answered: u64,
    failed: u64,
    bytes: u64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

#[derive(Serialize)]
struct Judged<'a> {
    threshold: &'a str,
    measured: Option<f64>,
    met: bool,
}

#[derive(Serialize)]
struct Times {
    count: u64,
    min: f64,
    mean: f64,
    stdev: f64,
    max: f64,
    percentiles: BTreeMap<String, f64>,
}

impl Times {
    fn of(latency: &Latency) -> Self {
        Self {
            count: latency.count(),
            min: latency.min().as_secs_f64(),
            mean: latency.mean().as_secs_f64(),
            stdev: latency.stdev().as_secs_f64(),
            max: latency.max().as_secs_f64(),
            percentiles: Latency::PERCENTILES
                .iter()
                .map(|percent| (percent.to_string(), latency.percentile(*percent).as_secs_f64()))
                .collect(),
        }
    }
}

/// The document, with a line break at its end.
pub(super) fn write(run: &Run<'_>) -> String {
    let Run { job, report, verdicts, embedded, interrupted, .. } = *run;
    let args = job.args;
    let document = Document {
        schema: SCHEMA,
        minor: MINOR,
        aquests: env!("CARGO_PKG_VERSION"),
        target: Target { url: &job.url, connect_to: job.connect_to.as_deref(), embedded },
        options: Options {
            connections: args.connections,
            threads: args.threads,
            depth: args.depth,
            requests: job.requests,
            duration: args.duration.as_ref().map(Duration::as_secs_f64),
            rate: args.rate,
            warm_up: args.warm_up.as_secs_f64(),
            wait: args.wait,
            timeout: args.timeout.as_secs_f64(),
            connect_timeout: args.connect_timeout.as_secs_f64(),
            method: &job.parts.method,
            headers: job.parts.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect(),
            body_bytes: job.parts.body.as_ref().map_or(0, Vec::len),
            templates: !args.no_template,
            coalesce: !args.no_coalesce && args.rate.is_none(),
        },
        interrupted,
        elapsed: report.elapsed().as_secs_f64(),
        requests: Requests {
            finished: report.requests(),
            answered: report.responses(),
            failed: report.failed(),
            cut_off: report.cut_off(),
            not_started: report.not_started(),
            per_second: report.requests_per_second(),
        },
        bytes: Bytes { received: report.bytes(), per_second: report.bytes_per_second() },
        statuses: report.statuses().iter().map(|(status, count)| (status.to_string(), *count)).collect(),
        replies: report.replies(),
        versions: report.versions().iter().map(|(version, count)| (version.to_string(), *count)).collect(),
        errors: report
            .errors()
            .iter()
            .map(|(kind, count)| (kind.name(), Errors { count: *count, example: report.sample(*kind) }))
            .collect(),
        latency: Latencies {
            uncorrected: Times::of(report.latency()),
            corrected: report.corrected_latency().map(Times::of),
        },
        series: report
            .series()
            .iter()
            .map(|part| Part {
                start: part.start().as_secs_f64(),
                length: part.length().as_secs_f64(),
                answered: part.answered(),
                failed: part.failed(),
                bytes: part.bytes(),
                p50: part.p50().as_secs_f64(),
                p90: part.p90().as_secs_f64(),
                p99: part.p99().as_secs_f64(),
                max: part.max().as_secs_f64(),
            })
            .collect(),
        thresholds: verdicts
            .iter()
            .map(|verdict| Judged {
                threshold: &verdict.words,
                measured: verdict.measured.as_ref().map(|(_, number)| *number),
                met: verdict.met,
            })
            .collect(),
    };
    let mut text = serde_json::to_string_pretty(&document).expect("numbers and strings can always be written");
    text.push('\n');
    text
}
