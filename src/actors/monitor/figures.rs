//! The figures of the last seconds and minutes, from the readings.

use std::time::{Duration, Instant};

use super::compliance::ComplianceTotals;
use super::denial_history::DenialHistory;
use super::disk_growth::DiskGrowth;
use super::readings::Readings;
use crate::actors::cache::hit_rates::HitRate;
use crate::metrics::{Latencies, RollingCount, RollingLatencies};

/// The window of most figures.
pub(super) const WINDOW: Duration = Duration::from_mins(1);

/// The window of compliance.
pub(super) const COMPLIANCE_WINDOW: Duration = Duration::from_mins(1);

/// The time for which a jump of the clock counts as new.
const CLOCK_WINDOW: Duration = Duration::from_mins(1);

/// Figures of the last seconds and minutes, and the readings from which they were computed last.
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
    pub(super) compliance: ComplianceWindow,
    pub(super) denials: DenialHistory,
    pub(super) disk: DiskGrowth,
    /// CPU seconds at the last two readings.
    cpu: [Option<f64>; 2],
    /// The time between the last two readings.
    interval: Duration,
    /// The look-ups between the last two readings.
    pub(super) hits: LastLookups,
    unsigned_since: Option<Instant>,
}

/// Decisions and comparisons of the compliance window, and how many of them failed.
#[derive(Debug)]
pub(super) struct ComplianceWindow {
    decided: RollingCount,
    displaced: RollingCount,
    unrecorded: RollingCount,
    compared: RollingCount,
    disagreed: RollingCount,
}

/// Look-ups between the last two readings, by tier.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastLookups {
    pub(super) l1: HitRate,
    pub(super) l2: HitRate,
    pub(super) l3: HitRate,
    pub(super) overall: HitRate,
}

impl Figures {
    /// Figures of the first readings.
    pub(super) fn new(mut first: Readings) -> Self {
        // The log has records from before the start, so the commits of this process do not count yet.
        first.commit_latencies.clear();
        let start = first.read_at;
        let minute = || RollingCount::new(WINDOW, start, 0);
        let mut figures = Self {
            started: start,
            decisions: RollingLatencies::new(WINDOW),
            tokens: RollingLatencies::new(WINDOW),
            commits: RollingLatencies::new(WINDOW),
            permitted: minute(),
            denied: minute(),
            undecided: minute(),
            records: RollingCount::new(WINDOW, start, first.records),
            refused_credentials: minute(),
            clock_jumps: RollingCount::new(CLOCK_WINDOW, start, 0),
            compliance: ComplianceWindow::new(start),
            denials: DenialHistory::default(),
            disk: DiskGrowth::default(),
            cpu: [None; 2],
            interval: Duration::from_secs(1),
            hits: LastLookups::default(),
            unsigned_since: None,
            now: first.clone(),
        };
        figures.push(first);
        figures
    }

    /// Adds readings.
    pub(super) fn push(&mut self, mut now: Readings) {
        let at = now.read_at;
        self.interval = at.duration_since(self.now.read_at).max(Duration::from_millis(1));
        self.decisions.push(at, std::mem::take(&mut now.decision_latencies));
        self.tokens.push(at, std::mem::take(&mut now.token_latencies));
        self.commits.push(at, std::mem::take(&mut now.commit_latencies));
        self.permitted.push(at, now.permitted);
        self.denied.push(at, now.denied);
        self.undecided.push(at, now.undecided);
        self.records.push(at, now.records);
        self.refused_credentials.push(at, now.refused_credentials);
        self.clock_jumps.push(at, now.clock_jumps);
        self.compliance.push(at, &now.compliance);
        self.denials.push(now.at, now.denied);
        self.disk.push(at, now.disk);
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

    /// Decisions per second, and requests per second that failed without a decision, of the last minute. A failed
    /// request counts once, however many decisions it asked for.
    pub(super) fn offered(&self) -> f64 {
        self.answered() + self.undecided.per_second()
    }

    /// Decisions per second, of the last minute.
    pub(super) fn answered(&self) -> f64 {
        self.permitted.per_second() + self.denied.per_second()
    }

    /// Records in a commit, of the last minute.
    pub(super) fn commit_batch(&self) -> Option<f64> {
        average(self.records.recent(), self.commits.recent())
    }

    /// Records in a commit, between the last two readings.
    pub(super) fn last_commit_batch(&self) -> Option<f64> {
        average(self.records.last(), &self.commits.last())
    }

    /// The seconds for which records have been without a checkpoint, if none was made meanwhile.
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

impl ComplianceWindow {
    fn new(start: Instant) -> Self {
        let count = || RollingCount::new(COMPLIANCE_WINDOW, start, 0);
        Self { decided: count(), displaced: count(), unrecorded: count(), compared: count(), disagreed: count() }
    }

    fn push(&mut self, at: Instant, totals: &ComplianceTotals) {
        self.decided.push(at, totals.decided);
        self.displaced.push(at, totals.displaced);
        self.unrecorded.push(at, totals.unrecorded);
        self.compared.push(at, totals.compared());
        self.disagreed.push(at, totals.disagreed);
    }

    /// The share of decisions that comply, in percent: made under the constitution in force and recorded, times the
    /// share of the compared ones that were decided in the same way without caches. `None` without any decision and
    /// any comparison: a decision may be compared when it has left the window itself.
    pub(super) fn percent(&self) -> Option<f64> {
        let share = |all: u64, wrong: u64| {
            #[expect(clippy::cast_precision_loss, reason = "counts of minutes")]
            let (all, wrong) = (all as f64, wrong as f64);
            if all > 0.0 { (1.0 - wrong / all).max(0.0) } else { 1.0 }
        };
        let (decided, compared) = (self.decided.recent(), self.compared.recent());
        let noncompliant = self.displaced.recent() + self.unrecorded.recent();
        let compliant = share(decided, noncompliant) * share(compared, self.disagreed.recent());
        (decided + compared > 0).then_some(compliant * 100.0)
    }

    /// Decisions under a constitution that was not in force, and decisions without a durable record, between the last
    /// two readings.
    pub(super) fn last_noncompliant(&self) -> (u64, u64) {
        (self.displaced.last(), self.unrecorded.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_counts_although_its_decision_has_left_the_window() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut compliance = ComplianceWindow::new(start);
        assert_eq!(compliance.percent(), None);
        let mut totals = ComplianceTotals { decided: 4, ..ComplianceTotals::default() };
        compliance.push(at(1), &totals);
        assert_eq!(compliance.percent(), Some(100.0));
        totals.unrecorded = 1;
        compliance.push(at(2), &totals);
        assert_eq!(compliance.percent(), Some(75.0));
        compliance.push(at(70), &totals);
        compliance.push(at(71), &totals);
        assert_eq!(compliance.percent(), None, "a minute without decisions");
        (totals.agreed, totals.disagreed) = (1, 1);
        compliance.push(at(72), &totals);
        assert_eq!(compliance.percent(), Some(50.0));
    }
}
