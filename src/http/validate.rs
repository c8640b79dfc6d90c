//! `POST /v1/validate`: how an action relates to every principle of the constitution.

use std::collections::HashMap;
use std::time::Instant;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::authorization::RequestCaller;
use super::decision_request::DecisionRequest;
use super::problem::{BAD_REQUEST, INTERNAL, Problem};
use super::questions::Questions;
use super::recorded_decisions::RecordedDecision;
use super::worker_state::WorkerState;
use crate::constitution::Constitution;
use crate::domain::{
    ConstitutionalHash, Enforcement, Evaluation, Finding, NearMiss, Object, Reason, Severity, UnknownMembers,
};

/// The relation of the action to one principle.
#[derive(Debug, Serialize)]
struct PrincipleReport<'a> {
    id: &'a str,
    title: &'a str,
    severity: Severity,
    enforcement: Enforcement,
    compliant: bool,
    policies: Vec<&'a str>,
    advice: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    decision_id: String,
    constitutional_hash: ConstitutionalHash,
    compliant: bool,
    compliance_score: f64,
    decision: bool,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    principles: Vec<PrincipleReport<'a>>,
    violations: &'a [Finding],
    warnings: &'a [Finding],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    nearest: &'a [NearMiss],
    cached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_index: Option<u64>,
    duration_us: u128,
}

/// Decides, records and reports.
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
