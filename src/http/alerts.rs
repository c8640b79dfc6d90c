//! `/v1/alerts`: the state of each alert, and `/alerts/<name>`: what to do.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path};

use super::performance::json;
use super::problem::{NOT_FOUND, Problem};
use super::worker_state::WorkerState;
use crate::actors::monitor::{AlertSeverity, RULES};

/// `GET /v1/alerts`: all alerts, those that fire first.
pub async fn list(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    json(&state.app.monitor.newest().alerts)
}

/// `GET /alerts/{name}`: what the alert means, and what to do.
pub async fn page(name: Path<String>) -> Result<HttpResponse, Problem> {
    let rule = RULES.iter().find(|rule| rule.name == *name);
    let rule = rule.ok_or_else(|| Problem::new(&NOT_FOUND, format!("there is no alert `{name}`")))?;
    let severity = match rule.severity {
        AlertSeverity::Critical => "Critical: act now.",
        AlertSeverity::Warning => "Warning: act today.",
    };
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{name}: {summary}</title>\n\
         <h1>{name}: {summary}</h1>\n<p>{severity}</p>\n<h2>What it means</h2>\n<p>{meaning}</p>\n\
         <h2>What to do</h2>\n<p>{remedy}</p>\n</html>\n",
        name = rule.name,
        summary = rule.summary,
        meaning = rule.meaning,
        remedy = rule.remedy,
    );
    Ok(HttpResponse::Ok().insert_header(ContentType::html()).body(page))
}
