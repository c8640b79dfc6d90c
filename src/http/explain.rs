//! `POST /v1/explain`: what a question would be answered, and why, policy by policy. It is a dry run: nothing is
//! recorded, so the answer is not a decision.

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::authorization::RequestCaller;
use super::claimed_hash::{CONSTITUTIONAL_HASH, hash_value};
use super::decision_request::DecisionRequest;
use super::problem::{BAD_REQUEST, LOST, OVERLOADED, Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use super::{decision_schema, explain_schema};
use crate::actors::decision::validator::Explanation;
use crate::constitution::{Constitution, PolicyReport};
use crate::domain::{EntityUid, Evaluation, Object, UnknownMembers};

/// Explain an answer
///
/// Takes the same questions as `/access/v1/evaluation`, and tells what each policy contributes to the answer. It is a
/// dry run: nothing is recorded, so the answer is not a decision.
#[utoipa::path(
    post, path = "/v1/explain", operation_id = "explain", tag = "decisions",
    params(
        ("X-Consistency" = Option<String>, Header,
         pattern = r"^(full|at-least [0-9a-f]{16}\.[0-9]{1,18}\.[0-9a-f]{16})$",
         description = "`full`, or `at-least TOKEN` with the `X-Consistency-Token` of a write."),
    ),
    request_body = decision_schema::Evaluation,
    responses((
        status = 200, description = "The answer, and the policies and entities behind it.",
        body = explain_schema::Explanation,
    )),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, LOST.slug, OVERLOADED.slug, UNAVAILABLE.slug]))),
)]
pub async fn explain(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let mut asked = DecisionRequest::new(&request, &caller, &state);
    let body: Object = asked.read(payload).await?;
    let evaluation = Evaluation::from_object(&body, UnknownMembers::Ignored)
        .map_err(|faults| Problem::faults(&BAD_REQUEST, faults))?;
    let explanation = asked.explain(evaluation).await?;
    let hash = hash_value(explanation.active.constitution.hash());
    let mut response = HttpResponse::Ok();
    response.insert_header((CONSTITUTIONAL_HASH, hash)).insert_header(ContentType::json());
    Ok(response.body(render(&explanation)))
}

fn render(explanation: &Explanation) -> String {
    let Explanation { active, verdict, policies, left_out, entities } = explanation;
    let constitution = &active.constitution;
    let policies: Vec<Value> = policies.iter().filter_map(|report| policy(constitution, report)).collect();
    let entities: Vec<Value> = entities.iter().map(entity).collect();
    // The verdict's members are JSON already, as in the answer of a decision.
    format!(
        "{{\"dry_run\":true,\"decision\":{},\"reason\":{},\"context\":{{{}{}}},\"constitution\":{},\"policies\":{},\
         \"policies_left_out\":{left_out},\"entities\":{}}}",
        verdict.permits(),
        json!(verdict.reason.as_str()),
        verdict.members(),
        verdict.explanation(),
        json!({"hash": constitution.hash(), "digest": constitution.digest()}),
        json!(policies),
        json!(entities),
    )
}

fn policy(constitution: &Constitution, report: &PolicyReport) -> Option<Value> {
    let shown = constitution.policy_at(report.position)?;
    Some(json!({
        "id": shown.id,
        "principle": shown.principle,
        "effect": shown.effect,
        "outcome": report.outcome,
        "detail": report.detail,
        "text": shown.text,
    }))
}

fn entity((uid, version): &(EntityUid, Option<i64>)) -> Value {
    json!({"type": uid.kind, "id": uid.id, "version": version})
}
