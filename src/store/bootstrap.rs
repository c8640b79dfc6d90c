//! A database before it is opened as a [`Store`](super::Store): creation, migration, inspection.

use std::time::Duration;

use super::connection::DbSession;
use super::database_spec::{DatabaseSpec, ENTITIES};
use super::error::StoreError;
use super::target::Target;
use super::{entities, postgres, sqlite};
use crate::domain::Entity;

/// Opens the database of the entities, creates it if there is none, and migrates it.
///
/// The folder of a file must exist; a new file is readable by its owner only. A file that is damaged, of another
/// application, the audit log's, or of a newer version is refused, and nothing is written to it.
pub fn open(target: &Target, wait: Duration) -> Result<DbSession, StoreError> {
    open_spec(&ENTITIES, target, wait)
}

/// Migrates the database as [`open`] does, and returns the number of migrations that it lacked.
pub fn migrate(target: &Target, wait: Duration) -> Result<usize, StoreError> {
    migrate_spec(&ENTITIES, target, wait)
}

/// Checks without any change whether [`open`] would accept the database. A missing file is accepted.
pub fn inspect(target: &Target, wait: Duration) -> Result<(), StoreError> {
    inspect_spec(&ENTITIES, target, wait)
}

/// Calls `visit` with every stored entity, without any change, if the database is up to date.
pub fn visit(target: &Target, wait: Duration, visit: impl FnMut(&[Entity])) -> Result<(), StoreError> {
    let read = || {
        let conn = match target {
            Target::Sqlite(path) => sqlite::inspect(&ENTITIES, path, wait)?,
            Target::Postgres(server) => postgres::inspect(&ENTITIES, server, wait)?,
        };
        conn.map_or(Ok(()), |mut conn| entities::visit(&mut conn, visit))
    };
    read().map_err(|error| error.at(target))
}

/// Removes the empty file that an interrupted first start left. To be called only if nothing was ever recorded.
pub fn discard_unfinished(target: &Target) -> Result<(), StoreError> {
    target.path().map_or(Ok(()), sqlite::discard_unfinished).map_err(|error| error.at(target))
}

/// Whether a database file is one that [`discard_unfinished`] removes.
#[must_use]
pub fn is_unfinished(target: &Target) -> bool {
    target.path().is_some_and(sqlite::is_unfinished)
}

/// Checks whether the database is reachable. A file always is, since it is created on demand.
pub fn reach(target: &Target) -> Result<(), StoreError> {
    match target {
        Target::Sqlite(_) => Ok(()),
        Target::Postgres(server) => postgres::reach(server).map_err(|error| error.at(target)),
    }
}

pub(super) fn open_spec(spec: &DatabaseSpec, target: &Target, wait: Duration) -> Result<DbSession, StoreError> {
    let opened = match target {
        Target::Sqlite(path) => sqlite::open(spec, path, wait),
        Target::Postgres(server) => postgres::open(spec, server, wait),
    };
    opened.map_err(|error| error.at(target))
}

pub(super) fn migrate_spec(spec: &DatabaseSpec, target: &Target, wait: Duration) -> Result<usize, StoreError> {
    let migrated = match target {
        Target::Sqlite(path) => sqlite::migrate(spec, path, wait),
        Target::Postgres(server) => postgres::migrate(spec, server, wait),
    };
    migrated.map_err(|error| error.at(target))
}

pub(super) fn inspect_spec(spec: &DatabaseSpec, target: &Target, wait: Duration) -> Result<(), StoreError> {
    let inspected = match target {
        Target::Sqlite(path) => sqlite::inspect(spec, path, wait),
        Target::Postgres(server) => postgres::inspect(spec, server, wait),
    };
    inspected.map(drop).map_err(|error| error.at(target))
}
