//! `/v1/auth/…`: how people log in and out.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::authorization::RequestCaller;
use super::forwarded::address;
use super::login_origin::origin;
use super::pagination::{Page, time};
use super::problem::{
    BAD_REQUEST, FORBIDDEN, INVALID_PASSWORD, LOGIN_REFUSED, NOT_FOUND, OUTCOME_UNKNOWN, Problem, TOO_MANY,
};
use super::token_response::{Tokens, no_store};
use super::withdrawn::PendingWithdrawal;
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::{
    By, ChangePassword, DirectoryError, EndAllSessions, EndSession, EndSessionOf, Grant, ListSessions, Refresh,
};
use crate::actors::identity::login::{Credentials, LoginError};
use crate::auth::network::ClientAddress;
use crate::auth::scope::Scope;
use crate::auth::{password, precis};

/// The credentials of a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Login, examples(json!({"username": "ann", "password": "correct horse battery staple"})))]
pub(super) struct LoginBody {
    username: String,
    #[schema(format = Password)]
    password: String,
    /// A code of the second factor, or a recovery code. Users with a second factor need one.
    code: Option<String>,
}

/// Log in
///
/// Begins a session. Repeated failures delay further attempts, by name and by address.
#[utoipa::path(
    post, path = "/v1/auth/login", operation_id = "logIn", tag = "authentication", request_body = LoginBody,
    responses((status = 200, description = "Tokens of a new session.", body = Tokens)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, LOGIN_REFUSED.slug, TOO_MANY.slug]))),
)]
pub async fn login(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let grant = log_in(&request, payload, &state).await?;
    Ok(no_store(HttpResponse::Ok().json(Tokens::from(&grant))))
}

/// Opens a session for the user in the body.
pub async fn log_in(request: &HttpRequest, payload: Payload, state: &WorkerState) -> Result<Grant, Problem> {
    let body: LoginBody = body::object(request, payload, state.bounds()).await?;
    let name = precis::name(&body.username).into_owned();
    let credentials = Credentials { name, password: body.password, code: body.code };
    Ok(state.app.identity.logins.log_in(credentials, address(request), origin(request)).await?)
}

/// A refresh token. It can be used once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RefreshToken, examples(json!({"refresh_token": "acgs_rt_4R2…"})))]
struct RefreshBody {
    refresh_token: String,
}

/// Refresh a session
///
/// Exchanges a refresh token for new tokens. A refresh token that is used again ends its session.
#[utoipa::path(
    post, path = "/v1/auth/refresh", operation_id = "refresh", tag = "authentication", request_body = RefreshBody,
    responses((status = 200, description = "New tokens of the session.", body = Tokens)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, LOGIN_REFUSED.slug]))),
)]
pub async fn refresh(
    request: HttpRequest,
    payload: Payload,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: RefreshBody = body::object(&request, payload, state.bounds()).await?;
    let refresh = Refresh { token: body.refresh_token, scopes: None, origin: origin(&request) };
    let granted = state.app.identity.directory.ask(refresh).await;
    match granted {
        Ok(grant) => Ok(no_store(HttpResponse::Ok().json(Tokens::from(&grant)))),
        Err(DirectoryError::BadGrant(why)) => Err(LoginError::Refused(why).into()),
        Err(error) => Err(error.into()),
    }
}

/// The person that calls, and its session.
pub fn person(caller: &RequestCaller) -> Result<(&str, &str), Problem> {
    let person = caller.authenticated().and_then(|caller| Some((caller.user.as_deref()?, caller.session.as_deref()?)));
    person.ok_or_else(|| Problem::new(&FORBIDDEN, "only people who logged in have sessions and a password"))
}

/// The caller, as the daemon knows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Caller, examples(json!({
    "name": "user:ann", "scopes": ["read", "entities:read", "audit:read"], "user": "ann", "client": null,
    "session": "01a20968-3f1e-7c6a-a6ad-5d1c1f4f9e55"
})))]
struct ShownCaller<'a> {
    /// The caller's name in records.
    name: &'a str,
    #[schema(value_type = Vec<Scope>)]
    scopes: Vec<&'static str>,
    /// The name of the user, if a user calls.
    #[schema(required)]
    user: Option<&'a str>,
    /// The id of the client, if a client calls.
    #[schema(required)]
    client: Option<&'a str>,
    /// The id of the session, if a user calls.
    #[schema(required)]
    session: Option<&'a str>,
}

/// Show the caller
#[utoipa::path(
    get, path = "/v1/auth/me", operation_id = "showCaller", tag = "authentication",
    responses((status = 200, description = "Who calls, with which scopes.", body = ShownCaller)),
)]
pub async fn me(caller: RequestCaller) -> HttpResponse {
    let known = caller.authenticated();
    HttpResponse::Ok().json(ShownCaller {
        name: caller.name(),
        scopes: caller.scopes().iter().map(Scope::as_str).collect(),
        user: known.and_then(|caller| caller.user.as_deref()),
        client: known.and_then(|caller| caller.client.as_deref()),
        session: known.and_then(|caller| caller.session.as_deref()),
    })
}

/// A session of the calling user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session, examples(json!({
    "id": "01a20968-3f1e-7c6a-a6ad-5d1c1f4f9e55", "current": true, "created_at": "2026-11-24T09:30:00Z",
    "last_used_at": "2026-11-24T09:45:00Z", "expires_at": "2026-11-25T09:30:00Z", "address": "192.0.2.7",
    "user_agent": "curl/8.14.1"
})))]
struct ShownSession<'a> {
    id: &'a str,
    /// Whether it is the session of the request.
    current: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_used_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// The address that the login came from.
    address: &'a str,
    /// The program that logged in, as it names itself.
    user_agent: &'a str,
}

/// List one's sessions
#[utoipa::path(
    get, path = "/v1/auth/sessions", operation_id = "listSessions", tag = "authentication",
    responses((status = 200, description = "All sessions of the calling user, on one page.",
               body = Page<ShownSession<'static>>)),
    extensions(("x-problems" = json!([FORBIDDEN.slug]))),
)]
pub async fn sessions(caller: RequestCaller, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (user, current) = person(&caller)?;
    let sessions = state.app.identity.directory.ask(ListSessions { user: user.to_owned() }).await?;
    let items = sessions.iter().map(|session| ShownSession {
        id: &session.id,
        current: session.id == current,
        created_at: time(session.created_at),
        last_used_at: time(session.last_used_at),
        expires_at: time(session.expires_at),
        address: &session.address,
        user_agent: &session.user_agent,
    });
    Ok(HttpResponse::Ok().json(Page { items: items.collect(), next_cursor: None }))
}

/// End one of one's sessions
#[utoipa::path(
    delete, path = "/v1/auth/sessions/{id}", operation_id = "endSession", tag = "authentication",
    params(("id" = String, Path, description = "The session's id.", example = "01a20968-3f1e-7c6a-a6ad-5d1c1f4f9e55")),
    responses(
        (status = 204, description = "The session has ended."),
        (status = 202, description = "The session has ended on this node, but that is not recorded yet.",
         body = PendingWithdrawal),
    ),
    extensions(("x-problems" = json!([FORBIDDEN.slug, NOT_FOUND.slug, OUTCOME_UNKNOWN.slug]))),
)]
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

/// Log out
///
/// Ends the session of the request.
#[utoipa::path(
    post, path = "/v1/auth/logout", operation_id = "logOut", tag = "authentication",
    responses(
        (status = 204, description = "The session has ended."),
        (status = 202, description = "The session has ended on this node, but that is not recorded yet.",
         body = PendingWithdrawal),
    ),
    extensions(("x-problems" = json!([FORBIDDEN.slug, NOT_FOUND.slug, OUTCOME_UNKNOWN.slug]))),
)]
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

/// How many sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"sessions": 3})))]
struct EndedSessions {
    sessions: usize,
}

/// Log out everywhere
///
/// Ends all sessions of the calling user.
#[utoipa::path(
    post, path = "/v1/auth/logout-all", operation_id = "logOutEverywhere", tag = "authentication",
    responses(
        (status = 200, description = "All sessions have ended.", body = EndedSessions),
        (status = 202, description = "The sessions have ended on this node, but that is not recorded yet.",
         body = PendingWithdrawal),
    ),
    extensions(("x-problems" = json!([FORBIDDEN.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn logout_all(caller: RequestCaller, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (user, _) = person(&caller)?;
    let all = EndAllSessions { user: user.to_owned(), caller: caller.name().to_owned() };
    let ended = writes::write(&state, &state.app.identity.directory, all).await?;
    Ok(withdrawn::answer(ended, |ended| HttpResponse::Ok().json(EndedSessions { sessions: ended })))
}

/// The password of the caller, and the one that replaces it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordChange, examples(json!({
    "old": "correct horse battery staple", "new": "seven quiet lighthouses"
})))]
struct PasswordBody {
    #[schema(format = Password)]
    old: String,
    /// Neither short nor easily guessed.
    #[schema(format = Password, min_length = 12)]
    new: String,
}

/// Change one's password
///
/// Ends all sessions of the calling user.
#[utoipa::path(
    post, path = "/v1/auth/password", operation_id = "changePassword", tag = "authentication",
    request_body = PasswordBody,
    responses((status = 204, description = "The password was changed.")),
    extensions(("x-problems" = json!([
        BAD_REQUEST.slug, FORBIDDEN.slug, INVALID_PASSWORD.slug, TOO_MANY.slug, OUTCOME_UNKNOWN.slug
    ]))),
)]
pub async fn change_password(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: PasswordBody = body::object(&request, payload, state.bounds()).await?;
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
