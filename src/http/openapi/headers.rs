//! Headers that all requests may have, and those of answers.

use serde_json::{Map, Value, json};

/// Headers of every request.
pub(super) fn parameters() -> Value {
    json!({
        "RequestId": {
            "name": "X-Request-ID", "in": "header", "schema": {"type": "string"},
            "description": "Names the request in answers and records. Replaced unless it is printable ASCII of at most \
                            128 bytes.",
        },
        "Traceparent": {
            "name": "Traceparent", "in": "header", "schema": {"type": "string"},
            "description": "The caller's trace (W3C Trace Context). Ignored if malformed.",
        },
        "ConstitutionalHash": {
            "name": "X-Constitutional-Hash", "in": "header", "schema": {"type": "string"},
            "description": "The hash of the constitution that the caller expects to be in force.",
        },
    })
}

/// References to the headers of a request.
pub(super) fn parameter_references(takes_hash: bool) -> Vec<Value> {
    let names = ["RequestId", "Traceparent"].into_iter().chain(takes_hash.then_some("ConstitutionalHash"));
    names.map(|name| json!({"$ref": format!("#/components/parameters/{name}")})).collect()
}

/// Headers of answers.
pub(super) fn components() -> Value {
    json!({
        "RequestId": {
            "schema": {"type": "string"},
            "description": "The caller's request id, or the id of the first decision, or a new one.",
        },
        "ConstitutionalHash": {
            "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
            "description": "The hash of the constitution in force, or of the one that the decision was made under.",
        },
        "WwwAuthenticate": {
            "schema": {"type": "string"}, "description": "What is wrong with the credential, or what it lacks.",
        },
        "RetryAfter": {
            "schema": {"type": "string", "pattern": "^[0-9]+$"}, "description": "Seconds until the next attempt.",
        },
        "Location": {"schema": {"type": "string"}, "description": "Where the outcome of the change is shown."},
    })
}

/// References to the headers of an answer.
pub(super) fn header_references(status: u16) -> Map<String, Value> {
    let mut names = vec![("X-Request-ID", "RequestId"), ("X-Constitutional-Hash", "ConstitutionalHash")];
    match status {
        401 => names.push(("WWW-Authenticate", "WwwAuthenticate")),
        429 => names.push(("Retry-After", "RetryAfter")),
        _ => {}
    }
    let references = names
        .into_iter()
        .map(|(name, component)| (name.to_owned(), json!({"$ref": format!("#/components/headers/{component}")})));
    references.collect()
}
