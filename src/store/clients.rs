//! The table `clients`.

use std::fmt;
use std::num::NonZeroU16;

use diesel::prelude::*;

use super::connection::Connection;
use super::error::StoreError;
use super::list_page::ListPage;
use super::schema::clients;

/// A program that gets tokens for itself. Times are Unix seconds.
#[derive(Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = clients)]
pub struct Client {
    /// The `client_id`.
    pub id: String,
    /// The name for people, unique among clients. It never changes.
    pub name: String,
    /// The digest of its secret, if it has one.
    pub secret: Option<Vec<u8>>,
    /// The public keys of its assertions, a JWK set, if it has some.
    pub jwks: Option<String>,
    /// The roles, with a space between.
    pub roles: String,
    /// The `sid` of its tokens, a random id: a new one ends all those given before.
    pub session: String,
    /// When the client was shut out, if so.
    pub disabled_at: Option<i64>,
    /// When the client was made.
    pub created_at: i64,
    /// One more after every update.
    pub version: i64,
    /// The caller that made the client, by its name in records, if known.
    pub made_by: Option<String>,
}

/// Finds a client by its `client_id`.
pub fn find(conn: &mut Connection, id: &str) -> Result<Option<Client>, StoreError> {
    // Not every database can be asked for that.
    if id.contains('\0') {
        return Ok(None);
    }
    Ok(clients::table.find(id).select(Client::as_select()).first(conn).optional()?)
}

/// Finds a client by name; names differ where their bytes do.
pub fn find_by_name(conn: &mut Connection, name: &str) -> Result<Option<Client>, StoreError> {
    Ok(clients::table.filter(clients::name.eq(name)).select(Client::as_select()).first(conn).optional()?)
}

/// Lists the clients by name, at most `limit` of them, after the given name.
pub fn list(conn: &mut Connection, after: Option<&str>, limit: NonZeroU16) -> Result<ListPage<Client>, StoreError> {
    let mut query = clients::table.select(Client::as_select()).into_boxed();
    if let Some(name) = after {
        query = query.filter(clients::name.gt(name));
    }
    let rows = query.order(clients::name).limit(ListPage::<Client>::rows(limit)).load(conn)?;
    Ok(ListPage::of(rows, limit, |client| &client.name))
}

/// Stores a new client. [`StoreError::NameTaken`] if its name, id or session exists.
pub fn insert(conn: &mut Connection, client: &Client) -> Result<(), StoreError> {
    let inserted = diesel::insert_into(clients::table).values(client).execute(conn);
    inserted.map(drop).map_err(|error| StoreError::taken(error, || format!("a client called `{}`", client.name)))
}

/// Replaces the client with that id and version, and returns the new version.
///
/// The name and the time of creation stay as they are stored. [`StoreError::Changed`] if another version is stored,
/// [`StoreError::Absent`] if there is no such client.
pub fn update(conn: &mut Connection, client: &Client) -> Result<i64, StoreError> {
    let stored = clients::table.filter(clients::id.eq(&client.id)).filter(clients::version.eq(client.version));
    let updated = diesel::update(stored)
        .set((
            clients::secret.eq(client.secret.as_deref()),
            clients::jwks.eq(client.jwks.as_deref()),
            clients::roles.eq(&client.roles),
            clients::session.eq(&client.session),
            clients::disabled_at.eq(client.disabled_at),
            clients::version.eq(clients::version + 1),
        ))
        .execute(conn)?;
    match updated {
        0 if find(conn, &client.id)?.is_none() => Err(StoreError::Absent(format!("client called `{}`", client.name))),
        0 => Err(StoreError::Changed(client.name.clone())),
        _ => Ok(client.version + 1),
    }
}

/// Disables the clients that a caller made, and returns their ids and the session ids of their tokens. Clients that
/// were disabled before are left out.
pub fn disable_made_by(conn: &mut Connection, maker: &str, at: i64) -> Result<Vec<(String, String)>, StoreError> {
    let made = clients::table.filter(clients::made_by.eq(maker)).filter(clients::disabled_at.is_null());
    let found: Vec<(String, String)> = made.select((clients::id, clients::session)).load(conn)?;
    let change = (clients::disabled_at.eq(at), clients::version.eq(clients::version + 1));
    diesel::update(made).set(change).execute(conn)?;
    Ok(found)
}

/// Removes a client, with the sessions that it mediated. [`StoreError::Absent`] if there is none.
pub fn remove(conn: &mut Connection, id: &str) -> Result<(), StoreError> {
    match diesel::delete(clients::table.find(id)).execute(conn)? {
        0 => Err(StoreError::Absent(format!("client with id `{id}`"))),
        _ => Ok(()),
    }
}

/// Without the digest of the secret.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("roles", &self.roles)
            .field("session", &self.session)
            .field("disabled_at", &self.disabled_at)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
