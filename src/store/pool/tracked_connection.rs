//! Monitors the connections of one tier, as a manager around r2d2's connection manager.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use r2d2::ManageConnection;

use crate::store::error::one_line;

/// How long a connection may take to be closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The least time between two replacements of all connections, so that useless replacements do not load the server.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);

/// The state of the connections of one tier; shared by the tier and all of its connections.
#[derive(Debug, Default)]
pub(super) struct TierState {
    /// Connections that are open, in use or idle.
    pub(super) open: AtomicU32,
    /// Connections that jobs have.
    pub(super) busy: AtomicU32,
    /// All connections that were ever opened.
    pub(super) opened: AtomicU64,
    /// Connections closed because they were idle.
    pub(super) idle: AtomicU64,
    /// Connections closed because of their age.
    pub(super) recycled: AtomicU64,
    /// Connections closed because they were broken.
    pub(super) broken: AtomicU64,
    /// Connections that could not be opened.
    pub(super) unopened: AtomicU64,
    /// Connections that were tested and did not answer.
    pub(super) unanswered: AtomicU64,
    is_down: AtomicBool,
    /// Incremented to retire all connections that were opened before.
    generation: AtomicU64,
    server: Mutex<Server>,
    changed: Condvar,
}

/// The state of the server.
#[derive(Debug, Default)]
struct Server {
    /// Connections that it has of this tier, those included that are being opened and closed.
    taken: u32,
    /// Why no connection can be opened, while none can.
    down: Option<Arc<str>>,
    last: Option<Arc<str>>,
    renewed: Option<Instant>,
}

impl TierState {
    /// Why the last attempt to open a connection failed, if none is open.
    pub(super) fn outage(&self) -> Option<Arc<str>> {
        if !self.is_down.load(Ordering::Acquire) || self.open.load(Ordering::Acquire) > 0 {
            return None;
        }
        self.server().down.clone()
    }

    /// The text of the last thing that went wrong.
    pub(super) fn last_error(&self) -> Option<Arc<str>> {
        self.server().last.clone()
    }

    /// No connection can be opened, until one is.
    pub(super) fn goes_down(&self, why: &dyn Display) {
        let why: Arc<str> = one_line(&why.to_string()).into();
        let mut server = self.server();
        if server.down.is_none() {
            tracing::warn!(error = %why, "a database connection cannot be opened");
        }
        server.last = Some(Arc::clone(&why));
        server.down = Some(why);
        self.is_down.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    fn comes_up(&self) {
        let mut server = self.server();
        self.is_down.store(false, Ordering::Release);
        if server.down.take().is_some() {
            tracing::info!("database connections can be opened again");
        }
        self.changed.notify_all();
    }

    /// Retires every connection that is open now, at most once a second.
    pub(super) fn renew(&self) {
        let mut server = self.server();
        if server.renewed.is_none_or(|renewed| renewed.elapsed() >= RENEW_INTERVAL) {
            server.renewed = Some(Instant::now());
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A connection does not work.
    fn breaks(&self, why: &dyn Display) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.server().last = Some(one_line(&why.to_string()).into());
    }

    /// Takes one of `max` slots at the server. r2d2 counts a connection as closed before it is closed, so the next one
    /// waits for that, for a limited time, to stay within the limit.
    fn take(&self, max: u32) {
        let mut server = self.server();
        self.changed.wait_while_for(&mut server, |server| server.taken >= max, CLOSE_TIMEOUT);
        server.taken += 1;
    }

    fn give_back(&self) {
        self.server().taken -= 1;
        self.changed.notify_all();
    }

    /// Waits until `count` connections were opened; false at the deadline.
    pub(super) fn wait_for_opened(&self, count: u64, until: Instant) -> bool {
        let lacks = |_: &mut Server| self.opened.load(Ordering::Relaxed) < count;
        !self.changed.wait_while_until(&mut self.server(), lacks, until).timed_out()
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock()
    }
}

/// The manager of one tier.
#[derive(Debug)]
pub(super) struct MonitoredManager<M> {
    pub(super) inner: Arc<M>,
    pub(super) state: Arc<TierState>,
    /// Connections at most.
    pub(super) max: u32,
    /// The age of which no connection gets much older.
    pub(super) lifetime: Duration,
    /// Whether a connection is tested before each use (pre-ping).
    pub(super) pre_ping: bool,
}

/// Why a connection is not opened or not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManagerError<E: std::error::Error> {
    /// An error of the database.
    #[error("{0}")]
    Database(E),
    /// The connection was retired.
    #[error("the connection is being replaced")]
    Outdated,
}

/// A connection that is counted.
#[derive(Debug)]
pub(super) struct TrackedConnection<C> {
    /// Closed first, and counted as closed then.
    pub(super) conn: C,
    pub(super) tag: ConnectionTag,
}

/// The metadata of a connection.
#[derive(Debug)]
pub(super) struct ConnectionTag {
    state: Arc<TierState>,
    born: Instant,
    lifetime: Duration,
    generation: u64,
    /// It is not to be used again.
    is_broken: bool,
}

impl<M: ManageConnection> MonitoredManager<M> {
    /// Connections that were opened together do not end together: they get nine to ten tenths of the lifetime.
    fn tag(&self, generation: u64) -> ConnectionTag {
        let number = self.state.opened.fetch_add(1, Ordering::Relaxed);
        self.state.open.fetch_add(1, Ordering::AcqRel);
        // Multiples of the golden ratio are spread evenly.
        let share = u32::try_from(number.wrapping_mul(618) % 1000).unwrap_or_default();
        let lifetime = self.lifetime.saturating_sub(self.lifetime / 10_000 * share);
        ConnectionTag { state: Arc::clone(&self.state), born: Instant::now(), lifetime, generation, is_broken: false }
    }
}

impl<M: ManageConnection> ManageConnection for MonitoredManager<M> {
    type Connection = TrackedConnection<M::Connection>;
    type Error = ManagerError<M::Error>;

    fn connect(&self) -> Result<Self::Connection, Self::Error> {
        self.state.take(self.max);
        // Read before the connection is opened: a fault detected meanwhile may apply to it, too.
        let generation = self.state.generation.load(Ordering::Acquire);
        match self.inner.connect() {
            Ok(conn) => {
                let held = TrackedConnection { conn, tag: self.tag(generation) };
                self.state.comes_up();
                Ok(held)
            }
            Err(error) => {
                self.state.give_back();
                self.state.unopened.fetch_add(1, Ordering::Relaxed);
                self.state.goes_down(&error);
                Err(ManagerError::Database(error))
            }
        }
    }

    fn is_valid(&self, held: &mut Self::Connection) -> Result<(), Self::Error> {
        if held.tag.is_outdated() {
            held.tag.is_broken = true;
            return Err(ManagerError::Outdated);
        }
        if !self.pre_ping {
            return Ok(());
        }
        self.inner.is_valid(&mut held.conn).map_err(|error| {
            held.tag.breaks(&error);
            // The others would take as long to fail.
            self.state.renew();
            ManagerError::Database(error)
        })
    }

    /// Busy connections end here when they are old; idle ones are found by r2d2.
    fn has_broken(&self, held: &mut Self::Connection) -> bool {
        held.tag.is_broken |= held.tag.is_outdated() || self.inner.has_broken(&mut held.conn);
        held.tag.is_broken || held.tag.born.elapsed() >= held.tag.lifetime
    }
}

impl ConnectionTag {
    /// Whether the connection was retired since it was opened.
    fn is_outdated(&self) -> bool {
        self.generation != self.state.generation.load(Ordering::Acquire)
    }

    /// The connection does not answer; it is closed when it is put back.
    pub(super) fn breaks(&mut self, why: &dyn Display) {
        self.is_broken = true;
        self.state.breaks(why);
    }

    #[cfg(test)]
    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A job failed, and it may be the connection's fault: it is closed when it is put back.
    pub(super) fn distrust(&mut self) {
        self.is_broken = true;
    }
}

impl Drop for ConnectionTag {
    fn drop(&mut self) {
        let count = if self.is_broken {
            &self.state.broken
        } else if self.born.elapsed() >= self.lifetime {
            &self.state.recycled
        } else {
            &self.state.idle
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.state.open.fetch_sub(1, Ordering::AcqRel);
        self.state.give_back();
    }
}
