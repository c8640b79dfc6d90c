//! The table `sessions`: one row a login. Its id is the `sid` of the tokens that come of it.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::connection::Connection;
use super::error::StoreError;
use super::schema::sessions;

/// A login of a user. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions)]
pub struct Session {
    /// A random id.
    pub id: String,
    /// The id of the user.
    pub user_id: String,
    /// When the user logged in.
    pub created_at: i64,
    /// When it was last refreshed; at first, when it was made.
    pub last_used_at: i64,
    /// From when on nothing can be had of it.
    pub expires_at: i64,
    /// When it was ended before that, if so.
    pub ended_at: Option<i64>,
    /// Why it was ended.
    pub end_reason: Option<String>,
    /// The address that the login came from.
    pub address: String,
    /// The `User-Agent` of the login.
    pub user_agent: String,
    /// The id of the client it was made through, if any; it is removed with that client.
    pub client_id: Option<String>,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

/// Stores a new session.
pub fn insert(conn: &mut Connection, session: &Session) -> Result<(), StoreError> {
    diesel::insert_into(sessions::table).values(session).execute(conn)?;
    Ok(())
}

/// Finds a session, ended or not.
pub fn find(conn: &mut Connection, id: &str) -> Result<Option<Session>, StoreError> {
    // Not every database can be asked for that.
    if id.contains('\0') {
        return Ok(None);
    }
    Ok(sessions::table.find(id).select(Session::as_select()).first(conn).optional()?)
}

/// The sessions of a user, ended or not, the newest first.
pub fn of_user(conn: &mut Connection, user_id: &str) -> Result<Vec<Session>, StoreError> {
    let rows = sessions::table.filter(sessions::user_id.eq(user_id)).select(Session::as_select());
    Ok(rows.order((sessions::created_at.desc(), sessions::id)).load(conn)?)
}

/// Ends a session: whether it was there and not ended before. The first reason stays.
pub fn end(conn: &mut Connection, id: &str, reason: &str, at: i64) -> Result<bool, StoreError> {
    let live = sessions::table.filter(sessions::id.eq(id)).filter(sessions::ended_at.is_null());
    let ended = (sessions::ended_at.eq(at), sessions::end_reason.eq(reason));
    Ok(diesel::update(live).set(ended).execute(conn)? > 0)
}

/// Ends all sessions of a user, and returns the ids of those that had not ended before.
pub fn end_all(conn: &mut Connection, user_id: &str, reason: &str, at: i64) -> Result<Vec<String>, StoreError> {
    let query =
        "UPDATE sessions SET ended_at = $1, end_reason = $2 WHERE user_id = $3 AND ended_at IS NULL RETURNING id";
    let query = sql_query(query).bind::<BigInt, _>(at).bind::<Text, _>(reason).bind::<Text, _>(user_id);
    Ok(query.load::<Id>(conn)?.into_iter().map(|ended| ended.id).collect())
}

/// Removes the sessions that expired or were ended before that time, with their refresh tokens; answers how many.
pub fn purge(conn: &mut Connection, before: i64) -> Result<usize, StoreError> {
    let over = sessions::expires_at.lt(before).nullable().or(sessions::ended_at.lt(before));
    Ok(diesel::delete(sessions::table.filter(over)).execute(conn)?)
}
