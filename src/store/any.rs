//! A connection to either database.

use diesel::{PgConnection, SqliteConnection};

/// A connection to a database.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    /// To an SQLite file.
    Sqlite(SqliteConnection),
    /// To a PostgreSQL server.
    Postgres(PgConnection),
}
