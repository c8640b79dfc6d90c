//! `/v1/auth/session`: how people sign in and out with a browser.

use actix_web::http::header;
use actix_web::web::{Data, Payload, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::authorization::{RequestCaller, unauthenticated};
use super::browser_caller::{self, OPEN_SCOPES};
use super::login;
use super::problem::{FOREIGN_ORIGIN, INTERNAL, Problem};
use super::session_cookie::{RequestSite, SessionCookie};
use super::token_response::no_store;
use super::worker_state::WorkerState;
use crate::auth::jws::Unverified;
use crate::auth::scope::{Scope, Scopes};

/// `POST /v1/auth/session`: signs in. The tokens are in the cookie only.
pub async fn sign_in(
    request: HttpRequest,
    payload: Payload,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    if RequestSite::of(request.headers(), &state.pages) == RequestSite::Foreign {
        return Err(Problem::new(&FOREIGN_ORIGIN, "only the daemon's own pages sign in with a cookie"));
    }
    let grant = login::log_in(&request, payload, &state).await?;
    let too_large =
        || Problem::logged(&INTERNAL, "the session's cookie cannot be made", &"it is larger than 4096 bytes");
    let cookie = SessionCookie::new(grant).ok_or_else(too_large)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::SET_COOKIE, cookie.set(browser_caller::is_secure(&state))));
    Ok(no_store(response.json(session_json(&cookie))))
}

/// `GET /v1/auth/session`: who is signed in. Without a session it is 401, unless the dashboard is open.
pub async fn show(
    request: HttpRequest,
    caller: RequestCaller,
    cookie: Option<ReqData<SessionCookie>>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let shown = match (&cookie, caller.authenticated()) {
        (Some(cookie), _) => session_json(cookie),
        (None, Some(known)) => json!({"csrf": null, "user": known.user, "roles": [], "scopes": names(known.scopes)}),
        (None, None) if browser_caller::is_open(&state, &request, Scope::Read) => {
            json!({"csrf": null, "user": null, "roles": [], "scopes": names(OPEN_SCOPES)})
        }
        (None, None) => return Err(unauthenticated(None, "nobody is signed in")),
    };
    Ok(no_store(HttpResponse::Ok().json(shown)))
}

/// `DELETE /v1/auth/session`: signs out.
pub async fn sign_out(caller: RequestCaller, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let mut response = login::end_own_session(&caller, &state).await?;
    response.headers_mut().insert(header::SET_COOKIE, browser_caller::cleared(&state));
    Ok(no_store(response))
}

/// A session, as its page sees it. The access token was made or verified here.
fn session_json(cookie: &SessionCookie) -> Value {
    let claims = Unverified::parse(&cookie.access).and_then(|token| token.claims()).ok();
    let claim = |name: &str| claims.as_ref().and_then(|claims| claims.get(name));
    let text = |name: &str| claim(name).and_then(|value| value.as_str());
    json!({
        "csrf": cookie.csrf_token(),
        "user": text("sub").and_then(|subject| subject.strip_prefix("user:")),
        "roles": claim("roles"),
        "scopes": names(text("scope").map(Scopes::parse_known).unwrap_or_default()),
    })
}

fn names(scopes: Scopes) -> Vec<&'static str> {
    scopes.iter().map(Scope::as_str).collect()
}
