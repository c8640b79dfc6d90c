//! `/livez` and `/readyz`: whether the process works, and whether it can decide.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::{Data, Query};
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use utoipa::IntoParams;

use std::time::Duration;

use super::worker_state::WorkerState;
use crate::actors::active::Refusal;
use crate::actors::audit::queue::Health;
use crate::actors::database::Probe;
use crate::store::StoreError;

/// The timeout of a probe of the database.
const ANSWER: Duration = Duration::from_secs(1);

/// A database that has answered no caller for this long counts as hanging.
const HANGING: Duration = Duration::from_millis(900);

/// Whether to list each check.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Verbosity {
    /// List every check; the value does not matter.
    #[param(allow_reserved = false)]
    verbose: Option<String>,
}

/// One check: its name, its fault if it has one, and whether decisions depend on it.
struct Check {
    name: &'static str,
    fault: Option<String>,
    needed: bool,
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
    let ready = checks.iter().all(|check| check.fault.is_none() || !check.needed);
    let mut response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    let summary = if ready { "ok" } else { "not ready" };
    let body = if query.verbose.is_some() || !ready {
        let lines = checks.iter().map(Check::line).collect::<Vec<_>>();
        format!("{}\n{summary}\n", lines.join("\n"))
    } else {
        summary.to_owned()
    };
    response.insert_header(ContentType::plaintext()).body(body)
}

async fn checks(state: &WorkerState) -> Vec<Check> {
    let audit = match state.app.audit.queue.health() {
        Health::Writing => None,
        Health::Failing => Some(match state.app.audit.queue.fault() {
            Some(cause) => format!("the log cannot be written: {cause}"),
            None => "the log cannot be written".to_owned(),
        }),
        Health::Stalled => Some("the disk does not answer".to_owned()),
        Health::Displaced => Some("a file that the daemon has open was removed or replaced".to_owned()),
        Health::Ended => Some("the log has ended".to_owned()),
    };
    let draining = state.is_draining().then(|| "the daemon is stopping".to_owned());
    let app = &state.app;
    let refusal = app.decision.in_force.refusal().map(|Refusal { at, why }| {
        let at = at.format(&Rfc3339).unwrap_or_default();
        format!("a reload was refused at {at}, the previous constitution stays in force: {why}")
    });
    let pending = match app.identity.pending_withdrawals.count() {
        0 => None,
        count => {
            Some(format!("{count} withdrawals of access are in force on this node only, until they can be stored"))
        }
    };
    let following =
        app.store.is_shared.then(|| Check { name: "following", fault: app.store.feed.fault(), needed: false });
    let redis = app.decision.verdicts.as_ref().map(|verdicts| Check {
        name: "redis",
        fault: verdicts.fault().map(str::to_owned),
        needed: false,
    });
    let mut checks = vec![
        Check { name: "audit", fault: audit, needed: true },
        Check { name: "files", fault: app.files.fault(), needed: true },
        database(state).await,
        Check { name: "checkpoint", fault: state.app.audit.checkpoints.fault(), needed: false },
        Check { name: "search", fault: state.app.audit.index_status.fault(), needed: false },
        Check { name: "constitution", fault: refusal, needed: false },
        Check { name: "withdrawals", fault: pending, needed: false },
        Check { name: "running", fault: draining, needed: true },
    ];
    let running = checks.len() - 1;
    checks.splice(running..running, following.into_iter().chain(redis));
    checks
}

/// A database that refuses only degrades the service, since caches still answer; one that hangs blocks its callers, so
/// the daemon is not ready.
async fn database(state: &WorkerState) -> Check {
    let check = |fault: Option<&str>, needed| Check { name: "database", fault: fault.map(str::to_owned), needed };
    let asked = tokio::time::timeout(ANSWER, state.app.store.database.ask(Probe)).await;
    let Err(error) = asked.unwrap_or(Err(StoreError::Late)) else { return check(None, false) };
    tracing::warn!(%error, "a probe of the database failed");
    let may_hang = match &error {
        StoreError::Late | StoreError::Busy(_) => true,
        // A new connection was not opened in time.
        StoreError::Unavailable { cause, .. } => cause.to_string().contains("timeout expired"),
        _ => false,
    };
    if may_hang && state.app.store.answers.unanswered_for() >= HANGING {
        check(Some("it does not answer"), true)
    } else {
        check(Some("queries fail"), false)
    }
}

impl Check {
    fn line(&self) -> String {
        match (&self.fault, self.needed) {
            (None, _) => format!("[+]{} ok", self.name),
            (Some(fault), true) => format!("[-]{} failed: {fault}", self.name),
            (Some(fault), false) => format!("[-]{} degraded: {fault}", self.name),
        }
    }
}
