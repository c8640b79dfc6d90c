//! `/v1/constitution…`: the constitution in force, its policies, and its reload.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use super::authorization::RequestCaller;
use super::pagination::{Limit, Page, page};
use super::problem::{BAD_REQUEST, FAULTY_CONSTITUTION, FAULTY_SETTINGS, INTERNAL, NOT_FOUND, Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::actors::decision::registry::{OnObjections, Reload};
use crate::constitution::{PolicyView, Principle};
use crate::domain::{ConstitutionDigest, ConstitutionalHash};

/// The constitution in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Constitution, examples(json!({
    "name": "genesis", "version": "1.0.0", "hash": "cdd01ef066bc6cf2",
    "digest": "6a3f0c1e5b7d9824af06e1d2c3b4a5968778695a4b3c2d1e0f1e2d3c4b5a6978",
    "activated_at": "2026-11-24T09:30:00.123456789Z",
    "principles": [{"id": "human-oversight", "title": "Human oversight", "text": "People decide …",
        "category": "oversight", "severity": "critical", "enforcement": "block", "weight": 1.0}],
    "counts": {"principles": 1, "policies": 3, "permits": 1, "forbids": 2}
})))]
struct ShownConstitution<'a> {
    name: &'a str,
    version: &'a str,
    /// The constitutional hash, which callers may state in `X-Constitutional-Hash`.
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    hash: ConstitutionalHash,
    /// The SHA-256 over all its files.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    digest: ConstitutionDigest,
    #[schema(format = DateTime)]
    activated_at: String,
    principles: &'a [Principle],
    counts: Counts,
}

/// How many principles and policies there are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConstitutionCounts)]
struct Counts {
    principles: usize,
    policies: usize,
    permits: usize,
    forbids: usize,
}

/// Show the constitution in force
#[utoipa::path(
    get, path = "/v1/constitution", operation_id = "showConstitution", tag = "constitution",
    responses((status = 200, description = "The constitution in force.", body = ShownConstitution<'static>)),
)]
pub async fn show(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let active = state.app.decision.in_force.get();
    let constitution = &active.constitution;
    let (permits, forbids): (Vec<_>, Vec<_>) = constitution.policies().partition(|policy| policy.effect == "permit");
    let activated_at = active.activated_at.format(&Rfc3339);
    Ok(HttpResponse::Ok().json(ShownConstitution {
        name: constitution.name(),
        version: constitution.version(),
        hash: constitution.hash(),
        digest: constitution.digest(),
        activated_at: activated_at.map_err(|error| Problem::new(&INTERNAL, error.to_string()))?,
        principles: constitution.principles(),
        counts: Counts {
            principles: constitution.principles().len(),
            policies: permits.len() + forbids.len(),
            permits: permits.len(),
            forbids: forbids.len(),
        },
    }))
}

/// Which part of the policies to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PoliciesQuery {
    /// The most items of the page.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 1000, default = 100, required = false)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List policies
#[utoipa::path(
    get, path = "/v1/constitution/policies", operation_id = "listPolicies", tag = "constitution",
    params(PoliciesQuery),
    responses((status = 200, description = "A page of policies, in the order of files and lines.",
               body = Page<PolicyView<'static>>)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug]))),
)]
pub async fn policies(state: Data<WorkerState>, query: Query<PoliciesQuery>) -> Result<HttpResponse, Problem> {
    let active = state.app.decision.in_force.get();
    let policies = active.constitution.policies().map(|policy| (policy.id.to_owned(), policy));
    page(policies, query.limit, query.cursor.as_deref())
}

/// Show a policy
#[utoipa::path(
    get, path = "/v1/constitution/policies/{id}", operation_id = "showPolicy", tag = "constitution",
    params(("id" = String, Path, description = "The policy's `@id`.", example = "deploy-needs-approval")),
    responses((status = 200, description = "The policy.", body = PolicyView<'static>)),
    extensions(("x-problems" = json!([NOT_FOUND.slug]))),
)]
pub async fn policy(state: Data<WorkerState>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let active = state.app.decision.in_force.get();
    let policy = active.constitution.policy(&id);
    let policy = policy.ok_or_else(|| Problem::new(&NOT_FOUND, format!("there is no policy `{id}`")))?;
    Ok(HttpResponse::Ok().json(policy))
}

/// The query of a reload.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReloadQuery {
    /// Reload even if test cases fail or stored entities do not fit.
    #[serde(default)]
    #[param(required = false)]
    force: bool,
}

/// A constitution, by its hashes.
#[derive(Debug, Serialize, ToSchema)]
struct ConstitutionName {
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    hash: ConstitutionalHash,
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    digest: ConstitutionDigest,
}

/// The constitutions before and after a reload.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reload, examples(json!({
    "old": {"hash": "cdd01ef066bc6cf2", "digest": "6a3f0c1e5b7d9824af06e1d2c3b4a5968778695a4b3c2d1e0f1e2d3c4b5a6978"},
    "new": {"hash": "cdd01ef066bc6cf2", "digest": "6a3f0c1e5b7d9824af06e1d2c3b4a5968778695a4b3c2d1e0f1e2d3c4b5a6978"},
    "restart_required": []
})))]
struct ReloadReport {
    old: ConstitutionName,
    new: ConstitutionName,
    /// Settings that have changed but take effect only after a restart.
    #[schema(value_type = Vec<String>)]
    restart_required: Vec<&'static str>,
}

/// Reload settings and constitution
///
/// Reads both again from their files. If anything is wrong with them, nothing changes.
#[utoipa::path(
    post, path = "/v1/constitution/reload", operation_id = "reload", tag = "constitution", params(ReloadQuery),
    responses((status = 200, description = "The constitution of the files is in force.", body = ReloadReport)),
    extensions(("x-problems" = json!([
        BAD_REQUEST.slug, FAULTY_CONSTITUTION.slug, FAULTY_SETTINGS.slug, UNAVAILABLE.slug
    ]))),
)]
pub async fn reload(
    caller: RequestCaller,
    query: Query<ReloadQuery>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let on_objections = if query.force { OnObjections::Override } else { OnObjections::Refuse };
    let reloaded = state.app.decision.registry.ask(Reload { caller: caller.name().into(), on_objections }).await?;
    let named = |(hash, digest)| ConstitutionName { hash, digest };
    Ok(HttpResponse::Ok().json(ReloadReport {
        old: named(reloaded.old),
        new: named(reloaded.new),
        restart_required: reloaded.restart_required,
    }))
}
