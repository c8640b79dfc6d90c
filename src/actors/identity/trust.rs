//! Trusted keys and issuers, and what was withdrawn. Shared by all workers.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Value, json};

use crate::actors::identity::denylist::Denylist;
use crate::actors::identity::fetch_state::FetchState;
use crate::actors::identity::rate_limits::KeyRates;
use crate::auth::jwk::{Algorithm, VerifyingKey};
use crate::auth::jwks::Jwks;
use crate::auth::signing_key::SigningKey;

/// Everything that a token is checked against; shared by all clones.
#[derive(Debug, Clone)]
pub struct Trust {
    own: Arc<ArcSwap<OwnKeys>>,
    denied: Denylist,
    foreign: Arc<[ForeignIssuer]>,
    rates: KeyRates,
    /// The `iss` of the daemon's own tokens.
    pub issuer: Arc<str>,
    /// The `aud` of the daemon's own tokens.
    pub audience: Arc<str>,
}

/// The daemon's own keys.
#[derive(Debug)]
pub struct OwnKeys {
    /// The key that signs new tokens.
    pub current: SigningKey,
    /// The keys that tokens are verified with: the current one, and retired ones whose tokens may still be valid.
    pub verifying: Vec<VerifyingKey>,
    /// The public keys as they are published (RFC 7517).
    jwks: Value,
}

impl OwnKeys {
    /// The current key, and the retired ones, newest first.
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
    /// The required `aud` of its tokens.
    pub audience: Box<str>,
    /// The required `typ` header of its tokens; `None`: any value, or none.
    pub typ: Option<Box<str>>,
    /// The claim, JSON pointer or dotted path with the caller's roles.
    pub role_claim: Box<str>,
    /// The accepted signature algorithms.
    pub algorithms: Box<[Algorithm]>,
    /// The source of its keys.
    pub source: KeySource,
    /// Its keys, as they were last read.
    pub keys: ArcSwap<Jwks>,
}

impl ForeignIssuer {
    /// Whether its keys can be fetched now, or are being fetched.
    #[must_use]
    pub fn is_fetchable(&self) -> bool {
        matches!(&self.source, KeySource::Url { asked, .. } if asked.is_due())
    }

    /// Whether its keys should be fetched again.
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
        asked: FetchState,
    },
}

impl Trust {
    /// With these keys and issuers, and no id denied.
    #[must_use]
    pub fn new(own: OwnKeys, foreign: Vec<ForeignIssuer>, issuer: &str, audience: &str) -> Self {
        Self {
            own: Arc::new(ArcSwap::from_pointee(own)),
            denied: Denylist::default(),
            foreign: foreign.into(),
            rates: KeyRates::new(),
            issuer: issuer.into(),
            audience: audience.into(),
        }
    }

    /// The denied ids.
    #[must_use]
    pub fn denied(&self) -> &Denylist {
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
    pub fn set_own(&self, keys: impl Into<Arc<OwnKeys>>) {
        self.own.store(keys.into());
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
