//! The progress of a test: one line that is drawn again and again on a terminal, otherwise a line every ten seconds.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// The time between two lines, where they are not drawn over each other.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The width of the bar.
const BAR: usize = 24;

/// The figures in a line of progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown {
    /// Good answers a second.
    pub rate: f64,
    /// The 99th percentile of the latency, in milliseconds.
    pub p99_ms: Option<f64>,
    /// The hit rate, in percent.
    pub hit_percent: Option<f64>,
    /// Failures so far.
    pub failed: u64,
}

/// Shows progress on standard error.
#[derive(Debug)]
pub struct Progress {
    title: String,
    begin: Instant,
    total: Duration,
    is_terminal: bool,
    last: Option<Instant>,
}

impl Progress {
    /// Of something that takes this long.
    #[must_use]
    pub fn new(title: &str, total: Duration) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { title: title.to_owned(), begin: Instant::now(), total, is_terminal, last: None }
    }

    /// Shows a load's progress, if it is time for it.
    pub fn show(&mut self, shown: Shown) {
        let hit = shown.hit_percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1} %"));
        let p99 = shown.p99_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2} ms"));
        let (rate, failed) = (shown.rate, shown.failed);
        self.show_text(&format!("{rate:.0}/s, p99 {p99}, hit rate {hit}, {failed} errors"));
    }

    /// Shows a text beside the bar, if it is time for it.
    pub fn show_text(&mut self, text: &str) {
        let now = Instant::now();
        if !self.is_terminal && self.last.is_some_and(|last| now - last < LINE_INTERVAL) {
            return;
        }
        self.last = Some(now);
        let elapsed = self.begin.elapsed().min(self.total);
        let line = line(&self.title, elapsed, self.total, text);
        let mut stderr = io::stderr().lock();
        // A closed stream is ignored.
        drop(if self.is_terminal {
            write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{line}")
        });
    }

    /// Ends it with a line.
    pub fn end(self, text: &str) {
        let clear = if self.is_terminal { "\r\x1b[K" } else { "" };
        drop(writeln!(io::stderr().lock(), "{clear}{}: {text}", self.title));
    }
}

fn line(title: &str, elapsed: Duration, total: Duration, text: &str) -> String {
    let share = (elapsed.as_secs_f64() / total.as_secs_f64().max(1e-9)).clamp(0.0, 1.0);
    let full = (0..BAR).filter(|place| f64::from(u32::try_from(*place).unwrap_or(0)) < share * 24.0).count();
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
    format!("{title} {bar} {} of {}: {text}", time(elapsed), time(total))
}

/// A duration for people, to the second.
#[must_use]
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, 0) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_bar_and_the_times() {
        let (total, text) = (Duration::from_hours(1), "150/s");
        let at = |minutes: u64| line("load", Duration::from_mins(minutes), total, text);
        assert_eq!(at(0), format!("load {} 0 s of 1 h: 150/s", "░".repeat(24)));
        assert_eq!(at(30), format!("load {}{} 30 min of 1 h: 150/s", "█".repeat(12), "░".repeat(12)));
        assert_eq!(at(60), format!("load {} 1 h of 1 h: 150/s", "█".repeat(24)));
        assert_eq!([time(Duration::from_secs(90)), time(Duration::from_hours(25))], ["1 min 30 s", "25 h"]);
    }
}
