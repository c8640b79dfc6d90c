//! The middleware around all routes: it limits the requests in flight, checks host, origin and constitutional hash, and
//! gives every answer its common headers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderValue;
use actix_web::http::{ConnectionType, Method};
use actix_web::{HttpResponse, ResponseError};

use super::access_log::log_write;
use super::answered::Answered;
use super::claimed_hash::{self, CONSTITUTIONAL_HASH, hash_value};
use super::connection::Peer;
use super::cors::{allow, preflight};
use super::count_guard::CountGuard;
use super::current_request::{self, RequestContext};
use super::error_body::{Form, explain};
use super::problem::{BAD_REQUEST, Problem};
use super::request_id::{REQUEST_ID, given_request_id};
use super::route_table::RouteTemplate;
use super::trace_context::{continued_trace, name_trace};
use super::worker_state::WorkerState;
use crate::domain::percent_decode;
use crate::metrics::RequestLabels;
use crate::trace::{Phase, Recording, TraceContext};

/// A request on its way through.
pub struct RequestGuard {
    state: Rc<WorkerState>,
    /// When the first byte of the request was read.
    since: Instant,
    peer: Option<Peer>,
    /// The foreign origin that may read the answer (CORS).
    page: Option<HeaderValue>,
    /// `AuthZEN` wants errors as plain text.
    plain: bool,
    _in_flight: CountGuard,
}

impl RequestGuard {
    /// Begins the handling of a request, in the context that its future is to have. An immediate answer, such as a
    /// refusal, ends it.
    #[must_use]
    pub(super) fn enter(
        state: &Rc<WorkerState>,
        request: &mut ServiceRequest,
    ) -> (Self, RequestContext, Option<HttpResponse>) {
        let (in_flight, before) = CountGuard::new(&state.app.in_flight);
        let id = given_request_id(request.headers());
        // Recorders read the request id from the headers, so an unusable one is removed.
        if id.is_none() && request.headers().contains_key(&REQUEST_ID) {
            request.headers_mut().remove(&REQUEST_ID);
        }
        let headers = request.headers();
        let peer = request.request().conn_data::<Peer>().cloned();
        let since = peer.as_ref().map_or_else(Instant::now, Peer::begin_request);
        let context = request_context(state, id, continued_trace(headers), since);
        let mut guard = Self {
            state: Rc::clone(state),
            since,
            peer,
            page: None,
            plain: routed_path(request).starts_with("/access/"),
            _in_flight: in_flight,
        };
        let answer = match guard.check_web(request) {
            Err(problem) => Some(problem.error_response()),
            Ok(()) => guard.page.as_ref().and_then(|_| preflight(request.method(), headers)).or_else(|| {
                refuse(state, guard.peer.as_ref(), request, before).map(|problem| problem.error_response())
            }),
        };
        (guard, context, answer)
    }

    /// Checks that the request's host is this daemon, and that its origin may call.
    fn check_web(&mut self, request: &ServiceRequest) -> Result<(), Problem> {
        self.state.hosts.check(request.head())?;
        self.page = self.state.pages.check(request.headers())?;
        Ok(())
    }

    /// Finishes the answer.
    #[must_use]
    pub(super) fn leave(self, mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        let id = current_request::id();
        let labels = request_labels(&response);
        log_write(&response, &labels, self.since);
        if response.status().is_client_error() || response.status().is_server_error() {
            let form = if self.plain { Form::Text } else { Form::Problem };
            let is_admin = self.peer.as_ref().is_some_and(Peer::is_admin);
            let log = &self.state.app.audit.queue;
            let complete = |problem: Problem| if is_admin { problem.with_cause(log.fault()) } else { problem };
            response = explain(response, form, &id, complete);
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id);
        // A decision names the constitution that it was made under, which may have been replaced since.
        if !headers.contains_key(&CONSTITUTIONAL_HASH) {
            headers.insert(CONSTITUTIONAL_HASH, hash_value(self.state.app.decision.in_force.hash()));
        }
        current_request::end(Phase::Encode);
        let (trace, recording) = current_request::end_trace();
        if let Some(trace) = &trace {
            name_trace(trace, headers);
        }
        if let Some(origin) = self.page {
            allow(origin, headers);
        }
        let answered = Answered { state: self.state, labels, since: self.since, recording };
        let Some(peer) = self.peer else {
            answered.written(Instant::now());
            return response;
        };
        if peer.end_request(answered) {
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        response
    }
}

/// The context of a request: its id and its trace, and a recording if it is sampled.
fn request_context(
    state: &WorkerState,
    id: Option<HeaderValue>,
    continued: Option<TraceContext>,
    since: Instant,
) -> RequestContext {
    let Some(tracer) = &state.app.tracer else { return RequestContext::new(id, continued) };
    let trace = tracer.trace(continued);
    let mut context = RequestContext::new(id, trace);
    context.recording = trace.filter(TraceContext::is_sampled).map(|trace| Box::new(Recording::new(trace, since)));
    context
}

fn request_labels(response: &ServiceResponse<BoxBody>) -> RequestLabels {
    let route = response.request().app_data().map(|RouteTemplate(route)| Arc::clone(route));
    let method = match *response.request().method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    RequestLabels { route, method, status: response.status().as_u16() }
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
    let has_place =
        before < limit || matches!(path, "/livez" | "/readyz" | "/metrics") || peer.is_some_and(Peer::is_admin);
    if !has_place {
        return Some(Problem::overloaded(format!("{limit} requests are in progress")));
    }
    if !path.starts_with("/v1/") || claimed_hash::is_question(path) {
        return None;
    }
    // Invalid percent-encoding, or one that is no UTF-8, could make two names of one entity, or one name of two.
    if request.uri().path_and_query().is_some_and(|address| percent_decode(address.as_str()).is_none()) {
        return Some(Problem::new(&BAD_REQUEST, "the address is not percent-encoded UTF-8"));
    }
    claimed_hash::check(&state.app.decision.in_force.get(), request, path)
}
