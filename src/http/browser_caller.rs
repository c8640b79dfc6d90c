//! Callers that use a browser: by the cookie of their session, or where the dashboard is open to everyone on this host.
//!
//! Neither counts in a request that shows a credential in a header, or that a page of another origin sent.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use time::OffsetDateTime;

use super::forwarded::{address, is_forwarded};
use super::login_origin::origin;
use super::problem::{CSRF, Problem};
use super::session_cookie::{RequestSite, SessionCookie};
use super::worker_state::WorkerState;
use crate::actors::identity::authenticator::{Authenticate, Credential, CredentialError};
use crate::actors::identity::directory::{DirectoryError, Refresh};
use crate::auth::caller::Caller;
use crate::auth::scope::{Scope, Scopes};

/// The scopes of browsers without a login, where the dashboard is open.
pub const OPEN_SCOPES: Scopes = Scopes::of([Scope::Read, Scope::AuditRead]);

/// A caller whose session's cookie came with the request.
pub struct CookieCaller {
    /// The caller.
    pub caller: Arc<Caller>,
    /// The cookie, with new tokens if the access token had expired.
    pub cookie: SessionCookie,
    /// Whether the browser must be given the cookie.
    pub is_renewed: bool,
}

/// Why a request with a session's cookie is refused.
pub enum CookieError {
    /// The cookie's credentials are not valid, or cannot be checked now.
    Credential(CredentialError),
    /// The request is refused for another reason, and the cookie stays.
    Refused(Problem),
}

impl From<CredentialError> for CookieError {
    fn from(error: CredentialError) -> Self {
        Self::Credential(error)
    }
}

/// Whether the daemon is reached over TLS.
#[must_use]
pub fn is_secure(state: &WorkerState) -> bool {
    state.app.public_url.starts_with("https://")
}

/// The value of `Set-Cookie` that removes the cookie.
#[must_use]
pub fn cleared(state: &WorkerState) -> HeaderValue {
    SessionCookie::clear(is_secure(state))
}

/// The caller by the session's cookie; `None` without a cookie that counts.
pub async fn by_cookie(state: &WorkerState, request: &HttpRequest) -> Result<Option<CookieCaller>, CookieError> {
    let headers = request.headers();
    let is_ignored = headers.contains_key(header::AUTHORIZATION)
        || !headers.contains_key(header::COOKIE)
        || RequestSite::of(headers, &state.pages) == RequestSite::Foreign;
    if is_ignored {
        return Ok(None);
    }
    let malformed = |_| CredentialError::Invalid("the session's cookie is malformed".to_owned());
    let Some(cookie) = SessionCookie::of(headers, is_secure(state)).map_err(malformed)? else { return Ok(None) };
    if *request.method() != Method::GET && !cookie.has_csrf_token(headers) {
        let detail = "send the session's CSRF token in `X-CSRF-Token`; `GET /v1/auth/session` tells it";
        return Err(CookieError::Refused(Problem::new(&CSRF, detail)));
    }
    Ok(Some(authenticate(state, request, cookie).await?))
}

/// Authenticates the access token of a cookie. An expired one is renewed, by the rules for refresh tokens.
async fn authenticate(
    state: &WorkerState,
    request: &HttpRequest,
    cookie: SessionCookie,
) -> Result<CookieCaller, CookieError> {
    if cookie.expires_at().is_none_or(|end| OffsetDateTime::now_utc().unix_timestamp() < end) {
        let caller = by_token(state, request, &cookie.access).await?;
        return Ok(CookieCaller { caller, cookie, is_renewed: false });
    }
    // A refresh token is a credential that anyone may guess, as at `/v1/auth/refresh`.
    state.app.identity.rate_limits.check_address(address(request)).map_err(CookieError::Refused)?;
    let refresh = Refresh { token: cookie.refresh.clone(), scopes: None, origin: origin(request) };
    let grant = state.app.identity.directory.ask(refresh).await.map_err(|error| match error {
        DirectoryError::BadGrant(_) => CredentialError::Revoked,
        error => {
            tracing::warn!(%error, "a browser's session cannot be renewed now; its requests get 503");
            CredentialError::Unchecked
        }
    })?;
    let cookie = cookie.renewed(grant).map_err(|error| {
        tracing::error!(%error, "a browser's session ends, since its cookie cannot be renewed");
        CredentialError::Invalid("the session's cookie cannot be renewed".to_owned())
    })?;
    let caller = by_token(state, request, &cookie.access).await?;
    Ok(CookieCaller { caller, cookie, is_renewed: true })
}

async fn by_token(state: &WorkerState, request: &HttpRequest, token: &str) -> Result<Arc<Caller>, CredentialError> {
    let (credential, address) = (Credential::Token(token.to_owned()), address(request).ip());
    state.authenticator.send(Authenticate { credential, address }).await?
}

/// Whether a request without any credential may read what this scope covers. The header that tells of the daemon's own
/// page must be there, so that a page of another origin cannot cause such a request in any browser.
#[must_use]
pub fn is_open(state: &WorkerState, request: &HttpRequest, scope: Scope) -> bool {
    let headers = request.headers();
    state.app.settings.is_dashboard_open()
        && *request.method() == Method::GET
        && OPEN_SCOPES.contains(scope)
        && !headers.contains_key(header::AUTHORIZATION)
        && !is_forwarded(headers)
        && RequestSite::of(headers, &state.pages) == RequestSite::Own
}
