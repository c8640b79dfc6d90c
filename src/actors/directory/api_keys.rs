//! Keys that are sent with each request.

use std::num::{NonZeroU16, NonZeroU32};

use actix::{Handler, Message};
use smol_str::{SmolStr, format_smolstr};

use super::{Directory, DirectoryError, event, now};
use crate::actors::trust::Denied;
use crate::auth::caller::Caller;
use crate::auth::network::Networks;
use crate::auth::scope::Scopes;
use crate::auth::secret;
use crate::store::api_keys::{self, ApiKey};
use crate::store::{Part, ended_tokens};

/// An API key that was looked up.
#[derive(Debug)]
pub struct FoundApiKey {
    /// Who has it.
    pub caller: Caller,
    /// SHA-256 of the whole key.
    pub digest: Vec<u8>,
    /// When it expires, in Unix seconds.
    pub expires_at: Option<i64>,
    /// Whether it was withdrawn.
    pub revoked: bool,
    /// Where it may be used from.
    pub networks: Option<Networks>,
    /// How often a second it may be used.
    pub rate_per_s: Option<NonZeroU32>,
}

/// Looks up an API key by its id.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<FoundApiKey>, DirectoryError>")]
pub struct FindApiKey(pub String);

impl Handler<FindApiKey> for Directory {
    type Result = Result<Option<FoundApiKey>, DirectoryError>;

    fn handle(&mut self, FindApiKey(id): FindApiKey, _: &mut Self::Context) -> Self::Result {
        let Some(key) = self.store.query(|conn| api_keys::find(conn, &id))? else { return Ok(None) };
        let damaged = |what: &str| DirectoryError::Failed(format!("the stored {what} of the API key are unreadable"));
        let networks = match key.networks.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| damaged("networks"))?),
        };
        let caller = Caller {
            name: format_smolstr!("key:{}", key.id),
            scopes: key.scopes.parse().map_err(|_| damaged("scopes"))?,
            session: None,
            token_id: None,
            client: None,
            user: None,
        };
        let (digest, expires_at, revoked) = (key.digest, key.expires_at, key.revoked_at.is_some());
        let rate_per_s = key.rate_per_s.and_then(|rate| u32::try_from(rate).ok()).and_then(NonZeroU32::new);
        Ok(Some(FoundApiKey { caller, digest, expires_at, revoked, networks, rate_per_s }))
    }
}

/// An API key to be made.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// What people call it.
    pub name: String,
    /// What it permits.
    pub scopes: Scopes,
    /// When it expires, in Unix seconds.
    pub expires_at: Option<i64>,
    /// Where it may be used from.
    pub networks: Option<Networks>,
    /// How often a second it may be used.
    pub rate_per_s: Option<NonZeroU32>,
}

/// An API key that was made.
#[derive(Debug, Clone)]
pub struct ApiKeyMade {
    /// As it is stored.
    pub stored: ApiKey,
    /// The key, which nobody is told again.
    pub key: String,
}

/// Makes an API key.
#[derive(Debug, Message)]
#[rtype(result = "Result<ApiKeyMade, DirectoryError>")]
pub struct AddApiKey {
    /// The key.
    pub new: NewApiKey,
    /// Who makes it, and whose it is.
    pub caller: String,
}

impl Handler<AddApiKey> for Directory {
    type Result = Result<ApiKeyMade, DirectoryError>;

    fn handle(&mut self, AddApiKey { new, caller }: AddApiKey, _: &mut Self::Context) -> Self::Result {
        let key = secret::ApiKey::generate();
        let stored = ApiKey {
            id: key.id().to_owned(),
            name: new.name,
            digest: key.digest().to_vec(),
            owner: caller.clone(),
            scopes: new.scopes.to_string(),
            networks: new.networks.map(|networks| networks.to_string()).unwrap_or_default(),
            rate_per_s: new.rate_per_s.map(|rate| rate.get().into()),
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
            created_at: now(),
        };
        self.change(|conn| {
            api_keys::insert(conn, &stored)?;
            let event = event(&caller, "api_key_added")
                .name("key", &*stored.id)
                .name("scopes", &*stored.scopes)
                .detail("name", &*stored.name);
            Ok(((), vec![event]))
        })?;
        Ok(ApiKeyMade { stored, key: key.as_str().to_owned() })
    }
}

/// Lists API keys by id.
#[derive(Debug, Message)]
#[rtype(result = "Result<Part<ApiKey>, DirectoryError>")]
pub struct ListApiKeys {
    /// The id after which to begin.
    pub after: Option<String>,
    /// Keys at most.
    pub limit: NonZeroU16,
}

impl Handler<ListApiKeys> for Directory {
    type Result = Result<Part<ApiKey>, DirectoryError>;

    fn handle(&mut self, ask: ListApiKeys, _: &mut Self::Context) -> Self::Result {
        Ok(self.store.query(|conn| api_keys::list(conn, ask.after.as_deref(), ask.limit))?)
    }
}

/// Withdraws an API key.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct RevokeApiKey {
    /// Its id.
    pub id: String,
    /// Who asks.
    pub caller: String,
}

impl Handler<RevokeApiKey> for Directory {
    type Result = Result<(), DirectoryError>;

    fn handle(&mut self, ask: RevokeApiKey, _: &mut Self::Context) -> Self::Result {
        let now = now();
        // Workers remember a key for a minute; after that the row says that it is withdrawn.
        let denied = (Denied::api_key(&ask.id), now + self.lifetimes.access);
        self.change(|conn| {
            api_keys::revoke(conn, &ask.id, now)?;
            ended_tokens::deny(conn, &denied.0, denied.1)?;
            Ok(((), vec![event(&ask.caller, "api_key_revoked").name("key", &*ask.id)]))
        })?;
        self.trust.denied().add([denied], now);
        Ok(())
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
