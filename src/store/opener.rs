//! How a pool opens its connections, and tells whether they still work.

use std::time::Duration;

use diesel::r2d2::R2D2Connection;

use super::connection::Connection;
use super::error::StoreError;
use super::kind::Kind;
use super::target::Target;
use super::{postgres, sqlite};

/// Opens connections to a database that is there and up to date.
#[derive(Debug, Clone)]
pub(super) struct Opener {
    kind: &'static Kind,
    target: Target,
    wait: Duration,
}

impl Opener {
    /// Connections that wait no longer than `wait` for a writer who is in the way.
    pub(super) fn new(kind: &'static Kind, target: &Target, wait: Duration) -> Self {
        Self { kind, target: target.clone(), wait }
    }
}

impl r2d2::ManageConnection for Opener {
    type Connection = Connection;
    type Error = StoreError;

    fn connect(&self) -> Result<Connection, StoreError> {
        match &self.target {
            Target::Sqlite(path) => sqlite::pooled(self.kind, path, self.wait),
            Target::Postgres(url) => postgres::pooled(self.kind, url, self.wait),
        }
    }

    fn is_valid(&self, conn: &mut Connection) -> Result<(), StoreError> {
        Ok(conn.ping()?)
    }

    fn has_broken(&self, conn: &mut Connection) -> bool {
        conn.is_broken() || std::thread::panicking()
    }
}
