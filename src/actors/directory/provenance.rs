//! From whom an API key has its rights: a key is good for as long as everybody is from whom it comes, and no longer.

use std::num::NonZeroU32;

use smol_str::SmolStr;

use super::{DirectoryError, denied_until};
use crate::actors::denied::Denied;
use crate::actors::trust::Trust;
use crate::auth::caller::Caller;
use crate::auth::granter::Bounds;
use crate::auth::network::Networks;
use crate::auth::scope::{Roles, Scopes};
use crate::store::api_keys::{self, ApiKey};
use crate::store::{Connection, StoreError, clients, ended_tokens, users};

/// The most keys of which each made the next. A key that comes through more is refused.
const MOST_KEYS: usize = 32;

/// What all from whom a key comes allow it.
#[derive(Debug)]
pub struct Provenance {
    /// What it permits.
    pub scopes: Scopes,
    /// Its own bounds; where it has none, those of the nearest key before it that has.
    pub bounds: Bounds,
    /// Where it may be used from: in one network of each of these.
    pub networks: Vec<Networks>,
    /// How often a second it, and each key before it, may be used, by the key's id.
    pub rates: Vec<(SmolStr, NonZeroU32)>,
    /// When the first of the keys expires, in Unix seconds.
    pub expires_at: Option<i64>,
    /// The names among the denied that end it.
    pub ids: Vec<SmolStr>,
    /// Whether it is no longer good, since it or one from whom it comes was withdrawn.
    pub is_revoked: bool,
}

impl Provenance {
    /// Follows a key to the one who made the first.
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
            found.ids.push(Denied::holder(&key.owner));
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
        self.ids.push(Denied::api_key(&key.id));
        self.is_revoked |= key.revoked_at.is_some();
        Ok(())
    }
}

/// A key's own bounds, as they are stored.
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

/// What ended with something else.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// The names to deny once that is committed, and until when.
    pub(super) ids: Vec<(SmolStr, i64)>,
    /// The callers that ended, as records name them.
    pub(super) callers: Vec<String>,
}

/// Ends what a caller made: its API keys, what was made with these, and so on. Users and clients that were made with a key
/// are disabled with it; those that a person or a client made stay.
pub(super) fn end_made_by(conn: &mut Connection, maker: &str, now: i64) -> Result<Ended, StoreError> {
    let (mut ended, until) = (Ended::default(), denied_until(now));
    let mut makers = vec![maker.to_owned()];
    while let Some(maker) = makers.pop() {
        for key in api_keys::revoke_of(conn, &maker, now)? {
            ended.ids.push((Denied::api_key(&key), until));
            makers.push(Caller::key_name(&key).into());
        }
        if maker.starts_with("key:") {
            for (id, name) in users::disable_made_by(conn, &maker, now)? {
                let sessions = crate::store::sessions::end_all(conn, &id, "disabled", now)?;
                ended.ids.extend(sessions.iter().map(|session| (Denied::session(session), until)));
                makers.push(Caller::user_name(&name).into());
            }
            for (id, session) in clients::disable_made_by(conn, &maker, now)? {
                ended.ids.push((Denied::session(&session), until));
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
