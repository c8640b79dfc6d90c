//! Brings the database up to date.

use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource, MigrationVersion, Result as Migrated};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Bool;
use diesel::sqlite::Sqlite;
use diesel_migrations::MigrationHarness;

use super::connection::{Connection, DbSession, write};
use super::database_spec::DatabaseSpec;
use super::error::{Cause, StoreError};

/// Runs the migrations that the database lacks, all or none. Returns their number.
///
/// [`StoreError::Newer`] if it has one that is unknown here; the database is left unchanged then.
pub(super) fn run(kind: &DatabaseSpec, conn: &mut DbSession) -> Result<usize, StoreError> {
    // An up-to-date database is opened without waiting for its writers.
    if !is_behind(kind, conn)? {
        return Ok(0);
    }
    // One transaction, so that two starts at once cannot both run the same migration.
    write(conn, |conn| {
        let ran = match conn {
            Connection::Sqlite(conn) => count(conn.run_pending_migrations((kind.migrations.sqlite)())),
            Connection::Postgres(conn) => count(conn.run_pending_migrations((kind.migrations.postgres)())),
        };
        ran.map_err(failed)
    })
}

/// Whether there are migrations to run.
pub(super) fn is_behind(kind: &DatabaseSpec, conn: &mut Connection) -> Result<bool, StoreError> {
    match conn {
        Connection::Sqlite(conn) => {
            let known = (kind.migrations.sqlite)();
            lacks::<Sqlite>(&known, conn.applied_migrations())
        }
        Connection::Postgres(conn) => {
            // The harness creates its table even for a look, and two that create it at once fail.
            if !has_table(conn)? {
                return Ok(true);
            }
            let known = (kind.migrations.postgres)();
            lacks::<Pg>(&known, conn.applied_migrations())
        }
    }
}

/// Whether any migration was ever run.
fn has_table(conn: &mut PgConnection) -> Result<bool, StoreError> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    let query = sql_query("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS found");
    Ok(query.get_result::<Found>(conn)?.found)
}

fn count(ran: Migrated<Vec<MigrationVersion<'_>>>) -> Migrated<usize> {
    ran.map(|versions| versions.len())
}

fn lacks<DB: Backend>(
    known: &impl MigrationSource<DB>,
    applied: Migrated<Vec<MigrationVersion<'static>>>,
) -> Result<bool, StoreError> {
    let (known, applied) = (known.migrations().map_err(failed)?, applied.map_err(failed)?);
    match applied.iter().filter(|version| !is_known(&known, version)).min() {
        Some(unknown) => Err(StoreError::Newer { place: String::new(), migration: unknown.to_string() }),
        None => Ok(applied.len() < known.len()),
    }
}

fn is_known<DB: Backend>(known: &[Box<dyn Migration<DB>>], version: &MigrationVersion<'_>) -> bool {
    known.iter().any(|migration| migration.name().version() == *version)
}

/// The error for a failed migration: mostly the database's own, boxed by the harness.
fn failed(cause: Cause) -> StoreError {
    match cause.downcast::<diesel::result::Error>() {
        Ok(error) => StoreError::from(*error),
        Err(cause) => StoreError::unavailable(cause),
    }
}
