//! `/livez` and `/readyz`: whether the process works, and whether it can decide.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::{Data, Query};
use serde::Deserialize;
use utoipa::IntoParams;

use super::checks::{Check, CheckState, checks};
use super::worker_state::WorkerState;

/// Whether to list each check.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Verbosity {
    /// List every check; the value does not matter.
    #[param(allow_reserved = false)]
    verbose: Option<String>,
}

/// Whether the process works
#[utoipa::path(
    get, path = "/livez", operation_id = "isLive", tag = "operation",
    responses((status = 200, description = "It works.", body = String, content_type = "text/plain", example = "ok")),
)]
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::plaintext()).body("ok")
}

/// Whether decisions can be made
///
/// Degraded parts are listed with `?verbose`.
#[utoipa::path(
    get, path = "/readyz", operation_id = "isReady", tag = "operation", params(Verbosity),
    responses(
        (status = 200, description = "Decisions can be made.", body = String, content_type = "text/plain",
         example = "ok"),
        (status = 503, description = "No decision can be made: the checks, one a line.", body = String,
         content_type = "text/plain", example = "[-]audit failed: the disk does not answer\n…\nnot ready\n"),
    ),
)]
pub async fn readyz(state: Data<WorkerState>, query: Query<Verbosity>) -> HttpResponse {
    let checks = checks(&state).await;
    let ready = !checks.iter().any(Check::has_failed);
    let mut response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    let summary = if ready { "ok" } else { "not ready" };
    let body = if query.verbose.is_some() || !ready {
        let lines = checks.iter().map(line).collect::<Vec<_>>();
        format!("{}\n{summary}\n", lines.join("\n"))
    } else {
        summary.to_owned()
    };
    response.insert_header(ContentType::plaintext()).body(body)
}

/// A check as a line of text.
fn line(check: &Check) -> String {
    let (name, fault) = (check.name, check.fault.as_deref().unwrap_or_default());
    match check.state() {
        CheckState::Ok => format!("[+]{name} ok"),
        CheckState::Degraded => format!("[-]{name} degraded: {fault}"),
        CheckState::Failed => format!("[-]{name} failed: {fault}"),
    }
}
