//! W3C Trace Context: the trace of the caller, continued in the answer by the middleware.

use actix_web::http::header::{HeaderName, HeaderValue};

/// The header of the trace context.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The caller's trace, with a span of this request (W3C Trace Context, section 3.2).
pub(super) fn continue_trace(parent: &str) -> Option<HeaderValue> {
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
