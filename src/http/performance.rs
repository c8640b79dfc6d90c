//! `/v1/performance`: the key figures with their targets, and their course.

use actix_web::HttpResponse;
use actix_web::http::header::{self, ContentType};
use actix_web::web::Data;

use super::problem::{Problem, UNAVAILABLE};
use super::worker_state::WorkerState;

/// `GET /v1/performance`: each figure with its window, its target, and whether it meets it.
pub async fn show(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    json(&state.app.monitor.newest().performance)
}

/// `GET /v1/performance/history`: the points of the last 15 minutes, one each second.
pub async fn history(state: Data<WorkerState>) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).json(state.app.monitor.history())
}

/// A text that the monitor made.
pub(super) fn json(text: &str) -> Result<HttpResponse, Problem> {
    if text.is_empty() {
        return Err(Problem::new(&UNAVAILABLE, "nothing has been measured yet; try again in a second"));
    }
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-cache")).insert_header(ContentType::json());
    Ok(response.body(text.to_owned()))
}
