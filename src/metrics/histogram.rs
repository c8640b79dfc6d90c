//! Histograms of durations with fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::exemplars::Exemplars;

/// The upper bounds of the buckets in microseconds, inclusive: 100 µs to 10 s. One more bucket has no bound.
const BOUNDS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// The upper bounds of a histogram's buckets in microseconds, ascending.
pub(super) type Bounds = [u64; BOUNDS_US.len()];

/// A histogram of durations, recorded by any thread.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static Bounds,
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

/// The contents of histograms at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    bounds: &'static Bounds,
    buckets: [u64; BOUNDS_US.len() + 1],
    sum_ns: u64,
    /// Requests in the buckets.
    pub(super) exemplars: Exemplars,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::with_bounds(&BOUNDS_US)
    }
}

impl Default for Distribution {
    fn default() -> Self {
        Self { bounds: &BOUNDS_US, buckets: Default::default(), sum_ns: 0, exemplars: Exemplars::default() }
    }
}

impl Histogram {
    /// A histogram with these buckets.
    pub(super) fn with_bounds(bounds: &'static Bounds) -> Self {
        Self { bounds, buckets: Default::default(), sum_ns: AtomicU64::default() }
    }

    /// Counts a duration.
    pub fn record(&self, duration: Duration) {
        if let Some(count) = self.buckets.get(bucket(self.bounds, duration)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_ns.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The present contents. A duration that is recorded meanwhile may be in the buckets and not yet in the sum.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        let mut found = Distribution { bounds: self.bounds, ..Distribution::default() };
        found.add(self);
        found
    }
}

/// The number of the bucket for a duration.
fn bucket(bounds: &Bounds, duration: Duration) -> usize {
    let us = duration.as_nanos().div_ceil(1_000);
    bounds.partition_point(|bound| u128::from(*bound) < us)
}

/// The number of the bucket for a duration, in a histogram with the usual bounds.
pub(super) fn usual_bucket(duration: Duration) -> usize {
    bucket(&BOUNDS_US, duration)
}

impl Distribution {
    /// Adds the contents of a histogram with the same buckets.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, count) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum += count.load(Ordering::Relaxed);
        }
        self.sum_ns = self.sum_ns.wrapping_add(histogram.sum_ns.load(Ordering::Relaxed));
    }

    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum in seconds.
    #[must_use]
    pub fn sum_s(&self) -> f64 {
        Duration::from_nanos(self.sum_ns).as_secs_f64()
    }

    /// The buckets: upper bounds in seconds, the last one infinite, each with the number of durations in that bucket
    /// alone.
    #[must_use]
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().map(|us| Duration::from_micros(*us).as_secs_f64());
        bounds.chain([f64::INFINITY]).zip(self.buckets).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_bucket_that_has_room_for_it() {
        let histogram = Histogram::default();
        for us in [0, 100, 101, 10_000_000, 10_000_001] {
            histogram.record(Duration::from_micros(us));
        }
        histogram.record(Duration::from_nanos(100_001));
        let found = histogram.distribution();
        let counted: Vec<_> = found.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(0.000_1, 2), (0.000_25, 2), (10.0, 1), (f64::INFINITY, 1)]);
        assert_eq!(found.count(), 6);
        assert!((found.sum_s() - 20.000_302).abs() < 1e-6, "{}", found.sum_s());
    }

    #[test]
    fn the_contents_of_several_histograms_are_added() {
        let (one, other) = (Histogram::default(), Histogram::default());
        one.record(Duration::from_millis(1));
        other.record(Duration::from_millis(2));
        let mut both = one.distribution();
        both.add(&other);
        assert_eq!((both.count(), both.sum_s()), (2, 0.003));
    }
}
