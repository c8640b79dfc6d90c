//! `/v1/clients…`: the services that call by themselves.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::authorization::RequestCaller;
use super::pagination::{After, Page, label, listed, time};
use super::problem::{BAD_REQUEST, FORBIDDEN, NOT_FOUND, OUTCOME_UNKNOWN, Problem, TAKEN};
use super::token_response::no_store;
use super::users::roles;
use super::withdrawn::PendingWithdrawal;
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::{AddClient, ClientMade, ListClients, NewClient, RemoveClient, SetClient};
use crate::auth::scope::Role;
use crate::auth::secret::ClientSecret;
use crate::store::clients::Client;

/// A new client. With `jwks` it authenticates by signed assertions, otherwise by a secret.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewClient, examples(json!({"name": "gateway", "roles": ["agent"]})))]
struct NewClientBody {
    /// A label for people, without control characters.
    #[schema(min_length = 1, max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    name: String,
    #[schema(value_type = Vec<Role>)]
    roles: Vec<String>,
    /// The public keys of the client, as a JSON Web Key Set (RFC 7517).
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
}

/// Changes of a client; members that are absent change nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientChange, examples(json!({"roles": ["agent", "auditor"], "new_secret": true})))]
struct ChangeClientBody {
    disabled: Option<bool>,
    #[schema(value_type = Option<Vec<Role>>)]
    roles: Option<Vec<String>>,
    /// Whether the client gets a new secret, which is in the answer.
    #[serde(default)]
    new_secret: bool,
}

/// A client, with its secret if that is new.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Client, examples(json!({
    "client_id": "01a20968-3f1e-7c6a-a6ad-5d1c1f4f9e55", "name": "gateway", "roles": ["agent"],
    "authentication": "client_secret", "disabled": false, "made_by": "user:admin",
    "created_at": "2026-11-24T09:30:00Z"
})))]
pub struct ShownClient {
    client_id: String,
    name: String,
    #[schema(value_type = Vec<Role>)]
    roles: Vec<String>,
    #[schema(value_type = ClientAuthentication)]
    authentication: &'static str,
    disabled: bool,
    /// The caller that added it; null if the daemon did.
    #[schema(required)]
    made_by: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// The secret, which is shown only when it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_secret: Option<String>,
}

/// How a client authenticates.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the member `authentication`")]
enum ClientAuthentication {
    PrivateKeyJwt,
    ClientSecret,
}

fn shown(client: &Client) -> ShownClient {
    ShownClient {
        client_id: client.id.clone(),
        name: client.name.clone(),
        roles: client.roles.split_whitespace().map(str::to_owned).collect(),
        authentication: if client.jwks.is_some() { "private_key_jwt" } else { "client_secret" },
        disabled: client.disabled_at.is_some(),
        made_by: client.made_by.clone(),
        created_at: time(client.created_at),
        client_secret: None,
    }
}

/// A client with its new secret, if it has one.
pub fn made(made: &ClientMade) -> ShownClient {
    ShownClient { client_secret: made.secret.as_ref().map(|secret| secret.as_str().to_owned()), ..shown(&made.client) }
}

/// List clients
#[utoipa::path(
    get, path = "/v1/clients", operation_id = "listClients", tag = "clients", params(After),
    responses((status = 200, description = "A page of clients, in the order of their ids.", body = Page<ShownClient>)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug]))),
)]
pub async fn list(query: Query<After>, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (after, limit) = (query.name()?, query.limit().get());
    let clients = state.app.identity.directory.ask(ListClients { after, limit }).await?;
    Ok(listed(&clients, shown))
}

/// Add a client
///
/// A client is a service that calls by itself. Its roles cannot exceed the scopes of the caller.
#[utoipa::path(
    post, path = "/v1/clients", operation_id = "addClient", tag = "clients", request_body = NewClientBody,
    responses((status = 201, description = "The client was added.", body = ShownClient)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, FORBIDDEN.slug, TAKEN.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn add(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: NewClientBody = body::object(&request, payload, state.bounds()).await?;
    let new = NewClient {
        name: label("/name", body.name)?,
        roles: roles(&body.roles)?,
        jwks: body.jwks.map(|jwks| jwks.to_string()),
    };
    let client =
        writes::write(&state, &state.app.identity.directory, AddClient { new, granter: caller.granter() }).await?;
    Ok(no_store(HttpResponse::Created().json(made(&client))))
}

/// Change a client
///
/// Ends the client's tokens.
#[utoipa::path(
    patch, path = "/v1/clients/{id}", operation_id = "changeClient", tag = "clients",
    params(("id" = String, Path, description = "The client's id.", example = "01a20968-3f1e-7c6a-a6ad-5d1c1f4f9e55")),
    request_body = ChangeClientBody,
    responses(
        (status = 200, description = "The client was changed.", body = ShownClient),
        (status = 202, description = "The change is in force on this node, but not recorded yet.",
         body = PendingWithdrawal),
    ),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, FORBIDDEN.slug, NOT_FOUND.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn change(
    request: HttpRequest,
    payload: Payload,
    id: Path<String>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: ChangeClientBody = body::object(&request, payload, state.bounds()).await?;
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

/// Remove a client
///
/// Ends the client's tokens.
#[utoipa::path(
    delete, path = "/v1/clients/{id}", operation_id = "removeClient", tag = "clients",
    params(("id" = String, Path, description = "The client's id.", example = "01a20968-3f1e-7c6a-a6ad-5d1c1f4f9e55")),
    responses(
        (status = 204, description = "The client was removed."),
        (status = 202, description = "The client is refused on this node, but that is not recorded yet.",
         body = PendingWithdrawal),
    ),
    extensions(("x-problems" = json!([NOT_FOUND.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn remove(
    id: Path<String>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let remove = RemoveClient { id: id.into_inner(), caller: caller.name().to_owned() };
    let removed = writes::write(&state, &state.app.identity.directory, remove).await?;
    Ok(withdrawn::answer(removed, |()| HttpResponse::NoContent().finish()))
}
