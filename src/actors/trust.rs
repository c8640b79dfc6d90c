//! What makes a token good: whose signatures count, and what has been withdrawn. Shared by all workers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use smol_str::{SmolStr, format_smolstr};

use super::key_fetcher::Asked;
use super::key_rates::KeyRates;
use crate::auth::jwk::{Jwks, VerifyingKey};
use crate::auth::signing_key::SigningKey;

/// Everything that a token is checked against; shared by all clones.
#[derive(Debug, Clone)]
pub struct Trust {
    own: Arc<ArcSwap<OwnKeys>>,
    denied: Denied,
    foreign: Arc<[ForeignIssuer]>,
    rates: KeyRates,
    /// What our own tokens have as `iss`.
    pub issuer: Arc<str>,
    /// What our own tokens have as `aud`.
    pub audience: Arc<str>,
}

/// The daemon's own keys.
#[derive(Debug)]
pub struct OwnKeys {
    /// Signs.
    pub current: SigningKey,
    /// Verify: that of the current key, and of those before it whose tokens may still be good.
    pub verifying: Vec<VerifyingKey>,
    /// The public keys as they are published (RFC 7517).
    jwks: Value,
}

impl OwnKeys {
    /// The current key, and those that signed before it, newest first.
    #[must_use]
    pub fn new(current: SigningKey, retired: &[SigningKey]) -> Self {
        let all = || std::iter::once(&current).chain(retired);
        let jwks = json!({"keys": all().map(SigningKey::public_jwk).collect::<Vec<_>>()});
        let verifying = all().map(SigningKey::verifying_key).collect();
        Self { current, verifying, jwks }
    }
}

/// An issuer other than this daemon whose tokens are accepted.
#[derive(Debug)]
pub struct ForeignIssuer {
    /// Its `iss`.
    pub issuer: Box<str>,
    /// What its tokens must have as `aud`.
    pub audience: Box<str>,
    /// The claim that has the caller's roles.
    pub role_claim: Box<str>,
    /// Where its keys come from.
    pub source: KeySource,
    /// Its keys, as they were last read.
    pub keys: ArcSwap<Jwks>,
}

impl ForeignIssuer {
    /// Whether its keys should be fetched anew.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(&self.source, KeySource::Url { asked, .. } if asked.is_long_ago())
    }
}

/// Where an issuer's keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// A file, read when the daemon starts.
    File,
    /// A URL.
    Url {
        /// The URL.
        url: Box<str>,
        /// When it was last asked.
        asked: Asked,
    },
}

/// What ends access before it lapses: ids of tokens, sessions and keys that are no longer good, with when they would
/// have lapsed by themselves (Unix seconds). Shared by all clones.
///
/// INVARIANT: the epoch moves after an id is in and before its withdrawal is answered; who remembers a caller looks at
/// the epoch first, so nothing that was withdrawn is accepted after that answer.
#[derive(Debug, Clone, Default)]
pub struct Denied(Arc<DeniedIds>);

#[derive(Debug, Default)]
struct DeniedIds {
    ids: RwLock<HashMap<SmolStr, i64>>,
    epoch: AtomicU64,
}

impl Denied {
    /// Moves with every id that is added.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Acquire)
    }

    /// Adds ids; those that have lapsed by `now` are forgotten.
    pub fn add(&self, ids: impl IntoIterator<Item = (SmolStr, i64)>, now: i64) {
        let mut known = self.0.ids.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, until| *until >= now);
        known.extend(ids);
        drop(known);
        self.0.epoch.fetch_add(1, Ordering::Release);
    }

    /// Whether one of these is no longer good.
    #[must_use]
    pub fn has_any<'i>(&self, ids: impl IntoIterator<Item = &'i SmolStr>) -> bool {
        let known = self.0.ids.read().unwrap_or_else(PoisonError::into_inner);
        ids.into_iter().any(|id| known.contains_key(id))
    }

    /// How a token is named among the denied.
    #[must_use]
    pub fn token(issuer: &str, id: &str) -> SmolStr {
        format_smolstr!("jti:{issuer}:{id}")
    }

    /// How a session is named.
    #[must_use]
    pub fn session(id: &str) -> SmolStr {
        format_smolstr!("sid:{id}")
    }

    /// How an API key is named.
    #[must_use]
    pub fn api_key(id: &str) -> SmolStr {
        format_smolstr!("key:{id}")
    }

    /// How a signing key is named.
    #[must_use]
    pub fn signing_key(kid: &str) -> SmolStr {
        format_smolstr!("kid:{kid}")
    }
}

impl Trust {
    /// Trusts these keys and issuers, apart from what is denied.
    #[must_use]
    pub fn new(own: OwnKeys, foreign: Vec<ForeignIssuer>, issuer: &str, audience: &str) -> Self {
        Self {
            own: Arc::new(ArcSwap::from_pointee(own)),
            denied: Denied::default(),
            foreign: foreign.into(),
            rates: KeyRates::new(),
            issuer: issuer.into(),
            audience: audience.into(),
        }
    }

    /// What is no longer good.
    #[must_use]
    pub fn denied(&self) -> &Denied {
        &self.denied
    }

    /// How often API keys were used that have a limit.
    #[must_use]
    pub fn rates(&self) -> &KeyRates {
        &self.rates
    }

    /// The daemon's own keys.
    #[must_use]
    pub fn own(&self) -> Arc<OwnKeys> {
        self.own.load_full()
    }

    /// Puts other keys in place of the daemon's own.
    pub fn set_own(&self, keys: OwnKeys) {
        self.own.store(Arc::new(keys));
    }

    /// The daemon's public keys (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.own.load().jwks.clone()
    }

    /// The foreign issuer of that name.
    #[must_use]
    pub fn foreign(&self, issuer: &str) -> Option<&ForeignIssuer> {
        self.foreign.iter().find(|foreign| *foreign.issuer == *issuer)
    }
}
