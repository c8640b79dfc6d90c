//! A database by itself, before it has a [`Store`](super::Store): made, brought up to date, or looked at.

use std::time::Duration;

use super::connection::DbSession;
use super::error::StoreError;
use super::kind::{ENTITIES, Kind};
use super::target::Target;
use super::{entities, postgres, sqlite};
use crate::domain::Entity;

/// Opens the database of the entities, makes it where there is none, and brings it up to date.
///
/// The folder of a file must be there; a new file is readable by its owner only. A file that is damaged, another
/// application's, the audit log's or of a newer version is refused as it is: nothing is written to it.
pub fn open(target: &Target, wait: Duration) -> Result<DbSession, StoreError> {
    open_kind(&ENTITIES, target, wait)
}

/// Brings the database up to date as [`open`] does, and answers how many migrations it lacked.
pub fn migrate(target: &Target, wait: Duration) -> Result<usize, StoreError> {
    migrate_kind(&ENTITIES, target, wait)
}

/// Looks whether [`open`] would take the database, without changing anything. A file that is not there yet is fine.
pub fn inspect(target: &Target, wait: Duration) -> Result<(), StoreError> {
    inspect_kind(&ENTITIES, target, wait)
}

/// Shows every stored entity of a database that is up to date, without changing anything; none of any other.
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

/// Removes what a first start left of a file before anything was in it. Only where nothing was ever recorded.
pub fn discard_unfinished(target: &Target) -> Result<(), StoreError> {
    target.path().map_or(Ok(()), sqlite::discard_unfinished).map_err(|error| error.at(target))
}

/// Whether a database file is what [`discard_unfinished`] removes.
#[must_use]
pub fn is_unfinished(target: &Target) -> bool {
    target.path().is_some_and(sqlite::is_unfinished)
}

/// Looks whether the database is there. A file always is: it is made where it is not.
pub fn reach(target: &Target) -> Result<(), StoreError> {
    match target {
        Target::Sqlite(_) => Ok(()),
        Target::Postgres(server) => postgres::reach(server).map_err(|error| error.at(target)),
    }
}

pub(super) fn open_kind(kind: &Kind, target: &Target, wait: Duration) -> Result<DbSession, StoreError> {
    let opened = match target {
        Target::Sqlite(path) => sqlite::open(kind, path, wait),
        Target::Postgres(server) => postgres::open(kind, server, wait),
    };
    opened.map_err(|error| error.at(target))
}

pub(super) fn migrate_kind(kind: &Kind, target: &Target, wait: Duration) -> Result<usize, StoreError> {
    let migrated = match target {
        Target::Sqlite(path) => sqlite::migrate(kind, path, wait),
        Target::Postgres(server) => postgres::migrate(kind, server, wait),
    };
    migrated.map_err(|error| error.at(target))
}

pub(super) fn inspect_kind(kind: &Kind, target: &Target, wait: Duration) -> Result<(), StoreError> {
    let inspected = match target {
        Target::Sqlite(path) => sqlite::inspect(kind, path, wait),
        Target::Postgres(server) => postgres::inspect(kind, server, wait),
    };
    inspected.map(drop).map_err(|error| error.at(target))
}
