//! A connection that stays open as long as the store.
//!
//! SQLite removes the write-ahead log when the last connection to the database closes. With this connection open, a
//! missing or replaced write-ahead log means that another process removed it.

use std::fmt;
use std::sync::Mutex;

use super::connection::DbSession;

/// A connection that is held open and never used.
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
