//! One of the two r2d2 pools.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use r2d2::{ManageConnection, NopErrorHandler, PooledConnection};

use super::tracked_connection::{MonitoredManager, TierState};

/// r2d2 retries to open a connection: first after 400 ms, and after half of this at the latest.
const RETRY: Duration = Duration::from_secs(2);

/// The interval at which a waiter checks whether opening failed, since r2d2 does not wake it then.
const SLICE: Duration = Duration::from_millis(5);

/// Why a tier gives no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// None can be opened, and why.
    Down(Arc<str>),
    /// None came free or was opened in time.
    Late,
    /// The waiter was called to another tier.
    Called,
}

/// The properties of a tier.
#[derive(Debug, Clone, Copy)]
pub(super) struct TierOptions {
    pub(super) max: NonZeroU32,
    pub(super) min_idle: u32,
    pub(super) pre_ping: bool,
    pub(super) lifetime: Duration,
    pub(super) idle_timeout: Option<Duration>,
}

/// Connections of one kind. Not more may be asked for at once than there can be.
pub(super) struct Tier<M: ManageConnection> {
    connections: r2d2::Pool<MonitoredManager<M>>,
    pub(super) state: Arc<TierState>,
}

impl<M: ManageConnection> Tier<M> {
    /// Begins to open the first connections.
    pub(super) fn start(manager: Arc<M>, options: TierOptions) -> Self {
        let state = Arc::new(TierState::default());
        let lifetime = options.lifetime.max(Duration::from_secs(1));
        let max = options.max.get();
        let connections = r2d2::Pool::builder()
            .max_size(max)
            .min_idle(Some(options.min_idle.min(max)))
            .test_on_check_out(true)
            .max_lifetime(Some(lifetime))
            .idle_timeout(options.idle_timeout)
            .connection_timeout(RETRY)
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(MonitoredManager {
                inner: manager,
                state: Arc::clone(&state),
                max,
                lifetime,
                pre_ping: options.pre_ping,
            });
        Self { connections, state }
    }

    /// Waits for the first connections; whether as many are there.
    pub(super) fn wait_for_first(&self, count: u32, until: Instant) -> bool {
        // r2d2 gives no notice, but has a connection right after it was opened.
        let is_there = || self.connections.state().connections >= count;
        self.state.wait_for_opened(count.into(), until) && {
            while !is_there() && Instant::now() < until {
                thread::yield_now();
            }
            is_there()
        }
    }

    /// An idle connection that works, if there is one.
    pub(super) fn idle(&self) -> Option<PooledConnection<MonitoredManager<M>>> {
        self.connections.try_get()
    }

    /// Waits for a connection that comes back or is opened, unless none can be, or the caller is called away.
    pub(super) fn wait(
        &self,
        deadline: Instant,
        is_called: impl Fn() -> bool,
    ) -> Result<PooledConnection<MonitoredManager<M>>, Refused> {
        loop {
            if let Some(why) = self.state.outage() {
                return Err(Refused::Down(why));
            }
            if is_called() {
                return Err(Refused::Called);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                if self.state.open.load(Ordering::Acquire) == 0 {
                    // The next callers need not find this out for themselves.
                    self.state.goes_down(&"no connection was opened in time");
                }
                return Err(Refused::Late);
            }
            if let Ok(conn) = self.connections.get_timeout(left.min(SLICE)) {
                return Ok(conn);
            }
        }
    }
}

impl<M: ManageConnection> fmt::Debug for Tier<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier").field("state", &self.state).finish_non_exhaustive()
    }
}
