//! The table `uptime`: the total time for which daemons have run on this database, by which denied ids are kept.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use super::connection::Connection;
use super::error::StoreError;
use super::schema::uptime;

/// The stored uptime, and the wall clock at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = uptime)]
pub struct Uptime {
    /// Seconds. Time during which several daemons run counts once.
    pub seconds: i64,
    /// Unix time in seconds; 0 if no daemon has stored it yet.
    pub wall: i64,
}

/// The uptime that was stored last.
pub fn read(conn: &mut Connection) -> Result<Uptime, StoreError> {
    let row = uptime::table.select(Uptime::as_select()).first(conn).optional()?;
    row.ok_or_else(|| StoreError::damaged("the row of table `uptime` is gone"))
}

/// Stores a lower bound of the uptime in seconds. The stored value never decreases.
pub fn advance(conn: &mut Connection, seconds: i64, wall: i64) -> Result<(), StoreError> {
    let query = "UPDATE uptime SET seconds = CASE WHEN seconds < $1 THEN $1 ELSE seconds END, wall = $2";
    sql_query(query).bind::<BigInt, _>(seconds).bind::<BigInt, _>(wall).execute(conn)?;
    Ok(())
}
