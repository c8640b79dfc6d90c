//! Durations with three significant digits, up to a minute: recorded without a lock, and their quantiles.
//!
//! Buckets are laid out as in `HdrHistogram`: one microsecond each up to 2,047 µs, and 1,024 for each power of two
//! above that, so that no bucket is wider than a thousandth of its values.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The longest duration that is told apart from longer ones, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// The number of buckets of one microsecond each.
const UNIT_BUCKETS: usize = 2_048;

/// The number of buckets for each power of two above those.
const STEPS: usize = UNIT_BUCKETS / 2;

/// The number of all buckets: powers of two from 2^11 to 2^25 µs, the last one up to [`LONGEST_US`].
const BUCKETS: usize = UNIT_BUCKETS + 14 * STEPS + 808;

/// The durations of one thread, or of several, not yet [drained](Self::drain).
#[derive(Debug)]
pub struct LatencyRecorder(Box<[AtomicU32]>);

/// Buckets with their numbers of durations; a bucket occurs once for each thread that recorded into it.
pub type BucketCounts = Vec<(u16, u32)>;

/// Many durations.
#[derive(Debug, Clone)]
pub struct Latencies {
    counts: Box<[u64]>,
    total: u64,
}

impl Default for LatencyRecorder {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU32::new(0)).collect())
    }
}

impl LatencyRecorder {
    /// Counts a duration; one above a minute counts as a minute.
    pub fn record(&self, duration: Duration) {
        if let Some(count) = self.0.get(bucket(duration)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Moves all durations to `counts`. To be called by one thread at a time.
    pub fn drain(&self, counts: &mut BucketCounts) {
        for (place, count) in (0_u16..).zip(&self.0) {
            // Most are empty, and a load is cheaper than a swap.
            if count.load(Ordering::Relaxed) > 0 {
                counts.push((place, count.swap(0, Ordering::Relaxed)));
            }
        }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into(), total: 0 }
    }
}

impl Latencies {
    /// Adds durations.
    pub fn add(&mut self, counts: &BucketCounts) {
        for (place, count) in counts {
            if let Some(sum) = self.counts.get_mut(usize::from(*place)) {
                *sum += u64::from(*count);
                self.total += u64::from(*count);
            }
        }
    }

    /// Removes durations that were added before.
    pub fn subtract(&mut self, counts: &BucketCounts) {
        for (place, count) in counts {
            if let Some(sum) = self.counts.get_mut(usize::from(*place)) {
                let fewer = u64::from(*count).min(*sum);
                *sum -= fewer;
                self.total -= fewer;
            }
        }
    }

    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The duration that `percent` of all durations, 0 to 100, do not exceed, at most a thousandth too long; `None`
    /// without any durations.
    #[must_use]
    pub fn quantile(&self, percent: f64) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "more than 2^53 durations do not come up")]
        let wanted = (self.total as f64 * percent / 100.0).ceil().max(1.0);
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            #[expect(clippy::cast_precision_loss, reason = "as above")]
            let reached = seen as f64 >= wanted;
            reached
        });
        place.filter(|_| self.total > 0).map(longest_in)
    }
}

/// The bucket of a duration.
fn bucket(duration: Duration) -> usize {
    let us = u64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX).min(LONGEST_US);
    let bits = (u64::BITS - us.leading_zeros()) as usize;
    let shift = bits.saturating_sub(11);
    // `us >> shift` has at most 11 bits.
    let step = usize::try_from(us >> shift).unwrap_or(0);
    if shift == 0 { step } else { shift * STEPS + step }
}

/// The longest duration of a bucket.
fn longest_in(bucket: usize) -> Duration {
    if bucket < UNIT_BUCKETS {
        return Duration::from_micros(bucket as u64);
    }
    let shift = bucket / STEPS - 1;
    let step = (bucket % STEPS + STEPS) as u64;
    Duration::from_micros((((step + 1) << shift) - 1).min(LONGEST_US))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn a_bucket_is_no_wider_than_a_thousandth_of_its_values() {
        let mut last = None;
        for value in (0..5_000).chain((1..3_000).map(|step| step * 20_000)).chain([LONGEST_US, u64::MAX / 2_000]) {
            let place = bucket(us(value));
            let (longest, value) = (longest_in(place), us(value.min(LONGEST_US)));
            assert!(longest >= value && longest <= value + value / 1_000, "{value:?} {longest:?}");
            assert!(last.is_none_or(|last| place >= last) && place < BUCKETS, "{value:?} {place}");
            last = Some(place);
        }
        assert_eq!(last, Some(BUCKETS - 1));
        assert_eq!(bucket(Duration::from_nanos(1_001)), 2);
    }

    #[test]
    fn quantiles_are_those_of_the_durations_that_are_in() {
        let recorder = LatencyRecorder::default();
        (1..=1_000).for_each(|value| recorder.record(us(value)));
        let drain = || {
            let mut counts = BucketCounts::new();
            recorder.drain(&mut counts);
            counts
        };
        let first = drain();
        assert_eq!((first.len(), drain()), (1_000, BucketCounts::new()));
        let mut all = Latencies::default();
        assert_eq!((all.quantile(50.0), all.count()), (None, 0));
        all.add(&first);
        let quantiles = [0.0, 50.0, 99.0, 99.95, 100.0].map(|percent| all.quantile(percent));
        assert_eq!(quantiles, [1, 500, 990, 1_000, 1_000].map(|value| Some(us(value))));
        recorder.record(us(70_000_000));
        let second = drain();
        all.add(&second);
        assert_eq!((all.quantile(100.0), all.count()), (Some(us(LONGEST_US)), 1_001));
        all.subtract(&first);
        assert_eq!((all.quantile(0.0), all.count()), (Some(us(LONGEST_US)), 1));
    }
}
