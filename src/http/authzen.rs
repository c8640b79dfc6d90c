//! The OpenID AuthZEN Authorization API 1.0: one decision, many decisions, and what this endpoint can do.

use std::fmt::Write as _;

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::body;
use super::decide::{RecordedDecision, decide};
use super::front::Front;
use super::gate::Who;
use super::problem::{BAD_REQUEST, Problem, TOO_LARGE};
use crate::domain::{Evaluation, InputFault, Json, Object, UnknownMembers};

/// The most bytes that the evaluations of one batch may have together once their defaults are filled in.
const MAX_EXPANDED: usize = 4 << 20;

/// `POST /access/v1/evaluation`: one decision.
pub async fn evaluation(
    request: HttpRequest,
    payload: Payload,
    who: Who,
    front: Data<Front>,
) -> Result<HttpResponse, Problem> {
    let body: Object = read(&request, payload, &front).await?;
    single(&request, &who, &front, body).await
}

/// `POST /access/v1/evaluations`: many decisions.
pub async fn evaluations(
    request: HttpRequest,
    payload: Payload,
    who: Who,
    front: Data<Front>,
) -> Result<HttpResponse, Problem> {
    let body: Object = read(&request, payload, &front).await?;
    let items = match body.get("evaluations") {
        None => return single(&request, &who, &front, body).await,
        Some(Json::Array(items)) if items.is_empty() => return single(&request, &who, &front, body).await,
        Some(Json::Array(items)) => items,
        Some(other) => {
            return Err(Problem::fault("/evaluations", format!("must be an array, not {}", other.type_name())));
        }
    };
    let limit = front.shared.settings.http.max_evaluations.get();
    if items.len() > limit {
        return Err(Problem::fault("/evaluations", format!("has {} items; at most {limit} are taken", items.len())));
    }
    let stop_at = stop_at(&body)?;
    let parsed = parse_items(items, &body)?;
    // A faulty item counts as a deny: where a deny ends the batch, nothing after it is decided.
    let end = match parsed.iter().position(Result::is_err) {
        Some(faulty) if stop_at == Some(false) => faulty + 1,
        _ => parsed.len(),
    };
    let mut faults = Vec::new();
    let mut sound = Vec::new();
    for item in parsed.into_iter().take(end) {
        match item {
            Ok(evaluation) => {
                sound.push(evaluation);
                faults.push(None);
            }
            Err(found) => faults.push(Some(found)),
        }
    }
    let (mut response, decisions) = if sound.is_empty() {
        (HttpResponse::Ok(), Vec::new())
    } else {
        let recorded = decide(&front, &who, request.headers(), sound, stop_at).await?;
        (recorded.respond(), recorded.decisions)
    };
    let full = prefers_representation(&request);
    Ok(response.insert_header(ContentType::json()).body(render_batch(&faults, &decisions, stop_at, full)))
}

/// `GET /.well-known/authzen-configuration`: the endpoints that exist.
pub async fn configuration(front: Data<Front>) -> HttpResponse {
    let url = &front.shared.public_url;
    HttpResponse::Ok().json(json!({
        "policy_decision_point": &**url,
        "access_evaluation_endpoint": format!("{url}/access/v1/evaluation"),
        "access_evaluations_endpoint": format!("{url}/access/v1/evaluations"),
    }))
}

async fn read(request: &HttpRequest, payload: Payload, front: &Front) -> Result<Object, Problem> {
    body::json(request, payload, front.bounds()).await
}

async fn single(request: &HttpRequest, who: &Who, front: &Front, body: Object) -> Result<HttpResponse, Problem> {
    let evaluation = Evaluation::from_object(&body, UnknownMembers::Ignored)
        .map_err(|faults| Problem::faults(&BAD_REQUEST, faults))?;
    // The question is all that is needed from here on: a large body is not kept while its record is synced.
    drop(body);
    let recorded = decide(front, who, request.headers(), vec![evaluation], None).await?;
    let mut text = String::with_capacity(512);
    if let Some(decision) = recorded.decisions.first() {
        render(decision, true, &mut text);
    }
    Ok(recorded.respond().insert_header(ContentType::json()).body(text))
}

/// Reads the items of a batch. A small body can make large questions by repeating its defaults, so that their size
/// together has a bound of its own.
fn parse_items(items: &[Json], defaults: &Object) -> Result<Vec<Result<Evaluation, Vec<InputFault>>>, Problem> {
    let mut parsed = Vec::with_capacity(items.len());
    let mut size = 0;
    for item in items {
        let evaluation = parse_item(item, defaults);
        size += evaluation.as_ref().map_or(0, |evaluation| evaluation.canonical().len());
        if size > MAX_EXPANDED {
            let detail = format!("the evaluations, with their defaults, have more than {MAX_EXPANDED} bytes");
            return Err(Problem::new(&TOO_LARGE, detail));
        }
        parsed.push(evaluation);
    }
    Ok(parsed)
}

fn parse_item(item: &Json, defaults: &Object) -> Result<Evaluation, Vec<InputFault>> {
    match item {
        Json::Object(item) => Evaluation::from_item(item, defaults),
        other => Err(vec![InputFault::new("", format!("the item must be an object, not {}", other.type_name()))]),
    }
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
            Err(Problem::fault("/options/evaluations_semantic", format!("{detail}, not {given}")))
        }
    }
}

/// `Prefer: return=representation` (RFC 7240, section 4.2): items with their reasons.
fn prefers_representation(request: &HttpRequest) -> bool {
    let preferences = request.headers().get_all("Prefer").filter_map(|value| value.to_str().ok());
    preferences.flat_map(|value| value.split([',', ';'])).any(|token| {
        token.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("return") && value.trim().trim_matches('"') == "representation"
        })
    })
}

fn render_batch(
    faults: &[Option<Vec<InputFault>>],
    decisions: &[RecordedDecision],
    stop_at: Option<bool>,
    full: bool,
) -> String {
    let mut text = String::from("{\"evaluations\":[");
    let mut decisions = decisions.iter();
    for (nth, fault) in faults.iter().enumerate() {
        let decision = if fault.is_some() { None } else { decisions.next() };
        if fault.is_none() && decision.is_none() {
            break;
        }
        if nth > 0 {
            text.push(',');
        }
        if let Some(faults) = fault {
            let message = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            let error = json!({"decision": false, "context": {"error": {"status": 400, "message": message}}});
            let _ = write!(text, "{error}");
        }
        if let Some(decision) = decision {
            render(decision, full, &mut text);
            if stop_at == Some(decision.decided.verdict.permits()) {
                break;
            }
        }
    }
    text.push_str("]}");
    text
}

/// One decision; bare, or with its context.
fn render(decision: &RecordedDecision, full: bool, text: &mut String) {
    let verdict = &decision.decided.verdict;
    let _ = write!(text, "{{\"decision\":{}", verdict.permits());
    if full {
        let _ = write!(text, ",\"context\":{{\"id\":\"{}\",{}", decision.id.hyphenated(), verdict.members());
        if let Some(index) = decision.index {
            let _ = write!(text, ",\"audit_index\":{index}");
        }
        text.push('}');
    }
    text.push('}');
}
