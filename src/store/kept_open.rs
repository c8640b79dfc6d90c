//! A connection that stays open as long as the store.
//!
//! SQLite removes the write-ahead log with the last connection to the file. This one stays, so that a log that is another
//! one, or is gone, was removed by somebody else.

use std::fmt;
use std::sync::Mutex;

use super::connection::DbSession;

/// A connection that is never used.
pub(super) struct KeptOpen(#[expect(dead_code, reason = "it is held, never used")] Mutex<DbSession>);

impl KeptOpen {
    /// Holds a connection that has read from the database.
    pub(super) fn new(conn: DbSession) -> Self {
        Self(Mutex::new(conn))
    }
}

impl fmt::Debug for KeptOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptOpen")
    }
}
