//! Logs why tokens are refused, at a limited rate.

use std::cell::Cell;
use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use nonzero_ext::nonzero;

use super::CredentialError;
use crate::auth::jws::Unverified;

/// Messages per second in the long run.
const RATE: NonZeroU32 = nonzero!(2_u32);

/// Messages in a burst.
const BURST: NonZeroU32 = nonzero!(20_u32);

/// The most characters shown of each claim or header of an unverified token.
const SHOWN: usize = 100;

/// The rate-limited log of one worker's refusals.
#[derive(Debug)]
pub(super) struct RefusalLog {
    limiter: DefaultDirectRateLimiter,
    left_out: Cell<u64>,
}

impl RefusalLog {
    pub(super) fn new() -> Self {
        let limiter = RateLimiter::direct(Quota::per_second(RATE).allow_burst(BURST));
        Self { limiter, left_out: Cell::new(0) }
    }

    /// Logs why a token is refused, with its issuer, key id, algorithm and type, none of which is secret.
    pub(super) fn tell(&self, token: &str, error: &CredentialError) {
        if self.limiter.check().is_err() {
            self.left_out.set(self.left_out.get() + 1);
            return;
        }
        let left_out = self.left_out.replace(0);
        let Ok(token) = Unverified::parse(token) else {
            tracing::warn!(%error, left_out, "a token is refused");
            return;
        };
        let claims = token.claims().ok();
        let issuer = claims.as_ref().and_then(|claims| claims.get("iss")?.as_str());
        let [issuer, kid, typ] = [issuer, token.kid(), token.typ()].map(shown);
        let algorithm = shown(Some(token.algorithm()));
        tracing::warn!(%error, issuer, kid, algorithm, typ, left_out, "a token is refused");
    }
}

/// The first characters of a text, escaped; `None` for `None`.
fn shown(text: Option<&str>) -> Option<String> {
    Some(text?.chars().take(SHOWN).flat_map(char::escape_debug).collect())
}
