//! `/v1/clients…`: the services that call by themselves.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::authorization::RequestCaller;
use super::pagination::{After, label, listed, time};
use super::problem::Problem;
use super::token_response::no_store;
use super::users::roles;
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::{AddClient, ClientMade, ListClients, NewClient, RemoveClient, SetClient};
use crate::auth::secret::ClientSecret;
use crate::store::clients::Client;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewClientBody {
    name: String,
    roles: Vec<String>,
    jwks: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeClientBody {
    disabled: Option<bool>,
    roles: Option<Vec<String>>,
    #[serde(default)]
    new_secret: bool,
}

/// The JSON of a client.
fn shown(client: &Client) -> Value {
    json!({
        "client_id": client.id,
        "name": client.name,
        "roles": client.roles.split_whitespace().collect::<Vec<_>>(),
        "authentication": if client.jwks.is_some() { "private_key_jwt" } else { "client_secret" },
        "disabled": client.disabled_at.is_some(),
        "made_by": client.made_by,
        "created_at": time(client.created_at),
    })
}

/// The JSON of a client with its new secret, if it has one.
pub fn made(made: &ClientMade) -> Value {
    let mut body = shown(&made.client);
    if let (Some(secret), Some(members)) = (&made.secret, body.as_object_mut()) {
        members.insert("client_secret".to_owned(), secret.as_str().into());
    }
    body
}

/// `GET /v1/clients`
pub async fn list(query: Query<After>, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (after, limit) = (query.name()?, query.limit().get());
    let clients = state.app.identity.directory.ask(ListClients { after, limit }).await?;
    Ok(listed(&clients, shown))
}

/// `POST /v1/clients`
pub async fn add(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: NewClientBody = body::json(&request, payload, state.bounds()).await?;
    let new = NewClient {
        name: label("/name", body.name)?,
        roles: roles(&body.roles)?,
        jwks: body.jwks.map(|jwks| jwks.to_string()),
    };
    let client =
        writes::write(&state, &state.app.identity.directory, AddClient { new, granter: caller.granter() }).await?;
    Ok(no_store(HttpResponse::Created().json(made(&client))))
}

/// `PATCH /v1/clients/{id}`: ends the client's tokens.
pub async fn change(
    request: HttpRequest,
    payload: Payload,
    id: Path<String>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: ChangeClientBody = body::json(&request, payload, state.bounds()).await?;
    let set = SetClient {
        id: id.into_inner(),
        disabled: body.disabled,
        roles: body.roles.as_deref().map(roles).transpose()?,
        secret: body.new_secret.then(ClientSecret::generate),
        granter: caller.granter(),
    };
    let set = writes::write(&state, &state.app.identity.directory, set).await?;
    Ok(withdrawn::answer(set, |client| no_store(HttpResponse::Ok().json(made(&client)))))
}

/// `DELETE /v1/clients/{id}`
pub async fn remove(
    id: Path<String>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let remove = RemoveClient { id: id.into_inner(), caller: caller.name().to_owned() };
    let removed = writes::write(&state, &state.app.identity.directory, remove).await?;
    Ok(withdrawn::answer(removed, |()| HttpResponse::NoContent().finish()))
}
