//! The provenance of API keys: a key is valid as long as every key and caller that it comes from is.

use std::num::NonZeroU32;

use smol_str::SmolStr;

use super::{DirectoryError, denied_until};
use crate::actors::identity::denylist::Denylist;
use crate::actors::identity::trust::Trust;
use crate::auth::caller::Caller;
use crate::auth::granter::Bounds;
use crate::auth::network::Networks;
use crate::auth::scope::{Roles, Scopes};
use crate::store::api_keys::{self, ApiKey};
use crate::store::{Connection, StoreError, clients, ended_tokens, users};

/// The longest chain of keys, each made with the one before. A key at the end of a longer chain is refused.
const MOST_KEYS: usize = 32;

/// The rights that all keys and callers in a key's provenance leave to it.
#[derive(Debug)]
pub struct Provenance {
    /// The scopes that all of them have.
    pub scopes: Scopes,
    /// The key's own bounds; where it has none, those of the nearest key before it that has.
    pub bounds: Bounds,
    /// Sets of networks, each of which must contain the client's address.
    pub networks: Vec<Networks>,
    /// The rate limits of the key and of each key before it, in requests per second, by key id.
    pub rates: Vec<(SmolStr, NonZeroU32)>,
    /// The earliest expiry of the keys, in Unix seconds.
    pub expires_at: Option<i64>,
    /// The denied ids that end the key; see [`Denylist`](crate::actors::identity::denylist::Denylist).
    pub ids: Vec<SmolStr>,
    /// Whether the key, or anything that it comes from, was withdrawn.
    pub is_revoked: bool,
}

impl Provenance {
    /// Follows the chain from a key to the user, client or issuer that made the first one.
    pub(super) fn of(conn: &mut Connection, key: ApiKey, trust: &Trust) -> Result<Self, DirectoryError> {
        let mut found = Self {
            scopes: Scopes::ALL,
            bounds: Bounds::default(),
            networks: Vec::new(),
            rates: Vec::new(),
            expires_at: None,
            ids: Vec::new(),
            is_revoked: false,
        };
        let mut key = key;
        for _ in 0..MOST_KEYS {
            found.add(&key)?;
            let Some((kind, name)) = key.owner.split_once(':') else { return Ok(found) };
            if let Some((issuer, _)) = key.owner.split_once('#') {
                found.is_revoked |= trust.foreign(issuer).is_none();
                return Ok(found);
            }
            let roles = match kind {
                "key" => match api_keys::find(conn, name)? {
                    Some(maker) => {
                        key = maker;
                        continue;
                    }
                    None => None,
                },
                "user" => {
                    users::find_by_name(conn, name)?.filter(|user| user.disabled_at.is_none()).map(|user| user.roles)
                }
                "client" => {
                    clients::find(conn, name)?.filter(|client| client.disabled_at.is_none()).map(|one| one.roles)
                }
                _ => return Ok(found),
            };
            found.ids.push(Denylist::holder(&key.owner));
            match roles {
                Some(roles) => {
                    let roles: Roles = roles.parse().map_err(|_| unreadable("roles of a maker"))?;
                    found.scopes = found.scopes.intersection(roles.scopes());
                }
                None => found.is_revoked = true,
            }
            return Ok(found);
        }
        found.is_revoked = true;
        Ok(found)
    }

    fn add(&mut self, key: &ApiKey) -> Result<(), DirectoryError> {
        let own = bounds(key)?;
        self.scopes = self.scopes.intersection(key.scopes.parse().map_err(|_| unreadable("scopes"))?);
        self.networks.extend(own.networks.clone());
        self.rates.extend(own.rate_per_s.map(|rate| (SmolStr::from(&*key.id), rate)));
        self.expires_at = self.expires_at.into_iter().chain(own.expires_at).min();
        self.bounds = std::mem::take(&mut self.bounds).or(&own);
        self.ids.push(Denylist::api_key(&key.id));
        self.is_revoked |= key.revoked_at.is_some();
        Ok(())
    }
}

/// The key's own bounds, parsed from its row.
fn bounds(key: &ApiKey) -> Result<Bounds, DirectoryError> {
    let networks = match key.networks.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| unreadable("networks"))?),
    };
    let rate_per_s = key.rate_per_s.and_then(|rate| u32::try_from(rate).ok()).and_then(NonZeroU32::new);
    Ok(Bounds { networks, rate_per_s, expires_at: key.expires_at })
}

fn unreadable(what: &str) -> DirectoryError {
    DirectoryError::Failed(format!("the stored {what} of an API key are unreadable"))
}

/// The result of ending what a caller made.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// The ids to deny after the commit, each with its expiry in Unix seconds.
    pub(super) ids: Vec<(SmolStr, i64)>,
    /// The ended callers, by their names in records.
    pub(super) callers: Vec<String>,
}

/// Ends everything that a caller made: its API keys, what was made with these, and so on. Users and clients made with a
/// key are disabled with it; users and clients made by a user or a client stay.
pub(super) fn end_made_by(conn: &mut Connection, maker: &str, now: i64) -> Result<Ended, StoreError> {
    let (mut ended, until) = (Ended::default(), denied_until(now));
    let mut makers = vec![maker.to_owned()];
    while let Some(maker) = makers.pop() {
        for key in api_keys::revoke_of(conn, &maker, now)? {
            ended.ids.push((Denylist::api_key(&key), until));
            makers.push(Caller::key_name(&key).into());
        }
        if maker.starts_with("key:") {
            for (id, name) in users::disable_made_by(conn, &maker, now)? {
                let sessions = crate::store::sessions::end_all(conn, &id, "disabled", now)?;
                ended.ids.extend(sessions.iter().map(|session| (Denylist::session(session), until)));
                makers.push(Caller::user_name(&name).into());
            }
            for (id, session) in clients::disable_made_by(conn, &maker, now)? {
                ended.ids.push((Denylist::session(&session), until));
                makers.push(Caller::client_name(&id).into());
            }
        }
        ended.callers.push(maker);
    }
    ended.callers.remove(0);
    for (id, until) in &ended.ids {
        ended_tokens::deny(conn, id, *until)?;
    }
    Ok(ended)
}
