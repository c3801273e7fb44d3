//! What happened, in numbers: counted while it happens ([`Recorder`], constant memory, no allocation), told at the end
//! ([`Report`]). Knows no protocol beyond the numbers and names that it is given, and prints to nobody.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::ErrorKind;
use crate::version::Version;

/// Counts outcomes.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    /// By status code; 0 for what has none.
    statuses: Box<[u64; STATUSES]>,
    /// Answers without a status code.
    ok: u64,
    refusals: BTreeMap<String, u64>,
    versions: [u64; Version::ALL.len()],
    errors: BTreeMap<ErrorKind, u64>,
    /// Of each kind the first one, in words.
    samples: BTreeMap<ErrorKind, String>,
    bytes: u64,
    latency: Latency,
    corrected: Option<Latency>,
}

const STATUSES: usize = 1000;
/// Codes of errors that are told apart. Servers have some hundreds, and somebody may make up more.
const REFUSALS: usize = 1000;

/// What an answer says of what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// A status code of HTTP.
    Status(u16),
    /// It was done.
    Ok,
    /// It was not done, and this is the code of the error.
    #[cfg_attr(not(any(feature = "postgres", feature = "redis")), allow(dead_code))]
    Error(&'a str),
}

impl Recorder {
    /// `corrected`: times from the intended start are recorded beside those from the actual one.
    pub(crate) fn new(corrected: bool) -> Self {
        Self {
            statuses: Box::new([0; STATUSES]),
            ok: 0,
            refusals: BTreeMap::new(),
            versions: [0; Version::ALL.len()],
            errors: BTreeMap::new(),
            samples: BTreeMap::new(),
            bytes: 0,
            latency: Latency::new(),
            corrected: corrected.then(Latency::new),
        }
    }

    pub(crate) fn answered(&mut self, verdict: Verdict<'_>, version: Version, latency: Duration) {
        match verdict {
            Verdict::Status(status) => self.statuses[usize::from(status).min(STATUSES - 1)] += 1,
            Verdict::Ok => self.ok += 1,
            Verdict::Error(code) => self.refused(code, 1),
        }
        self.versions[version as usize] += 1;
        self.latency.record(latency);
    }

    fn refused(&mut self, code: &str, times: u64) {
        let code = if self.refusals.len() < REFUSALS || self.refusals.contains_key(code) { code } else { "other" };
        match self.refusals.get_mut(code) {
            Some(count) => *count += times,
            None => drop(self.refusals.insert(code.to_owned(), times)),
        }
    }

    #[cfg(feature = "load")]
    pub(crate) fn is_corrected(&self) -> bool {
        self.corrected.is_some()
    }

    #[cfg(any(test, feature = "load"))]
    pub(crate) fn corrected(&mut self, latency: Duration) {
        if let Some(corrected) = &mut self.corrected {
            corrected.record(latency);
        }
    }

    pub(crate) fn bytes(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(crate) fn failed(&mut self, kind: ErrorKind) {
        *self.errors.entry(kind).or_default() += 1;
    }

    /// As [`failed`](Self::failed); the first of its kind is kept in words, and only that one is put into words.
    #[cfg(any(test, feature = "load"))]
    pub(crate) fn failed_with(&mut self, kind: ErrorKind, words: impl FnOnce() -> String) {
        self.failed(kind);
        self.samples.entry(kind).or_insert_with(words);
    }

    #[cfg(any(test, feature = "load"))]
    pub(crate) fn add(&mut self, other: &Recorder) {
        for (sum, more) in self.statuses.iter_mut().zip(other.statuses.iter()) {
            *sum += more;
        }
        self.ok += other.ok;
        for (code, more) in &other.refusals {
            self.refused(code, *more);
        }
        for (sum, more) in self.versions.iter_mut().zip(other.versions) {
            *sum += more;
        }
        for (kind, more) in &other.errors {
            *self.errors.entry(*kind).or_default() += more;
        }
        for (kind, words) in &other.samples {
            self.samples.entry(*kind).or_insert_with(|| words.clone());
        }
        self.bytes += other.bytes;
        self.latency.add(&other.latency);
        if let (Some(sum), Some(more)) = (&mut self.corrected, &other.corrected) {
            sum.add(more);
        }
    }

    pub(crate) fn report(&self, elapsed: Duration) -> Report {
        let statuses: BTreeMap<u16, u64> =
            (0u16..).zip(self.statuses.iter()).filter(|(_, n)| **n > 0).map(|(s, n)| (s, *n)).collect();
        let mut replies = self.refusals.clone();
        if self.ok > 0 {
            replies.insert("OK".to_owned(), self.ok);
        }
        let responses = statuses.values().chain(replies.values()).sum::<u64>();
        Report {
            elapsed,
            requests: responses + self.errors.values().sum::<u64>(),
            responses,
            bytes: self.bytes,
            statuses,
            replies,
            versions: Version::ALL.into_iter().zip(self.versions).filter(|(_, n)| *n > 0).collect(),
            errors: self.errors.clone(),
            samples: self.samples.clone(),
            latency: self.latency.clone(),
            corrected: self.corrected.clone(),
            left: Left::default(),
            series: Vec::new(),
        }
    }
}

/// How long answers took: a histogram up to 1 hour, to three digits.
#[derive(Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
}

/// One hour in nanoseconds.
const LONGEST: u64 = 3_600_000_000_000;

impl Latency {
    /// The percentiles that reports show.
    pub const PERCENTILES: [f64; 7] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99];

    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST, 3).expect("these bounds are in range");
        Self { histogram }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(nanos);
    }

    #[cfg(any(test, feature = "load"))]
    pub(crate) fn add(&mut self, other: &Latency) {
        // Both have the same bounds, which is all that could fail.
        let _ = self.histogram.add(&other.histogram);
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The time within which so many percent (0 to 100) of the answers came. Zero when there were none.
    pub fn percentile(&self, percent: f64) -> Duration {
        if self.histogram.is_empty() {
            return Duration::ZERO;
        }
        // The histogram answers with the upper end of a bucket, which may lie above everything recorded.
        Duration::from_nanos(self.histogram.value_at_percentile(percent).min(self.histogram.max()))
    }

    /// The shortest.
    pub fn min(&self) -> Duration {
        if self.histogram.is_empty() { Duration::ZERO } else { Duration::from_nanos(self.histogram.min()) }
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.histogram.max())
    }

    /// The mean.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.histogram.mean() as u64)
    }

    /// The standard deviation.
    pub fn stdev(&self) -> Duration {
        Duration::from_nanos(self.histogram.stdev() as u64)
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Latency({} recorded, median {:?})", self.count(), self.percentile(50.0))
    }
}

/// What came of all requests.
#[derive(Clone, Debug)]
pub struct Report {
    elapsed: Duration,
    requests: u64,
    responses: u64,
    bytes: u64,
    statuses: BTreeMap<u16, u64>,
    replies: BTreeMap<String, u64>,
    versions: BTreeMap<Version, u64>,
    errors: BTreeMap<ErrorKind, u64>,
    samples: BTreeMap<ErrorKind, String>,
    latency: Latency,
    corrected: Option<Latency>,
    left: Left,
    series: Vec<Interval>,
}

/// What happened in one part of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    pub(crate) start: Duration,
    pub(crate) length: Duration,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) bytes: u64,
    /// 50, 90 and 99.
    pub(crate) percentiles: [Duration; 3],
    pub(crate) max: Duration,
}

impl Interval {
    /// From the beginning of the run.
    pub fn start(&self) -> Duration {
        self.start
    }

    /// As long as all others, or shorter where the run ends. Never zero.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// Answers that were whole within it.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Requests that failed within it.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Bytes of bodies that came within it, those of answers that were not yet whole too.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Half of the answers took no longer, to 2 %; zero when there were none.
    pub fn p50(&self) -> Duration {
        self.percentiles[0]
    }

    /// 90 % of the answers took no longer.
    pub fn p90(&self) -> Duration {
        self.percentiles[1]
    }

    /// 99 % of the answers took no longer.
    pub fn p99(&self) -> Duration {
        self.percentiles[2]
    }

    /// The answer that took longest took so long, exactly.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// Requests per second, failed ones too.
    pub fn requests_per_second(&self) -> f64 {
        per_second(self.answered + self.failed, self.length)
    }
}

/// What a run that was ended left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Requests on their way.
    pub(crate) cut_off: u64,
    /// Requests that should have started.
    pub(crate) not_started: u64,
    /// Connections that were still being made.
    pub(crate) connecting: u64,
}

impl Report {
    #[cfg(feature = "load")]
    pub(crate) fn left(mut self, left: Left) -> Self {
        self.left = left;
        self
    }

    #[cfg(feature = "load")]
    pub(crate) fn series_is(mut self, series: Vec<Interval>) -> Self {
        self.series = series;
        self
    }

    /// What happened when, from the actual start of requests: intervals of the same length, one after the other, from
    /// the beginning to the end of a load. There are at most 300 of them, so the length depends on the time that the
    /// load took: it is 125 ms, doubled as often as needed. Empty where no load was run.
    pub fn series(&self) -> &[Interval] {
        &self.series
    }

    /// From the first request to the last outcome.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// All requests: [`responses`](Self::responses) plus the sum of [`errors`](Self::errors).
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Requests that were answered, whatever the answer said.
    pub fn responses(&self) -> u64 {
        self.responses
    }

    /// Bytes of all bodies that came, as they came.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Answers of servers that have no status codes: `OK`, and by the code of its error what was not done (`WRONGTYPE`,
    /// `42P01`). More than 1,000 codes are not told apart: the rest is `other`.
    pub fn replies(&self) -> &BTreeMap<String, u64> {
        &self.replies
    }

    /// Answers by status code of HTTP.
    pub fn statuses(&self) -> &BTreeMap<u16, u64> {
        &self.statuses
    }

    /// Answers by what they came in.
    pub fn versions(&self) -> &BTreeMap<Version, u64> {
        &self.versions
    }

    /// Requests without an answer, by kind.
    pub fn errors(&self) -> &BTreeMap<ErrorKind, u64> {
        &self.errors
    }

    /// Requests without an answer.
    pub fn failed(&self) -> u64 {
        self.requests - self.responses
    }

    /// From sending a request to its whole answer.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// From the moment a request was meant to be sent to its whole answer, where requests follow a schedule. A server
    /// that stalls delays what should have been sent meanwhile, and that waiting is counted here and nowhere else.
    pub fn corrected_latency(&self) -> Option<&Latency> {
        self.corrected.as_ref()
    }

    /// One failure of this kind in words: whom it concerns, in which phase, and why.
    pub fn sample(&self, kind: ErrorKind) -> Option<&str> {
        self.samples.get(&kind).map(String::as_str)
    }

    /// Requests that were on their way when the time was over. They are in no other count.
    pub fn cut_off(&self) -> u64 {
        self.left.cut_off
    }

    /// Requests that a schedule had wanted before the time was over, and for which no connection became free. They are
    /// in no other count, and no latency tells of them: with many of these the rate was more than was possible.
    pub fn not_started(&self) -> u64 {
        self.left.not_started
    }

    /// Connections that were still being made when the time was over.
    pub fn connecting(&self) -> u64 {
        self.left.connecting
    }

    /// Requests per second.
    pub fn requests_per_second(&self) -> f64 {
        per_second(self.requests, self.elapsed)
    }

    /// Bytes of bodies per second.
    pub fn bytes_per_second(&self) -> f64 {
        per_second(self.bytes, self.elapsed)
    }
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "finished in {:.3}s", self.elapsed.as_secs_f64())?;
        writeln!(f, "requests: {}", self.requests)?;
        writeln!(f, "requests/sec: {:.3}", self.requests_per_second())?;
        writeln!(f, "bytes received: {}", self.bytes)?;
        writeln!(f, "bytes received/sec: {:.0}", self.bytes_per_second())?;
        if !self.statuses.is_empty() {
            writeln!(f, "response status codes:")?;
            for (status, count) in &self.statuses {
                writeln!(f, "  {status}: {count}")?;
            }
        }
        if !self.replies.is_empty() {
            writeln!(f, "replies:")?;
            for (code, count) in &self.replies {
                writeln!(f, "  {}: {count}", code.escape_debug())?;
            }
        }
        if !self.versions.is_empty() {
            let all_http = self.replies.is_empty();
            writeln!(f, "{}:", if all_http { "HTTP versions" } else { "versions" })?;
            for (version, count) in &self.versions {
                writeln!(f, "  {version}: {count}")?;
            }
        }
        if !self.errors.is_empty() {
            writeln!(f, "errors:")?;
            for (kind, count) in &self.errors {
                match self.sample(*kind) {
                    Some(words) => writeln!(f, "  {kind}: {count} ({words})")?,
                    None => writeln!(f, "  {kind}: {count}")?,
                }
            }
        }
        for (words, count) in [
            ("still on their way at the end", self.left.cut_off),
            ("due and not started by the end", self.left.not_started),
            ("connections not made by the end", self.left.connecting),
        ] {
            if count > 0 {
                writeln!(f, "{words}: {count}")?;
            }
        }
        if self.latency.count() > 0 {
            match &self.corrected {
                None => {
                    writeln!(f, "latency:")?;
                    table(f, &[&self.latency])?;
                }
                Some(corrected) => {
                    writeln!(f, "latency:     from intended start    from actual start")?;
                    table(f, &[corrected, &self.latency])?;
                }
            }
        }
        Ok(())
    }
}

fn table(f: &mut fmt::Formatter<'_>, columns: &[&Latency]) -> fmt::Result {
    let mut row = |name: &str, value: &dyn Fn(&Latency) -> Duration| {
        write!(f, "  {name:<8}")?;
        for column in columns {
            write!(f, " {:>20}", Short(value(column)).to_string())?;
        }
        writeln!(f)
    };
    row("min", &Latency::min)?;
    row("mean", &Latency::mean)?;
    for percent in Latency::PERCENTILES {
        row(&format!("p{percent}"), &|latency| latency.percentile(percent))?;
    }
    row("max", &Latency::max)
}

/// A duration in the unit that suits it, to four digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short(pub(crate) Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let (number, unit) = match seconds {
            s if s >= 1.0 => (s, "s"),
            s if s >= 1e-3 => (s * 1e3, "ms"),
            s => (s * 1e6, "µs"),
        };
        let digits = if number >= 100.0 {
            1
        } else if number >= 10.0 {
            2
        } else {
            3
        };
        write!(f, "{number:.digits$} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Phase;

    #[test]
    fn the_counts_add_up() {
        let mut one = Recorder::new(true);
        one.answered(Verdict::Status(200), Version::Http11, Duration::from_millis(1));
        one.corrected(Duration::from_millis(2));
        one.bytes(10);
        let mut two = Recorder::new(true);
        two.answered(Verdict::Status(404), Version::Http10, Duration::from_millis(3));
        two.corrected(Duration::from_millis(4));
        two.failed(ErrorKind::Timeout(Phase::Total));
        two.failed_with(ErrorKind::Connect, || "cannot connect to h:1: refused".to_owned());
        two.failed_with(ErrorKind::Connect, || unreachable!("one of a kind is enough"));
        one.add(&two);
        let report = one.report(Duration::from_secs(2));
        assert_eq!((report.requests(), report.responses(), report.failed()), (5, 2, 3));
        assert_eq!(report.statuses().values().sum::<u64>(), report.responses());
        assert_eq!(report.versions().values().sum::<u64>(), report.responses());
        assert_eq!(report.errors().values().sum::<u64>(), report.failed());
        assert_eq!(report.latency().count(), report.responses());
        assert_eq!(report.requests_per_second(), 2.5);
        let text = report.to_string();
        for line in [
            "finished in 2.000s",
            "requests: 5",
            "  200: 1",
            "  HTTP/1.1: 1",
            "  timeout (total): 1\n",
            "  connect: 2 (cannot connect to h:1: refused)\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn percentiles_are_true_to_three_digits() {
        let mut latency = Latency::new();
        for micros in 1..=10_000 {
            latency.record(Duration::from_micros(micros));
        }
        for percent in [1.0, 50.0, 99.0, 99.9] {
            let (got, want) = (latency.percentile(percent).as_secs_f64(), percent / 100.0 * 1e-2);
            assert!((got / want - 1.0).abs() < 2e-3, "p{percent}: {got} is not {want}");
        }
        latency.record(Duration::from_secs(1_000_000));
        assert!(latency.max() >= Duration::from_secs(3_590), "what is too long counts as the longest");
    }
}
