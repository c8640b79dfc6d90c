//! Serializes the starts of daemons on a database, so that the first start's data is created once.

use std::time::Duration;

use super::connection::DbSession;
use super::{Store, StoreError, open};

/// The advisory lock of starting daemons, in PostgreSQL: "ACGB".
const ADVISORY_LOCK: i64 = 0x4143_4742;

/// How long another may take to begin.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The turn to begin on a database; it ends when it is dropped, or with the process.
pub struct StartupLock {
    _session: Option<DbSession>,
}

impl Store {
    /// Waits for the startup lock, under which a daemon checks for existing data, and creates it. An SQLite file is
    /// locked by its daemon anyway.
    ///
    /// [`StoreError::Busy`] if another daemon holds it for more than a minute.
    pub fn startup_lock(&self) -> Result<StartupLock, StoreError> {
        if !self.is_shared() {
            return Ok(StartupLock { _session: None });
        }
        let mut session = open(&self.target, TIMEOUT)?;
        session.hold(&format!("pg_advisory_xact_lock({ADVISORY_LOCK})")).map_err(|error| error.at(&self.target))?;
        // Other daemons may have stored types that were unknown when this store was opened.
        self.follow()?;
        Ok(StartupLock { _session: Some(session) })
    }
}
