//! `/v1/users…`: users who may log in.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::authorization::RequestCaller;
use super::forwarded::address;
use super::login::hashed;
use super::pagination::{After, Page, listed, time};
use super::problem::{BAD_REQUEST, FORBIDDEN, INVALID_PASSWORD, NOT_FOUND, OUTCOME_UNKNOWN, Problem, TAKEN, TOO_MANY};
use super::withdrawn::PendingWithdrawal;
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::{
    AddUser, By, ChangePassword, FindUser, ListUsers, NewUser, RemoveSecondFactor, RemoveUser, SetUser,
};
use crate::auth::precis;
use crate::auth::scope::{Role, Roles};
use crate::store::users::User;

/// The most bytes of a user's name.
const MAX_NAME: usize = 128;

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUser, examples(json!({
    "name": "ann", "password": "correct horse battery staple", "roles": ["auditor"]
})))]
struct NewUserBody {
    /// Letters, digits and `._-@+`.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._@+-]+$")]
    name: String,
    /// Neither short nor easily guessed.
    #[schema(format = Password, min_length = 12)]
    password: String,
    #[schema(value_type = Vec<Role>)]
    roles: Vec<String>,
}

/// Changes of a user; members that are absent change nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserChange, examples(json!({"roles": ["auditor", "operator"]})))]
struct ChangeUserBody {
    disabled: Option<bool>,
    #[schema(value_type = Option<Vec<Role>>)]
    roles: Option<Vec<String>>,
    #[schema(format = Password, min_length = 12)]
    password: Option<String>,
    /// False removes the second factor. Only users themselves can add one, so true is refused.
    second_factor: Option<bool>,
}

/// A user, without credentials.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User, examples(json!({
    "name": "ann", "roles": ["auditor"], "disabled": false, "second_factor": false, "made_by": "user:admin",
    "created_at": "2026-11-24T09:30:00Z", "password_changed_at": "2026-11-24T09:30:00Z"
})))]
struct ShownUser {
    name: String,
    #[schema(value_type = Vec<Role>)]
    roles: Vec<String>,
    disabled: bool,
    /// Whether logins need a code.
    second_factor: bool,
    /// The caller that added it; null if the daemon did.
    #[schema(required)]
    made_by: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    password_changed_at: String,
}

fn shown(user: &User) -> ShownUser {
    ShownUser {
        name: user.name.clone(),
        roles: user.roles.split_whitespace().map(str::to_owned).collect(),
        disabled: user.disabled_at.is_some(),
        second_factor: user.totp_confirmed,
        made_by: user.made_by.clone(),
        created_at: time(user.created_at),
        password_changed_at: time(user.password_changed_at),
    }
}

/// Roles as JSON has them.
pub fn roles(given: &[String]) -> Result<Roles, Problem> {
    let roles = given
        .iter()
        .enumerate()
        .map(|(nth, role)| role.parse().map_err(|error| Problem::fault(&format!("/roles/{nth}"), format!("{error}"))));
    roles.collect()
}

/// List users
#[utoipa::path(
    get, path = "/v1/users", operation_id = "listUsers", tag = "users", params(After),
    responses((status = 200, description = "A page of users, in the order of their names.", body = Page<ShownUser>)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug]))),
)]
pub async fn list(query: Query<After>, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (after, limit) = (query.name()?, query.limit().get());
    let users = state.app.identity.directory.ask(ListUsers { after, limit }).await?;
    Ok(listed(&users, shown))
}

/// Show a user
#[utoipa::path(
    get, path = "/v1/users/{name}", operation_id = "showUser", tag = "users",
    params(("name" = String, Path, description = "The user's name.", example = "ann")),
    responses((status = 200, description = "The user.", body = ShownUser)),
    extensions(("x-problems" = json!([NOT_FOUND.slug]))),
)]
pub async fn show(name: Path<String>, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let user = state.app.identity.directory.ask(FindUser(name.clone())).await?;
    let user = user.ok_or_else(|| Problem::new(&NOT_FOUND, format!("there is no user `{name}`")))?;
    Ok(HttpResponse::Ok().json(shown(&user)))
}

/// Add a user
///
/// A user may log in. Its roles cannot exceed the scopes of the caller.
#[utoipa::path(
    post, path = "/v1/users", operation_id = "addUser", tag = "users", request_body = NewUserBody,
    responses((status = 201, description = "The user was added.", body = ShownUser)),
    extensions(("x-problems" = json!([
        BAD_REQUEST.slug, FORBIDDEN.slug, TAKEN.slug, INVALID_PASSWORD.slug, TOO_MANY.slug, OUTCOME_UNKNOWN.slug
    ]))),
)]
pub async fn add(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: NewUserBody = body::object(&request, payload, state.bounds()).await?;
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

/// Change a user
///
/// Ends the user's sessions.
#[utoipa::path(
    patch, path = "/v1/users/{name}", operation_id = "changeUser", tag = "users",
    params(("name" = String, Path, description = "The user's name.", example = "ann")),
    request_body = ChangeUserBody,
    responses(
        (status = 200, description = "The user was changed.", body = ShownUser),
        (status = 202, description = "The change is in force on this node, but not recorded yet.",
         body = PendingWithdrawal),
    ),
    extensions(("x-problems" = json!([
        BAD_REQUEST.slug, FORBIDDEN.slug, NOT_FOUND.slug, INVALID_PASSWORD.slug, TOO_MANY.slug, OUTCOME_UNKNOWN.slug
    ]))),
)]
pub async fn change(
    request: HttpRequest,
    payload: Payload,
    name: Path<String>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: ChangeUserBody = body::object(&request, payload, state.bounds()).await?;
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

/// Remove a user
///
/// Ends the user's sessions, and every credential that the user has created.
#[utoipa::path(
    delete, path = "/v1/users/{name}", operation_id = "removeUser", tag = "users",
    params(("name" = String, Path, description = "The user's name.", example = "ann")),
    responses(
        (status = 204, description = "The user was removed."),
        (status = 202, description = "The user is refused on this node, but that is not recorded yet.",
         body = PendingWithdrawal),
    ),
    extensions(("x-problems" = json!([NOT_FOUND.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn remove(
    name: Path<String>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let remove = RemoveUser { name: name.into_inner(), caller: caller.name().to_owned() };
    let removed = writes::write(&state, &state.app.identity.directory, remove).await?;
    Ok(withdrawn::answer(removed, |()| HttpResponse::NoContent().finish()))
}
