//! The table `cache_keys`: the secret that authenticates verdicts in shared caches.

use std::fmt;

use diesel::prelude::*;

use super::connection::Connection;
use super::error::StoreError;
use super::schema::cache_keys;

/// A secret known only to the fleet's nodes.
#[derive(Clone, PartialEq, Eq)]
pub struct CacheSecret {
    /// Which one it is: greater than that of those before.
    pub id: i32,
    /// The secret.
    pub secret: [u8; 32],
}

/// The newest one, if there is any.
pub fn newest(conn: &mut Connection) -> Result<Option<CacheSecret>, StoreError> {
    let row = cache_keys::table.order(cache_keys::id.desc()).first::<(i32, Vec<u8>)>(conn).optional()?;
    let key = |(id, secret): (i32, Vec<u8>)| {
        let secret =
            secret.try_into().map_err(|_| StoreError::damaged("a key of table `cache_keys` has not 32 bytes"))?;
        Ok(CacheSecret { id, secret })
    };
    row.map(key).transpose()
}

/// Stores the first key.
pub fn insert(conn: &mut Connection, secret: &[u8; 32]) -> Result<CacheSecret, StoreError> {
    let row = (cache_keys::id.eq(1), cache_keys::secret.eq(secret.as_slice()));
    diesel::insert_into(cache_keys::table).values(row).execute(conn)?;
    Ok(CacheSecret { id: 1, secret: *secret })
}

/// Without the secret.
impl fmt::Debug for CacheSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheKey").field("id", &self.id).finish_non_exhaustive()
    }
}
