//! All caches of this process together: how full they are, and how they are emptied.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::actors::cache::application_cache::{EntityCacheUsage, EntityReader};
use crate::actors::cache::hit_rates::HitRates;
use crate::actors::cache::request_cache::{CacheUsage, Forget, Measure, RequestCache};
use crate::actors::cache::service_cache::{ClearError, SharedVerdicts};

/// How long a worker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// One of the caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The verdicts of each worker.
    L1,
    /// The verdicts of the fleet.
    L2,
    /// The entities of this process.
    L3,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::L1, Self::L2, Self::L3];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::L3 => "l3",
        }
    }
}

/// The caches; shared by all clones.
#[derive(Clone)]
pub struct Tiers(Arc<State>);

struct State {
    workers: Mutex<Vec<Addr<RequestCache>>>,
    verdicts: Option<SharedVerdicts>,
    entities: EntityReader,
    rates: HitRates,
}

impl Tiers {
    /// The tiers that all workers share. Each worker's own is [added](Self::add).
    #[must_use]
    pub fn new(entities: EntityReader, verdicts: Option<SharedVerdicts>, rates: HitRates) -> Self {
        Self(Arc::new(State { workers: Mutex::default(), verdicts, entities, rates }))
    }

    /// Adds the cache of a worker.
    pub fn add(&self, cache: Addr<RequestCache>) {
        self.0.workers.lock().push(cache);
    }

    /// The caches of all workers.
    #[must_use]
    pub fn workers(&self) -> Vec<Addr<RequestCache>> {
        self.0.workers.lock().clone()
    }

    /// How often something was found in them.
    #[must_use]
    pub fn rates(&self) -> &HitRates {
        &self.0.rates
    }

    /// How full the caches of all workers are, together. One that does not answer counts as none.
    pub async fn l1(&self) -> CacheUsage {
        let rooms = self.workers().into_iter().map(|cache| cache.send(Measure).timeout(TIMEOUT));
        let rooms = join_all(rooms).await.into_iter().flatten();
        rooms.fold(CacheUsage::default(), |all, one| CacheUsage {
            entries: all.entries + one.entries,
            capacity: all.capacity + one.capacity,
            bytes: all.bytes + one.bytes,
            max_bytes: all.max_bytes.saturating_add(one.max_bytes),
        })
    }

    /// How full the cache of entities is.
    #[must_use]
    pub fn l3(&self) -> EntityCacheUsage {
        self.0.entities.room()
    }

    /// Empties a tier, and returns the number of entries. Verdicts being decided meanwhile may be added after that.
    pub async fn clear(&self, tier: Tier) -> Result<u64, ClearError> {
        match tier {
            Tier::L1 => {
                let forgotten = self.workers().into_iter().map(|cache| cache.send(Forget).timeout(TIMEOUT));
                let forgotten = join_all(forgotten).await.into_iter().collect::<Result<Vec<_>, _>>()?;
                Ok(forgotten.into_iter().sum::<usize>() as u64)
            }
            Tier::L2 => match &self.0.verdicts {
                Some(verdicts) => verdicts.clear().await,
                None => Ok(0),
            },
            Tier::L3 => Ok(self.0.entities.clear() as u64),
        }
    }
}

impl fmt::Debug for Tiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiers").field("rates", &self.0.rates).finish_non_exhaustive()
    }
}
