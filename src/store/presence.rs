//! Which daemons are there that share something outside of the database. Who finds nobody does not know what became of the
//! database since, and must not believe what was shared before: a backup may have been restored, whose versions are given
//! again to something else.

use diesel::connection::SimpleConnection as _;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::connection::Connection;
use super::error::StoreError;

/// The advisory lock of those who share, in PostgreSQL: "ACGF".
const SHARER: i64 = 0x4143_4746;

/// Says that somebody is there, for as long as the connection lasts. Who has a file has it alone anyhow.
pub(super) fn announce(conn: &mut Connection) -> Result<(), StoreError> {
    if let Connection::Postgres(conn) = conn {
        conn.batch_execute(&format!("SELECT pg_advisory_lock_shared({SHARER})"))?;
    }
    Ok(())
}

/// Whether nobody has announced that they are there. If so, nobody can before the transaction ends in which this is
/// asked.
pub fn is_alone(conn: &mut Connection) -> Result<bool, StoreError> {
    match conn {
        Connection::Sqlite(_) => Ok(true),
        Connection::Postgres(conn) => {
            let tried = sql::<Bool>(&format!("pg_try_advisory_xact_lock({SHARER})"));
            Ok(diesel::select(tried).get_result(conn)?)
        }
    }
}
