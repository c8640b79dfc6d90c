//! `/v1/constitution…`: the constitution in force, its policies, and its reload.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use serde::Deserialize;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::authorization::RequestCaller;
use super::pagination::{Limit, page};
use super::problem::{INTERNAL, NOT_FOUND, Problem};
use super::worker_state::WorkerState;
use crate::actors::decision::registry::{OnObjections, Reload};

/// `GET /v1/constitution`
pub async fn show(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let active = state.app.decision.in_force.get();
    let constitution = &active.constitution;
    let (permits, forbids): (Vec<_>, Vec<_>) = constitution.policies().partition(|policy| policy.effect == "permit");
    let activated_at = active.activated_at.format(&Rfc3339);
    Ok(HttpResponse::Ok().json(json!({
        "name": constitution.name(),
        "version": constitution.version(),
        "hash": constitution.hash(),
        "digest": constitution.digest(),
        "activated_at": activated_at.map_err(|error| Problem::new(&INTERNAL, error.to_string()))?,
        "principles": constitution.principles(),
        "counts": {
            "principles": constitution.principles().len(),
            "policies": permits.len() + forbids.len(),
            "permits": permits.len(),
            "forbids": forbids.len(),
        },
    })))
}

/// Which part of the policies to show.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoliciesQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
}

/// `GET /v1/constitution/policies`
pub async fn policies(state: Data<WorkerState>, query: Query<PoliciesQuery>) -> Result<HttpResponse, Problem> {
    let active = state.app.decision.in_force.get();
    let policies = active.constitution.policies().map(|policy| (policy.id.to_owned(), policy));
    page(policies, query.limit, query.cursor.as_deref())
}

/// `GET /v1/constitution/policies/{id}`
pub async fn policy(state: Data<WorkerState>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let active = state.app.decision.in_force.get();
    let policy = active.constitution.policy(&id);
    let policy = policy.ok_or_else(|| Problem::new(&NOT_FOUND, format!("there is no policy `{id}`")))?;
    Ok(HttpResponse::Ok().json(policy))
}

/// The query of a reload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadQuery {
    #[serde(default)]
    force: bool,
}

/// `POST /v1/constitution/reload`; with `?force=true` even if test cases fail or stored entities do not fit.
pub async fn reload(
    caller: RequestCaller,
    query: Query<ReloadQuery>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let on_objections = if query.force { OnObjections::Override } else { OnObjections::Refuse };
    let reloaded = state.app.decision.registry.ask(Reload { caller: caller.name().into(), on_objections }).await?;
    let named = |(hash, digest)| json!({"hash": hash, "digest": digest});
    Ok(HttpResponse::Ok().json(json!({
        "old": named(reloaded.old),
        "new": named(reloaded.new),
        "restart_required": reloaded.restart_required,
    })))
}
