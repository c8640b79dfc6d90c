//! The table `ended_tokens`: ids of tokens and sessions that are refused though they have not expired.
//!
//! An id is `jti:<iss>:<jti>` for one token, and `sid:<sid>` for all of a session. A row is removed only when both the
//! wall clock and the uptime of the daemons say that nothing with this id can be good any more: a wall clock that jumps
//! removes nothing.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::changes;
use super::connection::Connection;
use super::error::StoreError;
use super::schema::ended_tokens;

/// How many seconds of uptime a row stays at least: the longest life of an access token, and two minutes, since clocks
/// differ.
pub const HELD_S: i64 = 86_400 + 120;

/// Denies an id until a time in Unix seconds, which is when the last token with that id expires, and for [`HELD_S`] of
/// uptime at least. A time never goes back. Every node is told.
pub fn deny(conn: &mut Connection, id: &str, until: i64) -> Result<(), StoreError> {
    let query = "INSERT INTO ended_tokens (id, until, due) VALUES ($1, $2, (SELECT seconds FROM uptime) + $3)
                 ON CONFLICT (id) DO UPDATE SET
                     until = CASE WHEN ended_tokens.until < excluded.until THEN excluded.until ELSE ended_tokens.until END,
                     due = CASE WHEN ended_tokens.due < excluded.due THEN excluded.due ELSE ended_tokens.due END";
    let query = sql_query(query).bind::<Text, _>(id).bind::<BigInt, _>(until);
    query.bind::<BigInt, _>(HELD_S).execute(conn)?;
    changes::of_callers(conn)
}

/// Everything that is denied beyond a moment of the wall clock, each with the time until which it is. Whoever does not
/// know whether that clock is right asks for all, with the least moment there is.
pub fn denied(conn: &mut Connection, beyond: i64) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = ended_tokens::table.filter(ended_tokens::until.gt(beyond)).order(ended_tokens::id);
    Ok(rows.select((ended_tokens::id, ended_tokens::until)).load(conn)?)
}

/// Removes what needs to be denied no longer by the wall clock and by the uptime, and answers how many.
pub fn purge(conn: &mut Connection, now: i64) -> Result<usize, StoreError> {
    let query = "DELETE FROM ended_tokens WHERE until <= $1 AND due <= (SELECT seconds FROM uptime)";
    Ok(sql_query(query).bind::<BigInt, _>(now).execute(conn)?)
}
