//! Keys that are sent with each request.

use std::num::NonZeroU16;

use actix::{Handler, Message};
use smol_str::SmolStr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::provenance::{Provenance, end_made_by};
use super::withdrawal::{Applied, Withdrawal, Withdrawn};
use super::{Directory, DirectoryError, delayed, denied_until, event, now};
use crate::actors::identity::denylist::Denylist;
use crate::auth::caller::Caller;
use crate::auth::granter::{Bounds, Granter};
use crate::auth::scope::Scopes;
use crate::auth::secret;
use crate::ledger::Event;
use crate::store::api_keys::{self, ApiKey};
use crate::store::{Connection, ListPage, ended_tokens};

/// An API key that was looked up.
#[derive(Debug)]
pub struct FoundApiKey {
    /// The holder.
    pub caller: Caller,
    /// SHA-256 of the whole key.
    pub digest: Vec<u8>,
    /// The makers of the key up to the first, and the rights that they leave to it.
    pub provenance: Provenance,
}

/// Looks up an API key by its id.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<FoundApiKey>, DirectoryError>")]
pub struct FindApiKey(pub String);

impl Handler<FindApiKey> for Directory {
    type Result = Result<Option<FoundApiKey>, DirectoryError>;

    fn handle(&mut self, FindApiKey(id): FindApiKey, _: &mut Self::Context) -> Self::Result {
        let found = self.store.query(|conn| {
            let Some(key) = api_keys::find(conn, &id)? else { return Ok(None) };
            let digest = key.digest.clone();
            Ok(Some(Provenance::of(conn, key, &self.trust).map(|provenance| (digest, provenance))))
        })?;
        let Some((digest, provenance)) = found.transpose()? else { return Ok(None) };
        let caller = Caller {
            name: Caller::key_name(&id),
            scopes: provenance.scopes,
            session: None,
            token_id: None,
            client: None,
            user: None,
            bounds: provenance.bounds.clone(),
        };
        Ok(Some(FoundApiKey { caller, digest, provenance }))
    }
}

impl Directory {
    /// Refuses a granter whose own API key was withdrawn after it was authenticated.
    pub(super) fn check_granter(&self, conn: &mut Connection, granter: &Granter) -> Result<(), DirectoryError> {
        let Some(id) = granter.name.strip_prefix("key:") else { return Ok(()) };
        let provenance = api_keys::find(conn, id)?.map(|key| Provenance::of(conn, key, &self.trust)).transpose()?;
        match provenance {
            Some(provenance) if !provenance.is_revoked => Ok(()),
            _ => Err(DirectoryError::Missing(format!("API key `{id}`"))),
        }
    }
}

/// An API key to be made.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The label for people.
    pub name: String,
    /// The scopes of the key.
    pub scopes: Scopes,
    /// The expiry, networks and rate of the key.
    pub bounds: Bounds,
}

/// An API key that was made.
#[derive(Debug, Clone)]
pub struct ApiKeyMade {
    /// The stored key.
    pub stored: ApiKey,
    /// The text of the key, which is not shown again.
    pub key: String,
}

/// Makes an API key.
#[derive(Debug, Message)]
#[rtype(result = "Result<ApiKeyMade, DirectoryError>")]
pub struct AddApiKey {
    /// The key.
    pub new: NewApiKey,
    /// The caller, who becomes the key's maker.
    pub granter: Granter,
}

impl Handler<AddApiKey> for Directory {
    type Result = Result<ApiKeyMade, DirectoryError>;

    fn handle(&mut self, AddApiKey { new, granter }: AddApiKey, _: &mut Self::Context) -> Self::Result {
        granter.check_scopes(new.scopes)?;
        let bounds = granter.bound(new.bounds)?;
        let key = secret::ApiKey::generate();
        let stored = ApiKey {
            id: key.id().to_owned(),
            name: new.name,
            digest: key.digest().to_vec(),
            owner: granter.name.to_string(),
            scopes: new.scopes.to_string(),
            networks: bounds.networks.map(|networks| networks.to_string()).unwrap_or_default(),
            rate_per_s: bounds.rate_per_s.map(|rate| rate.get().into()),
            expires_at: bounds.expires_at,
            last_used_at: None,
            revoked_at: None,
            created_at: now(),
        };
        self.change(|conn| {
            self.check_granter(conn, &granter)?;
            api_keys::insert(conn, &stored)?;
            Ok(((), vec![added(&stored, &granter)]))
        })?;
        Ok(ApiKeyMade { stored, key: key.as_str().to_owned() })
    }
}

/// The event that a key was made, with the bounds that it has.
fn added(key: &ApiKey, granter: &Granter) -> Event {
    let mut added = event(&granter.name, "api_key_added").name("key", &*key.id).name("scopes", &*key.scopes);
    if let Some(rate) = key.rate_per_s {
        added = added.name("rate_per_s", rate);
    }
    let expiry = key.expires_at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok()?.format(&Rfc3339).ok());
    if let Some(expiry) = expiry {
        added = added.name("expires_at", expiry);
    }
    let networks: Vec<&str> = key.networks.split(',').map(str::trim).filter(|network| !network.is_empty()).collect();
    if !networks.is_empty() {
        added = added.detail("networks", networks);
    }
    added.detail("name", &*key.name)
}

/// Lists API keys by id.
#[derive(Debug, Message)]
#[rtype(result = "Result<ListPage<ApiKey>, DirectoryError>")]
pub struct ListApiKeys {
    /// The id after which to begin.
    pub after: Option<String>,
    /// Keys at most.
    pub limit: NonZeroU16,
}

impl Handler<ListApiKeys> for Directory {
    type Result = Result<ListPage<ApiKey>, DirectoryError>;

    fn handle(&mut self, ask: ListApiKeys, _: &mut Self::Context) -> Self::Result {
        Ok(self.store.query(|conn| api_keys::list(conn, ask.after.as_deref(), ask.limit))?)
    }
}

/// Withdraws an API key, and everything that was made with it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Withdrawn<()>, DirectoryError>")]
pub struct RevokeApiKey {
    /// Its id.
    pub id: String,
    /// The caller's name in records.
    pub caller: String,
}

impl Withdrawal for RevokeApiKey {
    type Done = ();

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        vec![Denylist::api_key(&self.id)]
    }

    fn delayed(&self) -> Event {
        delayed(&self.caller, "api_key_revoked").name("key", &*self.id)
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, now: i64) -> Result<Applied<()>, DirectoryError> {
        api_keys::revoke(conn, &self.id, now)?;
        // Workers cache a key for a minute; after that the row says that it is withdrawn.
        let denied = (Denylist::api_key(&self.id), denied_until(now));
        ended_tokens::deny(conn, &denied.0, denied.1)?;
        let mut ended = end_made_by(conn, &Caller::key_name(&self.id), now)?;
        ended.ids.push(denied);
        let event = event(&self.caller, "api_key_revoked").name("key", &*self.id).detail("ended", ended.callers);
        Ok(Applied { done: (), ids: ended.ids, events: vec![event] })
    }
}

impl Handler<RevokeApiKey> for Directory {
    type Result = Result<Withdrawn<()>, DirectoryError>;

    fn handle(&mut self, ask: RevokeApiKey, _: &mut Self::Context) -> Self::Result {
        self.withdraw(ask)
    }
}

/// Stores when API keys were last used; to the minute.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct TouchApiKeys(pub Vec<(SmolStr, i64)>);

impl Handler<TouchApiKeys> for Directory {
    type Result = Result<(), DirectoryError>;

    fn handle(&mut self, TouchApiKeys(used): TouchApiKeys, _: &mut Self::Context) -> Self::Result {
        let used = used.iter().map(|(id, at)| (id.as_str(), *at));
        self.store.transaction(|conn| Ok(api_keys::touch(conn, used)?))
    }
}

/// When the first API key expires that was used in the last 30 days, in seconds since 1970; `None` if none expires.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<i64>, DirectoryError>")]
pub struct NextKeyExpiry;

/// A key that was not used for longer is not missed, in seconds.
const IN_USE: i64 = 30 * 86_400;

impl Handler<NextKeyExpiry> for Directory {
    type Result = Result<Option<i64>, DirectoryError>;

    fn handle(&mut self, NextKeyExpiry: NextKeyExpiry, _: &mut Self::Context) -> Self::Result {
        Ok(self.store.query(|conn| api_keys::next_expiry(conn, now() - IN_USE, now()))?)
    }
}
