//! The table `uptime`: how long daemons have run on this database. It measures what must not be forgotten too early.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use super::connection::Connection;
use super::error::StoreError;
use super::schema::uptime;

/// How long daemons have run, and what the wall clock said when that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = uptime)]
pub struct Uptime {
    /// Seconds. The uptime of daemons that run at the same time is counted once.
    pub seconds: i64,
    /// Unix seconds; 0 where no daemon has stored any.
    pub wall: i64,
}

/// The uptime as it was stored last.
pub fn read(conn: &mut Connection) -> Result<Uptime, StoreError> {
    let row = uptime::table.select(Uptime::as_select()).first(conn).optional()?;
    row.ok_or_else(|| StoreError::damaged("the row of table `uptime` is gone"))
}

/// Stores that the uptime is at least so many seconds. It never goes back.
pub fn advance(conn: &mut Connection, seconds: i64, wall: i64) -> Result<(), StoreError> {
    let query = "UPDATE uptime SET seconds = CASE WHEN seconds < $1 THEN $1 ELSE seconds END, wall = $2";
    sql_query(query).bind::<BigInt, _>(seconds).bind::<BigInt, _>(wall).execute(conn)?;
    Ok(())
}
