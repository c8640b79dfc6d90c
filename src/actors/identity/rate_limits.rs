//! How often API keys may be used that have a limit of their own: one count for all workers.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use lru::LruCache;
use nonzero_ext::nonzero;
use parking_lot::Mutex;
use smol_str::SmolStr;

/// How many keys are remembered.
const REMEMBERED: NonZeroUsize = nonzero!(16_384_usize);

/// The count of one key.
pub type KeyRate = Arc<DefaultDirectRateLimiter>;

/// The counts of keys, by their ids; shared by all clones.
#[derive(Debug, Clone)]
pub struct KeyRates(Arc<Mutex<LruCache<SmolStr, KeyRate>>>);

impl KeyRates {
    /// No key was used yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(REMEMBERED))))
    }

    /// The counter of a key with this limit, in requests per second. A key's limit never changes.
    #[must_use]
    pub fn of(&self, id: &str, per_second: NonZeroU32) -> KeyRate {
        let mut counts = self.0.lock();
        let new = || Arc::new(RateLimiter::direct(Quota::per_second(per_second)));
        Arc::clone(counts.get_or_insert(id.into(), new))
    }
}

impl Default for KeyRates {
    fn default() -> Self {
        Self::new()
    }
}
