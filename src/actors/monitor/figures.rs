//! The figures of the last seconds and minutes, from the readings.

use std::time::{Duration, Instant};

use super::denial_history::DenialHistory;
use super::disk_growth::DiskGrowth;
use super::readings::Readings;
use crate::actors::cache::hit_rates::HitRate;
use crate::metrics::{Latencies, RollingCount, RollingLatencies};

/// The window of most figures, in seconds.
pub(super) const MINUTE: usize = 60;

/// The window of compliance, in seconds.
pub(super) const COMPLIANCE_WINDOW: usize = 60;

/// For so many seconds a jump of the clock counts as new.
const CLOCK_WINDOW: usize = 60;

/// Figures; each [`push`](Self::push) is a second.
#[derive(Debug)]
pub(super) struct Figures {
    started: Instant,
    pub(super) now: Readings,
    pub(super) decisions: RollingLatencies,
    pub(super) tokens: RollingLatencies,
    pub(super) commits: RollingLatencies,
    pub(super) permitted: RollingCount,
    pub(super) denied: RollingCount,
    pub(super) undecided: RollingCount,
    pub(super) records: RollingCount,
    pub(super) refused_credentials: RollingCount,
    pub(super) clock_jumps: RollingCount,
    pub(super) compliance: Compliance,
    pub(super) denials: DenialHistory,
    pub(super) disk: DiskGrowth,
    /// CPU seconds at the last two readings.
    cpu: [Option<f64>; 2],
    last: Instant,
    /// The time between the last two readings.
    interval: Duration,
    /// The look-ups of the last second.
    pub(super) hits: LastLookups,
    unsigned_since: Option<Instant>,
}

/// Decisions and comparisons of the compliance window, and those that failed.
#[derive(Debug)]
pub(super) struct Compliance {
    decided: RollingCount,
    unlawful: RollingCount,
    compared: RollingCount,
    disagreed: RollingCount,
}

/// Look-ups in the last second, by tier.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastLookups {
    pub(super) l1: HitRate,
    pub(super) l2: HitRate,
    pub(super) l3: HitRate,
    pub(super) overall: HitRate,
}

impl Figures {
    /// With the first readings.
    pub(super) fn new(mut first: Readings) -> Self {
        // Of records from before nothing is known, so their commits do not count.
        first.commit_latencies.clear();
        let minute = || RollingCount::new(MINUTE);
        let mut figures = Self {
            started: Instant::now(),
            decisions: RollingLatencies::new(MINUTE),
            tokens: RollingLatencies::new(MINUTE),
            commits: RollingLatencies::new(MINUTE),
            permitted: minute(),
            denied: minute(),
            undecided: minute(),
            records: RollingCount::starting_at(MINUTE, first.records),
            refused_credentials: minute(),
            clock_jumps: RollingCount::new(CLOCK_WINDOW),
            compliance: Compliance::new(),
            denials: DenialHistory::default(),
            disk: DiskGrowth::default(),
            cpu: [None; 2],
            last: Instant::now(),
            interval: Duration::from_secs(1),
            hits: LastLookups::default(),
            unsigned_since: None,
            now: first.clone(),
        };
        figures.push(first);
        figures
    }

    /// Adds the readings of one more second.
    pub(super) fn push(&mut self, mut now: Readings) {
        self.interval = self.last.elapsed().max(Duration::from_millis(1));
        self.last = Instant::now();
        self.decisions.push(std::mem::take(&mut now.decision_latencies));
        self.tokens.push(std::mem::take(&mut now.token_latencies));
        self.commits.push(std::mem::take(&mut now.commit_latencies));
        self.permitted.push(now.permitted);
        self.denied.push(now.denied);
        self.undecided.push(now.undecided);
        self.records.push(now.records);
        self.refused_credentials.push(now.refused_credentials);
        self.clock_jumps.push(now.clock_jumps);
        self.compliance.push(&now);
        self.denials.push(now.at, now.denied);
        self.disk.push(now.disk);
        self.cpu = [self.cpu[1], now.process.cpu_s];
        let before = self.now.lookups;
        self.hits = LastLookups {
            l1: now.lookups.l1.minus(before.l1),
            l2: now.lookups.l2.minus(before.l2),
            l3: now.lookups.l3.minus(before.l3),
            overall: now.lookups.overall.minus(before.overall),
        };
        let is_signed = now.checkpointed >= now.records || now.checkpointed > self.now.checkpointed;
        self.unsigned_since = if is_signed { None } else { self.unsigned_since.or(Some(Instant::now())) };
        self.now = now;
    }

    /// The time since the start.
    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The share of all processors that the process used since the last readings, in percent.
    pub(super) fn cpu_percent(&self) -> Option<f64> {
        let [Some(before), Some(now)] = self.cpu else { return None };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cores = f64::from(u32::try_from(cores).unwrap_or(u32::MAX));
        Some((now - before).max(0.0) * 100.0 / self.interval.as_secs_f64() / cores)
    }

    /// Requests for decisions in a second, answered or not; of the last minute.
    pub(super) fn offered(&self) -> f64 {
        self.answered() + self.undecided.per_second()
    }

    /// Decisions in a second, of the last minute.
    pub(super) fn answered(&self) -> f64 {
        self.permitted.per_second() + self.denied.per_second()
    }

    /// Records in a commit, of the last minute.
    pub(super) fn commit_batch(&self) -> Option<f64> {
        average(self.records.recent(), self.commits.recent())
    }

    /// Records in a commit, of the last second.
    pub(super) fn last_commit_batch(&self) -> Option<f64> {
        average(self.records.increase(1), &self.commits.last())
    }

    /// For how many seconds records have been without a checkpoint, if none was made meanwhile.
    pub(super) fn unsigned_s(&self) -> f64 {
        self.unsigned_since.map_or(0.0, |since| since.elapsed().as_secs_f64())
    }

    /// The utilisation of the pool that is used most, in percent.
    pub(super) fn pool_utilization(&self) -> Option<f64> {
        let used = self
            .now
            .pools
            .iter()
            .map(|pool| f64::from(pool.stats.busy()) * 100.0 / f64::from(pool.stats.capacity().max(1)));
        used.reduce(f64::max)
    }
}

fn average(records: u64, commits: &Latencies) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
    let (records, commits) = (records as f64, commits.count() as f64);
    (commits > 0.0).then(|| records / commits)
}

impl Compliance {
    fn new() -> Self {
        let count = || RollingCount::new(COMPLIANCE_WINDOW);
        Self { decided: count(), unlawful: count(), compared: count(), disagreed: count() }
    }

    fn push(&mut self, now: &Readings) {
        let counted = &now.compliance;
        self.decided.push(counted.decided);
        self.unlawful.push(counted.unlawful());
        self.compared.push(counted.compared);
        self.disagreed.push(counted.disagreed);
    }

    /// The share of decisions that comply, in percent: made under the constitution in force and recorded, times the
    /// share of the compared ones that were decided in the same way without caches. `None` without any decision.
    pub(super) fn percent(&self) -> Option<f64> {
        let share = |all: &RollingCount, wrong: &RollingCount| {
            #[expect(clippy::cast_precision_loss, reason = "counts of minutes")]
            let (all, wrong) = (all.recent() as f64, wrong.recent() as f64);
            if all > 0.0 { (1.0 - wrong / all).max(0.0) } else { 1.0 }
        };
        let lawful = share(&self.decided, &self.unlawful) * share(&self.compared, &self.disagreed);
        (self.decided.recent() > 0).then_some(lawful * 100.0)
    }
}
