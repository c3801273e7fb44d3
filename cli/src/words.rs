//! Numbers, times and sizes as people read them, in as few letters as tell them apart.

use std::time::Duration;

/// To three digits, in the unit that suits it: `950 ns`, `63.2 ms`, `1.25 s`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s >= 1.0 => format!("{} s", three(s)),
        s if s >= 1e-3 => format!("{} ms", three(s * 1e3)),
        s if s >= 1e-6 => format!("{} µs", three(s * 1e6)),
        s if s > 0.0 => format!("{} ns", three(s * 1e9)),
        _ => "0".to_owned(),
    }
}

/// As [`time`], for seconds that come from a file or a chart.
pub(crate) fn seconds(seconds: f64) -> String {
    time(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// `950`, `12.3k`, `1.25M`.
pub(crate) fn number(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{}G", three(n / 1e9)),
        n if n >= 1e6 => format!("{}M", three(n / 1e6)),
        n if n >= 1e4 => format!("{}k", three(n / 1e3)),
        n if n >= 1e2 || n.fract() == 0.0 => format!("{n:.0}"),
        n => three(n),
    }
}

/// `950 B`, `12.3 MB`: powers of ten.
pub(crate) fn size(bytes: f64) -> String {
    match bytes {
        b if b >= 1e9 => format!("{} GB", three(b / 1e9)),
        b if b >= 1e6 => format!("{} MB", three(b / 1e6)),
        b if b >= 1e3 => format!("{} kB", three(b / 1e3)),
        b => format!("{b:.0} B"),
    }
}

/// Digits in groups of three: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `part` of `all` in percent.
pub(crate) fn percent(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 * 100.0 }
}

fn three(number: f64) -> String {
    match number {
        n if n >= 99.95 => format!("{n:.0}"),
        n if n >= 9.995 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_tell() {
        for (nanos, text) in [
            (0, "0"),
            (950, "950 ns"),
            (1_234, "1.23 µs"),
            (63_200_000, "63.2 ms"),
            (999_400_000, "999 ms"),
            (12_340_000_000, "12.3 s"),
        ] {
            assert_eq!(time(Duration::from_nanos(nanos)), text);
        }
        assert_eq!([0.0, 950.4, 12_340.0, 1.25e6].map(number), ["0", "950", "12.3k", "1.25M"]);
        assert_eq!([12.0, 1_234.0, 5e9].map(size), ["12 B", "1.23 kB", "5.00 GB"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
