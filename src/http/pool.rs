//! `/v1/pool`: the connections to the database.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use serde_json::{Value, json};

use super::pagination;
use super::problem::{Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::actors::database::pool_monitor::{PoolReport, PoolStatus};
use crate::settings::DatabaseUrl;
use crate::store::{PoolLoad, ReplicaStatus, TierStats};

/// `GET /v1/pool`: connections, waiting callers, and outcomes.
pub async fn show(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let reports = state.app.store.pool_monitor.ask(PoolStatus).await?;
    let [primary, replicas @ ..] = &*reports else {
        return Err(Problem::new(&UNAVAILABLE, "there is no pool"));
    };
    let backend = match state.app.settings.database.url {
        DatabaseUrl::Sqlite(_) => "sqlite",
        DatabaseUrl::Postgres(_) => "postgresql",
    };
    let mut body = pool(primary);
    if let Some(body) = body.as_object_mut() {
        let queued = state.app.store.database.unanswered().saturating_sub(state.app.store.threads.get());
        body.insert("backend".to_owned(), backend.into());
        body.insert("queued".to_owned(), queued.into());
        let states = state.app.store.replicas.status();
        let replicas = replicas.iter().zip(&states).map(|(report, state)| replica(report, state));
        body.insert("replicas".to_owned(), replicas.collect());
    }
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).json(body))
}

fn replica(report: &PoolReport, state: &ReplicaStatus) -> Value {
    let mut body = pool(report);
    if let Some(body) = body.as_object_mut() {
        body.insert("name".to_owned(), (*report.name).into());
        body.insert("lag_ms".to_owned(), state.lag.map(milliseconds).into());
        body.insert("healthy".to_owned(), state.is_healthy.into());
        body.insert("fault".to_owned(), state.fault.clone().into());
    }
    body
}

fn pool(report: &PoolReport) -> Value {
    let stats = &report.stats;
    let (base, overflow, waits) = (&stats.base, &stats.overflow, &stats.waits);
    let both = |of: fn(&TierStats) -> u64| of(base) + of(overflow);
    json!({
        "healthy": report.fault.is_none(),
        "fault": report.fault,
        "size": stats.size,
        "max_overflow": stats.max_overflow,
        "min_idle": stats.min_idle,
        "open": stats.open(),
        "busy": stats.busy(),
        "idle": stats.open().saturating_sub(stats.busy()),
        "overflow": {"open": overflow.open, "busy": overflow.busy, "idle": overflow.open.saturating_sub(overflow.busy)},
        "waiting": stats.waiting,
        "waits": {
            "acquired": waits.acquired,
            "waited": waits.waited,
            "total_ms": milliseconds(waits.total),
            "max_ms": milliseconds(waits.longest),
            "p50_ms": milliseconds(waits.p50),
            "p99_ms": milliseconds(waits.p99),
        },
        "opened": {"base": base.opened, "overflow": overflow.opened},
        "closed": {
            "idle": both(|tier| tier.closed_idle),
            "recycled": both(|tier| tier.closed_recycled),
            "broken": both(|tier| tier.closed_broken),
        },
        "failed": {
            "connect": both(|tier| tier.failed_connect),
            "ping": both(|tier| tier.failed_ping),
            "timeout": stats.late,
            "refused": stats.refused,
        },
        "alert": {
            "state": match report.load {
                PoolLoad::Ok => "ok",
                PoolLoad::High => "high",
                PoolLoad::Exhausted => "exhausted",
            },
            "since": pagination::time(report.since.unix_timestamp()),
        },
        "last_error": stats.last_error,
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
