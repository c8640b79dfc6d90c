//! The progress of a load, as other threads see it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the load began, and the newest percentile.
#[derive(Debug, Default)]
pub struct Live {
    answered: AtomicU64,
    failed: AtomicU64,
    /// The 99th percentile of the newest interval, in microseconds.
    p99_us: AtomicU64,
}

impl Live {
    /// Shows counts.
    pub(super) fn show(&self, answered: u64, failed: u64) {
        self.answered.store(answered, Ordering::Relaxed);
        self.failed.store(failed, Ordering::Relaxed);
    }

    /// Shows a percentile.
    pub(super) fn show_p99(&self, us: u64) {
        self.p99_us.store(us, Ordering::Relaxed);
    }

    /// Good answers.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Failures.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// The 99th percentile of the newest interval, in milliseconds; none before the first
    /// interval with an answer has ended.
    #[must_use]
    pub fn p99_ms(&self) -> Option<f64> {
        let us = u32::try_from(self.p99_us.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        (us > 0).then(|| f64::from(us) / 1e3)
    }
}
