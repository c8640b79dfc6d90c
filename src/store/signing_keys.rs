//! The table `signing_keys`: the keys that sign access tokens.

use std::fmt;

use diesel::prelude::*;

use super::changes;
use super::connection::Connection;
use super::error::StoreError;
use super::schema::signing_keys;

/// A key that signs tokens. Times are Unix seconds.
#[derive(Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = signing_keys)]
pub struct SigningKeyRow {
    /// Its id, as tokens name it.
    pub kid: String,
    /// The private key.
    pub pkcs8: Vec<u8>,
    /// When it was made.
    pub created_at: i64,
    /// From when on it signs no more; tokens it signed before are good until they expire.
    pub retired_at: Option<i64>,
    /// From when on no token that it signed is good.
    pub withdrawn_at: Option<i64>,
}

/// Every key there ever was, the oldest first.
pub fn all(conn: &mut Connection) -> Result<Vec<SigningKeyRow>, StoreError> {
    let rows = signing_keys::table.select(SigningKeyRow::as_select());
    Ok(rows.order((signing_keys::created_at, signing_keys::kid)).load(conn)?)
}

/// Finds a key, retired or withdrawn ones too.
pub fn find(conn: &mut Connection, kid: &str) -> Result<Option<SigningKeyRow>, StoreError> {
    // PostgreSQL refuses a text with this character.
    if kid.contains('\0') {
        return Ok(None);
    }
    Ok(signing_keys::table.find(kid).select(SigningKeyRow::as_select()).first(conn).optional()?)
}

/// Stores a new key, and notifies every node. [`StoreError::NameTaken`] if it exists.
pub fn insert(conn: &mut Connection, key: &SigningKeyRow) -> Result<(), StoreError> {
    let inserted = diesel::insert_into(signing_keys::table).values(key).execute(conn);
    inserted.map_err(|error| StoreError::taken(error, || format!("a signing key with id `{}`", key.kid)))?;
    changes::of_callers(conn)
}

/// Retires a key from signing. An earlier retirement keeps its time. [`StoreError::Absent`] if there is no such key.
pub fn retire(conn: &mut Connection, kid: &str, at: i64) -> Result<(), StoreError> {
    let key = signing_keys::table.filter(signing_keys::kid.eq(kid)).filter(signing_keys::retired_at.is_null());
    let retired = diesel::update(key).set(signing_keys::retired_at.eq(at)).execute(conn)?;
    present(conn, kid, retired)
}

/// Withdraws a key permanently, with all tokens that it signed. An earlier withdrawal keeps its time.
///
/// [`StoreError::Absent`] if there is no such key.
pub fn withdraw(conn: &mut Connection, kid: &str, at: i64) -> Result<(), StoreError> {
    let key = signing_keys::table.filter(signing_keys::kid.eq(kid)).filter(signing_keys::withdrawn_at.is_null());
    let withdrawn = diesel::update(key).set(signing_keys::withdrawn_at.eq(at)).execute(conn)?;
    present(conn, kid, withdrawn)
}

/// Tells an unchanged key from a missing one.
fn present(conn: &mut Connection, kid: &str, changed: usize) -> Result<(), StoreError> {
    if changed > 0 {
        return Ok(());
    }
    let found = signing_keys::table.find(kid).select(signing_keys::kid).first::<String>(conn).optional()?;
    found.map(drop).ok_or_else(|| StoreError::Absent(format!("signing key with id `{kid}`")))
}

/// Without the private key.
impl fmt::Debug for SigningKeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeyRow")
            .field("kid", &self.kid)
            .field("created_at", &self.created_at)
            .field("retired_at", &self.retired_at)
            .field("withdrawn_at", &self.withdrawn_at)
            .finish_non_exhaustive()
    }
}
