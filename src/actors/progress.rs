//! Tells an operation that hangs from one that works, by the time for which it has been running.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// An operation that has been running for this long counts as hanging. Slow disks and databases answer sooner, and
/// readiness reports it within two seconds.
pub(super) const STALLED: Duration = Duration::from_secs(1);

/// The operation in progress on one thread, observed by others.
#[derive(Debug)]
pub(in crate::actors) struct Progress {
    base: Instant,
    /// Milliseconds from `base` to the begin of the operation, plus 1; 0 while none runs.
    began: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { base: Instant::now(), began: AtomicU64::new(0) }
    }
}

impl Progress {
    /// Runs an operation that may hang.
    pub(in crate::actors) fn during<T>(&self, operation: impl FnOnce() -> T) -> T {
        let since = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.began.store(since.saturating_add(1), Ordering::Relaxed);
        let done = operation();
        self.began.store(0, Ordering::Relaxed);
        done
    }

    /// Whether an operation is in progress and has been running for [`STALLED`].
    pub(super) fn is_stalled(&self) -> bool {
        let began = self.began.load(Ordering::Relaxed);
        began > 0 && self.base.elapsed().saturating_sub(Duration::from_millis(began)) >= STALLED
    }
}
