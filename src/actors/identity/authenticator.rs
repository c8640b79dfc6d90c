//! Authentication in each HTTP worker, with a cache of credentials.

mod foreign;
mod known;
mod refusal_log;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use actix::{
    Actor, ActorFutureExt, ActorResponse, Addr, AsyncContext, Context, Handler, MailboxError, Message, WrapFuture,
};
use lru::LruCache;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use time::OffsetDateTime;

use crate::actors::Mailbox;
use crate::actors::identity::denylist::Denylist;
use crate::actors::identity::directory::{
    Directory, DirectoryError, FindApiKey, FoundApiKey, Provenance, TouchApiKeys,
};
use crate::actors::identity::jwks_fetcher::{FetchKeys, KeyFetcher};
use crate::actors::identity::trust::{ForeignIssuer, Trust};
use crate::auth::caller::Caller;
use crate::auth::claims::{self, Claims, Expected, Typ};
use crate::auth::granter::Bounds;
use crate::auth::jws::Unverified;
use crate::auth::scope::{Roles, Scopes};
use crate::auth::secret::{self, ApiKey};
use foreign::{Unverifiable, claims_error};
use known::Known;
use refusal_log::RefusalLog;

/// How far clocks may differ, in seconds.
const LEEWAY: u32 = 30;

/// How long an API key is remembered, in seconds.
const API_KEY_MEMORY: i64 = 60;

/// How often the last use of API keys is stored.
const TOUCH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(30);

/// Why a credential is not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialError {
    /// The credential is malformed, of an untrusted issuer, or not meant for this daemon.
    #[error("the credential is not valid: {0}")]
    Invalid(String),
    /// It was good once.
    #[error("the credential has expired")]
    Expired,
    /// The credential or its holder was withdrawn.
    #[error("the credential was revoked")]
    Revoked,
    /// It is bound to networks that do not contain the caller's address.
    #[error("the credential may not be used from this address")]
    Elsewhere,
    /// It was used more often than it may be; it may be used again after a second.
    #[error("the API key is used more than {0} times a second")]
    TooOften(NonZeroU32),
    /// It cannot be looked up now.
    #[error("the credential cannot be checked now")]
    Unchecked,
}

impl From<MailboxError> for CredentialError {
    fn from(_: MailboxError) -> Self {
        Self::Unchecked
    }
}

/// Knows callers by their credentials.
#[derive(Debug)]
pub struct Authenticator {
    trust: Trust,
    directory: Mailbox<Directory>,
    fetcher: Mailbox<KeyFetcher>,
    known: LruCache<[u8; 32], Known>,
    /// API keys used since their last use was stored, and when.
    used: Vec<(SmolStr, i64)>,
    refusals: RefusalLog,
}

impl Authenticator {
    /// Starts the actor of this worker, with a cache for `capacity` callers.
    #[must_use]
    pub fn start(
        trust: Trust,
        directory: Mailbox<Directory>,
        fetcher: Mailbox<KeyFetcher>,
        capacity: NonZeroUsize,
    ) -> Addr<Self> {
        Self {
            trust,
            directory,
            fetcher,
            known: LruCache::new(capacity),
            used: Vec::new(),
            refusals: RefusalLog::new(),
        }
        .start()
    }

    fn remember(
        &mut self,
        digest: [u8; 32],
        mut known: Known,
        address: Option<IpAddr>,
        now: i64,
    ) -> Result<Arc<Caller>, CredentialError> {
        let caller = known.admit(self.trust.denied(), address, now);
        if !matches!(caller, Err(CredentialError::Expired | CredentialError::Revoked)) {
            self.known.put(digest, known);
        }
        caller
    }

    /// Starts to fetch the keys of an issuer again; the cached ones stay in use meanwhile.
    fn renew_keys(&self, issuer: &str) {
        let (fetcher, issuer) = (self.fetcher.clone(), issuer.into());
        actix::spawn(async move {
            if let Err(error) = fetcher.ask(FetchKeys(issuer)).await {
                tracing::warn!(%error, "fetching the keys of an issuer failed; the cached ones stay in use");
            }
        });
    }

    /// Whether a foreign issuer's keys may have changed, and can be fetched now.
    fn is_fetchable(&self, issuer: &str) -> bool {
        self.trust.foreign(issuer).is_some_and(ForeignIssuer::is_fetchable)
    }

    /// Logs why a token is refused.
    fn refuse(&self, token: &str, error: Unverifiable) -> CredentialError {
        let error: CredentialError = error.into();
        self.refusals.tell(token, &error);
        error
    }

    /// Checks a token that was not seen before.
    fn verify(&self, token: &str, now: i64) -> Result<Known, Unverifiable> {
        let invalid = |cause: &dyn std::fmt::Display| Unverifiable::from(CredentialError::Invalid(cause.to_string()));
        let token = Unverified::parse(token).map_err(|error| invalid(&error))?;
        let unverified = token.claims().map_err(|error| invalid(&error))?;
        let issuer = unverified.get("iss").and_then(|issuer| issuer.as_str()).unwrap_or_default();
        // The epoch is read first, so a withdrawal during this check is noticed at the next use.
        let epoch = self.trust.denied().epoch();
        let unknown_key = || CredentialError::Invalid("its key is not known".to_owned());
        let (caller, claims, kid) = if issuer == &*self.trust.issuer {
            let own = self.trust.own();
            let key = own.verifying.iter().find(|key| token.kid().is_some() && key.kid() == token.kid());
            let key = key.ok_or_else(unknown_key)?;
            token.verify(key).map_err(|error| invalid(&error))?;
            let expected = Expected {
                issuer: &self.trust.issuer,
                audience: &self.trust.audience,
                typ: Typ::AtJwt,
                leeway_s: LEEWAY,
                role_claim: None,
            };
            let claims = claims::check(&token, &expected, now).map_err(claims_error)?;
            let caller = own_caller(&claims);
            (caller, claims, key.kid().map(Denylist::signing_key))
        } else if let Some(foreign) = self.trust.foreign(issuer) {
            let claims = foreign::check(&token, foreign, now)?;
            if foreign.is_stale() {
                self.renew_keys(issuer);
            }
            (foreign_caller(&claims), claims, None)
        } else {
            return Err(CredentialError::Invalid("its issuer is not trusted".to_owned()).into());
        };
        let jti = claims.token_id.as_deref().map(|id| Denylist::token(&claims.issuer, id));
        let sid = claims.session.as_deref().filter(|_| issuer == &*self.trust.issuer).map(Denylist::session);
        let all = [Denylist::holder(&caller.name), Denylist::sessions_of(&caller.name)];
        let ids: Vec<SmolStr> = [jti, sid, kid].into_iter().flatten().chain(all).collect();
        if self.trust.denied().has_any(&ids) {
            return Err(CredentialError::Revoked.into());
        }
        let expires_at = claims.expires_at;
        Ok(Known {
            caller: Arc::new(caller),
            expires_at,
            fresh_until: expires_at,
            ids,
            epoch,
            networks: Arc::default(),
            rates: Vec::new(),
        })
    }
}

/// Our own tokens say whose they are as records do.
fn own_caller(claims: &Claims) -> Caller {
    let name = SmolStr::from(&*claims.subject);
    Caller {
        user: name.strip_prefix("user:").map(SmolStr::from),
        client: claims.client_id.as_deref().map(SmolStr::from),
        scopes: claims.scopes.unwrap_or(Scopes::EMPTY),
        session: claims.session.as_deref().map(SmolStr::from),
        token_id: claims.token_id.as_deref().map(SmolStr::from),
        bounds: Bounds::default(),
        name,
    }
}

/// The scopes of a foreign token are meant for other services: only its roles count.
fn foreign_caller(claims: &Claims) -> Caller {
    let roles = claims.roles.iter().filter_map(|role| role.parse().ok());
    Caller {
        name: smol_str::format_smolstr!("{}#{}", claims.issuer, claims.subject),
        scopes: roles.collect::<Roles>().scopes(),
        session: None,
        token_id: claims.token_id.as_deref().map(SmolStr::from),
        client: None,
        user: None,
        bounds: Bounds::default(),
    }
}

fn known_api_key(
    found: FoundApiKey,
    key: &ApiKey,
    trust: &Trust,
    epoch: u64,
    now: i64,
) -> Result<Known, CredentialError> {
    let invalid = || CredentialError::Invalid("no such API key".to_owned());
    if !secret::equals(&found.digest, &key.digest()) {
        return Err(invalid());
    }
    let Provenance { networks, rates, expires_at, ids, is_revoked, .. } = found.provenance;
    // The withdrawal may not be in the database yet, only in memory.
    if is_revoked || trust.denied().has_any(&ids) {
        return Err(CredentialError::Revoked);
    }
    Ok(Known {
        caller: Arc::new(found.caller),
        expires_at: expires_at.unwrap_or(i64::MAX),
        fresh_until: now + API_KEY_MEMORY,
        ids,
        epoch,
        networks: networks.into(),
        rates: rates.into_iter().map(|(id, rate)| (rate, trust.rates().of(&id, rate))).collect(),
    })
}

impl Actor for Authenticator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(crate::actors::MAILBOX_CAPACITY);
        ctx.run_interval(TOUCH_INTERVAL, |this, ctx| {
            if !this.used.is_empty() {
                let (directory, used) = (this.directory.clone(), std::mem::take(&mut this.used));
                let stored = async move {
                    if let Err(error) = directory.ask(TouchApiKeys(used)).await {
                        tracing::warn!(%error, "the last use of API keys was not stored");
                    }
                };
                ctx.spawn(stored.into_actor(this));
            }
        });
    }
}

/// A credential, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer`.
    Token(String),
    /// `X-API-Key`.
    ApiKey(String),
}

impl Credential {
    /// The cache key: the same text is different as a token and as an API key.
    fn digest(&self) -> [u8; 32] {
        let (kind, text) = match self {
            Self::Token(text) => (b'T', text),
            Self::ApiKey(text) => (b'K', text),
        };
        Sha256::new_with_prefix([kind]).chain_update(text).finalize().into()
    }
}

/// Authenticates a credential.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<Caller>, CredentialError>")]
pub struct Authenticate {
    /// The credential from the request.
    pub credential: Credential,
    /// Where the caller is; none on a Unix socket.
    pub address: Option<IpAddr>,
}

impl Handler<Authenticate> for Authenticator {
    type Result = ActorResponse<Self, Result<Arc<Caller>, CredentialError>>;

    fn handle(&mut self, Authenticate { credential, address }: Authenticate, _: &mut Self::Context) -> Self::Result {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let digest = credential.digest();
        if let Some(known) = self.known.get_mut(&digest).filter(|known| now < known.fresh_until) {
            let admitted = known.admit(self.trust.denied(), address, now);
            if matches!(admitted, Err(CredentialError::Revoked | CredentialError::Expired)) {
                self.known.pop(&digest);
            }
            return ActorResponse::reply(admitted);
        }
        match credential {
            Credential::Token(token) => {
                let issuer = match self.verify(&token, now) {
                    Ok(known) => return ActorResponse::reply(self.remember(digest, known, address, now)),
                    Err(Unverifiable::Key { issuer, .. }) if self.is_fetchable(&issuer) => issuer,
                    Err(error) => return ActorResponse::reply(Err(self.refuse(&token, error))),
                };
                let fetcher = self.fetcher.clone();
                let keys = async move { fetcher.ask(FetchKeys(issuer)).await };
                let admitted = keys.into_actor(self).map(move |fetched, this, _| {
                    if let Err(error) = fetched {
                        tracing::warn!(%error, "fetching the keys of an issuer failed; the cached ones stay in use");
                    }
                    let known = this.verify(&token, now).map_err(|error| this.refuse(&token, error))?;
                    this.remember(digest, known, address, now)
                });
                ActorResponse::r#async(admitted)
            }
            Credential::ApiKey(key) => {
                let Ok(key) = ApiKey::parse(&key) else {
                    return ActorResponse::reply(Err(CredentialError::Invalid("it is no API key".to_owned())));
                };
                let epoch = self.trust.denied().epoch();
                let (directory, id) = (self.directory.clone(), key.id().to_owned());
                let found = async move { directory.ask(FindApiKey(id)).await };
                let admitted = found.into_actor(self).map(move |found, this, _| {
                    let found = found.map_err(|error: DirectoryError| {
                        tracing::warn!(%error, "an API key cannot be looked up");
                        CredentialError::Unchecked
                    })?;
                    let found = found.ok_or_else(|| CredentialError::Invalid("no such API key".to_owned()))?;
                    let known = known_api_key(found, &key, &this.trust, epoch, now)?;
                    let caller = this.remember(digest, known, address, now)?;
                    this.used.push((key.id().into(), now));
                    Ok(caller)
                });
                ActorResponse::r#async(admitted)
            }
        }
    }
}
