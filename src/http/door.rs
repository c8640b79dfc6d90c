//! The door: every request comes in and every answer goes out here.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{Error, HttpMessage, ResponseError};

use super::front::Front;
use super::problem::{BAD_REQUEST, CONFLICT, FORBIDDEN, INTERNAL, NOT_FOUND, Problem};
use crate::domain::ConstitutionalHash;
use crate::settings::HashEnforcement;

/// Names a request in answers and logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names the constitution: in requests the one the caller believes in, in answers the one in force.
pub const CONSTITUTIONAL_HASH: HeaderName = HeaderName::from_static("x-constitutional-hash");

/// W3C trace context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest request id that is echoed, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// A place among the requests in progress, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes a request in, has it answered, and finishes the answer.
pub async fn pass<S>(front: Rc<Front>, request: ServiceRequest, next: &S) -> Result<ServiceResponse<BoxBody>, Error>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let id = request_id(request.headers());
    let trace = request.headers().get(&TRACEPARENT).and_then(|parent| continue_trace(parent.to_str().ok()?));
    let path_is_authzen = request.path().starts_with("/access/");
    let in_flight = &front.shared.in_flight;
    let place = Place(Arc::clone(in_flight));
    let before = in_flight.fetch_add(1, Ordering::Relaxed);
    let refused = refuse(&front, &request, before);
    let mut response = match refused {
        Some(problem) => request.into_response(problem.error_response()),
        None => {
            let head = request.request().clone();
            match next.call(request).await {
                Ok(response) => response,
                Err(error) => ServiceResponse::new(head, error.as_response_error().error_response()),
            }
        }
    };
    drop(place);
    if response.status().is_client_error() || response.status().is_server_error() {
        response = explain(response, &id, path_is_authzen);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(CONSTITUTIONAL_HASH, hash_value(front.shared.in_force.hash()));
    if let Some(trace) = trace {
        headers.insert(TRACEPARENT, trace);
    }
    Ok(response)
}

/// Why a request is not let in, if it is not.
fn refuse(front: &Front, request: &ServiceRequest, before: usize) -> Option<Problem> {
    let path = request.path();
    let limit = front.shared.settings.http.max_in_flight.get();
    if before >= limit && !matches!(path, "/livez" | "/readyz") {
        return Some(Problem::overloaded(format!("{limit} requests are in progress")));
    }
    if !path.starts_with("/v1/") || path == "/v1/validate" {
        return None;
    }
    if !front.shared.settings.http.bind.is_local() {
        return Some(Problem::new(&FORBIDDEN, "management routes answer only on loopback or a Unix socket"));
    }
    let active = front.shared.in_force.get();
    let hash = active.constitution.hash();
    match request.headers().get(&CONSTITUTIONAL_HASH) {
        Some(claim) if claim.as_bytes() != hash.as_str().as_bytes() => {
            Some(Problem::new(&CONFLICT, format!("the constitution in force is `{hash}`")))
        }
        None if active.hash_enforcement == HashEnforcement::Required => {
            Some(Problem::new(&CONFLICT, format!("state the constitution in force, `{hash}`, in `X-Constitutional-Hash`")))
        }
        _ => None,
    }
}

/// Writes the body of an error: a short message on the `AuthZEN` routes, problem details on all others.
fn explain(response: ServiceResponse<BoxBody>, id: &HeaderValue, plain: bool) -> ServiceResponse<BoxBody> {
    let known = response.response().extensions().get::<Problem>().cloned();
    let problem = match known {
        Some(problem) => problem,
        // What has a body of its own, such as `/readyz`, has said what there is to say.
        None if response.headers().contains_key(header::CONTENT_TYPE) && response.response().error().is_none() => {
            return response;
        }
        None => unforeseen(&response),
    };
    let (request, mut response) = response.into_parts();
    if plain && response.status() != problem.status_code() {
        *response.status_mut() = problem.status_code();
    }
    if plain && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    let (kind, body) = if plain {
        (HeaderValue::from_static("text/plain; charset=utf-8"), problem.detail().to_owned())
    } else {
        (HeaderValue::from_static("application/problem+json"), problem.json(id.to_str().unwrap_or_default()))
    };
    *response.head_mut() = {
        let mut head = actix_web::dev::ResponseHead::new(problem.status_code());
        head.status = response.status();
        head.headers = response.headers().clone();
        head.headers.insert(header::CONTENT_TYPE, kind);
        head
    };
    ServiceResponse::new(request, response.set_body(BoxBody::new(body)))
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

/// The caller's request id where it is printable and short, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(&REQUEST_ID).filter(|id| {
        (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let mut text = uuid::Uuid::encode_buffer();
        HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)).unwrap_or_else(|_| HeaderValue::from_static("-"))
    })
}

/// The caller's trace, with a span of this request (W3C Trace Context, section 3.2).
fn continue_trace(parent: &str) -> Option<HeaderValue> {
    let mut parts = parent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let sound = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    if !sound || zero(trace) || zero(span) || (version == "00" && parts.next().is_some()) {
        return None;
    }
    HeaderValue::from_str(&format!("00-{trace}-{:016x}-{flags}", rand::random_range(1..=u64::MAX))).ok()
}

fn hash_value(hash: ConstitutionalHash) -> HeaderValue {
    // Hex digits are a header value.
    HeaderValue::from_str(hash.as_str()).unwrap_or_else(|_| HeaderValue::from_static(""))
}
