//! Answers with tokens.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use serde_json::{Value, json};

use crate::actors::identity::directory::Grant;

/// Tokens as they are answered (RFC 6749, section 5.1).
pub fn granted_json(grant: &Grant) -> Value {
    let mut body = json!({
        "access_token": grant.access_token,
        "token_type": "Bearer",
        "expires_in": grant.expires_in,
        "scope": grant.scopes.to_string(),
    });
    if let (Some(token), Some(members)) = (&grant.refresh_token, body.as_object_mut()) {
        members.insert("refresh_token".to_owned(), token.as_str().into());
    }
    body
}

/// Tokens are not for caches (RFC 6749, section 5.1).
pub fn no_store(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
