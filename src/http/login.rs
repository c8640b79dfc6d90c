//! `/v1/auth/…`: how people log in and out.

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::authorization::{RequestCaller, address};
use super::oauth::{fresh, granted_json};
use super::problem::{FORBIDDEN, INVALID_PASSWORD, LOGIN_REFUSED, Problem, TOO_MANY};
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::{
    Attempt, By, ChangePassword, DirectoryError, EndAllSessions, EndSession, EndSessionOf, FindUser, ListSessions,
    LogIn, Refresh, RefuseLogin,
};
use crate::auth::network::ClientAddress;
use crate::auth::scope::Scope;
use crate::auth::{password, precis};
use crate::store::users::User;

/// The longest password that is checked, in bytes.
const MAX_PASSWORD: usize = 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    username: String,
    password: String,
    code: Option<String>,
}

/// `POST /v1/auth/login`
pub async fn login(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let body: LoginBody = body::json(&request, payload, state.bounds()).await?;
    let app = &state.app;
    let (name, from) = (precis::name(&body.username), address(&request));
    let place = from.to_string();
    let attempt = match app.identity.lockouts.begin(&name, from) {
        Ok(attempt) => attempt,
        Err(wait) => {
            if app.audit.denial_sampler.take().is_some() {
                let is_known = app.identity.directory.ask(FindUser(name.clone().into_owned())).await?.is_some();
                let name = recorded(&state, &name, is_known);
                app.identity.directory.ask(RefuseLogin { name, why: "locked", address: place }).await?;
            }
            return Err(too_many("too many wrong passwords", wait));
        }
    };
    let (user, is_right) = match verify(&state, &name, body.password, from).await {
        Ok(verified) => verified,
        Err(problem) => {
            attempt.withdraw();
            return Err(problem);
        }
    };
    let is_known = user.is_some();
    let granted = match user.filter(|_| is_right) {
        Some(user) => app.identity.directory.ask(LogIn { user, code: body.code, attempt: made_from(&request) }).await,
        None => Err(DirectoryError::BadGrant("the name, the password or the code is wrong")),
    };
    match granted {
        Ok(grant) => {
            attempt.succeed();
            Ok(fresh(HttpResponse::Ok().json(granted_json(&grant))))
        }
        Err(DirectoryError::BadGrant(why)) => {
            attempt.fail();
            let name = recorded(&state, &name, is_known);
            app.identity.directory.ask(RefuseLogin { name, why: "wrong_credentials", address: place }).await?;
            Err(Problem::new(&LOGIN_REFUSED, why)
                .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"acgs\"")))
        }
        Err(error) => {
            attempt.withdraw();
            Err(error.into())
        }
    }
}

/// Looks the user up, if there is one of this name, and verifies the password. It takes as long if there is none.
async fn verify(
    state: &WorkerState,
    name: &str,
    password: String,
    from: ClientAddress,
) -> Result<(Option<User>, bool), Problem> {
    let user = state.app.identity.directory.ask(FindUser(name.to_owned())).await?;
    let hash = user.as_ref().map(|user| user.password.clone());
    let given = if password.len() > MAX_PASSWORD { String::new() } else { password };
    let is_right = state.app.identity.passwords.verify(given, hash, from).await?;
    Ok((user, is_right))
}

/// The form in which a name is recorded: an unknown one may be a password typed into the wrong field.
fn recorded(state: &WorkerState, name: &str, is_known: bool) -> String {
    if is_known { name.to_owned() } else { state.app.audit.strangers.describe(name) }
}

/// The origin of a request for tokens.
pub fn made_from(request: &HttpRequest) -> Attempt {
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Attempt {
        address: address(request).to_string(),
        user_agent: user_agent.unwrap_or_default().chars().take(200).collect(),
    }
}

/// 429 with when to come again.
pub fn too_many(detail: &str, wait: Duration) -> Problem {
    let seconds = wait.as_secs().max(1);
    Problem::new(&TOO_MANY, detail).with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
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
    let refresh = Refresh { token: body.refresh_token, scopes: None, attempt: made_from(&request) };
    let granted = state.app.identity.directory.ask(refresh).await;
    match granted {
        Ok(grant) => Ok(fresh(HttpResponse::Ok().json(granted_json(&grant)))),
        Err(DirectoryError::BadGrant(why)) => Err(Problem::new(&LOGIN_REFUSED, why)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"acgs\""))),
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
            "created_at": super::page::time(session.created_at),
            "last_used_at": super::page::time(session.last_used_at),
            "expires_at": super::page::time(session.expires_at),
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
    let (_, session) = person(&caller)?;
    let end = EndSession { session: session.to_owned(), caller: caller.name().to_owned() };
    let ended = writes::write(&state, &state.app.identity.directory, end).await?;
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
    let attempt =
        state.app.identity.lockouts.begin(name, from).map_err(|wait| too_many("too many wrong passwords", wait))?;
    match verify(&state, name, body.old, from).await {
        Ok((_, true)) => attempt.succeed(),
        Ok((_, false)) => {
            attempt.fail();
            return Err(Problem::new(&INVALID_PASSWORD, "the old password is wrong"));
        }
        Err(problem) => {
            attempt.withdraw();
            return Err(problem);
        }
    }
    let password = hashed(&state, name, body.new, from).await?;
    let change = ChangePassword { name: name.to_owned(), password, by: By::Itself(None) };
    writes::write(&state, &state.app.identity.directory, change).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The hash of a new password that keeps the rules.
pub async fn hashed(state: &WorkerState, name: &str, new: String, from: ClientAddress) -> Result<String, Problem> {
    password::check(&new, name).map_err(|error| Problem::new(&INVALID_PASSWORD, error.to_string()))?;
    Ok(state.app.identity.passwords.hash(new, from).await?)
}
