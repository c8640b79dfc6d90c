//! The connection pool: connections that are kept open, and overflow connections under load.
//!
//! r2d2 opens, tests and closes connections ([`tier`]); their assignment is decided here ([`semaphore`], [`tiers`]), so
//! that it is fair, measured and bounded, and so that an unavailable database does not cost each caller the whole
//! timeout.

mod alert;
mod answers;
mod overflow_delay;
mod semaphore;
mod stats;
#[cfg(test)]
mod tests;
mod tier;
mod tiers;
mod tracked_connection;
mod waits;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

pub use alert::{Alert, AlertChange, PoolLoad};
pub use answers::Answers;
pub use stats::{PoolStats, TierStats};
pub use waits::{WINDOW, WaitStats};

use super::connection::DbSession;
use super::database_spec::DatabaseSpec;
use super::error::{self, SessionFault, StoreError};
use super::opener::Opener;
use super::target::{PoolMode, Target};
use tiers::{Dimensions, NoConnection, Tiers};

/// Where the database is and how many connections it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The database.
    pub target: Target,
    /// Connections kept open, once they were needed.
    pub size: NonZeroU32,
    /// Connections opened beyond that while it takes too long to wait for one, and closed again when idle.
    pub max_overflow: u32,
    /// Connections opened before the store is ready. More than `size` means as many.
    pub min_idle: u32,
    /// Whether a connection is tested before it is used.
    pub pre_ping: bool,
    /// The age of which connections get no older than they must: then they are replaced; at least 1 s.
    pub recycle: Duration,
    /// How often an idle connection is tested by who keeps the pool; the store does nothing by itself.
    pub health_check: Duration,
    /// How long a job waits for a connection, and then again for another writer; at least 1 ms.
    pub acquire_timeout: Duration,
}

impl StoreOptions {
    fn dimensions(&self) -> Dimensions {
        Dimensions {
            size: self.size,
            max_overflow: self.max_overflow,
            min_idle: self.min_idle,
            pre_ping: self.pre_ping,
            recycle: self.recycle,
            acquire_timeout: self.acquire_timeout.max(Duration::from_millis(1)),
        }
    }
}

/// The pool of connections; shared by all clones.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    tiers: Arc<Tiers<Opener>>,
    answers: Answers,
    target: Target,
    acquire_timeout: Duration,
}

impl Pool {
    /// Opens the first connections to a database that is there and up to date.
    pub(super) fn open(kind: &'static DatabaseSpec, options: &StoreOptions) -> Result<Self, StoreError> {
        let dimensions = options.dimensions();
        let acquire_timeout = dimensions.acquire_timeout;
        let opener = Opener::new(kind, &options.target, acquire_timeout);
        let tiers = Tiers::open(opener, dimensions).map_err(|why| refused(why, acquire_timeout))?;
        let target = options.target.clone();
        Ok(Self { tiers: Arc::new(tiers), target, answers: Answers::default(), acquire_timeout })
    }

    /// Runs a job on a connection. [`StoreError::Busy`] if none becomes free in time, [`StoreError::Unavailable`] if
    /// none can be opened.
    pub(super) fn run<T>(&self, job: impl FnOnce(&mut DbSession) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.answers.asked();
        let mut lease = self.tiers.acquire().map_err(|why| refused(why, self.acquire_timeout))?;
        let done = job(&mut lease);
        match &done {
            Err(error @ (StoreError::Unavailable { .. } | StoreError::Uncertain(_))) => {
                lease.distrust();
                self.suspect(error);
            }
            // Other callers may hold all connections, or the database hangs.
            Err(StoreError::Busy(_)) => {}
            _ => self.answers.answered(),
        }
        done
    }

    /// Whether the database answers its callers.
    pub(super) fn answers(&self) -> Answers {
        self.answers.clone()
    }

    /// Replaces all connections after a session fault, which mostly concerns the others, too.
    fn suspect(&self, error: &StoreError) {
        match (error.session_fault(), &self.target) {
            (Some(SessionFault::Lent(_)), Target::Postgres(server)) => {
                tracing::warn!(%error, "a pooler assigns sessions to transactions; prepared statements are off");
                server.set_pool_mode(PoolMode::Transaction);
                self.renew();
            }
            (Some(_), _) => self.renew(),
            (None, _) => {}
        }
    }

    /// Retires every connection that is open now. If one has lost its session, or its server accepts no more writes,
    /// the others mostly have, too, and each would fail a job before that is found.
    pub(super) fn renew(&self) {
        self.tiers.renew();
    }

    /// The pool as its monitor sees it.
    pub(super) fn watched(&self) -> WatchedPool {
        WatchedPool(Arc::new(self.clone()))
    }
}

fn refused(why: NoConnection, timeout: Duration) -> StoreError {
    match why {
        NoConnection::Down(cause) => error::of_text(&cause),
        NoConnection::Late => StoreError::Busy(format!("no connection became free within {} ms", timeout.as_millis())),
    }
}

/// Whether the database answered a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// A connection answered.
    Answers,
    /// No connection was idle.
    Busy,
}

/// The view of a pool that its monitor needs, whatever its connections are.
pub trait MonitoredPool: fmt::Debug + Send + Sync {
    /// The pool's present counters.
    fn stats(&self) -> PoolStats;
    /// The most connections that were in use at once since this was last asked. To be asked by one only.
    fn take_peak(&self) -> u32;
    /// Begins the next half of the window of waiting times; to be called by one only, each [`WINDOW`].
    fn turn_window(&self);
    /// Tests an idle connection, and replaces those that are broken. Blocks for as long as the database does.
    fn test(&self) -> Result<ProbeResult, StoreError>;
}

/// A pool, for its monitor; shared by all clones.
#[derive(Debug, Clone)]
pub struct WatchedPool(Arc<dyn MonitoredPool>);

impl WatchedPool {
    /// Anything that can be watched as a pool is.
    #[must_use]
    pub fn new(pool: Arc<dyn MonitoredPool>) -> Self {
        Self(pool)
    }
}

impl std::ops::Deref for WatchedPool {
    type Target = dyn MonitoredPool;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl MonitoredPool for Pool {
    fn stats(&self) -> PoolStats {
        self.tiers.stats()
    }

    fn take_peak(&self) -> u32 {
        self.tiers.take_peak()
    }

    fn turn_window(&self) {
        self.tiers.turn_window();
    }

    fn test(&self) -> Result<ProbeResult, StoreError> {
        self.tiers.test().map_err(|why| refused(why, self.acquire_timeout))
    }
}
