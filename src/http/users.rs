//! `/v1/users…`: users who may log in.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::authorization::RequestCaller;
use super::forwarded::address;
use super::login::hashed;
use super::pagination::{After, listed, time};
use super::problem::{NOT_FOUND, Problem};
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::{
    AddUser, By, ChangePassword, FindUser, ListUsers, NewUser, RemoveSecondFactor, RemoveUser, SetUser,
};
use crate::auth::precis;
use crate::auth::scope::Roles;
use crate::store::users::User;

/// The most bytes of a user's name.
const MAX_NAME: usize = 128;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUserBody {
    name: String,
    password: String,
    roles: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeUserBody {
    disabled: Option<bool>,
    roles: Option<Vec<String>>,
    password: Option<String>,
    /// Taken away where false.
    second_factor: Option<bool>,
}

/// The JSON of a user, without its credentials.
fn shown(user: &User) -> Value {
    json!({
        "name": user.name,
        "roles": user.roles.split_whitespace().collect::<Vec<_>>(),
        "disabled": user.disabled_at.is_some(),
        "second_factor": user.totp_confirmed,
        "made_by": user.made_by,
        "created_at": time(user.created_at),
        "password_changed_at": time(user.password_changed_at),
    })
}

/// Roles as JSON has them.
pub fn roles(given: &[String]) -> Result<Roles, Problem> {
    let roles = given
        .iter()
        .enumerate()
        .map(|(nth, role)| role.parse().map_err(|error| Problem::fault(&format!("/roles/{nth}"), format!("{error}"))));
    roles.collect()
}

/// `GET /v1/users`
pub async fn list(query: Query<After>, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (after, limit) = (query.name()?, query.limit().get());
    let users = state.app.identity.directory.ask(ListUsers { after, limit }).await?;
    Ok(listed(&users, shown))
}

/// `GET /v1/users/{name}`
pub async fn show(name: Path<String>, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let user = state.app.identity.directory.ask(FindUser(name.clone())).await?;
    let user = user.ok_or_else(|| Problem::new(&NOT_FOUND, format!("there is no user `{name}`")))?;
    Ok(HttpResponse::Ok().json(shown(&user)))
}

/// `POST /v1/users`
pub async fn add(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: NewUserBody = body::json(&request, payload, state.bounds()).await?;
    let name = precis::name(&body.name).into_owned();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-@+".contains(letter);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
        let detail = format!("must be 1 to {MAX_NAME} letters, digits, and `._-@+`");
        return Err(Problem::fault("/name", detail));
    }
    let roles = roles(&body.roles)?;
    let password = hashed(&state, &name, body.password, address(&request)).await?;
    let new = NewUser { name, password, roles };
    let user = writes::write(&state, &state.app.identity.directory, AddUser { new, granter: caller.granter() }).await?;
    Ok(HttpResponse::Created().json(shown(&user)))
}

/// `PATCH /v1/users/{name}`: ends the user's sessions.
pub async fn change(
    request: HttpRequest,
    payload: Payload,
    name: Path<String>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: ChangeUserBody = body::json(&request, payload, state.bounds()).await?;
    let roles = body.roles.as_deref().map(roles).transpose()?;
    let (name, granter) = (name.into_inner(), caller.granter());
    if let Some(password) = body.password {
        let password = hashed(&state, &name, password, address(&request)).await?;
        let change = ChangePassword { name: name.clone(), password, by: By::Granter(granter.clone()) };
        writes::write(&state, &state.app.identity.directory, change).await?;
    }
    if let Some(wanted) = body.second_factor {
        if wanted {
            return Err(Problem::fault("/second_factor", "only users themselves can add one"));
        }
        let remove = RemoveSecondFactor { user: name.clone(), by: By::Granter(granter.clone()) };
        writes::write(&state, &state.app.identity.directory, remove).await?;
    }
    let set = SetUser { name, disabled: body.disabled, roles, granter };
    let set = writes::write(&state, &state.app.identity.directory, set).await?;
    Ok(withdrawn::answer(set, |user| HttpResponse::Ok().json(shown(&user))))
}

/// `DELETE /v1/users/{name}`
pub async fn remove(
    name: Path<String>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let remove = RemoveUser { name: name.into_inner(), caller: caller.name().to_owned() };
    let removed = writes::write(&state, &state.app.identity.directory, remove).await?;
    Ok(withdrawn::answer(removed, |()| HttpResponse::NoContent().finish()))
}
