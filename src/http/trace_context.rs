//! The headers of traces: the caller's `traceparent` (W3C Trace Context), and the id of the trace in the answer.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::trace::TraceContext;

/// The header of the trace context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id of the trace, in answers to callers that sent a trace context, and to sampled requests.
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// The caller's trace, continued. Several headers name none (section 3.2).
pub(super) fn continued_trace(headers: &HeaderMap) -> Option<TraceContext> {
    let mut given = headers.get_all(&TRACEPARENT);
    let parent = given.next().filter(|_| given.next().is_none())?;
    TraceContext::continued(parent.to_str().ok()?)
}

/// Names the trace in the headers of an answer.
pub(super) fn name_trace(trace: &TraceContext, headers: &mut HeaderMap) {
    let named = [(TRACEPARENT, trace.traceparent()), (TRACE_ID, trace.trace().to_string())];
    for (name, value) in named {
        // Hex digits and hyphens are a header value.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}
