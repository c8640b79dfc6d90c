//! `/v1/status`: whether the daemon works, under which constitution, and how its audit log does.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::checks::{Check, checks};
use super::worker_state::WorkerState;
use crate::actors::audit::log_usage::MeasureLog;

/// `GET /v1/status`
pub async fn show(state: Data<WorkerState>) -> HttpResponse {
    let checks = checks(&state).await;
    let overall = if checks.iter().any(Check::has_failed) {
        "down"
    } else if checks.iter().any(|check| check.fault.is_some()) {
        "degraded"
    } else {
        "ready"
    };
    let active = state.app.decision.in_force.get();
    let constitution = &active.constitution;
    let is_open = state.app.settings.is_dashboard_open();
    let mut response = HttpResponse::Ok().json(json!({
        "state": overall,
        "checks": checks.iter().map(check_json).collect::<Vec<_>>(),
        "node": state.app.audit.index_status.origin(),
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": text_of(state.app.started_at),
        "constitution": {
            "name": constitution.name(),
            "version": constitution.version(),
            "hash": constitution.hash(),
            "digest": constitution.digest(),
            "in_force_since": text_of(active.activated_at),
        },
        "audit": audit_json(&state).await,
        "dashboard": {"login": if is_open { "open" } else { "required" }},
    }));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn check_json(check: &Check) -> Value {
    let state = match (&check.fault, check.needed) {
        (None, _) => "ok",
        (Some(_), false) => "degraded",
        (Some(_), true) => "failed",
    };
    json!({"name": check.name, "state": state, "fault": check.fault})
}

/// The log: what cannot be read in time is `null`.
async fn audit_json(state: &WorkerState) -> Value {
    let audit = &state.app.audit;
    let usage = audit.reader.ask(MeasureLog).await.ok();
    // Read in this order, since indexed and signed records were durable before.
    let (indexed, newest) = (audit.index_status.next(), audit.checkpoints.newest());
    let durable = audit.queue.durable();
    let stored = usage.and_then(|usage| usage.checkpoint_at).map(|at| text_of(OffsetDateTime::from(at)));
    json!({
        "records": durable,
        "durable": durable,
        "queued": audit.queue.waiting(),
        "bytes": usage.map(|usage| usage.bytes),
        "checkpoint": newest.map(|sealed| json!({"size": sealed.checkpoint.size, "at": stored})),
        "cosigned": audit.checkpoints.witnessed().map(|sealed| sealed.checkpoint.size),
        "witnesses": state.app.settings.audit.witness.len(),
        "index_lag": indexed.map(|indexed| durable.saturating_sub(indexed)),
    })
}

fn text_of(at: OffsetDateTime) -> Option<String> {
    at.format(&Rfc3339).ok()
}
