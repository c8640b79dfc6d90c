//! Durations and increases of counters of the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::latency::{BucketCounts, Latencies};

/// The durations of a window of time, and of all time.
#[derive(Debug)]
pub struct RollingLatencies {
    window: Duration,
    /// The durations of each interval, with the end of the interval.
    kept: VecDeque<(Instant, BucketCounts)>,
    recent: Latencies,
    all: Latencies,
}

impl RollingLatencies {
    /// Durations of the last `window`.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self { window, kept: VecDeque::new(), recent: Latencies::default(), all: Latencies::default() }
    }

    /// Adds the durations of the interval that ends at `at`.
    pub fn push(&mut self, at: Instant, counts: BucketCounts) {
        self.recent.add(&counts);
        self.all.add(&counts);
        self.kept.push_back((at, counts));
        while let Some((_, oldest)) = self.kept.pop_front_if(|(end, _)| *end + self.window <= at) {
            self.recent.subtract(&oldest);
        }
    }

    /// The durations of the window.
    #[must_use]
    pub fn recent(&self) -> &Latencies {
        &self.recent
    }

    /// All durations.
    #[must_use]
    pub fn all(&self) -> &Latencies {
        &self.all
    }

    /// The durations of the last interval.
    #[must_use]
    pub fn last(&self) -> Latencies {
        let mut last = Latencies::default();
        if let Some((_, counts)) = self.kept.back() {
            last.add(counts);
        }
        last
    }
}

/// The increase of a counter over a window of time.
#[derive(Debug)]
pub struct RollingCount {
    window: Duration,
    /// Values of the counter, with the times at which they were read; the oldest is from just before the window.
    kept: VecDeque<(Instant, u64)>,
}

impl RollingCount {
    /// The increase over the last `window` of a counter whose value was `first` at `at`.
    #[must_use]
    pub fn new(window: Duration, at: Instant, first: u64) -> Self {
        Self { window, kept: VecDeque::from([(at, first)]) }
    }

    /// Adds the value of the counter at `at`.
    pub fn push(&mut self, at: Instant, total: u64) {
        self.kept.push_back((at, total));
        while self.kept.get(1).is_some_and(|(next, _)| *next + self.window <= at) {
            self.kept.pop_front();
        }
    }

    /// The increase within the window.
    #[must_use]
    pub fn recent(&self) -> u64 {
        self.since(0).0
    }

    /// The increase between the last two readings.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.since(self.kept.len().saturating_sub(2)).0
    }

    /// The increase per second within the window, or within the shorter time since the first reading.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        rate(self.since(0))
    }

    /// The increase per second between the last two readings.
    #[must_use]
    pub fn last_per_second(&self) -> f64 {
        rate(self.since(self.kept.len().saturating_sub(2)))
    }

    /// The increase since a reading, and the time since then.
    fn since(&self, reading: usize) -> (u64, Duration) {
        let (Some(first), Some(last)) = (self.kept.get(reading), self.kept.back()) else { return Default::default() };
        (last.1.saturating_sub(first.1), last.0.saturating_duration_since(first.0))
    }
}

/// An increase per second. An increase within less than half a second, as of the first reading, counts as of a second.
fn rate((increase, elapsed): (u64, Duration)) -> f64 {
    let elapsed = if elapsed < Duration::from_millis(500) { Duration::from_secs(1) } else { elapsed };
    #[expect(clippy::cast_precision_loss, reason = "counts of minutes")]
    let increase = increase as f64;
    increase / elapsed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::super::latency::LatencyRecorder;
    use super::*;

    #[test]
    fn durations_leave_the_window_and_stay_in_all() {
        let (recorder, mut rolling) = (LatencyRecorder::default(), RollingLatencies::new(Duration::from_secs(2)));
        let drain = || {
            let mut counts = BucketCounts::new();
            recorder.drain(&mut counts);
            counts
        };
        let mut at = Instant::now();
        for ms in [9, 1, 2] {
            recorder.record(Duration::from_millis(ms));
            at += Duration::from_secs(1);
            rolling.push(at, drain());
        }
        let longest = |latencies: &Latencies| latencies.quantile(100.0).map(|duration| duration.as_millis());
        assert_eq!((longest(rolling.recent()), rolling.recent().count()), (Some(2), 2));
        assert_eq!((longest(rolling.all()), rolling.all().count()), (Some(9), 3));
        assert_eq!((longest(&rolling.last()), rolling.last().count()), (Some(2), 1));
        rolling.push(at + Duration::from_secs(1), drain());
        assert_eq!((longest(&rolling.last()), rolling.recent().count()), (None, 1));
        rolling.push(at + Duration::from_secs(30), drain());
        assert_eq!((rolling.recent().count(), rolling.all().count()), (0, 3), "after a late reading");
    }

    #[test]
    fn a_count_is_of_the_window() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut count = RollingCount::new(Duration::from_secs(3), start, 0);
        assert_eq!((count.recent(), count.per_second()), (0, 0.0));
        count.push(start, 10);
        assert_eq!((count.recent(), count.per_second(), count.last_per_second()), (10, 10.0, 10.0));
        for (second, total) in [(1, 10), (2, 10), (3, 40)] {
            count.push(at(second), total);
        }
        assert_eq!((count.recent(), count.last(), count.per_second()), (30, 30, 10.0));
    }

    #[test]
    fn a_rate_is_of_the_time_that_has_passed() {
        let start = Instant::now();
        let mut count = RollingCount::new(Duration::from_mins(1), start, 0);
        count.push(start + Duration::from_secs(10), 1_000);
        assert_eq!((count.per_second(), count.last_per_second()), (100.0, 100.0));
        count.push(start + Duration::from_secs(20), 1_100);
        assert_eq!((count.per_second(), count.last_per_second(), count.recent()), (55.0, 10.0, 1_100));
        count.push(start + Duration::from_secs(80), 1_100);
        assert_eq!((count.per_second(), count.recent()), (0.0, 0), "the window has passed");
    }
}
