//! The table `ended_tokens`: ids of tokens, sessions, keys and callers that are denied before they expire. The denylist
//! of the actors forms the ids.
//!
//! A row is removed only when
//! both the wall clock and the daemons' uptime say that every token with this id has expired: a wall clock that jumps
//! removes nothing.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::changes;
use super::connection::Connection;
use super::error::StoreError;
use super::schema::ended_tokens;

/// The least time for which a row is kept, in seconds of uptime: the longest life of an access token, and two minutes
/// of tolerance between clocks.
pub const HELD_S: i64 = 86_400 + 120;

/// Denies an id until a Unix time in seconds, when the last token with that id expires, and for at least [`HELD_S`] of
/// uptime. An earlier `until` than the stored one is ignored. Every node is notified.
pub fn deny(conn: &mut Connection, id: &str, until: i64) -> Result<(), StoreError> {
    let query = "INSERT INTO ended_tokens (id, until, due) VALUES ($1, $2, (SELECT seconds FROM uptime) + $3)
                 ON CONFLICT (id) DO UPDATE SET
                     until = CASE WHEN ended_tokens.until < excluded.until THEN excluded.until ELSE ended_tokens.until END,
                     due = CASE WHEN ended_tokens.due < excluded.due THEN excluded.due ELSE ended_tokens.due END";
    let query = sql_query(query).bind::<Text, _>(id).bind::<BigInt, _>(until);
    query.bind::<BigInt, _>(HELD_S).execute(conn)?;
    changes::of_callers(conn)
}

/// The ids that are denied beyond a Unix time in seconds, each with its expiry. With `i64::MIN` all of them, for a
/// caller whose wall clock may be wrong.
pub fn denied(conn: &mut Connection, beyond: i64) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = ended_tokens::table.filter(ended_tokens::until.gt(beyond)).order(ended_tokens::id);
    Ok(rows.select((ended_tokens::id, ended_tokens::until)).load(conn)?)
}

/// Removes the ids that have expired by both the wall clock and the uptime, and returns how many.
pub fn purge(conn: &mut Connection, now: i64) -> Result<usize, StoreError> {
    let query = "DELETE FROM ended_tokens WHERE until <= $1 AND due <= (SELECT seconds FROM uptime)";
    Ok(sql_query(query).bind::<BigInt, _>(now).execute(conn)?)
}
