//! How long jobs waited for their connections, without a lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The shortest window for which waiting times are collected.
pub const WINDOW: Duration = Duration::from_mins(1);

/// Four buckets for each power of two of microseconds, up to half an hour.
const BUCKETS: usize = 4 * 31;

/// Counts waiting times.
#[derive(Debug)]
pub(super) struct Waits {
    acquired: AtomicU64,
    waited: AtomicU64,
    /// In nanoseconds, as the longest is.
    total: AtomicU64,
    longest: AtomicU64,
    /// The halves of the window: one is written, both are read.
    halves: [[AtomicU64; BUCKETS]; 2],
    written: AtomicUsize,
}

/// The statistics of waiting times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WaitStats {
    /// Connections that were given to jobs.
    pub acquired: u64,
    /// The jobs that had to wait, including those that timed out.
    pub waited: u64,
    /// How long they waited, all together.
    pub total: Duration,
    /// The longest that one of them waited.
    pub longest: Duration,
    /// Half of all jobs of the last one or two minutes did not wait longer; a quarter too much at most.
    pub p50: Duration,
    /// 99 of 100 did not wait longer.
    pub p99: Duration,
}

impl Waits {
    pub(super) fn new() -> Self {
        let half = || std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            acquired: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            total: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            halves: [half(), half()],
            written: AtomicUsize::new(0),
        }
    }

    /// A job got its connection at once.
    pub(super) fn none(&self) {
        self.acquired.fetch_add(1, Ordering::Relaxed);
        self.count(0);
    }

    /// Counts a job that got its connection after `time`.
    pub(super) fn waited(&self, time: Duration) {
        self.acquired.fetch_add(1, Ordering::Relaxed);
        self.timed_out(time);
    }

    /// Counts a job that timed out after `time`.
    pub(super) fn timed_out(&self, time: Duration) {
        self.waited.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.total.fetch_add(nanos, Ordering::Relaxed);
        self.longest.fetch_max(nanos, Ordering::Relaxed);
        self.count(bucket(time));
    }

    /// Forgets the older half of the window and begins a new one. To be called by one, each [`WINDOW`].
    pub(super) fn turn(&self) {
        let next = 1 - self.written.load(Ordering::Relaxed).min(1);
        for count in self.halves.get(next).into_iter().flatten() {
            count.store(0, Ordering::Relaxed);
        }
        self.written.store(next, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> WaitStats {
        let [a, b] = &self.halves;
        let counts = a.iter().zip(b).map(|(a, b)| a.load(Ordering::Relaxed) + b.load(Ordering::Relaxed));
        let counts = counts.collect::<Vec<_>>();
        WaitStats {
            acquired: self.acquired.load(Ordering::Relaxed),
            waited: self.waited.load(Ordering::Relaxed),
            total: Duration::from_nanos(self.total.load(Ordering::Relaxed)),
            longest: Duration::from_nanos(self.longest.load(Ordering::Relaxed)),
            p50: quantile(&counts, 50),
            p99: quantile(&counts, 99),
        }
    }

    fn count(&self, bucket: usize) {
        let half = self.halves.get(self.written.load(Ordering::Relaxed));
        if let Some(count) = half.and_then(|half| half.get(bucket)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The bucket of a time that is not nothing.
fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    let power = micros.ilog2();
    // The two bits after the highest.
    let quarter = if power >= 2 { (micros >> (power - 2)) & 3 } else { (micros << (2 - power)) & 3 };
    let bucket = u64::from(power) * 4 + quarter;
    usize::try_from(bucket).unwrap_or(usize::MAX).clamp(1, BUCKETS - 1)
}

/// The longest time that falls into the bucket, in microseconds.
fn most(bucket: usize) -> u64 {
    if bucket == 0 {
        return 0;
    }
    let (power, quarter) = (bucket / 4, u64::try_from(bucket % 4).unwrap_or_default());
    ((5 + quarter) << power) / 4
}

fn quantile(counts: &[u64], percent: u64) -> Duration {
    let all = counts.iter().sum::<u64>();
    let wanted = (all * percent).div_ceil(100).max(1);
    let mut sum = 0;
    let reached = counts.iter().position(|count| {
        sum += count;
        sum >= wanted
    });
    Duration::from_micros(reached.map_or(0, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_a_quarter_too_long_at_most() {
        for micros in (1..5000).chain((5000..400_000_000).step_by(99_991)) {
            let found = most(bucket(Duration::from_micros(micros)));
            assert!(found >= micros && found <= micros + micros / 4 + 1, "{micros}: {found}");
        }
        let _ = bucket(Duration::MAX);
    }

    #[test]
    fn waits_are_counted_and_old_ones_are_forgotten() {
        let waits = Waits::new();
        (0..98).for_each(|_| waits.none());
        waits.waited(Duration::from_millis(4));
        waits.timed_out(Duration::from_millis(500));
        let stats = waits.stats();
        assert_eq!((stats.acquired, stats.waited), (99, 2));
        assert_eq!((stats.total, stats.longest), (Duration::from_millis(504), Duration::from_millis(500)));
        assert_eq!(stats.p50, Duration::ZERO);
        assert!((4..=5).contains(&stats.p99.as_millis()), "{:?}", stats.p99);
        waits.turn();
        assert_eq!(waits.stats(), stats);
        waits.turn();
        assert_eq!(waits.stats(), WaitStats { p99: Duration::ZERO, ..stats });
    }
}
