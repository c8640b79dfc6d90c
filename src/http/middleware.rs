//! The middleware around all routes: the in-flight limit, claimed hashes, request ids, error bodies, common headers.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use time::OffsetDateTime;
use uuid::Uuid;

use super::connection::Peer;
use super::problem::{BAD_REQUEST, CONFLICT, INTERNAL, NOT_FOUND, Problem};
use super::web_page::{allow, preflight};
use super::worker_state::WorkerState;
use crate::domain::ConstitutionalHash;
use crate::ledger::new_id;
use crate::settings::HashEnforcement;

/// Names a request in answers and logs: the caller's id, otherwise the id of its first decision, otherwise a new one.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header with a constitutional hash: in requests the claimed one, in answers the one in force.
pub const CONSTITUTIONAL_HASH: HeaderName = HeaderName::from_static("x-constitutional-hash");

/// W3C trace context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest request id that is echoed, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// A place among the requests in progress, given back when dropped.
struct InFlightGuard(Arc<AtomicUsize>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request on its way through.
pub struct RequestGuard {
    state: Rc<WorkerState>,
    peer: Option<Peer>,
    /// The caller's request id.
    id: Option<HeaderValue>,
    trace: Option<HeaderValue>,
    /// The foreign origin that may read the answer (CORS).
    page: Option<HeaderValue>,
    /// `AuthZEN` wants errors as plain text.
    plain: bool,
    _place: InFlightGuard,
}

impl RequestGuard {
    /// Begins the handling of a request. An immediate answer, such as a refusal, ends it.
    #[must_use]
    pub fn enter(state: &Rc<WorkerState>, request: &mut ServiceRequest) -> (Self, Option<HttpResponse>) {
        let place = InFlightGuard(Arc::clone(&state.app.in_flight));
        let before = place.0.fetch_add(1, Ordering::Relaxed);
        let id = given_request_id(request.headers());
        // Recorders read the request id from the headers, so an unusable one is removed.
        if id.is_none() && request.headers().contains_key(&REQUEST_ID) {
            request.headers_mut().remove(&REQUEST_ID);
        }
        let headers = request.headers();
        let peer = request.request().conn_data::<Peer>().cloned();
        if let Some(peer) = &peer {
            peer.begin_request();
        }
        let mut guard = Self {
            state: Rc::clone(state),
            peer,
            page: None,
            id,
            trace: headers.get(&TRACEPARENT).and_then(|parent| continue_trace(parent.to_str().ok()?)),
            plain: routed_path(request).starts_with("/access/"),
            _place: place,
        };
        let answer = match guard.check_web(request) {
            Err(problem) => Some(problem.error_response()),
            Ok(()) => guard.page.as_ref().and_then(|_| preflight(request.method(), headers)).or_else(|| {
                refuse(state, guard.peer.as_ref(), request, before).map(|problem| problem.error_response())
            }),
        };
        (guard, answer)
    }

    /// Checks that the request's host is this daemon, and that its origin may call.
    fn check_web(&mut self, request: &ServiceRequest) -> Result<(), Problem> {
        self.state.hosts.check(request.head())?;
        self.page = self.state.pages.check(request.headers())?;
        Ok(())
    }

    /// Finishes the answer.
    #[must_use]
    pub fn leave(mut self, mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        let decided = || response.headers().get(&REQUEST_ID).cloned();
        let id = self.id.take().or_else(decided).unwrap_or_else(|| id_value(new_id(OffsetDateTime::now_utc())));
        if response.status().is_client_error() || response.status().is_server_error() {
            response = self.explain(response, &id);
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id);
        // A decision names the constitution that it was made under, which may have been replaced since.
        if !headers.contains_key(&CONSTITUTIONAL_HASH) {
            headers.insert(CONSTITUTIONAL_HASH, hash_value(self.state.app.decision.in_force.hash()));
        }
        if let Some(trace) = self.trace {
            headers.insert(TRACEPARENT, trace);
        }
        if let Some(origin) = self.page {
            allow(origin, headers);
        }
        if self.peer.is_some_and(|peer| peer.end_request()) {
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        response
    }
}

impl RequestGuard {
    /// Writes the body of an error: a short message on the `AuthZEN` routes, problem details on all others.
    fn explain(&self, response: ServiceResponse<BoxBody>, id: &HeaderValue) -> ServiceResponse<BoxBody> {
        let known = response.response().extensions().get::<Problem>().cloned();
        let mut problem = match known {
            Some(problem) => problem,
            // An answer with a body of its own, such as that of `/readyz`, is complete.
            None if response.headers().contains_key(header::CONTENT_TYPE) && response.response().error().is_none() => {
                return response;
            }
            None => unforeseen(&response),
        };
        if problem.status_code().is_server_error() {
            tracing::warn!(request = ?id, status = problem.status_code().as_u16(), "{}", problem.detail());
        }
        if self.peer.as_ref().is_some_and(Peer::is_admin) {
            problem = problem.with_cause(self.state.app.audit.queue.fault());
        }
        let (request, response) = response.into_parts();
        let status = match problem.status_code() {
            // AuthZEN has only the status 400 for unreadable requests.
            StatusCode::UNSUPPORTED_MEDIA_TYPE if self.plain => StatusCode::BAD_REQUEST,
            status => status,
        };
        let (kind, body) = if self.plain {
            ("text/plain; charset=utf-8", problem.detail().to_owned())
        } else {
            ("application/problem+json", problem.json(id.to_str().unwrap_or_default()))
        };
        let mut explained = HttpResponse::build(status).insert_header((header::CONTENT_TYPE, kind)).body(body);
        for (name, value) in response.headers() {
            if name != header::CONTENT_TYPE {
                explained.headers_mut().insert(name.clone(), value.clone());
            }
        }
        ServiceResponse::new(request, explained)
    }
}

/// The path as the route table sees it, percent-decoded: `/%76%31/entities` leads to the same route, so the same rules
/// must apply.
fn routed_path(request: &ServiceRequest) -> &str {
    request.match_info().as_str()
}

/// Why a request is refused; `None` if it is not.
fn refuse(state: &WorkerState, peer: Option<&Peer>, request: &ServiceRequest, before: usize) -> Option<Problem> {
    let path = routed_path(request);
    let limit = state.app.settings.http.max_in_flight.get();
    // The administrator is always served: the admin socket has few connections.
    let has_place = before < limit || matches!(path, "/livez" | "/readyz") || peer.is_some_and(Peer::is_admin);
    if !has_place {
        return Some(Problem::overloaded(format!("{limit} requests are in progress")));
    }
    if !path.starts_with("/v1/") || path == "/v1/validate" {
        return None;
    }
    // Invalid percent-encoding, or one that is no UTF-8, could make two names of one entity, or one name of two.
    if request.uri().path_and_query().is_some_and(|address| !is_percent_encoded_text(address.as_str())) {
        return Some(Problem::new(&BAD_REQUEST, "the address is not percent-encoded UTF-8"));
    }
    let active = state.app.decision.in_force.get();
    let hash = active.constitution.hash();
    // Reads and logins change nothing that a constitution governs, and their callers may not know its hash yet.
    let is_demanded = active.hash_enforcement == HashEnforcement::Required
        && !request.method().is_safe()
        && !path.starts_with("/v1/auth/");
    match claimed_hash(request.headers()) {
        Some(claim) if !active.accepts(&claim) => {
            Some(Problem::new(&CONFLICT, format!("the constitution in force is `{hash}`")))
        }
        None if is_demanded => Some(Problem::new(
            &CONFLICT,
            format!("state the constitution in force, `{hash}`, in `X-Constitutional-Hash`"),
        )),
        _ => None,
    }
}

/// The claimed constitution. If there are several headers, all of them joined, which never matches the one in force.
#[must_use]
pub fn claimed_hash(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let claims = headers.get_all(&CONSTITUTIONAL_HASH).map(|claim| String::from_utf8_lossy(claim.as_bytes()));
    claims.reduce(|all, claim| format!("{all}, {claim}").into())
}

/// Whether every `%` begins two hex digits, and the decoded bytes are UTF-8.
fn is_percent_encoded_text(address: &str) -> bool {
    let mut parts = address.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let Some((digits, rest)) = part.as_bytes().split_at_checked(2) else { return false };
        let [Some(high), Some(low)] = [0, 1].map(|nth| digits.get(nth).and_then(|digit| (*digit as char).to_digit(16)))
        else {
            return false;
        };
        decoded.extend(u8::try_from(high * 16 + low));
        decoded.extend(rest);
    }
    std::str::from_utf8(&decoded).is_ok()
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

/// The caller's request id, if it is printable and short.
fn given_request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let is_usable =
        |id: &&HeaderValue| (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    headers.get(&REQUEST_ID).filter(is_usable).cloned()
}

/// A UUID as the value of a header.
#[must_use]
pub fn id_value(id: Uuid) -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    // Hex digits and hyphens are a header value.
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

/// The caller's trace, with a span of this request (W3C Trace Context, section 3.2).
fn continue_trace(parent: &str) -> Option<HeaderValue> {
    let mut parts = parent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let sound = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    if !sound || zero(trace) || zero(span) || (version == "00" && parts.next().is_some()) {
        return None;
    }
    HeaderValue::from_str(&format!("00-{trace}-{:016x}-{flags}", rand::random_range(1..=u64::MAX))).ok()
}

/// A constitutional hash as the value of its header.
#[must_use]
pub fn hash_value(hash: ConstitutionalHash) -> HeaderValue {
    // Hex digits are a header value.
    HeaderValue::from_str(hash.as_str()).unwrap_or_else(|_| HeaderValue::from_static(""))
}
