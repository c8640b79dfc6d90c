//! The id of a request: the caller's, or else one of the daemon's own.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// Names a request in answers and logs: the caller's id, otherwise the id of its first decision, otherwise a new one.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is echoed, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// The caller's request id, if it is printable and short.
pub(super) fn given_request_id(headers: &HeaderMap) -> Option<HeaderValue> {
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
