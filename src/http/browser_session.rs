//! `/v1/auth/session`: how people sign in and out with a browser.

use actix_web::http::header;
use actix_web::web::{Data, Payload, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::authorization::{RequestCaller, unauthenticated};
use super::browser_caller::{self, OPEN_SCOPES};
use super::login;
use super::problem::{
    BAD_REQUEST, FORBIDDEN, FOREIGN_ORIGIN, INTERNAL, LOGIN_REFUSED, NOT_FOUND, OUTCOME_UNKNOWN, Problem, TOO_MANY,
};
use super::session_cookie::{RequestSite, SessionCookie};
use super::token_response::no_store;
use super::withdrawn::PendingWithdrawal;
use super::worker_state::WorkerState;
use crate::auth::jws::Unverified;
use crate::auth::scope::{Role, Scope, Scopes};

/// The user of this browser's session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "csrf": "3q2-7wvLq0dYbX1nR5sT8uW0zA4cE6gI9kM2oQ7rS1U", "user": "ann", "roles": ["auditor"],
    "scopes": ["read", "entities:read", "audit:read"]
})))]
struct BrowserSession {
    /// The CSRF token, which goes into `X-CSRF-Token` of every request that is not a `GET`; null without a cookie.
    #[schema(required)]
    csrf: Option<String>,
    /// The user's name; null if no user is signed in.
    #[schema(required)]
    user: Option<String>,
    #[schema(value_type = Vec<Role>)]
    roles: Value,
    #[schema(value_type = Vec<Scope>)]
    scopes: Vec<&'static str>,
}

/// Sign in with a browser
///
/// Begins a session as a login does, whose tokens are in a cookie only. Pages of other origins cannot sign in.
#[utoipa::path(
    post, path = "/v1/auth/session", operation_id = "signIn", tag = "authentication",
    request_body = login::LoginBody,
    responses((
        status = 200, description = "Who is signed in.", body = BrowserSession,
        headers(("Set-Cookie" = String, description = "The session's cookie.")),
    )),
    extensions(("x-problems" = json!([
        BAD_REQUEST.slug, FOREIGN_ORIGIN.slug, LOGIN_REFUSED.slug, TOO_MANY.slug
    ]))),
)]
pub async fn sign_in(
    request: HttpRequest,
    payload: Payload,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    if RequestSite::of(request.headers(), &state.pages) == RequestSite::Foreign {
        return Err(Problem::new(&FOREIGN_ORIGIN, "only the daemon's own pages sign in with a cookie"));
    }
    let grant = login::log_in(&request, payload, &state).await?;
    let cookie = SessionCookie::new(grant)
        .map_err(|error| Problem::logged(&INTERNAL, "the session's cookie cannot be made", &error))?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::SET_COOKIE, cookie.set(browser_caller::is_secure(&state))));
    Ok(no_store(response.json(session_json(&cookie))))
}

/// Show who is signed in
///
/// Without a session it is 401, unless the dashboard is open to everyone on this host.
#[utoipa::path(
    get, path = "/v1/auth/session", operation_id = "showBrowserSession", tag = "authentication",
    responses((status = 200, description = "Who is signed in.", body = BrowserSession)),
)]
pub async fn show(
    request: HttpRequest,
    caller: RequestCaller,
    cookie: Option<ReqData<SessionCookie>>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let shown = match (&cookie, caller.authenticated()) {
        (Some(cookie), _) => session_json(cookie),
        (None, Some(known)) => without_cookie(known.user.as_deref(), known.scopes),
        (None, None) if browser_caller::is_open(&state, &request, Scope::Read) => without_cookie(None, OPEN_SCOPES),
        (None, None) => return Err(unauthenticated(None, "this browser is not signed in")),
    };
    Ok(no_store(HttpResponse::Ok().json(shown)))
}

/// Sign out with a browser
///
/// Ends the caller's own session, and removes its cookie.
#[utoipa::path(
    delete, path = "/v1/auth/session", operation_id = "signOut", tag = "authentication",
    responses(
        (status = 204, description = "The session has ended.",
         headers(("Set-Cookie" = String, description = "Removes the cookie."))),
        (status = 202, description = "The session has ended on this node, but that is not recorded yet.",
         body = PendingWithdrawal, headers(("Set-Cookie" = String, description = "Removes the cookie."))),
    ),
    extensions(("x-problems" = json!([FORBIDDEN.slug, NOT_FOUND.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn sign_out(caller: RequestCaller, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let mut response = login::end_own_session(&caller, &state).await?;
    response.headers_mut().insert(header::SET_COOKIE, browser_caller::cleared(&state));
    Ok(no_store(response))
}

/// A session, as its page sees it. The access token was made or verified here.
fn session_json(cookie: &SessionCookie) -> BrowserSession {
    let claims = Unverified::parse(&cookie.access).and_then(|token| token.claims()).ok();
    let claim = |name: &str| claims.as_ref().and_then(|claims| claims.get(name));
    let text = |name: &str| claim(name).and_then(|value| value.as_str());
    BrowserSession {
        csrf: Some(cookie.csrf_token()),
        user: text("sub").and_then(|subject| subject.strip_prefix("user:")).map(str::to_owned),
        roles: json!(claim("roles")),
        scopes: names(text("scope").map(Scopes::parse_known).unwrap_or_default()),
    }
}

/// A caller without a cookie, as a page sees it.
fn without_cookie(user: Option<&str>, scopes: Scopes) -> BrowserSession {
    BrowserSession { csrf: None, user: user.map(str::to_owned), roles: json!([]), scopes: names(scopes) }
}

fn names(scopes: Scopes) -> Vec<&'static str> {
    scopes.iter().map(Scope::as_str).collect()
}
