//! Durations and sums of the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

use super::latency::{Counts, Latencies};

/// The durations of the last so many intervals, and of all intervals.
#[derive(Debug)]
pub struct RollingLatencies {
    intervals: usize,
    kept: VecDeque<Counts>,
    recent: Latencies,
    all: Latencies,
}

impl RollingLatencies {
    /// A window of so many intervals.
    #[must_use]
    pub fn new(intervals: usize) -> Self {
        Self { intervals, kept: VecDeque::new(), recent: Latencies::default(), all: Latencies::default() }
    }

    /// Adds the durations of one more interval.
    pub fn push(&mut self, counts: Counts) {
        self.recent.add(&counts);
        self.all.add(&counts);
        self.kept.push_back(counts);
        if self.kept.len() > self.intervals
            && let Some(oldest) = self.kept.pop_front()
        {
            self.recent.subtract(&oldest);
        }
    }

    /// Those of the window.
    #[must_use]
    pub fn recent(&self) -> &Latencies {
        &self.recent
    }

    /// Those of all intervals.
    #[must_use]
    pub fn all(&self) -> &Latencies {
        &self.all
    }

    /// Those of the last interval.
    #[must_use]
    pub fn last(&self) -> Latencies {
        let mut last = Latencies::default();
        if let Some(counts) = self.kept.back() {
            last.add(counts);
        }
        last
    }
}

/// The increase of a counter over the last so many intervals.
#[derive(Debug)]
pub struct RollingCount {
    intervals: usize,
    /// The counter at the end of each interval, the oldest from before the window.
    kept: VecDeque<u64>,
}

impl RollingCount {
    /// A window of so many intervals, of a counter that begins at 0.
    #[must_use]
    pub fn new(intervals: usize) -> Self {
        Self::starting_at(intervals, 0)
    }

    /// A window of so many intervals, of a counter that begins at another number.
    #[must_use]
    pub fn starting_at(intervals: usize, first: u64) -> Self {
        Self { intervals, kept: VecDeque::from([first]) }
    }

    /// Adds the value of the counter at the end of one more interval.
    pub fn push(&mut self, total: u64) {
        self.kept.push_back(total);
        if self.kept.len() > self.intervals + 1 {
            self.kept.pop_front();
        }
    }

    /// The increase within the window.
    #[must_use]
    pub fn recent(&self) -> u64 {
        self.increase(self.intervals)
    }

    /// The increase within the last so many intervals, at most the window.
    #[must_use]
    pub fn increase(&self, intervals: usize) -> u64 {
        let last = self.kept.back().copied().unwrap_or_default();
        let first = self.kept.len().saturating_sub(intervals + 1);
        last.saturating_sub(self.kept.get(first).copied().unwrap_or_default())
    }

    /// The increase per second within the window, of intervals of a second; of a shorter time after the start.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        let intervals = u32::try_from(self.kept.len().saturating_sub(1)).unwrap_or(u32::MAX).max(1);
        let recent = Duration::from_secs(self.recent());
        recent.as_secs_f64() / f64::from(intervals)
    }
}

#[cfg(test)]
mod tests {
    use super::super::latency::LatencyRecorder;
    use super::*;

    #[test]
    fn durations_leave_the_window_and_stay_in_all() {
        let (recorder, mut rolling) = (LatencyRecorder::default(), RollingLatencies::new(2));
        let drain = || {
            let mut counts = Counts::new();
            recorder.drain(&mut counts);
            counts
        };
        for ms in [9, 1, 2] {
            recorder.record(Duration::from_millis(ms));
            rolling.push(drain());
        }
        let longest = |latencies: &Latencies| latencies.quantile(100.0).map(|duration| duration.as_millis());
        assert_eq!((longest(rolling.recent()), rolling.recent().count()), (Some(2), 2));
        assert_eq!((longest(rolling.all()), rolling.all().count()), (Some(9), 3));
        assert_eq!((longest(&rolling.last()), rolling.last().count()), (Some(2), 1));
        rolling.push(drain());
        assert_eq!((longest(&rolling.last()), rolling.recent().count()), (None, 1));
    }

    #[test]
    fn a_count_is_of_the_window() {
        let mut count = RollingCount::new(3);
        assert_eq!((count.recent(), count.per_second()), (0, 0.0));
        count.push(10);
        assert_eq!((count.recent(), count.per_second()), (10, 10.0));
        for total in [10, 10, 40] {
            count.push(total);
        }
        assert_eq!((count.recent(), count.increase(1), count.per_second()), (30, 30, 10.0));
    }
}
