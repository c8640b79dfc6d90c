//! The pools of connections: how large they are, how many threads use them, and who looks after them.

use std::num::NonZeroUsize;
use std::time::Duration;

use actix::Addr;

use crate::actors::pool_keeper::{Care, KeptPool, PoolKeeper};
use crate::settings::{DatabaseUrl, Settings};
use crate::store::audit::beside;
use crate::store::{Store, StoreOptions};

/// How many of all connections in use are a reason to warn.
const HIGH_PERCENT: f64 = 90.0;

/// The options of the store that the settings ask for.
#[must_use]
pub fn store_options(settings: &Settings) -> StoreOptions {
    let DatabaseUrl::Sqlite(path) = &settings.database.url;
    let pool = &settings.database.pool;
    StoreOptions {
        path: path.clone(),
        size: pool.size,
        max_overflow: 30,
        min_idle: 10,
        // A file does not hang up. What is wrong with it shows in the job as well as in a test before it.
        pre_ping: false,
        recycle: Duration::from_hours(1),
        health_check: Duration::from_secs(30),
        acquire_timeout: pool.acquire_timeout,
    }
}

/// The options of the audit log's copy, which is in a database file of its own.
#[must_use]
pub fn search_options(settings: &Settings) -> StoreOptions {
    let options = store_options(settings);
    StoreOptions { path: beside(&options.path), max_overflow: 0, min_idle: 0, ..options }
}

/// A query needs a thread and a connection. SQLite gets as many threads as connections that are kept: it has one writer
/// and no network, so that more at once would only wait for each other. The others wait in the mailbox, where they are
/// counted too, and have until their request's deadline.
pub(super) fn database_threads(settings: &Settings) -> NonZeroUsize {
    let DatabaseUrl::Sqlite(_) = settings.database.url;
    NonZeroUsize::try_from(settings.database.pool.size).unwrap_or(NonZeroUsize::MIN)
}

/// Has the pools looked after. The primary's is the first.
pub(super) fn keep(store: &Store, settings: &Settings) -> Addr<PoolKeeper> {
    let pools = vec![KeptPool { name: "primary".into(), pool: store.pool() }];
    PoolKeeper::start(pools, Care { health_check: store_options(settings).health_check, high: HIGH_PERCENT })
}
