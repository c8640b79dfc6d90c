//! The answer to a withdrawal of access.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::token_response::no_store;
use crate::actors::identity::directory::Withdrawn;

/// A withdrawal that is in force but not recorded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"recorded": false, "detail": "the withdrawal is in force on this node, …"})))]
pub struct PendingWithdrawal {
    /// Always false.
    recorded: bool,
    detail: &'static str,
}

/// The answer of a recorded withdrawal, or 202 for one that is in force but not recorded yet.
pub fn answer<T>(withdrawn: Withdrawn<T>, done: impl FnOnce(T) -> HttpResponse) -> HttpResponse {
    match withdrawn {
        Withdrawn::Recorded(value) => done(value),
        Withdrawn::Pending => no_store(HttpResponse::Accepted().json(PendingWithdrawal {
            recorded: false,
            detail: "the withdrawal is in force on this node, but cannot be recorded and stored now; the daemon \
                     retries that, and the withdrawal must be repeated if the daemon ends before",
        })),
    }
}
