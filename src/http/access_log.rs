//! A line in the log for each management write. Decisions are in the audit log instead.

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpMessage as _;
use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;

use super::claimed_hash::is_question;
use crate::auth::caller::Caller;
use crate::logging::ACCESS;
use crate::metrics::RequestLabels;

/// Logs the answer to a management write: anything below `/v1/` but reads and questions. `since` is the arrival of the
/// request.
pub(super) fn log_write(response: &ServiceResponse<BoxBody>, labels: &RequestLabels, since: Instant) {
    let RequestLabels { route, method, status } = labels;
    let route = route.as_deref().unwrap_or_default();
    let is_write = matches!(*method, "POST" | "PUT" | "PATCH" | "DELETE") && route.starts_with("/v1/");
    if !is_write || is_question(route) {
        return;
    }
    let duration_us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
    let caller = response.request().extensions().get::<Arc<Caller>>().map(|caller| caller.name.clone());
    if let Some(caller) = caller {
        // The rate of such requests is limited for each caller, so each of them is logged.
        tracing::info!(target: ACCESS, method, route, status, %caller, duration_us, "write");
    } else {
        // Callers without a credential can cause these, so repeated ones are suppressed.
        tracing::info!(method, route, status, duration_us, "write without a known caller");
    }
}
