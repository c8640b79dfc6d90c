//! Answers with tokens.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use crate::actors::identity::directory::Grant;

/// Tokens (RFC 6749, section 5.1).
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJ…", "expires_in": 900, "scope": "decide read", "token_type": "Bearer"
})))]
pub struct Tokens<'a> {
    /// An access token (RFC 9068), sent as `Authorization: Bearer …`.
    access_token: &'a str,
    /// Seconds until the access token expires.
    expires_in: i64,
    /// A token for the next access token; only in the answers of sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    refresh_token: Option<&'a str>,
    /// The scopes of the access token, separated by spaces.
    scope: String,
    /// Always `Bearer`.
    token_type: &'static str,
}

impl<'a> From<&'a Grant> for Tokens<'a> {
    fn from(grant: &'a Grant) -> Self {
        Self {
            access_token: &grant.access_token,
            expires_in: grant.expires_in,
            refresh_token: grant.refresh_token.as_deref(),
            scope: grant.scopes.to_string(),
            token_type: "Bearer",
        }
    }
}

/// Tokens are not for caches (RFC 6749, section 5.1).
pub fn no_store(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
