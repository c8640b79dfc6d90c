//! A caller that was seen before: whether its credential is still good.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use smol_str::SmolStr;

use super::CredentialError;
use crate::actors::key_rates::KeyRate;
use crate::actors::trust::Denied;
use crate::auth::caller::Caller;
use crate::auth::network::Networks;

/// A caller whose credential was checked.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Who it is.
    pub(super) caller: Arc<Caller>,
    /// Unix seconds.
    pub(super) expires_at: i64,
    /// The credential is looked up anew from then on; Unix seconds.
    pub(super) fresh_until: i64,
    /// What it is known by where it is withdrawn.
    pub(super) ids: Vec<SmolStr>,
    /// The epoch of the denied ids at which none of these was among them.
    pub(super) epoch: u64,
    /// Where it may be used; anywhere where there are none.
    pub(super) networks: Option<Arc<Networks>>,
    /// How often a second it may be used, and how often it was; as often as one likes where there is none.
    pub(super) rate: Option<(NonZeroU32, KeyRate)>,
}

impl Known {
    /// The caller, where the credential is good now and from there.
    pub(super) fn admit(
        &mut self,
        denied: &Denied,
        address: Option<IpAddr>,
        now: i64,
    ) -> Result<Arc<Caller>, CredentialError> {
        if now >= self.expires_at {
            return Err(CredentialError::Expired);
        }
        let epoch = denied.epoch();
        if epoch != self.epoch {
            if denied.has_any(&self.ids) {
                return Err(CredentialError::Revoked);
            }
            self.epoch = epoch;
        }
        let is_elsewhere =
            self.networks.as_ref().is_some_and(|networks| !address.is_some_and(|address| networks.contains(address)));
        if is_elsewhere {
            return Err(CredentialError::Elsewhere);
        }
        match &self.rate {
            Some((limit, rate)) if rate.check().is_err() => Err(CredentialError::TooOften(*limit)),
            _ => Ok(Arc::clone(&self.caller)),
        }
    }
}
