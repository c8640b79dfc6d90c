//! The table `refresh_tokens`: each is good once. All of one session are a family, and only its newest is unused.

use diesel::Connection as _;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Binary, Text};

use super::connection::Connection;
use super::error::StoreError;
use super::schema::{refresh_tokens, sessions};

/// A refresh token. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens)]
pub struct RefreshToken {
    /// Its digest; the token itself is not stored.
    pub digest: Vec<u8>,
    /// The id of its session.
    pub session: String,
    /// When it was used, if so.
    pub used_at: Option<i64>,
    /// From when on it is refused.
    pub expires_at: i64,
    /// The seed from which the successor was made, if the token was used.
    pub seed: Option<Vec<u8>>,
    /// A digest of the client that used the token, if one did.
    pub used_by: Option<Vec<u8>>,
}

/// The result of using a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// The new one is stored in its place, in this session.
    Rotated(String),
    /// It was used before, so it is in two hands: this session must be ended. Nothing was stored.
    Reused(String),
    /// It or its session has expired, or its session was ended. Nothing was stored.
    Expired,
    /// It is not stored.
    Unknown,
}

/// Stores the first token of a session.
pub fn insert(conn: &mut Connection, token: &RefreshToken) -> Result<(), StoreError> {
    diesel::insert_into(refresh_tokens::table).values(token).execute(conn)?;
    Ok(())
}

/// Finds a token by its digest, used or not.
pub fn find(conn: &mut Connection, digest: &[u8]) -> Result<Option<RefreshToken>, StoreError> {
    Ok(refresh_tokens::table.find(digest).select(RefreshToken::as_select()).first(conn).optional()?)
}

/// Replaces a refresh token by a new one, which expires at `expires_at`.
///
/// Of several concurrent calls with the same old token, one gets [`Rotation::Rotated`] and the others
/// [`Rotation::Reused`]. A session that ends meanwhile gets no new token once that is committed.
pub fn rotate(
    conn: &mut Connection,
    old: &[u8],
    new: &[u8],
    expires_at: i64,
    now: i64,
) -> Result<Rotation, StoreError> {
    #[derive(QueryableByName)]
    struct Used {
        #[diesel(sql_type = Text)]
        session: String,
    }
    // The transaction begins with a write, so it reads the current state, and the second of two sees the first.
    conn.transaction(|conn| {
        let query = "UPDATE refresh_tokens SET used_at = $1 WHERE digest = $2 AND used_at IS NULL AND expires_at > $1
                     AND EXISTS (SELECT 1 FROM sessions WHERE id = session AND ended_at IS NULL AND expires_at > $1)
                     RETURNING session";
        let used = sql_query(query).bind::<BigInt, _>(now).bind::<Binary, _>(old).get_result::<Used>(conn);
        let Some(Used { session }) = used.optional()? else {
            return Ok(match find(conn, old)? {
                None => Rotation::Unknown,
                Some(RefreshToken { used_at: Some(_), session, .. }) => Rotation::Reused(session),
                Some(_) => Rotation::Expired,
            });
        };
        let digest = new.to_owned();
        let token = RefreshToken { digest, session, used_at: None, expires_at, seed: None, used_by: None };
        insert(conn, &token)?;
        let used = sessions::last_used_at.eq(now);
        diesel::update(sessions::table.find(&token.session)).set(used).execute(conn)?;
        Ok(Rotation::Rotated(token.session))
    })
}

/// Stores the seed of a used token's successor, and the digest of the client that used it.
pub fn remember_use(conn: &mut Connection, digest: &[u8], seed: &[u8], used_by: &[u8]) -> Result<(), StoreError> {
    let used = (refresh_tokens::seed.eq(seed), refresh_tokens::used_by.eq(used_by));
    diesel::update(refresh_tokens::table.find(digest)).set(used).execute(conn)?;
    Ok(())
}

/// Removes the tokens that expired before that time, used or not, and answers how many.
pub fn purge(conn: &mut Connection, before: i64) -> Result<usize, StoreError> {
    let over = refresh_tokens::table.filter(refresh_tokens::expires_at.lt(before));
    Ok(diesel::delete(over).execute(conn)?)
}
