//! `/v1/pool`: the connections to the database.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::pagination;
use super::problem::{Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::actors::database::pool_monitor::{PoolReport, PoolStatus};
use crate::settings::DatabaseUrl;
use crate::store::{PoolLoad, ReplicaStatus, TierStats};

/// The connections to one database.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pool, examples(json!({
    "healthy": true, "fault": null, "size": 20, "max_overflow": 30, "min_idle": 10, "open": 20, "busy": 3, "idle": 17,
    "overflow": {"open": 0, "busy": 0, "idle": 0}, "waiting": 0,
    "waits": {"acquired": 812, "waited": 4, "total_ms": 6.2, "max_ms": 2.1, "p50_ms": 0.0, "p99_ms": 1.4},
    "opened": {"base": 20, "overflow": 0}, "closed": {"idle": 0, "recycled": 0, "broken": 0},
    "failed": {"connect": 0, "ping": 0, "timeout": 0, "refused": 0},
    "alert": {"state": "ok", "since": "2026-11-24T09:30:00Z"}, "last_error": null
})))]
struct PoolBody {
    healthy: bool,
    /// Why the database is unavailable.
    #[schema(required)]
    fault: Option<String>,
    /// The most connections that are kept open.
    size: u32,
    /// The most connections beyond that.
    max_overflow: u32,
    /// The connections that are opened in advance.
    min_idle: u32,
    open: u32,
    busy: u32,
    idle: u32,
    /// The connections beyond `size`.
    overflow: Usage,
    /// Jobs that wait for a connection now.
    waiting: u32,
    waits: Waits,
    /// Connections that were opened.
    opened: Opened,
    /// Connections that were closed, by cause.
    closed: Closed,
    /// Jobs without a connection, and connections that failed, by cause.
    failed: Failed,
    alert: Alert,
    #[schema(value_type = Option<String>, required)]
    last_error: Option<Arc<str>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PoolUsage)]
struct Usage {
    open: u32,
    busy: u32,
    idle: u32,
}

/// How long jobs waited for connections.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PoolWaits)]
struct Waits {
    /// Jobs that got a connection.
    acquired: u64,
    /// Jobs that had to wait.
    waited: u64,
    total_ms: f64,
    max_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PoolOpened)]
struct Opened {
    base: u64,
    overflow: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PoolClosed)]
struct Closed {
    idle: u64,
    /// Because of their age.
    recycled: u64,
    broken: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PoolFailed)]
struct Failed {
    /// Connections that could not be opened.
    connect: u64,
    /// Connections that did not answer a test.
    ping: u64,
    /// Jobs that got no connection in time.
    timeout: u64,
    /// Jobs that were refused at once, since no connection could be opened.
    refused: u64,
}

/// How much of the pool is in use, and since when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PoolAlert)]
struct Alert {
    state: LoadState,
    #[schema(format = DateTime)]
    since: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = PoolLoad)]
enum LoadState {
    Ok,
    High,
    Exhausted,
}

/// The connections to the database and its replicas.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pools)]
struct PoolsBody {
    #[serde(flatten)]
    primary: PoolBody,
    backend: Backend,
    /// Jobs that wait for a thread of the database.
    queued: usize,
    replicas: Vec<ReplicaBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Backend {
    Sqlite,
    Postgresql,
}

/// A replica and the connections to it; `healthy` and `fault` are about the replica.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replica)]
struct ReplicaBody {
    #[serde(flatten)]
    pool: PoolBody,
    /// Its place, without credentials.
    #[schema(value_type = String)]
    name: Arc<str>,
    /// Its lag behind the primary.
    #[schema(required)]
    lag_ms: Option<f64>,
}

/// Show the connections to the database
#[utoipa::path(
    get, path = "/v1/pool", operation_id = "showPool", tag = "operation",
    responses((status = 200, description = "Connections, waiting jobs, and outcomes.", body = PoolsBody)),
    extensions(("x-problems" = json!([UNAVAILABLE.slug]))),
)]
pub async fn show(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let reports = state.app.store.pool_monitor.ask(PoolStatus).await?;
    let [primary, replicas @ ..] = &*reports else {
        return Err(Problem::new(&UNAVAILABLE, "there is no pool"));
    };
    let states = state.app.store.replicas.status();
    let body = PoolsBody {
        primary: pool(primary),
        backend: match state.app.settings.database.url {
            DatabaseUrl::Sqlite(_) => Backend::Sqlite,
            DatabaseUrl::Postgres(_) => Backend::Postgresql,
        },
        queued: state.app.store.database.unanswered().saturating_sub(state.app.store.threads.get()),
        replicas: replicas.iter().zip(&states).map(|(report, state)| replica(report, state)).collect(),
    };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).json(body))
}

fn replica(report: &PoolReport, state: &ReplicaStatus) -> ReplicaBody {
    let pool = PoolBody { healthy: state.is_healthy, fault: state.fault.clone(), ..pool(report) };
    ReplicaBody { pool, name: Arc::clone(&report.name), lag_ms: state.lag.map(milliseconds) }
}

fn pool(report: &PoolReport) -> PoolBody {
    let stats = &report.stats;
    let (base, overflow, waits) = (&stats.base, &stats.overflow, &stats.waits);
    let both = |of: fn(&TierStats) -> u64| of(base) + of(overflow);
    PoolBody {
        healthy: report.fault.is_none(),
        fault: report.fault.clone(),
        size: stats.size,
        max_overflow: stats.max_overflow,
        min_idle: stats.min_idle,
        open: stats.open(),
        busy: stats.busy(),
        idle: stats.open().saturating_sub(stats.busy()),
        overflow: Usage { open: overflow.open, busy: overflow.busy, idle: overflow.open.saturating_sub(overflow.busy) },
        waiting: stats.waiting,
        waits: Waits {
            acquired: waits.acquired,
            waited: waits.waited,
            total_ms: milliseconds(waits.total),
            max_ms: milliseconds(waits.longest),
            p50_ms: milliseconds(waits.p50),
            p99_ms: milliseconds(waits.p99),
        },
        opened: Opened { base: base.opened, overflow: overflow.opened },
        closed: Closed {
            idle: both(|tier| tier.closed_idle),
            recycled: both(|tier| tier.closed_recycled),
            broken: both(|tier| tier.closed_broken),
        },
        failed: Failed {
            connect: both(|tier| tier.failed_connect),
            ping: both(|tier| tier.failed_ping),
            timeout: stats.late,
            refused: stats.refused,
        },
        alert: Alert {
            state: match report.load {
                PoolLoad::Ok => LoadState::Ok,
                PoolLoad::High => LoadState::High,
                PoolLoad::Exhausted => LoadState::Exhausted,
            },
            since: pagination::time(report.since.unix_timestamp()),
        },
        last_error: stats.last_error.clone(),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
