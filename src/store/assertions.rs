//! The table `assertions`: ids of assertions that clients proved themselves with. Each is good once.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::connection::Connection;
use super::ended_tokens::HELD_S;
use super::error::StoreError;
use super::schema::assertions;

/// The longest time for which an id is kept, in seconds of uptime.
const LONGEST_HELD_S: i64 = 10 * 365 * 86_400;

/// Marks a client's assertion as used, by its `jti`. False if it was used before.
///
/// `expires_at` is the Unix time in seconds from which the assertion is refused as expired, leeway included. Then its
/// id may be used again; the row is kept longer, so that a jump of the clock makes no assertion valid twice. Of several
/// concurrent calls with the same id exactly one returns true.
pub fn use_once(conn: &mut Connection, client: &str, jti: &str, expires_at: i64, now: i64) -> Result<bool, StoreError> {
    let query = "INSERT INTO assertions (client, jti, expires_at, due)
                 VALUES ($1, $2, $3, (SELECT seconds FROM uptime) + $4)
                 ON CONFLICT (client, jti) DO UPDATE SET expires_at = excluded.expires_at, due = excluded.due
                 WHERE assertions.expires_at <= $5";
    let query = sql_query(query).bind::<Text, _>(client).bind::<Text, _>(jti);
    let held = expires_at.saturating_sub(now).clamp(HELD_S, LONGEST_HELD_S);
    let query = query.bind::<BigInt, _>(expires_at).bind::<BigInt, _>(held);
    Ok(query.bind::<BigInt, _>(now).execute(conn)? > 0)
}

/// Whether a client's assertion, by its `jti`, was used before. Its id may be used again once it has expired.
pub fn is_used(conn: &mut Connection, client: &str, jti: &str, now: i64) -> Result<bool, StoreError> {
    let row = assertions::table.find((client, jti)).filter(assertions::expires_at.gt(now));
    Ok(row.select(assertions::expires_at).first::<i64>(conn).optional()?.is_some())
}

/// Removes the ids of assertions that have expired by both the wall clock and the uptime, and returns how many.
pub fn purge(conn: &mut Connection, now: i64) -> Result<usize, StoreError> {
    let query = "DELETE FROM assertions WHERE expires_at <= $1 AND due <= (SELECT seconds FROM uptime)";
    Ok(sql_query(query).bind::<BigInt, _>(now).execute(conn)?)
}
