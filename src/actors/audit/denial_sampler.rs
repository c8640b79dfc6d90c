//! Limits the number of recorded refusals, so that an attacker cannot fill the audit log.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use nonzero_ext::nonzero;

/// Records a second, in the long run.
const RATE: NonZeroU32 = nonzero!(20_u32);

/// Records at once.
const BURST: NonZeroU32 = nonzero!(100_u32);

/// Bounds the records of refusals; shared by all clones.
#[derive(Debug, Clone)]
pub struct DenialSampler(Arc<Bounds>);

#[derive(Debug)]
struct Bounds {
    limiter: DefaultDirectRateLimiter,
    left_out: AtomicU64,
}

impl DenialSampler {
    /// No refusal yet.
    #[must_use]
    pub fn new() -> Self {
        let limiter = RateLimiter::direct(Quota::per_second(RATE).allow_burst(BURST));
        Self(Arc::new(Bounds { limiter, left_out: AtomicU64::new(0) }))
    }

    /// Whether one more is to be recorded, and then how many were left out since the last one that was.
    #[must_use]
    pub fn take(&self) -> Option<u64> {
        if self.0.limiter.check().is_ok() {
            return Some(self.0.left_out.swap(0, Ordering::Relaxed));
        }
        self.0.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Default for DenialSampler {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_once() {
        let denial_sampler = DenialSampler::new();
        let recorded = (0..10_000).filter(|_| denial_sampler.take().is_some()).count();
        assert!((100..1_000).contains(&recorded), "{recorded}");
        let left_out = denial_sampler.0.left_out.load(Ordering::Relaxed);
        assert!(left_out > 0 && left_out <= 10_000 - 100, "{left_out}");
    }
}
