//! The health of the audit log, in one atomic byte that every decision checks before it is made.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// The interval at which the file monitor checks whether the log's files are still at their paths.
pub(in crate::actors) const FILE_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Whether records can be made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Records become durable.
    Writing,
    /// A write failed. It is retried every second, and decisions stop until it succeeds.
    Failing,
    /// A write or sync has not returned for a second. Decisions stop until it returns.
    Stalled,
    /// A file that the daemon has open is no longer at its path, so written records may be lost.
    Displaced,
    /// The log was closed, or a sync failed.
    Ended,
}

/// A condition that keeps records from becoming durable. Several can hold at once.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(in crate::actors) enum Obstacle {
    /// See [`Health::Failing`].
    Failing = 1,
    /// See [`Health::Stalled`].
    Stalled = 2,
    /// See [`Health::Displaced`].
    Displaced = 4,
    /// See [`Health::Ended`]. It is never removed.
    Ended = 8,
}

/// The conditions that hold, as a bit set.
#[derive(Debug, Default)]
pub(super) struct LogHealth(AtomicU8);

impl LogHealth {
    /// The worst condition that holds.
    pub(super) fn get(&self) -> Health {
        match self.0.load(Ordering::Acquire) {
            0 => Health::Writing,
            1 => Health::Failing,
            2 | 3 => Health::Stalled,
            4..8 => Health::Displaced,
            8.. => Health::Ended,
        }
    }

    pub(super) fn raise(&self, obstacle: Obstacle) {
        self.0.fetch_or(obstacle as u8, Ordering::AcqRel);
    }

    pub(super) fn clear(&self, obstacle: Obstacle) {
        self.0.fetch_and(!(obstacle as u8), Ordering::AcqRel);
    }

    pub(super) fn has(&self, obstacle: Obstacle) -> bool {
        self.0.load(Ordering::Acquire) & obstacle as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_obstacle_is_shown_until_it_is_cleared() {
        let health = LogHealth::default();
        assert_eq!(health.get(), Health::Writing);
        let obstacles = [Obstacle::Failing, Obstacle::Stalled, Obstacle::Displaced, Obstacle::Ended];
        let shown = [Health::Failing, Health::Stalled, Health::Displaced, Health::Ended];
        for (obstacle, shown) in obstacles.into_iter().zip(shown) {
            health.raise(obstacle);
            assert_eq!(health.get(), shown);
        }
        for obstacle in obstacles {
            health.clear(obstacle);
        }
        assert_eq!(health.get(), Health::Writing);
        for (obstacle, shown) in obstacles.into_iter().zip(shown) {
            health.raise(obstacle);
            assert_eq!(health.get(), shown);
            health.clear(obstacle);
        }
    }
}
