//! Credentials, and what each operation requires of its callers.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::auth::scope::Scope;
use crate::http::authorization::Access;
use crate::http::session_cookie::{CSRF_TOKEN, name_of};

/// The credentials that callers may send: the names of what goes together.
const CREDENTIALS: [&[&str]; 3] = [&["token"], &["apiKey"], &["session"]];

/// The same for requests that can change something.
const CREDENTIALS_FOR_CHANGES: [&[&str]; 3] = [&["token"], &["apiKey"], &["session", "csrf"]];

/// The ways to authenticate, where the daemon is reached over TLS or not.
pub(super) fn schemes(is_secure: bool) -> Value {
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
        "session": {
            "type": "apiKey", "in": "cookie", "name": name_of(is_secure),
            "description": "The cookie of a browser's session, from `POST /v1/auth/session`.",
        },
        "csrf": {
            "type": "apiKey", "in": "header", "name": CSRF_TOKEN.as_str(),
            "description": "The CSRF token of the session, which `GET /v1/auth/session` tells.",
        },
    })
}

/// The security requirements of an operation: those of its authorization, and those that only it has.
pub(super) fn requirements(access: Access, method: &Method, own: Vec<Value>) -> Vec<Value> {
    let scopes: Vec<&str> = required_scope(access).map(Scope::as_str).into_iter().collect();
    let credentials = if *method == Method::GET { CREDENTIALS } else { CREDENTIALS_FOR_CHANGES };
    let of_each = |name: &&str| ((*name).to_owned(), if *name == "csrf" { json!([]) } else { json!(scopes) });
    let credentials = credentials.map(|names| Value::Object(names.iter().map(of_each).collect()));
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
