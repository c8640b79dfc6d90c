//! How long it pays to wait for a connection that is open, before another one is opened.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Opening a connection is never cheaper than this.
const LEAST: Duration = Duration::from_millis(1);
/// The longest delay before an overflow connection is opened.
const MAX_DELAY: Duration = Duration::from_millis(20);
/// The newest measurement has a weight of one in this number.
const WEIGHT: u64 = 8;

/// The running average of how long connections are held.
#[derive(Debug)]
pub(super) struct OverflowDelay {
    size: u64,
    /// In nanoseconds.
    held: AtomicU64,
}

impl OverflowDelay {
    /// For a number of connections, without measurements yet.
    pub(super) fn new(size: u32) -> Self {
        Self { size: u64::from(size.max(1)), held: AtomicU64::new(0) }
    }

    /// Counts that a connection was held for `time`.
    pub(super) fn held(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2).min(u64::MAX / 2);
        // Of two at once one may be lost: it is an average.
        let before = self.held.load(Ordering::Relaxed);
        self.held.store(before - before / WEIGHT + time / WEIGHT, Ordering::Relaxed);
    }

    /// Twice the average time until a connection becomes free for a caller with `ahead` callers before it; 1 to 20 ms.
    pub(super) fn with_ahead(&self, ahead: usize) -> Duration {
        let turn = self.held.load(Ordering::Relaxed) / self.size;
        let places = u64::try_from(ahead).unwrap_or(u64::MAX).saturating_add(1);
        Duration::from_nanos(turn.saturating_mul(places).saturating_mul(2)).clamp(LEAST, MAX_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_what_is_measured_within_its_bounds() {
        let overflow_delay = OverflowDelay::new(4);
        assert_eq!(overflow_delay.with_ahead(0), LEAST);
        (0..200).for_each(|_| overflow_delay.held(Duration::from_millis(8)));
        let milliseconds = |ahead| overflow_delay.with_ahead(ahead).as_secs_f64() * 1000.0;
        assert!((milliseconds(0) - 4.0).abs() < 0.1, "{}", milliseconds(0));
        assert!((milliseconds(2) - 12.0).abs() < 0.1, "{}", milliseconds(2));
        assert_eq!([overflow_delay.with_ahead(9), overflow_delay.with_ahead(usize::MAX)], [MAX_DELAY; 2]);
        (0..200).for_each(|_| overflow_delay.held(Duration::from_micros(30)));
        assert_eq!(overflow_delay.with_ahead(3), LEAST);
        overflow_delay.held(Duration::MAX);
        assert_eq!(overflow_delay.with_ahead(0), MAX_DELAY);
    }
}
