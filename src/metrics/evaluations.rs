//! How long evaluations take in one worker.

use std::time::Duration;

use super::histogram::{Distribution, Histogram};

/// The upper bounds of the buckets in microseconds, inclusive: 5 µs to 1 s.
const BOUNDS_US: [u64; 16] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// Durations of evaluations, from the look-up that missed in the worker's cache to the verdict.
#[derive(Debug)]
pub struct EvaluationTimes {
    /// Verdicts that this worker evaluated.
    evaluated: Histogram,
    /// Verdicts of other nodes, found in the shared cache.
    shared: Histogram,
}

/// The sums over all workers.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationTotals {
    /// Verdicts that this process evaluated.
    pub evaluated: Distribution,
    /// Verdicts of other nodes, found in the shared cache.
    pub shared: Distribution,
}

impl Default for EvaluationTimes {
    fn default() -> Self {
        Self { evaluated: Histogram::with_bounds(&BOUNDS_US), shared: Histogram::with_bounds(&BOUNDS_US) }
    }
}

impl Default for EvaluationTotals {
    fn default() -> Self {
        let nothing = EvaluationTimes::default();
        Self { evaluated: nothing.evaluated.distribution(), shared: nothing.shared.distribution() }
    }
}

impl EvaluationTimes {
    /// Counts verdicts that were evaluated together, each with the time that all of them took.
    pub fn evaluated(&self, verdicts: usize, took: Duration) {
        (0..verdicts).for_each(|_| self.evaluated.record(took));
    }

    /// Counts verdicts that were found together in the shared cache.
    pub fn shared(&self, verdicts: usize, took: Duration) {
        (0..verdicts).for_each(|_| self.shared.record(took));
    }

    pub(super) fn add_to(&self, totals: &mut EvaluationTotals) {
        totals.evaluated.add(&self.evaluated);
        totals.shared.add(&self.shared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_of_microseconds_are_told_apart_and_added_up() {
        let (workers, mut totals) =
            ([EvaluationTimes::default(), EvaluationTimes::default()], EvaluationTotals::default());
        for worker in &workers {
            worker.evaluated(2, Duration::from_micros(7));
            worker.shared(1, Duration::from_micros(300));
        }
        for worker in &workers {
            worker.add_to(&mut totals);
        }
        let counted =
            |found: &Distribution| -> Vec<_> { found.buckets().into_iter().filter(|(_, count)| *count > 0).collect() };
        assert_eq!(counted(&totals.evaluated), [(0.000_01, 4)]);
        assert_eq!(counted(&totals.shared), [(0.000_5, 2)]);
    }
}
