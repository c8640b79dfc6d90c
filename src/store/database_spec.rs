//! The kinds of database files: their markers, migrations, and connection settings.

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

/// One of the daemon's databases. Each is a file of its own, and none is taken for another.
#[derive(Debug)]
pub(super) struct DatabaseSpec {
    /// The kind's name in errors.
    pub(super) name: &'static str,
    /// SQLite's `application_id`, as the first migration writes it.
    pub(super) application: i64,
    /// Everything that makes its tables.
    pub(super) migrations: Migrations,
    /// The reaction to a file that is missing or empty although it existed before.
    pub(super) on_missing: OnMissing,
    /// The pragmas for a connection outside of a pool. It may create the file.
    pub(super) single: &'static str,
    /// The pragmas for a pooled connection.
    pub(super) pooled: &'static str,
    /// The settings for a pooled connection to a server.
    pub(super) session: &'static str,
}

/// The migrations, for each database system.
#[derive(Debug)]
pub(super) struct Migrations {
    /// In an SQLite file.
    pub(super) sqlite: fn() -> EmbeddedMigrations,
    /// For PostgreSQL, where one database contains everything.
    pub(super) postgres: fn() -> EmbeddedMigrations,
}

/// The reaction to the loss of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnMissing {
    /// There is no other copy, so it is refused instead of being created again.
    Refused,
    /// It is derived data, and is created again; so is an empty file of an interrupted start.
    Recreated,
}

/// `synchronous = FULL`: an answered write must survive a power failure, since it may be a withdrawal. A connection
/// caches at most 1 MiB, because the pool may have 50.
const EACH: &str = "PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;";

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// PostgreSQL's migrations, whatever of it is used.
pub(super) fn postgres_migrations() -> EmbeddedMigrations {
    POSTGRES
}

/// The entities, "ACGS".
pub(super) const ENTITIES: DatabaseSpec = DatabaseSpec {
    name: "a database of acgs",
    application: 0x4143_4753,
    migrations: Migrations { sqlite: || SQLITE, postgres: postgres_migrations },
    on_missing: OnMissing::Refused,
    single: EACH,
    pooled: EACH,
    session: "",
};
