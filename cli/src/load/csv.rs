//! The report as CSV (RFC 4180): a row for each interval. The README tells the columns; new ones come behind
//! the others. Replies by their code, where servers have codes, are a table of their own behind an empty line: they are
//! counted for the whole run.

use std::fmt::Write;

use aquests::Report;

use crate::output::quoted;

const COLUMNS: &str = "start,length,answered,failed,bytes,requests_per_second,p50,p90,p99,max";

/// The table. Times are seconds.
pub(super) fn write(report: &Report) -> String {
    let mut text = format!("{COLUMNS}\r\n");
    for interval in report.series() {
        let (start, length) = (interval.start().as_secs_f64(), interval.length().as_secs_f64());
        let (answered, failed, bytes) = (interval.answered(), interval.failed(), interval.bytes());
        let rate = interval.requests_per_second();
        let _ = write!(text, "{start},{length:.9},{answered},{failed},{bytes},{rate:.3}");
        for time in [interval.p50(), interval.p90(), interval.p99(), interval.max()] {
            // A time without an answer is not a short one.
            let _ = match answered {
                0 => write!(text, ","),
                _ => write!(text, ",{:.9}", time.as_secs_f64()),
            };
        }
        text += "\r\n";
    }
    if !report.replies().is_empty() {
        text += "\r\nreply,count\r\n";
        for (code, count) in report.replies() {
            let _ = write!(text, "{},{count}\r\n", quoted(code));
        }
    }
    text
}
