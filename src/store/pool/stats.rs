//! The observable state of a pool. [`Tiers`](super::tiers::Tiers) fills it in, and `/v1/pool` shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::tracked_connection::TierState;
use super::waits::{WaitStats, Waits};

/// The counters of a pool, besides those of its tiers; lock-free.
#[derive(Debug)]
pub(super) struct PoolCounters {
    pub(super) waiting: AtomicU32,
    pub(super) waits: Waits,
    /// Jobs that got no connection in time.
    pub(super) late: AtomicU64,
    /// Jobs that were refused at once, since no connection can be opened.
    pub(super) refused: AtomicU64,
    /// The most connections that were in use at once, since it was last asked.
    pub(super) peak: AtomicU32,
}

impl PoolCounters {
    pub(super) fn new() -> Self {
        Self {
            waiting: AtomicU32::new(0),
            waits: Waits::new(),
            late: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            peak: AtomicU32::new(0),
        }
    }
}

/// A pool at one moment. Figures that belong together may be of moments that are microseconds apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolStats {
    /// Connections kept open, at most.
    pub size: u32,
    /// Connections opened beyond that, at most.
    pub max_overflow: u32,
    /// Connections opened before the pool is ready.
    pub min_idle: u32,
    /// The connections that are kept open.
    pub base: TierStats,
    /// The overflow connections.
    pub overflow: TierStats,
    /// Jobs that wait for a connection just now.
    pub waiting: u32,
    /// How long jobs waited.
    pub waits: WaitStats,
    /// Jobs that got no connection in time.
    pub late: u64,
    /// Jobs that were refused at once, since no connection could be opened.
    pub refused: u64,
    /// Why no connection can be opened, if none can be and none is open.
    pub outage: Option<Arc<str>>,
    /// The last thing that went wrong with a connection, however long ago.
    pub last_error: Option<Arc<str>>,
}

/// One kind of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TierStats {
    /// Open connections, used or idle.
    pub open: u32,
    /// In use.
    pub busy: u32,
    /// Ever opened.
    pub opened: u64,
    /// Closed because they were idle.
    pub closed_idle: u64,
    /// Closed because of their age.
    pub closed_recycled: u64,
    /// Closed since they did not work.
    pub closed_broken: u64,
    /// Not opened, though it was tried.
    pub failed_connect: u64,
    /// Tested without an answer.
    pub failed_ping: u64,
}

impl PoolStats {
    /// All connections that are open.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.base.open + self.overflow.open
    }

    /// All connections that are in use.
    #[must_use]
    pub fn busy(&self) -> u32 {
        self.base.busy + self.overflow.busy
    }

    /// All connections that there can be.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.size.saturating_add(self.max_overflow)
    }
}

impl TierStats {
    pub(super) fn of(state: &TierState) -> Self {
        Self {
            open: state.open.load(Ordering::Acquire),
            busy: state.busy.load(Ordering::Acquire),
            opened: state.opened.load(Ordering::Relaxed),
            closed_idle: state.idle.load(Ordering::Relaxed),
            closed_recycled: state.recycled.load(Ordering::Relaxed),
            closed_broken: state.broken.load(Ordering::Relaxed),
            failed_connect: state.unopened.load(Ordering::Relaxed),
            failed_ping: state.unanswered.load(Ordering::Relaxed),
        }
    }
}
