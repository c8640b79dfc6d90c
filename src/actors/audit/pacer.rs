//! How closely syncs follow each other: under load they keep an interval, so that each of them serves several records.

use std::time::{Duration, Instant};

/// This number of queued records is synced without waiting for the interval.
pub const WORTH_A_SYNC: u32 = 8;

/// The interval is kept if this number of the last 32 syncs had arrivals of records: a quarter, which independent
/// callers reach if the interval joins some of them.
const OVERTAKEN: u32 = 8;

/// Paces the syncs of the log; called in the order [`rest`](Self::rest), [`begin`](Self::begin), [`end`](Self::end).
///
/// The interval is kept only if callers overlap. A single caller that sends its next request after an answer would wait
/// in vain, since no other records join its sync, and so would most callers at a low rate. Records that arrive during a
/// sync show that callers overlap. A few callers that send requests at once after each answer synchronize with the
/// interval, and then no records arrive during a sync: the pace alternates between both modes, and either is right for
/// them.
#[derive(Debug)]
pub struct GroupCommitPacer {
    interval: Duration,
    /// When the last sync began.
    began: Instant,
    /// A bit for each of the last 32 syncs: whether records came while it ran.
    had_arrivals: u32,
}

impl GroupCommitPacer {
    /// The pace of a log that was not synced yet.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, began: Instant::now(), had_arrivals: 0 }
    }

    /// When the next sync may begin, as long as fewer than [`WORTH_A_SYNC`] records are queued; `None`: now.
    #[must_use]
    pub fn rest(&self) -> Option<Instant> {
        (self.had_arrivals.count_ones() >= OVERTAKEN).then(|| self.began + self.interval)
    }

    /// A sync begins.
    pub fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// It ended, and either records came meanwhile or none did.
    pub fn end(&mut self, had_arrivals: bool) {
        self.had_arrivals = self.had_arrivals << 1 | u32::from(had_arrivals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pace after syncs of which every n-th was overtaken.
    fn after(syncs: u32, every: u32) -> GroupCommitPacer {
        let mut pace = GroupCommitPacer::new(Duration::from_millis(1));
        for sync in 1..=syncs {
            pace.begin();
            pace.end(sync % every == 0);
        }
        pace
    }

    #[test]
    fn callers_who_overlap_wait_until_the_interval_is_over() {
        let pace = after(8, 1);
        assert_eq!(pace.rest(), Some(pace.began + Duration::from_millis(1)));
        assert!(after(100, 4).rest().is_some());
    }

    #[test]
    fn callers_who_seldom_overlap_do_not_wait() {
        assert_eq!(after(0, 1).rest(), None);
        assert_eq!(after(7, 1).rest(), None);
        assert_eq!(after(100, 5).rest(), None);
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        let mut pace = after(100, 1);
        for _ in 0..24 {
            assert!(pace.rest().is_some());
            pace.end(false);
        }
        pace.end(false);
        assert_eq!(pace.rest(), None);
    }
}
