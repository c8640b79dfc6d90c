//! The constitution in force, as validators have it and as others see it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use time::OffsetDateTime;

use crate::constitution::{Bundle, Candidate, Constitution, Fault, Faults, deny_claim};
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
    /// How properties in requests are treated.
    pub request_properties: RequestProperties,
    /// Since when it is in force.
    pub activated_at: OffsetDateTime,
    /// Test cases of the bundle that fail under this constitution.
    pub objections: Vec<Fault>,
    /// How long this constitution's hash is accepted after another one has replaced it.
    grace: Duration,
    /// Hashes of earlier constitutions, each with the time until which it is accepted.
    former: Vec<(ConstitutionalHash, Instant)>,
}

impl Active {
    /// Loads the constitution in the settings, to be in force from now on, and the bundle from which it was made.
    pub fn load(settings: &settings::Constitution) -> Result<(Self, Bundle), Faults> {
        let Candidate { constitution, bundle, objections } = Candidate::load(settings)?;
        let active = Self {
            digest: constitution.digest().to_string().into(),
            constitution,
            hash_enforcement: settings.hash_enforcement,
            request_properties: settings.request_properties,
            activated_at: OffsetDateTime::now_utc(),
            objections,
            grace: settings.grace,
            former: Vec::new(),
        };
        Ok((active, bundle))
    }

    /// This constitution as the successor of `old`, whose hash is accepted for its grace period: callers cannot all
    /// change at the same moment.
    #[must_use]
    pub fn in_place_of(mut self, old: &Self) -> Self {
        let now = Instant::now();
        let until = now + self.grace;
        self.former =
            old.former.iter().filter(|(_, end)| *end > now).map(|(hash, end)| (*hash, (*end).min(until))).collect();
        self.former.push((old.constitution.hash(), until));
        self
    }

    /// Whether a caller's hash is accepted: that of the constitution in force, or a replaced one in its grace period.
    #[must_use]
    pub fn accepts(&self, claim: &str) -> bool {
        claim == self.constitution.hash().as_str() || self.is_former(claim)
    }

    fn is_former(&self, claim: &str) -> bool {
        self.former.iter().any(|(hash, until)| claim == hash.as_str() && Instant::now() < *until)
    }

    /// The deny for a caller that claims another constitution than the one in force; `None` if the claim is right.
    #[must_use]
    pub fn deny_claim(&self, evaluation: &Evaluation) -> Option<Verdict> {
        let accepted = |claim: &str| self.is_former(claim);
        deny_claim(self.constitution.hash(), accepted, self.hash_enforcement, &evaluation.claims)
    }

    /// Its hash and its digest.
    #[must_use]
    pub fn names(&self) -> (ConstitutionalHash, ConstitutionDigest) {
        (self.constitution.hash(), self.constitution.digest())
    }
}

/// A view of the constitution in force. Validators have their own, which the registry gives them.
#[derive(Debug, Clone)]
pub struct InForce {
    active: Arc<ArcSwap<Active>>,
    refusal: Arc<Mutex<Option<Refusal>>>,
}

/// The last refused attempt to bring another constitution into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When the attempt was refused.
    pub at: OffsetDateTime,
    /// The reason, in one line.
    pub why: String,
}

impl InForce {
    /// A view of a constitution that is in force.
    #[must_use]
    pub fn new(active: Active) -> Self {
        Self { active: Arc::new(ArcSwap::from_pointee(active)), refusal: Arc::default() }
    }

    /// The last attempt to replace this constitution, if it was refused.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().clone()
    }

    /// Stores that an attempt to replace this constitution was refused, with the reason.
    pub fn refuse(&self, why: String) {
        let refusal = Refusal { at: OffsetDateTime::now_utc(), why };
        *self.refusal.lock() = Some(refusal);
    }

    /// Shows another one from now on.
    pub(super) fn set(&self, active: Arc<Active>) {
        self.active.store(active);
        *self.refusal.lock() = None;
    }

    /// The constitution in force now.
    #[must_use]
    pub fn get(&self) -> Arc<Active> {
        self.active.load_full()
    }

    /// The hash in force now.
    #[must_use]
    pub fn hash(&self) -> ConstitutionalHash {
        self.active.load().constitution.hash()
    }
}
