//! Hit rates of the caches, for each tier and overall.
//!
//! Each worker has counters of its own, on a cache line to which no other thread writes. They are summed from time to
//! time; the difference of two sums counts the lookups in between.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::actors::cache::service_cache::SharedVerdicts;

/// How many looks there are in a window: its edge is this exact.
const SAMPLES: u32 = 60;
/// The shortest time between two looks.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// The counters of one worker, on a cache line of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct HitCounters {
    /// Look-ups of verdicts in the worker's own cache.
    pub l1: Count,
    /// Look-ups of entities in the cache of the process. Types without stored entities are not looked up.
    pub l3: Count,
    /// Decisions: a hit is one without a database query. Decisions that bypass the caches, and those settled before any
    /// look-up, such as by a wrong hash, are not counted.
    pub overall: Count,
}

/// Hits and misses.
#[derive(Debug, Default)]
pub struct Count {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Count {
    /// Adds hits and misses.
    pub fn add(&self, hits: usize, misses: usize) {
        self.hits.fetch_add(hits as u64, Ordering::Relaxed);
        self.misses.fetch_add(misses as u64, Ordering::Relaxed);
    }

    fn get(&self) -> HitRate {
        HitRate { hits: self.hits.load(Ordering::Relaxed), misses: self.misses.load(Ordering::Relaxed) }
    }
}

/// Hits and misses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HitRate {
    /// Look-ups that found a value.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
}

impl HitRate {
    /// The hit rate in percent; `None` without any look-up.
    #[must_use]
    pub fn percent(self) -> Option<f64> {
        let all = self.hits + self.misses;
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than the 53 bits that it keeps")]
        (all > 0).then(|| self.hits as f64 * 100.0 / all as f64)
    }

    fn plus(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, misses: self.misses + other.misses }
    }

    /// The look-ups since an earlier count.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let hits = self.hits.saturating_sub(other.hits);
        Self { hits, misses: self.misses.saturating_sub(other.misses) }
    }
}

/// The shares of all tiers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierRates {
    /// Verdicts in the workers' own caches.
    pub l1: HitRate,
    /// Verdicts in the cache of the fleet.
    pub l2: HitRate,
    /// Entities in the cache of the process.
    pub l3: HitRate,
    /// Decisions for which the database was not asked.
    pub overall: HitRate,
}

impl TierRates {
    fn each(self, other: Self, by: fn(HitRate, HitRate) -> HitRate) -> Self {
        Self {
            l1: by(self.l1, other.l1),
            l2: by(self.l2, other.l2),
            l3: by(self.l3, other.l3),
            overall: by(self.overall, other.overall),
        }
    }
}

/// Sums at several times, of which the oldest is at the begin of the window.
#[derive(Debug)]
struct RollingWindow {
    window: Duration,
    samples: VecDeque<(Instant, TierRates)>,
}

impl RollingWindow {
    fn new(window: Duration) -> Self {
        Self { window, samples: VecDeque::new() }
    }

    /// Keeps the sums of a moment, and one moment from before the window.
    fn note(&mut self, now: Instant, sums: TierRates) {
        self.samples.push_back((now, sums));
        while self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= self.window) {
            self.samples.pop_front();
        }
    }

    /// The hit rates in the window that ends now.
    fn recent(&self, now: Instant, sums: TierRates) -> TierRates {
        let is_before = |(at, _): &&(Instant, TierRates)| now.duration_since(*at) >= self.window;
        // Nothing is from before the window: all of it is in.
        let before = self.samples.iter().rev().find(is_before).map(|(_, sums)| *sums).unwrap_or_default();
        sums.each(before, HitRate::minus)
    }
}

/// The counters of all workers; shared by all clones.
#[derive(Clone)]
pub struct HitRates(Arc<State>);

struct State {
    workers: Mutex<Vec<Arc<HitCounters>>>,
    /// None: there is no such tier.
    verdicts: Option<SharedVerdicts>,
    samples: Mutex<RollingWindow>,
}

impl HitRates {
    /// Counts over a sliding window. Needs a running actix system, which it looks with until its end.
    #[must_use]
    pub fn start(window: Duration, verdicts: Option<SharedVerdicts>) -> Self {
        let samples = Mutex::new(RollingWindow::new(window));
        let rates = Self(Arc::new(State { workers: Mutex::default(), verdicts, samples }));
        let (own, pause) = (rates.clone(), (window / SAMPLES).max(SAMPLE_INTERVAL));
        actix::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                own.look();
            }
        });
        rates
    }

    /// The counters for one more worker.
    #[must_use]
    pub fn worker(&self) -> Arc<HitCounters> {
        let counters = Arc::<HitCounters>::default();
        self.0.workers.lock().push(Arc::clone(&counters));
        counters
    }

    /// The counts since the start.
    #[must_use]
    pub fn total(&self) -> TierRates {
        let workers = self.0.workers.lock();
        let count = |counters: &Arc<HitCounters>| TierRates {
            l1: counters.l1.get(),
            l2: HitRate::default(),
            l3: counters.l3.get(),
            overall: counters.overall.get(),
        };
        let sums = workers.iter().map(count).fold(TierRates::default(), |sums, more| sums.each(more, HitRate::plus));
        let l2 = self.0.verdicts.as_ref().map(SharedVerdicts::share).unwrap_or_default();
        TierRates { l2, ..sums }
    }

    /// The counts in the window that ends now.
    #[must_use]
    pub fn recent(&self) -> TierRates {
        let sums = self.total();
        self.0.samples.lock().recent(Instant::now(), sums)
    }

    fn look(&self) {
        let sums = self.total();
        self.0.samples.lock().note(Instant::now(), sums);
    }
}

impl fmt::Debug for HitRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HitRates").field(&self.total()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overall(hits: u64, misses: u64) -> TierRates {
        TierRates { overall: HitRate { hits, misses }, ..TierRates::default() }
    }

    #[test]
    fn a_share_of_nothing_is_none() {
        let percent = |hits, misses| HitRate { hits, misses }.percent();
        assert_eq!(
            [percent(0, 0), percent(0, 3), percent(3, 1), percent(2, 0)],
            [None, Some(0.0), Some(75.0), Some(100.0)]
        );
    }

    #[test]
    fn only_what_happened_in_the_window_counts() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut samples = RollingWindow::new(Duration::from_mins(1));
        assert_eq!(samples.recent(at(5), overall(3, 1)), overall(3, 1), "nothing was looked at before");
        for (second, hits) in [(10, 4), (20, 10), (30, 10), (40, 11)] {
            samples.note(at(second), overall(hits, 1));
        }
        assert_eq!(samples.recent(at(69), overall(12, 5)), overall(12, 5), "the window reaches to the start");
        assert_eq!(samples.recent(at(70), overall(12, 5)), overall(8, 4), "what was counted by second 10 is out");
        assert_eq!(samples.recent(at(95), overall(12, 5)), overall(2, 4), "what was counted by second 30 is out");
        assert_eq!(samples.recent(at(1000), overall(12, 5)), overall(1, 4));
    }

    #[test]
    fn no_more_is_kept_than_the_window_needs() {
        let began = Instant::now();
        let mut samples = RollingWindow::new(Duration::from_mins(1));
        for second in 0..1000 {
            samples.note(began + Duration::from_secs(second), overall(second, 0));
            assert_eq!(
                samples.recent(began + Duration::from_secs(second), overall(second, 0)),
                overall(second.min(60), 0)
            );
            assert!(samples.samples.len() <= 61);
        }
    }

    #[actix::test]
    async fn all_workers_count_together() {
        let rates = HitRates::start(Duration::from_mins(5), None);
        let (one, other) = (rates.worker(), rates.clone().worker());
        one.l1.add(2, 1);
        other.l1.add(1, 0);
        other.overall.add(0, 4);
        let expected = TierRates { l1: HitRate { hits: 3, misses: 1 }, ..overall(0, 4) };
        assert_eq!((rates.total(), rates.recent()), (expected, expected));
        rates.look();
        assert_eq!(rates.recent(), expected, "a look alone moves nothing out of the window");
    }
}
