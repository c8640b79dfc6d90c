//! Which database a file is: what marks it, which migrations it has, and what each connection to it is told.

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

/// One of the daemon's databases. Each is a file of its own, and none is taken for another.
#[derive(Debug)]
pub(super) struct Kind {
    /// What the file is, in errors.
    pub(super) name: &'static str,
    /// SQLite's `application_id`, as the first migration writes it.
    pub(super) application: i64,
    /// Everything that makes its tables.
    pub(super) migrations: Migrations,
    /// What becomes of it where the file is gone or empty and something says that there was one.
    pub(super) loss: Loss,
    /// What a connection is told that was opened by itself. It may make the file.
    pub(super) single: &'static str,
    /// What a connection of a pool is told.
    pub(super) pooled: &'static str,
    /// What a connection of a pool to a server is told.
    pub(super) session: &'static str,
}

/// What makes the tables, for each database there is.
#[derive(Debug)]
pub(super) struct Migrations {
    /// In an SQLite file.
    pub(super) sqlite: fn() -> EmbeddedMigrations,
    /// In PostgreSQL, where one database has everything.
    pub(super) postgres: fn() -> EmbeddedMigrations,
}

/// What it means that a database was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nobody has what was in it, so it is refused, and not taken for a new one.
    Refused,
    /// It is a copy, and is made anew: so is a file that a kill left before anything was in it.
    MadeGood,
}

/// `synchronous = FULL`: a write that was answered must outlast a power failure, since it may be what takes a right
/// away. A connection caches at most 1 MiB, because the pool may have 50.
const EACH: &str = "PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;";

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// PostgreSQL's migrations, whatever of it is used.
pub(super) fn postgres_migrations() -> EmbeddedMigrations {
    POSTGRES
}

/// The entities, "ACGS".
pub(super) const ENTITIES: Kind = Kind {
    name: "a database of acgs",
    application: 0x4143_4753,
    migrations: Migrations { sqlite: || SQLITE, postgres: postgres_migrations },
    loss: Loss::Refused,
    single: EACH,
    pooled: EACH,
    session: "",
};
