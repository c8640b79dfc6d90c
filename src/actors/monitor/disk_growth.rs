//! How fast the disk fills up.

use std::collections::VecDeque;

use super::readings::DiskSpace;

/// The seconds over which growth is measured.
const WINDOW: usize = 300;

/// The shortest time over which growth says something, in seconds.
const SHORTEST: usize = 60;

/// Free space of the last minutes, read each second.
#[derive(Debug, Default)]
pub(super) struct DiskGrowth {
    free: VecDeque<f64>,
    total: f64,
}

impl DiskGrowth {
    pub(super) fn push(&mut self, disk: Option<DiskSpace>) {
        let Some(DiskSpace { free, total }) = disk else { return };
        self.total = total;
        self.free.push_back(free);
        if self.free.len() > WINDOW + 1 {
            self.free.pop_front();
        }
    }

    /// The free share, in percent.
    pub(super) fn free_percent(&self) -> Option<f64> {
        let free = self.free.back()?;
        (self.total > 0.0).then(|| free * 100.0 / self.total)
    }

    /// The seconds until the disk is full at the present growth; `None` if it does not grow, or is not known yet.
    pub(super) fn full_in_s(&self) -> Option<f64> {
        let (first, last) = (self.free.front()?, self.free.back()?);
        let seconds = self.free.len() - 1;
        let used = first - last;
        if seconds < SHORTEST || used <= 0.0 {
            return None;
        }
        let seconds = f64::from(u32::try_from(seconds).unwrap_or(u32::MAX));
        Some(last * seconds / used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_until_it_is_full_follows_from_the_growth() {
        let mut disk = DiskGrowth::default();
        let mut push = |free| {
            disk.push(Some(DiskSpace { free, total: 10_000.0 }));
            (disk.free_percent(), disk.full_in_s())
        };
        assert_eq!(push(1_000.0), (Some(10.0), None));
        let last = (1..=100).map(|second| push(1_000.0 - f64::from(second))).last();
        assert_eq!(last, Some((Some(9.0), Some(900.0))));
        disk.push(None);
        assert_eq!(disk.free_percent(), Some(9.0));
        disk.push(Some(DiskSpace { free: 2_000.0, total: 10_000.0 }));
        assert_eq!(disk.full_in_s(), None, "something was deleted");
    }
}
