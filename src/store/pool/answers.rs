//! Tells a database that hangs from one that is busy: the latter still answers some callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Since when callers have been waiting without any answer to any of them; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct Answers(Arc<Since>);

#[derive(Debug)]
struct Since {
    base: Instant,
    /// Milliseconds from `base` plus 1 to the first unanswered request; 0 if the last request was answered.
    since: AtomicU64,
}

impl Default for Since {
    fn default() -> Self {
        Self { base: Instant::now(), since: AtomicU64::new(0) }
    }
}

impl Answers {
    /// A database that has answered no caller for this long hangs. It is a little shorter than the timeout of a probe of
    /// the database, so that a probe that got no answer finds that it hangs.
    pub const HANGS_AFTER: Duration = Duration::from_millis(900);

    /// Notes that a caller asks.
    pub(super) fn asked(&self) {
        if self.0.since.load(Ordering::Relaxed) == 0 {
            let now = u64::try_from(self.0.base.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            // An earlier request has already set it.
            let _ = self.0.since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Notes that a caller was answered.
    pub(super) fn answered(&self) {
        self.0.since.store(0, Ordering::Relaxed);
    }

    /// How long no caller has been answered; zero if none waits.
    #[must_use]
    pub fn unanswered_for(&self) -> Duration {
        match self.0.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.0.base.elapsed().saturating_sub(Duration::from_millis(since)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_and_is_not_answered_waits() {
        let answers = Answers::default();
        assert_eq!(answers.unanswered_for(), Duration::ZERO);
        answers.asked();
        let asked = Instant::now();
        while answers.unanswered_for() < Duration::from_millis(3) {
            assert!(asked.elapsed() < Duration::from_secs(30));
        }
        answers.answered();
        assert_eq!(answers.unanswered_for(), Duration::ZERO);
    }
}
