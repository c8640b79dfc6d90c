//! Tells an operation that hangs from one that works: since when it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// An operation that runs this long counts as hanging: slow disks and databases answer sooner, and whoever asks for
/// readiness learns of it within two seconds.
pub(super) const STALLED: Duration = Duration::from_secs(1);

/// One thread's operation that may hang, for others to look at.
#[derive(Debug)]
pub(super) struct Progress {
    base: Instant,
    /// Milliseconds from the base to the begin of the operation, and one; 0 while none runs.
    began: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { base: Instant::now(), began: AtomicU64::new(0) }
    }
}

impl Progress {
    /// Runs an operation that may hang.
    pub(super) fn during<T>(&self, operation: impl FnOnce() -> T) -> T {
        let since = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.began.store(since.saturating_add(1), Ordering::Relaxed);
        let done = operation();
        self.began.store(0, Ordering::Relaxed);
        done
    }

    /// Whether the operation that runs now, if one does, hangs.
    pub(super) fn is_stalled(&self) -> bool {
        let began = self.began.load(Ordering::Relaxed);
        began > 0 && self.base.elapsed().saturating_sub(Duration::from_millis(began)) >= STALLED
    }
}
