//! Credentials, and what each operation requires of its callers.

use serde_json::{Value, json};

use crate::auth::scope::Scope;
use crate::http::authorization::Access;

/// The names of the credentials that callers may send.
const CREDENTIALS: [&str; 2] = ["token", "apiKey"];

/// The ways to authenticate.
pub(super) fn schemes() -> Value {
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
pub(super) fn requirements(access: Access, own: Vec<Value>) -> Vec<Value> {
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
