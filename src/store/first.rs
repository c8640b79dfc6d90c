//! One daemon at a time begins on a database: what the first start makes is made once.

use std::time::Duration;

use super::connection::DbSession;
use super::{Store, StoreError, open};

/// The advisory lock of those who begin, in PostgreSQL: "ACGB".
const BEGINNER: i64 = 0x4143_4742;

/// How long another may take to begin.
const WAIT: Duration = Duration::from_mins(1);

/// The turn to begin on a database; it ends when it is dropped, or with the process.
pub struct Turn {
    _session: Option<DbSession>,
}

impl Store {
    /// Waits for the turn to look whether anything is there yet, and to make it where it is not. Who has a file has it
    /// alone anyhow.
    ///
    /// [`StoreError::Busy`] where another has it for more than a minute.
    pub fn turn_to_begin(&self) -> Result<Turn, StoreError> {
        if !self.is_shared() {
            return Ok(Turn { _session: None });
        }
        let mut session = open(&self.target, WAIT)?;
        session.hold(&format!("pg_advisory_xact_lock({BEGINNER})")).map_err(|error| error.at(&self.target))?;
        // What others made before may have been of types that were not known when this store was opened.
        self.follow()?;
        Ok(Turn { _session: Some(session) })
    }
}
