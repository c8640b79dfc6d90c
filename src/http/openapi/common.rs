//! What all operations have in common: credentials, and headers of requests and answers.

use serde_json::{Map, Value, json};

use crate::auth::scope::Scope;
use crate::http::authorization::Access;

/// The names of the credentials that callers may send.
const CREDENTIALS: [&str; 2] = ["token", "apiKey"];

/// The ways to authenticate.
pub(super) fn security_schemes() -> Value {
    json!({
        "token": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "An access token (RFC 9068) of this daemon, or of an issuer that it trusts.",
        },
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key for scripts."},
        "client": {
            "type": "http", "scheme": "basic",
            "description": "Id and secret of a client, each form-encoded (RFC 6749, section 2.3.1).",
        },
    })
}

/// The security requirements of an operation: those of its authorization, and those that only it has.
pub(super) fn security(access: Access, own: Vec<Value>) -> Vec<Value> {
    let scopes: Vec<&str> = required_scope(access).map(Scope::as_str).into_iter().collect();
    let credentials = CREDENTIALS.map(|name| json!({name: scopes}));
    match access {
        Access::Public | Access::RateLimited => own,
        Access::OptionalAuth if own.is_empty() => std::iter::once(json!({})).chain(credentials).collect(),
        Access::OptionalAuth => own.into_iter().chain(credentials).collect(),
        Access::Authenticated | Access::Requires(_) => credentials.into_iter().chain(own).collect(),
    }
}

/// The scope that an operation requires.
pub(super) fn required_scope(access: Access) -> Option<Scope> {
    match access {
        Access::Requires(scope) => Some(scope),
        Access::Public | Access::RateLimited | Access::OptionalAuth | Access::Authenticated => None,
    }
}

/// The sentence that says what an operation requires.
pub(super) fn requirement(access: Access) -> String {
    match access {
        Access::Public => "Public: needs no credential.".to_owned(),
        Access::RateLimited => "Needs no token; the rate of each address is limited.".to_owned(),
        Access::OptionalAuth => "Needs no credential, but one that is sent must be valid.".to_owned(),
        Access::Authenticated => "Needs a credential, with any scope.".to_owned(),
        Access::Requires(scope) => format!("Needs the scope `{scope}`."),
    }
}

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
pub(super) fn headers() -> Value {
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
