//! How a pool opens and tests its connections.

use std::path::Path;
use std::time::Duration;

use diesel::r2d2::{ConnectionManager, Error, ManageConnection};

use crate::store::connection::{self, Connection};
use crate::store::error::StoreError;
use crate::store::kind::Kind;

/// Opens connections to a database that is there and up to date.
#[derive(Debug)]
pub(super) struct Opener {
    manager: ConnectionManager<Connection>,
    pragmas: &'static str,
    busy_timeout: Duration,
}

impl Opener {
    /// For the file of this kind.
    pub(super) fn new(kind: &Kind, path: &Path, busy_timeout: Duration) -> Result<Self, StoreError> {
        Ok(Self { manager: ConnectionManager::new(connection::url(path)?), pragmas: kind.pooled, busy_timeout })
    }
}

impl ManageConnection for Opener {
    type Connection = Connection;
    type Error = Error;

    fn connect(&self) -> Result<Connection, Error> {
        let mut conn = self.manager.connect()?;
        connection::configure(&mut conn, self.pragmas, self.busy_timeout).map_err(Error::QueryError)?;
        Ok(conn)
    }

    fn is_valid(&self, conn: &mut Connection) -> Result<(), Error> {
        self.manager.is_valid(conn)
    }

    fn has_broken(&self, conn: &mut Connection) -> bool {
        self.manager.has_broken(conn)
    }
}
