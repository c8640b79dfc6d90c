//! The table `assertions`: ids of assertions that clients proved themselves with. Each is good once.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::connection::Connection;
use super::error::StoreError;
use super::schema::assertions;

/// Takes an assertion of a client by its `jti`: whether it was not taken before.
///
/// `expires_at` is the time in Unix seconds from which on nobody accepts the assertion any more, leeway included; from
/// then on its id may come again. Of many who come with the same id at once, one is told that it was not taken.
pub fn use_once(conn: &mut Connection, client: &str, jti: &str, expires_at: i64, now: i64) -> Result<bool, StoreError> {
    let query = "INSERT INTO assertions (client, jti, expires_at) VALUES ($1, $2, $3)
                 ON CONFLICT (client, jti) DO UPDATE SET expires_at = excluded.expires_at
                 WHERE assertions.expires_at <= $4";
    let query = sql_query(query).bind::<Text, _>(client).bind::<Text, _>(jti);
    Ok(query.bind::<BigInt, _>(expires_at).bind::<BigInt, _>(now).execute(conn)? > 0)
}

/// Removes the ids of assertions that have expired, and answers how many.
pub fn purge(conn: &mut Connection, now: i64) -> Result<usize, StoreError> {
    Ok(diesel::delete(assertions::table.filter(assertions::expires_at.le(now))).execute(conn)?)
}
