//! `POST /v1/validate`: how an action relates to every principle of the constitution.

use std::collections::HashMap;
use std::time::Instant;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::authorization::RequestCaller;
use super::decision_request::DecisionRequest;
use super::decision_schema;
use super::problem::{BAD_REQUEST, INTERNAL, LOST, OVERLOADED, Problem, TOO_LARGE, UNAVAILABLE};
use super::questions::Questions;
use super::recorded_decisions::RecordedDecision;
use super::worker_state::WorkerState;
use crate::constitution::Constitution;
use crate::domain::{
    ConstitutionalHash, Enforcement, Evaluation, Finding, NearMiss, Object, Reason, Severity, UnknownMembers,
};

/// The relation of the action to one principle.
#[derive(Debug, Serialize, ToSchema)]
struct PrincipleReport<'a> {
    id: &'a str,
    title: &'a str,
    severity: Severity,
    enforcement: Enforcement,
    /// Whether no policy of the principle forbids the action.
    compliant: bool,
    /// The policies that forbid it.
    policies: Vec<&'a str>,
    advice: Vec<&'a str>,
}

/// The relation of the action to every principle.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Validation, examples(json!({
    "decision_id": "01a20968-28f3-7aa8-bbff-c596e8b4eb41", "constitutional_hash": "cdd01ef066bc6cf2",
    "compliant": true, "compliance_score": 1.0, "decision": true, "reason": "permitted",
    "principles": [{"id": "human-oversight", "title": "Human oversight", "severity": "critical",
        "enforcement": "block", "compliant": true, "policies": [], "advice": []}],
    "violations": [], "warnings": [], "cached": false, "audit_index": 24, "duration_us": 412
})))]
struct Report<'a> {
    /// The id of the decision, under which `/v1/decisions/{id}` shows its record.
    #[schema(format = "uuid")]
    decision_id: String,
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    constitutional_hash: ConstitutionalHash,
    /// Whether no principle is violated.
    compliant: bool,
    /// The sum of the weights of the principles that are not violated.
    #[schema(minimum = 0, maximum = 1)]
    compliance_score: f64,
    decision: bool,
    reason: Reason,
    /// Details that the reason alone does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    detail: Option<&'a str>,
    principles: Vec<PrincipleReport<'a>>,
    /// Violated principles that block.
    violations: &'a [Finding],
    /// Violated principles that only warn.
    warnings: &'a [Finding],
    /// If no policy permits: the permits that came nearest, nearest first.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    nearest: &'a [NearMiss],
    cached: bool,
    /// The index of the record in the audit log; absent if answers do not wait for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    audit_index: Option<u64>,
    #[schema(value_type = u64)]
    duration_us: u128,
}

/// Decide, and report on every principle
///
/// Takes the same questions as `/access/v1/evaluation`, but refuses unknown members.
#[utoipa::path(
    post, path = "/v1/validate", operation_id = "validate", tag = "decisions",
    params(
        ("X-Consistency" = Option<String>, Header,
         pattern = r"^(full|at-least [0-9a-f]{16}\.[0-9]{1,18}\.[0-9a-f]{16})$",
         description = "`full`, or `at-least TOKEN` with the `X-Consistency-Token` of a write."),
        ("X-ACGS-Bench" = Option<String>, Header, pattern = "^[A-Za-z0-9._-]{1,64}$",
         description = "The name of a run of `acgs bench`; the record has it as `bench`."),
    ),
    request_body = decision_schema::StrictEvaluation,
    responses((status = 200, description = "The decision and its report.", body = Report<'static>)),
    extensions(("x-problems" = json!([
        BAD_REQUEST.slug, TOO_LARGE.slug, LOST.slug, OVERLOADED.slug, UNAVAILABLE.slug
    ]))),
)]
pub async fn validate(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let since = Instant::now();
    let mut asked = DecisionRequest::new(&request, &caller, &state);
    let body: Object = asked.read(payload).await?;
    let evaluation = Evaluation::from_object(&body, UnknownMembers::Refused)
        .map_err(|faults| Problem::faults(&BAD_REQUEST, faults))?;
    let recorded = asked.decide(Questions::one(evaluation)).await?;
    let decision = recorded.decisions.first().ok_or_else(|| Problem::new(&INTERNAL, "no decision was made"))?;
    Ok(recorded.respond().json(report(&recorded.active.constitution, decision, since)))
}

fn report<'a>(constitution: &'a Constitution, decision: &'a RecordedDecision, since: Instant) -> Report<'a> {
    let verdict = &decision.decided.verdict;
    let found: HashMap<&str, &Finding> =
        verdict.violations.iter().chain(&verdict.warnings).map(|finding| (&*finding.principle, finding)).collect();
    // Where the policies could not be asked, no principle is known to be kept.
    let asked = matches!(verdict.reason, Reason::Permitted | Reason::Forbidden | Reason::NoPermit);
    let principles = constitution.principles().iter().map(|principle| {
        let finding = found.get(&*principle.id);
        PrincipleReport {
            id: &principle.id,
            title: &principle.title,
            severity: principle.severity,
            enforcement: principle.enforcement,
            compliant: asked && finding.is_none(),
            policies: finding.iter().flat_map(|finding| &finding.policies).map(|id| &**id).collect(),
            advice: finding.iter().flat_map(|finding| &finding.advice).map(|advice| &**advice).collect(),
        }
    });
    Report {
        decision_id: decision.id.to_string(),
        constitutional_hash: constitution.hash(),
        compliant: asked && found.is_empty(),
        compliance_score: if asked { verdict.score } else { 0.0 },
        decision: verdict.permits(),
        reason: verdict.reason,
        detail: verdict.detail.as_deref(),
        principles: principles.collect(),
        violations: &verdict.violations,
        warnings: &verdict.warnings,
        nearest: &verdict.nearest,
        cached: decision.decided.is_cached(),
        audit_index: decision.index,
        duration_us: since.elapsed().as_micros(),
    }
}
