//! `/v1/performance`: the key figures with their targets, and their course.

use actix_web::HttpResponse;
use actix_web::http::header::{self, ContentType};
use actix_web::web::Data;

use super::monitor_schema;
use super::problem::{Problem, UNAVAILABLE};
use super::worker_state::WorkerState;

/// Show the key figures
///
/// Each figure with its window, its target, and whether it meets it. They are measured once a second.
#[utoipa::path(
    get, path = "/v1/performance", operation_id = "showPerformance", tag = "operation",
    responses((status = 200, description = "The key figures.", body = monitor_schema::Performance)),
    extensions(("x-problems" = json!([UNAVAILABLE.slug]))),
)]
pub async fn show(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    measured_json(&state.app.monitor.newest().performance)
}

/// Show the course of the figures
///
/// The values of the last 15 minutes, one each second, for charts.
#[utoipa::path(
    get, path = "/v1/performance/history", operation_id = "showPerformanceHistory", tag = "operation",
    responses((status = 200, description = "An array for each figure.", body = monitor_schema::PerformanceHistory)),
)]
pub async fn history(state: Data<WorkerState>) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).json(state.app.monitor.history())
}

/// An answer with JSON that the monitor made.
pub(super) fn measured_json(text: &str) -> Result<HttpResponse, Problem> {
    if text.is_empty() {
        return Err(Problem::new(&UNAVAILABLE, "nothing has been measured yet; try again in a second"));
    }
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-cache")).insert_header(ContentType::json());
    Ok(response.body(text.to_owned()))
}
