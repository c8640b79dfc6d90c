//! Brings the database up to date.

use std::path::Path;

use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::sqlite::Sqlite;
use diesel_migrations::MigrationHarness;

use super::connection::{Connection, write};
use super::error::{Cause, StoreError};
use super::kind::Kind;

/// Runs the migrations that the database does not have yet: all of them or none. Answers how many there were.
///
/// [`StoreError::Newer`] where it has one that is unknown here; the database is left as it is then.
pub(super) fn run(kind: &Kind, conn: &mut Connection, path: &Path) -> Result<usize, StoreError> {
    // A database that is up to date is opened without waiting for those who write to it.
    if !is_behind(kind, conn, path)? {
        return Ok(0);
    }
    // One transaction, so that two starts at once cannot both run the same migration.
    write(conn, |conn| Ok(conn.run_pending_migrations((kind.migrations)()).map_err(failed)?.len()))
}

/// Whether there are migrations to run.
pub(super) fn is_behind(kind: &Kind, conn: &mut Connection, path: &Path) -> Result<bool, StoreError> {
    let known = MigrationSource::<Sqlite>::migrations(&(kind.migrations)()).map_err(failed)?;
    let applied = conn.applied_migrations().map_err(failed)?;
    match applied.iter().filter(|version| !is_known(&known, version)).min() {
        Some(unknown) => Err(StoreError::Newer { path: path.to_owned(), migration: unknown.to_string() }),
        None => Ok(applied.len() < known.len()),
    }
}

fn is_known(known: &[Box<dyn Migration<Sqlite>>], version: &MigrationVersion<'_>) -> bool {
    known.iter().any(|migration| migration.name().version() == *version)
}

/// What a failed migration means: mostly the database's own error, which the harness has boxed.
fn failed(cause: Cause) -> StoreError {
    match cause.downcast::<diesel::result::Error>() {
        Ok(error) => StoreError::from(*error),
        Err(cause) => StoreError::unavailable(cause),
    }
}
