//! What must be true of a run: `p99<50ms`, `errors<0.1%`, `rps>1000`. Parses the words and judges a report; what a
//! missed one means for the exit code is said elsewhere.

use std::fmt;
use std::time::Duration;

use aquests::Report;

use crate::{units, words};

/// A condition, as it was written and as it is meant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Threshold {
    words: String,
    measure: Measure,
    sign: Sign,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    Min,
    Mean,
    Percentile(f64),
    Max,
    /// Requests that failed.
    Errors,
    /// The same in percent of all.
    ErrorRate,
    Rate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// What a run made of a threshold.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) words: String,
    /// What was measured, in words and as a number (of seconds, percent, or requests). `None`: there was nothing.
    pub(crate) measured: Option<(String, f64)>,
    pub(crate) met: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.met { "met" } else { "missed" };
        match &self.measured {
            Some((measured, _)) => write!(f, "{outcome} {}: it was {measured}", self.words),
            None => write!(f, "{outcome} {}: nothing was measured", self.words),
        }
    }
}

impl Threshold {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is not a condition: write 'p99<50ms', 'errors<0.1%' or 'rps>1000'");
        let at = text.find(['<', '>']).ok_or_else(bad)?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let (sign, limit) = [("<=", Sign::AtMost), (">=", Sign::AtLeast), ("<", Sign::Below), (">", Sign::Above)]
            .into_iter()
            .find_map(|(word, sign)| rest.strip_prefix(word).map(|limit| (sign, limit.trim())))
            .ok_or_else(bad)?;
        let time = || units::duration(limit).map(|time| time.as_secs_f64());
        let number = |text: &str| units::decimal(text).ok_or_else(bad);
        let (measure, limit) = match name {
            "min" => (Measure::Min, time()?),
            "mean" => (Measure::Mean, time()?),
            "max" => (Measure::Max, time()?),
            "errors" => match limit.strip_suffix('%') {
                Some(percent) => (Measure::ErrorRate, number(percent.trim())?),
                None => (Measure::Errors, number(limit)?),
            },
            "rps" => (Measure::Rate, number(limit)?),
            name => {
                let percent = name.strip_prefix('p').and_then(units::decimal).ok_or_else(bad)?;
                if !(percent > 0.0 && percent <= 100.0) {
                    return Err(format!("'{name}' is not a percentile: they go up to p100"));
                }
                (Measure::Percentile(percent), time()?)
            }
        };
        Ok(Self { words: text.trim().to_owned(), measure, sign, limit })
    }

    /// Whether it says how many requests may fail.
    pub(crate) fn is_about_errors(&self) -> bool {
        matches!(self.measure, Measure::Errors | Measure::ErrorRate)
    }

    pub(crate) fn judge(&self, report: &Report) -> Verdict {
        // Where requests follow a schedule, what their users would have waited.
        let latency = report.corrected_latency().unwrap_or(report.latency());
        let time = |time: Duration| (latency.count() > 0).then(|| (words::time(time), time.as_secs_f64()));
        let some = |words: String, number: f64| (report.requests() > 0).then_some((words, number));
        let measured = match self.measure {
            Measure::Min => time(latency.min()),
            Measure::Mean => time(latency.mean()),
            Measure::Percentile(percent) => time(latency.percentile(percent)),
            Measure::Max => time(latency.max()),
            Measure::Errors => some(report.failed().to_string(), report.failed() as f64),
            Measure::ErrorRate => {
                let percent = words::percent(report.failed(), report.requests());
                some(format!("{percent:.3} %"), percent)
            }
            Measure::Rate => some(words::number(report.requests_per_second()), report.requests_per_second()),
        };
        let met = measured.as_ref().is_some_and(|(_, number)| match self.sign {
            Sign::Below => *number < self.limit,
            Sign::AtMost => *number <= self.limit,
            Sign::Above => *number > self.limit,
            Sign::AtLeast => *number >= self.limit,
        });
        Verdict { words: self.words.clone(), measured, met }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_they_are_meant() {
        for (text, measure, sign, limit) in [
            ("p99<50ms", Measure::Percentile(99.0), Sign::Below, 0.05),
            (" p99.9 <= 1s ", Measure::Percentile(99.9), Sign::AtMost, 1.0),
            ("mean<1m30s", Measure::Mean, Sign::Below, 90.0),
            ("errors<0.1%", Measure::ErrorRate, Sign::Below, 0.1),
            ("errors<=5", Measure::Errors, Sign::AtMost, 5.0),
            ("rps>10k", Measure::Rate, Sign::Above, 10_000.0),
            ("rps>=0.5", Measure::Rate, Sign::AtLeast, 0.5),
        ] {
            let threshold = Threshold::parse(text).unwrap();
            assert_eq!((threshold.measure, threshold.sign, threshold.limit), (measure, sign, limit), "{text}");
        }
        for text in ["", "p99", "p99=5ms", "p0<1s", "p101<1s", "p<1s", "rps>x", "errors<%", "p99<", "<1", "foo<1"] {
            assert!(Threshold::parse(text).is_err(), "{text}");
        }
    }
}
