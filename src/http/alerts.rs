//! `/v1/alerts`: the state of each alert, and `/alerts/<name>`: what to do.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};

use super::html_page::HtmlPage;
use super::monitor_schema;
use super::performance::measured_json;
use super::problem::{NOT_FOUND, Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::actors::monitor::{AlertSeverity, RULES};

/// List the alerts
///
/// All alerts with their states, those that fire first.
#[utoipa::path(
    get, path = "/v1/alerts", operation_id = "listAlerts", tag = "operation",
    responses((status = 200, description = "The alerts.", body = monitor_schema::Alerts)),
    extensions(("x-problems" = json!([UNAVAILABLE.slug]))),
)]
pub async fn list(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    measured_json(&state.app.monitor.newest().alerts)
}

/// Explain an alert
///
/// The page that the `runbook` of an alert refers to: what it means, and what to do.
#[utoipa::path(
    get, path = "/alerts/{name}", operation_id = "explainAlert", tag = "documents",
    params(("name" = String, Path, description = "The alert's name.", example = "latency_p99")),
    responses((status = 200, description = "Meaning and remedy.", body = String, content_type = "text/html")),
    extensions(("x-problems" = json!([NOT_FOUND.slug]))),
)]
pub async fn page(name: Path<String>) -> Result<HttpResponse, Problem> {
    let rule = RULES.iter().find(|rule| rule.name == *name);
    let rule = rule.ok_or_else(|| Problem::new(&NOT_FOUND, format!("there is no alert `{name}`")))?;
    let severity = match rule.severity {
        AlertSeverity::Critical => "Critical: act now.",
        AlertSeverity::Warning => "Warning: act today.",
    };
    let page = HtmlPage::new(&format!("{}: {}", rule.name, rule.summary)).paragraph(severity);
    let page = page.heading("What it means").paragraph(rule.meaning).heading("What to do").paragraph(rule.remedy);
    Ok(page.link("../dashboard/#operations", "All alerts").answer())
}
