//! The tables `users` and `recovery_codes`.

use std::fmt;
use std::num::NonZeroU16;

use diesel::prelude::*;

use super::connection::Connection;
use super::error::StoreError;
use super::list_page::ListPage;
use super::schema::users;

/// A user who may log in. Times are Unix seconds.
#[derive(Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = users)]
pub struct User {
    /// A random id, which no other user ever has.
    pub id: String,
    /// The login name, unique among users. It never changes.
    pub name: String,
    /// The password's hash: a PHC string.
    pub password: String,
    /// The roles, with a space between.
    pub roles: String,
    /// When the user was shut out, if so.
    pub disabled_at: Option<i64>,
    /// The secret of the second factor, if there is one.
    pub totp_secret: Option<Vec<u8>>,
    /// Whether the user has shown to have that secret. Before, it is not asked for.
    pub totp_confirmed: bool,
    /// The step of the last code that was taken; see [`take_step`].
    pub totp_last_step: i64,
    /// When the user was made.
    pub created_at: i64,
    /// When the password was set.
    pub password_changed_at: i64,
    /// One more after every update.
    pub version: i64,
    /// The caller that made the user, by its name in records, if known.
    pub made_by: Option<String>,
}

/// Finds a user by name; names differ where their bytes do. None has a zero character, which not every database can be
/// asked for.
pub fn find_by_name(conn: &mut Connection, name: &str) -> Result<Option<User>, StoreError> {
    if name.contains('\0') {
        return Ok(None);
    }
    Ok(users::table.filter(users::name.eq(name)).select(User::as_select()).first(conn).optional()?)
}

/// Finds a user by id.
pub fn find_by_id(conn: &mut Connection, id: &str) -> Result<Option<User>, StoreError> {
    Ok(users::table.find(id).select(User::as_select()).first(conn).optional()?)
}

/// Lists the users by name, at most `limit` of them, after the given name.
pub fn list(conn: &mut Connection, after: Option<&str>, limit: NonZeroU16) -> Result<ListPage<User>, StoreError> {
    let mut query = users::table.select(User::as_select()).into_boxed();
    if let Some(name) = after {
        query = query.filter(users::name.gt(name));
    }
    let rows = query.order(users::name).limit(ListPage::<User>::rows(limit)).load(conn)?;
    Ok(ListPage::of(rows, limit, |user| &user.name))
}

/// Stores a new user. [`StoreError::NameTaken`] if its name or id exists.
pub fn insert(conn: &mut Connection, user: &User) -> Result<(), StoreError> {
    let inserted = diesel::insert_into(users::table).values(user).execute(conn);
    inserted.map(drop).map_err(|error| StoreError::taken(error, || format!("a user called `{}`", user.name)))
}

/// Replaces the user with that id and version, and returns the new version.
///
/// The name, the time of creation and the last step of the second factor stay as they are stored.
/// [`StoreError::Changed`] if another version is stored, [`StoreError::Absent`] if there is no such user.
pub fn update(conn: &mut Connection, user: &User) -> Result<i64, StoreError> {
    let stored = users::table.filter(users::id.eq(&user.id)).filter(users::version.eq(user.version));
    let updated = diesel::update(stored)
        .set((
            users::password.eq(&user.password),
            users::roles.eq(&user.roles),
            users::disabled_at.eq(user.disabled_at),
            users::totp_secret.eq(user.totp_secret.as_deref()),
            users::totp_confirmed.eq(user.totp_confirmed),
            users::password_changed_at.eq(user.password_changed_at),
            users::version.eq(users::version + 1),
        ))
        .execute(conn)?;
    match updated {
        0 if find_by_id(conn, &user.id)?.is_none() => Err(StoreError::Absent(format!("user called `{}`", user.name))),
        0 => Err(StoreError::Changed(user.name.clone())),
        _ => Ok(user.version + 1),
    }
}

/// Disables the users that a caller made, and returns their ids and names. Users that were disabled before are left
/// out.
pub fn disable_made_by(conn: &mut Connection, maker: &str, at: i64) -> Result<Vec<(String, String)>, StoreError> {
    let made = users::table.filter(users::made_by.eq(maker)).filter(users::disabled_at.is_null());
    let found: Vec<(String, String)> = made.select((users::id, users::name)).load(conn)?;
    let change = (users::disabled_at.eq(at), users::version.eq(users::version + 1));
    diesel::update(made).set(change).execute(conn)?;
    Ok(found)
}

/// Uses a code of the second factor by its time step. True if it is later than every step used before.
///
/// Of several concurrent calls with the same code exactly one returns true.
pub fn take_step(conn: &mut Connection, id: &str, step: i64) -> Result<bool, StoreError> {
    let earlier = users::table.filter(users::id.eq(id)).filter(users::totp_last_step.lt(step));
    Ok(diesel::update(earlier).set(users::totp_last_step.eq(step)).execute(conn)? > 0)
}

/// Removes a user, with recovery codes, sessions and refresh tokens. [`StoreError::Absent`] if there is none.
pub fn remove(conn: &mut Connection, id: &str) -> Result<(), StoreError> {
    match diesel::delete(users::table.find(id)).execute(conn)? {
        0 => Err(StoreError::Absent(format!("user with id `{id}`"))),
        _ => Ok(()),
    }
}

/// The codes that replace a lost second factor, as digests. Each is good once.
pub mod recovery_codes {
    use diesel::Connection as _;
    use diesel::prelude::*;

    use super::{Connection, StoreError};
    use crate::store::schema::recovery_codes;

    /// Gives a user new codes in place of all that are left; none takes them away.
    pub fn replace(conn: &mut Connection, user_id: &str, digests: &[[u8; 32]]) -> Result<(), StoreError> {
        // Begins with a write, so it cannot find later that another wrote meanwhile.
        conn.transaction(|conn| {
            diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user_id))).execute(conn)?;
            for digest in digests {
                let row = (recovery_codes::user_id.eq(user_id), recovery_codes::digest.eq(digest.as_slice()));
                diesel::insert_into(recovery_codes::table).values(row).execute(conn)?;
            }
            Ok(())
        })
    }

    /// Takes a code away from a user: whether there was such a code.
    pub fn use_one(conn: &mut Connection, user_id: &str, digest: &[u8]) -> Result<bool, StoreError> {
        Ok(diesel::delete(recovery_codes::table.find((user_id, digest))).execute(conn)? > 0)
    }
}

/// Without the secrets.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("roles", &self.roles)
            .field("disabled_at", &self.disabled_at)
            .field("totp_confirmed", &self.totp_confirmed)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
