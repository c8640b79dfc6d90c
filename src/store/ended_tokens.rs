//! The table `ended_tokens`: ids of tokens and sessions that are refused though they have not expired.
//!
//! An id is `jti:<iss>:<jti>` for one token, and `sid:<sid>` for all of a session.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::changes;
use super::connection::Connection;
use super::error::StoreError;
use super::schema::ended_tokens;

/// Denies an id until a time in Unix seconds, which is when the last token with that id expires. A time never goes back.
/// Every node is told.
pub fn deny(conn: &mut Connection, id: &str, until: i64) -> Result<(), StoreError> {
    let query = "INSERT INTO ended_tokens (id, until) VALUES ($1, $2)
                 ON CONFLICT (id) DO UPDATE SET until = excluded.until
                 WHERE ended_tokens.until < excluded.until";
    sql_query(query).bind::<Text, _>(id).bind::<BigInt, _>(until).execute(conn)?;
    changes::of_callers(conn)
}

/// Everything that is denied now, each with the time until which it is.
pub fn denied(conn: &mut Connection, now: i64) -> Result<Vec<(String, i64)>, StoreError> {
    Ok(ended_tokens::table.filter(ended_tokens::until.gt(now)).order(ended_tokens::id).load(conn)?)
}

/// Removes what needs to be denied no longer, and answers how many.
pub fn purge(conn: &mut Connection, now: i64) -> Result<usize, StoreError> {
    Ok(diesel::delete(ended_tokens::table.filter(ended_tokens::until.le(now))).execute(conn)?)
}
