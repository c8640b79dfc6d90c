//! The OpenID AuthZEN Authorization API 1.0: evaluations, batches, and metadata.

use std::fmt::Write as _;

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::authorization::RequestCaller;
use super::decision_request::{DecisionRequest, LARGE_BATCH};
use super::decision_schema;
use super::problem::{BAD_REQUEST, LOST, OVERLOADED, Problem, TOO_LARGE, UNAVAILABLE};
use super::questions::Questions;
use super::recorded_decisions::RecordedDecision;
use super::worker_state::WorkerState;
use crate::actors::decision::validator::Timeslice;
use crate::domain::{Defaults, Evaluation, Json, Object, Reason, UnknownMembers, excerpt};

/// Batches of up to this many items are answered with their reasons, unless the caller prefers otherwise.
pub const SMALL_BATCH: usize = 32;

/// The most bytes that the evaluations of one batch may have together after their defaults are filled in, with the
/// constitution that each claims.
const MAX_EXPANDED: usize = 4 << 20;

/// Decide
///
/// Answers once the decision is recorded. If anything that it needs is missing or fails, it is a deny or an error.
#[utoipa::path(
    post, path = "/access/v1/evaluation", operation_id = "evaluate", tag = "decisions",
    params(
        ("X-Consistency" = Option<String>, Header,
         pattern = r"^(full|at-least [0-9a-f]{16}\.[0-9]{1,18}\.[0-9a-f]{16})$",
         description = "`full`, or `at-least TOKEN` with the `X-Consistency-Token` of a write."),
        ("X-ACGS-Bench" = Option<String>, Header, pattern = "^[A-Za-z0-9._-]{1,64}$",
         description = "The name of a run of `acgs bench`; the record has it as `bench`."),
    ),
    request_body = decision_schema::Evaluation,
    responses((status = 200, description = "The decision, a permit or a deny.", body = decision_schema::Decision)),
    extensions(("x-problems" = json!([
        BAD_REQUEST.slug, TOO_LARGE.slug, LOST.slug, OVERLOADED.slug, UNAVAILABLE.slug
    ]))),
)]
pub async fn evaluation(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let mut asked = DecisionRequest::new(&request, &caller, &state);
    let body = asked.read(payload).await?;
    single(asked, body).await
}

/// Decide a batch
///
/// Batches of up to 32 items are answered with their reasons, larger ones without, unless `Prefer` chooses.
#[utoipa::path(
    post, path = "/access/v1/evaluations", operation_id = "evaluateBatch", tag = "decisions",
    params(
        ("Prefer" = Option<String>, Header,
         description = "`return=representation` or `return=minimal`: with or without reasons."),
        ("X-Consistency" = Option<String>, Header,
         pattern = r"^(full|at-least [0-9a-f]{16}\.[0-9]{1,18}\.[0-9a-f]{16})$",
         description = "`full`, or `at-least TOKEN` with the `X-Consistency-Token` of a write."),
        ("X-ACGS-Bench" = Option<String>, Header, pattern = "^[A-Za-z0-9._-]{1,64}$",
         description = "The name of a run of `acgs bench`; the record has it as `bench`."),
    ),
    request_body = decision_schema::Evaluations,
    responses((status = 200, description = "The decisions; a single one if the request has no items.",
               body = decision_schema::DecisionOrDecisions)),
    extensions(("x-problems" = json!([
        BAD_REQUEST.slug, TOO_LARGE.slug, LOST.slug, OVERLOADED.slug, UNAVAILABLE.slug
    ]))),
)]
pub async fn evaluations(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let mut asked = DecisionRequest::new(&request, &caller, &state);
    let body: Object = asked.read(payload).await?;
    let items = match body.get("evaluations") {
        None => return single(asked, body).await,
        Some(Json::Array(items)) if items.is_empty() => return single(asked, body).await,
        Some(Json::Array(items)) => items,
        Some(other) => {
            return Err(Problem::fault("/evaluations", format!("must be an array, not {}", other.type_name())));
        }
    };
    let limit = state.app.settings.http.max_evaluations.get();
    if items.len() > limit {
        return Err(Problem::fault("/evaluations", format!("has {} items; at most {limit} are taken", items.len())));
    }
    let stop_at = stop_at(&body)?;
    if items.len() > LARGE_BATCH {
        asked.take_turn().await?;
    }
    let full = prefers_representation(&request).unwrap_or(items.len() <= SMALL_BATCH);
    let questions = parse_items(items, &body, stop_at, &asked).await?;
    // Frees the body: from here on only the parsed questions are needed.
    drop(body);
    let recorded = asked.decide(questions).await?;
    Ok(recorded.respond().insert_header(ContentType::json()).body(render_batch(&recorded.decisions, full)))
}

/// The metadata of a policy decision point (`AuthZEN` 1.0, section 9.1).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DecisionPointMetadata, examples(json!({
    "policy_decision_point": "https://acgs.example",
    "access_evaluation_endpoint": "https://acgs.example/access/v1/evaluation",
    "access_evaluations_endpoint": "https://acgs.example/access/v1/evaluations"
})))]
struct Configuration<'a> {
    policy_decision_point: &'a str,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
}

/// Metadata for clients of `AuthZEN`
#[utoipa::path(
    get, path = "/.well-known/authzen-configuration", operation_id = "showDecisionPointMetadata", tag = "documents",
    responses((status = 200, description = "The endpoints that exist.", body = Configuration<'static>)),
)]
pub async fn configuration(state: Data<WorkerState>) -> HttpResponse {
    let url = &state.app.public_url;
    HttpResponse::Ok().json(Configuration {
        policy_decision_point: url,
        access_evaluation_endpoint: format!("{url}/access/v1/evaluation"),
        access_evaluations_endpoint: format!("{url}/access/v1/evaluations"),
    })
}

async fn single(asked: DecisionRequest<'_>, body: Object) -> Result<HttpResponse, Problem> {
    let evaluation = Evaluation::from_object(&body, UnknownMembers::Ignored)
        .map_err(|faults| Problem::faults(&BAD_REQUEST, faults))?;
    // The question is all that is needed from here on: a large body is not kept while its record is synced.
    drop(body);
    let recorded = asked.decide(Questions::one(evaluation)).await?;
    let mut text = String::with_capacity(512);
    if let Some(decision) = recorded.decisions.first() {
        render(decision, true, &mut text);
    }
    Ok(recorded.respond().insert_header(ContentType::json()).body(text))
}

/// Reads the items of a batch. Defaults are read and recorded once, but auditors read every record with them, so that
/// the size of all questions together has a bound of its own.
async fn parse_items(
    items: &[Json],
    batch: &Object,
    stop_at: Option<bool>,
    asked: &DecisionRequest<'_>,
) -> Result<Questions, Problem> {
    let defaults = Defaults::read(batch);
    let (mut questions, mut slice) = (Questions::new(stop_at), Timeslice::new(asked.deadline));
    let mut size = 0;
    for item in items {
        let evaluation = Evaluation::from_item(item, &defaults);
        size += evaluation.as_ref().map_or(0, |evaluation| evaluation.written_bytes() + asked.claimed_bytes());
        if size > MAX_EXPANDED {
            let detail = format!("the evaluations, with their defaults, have more than {MAX_EXPANDED} bytes");
            return Err(Problem::new(&TOO_LARGE, detail));
        }
        questions.push(evaluation);
        slice.pause().await?;
    }
    Ok(questions)
}

/// The decision that ends a batch, from `options.evaluations_semantic`.
fn stop_at(body: &Object) -> Result<Option<bool>, Problem> {
    let options = match body.get("options") {
        None => return Ok(None),
        Some(Json::Object(options)) => options,
        Some(other) => return Err(Problem::fault("/options", format!("must be an object, not {}", other.type_name()))),
    };
    match options.get("evaluations_semantic").map(|semantic| (semantic, semantic.as_str())) {
        None | Some((_, Some("execute_all"))) => Ok(None),
        Some((_, Some("deny_on_first_deny"))) => Ok(Some(false)),
        Some((_, Some("permit_on_first_permit"))) => Ok(Some(true)),
        Some((other, _)) => {
            let detail = "must be `execute_all`, `deny_on_first_deny` or `permit_on_first_permit`";
            let given = serde_json::to_string(other).unwrap_or_default();
            Err(Problem::fault("/options/evaluations_semantic", format!("{detail}, not {}", excerpt(&given))))
        }
    }
}

/// `Prefer: return=representation` or `return=minimal` (RFC 7240, section 4.2): items with their reasons, or bare. If
/// both are given, the first counts.
fn prefers_representation(request: &HttpRequest) -> Option<bool> {
    let mut preferences = request.headers().get_all("Prefer").filter_map(|value| value.to_str().ok());
    preferences.find_map(|value| {
        value.split([',', ';']).find_map(|token| {
            let (name, value) = token.split_once('=')?;
            match (name.trim().eq_ignore_ascii_case("return"), value.trim().trim_matches('"')) {
                (true, "representation") => Some(true),
                (true, "minimal") => Some(false),
                _ => None,
            }
        })
    })
}

fn render_batch(decisions: &[RecordedDecision], full: bool) -> String {
    let mut text = String::from("{\"evaluations\":[");
    for (nth, decision) in decisions.iter().enumerate() {
        if nth > 0 {
            text.push(',');
        }
        render(decision, full, &mut text);
    }
    text.push_str("]}");
    text
}

/// Writes one decision, bare or with its context. The faults of an unreadable item are always included.
fn render(decision: &RecordedDecision, full: bool, text: &mut String) {
    let verdict = &decision.decided.verdict;
    let _ = write!(text, "{{\"decision\":{}", verdict.permits());
    let mut context = String::new();
    if full {
        let (id, explanation) = (decision.id.hyphenated(), verdict.explanation());
        let _ = write!(context, "\"id\":\"{id}\",{}{explanation}", verdict.members());
        if let Some(index) = decision.index {
            let _ = write!(context, ",\"audit_index\":{index}");
        }
    }
    if verdict.reason == Reason::InvalidRequest {
        let error = json!({"status": 400, "message": verdict.detail});
        let _ = write!(context, "{}\"error\":{error}", if full { "," } else { "" });
    }
    if !context.is_empty() {
        let _ = write!(text, ",\"context\":{{{context}}}");
    }
    text.push('}');
}
