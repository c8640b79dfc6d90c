//! The constitution in force, as validators have it and as others see it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use time::OffsetDateTime;

use crate::constitution::{Bundle, Constitution, Faults, deny_claim};
use crate::domain::{ConstitutionDigest, ConstitutionalHash, Evaluation, Verdict};
use crate::settings::{self, HashEnforcement, RequestProperties};

/// A constitution in force, and the rules by which requests meet it.
#[derive(Debug)]
pub struct Active {
    /// The constitution.
    pub constitution: Arc<Constitution>,
    /// Its digest as 64 hex digits.
    pub digest: Box<str>,
    /// Whether callers must name its hash.
    pub hash_enforcement: HashEnforcement,
    /// What becomes of the properties that requests bring.
    pub request_properties: RequestProperties,
    /// Since when it is in force.
    pub activated_at: OffsetDateTime,
}

impl Active {
    /// Loads what the settings name, to be in force from now on, and the bundle it was made of.
    pub fn load(settings: &settings::Constitution) -> Result<(Self, Bundle), Faults> {
        let (constitution, bundle) = Constitution::of_settings(settings)?;
        let active = Self {
            digest: constitution.digest().to_string().into(),
            constitution: Arc::new(constitution),
            hash_enforcement: settings.hash_enforcement,
            request_properties: settings.request_properties,
            activated_at: OffsetDateTime::now_utc(),
        };
        Ok((active, bundle))
    }

    /// The verdict on what the caller believes to be in force, where that is wrong.
    #[must_use]
    pub fn deny_claim(&self, evaluation: &Evaluation) -> Option<Verdict> {
        deny_claim(self.constitution.hash(), self.hash_enforcement, &evaluation.claims)
    }

    /// Its hash and its digest.
    #[must_use]
    pub fn names(&self) -> (ConstitutionalHash, ConstitutionDigest) {
        (self.constitution.hash(), self.constitution.digest())
    }
}

/// The constitution in force, for those who only show it. Validators have their own, which the registry gives them.
#[derive(Debug, Clone)]
pub struct InForce(Arc<ArcSwap<Active>>);

impl InForce {
    /// A view of a constitution that is in force.
    #[must_use]
    pub fn new(active: Active) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(active)))
    }

    /// Shows another one from now on.
    pub(super) fn set(&self, active: Arc<Active>) {
        self.0.store(active);
    }

    /// What is in force now.
    #[must_use]
    pub fn get(&self) -> Arc<Active> {
        self.0.load_full()
    }

    /// The hash in force now.
    #[must_use]
    pub fn hash(&self) -> ConstitutionalHash {
        self.0.load().constitution.hash()
    }
}
