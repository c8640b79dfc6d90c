//! The connection pools: their sizes, the number of threads that use them, and their monitors.

use std::num::{NonZeroU32, NonZeroUsize};

use actix::Addr;
use nonzero_ext::nonzero;

use crate::actors::Mailbox;
use crate::actors::database::Database;
use crate::actors::database::change_feed::FeedStatus;
use crate::actors::database::pool_monitor::{NamedPool, PoolMonitor, PoolMonitorOptions};
use crate::http::{PendingWrites, StoreState};
use crate::settings::{DatabaseUrl, PostgresUrl, Settings};
use crate::store::search_index::beside;
use crate::store::{PoolMode, Replicas, Server, Store, StoreError, StoreOptions, Target};

/// Connections for searches in the index on a server: one for each search thread.
const SEARCHERS: NonZeroU32 = nonzero!(2_u32);

/// Threads beyond the number of connections: each waits for a connection, until the timeout.
const WAITERS: usize = 16;

/// The options of the store that the settings ask for.
#[must_use]
pub fn store_options(settings: &Settings) -> StoreOptions {
    let pool = &settings.database.pool;
    let (target, pre_ping) = match &settings.database.url {
        // A file does not hang up, so a test before use would find nothing that the query does not find.
        DatabaseUrl::Sqlite(path) => (Target::Sqlite(path.clone()), false),
        DatabaseUrl::Postgres(url) => (Target::Postgres(server(settings, url)), pool.pre_ping),
    };
    StoreOptions {
        target,
        size: pool.size,
        max_overflow: pool.max_overflow,
        min_idle: pool.min_idle,
        pre_ping,
        recycle: pool.recycle,
        health_check: pool.health_check,
        acquire_timeout: pool.acquire_timeout,
    }
}

/// A server at a URL, with the pool mode from the settings.
fn server(settings: &Settings, url: &PostgresUrl) -> Server {
    let server = Server::new(url.as_str());
    if !settings.database.prepared_statements {
        server.set_pool_mode(PoolMode::Transaction);
    }
    server
}

/// The options of the search index, which is in a database file of its own, or in the server's database.
#[must_use]
pub fn search_options(settings: &Settings) -> StoreOptions {
    let options = store_options(settings);
    let size = if options.target.path().is_some() { options.size } else { SEARCHERS };
    StoreOptions { target: beside(&options.target), size, max_overflow: 0, min_idle: 0, ..options }
}

/// The replicas that the settings name.
pub(super) fn replicas(settings: &Settings, options: &StoreOptions) -> Result<Replicas, StoreError> {
    let targets = settings.database.replicas.iter().map(|url| Target::Postgres(server(settings, url)));
    Replicas::open(targets.collect(), options, settings.database.max_replica_lag)
}

/// A query needs a thread and a connection. SQLite gets as many threads as connections are kept: it has one writer and
/// no network, so that more would only wait for each other. Further requests wait in the mailbox, where they count as
/// in flight, until their deadlines.
///
/// PostgreSQL gets as many threads as there may be connections, and some that wait for one.
pub(super) fn database_threads(settings: &Settings) -> NonZeroUsize {
    let pool = &settings.database.pool;
    let threads = match &settings.database.url {
        DatabaseUrl::Sqlite(_) => pool.size.get() as usize,
        DatabaseUrl::Postgres(_) => pool.size.saturating_add(pool.max_overflow).get() as usize + WAITERS,
    };
    NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)
}

/// The state of HTTP workers that concerns the database. Starts the monitor of its pools.
pub(super) fn state(settings: &Settings, store: &Store, database: Mailbox<Database>, feed: FeedStatus) -> StoreState {
    StoreState {
        database,
        answers: store.answers(),
        threads: database_threads(settings),
        pool_monitor: Mailbox::new(monitor(store, settings), settings.http.request_timeout),
        versions: store.versions().clone(),
        replicas: store.replicas().clone(),
        is_shared: store.is_shared(),
        feed,
        writes: PendingWrites::default(),
    }
}

/// Monitors the pools. The primary's is the first.
fn monitor(store: &Store, settings: &Settings) -> Addr<PoolMonitor> {
    let primary = NamedPool { name: "primary".into(), pool: store.pool() };
    let replicas = store.replicas().status().into_iter();
    let replicas = replicas.map(|replica| NamedPool { name: replica.name.into(), pool: replica.pool });
    let pools = std::iter::once(primary).chain(replicas).collect();
    PoolMonitor::start(
        pools,
        PoolMonitorOptions {
            health_check: settings.database.pool.health_check,
            high: settings.monitor.alerts.pool_utilization_percent.get(),
        },
    )
}
