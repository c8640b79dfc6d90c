//! `/v1/auth/…`: how people log in and out.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::authorization::RequestCaller;
use super::forwarded::address;
use super::login_origin::origin;
use super::problem::{FORBIDDEN, INVALID_PASSWORD, Problem};
use super::token_response::{granted_json, no_store};
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::{
    By, ChangePassword, DirectoryError, EndAllSessions, EndSession, EndSessionOf, Grant, ListSessions, Refresh,
};
use crate::actors::identity::login::{Credentials, LoginError};
use crate::auth::network::ClientAddress;
use crate::auth::scope::Scope;
use crate::auth::{password, precis};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    username: String,
    password: String,
    code: Option<String>,
}

/// `POST /v1/auth/login`
pub async fn login(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let grant = log_in(&request, payload, &state).await?;
    Ok(no_store(HttpResponse::Ok().json(granted_json(&grant))))
}

/// Opens a session for the user in the body.
pub async fn log_in(request: &HttpRequest, payload: Payload, state: &WorkerState) -> Result<Grant, Problem> {
    let body: LoginBody = body::json(request, payload, state.bounds()).await?;
    let name = precis::name(&body.username).into_owned();
    let credentials = Credentials { name, password: body.password, code: body.code };
    Ok(state.app.identity.logins.log_in(credentials, address(request), origin(request)).await?)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefreshBody {
    refresh_token: String,
}

/// `POST /v1/auth/refresh`
pub async fn refresh(
    request: HttpRequest,
    payload: Payload,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: RefreshBody = body::json(&request, payload, state.bounds()).await?;
    let refresh = Refresh { token: body.refresh_token, scopes: None, origin: origin(&request) };
    let granted = state.app.identity.directory.ask(refresh).await;
    match granted {
        Ok(grant) => Ok(no_store(HttpResponse::Ok().json(granted_json(&grant)))),
        Err(DirectoryError::BadGrant(why)) => Err(LoginError::Refused(why).into()),
        Err(error) => Err(error.into()),
    }
}

/// The person that calls, and its session.
pub fn person(caller: &RequestCaller) -> Result<(&str, &str), Problem> {
    let person = caller.authenticated().and_then(|caller| Some((caller.user.as_deref()?, caller.session.as_deref()?)));
    person.ok_or_else(|| Problem::new(&FORBIDDEN, "only people who logged in have sessions and a password"))
}

/// `GET /v1/auth/me`
pub async fn me(caller: RequestCaller) -> HttpResponse {
    let known = caller.authenticated();
    HttpResponse::Ok().json(json!({
        "name": caller.name(),
        "scopes": caller.scopes().iter().map(Scope::as_str).collect::<Vec<_>>(),
        "user": known.and_then(|caller| caller.user.as_deref()),
        "client": known.and_then(|caller| caller.client.as_deref()),
        "session": known.and_then(|caller| caller.session.as_deref()),
    }))
}

/// `GET /v1/auth/sessions`
pub async fn sessions(caller: RequestCaller, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (user, current) = person(&caller)?;
    let sessions = state.app.identity.directory.ask(ListSessions { user: user.to_owned() }).await?;
    let items = sessions.iter().map(|session| {
        json!({
            "id": session.id,
            "current": session.id == current,
            "created_at": super::pagination::time(session.created_at),
            "last_used_at": super::pagination::time(session.last_used_at),
            "expires_at": super::pagination::time(session.expires_at),
            "address": session.address,
            "user_agent": session.user_agent,
        })
    });
    let items: Vec<_> = items.collect();
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": null})))
}

/// `DELETE /v1/auth/sessions/{id}`: one of one's own.
pub async fn end_session(
    caller: RequestCaller,
    id: Path<String>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let (user, _) = person(&caller)?;
    let end = EndSessionOf { user: user.to_owned(), session: id.into_inner(), caller: caller.name().to_owned() };
    let ended = writes::write(&state, &state.app.identity.directory, end).await?;
    Ok(withdrawn::answer(ended, |()| HttpResponse::NoContent().finish()))
}

/// `POST /v1/auth/logout`
pub async fn logout(caller: RequestCaller, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    end_own_session(&caller, &state).await
}

/// Ends the caller's own session.
pub async fn end_own_session(caller: &RequestCaller, state: &WorkerState) -> Result<HttpResponse, Problem> {
    let (_, session) = person(caller)?;
    let end = EndSession { session: session.to_owned(), caller: caller.name().to_owned() };
    let ended = writes::write(state, &state.app.identity.directory, end).await?;
    Ok(withdrawn::answer(ended, |()| HttpResponse::NoContent().finish()))
}

/// `POST /v1/auth/logout-all`
pub async fn logout_all(caller: RequestCaller, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (user, _) = person(&caller)?;
    let all = EndAllSessions { user: user.to_owned(), caller: caller.name().to_owned() };
    let ended = writes::write(&state, &state.app.identity.directory, all).await?;
    Ok(withdrawn::answer(ended, |ended| HttpResponse::Ok().json(json!({"sessions": ended}))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordBody {
    old: String,
    new: String,
}

/// `POST /v1/auth/password`: ends all sessions.
pub async fn change_password(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: PasswordBody = body::json(&request, payload, state.bounds()).await?;
    let (name, _) = person(&caller)?;
    let from = address(&request);
    state.app.identity.logins.check_password(name, body.old, from).await?;
    let password = hashed(&state, name, body.new, from).await?;
    let change = ChangePassword { name: name.to_owned(), password, by: By::Itself(None) };
    writes::write(&state, &state.app.identity.directory, change).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The hash of a new password that keeps the rules.
pub async fn hashed(state: &WorkerState, name: &str, new: String, from: ClientAddress) -> Result<String, Problem> {
    password::check(&new, name).map_err(|error| Problem::new(&INVALID_PASSWORD, error.to_string()))?;
    Ok(state.app.identity.logins.hash(new, from).await?)
}
