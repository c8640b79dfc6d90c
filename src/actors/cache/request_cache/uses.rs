//! How often something was used in the past hour.

use std::time::Duration;

/// The resolution of the counts.
const PERIOD: Duration = Duration::from_mins(10);
/// How many of them make an hour.
const PERIODS: usize = 6;

/// Uses in the past hour, to ten minutes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Uses {
    /// By period, in turn.
    counts: [u32; PERIODS],
    /// The period of the last use.
    last: u64,
}

impl Uses {
    /// Counts a use at a time since some epoch; times must not decrease.
    pub(super) fn add(&mut self, at: Duration) {
        let period = period(at);
        if period != self.last {
            *self = Self { counts: self.counts_at(period), last: period };
        }
        let place = usize::try_from(period % PERIODS as u64).unwrap_or_default();
        if let Some(count) = self.counts.get_mut(place) {
            *count = count.saturating_add(1);
        }
    }

    /// Uses in the hour before a time after the same beginning.
    pub(super) fn sum(&self, at: Duration) -> u64 {
        self.counts_at(period(at)).into_iter().map(u64::from).sum()
    }

    /// The counts without those more than an hour before `period`.
    fn counts_at(&self, period: u64) -> [u32; PERIODS] {
        let mut counts = self.counts;
        let passed = period.saturating_sub(self.last).min(PERIODS as u64);
        for period in (self.last + 1..).take(usize::try_from(passed).unwrap_or(PERIODS)) {
            let place = usize::try_from(period % PERIODS as u64).unwrap_or_default();
            if let Some(count) = counts.get_mut(place) {
                *count = 0;
            }
        }
        counts
    }
}

fn period(at: Duration) -> u64 {
    at.as_secs() / PERIOD.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_mins(minutes)
    }

    #[test]
    fn uses_count_for_an_hour() {
        let mut uses = Uses::default();
        let sums = |uses: &Uses, at: [u64; 5]| at.map(|at| uses.sum(minutes(at)));
        uses.add(minutes(3));
        uses.add(minutes(4));
        uses.add(minutes(25));
        assert_eq!(sums(&uses, [25, 59, 60, 79, 80]), [3, 3, 1, 1, 0]);
        uses.add(minutes(61));
        assert_eq!(sums(&uses, [61, 79, 80, 119, 120]), [2, 2, 1, 1, 0]);
        uses.add(minutes(10_000));
        assert_eq!(uses.sum(minutes(10_000)), 1);
    }
}
