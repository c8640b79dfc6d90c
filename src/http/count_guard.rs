//! Counts things in progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One of the things that a counter counts. It counts until it is dropped.
#[derive(Debug)]
pub(super) struct CountGuard(Arc<AtomicUsize>);

impl CountGuard {
    /// Counts one more; returns how many were counted before.
    pub(super) fn new(counter: &Arc<AtomicUsize>) -> (Self, usize) {
        let before = counter.fetch_add(1, Ordering::Relaxed);
        (Self(Arc::clone(counter)), before)
    }

    /// Counts one more, unless `limit` are counted already.
    pub(super) fn within(counter: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let (guard, before) = Self::new(counter);
        (before < limit).then_some(guard)
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_counts_until_it_is_dropped_and_a_refused_one_does_not() {
        let counter = Arc::default();
        let first = CountGuard::within(&counter, 2);
        let second = CountGuard::within(&counter, 2);
        assert!(first.is_some() && second.is_some() && CountGuard::within(&counter, 2).is_none());
        assert_eq!(counter.load(Ordering::Relaxed), 2);
        drop(first);
        assert!(CountGuard::within(&counter, 2).is_some());
        assert_eq!(counter.load(Ordering::Relaxed), 1);
    }
}
