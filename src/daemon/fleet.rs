//! What the daemons on one database share: verdicts in Redis, and the word that something was changed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::actors::application_cache::{EntityReader, ShelfOptions};
use crate::actors::follower::Following;
use crate::actors::hit_rates::HitRates;
use crate::actors::service_cache::server::{Server, ServerKind};
use crate::actors::service_cache::{L2Options, ServiceCache, SharedVerdicts};
use crate::actors::tiers::Tiers;
use crate::settings::{Cache, RedisKind, RedisUrl, ServiceTier, Settings};
use crate::store::{Store, StoreError, cache_keys};

/// How long a check waits for Redis.
const REDIS: Duration = Duration::from_secs(3);

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
    let waker = following.clone();
    let verdicts = ServiceCache::start(options, &key.secret, store.versions().clone(), move || waker.wake());
    following.on_put_back(renew(store.clone(), verdicts.clone(), key.secret));
    let publisher = verdicts.clone();
    store.on_write(move |version| publisher.publish(version));
    Ok(Some(verdicts))
}

/// Seals with another secret where the database was put back: what was sealed before may be of versions that others have
/// now. Whoever finds it first makes the secret, and the others take it.
fn renew(
    store: Store,
    verdicts: SharedVerdicts,
    secret: [u8; 32],
) -> impl Fn() -> Result<(), StoreError> + Send + Sync + 'static {
    let used = Mutex::new(secret);
    move || {
        let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
        let key = store.transaction(|conn| match cache_keys::newest(conn)? {
            Some(key) if key.secret != *used => Ok::<_, StoreError>(key),
            _ => cache_keys::replace(conn, &rand::random()),
        })?;
        verdicts.replace_secret(&key.secret);
        *used = key.secret;
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
