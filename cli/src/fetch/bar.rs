//! One line on a terminal that says how far a download is, drawn over and over, and gone at the end.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::{terminal, words};

/// How often it is drawn.
pub(super) const FRAME: Duration = Duration::from_millis(100);

/// Wiped off when it is dropped.
#[derive(Debug)]
pub(super) struct Bar {
    begin: Instant,
    drawn: Option<Instant>,
    all: usize,
    ended: usize,
    /// Bytes of those that ended.
    bytes: u64,
}

impl Bar {
    /// For so many requests.
    pub(super) fn new(all: usize) -> Self {
        Self { begin: Instant::now(), drawn: None, all, ended: 0, bytes: 0 }
    }

    /// One has its outcome.
    pub(super) fn ended(&mut self, bytes: u64) {
        self.ended += 1;
        self.bytes += bytes;
        // What it leaves to be said is said on a line of its own.
        self.wipe();
    }

    /// `on_their_way`: bytes that came of each, and how many there will be.
    pub(super) fn draw(&mut self, on_their_way: impl Iterator<Item = (u64, Option<u64>)>) {
        if self.drawn.is_some_and(|then| then.elapsed() < FRAME) {
            return;
        }
        let (mut came, mut announced) = (self.bytes, Some(self.bytes));
        for (some, all) in on_their_way {
            came += some;
            announced = announced.zip(all).map(|(sum, all)| sum + all);
        }
        let seconds = self.begin.elapsed().as_secs_f64();
        let line = line(came, announced, seconds, (self.ended, self.all), terminal::size().0);
        let _ = io::stderr().lock().write_all(format!("\r{line}\x1b[K").as_bytes());
        self.drawn = Some(Instant::now());
    }

    fn wipe(&mut self) {
        if self.drawn.take().is_some() {
            let _ = io::stderr().lock().write_all(b"\r\x1b[K");
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.wipe();
    }
}

fn line(came: u64, announced: Option<u64>, seconds: f64, (ended, all): (usize, usize), width: usize) -> String {
    let rate = if seconds > 0.0 { came as f64 / seconds } else { 0.0 };
    let mut told = words::size(came as f64);
    let part = announced.filter(|bytes| *bytes > 0).map(|bytes| came as f64 / bytes as f64);
    if let (Some(part), Some(bytes)) = (part, announced) {
        told = format!("{:3.0} %  {told} of {}", part * 100.0, words::size(bytes as f64));
    }
    told += &format!("  {}/s", words::size(rate));
    if let Some(part) = part.filter(|part| *part > 0.0 && *part < 1.0) {
        told += &format!("  {:.0}s left", (seconds / part - seconds).ceil());
    }
    if all > 1 {
        told += &format!("  {ended}/{all} done");
    }
    // The last column is left alone: a terminal may begin a new line there.
    let room = width.saturating_sub(told.chars().count() + 3).min(40);
    let full = (part.unwrap_or(0.0).clamp(0.0, 1.0) * room as f64) as usize;
    let bar = if part.is_some() { "━".repeat(full) + &"─".repeat(room - full) + "  " } else { String::new() };
    (bar + &told).chars().take(width.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_on_one_line_and_says_what_is_known() {
        let known = line(500_000, Some(1_000_000), 2.0, (0, 1), 80);
        assert!(known.ends_with("─  \u{20}50 %  500 kB of 1.00 MB  250 kB/s  2s left"), "{known}");
        assert_eq!(line(500, None, 1.0, (1, 3), 80), "500 B  500 B/s  1/3 done");
        for width in [1, 20, 50, 200] {
            assert!(line(u64::MAX / 2, Some(u64::MAX), 1e9, (9, 99), width).chars().count() < width.max(1));
        }
    }
}
