//! The two tiers of the pool: connections that are kept open, and overflow connections.
//!
//! Each is an r2d2 pool. One alone cannot have both: its `min_idle` are spare connections beyond those in use, and its
//! `idle_timeout` closes all others.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use r2d2::{ManageConnection, PooledConnection};

use super::ProbeResult;
use super::overflow_delay::OverflowDelay;
use super::semaphore::{FairSemaphore, Permit, QueueTicket, TierName};
use super::stats::{PoolCounters, PoolStats, TierStats};
use super::tier::{Refused, Tier, TierOptions};
use super::tracked_connection::{MonitoredManager, TierState, TrackedConnection};

/// The idle time after which an overflow connection is closed; r2d2 checks every 30 s.
const OVERFLOW_IDLE: Duration = Duration::from_secs(30);

/// How long the first connections may take.
const FIRST_TIMEOUT: Duration = Duration::from_secs(5);

/// How large a pool is, and how it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dimensions {
    pub(super) size: NonZeroU32,
    pub(super) max_overflow: u32,
    pub(super) min_idle: u32,
    pub(super) pre_ping: bool,
    pub(super) recycle: Duration,
    pub(super) acquire_timeout: Duration,
}

/// Why a job gets no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoConnection {
    /// None can be opened, and why.
    Down(Arc<str>),
    /// None came free in time.
    Late,
}

/// Connections to one database.
#[derive(Debug)]
pub(super) struct Tiers<M: ManageConnection> {
    manager: Arc<M>,
    dimensions: Dimensions,
    semaphore: FairSemaphore,
    overflow_delay: OverflowDelay,
    counters: PoolCounters,
    base: Tier<M>,
    overflow: Option<Tier<M>>,
}

impl<M: ManageConnection> Tiers<M> {
    /// Opens the first connections. Where some of them take too long they follow later, but one is needed.
    pub(super) fn open(manager: M, dimensions: Dimensions) -> Result<Self, NoConnection> {
        let manager = Arc::new(manager);
        let tier = |max, min_idle, idle_timeout| {
            let Dimensions { pre_ping, recycle: lifetime, .. } = dimensions;
            Tier::start(Arc::clone(&manager), TierOptions { max, min_idle, pre_ping, lifetime, idle_timeout })
        };
        let size = dimensions.size.get();
        let dimensions = Dimensions { min_idle: dimensions.min_idle.min(size), ..dimensions };
        let base = tier(dimensions.size, dimensions.min_idle, None);
        let overflow = NonZeroU32::new(dimensions.max_overflow).map(|max| tier(max, 0, Some(OVERFLOW_IDLE)));
        let until = Instant::now() + dimensions.acquire_timeout.max(FIRST_TIMEOUT);
        if !base.wait_for_first(dimensions.min_idle, until) {
            let state = &base.state;
            if state.open.load(Ordering::Acquire) == 0 {
                return Err(state.outage().map_or(NoConnection::Late, NoConnection::Down));
            }
            tracing::warn!(wanted = dimensions.min_idle, "fewer database connections could be opened than wanted");
        }
        let semaphore = FairSemaphore::new(size, dimensions.max_overflow);
        let (overflow_delay, counters) = (OverflowDelay::new(size), PoolCounters::new());
        Ok(Self { manager, dimensions, semaphore, overflow_delay, counters, base, overflow })
    }

    /// Waits for a connection, up to the acquire timeout, and not at all if none can be opened.
    ///
    /// A base connection at once; otherwise one as long as waiting for it is worthwhile; then an overflow connection;
    /// otherwise whichever becomes free.
    pub(super) fn acquire(&self) -> Result<Lease<'_, M>, NoConnection> {
        if let Some(why) = self.base.state.outage() {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Err(NoConnection::Down(why));
        }
        let (began, entered) = (Instant::now(), self.semaphore.enter());
        let entered = match entered {
            Ok(permit) => match self.base.idle() {
                Some(conn) => {
                    self.counters.waits.none();
                    return Ok(self.lease(conn, permit));
                }
                None => Ok(permit),
            },
            place => place,
        };
        self.counters.waiting.fetch_add(1, Ordering::Relaxed);
        let deadline = began + self.dimensions.acquire_timeout;
        let acquired = match entered {
            Ok(permit) => self.base(permit, deadline),
            Err(place) => self.queue(&place, began, deadline),
        };
        self.counters.waiting.fetch_sub(1, Ordering::Relaxed);
        match &acquired {
            Ok(_) => self.counters.waits.waited(began.elapsed()),
            Err(NoConnection::Late) => {
                self.counters.waits.timed_out(began.elapsed());
                self.counters.late.fetch_add(1, Ordering::Relaxed);
            }
            Err(NoConnection::Down(_)) => {
                self.counters.waits.timed_out(began.elapsed());
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        acquired
    }

    /// Tests an idle connection, and the next one if that is broken; opens one if none is open.
    pub(super) fn test(&self) -> Result<ProbeResult, NoConnection> {
        loop {
            let Some(permit) = self.semaphore.try_enter() else {
                return Ok(ProbeResult::Busy);
            };
            let mut lease = match self.base.idle() {
                Some(conn) => self.lease(conn, permit),
                None if self.base.state.busy.load(Ordering::Acquire) > 0 => return Ok(ProbeResult::Busy),
                None => self.base(permit, Instant::now() + self.dimensions.acquire_timeout)?,
            };
            // A connection tested when it was taken need not be tested again.
            if self.dimensions.pre_ping {
                return Ok(ProbeResult::Answers);
            }
            match self.manager.is_valid(&mut lease) {
                Ok(()) => return Ok(ProbeResult::Answers),
                Err(error) => lease.conn.tag.breaks(&error),
            }
        }
    }

    /// Retires every connection that is open now.
    pub(super) fn renew(&self) {
        self.base.state.renew();
        self.overflow.iter().for_each(|tier| tier.state.renew());
    }

    /// The present state of the pool.
    pub(super) fn stats(&self) -> PoolStats {
        let overflow = self.overflow.as_ref().map(|tier| &tier.state);
        PoolStats {
            size: self.dimensions.size.get(),
            max_overflow: self.dimensions.max_overflow,
            min_idle: self.dimensions.min_idle,
            base: TierStats::of(&self.base.state),
            overflow: overflow.map(|state| TierStats::of(state)).unwrap_or_default(),
            waiting: self.counters.waiting.load(Ordering::Relaxed),
            waits: self.counters.waits.stats(),
            late: self.counters.late.load(Ordering::Relaxed),
            refused: self.counters.refused.load(Ordering::Relaxed),
            outage: self.base.state.outage(),
            last_error: self.base.state.last_error().or_else(|| overflow.and_then(|state| state.last_error())),
        }
    }

    /// The peak of used connections since the last call. For one caller only.
    pub(super) fn take_peak(&self) -> u32 {
        let busy = self.busy();
        self.counters.peak.swap(busy, Ordering::Relaxed).max(busy)
    }

    /// Begins the next half of the window of waiting times.
    pub(super) fn turn_window(&self) {
        self.counters.waits.turn();
    }

    fn base<'a>(&'a self, permit: Permit<'a>, deadline: Instant) -> Result<Lease<'a, M>, NoConnection> {
        match self.base.wait(deadline, || false) {
            Ok(conn) => Ok(self.lease(conn, permit)),
            Err(Refused::Down(why)) => Err(NoConnection::Down(why)),
            Err(Refused::Late | Refused::Called) => Err(NoConnection::Late),
        }
    }

    fn queue<'a>(
        &'a self,
        place: &QueueTicket<'a>,
        began: Instant,
        deadline: Instant,
    ) -> Result<Lease<'a, M>, NoConnection> {
        let overflow_delay = began + self.overflow_delay.with_ahead(place.ahead());
        let permit = place.wait(overflow_delay.min(deadline)).or_else(|| place.try_overflow());
        let permit = permit.or_else(|| place.wait(deadline)).ok_or(NoConnection::Late)?;
        let (TierName::Overflow, Some(overflow)) = (permit.of(), &self.overflow) else {
            return self.base(permit, deadline);
        };
        match overflow.idle().map_or_else(|| overflow.wait(deadline, || place.is_granted()), Ok) {
            Ok(conn) => return Ok(self.lease(conn, permit)),
            Err(Refused::Late) => return Err(NoConnection::Late),
            // The server may have no more to give than the base has.
            Err(Refused::Down(_) | Refused::Called) => place.come_back(),
        }
        drop(permit);
        let permit = place.wait(deadline).ok_or(NoConnection::Late)?;
        self.base(permit, deadline)
    }

    fn lease<'a>(&'a self, conn: PooledConnection<MonitoredManager<M>>, permit: Permit<'a>) -> Lease<'a, M> {
        let state = match (permit.of(), &self.overflow) {
            (TierName::Overflow, Some(overflow)) => &overflow.state,
            _ => &self.base.state,
        };
        state.busy.fetch_add(1, Ordering::AcqRel);
        self.counters.peak.fetch_max(self.busy(), Ordering::Relaxed);
        let use_of = Use { began: Instant::now(), state, overflow_delay: &self.overflow_delay };
        Lease { conn, _use: use_of, permit }
    }

    /// The monitor of the base tier, for tests.
    #[cfg(test)]
    pub(super) fn state(&self) -> &TierState {
        &self.base.state
    }

    fn busy(&self) -> u32 {
        let overflow = self.overflow.as_ref().map(|tier| tier.state.busy.load(Ordering::Acquire));
        self.base.state.busy.load(Ordering::Acquire) + overflow.unwrap_or_default()
    }
}

/// A connection for one job. The fields are dropped in this order: the connection returns to the pool before the permit
/// for it does.
pub(super) struct Lease<'a, M: ManageConnection> {
    conn: PooledConnection<MonitoredManager<M>>,
    _use: Use<'a>,
    permit: Permit<'a>,
}

#[derive(Debug)]
struct Use<'a> {
    began: Instant,
    state: &'a TierState,
    overflow_delay: &'a OverflowDelay,
}

impl<M: ManageConnection> fmt::Debug for Lease<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("of", &self.permit.of()).finish_non_exhaustive()
    }
}

impl<M: ManageConnection> Lease<'_, M> {
    /// Marks the connection as suspect after a failed job: it is not reused.
    pub(super) fn distrust(&mut self) {
        self.conn.tag.distrust();
    }
}

impl<M: ManageConnection> Deref for Lease<'_, M> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        &self.conn.conn
    }
}

impl<M: ManageConnection> DerefMut for Lease<'_, M> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        let held: &mut TrackedConnection<M::Connection> = &mut self.conn;
        &mut held.conn
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        self.state.busy.fetch_sub(1, Ordering::AcqRel);
        self.overflow_delay.held(self.began.elapsed());
    }
}
