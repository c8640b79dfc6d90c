//! Opens and tests the connections of a pool.

use std::time::Duration;

use diesel::r2d2::R2D2Connection;
use thiserror::Error;

use super::connection::DbSession;
use super::database_spec::DatabaseSpec;
use super::error::StoreError;
use super::target::Target;
use super::{postgres, sqlite};

/// Opens connections to a database that is there and up to date.
#[derive(Debug, Clone)]
pub(super) struct Opener {
    spec: &'static DatabaseSpec,
    target: Target,
    wait: Duration,
}

impl Opener {
    /// Connections that wait for a writer up to `wait`.
    pub(super) fn new(spec: &'static DatabaseSpec, target: &Target, wait: Duration) -> Self {
        Self { spec, target: target.clone(), wait }
    }
}

/// Why a connection could not be opened or does not work: the database's own text.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct OpenError(String);

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self(match error {
            StoreError::Unavailable { cause, .. } => cause.to_string(),
            StoreError::Damaged { detail, .. } => detail,
            StoreError::Busy(text) => text,
            other => other.to_string(),
        })
    }
}

impl r2d2::ManageConnection for Opener {
    type Connection = DbSession;
    type Error = OpenError;

    fn connect(&self) -> Result<DbSession, OpenError> {
        let opened = match &self.target {
            Target::Sqlite(path) => sqlite::pooled(self.spec, path, self.wait),
            Target::Postgres(server) => postgres::pooled(self.spec, server, self.wait),
        };
        Ok(opened?)
    }

    fn is_valid(&self, conn: &mut DbSession) -> Result<(), OpenError> {
        conn.ping().map_err(|error| StoreError::from(error).into())
    }

    fn has_broken(&self, conn: &mut DbSession) -> bool {
        conn.is_broken() || std::thread::panicking()
    }
}
