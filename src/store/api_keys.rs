//! The table `api_keys`.

use std::fmt;
use std::num::NonZeroU16;

use diesel::Connection as _;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::connection::Connection;
use super::error::StoreError;
use super::list_page::ListPage;
use super::schema::api_keys;

/// A key that speaks for its owner. Times are Unix seconds.
#[derive(Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_keys)]
pub struct ApiKey {
    /// The part of the key that is no secret.
    pub id: String,
    /// The label given by its owner; it need not be unique.
    pub name: String,
    /// The digest of the secret part.
    pub digest: Vec<u8>,
    /// The caller it was made for, such as `user:ann`.
    pub owner: String,
    /// The scopes, separated by spaces.
    pub scopes: String,
    /// The networks it may be used from, with a comma between; empty for all.
    pub networks: String,
    /// Requests a second at most; none: the common limit.
    pub rate_per_s: Option<i64>,
    /// From when on it is refused.
    pub expires_at: Option<i64>,
    /// When it was used last, as far as is stored.
    pub last_used_at: Option<i64>,
    /// When it was revoked, if so.
    pub revoked_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
}

/// Finds a key by id, revoked or not.
pub fn find(conn: &mut Connection, id: &str) -> Result<Option<ApiKey>, StoreError> {
    // Not every database can be asked for that.
    if id.contains('\0') {
        return Ok(None);
    }
    Ok(api_keys::table.find(id).select(ApiKey::as_select()).first(conn).optional()?)
}

/// Lists the keys by id, at most `limit` of them, after the given id.
pub fn list(conn: &mut Connection, after: Option<&str>, limit: NonZeroU16) -> Result<ListPage<ApiKey>, StoreError> {
    let mut query = api_keys::table.select(ApiKey::as_select()).into_boxed();
    if let Some(id) = after {
        query = query.filter(api_keys::id.gt(id));
    }
    let rows = query.order(api_keys::id).limit(ListPage::<ApiKey>::rows(limit)).load(conn)?;
    Ok(ListPage::of(rows, limit, |key| &key.id))
}

/// Stores a new key. [`StoreError::NameTaken`] if the id exists.
pub fn insert(conn: &mut Connection, key: &ApiKey) -> Result<(), StoreError> {
    let inserted = diesel::insert_into(api_keys::table).values(key).execute(conn);
    inserted.map(drop).map_err(|error| StoreError::taken(error, || format!("an API key with id `{}`", key.id)))
}

/// Revokes a key permanently; an earlier revocation keeps its time. [`StoreError::Absent`] if there is no such key.
pub fn revoke(conn: &mut Connection, id: &str, at: i64) -> Result<(), StoreError> {
    let good = api_keys::table.filter(api_keys::id.eq(id)).filter(api_keys::revoked_at.is_null());
    let revoked = diesel::update(good).set(api_keys::revoked_at.eq(at)).execute(conn)?;
    match revoked {
        0 if find(conn, id)?.is_none() => Err(StoreError::Absent(format!("API key with id `{id}`"))),
        _ => Ok(()),
    }
}

/// Revokes all keys of an owner, and returns the ids of those that were not revoked before.
pub fn revoke_of(conn: &mut Connection, owner: &str, at: i64) -> Result<Vec<String>, StoreError> {
    #[derive(QueryableByName)]
    struct Revoked {
        #[diesel(sql_type = Text)]
        id: String,
    }
    let query = "UPDATE api_keys SET revoked_at = $1 WHERE owner = $2 AND revoked_at IS NULL RETURNING id";
    let revoked = sql_query(query).bind::<BigInt, _>(at).bind::<Text, _>(owner).load::<Revoked>(conn)?;
    Ok(revoked.into_iter().map(|key| key.id).collect())
}

/// When the first of the keys expires that were used since a time and expire after another; `None` if none does.
pub fn next_expiry(conn: &mut Connection, used_since: i64, after: i64) -> Result<Option<i64>, StoreError> {
    let used = api_keys::table.filter(api_keys::revoked_at.is_null()).filter(api_keys::last_used_at.ge(used_since));
    let expiries = used.filter(api_keys::expires_at.gt(after)).select(diesel::dsl::min(api_keys::expires_at));
    Ok(expiries.first(conn)?)
}

/// Stores when keys were used last, all in one transaction. A time never goes back; ids of no key are passed over.
pub fn touch<'a>(conn: &mut Connection, used: impl IntoIterator<Item = (&'a str, i64)>) -> Result<(), StoreError> {
    // Begins with a write, so it cannot find later that another wrote meanwhile.
    conn.transaction(|conn| {
        for (id, at) in used {
            let earlier = api_keys::last_used_at.is_null().or(api_keys::last_used_at.lt(at));
            let key = api_keys::table.filter(api_keys::id.eq(id)).filter(earlier);
            diesel::update(key).set(api_keys::last_used_at.eq(at)).execute(conn)?;
        }
        Ok(())
    })
}

/// Without the digest.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("owner", &self.owner)
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}
