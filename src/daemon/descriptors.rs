//! Limits of file descriptors: how many the process may have, and how many of these are left for clients.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::http::{self, ConnectionLimits};
use crate::settings::{DatabaseUrl, Settings};

/// Descriptors of one SQLite connection: the database, its write-ahead log, and a temporary file.
const SQLITE: usize = 3;

/// Descriptors for the search pool and for files opened at times: segments being read, archives, files being rewritten,
/// requests to witnesses and issuers.
const SPARE: usize = 96;

/// Descriptors of each HTTP worker, in addition to its connections.
const WORKER: usize = 8;

/// The connections allowed to clients even if the limit is too low for them.
const LEAST: usize = 16;

/// Raises the soft limit on open files (`RLIMIT_NOFILE`) to the hard limit.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit on open files (RLIMIT_NOFILE) cannot be raised");
    }
}

/// The limits on client connections that leave enough descriptors for all other files.
pub(super) fn connection_limits(settings: &Settings) -> ConnectionLimits {
    let http = &settings.http;
    let (wanted, per_address) = (http.max_connections.get(), http.max_connections_per_address.get());
    let Some(files) = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok()) else {
        return ConnectionLimits { total: wanted, per_address };
    };
    let total = wanted.min(files.saturating_sub(reserved(settings)).max(LEAST));
    if total < wanted {
        tracing::warn!(
            files,
            connections = total,
            "the limit on open files (RLIMIT_NOFILE) is too low for `http.max_connections`; accepting fewer connections"
        );
    }
    ConnectionLimits { total, per_address: per_address.min(total) }
}

/// The number of descriptors that are open now, or will be opened for other purposes than clients.
fn reserved(settings: &Settings) -> usize {
    let now = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let pool = &settings.database.pool;
    let connections = (pool.size.get() as usize).saturating_add(pool.max_overflow as usize);
    let database = match &settings.database.url {
        // The search index has a pool of its own.
        DatabaseUrl::Sqlite(_) => connections.saturating_mul(2 * SQLITE),
        DatabaseUrl::Postgres(_) => connections.saturating_mul(1 + settings.database.replicas.len()),
    };
    let service_cache =
        if settings.cache.l2.url.is_some() { settings.cache.l2.max_connections.get() as usize } else { 0 };
    let workers = http::workers(&settings.http).saturating_mul(WORKER);
    [database, service_cache, workers, http::BEYOND_LIMITS, SPARE].into_iter().fold(now, usize::saturating_add)
}
