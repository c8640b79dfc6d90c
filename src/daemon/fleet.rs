//! What the daemons on one database share: verdicts in Redis, and the word that something was changed.

use std::time::Duration;

use crate::actors::application_cache::{EntityReader, ShelfOptions};
use crate::actors::follower::Following;
use crate::actors::hit_rates::HitRates;
use crate::actors::service_cache::server::{Server, ServerKind};
use crate::actors::service_cache::{L2Options, ServiceCache, SharedVerdicts};
use crate::actors::tiers::Tiers;
use crate::settings::{Cache, RedisKind, RedisUrl, ServiceTier, Settings};
use crate::store::{Store, StoreError, cache_keys};

/// Starts the tier L2 where the settings name a server. It does not wait for it.
pub(super) fn open(
    settings: &Settings,
    store: &Store,
    following: &Following,
) -> Result<Option<SharedVerdicts>, StoreError> {
    let ServiceTier { url: Some(url), pool_size, max_connections, timeout, .. } = &settings.cache.l2 else {
        return Ok(None);
    };
    let options = L2Options {
        server: server(url),
        pool_size: *pool_size,
        max_connections: *max_connections,
        timeout: *timeout,
        ttl: settings.cache.default_ttl.max(Duration::from_secs(1)),
    };
    let key = store.transaction(|conn| match cache_keys::newest(conn)? {
        Some(key) => Ok::<_, StoreError>(key),
        None => cache_keys::replace(conn, &rand::random()),
    })?;
    let following = following.clone();
    let verdicts = ServiceCache::start(options, &key.secret, store.versions().clone(), move || following.wake());
    let publisher = verdicts.clone();
    store.on_write(move |version| publisher.publish(version));
    Ok(Some(verdicts))
}

/// How much of the database is kept in this process.
pub(super) fn shelf(cache: &Cache) -> ShelfOptions {
    ShelfOptions { capacity: cache.l3.capacity, max_bytes: cache.l3.max_bytes, ttl: cache.constitutional_ttl }
}

/// All caches, and how often something is found in them.
pub(super) fn tiers(settings: &Settings, entities: &EntityReader, verdicts: Option<&SharedVerdicts>) -> Tiers {
    let rates = HitRates::start(settings.monitor.cache_hit_rate_window, verdicts.cloned());
    Tiers::new(entities.clone(), verdicts.cloned(), rates)
}

fn server(url: &RedisUrl) -> Server {
    Server {
        kind: match url.kind() {
            RedisKind::Standalone => ServerKind::Standalone,
            RedisKind::Cluster => ServerKind::Cluster,
            RedisKind::Sentinel { master } => ServerKind::Sentinel { master: master.clone() },
        },
        hosts: url.hosts().to_vec(),
        tls: url.tls(),
        user: url.user().map(str::to_owned),
        password: url.password().map(str::to_owned),
        db: url.db().into(),
    }
}
