//! `GET /openapi.json`: the description of the HTTP API (OpenAPI 3.1), with the routes and authorization in force.
//!
//! Each handler is described where it is defined, by `#[utoipa::path]` and its doc comment, and listed here. Paths,
//! methods and authorization come from the route table; what all routes have in common, such as headers and errors, is
//! added by [`assemble`].

mod assemble;
mod examples;
mod headers;
mod problems;
mod security;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;
use utoipa::OpenApi;

use super::route_table::Operations;
use super::static_file::StaticFile;
use super::worker_state::WorkerState;

/// The descriptions of all handlers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "ACGS-2",
        description = "Asks whether an action is permitted under the constitution in force, and manages the daemon. \
            A decision is answered only after its record is durable. Every `GET` route answers `HEAD`, too. Errors \
            are problem details (RFC 9457), except on `/access/`, where they are a line of text.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "decisions", description = "Questions and their answers: the OpenID AuthZEN Authorization API 1.0."),
        (name = "constitution", description = "The constitution in force."),
        (name = "entities", description = "Stored entities, in Cedar's JSON."),
        (name = "audit", description = "The audit log: records, searches, proofs."),
        (name = "authentication", description = "Tokens, sessions and second factors."),
        (name = "users", description = "Users who may log in."),
        (name = "clients", description = "Services that call by themselves."),
        (name = "api-keys", description = "Keys for scripts."),
        (name = "operation", description = "The state of the daemon."),
        (name = "documents", description = "Metadata and explanations."),
    ),
    // Only the common errors and the events of a stream refer to these.
    components(schemas(crate::domain::InputFault, super::monitor_schema::PerformancePoint)),
    paths(
        super::authzen::evaluation,
        super::authzen::evaluations,
        super::authzen::configuration,
        super::validate::validate,
        super::explain::explain,
        super::constitution::show,
        super::constitution::policies,
        super::constitution::policy,
        super::constitution::reload,
        super::vocabulary::show,
        super::entities::list,
        super::entities::put_batch,
        super::entities::show,
        super::entities::put,
        super::entities::remove,
        super::writes::show,
        super::audit::status,
        super::audit_search::search,
        super::denials::count,
        super::audit_search::decision,
        super::audit::checkpoint,
        super::audit::witnessed,
        super::audit::tile,
        super::audit::entry,
        super::audit::proof,
        super::audit::consistency,
        super::cache::show,
        super::cache::clear,
        super::pool::show,
        super::status::show,
        super::log_level::show,
        super::log_level::put,
        super::bench_results::record,
        super::performance::show,
        super::performance::history,
        super::performance_stream::stream,
        super::alerts::list,
        super::metrics::show,
        super::health::livez,
        super::health::readyz,
        super::alerts::page,
        super::dashboard::root,
        super::dashboard::without_slash,
        super::dashboard::page,
        super::dashboard::file,
        super::problem_pages::show,
        super::docs::page,
        super::docs::file,
        super::oauth::token,
        super::oauth::introspect,
        super::oauth::revoke,
        super::oauth::jwks,
        super::oauth::metadata,
        super::login::login,
        super::browser_session::sign_in,
        super::browser_session::show,
        super::browser_session::sign_out,
        super::login::refresh,
        super::login::logout,
        super::login::logout_all,
        super::login::change_password,
        super::login::me,
        super::login::sessions,
        super::login::end_session,
        super::second_factor::enrol,
        super::second_factor::confirm,
        super::second_factor::remove,
        super::token_keys::rotate,
        super::users::list,
        super::users::add,
        super::users::show,
        super::users::change,
        super::users::remove,
        super::clients::list,
        super::clients::add,
        super::clients::change,
        super::clients::remove,
        super::api_keys::list,
        super::api_keys::add,
        super::api_keys::revoke,
        show,
    ),
)]
struct Descriptions;

/// This description
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "describeApi", tag = "documents",
    params(("If-None-Match" = Option<String>, Header, description = "The entity tag of a known version.")),
    responses(
        (status = 200, description = "The API of this daemon as OpenAPI 3.1.", body = Object,
         headers(("ETag" = String, description = "The entity tag of the document."))),
        (status = 304, description = "The caller knows the document.",
         headers(("ETag" = String, description = "The entity tag of the document."))),
    ),
)]
pub async fn show(request: HttpRequest, state: Data<WorkerState>, operations: Data<Operations>) -> HttpResponse {
    let make = || {
        let document = assemble::assemble(described(), &operations.0, &state.app.public_url);
        StaticFile::new(document.to_string(), "application/json")
    };
    state.app.documents.api(make).answer(request.headers())
}

/// The descriptions as JSON.
fn described() -> Value {
    serde_json::to_value(Descriptions::openapi()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
