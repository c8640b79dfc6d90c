//! How fast the disk fills up.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::readings::DiskSpace;

/// The time over which growth is measured.
const WINDOW: Duration = Duration::from_mins(5);

/// The shortest time from which growth is extrapolated.
const MIN_SPAN: Duration = Duration::from_mins(1);

/// Free space of the last five minutes.
#[derive(Debug, Default)]
pub(super) struct DiskGrowth {
    /// Free bytes, with the times at which they were read.
    free: VecDeque<(Instant, f64)>,
    total: f64,
}

impl DiskGrowth {
    pub(super) fn push(&mut self, at: Instant, disk: Option<DiskSpace>) {
        let Some(DiskSpace { free, total }) = disk else { return };
        self.total = total;
        self.free.push_back((at, free));
        while self.free.get(1).is_some_and(|(next, _)| *next + WINDOW <= at) {
            self.free.pop_front();
        }
    }

    /// The free share, in percent.
    pub(super) fn free_percent(&self) -> Option<f64> {
        let (_, free) = self.free.back()?;
        (self.total > 0.0).then(|| free * 100.0 / self.total)
    }

    /// The seconds until the disk is full at the present growth; `None` if its usage does not grow, or was measured for
    /// less than a minute.
    pub(super) fn full_in_s(&self) -> Option<f64> {
        let ((began, first), (ended, last)) = (self.free.front()?, self.free.back()?);
        let span = ended.duration_since(*began);
        let used = first - last;
        (span >= MIN_SPAN && used > 0.0).then(|| last * span.as_secs_f64() / used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(free: f64) -> DiskSpace {
        DiskSpace { free, total: 10_000.0 }
    }

    #[test]
    fn the_time_until_it_is_full_follows_from_the_growth() {
        let (start, mut disk) = (Instant::now(), DiskGrowth::default());
        let mut push = |second: u32| {
            disk.push(start + Duration::from_secs(second.into()), Some(space(1_000.0 - f64::from(second))));
            (disk.free_percent(), disk.full_in_s())
        };
        assert_eq!(push(0), (Some(10.0), None));
        let last = (1..=100).map(push).last();
        assert_eq!(last, Some((Some(9.0), Some(900.0))));
        let at = start + Duration::from_secs(101);
        disk.push(at, None);
        assert_eq!(disk.free_percent(), Some(9.0));
        disk.push(at, Some(space(2_000.0)));
        assert_eq!(disk.full_in_s(), None, "something was deleted");
    }

    #[test]
    fn growth_is_of_the_time_that_has_passed() {
        let (start, mut disk) = (Instant::now(), DiskGrowth::default());
        for late in 0..=30_u32 {
            disk.push(start + Duration::from_secs(u64::from(late) * 10), Some(space(1_000.0 - f64::from(late))));
        }
        assert_eq!(disk.full_in_s(), Some(9_700.0), "a tenth of a byte each second");
    }
}
