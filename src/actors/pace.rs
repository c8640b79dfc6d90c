//! How closely syncs follow each other: under load they keep an interval, so that each of them serves several records.

use std::time::{Duration, Instant};

/// So many records are worth a sync of their own, however recent the last one is.
pub const WORTH_A_SYNC: u32 = 8;

/// Of the last 32 syncs so many have to have been overtaken by records for the interval to be kept: a quarter, which
/// callers who come by chance reach where the interval brings some of them together.
const OVERTAKEN: u32 = 8;

/// The pace of syncs, whose order is [`Pace::rest`], [`Pace::begin`], [`Pace::end`].
///
/// The interval is kept only where callers overlap. One who asks again only after an answer would wait in vain, since
/// nobody joins in meanwhile, and so would most of those who come seldom. Whether records come while a sync runs tells.
/// A few callers who ask again at once fall into step while the interval is kept, so that nobody overtakes: they are
/// served with it and without it by turns, and either is right for them.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    /// When the last sync began.
    began: Instant,
    /// A bit for each of the last 32 syncs: whether records came while it ran.
    overtaken: u32,
}

impl Pace {
    /// The pace of a log that was not synced yet.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, began: Instant::now(), overtaken: 0 }
    }

    /// Until when a sync is put off while fewer than [`WORTH_A_SYNC`] records wait; `None` where it is not put off.
    #[must_use]
    pub fn rest(&self) -> Option<Instant> {
        (self.overtaken.count_ones() >= OVERTAKEN).then(|| self.began + self.interval)
    }

    /// A sync begins.
    pub fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// It ended, and either records came meanwhile or none did.
    pub fn end(&mut self, overtaken: bool) {
        self.overtaken = self.overtaken << 1 | u32::from(overtaken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pace after syncs of which every n-th was overtaken.
    fn after(syncs: u32, every: u32) -> Pace {
        let mut pace = Pace::new(Duration::from_millis(1));
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
