//! State shared by the daemons on one database: verdicts in Redis, and notifications of changes.

use std::time::Duration;

use crate::actors::cache::application_cache::{EntityCacheOptions, EntityReader};
use crate::actors::cache::hit_rates::HitRates;
use crate::actors::cache::service_cache::codec::Secret;
use crate::actors::cache::service_cache::server::{Server, ServerKind};
use crate::actors::cache::service_cache::{L2Options, ServiceCache, SharedVerdicts};
use crate::actors::cache::tiers::Tiers;
use crate::actors::database::change_feed::{FeedStatus, SharedSecret};
use crate::settings::{Cache, RedisKind, RedisUrl, ServiceTier, Settings};
use crate::store::cache_secret::{self, CacheSecret};
use crate::store::{Store, StoreError};

/// How long a check waits for Redis.
const REDIS: Duration = Duration::from_secs(3);

/// The fleet's secret for sealing verdicts; `None` without Redis in the settings. The first daemon creates it, under
/// the startup lock.
pub(super) fn secret(settings: &Settings, store: &Store) -> Result<Option<CacheSecret>, StoreError> {
    if settings.cache.l2.url.is_none() {
        return Ok(None);
    }
    newest_key(store).map(Some)
}

fn newest_key(store: &Store) -> Result<CacheSecret, StoreError> {
    store.transaction(|conn| match cache_secret::newest(conn)? {
        Some(key) => Ok(key),
        None => cache_secret::insert(conn, &rand::random()),
    })
}

/// The sealing key for the store's current incarnation.
fn sealing(key: &CacheSecret, store: &Store) -> Secret {
    Secret::new(&key.secret, store.versions().applied().incarnation)
}

/// Starts the tier L2 where the settings name a server. It does not wait for it.
pub(super) fn open(
    settings: &Settings,
    key: Option<CacheSecret>,
    store: &Store,
    feed: &FeedStatus,
) -> Option<SharedVerdicts> {
    let ServiceTier { url: Some(url), pool_size, max_connections, timeout, .. } = &settings.cache.l2 else {
        return None;
    };
    let key = key?;
    let options = L2Options {
        server: server(url),
        pool_size: *pool_size,
        max_connections: *max_connections,
        timeout: *timeout,
        ttl: settings.cache.default_ttl.max(Duration::from_secs(1)),
    };
    let waker = feed.clone();
    let verdicts = ServiceCache::start(options, sealing(&key, store), store.versions().clone(), move || waker.wake());
    feed.share(FleetSecret { store: store.clone(), verdicts: verdicts.clone() });
    // The renewal is registered, so an incarnation that began before this line is caught here.
    verdicts.replace_secret(sealing(&key, store));
    let publisher = verdicts.clone();
    store.on_write(move |version| publisher.publish(version));
    Some(verdicts)
}

/// Renews the sealing key with each incarnation of the database.
struct FleetSecret {
    store: Store,
    verdicts: SharedVerdicts,
}

impl SharedSecret for FleetSecret {
    fn renew(&self) -> Result<(), StoreError> {
        let key = newest_key(&self.store)?;
        self.verdicts.replace_secret(sealing(&key, &self.store));
        Ok(())
    }
}

/// Whether the Redis that the settings name can be used, if they name one.
pub fn check_redis(settings: &Settings) -> Result<(), String> {
    let Some(url) = &settings.cache.l2.url else { return Ok(()) };
    let server = server(url);
    let open = async { tokio::time::timeout(REDIS, server.open()).await };
    match actix_web::rt::System::new().block_on(open) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("the Redis at `{url}` cannot be used: {error}")),
        Err(_) => Err(format!("the Redis at `{url}` does not answer")),
    }
}

/// How much of the database is kept in this process.
pub(super) fn entity_cache_options(cache: &Cache) -> EntityCacheOptions {
    EntityCacheOptions { capacity: cache.l3.capacity, max_bytes: cache.l3.max_bytes, ttl: cache.constitutional_ttl }
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
