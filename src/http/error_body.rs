//! The bodies of errors: problem details (RFC 9457), and short messages on the `AuthZEN` routes.

use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};

use super::problem::{BAD_REQUEST, INTERNAL, NOT_FOUND, Problem};

/// The form of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A short message, on the `AuthZEN` routes.
    Text,
    /// Problem details, on all others.
    Problem,
}

/// Writes the body of an error, with the id of its request. `complete` adds the cause for callers that may see it.
pub(super) fn explain(
    response: ServiceResponse<BoxBody>,
    form: Form,
    id: &HeaderValue,
    complete: impl FnOnce(Problem) -> Problem,
) -> ServiceResponse<BoxBody> {
    let known = response.response().extensions().get::<Problem>().cloned();
    let problem = match known {
        Some(problem) => problem,
        // An answer with a body of its own, such as that of `/readyz`, is complete.
        None if response.headers().contains_key(header::CONTENT_TYPE) && response.response().error().is_none() => {
            return response;
        }
        None => unforeseen(&response),
    };
    if problem.status_code().is_server_error() {
        tracing::warn!(status = problem.status_code().as_u16(), "{}", problem.detail());
    }
    let problem = complete(problem);
    let (request, response) = response.into_parts();
    let status = match problem.status_code() {
        // AuthZEN has only the status 400 for unreadable requests.
        StatusCode::UNSUPPORTED_MEDIA_TYPE if form == Form::Text => StatusCode::BAD_REQUEST,
        status => status,
    };
    let (kind, body) = match form {
        Form::Text => ("text/plain; charset=utf-8", problem.detail().to_owned()),
        Form::Problem => ("application/problem+json", problem.json(id.to_str().unwrap_or_default())),
    };
    let mut explained = HttpResponse::build(status).insert_header((header::CONTENT_TYPE, kind)).body(body);
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE {
            explained.headers_mut().insert(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, explained)
}

/// A problem for an error that came from the framework: a path or query that does not fit its route.
fn unforeseen(response: &ServiceResponse<BoxBody>) -> Problem {
    let detail = response.response().error().map(ToString::to_string);
    match response.status() {
        StatusCode::NOT_FOUND => Problem::new(&NOT_FOUND, "there is no such route"),
        status if status.is_client_error() => {
            Problem::new(&BAD_REQUEST, detail.unwrap_or_else(|| "the request cannot be read".to_owned()))
        }
        _ => Problem::new(&INTERNAL, "something went wrong inside"),
    }
}
