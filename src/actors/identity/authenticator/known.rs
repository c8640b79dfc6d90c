//! A caller that was seen before: whether its credential is still good.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use smol_str::SmolStr;

use super::CredentialError;
use crate::actors::identity::denylist::Denylist;
use crate::actors::identity::rate_limits::KeyRate;
use crate::auth::caller::Caller;
use crate::auth::network::Networks;

/// A caller whose credential was checked.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The caller.
    pub(super) caller: Arc<Caller>,
    /// Unix seconds.
    pub(super) expires_at: i64,
    /// When the credential must be looked up again, in Unix seconds.
    pub(super) fresh_until: i64,
    /// The ids under which a withdrawal denies it.
    pub(super) ids: Vec<SmolStr>,
    /// The epoch of the denied ids at which none of these was among them.
    pub(super) epoch: u64,
    /// Sets of networks, each of which must contain the client's address. Empty: any address.
    pub(super) networks: Arc<[Networks]>,
    /// The rate limit of this key and of each key in its provenance, in requests per second, with its counter.
    pub(super) rates: Vec<(NonZeroU32, KeyRate)>,
}

impl Known {
    /// The caller, where the credential is good now and from there.
    pub(super) fn admit(
        &mut self,
        denied: &Denylist,
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
        let is_in = |networks: &Networks| address.is_some_and(|address| networks.contains(address));
        if !self.networks.iter().all(is_in) {
            return Err(CredentialError::Elsewhere);
        }
        match self.rates.iter().find(|(_, rate)| rate.check().is_err()) {
            Some((limit, _)) => Err(CredentialError::TooOften(*limit)),
            None => Ok(Arc::clone(&self.caller)),
        }
    }
}
