//! The connections kept open.

use std::num::NonZeroU32;
use std::time::Duration;

use super::connection::Connection;
use super::error::StoreError;
use super::kind::Kind;
use super::opener::Opener;
use super::target::Target;

/// Where the database is and how many connections it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The database.
    pub target: Target,
    /// Connections at most, overflow included.
    pub max_connections: NonZeroU32,
    /// Connections opened before the store is ready, and kept when idle. More than `max_connections` means as many.
    pub min_idle: u32,
    /// Whether a connection is tested before it is used.
    pub pre_ping: bool,
    /// The age after which a connection is replaced by a new one; not zero.
    pub recycle: Duration,
    /// How long a job waits for a connection, and then again for another writer; at least 1 ms.
    pub acquire_timeout: Duration,
}

/// The pool of connections; shared by all clones.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    connections: r2d2::Pool<Opener>,
    acquire_timeout: Duration,
}

impl Pool {
    /// Opens the first connections to a database that is there and up to date.
    pub(super) fn open(kind: &'static Kind, options: &StoreOptions) -> Result<Self, StoreError> {
        let acquire_timeout = options.acquire_timeout.max(Duration::from_millis(1));
        let max = options.max_connections.get();
        let connections = r2d2::Pool::builder()
            .max_size(max)
            .min_idle(Some(options.min_idle.min(max)))
            .test_on_check_out(options.pre_ping)
            .max_lifetime(Some(options.recycle.max(Duration::from_secs(1))))
            .connection_timeout(acquire_timeout)
            .error_handler(Box::new(Warn))
            .build(Opener::new(kind, &options.target, acquire_timeout))
            .map_err(|error| unacquired(&error, acquire_timeout))?;
        Ok(Self { connections, acquire_timeout })
    }

    /// Runs a job on a connection. [`StoreError::Busy`] where none comes free in time.
    pub(super) fn run<T>(&self, job: impl FnOnce(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut conn = self.connections.get().map_err(|error| unacquired(&error, self.acquire_timeout))?;
        job(&mut conn)
    }
}

/// The pool says why the last connection could not be opened, if that is what kept it.
fn unacquired(error: &r2d2::Error, timeout: Duration) -> StoreError {
    match error.to_string().split_once(": ") {
        Some((_, cause)) => StoreError::unavailable(cause),
        None => StoreError::Busy(format!("no connection came free within {} ms", timeout.as_millis())),
    }
}

/// Connections are opened by threads of the pool; what fails there has no caller to tell.
#[derive(Debug)]
struct Warn;

impl r2d2::HandleError<StoreError> for Warn {
    fn handle_error(&self, error: StoreError) {
        tracing::warn!(%error, "a database connection failed");
    }
}
